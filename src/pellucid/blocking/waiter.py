"""A thread that waits for the background thread."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from ..errors import ConnectionClosed
from .jobs import Lane, hand_over
from .workers import serving

__all__ = ["Ended", "Waiter"]

# A thread that waits looks up so often, in seconds. Ctrl-C that comes just before it falls asleep
# would go unnoticed, and on Windows any Ctrl-C.
_LOOK_UP = 0.25


class Ended(Exception):
    """The background thread has ended."""


class _Thread(Protocol):
    @property
    def waiters(self) -> set[Any]: ...

    def post(self, callback: Callable[..., object], *args: Any) -> None: ...

    def rest_at_exit(self) -> None: ...


class Waiter:
    """A thread that waits for something that happens on the background thread.

    To the loop it is a future with three methods. `work` is what the waiting thread serves.
    """

    __slots__ = ("_background", "_done", "_error", "_value", "_wake", "lane", "work")

    def __init__(self, background: _Thread) -> None:
        self._background = background
        self._wake = threading.Lock()
        self._wake.acquire()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self.work = serving()
        # What a job has left to wait here.
        self.lane: Lane | None = None
        background.waiters.add(self)

    def done(self) -> bool:
        """Tell whether there is an outcome, or nobody waits any more."""
        return self._done

    def set_result(self, value: Any) -> None:
        """Let the thread go on, with a result."""
        if not self._done:
            self._value = value
            self._settle()

    def set_exception(self, error: BaseException) -> None:
        """Let the thread go on, with an error."""
        if not self._done:
            self._error = error
            self._settle()

    def _settle(self) -> None:
        self._done = True
        self._background.waiters.discard(self)
        self._wake.release()

    def wait(self, seconds: float | None = None) -> Any:
        """Wait on the thread that made this. Raises TimeoutError after so many seconds.

        Whoever is interrupted waits no more, and what comes is dropped.
        """
        try:
            if not self._sleep(seconds):
                self._late(f"no answer within {seconds} s")
        except BaseException:
            self.forget()
            raise
        return self._outcome()

    def _late(self, text: str) -> None:
        if getattr(self.work, "lane", None) is None:
            raise TimeoutError(text)
        # It goes on when it is its turn.
        self._background.post(hand_over, self, None, TimeoutError(text))
        self._sleep(None)

    def forget(self) -> None:
        """Nobody waits any more."""
        self._done = True
        self._background.waiters.discard(self)

    def _sleep(self, seconds: float | None) -> bool:
        if seconds is None:
            while not self._wake.acquire(timeout=_LOOK_UP):
                pass
            return True
        end = monotonic() + seconds
        while (left := end - monotonic()) > _LOOK_UP:
            if self._wake.acquire(timeout=_LOOK_UP):
                return True
        return self._wake.acquire(timeout=max(left, 0))

    def _outcome(self) -> Any:
        value, error = self._value, self._error
        self._value = self._error = None
        if error is None:
            return value
        if isinstance(error, (ConnectionClosed, Ended)):
            self._background.rest_at_exit()
        try:
            raise error
        finally:
            # The traceback of the error holds this frame.
            error = None
