"""Clients that connect again, as threads use them."""

import threading
from collections.abc import Iterator
from typing import Any, assert_type

import pytest

import pellucid
from pellucid import Backoff, ConnectionLost, DeadReferenceError, LocalProtocolError, blocking
from tests.asyncio.realms import USERS, portal
from tests.blocking.threads import FREE, Doing, Echo, all_threads, forked, until, wait

QUICK = Backoff(first=0.001, most=0.002)


@pytest.fixture(name="server")
def serve_echo() -> Iterator[blocking.Server]:
    with blocking.serve(Echo(), FREE) as server:
        yield server


def cut(server: blocking.Server) -> None:
    """Cut all connections of a server, as a network would."""
    # There may be new ones at once.
    old = {*server.connections}
    for connection in old:
        inner = connection._inner
        inner.background.post(inner.abort)
    until(lambda: old.isdisjoint(server.connections))


def next_one(client: blocking.Reconnecting, old: blocking.Connection) -> blocking.Connection:
    until(lambda: client.connection not in {None, old})
    return client.ready()


def test_it_connects_again() -> None:
    server = blocking.serve(Echo(), FREE)
    with blocking.connect(server.url, reconnect=QUICK) as client:
        assert_type(client, blocking.Reconnecting)
        assert isinstance(client, blocking.Reconnecting)
        first = client.ready()
        assert_type(first, blocking.Connection)
        assert client.connection is first is client.ready()
        assert client.peer == server.url
        assert repr(client) == f"<Reconnecting open {server.url}>"
        thing = first.root.call("thing")
        server.close()
        with pytest.raises(DeadReferenceError):
            thing.call("ping")
        with pytest.raises(TimeoutError, match=r"no connection within 0\.01 s"):
            client.ready(0.01)
        assert repr(client) == f"<Reconnecting connecting {server.url}>"
        with blocking.serve(Echo(), server.url):
            second = client.ready()
            assert second is not first
            assert second.root.call("echo", 1) == 1
            client.close()
    assert repr(client) == f"<Reconnecting closed {server.url}>"
    assert client.error is None
    with pytest.raises(DeadReferenceError, match="this client is closed"):
        client.ready()


def test_without_it_there_is_a_connection(server: blocking.Server) -> None:
    with blocking.connect(server.url, reconnect=False) as connection:
        assert_type(connection, blocking.Connection)
        assert isinstance(connection, blocking.Connection)


def test_the_thread_lives_while_it_waits_and_ends_with_it() -> None:
    before = all_threads()
    server = blocking.serve(Echo(), FREE)
    client = blocking.connect(server.url, reconnect=Backoff(first=60, most=60))
    server.close()
    until(lambda: client.connection is None)
    assert all_threads() != before
    waiting = Doing(client.ready)
    until(lambda: client._inner._waiters)
    client.close()
    with pytest.raises(DeadReferenceError):
        waiting.result()
    client.close()
    assert all_threads() == before


def test_on_connect_runs_on_a_worker_and_may_call() -> None:
    seen: list[Any] = []

    def log_in(connection: blocking.Connection) -> None:
        assert threading.current_thread() is not threading.main_thread()
        with pytest.raises(LocalProtocolError, match="the connection that it sets up"):
            for client in clients:
                client.ready()
            raise LocalProtocolError("the connection that it sets up")
        seen.append((connection, connection.login("alice", USERS["alice"])))

    clients: list[blocking.Reconnecting] = []
    with (
        blocking.serve(portal(), FREE) as server,
        blocking.connect(server.url, reconnect=QUICK, on_connect=log_in) as client,
    ):
        clients.append(client)
        first = client.ready()
        cut(server)
        second = next_one(client, first)
        assert [connection for connection, _ in seen] == [first, second]
        assert seen[1][1].call("whoami") == "alice"


