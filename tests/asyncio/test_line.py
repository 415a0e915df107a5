"""Long turns wait in line, so that short ones need not."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import pellucid
from pellucid.asyncio import calls, turns
from pellucid.asyncio import line as module
from pellucid.asyncio.line import Line
from pellucid.asyncio.shared import shared_by
from tests.asyncio.pairs import Run, pair, tables, turn, until


class Clock:
    """A loop that does nothing by itself, and its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.later: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, act: Callable[..., object], *args: Any, context: object) -> None:
        self.soon.append((act, args))

    def call_later(
        self, seconds: float, act: Callable[..., object], *args: Any, context: object
    ) -> None:
        self.later.append((self.now + seconds, act, args))

    def iterate(self) -> None:
        for _ in range(len(self.soon)):
            act, args = self.soon.popleft()
            act(*args)

    def go_round(self) -> None:
        """The iteration in which others come first, and the next one."""
        self.iterate()
        self.iterate()

    def ring(self) -> None:
        self.now, act, args = self.later.pop(0)
        act(*args)


class Long:
    """The turns of one connection: each takes `seconds`, and there are `left` of them."""

    def __init__(self, line: Line, clock: Clock, seconds: float = 0.001, left: int = 1) -> None:
        self.line, self.clock = line, clock
        self.seconds, self.left = seconds, left
        self.queued = False
        self.besides = 0.0
        self.had = self.stopped = 0

    def run(self) -> None:
        self.clock.now += self.seconds
        self.had += 1
        self.left -= 1
        if self.left:
            self.line.again(self)

    def stop_reading(self) -> None:
        self.stopped += 1


# Who has short turns meanwhile.
OTHER: Any = object()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock.time)
    return clock


def begin(line: Line, clock: Clock, *all_turns: Long) -> None:
    loop: Any = clock
    for each in all_turns:
        line.turn(each, loop)


def test_who_is_alone_does_not_wait(clock: Clock) -> None:
    line = Line()
    one = Long(line, clock, left=3)
    begin(line, clock, one)
    assert one.had == 1
    for had in (2, 3, 3):
        clock.go_round()
        assert one.had == had
    assert not clock.later
    one.left = 1
    begin(line, clock, one)
    assert one.had == 4


def test_there_is_one_long_turn_in_an_iteration_and_everybody_has_his(clock: Clock) -> None:
    line = Line()
    many = [Long(line, clock, left=2) for _ in range(3)]
    begin(line, clock, *many)
    # Once more is not twice.
    begin(line, clock, *many)
    seen = []
    for _ in range(7):
        seen.append([each.had for each in many])
        clock.go_round()
    # The first one was in line before the others came.
    assert seen == [
        *([1, 0, 0], [2, 0, 0], [2, 1, 0]),
        *([2, 1, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]),
    ]
    assert [each.stopped for each in many] == [1, 2, 2]
    assert not any(each.queued for each in many)


def test_who_wrote_during_a_long_turn_comes_before_the_next_one(clock: Clock) -> None:
    line = Line()
    long, brief, last = Long(line, clock), Long(line, clock, 0.0001), Long(line, clock)
    begin(line, clock, long, brief, last)
    read: list[list[int]] = []
    # As the loop finds it in its next iteration, behind what it was told before.
    clock.call_soon(lambda: read.append([long.had, brief.had, last.had]), context=None)
    clock.iterate()
    assert read == [[1, 0, 0]]
    clock.iterate()
    assert (brief.had, last.had) == (1, 0)
    clock.iterate()
    assert last.had == 1


@pytest.mark.parametrize(("seconds", "rest"), [(0.003, 0.25), (0.02, 0.4), (0.3, 1.0)])
def test_what_takes_too_long_is_followed_by_a_rest_while_others_are_active(
    clock: Clock, seconds: float, rest: float
) -> None:
    line = Line()
    slow, other = Long(line, clock, seconds), Long(line, clock)
    line.active = OTHER
    begin(line, clock, slow, other)
    clock.go_round()
    while not other.had:
        line.active = OTHER
        clock.ring()
    assert clock.now == pytest.approx(seconds + rest + 0.001, abs=0.051)


@pytest.mark.parametrize(("besides", "rests"), [(0.002, False), (0.003, True), (9.0, True)])
def test_what_is_taken_outside_of_turns_counts_as_a_part_of_the_next_one(
    clock: Clock, besides: float, rests: bool
) -> None:
    line = Line()
    line.active = OTHER
    reader = Long(line, clock, 0.0001)
    reader.besides = besides
    begin(line, clock, reader)
    assert reader.besides == 0
    assert bool(clock.later) == rests
    while clock.later:
        line.active = OTHER
        clock.ring()
    # A short rest, however much it was.
    assert clock.now < 0.31
    line.active, reader.left = OTHER, 1
    clock.go_round()
    begin(line, clock, reader)
    assert reader.had == 2
    assert not clock.later


