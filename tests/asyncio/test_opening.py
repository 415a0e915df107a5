"""How what is opened opens and closes, whatever it is."""

import asyncio

import pytest

from pellucid import Limits, Registry
from pellucid.asyncio.opening import Closing, Opening, check_options, check_type
from tests.asyncio.pairs import Run


class Door(Closing):
    """Notes what happens to it, and takes its time to close."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.seen.append("close")
        asyncio.get_running_loop().call_later(0.001, self.closed.set)

    def check_outside(self) -> None:
        self.seen.append("check")

    async def finished(self) -> None:
        await self.closed.wait()
        self.seen.append("finished")


class Opener(Opening[Door]):
    """Opens doors."""

    async def _open(self) -> Door:
        await asyncio.sleep(0)
        return Door()


def test_await_gives_what_is_opened(run: Run) -> None:
    async def main() -> None:
        door = await Opener()
        assert door.seen == []
        async with door as same:
            assert same is door
        assert door.seen == ["close", "check", "finished"]

    run(main())


def test_the_context_closes_what_it_opened(run: Run) -> None:
    async def main() -> None:
        async with Opener() as door:
            assert door.seen == []
        assert door.seen == ["close", "check", "finished"]

    run(main())


def test_the_end_is_waited_for_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        doors: list[Door] = []

        async def use() -> None:
            async with Opener() as door:
                doors.append(door)
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(use())
        while not doors:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert doors[0].seen == ["close", "check", "finished"]

    run(main())


def test_what_can_not_be_opened(run: Run) -> None:
    class Stuck(Opening[Door]):
        async def _open(self) -> Door:
            raise OSError("stuck")

    async def main() -> None:
        with pytest.raises(OSError, match="stuck"):
            await Stuck()
        with pytest.raises(OSError, match="stuck"):
            async with Stuck():
                pytest.fail("not reached")

    run(main())


def test_what_is_of_another_kind_is_told_by_its_kind() -> None:
    check_type(5, int, "a number")
    with pytest.raises(TypeError, match=r"^a number, not str$"):
        check_type("5", int, "a number")
    with pytest.raises(TypeError, match=r"^a number, not the class int$"):
        check_type(int, int, "a number")
    check_options("pb://localhost", None, None)
    check_options("pb://localhost", Limits(), Registry())
