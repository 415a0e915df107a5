"""What happens in one turn, and what waits for the next."""

import asyncio
from typing import Any

import pytest

import pellucid
from pellucid import (
    Connection,
    ConnectionLost,
    DeadReferenceError,
    Limits,
)
from tests.asyncio.pairs import (
    Echo,
    Run,
    Thing,
    Waiting,
    failure,
    outside,
    pair,
    tables,
    turn,
    until,
)


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
                assert server._turns.reading
                calls += [client.root.call("echo", b"x" * 15_000) for _ in range(100)]
                await until(lambda s=server: not s._turns.reading)  # type: ignore[misc]
                assert server._broker.ledger.used("calls_waiting") <= 7
                root.go.set()
                await asyncio.gather(held, *calls)
                assert server._turns.reading

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
            assert server._turns.reading

    run(main())


def test_what_awaits_an_answer_goes_on_in_its_turn(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            for _ in range(3):
                assert await client.root.call("echo", 1) == 1
                assert client._out.in_turn
                await turn()
                assert not client._out.in_turn

    run(main())


def test_what_awaits_an_answer_goes_on_behind_all_that_came_with_it(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            calls = [client.root.call("echo", n) for n in range(60)]
            seen = 0
            for call in calls:
                if not call.done():
                    seen += 1
                await call
            assert seen < 4

    run(main())


def test_what_awaits_an_answer_may_end_the_connection(run: Run) -> None:
    async def main() -> None:
        async with pair(Waiting()) as (client, _):
            first, second = client.root.call("echo", 1), client.root.call("wait", 2)
            assert await first == 1
            client.abort()
            with pytest.raises(ConnectionLost):
                await second
            with pytest.raises(DeadReferenceError):
                await client.root.call("echo", 3)

    run(main())


class Noting(pellucid.Referenceable):
    """Notes what happens, in its order."""

    def __init__(self, client: Connection) -> None:
        self.client = client
        self.order: list[str] = []

    async def wait(self, call: "asyncio.Future[Any]", name: str) -> None:
        try:
            await call
        except pellucid.Error:
            name += " failed"
        self.order.append(name)

    async def remote_note(self) -> None:
        self.order.append("note")

    def remote_cut(self) -> None:
        self.order.append("cut begins")
        self.client.abort()
        self.order.append("cut ends")

    def remote_odd(self) -> object:
        return Odd()


class Odd(pellucid.Copyable):
    def state_to_copy(self) -> dict[str, object]:
        raise SystemExit(3)


class Telling(Echo):
    """Calls back, and does not wait for it."""

    def remote_fail(self) -> None:
        raise pellucid.Error("no")

    def remote_tell(self, thing: pellucid.RemoteReference, name: str) -> str:
        thing.notify(name)
        return name

    def remote_ask(self, thing: pellucid.RemoteReference, name: str) -> None:
        thing.call(name).add_done_callback(lambda call: call.exception())


def test_who_awaits_an_answer_does_not_overtake_who_awaits_an_earlier_error(run: Run) -> None:
    async def main() -> None:
        async with pair(Telling()) as (client, _):
            thing = Noting(client)
            names = ["echo", "fail", "echo", "fail", "echo"]
            await asyncio.gather(
                *[
                    thing.wait(client.root.call(name, *[0] * (name == "echo")), f"{n} {name}")
                    for n, name in enumerate(names)
                ]
            )
            assert thing.order == ["0 echo", "1 fail failed", "2 echo", "3 fail failed", "4 echo"]

    run(main())


def test_a_call_that_came_before_an_answer_starts_before_that_is_looked_at(
    run: Run, eager: bool
) -> None:
    async def main() -> None:
        async with pair(Telling(), eager=eager) as (client, _):
            thing = Noting(client)
            await thing.wait(client.root.call("tell", thing, "note"), "answer")
            assert thing.order == ["note", "answer"]

    run(main())


class Keeping:
    """Takes what is written, in place of a transport."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.data.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def in_one_read(client: Connection, server: Connection, name: str) -> tuple[Noting, Any]:
    """Have an answer and a call back arrive together. Gives what does that, when it is called."""
    thing = Noting(client)
    transport, kept = server._out._transport, Keeping()
    server._out._transport = kept  # type: ignore[assignment]
    waiting = asyncio.create_task(thing.wait(client.root.call("echo", 1), "answer"))
    await turn()
    client.root.notify("ask", thing, name)
    await until(lambda: name.encode() in b"".join(kept.data))
    server._out._transport = transport
    assert not waiting.done()
    return thing, lambda: client.data_received(b"".join(kept.data))


def test_nothing_goes_on_in_the_middle_of_a_method_that_ends_the_connection(run: Run) -> None:
    async def main() -> None:
        async with pair(Telling()) as (client, server):
            thing, arrive = await in_one_read(client, server, "cut")
            await outside(arrive)
            assert thing.order == ["cut begins", "cut ends", "answer"]

    run(main())


def test_a_turn_that_ends_the_program_loses_nobody_who_awaits_an_answer(run: Run) -> None:
    async def main() -> None:
        async with pair(Telling()) as (client, server):
            thing, arrive = await in_one_read(client, server, "odd")

            def act() -> None:
                with pytest.raises(SystemExit):
                    arrive()
                assert thing.order == []

            await outside(act)
            await until(lambda: thing.order == ["answer"])
            assert await client.root.call("echo", 2) == 2

    run(main())


def test_an_async_method_that_waits_delays_nothing(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = Waiting()
        async with pair(root, eager=eager) as (client, _):
            slow = [client.root.call("wait", n) for n in range(5)]
            assert [await client.root.call("echo", n) for n in range(300)] == list(range(300))
            assert not any(call.done() for call in slow)
            await client.root.call("go")
            assert await asyncio.gather(*slow) == list(range(5))

    run(main())


def test_before_a_method_starts_answers_have_waited_for_few_others(run: Run, eager: bool) -> None:
    class Root(pellucid.Root):
        def __init__(self) -> None:
            self.most = 0
            self.server: Connection | None = None

        def remote_plain(self) -> None:
            assert self.server is not None
            self.most = max(self.most, self.server._broker.messages_to_send)

        async def remote_quick(self) -> None:
            await asyncio.sleep(0)

    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager, limits=Limits(calls_per_turn=10)) as (client, server):
            root.server = server
            names = ["quick", *["plain"] * 30] * 20
            await asyncio.gather(*[client.root.call(name) for name in names])
            assert 0 < root.most <= 10

    run(main())
