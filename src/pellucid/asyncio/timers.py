"""Time: the timers of one connection, lines that are logged seldom, waiting to the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from math import inf
from typing import Any
from weakref import ref

from .. import seldom

__all__ = ["Deadlines", "Seldom", "Timers", "finish"]

log = logging.getLogger("pellucid")


class Timers:
    """Timers with names, of each name one at a time."""

    __slots__ = ("_context", "_handles", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # A timer keeps its context to its time, also when it was cancelled, and that of a method
        # has the connection in it. No two threads may be in one.
        self._context = Context()
        # Most of the time none runs.
        self._handles: dict[str, asyncio.TimerHandle] | None = None

    def start(self, name: str, seconds: float, act: Callable[..., object], *args: Any) -> None:
        """Call `act(*args)` after a time, which may be endless, in place of what runs so named."""
        self.cancel(name)
        if seconds == inf:
            return
        if self._handles is None:
            self._handles = {}
        self._handles[name] = self._loop.call_later(
            seconds, self._ring, name, act, args, context=self._context
        )

    def _ring(self, name: str, act: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._forget(name)
        act(*args)

    def _forget(self, name: str) -> asyncio.TimerHandle | None:
        handles = self._handles
        if handles is None:
            return None
        handle = handles.pop(name, None)
        if not handles:
            self._handles = None
        return handle

    def cancel(self, name: str) -> None:
        """Stop the timer of this name, if it runs."""
        handle = self._forget(name)
        if handle is not None:
            handle.cancel()

    def cancel_all(self) -> None:
        """Stop all of them."""
        for name in list(self._handles or ()):
            self.cancel(name)

    def __contains__(self, name: str) -> bool:
        return self._handles is not None and name in self._handles


class Deadlines:
    """What has to happen to each of many within `seconds`. One timer of a loop serves all of them.

    `late(one)` is called for each that is not taken back in time. It keeps none of them alive, nor
    the loop. The timer runs only while somebody is waited for: each call to the system is dearer
    while a loop has a timer.
    """

    __slots__ = ("_context", "_due", "_late", "_seconds", "_timer")

    def __init__(self, seconds: float, late: Callable[[Any], object]) -> None:
        self._seconds = seconds
        self._late = late
        # Who is first in it is due first.
        self._due: dict[ref[Any], float] = {}
        # The loop has it, and it has the loop.
        self._timer: ref[asyncio.TimerHandle] | None = None
        # Not that of the method in which the first one was added.
        self._context = Context()

    def add(self, one: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to wait for one, which is on the same loop as all others."""
        if self._seconds == inf:
            return
        self._due[ref(one)] = due = loop.time() + self._seconds
        if self._timer is None:
            self._start(due, loop)

    def _start(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = ref(loop.call_at(due, self._ring, loop, context=self._context))

    def remove(self, one: Any) -> None:
        """Take one back, if it is waited for."""
        self._due.pop(ref(one), None)
        if not self._due and self._timer is not None:
            timer, self._timer = self._timer(), None
            if timer is not None:
                timer.cancel()

    def __contains__(self, one: Any) -> bool:
        return ref(one) in self._due

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._due:
            first, due = next(iter(self._due.items()))
            if due > now:
                self._start(due, loop)
                return
            del self._due[first]
            one = first()
            if one is not None:
                self._late(one)


class Seldom(seldom.Seldom):
    """A log of what others can cause as often as they like: `most` lines in `period` seconds."""

    __slots__ = ()

    def warning(self, text: str, *args: object) -> None:
        """Log a line, or leave it out."""
        self._log(logging.WARNING, text, args)

    def info(self, text: str, *args: object) -> None:
        """Log a line that is nobody's fault here, or leave it out."""
        self._log(logging.INFO, text, args)

    def _log(self, level: int, text: str, args: tuple[object, ...]) -> None:
        if self.allows():
            log.log(level, text, *args)
        if self.is_last:
            self._say_last(level)

    def _say_last(self, level: int) -> None:
        log.log(level, "further lines of this kind are left out for up to %g s", self.period)


async def finish(wait: Callable[[], Awaitable[object]]) -> None:
    """Wait to the end, also when cancelled meanwhile; then the cancellation goes on."""
    waiting = asyncio.ensure_future(wait())
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    waiting.result()
