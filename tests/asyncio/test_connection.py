"""The life of a connection: opening, taking turns, and the end."""

import asyncio
import logging
import socket
from typing import Any

import pytest

import pellucid
from pellucid import (
    Connection,
    ConnectionLost,
    DeadReferenceError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    RemoteProtocolError,
)
from pellucid.asyncio import connection as module
from tests.asyncio.pairs import (
    Echo,
    Run,
    Thing,
    Waiting,
    at_once,
    failure,
    join,
    pair,
    tables,
    turn,
    until,
)

# What a server says first, and what a client answers.
OFFER = b"\x02\x80\x02\x82pb\x04\x82none"
CHOICE = b"\x02\x82pb\x02\x80\x13\x87\x06\x81"


async def alone(connection: Connection) -> socket.socket:
    """Give the other end of a connection that talks to a plain socket."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
    return theirs


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
    assert "no dialect was agreed within 0.02 s" in caplog.text


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


def test_a_client_may_offer_a_root_of_its_own(run: Run) -> None:
    async def main() -> None:
        async with pair(client_root=Echo()) as (client, server):
            with pytest.raises(LocalProtocolError, match="the side that connected"):
                _ = server.root
            assert await client.root.call("echo", 1) == 1

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


# Taking turns.


def test_at_most_so_many_calls_start_in_one_iteration_of_the_loop(run: Run, eager: bool) -> None:
    class Root(pellucid.Root):
        def __init__(self) -> None:
            self.iteration = 0
            self.starts: dict[int, int] = {}

        def tick(self) -> None:
            self.iteration += 1
            self.handle = asyncio.get_running_loop().call_soon(self.tick)

        def remote_plain(self, data: bytes) -> None:
            self.starts[self.iteration] = self.starts.get(self.iteration, 0) + 1

        async def remote_later(self, data: bytes) -> None:
            self.remote_plain(data)
            await asyncio.sleep(0)

    async def main() -> None:
        for most in (1, 2, 7, 100):
            root = Root()
            async with pair(root, eager=eager, limits=Limits(calls_per_turn=most)) as (client, _):
                root.tick()
                # Small ones, of which a read has many, and large ones.
                for data in (b"", b"x" * 20_000):
                    calls = [client.root.call("plain", data) for _ in range(300)]
                    await asyncio.gather(*calls)
                    calls = [client.root.call("later", data) for _ in range(50)]
                    await asyncio.gather(*calls)
                root.handle.cancel()
                assert sum(root.starts.values()) == 700
                assert max(root.starts.values()) <= most

    run(main())


def test_at_the_limit_of_running_calls_answers_and_counts_are_still_read(
    run: Run, eager: bool
) -> None:
    class Root(Waiting):
        async def remote_ask(self, other: pellucid.RemoteReference) -> object:
            self.started.set()
            return await other.call("wait", 5)

    async def main() -> None:
        root, mine = Root(), Waiting()
        async with pair(root, eager=eager, limits=Limits(calls_running=1)) as (client, server):
            kept = await client.root.call("echo", [Thing()])
            asked = client.root.call("ask", mine)
            await mine.started.wait()
            later = [client.root.call("echo", Thing()) for _ in range(3)]
            # Decoded on arrival, and charged.
            await until(lambda: server._broker.ledger.used("calls_waiting") == 3)
            assert server._broker.ledger.used("waiting_bytes") > 0
            assert tables(server)[1] >= 4
            mine.go.set()
            assert await asked == 5
            await asyncio.gather(*later)
            del kept, later

    run(main())


def test_waiting_calls_are_decoded_in_the_order_of_their_arrival(run: Run, eager: bool) -> None:
    """A reference that a waiting call brought is the one that the next call brings."""

    class Root(Waiting):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[object] = []

        def remote_see(self, thing: object) -> None:
            self.seen.append(thing)

    async def main() -> None:
        root, thing = Root(), Thing()
        async with pair(root, eager=eager, limits=Limits(calls_running=1)) as (client, server):
            held = client.root.call("wait")
            calls = [client.root.call("see", thing) for _ in range(3)]
            await until(lambda: server._broker.ledger.used("calls_waiting") == 3)
            assert len(server._broker.imports) == 1
            root.go.set()
            await asyncio.gather(held, *calls)
            assert len({id(one) for one in root.seen}) == 1
            root.seen.clear()

    run(main())


def test_reading_stops_only_when_the_ledger_is_full_and_resumes(run: Run, eager: bool) -> None:
    async def main() -> None:
        for limits in (
            Limits(calls_running=1, calls_waiting=5),
            Limits(calls_running=1, waiting_bytes=100_000),
        ):
            root = Waiting()
            async with pair(root, eager=eager, limits=limits) as (client, server):
                held = client.root.call("wait")
                await root.started.wait()
                calls = [client.root.call("echo", b"x" * 15_000) for _ in range(4)]
                await until(lambda s=server: s._broker.ledger.used("calls_waiting") == 4)  # type: ignore[misc]
                assert server._reading
                calls += [client.root.call("echo", b"x" * 15_000) for _ in range(100)]
                await until(lambda s=server: not s._reading)  # type: ignore[misc]
                assert server._broker.ledger.used("calls_waiting") <= 7
                root.go.set()
                await asyncio.gather(held, *calls)
                assert server._reading

    run(main())


def test_a_server_whose_handlers_all_wait_for_their_caller_finishes(run: Run, eager: bool) -> None:
    class Root(pellucid.Root):
        async def remote_ask(self, other: pellucid.RemoteReference, n: int) -> object:
            return await other.call("echo", n)

    async def main() -> None:
        limits = Limits(calls_running=3)
        async with pair(Root(), eager=eager, limits=limits) as (client, _):
            mine = Echo()
            calls = [client.root.call("ask", mine, n) for n in range(50)]
            assert await asyncio.gather(*calls) == list(range(50))

    run(main())


def test_a_burst_is_not_refused_because_a_call_of_ours_waits(run: Run, eager: bool) -> None:
    class Root(Waiting):
        async def remote_ask(self, other: pellucid.RemoteReference) -> object:
            return await other.call("wait", 5)

    async def main() -> None:
        mine = Waiting()
        limits = Limits(calls_per_turn=5, calls_waiting=20)
        async with pair(Root(), eager=eager, limits=limits) as (client, _):
            asked = client.root.call("ask", mine)
            await mine.started.wait()
            calls = [client.root.call("echo", n) for n in range(2000)]
            assert await asyncio.gather(*calls) == list(range(2000))
            mine.go.set()
            assert await asked == 5

    run(main())


# The end.


def test_close_sends_what_is_ready(run: Run) -> None:
    async def main() -> None:
        root = _Seeing()
        async with pair(root) as (client, server):
            for n in range(50):
                client.root.notify("see", n, b"x" * 100_000)
            client.close()
            await client.wait_closed()
            await server.wait_closed()
            assert root.seen == list(range(50))

    run(main())


class _Seeing(pellucid.Root):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def remote_see(self, n: int, *more: object) -> None:
        self.seen.append(n)

    async def remote_see_later(self, n: int, *more: object) -> None:
        self.seen.append(n)
        await asyncio.sleep(0)


@pytest.mark.parametrize("method", ["see", "see_later"])
def test_notify_then_close_runs_all_the_notifies(run: Run, eager: bool, method: str) -> None:
    async def main() -> None:
        for limits in (
            Limits(),
            Limits(calls_per_turn=1),
            Limits(calls_running=2),
            Limits(calls_waiting=2, calls_per_turn=3),
        ):
            root = _Seeing()
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


class _Closing(Waiting):
    """Closes its own connection in the middle of a call."""

    connection: Connection

    def remote_plain(self) -> str:
        self.connection.close()
        return "bye"

    async def remote_quick(self) -> str:
        self.connection.close()
        return "bye"

    async def remote_first(self) -> str:
        self.connection.close()
        await turn()
        return "bye"

    async def remote_last(self) -> str:
        await turn()
        self.connection.close()
        self.connection.close()
        await turn()
        return "bye"

    async def remote_stay(self) -> None:
        self.connection.close()
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("method", ["plain", "quick", "first", "last"])
def test_the_answer_of_the_call_that_closes_still_goes_out(
    run: Run, eager: bool, method: str
) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            waiting = client.root.call("wait")
            call = client.root.call(method)
            assert await call == "bye"
            assert isinstance(await failure(waiting), ConnectionLost)
            assert root.ended == ["cancelled"]
            await client.wait_closed()

    run(main())


def test_nothing_starts_behind_the_call_that_closes(run: Run, eager: bool) -> None:
    async def main() -> None:
        for method in ("plain", "first"):
            root = _Closing()
            async with pair(root, eager=eager) as (client, server):
                root.connection = server
                call, behind = client.root.call(method), client.root.call("wait")
                assert await call == "bye"
                assert isinstance(await failure(behind), ConnectionLost)
                assert not root.started.is_set()

    run(main())


def test_a_method_that_closes_and_stays_is_waited_for_only_so_long(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager, limits=Limits(close_time=0.02)) as (client, server):
            root.connection = server
            assert isinstance(await failure(client.root.call("stay")), ConnectionLost)
            await server.wait_closed()

    run(main())


def test_a_peer_that_goes_while_a_method_closes(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            call = client.root.call("stay")
            await until(lambda: server.closed)
            reasons: list[object] = []
            server.on_close(reasons.append)
            client.close()
            await server.wait_closed()
            assert isinstance(await failure(call), ConnectionLost)
            await until(lambda: reasons == [None])

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


def test_wait_closed_in_a_method_of_the_connection_is_refused(run: Run, eager: bool) -> None:
    class Root(_Closing):
        async def remote_wait_closed(self) -> None:
            await self.connection.wait_closed()

        async def remote_wait_closed_later(self) -> None:
            await turn()
            await self.connection.wait_closed()

        async def remote_leave(self) -> None:
            async with self.connection:
                pass

    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            for method in ("wait_closed", "wait_closed_later", "leave"):
                error = await failure(client.root.call(method))
                assert isinstance(error, pellucid.PBError)
                assert "a method can't wait for the end of its own connection" in str(error)
            assert server.closed

    run(main())


def test_the_context_ends_in_close_and_wait_closed_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            async with client as same:
                assert same is client
            assert client.closed
            at_once(client.wait_closed())
        root = Waiting()
        async with pair(root) as (client, server):
            call = client.root.call("wait")
            await root.started.wait()

            async def use() -> None:
                async with server:
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(use())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            at_once(server.wait_closed())
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), ConnectionLost)

    run(main())


def test_on_close_tells_why_also_after_the_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            mine: list[object] = []
            theirs: list[object] = []
            for _ in range(2):
                client.on_close(mine.append)
                server.on_close(theirs.append)
            client.close()
            client.on_close(mine.append)
            await client.wait_closed()
            await server.wait_closed()
            client.on_close(mine.append)
            server.on_close(theirs.append)
            await until(lambda: len(mine) == 4 and len(theirs) == 3)
            assert mine == [None] * 4
            assert [type(one) for one in theirs] == [EOFError] * 3
            assert len(set(map(id, theirs))) == 1

    run(main())


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
        server = Connection("server", root=Echo(), peer="rude")
        with await alone(server) as sock:
            for n in range(module._FAULTS_LOGGED + 5):
                sock.send((b"" if n else CHOICE) + b"\x02\x80\x1d\x87\x63\x81")
            await until(lambda: server._faults == module._FAULTS_LOGGED + 5)
        await server.wait_closed()

    run(main())
    assert len(caplog.records) == module._FAULTS_LOGGED + 1
    assert "further mistakes are not logged" in caplog.text


def test_reading_waits_until_what_was_refused_is_released(run: Run, eager: bool) -> None:
    async def main() -> None:
        limits = Limits(references_held=2)
        async with pair(eager=eager, limits=limits) as (client, server):
            calls = [client.root.call("echo", [Thing() for _ in range(6_000)]) for _ in range(3)]
            for call in calls:
                error = await failure(call)
                assert "references_held" in str(error)
            await until(lambda: tables(client) == (0, 0))
            assert await client.root.call("echo", 1) == 1
            assert server._reading

    run(main())


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


def test_two_wait_for_the_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            waiting = [asyncio.create_task(server.wait_closed()) for _ in range(2)]
            await asyncio.sleep(0)
            client.close()
            await asyncio.gather(*waiting)

    run(main())


def test_one_buffer_serves_all_connections_of_a_loop(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            assert client.get_buffer(-1) is server.get_buffer(-1)

    run(main())


def test_who_is_told_of_the_very_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            told: list[Connection] = []
            client.on_done(told.append)
            client.close()
            await client.wait_closed()
            assert told == [client]

    run(main())


def test_closing_what_the_transport_gave_up_already(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            assert client._transport is not None
            client._transport.abort()
            client.abort(OSError("no"))
            await client.wait_closed()

    run(main())


# Calls of ours.


def test_answers_that_nobody_waits_for_any_more(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            calls = [client.root.call(name, 1) for name in ("echo", "nothing")]
            for call in calls:
                call.cancel()
            assert await client.root.call("echo", 2) == 2
            assert client._broker.ledger.used("calls_pending") == 0

    run(main())


def test_what_is_called_while_it_closes_is_dead(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.close()
            assert isinstance(await failure(client.root.call("echo", 1)), DeadReferenceError)
            with pytest.raises(DeadReferenceError):
                client.root.notify("echo", 1)

    run(main())


def test_another_thread_and_another_process_are_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            thing = await client.root.call("thing")
            thread = client._thread
            for there, text in ((thread + 1, "another thread"), (0, "the process that forked")):
                client._thread = there
                with pytest.raises(RuntimeError, match=text):
                    thing.call("ping")
                with pytest.raises(RuntimeError, match=text):
                    thing.notify("ping")
                with pytest.raises(RuntimeError, match=text):
                    client.close()
            # A child that drops a reference says nothing on the connection of its parent.
            del thing
            await turn()
            assert tables(server) == (1, 0)
            client._thread = thread
            client._broker.imports._awake = False
            assert await client.root.call("echo", 1) == 1
            await until(lambda: tables(server) == (0, 0))

    run(main())


def test_a_child_has_no_connections(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            threads = client._thread, server._thread
            module._after_fork()
            assert (client._thread, server._thread) == (0, 0)
            client._thread, server._thread = threads

    run(main())


def test_a_reference_that_goes_wakes_the_loop(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            box = [await client.root.call("thing")]
            # The loop holds the future of the call until its next turn.
            await turn()
            await asyncio.to_thread(box.clear)
            await until(lambda: tables(server) == (0, 0))
            box = [await client.root.call("thing")]
            box.clear()
            await until(lambda: tables(server) == (0, 0))
            # After the loop there is nobody to wake.
            real, client._loop = client._loop, asyncio.new_event_loop()
            client._loop.close()
            client._wake()
            client._loop = real

    run(main())


def test_drain_where_nothing_waits(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            await client.drain()
            reason = OSError("the cable")
            client.abort(reason)
            with pytest.raises(ConnectionLost) as caught:
                await client.drain()
            assert caught.value.__cause__ is reason

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


def test_the_answer_of_the_call_that_closes_survives_a_flood(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pellucid.serve(root, "pb://127.0.0.1:0") as server:
            client = await pellucid.connect(server.url)
            root.connection = server.connections[0]
            call = client.root.call("plain")
            for _ in range(100):
                client.root.notify("echo", b"x" * 300_000)
            assert await call == "bye"
            await client.wait_closed()

    run(main())


def test_what_had_come_when_the_transport_was_lost_is_still_started(run: Run, eager: bool) -> None:
    class Root(_Seeing):
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
            await until(lambda: not server._reading)
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
