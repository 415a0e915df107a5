"""What is to be sent on one connection: whole messages, each written in one go.

While a message is being written the application's code is asked what to write. What that code sends
itself leaves behind the message.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from .banana import PB, Dialect
from .caches import CacheObserver
from .encoder import Encoder
from .errors import DeadReferenceError, Error, InsecureJelly, LimitExceeded
from .failures import FAILURE_TAG, failure_state
from .ledger import Ledger
from .limits import Limits
from .messages import Writer
from .references import RemoteReference
from .tables import Tables

__all__ = ["Outbox", "Pens"]

_T = TypeVar("_T")

# So many releases leave at once: a peer that had many counted does not make us write them all.
_RELEASES_AT_ONCE: Final = 4096


# So many pens are kept for those who come: a program has few limits and dialects.
_PENS: Final = 8
# What a pen has between two messages.
_NOBODYS: Final[Any] = None


class Pen:
    """What writes messages in one dialect within some limits.

    `owner` is the Outbox whose message is being written, None between two messages: then it keeps
    nothing of any connection. `pens` is where others of its kind are kept, if anywhere.
    """

    __slots__ = ("encoder", "owner", "pens", "writer")

    def __init__(self, dialect: Dialect, limits: Limits, pens: "Pens | None") -> None:
        self.encoder = Encoder(dialect, limits, _NOBODYS)
        self.encoder.in_pieces = True
        self.writer = Writer(dialect, self.encoder)
        self.owner: Outbox | None = None
        self.pens = pens


class Pens:
    """The pens that the connections of one thread share: each has one only while it writes."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], Pen] = {}

    def find(self, dialect: Dialect, limits: Limits) -> Pen:
        """Give the pen for a dialect and these limits."""
        # The pen has the limits, so no others get their number.
        key = id(limits), dialect.name
        pen = self._kept.get(key)
        if pen is None:
            if len(self._kept) >= _PENS:
                self._kept.clear()
            pen = self._kept[key] = Pen(dialect, limits, self)
        return pen


