"""The timers of one connection, on the reactor of its transport."""

from collections.abc import Callable
from typing import Any

__all__ = ["Timers"]


class Timers:
    """Timers with names, of each name one at a time. Without a reactor none ever rings."""

    __slots__ = ("_calls", "_reactor")

    def __init__(self, reactor: Any = None) -> None:
        self._reactor = reactor
        # Most of the time none runs.
        self._calls: dict[str, Any] | None = None

    def start(self, name: str, seconds: float, act: Callable[..., object], *args: Any) -> None:
        """Call `act(*args)` after a time, unless a timer of this name runs already."""
        if self._reactor is not None and (self._calls is None or name not in self._calls):
            if self._calls is None:
                self._calls = {}
            self._calls[name] = self._reactor.callLater(seconds, self._ring, name, act, args)

    def _ring(self, name: str, act: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._forget(name)
        act(*args)

    def _forget(self, name: str) -> Any:
        calls = self._calls
        if calls is None:
            return None
        call = calls.pop(name, None)
        if not calls:
            self._calls = None
        return call

    def cancel(self, name: str) -> None:
        """Stop the timer of this name, if it runs."""
        call = self._forget(name)
        if call is not None:
            call.cancel()

    def cancel_all(self) -> None:
        """Stop all of them. None is started any more."""
        self._reactor = None
        for name in list(self._calls or ()):
            self.cancel(name)
