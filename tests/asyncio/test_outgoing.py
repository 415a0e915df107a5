"""What leaves: in how many writes, how much may wait, and who takes too little."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import pellucid
from pellucid import Connection, ConnectionLost, LimitExceeded, Limits
from tests.asyncio.pairs import Echo, Run, Thing, Waiting, failure, pair, tables, turn, until

BIG = b"x" * 300_000
# More than any socket takes while nobody reads.
FULL = 60


class Writes:
    """Stands before a transport and notes what is written to it."""

    def __init__(self, connection: Connection) -> None:
        out: Any = connection._out
        self._transport = out._transport
        self.seen: list[bytes] = []
        out._transport = self

    def write(self, data: bytes) -> None:
        self.seen.append(data)
        self._transport.write(data)

    def counts(self) -> list[int]:
        """How many calls each write had."""
        return [data.count(b"echo") for data in self.seen]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize(
    ("calls", "writes"),
    [(1, [1]), (2, [1, 1]), (64, [1, 63]), (65, [1, 64]), (66, [1, 64, 1]), (150, [1, 64, 64, 21])],
)
def test_the_first_message_leaves_at_once_the_others_every_64_and_at_the_end_of_the_tick(
    run: Run, calls: int, writes: list[int]
) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            for _ in range(2):
                spy = Writes(client)
                waiting = [client.root.call("echo", 0) for _ in range(calls)]
                assert spy.counts() == [n for n in writes if n in (1, 64)][: 1 + (calls - 1) // 64]
                await asyncio.gather(*waiting)
                assert spy.counts() == writes

    run(main())


def test_the_answers_of_one_read_leave_together(run: Run, eager: bool) -> None:
    class Root(pellucid.Root):
        def remote_plain(self) -> str:
            return "echo"

        async def remote_quick(self) -> str:
            return "echo"

    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, server):
            spy = Writes(server)
            await asyncio.gather(*[client.root.call("plain") for _ in range(41)])
            assert sum(spy.counts()) == 41
            # The client wrote twice, and each read is answered in two writes.
            assert len(spy.seen) <= 4
            await asyncio.gather(*[client.root.call("quick") for _ in range(41)])
            assert sum(spy.counts()) == 82

    run(main())


def test_what_one_tick_asks_for_leaves_before_its_end_is_waited_for(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            spy = Writes(client)
            first = client.root.call("echo", 1)
            assert spy.counts() == [1]
            await first
            # Out of the turn in which the answer came.
            await turn()
            second = client.root.call("echo", 2)
            assert spy.counts() == [1, 1]
            await second

    run(main())


# Who takes too little.


async def deaf(
    limits: Limits, use: Callable[[Connection, socket.socket], Awaitable[None]]
) -> Connection:
    """A client whose server was polite, and then stopped reading."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    client = Connection("client", limits=limits, peer="deaf")
    with theirs:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: client, ours)
        theirs.send(b"\x02\x80\x02\x82pb\x04\x82none\x02\x80\x13\x87\x06\x81")
        await client.wait_ready()
        await use(client, theirs)
        client.abort()
        await client.wait_closed()
    return client


def _take(sock: socket.socket) -> int:
    """Read all that is there now."""
    taken = 0
    try:
        while data := sock.recv(1 << 20):
            taken += len(data)
    except BlockingIOError:
        pass
    return taken


async def _fill(client: Connection) -> int:
    """Notify until no more fits, and give how many were accepted."""
    accepted = 0
    with pytest.raises(LimitExceeded) as caught:
        while accepted < 1000:
            client.root.notify("echo", BIG)
            accepted += 1
            await asyncio.sleep(0)
    assert caught.value.limit == "out_bytes"
    return accepted


