"""What leaves over one connection: when it is written, and whether the other side takes it.

A transport of Twisted does not tell how much of what was written has not left. But it tells a
producer when that is too much, and when it has left. So after some writing this registers as one,
writes, and is none any more if the transport did not mind; else it holds back what comes until the
transport asks for more. A producer that stayed registered would keep TLS from being closed.
"""

from typing import Any, Final

from twisted.python import log

from ..broker import Broker as Core
from ..errors import LimitExceeded
from .timers import Timers
from .transports import is_plain_socket, send_now

__all__ = ["Outgoing"]

_NO_TIMERS: Final = Timers()

# So much may be written without asking whether it is too much.
_UNASKED: Final = 64 * 1024
# So much is written at a time if there is more. A transport minds above 64 KiB.
_CHUNK: Final = 128 * 1024
# So much is sent at once if the system takes it. Other connections want their turn.
_AT_ONCE: Final = 1024 * 1024

# What the transport knows this as: as nothing, as one that goes on until it is told to pause, or as
# one that is asked for each page.
_NONE: Final = 0
_PUSH: Final = 1
_PULL: Final = 2


class Outgoing:
    """The way from the core to the transport.

    `producer` is what the transport knows, which hands on what it hears to `paused` and `resumed`.
    `pagers` are the page producers of the application, which are asked for a page whenever there is
    room, which `producer.pageProducers` are. `producer._abort(error)` is called when the other side
    took nothing for `limits.stall_time`.
    """

    __slots__ = (
        "_at",
        "_close",
        "_core",
        "_direct",
        "_flushing",
        "_holding",
        "_holds",
        "_lingers",
        "_mode",
        "_producer",
        "_rest",
        "_spent",
        "_taken",
        "_timers",
        "_transport",
        "_unasked",
    )

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._core: Core
        self._timers = _NO_TIMERS
        self._transport: Any = None
        # Whether anything is held back at all, and whether it is now.
        self._holds = False
        self._holding = False
        self._lingers = False
        self._mode = _NONE
        self._flushing = False
        self._unasked = 0
        # Whether the transport lets data leave at once, and whether that has been done for what was
        # written outside of a turn, since the last one. So many small writes are few sends.
        self._direct = False
        self._spent = False
        # What the core has given out and the transport has not got, from `_at` on.
        self._rest = b""
        self._at = 0
        # How often the transport has asked for more.
        self._taken = 0
        # How the transport was closed, if not as its class does.
        self._close: Any = None

    @property
    def pagers(self) -> list[Any]:
        """The page producers of the application."""
        found: list[Any] = self._producer.pageProducers
        return found

    def start(
        self, core: Core, transport: Any, timers: Timers, *, holds: bool, lingers: bool
    ) -> None:
        """The transport is there. Unless it `holds` everything is written at once.

        One that `lingers` collects what is written, and tells a moment later what it thinks of it.
        """
        self._core = core
        self._timers = timers
        self._transport = transport
        self._holds = holds
        self._lingers = lingers
        if holds:
            self._direct = is_plain_socket(transport)
            self._flush_before_close(transport)

    def _flush_before_close(self, transport: Any) -> None:
        # What is ready leaves at the end of a turn. A program closes the connection through the
        # transport, and what it called before that has to leave.
        close = transport.loseConnection
        if getattr(close, "__func__", None) is not getattr(type(transport), "loseConnection", 0):
            self._close = close
        transport.loseConnection = self._flush_and_close

    def _flush_and_close(self, *args: Any, **kwargs: Any) -> Any:
        self.flush()
        if self._close is not None:
            return self._close(*args, **kwargs)
        return type(self._transport).loseConnection(self._transport, *args, **kwargs)

    def stop(self) -> None:
        """The transport is gone: what is still to be sent goes nowhere."""
        if self._transport is None:
            return
        if self._holds:
            del self._transport.loseConnection
        self._transport = None
        self._rest = b""
        self._mode = _NONE
        self._holding = False
        self._core.data_to_send()
        self._core.data_left(0)
        self.pagers.clear()

    def flush(self, ends_turn: bool = False) -> None:
        """Write what is ready to be sent, or hold it back.

        Where the transport allows it, it leaves at once: always at the end of a turn, and once
        between two of them.
        """
        if self._holding or self._flushing or self._transport is None:
            return
        core = self._core
        # A finalizer may run in the midst of this, and want the same.
        self._flushing = True
        try:
            while self._transport is not None and (data := core.data_to_send()):
                if self._direct and (ends_turn or not self._spent):
                    self._spent = True
                    data = self._send(data)
                if self._holds:
                    self._unasked += len(data)
                    if self._unasked > _UNASKED:
                        if self._offer(data):
                            continue
                        return
                if data:
                    self._transport.write(data)
                # Of many releases not all leave in one piece, and a transport that delivers at once
                # may have brought new messages about.
                if not core.owes and not core.messages_to_send:
                    return
        finally:
            self._flushing = False
            if ends_turn:
                self._spent = False

    def write(self, data: bytes) -> None:
        """Write what did not come from the core, behind what did."""
        self.flush()
        if self._holding:
            self._rest = self._rest[self._at :] + self._core.data_to_send() + data
            self._at = 0
            self._core.data_left(len(self._rest))
        elif self._transport is not None:
            self._transport.write(data)

    # Sending at once.

    def _send(self, data: bytes) -> bytes:
        """Send what leaves at once of a little, and give what is left."""
        if len(data) > _UNASKED:
            return data
        sent = send_now(self._transport, data)
        if not sent:
            return data
        self._unasked = 0
        return data[sent:]

    def _send_from(self, data: bytes, at: int) -> int:
        """Send what leaves at once from `at` on, and tell from where on it is left."""
        part, end = memoryview(data), min(len(data), at + _AT_ONCE)
        while at < end:
            sent = send_now(self._transport, part[at : at + _CHUNK])
            if not sent:
                break
            at += sent
        return at

    # Asking the transport.

    def _offer(self, data: bytes) -> bool:
        """Write as much of it as the transport likes. Tell whether it likes more."""
        self._unasked = 0
        at = self._send_from(data, 0) if self._direct else 0
        if at == len(data):
            return True
        if self._mode == _NONE and not self._register(_PUSH):
            # The application produces, in its own way, and hears in our place.
            self._transport.write(data[at:])
            return True
        self._keep(data, at)
        self._put()
        if self._holding:
            return False
        self._let_go()
        return True

    def _put(self) -> None:
        """Write of the rest what the transport likes."""
        transport = self._transport
        while self._rest and not self._holding:
            end = self._at + _CHUNK
            part = self._rest[self._at : end]
            self._keep(self._rest, end)
            transport.write(part)
            if self._mode == _PULL:
                self.paused()

    def _keep(self, data: bytes, at: int) -> None:
        """What is left is `data` from `at` on."""
        done = at >= len(data)
        self._rest = b"" if done else data
        self._at = 0 if done else at
        self._core.data_left(len(self._rest) - self._at)

    def _register(self, mode: int) -> bool:
        self._mode = mode
        try:
            self._transport.registerProducer(self._producer, mode == _PUSH)
        except RuntimeError:
            self._mode = _NONE
            return False
        return True

    def _let_go(self) -> None:
        """There is nothing to wait for: be no producer any more, unless there are pages."""
        if self._mode == _PUSH and self._lingers and not self.pagers:
            self._timers.start("linger", 0, self._linger, 1)
        elif not self.pagers or self._mode == _PUSH:
            self._unregister()
            if self.pagers:
                self._register(_PULL)

    def _linger(self, turns: int) -> None:
        if self._mode != _PUSH or self._holding:
            return
        if turns:
            self._timers.start("linger", 0, self._linger, turns - 1)
        else:
            self._unregister()

    def _unregister(self) -> None:
        if self._mode != _NONE:
            self._mode = _NONE
            self._transport.unregisterProducer()

    def paused(self) -> None:
        """The transport has enough."""
        if not self._holding and self._mode != _NONE:
            self._holding = True
            self._timers.start("stall", self._core.limits.stall_time, self._look, self._taken)

    def resumed(self) -> None:
        """The transport asks for more."""
        if self._transport is None:
            return
        self._taken += 1
        self._unasked = 0
        self._holding = False
        if self._direct and self._rest:
            self._keep(self._rest, self._send_from(self._rest, self._at))
        self._put()
        self.flush()
        if not self._holding and self._mode == _PULL:
            self._ask_pagers()
        if not self._holding:
            self._let_go()

    def _look(self, taken_before: int) -> None:
        """See whether the other side has taken anything for a while."""
        if not self._holding:
            return
        stall_time = self._core.limits.stall_time
        if self._taken != taken_before:
            self._timers.start("stall", stall_time, self._look, self._taken)
            return
        self._producer._abort(
            LimitExceeded(
                f"the peer took nothing for {stall_time} s (limits.stall_time)",
                limit="stall_time",
                value=self._core.ledger.used("out_bytes"),
                remote=True,
            )
        )

    # Pages.

    def page(self, pager: Any) -> None:
        """Ask for pages from now on, one whenever there is room.

        Raises RuntimeError if the application has a producer of another kind on the transport.
        """
        if self._transport is None:
            return
        self.pagers.append(pager)
        if self._mode == _PUSH and not self._holding:
            self._unregister()
        if self._mode == _NONE and not self._register(_PULL):
            self.pagers.remove(pager)
            raise RuntimeError("the transport has a producer that is not this connection's")
        if self._mode == _PULL and not self._holding and not self._unasked:
            # Who has his first page a moment later would wait for whatever else is written.
            self._timers.start("page", 0, self._page_late)

    def _page_late(self) -> None:
        if self._mode == _PULL and not self._holding:
            self.resumed()

    def _ask_pagers(self) -> None:
        for pager in self.pagers[:]:
            try:
                pager.sendNextPage()
                still = pager.stillPaging()
            except Exception:
                log.err(None, "PB: a page producer failed")
                # There is no other way to tell the other side that nothing more comes.
                still = False
                if self._transport is not None:
                    self._transport.loseConnection()
            if not still and pager in self.pagers:
                self.pagers.remove(pager)
