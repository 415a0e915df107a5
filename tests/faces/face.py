"""One way to write a test for every face.

Tests and methods are generators: what they `yield` is awaited on the asyncio face and on Twisted's,
and is there already on the blocking one. So `value = yield root.call("echo", 1)` is the same line
for all of them.
"""

import functools
import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from inspect import isawaitable
from typing import Any, TypeVar

from tests.asyncio.certificates import Certificates
from tests.faces.flavours import Kind

PATIENCE = 20.0
FREE = "pb://127.0.0.1:0"

Steps = Generator[Any, Any, Any]

_T = TypeVar("_T")


def steps(function: Callable[..., Steps]) -> Callable[..., Any]:
    """Make a method of an object that is called: plain on the blocking face, else async."""

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        return Kind.face.walk(function(*args, **kwargs))

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


def without(**reasons: str) -> Callable[[_T], _T]:
    """Leave out a face, and say why it has no such thing. To be used under `on_each_face`."""

    def mark(test: _T) -> _T:
        test.without = reasons  # type: ignore[attr-defined]
        return test

    return mark


class Face(ABC):
    """What a test does that has another name, or another way, on each face."""

    # What the objects of a test are.
    Referenceable: type
    Root: type
    Avatar: type
    Viewable: type
    Copyable: type
    Cacheable: type
    RemoteCache: type
    # What they have of objects of the other side.
    RemoteReference: type
    # What an observer raises whose copy there is no more.
    copy_is_gone: type[BaseException]
    # So long may be what is logged of one thing that the other side did.
    longest_text = 600
    # What a login says that the server refuses.
    refusal = "the server did not let us in"

    def __init__(self) -> None:
        self._opened: list[Any] = []

    def run(self, test: Steps) -> None:
        """Run a test to its end, and see that nothing is left."""
        Kind.face = self
        try:
            self.go(test)
        finally:
            Kind.face = None
        for connection in self._opened:
            assert connection.closed
            assert self._left(connection) == {}

    @abstractmethod
    def go(self, test: Steps) -> None:
        """Run a test to its end."""

    @abstractmethod
    def walk(self, way: Steps) -> Any:
        """Run the steps of a method."""

    @abstractmethod
    def registry(self, copies: dict[str, type], caches: dict[str, type]) -> Any:
        """Give what lets copies and caches in by their tags, until the end of the test."""

    @abstractmethod
    def tls(self, certificates: Certificates) -> dict[str, Any]:
        """Give the options of `joined` for a connection under TLS."""

    @abstractmethod
    def portal(self, realm: Any, users: dict[str, str], *, anonymous: bool = False) -> Any:
        """Give what is served to those who have to log in."""

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
    def raises(
        self, kind: type[BaseException], match: str | None = None
    ) -> AbstractContextManager[Any]:
        """Expect an error, as `pytest.raises` does, by the name that it has in Pellucid.

        What is raised is what a program on this face sees.
        """

    @abstractmethod
    def login_failed(self, text: str) -> Exception:
        """Give what a realm raises for a user whom it does not let in."""

    @abstractmethod
    def viewed(self, view: Any) -> Any:
        """Give what a view that came home is a view of, None if it is none."""

    @abstractmethod
    def broker(self, connection: Any) -> Any:
        """Give the broker of the core."""

    def empty(self, *connections: Any) -> Any:
        """Yield this: no connection holds anything of the other side, or the other side of it."""
        return self.until(lambda: all(self.is_empty(each) for each in connections))

    def is_empty(self, connection: Any) -> bool:
        # Each time: a thread may have held a cycle the time before.
        gc.collect()
        broker = self.broker(connection)
        tables = (broker.exports, broker.imports, broker.cache_exports, broker.cache_imports)
        return not any(map(len, tables)) and not self._left(connection)

    def _left(self, connection: Any) -> dict[str, int]:
        used = self.broker(connection).ledger.charged()
        return {name: count for name, count in used.items() if name != "out_bytes"}

    def opened(self, connections: Any) -> None:
        """Remember connections, which at the end of the test may owe nothing."""
        self._opened.extend(connections)
