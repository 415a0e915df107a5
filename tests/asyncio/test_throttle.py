"""Attempts of one host wait for each other and for their failures; nobody really sleeps here."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from pellucid.asyncio.throttle import SlowChecks, Throttle, TooMany
from tests.asyncio.pairs import Run, turn, until

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    """Sleeps are noted, and end at once or when they are told to."""

    def __init__(self, *, hold: bool = False) -> None:
        self.slept: list[float] = []
        self.now = 1_000_000.0
        self.go = asyncio.Event()
        if not hold:
            self.go.set()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.go.wait()

    def throttle(self, hosts: int = 100) -> Throttle:
        return Throttle(sleep=self.sleep, clock=lambda: self.now, hosts=hosts)


async def fail(
    throttle: Throttle, host: str = HERE, times: int = 1, user: str | None = None
) -> None:
    for _ in range(times):
        async with throttle.attempt(host, user):
            pass


async def succeed(throttle: Throttle, host: str = HERE, user: str | None = None) -> None:
    async with throttle.attempt(host, user) as attempt:
        attempt.succeeded = True


async def outcome(work: "asyncio.Task[None]") -> str:
    await asyncio.wait([work])
    if work.cancelled():
        return "cancelled"
    error = work.exception()
    return "done" if error is None else type(error).__name__


# Delays.


def test_failures_make_the_next_attempts_wait(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        await fail(clock.throttle(), times=11)
        assert clock.slept == [1, 2, 4, 8, 16, 30, 30, 30]

    run(main())


def test_a_right_password_waits_as_well_and_then_all_is_forgotten(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        await fail(throttle, times=4)
        await succeed(throttle)
        assert clock.slept == [1, 2]
        await fail(throttle, times=3)
        assert clock.slept == [1, 2]

    run(main())


@pytest.mark.parametrize("victims", [1, 200])
def test_who_has_an_account_can_not_guess_at_the_others_quickly(
    run: Run, victims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if victims == 1:
        # So that no two users fall together.
        monkeypatch.setattr("pellucid.asyncio.throttle._USERS", 2**60)

    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        for number in range(victims * 20):
            await fail(throttle, user=f"victim {number % victims}")
            await succeed(throttle, user="mallory")
        # Those whose names did not fail do not wait, but for those that fall together with others.
        free = len(clock.slept)
        for number in range(64):
            await succeed(throttle, user=f"somebody {number}")
        assert len(clock.slept) - free <= (0 if victims == 1 else 64)
        if victims == 1:
            # As if there had been no success between.
            assert clock.slept[:17] == [1, 2, 4, 8, 16, *[30] * 12]
            # The victim pays too, once.
            await succeed(throttle, user="victim 0")
            free = len(clock.slept)
            await succeed(throttle, user="victim 0")
            assert len(clock.slept) == free
        else:
            assert sum(clock.slept) > 15 * victims * 20
        assert len(throttle._hosts[HERE].users) <= 64

    run(main())


@pytest.mark.parametrize("others", [(), ("honest",)])
def test_a_success_is_for_its_own_user_only(
    run: Run, others: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # All users fall together.
    monkeypatch.setattr("pellucid.asyncio.throttle._USERS", 1)

    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        for user in others:
            await fail(throttle, user=user)
        for _ in range(6):
            await fail(throttle, user="victim")
            await succeed(throttle, user="mallory")
        # Each waits twice in a round: who falls on the same place pays as well.
        assert clock.slept[-2:] == [2.0 ** (2 + len(others)), 2.0 ** (3 + len(others))]
        slept = len(clock.slept)
        await succeed(throttle, user="victim")
        await succeed(throttle, user="victim")
        # The first of the two made it good, if the failures were its own.
        assert len(clock.slept) - slept == (2 if others else 1)

    run(main())


def test_of_attempts_at_one_user_all_but_a_few_are_refused(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle()
        await fail(throttle, times=2, user="victim")
        await succeed(throttle, user="mallory")
        await fail(throttle, user="victim")
        waiting = [asyncio.create_task(fail(throttle, user="victim")) for _ in range(20)]
        await until(lambda: clock.slept == [1])
        assert [await outcome(task) for task in waiting[11:]] == ["TooMany"] * 9
        clock.go.set()
        await asyncio.gather(*waiting[:11])
        # In the end that is forgotten too.
        slept = len(clock.slept)
        clock.now += 3_601
        await fail(throttle, times=3, user="victim")
        assert len(clock.slept) == slept

    run(main())


def test_an_error_is_a_failure(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        for _ in range(4):
            with pytest.raises(LookupError):
                async with throttle.attempt(HERE):
                    raise LookupError
        assert clock.slept == [1]

    run(main())


def test_hosts_do_not_feel_each_other(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle()
        await fail(throttle, times=3)
        waiting = asyncio.create_task(fail(throttle))
        await until(lambda: clock.slept == [1])
        await fail(throttle, THERE, times=2)
        await succeed(throttle, THERE)
        assert not waiting.done()
        clock.go.set()
        await waiting

    run(main())


def test_failures_are_forgotten_in_the_end(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        await fail(throttle, times=3)
        clock.now += 3_599
        await fail(throttle)
        clock.now += 3_601
        await fail(throttle)
        assert clock.slept == [1]

    run(main())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2:3:4", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("", "192.0.2.1", False),
    ],
)
def test_what_one_host_is(run: Run, one: str, other: str, same: bool) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        await fail(throttle, one, times=3)
        await fail(throttle, other)
        assert clock.slept == [1] * same

    run(main())


def test_memory_is_bounded(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle(hosts=50)
        await fail(throttle, times=3)
        for number in range(49):
            await fail(throttle, f"10.0.0.{number}")
        await fail(throttle)
        assert clock.slept == [1]
        for number in range(200):
            await fail(throttle, f"10.0.1.{number}")
        assert len(throttle) == 50
        await fail(throttle)
        assert clock.slept == [1]

    run(main())


def test_a_host_that_is_busy_is_not_forgotten(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle(hosts=2)
        await fail(throttle, times=3)
        waiting = asyncio.create_task(fail(throttle))
        await until(lambda: clock.slept == [1])
        for number in range(10):
            await fail(throttle, f"10.0.0.{number}")
        clock.go.set()
        await waiting
        await fail(throttle)
        assert clock.slept == [1, 2]

    run(main())


# Turns.


class Busy:
    """A host whose first attempt is not over, and others that wait for it."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.order: list[int] = []
        self.end = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        # Called when an attempt has given its turn on.
        self.after: Callable[[int], object] = lambda number: None

    def start(self, *numbers: int, succeeds: Callable[[int], bool] = lambda number: False) -> None:
        async def one(number: int) -> None:
            async with self.throttle.attempt(HERE) as attempt:
                self.order.append(number)
                await self.end.wait()
                attempt.succeeded = succeeds(number)
            self.after(number)

        self.tasks += [asyncio.create_task(one(number)) for number in numbers]

    async def outcomes(self) -> list[str]:
        await until(lambda: bool(self.order))
        await turn()
        self.end.set()
        return [await outcome(task) for task in self.tasks]


