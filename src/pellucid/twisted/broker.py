"""One connection, as Twisted programs know it: a protocol over the broker of the core."""

from dataclasses import replace
from threading import get_ident
from time import monotonic
from types import CoroutineType
from typing import Any, Final
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import connectionDone
from twisted.python import log
from twisted.python.failure import Failure

from .. import errors as core_errors
from ..broker import Broker as Core
from ..errors import ConnectionLost, LimitExceeded, RemoteProtocolError
from ..events import CallCompleted, CallFailed, CallReceived, Closed, PeerFault, Ready, Unobserved
from ..failures import received_error
from ..limits import Limits
from ..seldom import Seldom
from . import banana
from .answer import Answer
from .banana import Banana
from .calls import Calls
from .errors import Error, PBConnectionLost, stale, translated
from .failures import as_sent
from .jellier import Jellier
from .logs import log_seldom, shown
from .notifying import Notifying, run
from .once import Once, made_list, made_table, pens_here
from .outgoing import Outgoing
from .reference import make_observer, make_reference
from .registering import SpreadRegistry
from .security import globalSecurity
from .sizes import resized
from .timers import Timers
from .transports import (
    cut,
    is_encrypted,
    name_of_peer,
    reactor_of,
    send_without_delay,
    set_reading,
)
from .views import Local, Views, tell_released, tell_unobserved

__all__ = ["MAX_BROKER_REFS", "Broker", "Local"]

MAX_BROKER_REFS = 1024
"""So many objects may the other side hold of this one, on connections that are made from now on."""

_SPECIAL: Final = frozenset(("pbanswer", "pbcallback", "pberrback"))
# A copy that missed an update because of these would be wrong from then on.
_FULL: Final = frozenset(("out_bytes", "calls_pending"))
# So many refusals because of a full table are forgiven.
_FORGIVEN: Final = 3
_TABLES: Final = {"references_exported": "reference", "caches_exported": "cache"}

_logs: WeakKeyDictionary[Any, Seldom] = WeakKeyDictionary()


