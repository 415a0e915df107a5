"""One way to write a test for every face.

Tests and methods are generators: what they `yield` is awaited on the asyncio face, and is there
already on the blocking one. So `value = yield root.call("echo", 1)` is the same line for both.
"""

import asyncio
import functools
import gc
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from inspect import isawaitable
from typing import Any

import pellucid
from pellucid import blocking
from tests.asyncio import pairs
from tests.blocking import threads

PATIENCE = 20.0
FREE = "pb://127.0.0.1:0"

Steps = Generator[Any, Any, Any]


def steps(function: Callable[..., Steps]) -> Callable[..., Any]:
    """Make a method of an object that is called: async on a loop, else plain."""

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return walk(function(*args, **kwargs))
        return walk_async(function(*args, **kwargs))

    return method


class Later:
    """What the blocking face does when it is yielded, and nobody holds the value before it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


def walk(way: Steps) -> Any:
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            value = way.send(value) if error is None else way.throw(error)
        except StopIteration as end:
            return end.value
        error = None
        try:
            if isinstance(value, Later):
                value = value.function()
        except BaseException as raised:
            error = raised


async def walk_async(way: Steps) -> Any:
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            value = way.send(value) if error is None else way.throw(error)
        except StopIteration as end:
            return end.value
        error = None
        try:
            if isawaitable(value):
                value = await value
        except BaseException as raised:
            error = raised


def on_each_face(test: Callable[..., Steps]) -> Callable[..., None]:
    """Make a test of a generator function that takes a face."""

    # Not `wraps`: pytest must see a plain function, with the parameters of the other one.
    @functools.wraps(test)
    def run(face: "Face", **fixtures: Any) -> None:
        face.run(test(face, **fixtures))

    return run


class Face(ABC):
    """What a test does that has another name, or another way, on each face."""

    Cacheable: type[pellucid.Cacheable]

    def __init__(self) -> None:
        self._opened: list[Any] = []

    @abstractmethod
    def run(self, test: Steps) -> None:
        """Run a test to its end, and see that nothing is left."""

    @abstractmethod
    def serve(self, root: Any, url: str = FREE, **options: Any) -> Any:
        """Yield this: the server."""

    @abstractmethod
    def connect(self, url: str, **options: Any) -> Any:
        """Yield this: the connection."""

    @abstractmethod
    def close(self, opened: Any) -> Any:
        """Yield this: it is closed then."""

    @abstractmethod
    def event(self) -> Any:
        """Give what has `set()`, for any thread, and a `wait()` to be yielded."""

    @abstractmethod
    def until(self, condition: Callable[[], object]) -> Any:
        """Yield this: the condition is true then."""

    @abstractmethod
    def together(self, *calls: tuple[Any, ...]) -> Any:
        """Yield this: the results of calls that were made at the same time."""

    @abstractmethod
    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        """Yield this: the result of a call, or TimeoutError."""

    @abstractmethod
    def broker(self, connection: Any) -> Any:
        """Give the broker of a connection."""

    def empty(self, *connections: Any) -> Any:
        """Yield this: no connection holds anything of the other side, or the other side of it."""
        return self.until(lambda: all(self._is_empty(each) for each in connections))

    def _is_empty(self, connection: Any) -> bool:
        # Each time: a thread may have held a cycle the time before.
        gc.collect()
        broker = self.broker(connection)
        return not len(broker.exports) and not len(broker.imports) and not self._left(connection)

    def _left(self, connection: Any) -> dict[str, int]:
        used = self.broker(connection).ledger._used
        return {name: count for name, count in used.items() if count and name != "out_bytes"}

    def opened(self, connections: Any) -> None:
        """Remember connections, which at the end of the test may owe nothing."""
        self._opened.extend(connections)

    def check(self) -> None:
        for connection in self._opened:
            assert connection.closed
            assert self._left(connection) == {}


class AsyncioFace(Face):
    """The asyncio face, on one loop for both sides."""

    Cacheable = pellucid.Cacheable

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__()
        self._factory = factory

    def run(self, test: Steps) -> None:
        async def main() -> None:
            async with asyncio.timeout(PATIENCE):
                await walk_async(test)

        with asyncio.Runner(loop_factory=self._factory) as runner:
            runner.run(main())
        self.check()

    def serve(self, root: Any, url: str = FREE, **options: Any) -> Any:
        return pellucid.serve(root, url, **options)

    def connect(self, url: str, **options: Any) -> Any:
        return pellucid.connect(url, **options)

    async def close(self, opened: Any) -> None:
        opened.close()
        await opened.wait_closed()

    def event(self) -> Any:
        return asyncio.Event()

    def until(self, condition: Callable[[], object]) -> Any:
        return pairs.until(lambda: bool(condition()))

    async def together(self, *calls: tuple[Any, ...]) -> list[Any]:
        return await asyncio.gather(
            *(reference.call(name, *args) for reference, name, *args in calls)
        )

    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        return asyncio.wait_for(reference.call(*call), seconds)

    def broker(self, connection: Any) -> Any:
        return connection._broker


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        assert super().wait(PATIENCE)
        return True


class BlockingFace(Face):
    """The blocking face, on as many threads as it takes."""

    Cacheable = blocking.Cacheable

    def run(self, test: Steps) -> None:
        walk(test)
        self.check()

    def serve(self, root: Any, url: str = FREE, **options: Any) -> Any:
        return blocking.serve(root, url, **options)

    def connect(self, url: str, **options: Any) -> Any:
        return blocking.connect(url, **options)

    def close(self, opened: Any) -> None:
        opened.close()

    def event(self) -> Any:
        return _Event()

    def until(self, condition: Callable[[], object]) -> Any:
        return Later(lambda: threads.until(condition))

    def together(self, *calls: tuple[Any, ...]) -> list[Any]:
        made = [
            threads.Doing(functools.partial(reference.call, name, *args))
            for reference, name, *args in calls
        ]
        return [each.result() for each in made]

    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        return reference.within(seconds).call(*call)

    def broker(self, connection: Any) -> Any:
        return connection._inner._broker
