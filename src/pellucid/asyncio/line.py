"""The line in which the long turns of one loop wait, so that the short ones need not.

Whoever sends little at a time has its turn at once. Whoever sends much shares one turn in each
iteration of the loop, or every other, with all others who do, and gives way when its time is over.
So one peer, or a thousand, can't delay the others for longer than that and one message more.
"""

import asyncio
from collections import deque
from contextvars import Context
from time import perf_counter
from typing import Protocol

__all__ = ["LONG", "NOTICED", "TURN_TIME", "Line"]

# A read of more bytes may make a long turn. Most calls and answers are shorter.
LONG = 4096

# So many seconds a long turn has. An iteration of the loop costs a twentieth of it.
TURN_TIME = 0.001

# What takes fewer seconds nobody notices. Behind a longer turn whoever wrote meanwhile comes before
# the next one, and a longer answer that is written outside of turns is counted.
NOTICED = 0.0005

# A turn that took longer, because of one message, is followed by a rest of so many times its
# length if somebody has short turns meanwhile. The shortest is so long that of a hundred calls of
# somebody who makes one every other millisecond 99 don't meet such a turn.
_TOO_LONG = 0.0025
_REST = 20
_SHORTEST_REST, _LONGEST_REST = 0.25, 1.0
# Who had a short turn so many seconds ago may soon have another. So often a rest looks for that.
_RECENT = 0.1
_LOOK = 0.05


class _Turns(Protocol):
    # It waits in line.
    queued: bool
    # So many seconds were taken for it since its last long turn, but not in a turn.
    besides: float

    def run(self) -> None: ...

    def stop_reading(self) -> None: ...


class Line:
    """The line of one loop.

    Whose short turn was the last one is `active`, and `before` whose was the last one of another.
    """

    __slots__ = ("_busy", "_context", "_resting", "_seen", "_waiting", "active", "before")

    def __init__(self) -> None:
        # A turn was had in this iteration, or a rest goes on.
        self._busy = False
        self._waiting: deque[_Turns] = deque()
        self.active: _Turns | None = None
        self.before: _Turns | None = None
        # When others than who had a long turn were last known to be active.
        self._seen = -_RECENT
        # Whose long turn is followed by a rest.
        self._resting: _Turns | None = None
        # That of a call would be kept until the timer is over.
        self._context = Context()

    def turn(self, turns: _Turns, loop: asyncio.AbstractEventLoop) -> None:
        """Let a connection have its turn now, or when those before it have had theirs."""
        if self._busy or self._waiting:
            self.again(turns)
        else:
            self._run(turns, loop)

    def again(self, turns: _Turns) -> None:
        """Have it wait behind all others. It reads nothing until then."""
        if not turns.queued:
            turns.queued = True
            turns.stop_reading()
            self._waiting.append(turns)

    def leave(self, turns: _Turns) -> None:
        """Forget a connection that is over."""
        if self.active is turns:
            self.active = None
        if self.before is turns:
            self.before = None
        if self._resting is turns:
            self._resting = None

    def _others(self, turns: _Turns | None, now: float) -> bool:
        """Tell whether somebody else has short turns at this time."""
        for each in (self.active, self.before):
            if each is not None and each is not turns:
                self._seen = now
        self.active = self.before = None
        return now - self._seen < _RECENT

    def _run(self, turns: _Turns, loop: asyncio.AbstractEventLoop) -> None:
        self._busy = True
        began = perf_counter()
        others = self._others(turns, began)
        try:
            turns.run()
        finally:
            now = perf_counter()
            # However much came besides, it is no reason for more than a short rest.
            taken = now - began + min(turns.besides, _TOO_LONG)
            turns.besides = 0.0
            if others and taken > _TOO_LONG:
                self._resting = turns
                over = now + min(max(taken * _REST, _SHORTEST_REST), _LONGEST_REST)
                loop.call_later(_LOOK, self._rest, loop, over, context=self._context)
            elif taken > NOTICED:
                loop.call_soon(self._pass, loop, context=self._context)
            else:
                loop.call_soon(self._next, loop, context=self._context)

    def _pass(self, loop: asyncio.AbstractEventLoop) -> None:
        # What the loop has found to be read in this iteration is behind this in it.
        loop.call_soon(self._next, loop, context=self._context)

    def _rest(self, loop: asyncio.AbstractEventLoop, over: float) -> None:
        """Go on if nobody has short turns any more, or when it is over."""
        now = perf_counter()
        if self._others(self._resting, now) and now < over:
            loop.call_later(_LOOK, self._rest, loop, over, context=self._context)
        else:
            self._resting = None
            self._next(loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._busy = False
        if self._waiting:
            turns = self._waiting.popleft()
            turns.queued = False
            self._run(turns, loop)
