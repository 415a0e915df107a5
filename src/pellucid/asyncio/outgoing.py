"""What leaves over one connection: when it is written, and whether the other side takes it."""

import asyncio
from collections import deque
from threading import get_ident
from typing import Any, Final, Protocol

from ..broker import Broker
from ..caches import CacheObserver
from ..errors import DeadReferenceError, LimitExceeded, PBError
from ..references import RemoteReference
from .opening import check_type
from .timers import Timers

__all__ = ["Outgoing"]

# So many messages leave together, so that the other side can begin before we are done.
_MESSAGES_PER_WRITE = 64
# A release waits for so many seconds, so that not each costs the system a call of its own, and the
# other side a turn.
_RELEASE_TIME = 0.002
_CREATE_FUTURE = asyncio.BaseEventLoop.create_future
# A transport that holds more than this is full.
_HIGH_WATER = 64 * 1024


class _Link(Protocol):
    @property
    def _timers(self) -> Timers: ...

    def abort(self, error: BaseException | None = None) -> None:
        """Cut the connection at once."""

    def _look(self) -> None:
        """Look at how much is held."""


# So that all connections of a thread have one number.
_threads: Final[dict[int, int]] = {}


def _thread() -> int:
    number = get_ident()
    return _threads.setdefault(number, number)


