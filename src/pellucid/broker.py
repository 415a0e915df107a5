"""One connection, without I/O, clock or thread: bytes in, events out; verbs in, bytes out.

A face feeds it with what arrives, takes events one at a time, runs the methods that they name, and
sends what `data_to_send` gives. Nothing here raises because of what the other side sent: what is
wrong inside of one call costs that call, and what is wrong with a message costs the connection.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Literal, NoReturn

from . import messages, usual
from .banana import DIALECTS, NONE, PB, Dialect, Framer, decode, encode, skip_item
from .caches import CacheExports, CacheImports, CacheObserver
from .decoder import Decoder
from .errors import (
    ConnectionLost,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    PBError,
    RemoteProtocolError,
    without_place,
)
from .events import (
    CallCompleted,
    CallFailed,
    CallReceived,
    Closed,
    Event,
    Paused,
    PeerFault,
    Ready,
    Unobserved,
)
from .failures import FAILURE_TAG, is_failure, read_failure, received_error
from .flavors import NOBODYS, perspective_of
from .jelly import carried
from .ledger import Ledger
from .limits import Limits
from .messages import CACHEMESSAGE, ERROR
from .outbox import Outbox, Pens
from .references import Imports, RemoteReference
from .registry import Registry
from .releases import Debt
from .tables import Tables
from .waiting import Refused, Waiting

__all__ = ["Broker"]

ROOT: Final = b"root"

# About what is made of a message while its call waits or runs: an integer takes 32 bytes, and an
# empty set, the largest that a few bytes can ask for, takes 224.
_ITEM_BYTES: Final = 32
_CONTAINER_BYTES: Final = 160
# Where nothing is counted each byte counts so often: four of them can be an empty dictionary, which
# takes 72.
_USUAL_BYTES: Final = 16

_LIMITS: Final = Limits()
# Nothing is ever put in.
_NO_CALLS: Final[dict[int, Any]] = {}


def _report(broker: "Broker", event: Event) -> None:
    broker._report(event)


class Broker:
    """The state machine of one connection, as "client" or as "server" (section 3).

    `face` is whose connection it is, for the functions below to look at. Without `wake` its method
    `_wake` is called.

    `root` is what the other side may call under the name `root`. `wake()` is called, from any
    thread, when `data_to_send` or `next_event` has something to say that no other call here caused.
    `reference_type(broker, luid)` makes the handles on the other side's objects, and
    `observer_type(broker, luid, perspective)` those on its copies of caches. `buffer` is room for
    `get_buffer`, and `pens` write; brokers of one thread may share both. `dialect` is the name of
    the dialect that is agreed, "" before. `host` is for objects of the application's that say
    themselves how they travel, and `error_value` makes of what came in an `error` message what
    CallFailed has.
    """

    __slots__ = (
        "__weakref__",
        "_dialect",
        "_dialects",
        "_eof",
        "_error_value",
        "_framer",
        "_is_full",
        "_is_server",
        "_last_request",
        "_outbox",
        "_pending",
        "_reports",
        "_tables",
        "_usual",
        "_waiting",
        "_wake",
        "closed",
        "exports",
        "face",
        "ledger",
        "limits",
        "patience",
        "ready",
        "registry",
        "releases",
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
        dialects: Sequence[str] = ("pellucid", "pb", "none"),
        reference_type: Callable[["Broker", int | bytes], RemoteReference] = RemoteReference,
        observer_type: Callable[["Broker", int, Any], CacheObserver] = CacheObserver,
        wake: Callable[[], None] | None = None,
        buffer: memoryview | None = None,
        tracebacks: bool = False,
        host: Any = None,
        error_value: Callable[[Any], Any] = received_error,
        face: Any = None,
        pens: Pens | None = None,
    ) -> None:
        if role not in ("client", "server"):
            raise ValueError(f"a broker is a 'client' or a 'server', not {role!r}")
        self.limits = _LIMITS if limits is None else limits
        self.ledger = Ledger(self.limits)
        self.registry = _with_failures(Registry() if registry is None else registry)
        self.tracebacks = tracebacks
        self.face = face
        self.ready = self._usual = False
        self.closed = False
        # It was said that no more results are sent.
        self._is_full = False
        self._is_server = role == "server"
        self._dialects = tuple(dialects)
        self._framer = Framer(NONE, self.limits, buffer)
        self._wake = wake
        self._error_value = error_value
        self._tables = Tables(self, self.ledger, reference_type, observer_type, _report)
        self.exports = self._tables.exports
        self.releases = self._tables.releases
        self._dialect = NONE
        self._outbox = Outbox(self.ledger, self._tables, NONE, host, pens)
        # A server may never make a call.
        self._pending: dict[int, Any] = _NO_CALLS
        self._last_request: int = 0
        self._waiting = Waiting(self.ledger)
        # A deque when there is one.
        self._reports: deque[Event] | tuple[()] = ()
        self._eof: BaseException | None = None
        # Who sets it gets Paused after so many messages that give no event, and asks again.
        self.patience = 0
        self.root: RemoteReference | None = None
        if root is not None:
            self.exports.publish(ROOT, root)
        if self._is_server:
            self._outbox.write(_offer(self._dialects))
        else:
            self.root = reference_type(self, ROOT)

    @property
    def dialect(self) -> str:
        """The name of the dialect that is agreed, "" before."""
        return self._dialect.name if self.ready else ""

    @property
    def cache_exports(self) -> CacheExports:
        """The caches of this side that the other side has copies of."""
        return self._tables.cache_exports

    @property
    def cache_imports(self) -> CacheImports:
        """The copies of the other side's caches."""
        return self._tables.cache_imports

    @property
    def imports(self) -> Imports:
        """The references to the other side's objects that are alive here."""
        return self._tables.imports

    def use_limits(self, limits: Limits) -> None:
        """Hold the connection to other limits from now on.

        What is over one of them already stays, and nothing is added. A message that came in part
        may be what the larger ones of both allow. What the face looks at itself, as times, it has
        to look at again.
        """
        self.limits = limits
        self.ledger.use(limits)
        self._framer.use(limits)
        self._tables.follow()
        self._outbox.follow()
        self._usual = self.ready and usual.fits(limits, self._dialect)

    # For a face that bounds what its connections hold together, and how long a message may take.

    @property
    def held_bytes(self) -> int:
        """What is held for the other side: what came and was not taken, what runs, what leaves."""
        ledger = self.ledger
        return self._framer.buffered + ledger.waiting_bytes + ledger.out_bytes

    @property
    def messages_read(self) -> int:
        """How many messages have come, the agreement on the dialect being one of them."""
        return self._framer.messages

    @property
    def is_mid_message(self) -> bool:
        """Tell whether a part of a message has come, and nothing but the other side delays it."""
        return self._framer.is_amid and self._may_read()

    def wake(self) -> None:
        """Tell the face that there is something to ask for. Any thread, at any time."""
        if self._wake is not None:
            self._wake()
        elif self.face is not None:
            self.face._wake()

    def _tell(self, event: Event) -> None:
        reports = self._reports
        if reports == ():
            fresh: deque[Event] = deque()
            # A finalizer may have run meanwhile.
            reports = self._reports = fresh if self._reports == () else self._reports
        reports.append(event)  # type: ignore[union-attr]

    def _report(self, event: Event) -> None:
        self._tell(event)
        if not self.closed:
            self.wake()

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
        return self._may_read()

    def _may_read(self) -> bool:
        releases, ledger = self.releases, self.ledger
        if releases.owed and not releases.has_room:
            return False
        # As `Ledger.may_wait` tells. It is asked often.
        if (
            ledger.calls_waiting < ledger.most_calls_waiting
            and ledger.waiting_bytes < ledger.most_waiting_bytes
        ):
            return True
        # Methods that run may wait for answers of the peer, which are behind its calls. So as long
        # as calls of ours wait and none of its can start, what is over the limit is refused, not
        # left unread.
        stuck = not self._waiting.calls or not self.ledger.has_room("calls_running")
        return stuck and bool(self._pending) and self.ledger.has_room("out_bytes")

    @property
    def has_waiting(self) -> bool:
        """Tell whether `next_event` has something to give without any more to read."""
        waiting = self._waiting
        if self._reports or waiting.updates:
            return True
        return bool(waiting.calls) and self.ledger.may_start()

    def events(self) -> Iterator[Event]:
        """Give events until there are no more for now."""
        while (event := self.next_event()) is not None:
            yield event

    def next_event(self, start_calls: bool = True) -> Event | None:
        """Give the next event, None if there is none for now.

        The next message is looked at only when the face asks, so that a method that closes the
        connection stops what follows it. With `start_calls` false, or at a limit, calls are
        decoded and wait; answers and counts are read all the same. An update of a cache waits only
        for `start_calls`, and all that came behind it waits as well.
        """
        waiting, framer = self._waiting, self._framer
        silent = 0
        while True:
            if self._reports:
                return self._reports.popleft()
            if self.closed:
                return None
            if waiting.calls or waiting.updates:
                if start_calls:
                    call = waiting.next()
                    if isinstance(call, Refused):
                        self._error(call.request, call.error)
                        silent += 1
                        if silent == self.patience:
                            return _PAUSED
                        continue
                    if call is not None:
                        return call
                elif waiting.updates:
                    return None
            if not (framer._chunk or framer._queued or framer._held) and self._eof is None:
                return None
            # What waits or runs is charged with its bytes.
            if (self.ledger.waiting_bytes or self.releases.owed) and not self._may_read():
                return None
            start = framer._start
            event: Event | Literal[False] | None = False
            # Nothing of a usual message was looked at before, and it is in what came last.
            if self._usual and framer._pos == start and not framer._held:
                event = self._usual_message(start, start_calls)
            if event is False:
                try:
                    data = framer.next_message()
                    if data is None:
                        if self._eof is None or waiting.calls or not start_calls:
                            return None
                        self._end(self._eof)
                        continue
                    event = self._message(data, start_calls) if self.ready else self._open(data)
                except (RemoteProtocolError, LimitExceeded) as error:
                    self._end(_bare(error))
                    continue
            if event is not None:
                return event
            silent += 1
            if silent == self.patience:
                return _PAUSED

    # Opening (section 3).

    def _open(self, data: bytes) -> Event | None:
        name = messages.agree(decode(data, NONE), self._dialects, self._is_server)
        outbox, dialect = self._outbox, DIALECTS[name]
        if not self._is_server:
            outbox.write(encode(name.encode(), NONE))
        self._dialect = self._framer.dialect = dialect
        self.ready = self._framer.apart = True
        self._usual = usual.fits(self.limits, dialect)
        outbox.use(dialect)
        outbox.write(outbox.writer.version())
        return Ready(name)

    # Messages (section 7).

    def _message(self, data: bytes, start_calls: bool) -> Event | None:
        framer, dialect = self._framer, self._dialect
        if framer.bodies:
            dialect = dialect.with_words(framer.bodies)
            framer.bodies = ()
        decoder = Decoder(data, dialect, self.limits, self.registry, self._tables)
        message = messages.read(data, decoder)
        command = message.command
        if command <= CACHEMESSAGE:
            return self._call_arrived(message, data, start_calls)
        if command <= ERROR:
            return self._answer_arrived(message, data)
        if command == messages.DECREF:
            if not self.exports.decref(_key(message.subject)):
                return PeerFault("the peer released a reference that it does not hold")
            return None
        if command == messages.DECACHE:
            if not self.cache_exports.decache(_key(message.subject)):
                return PeerFault("the peer released a cache that it does not hold")
            return None
        if command == messages.UNCACHE:
            self.cache_imports.uncache(_key(message.subject))
            return None
        if command == messages.UNKNOWN:
            if self.ledger.has_room("out_bytes"):
                self._outbox.write(self._outbox.writer.did_not_understand(message.subject))
            return PeerFault("the peer sent an unknown command")
        if command == messages.DID_NOT_UNDERSTAND:
            return PeerFault("the peer did not understand a command")
        return None

    def _usual_message(self, start: int, start_calls: bool) -> Event | Literal[False] | None:
        """Take in the next message as `_message` does, if it is usual, whole, and without trouble.

        Gives False for all other messages, of which nothing is taken in.
        """
        framer, ledger = self._framer, self.ledger
        if self.registry.allows is not None:
            return False
        found = usual.read(framer._chunk, start)
        if found is None:
            return False
        end, request, head, subject, values, ids = found
        if head is not None:
            name, wants_answer = head
            target = self.exports.lookup(subject)
            kind = type(target)
            if (
                target is None
                or getattr(kind, "find_perspective", None) is not NOBODYS
                or getattr(kind, "takes_jelly", False)
                or (ledger.waiting_bytes and not ledger.may_wait())
                or (ids and not self._usual_references(values, ids))
            ):
                return False
            framer.skip(end)
            size = _USUAL_BYTES * (end - start)
            call = CallReceived(target, name, tuple(values), {}, request, wants_answer, size)
            return call if self._waiting.begin(call, False, start_calls) else None
        if request is None:
            if not self.exports.decref(values[0]):
                return False
            framer.skip(end)
            return None
        if request not in self._pending or (ids and not self._usual_references(values, ids)):
            return False
        framer.skip(end)
        waiter = self._pending.pop(request)
        ledger.calls_pending -= 1
        return None if waiter is _ABANDONED else CallCompleted(waiter, values[0])

    def _usual_references(self, values: list[Any], ids: list[int]) -> bool:
        """Put the references for their ids. False if one can't be had, and then none counts."""
        try:
            for index in ids:
                values[index] = self._tables.remote(values[index], None)
        except BaseException as error:
            self.releases.refuse(())
            if not isinstance(error, Exception):
                raise
            return False
        self.releases.commit()
        return True

    def _call_arrived(
        self, message: messages.Message, data: bytes, start_calls: bool
    ) -> Event | None:
        update = message.command == CACHEMESSAGE
        items, size = self._framer.items, self._framer.size
        luid = message.subject
        if type(luid) is not int and type(luid) is not bytes:
            luid = None
        if update:
            self._waiting.check_update(message.wants_answer)
        try:
            if update:
                target: Any = self.cache_imports.lookup(luid, size)
            else:
                if not self.ledger.may_wait():
                    raise self._waiting.too_many()
                target = self.exports.lookup(luid)
            if target is None:
                raise Error(f"Invalid {'Cache' if update else 'Object'} ID")
            kind = type(target)
            perspective = None
            if getattr(kind, "find_perspective", None) is not NOBODYS:
                perspective = message.decoder.perspective = perspective_of(target)
            args: tuple[Any, ...]
            kwargs: dict[str, Any]
            if getattr(kind, "takes_jelly", False):
                args, kwargs = (message.decoder.read_sexp(), message.decoder.read_sexp()), {}
            else:
                args, kwargs = messages.arguments(message.decoder)
        except (Error, InsecureJelly, LimitExceeded) as error:
            if message.decoder.over:
                raise  # To refuse it would take as long as to read it.
            return self._refuse_call(message, data, size, error)
        except BaseException:
            self._interrupted(message, data, size)
            raise
        if self.closed:
            return None  # By a class that was asked to take its state.
        decoder = message.decoder
        if self.releases.received or decoder.skipped:
            self._accept(data, decoder)
        size += _ITEM_BYTES * items + _CONTAINER_BYTES * decoder.containers
        request, wants_answer = message.request, message.wants_answer
        call = CallReceived(
            target, message.name, args, kwargs, request, wants_answer, size, perspective
        )
        return call if self._waiting.begin(call, update, start_calls) else None

    def _refuse_call(
        self, message: messages.Message, data: bytes, size: int, error: PBError
    ) -> PeerFault | None:
        self._refuse(data, message, 2)
        cause = error.__cause__
        if not message.wants_answer:
            return PeerFault(
                f"a call that wants no answer was refused: {without_place(error)}", cause
            )
        if self.ledger.has_room("out_bytes"):
            self._error(message.request, error)
        else:
            # A peer that takes no answers must not make us pile them up.
            refused = Refused(message.request, error.with_traceback(None), size)
            self._waiting.refuse(refused)
        # The other side hears that something failed, and only this one may hear why.
        return (
            None
            if cause is None
            else PeerFault(f"a call was refused: {without_place(error)}", cause)
        )

    def _interrupted(self, message: messages.Message, data: bytes, size: int) -> None:
        """Refuse a call that will not be read: nobody may wait for ever."""
        error = InsecureJelly("reading it was interrupted")
        fault = self._refuse_call(message, data, size, error)
        if fault is not None:
            self._tell(fault)

    def _answer_arrived(self, message: messages.Message, data: bytes) -> Event | None:
        request = message.request
        if type(request) is not int or request not in self._pending:
            self._refuse(data, message, 1)
            return PeerFault("the peer answered a call that is not waiting")
        waiter = self._pending.pop(request)
        self.ledger.calls_pending -= 1
        failed = message.command == ERROR
        try:
            value = message.decoder.value("error" if failed else "result")
        except (InsecureJelly, LimitExceeded) as error:
            if message.decoder.over:
                if waiter is not _ABANDONED:
                    self._tell(CallFailed(waiter, error.with_traceback(None)))
                raise
            self._refuse(data, message, 1)
            if waiter is _ABANDONED:
                return None
            # Its frames hold what was read of the refused value.
            return CallFailed(waiter, error.with_traceback(None))
        except BaseException:
            self._refuse(data, message, 1)
            if waiter is not _ABANDONED:
                self._tell(CallFailed(waiter, InsecureJelly("reading it was interrupted")))
            raise
        decoder = message.decoder
        if self.releases.received or decoder.skipped:
            self._accept(data, decoder)
        if waiter is _ABANDONED:
            # Read all the same: messages behind it may name a cache that came with it.
            return None
        if failed:
            return CallFailed(waiter, self._error_value(value))
        if isinstance(value, PBError) and is_failure(value):
            return CallFailed(waiter, value)
        return CallCompleted(waiter, value)

    def _accept(self, data: bytes, decoder: Decoder) -> None:
        """Count what came in the values of a message; release what its readers did not look at."""
        if self.releases.received:
            self.releases.commit()
        if decoder.skipped:
            self.releases.refuse(
                [
                    debt
                    for pos in decoder.skipped
                    for debt in self._carried(data, pos, decoder.dialect)
                ]
            )

    def _refuse(self, data: bytes, message: messages.Message, fields: int) -> None:
        """Release every occurrence in the values of a message that was refused."""
        found: list[Debt] = []
        pos = message.start
        for _ in range(fields):
            found += self._carried(data, pos, message.decoder.dialect)
            pos = skip_item(data, pos)
        self.releases.refuse(found)

    def _carried(self, data: bytes, pos: int, dialect: Dialect) -> list[Debt]:
        references, caches = carried(data, pos, dialect, self.registry)
        return [*references, *((luid,) for luid in caches)]

    # What leaves.

    def data_to_send(self) -> bytes:
        """Give what is to be sent now, and forget it here. See `data_left`."""
        releases = self.releases
        if self.ready and (releases.gone or releases.owed):
            self._outbox.release()
        return self._outbox.take()

    def pieces_to_send(self) -> list[bytes]:
        """Give what `data_to_send` gives, without copying what is long."""
        if self.ready and self.owes:
            self._outbox.release()
        return self._outbox.take_pieces()

    @property
    def owes(self) -> bool:
        """Tell whether there are occurrences to release, which `data_to_send` does."""
        releases = self.releases
        return bool(releases.gone or releases.owed)

    @property
    def messages_to_send(self) -> int:
        """Tell how many messages wait for `data_to_send`, the releases left out."""
        return len(self._outbox._out)

    def data_left(self, count: int) -> None:
        """Tell that of all that `data_to_send` gave, `count` bytes have not left yet."""
        self._outbox.left(count)

    def call(
        self,
        waiter: Any,
        reference: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> int:
        """Call a method of an object of the other side, and give the number of the call.

        `waiter` comes back in CallCompleted or CallFailed; None asks for no answer. Raises
        DeadReferenceError, InsecureJelly and LimitExceeded, and then leaves no trace. While a
        message is being written it leaves behind that, and what is wrong comes in CallFailed.
        """
        owner: object = reference.origin
        if self.closed or owner is not self or not (self.ready or self._is_server):
            self._refuse_to_call()
        outbox, ledger = self._outbox, self.ledger
        if ledger.out_bytes >= ledger.most_out_bytes:
            ledger.charge("out_bytes", 1)
        wants_answer = waiter is not None
        if wants_answer:
            if ledger.calls_pending >= ledger.most_calls_pending:
                ledger.charge("calls_pending")
            ledger.calls_pending += 1
        request = self._last_request = self._last_request + 1
        if outbox.is_writing():
            self._call_behind(request, waiter, reference, name, wants_answer, args, kwargs)
            return request
        if self.releases.gone or self.releases.owed:
            # What was dropped before a call is released before it.
            outbox.release()
        try:
            outbox.call(request, reference, name, wants_answer, args, kwargs)
        except BaseException:
            if self._last_request == request:
                self._last_request = request - 1
            if wants_answer:
                self.ledger.calls_pending -= 1
            outbox.send_later()
            raise
        if wants_answer:
            if self._pending is _NO_CALLS:
                self._pending = {}
            self._pending[request] = waiter
        if outbox.later:
            outbox.send_later()
        return request

    def _refuse_to_call(self) -> NoReturn:
        if self.closed:
            raise DeadReferenceError("the connection of this reference has ended")
        # What a server writes before the client has chosen is understood in every dialect.
        if not self.ready and not self._is_server:
            raise LocalProtocolError("no call can be made before the dialect is agreed")
        raise LocalProtocolError("a reference of another connection")

    def _call_behind(self, request: int, waiter: Any, *call: Any) -> None:
        """Call behind the message that is being written."""
        if waiter is not None:
            if self._pending is _NO_CALLS:
                self._pending = {}
            self._pending[request] = waiter
        self._outbox.call_later(self._not_sent, request, *call)

    def _not_sent(self, request: int, error: BaseException) -> None:
        """Tell what is wrong with a call that was to be sent later."""
        waiter = self._pending.pop(request, None)
        if not isinstance(error, Exception):
            error = InsecureJelly("writing it was interrupted")
        if waiter is not None:
            self.ledger.calls_pending -= 1
            if waiter is not _ABANDONED:
                self._report(CallFailed(waiter, error.with_traceback(None)))
        elif not isinstance(error, DeadReferenceError):
            self._report(
                PeerFault(f"a call that wants no answer was not sent: {without_place(error)}")
            )

    def abandon(self, request: int) -> None:
        """Nobody waits for this call any more. It stays charged until its answer comes."""
        if request in self._pending:
            self._pending[request] = _ABANDONED

    def answer(
        self,
        call: CallReceived,
        value: Any,
        refused: Callable[[BaseException], BaseException] | None = None,
    ) -> PBError | None:
        """Answer a call. If `value` can't be sent, that is the answer, and it is given back.

        `refused(error)` may make another error of that for the other side. While a message is being
        written the answer waits for its end, and nothing is given back. Where twice as much as
        `limits.out_bytes` waits to be sent, the answer is a short error, of which PeerFault tells
        once.
        """
        outbox = self._outbox
        if outbox.is_writing():
            outbox.put_off(partial(self.answer, call, value, refused))
            return None
        ledger = self.ledger
        ledger.calls_running -= 1
        ledger.waiting_bytes -= call.size
        if self.closed or not call.wants_answer:
            return None
        if ledger.out_bytes >= ledger.enough_out_bytes:
            self._answer_shortly(call.request)
            return None
        try:
            outbox.answer(call.request, value, call.perspective)
        except BaseException as error:
            # No variable may hold it: its traceback would hold that, and with it the value.
            self._error(
                call.request,
                error if refused is None else refused(error),
                None,
                call.perspective,
            )
            if isinstance(error, PBError):
                return error
            raise
        if outbox.later:
            outbox.send_later()
        return None

    def fail(self, call: CallReceived, error: BaseException, traceback: str | None = None) -> None:
        """Answer a call with an error. The traceback goes out only if `tracebacks` is on.

        An error that says itself how it travels, as a copy does, goes as that (section 13).
        """
        if self._outbox.is_writing():
            self._outbox.put_off(partial(self.fail, call, error, traceback))
            return
        ledger = self.ledger
        ledger.calls_running -= 1
        ledger.waiting_bytes -= call.size
        if self.closed or not call.wants_answer:
            return
        if ledger.out_bytes >= ledger.enough_out_bytes:
            self._answer_shortly(call.request)
        else:
            shown = traceback if self.tracebacks else None
            self._error(call.request, error, shown, call.perspective)

    def _answer_shortly(self, request: bytes) -> None:
        """Answer a call that ran: so much waits to be sent that its result can't be added."""
        ledger = self.ledger
        if not self._is_full:
            self._is_full = True
            self._report(
                PeerFault(
                    "the peer takes no answers: calls get an error in place of their results "
                    f"(limits.out_bytes is {ledger.limits.out_bytes}, and twice as much waits)"
                )
            )
        text = "too many bytes are waiting to be sent"
        self._error(request, LimitExceeded(text, limit="out_bytes", value=ledger.out_bytes))

    def _error(
        self,
        request: bytes,
        error: BaseException,
        traceback: str | None = None,
        perspective: Any = None,
    ) -> None:
        outbox = self._outbox
        try:
            outbox.error(request, error, traceback, perspective)
        except LimitExceeded as end:
            # The number of the call alone is too large. Nobody may wait for ever.
            self._end(_bare(end))
        outbox.send_later()

    # Values by themselves, for those who put messages together on their own.

    def encode_value(
        self, value: Any, perspective: Any = None, *, host: Any = None, limits: Limits | None = None
    ) -> bytes:
        """Give a value as bytes of the dialect `pb`, which count as sent.

        `host` and `limits` may be others than the connection's. Raises InsecureJelly and
        LimitExceeded, and then nothing counts.
        """
        return self._outbox.value(value, perspective, host, limits or self.limits)

    def decode_value(
        self,
        data: bytes,
        perspective: Any = None,
        *,
        registry: Registry | None = None,
        limits: Limits | None = None,
    ) -> Any:
        """Give the value that bytes of the dialect `pb` are, which count as received.

        `registry` and `limits` may be others than the connection's. Raises RemoteProtocolError for
        what is no value, InsecureJelly and LimitExceeded.
        """
        limits = limits or self.limits
        framer = Framer(PB, limits)
        framer.feed(data)
        whole = framer.next_message()
        if whole is None:
            raise RemoteProtocolError("the value is not complete")
        chosen = self.registry if registry is None else registry
        decoder = Decoder(whole, PB, limits, chosen, self._tables, perspective)
        releases = self.releases
        # Those of the message that is being read, if it is a reader who wants this one.
        outer, releases.received = releases.received, ()
        try:
            value = decoder.value("value")
            self._accept(whole, decoder)
            return value
        except (InsecureJelly, LimitExceeded):
            releases.refuse(self._carried(whole, 0, PB))
            raise
        finally:
            releases.received = outer

    def register(self, obj: Any, key: object = None) -> int:
        """Count an object as sent once more, and give its id. Raises as `call` does.

        While a message is being written it counts for that.
        """
        return self._outbox.counted(self._tables.export, obj, key)

    def register_cache(
        self, obj: Any, perspective: Any = None, key: object = None
    ) -> tuple[int, CacheObserver | None]:
        """Count an own cache as sent once more, as `register` does.

        Gives its id, and its new observer if this is the first time.
        """
        return self._outbox.counted(self._tables.cache, obj, perspective, key)

    def behind(self, act: Callable[[], object]) -> None:
        """Call `act()`, when the message that is being written is, or now if none is."""
        if self._outbox.is_writing():
            self._outbox.put_off(act)
        else:
            act()

    def take_request(self) -> int:
        """Give a request number that no call has or will have."""
        self._last_request += 1
        return self._last_request

    @property
    def pending(self) -> dict[int, Any]:
        """The waiters of the calls that wait for their answers, by request number."""
        return {n: waiter for n, waiter in self._pending.items() if waiter is not _ABANDONED}

    def unobserved(self, event: Unobserved) -> None:
        """The object of a cache has been told that this copy is gone."""
        luid = self.cache_exports.forget(event)
        if luid is not None:
            self._outbox.write(self._outbox.writer.uncache(luid))

    # The end (section 16).

    def close(self, error: BaseException | None = None) -> None:
        """End the connection now, because of `error` if there is one.

        Every call that waits for its answer fails, and nothing more starts.
        """
        self._end(error)

    def leave(self) -> None:
        """The face is through with the end: forget it and `root`, and be in no cycle any more.

        Nothing may be asked for behind it but what can be read: `closed`, `limits` and the like.
        """
        self.face = self.root = None
        self._tables.leave()

    def _end(self, error: BaseException | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._framer.close()
        self._outbox.close()
        self._waiting.clear()
        for waiter in self._pending.values():
            self.ledger.calls_pending -= 1
            if waiter is not _ABANDONED:
                lost = ConnectionLost(_why(error))
                lost.__cause__ = error
                self._tell(CallFailed(waiter, lost))
        self._pending.clear()
        self._tables.clear()
        self._tell(Closed(error))


_ABANDONED: Final = object()
_PAUSED: Final = Paused()


def _bare(error: PBError) -> PBError:
    """Give an error without what was at hand when it was found, which holds what was received."""
    error.__context__ = None
    return error.with_traceback(None)


def _why(error: BaseException | None) -> str:
    if error is None:
        return "the connection was closed by this side"
    return f"the connection was lost: {error}" if str(error) else "the connection was lost"


@lru_cache(maxsize=16)
def _offer(dialects: tuple[str, ...]) -> bytes:
    """Give what a server begins with."""
    return encode([name.encode() for name in dialects], NONE)


def _key(item: Any) -> Any:
    """Give an id that can be looked up: whatever is neither int nor bytes is no id at all."""
    return item if type(item) is int or type(item) is bytes else None


def _with_failures(registry: Registry) -> Registry:
    if not registry.has_reader(FAILURE_TAG):
        registry.add_reader(FAILURE_TAG, lambda state: read_failure(state, registry))
    return registry
