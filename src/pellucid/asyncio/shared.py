"""What the connections of one loop have in common."""

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ..outbox import Pens
from .line import Line
from .timers import Deadlines

__all__ = ["Shared", "shared_by"]

# A read takes no more than this.
_BUFFER_BYTES = 256 * 1024
# So many different times that connections have to open get a timer that lasts.
_TIMES = 64


class Shared:
    """What the connections of one loop have in common. It keeps neither them nor the loop alive.

    One `buffer` serves all reads, `pens` write their messages, and long turns wait in `line`.
    """

    __slots__ = ("_openings", "buffer", "line", "pens")

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.pens = Pens()
        self.line = Line()
        # Those whose dialect is not agreed, by the time that they have.
        self._openings: dict[tuple[float, Callable[[Any], object]], Deadlines] = {}

    def opening(self, seconds: float, late: Callable[[Any], object]) -> Deadlines:
        """Give what waits for those that have so many seconds to open, and calls `late(one)`."""
        key = seconds, late
        found = self._openings.get(key)
        if found is None:
            if len(self._openings) >= _TIMES:
                self._openings.clear()
            found = self._openings[key] = Deadlines(seconds, late)
        return found


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, Shared] = WeakKeyDictionary()


def shared_by(loop: asyncio.AbstractEventLoop) -> Shared:
    """Give what the connections of a loop have in common."""
    shared = _shared.get(loop)
    if shared is None:
        shared = _shared[loop] = Shared()
    return shared
