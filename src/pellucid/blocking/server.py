"""Opening connections and servers, and a server as threads use it."""

import asyncio
import ssl as library
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, overload

from ..asyncio.reconnecting import Backoff
from ..asyncio.server import drain_time
from ..errors import ConnectionLost, LocalProtocolError
from ..limits import Limits, ServerLimits
from ..registry import Registry
from .closing import Closing
from .connection import Connection
from .inner import Connecting, InnerConnection, InnerServer, Serving
from .jobs import Job
from .reconnecting import InnerReconnecting, Reconnecting
from .thread import background
from .waiter import Ended
from .workers import serving

__all__ = ["Server", "connect", "serve"]

_T = TypeVar("_T")


class Server(Closing):
    """A server that listens. `urls` are its addresses, with the real port; `url` is the first."""

    _inner: InnerServer

    def __init__(self, inner: InnerServer) -> None:
        self._inner = inner
        self._background = inner.background
        self.urls = inner.urls

    @property
    def url(self) -> str:
        """The first address."""
        return self.urls[0]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open or still closing, oldest first."""
        return tuple(each.outer for each in self._inner.open_connections)

    def serve_forever(self) -> None:
        """Serve until the server is closed, or this is interrupted: then it closes first.

        Raises SystemExit or KeyboardInterrupt if a method does, and LocalProtocolError in a method.
        """
        if isinstance(serving(), Job):
            raise LocalProtocolError("a method can't wait for the end of a server")
        try:
            self._background.wait_forever(self._inner.begin_wait)
        except Ended:
            pass
        finally:
            self.close()

    def drain(self, seconds: float | None = None) -> None:
        """Stop listening, let the calls that run finish, close, and wait until that is done.

        A call that has not been handed to a worker is not started any more. Each connection is
        closed when no call of its client runs and the answers have left, and what is left after
        `seconds`, 20 if not given, as `close` does. Raises LocalProtocolError in a method.
        """
        if isinstance(serving(), Job):
            raise LocalProtocolError("a method can't wait for the end of a server")
        limit = drain_time(seconds)
        background = self._background
        if background.forked:
            return
        background.check_may_wait()
        try:
            background.request(self._inner.begin_drain, limit).wait()
        except Ended:
            pass
        background.join()

    def start_draining(self, seconds: float | None = None) -> None:
        """Begin what `drain` does, and don't wait for it: for methods and handlers of signals."""
        self._background.try_post(self._inner.start_draining, drain_time(seconds))

    def close(self) -> None:
        """Stop listening, and close every connection as `Connection.close` does.

        Called by a method that one of its connections called, nothing is waited for.
        """
        self._close(lambda job: job.connection in self._inner.open_connections)

    def __repr__(self) -> str:
        return f"<Server {'closed' if self._inner.closing else 'at'} {' '.join(self.urls)}>"


@overload
def connect(
    url: str,
    /,
    *,
    ssl: library.SSLContext | None = None,
    limits: Limits | None = None,
    registry: Registry | None = None,
    reconnect: Literal[False] = False,
) -> Connection: ...


@overload
def connect(
    url: str,
    /,
    *,
    ssl: library.SSLContext | None = None,
    limits: Limits | None = None,
    registry: Registry | None = None,
    reconnect: Literal[True] | Backoff,
    on_connect: Callable[[Connection], object] | None = None,
) -> Reconnecting: ...


def connect(
    url: str,
    /,
    *,
    ssl: library.SSLContext | None = None,
    limits: Limits | None = None,
    registry: Registry | None = None,
    reconnect: bool | Backoff = False,
    on_connect: Callable[[Connection], object] | None = None,
) -> Connection | Reconnecting:
    """Connect to a server. Close what this gives, or use it as a context manager.

    For `pbs://` the certificate of the server is checked; `ssl` says how, and what to show of this
    side (see `client_tls`). Raises OSError if nothing answers, ConnectionLost if TLS or the dialect
    are not agreed, with the reason as its cause, and ValueError for a URL that can't be read.

    With `reconnect=True`, or a `pellucid.Backoff`, it gives a client that connects again when its
    connection is lost, whose `ready()` gives the connection of the moment. The first connection is
    waited for as well, and tried again and again. `on_connect(connection)` is called with each
    connection on a worker before `ready` gives it; what it may raise is told at
    `pellucid.connect`.
    """
    again: Any = {"reconnect": reconnect, "on_connect": on_connect}
    opening = Connecting(url, ssl=ssl, limits=limits, registry=registry, **again)
    try:
        if reconnect is not False:
            return _open(opening.open_again, InnerReconnecting.close).outer
        return _open(opening.open, InnerConnection.close).outer
    except ConnectionLost as error:
        if not _is_late(error) or not _has_loop():
            raise
        raise ConnectionLost(
            f"{error}; this thread runs an asyncio loop, which a blocking call freezes: "
            "no server on that loop can answer"
        ) from error.__cause__


def serve(
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
) -> Server:
    """Serve `root`. Close what this gives, or use it as a context manager.

    `root` is an object whose `remote_` methods everybody may call, or a Portal. The URL is
    `pb://host:port`, with port 0 for a free one, `pbs://host:port` for TLS with the context `ssl`
    (see `server_tls`), or `pb+unix:///path`. With `tracebacks`, errors take their traceback along
    to the caller. Methods run on worker threads, several at a time. `limits` are those of each
    connection, `login_limits` those of one to a Portal before its login, and `server_limits` those
    of all together. Raises OSError if the address can't be had, TypeError for what can't be served
    and ValueError for a URL that can't be read.
    """
    bounds: Any = {"limits": limits, "login_limits": login_limits, "server_limits": server_limits}
    opening = Serving(root, url, ssl=ssl, registry=registry, tracebacks=tracebacks, **bounds)
    return Server(_open(opening.open, InnerServer.close))


def _open(function: Callable[[], Coroutine[Any, Any, _T]], undo: Callable[[_T], object]) -> _T:
    while True:
        thread = background()
        try:
            return thread.run(function, undo)
        except Ended:
            pass  # It ended with its last user at this moment.
        except Exception:
            thread.join()
            raise


def _is_late(error: BaseException | None) -> bool:
    """Tell whether an opening failed because the other side took too long."""
    while error is not None:
        # The second one is what the handshake of TLS raises then.
        if isinstance(error, (TimeoutError, ConnectionAbortedError)):
            return True
        error = error.__cause__
    return False


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
