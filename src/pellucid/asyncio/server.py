"""Serving an object to everybody who connects."""

import asyncio
import logging
import math
import os
import socket
import ssl as library
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import WeakSet

from ..flavors import Avatar
from ..limits import LOGIN_LIMITS, Limits, ServerLimits
from ..registry import Registry
from . import tls
from . import url as urls
from .alive import keep_alive
from .connection import Connection
from .gate import Entry, Gate
from .listen import Listening, listen
from .opening import Closing, Opening, check_options, check_type
from .timers import Seldom, finish

__all__ = ["Server", "drain_time", "serve"]

log = logging.getLogger("pellucid")

# So many seconds calls have to finish. Kubernetes kills what has not ended 30 s after its signal,
# and closing takes `limits.close_time` twice: for what is to be sent, and for what is cancelled.
_DRAIN_TIME = 20.0


_servers: WeakSet["Server"] = WeakSet()


def _after_fork() -> None:
    for server in _servers:
        for connection in server.connections:
            connection.forked()


# Where there is no fork there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)


class _Visitor(asyncio.Protocol):
    """What a transport has until it is known who has come. One serves all of them."""

    __slots__ = ("_met",)

    def __init__(self, met: Callable[[asyncio.Transport], object]) -> None:
        self._met = met

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self._met(cast(asyncio.Transport, transport))


