"""Running the methods that the other side calls.

Calls start in the order in which they arrive, each in a context of its own. A plain method is
answered at once, without a task, or when the future that it gave is done; an async one has one task
from its first line to its last.
"""

import asyncio
import traceback
from collections.abc import Awaitable
from contextvars import Context, copy_context
from inspect import iscoroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..broker import Broker
from ..errors import ConnectionClosed, is_expected
from ..events import CallReceived
from .current import invoke
from .line import NOTICED
from .logs import unheard
from .outgoing import Outgoing
from .wakeups import Follower

if TYPE_CHECKING:
    from .connection import Connection
    from .link import Link

__all__ = ["EAGER_TASKS", "Calls", "Runner", "raise_later"]

# What Twisted says.
_FAILED = "Peer will receive PB traceback (from %r):"

# What most methods give. Nobody awaits any of these, and asking each time takes longer.
_VALUES = frozenset((type(None), bool, int, float, str, bytes, list, tuple, dict, set))

# Nothing is ever put in: plain methods need none of their own.
_NONE_RUN: Final[dict[Any, str]] = {}

_FUTURES = frozenset((asyncio.Future, asyncio.Task))

# From Python 3.12 a task can run its first step at once.
EAGER_TASKS = hasattr(asyncio, "eager_task_factory")


class Runner(Protocol):
    """What runs the calls of one connection. `running` names those that have not ended."""

    @property
    def running(self) -> dict[Any, str]:
        """What still runs, with the names of the methods."""

    def start(self, call: CallReceived) -> bool:
        """Start a call. False if no other may start before the next iteration of the loop."""

    def cancel(self) -> None:
        """The connection ended: cancel what still runs."""

    def leave(self) -> None:
        """The connection is over, and no call runs: forget it."""

    def current(self) -> Any:
        """Give the key in `running` of the call that runs this, None if none does.

        It has `add_done_callback`.
        """


class Calls:
    """The calls of one connection that are running.

    `connection` is what methods see of it, and `link` what the loop has of it.
    """

    __slots__ = (
        "_broker",
        "_connection",
        "_eager",
        "_link",
        "_loop",
        "_out",
        "_starting",
        "running",
    )

    def __init__(
        self,
        connection: "Connection",
        link: "Link",
        eager: bool = EAGER_TASKS,
    ) -> None:
        self._connection = connection
        self._link = link
        self._loop: asyncio.AbstractEventLoop = link._loop
        self._broker: Broker = link._broker
        self._out: Outgoing = link._out
        self._eager = eager
        self.running: dict[asyncio.Future[Any], str] = _NONE_RUN
        # The first lines of a task run, which is not in `running` yet.
        self._starting = False

    def start(self, call: CallReceived) -> bool:
        """Start a call. False if its first line will run in the next iteration of the loop only.

        Then no other call may start before that iteration.
        """
        context = copy_context()
        try:
            result = context.run(invoke, self._connection, call)
            kind = type(result)
            awaitable = kind not in _VALUES and hasattr(kind, "__await__")
        except BaseException as error:
            self._fail(call, error)
            return True
        if not awaitable:
            self._answer(call, result)
            return True
        # The result of another call, often. It may be the result of several. One of another loop is
        # done in another thread, and refused where a task awaits it.
        if kind in _FUTURES and result.get_loop() is self._loop and result not in self.running:
            self._note(result, call)
            result.add_done_callback(_Following(self, call), context=context)
            return True
        return self._start_task(call, result, context)

    def _note(self, future: "asyncio.Future[Any]", call: CallReceived) -> None:
        if self.running is _NONE_RUN:
            self.running = {}
        self.running[future] = call.name

    def ended(self, call: CallReceived, future: "asyncio.Future[Any]") -> None:
        """The future that a method gave is done."""
        del self.running[future]
        try:
            if future.cancelled():
                self._fail(call, asyncio.CancelledError())
            elif (error := future.exception()) is not None:
                self._fail(call, error)
            else:
                self._answer(call, future.result())
        finally:
            self._link._call_finished()

    def _start_task(self, call: CallReceived, result: Awaitable[Any], context: Context) -> bool:
        task: asyncio.Task[None]
        begun: list[bool] = []
        if self._eager:
            self._starting = True
            try:
                task = _eager_task(self._serve(call, result, begun), self._loop, context)
            finally:
                self._starting = False
            if task.done():
                return True
        else:
            task = self._loop.create_task(self._serve(call, result, begun), context=context)
        self._note(task, call)

        def done(task: asyncio.Task[None]) -> None:
            del self.running[task]
            if not begun:
                # Cancelled before its first line.
                if iscoroutine(result):
                    result.close()
                self._fail(call, asyncio.CancelledError())
            self._link._call_finished()

        task.add_done_callback(done)
        return self._eager

    async def _serve(self, call: CallReceived, result: Awaitable[Any], begun: list[bool]) -> None:
        begun.append(True)
        try:
            value = await result
        except BaseException as error:
            if isinstance(error, GeneratorExit) and self.current() is None:
                raise  # The loop was closed over it, and it is closed now.
            began = perf_counter()
            self._fail(call, error)
        else:
            began = perf_counter()
            self._answer(call, value)
        # In a turn it is counted there.
        if not self._out.in_turn and (taken := perf_counter() - began) > NOTICED:
            self._link._turns.besides += taken

    def _answer(self, call: CallReceived, value: Any) -> None:
        refused = self._broker.answer(call, value)
        if refused is not None:
            self._link.log.failed("the result of %r can't be sent:", call.name, error=refused)
            # Its traceback leads back to this frame, and would keep the call and its result.
            del refused
        self._out.flush()

    def _fail(self, call: CallReceived, error: BaseException) -> None:
        # What it waited for may have been lost with the connection of its own caller.
        lost = isinstance(error, (asyncio.CancelledError, ConnectionClosed))
        ended = self._broker.closed and lost
        if not is_expected(error):
            if not ended:
                self._link.log.failed(_FAILED, call.name, error=error)
        elif not call.wants_answer:
            self._link._report(unheard(call, error, self._broker.tracebacks))
        text = None
        if self._broker.tracebacks:
            text = "".join(traceback.format_exception(error))
        self._broker.fail(call, error, text)
        self._out.flush()
        raise_later(self._loop, error)

    def cancel(self) -> None:
        """The connection ended: cancel what still runs."""
        for task in list(self.running):
            task.cancel("the connection of this call has ended")

    def leave(self) -> None:
        """The connection is over, and no call runs: forget it."""
        gone: Any = None
        self._connection = self._link = gone

    def current(self) -> asyncio.Task[None] | None:
        """Give the task that is running, if it runs one of these calls."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return None
        return task if self._starting or task in self.running else None


class _Following(Follower):
    """Answers a call when the future that its method gave is done."""

    __slots__ = ("_call", "_calls")

    def __init__(self, calls: Calls, call: CallReceived) -> None:
        self._calls = calls
        self._call = call

    def __call__(self, future: "asyncio.Future[Any]") -> None:
        self._calls.ended(self._call, future)


def raise_later(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    """Let an error go on to the loop if it is one that ends the program."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        # Out of a callback of its own, because a transport would take it for its own failure.
        loop.call_soon(_raise, error)


def _eager_task(
    coroutine: Any, loop: asyncio.AbstractEventLoop, context: Context
) -> "asyncio.Task[None]":
    # The keyword is not known to the type checker when it checks for 3.11.
    options: Any = {"eager_start": True}
    return asyncio.Task(coroutine, loop=loop, context=context, **options)


def _raise(error: BaseException) -> None:
    raise error
