"""What connections and servers have in common: a thread closes them, or a `with` statement does."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .jobs import Job
from .thread import Background
from .waiter import Ended
from .workers import serving

__all__ = ["Closing"]


class Closing(ABC):
    """Stands before something of the background thread that can be closed."""

    _inner: Any
    _background: Background

    @abstractmethod
    def close(self) -> None:
        """Close it, and wait until that is done."""

    def _close(self, runs: Callable[[Job], bool]) -> None:
        """Close it. `runs(job)` tells whether it runs a method, which can't wait for its end."""
        background = self._background
        inner = self._inner
        if background.forked:
            return
        if background.is_current:
            inner.close()
            return
        job = serving()
        if isinstance(job, Job) and runs(job):
            background.try_post(inner.close_for, job)
            return
        background.check_may_wait()
        try:
            background.request(inner.begin_close).wait()
        except Ended:
            pass
        background.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
