"""The servers that are attacked: much the same small application for each peer.

serve()  listen on 127.0.0.1, print the ports on one line, serve until killed

The ports are that of the service, and that of the login, or of what a client needs to know.
"""

# An answer of `blob`.
BLOB = b"\xa5" * 600_000
# Who may log in.
USER, PASSWORD = b"alice", b"correct horse"
