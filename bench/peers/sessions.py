"""The workloads of whoever has calls that give something to await."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

Call = Callable[..., Awaitable[Any]]


class Session:
    """Does the workloads that have no objects in them, by `call(method, *arguments)`."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def blob(self) -> object:
        """Give the 8 MiB, in one piece where that can be sent."""
        return workloads.BLOB

    async def one(self) -> None:
        await self._echo(TEXT, 1)

    async def sequential(self, count: int) -> None:
        await self._echo(TEXT, count)

    async def in_flight(self, count: int) -> None:
        call = self.call
        for _ in range(count):
            for answer in [call("echo", TEXT) for _ in range(IN_FLIGHT)]:
                if await answer != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        await self._echo(STRUCTURE, count)

    async def integers(self, count: int) -> None:
        await self._echo(INTEGERS, count)

    async def bytes_(self, count: int) -> None:
        await self._echo(self.blob(), count)

    async def _echo(self, value: object, count: int) -> None:
        call = self.call
        for _ in range(count):
            if await call("echo", value) != value:
                wrong()


class Objects(Session):
    """Does those with live objects as well. `verb` is the method of a reference that calls."""

    verb: str

    def __init__(self, root: Any, mine: object) -> None:
        self._calls: Callable[[object], Call] = attrgetter(self.verb)
        self._mine = mine
        super().__init__(self._calls(root))

    async def reference(self, count: int) -> None:
        call, calls = self.call, self._calls
        for _ in range(count):
            made = await call("make")
            if await calls(made)("echo", TEXT) != TEXT:
                wrong()
            del made

    async def callback(self, count: int) -> None:
        call, mine = self.call, self._mine
        for _ in range(count):
            if await call("call_back", mine) != TEXT:
                wrong()


class Crowd(Session, ABC):
    """Opens further connections, and makes one call on each, in turn or at the same time."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._more: list[Call] = []

    @abstractmethod
    async def another(self) -> Call:
        """Open one more, and give what calls on it."""

    async def connect(self, count: int) -> None:
        for _ in range(count):
            call = await self.another()
            self._more.append(call)
            if await call("echo", TEXT) != TEXT:
                wrong()

    async def again(self, count: int) -> None:
        for _ in range(count):
            for call in self._more:
                if await call("echo", TEXT) != TEXT:
                    wrong()

    async def at_once(self, count: int) -> None:
        for _ in range(count):
            for answer in [call("echo", TEXT) for call in self._more]:
                if await answer != TEXT:
                    wrong()


class PB(Crowd, Objects):
    """Does all of them, with strings of the length that PB has."""

    def blob(self) -> object:
        return workloads.CHUNKS

    async def list_of(self, size: int) -> None:
        await self._echo([7] * size, 1)

    async def string_of(self, size: int) -> None:
        await self._echo(b"x" * size, 1)