def test_above_the_limit_for_bytes_calls_fail_and_notify_raises(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        assert 3 <= await _fill(client) < FULL
        error = await failure(client.root.call("echo", 1))
        assert isinstance(error, LimitExceeded)
        assert (error.limit, error.remote) == ("out_bytes", False)
        # As soon as there is room calls can be made again.
        await until(
            lambda: (
                _take(sock) == 0
                and client._out._transport is not None
                and client._out._transport.get_write_buffer_size() == 0
            )
        )
        call = client.root.call("echo", 1)
        await turn()
        assert _take(sock) > 0
        client.close()
        assert isinstance(await failure(call), ConnectionLost)

    run(deaf(Limits(out_bytes=1_000_000), use))


def test_what_is_long_arrives_whole_and_in_order(run: Run) -> None:
    seen: list[object] = []

    class Log(Echo):
        def remote_log(self, value: object) -> object:
            seen.append(value)
            return value

    async def main() -> None:
        async with pair(Log()) as (client, _):
            values: list[object] = [[n, BIG] * n if n % 3 else n for n in range(20)]
            waiting = [client.root.call("log", value) for value in values]
            # More than the sockets hold waits here, and is counted.
            assert client._out.has_unsent()
            assert client._broker.ledger.out_bytes > 50 * len(BIG)
            assert await asyncio.gather(*waiting) == values
            assert seen == values
            assert not client._out.has_unsent()
            assert client._broker.ledger.out_bytes == 0

    run(main())


def test_what_is_long_waits_for_room_too(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        client.root.notify("echo", [BIG] * 50)
        waiting = asyncio.create_task(client.drain())
        for _ in range(5):
            await turn()
        assert not waiting.done()
        await until(lambda: _take(sock) == 0 and waiting.done())
        assert not client._out.has_unsent()

    run(deaf(Limits(out_bytes=20_000_000), use))


def test_what_waits_for_room_leaves_before_the_end(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        for n in range(10):
            client.root.notify("echo", [BIG] * 3, n)
        client.close()
        loop = asyncio.get_running_loop()
        found = bytearray()
        while data := await loop.sock_recv(sock, 1 << 20):
            found += data
        assert found.count(BIG) == 30
        assert found.endswith(b"\x09\x81\x01\x80\x05\x87")

    run(deaf(Limits(out_bytes=20_000_000), use))


def test_drain_waits_until_there_is_room(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        await client.drain()
        await _fill(client)
        waiting = [asyncio.create_task(client.drain()) for _ in range(3)]
        waiting[2].cancel()
        for _ in range(5):
            await turn()
        assert [task.done() for task in waiting] == [False, False, True]
        await until(lambda: _take(sock) == 0 and waiting[0].done())
        await asyncio.gather(*waiting[:2])
        client.root.notify("echo", 1)

    run(deaf(Limits(out_bytes=1_000_000), use))


def test_drain_tells_that_the_connection_ended(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        await _fill(client)
        waiting = asyncio.create_task(client.drain())
        cancelled = asyncio.create_task(client.drain())
        await turn()
        reason = OSError("the cable")
        cancelled.cancel()
        client.abort(reason)
        with pytest.raises(ConnectionLost) as caught:
            await waiting
        assert caught.value.__cause__ is reason
        with pytest.raises(ConnectionLost):
            await client.drain()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    run(deaf(Limits(out_bytes=1_000_000), use))


def test_a_peer_that_takes_nothing_is_dropped(run: Run) -> None:
    async def use(client: Connection, sock: socket.socket) -> None:
        call = client.root.call("echo", 1)
        await _fill(client)
        gone = asyncio.get_running_loop().create_future()
        client.on_close(gone.set_result)
        error = await gone
        assert isinstance(error, LimitExceeded)
        assert (error.limit, error.remote) == ("stall_time", True)
        assert "limits.stall_time" in str(error)
        lost = await failure(call)
        assert isinstance(lost, ConnectionLost)
        assert lost.__cause__ is error

    run(deaf(Limits(out_bytes=1_000_000, stall_time=0.05), use))


def test_a_peer_that_takes_a_little_now_and_then_is_kept(run: Run) -> None:
    async def main() -> None:
        async with pair(client_limits=Limits(stall_time=0.01)) as (client, _):
            slow = _Slow(client._transport)
            out: Any = client._out
            out._transport = slow
            assert await client.root.call("echo", 1) == 1
            # Nothing is watched where nothing waits.
            await until(lambda: slow.left == 0)
            await until(lambda: "stall" not in client._timers)
            assert not client.closed
            out._transport = client._transport

    run(main())


class _Slow:
    """A transport that gets rid of a byte whenever somebody looks."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.left = 10

    def get_write_buffer_size(self) -> int:
        self.left = max(0, self.left - 1)
        return self.left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_room_for_one_who_has_just_gone(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.pause_writing()
            stay, go = (asyncio.create_task(client.drain()) for _ in range(2))
            await turn()
            go.cancel()
            client.resume_writing()
            await stay
            with pytest.raises(asyncio.CancelledError):
                await go

    run(main())


@pytest.mark.parametrize("out_bytes", [1, 1000, 1_000_000])
def test_a_server_whose_client_does_not_read_starts_nothing_and_goes_on_when_it_does(
    run: Run, eager: bool, out_bytes: int
) -> None:
    class Root(pellucid.Root):
        def __init__(self) -> None:
            self.started = 0

        def remote_big(self) -> bytes:
            self.started += 1
            return BIG

    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager, limits=Limits(out_bytes=out_bytes)) as (client, server):
            assert client._transport is not None
            client._transport.pause_reading()
            calls = [client.root.call("big") for _ in range(FULL)]
            await until(lambda: server._broker.ledger.used("calls_waiting") > 0)
            for _ in range(20):
                await turn()
            started = root.started
            assert 0 < started < FULL
            for _ in range(20):
                await turn()
            assert root.started == started
            client._transport.resume_reading()
            assert await asyncio.gather(*calls) == [BIG] * FULL

    run(main())


def test_a_server_that_can_not_write_still_reads_answers_and_counts(run: Run, eager: bool) -> None:
    class Root(Waiting):
        def remote_big(self) -> bytes:
            return BIG

        async def remote_ask(self, other: pellucid.RemoteReference) -> None:
            self.started.set()
            self.answers = [await other.call("wait")]

    class Held(Waiting):
        pass

    async def main() -> None:
        root, mine = Root(), Held()
        async with pair(root, eager=eager, limits=Limits(out_bytes=1000)) as (client, server):
            asked = client.root.call("ask", mine)
            thing = await _thing_of(client)
            await mine.started.wait()
            # The transport of the server is full, and stays so.
            transport: Any = server._transport
            out: Any = server._out
            out._transport = _Full(transport)
            out.count()
            later = client.root.call("echo", 1)
            mine.go.set()
            del thing
            await until(lambda: hasattr(root, "answers"))
            await until(lambda: tables(server)[0] == 0)
            assert not later.done()
            out._transport = transport
            server.resume_writing()
            assert await later == 1
            await asked

    run(main())


async def _thing_of(client: Connection) -> object:
    return await client.root.call("echo", [1])


class _Full:
    """A transport that can not get rid of anything, above the limit and below twice as much."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def get_write_buffer_size(self) -> int:
        return 1_500

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_two_peers_that_flood_each_other_both_finish(run: Run, eager: bool) -> None:
    class Root(Echo):
        async def remote_later(self, value: object) -> object:
            await asyncio.sleep(0)
            return value

    limits = Limits(
        out_bytes=200_000,
        waiting_bytes=200_000,
        calls_waiting=50,
        calls_running=20,
        calls_per_turn=7,
    )

    async def flood(connection: Connection, reference: pellucid.RemoteReference) -> int:
        calls = []
        for n in range(300):
            await connection.drain()
            calls.append(reference.call("later" if n % 3 else "echo", BIG[: 100 * n]))
        results = await asyncio.gather(*calls)
        assert [len(one) for one in results] == [100 * n for n in range(300)]
        return len(results)

    class Lend(Root):
        def remote_lend(self, other: pellucid.RemoteReference) -> None:
            self.other = other

    async def main() -> None:
        root = Lend()
        async with pair(root, eager=eager, limits=limits, client_limits=limits) as (client, server):
            await client.root.call("lend", Root())
            done = await asyncio.gather(flood(client, client.root), flood(server, root.other))
            assert sum(done) == 600
            del root.other

    run(main())


def test_many_calls_at_once_both_ways_without_drain(run: Run, eager: bool) -> None:
    class Lend(Echo):
        def remote_lend(self, other: pellucid.RemoteReference) -> None:
            self.other = other

    async def main() -> None:
        root = Lend()
        limits = Limits(calls_waiting=100)
        async with pair(root, eager=eager, limits=limits, client_limits=limits) as (client, _):
            await client.root.call("lend", Echo())
            calls = [client.root.call("echo", n) for n in range(5000)]
            back = [root.other.call("echo", n) for n in range(5000)]
            assert await asyncio.gather(*calls) == await asyncio.gather(*back)
            del root.other

    run(main())


def test_releases_are_spread_over_several_writes(run: Run) -> None:
    class Root(pellucid.Root):
        def remote_many(self, count: int) -> list[pellucid.Referenceable]:
            return [pellucid.Referenceable() for _ in range(count)]

    async def main() -> None:
        async with pair(Root()) as (client, server):
            spy = Writes(client)
            many = await client.root.call("many", 10_000)
            assert len(spy.seen) == 1
            del many
            await until(lambda: tables(server) == (0, 0))
            assert len(spy.seen) >= 4

    run(main())


class Holder(Echo):
    """Keeps what it gets until it is told to drop it."""

    def __init__(self) -> None:
        self.kept: list[object] = []

    def remote_keep(self, thing: object) -> None:
        self.kept.append(thing)

    def remote_drop(self) -> None:
        self.kept.clear()


def test_what_is_released_leaves_with_the_next_message(run: Run) -> None:
    async def main() -> None:
        async with pair(Holder()) as (client, server):
            # What opens the connection is through.
            await client.root.call("echo", 0)
            spy = Writes(server)
            await client.root.call("keep", Thing())
            await client.root.call("drop")
            await client.root.call("echo", 1)
            await until(lambda: tables(client) == (0, 0))
            # Three answers, and no write for the release alone.
            assert len(spy.seen) <= 3 + (not any(b"\x1d\x87" in data for data in spy.seen[:3]))

    run(main())


def test_what_is_released_leaves_by_itself_in_the_end(run: Run) -> None:
    async def main() -> None:
        root = Holder()
        async with pair(root) as (client, server):
            spy = Writes(server)
            await client.root.call("keep", Thing())
            await turn()
            answered = len(spy.seen)
            root.kept.clear()
            await until(lambda: tables(client) == (0, 0))
            assert len(spy.seen) == answered + 1

    run(main())


def test_what_is_released_waits_quietly_for_a_peer_that_does_not_read(run: Run) -> None:
    class Root(Holder):
        def remote_big(self) -> list[bytes]:
            return [BIG] * 9

    async def main() -> None:
        root = Root()
        async with pair(root, limits=Limits(out_bytes=1_000_000)) as (client, server):
            await client.root.call("keep", [Thing() for _ in range(100)])
            assert client._transport is not None
            client._transport.pause_reading()
            big = client.root.call("big")
            await until(lambda: server._out.paused)
            root.kept.clear()
            # The moment had begun before there was no room, and ends now.
            server._out._release()
            used = time.process_time()
            await asyncio.sleep(0.4)
            assert time.process_time() - used < 0.1
            assert server._broker.owes
            client._transport.resume_reading()
            assert len(await big) == 9
            await until(lambda: tables(client) == (0, 0))

    run(main())
