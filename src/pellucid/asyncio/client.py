"""Opening a connection."""

import asyncio
import ssl as library
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, overload

from ..errors import ConnectionLost
from ..limits import Limits
from ..registry import Registry
from . import tls
from . import url as urls
from .connection import Connection
from .opening import Closing, Opening, check_options

if TYPE_CHECKING:
    from .reconnecting import Backoff, Plan, Reconnecting

__all__ = ["connect"]

_LIMITS: Final = Limits()
# For all connections whose application has none, for it is never changed.
_REGISTRY: Final = Registry()


_Opened = TypeVar("_Opened", bound=Closing)


class connect(Opening[_Opened]):
    """Connect to a server: `connection = await connect(url)`, or `async with connect(url) as ...`.

    For `pbs://` the certificate of the server is checked; `ssl` says how, and what to show of this
    side (see `client_tls`). Raises OSError if nothing answers, ConnectionLost if TLS or the dialect
    are not agreed, with the reason as its cause, and ValueError for a URL that can't be read.

    With `reconnect=True`, or a Backoff, it gives a Reconnecting: a client that connects again when
    its connection is lost, whose `await client.ready()` gives the connection of the moment. The
    first connection is waited for as well, and tried again and again. `on_connect(connection)`,
    plain or async, is called with each connection before `ready` gives it, to log in for example.
    If it fails the connection is closed and the next one tried, but a LoginFailed is final, as is
    a certificate that is refused, or an error of `on_connect` that is neither an OSError nor a
    PBError, if there was no connection before.
    """

    connection_type = Connection

    @overload
    def __init__(
        self: "connect[Connection]",
        url: str,
        /,
        *,
        ssl: library.SSLContext | None = None,
        limits: Limits | None = None,
        registry: Registry | None = None,
        reconnect: Literal[False] = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "connect[Reconnecting]",
        url: str,
        /,
        *,
        ssl: library.SSLContext | None = None,
        limits: Limits | None = None,
        registry: Registry | None = None,
        reconnect: "Literal[True] | Backoff",
        on_connect: Callable[[Connection], object] | None = None,
    ) -> None: ...

    def __init__(
        self,
        url: str,
        /,
        *,
        ssl: library.SSLContext | None = None,
        limits: Limits | None = None,
        registry: Registry | None = None,
        reconnect: "bool | Backoff" = False,
        on_connect: Callable[[Connection], object] | None = None,
    ) -> None:
        check_options(url, limits, registry)
        self._address = urls.parse(url)
        tls.check(self._address, ssl, "client")
        self._ssl = ssl
        self._limits = _LIMITS if limits is None else limits
        self._registry = registry
        self._plan: Plan | None = None
        if reconnect is not False:
            self._plan = self._make_plan(reconnect, on_connect)
        elif on_connect is not None:
            raise TypeError("on_connect= is for reconnect=True")

    def _make(self) -> Connection:
        return self.connection_type(
            "client",
            peer=str(self._address),
            limits=self._limits,
            registry=_REGISTRY if self._registry is None else self._registry,
        )

    def _make_plan(self, reconnect: object, on_connect: Callable[[Any], object] | None) -> "Plan":
        # Most clients need none.
        from .reconnecting import Plan

        return Plan(reconnect, on_connect)

    async def _open(self) -> _Opened:
        opened: Connection | Reconnecting
        if self._plan is None:
            opened = await self._open_one()
        else:
            opened = await self._plan.open(str(self._address), self._open_one)
        return cast(_Opened, opened)

    async def _open_one(self) -> Connection:
        connection = await self._reach()
        try:
            await connection.wait_ready()
        except BaseException:
            connection.abort(ConnectionLost("given up before the dialect was agreed"))
            raise
        return connection

    async def _reach(self) -> Connection:
        loop = asyncio.get_running_loop()
        address = self._address
        if address.path is not None:
            _, connection = await loop.create_unix_connection(self._make, address.path)
            return connection
        options: dict[str, Any] = {}
        # An IP address is one address.
        literal = ":" in address.host or address.host.replace(".", "").isdecimal()
        if not literal and isinstance(loop, asyncio.BaseEventLoop):
            # As curl and browsers do: the next address has its turn after a quarter of a second.
            # uvloop does not know it.
            options["happy_eyeballs_delay"] = 0.25
        if not address.tls:
            _, connection = await loop.create_connection(
                self._make, address.host, address.port, **options
            )
            return connection
        context = tls.client_tls() if self._ssl is None else self._ssl
        plain, _ = await loop.create_connection(tls.Secret, address.host, address.port, **options)
        try:
            return await tls.handshake(plain, self._make, context, self._limits, address.host)
        except OSError as error:
            raise tls.lost(address, error) from error
