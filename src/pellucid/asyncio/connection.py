"""One connection on an asyncio loop, as an application uses it."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, cast

from ..broker import ROOT, Broker
from ..errors import ConnectionLost, LimitExceeded, LocalProtocolError, PBError
from ..events import CallFailed, Closed, Event, PeerFault, Released, Unobserved
from ..limits import Limits
from .alive import keep_alive
from .calls import EAGER_TASKS, Calls, Runner, raise_later
from .link import Link
from .opening import Closing, check_callback
from .reference import CacheObserver, RemoteReference
from .turns import Turns

__all__ = ["Connection"]

# Who waits for a peer that takes its last answers slowly looks so often: below what anybody feels.
_LOOK_AGAIN = 0.05
# So many times in `limits.idle_time` a connection is looked at.
_LOOKS = 4


class Connection(Link, Closing):
    """A connection, as `connect` gives it and as a server has one for each client.

    Use it on the thread of its loop. `peer` is the address of the other side, `host` its IP address
    ("" for a Unix socket, which `unix` tells), `limits` what the connection may cost, and
    `certificate` the verified certificate of the other side, if it has shown one.
    """

    # An application may note on it what it likes.
    __slots__ = ("__dict__", "_eager")

    def __init__(self, role: str, *, eager: bool = EAGER_TASKS, **options: Any) -> None:
        self._eager = eager
        super().__init__(role, **options)

    @property
    def root(self) -> RemoteReference:
        """The object that the server gives to everybody. No round trip is made for it."""
        root = self._broker.root
        if root is None and self._is_client:
            # A dead one, after the end.
            root = self._make_reference(self._broker, ROOT)
        if not isinstance(root, RemoteReference):
            raise LocalProtocolError("only the side that connected has the other side's root")
        return root

    @property
    def dialect(self) -> str:
        """The name of the dialect that both sides speak, "" before it is agreed."""
        return self._broker.dialect

    @property
    def closed(self) -> bool:
        """Tell whether the connection has ended or is being closed."""
        return self._out.closing or self._lost or self._broker.closed

    async def login(
        self, username: str, password: str, mind: Any = None, *, allow_md5: bool = True
    ) -> RemoteReference:
        """Log in, and give the perspective that the server has for this user.

        Of what both sides can do, the safest is done. With `allow_md5` false never the challenge
        and response of PB, which shows MD5 of the password to whoever can guess it. `mind` is what
        the server may call. Raises LoginFailed if the server refuses or has no login; ValueError
        for a name or a password that nobody can have, such as an empty one; TypeError for what is
        neither.
        """
        from . import login as logins

        return await logins.login(self, username, password, mind, allow_md5=allow_md5)

    async def login_anonymous(self, mind: Any = None) -> RemoteReference:
        """Log in without a name. Raises LoginFailed if the server refuses."""
        from . import login as logins

        return await logins.login_anonymous(self, mind)

    async def login_certificate(self, mind: Any = None) -> RemoteReference:
        """Log in as whom the certificate of this side names. Raises LoginFailed if refused."""
        from . import login as logins

        return await logins.login_certificate(self, mind)

    # The end.

    def close(self) -> None:
        """Close the connection: what is ready to be sent still goes out, calls that wait fail.

        Called by a method that the other side called, its answer still goes out. If the other side
        does not close as well the connection is cut after `limits.close_time`.
        """
        self._out.check_thread()
        if self._out.closing or self._broker.closed:
            return
        self._stop_calls()
        task = self._calls.current()
        if task is None:
            self._loop.call_soon(self._finish)
        else:
            task.add_done_callback(self._finish)
            self._timers.start("close", self.limits.close_time, self._finish)

    @property
    def running(self) -> int:
        """How many calls of the other side run."""
        return len(self._calls.running)

    def run_out(self, _ended: object = None) -> None:
        """Start no further call of the other side, and close when no call runs any more.

        What was sent has left then. Methods that run can still call the other side.
        """
        if self.closed:
            return
        # What has arrived and not started is dropped, as `close` does it.
        self._turns.closing = True
        if self._turns.eof:
            # The other side has gone. Only such calls kept the connection.
            self.close()
            return
        # The one that asks for this may be in its first lines.
        running = self._calls.current() or next(iter(self._calls.running), None)
        if running is not None:
            running.add_done_callback(self.run_out)
        elif self._out.has_unsent():
            self._loop.call_later(_LOOK_AGAIN, self.run_out)
        else:
            self.close()

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
        check_callback(callback)
        if self._over:
            self._loop.call_soon(callback, self._error)
        else:
            self._on_close = (*self._on_close, callback)

    def on_done(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` when the connection is closed and none of its methods runs.

        Soon, if that is so already.
        """
        if self._done:
            self._loop.call_soon(callback, self)
        else:
            self._on_done = callback

    def __repr__(self) -> str:
        return f"<Connection {'closed' if self.closed else 'open'} {self.peer}>"

    # Calls of ours.

    def _make_reference(self, broker: Broker, luid: int | bytes) -> RemoteReference:
        return RemoteReference(broker, luid, self)

    def _make_observer(self, broker: Broker, luid: int, perspective: Any) -> CacheObserver:
        return CacheObserver(broker, luid, perspective, self)

    def _notify(
        self,
        handle: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._out.check_thread()
        try:
            self._out.send(None, handle, name, args, kwargs)
        except LimitExceeded as error:
            # A copy that misses an update would be wrong from now on.
            if not handle.is_observer or error.limit not in ("out_bytes", "calls_pending"):
                raise
            self._give_up(error)

    def _give_up(self, error: PBError) -> None:
        """The other side does not take what it must have: end the connection, soon.

        Not at once, because a message may be half written.
        """
        self._stop_calls()
        self._loop.call_soon(self.abort, error)

    def _stop_calls(self) -> None:
        self._out.closing = self._turns.closing = True

    # What the broker reports, and the hooks of the application.

    def _make_calls(self) -> Runner:
        return Calls(self, self, self._eager)

    def _make_turns(self) -> Turns:
        return Turns(self._broker, self._out, self._calls, self)

    def _handle(self, event: Event) -> None:
        if isinstance(event, CallFailed):
            if not event.waiter.done():
                event.waiter.set_exception(event.error)
        elif isinstance(event, Unobserved):
            self._unobserved(event)
        elif isinstance(event, Released):
            self._released(event)
        elif isinstance(event, Closed):
            self._ended(event.error)
        elif isinstance(event, PeerFault):
            self._report(event.text, event.cause)
        else:
            self._is_ready()
            if self._ready is not None:
                # Whoever connects may block the loop next, and the server waits for the choice of
                # the dialect.
                self._out.flush()
                self._turns.resume(self._ready)

    # Limits and times.

    def _is_ready(self) -> None:
        self._end_opening()
        if self._later_limits is not None:
            self._begin_opening(self.limits.login_time, Connection._login_over)
        else:
            self._opened()

    def _opened(self) -> None:
        if self._entry is not None:
            self._entry.opened()
        self._watch_idle()

    def logged_in(self, limits: Limits | None) -> None:
        """Somebody has logged in, and what the connection may cost is another from now on."""
        if self._later_limits is None:
            return
        old = self.limits
        new = self._later_limits if limits is None else limits
        self._end_opening()
        self._broker.use_limits(new)
        self._turns.use(new)
        self._out.use_limits()
        if self._lines is not None:
            self._lines.allow(new.log_lines)
        if new.keepalive_time != old.keepalive_time and self._transport is not None:
            keep_alive(self._transport.get_extra_info("socket"), new.keepalive_time)
        self._opened()

    def _login_over(self) -> None:
        self.abort(self._late("login_time", "nobody logged in within"))

    def _late(self, limit: str, text: str) -> LimitExceeded:
        time = getattr(self.limits, limit)
        text = f"{text} {time} s (limits.{limit})"
        return LimitExceeded(text, limit=limit, value=self._held_bytes(), remote=True)

    def _held_bytes(self) -> int:
        held: int = self._broker.held_bytes
        return held

    def _look(self) -> None:
        if self._broker.closed:
            return
        if self._entry is not None:
            self._entry.hold(self, self._held_bytes())
            self._turns.charged = self._entry.charged > 0
        if self._broker.is_mid_message and "message" not in self._timers:
            self._watch_message()

    def _watch_message(self) -> None:
        seconds, number = self.limits.message_time, self._broker.messages_read
        self._timers.start("message", seconds, self._message_over, number)

    def _message_over(self, number: int) -> None:
        if not self._broker.is_mid_message:
            return
        # What waits unread, because we have no room for it, is not the other side's fault.
        if self._broker.messages_read == number and self._turns.reading:
            self.abort(self._late("message_time", "a message was not complete after"))
        else:
            self._watch_message()

    def _watch_idle(self) -> None:
        seconds = self.limits.idle_time
        if seconds != inf:
            self._timers.start("idle", seconds / _LOOKS, self._check_idle, self._activity(), 1)

    def _activity(self) -> tuple[int, int]:
        return self._broker.messages_read, self._held_bytes()

    def _check_idle(self, before: tuple[int, int], looks: int) -> None:
        now, ledger = self._activity(), self._broker.ledger
        if now != before or ledger.calls_pending or ledger.calls_running or ledger.calls_waiting:
            self._watch_idle()
        elif looks == _LOOKS:
            self.abort(self._late("idle_time", "nothing arrived for"))
        else:
            seconds = self.limits.idle_time / _LOOKS
            self._timers.start("idle", seconds, self._check_idle, now, looks + 1)

    def leave(self) -> None:
        """The server has forgotten this connection."""
        if self._entry is not None:
            self._entry.leave()

    def _unobserved(self, event: Unobserved) -> None:
        done = self._run_hook(event.target.stopped_observing, event.perspective, event.observer)
        if done is None:
            self._forget_copy(event)
        else:
            done.add_done_callback(lambda _: self._forget_copy(event))

    def _forget_copy(self, event: Unobserved) -> None:
        self._broker.unobserved(event)
        self._out.flush()

    def _released(self, event: Released) -> None:
        self._run_hook(event.target.released)

    def _run_hook(self, function: Callable[..., object], *args: Any) -> "asyncio.Task[None] | None":
        """Call a hook of the application, and give its task if it is async.

        What it raises is logged.
        """
        try:
            result = function(*args)
        except BaseException as error:
            self._log_hook(function, error)
            return None
        if not hasattr(type(result), "__await__"):
            return None
        return self._start_last(function, cast(Awaitable[object], result))

    def _log_hook(self, function: Callable[..., object], error: BaseException) -> None:
        self.log.failed("%s: %s failed:", self.peer, _name(function), error=error)
        raise_later(self._loop, error)

    async def run_application(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a hook of the application, plain or async, and give its result."""
        result = function(*args)
        if hasattr(type(result), "__await__"):
            result = await result
        return result

    def run_last(self, function: Callable[..., Any], /, *args: Any) -> None:
        """Run a hook of the application to its own end, also when the connection ends meanwhile.

        `wait_closed` waits for it as for a method. What it raises is logged.
        """
        self._start_last(function, self.run_application(function, *args))

    def _start_last(
        self, function: Callable[..., object], running: Awaitable[object]
    ) -> "asyncio.Task[None]":
        task = self._loop.create_task(self._run_last(function, running))
        if not self._last:
            self._last = {}
        self._last[task] = _name(function)
        task.add_done_callback(self._last_finished)
        if self._over and not self._done and "methods" not in self._timers:
            self._timers.start("methods", self.limits.close_time, self._give_up_methods)
        return task

    async def _run_last(self, function: Callable[..., object], running: Awaitable[object]) -> None:
        try:
            await running
        except Exception as error:
            self._log_hook(function, error)

    def _last_finished(self, task: "asyncio.Task[None]") -> None:
        del self._last[task]
        if self._over:
            self._check_done()


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
