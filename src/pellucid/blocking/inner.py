"""The asyncio face as it runs on the background thread, the application's code on workers."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from ..asyncio import client, connection, server
from ..asyncio.reconnecting import Plan
from ..asyncio.turns import Turns
from ..broker import Broker
from ..errors import LocalProtocolError, PBError
from ..events import CallFailed, Closed, Event, Unobserved
from .calls import WorkerCalls
from .connection import Connection
from .jobs import Job, Lane, depart, hand_over
from .lasting import Lasting
from .reconnecting import InnerPlan, InnerReconnecting
from .reference import CacheObserver, RemoteReference
from .waiter import Waiter

__all__ = ["Connecting", "InnerConnection", "InnerServer", "Serving"]

log = logging.getLogger("pellucid")

_ENDLESS = 1e6


class InnerConnection(connection.Connection, Lasting):
    """A connection on the background thread. `outer` is what the application has of it."""

    _calls: WorkerCalls

    def __init__(self, role: str, **options: Any) -> None:
        self._begin_use()
        self.outer = Connection(self)
        # Updates of caches one at a time, and the answers behind them.
        self.lane = Lane()
        # Hooks that tell of the end of something, one at a time.
        self._hooks = Lane()
        super().__init__(role, **options)
        # A thread can't wait for ever.
        self.patience = min(2 * self.limits.close_time, _ENDLESS)
        self.background.add_user(self)

    @property
    def root(self) -> Any:
        """The object that the server gives to everybody."""
        root = self._broker.root
        if root is None:
            raise LocalProtocolError("only the side that connected has the other side's root")
        return root

    def _make_reference(self, broker: Broker, luid: int | bytes) -> Any:
        return RemoteReference(broker, luid, self.outer)

    def _make_observer(self, broker: Broker, luid: int, perspective: Any) -> Any:
        return CacheObserver(broker, luid, perspective, self.outer)

    def _let_go(self) -> None:
        # Other threads may still ask for something.
        pass

    def _make_calls(self) -> WorkerCalls:
        return WorkerCalls(self, self.lane, self.outer)

    # What other threads ask for.

    def begin_call(
        self, waiter: Waiter, handle: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Make a call. Its answer comes to `waiter`."""
        try:
            self._out.send(waiter, handle, name, args, kwargs)
        except BaseException as error:
            waiter.set_exception(_bare(error))
        else:
            depart(waiter)

    def begin_notify(
        self, waiter: Waiter, handle: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Make a call that wants no answer."""
        try:
            self.tell(handle, name, args, kwargs)
        except BaseException as error:
            waiter.set_exception(_bare(error))
        else:
            waiter.set_result(None)

    def tell(self, handle: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make a call that wants no answer, here on the background thread."""
        self._notify(handle, name, args, kwargs)

    def close_for(self, job: Job) -> None:
        """Close the connection when `job`, which asks for it, has ended."""
        self._calls.acting = job
        try:
            self.close()
        finally:
            self._calls.acting = None

    def begin_on_close(
        self, waiter: Waiter, callback: Callable[[BaseException | None], object]
    ) -> None:
        """Have a callback called at the end. Tells whether that is over, and the reason."""
        if not self._over:
            self._on_close = (*self._on_close, callback)
        waiter.set_result((self._over, self._error))

    @property
    def reason(self) -> BaseException | None:
        """Why the connection has ended, None where this side closed it."""
        return self._error

    def sockets(self) -> list[int]:
        """Give the socket, which nothing may be read from at the moment."""
        if self._transport is None:
            return []
        number: int = self._transport.get_extra_info("socket").fileno()
        return [number] if number >= 0 else []

    # What the broker reports, and the hooks of the application.

    def _make_turns(self) -> Turns:
        def finish(waiter: Waiter, value: Any) -> None:
            self.lane.answer(waiter, value, None)

        return Turns(self._broker, self._out, self._calls, self, finish)

    def _handle(self, event: Event) -> None:
        if isinstance(event, CallFailed):
            if self._broker.closed:
                hand_over(event.waiter, None, event.error)
            else:
                self.lane.answer(event.waiter, None, event.error)
        else:
            if isinstance(event, Closed) and event.error is None:
                self._calls.drop()
            super()._handle(event)

    def _unobserved(self, event: Unobserved) -> None:
        done = self._start_hook(event.target.stopped_observing, event.perspective, event.observer)
        done.add_done_callback(lambda _: self._forget_copy(event))

    def _start_hook(self, function: Callable[..., object], *args: Any) -> "asyncio.Task[None]":
        """Run a hook on a worker, behind those that were started before."""
        return self._start_last(function, self._run(self._hooks, function, args))

    async def run_application(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a hook of the application on a worker, and give its result."""
        return await self._run(Lane(), function, args)

    async def _run(self, lane: Lane, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        future = self._loop.create_future()

        def ended(_job: Job, value: Any, error: BaseException | None) -> None:
            hand_over(future, value, error)

        run = partial(copy_context().run, function, *args)
        lane.start(Job(self.background, self, run, ended, lane))
        result = await future
        # The rest of an async hook runs here.
        return await result if hasattr(type(result), "__await__") else result

    # The end.

    def _is_over(self) -> None:
        for callback in self._on_close:
            self._start_hook(callback, self._error)
        self._on_close = ()
        super()._is_over()

    def _give_up_methods(self) -> None:
        names = ", ".join(sorted({*self._calls.running.values(), *self._last.values()}))
        log.error("%s: still running after the end of the connection: %s", self.peer, names)
        self._check_done(given_up=True)

    def _check_done(self, given_up: bool = False) -> None:
        super()._check_done(given_up)
        if self._done and not self._told:
            self._calls.drop()
            self.lane.give_up()
            self._tell_end()


class InnerServer(server.Server, Lasting):
    """A server on the background thread."""

    connection_type = InnerConnection

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begin_use()

    async def _start(self) -> None:
        await super()._start()
        self.background.add_user(self)
        self.background.workers.prepare()

    def _check_closed(self) -> None:
        super()._check_closed()
        if self._closed.is_set() and not self._told:
            self._tell_end()

    @property
    def open_connections(self) -> tuple[InnerConnection, ...]:
        """The connections that are open or still closing, oldest first."""
        return cast(tuple[InnerConnection, ...], self.connections)

    @property
    def closing(self) -> bool:
        """Tell whether the server is closed or being closed."""
        return self._closing

    def begin_drain(self, waiter: Waiter, seconds: float) -> None:
        """Let the calls that run finish, close, and tell when nothing of the server is left."""
        self.start_draining(seconds)
        self.begin_wait(waiter)

    def close_for(self, job: Job) -> None:
        """Close the server, the connection of `job` when that has ended."""
        asking = cast(InnerConnection, job.connection)
        asking.close_for(job)
        self.close()


class Connecting(client.connect[Any]):
    """Opens a connection on the background thread."""

    connection_type = InnerConnection

    async def open(self) -> InnerConnection:
        """Open it."""
        return cast(InnerConnection, await self._open_one())

    def _make_plan(self, reconnect: object, on_connect: Callable[[Any], object] | None) -> Plan:
        return InnerPlan(reconnect, on_connect)

    async def open_again(self) -> InnerReconnecting:
        """Open a client that connects again."""
        return cast(InnerReconnecting, await self._open())


class Serving(server.serve):
    """Opens a server on the background thread."""

    server_type = InnerServer

    async def open(self) -> InnerServer:
        """Open it."""
        return cast(InnerServer, await self._open())


def _bare(error: BaseException) -> BaseException:
    # Its frames are this thread's, and hold what could not be sent.
    return error.with_traceback(None) if isinstance(error, PBError) else error
