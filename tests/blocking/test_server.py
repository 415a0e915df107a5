"""Servers as threads use them, and opening what there is to open."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pellucid
from pellucid import LocalProtocolError, blocking
from tests.blocking.threads import (
    FREE,
    PATIENCE,
    Doing,
    Echo,
    Waiting,
    all_threads,
    interrupt,
    until,
    wait,
)


@pytest.fixture(name="server")
def serve_echo() -> Iterator[blocking.Server]:
    with blocking.serve(Echo(), FREE) as server:
        yield server


def test_a_server_has_addresses_and_connections(server: blocking.Server) -> None:
    assert server.url == server.urls[0]
    assert server.url.startswith("pb://127.0.0.1:")
    assert repr(server) == f"<Server at {server.url}>"
    assert not server.connections
    with blocking.connect(server.url) as client:
        (connection,) = server.connections
        assert isinstance(connection, blocking.Connection)
        assert connection is server.connections[0]
        assert not client.closed
    until(lambda: not server.connections)
    server.close()
    assert repr(server) == f"<Server closed {server.url}>"
    with pytest.raises(ConnectionRefusedError):
        blocking.connect(server.url)


def test_closing_a_server_closes_its_connections(server: blocking.Server) -> None:
    ended = threading.Event()
    with blocking.connect(server.url) as client:
        client.on_close(lambda reason: ended.set())
        server.close()
        wait(ended)
    server.close()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with blocking.serve(Echo(), f"pb+unix://{path}") as server:
        with blocking.connect(server.url) as client:
            assert client.unix
            assert client.root.call("echo", 1) == 1
        assert path.exists()
    assert not path.exists()


def test_opening_one_after_the_other_starts_and_ends_the_threads() -> None:
    for _ in range(5):
        with blocking.serve(Echo(), FREE) as server, blocking.connect(server.url) as client:
            assert client.root.call("echo", 1) == 1


def test_what_can_not_be_opened_is_refused(server: blocking.Server) -> None:
    with pytest.raises(ValueError, match="begins with"):
        blocking.connect("http://localhost")
    with pytest.raises(ValueError, match="begins with"):
        blocking.serve(Echo(), "http://localhost")
    with pytest.raises(TypeError, match="can't be served"):
        blocking.serve(object())
    with pytest.raises(OSError, match="in use"):
        blocking.serve(Echo(), server.url)


def test_a_server_that_is_none_is_told_as_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            sock, _ = listening.accept()
            sock.close()

        answering = Doing(answer)
        with pytest.raises(pellucid.ConnectionLost):
            blocking.connect(f"pb://127.0.0.1:{listening.getsockname()[1]}")
        answering.result()


@pytest.mark.parametrize("scheme", ["pb", "pbs"])
def test_a_handshake_that_takes_too_long_names_the_loop_of_its_thread(scheme: str) -> None:
    def connect() -> str:
        with pytest.raises(pellucid.ConnectionLost) as caught:
            blocking.connect(url, limits=pellucid.Limits(handshake_time=0.02))
        assert caught.value.__cause__ is not None
        return str(caught.value)

    async def on_a_loop() -> str:
        return connect()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        assert "loop" not in connect()
        assert "this thread runs an asyncio loop" in asyncio.run(on_a_loop())


def test_a_loop_is_not_to_blame_for_a_server_that_hangs_up() -> None:
    def answer() -> None:
        sock, _ = listening.accept()
        sock.close()

    async def on_a_loop() -> None:
        blocking.connect(f"pb://127.0.0.1:{listening.getsockname()[1]}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = Doing(answer)
        with pytest.raises(pellucid.ConnectionLost) as caught:
            asyncio.run(on_a_loop())
        answering.result()
    assert "loop" not in str(caught.value)


def test_serving_for_ever_ends_when_the_server_is_closed(server: blocking.Server) -> None:
    serving = Doing(server.serve_forever)
    with blocking.connect(server.url) as client:
        assert client.root.call("echo", 1) == 1
    server.close()
    serving.result()
    server.serve_forever()


def test_ctrl_c_ends_serving_and_closes_the_server(server: blocking.Server) -> None:
    class Interrupting(pellucid.Referenceable):
        def remote_interrupt(self) -> None:
            until(lambda: server._background._forever)
            interrupt()

    client = blocking.connect(server.url)
    call = Doing(client.root.call, "back", Interrupting(), "interrupt")
    with pytest.raises(KeyboardInterrupt):
        server.serve_forever()
    try:
        call.result()
    except pellucid.ConnectionClosed:
        pass
    with pytest.raises(ConnectionRefusedError):
        blocking.connect(server.url)
    client.close()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_method_that_ends_the_program_ends_serving(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Leaving(Echo):
        def remote_leave(self) -> None:
            raise kind(5)

    with blocking.serve(Leaving(), FREE) as server, blocking.connect(server.url) as client:
        serving = Doing(server.serve_forever)
        until(lambda: server._background._forever)
        with pytest.raises(pellucid.RemoteError):
            client.root.call("leave")
        with pytest.raises(kind):
            serving.result()
    assert "from 'leave'" in caplog.text


def test_a_method_may_close_the_server_and_is_still_answered() -> None:
    server: blocking.Server

    class Closing(Echo):
        def remote_close(self) -> str:
            server.close()
            with pytest.raises(LocalProtocolError, match="wait for the end"):
                server.serve_forever()
            return "closed"

    with blocking.serve(Closing(), FREE) as server:
        client, other = blocking.connect(server.url), blocking.connect(server.url)
        serving = Doing(server.serve_forever)
        assert client.root.call("close") == "closed"
        serving.result()
        client.close()
        other.close()


def test_a_hook_on_the_background_thread_may_close_the_server() -> None:
    server: blocking.Server

    class Closing(pellucid.Copyable, tag="tests.Closing"):
        def state_to_copy(self) -> dict[str, Any]:
            server.close()
            return {}

    with blocking.serve(Echo(), FREE) as server, blocking.connect(server.url) as client:
        with pytest.raises(pellucid.PBError):
            client.root.call("echo", Closing())
        server.serve_forever()


def test_closing_races_with_clients_that_come() -> None:
    for _ in range(10):
        server = blocking.serve(Echo(), FREE)
        together = threading.Barrier(4, timeout=PATIENCE)

        def come(server: blocking.Server = server, together: threading.Barrier = together) -> str:
            together.wait()
            try:
                with blocking.connect(server.url) as client:
                    return str(client.root.call("echo", "in"))
            except (OSError, pellucid.ConnectionClosed) as error:
                return type(error).__name__

        coming = [Doing(come) for _ in range(3)]
        together.wait()
        server.close()
        for each in coming:
            assert each.result()


def test_two_servers_close_each_other_s_connections_in_methods() -> None:
    """Each waits for the other's method, so that nobody would end without a limit."""
    limits = pellucid.Limits(close_time=0.05)

    class Closing(Waiting):
        other: Any

        def remote_close(self) -> None:
            self.started.set()
            wait(self.go)
            self.other.close()

    before = all_threads()
    one, two = Closing(), Closing()
    with (
        blocking.serve(one, FREE, limits=limits) as first,
        blocking.serve(two, FREE, limits=limits) as second,
        blocking.connect(first.url) as to_first,
        blocking.connect(second.url) as to_second,
    ):
        one.other, two.other = second, first
        calls = [Doing(each.root.call, "close") for each in (to_first, to_second)]
        for each in (one, two):
            wait(each.started)
        for each in (one, two):
            each.go.set()
        for call in calls:
            with pytest.raises(pellucid.ConnectionLost):
                call.result()
    # They had waited for each other for `close_time`.
    until(lambda: all_threads() == before)
