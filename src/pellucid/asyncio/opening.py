"""What `connect`, `serve` and what they give have in common: how one opens, how one closes."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from types import TracebackType
from typing import Generic, Self, TypeVar

from .timers import finish

__all__ = ["Closing", "Opening"]


class Closing(ABC):
    """Something open, which ends with `close` and `wait_closed`, or as a context."""

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
