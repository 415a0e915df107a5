"""Serving an object to everybody who connects."""

import asyncio
from collections.abc import Generator
from types import TracebackType
from typing import Any

from ..limits import Limits
from ..registry import Registry
from . import url as urls
from .connection import Connection
from .listen import Listening, listen
from .timers import finish

__all__ = ["Server", "serve"]


class Server:
    """A server that listens. `urls` are its addresses, with the real port; `url` is the first."""

    def __init__(
        self,
        root: Any,
        address: urls.Address,
        *,
        limits: Limits | None,
        registry: Registry | None,
        tracebacks: bool,
    ) -> None:
        self._root = root
        self._address = address
        self._limits = limits
        self._registry = registry
        self._tracebacks = tracebacks
        self._listening: Listening | None = None
        self._connections: dict[Connection, None] = {}
        self._closing = False
        self._closed: asyncio.Event = asyncio.Event()
        self.urls: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The first address."""
        return self.urls[0]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open or still closing, oldest first."""
        return tuple(self._connections)

    async def _start(self) -> None:
        self._listening = await listen(self._accept, self._address)
        self.urls = self._listening.urls

    def _accept(self) -> Connection:
        connection = Connection(
            "server",
            root=self._root,
            limits=self._limits,
            registry=self._registry,
            tracebacks=self._tracebacks,
        )
        self._connections[connection] = None
        connection.on_done(self._forget)
        if self._closing:
            asyncio.get_running_loop().call_soon(connection.close)
        return connection

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection]
        if self._closing and not self._connections:
            self._closed.set()

    def close(self) -> None:
        """Stop listening, and close every connection as `Connection.close` does."""
        if self._closing:
            return
        self._closing = True
        if self._listening is not None:
            self._listening.close()
        for connection in self.connections:
            connection.close()
        if not self._connections:
            self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until the server is closed, with all its connections and their methods.

        Raises LocalProtocolError inside a method that one of its connections called.
        """
        self._check_outside()
        await self._closed.wait()

    def _check_outside(self) -> None:
        for connection in self._connections:
            connection.check_outside()

    async def serve_forever(self) -> None:
        """Serve until the server is closed, or this is cancelled: then it closes first."""
        try:
            await self._closed.wait()
        finally:
            self.close()
            await finish(self._closed.wait)

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        self._check_outside()
        await finish(self._closed.wait)

    def __repr__(self) -> str:
        return f"<Server {'closed' if self._closing else 'at'} {' '.join(self.urls)}>"


class serve:
    """Serve `root`: `server = await serve(root, url)`, or `async with serve(root, url) as server`.

    `root` is an object whose `remote_` methods everybody may call. The URL is `pb://host:port`,
    with port 0 for a free one, or `pb+unix:///path`. With `tracebacks`, errors take their traceback
    along to the caller. Raises OSError if the address can't be had.
    """

    def __init__(
        self,
        root: Any,
        url: str = "pb://localhost",
        /,
        *,
        limits: Limits | None = None,
        registry: Registry | None = None,
        tracebacks: bool = False,
    ) -> None:
        if not callable(getattr(root, "find_method", None)):
            raise TypeError(f"{type(root).__name__} can't be served: derive it from pellucid.Root")
        self._address = urls.parse(url)
        self._root = root
        self._limits = limits
        self._registry = registry
        self._tracebacks = tracebacks
        self._server: Server | None = None

    def __await__(self) -> Generator[object, None, Server]:
        return self._open().__await__()

    async def _open(self) -> Server:
        server = Server(
            self._root,
            self._address,
            limits=self._limits,
            registry=self._registry,
            tracebacks=self._tracebacks,
        )
        await server._start()
        return server

    async def __aenter__(self) -> Server:
        self._server = await self._open()
        return self._server

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        await self._server.__aexit__(kind, error, traceback)
