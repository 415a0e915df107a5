"""The end of a server that lets its calls finish, as threads see it."""

import threading

import pytest

import pellucid
from pellucid import ConnectionLost, LocalProtocolError, blocking
from tests.blocking.threads import FREE, Doing, Echo, Waiting, all_threads, forked, until, wait


def test_methods_finish_and_then_all_is_closed() -> None:
    root = Waiting()
    server = blocking.serve(root, FREE)
    client, idle = blocking.connect(server.url), blocking.connect(server.url)
    call = Doing(client.root.call, "wait", 5)
    wait(root.started)
    draining = Doing(server.drain)
    until(lambda: idle.closed)
    assert draining.thread.is_alive()
    assert not client.closed
    root.go.set()
    assert call.result() == 5
    draining.result()
    assert server.connections == ()
    with pytest.raises(ConnectionRefusedError):
        blocking.connect(server.url)
    server.drain()
    client.close()
    idle.close()


def test_the_thread_ends_with_it() -> None:
    before = all_threads()
    server = blocking.serve(Echo(), FREE)
    server.drain(1)
    assert all_threads() == before
    server.drain()
    server.start_draining()


def test_what_takes_too_long_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    before = all_threads()
    root = Waiting()
    server = blocking.serve(root, FREE, limits=pellucid.Limits(close_time=0.1))
    client = blocking.connect(server.url)
    call = Doing(client.root.call, "wait")
    wait(root.started)
    server.drain(0.01)
    with pytest.raises(ConnectionLost):
        call.result()
    assert "the time to drain is over, calls that still run are cancelled: 1" in caplog.text
    root.go.set()
    client.close()
    until(lambda: all_threads() <= before)


def test_a_method_can_begin_it_and_not_wait_for_it() -> None:
    server: blocking.Server
    ended = threading.Event()

    class Stopping(Echo):
        def remote_stop(self) -> str:
            with pytest.raises(LocalProtocolError, match="wait for the end of a server"):
                server.drain()
            server.start_draining()
            return "stopped"

    server = blocking.serve(Stopping(), FREE)
    client = blocking.connect(server.url)
    client.on_close(lambda reason: ended.set())
    assert client.root.call("stop") == "stopped"
    wait(ended)
    server.close()
    client.close()


def test_a_limit_that_is_none() -> None:
    with blocking.serve(Echo(), FREE) as server:
        for drain in (server.drain, server.start_draining):
            with pytest.raises(TypeError, match="a number of seconds, not str"):
                drain("5")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="can't be below 0: -1"):
                drain(-1)
        with blocking.connect(server.url) as client:
            assert client.root.call("echo", 1) == 1


def test_closing_ends_it() -> None:
    root = Waiting()
    server = blocking.serve(root, FREE, limits=pellucid.Limits(close_time=0.1))
    client = blocking.connect(server.url)
    call = Doing(client.root.call, "wait")
    wait(root.started)
    draining = Doing(server.drain, 60)
    until(lambda: server._inner.closing)
    closing = Doing(server.close)
    with pytest.raises(ConnectionLost):
        call.result()
    root.go.set()
    closing.result()
    draining.result()
    client.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_process_there_is_nothing_to_wait_for() -> None:
    with blocking.serve(Echo(), FREE) as server:

        def child() -> None:
            server.drain()
            server.start_draining()

        assert forked(child) == 0
