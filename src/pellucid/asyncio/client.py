"""Opening a connection."""

import asyncio
from collections.abc import Generator
from types import TracebackType
from typing import Any

from ..errors import ConnectionLost
from ..limits import Limits
from ..registry import Registry
from . import url as urls
from .connection import Connection

__all__ = ["connect"]


class connect:
    """Connect to a server: `connection = await connect(url)`, or `async with connect(url) as ...`.

    Raises OSError if nothing answers, ConnectionLost if the server ends the connection before the
    dialect is agreed, with the reason as its cause, and ValueError for a URL that can't be read.
    """

    def __init__(
        self, url: str, /, *, limits: Limits | None = None, registry: Registry | None = None
    ) -> None:
        self._address = urls.parse(url)
        self._limits = limits
        self._registry = registry
        self._connection: Connection | None = None

    def __await__(self) -> Generator[object, None, Connection]:
        return self._open().__await__()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        address = self._address

        def protocol() -> Connection:
            return Connection(
                "client", peer=str(address), limits=self._limits, registry=self._registry
            )

        if address.path is not None:
            _, connection = await loop.create_unix_connection(protocol, address.path)
        else:
            options: dict[str, Any] = {}
            if isinstance(loop, asyncio.BaseEventLoop):
                # As curl and browsers do: the next address has its turn after a quarter of a
                # second. uvloop does not know it.
                options["happy_eyeballs_delay"] = 0.25
            _, connection = await loop.create_connection(
                protocol, address.host, address.port, **options
            )
        try:
            await connection.wait_ready()
        except BaseException:
            connection.abort(ConnectionLost("given up before the dialect was agreed"))
            raise
        return connection

    async def __aenter__(self) -> Connection:
        self._connection = await self._open()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        await self._connection.__aexit__(kind, error, traceback)
