"""A client that connects again when its connection is lost, and waits longer each time."""

import asyncio
import logging
import math
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from threading import get_ident
from types import TracebackType
from typing import Any, Final

from ..errors import ConnectionLost, DeadReferenceError, LocalProtocolError, LoginFailed, PBError
from .connection import Connection
from .logs import shown
from .opening import Closing, check_type
from .timers import Seldom, finish

__all__ = ["Backoff", "Reconnecting"]

log = logging.getLogger("pellucid")

OnConnect = Callable[[Connection], object]

# So many characters of an error are logged.
_LOGGED = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long a client waits before it tries again. Times are seconds.

    Each time it waits up to a bound, which grows. How long is left to chance, from nothing on, so
    that the many clients of a server that was away do not come back all at the same moment. Raises
    TypeError for what is no number, and ValueError for one that can't be.

      first: The first bound. The ends that a network or a quick restart makes are over in a second
        or less, in which there are three or four tries.
      factor: By how much the bound grows each time.
      most: The bound that is grown to. A server that is back is found within half a minute, and
        a thousand clients that wait for it cost the one it runs on 70 tries in a second. A
        connection that lasts as long as this makes the next wait a first one: a server that only
        accepts and closes finds no client at its door all the time.
    """

    first: float = 0.1
    factor: float = 2.0
    most: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) not in (int, float):
                kind = type(value).__name__
                raise TypeError(f"backoff.{field.name} must be a number, not {kind}")
            least = 1 if field.name == "factor" else 0
            # Written so that NaN is refused as well.
            if not (least <= value < math.inf) or not value:
                raise ValueError(f"backoff.{field.name} can't be {value!r}")
        if self.most < self.first:
            raise ValueError("backoff.most can't be below backoff.first")

    def bounds(self) -> Iterator[float]:
        """Give the longest that each wait may take, without an end."""
        bound = self.first
        while True:
            yield bound
            bound = min(self.most, bound * self.factor)


_BACKOFF: Final = Backoff()


class Reconnecting(Closing):
    """A client that has a connection whenever it can, as `connect(url, reconnect=True)` gives it.

    Use it on the thread of its loop. `peer` is the address of the server. A connection that is
    lost, or closed by either side, is followed by a new one, which begins with its root: what came
    over the old one stays dead, and no call is ever made a second time.
    """

    def __init__(
        self,
        peer: str,
        open_one: Callable[[], Awaitable[Connection]],
        backoff: Backoff,
        on_connect: OnConnect | None,
    ) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._open_one = open_one
        self._backoff = backoff
        self._bounds = backoff.bounds()
        self._on_connect = on_connect
        # The one to be used, and with it those of which something still runs.
        self._connection: Connection | None = None
        self._connections: dict[Connection, None] = {}
        # Until there was one, errors are raised that trying again would hardly mend.
        self._first = True
        self._setting_up: asyncio.Task[Any] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._closing = False
        self._error: Exception | None = None
        self._traceback: TracebackType | None = None
        self._over = False
        self._finished = asyncio.Event()
        # What went well is not hidden by much that did not.
        self._log, self._log_well = Seldom(self._loop.time), Seldom(self._loop.time)
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def connection(self) -> Connection | None:
        """The connection that is open now and set up, None if there is none."""
        connection = self._connection
        return None if connection is None or connection.closed else connection

    @property
    def closed(self) -> bool:
        """Tell whether the client was closed, or has given up."""
        return self._closing or self._over

    @property
    def error(self) -> Exception | None:
        """Why the client has given up, None if it has not."""
        return self._error

    async def ready(self) -> Connection:
        """Give the connection that is open now. While there is none, wait for the next one.

        It may be lost at any time after. Use `asyncio.timeout` to wait for a while only. Raises
        DeadReferenceError if the client was closed, what it gave up for if it has given up, and
        LocalProtocolError inside `on_connect`, which was given the connection.
        """
        self._check_thread()
        if asyncio.current_task() is self._setting_up is not None:
            raise LocalProtocolError("on_connect can't wait for the connection that it sets up")
        while not self.closed:
            connection = self.connection
            if connection is not None:
                return connection
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)
        raise DeadReferenceError("this client is closed")

    def _check_thread(self) -> None:
        if get_ident() != self._thread:
            raise RuntimeError(
                "this client is used from another thread than that of its loop: write an "
                "`async def` that uses it and give that to asyncio.run_coroutine_threadsafe with "
                "the loop, or use pellucid.blocking"
            )

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def opened(self) -> None:
        """Wait for the first connection; whoever is cancelled here closes."""
        try:
            await self.ready()
        except BaseException:
            self.close()
            await finish(self.finished)
            raise

    # One connection after the other.

    async def _run(self) -> None:
        try:
            while True:
                why, details = await self._connect_once()
                seconds = random.random() * next(self._bounds)
                text = "%s: %s; trying again in %.1f s%s"
                self._log.warning(text, self.peer, why, seconds, details)
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            pass  # Closed, or the loop is to end.
        except Exception as error:
            self._error, self._traceback = error, error.__traceback__
            if not self._first:
                log.error("%s: no further connection is made: %s", self.peer, _told(error))

    async def _connect_once(self) -> tuple[str, str]:
        """Connect, and wait until the connection has ended. Tells why, and details for a log."""
        try:
            connection = await self._open_one()
        except (OSError, ConnectionLost) as error:
            if self._first and _is_untrusted(error):
                raise
            return f"can't connect: {_told(error)}", ""
        lost: asyncio.Future[BaseException | None] = self._loop.create_future()
        # It may be cancelled by then, with what waits for it.
        connection.on_close(lambda reason: None if lost.done() else lost.set_result(reason))
        self._keep(connection)
        try:
            failed = await self._set_up(connection, lost)
            if failed is not None:
                return failed
            return await self._use(connection, lost), ""
        finally:
            self._connection = None
            connection.close()

    def _keep(self, connection: Connection) -> None:
        self._connections[connection] = None
        connection.on_done(self._forget)

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection]
        self._check_finished()

    async def _use(
        self, connection: Connection, lost: "asyncio.Future[BaseException | None]"
    ) -> str:
        self._first = False
        self._connection = connection
        self._log_well.info("%s: connected", self.peer)
        self._wake()
        began = self._loop.time()
        reason = await lost
        if self._loop.time() - began >= self._backoff.most:
            self._bounds = self._backoff.bounds()
        if reason is None:
            return "the connection was closed by this side"
        return f"the connection was lost: {_told(reason)}"

    async def _set_up(
        self, connection: Connection, lost: "asyncio.Future[BaseException | None]"
    ) -> tuple[str, str] | None:
        """Run `on_connect`. Tells what failed, and details for a log; raises what is final."""
        if self._on_connect is None:
            return None
        running = connection.run_application(self._on_connect, connection)
        self._setting_up = task = self._loop.create_task(running)
        task.add_done_callback(self._set_up_ended)
        try:
            await asyncio.wait([task, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            in_time = task.done()
            if not in_time:
                # Closed first, so that a call that it waits for ends as well.
                connection.close()
                await finish(lambda: self._give_up_set_up(task, connection.limits.close_time))
        if not task.done() or task.cancelled():
            return ("on_connect was cancelled" if in_time else _lost_early(lost)), ""
        error = task.exception()
        if error is None:
            return None if in_time else (_lost_early(lost), "")
        is_usual = isinstance(error, (OSError, PBError)) or not isinstance(error, Exception)
        if isinstance(error, LoginFailed) or (self._first and not is_usual):
            raise error
        details = "" if is_usual else f"\n{shown(error, False)}"
        return f"on_connect failed: {_told(error)}", details

    async def _give_up_set_up(self, task: "asyncio.Task[Any]", seconds: float) -> None:
        self._stop_set_up(task)
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            log.error("%s: on_connect ignores that its connection has ended", self.peer)
            task.cancel()

    def _stop_set_up(self, task: "asyncio.Task[Any]") -> None:
        task.cancel()

    def _set_up_ended(self, task: "asyncio.Task[Any]") -> None:
        if self._setting_up is task:
            self._setting_up = None
        if not task.cancelled():
            # Nobody looks at it if this is cancelled meanwhile.
            task.exception()

    # The end.

    def close(self) -> None:
        """Close the connection, if there is one, as `Connection.close` does, and make no other."""
        self._check_thread()
        if self.closed:
            return
        self._closing = True
        self._connection = None
        for connection in self._connections:
            connection.close()
        self._task.cancel()
        self._wake()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            # What ends the program has gone to the loop already.
            task.exception()
        self._over = True
        self._wake()
        self._check_finished()

    def _check_finished(self) -> None:
        if self._over and not self._connections:
            self._finished.set()

    async def wait_closed(self) -> None:
        """Wait until the client is closed or has given up, and nothing of its connections runs.

        Raises LocalProtocolError inside `on_connect`, and inside a method that one of its
        connections called.
        """
        self.check_outside()
        await self.finished()

    def check_outside(self) -> None:
        """Raise LocalProtocolError where waiting for the end would never end."""
        if asyncio.current_task() is self._setting_up is not None:
            raise LocalProtocolError("on_connect can't wait for the end of its own client")
        for connection in self._connections:
            connection.check_outside()

    async def finished(self) -> None:
        """Wait as `wait_closed` does, wherever from."""
        await self._finished.wait()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "connecting" if self.connection is None else "open"
        return f"<Reconnecting {state} {self.peer}>"


class Plan:
    """How to connect again and again: what `connect` was told of it. Checks that."""

    reconnecting_type: type[Reconnecting] = Reconnecting

    def __init__(self, reconnect: object, on_connect: OnConnect | None) -> None:
        if reconnect is True:
            reconnect = _BACKOFF
        check_type(reconnect, Backoff, "reconnect= takes True, False or a pellucid.Backoff")
        if on_connect is not None and not callable(on_connect):
            raise TypeError(f"on_connect takes a function, not {type(on_connect).__name__}")
        self._backoff: Any = reconnect
        self._on_connect: Callable[[Any], object] | None = on_connect

    async def open(self, peer: str, open_one: Callable[[], Awaitable[Connection]]) -> Reconnecting:
        """Connect for the first time."""
        client = self.reconnecting_type(peer, open_one, self._backoff, self._on_connect)
        await client.opened()
        return client


def _lost_early(lost: "asyncio.Future[BaseException | None]") -> str:
    reason = lost.result()
    why = "closed by this side" if reason is None else _told(reason)
    return f"the connection was lost before on_connect had ended: {why}"


def _is_untrusted(error: BaseException | None) -> bool:
    """Tell whether the certificate of the server was refused."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__
    return False


def _told(error: BaseException) -> str:
    """Tell of an error in one line. Its text may be the other side's."""
    text = f"{type(error).__name__}: {error}"[:_LOGGED]
    return text if text.isprintable() else repr(text)
