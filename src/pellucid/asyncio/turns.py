"""Turns: what was read becomes methods that start and calls that are done, and the replies leave.

No more calls start in one iteration of the loop than `limits.calls_per_turn`, and a turn that may
be long has its time, so that other connections get theirs.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from ..broker import Broker
from ..events import CallCompleted, CallReceived, Event, Paused, Ready
from ..limits import Limits
from .calls import Runner, raise_later
from .gate import SHARE as _SHARE
from .line import LONG, TURN_TIME, Line
from .outgoing import Outgoing
from .shared import Shared
from .wakeups import Wakeups

__all__ = ["Reader", "Turns"]

# So many messages that start and finish no call are looked at between two looks at the time.
_PATIENCE = 50
# So many calls that wait may be had in a turn that nobody has to wait for.
_CROWD = 10


class _Link(Protocol):
    @property
    def _loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def _shared(self) -> Shared: ...

    def _handle(self, event: Event) -> None: ...

    def _look(self) -> None: ...


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
        "_line",
        "_link",
        "_most",
        "_out",
        "_resume",
        "_wakeups",
        "besides",
        "charged",
        "closing",
        "eof",
        "long",
        "queued",
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
        # None when the connection is over.
        self._link: Any = link
        # How many calls may start before the next iteration.
        self._left = self._most = broker.limits.calls_per_turn
        self._few = (self._most - 1) // 2
        # A task was made for a call: no other may start before its first line has run.
        self._held = False
        self._resume: asyncio.Handle | None = None
        # A turn that may be long has its time, and waits in line with those of other connections.
        self._line: Line = link._shared.line
        self.long = False
        self.queued = False
        # For keeping what was read, where the system may have to find the memory, and for answers
        # that were not written in a turn.
        self.besides = 0.0
        broker.patience = _PATIENCE
        self.reading = True
        # The server has to hear when less is held.
        self.charged = False
        self.closing = False
        self.eof = False
        self.transport: asyncio.Transport | None = None

    def use(self, limits: Limits) -> None:
        """Hold to other limits from now on."""
        self._left = self._most = limits.calls_per_turn
        self._few = (self._most - 1) // 2

    def run(self) -> None:
        """Do all that can be done now."""
        if self._link is None:
            return
        broker, out = self._broker, self._out
        ledger, releases, framer = broker.ledger, broker.releases, broker._framer
        over = perf_counter() + TURN_TIME if self.long else 0.0
        cut = False
        # A method that ends the connection has a turn inside of the one that started it. Nothing
        # that awaits an answer may go on in the middle of that method.
        nested = out.in_turn
        out.in_turn = True
        try:
            while True:
                event: Any = None
                # Behind the only message of a turn there is mostly nothing to ask for.
                if (
                    framer._chunk
                    or framer._held
                    or framer._queued
                    or broker._reports
                    or ledger.waiting_bytes
                    or self.eof
                ):
                    # Behind `close` all that comes is dropped, unless that would be the end.
                    may_start = not self.eof if self.closing else self._left > 0 and not self._held
                    event = broker.next_event(may_start)
                kind = type(event)
                if event is None:
                    if nested or self._wakeups is None or not self._wake(self._wakeups):
                        break
                elif kind is CallReceived:
                    if self.closing:
                        self._drop(event)
                    else:
                        self._left -= 1
                        if not self._calls.start(event):
                            self._hold()
                elif kind is CallCompleted:
                    if self._finish is None:
                        wakeups = self._wakeups or self._runs()
                        wakeups.finish(event.waiter, event.value)
                    else:
                        self._finish(event.waiter, event.value)
                elif kind is not Paused:
                    if kind is not Ready:
                        # It may be an error, and who awaits that goes on in the next iteration.
                        self._runs().usual = True
                    self._link._handle(event)
                # What is told of the end is told at once.
                if over and perf_counter() > over and not broker.closed:
                    cut = True
                    if not nested and self._wakeups is not None:
                        self._wakeups.run()
                    break
        except BaseException:
            self._cut_off()
            raise
        finally:
            # Before the last write, so that a reference that dies meanwhile is not overlooked.
            out.in_turn = nested
        # A call that waits or runs is charged with its bytes, so most turns need not ask.
        stuck = False
        if ledger.waiting_bytes or releases.owed:
            stuck = not broker.wants_data
        out.uncork()
        if self._left <= self._few and not self.closing:
            self.go_on_soon()
        # Most turns leave nothing behind.
        more = ledger.waiting_bytes or ledger.out_bytes or framer._held or broker._reports
        if more or cut or stuck or self.long or self.charged or not self.reading:
            self._leave_behind(cut, stuck)

    def _leave_behind(self, cut: bool, stuck: bool) -> None:
        broker = self._broker
        ledger = broker.ledger
        waits = bool(broker._reports or (ledger.waiting_bytes and broker.has_waiting))
        if waits and not self.closing:
            self.go_on_soon()
        if cut:
            self._line.again(self)
        elif stuck or not self.reading:
            self._read_or_not(stuck)
        # What comes in pieces may be much when it is there.
        self.long = cut or ledger.calls_waiting > _CROWD or broker._framer._held > 0
        if self.long or self.charged or ledger.waiting_bytes + ledger.out_bytes > _SHARE:
            self._link._look()

    def _wake(self, wakeups: Wakeups) -> bool:
        # Tells whether there may be more to do. Where no call waits or runs, all that was read has
        # been looked at, and what goes on reads nothing.
        broker = self._broker
        rests = not (broker.ledger.waiting_bytes or broker.releases.owed or self.eof)
        if not wakeups.run():
            return False
        if rests and not (broker._reports or wakeups.waiting):
            wakeups.usual = False
            return False
        return True

    def _cut_off(self) -> None:
        # Whoever ends the program waits for its tasks, and they would wait for ever.
        if self._wakeups is not None:
            self._wakeups.put_off()
        self.go_on_soon()

    def leave(self) -> None:
        """The connection is over, and there are no more turns: forget it."""
        self._link = None

    def leave_line(self) -> None:
        """Nothing is read any more: the line of the loop shall not keep this."""
        self._line.leave(self)

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

    def _drop(self, call: CallReceived) -> None:
        # Nothing starts behind `close`. But what stays unread hides the answers behind it, and the
        # method that closes may wait for one.
        call.wants_answer = False
        self._broker.answer(call, None)

    def _read_or_not(self, stuck: bool) -> None:
        broker = self._broker
        if broker.wants_data != self.reading:
            self._set_reading(broker.wants_data)
        if stuck and (self.reading or (broker.owes and not self._out.paused)):
            # What was released made room for what is read already; each turn releases some.
            self.go_on_soon()

    def stop_reading(self) -> None:
        """Read nothing until the turn that this waits for."""
        if self.reading:
            self._set_reading(False)

    def _set_reading(self, reading: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self.reading = reading
        # One of uvloop may be closed already and not closing.
        with suppress(RuntimeError):
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
        if self.long:
            self._line.turn(self, self._link._loop)
        else:
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


class Reader:
    """What a transport reads into, and the turn for what was read."""

    __slots__ = ("_broker", "_turns")

    _broker: Broker
    _turns: Turns

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room to read into."""
        return self._broker._framer.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the transport has read."""
        broker, turns = self._broker, self._turns
        if broker.closed:
            return
        if nbytes <= LONG and not turns.long:
            broker._framer.received(nbytes)
            line = turns._line
            if line.active is not turns:
                line.before = line.active
                line.active = turns
            turns.run()
        else:
            turns.long = True
            began = perf_counter()
            broker.received(nbytes)
            turns.besides += perf_counter() - began
            turns._line.turn(turns, turns._link._loop)
