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

__all__ = ["Outbox"]

_T = TypeVar("_T")

# So many releases leave at once: a peer that had many counted does not make us write them all.
_RELEASES_AT_ONCE: Final = 4096


class Outbox:
    """Writes messages, and keeps them until `take`.

    `writing` is not empty while a message is being written, further down the stack. `later` is what
    waits for that, a deque when `put_off` has made it one; whoever has a message written calls
    `send_later` when all is told that there is to tell about it.
    """

    __slots__ = (
        "_encoder",
        "_ids",
        "_ledger",
        "_left",
        "_out",
        "_sends_later",
        "_values",
        "closed",
        "later",
        "writer",
        "writing",
    )

    def __init__(self, ledger: Ledger, tables: Tables, dialect: Dialect, host: Any = None) -> None:
        self._ledger = ledger
        # How many values are being written by themselves.
        self._values = 0
        self._ids = tables.ids
        self._out: list[bytes] = []
        self._left = 0
        self._sends_later = False
        self.later: deque[Callable[[], object]] | tuple[()] = ()
        self.closed = False
        self._use(dialect, tables, host)

    def __len__(self) -> int:
        return len(self._out)

    def use(self, dialect: Dialect) -> None:
        """Write in this dialect from now on."""
        self._use(dialect, self._encoder.exporter, self._encoder.host)

    def _use(self, dialect: Dialect, tables: Any, host: Any) -> None:
        self._encoder = Encoder(dialect, self._ledger.limits, tables)
        self._encoder.host = host
        self.writer = Writer(dialect, self._encoder)
        self.writing = self._encoder.out

    def write(self, data: bytes) -> None:
        """Take in what is written already."""
        self._out.append(data)
        self._ledger.out_bytes += len(data)

    def take(self) -> bytes:
        """Give all that is to be sent, and forget it here."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._ledger.out_bytes -= len(data)
        return data

    def left(self, count: int) -> None:
        """Tell that of all that `take` gave, `count` bytes have not left yet."""
        self._ledger.out_bytes += count - self._left
        self._left = count

    def release(self) -> None:
        """Write what is owed, or some of it."""
        if self._ledger.has_room("out_bytes"):
            tables: Any = self._encoder.exporter
            for debt in tables.releases.take(_RELEASES_AT_ONCE):
                if type(debt) is tuple:
                    self.write(self.writer.decache(debt[0]))
                else:
                    self.write(self.writer.decref(debt))

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
        self._encoder.perspective = handle.perspective
        try:
            data = self.writer.call(
                request, handle.luid, name, wants_answer, args, kwargs or {}, update
            )
            if self.closed:
                raise DeadReferenceError(_ENDED)
        except BaseException as error:
            self._take_back()
            if self.closed and isinstance(error, InsecureJelly):
                # Nothing is sent any more, and what comes behind the end finds closed tables.
                raise DeadReferenceError(_ENDED) from None
            raise
        if self._ids.counted:
            self._ids.counted.clear()
        self._out.append(data)
        self._ledger.out_bytes += len(data)

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
        self._encoder.perspective = perspective
        try:
            data = self.writer.answer(request, value)
            if self.closed:
                self._take_back()
                return
        except BaseException:
            self._take_back()
            raise
        if self._ids.counted:
            self._ids.counted.clear()
        self._out.append(data)
        self._ledger.out_bytes += len(data)

    def _finish(self, data: bytes) -> None:
        if self.closed:
            self._ids.undo()
            return
        if self._ids.counted:
            self._ids.counted.clear()
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
                self._encoder.perspective = perspective
                try:
                    self._finish(self.writer.error(request, error))
                    return
                except Exception:
                    self._take_back()
            self._failure(request, error, traceback)
        except Exception as problem:
            self._take_back()
            over = problem if isinstance(problem, LimitExceeded) else _UNSENDABLE
            self._failure(request, over, None)
        except BaseException:
            self._take_back()
            self._failure(request, _UNSENDABLE, None)
            raise

    def _failure(self, request: bytes, error: BaseException, traceback: str | None) -> None:
        limit = self._ledger.limits.string_bytes
        state = failure_state(error, traceback=traceback, string_limit=limit)
        self._finish(self.writer.failure(request, FAILURE_TAG, state))

    def value(self, value: Any, perspective: Any, host: Any, limits: Limits) -> bytes:
        """Give the bytes of a value by itself, which counts as sent. Raises as `Encoder.unit`."""
        encoder = Encoder(PB, limits, self._encoder.exporter, perspective)
        encoder.host = self._encoder.host if host is None else host
        before = len(self._ids.counted)
        self._values += 1
        try:
            encoder.unit(value, "value")
            data = encoder.take()
        except BaseException:
            self._ids.undo(before)
            raise
        finally:
            self._values -= 1
        self._ids.commit(before)
        return data

    def counted(self, count: Callable[..., _T], *args: Any) -> _T:
        """Give `count(*args)`, which counts something as sent once more.

        It counts for the message that is being written, if any is.
        """
        found = count(*args)
        if not self.writing and not self._values:
            self._ids.commit()
        return found

    def _take_back(self) -> None:
        """The message that is being written is not sent."""
        self._encoder.reset()
        self._ids.undo()

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
        """The connection is over: what is written still goes out, and nothing more is."""
        self.closed = True
        self.later = ()


_ENDED: Final = "the connection ended while a message was written"
_UNSENDABLE: Final = Error("the method raised an error that can't be sent")