class Outgoing:
    """The way from the broker to the transport.

    The first message of a turn leaves at once, those that follow every 64 and at its end. While
    `in_turn` is set the end is told by `uncork`, else it is the next iteration of the loop.
    `link.abort(error)` is called when the other side took nothing for `limits.stall_time`.
    """

    __slots__ = (
        "_below",
        "_broker",
        "_corked",
        "_link",
        "_loop",
        "_plain",
        "_rest",
        "_rest_bytes",
        "_transport",
        "_unsent",
        "_waiters",
        "_written",
        "closing",
        "in_turn",
        "paused",
        "releasing",
        "thread",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        broker: Broker,
        link: _Link,
    ) -> None:
        self._loop = loop
        self._broker = broker
        # The loops of asyncio do no more than that, but by another function.
        self._plain = getattr(type(loop), "create_future", None) is _CREATE_FUTURE
        # Any, because it is there as long as there is a transport.
        self._link: Any = link
        self._transport: asyncio.WriteTransport | None = None
        self._below: asyncio.WriteTransport | None = None
        self._corked = False
        self.releasing = False
        self.paused = False
        self._written = 0
        self._unsent = 0
        # The pieces for which the transport has no room yet, where there are any.
        self._rest: deque[bytes] | tuple[()] = ()
        self._rest_bytes = 0
        # Those that wait for room.
        self._waiters: set[asyncio.Future[None]] | None = None
        self.in_turn = False
        # `close` was called: no call is made any more.
        self.closing = False
        # The thread of the loop, 0 in a process that was forked.
        self.thread = _thread()

    def start(
        self, transport: asyncio.WriteTransport, below: asyncio.WriteTransport | None = None
    ) -> None:
        """The transport is there. If it is one of TLS, `below` carries it, and may be full too."""
        self._transport = transport
        self._below = below
        # Whoever is over the limit for bytes must hear when there is room again.
        self.use_limits()
        self._write()

    def use_limits(self) -> None:
        """Hold the transport to the limits, which have changed."""
        if self._transport is not None:
            most = min(_HIGH_WATER, self._broker.limits.out_bytes - 1)
            self._transport.set_write_buffer_limits(most)

    def stop(self) -> None:
        """The transport is gone: what is still to be sent goes nowhere."""
        self._transport = None
        self._rest = ()
        self._rest_bytes = 0
        self.resume()

    def leave(self) -> None:
        """The connection is over, with its methods: forget it."""
        self._link = None

    def call(
        self,
        handle: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "asyncio.Future[Any]":
        """Make a call and give the future of its result, or of what is wrong with the call.

        Raises RuntimeError on another thread than that of the loop.
        """
        if get_ident() != self.thread:
            self.check_thread()
        future: asyncio.Future[Any]
        future = asyncio.Future(loop=self._loop) if self._plain else self._loop.create_future()
        try:
            self.send(future, handle, name, args, kwargs)
        except (PBError, TypeError) as error:
            future.set_exception(error.with_traceback(None))
        return future

    def send(
        self,
        waiter: Any,
        handle: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Make a call whose answer `waiter` gets; None wants no answer. Raises as `Broker.call`."""
        if self.closing:
            raise DeadReferenceError("the connection of this reference is being closed")
        if self._unsent:
            self.count()
        try:
            self._broker.call(waiter, handle, name, args, kwargs)
        except (AttributeError, TypeError):
            # Nothing was sent. What is wrong with a value is a PBError.
            check_type(name, str, "the name of a method is a str")
            raise
        self.flush()

    def check_thread(self) -> None:
        """Raise RuntimeError on another thread than that of the loop."""
        if get_ident() == self.thread:
            return
        if self.thread == 0:
            raise RuntimeError("this connection belongs to the process that forked this one")
        raise RuntimeError(
            "this is used from another thread than that of its loop: write an `async def` that "
            "uses it and give that to asyncio.run_coroutine_threadsafe with the loop, or use "
            "pellucid.blocking"
        )

    def flush(self) -> None:
        """There is one more message to send."""
        if not self._corked:
            self._corked = True
            self._write()
            if not self.in_turn:
                self._loop.call_soon(self.uncork)
        elif self._broker.messages_to_send >= _MESSAGES_PER_WRITE:
            self._write()

    def uncork(self) -> None:
        """Send all that there is. What is released waits a moment for a message to leave with."""
        self._corked = False
        broker = self._broker
        # What is to be sent and not written yet.
        if broker.ledger.out_bytes > self._unsent:
            self._write()
        if broker.releases.gone or broker.releases.owed:
            self.release_soon()

    def release_soon(self) -> None:
        """Tell a moment later what is not held here any more, unless a message tells it before.

        `releasing` is true until then. Not for finalizers: they may run while a timer is set.
        """
        if not self.releasing and not self.paused and not self._broker.closed:
            self.releasing = True
            self._loop.call_later(_RELEASE_TIME, self._release)

    def _release(self) -> None:
        self.releasing = False
        # Who has no room tells `uncork` when there is some.
        if self._broker.owes and not self.paused:
            self._write()
            if self._broker.owes:
                # That was a part of very many.
                self.release_soon()

    def _write(self) -> None:
        if self._rest or self._broker._outbox.long:
            self._write_pieces()
            return
        data = self._broker.data_to_send()
        transport = self._transport
        if not data or transport is None or transport.is_closing():
            return
        transport.write(data)
        self._written += len(data)
        # Most of what is written has left.
        if self._unsent or self._below is not None or transport.get_write_buffer_size():
            self._count_and_watch()

    def _count_and_watch(self) -> None:
        self.count()
        if self._unsent and "stall" not in self._link._timers:
            self._watch()

    def _write_pieces(self) -> None:
        """Write behind what waits for room, or what is too long to be copied."""
        pieces = self._broker.pieces_to_send()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        size = sum(map(len, pieces))
        self._written += size
        self._rest_bytes += size
        if not self._rest:
            self._rest = deque()
        self._rest += pieces
        self._feed()
        self._count_and_watch()

    def _feed(self, all_of_it: bool = False) -> None:
        """Write of what waits for room as much as there is room for."""
        rest, transport = self._rest, self._transport
        while rest and transport is not None and (all_of_it or not self.paused):
            # What is short has no call to the system of its own.
            group = [rest.popleft()]
            while rest and len(group[-1]) < _HIGH_WATER:
                group.append(rest.popleft())
            self._rest_bytes -= sum(map(len, group))
            # Not all versions of asyncio look there whether the transport is full.
            if self._plain:
                transport.write(b"".join(group))
            else:
                transport.writelines(group)

    def finish(self) -> None:
        """Write all that there is, for nothing will be asked any more."""
        self.uncork()
        self._feed(True)

    def count(self) -> None:
        """Look at how much of what was written has not left."""
        if self._transport is not None:
            left = self._transport.get_write_buffer_size() + self._rest_bytes
            if self._below is not None:
                left += self._below.get_write_buffer_size()
            if left or self._unsent:
                self._unsent = left
                self._broker.data_left(left)
                if left > _HIGH_WATER:
                    self._link._look()

    def has_unsent(self) -> bool:
        """Tell whether there is something that the system has not taken."""
        self.count()
        return bool(self._unsent or self._broker.messages_to_send)

    def _watch(self) -> None:
        taken = self._written - self._unsent
        self._link._timers.start("stall", self._broker.limits.stall_time, self._check_stall, taken)

    def _check_stall(self, taken_before: int) -> None:
        self.count()
        if self._unsent and self._written - self._unsent == taken_before:
            time = self._broker.limits.stall_time
            self._link.abort(
                LimitExceeded(
                    f"the peer took nothing for {time} s (limits.stall_time)",
                    limit="stall_time",
                    value=self._unsent,
                    remote=True,
                )
            )
        elif self._unsent:
            self._watch()

    def pause(self) -> None:
        """The transport holds enough that has not left."""
        self.paused = True

    def resume(self) -> None:
        """The transport has room again."""
        self.paused = False
        self._feed()
        self.count()
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def drain(self) -> None:
        """Wait until the transport has room, or is gone."""
        # What was just written may be refused by the socket in this iteration only.
        await asyncio.sleep(0)
        while self.paused:
            waiter = self._loop.create_future()
            if self._waiters is None:
                self._waiters = set()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