class Outbox:
    """Writes messages, and keeps them until `take`.

    `long` tells that there are pieces of long messages among what is kept, which `take_pieces` does
    not copy. `later` is what waits for the message that is being written, a deque when `put_off`
    has made it one; whoever has a message written calls `send_later` when all is told that there is
    to tell about it. `pens` are shared with others of the same thread.
    """

    __slots__ = (
        "_host",
        "_ledger",
        "_left",
        "_out",
        "_pen",
        "_sends_later",
        "_tables",
        "_values",
        "closed",
        "later",
        "long",
    )

    def __init__(
        self,
        ledger: Ledger,
        tables: Tables,
        dialect: Dialect,
        host: Any = None,
        pens: Pens | None = None,
    ) -> None:
        self._ledger = ledger
        # How many values are being written by themselves.
        self._values = 0
        self._tables = tables
        self._host = host
        self._out: list[bytes] = []
        self.long = False
        self._left = 0
        self._sends_later = False
        self.later: deque[Callable[[], object]] | tuple[()] = ()
        self.closed = False
        limits = ledger.limits
        self._pen = Pen(dialect, limits, None) if pens is None else pens.find(dialect, limits)

    def __len__(self) -> int:
        return len(self._out)

    def use(self, dialect: Dialect) -> None:
        """Write in this dialect from now on."""
        pens, limits = self._pen.pens, self._ledger.limits
        self._pen = Pen(dialect, limits, None) if pens is None else pens.find(dialect, limits)

    def follow(self) -> None:
        """The limits of the ledger are others now."""
        if self.is_writing():
            self.put_off(self.follow)
        else:
            self.use(self._pen.encoder.dialect)

    def is_writing(self) -> bool:
        """Tell whether a message is being written, further down the stack."""
        return self._pen.owner is self

    @property
    def writer(self) -> Writer:
        """What writes the messages that carry no values."""
        return self._pen.writer

    def _begin(self, perspective: Any) -> Pen:
        """Take the pen for one message."""
        pen = self._pen
        if pen.owner is not None:
            # Another connection is in the midst of a message, further down the stack.
            pen = self._pen = Pen(pen.encoder.dialect, self._ledger.limits, pen.pens)
        pen.owner = self
        encoder = pen.encoder
        encoder.exporter = self._tables
        encoder.host = self._host
        encoder.perspective = perspective
        return pen

    def _end(self, pen: Pen) -> None:
        """Give the pen back: the message is written."""
        encoder = pen.encoder
        encoder.exporter = encoder.host = encoder.perspective = _NOBODYS
        pen.owner = None

    def write(self, data: bytes) -> None:
        """Take in what is written already."""
        if not self.closed:
            self._out.append(data)
            self._ledger.out_bytes += len(data)

    def take(self) -> bytes:
        """Give all that is to be sent, and forget it here."""
        out = self._out
        if len(out) == 1:
            data = out.pop()
        else:
            data = b"".join(out)
            out.clear()
        self.long = False
        if not self.closed:
            self._ledger.out_bytes -= len(data)
        return data

    def take_pieces(self) -> list[bytes]:
        """Give all that is to be sent as it is kept, and forget it here."""
        out, self._out = self._out, []
        self.long = False
        if not self.closed:
            self._ledger.out_bytes -= sum(map(len, out))
        return out

    def left(self, count: int) -> None:
        """Tell that of all that `take` gave, `count` bytes have not left yet."""
        if not self.closed:
            self._ledger.out_bytes += count - self._left
            self._left = count

    def release(self) -> None:
        """Write what is owed, or some of it."""
        if self._ledger.has_room("out_bytes"):
            writer = self.writer
            debts: Any = self._tables.releases.take(_RELEASES_AT_ONCE)
            for debt in debts:
                if type(debt) is tuple:
                    self.write(writer.decache(debt[0]))
                else:
                    self.write(writer.decref(debt))

    def call(
        self,
        request: int,
        handle: RemoteReference | CacheObserver,
        name: str,
        wants_answer: bool,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        """Write a call. What it raises is what is wrong with it, and then there is no trace of it.

        That is InsecureJelly or LimitExceeded, or DeadReferenceError if an observer has stopped, or
        the connection ended while it was written.
        """
        update = handle.is_observer
        if update:
            handle.check()  # type: ignore[union-attr]
        elif not kwargs and not self.closed:
            written: bytes | None = self._pen.writer.usual_call(
                request, handle.luid, name, wants_answer, args, self._tables
            )
            if written is not None:
                self._finish(written)
                return
        pen = self._begin(handle.perspective)
        try:
            data = pen.writer.call(
                request, handle.luid, name, wants_answer, args, kwargs or {}, update
            )
            self._end(pen)
            if self.closed:
                raise DeadReferenceError(_ENDED)
        except BaseException as error:
            self._take_back(pen)
            if self.closed and isinstance(error, InsecureJelly):
                # Nothing is sent any more, and what comes behind the end finds closed tables.
                raise DeadReferenceError(_ENDED) from None
            raise
        self._finish_from(pen.encoder, data)

    def call_later(self, failed: Callable[[int, BaseException], None], *call: Any) -> None:
        """Write a call, given as for `call`, behind the message that is being written.

        Whatever is wrong with it goes to `failed`.
        """
        self.put_off(partial(self._call_now, failed, call))

    def _call_now(
        self, failed: Callable[[int, BaseException], None], call: tuple[Any, ...]
    ) -> None:
        try:
            self.call(*call)
        except BaseException as error:
            failed(call[0], error)
            if not isinstance(error, Exception):
                raise

    def answer(self, request: bytes, value: Any, perspective: Any) -> None:
        """Write an answer. Raises as `call` does, but if the connection ended it is dropped."""
        written: bytes | None = self._pen.writer.usual_answer(request, value, self._tables)
        if written is not None:
            self._finish(written)
            return
        pen = self._begin(perspective)
        try:
            data = pen.writer.answer(request, value)
            self._end(pen)
        except BaseException:
            self._take_back(pen)
            raise
        self._finish_from(pen.encoder, data)

    def _finish_from(self, encoder: Encoder, data: bytes) -> None:
        """Keep a message of which `data` is all, or the first piece."""
        self._finish(data)
        pieces = encoder.behind
        if pieces:
            encoder.reset()
            if not self.closed:
                self._out += pieces
                self._ledger.out_bytes += sum(map(len, pieces))
                self.long = True

    def _finish(self, data: bytes) -> None:
        if self.closed:
            self._tables.ids.undo()
            return
        ids = self._tables.ids
        if ids.counted:
            ids.counted.clear()
        self._out.append(data)
        self._ledger.out_bytes += len(data)

    def error(
        self, request: bytes, error: BaseException, traceback: str | None, perspective: Any
    ) -> None:
        """Write an error, as itself if it says how it travels, else as a failure (section 13).

        What can't be sent of it is left out. Raises LimitExceeded if nothing of it can.
        """
        try:
            if hasattr(type(error), "write_jelly"):
                pen = self._begin(perspective)
                try:
                    data = pen.writer.error(request, error)
                    self._end(pen)
                    self._finish_from(pen.encoder, data)
                    return
                except BaseException as problem:
                    self._take_back(pen)
                    if not isinstance(problem, Exception):
                        raise
            self._failure(request, error, traceback)
        except Exception as problem:
            over = problem if isinstance(problem, LimitExceeded) else _UNSENDABLE
            self._failure(request, over, None)
        except BaseException:
            self._failure(request, _UNSENDABLE, None)
            raise

    def _failure(self, request: bytes, error: BaseException, traceback: str | None) -> None:
        limit = self._ledger.limits.string_bytes
        state = failure_state(error, traceback=traceback, string_limit=limit)
        pen = self._begin(None)
        try:
            data = pen.writer.failure(request, FAILURE_TAG, state)
        except BaseException:
            self._take_back(pen)
            raise
        self._end(pen)
        self._finish_from(pen.encoder, data)

    def value(self, value: Any, perspective: Any, host: Any, limits: Limits) -> bytes:
        """Give the bytes of a value by itself, which counts as sent. Raises as `Encoder.unit`."""
        encoder = Encoder(PB, limits, self._tables, perspective)
        encoder.host = self._host if host is None else host
        before = len(self._tables.ids.counted)
        self._values += 1
        try:
            encoder.unit(value, "value")
            data = encoder.take()
        except BaseException:
            self._tables.ids.undo(before)
            raise
        finally:
            self._values -= 1
        self._tables.ids.commit(before)
        return data

    def counted(self, count: Callable[..., _T], *args: Any) -> _T:
        """Give `count(*args)`, which counts something as sent once more.

        It counts for the message that is being written, if any is.
        """
        found = count(*args)
        if not self.is_writing() and not self._values:
            self._tables.ids.commit()
        return found

    def _take_back(self, pen: Pen) -> None:
        """The message that is being written is not sent."""
        pen.encoder.reset()
        self._end(pen)
        self._tables.ids.undo()

    def put_off(self, act: Callable[[], object]) -> None:
        """Have `act()` called behind the message that is being written."""
        later = self.later
        if later == ():
            fresh: deque[Callable[[], object]] = deque()
            # A finalizer may have run meanwhile.
            later = self.later = fresh if self.later == () else self.later
        later.append(act)  # type: ignore[union-attr]

    def send_later(self) -> None:
        """Send what waited for the message that was being written."""
        if self._sends_later:
            return  # That is being done, further down the stack.
        self._sends_later = True
        try:
            while self.later:
                self.later.popleft()()
        finally:
            self._sends_later = False

    def close(self) -> None:
        """The connection is over: what is written still goes out, and nothing more is.

        It is charged no longer, as nobody may tell when the last of it has left.
        """
        self.closed = True
        self._ledger.out_bytes = 0
        self.later = ()


_ENDED: Final = "the connection ended while a message was written"
_UNSENDABLE: Final = Error("the method raised an error that can't be sent")
