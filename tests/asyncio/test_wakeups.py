"""A task that awaits a future goes on when it is run, and everybody else an iteration later."""

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from pellucid.asyncio.wakeups import Wakeups
from tests.asyncio.pairs import Run, outside

Loop = asyncio.AbstractEventLoop


class Awaiting:
    """A task that awaits a future, and notes what it got."""

    def __init__(self, loop: Loop, context: Context | None = None) -> None:
        self.future: asyncio.Future[int] = loop.create_future()
        self.got: list[int] = []
        self.task = loop.create_task(self._run(), context=context)

    async def _run(self) -> None:
        self.got.append(await self.future)
        self.got.append(await self.future)


def wakeups() -> Wakeups:
    return Wakeups(asyncio.get_running_loop(), _fail)


def _fail(loop: Loop, error: BaseException) -> None:
    raise AssertionError("nothing ends the program here") from error


def test_a_task_goes_on_when_it_is_run(run: Run) -> None:
    async def main() -> None:
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop())
        await asyncio.sleep(0)

        def act() -> None:
            assert not found.run()
            found.finish(waiting.future, 5)
            assert waiting.future.done()
            assert waiting.got == []
            assert found.run()
            assert waiting.got == [5, 5]
            assert not found.run()

        await outside(act)
        await waiting.task

    run(main())


@pytest.mark.parametrize("how", ["callback", "gather", "two tasks"])
def test_who_else_waits_hears_an_iteration_later(run: Run, how: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        found, waiting = wakeups(), Awaiting(loop)
        others: list[asyncio.Future[Any]] = []
        if how == "callback":
            waiting.future.add_done_callback(lambda done: waiting.got.append(done.result()))
        elif how == "gather":
            others.append(asyncio.gather(waiting.future))
        else:
            others.append(asyncio.ensure_future(asyncio.wait_for(waiting.future, 60)))
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(waiting.future, 5)
            assert not found.run()
            assert waiting.got == []

        await outside(act)
        await waiting.task
        await asyncio.gather(*others)
        assert len(waiting.got) == 2 + (how == "callback")

    run(main())


def test_a_future_that_is_done_stays_as_it_is(run: Run) -> None:
    async def main() -> None:
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop())
        waiting.task.cancel()
        await asyncio.gather(waiting.task, return_exceptions=True)
        waiting.future.cancel()
        await outside(lambda: found.finish(waiting.future, 5))
        assert waiting.future.cancelled()

    run(main())


def test_inside_of_a_task_no_other_is_run(run: Run) -> None:
    async def main() -> None:
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop())
        await asyncio.sleep(0)
        found.finish(waiting.future, 5)
        assert not found.run()
        assert waiting.got == []
        await waiting.task
        assert waiting.got == [5, 5]

    run(main())


def test_a_task_whose_context_is_in_use_goes_on_later(run: Run) -> None:
    async def main() -> None:
        context = copy_context()
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop(), context)
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(waiting.future, 5)
            context.run(found.run)
            assert waiting.got == []

        await outside(act)
        await waiting.task
        assert waiting.got == [5, 5]

    run(main())


def test_a_task_goes_on_in_its_own_context(run: Run) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="outside")
    seen: list[str] = []

    async def main() -> None:
        found, future = wakeups(), asyncio.get_running_loop().create_future()

        async def wait() -> None:
            variable.set("inside")
            await future
            seen.append(variable.get())

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(future, None)
            found.run()
            assert variable.get() == "outside"

        await outside(act)
        await task
        assert seen == ["inside"]

    run(main())


def test_what_ends_the_program_is_told(run: Run) -> None:
    async def main() -> None:
        told: list[BaseException] = []
        found = Wakeups(asyncio.get_running_loop(), lambda loop, error: told.append(error))
        future = asyncio.get_running_loop().create_future()

        async def leave() -> None:
            await future
            raise SystemExit(3)

        task = asyncio.create_task(leave())
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(future, None)
            found.run()

        await outside(act)
        assert [type(error) for error in told] == [SystemExit]
        assert isinstance(task.exception(), SystemExit)

    run(main())


def test_a_future_of_another_kind_is_finished_the_usual_way(run: Run) -> None:
    class Plain:
        def __init__(self) -> None:
            self.results: list[int] = []

        def done(self) -> bool:
            return False

        def set_result(self, value: int) -> None:
            self.results.append(value)

    async def main() -> None:
        found, plain = wakeups(), Plain()
        found.finish(plain, 5)  # type: ignore[arg-type]
        assert plain.results == [5]
        assert not found.run()

    run(main())


def test_nobody_overtakes_who_hears_an_iteration_later(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        found, first, last = wakeups(), Awaiting(loop), Awaiting(loop)
        called = loop.create_future()
        order: list[str] = []
        called.add_done_callback(lambda _: order.append("called"))
        first.task.add_done_callback(lambda _: order.append("first"))
        last.task.add_done_callback(lambda _: order.append("last"))
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(first.future, 5)
            found.finish(called, None)
            found.finish(last.future, 6)
            assert found.run()
            assert (first.got, last.got) == ([5, 5], [])
            assert not found.run()

        await outside(act)
        await asyncio.gather(first.task, last.task)
        # From Python 3.12 on that may be before the last callback.
        await asyncio.sleep(0)
        assert last.got == [6, 6]
        assert order == ["called", "first", "last"]

    run(main())


def test_in_the_next_turn_a_task_is_run_again(run: Run) -> None:
    async def main() -> None:
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop())
        await asyncio.sleep(0)

        def act() -> None:
            found.usual = True
            assert not found.run()
            found.finish(waiting.future, 5)
            assert found.run()
            assert waiting.got == [5, 5]

        await outside(act)
        await waiting.task

    run(main())


def test_a_turn_that_is_cut_off_leaves_its_tasks_to_the_loop(run: Run) -> None:
    async def main() -> None:
        found, waiting = wakeups(), Awaiting(asyncio.get_running_loop())
        await asyncio.sleep(0)

        def act() -> None:
            found.finish(waiting.future, 5)
            found.put_off()
            assert not found.run()
            assert waiting.got == []

        await outside(act)
        await waiting.task
        assert waiting.got == [5, 5]

    run(main())