def test_who_was_active_a_moment_ago_counts(clock: Clock) -> None:
    line = Line()
    quick, slow = Long(line, clock), Long(line, clock, 0.02)
    line.active = OTHER
    begin(line, clock, quick)
    clock.go_round()
    begin(line, clock, slow)
    assert len(clock.later) == 1


def test_nobody_rests_for_himself(clock: Clock) -> None:
    clock.now = 1.0
    line = Line()
    slow = Long(line, clock, 0.02)
    line.active = slow
    begin(line, clock, slow)
    assert not clock.later
    clock.go_round()
    line.active, line.before, slow.left = slow, OTHER, 1
    begin(line, clock, slow)
    line.active = slow
    while clock.later:
        clock.ring()
    # The other one was not seen again.
    assert clock.now == pytest.approx(1.14)
    line.active, line.before = OTHER, slow
    line.leave(slow)
    line.leave(OTHER)
    assert line.active is line.before is None


def test_nobody_rests_for_those_who_are_not_there(clock: Clock) -> None:
    clock.now = 1.0
    line = Line()
    slow, other = Long(line, clock, 0.02), Long(line, clock)
    begin(line, clock, slow, other)
    assert not clock.later
    clock.go_round()
    assert other.had == 1
    clock.go_round()
    # Active before, and not any more.
    line.active, slow.left = OTHER, 1
    begin(line, clock, slow)
    rang = 0
    while clock.later:
        clock.ring()
        rang += 1
    assert rang == 2
    third = Long(line, clock)
    begin(line, clock, third)
    assert third.had == 1


def test_an_error_that_ends_the_program_does_not_stop_the_line(clock: Clock) -> None:
    class Ending(Long):
        def run(self) -> None:
            raise SystemExit

    line = Line()
    other = Long(line, clock)
    with pytest.raises(SystemExit):
        begin(line, clock, Ending(line, clock))
    begin(line, clock, other)
    clock.iterate()
    assert other.had == 1


# With connections.


class Root(pellucid.Root):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def remote_see(self, number: int) -> None:
        self.seen.append(number)

    async def remote_later(self, number: int) -> int:
        await turn()
        return number


def test_a_flood_does_not_delay_the_calls_of_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each message is a turn of its own then.
    monkeypatch.setattr(turns, "TURN_TIME", 0.0)

    async def main() -> None:
        root, calm = Root(), Root()
        async with pair(root) as (client, server), pair(calm) as (other, _):
            assert client._transport is not None
            # Releases of what it does not hold.
            client._transport.write(b"\x02\x80\x1d\x87\x63\x81" * 20_000)
            await until(lambda: server._turns.queued)
            for n in range(10):
                assert await other.root.call("later", n) == n
            assert server._turns.long, "the flood is not over"
            assert not server._turns.queued or not server._turns.reading
            server.abort()

    run(main())


def test_all_that_was_sent_is_done_in_order_and_nothing_is_left(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN_TIME", 0.0)

    async def main() -> None:
        root = Root()
        async with pair(root) as (client, server):
            for n in range(500):
                client.root.notify("see", n)
            later = [client.root.call("later", n) for n in range(500)]
            assert [await call for call in later] == list(range(500))
            assert root.seen == list(range(500))
            await until(lambda: not server._turns.long and server._turns.reading)
            assert tables(client) == tables(server) == (0, 0)

    run(main())


def test_an_answer_that_is_written_behind_a_turn_counts(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(pellucid.Root):
        async def remote_answer(self) -> None:
            await asyncio.sleep(0)

        async def remote_fail(self) -> None:
            await asyncio.sleep(0)
            raise pellucid.Error

        def remote_at_once(self) -> None:
            pass

    monkeypatch.setattr(calls, "NOTICED", 1e-9)

    async def main() -> None:
        async with pair(Slow()) as (client, server):
            taken = [0.0]
            await client.root.call("answer")
            taken.append(server._turns.besides)
            with pytest.raises(pellucid.Error):
                await client.root.call("fail")
            taken.append(server._turns.besides)
            assert taken[0] < taken[1] < taken[2]
            await client.root.call("at_once")
            assert server._turns.besides == taken[2]
            line = shared_by(asyncio.get_running_loop()).line
            assert {line.active, line.before} == {client._turns, server._turns}
        assert line.active is line.before is None

    run(main())


def test_what_comes_in_pieces_has_long_turns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    had: list[object] = []
    turn_of = Line.turn

    def counted(line: Line, turns: Any, loop: Any) -> None:
        had.append(turns)
        turn_of(line, turns, loop)

    monkeypatch.setattr(Line, "turn", counted)

    async def main() -> None:
        async with pair(Root()) as (client, server):
            assert len(await client.root.call("later", [0] * 50_000)) == 50_000
            assert server._turns in had
            assert not server._turns.long

    run(main())
