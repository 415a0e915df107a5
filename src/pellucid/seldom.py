"""What others can cause as often as they like is logged seldom."""

from collections.abc import Callable

__all__ = ["Seldom"]


class Seldom:
    """Allows `most` lines of a log in `period` seconds of a `clock`, the first ones always.

    `is_last` tells, behind `allows()`, that no other is allowed for now.
    """

    __slots__ = ("_begun", "_clock", "_lines", "_most", "period")

    def __init__(self, clock: Callable[[], float], most: int = 10, period: float = 60.0) -> None:
        self.period = period
        self._most = most
        self._clock = clock
        self._begun = clock()
        self._lines = 0

    def allow(self, most: int) -> None:
        """Allow so many lines from now on, those of this period included."""
        self._most = most

    def allows(self) -> bool:
        """Count one more, and tell whether it is to be logged."""
        now = self._clock()
        if now - self._begun >= self.period:
            self._begun = now
            self._lines = 0
        self._lines += 1
        return self._lines <= self._most

    @property
    def is_last(self) -> bool:
        """Tell whether the one that was allowed is the last one until the period is over."""
        return self._lines == self._most
