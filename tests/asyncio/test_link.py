"""The life of a transport: opening, taking turns, and the end."""

import asyncio
import gc
import logging
import socket
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import pellucid
from pellucid import (
    Connection,
    ConnectionLost,
    DeadReferenceError,
    LimitExceeded,
    Limits,
    RemoteProtocolError,
)
from pellucid.asyncio import link as module
from tests.asyncio.pairs import (
    CHOICE,
    OFFER,
    OWN_CHOICE,
    Echo,
    Run,
    Seeing,
    Thing,
    Waiting,
    alone,
    at_once,
    failure,
    join,
    pair,
    turn,
    until,
)

# Opening.


@pytest.mark.parametrize("role", ["client", "server"])
def test_who_does_not_agree_on_a_dialect_in_time_is_dropped(
    run: Run, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        connection = Connection(role, root=Echo(), limits=Limits(handshake_time=0.02), peer="mute")
        with await alone(connection):
            assert repr(connection) == "<Connection open mute>"
            with pytest.raises(ConnectionLost, match="no PB connection to mute") as caught:
                await connection.wait_ready()
            assert isinstance(caught.value.__cause__, RemoteProtocolError)
            await connection.wait_closed()
            with pytest.raises(ConnectionLost, match="no PB connection to mute"):
                await connection.wait_ready()
            assert repr(connection) == "<Connection closed mute>"

    run(main())
    # What ends the opening of a client is raised there.
    assert ("no dialect was agreed within 0.02 s" in caplog.text) is (role == "server")


def test_a_connection_that_is_ready_stays(run: Run) -> None:
    async def main() -> None:
        limits = Limits(handshake_time=0.01)
        async with pair(limits=limits, client_limits=limits) as (client, server):
            await asyncio.sleep(0.03)
            assert await client.root.call("echo", 1) == 1
            assert not server.closed
            at_once(client.wait_ready())

    run(main())


def test_closed_while_it_is_opened(run: Run) -> None:
    async def main() -> None:
        connection = Connection("client", peer="mute")
        with await alone(connection):
            waiting = asyncio.create_task(connection.wait_ready())
            await asyncio.sleep(0)
            connection.close()
            with pytest.raises(ConnectionLost, match="closed"):
                await waiting
            await connection.wait_closed()

    run(main())


def test_ready_after_waiting_was_given_up(run: Run) -> None:
    async def main() -> None:
        for ending in (OFFER, b""):
            connection = Connection("client", peer="mute")
            with await alone(connection) as sock:
                waiting = asyncio.create_task(connection.wait_ready())
                await asyncio.sleep(0)
                waiting.cancel()
                sock.send(ending) if ending else sock.shutdown(socket.SHUT_WR)
                await until(lambda c=connection: c._broker.ready or c.closed)  # type: ignore[misc]
            await connection.wait_closed()

    run(main())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("127.0.0.1", 5), "pb://127.0.0.1:5"),
        (("::1", 5, 0, 0), "pb://[::1]:5"),
        ("", "pb+unix://"),
        (None, "pb+unix://"),
    ],
)
def test_the_name_of_the_peer(name: object, text: str) -> None:
    assert module._name(name) == text


# The end.


@pytest.mark.parametrize("method", ["see", "see_later"])
def test_notify_then_close_runs_all_the_notifies(run: Run, eager: bool, method: str) -> None:
    async def main() -> None:
        for limits in (
            Limits(),
            Limits(calls_per_turn=1),
            Limits(calls_running=2),
            Limits(calls_waiting=2, calls_per_turn=3),
        ):
            root = Seeing()
            async with pair(root, eager=eager, limits=limits) as (client, server):
                # What comes back when nobody reads any more resets the connection.
                answered = client.root.call("see", -1)
                for n in range(500):
                    client.root.notify(method, n, Thing())
                client.close()
                await asyncio.wait([answered])
                await server.wait_closed()
                assert root.seen == list(range(-1, 500))
                # Its answer may have been faster than the end.
                assert isinstance(answered.exception(), ConnectionLost | None)

    run(main())


def test_close_cuts_the_connection_if_nobody_takes_what_is_ready(run: Run) -> None:
    async def main() -> None:
        client = Connection("client", limits=Limits(close_time=0.02), peer="deaf")
        with await alone(client) as sock:
            sock.send(OFFER)
            await client.wait_ready()
            for _ in range(20):
                client.root.notify("echo", b"x" * 600_000)
            client.close()
            await client.wait_closed()

    run(main())


