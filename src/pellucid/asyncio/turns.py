"""Turns: what was read becomes methods that start and calls that are done, and the replies leave.

No more calls start in one iteration of the loop than `limits.calls_per_turn`, so that other
connections get theirs.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ..broker import Broker
from ..events import CallCompleted, CallReceived, Event, Ready
from .calls import Runner, raise_later
from .outgoing import Outgoing
from .wakeups import Wakeups

__all__ = ["Turns"]


class _Link(Protocol):
    @property
    def _loop(self) -> asyncio.AbstractEventLoop: ...

    def _handle(self, event: Event) -> None: ...


class Turns:
    """The turns of one connection.

    What a call of ours gives goes to `finish(waiter, value)`, into its future where there is none,
    and whatever else is no call of the other side to `link._handle(event)`. Set `closing` when
    nothing more may start, `eof` when nothing more will arrive, and `transport` while there is one.
    """

    __slots__ = (
        "_broker",
        "_calls",
        "_few",
        "_finish",
        "_held",
        "_left",
        "_link",
        "_most",
        "_out",
        "_resume",
        "_wakeups",
        "closing",
        "eof",
        "reading",
        "transport",
    )

    def __init__(
        self,
        broker: Broker,
        out: Outgoing,
        calls: Runner,
        link: _Link,
        finish: Callable[[Any, Any], None] | None = None,
    ) -> None:
        self._broker = broker
        self._out = out
        self._calls = calls
        # Made when the first call of ours is done: many servers make none.
        self._wakeups: Wakeups | None = None
        self._finish = finish
        self._link = link
        # How many calls may start before the next iteration.
        self._left = self._most = broker.limits.calls_per_turn
        self._few = (self._most - 1) // 2
        # A task was made for a call: no other may start before its first line has run.
        self._held = False
        self._resume: asyncio.Handle | None = None
        self.reading = True
        self.closing = False
        self.eof = False
        self.transport: asyncio.Transport | None = None

    def updated(self, count: int) -> None:
        """Take what the transport has read into the broker's buffer, `count` bytes."""
        if not self._broker.closed:
            self._broker.received(count)
            self.run()

    def run(self) -> None:
        """Do all that can be done now."""
        broker, out = self._broker, self._out
        # A method that ends the connection has a turn inside of the one that started it. Nothing
        # that awaits an answer may go on in the middle of that method.
        nested = out.in_turn
        out.in_turn = True
        try:
            while True:
                if self.closing:
                    # All that comes is dropped, unless that would be the end.
                    event = broker.next_event(not self.eof)
                else:
                    event = broker.next_event(self._left > 0 and not self._held)
                if event is None:
                    if nested or self._wakeups is None or not self._wakeups.run():
                        break
                elif type(event) is CallReceived:
                    self._start(event)
                elif type(event) is CallCompleted:
                    if self._finish is None:
                        self._finish = self._runs().finish
                    self._finish(event.waiter, event.value)
                else:
                    if type(event) is not Ready:
                        # It may be an error, and who awaits that goes on in the next iteration.
                        self._runs().usual = True
                    self._link._handle(event)
        except BaseException:
            # Whoever ends the program waits for its tasks, and they would wait for ever.
            if self._wakeups is not None:
                self._wakeups.put_off()
            self.go_on_soon()
            raise
        finally:
            # Before the last write, so that a reference that dies meanwhile is not overlooked.
            out.in_turn = nested
        stuck = not broker.wants_data
        out.uncork()
        if (self._left <= self._few or broker.has_waiting) and not self.closing:
            self.go_on_soon()
        if stuck or not self.reading:
            self._read_or_not(stuck)

    def _runs(self) -> Wakeups:
        if self._wakeups is None:
            self._wakeups = Wakeups(self._link._loop, raise_later)
        return self._wakeups

    def resume(self, future: "asyncio.Future[None]") -> None:
        """Let what awaits `future` go on before any call of ours is done.

        That is in this turn, unless what awaits answers is not on this loop.
        """
        if self._finish is None:
            self._runs().finish(future, None)
        elif not future.done():
            future.set_result(None)

    def _start(self, call: CallReceived) -> None:
        if self.closing:
            # Nothing starts behind `close`. But what stays unread hides the answers behind it, and
            # the method that closes may wait for one.
            call.wants_answer = False
            self._broker.answer(call, None)
            return
        self._left -= 1
        if not self._calls.start(call):
            self._hold()

    def _read_or_not(self, stuck: bool) -> None:
        broker = self._broker
        if broker.wants_data != self.reading:
            self._set_reading(broker.wants_data)
        if stuck and (self.reading or (broker.owes and not self._out.paused)):
            # What was released made room for what is read already; each turn releases some.
            self.go_on_soon()

    def _set_reading(self, reading: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self.reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # Only `_go_on` makes room for more starts, once in an iteration of the loop. It is scheduled
    # when half of the room is used, so that a few calls cost nothing.

    def _go_on(self) -> None:
        self._resume = None
        self._held = False
        self._left = self._most
        self.run()

    def go_on_soon(self) -> None:
        """Have another turn in the next iteration of the loop."""
        if self._resume is None and not self._broker.closed:
            self._resume = self._link._loop.call_soon(self._go_on)

    def _hold(self) -> None:
        self._held = True
        # An answer that arrives behind this call is not looked at before its first line.
        self._runs().usual = True
        if self._resume is not None:
            # It would come before the first line of the task.
            self._resume.cancel()
            self._resume = None
        self.go_on_soon()