class Server(Closing):
    """A server that listens. `urls` are its addresses, with the real port; `url` is the first."""

    connection_type = Connection

    def __init__(
        self,
        root: Any,
        address: urls.Address,
        *,
        ssl: library.SSLContext | None,
        limits: Limits | None,
        registry: Registry | None,
        tracebacks: bool,
        login_limits: Limits | None = None,
        server_limits: ServerLimits | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._root = root
        self._address = address
        self._ssl = ssl
        self._limits = Limits() if limits is None else limits
        self._awaits_login = _awaits_login(root)
        self._first_limits = self._limits
        if self._awaits_login:
            self._first_limits = LOGIN_LIMITS if login_limits is None else login_limits
        # One for all connections, for it is never changed where the application has none.
        self._registry = Registry() if registry is None else registry
        self._tracebacks = tracebacks
        self._listening: Listening | None = None
        # The handshakes that are under way, and what they are made on.
        self._handshakes: dict[asyncio.Task[None], asyncio.Transport] = {}
        self._connections: dict[Connection, None] = {}
        self._closing = False
        # Calls may finish, until the limit.
        self._draining = False
        self._limit: asyncio.TimerHandle | None = None
        self._closed: asyncio.Event = asyncio.Event()
        self._log = Seldom(self._loop.time)
        self._gate = Gate(server_limits or ServerLimits(), self._loop.time)
        self._faults = Seldom(self._loop.time, most=self._gate.limits.log_lines)
        self._visitor = _Visitor(self._meet)
        self.urls: tuple[str, ...] = ()
        self._done = self._forget
        _servers.add(self)

    @property
    def url(self) -> str:
        """The first address."""
        return self.urls[0]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open or still closing, oldest first."""
        return tuple(self._connections)

    @property
    def running(self) -> int:
        """How many calls of its clients run."""
        return sum(connection.running for connection in self._connections)

    async def _start(self) -> None:
        self._listening = await listen(
            self._visit if self._ssl is None else self._accept_secret,
            self._address,
            self._check,
            prepare=self._prepare,
            short=self._short,
        )
        self.urls = self._listening.urls

    def _check(self, hosts: tuple[str, ...]) -> None:
        if hasattr(type(self._root), "check_serving"):
            self._root.check_serving(hosts, self._ssl is not None)

    def _prepare(self, sock: socket.socket) -> None:
        # Accepted ones have the same, so that none has to be asked for it.
        keep_alive(sock, self._first_limits.keepalive_time)

    def _short(self, error: OSError) -> None:
        self._gate.short(str(self._address), error)

    def _visit(self) -> _Visitor:
        return self._visitor

    def _enter(self, transport: asyncio.Transport) -> Entry | None:
        """Let somebody in, or cut the transport before anything is made for it."""
        # uvloop's transports of Unix sockets have no tuple there.
        peer = transport.get_extra_info("peername")
        host, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
        name = partial(_name, host, port, self._ssl is not None)
        entry = None
        if not self._closing:
            descriptor = transport.get_extra_info("socket").fileno()
            entry = self._gate.enter(host, descriptor, name)
        if entry is None:
            transport.abort()
        return entry

    def _meet(self, transport: asyncio.Transport) -> None:
        entry = self._enter(transport)
        if entry is None:
            return
        try:
            connection = self._accept(entry)
        except BaseException:
            entry.leave()
            transport.abort()
            raise
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def _accept(self, entry: Entry) -> Connection:
        connection = self.connection_type(
            "server",
            root=self._root,
            limits=self._first_limits,
            later_limits=self._limits if self._awaits_login else None,
            entry=entry,
            registry=self._registry,
            tracebacks=self._tracebacks,
            faults=self._faults,
        )
        self._connections[connection] = None
        connection.on_done(self._done)
        if self._closing:
            self._loop.call_soon(connection.close)
        return connection

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection]
        connection.leave()
        self._check_closed()

    def _check_closed(self) -> None:
        if self._closing and not self._connections and not self._handshakes:
            self._stop_draining()
            self._closed.set()

    # TLS. A connection is made when its handshake is through.

    def _accept_secret(self) -> tls.Secret:
        return tls.Secret(self._begin_handshake)

    def _begin_handshake(self, plain: asyncio.Transport) -> None:
        entry = self._enter(plain)
        if entry is None:
            return
        # The system forgets the name of who has gone.
        peer = plain.get_extra_info("peername")
        task = self._loop.create_task(self._shake_hands(plain, peer, entry))
        self._handshakes[task] = plain
        task.add_done_callback(self._handshake_ended)

    async def _shake_hands(
        self, plain: asyncio.Transport, peer: tuple[Any, ...] | None, entry: Entry
    ) -> None:
        assert self._ssl is not None
        made = False
        try:
            accept = partial(self._accept, entry)
            await tls.handshake(plain, accept, self._ssl, self._first_limits)
            made = True
        except OSError as error:
            name = str(urls.Address(peer[0], peer[1], tls=True)) if peer else "somebody"
            self._log.warning("%s: TLS handshake failed: %s", name, tls.explain(error))
        finally:
            if not made:
                entry.leave()

    def _handshake_ended(self, task: "asyncio.Task[None]") -> None:
        del self._handshakes[task]
        if not task.cancelled():
            task.result()
        self._check_closed()

    # The end.

    def close(self) -> None:
        """Stop listening, and close every connection as `Connection.close` does."""
        if self._closing and not self._draining:
            return
        self._stop_draining()
        self._stop_accepting()
        for connection in self.connections:
            connection.close()
        self._check_closed()

    def _stop_accepting(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._listening is not None:
            self._listening.close()
        for task, plain in self._handshakes.items():
            task.cancel()
            plain.abort()

    async def drain(self, seconds: float | None = None) -> None:
        """Stop listening, let the calls that run finish, close, and wait until that is done.

        A call that has not started is not started any more. Each connection is closed when no call
        of its client runs and the answers have left, and what is left after `seconds`, 20 if not
        given, as `close` does. Whoever is cancelled here only waits no more: `close` ends it at
        once, and so does a second `drain` that leaves less time. Raises LocalProtocolError inside
        a method that one of the connections called.
        """
        self.check_outside()
        self.start_draining(seconds)
        await self.finished()

    def start_draining(self, seconds: float | None = None) -> None:
        """Begin what `drain` does, and don't wait for it, as in the handler of a signal."""
        limit = drain_time(seconds)
        if not self._closing:
            self._stop_accepting()
            self._draining = True
            for connection in self.connections:
                connection.run_out()
            self._check_closed()
        if self._draining and limit != math.inf:
            self._limit_draining(limit)

    def _limit_draining(self, seconds: float) -> None:
        if self._limit is not None:
            if self._limit.when() <= self._loop.time() + seconds:
                return
            self._limit.cancel()
        self._limit = self._loop.call_later(seconds, self._drained_too_long)

    def _drained_too_long(self) -> None:
        if self.running:
            text = "%s: the time to drain is over, calls that still run are cancelled: %d"
            log.warning(text, self.url, self.running)
        self.close()

    def _stop_draining(self) -> None:
        self._draining = False
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    async def wait_closed(self) -> None:
        """Wait until the server is closed, with all its connections and their methods.

        Raises LocalProtocolError inside a method that one of its connections called.
        """
        self.check_outside()
        await self.finished()

    def check_outside(self) -> None:
        """Raise LocalProtocolError inside a method that one of its connections called."""
        for connection in self._connections:
            connection.check_outside()

    async def finished(self) -> None:
        """Wait as `wait_closed` does, wherever from."""
        await self._closed.wait()

    async def serve_forever(self) -> None:
        """Serve until the server is closed, or this is cancelled: then it closes first."""
        try:
            await self._closed.wait()
        finally:
            self.close()
            await finish(self.finished)

    def __repr__(self) -> str:
        return f"<Server {'closed' if self._closing else 'at'} {' '.join(self.urls)}>"


def drain_time(seconds: float | None) -> float:
    """Give the time that a server has to drain, 20 s if that is left open.

    Raises TypeError or ValueError for what is none.
    """
    limit = _DRAIN_TIME if seconds is None else seconds
    if type(limit) not in (int, float):
        raise TypeError(f"the time to drain is a number of seconds, not {type(limit).__name__}")
    # Written so that NaN is refused as well.
    if not limit >= 0:
        raise ValueError(f"the time to drain can't be below 0: {limit!r}")
    return limit


class serve(Opening[Server]):
    """Serve `root`: `server = await serve(root, url)`, or `async with serve(root, url) as server`.

    `root` is an object whose `remote_` methods everybody may call, or a Portal. The URL is
    `pb://host:port`, with port 0 for a free one, `pbs://host:port` for TLS with the context `ssl`
    (see `server_tls`), or `pb+unix:///path`. With `tracebacks`, errors take their traceback along
    to the caller, and the log has the texts of errors, in which there may be arguments.

    `limits` are those of each connection, and `server_limits` those of all together. A connection
    to a Portal begins with `login_limits`, which are small. With its login it gets the `limits` of
    the avatar, if that has any, and else those given here.

    Raises OSError if the address can't be had, TypeError for what can't be served, and ValueError
    for a URL that can't be read.
    """

    server_type = Server

    def __init__(
        self,
        root: Any,
        url: str = "pb://localhost",
        /,
        *,
        ssl: library.SSLContext | None = None,
        limits: Limits | None = None,
        registry: Registry | None = None,
        tracebacks: bool = False,
        login_limits: Limits | None = None,
        server_limits: ServerLimits | None = None,
    ) -> None:
        _check_root(root)
        check_options(url, limits, registry)
        _check_limits(root, login_limits, server_limits)
        self._address = urls.parse(url)
        tls.check(self._address, ssl, "server")
        self._root = root
        self._options: dict[str, Any] = {
            "ssl": ssl,
            "limits": limits,
            "registry": registry,
            "tracebacks": tracebacks,
            "login_limits": login_limits,
            "server_limits": server_limits,
        }

    async def _open(self) -> Server:
        server = self.server_type(self._root, self._address, **self._options)
        await server._start()
        return server


def _name(host: str, port: int, encrypted: bool) -> str:
    return str(urls.Address(host, port, tls=encrypted)) if host else "somebody"


def _awaits_login(root: Any) -> bool:
    return bool(getattr(type(root), "awaits_login", False))


def _check_limits(root: Any, login_limits: object, server_limits: object) -> None:
    if login_limits is not None:
        check_type(login_limits, Limits, "login_limits= takes a pellucid.Limits")
        if not _awaits_login(root):
            raise TypeError("login_limits= is for a Portal; a root has limits=")
    if server_limits is not None:
        check_type(server_limits, ServerLimits, "server_limits= takes a pellucid.ServerLimits")


def _check_root(root: Any) -> None:
    name = type(root).__name__
    if isinstance(root, type):
        name = root.__name__
        raise TypeError(f"{name} is a class: serve an object of it, {name}()")
    if isinstance(root, Avatar):
        raise TypeError(f"{name} is an Avatar, for who has logged in: serve it through a Portal")
    if not hasattr(type(root), "root_for") and not callable(getattr(root, "find_method", None)):
        raise TypeError(f"{name} can't be served: derive it from pellucid.Root")
