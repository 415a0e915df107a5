"""A client that connects again, as threads use it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..asyncio import reconnecting
from ..errors import DeadReferenceError, LocalProtocolError
from .closing import Closing
from .connection import Connection
from .jobs import Job
from .lasting import Lasting
from .waiter import Ended
from .workers import serving

if TYPE_CHECKING:
    from .inner import InnerConnection

__all__ = ["InnerPlan", "InnerReconnecting", "Reconnecting"]


class Reconnecting(Closing):
    """A client that has a connection whenever it can, as `connect(url, reconnect=True)` gives it.

    Use it from any thread. `peer` is the address of the server. A connection that is lost, or
    closed by either side, is followed by a new one, which begins with its root: what came over the
    old one stays dead, and no call is ever made a second time.
    """

    _inner: "InnerReconnecting"

    def __init__(self, inner: "InnerReconnecting") -> None:
        self._inner = inner
        self._background = inner.background
        self.peer = inner.peer

    @property
    def connection(self) -> Connection | None:
        """The connection that is open now and set up, None if there is none."""
        connection = self._inner.connection
        return None if connection is None else cast("InnerConnection", connection).outer

    @property
    def closed(self) -> bool:
        """Tell whether the client was closed, or has given up."""
        return self._inner.closed or self._background.forked

    @property
    def error(self) -> Exception | None:
        """Why the client has given up, None if it has not."""
        return self._inner.error

    def ready(self, seconds: float | None = None) -> Connection:
        """Give the connection that is open now. While there is none, wait for the next one.

        It may be lost at any time after. Raises TimeoutError after so many seconds,
        DeadReferenceError if the client was closed, what it gave up for if it has given up, and
        LocalProtocolError inside `on_connect`, which was given the connection.
        """
        job = serving()
        if isinstance(job, Job) and job.connection is self._inner.being_set_up:
            raise LocalProtocolError("on_connect can't wait for the connection that it sets up")
        try:
            return self._background.run(lambda: self._inner.ready_within(seconds)).outer
        except Ended:
            raise DeadReferenceError("this client is closed") from None

    def close(self) -> None:
        """Close the connection, if there is one, as `Connection.close` does, and make no other.

        Called by `on_connect`, or by a method that one of its connections called, nothing is waited
        for.
        """
        self._close(lambda job: job.connection in self._inner.open_connections)

    def __repr__(self) -> str:
        return repr(self._inner)


class InnerReconnecting(reconnecting.Reconnecting, Lasting):
    """A client that connects again, on the background thread."""

    def __init__(self, *args: Any) -> None:
        self._begin_use()
        # The connection on which `on_connect` runs.
        self.being_set_up: object = None
        super().__init__(*args)
        self.outer = Reconnecting(self)
        self.background.add_user(self)

    @property
    def open_connections(self) -> "tuple[InnerConnection, ...]":
        """The connections that are open or still closing."""
        return cast("tuple[InnerConnection, ...]", tuple(self._connections))

    async def ready_within(self, seconds: float | None) -> "InnerConnection":
        """Wait for a connection for so long."""
        try:
            async with asyncio.timeout(seconds):
                return cast("InnerConnection", await self.ready())
        except TimeoutError:
            raise TimeoutError(f"no connection within {seconds} s") from None

    async def _set_up(self, connection: Any, lost: Any) -> tuple[str, str] | None:
        self.being_set_up = connection
        try:
            return await super()._set_up(connection, lost)
        finally:
            self.being_set_up = None

    def _stop_set_up(self, task: "asyncio.Task[Any]") -> None:
        # No worker can be stopped. Its calls fail, for the connection is closed.
        pass

    # The end.

    def _check_finished(self) -> None:
        super()._check_finished()
        if self._finished.is_set() and not self._told:
            self._tell_end()

    def close_for(self, job: Job) -> None:
        """Close the client, the connection of `job` when that has ended."""
        cast("InnerConnection", job.connection).close_for(job)
        self.close()


class InnerPlan(reconnecting.Plan):
    """How to connect again and again, with an `on_connect` that runs on a worker."""

    reconnecting_type = InnerReconnecting

    def __init__(self, reconnect: object, on_connect: Callable[[Any], object] | None) -> None:
        super().__init__(reconnect, on_connect)
        if on_connect is not None:
            self._on_connect = lambda inner: on_connect(inner.outer)
