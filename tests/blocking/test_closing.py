"""What a `with` statement does for connections and servers, and who does not wait for the end."""

import pytest

import pellucid
from pellucid import blocking
from pellucid.blocking.closing import Closing
from tests.blocking.threads import FREE, Echo, until


def test_a_with_statement_closes_what_it_was_given() -> None:
    with blocking.serve(Echo(), FREE) as server:
        with blocking.connect(server.url) as connection:
            both: tuple[Closing, ...] = (server, connection)
            assert connection.root.call("echo", 1) == 1
        assert connection.closed
        with pytest.raises(pellucid.DeadReferenceError):
            connection.root.call("echo", 2)
    with pytest.raises(ConnectionRefusedError):
        blocking.connect(server.url)
    for each in both:
        each.close()


@pytest.mark.parametrize("what", ["connection", "server"])
def test_a_method_closes_what_runs_it_and_is_answered(what: str) -> None:
    class Root(pellucid.Root):
        def remote_close(self) -> str:
            closing: Closing = server if what == "server" else server.connections[0]
            closing.close()
            return "closed"

    with blocking.serve(Root(), FREE) as server, blocking.connect(server.url) as client:
        assert client.root.call("close") == "closed"
        until(lambda: client.closed)
