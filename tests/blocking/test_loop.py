"""What a forked process does with the loop of its parent."""

import os
import socket

from tests.blocking.threads import (
    forked,
    many_threads,
    open_sockets,
    until,
)
from tests.blocking.users import User, ask


@many_threads
def test_a_forked_process_keeps_no_socket_of_the_parent(user: User) -> None:
    ours, theirs = socket.socketpair()
    paused = socket.socket()
    user.extra.append(paused.fileno())
    ours.setblocking(False)
    seen: list[bytes] = []
    ask(user.thread, lambda: user.thread.loop.add_reader(ours, lambda: seen.append(ours.recv(9))))

    inodes = {f"socket:[{os.fstat(each.fileno()).st_ino}]" for each in (ours, paused)}

    def child() -> None:
        assert open_sockets() & inodes == set()

    assert open_sockets() >= inodes
    assert forked(child) == 0
    theirs.send(b"hello")
    until(lambda: seen)
    assert seen == [b"hello"]
    ask(user.thread, lambda: user.thread.loop.remove_reader(ours))
    for each in (ours, theirs, paused):
        each.close()
