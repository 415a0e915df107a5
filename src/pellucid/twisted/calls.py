"""Running the methods that the other side calls, and answering.

A method is run at once, and answered at once unless it gave a Deferred or was `async def`.
"""

from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python import log
from twisted.python.failure import Failure

from .. import errors as core_errors
from ..broker import Broker as Core
from ..events import CallReceived
from ..login import LoggedIn
from ..seldom import Seldom
from .errors import (
    BananaError,
    DeadReferenceError,
    Error,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    translated,
)
from .failures import as_sent, is_received
from .flavors import Referenceable
from .logs import SHOWN, line_of, log_seldom, shown
from .views import as_lists

__all__ = ["AsItStands", "Calls"]

_UNSENDABLE = "the method raised an error that can't be sent"
_LATER = (Deferred, CoroutineType)
_FOR_WHOM_THEY_SAY = (Referenceable, LoggedIn)
# What one that reads its arguments itself raises because of them.
_MISSHAPEN = (core_errors.InsecureJelly, core_errors.ProtocolError, core_errors.LimitExceeded)
_MISREAD = (*_MISSHAPEN, ProtocolError, BananaError)
# What one that writes its result itself raises when there is nobody left to write to.
_ENDED = (core_errors.InsecureJelly, core_errors.ConnectionLost, DeadReferenceError)
_OVER = (*_ENDED, core_errors.DeadReferenceError, PBConnectionLost)
_NO_KEYWORDS: dict[str, Any] = {}


class AsItStands:
    """A value that is an s-expression already."""

    __slots__ = ("sexp",)

    def __init__(self, sexp: Any) -> None:
        self.sexp = sexp

    def write_jelly(self, encoder: Any) -> None:
        """Write it into a message."""
        encoder.write_sexp(as_lists(self.sexp))


class Calls:
    """The calls that came over one connection.

    `broker` is the Twisted face's Broker. It hears when there is an answer to send, and tells what
    is sent for an answer that can't be.
    """

    __slots__ = ("_broker", "_core", "_seldom")

    def __init__(
        self,
        broker: Any,
        core: Core,
        seldom: Seldom,
    ) -> None:
        self._broker = broker
        self._core = core
        self._seldom = seldom

    def start(self, call: CallReceived) -> None:
        """Run the method that is called."""
        target = call.target
        raw = getattr(type(target), "takes_jelly", False)
        try:
            if raw:
                result = target.remoteMessageReceived(self._broker, call.name, *call.args)
            else:
                result = target.find_method(call.name)(*call.args, **call.kwargs)
        except BaseException:
            self._raised(call)
            return
        # What came with the call is the method's own affair from here on.
        call.args = ()
        call.kwargs = _NO_KEYWORDS
        if isinstance(result, _LATER):
            try:
                self._wait(result, call, raw)
            except BaseException:
                self._raised(call)
        else:
            self._answer(result, call, raw)

    def _wait(self, result: Any, call: CallReceived, raw: bool) -> None:
        waiting = result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)
        waiting.addCallbacks(
            self._came, self._failed, callbackArgs=(call, raw), errbackArgs=(call,)
        )

    def _came(self, value: Any, call: CallReceived, raw: bool) -> None:
        self._answer(value, call, raw)
        if isinstance(value, LoggedIn):
            self._core.behind(value.settle)

    def _answer(self, value: Any, call: CallReceived, raw: bool) -> None:
        if raw:
            value = AsItStands(value)
        elif call.perspective is None and isinstance(call.target, _FOR_WHOM_THEY_SAY):
            # Its arguments are nobody's, and its result is for whom it says.
            call.perspective = getattr(call.target, "perspective", None)
        try:
            refused = self._core.answer(call, value, self._broker._unsendable)
        except BaseException:
            # The other side has heard of it.
            log.err(None, f"writing the result of {call.name[:SHOWN]!r} was interrupted")
        else:
            if refused is not None:
                self._log_refused(refused, call)
                # Its traceback leads back to this frame, and would keep the call and its result.
                del refused
        self._broker._answered()

    def _raised(self, call: CallReceived) -> None:
        """Answer with what is being raised."""
        try:
            failure = Failure()
        except BaseException:
            # It does not even let its class be asked for.
            failure = Failure(Error(_UNSENDABLE))
        self._failed(failure, call)

    def _failed(self, failure: Failure, call: CallReceived) -> None:
        core = self._core
        try:
            error, traceback = self._seen(failure, call)
        except BaseException:
            error, traceback = Error(_UNSENDABLE), None
        core.tracebacks = bool(getattr(self._broker.factory, "unsafeTracebacks", False))
        try:
            core.fail(call, error, traceback)
        except BaseException:
            # The other side has heard of it.
            log.err(None, f"writing the error of {call.name[:SHOWN]!r} was interrupted")
        self._broker._answered()

    def _seen(self, failure: Failure, call: CallReceived) -> tuple[BaseException, str | None]:
        """Log a failure, and give what is sent of it."""
        broker = self._broker
        unsafe = getattr(broker.factory, "unsafeTracebacks", False)
        sent = as_sent(failure, broker.security, unsafe)
        if not _is_expected(failure):
            self._log(failure, call)
        elif not call.wants_answer:
            self._log_unheard(failure, call)
        return sent

    # What is logged.

    def _log(self, failure: Failure, call: CallReceived) -> None:
        value, raw = failure.value, getattr(type(call.target), "takes_jelly", False)
        if getattr(failure, "is_logged", False):
            return
        if raw and self._core.closed and isinstance(value, _OVER):
            return
        what = shown(failure), "Peer will receive following PB traceback:"
        misread = raw and isinstance(value, _MISREAD)
        if misread or isinstance(value, NoSuchMethod) or is_received(failure):
            log_seldom(self._seldom, log.err, *what)
        else:
            log.err(*what)

    def _log_unheard(self, failure: Failure, call: CallReceived) -> None:
        """Tell, in one line, of an error that no answer tells of."""
        what, name = type(call.target).__name__, call.name[:SHOWN]
        text = line_of(failure.getErrorMessage())
        line = f"PB: a call that wants no answer failed, {name!r} of a {what}: {text}"
        log_seldom(self._seldom, log.msg, line)

    def _log_refused(self, refused: BaseException, call: CallReceived) -> None:
        error = translated(refused)
        if not isinstance(error, core_errors.Error):
            log.err(shown(Failure(error)), f"the result of {call.name[:SHOWN]!r} can't be sent")


def _is_expected(failure: Failure) -> bool:
    """Tell whether the caller was meant to see it."""
    return isinstance(failure.value, core_errors.Error) or failure.check(Error) is not None
