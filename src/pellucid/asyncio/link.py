"""The life of one transport: its opening, the turns in which its bytes become calls, its end."""

import asyncio
import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, Final, cast
from weakref import WeakSet

from .. import references
from ..broker import ROOT, Broker
from ..caches import CacheObserver
from ..errors import ConnectionLost, LimitExceeded, RemoteProtocolError
from ..events import Event
from ..limits import Limits
from ..registry import Registry
from .alive import keep_alive
from .calls import Runner
from .gate import Entry
from .logs import Lines, without_frames
from .outgoing import Outgoing
from .shared import shared_by
from .timers import Deadlines, Seldom, Timers
from .tls import Certificate, Farewell, certificate_of
from .turns import Reader, Turns
from .url import Address

__all__ = ["Link"]

log = logging.getLogger("pellucid")

# Those of clients. A server knows its own.
_open: WeakSet["Link"] = WeakSet()

# Nothing is ever put in. What a connection may never need is made at its first use.
_NONE: Final[dict[Any, Any]] = {}


def _after_fork() -> None:
    for link in _open:
        link.forked()


# Where there is no fork there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)


class Link(Reader, asyncio.BufferedProtocol, ABC):
    """A broker on a transport. What its events mean is told by the class below, `Connection`."""

    __slots__ = (
        "__weakref__",
        "_below",
        "_calls",
        "_done",
        "_entry",
        "_error",
        "_finished",
        "_is_client",
        "_last",
        "_later_limits",
        "_lines",
        "_loop",
        "_lost",
        "_made_timers",
        "_on_close",
        "_on_done",
        "_opening",
        "_out",
        "_over",
        "_peer",
        "_ready",
        "_shared",
        "_shared_lines",
        "_transport",
        "_woken",
        "certificate",
        "host",
        "unix",
    )

    def __init__(
        self,
        role: str,
        *,
        root: Any = None,
        peer: str = "",
        limits: Limits | None = None,
        registry: Registry | None = None,
        tracebacks: bool = False,
        dialects: Sequence[str] | None = None,
        faults: Seldom | None = None,
        later_limits: Limits | None = None,
        entry: Entry | None = None,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._shared = shared = shared_by(loop)
        # The name, or what it is made of when somebody asks.
        self._peer: str | tuple[Any, ...] = peer
        chosen: dict[str, Any] = {} if dialects is None else {"dialects": dialects}
        self._woken = False
        self._is_client = role == "client"
        self._broker = Broker(
            role,
            limits=limits,
            registry=registry,
            reference_type=_make_reference,
            observer_type=_make_observer,
            buffer=shared.buffer,
            tracebacks=tracebacks,
            face=self,
            pens=shared.pens,
            **chosen,
        )
        self._entry = entry
        # Those from a login on, None where nobody logs in.
        self._later_limits = later_limits
        self._opening: Deadlines | None = None
        self._made_timers: Timers | None = None
        self._out = Outgoing(loop, self._broker, self)
        self._calls = self._make_calls()
        self._turns = self._make_turns()
        self._transport: asyncio.Transport | None = None
        # Under TLS, what carries it.
        self._below: asyncio.Transport | None = None
        self.unix = False
        self.host = ""
        self.certificate: Certificate | None = None
        # A server has one for all its connections, of which anybody can make as many as he likes.
        self._shared_lines = faults
        self._lines: Lines | None = None
        # The stages of the end, behind `closing`: the transport is gone, the broker is through as
        # well, the last method has ended.
        self._lost = self._over = self._done = False
        self._error: BaseException | None = None
        # What the connection owes to the application after its end, and runs to its own.
        self._last: dict[asyncio.Task[None], str] = _NONE
        self._ready: asyncio.Future[None] | None = None
        self._finished: asyncio.Event | None = None
        self._on_done: Callable[[Any], None] | None = None
        self._on_close: tuple[Callable[[BaseException | None], object], ...] = ()
        if faults is None:
            _open.add(self)
        # A portal has a root of its own for each connection, which works already.
        if hasattr(type(root), "root_for"):
            root = root.root_for(self)
        if root is not None:
            self._broker.exports.publish(ROOT, root)

    # What the class below adds.

    @abstractmethod
    def _make_reference(self, broker: Broker, luid: int | bytes) -> references.RemoteReference:
        """Make a handle on an object of the other side."""

    @abstractmethod
    def _make_observer(self, broker: Broker, luid: int, perspective: Any) -> CacheObserver:
        """Make a handle on the copy that the other side has of a cache."""

    @abstractmethod
    def _make_calls(self) -> Runner:
        """Make what runs the methods that the other side calls."""

    @abstractmethod
    def _make_turns(self) -> Turns:
        """Make what takes what was read."""

    @abstractmethod
    def _look(self) -> None:
        """Look at what was read and is not complete, and at how much is held."""

    @abstractmethod
    def _handle(self, event: Event) -> None:
        """Take an event of the broker that is neither CallReceived nor CallCompleted."""

    @property
    def limits(self) -> Limits:
        """What the connection may cost."""
        limits: Limits = self._broker.limits
        return limits

    @property
    def _timers(self) -> Timers:
        if self._made_timers is None:
            self._made_timers = Timers(self._loop)
        return self._made_timers

    @property
    def peer(self) -> str:
        """The address of the other side."""
        if not isinstance(self._peer, str):
            self._peer = _name(self._peer, self.encrypted)
        return self._peer

    @peer.setter
    def peer(self, peer: str) -> None:
        self._peer = peer

    def forked(self) -> None:
        """This is another process now, where the connection is of no use."""
        self._out.thread = 0

    @property
    def encrypted(self) -> bool:
        """Tell whether the connection is under TLS."""
        return self._below is not None

    def _wake(self) -> None:
        # The broker has something to say: from a finalizer, in any thread at any time, or because
        # of what the application does. A turn that is under way takes it.
        if self._woken:
            return
        try:
            if get_ident() == self._out.thread:
                if self._out.in_turn:
                    return
                if self._broker.has_waiting:
                    self._woken = True
                    self._loop.call_soon(self._wake_up)
                elif not self._out.releasing:
                    self._loop.call_soon(self._out.release_soon)
            elif self._out.thread:
                self._woken = True
                self._loop.call_soon_threadsafe(self._wake_up)
        except RuntimeError:
            pass  # The loop is closed, and with it the connection.

    def _wake_up(self) -> None:
        self._woken = False
        self._turn()

    def _turn(self) -> None:
        self._turns.run()

    def _report(self, text: str, cause: BaseException | None = None) -> None:
        self.log.fault(self.peer, text, cause)

    @property
    def log(self) -> Lines:
        """The log of this connection, which no peer can fill a disk with."""
        if self._lines is None:
            most, texts = self.limits.log_lines, self._broker.tracebacks
            self._lines = Lines(self._loop.time, most, self._shared_lines, texts)
        return self._lines

    def _call_finished(self) -> None:
        if self._over:
            self._check_done()
        elif self._broker.has_waiting or not self._turns.reading:
            self._turns.go_on_soon()

    # The transport's life.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = self._turns.transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        # Asking a socket for its family takes long.
        self.unix = not isinstance(name, tuple) and _is_unix(transport)
        self.host = name[0] if name and not self.unix else ""
        reset = not self.unix and not self.host
        if not self._peer:
            self._peer = "somebody" if reset else _name(name) if self.unix else name
        if reset:
            # What it sent first may be there, but not where it came from.
            self._transport.abort()
        elif self._is_client:
            keep_alive(transport.get_extra_info("socket"), self.limits.keepalive_time)
        self._begin_opening(self.limits.handshake_time, Link._handshake_over)
        self._out.start(self._transport, self._below)

    def secured(self, transport: asyncio.Transport, below: asyncio.Transport) -> None:
        """The TLS handshake is through: `transport` is there, and `below` carries it."""
        self._below = below
        self.certificate = certificate_of(transport)
        transport.set_protocol(self)
        self.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what had arrived already when `secured` was called."""
        self._broker.receive_data(data)
        self._turn()

    def _begin_opening(self, seconds: float, late: Callable[[Any], object]) -> None:
        self._opening = self._shared.opening(seconds, late)
        self._opening.add(self, self._loop)

    def _end_opening(self) -> None:
        if self._opening is not None:
            self._opening.remove(self)
            self._opening = None

    async def wait_ready(self) -> None:
        """Wait until the dialect is agreed. Raises ConnectionLost if that does not come about."""
        if not self._broker.ready and not self._broker.closed:
            self._ready = self._loop.create_future()
            await self._ready
        elif not self._broker.ready:
            raise self._lost_while_opening()

    def _handshake_over(self) -> None:
        text = f"no dialect was agreed within {self.limits.handshake_time} s"
        if self._is_client and not self.encrypted and not self.unix:
            text += "; if the server speaks TLS, use pbs://"
        late = RemoteProtocolError(text)
        late.__cause__ = TimeoutError()
        self.abort(late)

    def eof_received(self) -> bool:
        """Nothing more will come. What has come is still started, and answered if that is possible.

        It is not under TLS: asyncio closes both directions at once.
        """
        if self._broker.closed:
            return False
        if self.encrypted:
            self._out.stop()
        self._no_more(EOFError("the other side closed the connection"))
        return not self.encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone. What has come is still started."""
        self._lost = True
        self._transport = self._turns.transport = None
        self._out.stop()
        if self._broker.closed:
            self._is_over()
        else:
            self._no_more(exc or EOFError("the other side closed the connection"))

    def _no_more(self, reason: BaseException) -> None:
        self._turns.eof = True
        if self._out.closing:
            self._broker.close()
        elif self._turns.closing:
            # Nothing of what has come is started.
            self._broker.close(reason)
        else:
            self._timers.start("close", self.limits.close_time, self.abort, reason)
            self._broker.receive_eof(reason)
        self._turn()

    def pause_writing(self) -> None:
        """The transport holds enough that has not left."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._out.resume()
        self._out.uncork()
        self._turns.go_on_soon()
        self._look()

    # The end.

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
        if isinstance(error, (RemoteProtocolError, LimitExceeded)):
            without_frames(error)
        self._end_opening()
        # What ends the opening of a client is raised there.
        opening = self._is_client and not self._broker.ready
        if not opening and error is not None and not isinstance(error, (EOFError, OSError)):
            text = f"{error}{self._hint(error)}"
            self.log.warning("%s: the connection was ended: %s", self.peer, text)
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._lost_while_opening())
        self._calls.cancel()
        if self._transport is None:
            # Lost before, or never made.
            self._lost = True
            self._is_over()
        elif not self._transport.is_closing():
            self._out.finish()
            self._timers.start("close", self.limits.close_time, self._transport.abort)
            orderly = error is None and self._broker.ready and not self._turns.eof
            self._hang_up(self._transport, orderly)

    def _hint(self, error: BaseException) -> str:
        """Tell what a client may be that speaks no PB."""
        if self._broker.ready or self.encrypted or not isinstance(error, RemoteProtocolError):
            return ""
        # The greeting of TLS comes in one piece, and was read just now.
        greeting = bytes(self._shared.buffer[:2]) == b"\x16\x03"
        return "; if the client speaks TLS, serve pbs://" if greeting else ""

    def _hang_up(self, transport: asyncio.Transport, orderly: bool) -> None:
        # A socket that is closed with something unread resets the connection, and what was sent
        # last is lost. So reading goes on until the other side is through as well.
        if orderly and self._below is not None:
            Farewell(self._loop, transport, self._below).start()
            return
        if orderly and transport.can_write_eof():
            try:
                transport.write_eof()
                return
            except OSError:
                pass  # The other side was faster.
        transport.close()

    def _lost_while_opening(self) -> ConnectionLost:
        why = str(self._error or "closed")
        if self._is_client and isinstance(self._error, (EOFError, OSError)):
            # The server is the first to speak.
            if self.encrypted:
                why = "the server closed the connection during opening; "
                why += "it may want a certificate of the client"
            elif not self.unix:
                why += "; if the server speaks TLS, use pbs://"
        lost = ConnectionLost(f"no PB connection to {self.peer}: {why}")
        lost.__cause__ = self._error
        return lost

    def _is_over(self) -> None:
        self._over = True
        self._turns.leave_line()
        if self._made_timers is not None:
            self._made_timers.cancel_all()
        callbacks, self._on_close = self._on_close, ()
        for callback in callbacks:
            self._loop.call_soon(callback, self._error)
        if self._calls.running or self._last:
            self._timers.start("methods", self.limits.close_time, self._give_up_methods)
        if callbacks:
            # Who waits for the end hears of it behind them.
            self._loop.call_soon(self._check_done)
        else:
            self._check_done()

    def _give_up_methods(self) -> None:
        if self._calls.running:
            names = ", ".join(sorted(set(self._calls.running.values())))
            log.error("%s: methods that ignore their cancellation: %s", self.peer, names)
        if self._last:
            names = ", ".join(sorted(set(self._last.values())))
            log.error("%s: still running after the end of the connection: %s", self.peer, names)
        self._check_done(given_up=True)

    def _check_done(self, given_up: bool = False) -> None:
        busy = bool(self._calls.running or self._last)
        if not busy and not self._loop.is_closed():
            # Not at once: a method that ended it may be in its first lines.
            self._loop.call_soon(self._let_go)
        if self._done or (busy and not given_up):
            return
        self._done = True
        if self._made_timers is not None:
            self._made_timers.cancel_all()
        if self._finished is not None:
            self._finished.set()
        if self._on_done is not None:
            self._on_done(self)

    def _let_go(self) -> None:
        """Be in no cycle any more, which would keep what was read until the collector comes."""
        if self._calls.running or self._last:
            return
        self._ready = self._on_done = None
        self._turns.leave()
        self._calls.leave()
        self._out.leave()
        self._broker.leave()


def _make_reference(broker: Broker, luid: int | bytes) -> references.RemoteReference:
    made: references.RemoteReference = broker.face._make_reference(broker, luid)
    return made


def _make_observer(broker: Broker, luid: int, perspective: Any) -> CacheObserver:
    made: CacheObserver = broker.face._make_observer(broker, luid, perspective)
    return made


def _is_unix(transport: asyncio.BaseTransport) -> bool:
    """Tell whether both ends are on this machine, whatever the other one is called."""
    family: int = transport.get_extra_info("socket").family
    return family == getattr(socket, "AF_UNIX", None)


def _name(peername: Any, encrypted: bool = False) -> str:
    if isinstance(peername, tuple):
        return str(Address(peername[0], peername[1], tls=encrypted))
    return "pb+unix://"
