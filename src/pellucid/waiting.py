"""The calls that came and have not started, and when they may.

Calls start in the order in which they came, as many at a time as the limits allow. Updates of
caches, which are calls too, wait for none that a limit holds back: two honest peers could wait for
each other then. (Wire document, sections 7 and 11.)
"""

from collections import deque

from .errors import LimitExceeded, PBError
from .events import CallReceived
from .ledger import Ledger

__all__ = ["Refused", "Waiting"]


class Refused:
    """A call that was refused, whose answer waits for room to be sent."""

    __slots__ = ("error", "request", "size")

    def __init__(self, request: bytes, error: PBError, size: int) -> None:
        self.request = request
        self.error = error
        self.size = size


class Waiting:
    """What waits on one connection.

    `updates` holds one at most, because nothing that came behind it is looked at. `calls` is a
    deque when there is one at all: most connections never need it.
    """

    __slots__ = ("_ledger", "calls", "updates")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: deque[CallReceived | Refused] | tuple[()] = ()
        self.updates: tuple[CallReceived, ...] = ()

    def too_many(self) -> LimitExceeded:
        """Give the error for a call that may not wait."""
        limits = self._ledger.limits
        return LimitExceeded(
            f"too many calls wait (limits.calls_waiting is {limits.calls_waiting}, "
            f"limits.waiting_bytes is {limits.waiting_bytes})",
            limit="calls_waiting",
            value=limits.calls_waiting,
            remote=True,
        )

    def check_update(self, wants_answer: bool) -> None:
        """Raise LimitExceeded if what runs, or waits to be sent, is twice as much as may be."""
        self._ledger.check_twice("calls_running")
        self._ledger.check_twice("waiting_bytes")
        if wants_answer:
            self._ledger.check_twice("out_bytes")

    def begin(self, call: CallReceived, update: bool, start: bool) -> bool:
        """Take in a call. True if it starts at once, which no call does unless `start`."""
        ledger = self._ledger
        ledger.waiting_bytes += call.size
        if start and (update or (not self.calls and ledger.may_start())):
            ledger.calls_running += 1
            return True
        if update:
            self.updates = (*self.updates, call)
        else:
            self.wait(call)
        return False

    def refuse(self, refused: Refused) -> None:
        """Take in a call that was refused."""
        self._ledger.waiting_bytes += refused.size
        self.wait(refused)

    def wait(self, call: CallReceived | Refused) -> None:
        """Have it wait for its turn."""
        self._ledger.calls_waiting += 1
        if not self.calls:
            self.calls = deque()
        self.calls.append(call)

    def next(self) -> CallReceived | Refused | None:
        """Give what starts now, None if nothing may."""
        ledger = self._ledger
        if self.calls and ledger.may_start():
            call = self.calls.popleft()
            ledger.calls_waiting -= 1
            if isinstance(call, Refused):
                ledger.waiting_bytes -= call.size
                return call
        elif self.updates:
            call, *rest = self.updates
            self.updates = tuple(rest)
        else:
            return None
        ledger.calls_running += 1
        return call

    def clear(self) -> None:
        """The connection is over: nothing starts any more."""
        self._ledger.calls_waiting -= len(self.calls)
        for call in (*self.calls, *self.updates):
            self._ledger.waiting_bytes -= call.size
        self.calls = self.updates = ()