def test_a_method_that_ignores_its_end_is_named_and_not_waited_for(
    run: Run, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Root(Waiting):
        async def remote_stubborn(self) -> None:
            self.started.set()
            while not self.go.is_set():
                try:
                    await self.go.wait()
                except asyncio.CancelledError:
                    self.ended.append("ignored")

    async def main() -> None:
        root = Root()
        ours, theirs = (
            Connection("client"),
            Connection("server", root=root, eager=eager, limits=Limits(close_time=0.02)),
        )
        client, server = await join(ours, theirs)
        call = client.root.call("stubborn")
        await root.started.wait()
        client.close()
        assert isinstance(await failure(call), ConnectionLost)
        await server.wait_closed()
        assert root.ended == ["ignored"]
        assert list(server._calls.running.values()) == ["stubborn"]
        root.go.set()
        await until(lambda: not server._calls.running)
        await client.wait_closed()

    run(main())
    assert "methods that ignore their cancellation: stubborn" in caplog.text


def test_the_reason_is_what_cut_the_connection(run: Run) -> None:
    async def main() -> None:
        server = Connection("server", root=Echo(), peer="rude")
        with await alone(server) as sock:
            reasons: list[Any] = []
            server.on_close(reasons.append)
            sock.send(CHOICE)
            await until(lambda: server._broker.ready)
            error = OSError("reset")
            server.connection_lost(error)
            await server.wait_closed()
            await until(lambda: reasons == [error])
            transport: Any = server._out._transport
            assert transport is None
        # The transport that the loop still has.
        await turn()

    run(main())


def test_a_broken_message_ends_the_connection_and_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = Connection("server", root=Echo(), peer="rude")
        with await alone(server) as sock:
            sock.send(CHOICE + b"\x01\x81")
            await server.wait_closed()
            assert isinstance(server._error, RemoteProtocolError)

    run(main())
    assert "rude: the connection was ended: a message must be a list" in caplog.text


def test_the_greeting_of_tls_is_known(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(ssl.SSLWantReadError):
            context.wrap_bio(came, goes, server_hostname="x").do_handshake()
        for greeting in (goes.read(), CHOICE + b"\x16\x03\x01\xff"):
            server = Connection("server", root=Echo(), peer="rude")
            with await alone(server) as sock:
                sock.send(greeting)
                await server.wait_closed()

    run(main())
    greeted, other = (record.getMessage() for record in caplog.records)
    assert "rude: the connection was ended: there is no type byte 0x" in greeted
    assert greeted.endswith("; if the client speaks TLS, serve pbs://")
    assert other.endswith("there is no type byte 0xff")


def test_a_survivable_mistake_of_the_peer_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = Connection("server", root=Echo(), peer="rude")
        with await alone(server) as sock:
            # It releases what it never had.
            sock.send(CHOICE + b"\x02\x80\x1d\x87\x63\x81")
            await until(lambda: bool(caplog.records))
            assert not server.closed
        await server.wait_closed()

    with caplog.at_level(logging.WARNING, "pellucid"):
        run(main())
    assert "rude: the peer released a reference that it does not hold" in caplog.text


def test_only_so_many_mistakes_are_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Connection("server", root=Echo(), peer="rude", limits=Limits(log_lines=3))
        with await alone(server) as sock:
            for n in range(8):
                sock.send((b"" if n else CHOICE) + b"\x02\x80\x1d\x87\x63\x81")
        await server.wait_closed()

    run(main())
    assert [record.getMessage().partition(": ")[0] for record in caplog.records[:3]] == ["rude"] * 3
    assert "further lines of this kind are left out" in caplog.records[3].getMessage()
    assert len(caplog.records) == 4


def test_an_end_of_input_stops_what_waits_for_ever(run: Run, eager: bool) -> None:
    """All handlers wait for a peer that is gone, and more calls wait for them."""

    class Root(pellucid.Root):
        async def remote_ask(self, other: pellucid.RemoteReference) -> None:
            await other.call("wait")

    async def main() -> None:
        limits = Limits(calls_running=1, close_time=0.05)
        mine = Waiting()
        async with pair(Root(), eager=eager, limits=limits) as (client, server):
            calls = [client.root.call("ask", mine) for _ in range(3)]
            await mine.started.wait()
            client.close()
            for call in calls:
                assert isinstance(await failure(call), ConnectionLost)
            await server.wait_closed()
            assert not server._calls.running

    run(main())


def test_abort_ends_at_once(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            client.abort(LimitExceeded("too much", limit="x", value=1))
            assert client.closed
            await client.wait_closed()
            await server.wait_closed()
            client.abort()
            client.close()

    run(main())


def test_a_connection_that_was_never_made(run: Run) -> None:
    async def main() -> None:
        connection = Connection("server", root=Echo())
        connection.close()
        await connection.wait_closed()
        assert connection._lost

    run(main())


def test_one_buffer_serves_all_connections_of_a_loop(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            assert client.get_buffer(-1) is server.get_buffer(-1)

    run(main())


def test_closing_what_the_transport_gave_up_already(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            assert client._transport is not None
            client._transport.abort()
            client.abort(OSError("no"))
            await client.wait_closed()

    run(main())


def test_a_child_has_no_connections(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            threads = client._out.thread, server._out.thread
            module._after_fork()
            assert (client._out.thread, server._out.thread) == (0, 0)
            client._out.thread, server._out.thread = threads

    run(main())


# Hanging up.


class _Faster:
    """A transport whose other side has just gone."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def write_eof(self) -> None:
        raise OSError("not connected")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Secret(_Faster):
    """A transport that can't end in one direction alone, as TLS."""

    def can_write_eof(self) -> bool:
        return False


@pytest.mark.parametrize("kind", [_Faster, _Secret])
def test_where_one_direction_alone_can_not_end_both_do(run: Run, kind: type[_Faster]) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            transport: Any = kind(client._transport)
            client._transport = transport
            client.close()
            await until(lambda: client._over)
            await server.wait_closed()

    run(main())


def test_what_arrives_after_close_is_read_and_dropped(run: Run) -> None:
    async def main() -> None:
        root = Echo()
        server = Connection("server", root=root, peer="busy")
        with await alone(server) as sock:
            sock.send(CHOICE)
            await until(lambda: server._broker.ready)
            server.close()
            await until(lambda: server._broker.closed)
            for _ in range(20):
                sock.send(b"\xff" * 50_000)
                await turn()
            await until(lambda: sock.recv(1000) == OFFER + b"\x02\x80\x13\x87\x06\x81")
            assert sock.recv(1000) == b""
        await server.wait_closed()
        assert server._error is None

    run(main())


def test_what_had_come_when_the_transport_was_lost_is_still_started(run: Run, eager: bool) -> None:
    class Root(Seeing):
        def __init__(self) -> None:
            super().__init__()
            self.started, self.go = asyncio.Event(), asyncio.Event()

        async def remote_wait(self) -> None:
            self.started.set()
            await self.go.wait()

    async def main() -> None:
        root = Root()
        limits = Limits(calls_running=1, calls_waiting=3, calls_per_turn=2)
        async with pair(root, eager=eager, limits=limits) as (client, server):
            call = client.root.call("wait")
            for n in range(20):
                client.root.notify("see", n)
            await until(lambda: not server._turns.reading)
            assert server._transport is not None
            server._transport.abort()
            assert isinstance(await failure(call), ConnectionLost)
            await until(lambda: server._lost)
            assert not server._over
            assert server.closed
            root.go.set()
            await server.wait_closed()
            assert root.seen == list(range(20))

    run(main())


def test_who_gives_a_root_can_ask_the_connection_for_all_that_it_has(run: Run) -> None:
    ended: list[BaseException | None] = []

    class Door:
        def root_for(self, connection: Connection) -> Echo:
            assert not connection.closed
            assert connection.running == 0
            assert connection.limits == Limits()
            connection.on_close(ended.append)
            return Echo()

    async def main() -> None:
        async with pair(Door()) as (client, server):
            assert await client.root.call("echo", 1) == 1
            client.close()
            await server.wait_closed()
        assert len(ended) == 1

    run(main())


# What is left of a connection that nobody holds.


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watched(connection: Connection) -> list["weakref.ref[Any]"]:
    return [weakref.ref(connection), weakref.ref(connection._broker)]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([b"\xff" * 1_000], id="garbage"),
        pytest.param([b"\x01" * 100_000], id="endless"),
        pytest.param([OWN_CHOICE, b"\x07\x80\x0c\x87"], id="the middle of a message"),
        pytest.param([], id="nothing"),
    ],
)
@pytest.mark.usefixtures("no_collector")
def test_a_connection_that_ended_is_freed_without_the_collector(
    run: Run, said: list[bytes]
) -> None:
    async def main() -> None:
        connection = Connection("server", root=Echo())
        left = watched(connection)
        theirs = await alone(connection)
        del connection
        with theirs:
            for each in said:
                theirs.sendall(each)
                await turn()
        await until(lambda: not any(each() for each in left))

    run(main())


@pytest.mark.usefixtures("no_collector")
def test_a_connection_that_was_closed_is_freed_and_answers_until_then(run: Run) -> None:
    async def main() -> None:
        ends: list[object] = []
        async with pair() as (client, server):
            left = [*watched(client), *watched(server)]
            root = client.root
            assert await root.call("echo", 1) == 1
            client.close()
            await client.wait_closed()
            await server.wait_closed()
            await turn()
            client.on_close(ends.append)
            client.abort()
            client.close()
            assert client.closed
            assert client.limits == Limits()
            assert repr(client).startswith("<Connection closed")
            assert client.running == 0
            for dead in (root, client.root):
                assert isinstance(await failure(dead.call("echo", 2)), DeadReferenceError)
            await turn()
            assert ends == [None]
            del dead
        del client, server, root
        await until(lambda: not any(each() for each in left))

    run(main())
