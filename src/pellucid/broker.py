"""One connection, without I/O, clock or thread: bytes in, events out; verbs in, bytes out.

A face feeds it with what arrives, takes events one at a time, runs the methods that they name, and
sends what `data_to_send` gives. Nothing here raises because of what the other side sent: what is
wrong inside of one call costs that call, and what is wrong with a message costs the connection.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from . import messages
from .banana import DIALECTS, NONE, Dialect, Framer, decode, encode, skip_item
from .errors import (
    ConnectionLost,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    PBError,
    RemoteError,
    RemoteProtocolError,
)
from .events import CallCompleted, CallFailed, CallReceived, Closed, Event, PeerFault, Ready
from .failures import FAILURE_TAG, failure_state, read_failure
from .jelly import Decoder, Encoder, carried
from .limits import Ledger, Limits
from .references import Exports, Imports, Keyhole, RemoteReference
from .registry import Registry

__all__ = ["Broker"]

ROOT: Final = b"root"
# So many `decref` leave at once: a peer that had many counted does not make us write them all.
_RELEASES_AT_ONCE: Final = 4096


def _nothing() -> None:
    pass


class _Refused:
    """A call that was refused, whose answer waits for room to be sent."""

    __slots__ = ("error", "request", "size")

    def __init__(self, request: bytes, error: PBError, size: int) -> None:
        self.request = request
        self.error = error
        self.size = size


class Broker:
    """The state machine of one connection, as "client" or as "server" (section 3).

    `root` is what the other side may call under the name `root`. `wake()` is called, from any
    thread, when `data_to_send` has something to say that no other call here caused.
    `reference_type(broker, luid)` makes the handles on the other side's objects. `buffer` is room
    for `get_buffer`, which several brokers may share.
    """

    __slots__ = (
        "__weakref__",
        "_dialect",
        "_dialects",
        "_encoder",
        "_eof",
        "_framer",
        "_is_server",
        "_keyhole",
        "_last_request",
        "_left",
        "_out",
        "_pending",
        "_reference_type",
        "_reports",
        "_waiting",
        "_writer",
        "closed",
        "exports",
        "imports",
        "ledger",
        "limits",
        "ready",
        "registry",
        "root",
        "tracebacks",
    )

    def __init__(
        self,
        role: str,
        *,
        root: Any = None,
        limits: Limits | None = None,
        registry: Registry | None = None,
        dialects: Sequence[str] = ("pb", "none"),
        reference_type: Callable[["Broker", int | bytes], RemoteReference] = RemoteReference,
        wake: Callable[[], None] = _nothing,
        buffer: memoryview | None = None,
        tracebacks: bool = False,
    ) -> None:
        if role not in ("client", "server"):
            raise ValueError(f"a broker is a 'client' or a 'server', not {role!r}")
        self.limits = Limits() if limits is None else limits
        self.ledger = Ledger(self.limits)
        self.registry = _with_failures(Registry() if registry is None else registry)
        self.tracebacks = tracebacks
        self.ready = False
        self.closed = False
        self._is_server = role == "server"
        self._dialects = tuple(dialects)
        self._framer = Framer(NONE, self.limits, buffer)
        self.exports = Exports(self.ledger)
        self.imports = Imports(self.ledger, self._make_reference, wake)
        self._reference_type = reference_type
        self._keyhole = Keyhole(self, self.exports, self.imports)
        self._use(NONE)
        self._out: list[bytes] = []
        self._left = 0
        self._pending: dict[int, Any] = {}
        self._last_request: int = 0
        self._waiting: deque[CallReceived | _Refused] = deque()
        self._reports: deque[Event] = deque()
        self._eof: BaseException | None = None
        self.root: RemoteReference | None = None
        if root is not None:
            self.exports.publish(ROOT, root)
        if self._is_server:
            self._write(encode([name.encode() for name in self._dialects], NONE))
        else:
            self.root = reference_type(self, ROOT)

    def _use(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._framer.dialect = dialect
        self._encoder = Encoder(dialect, self.limits, self._keyhole)
        self._writer = messages.Writer(dialect, self._encoder)

    def _make_reference(self, luid: int | bytes) -> RemoteReference:
        return self._reference_type(self, luid)

    # What arrives.

    def get_buffer(self) -> memoryview:
        """Give room for what arrives next; tell `received` how much of it was filled."""
        return self._framer.get_buffer()

    def received(self, count: int) -> None:
        """Take the first `count` bytes of what `get_buffer` gave."""
        self._framer.received(count)

    def receive_data(self, data: bytes) -> None:
        """Take bytes that arrived, cut up in any way."""
        if not self.closed:
            self._framer.feed(data)

    def receive_eof(self, reason: BaseException | None = None) -> None:
        """Nothing more will arrive: the connection is over when all that came has started."""
        if self._eof is None:
            self._eof = reason or EOFError("the other side closed the connection")

    @property
    def wants_data(self) -> bool:
        """Tell whether reading may go on: False while too much waits to be started."""
        if not self.imports.has_room:
            return False
        if self._may_wait():
            return True
        # Methods that run may wait for answers of the peer, which are behind its calls. So as long
        # as calls of ours wait and none of its can start, what is over the limit is refused, not
        # left unread.
        stuck = not self._waiting or not self.ledger.has_room("calls_running")
        return stuck and bool(self._pending) and self.ledger.has_room("out_bytes")

    def _may_wait(self) -> bool:
        return self.ledger.has_room("calls_waiting") and self.ledger.has_room("waiting_bytes")

    @property
    def has_waiting(self) -> bool:
        """Tell whether a call waits and could start now."""
        return bool(self._waiting) and self._may_start()

    def events(self) -> Iterator[Event]:
        """Give events until there are no more for now."""
        while (event := self.next_event()) is not None:
            yield event

    def next_event(self, start_calls: bool = True) -> Event | None:
        """Give the next event, None if there is none for now.

        The next message is looked at only when the face asks, so that a method that closes the
        connection stops what follows it. With `start_calls` false, or at a limit, calls are
        decoded and wait; answers and counts are read all the same.
        """
        while True:
            if self._reports:
                return self._reports.popleft()
            if self.closed:
                return None
            if start_calls and self._waiting and self._may_start():
                call = self._waiting.popleft()
                self.ledger.release("calls_waiting")
                if isinstance(call, _Refused):
                    self.ledger.release("waiting_bytes", call.size)
                    self._error(call.request, call.error, None)
                    continue
                self.ledger.add("calls_running")
                return call
            if not self.wants_data:
                return None
            try:
                data = self._framer.next_message()
                if data is None:
                    if self._eof is None or self._waiting or not start_calls:
                        return None
                    self._end(self._eof)
                    continue
                event = self._message(data, start_calls) if self.ready else self._open(data)
            except (RemoteProtocolError, LimitExceeded) as error:
                self._end(error)
                continue
            if event is not None:
                return event

    def _may_start(self) -> bool:
        return self.ledger.has_room("calls_running") and self.ledger.has_room("out_bytes")

    # Opening (section 3).

    def _open(self, data: bytes) -> Event | None:
        offer = decode(data, NONE)
        if self._is_server:
            name = offer.decode("ascii", "replace") if isinstance(offer, bytes) else None
            if name not in self._dialects:
                raise RemoteProtocolError("the client chose a dialect that was not offered")
        else:
            if not isinstance(offer, list):
                raise RemoteProtocolError("the server did not begin with a list of dialects")
            names = [one.decode("ascii", "replace") for one in offer if isinstance(one, bytes)]
            name = next((one for one in names if one in self._dialects), None)
            if name is None:
                raise RemoteProtocolError("the server offers no dialect that is known here")
            self._write(encode(name.encode(), NONE))
        self._use(DIALECTS[name])
        self.ready = True
        self._write(self._writer.version())
        return Ready(name)

    # Messages (section 7).

    def _message(self, data: bytes, start_calls: bool) -> Event | None:
        decoder = Decoder(data, self._dialect, self.limits, self.registry, self._keyhole)
        message = messages.read(data, decoder)
        command = message.command
        if command == messages.MESSAGE:
            return self._call_arrived(message, data, start_calls)
        if command <= messages.ERROR and command != messages.CACHEMESSAGE:
            return self._answer_arrived(message, data)
        if command == messages.DECREF:
            if not self.exports.decref(_key(message.subject)):
                return PeerFault("the peer released a reference that it does not hold")
            return None
        if command == messages.CACHEMESSAGE:
            return self._refuse_call(message, data, Error("Invalid Cache ID"))
        if command == messages.UNKNOWN:
            if self.ledger.has_room("out_bytes"):
                self._write(self._writer.did_not_understand(message.subject))
            return PeerFault("the peer sent an unknown command")
        if command == messages.DID_NOT_UNDERSTAND:
            return PeerFault("the peer did not understand a command")
        if command != messages.VERSION_MESSAGE:
            return PeerFault("the peer released a cache that it does not hold")
        return None

    def _call_arrived(
        self, message: messages.Message, data: bytes, start_calls: bool
    ) -> Event | None:
        try:
            if not self._may_wait():
                raise _too_many(self.limits)
            target = self.exports.lookup(_key(message.subject))
            if target is None:
                raise Error("Invalid Object ID")
            args, kwargs = messages.arguments(message.decoder)
        except (Error, InsecureJelly, LimitExceeded) as error:
            return self._refuse_call(message, data, error)
        self.imports.commit()
        call = CallReceived(
            target, message.name, args, kwargs, message.request, message.wants_answer, len(data)
        )
        self.ledger.add("waiting_bytes", call.size)
        if start_calls and not self._waiting and self._may_start():
            self.ledger.add("calls_running")
            return call
        self._wait(call)
        return None

    def _wait(self, call: CallReceived | _Refused) -> None:
        self.ledger.add("calls_waiting")
        self._waiting.append(call)

    def _refuse_call(
        self, message: messages.Message, data: bytes, error: PBError
    ) -> PeerFault | None:
        self._refuse(data, message.start, 2)
        if not message.wants_answer:
            return PeerFault(f"a call that wants no answer was refused: {error}")
        if self.ledger.has_room("out_bytes"):
            self._error(message.request, error, None)
        else:
            # A peer that takes no answers must not make us pile them up.
            self.ledger.add("waiting_bytes", len(data))
            self._wait(_Refused(message.request, error.with_traceback(None), len(data)))
        return None

    def _answer_arrived(self, message: messages.Message, data: bytes) -> Event | None:
        request = message.request
        if type(request) is not int or request not in self._pending:
            self._refuse(data, message.start, 1)
            return PeerFault("the peer answered a call that is not waiting")
        waiter = self._pending.pop(request)
        self.ledger.release("calls_pending")
        if waiter is _ABANDONED:
            self._refuse(data, message.start, 1)
            return None
        failed = message.command == messages.ERROR
        try:
            value = message.decoder.value("error" if failed else "result")
        except (InsecureJelly, LimitExceeded) as error:
            self._refuse(data, message.start, 1)
            # Its frames hold what was read of the refused value.
            return CallFailed(waiter, error.with_traceback(None))
        self.imports.commit()
        if isinstance(value, PBError):
            return CallFailed(waiter, value)
        if failed:
            kind = type(value).__name__
            return CallFailed(waiter, RemoteError(f"the call failed with a value: {kind}"))
        return CallCompleted(waiter, value)

    def _refuse(self, data: bytes, pos: int, fields: int) -> None:
        """Release every reference in the values of a message that was refused."""
        found: list[int | bytes] = []
        for _ in range(fields):
            found += carried(data, pos, self._dialect)
            pos = skip_item(data, pos)
        self.imports.refuse(found)

    # What leaves.

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self.ledger.add("out_bytes", len(data))

    def data_to_send(self) -> bytes:
        """Give what is to be sent now, and forget it here. See `data_left`."""
        if self.ready and self.imports.owes:
            self._release()
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self.ledger.release("out_bytes", len(data))
        return data

    def _release(self) -> None:
        if self.ledger.has_room("out_bytes"):
            for luid in self.imports.take_releases(_RELEASES_AT_ONCE):
                self._write(self._writer.decref(luid))

    @property
    def messages_to_send(self) -> int:
        """Tell how many messages wait for `data_to_send`, the releases of references left out."""
        return len(self._out)

    def data_left(self, count: int) -> None:
        """Tell that of all that `data_to_send` gave, `count` bytes have not left yet."""
        self.ledger.add("out_bytes", count - self._left)
        self._left = count

    def call(
        self,
        waiter: Any,
        reference: RemoteReference,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> int:
        """Call a method of an object of the other side, and give the number of the call.

        `waiter` comes back in CallCompleted or CallFailed; None asks for no answer. Raises
        DeadReferenceError, InsecureJelly and LimitExceeded, and then leaves no trace.
        """
        if self.closed:
            raise DeadReferenceError("the connection of this reference has ended")
        if not self.ready:
            raise LocalProtocolError("no call can be made before the dialect is agreed")
        owner: object = reference.broker
        if owner is not self:
            raise LocalProtocolError("a reference of another connection")
        if not self.ledger.has_room("out_bytes"):
            self.ledger.charge("out_bytes", 1)
        if waiter is not None:
            self.ledger.charge("calls_pending")
        if self.imports.owes:
            # What was dropped before a call is released before it.
            self._release()
        request = self._last_request + 1
        try:
            data = self._writer.call(
                request, reference.luid, name, waiter is not None, args, kwargs or {}
            )
        except BaseException:
            self._encoder.reset()
            self.exports.undo()
            if waiter is not None:
                self.ledger.release("calls_pending")
            raise
        self.exports.commit()
        self._last_request = request
        if waiter is not None:
            self._pending[request] = waiter
        self._write(data)
        return request

    def abandon(self, request: int) -> None:
        """Nobody waits for this call any more. It stays charged until its answer comes."""
        if request in self._pending:
            self._pending[request] = _ABANDONED

    def answer(self, call: CallReceived, value: Any) -> PBError | None:
        """Answer a call. If `value` can't be sent, that is the answer, and it is given back."""
        self._ended_call(call)
        if self.closed or not call.wants_answer:
            return None
        try:
            data = self._writer.answer(call.request, value)
        except BaseException as error:
            self._encoder.reset()
            self.exports.undo()
            self._error(call.request, error, None)
            if isinstance(error, PBError):
                return error
            raise
        self.exports.commit()
        self._write(data)
        return None

    def fail(self, call: CallReceived, error: BaseException, traceback: str | None = None) -> None:
        """Answer a call with an error. The traceback goes out only if `tracebacks` is on."""
        self._ended_call(call)
        if not self.closed and call.wants_answer:
            self._error(call.request, error, traceback if self.tracebacks else None)

    def _ended_call(self, call: CallReceived) -> None:
        self.ledger.release("calls_running")
        self.ledger.release("waiting_bytes", call.size)

    def _error(self, request: bytes, error: BaseException, traceback: str | None) -> None:
        try:
            self._write(self._failure(request, error, traceback))
        except Exception as problem:
            self._encoder.reset()
            over = problem if isinstance(problem, LimitExceeded) else _UNSENDABLE
            try:
                self._write(self._failure(request, over, None))
            except LimitExceeded as end:
                # The number of the call alone is too large. Nobody may wait for ever.
                self._encoder.reset()
                self._end(end)

    def _failure(self, request: bytes, error: BaseException, traceback: str | None) -> bytes:
        limit = self.limits.string_bytes
        state = failure_state(error, traceback=traceback, string_limit=limit)
        return self._writer.error(request, FAILURE_TAG, state)

    # The end (section 16).

    def close(self, error: BaseException | None = None) -> None:
        """End the connection now, because of `error` if there is one.

        Every call that waits for its answer fails, and nothing more starts.
        """
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._framer.discard()
        for call in self._waiting:
            self.ledger.release("calls_waiting")
            self.ledger.release("waiting_bytes", call.size)
        self._waiting.clear()
        for waiter in self._pending.values():
            self.ledger.release("calls_pending")
            if waiter is not _ABANDONED:
                lost = ConnectionLost(_why(error))
                lost.__cause__ = error
                self._reports.append(CallFailed(waiter, lost))
        self._pending.clear()
        self.imports.clear()
        self.exports.clear()
        self._reports.append(Closed(error))


_ABANDONED: Final = object()
_UNSENDABLE: Final = Error("the method raised an error that can't be sent")


def _too_many(limits: Limits) -> LimitExceeded:
    return LimitExceeded(
        f"too many calls wait (limits.calls_waiting is {limits.calls_waiting}, "
        f"limits.waiting_bytes is {limits.waiting_bytes})",
        limit="calls_waiting",
        value=limits.calls_waiting,
        remote=True,
    )


def _why(error: BaseException | None) -> str:
    if error is None:
        return "the connection was closed by this side"
    return f"the connection was lost: {error}" if str(error) else "the connection was lost"


def _key(item: Any) -> Any:
    """Give an id that can be looked up: whatever is neither int nor bytes is no id at all."""
    return item if type(item) is int or type(item) is bytes else None


def _with_failures(registry: Registry) -> Registry:
    if registry.reader_for(FAILURE_TAG) is None:
        registry.add_reader(FAILURE_TAG, lambda state: read_failure(state, registry))
    return registry
