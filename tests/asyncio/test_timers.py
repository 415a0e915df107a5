"""Timers with names, lines that are logged seldom, and waiting to the end."""

import asyncio
import gc
import weakref
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from pellucid.asyncio.timers import Deadlines, Seldom, Timers, finish
from tests.asyncio.pairs import Run


def test_a_timer_calls_and_is_gone(run: Run) -> None:
    async def main() -> None:
        timers = Timers(asyncio.get_running_loop())
        rung: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
        timers.start("a", 0, lambda n: rung.set_result((n, "a" in timers)), 7)
        assert "a" in timers
        assert await rung == (7, False)

    run(main())


def test_one_at_a_time_of_each_name(run: Run) -> None:
    async def main() -> None:
        timers = Timers(asyncio.get_running_loop())
        rung: list[str] = []
        last = asyncio.Event()
        timers.start("a", 0, rung.append, "first")
        timers.start("a", 0, rung.append, "second")
        timers.start("b", 0.001, last.set)
        await last.wait()
        assert rung == ["second"]

    run(main())


class Held:
    """What a context may keep."""


def test_no_timer_keeps_the_context_in_which_it_was_made(run: Run) -> None:
    current: ContextVar[Held] = ContextVar("current")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers, deadlines = Timers(loop), Deadlines(5, print)

        def act() -> "weakref.ref[Held]":
            held = Held()
            current.set(held)
            timers.start("a", 5, print)
            timers.cancel("a")
            timers.start("b", 5, print)
            deadlines.add(other, loop)
            return weakref.ref(held)

        other = Held()
        held = copy_context().run(act)
        assert held() is None
        timers.cancel_all()

    run(main())


def test_cancelled_timers_do_not_call(run: Run) -> None:
    async def main() -> None:
        timers = Timers(asyncio.get_running_loop())
        rung: list[str] = []
        last = asyncio.Event()
        for name in "abc":
            timers.start(name, 0, rung.append, name)
        timers.cancel("a")
        timers.cancel("a")
        timers.cancel_all()
        assert not [name for name in "abc" if name in timers]
        timers.start("d", 0.001, last.set)
        await last.wait()
        assert rung == []

    run(main())


class Late:
    pass


def test_one_timer_for_many_deadlines(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        late: list[object] = []
        deadlines = Deadlines(0.01, late.append)
        began = loop.time()
        all_of_them = [Late() for _ in range(4)]
        for one in all_of_them[:3]:
            deadlines.add(one, loop)
        deadlines.remove(all_of_them[1])
        deadlines.remove(all_of_them[1])
        assert [one in deadlines for one in all_of_them] == [True, False, True, False]
        await asyncio.sleep(0.005)
        deadlines.add(all_of_them[3], loop)
        del all_of_them[2], one
        while all_of_them[0] not in late:
            await asyncio.sleep(0)
        while len(late) < 2:
            await asyncio.sleep(0)
        assert late == [all_of_them[0], all_of_them[2]]
        assert loop.time() - began > 0.0145
        deadlines.add(all_of_them[0], loop)
        deadlines.remove(all_of_them[0])
        deadlines.add(all_of_them[1], loop)
        while len(late) < 3:
            await asyncio.sleep(0)

    run(main())


def test_there_is_no_timer_when_nobody_is_waited_for(run: Run) -> None:
    class Loop:
        """Notes the timers that it makes."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.time = loop.time
            self.loop = loop
            self.timers: list[asyncio.TimerHandle] = []

        def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            self.timers.append(self.loop.call_at(*args, **kwargs))
            return self.timers[-1]

    async def main() -> None:
        loop: Any = Loop(asyncio.get_running_loop())
        deadlines = Deadlines(60, print)
        for _ in range(2):
            some = [Late() for _ in range(3)]
            for one in some:
                deadlines.add(one, loop)
            for one in some:
                assert not loop.timers[-1].cancelled()
                deadlines.remove(one)
        assert [timer.cancelled() for timer in loop.timers] == [True, True]
        # One that is gone need not be stopped.
        deadlines.add(some[0], loop)
        loop.timers.pop().cancel()
        await asyncio.sleep(0)
        gc.collect()
        deadlines.remove(some[0])

    run(main())


def test_finish_waits_to_the_end_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        end = asyncio.Event()
        seen: list[str] = []

        async def closing() -> None:
            await end.wait()
            seen.append("closed")

        task = asyncio.create_task(finish(closing))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["closed"]

    run(main())


def test_finish_passes_on_what_goes_wrong(run: Run) -> None:
    async def main() -> None:
        async def closing() -> None:
            raise OSError("no")

        with pytest.raises(OSError, match="no"):
            await finish(closing)

    run(main())


def test_a_line_that_comes_too_often_is_left_out_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    log = Seldom(lambda: now, most=2, period=60)
    for n in range(5):
        log.warning("line %d", n)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["line 0", "line 1", "further lines of this kind are left out for up to 60 s"]
    caplog.clear()
    now += 59
    log.warning("line 5")
    assert caplog.records == []
    now += 1
    log.warning("line 6")
    assert [record.getMessage() for record in caplog.records] == ["line 6"]
