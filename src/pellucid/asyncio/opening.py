"""What `connect`, `serve` and what they give have in common: how one opens, how one closes."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from types import TracebackType
from typing import Generic, Self, TypeVar

from ..limits import Limits
from ..registry import Registry
from .timers import finish

__all__ = ["Closing", "Opening", "check_callback", "check_options", "check_type"]


def check_type(value: object, kind: type, text: str) -> None:
    """Raise TypeError, with a text that says what is wanted, if a value is of another kind."""
    if not isinstance(value, kind):
        given = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise TypeError(f"{text}, not {given}")


def check_callback(callback: object) -> None:
    """Raise TypeError if this can't be called at the end of a connection."""
    if not callable(callback):
        raise TypeError(f"on_close takes a function, not {type(callback).__name__}")


def check_options(url: object, limits: object, registry: object) -> None:
    """Raise TypeError where `connect` or `serve` was given something of the wrong kind."""
    check_type(url, str, "a URL is a str")
    if limits is not None:
        check_type(limits, Limits, "limits= takes a pellucid.Limits")
    if registry is not None:
        check_type(registry, Registry, "registry= takes a pellucid.Registry")


class Closing(ABC):
    """Something open, which ends with `close` and `wait_closed`, or as a context."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Begin to close."""

    @abstractmethod
    def check_outside(self) -> None:
        """Raise LocalProtocolError where waiting for the end would never end."""

    @abstractmethod
    async def finished(self) -> None:
        """Wait for the end, wherever from."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        self.check_outside()
        await finish(self.finished)


_Opened = TypeVar("_Opened", bound=Closing)


class Opening(ABC, Generic[_Opened]):
    """Something to be opened, by `await` or by `async with`, which closes it in the end."""

    _opened: _Opened

    @abstractmethod
    async def _open(self) -> _Opened:
        """Open it."""

    def __await__(self) -> Generator[object, None, _Opened]:
        return self._open().__await__()

    async def __aenter__(self) -> _Opened:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened.__aexit__(kind, error, traceback)