def test_attempts_of_one_host_come_one_after_the_other(run: Run) -> None:
    async def main() -> None:
        busy = Busy(Clock().throttle())
        busy.start(*range(5), succeeds=lambda number: True)
        await until(lambda: bool(busy.order))
        await turn()
        assert busy.order == [0]
        assert await busy.outcomes() == ["done"] * 5
        assert busy.order == [0, 1, 2, 3, 4]

    run(main())


def test_many_honest_clients_on_one_host_all_get_in(run: Run) -> None:
    async def main() -> None:
        busy = Busy(Clock().throttle())
        busy.start(*range(100), succeeds=lambda number: True)
        assert await busy.outcomes() == ["done"] * 100

    run(main())


def test_of_a_flood_all_but_a_few_are_refused(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        busy = Busy(clock.throttle())
        busy.start(*range(1000))
        outcomes = await busy.outcomes()
        assert outcomes == ["done"] * 13 + ["TooMany"] * 987
        assert clock.slept == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]

    run(main())


def test_after_failures_no_more_than_ten_wait(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle()
        await fail(throttle, times=3)
        waiting = [asyncio.create_task(fail(throttle)) for _ in range(11)]
        await until(lambda: clock.slept == [1])
        with pytest.raises(TooMany):
            await fail(throttle)
        await succeed(throttle, THERE)
        clock.go.set()
        await asyncio.gather(*waiting)

    run(main())


def test_who_gives_up_while_he_waits_makes_room(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle()
        await fail(throttle, times=3)
        waiting = [asyncio.create_task(fail(throttle)) for _ in range(11)]
        await until(lambda: clock.slept == [1])
        waiting[5].cancel()
        assert await outcome(waiting[5]) == "cancelled"
        again = asyncio.create_task(fail(throttle))
        clock.go.set()
        for task in (*waiting[:5], *waiting[6:], again):
            assert await outcome(task) == "done"

    run(main())


def test_who_gives_up_during_the_delay_has_made_no_attempt(run: Run) -> None:
    async def main() -> None:
        clock = Clock(hold=True)
        throttle = clock.throttle()
        await fail(throttle, times=3)
        for _ in range(3):
            waiting = asyncio.create_task(fail(throttle))
            await turn()
            waiting.cancel()
            assert await outcome(waiting) == "cancelled"
        assert clock.slept == [1, 1, 1]

    run(main())


def test_who_gives_up_during_the_check_has_failed(run: Run) -> None:
    async def main() -> None:
        clock = Clock()
        throttle = clock.throttle()
        busy = Busy(throttle)
        for number in range(3):
            busy.start(number)
            await until(lambda: len(busy.order) == len(busy.tasks))
            busy.tasks[-1].cancel()
            assert await outcome(busy.tasks[-1]) == "cancelled"
        await fail(throttle)
        assert clock.slept == [1]

    run(main())


def test_a_turn_is_not_lost_with_who_gives_up_in_the_same_moment(run: Run) -> None:
    async def main() -> None:
        busy = Busy(Clock().throttle())
        busy.start(0, 1, 2)
        # The first ends, and gives its turn to the second, which is cancelled before it runs.
        busy.after = lambda number: number == 0 and busy.tasks[1].cancel()
        assert await busy.outcomes() == ["done", "cancelled", "done"]
        assert busy.order == [0, 2]

    run(main())


def test_all_who_wait_may_give_up(run: Run) -> None:
    async def main() -> None:
        throttle = Clock().throttle()
        busy = Busy(throttle)
        busy.start(*range(20))
        busy.after = lambda number: [task.cancel() for task in busy.tasks[1:]]
        assert await busy.outcomes() == ["done"] + ["cancelled"] * 19
        await succeed(throttle)

    run(main())


# Slow checks.


class Slow:
    """A function that takes until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = 0
        self.most = 0
        self.order: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, number: int) -> int:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.order.append(number)
        self.go.wait(10)
        with self._lock:
            self.running -= 1
        return number


def test_no_more_than_two_run_at_a_time_and_in_order(run: Run) -> None:
    async def main() -> None:
        checks, slow = SlowChecks(), Slow()
        tasks = [asyncio.create_task(checks.run(slow, number)) for number in range(6)]
        await until(lambda: slow.running == 2)
        await turn()
        assert sorted(slow.order) == [0, 1]
        slow.go.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4, 5]
        assert slow.most == 2

    run(main())


def test_one_that_nobody_waits_for_keeps_its_place_until_it_has_ended(run: Run) -> None:
    async def main() -> None:
        checks, slow = SlowChecks(), Slow()
        tasks = [asyncio.create_task(checks.run(slow, number)) for number in range(6)]
        await until(lambda: slow.running == 2)
        for task in tasks[:4]:
            task.cancel()
        await asyncio.wait(tasks[:4])
        await turn()
        assert slow.running == slow.most == 2
        slow.go.set()
        assert await asyncio.gather(*tasks[4:]) == [4, 5]
        assert sorted(slow.order) == [0, 1, 4, 5]
        assert slow.most == 2

    run(main())


def test_an_error_comes_out_and_frees_the_place(run: Run) -> None:
    def broken() -> None:
        raise LookupError("broken")

    async def main() -> None:
        checks = SlowChecks(1)
        for _ in range(3):
            with pytest.raises(LookupError):
                await checks.run(broken)
        # One whose error nobody hears of is no matter.
        abandoned = asyncio.create_task(checks.run(broken))
        await asyncio.sleep(0)
        abandoned.cancel()
        with suppress(asyncio.CancelledError, LookupError):
            await abandoned
        assert await checks.run(int, "7") == 7

    run(main())


class Watched:
    """A loop that shows the futures of what runs in threads, or has no threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, threads: bool = True) -> None:
        self._loop = loop
        self._threads = threads
        self.running: list[asyncio.Future[object]] = []

    def create_future(self) -> "asyncio.Future[object]":
        return self._loop.create_future()

    def run_in_executor(self, executor: None, *args: Any) -> "asyncio.Future[object]":
        if not self._threads:
            raise RuntimeError("can't start new thread")
        self.running.append(self._loop.run_in_executor(None, *args))
        return self.running[-1]


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, **options: bool) -> Iterator[Watched]:
    loop = Watched(asyncio.get_running_loop(), **options)
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "get_running_loop", lambda: loop)
        yield loop


def test_a_place_is_not_lost_with_who_gives_up_in_the_same_moment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        checks, slow = SlowChecks(1), Slow()
        tasks = [asyncio.create_task(checks.run(slow, number)) for number in range(3)]
        with watched(monkeypatch) as loop:
            await asyncio.sleep(0)
        # When the first has ended, the second has the place and has not run yet.
        loop.running[0].add_done_callback(lambda future: tasks[1].cancel())
        slow.go.set()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert await checks.run(slow, 3) == 3
        assert slow.order == [0, 2, 3]

    run(main())


def test_a_place_is_given_back_where_there_are_no_threads(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        checks = SlowChecks(1)
        with watched(monkeypatch, threads=False), pytest.raises(RuntimeError):
            await checks.run(int, "7")
        assert await checks.run(int, "7") == 7

    run(main())