def test_a_refused_login_is_final() -> None:
    passwords = iter([USERS["alice"]])

    def log_in(connection: blocking.Connection) -> None:
        connection.login("alice", next(passwords, "wrong horse"))

    with blocking.serve(portal(), FREE) as server:
        client = blocking.connect(server.url, reconnect=QUICK, on_connect=log_in)
        cut(server)
        until(lambda: client.closed)
        with pytest.raises(pellucid.LoginFailed):
            client.ready()
        assert isinstance(client.error, pellucid.LoginFailed)
        client.close()
        with pytest.raises(pellucid.LoginFailed):
            blocking.connect(server.url, reconnect=QUICK, on_connect=log_in)


def test_on_connect_may_close_the_client(server: blocking.Server) -> None:
    clients: list[blocking.Reconnecting] = []
    closed = threading.Event()

    def close(connection: blocking.Connection) -> None:
        for client in clients:
            client.close()
            closed.set()

    client = blocking.connect(server.url, reconnect=QUICK, on_connect=close)
    clients.append(client)
    cut(server)
    wait(closed)
    until(lambda: client.closed)
    client.close()


def test_closing_waits_for_on_connect(server: blocking.Server) -> None:
    began, go = threading.Event(), threading.Event()
    tries: list[str] = []

    def slow(connection: blocking.Connection) -> None:
        tries.append("began")
        if len(tries) > 1:
            began.set()
            wait(go)
            with pytest.raises(DeadReferenceError):
                connection.root.call("echo", 1)
            tries.append("ended")

    client = blocking.connect(server.url, reconnect=QUICK, on_connect=slow)
    cut(server)
    wait(began)
    closing = Doing(client.close)
    until(lambda: client.closed)
    assert closing.thread.is_alive()
    go.set()
    closing.result()
    assert tries == ["began", "began", "ended"]


def test_on_connect_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    before = all_threads()
    server = blocking.serve(Echo(), FREE)
    began, go = threading.Event(), threading.Event()
    tries: list[int] = []

    def endless(connection: blocking.Connection) -> None:
        tries.append(1)
        if len(tries) > 1:
            began.set()
            wait(go)

    limits = pellucid.Limits(close_time=0.05)
    client = blocking.connect(server.url, reconnect=QUICK, on_connect=endless, limits=limits)
    cut(server)
    wait(began)
    client.close()
    assert "on_connect ignores that its connection has ended" in caplog.text
    go.set()
    server.close()
    until(lambda: all_threads() <= before)


def test_a_method_may_close_the_client_and_is_still_answered() -> None:
    class Mind(pellucid.Referenceable):
        def remote_stop(self) -> str:
            client.close()
            return "stopped"

    root = Echo()
    with blocking.serve(root, FREE) as server:
        client = blocking.connect(server.url, reconnect=QUICK)
        client.ready().root.call("keep", Mind())
        assert root.kept.pop().call("stop") == "stopped"
        client.close()


def test_what_goes_wrong_at_once() -> None:
    with pytest.raises(TypeError, match="reconnect= takes True, False"):
        blocking.connect(FREE, reconnect=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="on_connect= is for reconnect=True"):
        blocking.connect(FREE, on_connect=print)  # type: ignore[call-overload]


def test_a_call_that_is_cut_off_is_not_made_again(server: blocking.Server) -> None:
    with blocking.connect(server.url, reconnect=QUICK) as client:
        first = client.ready()

        class Cutting(pellucid.Referenceable):
            def remote_cut(self) -> None:
                calls.append(1)
                cut(server)

        calls: list[int] = []
        with pytest.raises(ConnectionLost):
            first.root.call("back", Cutting(), "cut")
        assert next_one(client, first).root.call("echo", 2) == 2
        assert calls == [1]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_process_it_is_closed(server: blocking.Server) -> None:
    with blocking.connect(server.url, reconnect=QUICK) as client:

        def child() -> None:
            assert client.closed
            client.close()

        assert forked(child) == 0
        assert client.ready().root.call("echo", 1) == 1


def test_the_end_of_the_interpreter_ends_it(server: blocking.Server) -> None:
    with blocking.connect(server.url, reconnect=QUICK) as client:
        client._background.post(client._inner.abort)
        until(lambda: client.closed)
        assert client._inner.sockets() == []
