"""One connection on an asyncio loop."""

import asyncio
import logging
import os
from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

from ..broker import Broker
from ..errors import (
    ConnectionLost,
    DeadReferenceError,
    LocalProtocolError,
    PBError,
    RemoteProtocolError,
)
from ..events import CallCompleted, CallFailed, CallReceived, Closed, Event, PeerFault
from ..limits import Limits
from ..registry import Registry
from .calls import EAGER_TASKS, Calls
from .outgoing import Outgoing
from .reference import RemoteReference
from .timers import Timers, finish
from .url import Address

__all__ = ["Connection"]

log = logging.getLogger("pellucid")

# A read takes no more than this; one buffer serves all connections of a loop.
_BUFFER_BYTES = 256 * 1024

# So many mistakes of one peer that cost it nothing are logged.
_FAULTS_LOGGED = 10

_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()
_open: WeakSet["Connection"] = WeakSet()


def _shared_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_BUFFER_BYTES))
    return buffer


def _after_fork() -> None:
    for connection in _open:
        connection._thread = 0


# Where there is no fork there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)


class Connection(asyncio.BufferedProtocol):
    """A connection, as `connect` gives it and as a server has one for each client.

    Use it on the thread of its loop. `peer` is the address of the other side.
    """

    def __init__(
        self,
        role: str,
        *,
        root: Any = None,
        peer: str = "",
        limits: Limits | None = None,
        registry: Registry | None = None,
        tracebacks: bool = False,
        dialects: tuple[str, ...] = ("pb", "none"),
        eager: bool = EAGER_TASKS,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self.peer = peer
        self._broker = Broker(
            role,
            root=root,
            limits=limits,
            registry=registry,
            dialects=dialects,
            reference_type=self._make_reference,
            wake=self._wake,
            buffer=_shared_buffer(self._loop),
            tracebacks=tracebacks,
        )
        self._limits = self._broker.limits
        self._timers = Timers(self._loop)
        self._out = Outgoing(self._loop, self._broker, self._timers, self.abort)
        self._calls = Calls(self._loop, self._broker, self._out.flush, self._call_finished, eager)
        self._transport: asyncio.Transport | None = None
        self._starts_left = self._limits.calls_per_turn
        self._few_starts = (self._limits.calls_per_turn - 1) // 2
        # A task was made for a call: no other may start before its first line has run.
        self._held = False
        self._resume: asyncio.Handle | None = None
        self._reading = True
        self._faults = 0
        self._eof = False
        # The stages of the end: `close` was called, the transport is gone, the broker is through
        # as well, the last method has ended.
        self._closing = False
        self._lost = False
        self._over = False
        self._done = False
        self._error: BaseException | None = None
        self._ready: asyncio.Future[None] | None = None
        self._finished: asyncio.Event | None = None
        self._on_done: Callable[[Connection], None] | None = None
        self._on_close: list[Callable[[BaseException | None], object]] = []
        _open.add(self)

    # What an application uses.

    @property
    def root(self) -> RemoteReference:
        """The object that the server gives to everybody. No round trip is made for it."""
        root = self._broker.root
        if not isinstance(root, RemoteReference):
            raise LocalProtocolError("only the side that connected has the other side's root")
        return root

    @property
    def closed(self) -> bool:
        """Tell whether the connection has ended or is being closed."""
        return self._closing or self._lost or self._broker.closed

    def close(self) -> None:
        """Close the connection: what is ready to be sent still goes out, calls that wait fail.

        Called by a method that the other side called, its answer still goes out. If the other side
        does not close as well the connection is cut after `limits.close_time`.
        """
        self._check_thread()
        if self._closing or self._broker.closed:
            return
        self._closing = True
        task = self._calls.current()
        if task is None:
            self._loop.call_soon(self._finish)
        else:
            task.add_done_callback(self._finish)
            self._timers.start("close", self._limits.close_time, self._finish)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed and no method that it called runs any more.

        Raises LocalProtocolError inside such a method, which would wait for itself.
        """
        self.check_outside()
        await self.finished()

    def check_outside(self) -> None:
        """Raise LocalProtocolError inside a method that this connection called."""
        if self._calls.current() is not None:
            raise LocalProtocolError("a method can't wait for the end of its own connection")

    async def finished(self) -> None:
        """Wait as `wait_closed` does, wherever from."""
        if not self._done:
            if self._finished is None:
                self._finished = asyncio.Event()
            await self._finished.wait()

    async def drain(self) -> None:
        """Wait until the other side has taken enough of what was sent.

        Raises ConnectionLost if the connection ends meanwhile.
        """
        await self._out.drain()
        if self._lost or self._broker.closed:
            raise ConnectionLost("the connection was closed") from self._error

    def on_close(self, callback: Callable[[BaseException | None], object]) -> None:
        """Call `callback(reason)` when the connection has ended, or soon if it has already.

        The reason is None if this side closed it.
        """
        if self._over:
            self._loop.call_soon(callback, self._error)
        else:
            self._on_close.append(callback)

    def on_done(self, callback: Callable[["Connection"], None]) -> None:
        """Call `callback(self)` when the connection is closed and none of its methods runs."""
        self._on_done = callback

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        self.check_outside()
        await finish(self.finished)

    def __repr__(self) -> str:
        return f"<Connection {'closed' if self.closed else 'open'} {self.peer}>"

    # Calls of ours.

    def _make_reference(self, broker: Broker, luid: int | bytes) -> RemoteReference:
        return RemoteReference(broker, luid, self)

    def _check_thread(self) -> None:
        if get_ident() == self._thread:
            return
        if self._thread == 0:
            raise RuntimeError("this connection belongs to the process that forked this one")
        raise RuntimeError(
            "a call from another thread: use asyncio.run_coroutine_threadsafe with the loop"
        )

    def _call(
        self, reference: RemoteReference, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "asyncio.Future[Any]":
        if get_ident() != self._thread:
            self._check_thread()
        future: asyncio.Future[Any] = self._loop.create_future()
        try:
            self._send_call(future, reference, name, args, kwargs)
        except PBError as error:
            future.set_exception(error.with_traceback(None))
        return future

    def _notify(
        self, reference: RemoteReference, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._check_thread()
        self._send_call(None, reference, name, args, kwargs)

    def _send_call(
        self,
        waiter: "asyncio.Future[Any] | None",
        reference: RemoteReference,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if self._closing:
            raise DeadReferenceError("the connection of this reference is being closed")
        if self._out.unsent:
            self._out.count()
        self._broker.call(waiter, reference, name, args, kwargs)
        self._out.flush()

    def _wake(self) -> None:
        # From a finalizer: any thread, any time.
        try:
            if get_ident() == self._thread:
                if not self._out.in_turn:
                    self._loop.call_soon(self._out.uncork)
            elif self._thread:
                self._loop.call_soon_threadsafe(self._out.uncork)
        except RuntimeError:
            pass  # The loop is closed, and with it the connection.

    # What arrives.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room to read into."""
        return self._broker.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the transport has read."""
        if not self._broker.closed:
            self._broker.received(nbytes)
            self._turn()

    def _turn(self) -> None:
        broker = self._broker
        self._out.in_turn = True
        try:
            while True:
                may_start = self._starts_left > 0 and not self._held and not self._closing
                event = broker.next_event(may_start)
                if event is None:
                    break
                if type(event) is CallReceived:
                    self._starts_left -= 1
                    if not self._calls.start(event):
                        self._hold()
                else:
                    self._handle(event)
        finally:
            # Before the last write, so that a reference that dies meanwhile is not overlooked.
            self._out.in_turn = False
        stuck = not broker.wants_data
        self._out.uncork()
        if (self._starts_left <= self._few_starts or broker.has_waiting) and not self._closing:
            self._go_on_soon()
        if broker.wants_data != self._reading:
            self._set_reading(broker.wants_data)
        if stuck and (self._reading or (broker.imports.owes and not self._out.paused)):
            # What was released made room for what is read already; each turn releases some.
            self._go_on_soon()

    # Only `_go_on` makes room for more starts, once in an iteration of the loop. It is scheduled
    # when half of the room is used, so that a few calls cost nothing.

    def _go_on(self) -> None:
        self._resume = None
        self._held = False
        self._starts_left = self._limits.calls_per_turn
        self._turn()

    def _go_on_soon(self) -> None:
        if self._resume is None and not self._broker.closed:
            self._resume = self._loop.call_soon(self._go_on)

    def _hold(self) -> None:
        self._held = True
        if self._resume is not None:
            # It would come before the first line of the task.
            self._resume.cancel()
            self._resume = None
        self._go_on_soon()

    def _handle(self, event: Event) -> None:
        kind = type(event)
        if kind is CallCompleted:
            if not event.waiter.done():  # type: ignore[union-attr]
                event.waiter.set_result(event.value)  # type: ignore[union-attr]
        elif isinstance(event, CallFailed):
            if not event.waiter.done():
                event.waiter.set_exception(event.error)
        elif isinstance(event, Closed):
            self._ended(event.error)
        elif isinstance(event, PeerFault):
            self._report(event.text)
        else:
            self._timers.cancel("handshake")
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)

    def _report(self, text: str) -> None:
        # A peer must not be able to fill a disk with its mistakes.
        self._faults += 1
        if self._faults <= _FAULTS_LOGGED:
            log.warning("%s: %s", self.peer, text)
        if self._faults == _FAULTS_LOGGED:
            log.warning("%s: its further mistakes are not logged", self.peer)

    def _set_reading(self, reading: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _call_finished(self) -> None:
        if self._over:
            self._check_done()
        elif self._broker.has_waiting or not self._reading:
            self._go_on_soon()

    # The transport's life.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        if not self.peer:
            self.peer = _name(transport.get_extra_info("peername"))
        self._timers.start("handshake", self._limits.handshake_time, self._handshake_over)
        self._out.start(self._transport)

    async def wait_ready(self) -> None:
        """Wait until the dialect is agreed. Raises ConnectionLost if that does not come about."""
        if not self._broker.ready and not self._broker.closed:
            self._ready = self._loop.create_future()
            await self._ready
        elif not self._broker.ready:
            raise self._lost_while_opening()

    def _handshake_over(self) -> None:
        seconds = self._limits.handshake_time
        self.abort(RemoteProtocolError(f"no dialect was agreed within {seconds} s"))

    def eof_received(self) -> bool:
        """Nothing more will come. What has come is still started, and answered."""
        if self._broker.closed:
            return False
        self._no_more(EOFError("the other side closed the connection"))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone. What has come is still started."""
        self._lost = True
        self._transport = None
        self._out.stop()
        if self._broker.closed:
            self._is_over()
        else:
            self._no_more(exc or EOFError("the other side closed the connection"))

    def _no_more(self, reason: BaseException) -> None:
        self._eof = True
        if self._closing:
            self._broker.close()
        else:
            self._timers.start("close", self._limits.close_time, self.abort, reason)
            self._broker.receive_eof(reason)
        self._turn()

    def _is_over(self) -> None:
        self._over = True
        self._timers.cancel_all()
        for callback in self._on_close:
            self._loop.call_soon(callback, self._error)
        self._on_close.clear()
        if self._calls.running:
            self._timers.start("methods", self._limits.close_time, self._give_up_methods)
        self._check_done()

    def pause_writing(self) -> None:
        """The transport holds enough that has not left."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._out.resume()
        self._out.uncork()
        self._go_on_soon()

    def abort(self, error: BaseException | None = None) -> None:
        """Cut the connection at once, because of `error`."""
        self._broker.close(error)
        self._turn()
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, _task: object = None) -> None:
        self._broker.close()
        self._turn()

    def _ended(self, error: BaseException | None) -> None:
        self._error = error
        self._timers.cancel("handshake")
        if error is not None and not isinstance(error, (EOFError, OSError)):
            log.warning("%s: the connection was ended: %s", self.peer, error)
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._lost_while_opening())
        self._calls.cancel()
        if self._transport is None:
            # Lost before, or never made.
            self._lost = True
            self._is_over()
        elif not self._transport.is_closing():
            self._out.uncork()
            self._timers.start("close", self._limits.close_time, self._transport.abort)
            orderly = error is None and self._broker.ready and not self._eof
            self._hang_up(self._transport, orderly)

    def _hang_up(self, transport: asyncio.Transport, orderly: bool) -> None:
        # A socket that is closed with something unread resets the connection, and what was sent
        # last is lost. So reading goes on until the other side is through as well.
        if orderly and transport.can_write_eof():
            try:
                transport.write_eof()
                return
            except OSError:
                pass  # The other side was faster.
        transport.close()

    def _lost_while_opening(self) -> ConnectionLost:
        lost = ConnectionLost(f"no PB connection to {self.peer}: {self._error or 'closed'}")
        lost.__cause__ = self._error
        return lost

    def _give_up_methods(self) -> None:
        names = ", ".join(sorted(set(self._calls.running.values())))
        log.error("%s: methods that ignore their cancellation: %s", self.peer, names)
        self._check_done(given_up=True)

    def _check_done(self, given_up: bool = False) -> None:
        if self._done or (self._calls.running and not given_up):
            return
        self._done = True
        self._timers.cancel_all()
        if self._finished is not None:
            self._finished.set()
        if self._on_done is not None:
            self._on_done(self)


def _name(peername: Any) -> str:
    if isinstance(peername, tuple):
        return str(Address(peername[0], peername[1]))
    return "pb+unix://"