class Broker(Views, Notifying, Banana):
    """One connection between two programs, from either side of it.

    A factory makes it and is its `factory`. `limits` is what the connection may cost, and
    `knownDialects` what it may speak; both can be set until there is a transport. `security` says
    what may come in. `disconnected` is true when the connection has ended.
    """

    __module__ = "twisted.spread.pb"

    version = 6
    username: Any = None
    factory: Any = None
    limits = Limits(references_exported=MAX_BROKER_REFS + 1, caches_exported=MAX_BROKER_REFS + 1)
    disconnected: Any = 0
    maxBrokerRefsViolations = 0

    # Why the connection has ended, from before anybody hears of it.
    _lost_reason: Failure | None = None
    _has_core = False
    _timers = Timers()
    _thread = 0
    _reactor: Any = None
    _woken = False
    _in_turn = False
    _reading = True
    # How many calls may start before others get their turn. Below 0 there is no bound.
    _starts_left = -1
    _few_starts = -1
    _closing = False

    pageProducers: Any = Once(made_list)
    # Programs look at it. An object hears by itself that it was released.
    _localCleanup: Any = Once(made_table)
    _owed: Any = Once(made_table)
    _names: Any = Once(made_table)

    def __init__(self, isClient: Any = 1, security: Any = globalSecurity) -> None:
        Banana.__init__(self, isClient)
        self.security = security
        self._out = Outgoing(self)

    @Once
    def _core(self) -> Core:
        self._has_core = True
        core = Core(
            "client" if self.isClient else "server",
            limits=_current_limits() if self.limits is Broker.limits else self.limits,
            registry=SpreadRegistry(self.security, self),
            dialects=[name.decode() for name in self.knownDialects],
            reference_type=make_reference,
            observer_type=make_observer,
            face=self,
            host=Jellier(self.security, self, strict=True),
            error_value=_error_value,
            pens=pens_here(),
        )
        for name, target in self._names.items():
            self._publish(core, name, target)
        del self._names
        return core

    @Once
    def _calls(self) -> Calls:
        return Calls(self, self._core, self._seldom)

    @Once
    def _seldom(self) -> Seldom:
        """What tells whether to log what others can cause as often as they like."""
        try:
            # A server has one for all its connections.
            return _logs.setdefault(self.factory, Seldom(monotonic))
        except TypeError:
            return Seldom(monotonic)

    # The transport's life.

    def connectionMade(self) -> None:
        """Begin: the transport is there."""
        core, transport = self._core, self.transport
        self._thread = get_ident()
        self.setPrefixLimit(-(-core.limits.integer_bits // 7))
        encrypted = is_encrypted(transport)
        self._reactor = reactor_of(transport)
        if self._reactor is not None:
            send_without_delay(transport)
            self._timers = Timers(self._reactor)
            self._starts_left = core.limits.calls_per_turn
            self._few_starts = (self._starts_left - 1) // 2
            time = core.limits.handshake_time * (2 if encrypted else 1)
            self._timers.start("handshake", time, self._handshake_over, time)
        holds = self._reactor is not None
        self._out.start(core, transport, self._timers, holds=holds, lingers=encrypted)
        self._out.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hear that the transport is gone. What has come is still started.

        Then calls that wait fail with PBConnectionLost, the owners of caches are told, and last
        those who asked for it with `notifyOnDisconnect`.
        """
        if self.disconnected:
            return
        self._starts_left = self._few_starts = -1
        if not self._in_turn:
            self._turn()
        self.disconnected = 1
        if self._lost_reason is None:
            self._lost_reason = reason
        self._timers.cancel_all()
        core = self._core
        core.close(reason.value)
        self._turn()
        self._out.stop()
        core.ledger.release("references_exported", self._named)
        self._named = 0
        self._owed.clear()
        self._tell_of_end()

    # What arrives.

    def dataReceived(self, chunk: bytes) -> None:
        """Take bytes that arrived."""
        core = self._core
        if not core.closed:
            core.receive_data(chunk)
            self._turn()

    def _turn(self) -> None:
        """See to all that has arrived or happened, and write what comes of it."""
        if self._in_turn:
            # An application delivers from within a method, as tests do.
            self._take_events()
            return
        again = True
        while again:
            self._in_turn = True
            try:
                self._take_events()
            finally:
                # Before the last write, so that a reference that dies meanwhile is not overlooked.
                self._in_turn = False
            again = self._end_turn()

    def _take_events(self) -> None:
        next_event = self._core.next_event
        start = self._calls.start
        while True:
            event = next_event()
            if event is None:
                return
            if type(event) is CallReceived:
                start(event)
                self._starts_left -= 1
                if not self._starts_left:
                    return
            elif type(event) is CallCompleted:
                try:
                    event.waiter.callback(event.value)
                except Exception:
                    log.err(None, "a result could not be delivered")
            else:
                self._handle(event)

    def _end_turn(self) -> bool:
        """Write, and see who goes on and when. Tells whether that is to be at once."""
        core, left = self._core, self._starts_left
        stuck = not core.wants_data
        self._out.flush(True)
        if self._closing:
            self._close()
        reading = left != 0 and (not stuck or core.wants_data)
        if reading is not self._reading:
            self._set_reading(reading)
        # What left may have made room for what is read already.
        more = (stuck and reading) or core.has_waiting
        if self._reactor is None:
            return more and not self.disconnected
        if more or left <= self._few_starts:
            self._go_on_soon()
        return False

    def _go_on_soon(self) -> None:
        """Have the next calls start in the next iteration of the reactor."""
        if self._reactor is None:
            self._wake_up()
        else:
            self._timers.start("turn", 0, self._go_on)

    def _go_on(self) -> None:
        self._starts_left = self._core.limits.calls_per_turn
        self._turn()

    def _set_reading(self, reading: bool) -> None:
        self._reading = reading
        if not self.disconnected:
            set_reading(self.transport, reading)

    def _wake(self) -> None:
        # The core has something to say: from a finalizer, in any thread, in the midst of anything.
        ours = get_ident() == self._thread
        if ours and self._in_turn:
            return
        if self._reactor is not None:
            if not self._woken:
                self._woken = True
                self._reactor.callFromThread(self._wake_up)
        else:
            # In memory nothing comes later that could see to it.
            self._woken = True
            if ours:
                self._out.flush()

    def _wake_up(self) -> None:
        self._woken = False
        if not self.disconnected:
            self._turn()

    # What the core reports.

    def _handle(self, event: Any) -> None:
        kind = type(event)
        if kind is CallFailed:
            run(event.waiter.errback, self._failure_of(event.error))
        elif kind is Ready:
            self._timers.cancel("handshake")
            run(self._selectDialect, event.dialect.encode())
        elif kind is Unobserved:
            self._unobserved(event)
        elif kind is PeerFault:
            self._log_fault(event)
        elif kind is Closed:
            self._ended(event.error)
        else:
            run(tell_released, event)

    def _unobserved(self, event: Unobserved) -> None:
        told = run(tell_unobserved, event)
        if isinstance(told, CoroutineType):
            told = Deferred.fromCoroutine(told)
        if isinstance(told, Deferred):
            told.addErrback(lambda failure: log.err(failure, "PB: stoppedObserving failed"))
            told.addCallback(lambda _: self._forget_copy(event))
        else:
            self._core.unobserved(event)

    def _forget_copy(self, event: Unobserved) -> None:
        self._core.unobserved(event)
        self._answered()

    def _failure_of(self, error: Any) -> Failure:
        if isinstance(error, Failure):
            return error
        if type(error) is ConnectionLost:
            if self._lost_reason is None:
                self._lost_reason = Failure(translated(error.__cause__ or error))
            return Failure(PBConnectionLost(self._lost_reason))
        return Failure(translated(error) if isinstance(error, BaseException) else error)

    def _log_fault(self, fault: PeerFault) -> None:
        text = f"PB: {name_of_peer(self.transport)}: {fault.text}"
        if fault.cause is None:
            log_seldom(self._seldom, log.msg, text)
        else:
            log_seldom(self._seldom, log.err, shown(Failure(fault.cause)), text)

    # The end.

    def _ended(self, error: BaseException | None) -> None:
        """The core is through."""
        if self.disconnected or error is None:
            return
        self._closing = True
        if self._lost_reason is None:
            self._lost_reason = Failure(translated(error))
        why = f"PB: the connection to {name_of_peer(self.transport)} was ended"
        if self._core.ready:
            log_seldom(self._seldom, log.err, shown(Failure(translated(error))), why)
        else:
            log_seldom(self._seldom, log.msg, f"{why}: {error}")

    def _close(self) -> None:
        """Close the transport in order: what is written still leaves."""
        self._closing = False
        self.transport.loseConnection()
        self._timers.start("close", self._core.limits.close_time, cut, self.transport)

    def _abort(self, error: BaseException) -> None:
        """End the connection at once, because of `error`."""
        if not self.disconnected:
            self._core.close(error)
            self._turn()
            cut(self.transport)

    def _handshake_over(self, seconds: float) -> None:
        late = RemoteProtocolError(f"no dialect was agreed within {seconds:g} s")
        self._abort(late)

    # Calls of ours.

    def _call(self, handle: Any, name: str | bytes, args: Any, kw: dict[str, Any]) -> Any:
        core = self._core
        if self.disconnected or core.closed:
            raise stale()
        if kw and not _SPECIAL.isdisjoint(kw):
            return self._call_specially(handle, name, args, kw)
        waiter: Deferred[Any] = Answer()
        try:
            core.call(waiter, handle, name if type(name) is str else _text(name), args, kw)
        except Exception as error:
            return self._not_called(error, handle)
        if not self._in_turn:
            self._out.flush()
            if self._woken and self._reactor is None:
                self._wake_up()
        elif self._reactor is None:
            self._out.flush()
        return waiter

    def _call_specially(self, handle: Any, name: Any, args: Any, kw: dict[str, Any]) -> Any:
        """Call as the keywords say that are not for the method."""
        callback, errback = kw.pop("pbcallback", None), kw.pop("pberrback", None)
        if kw.pop("pbanswer", True):
            waiter = self._call(handle, name, args, kw)
            if callback is not None:
                waiter.addCallbacks(callback, errback)
            elif errback is not None:
                waiter.addErrback(errback)
            return waiter
        if callback is not None or errback is not None:
            raise TypeError("without an answer there is nothing to call back with")
        try:
            self._core.call(None, handle, _text(name), args, kw)
        except Exception as error:
            return self._not_called(error, handle)
        if not self._in_turn or self._reactor is None:
            self._out.flush()
        return None

    def _not_called(self, error: Exception, handle: Any) -> Deferred[Any]:
        full = isinstance(error, LimitExceeded) and error.limit in _FULL
        if isinstance(error, core_errors.DeadReferenceError):
            raise stale() from None
        if full and handle.is_observer:
            # Not at once, for a message may be half written.
            if self._reactor is None:
                self._abort(error)
            self._timers.start("full", 0, self._abort, error)
        return fail(Failure(self._refusal(error)))

    def _refusal(self, error: BaseException) -> BaseException:
        """Give what a program sees in place of an error of the core, and count it."""
        found = self._counted(error)
        if self._closing and not self._in_turn:
            self._go_on_soon()
        return found

    def _counted(self, error: BaseException) -> BaseException:
        if isinstance(error, LimitExceeded) and error.limit in _TABLES:
            text = f"Maximum PB {_TABLES[error.limit]} count exceeded."
            self.maxBrokerRefsViolations += 1
            if self.maxBrokerRefsViolations > _FORGIVEN:
                text += "  Goodbye."
                self._closing = True
            return Error(text)
        return translated(error)

    # Answers of ours.

    def _answered(self) -> None:
        """There is an answer to send."""
        if self._in_turn:
            return
        self._out.flush()
        if not self._reading or self._core.has_waiting or self._woken or self._closing:
            self._go_on_soon()

    def _unsendable(self, error: BaseException) -> BaseException:
        """Give what goes out in place of an answer that can't be sent."""
        unsafe = getattr(self.factory, "unsafeTracebacks", False)
        return as_sent(Failure(self._counted(error)), self.security, unsafe)[0]

    # Messages by themselves.

    def sendCall(self, *exp: Any) -> None:
        """Send a message that is put together by hand."""
        self.sendEncoded(exp)

    def _put(self, data: bytes) -> None:
        self._out.write(data)

    # Producing.

    def registerPageProducer(self, pager: Any) -> None:
        """Ask `pager` for a page whenever what was written before has left.

        That is `sendNextPage()`, and then `stillPaging()` tells whether there are more.
        """
        self._out.page(pager)

    def resumeProducing(self) -> None:
        """Hear from the transport that it wants more."""
        self._out.resumed()
        if not self._in_turn and (not self._reading or self._core.has_waiting):
            self._go_on_soon()

    def pauseProducing(self) -> None:
        """Hear from the transport that it has enough."""
        self._out.paused()

    def stopProducing(self) -> None:
        """Do nothing: it is `connectionLost` that tells of the end."""

    def __repr__(self) -> str:
        side = "client" if self.isClient else "server"
        state = "closed" if self.disconnected else "open" if self.currentDialect else "opening"
        return f"<twisted.spread.pb.Broker {state}, of the {side}>"


def _current_limits() -> Limits:
    """Give the limits of a connection whose program has chosen none, as they are set now."""
    limits, most = Broker.limits, MAX_BROKER_REFS + 1
    if limits.references_exported != most:
        limits = replace(limits, references_exported=most, caches_exported=most)
    return resized(limits, banana.SIZE_LIMIT, banana.New.prefix_limit)


def _error_value(value: Any) -> Any:
    """Give what a call fails with whose `error` has this value."""
    return value if isinstance(value, (Failure, BaseException)) else received_error(value)


def _text(name: Any) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, bytes):
        return name.decode()
    raise TypeError(f"the name of a method is text, not {type(name).__name__}")
