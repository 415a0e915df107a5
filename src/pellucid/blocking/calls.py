"""Running the methods that the other side calls, on workers."""

import asyncio
from contextvars import copy_context
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from ..asyncio.calls import Calls
from ..asyncio.current import invoke
from ..errors import ConnectionClosed
from ..events import CallReceived
from ..flavors import RemoteCache
from .jobs import Job, Lane

if TYPE_CHECKING:
    from .inner import InnerConnection

__all__ = ["WorkerCalls"]


class WorkerCalls(Calls):
    """The calls of one connection that are running.

    The methods of the application are handed to workers in the order in which the calls arrive, and
    the updates of caches go through `lane`. Only what belongs to Pellucid itself, and says so by
    `runs_on_loop`, runs on the loop.
    """

    __slots__ = ("_inner", "acting", "lane")

    def __init__(self, inner: "InnerConnection", lane: Lane, connection: Any) -> None:
        super().__init__(connection, inner)
        self._inner = inner
        self.lane = lane
        self.running: dict[Any, str] = {}
        # The job that asked for what is being done.
        self.acting: Job | None = None

    def start(self, call: CallReceived) -> bool:
        """Start a call. False if no other may start before the next iteration of the loop."""
        if getattr(type(call.target), "runs_on_loop", False):
            return super().start(call)
        is_update = isinstance(call.target, RemoteCache)
        job = Job(
            self._inner.background,
            self._inner,
            partial(_invoke, self._connection, call),
            partial(self._ended, call),
            self.lane if is_update else None,
        )
        self.running[job] = call.name
        if is_update:
            self.lane.start(job)
        else:
            job.start()
        return True

    def _ended(self, call: CallReceived, job: Job, value: Any, error: BaseException | None) -> None:
        del self.running[job]
        try:
            if error is None:
                self._answer(call, value)
            else:
                self._fail(call, error)
        finally:
            self._inner._call_finished()

    def _fail(self, call: CallReceived, error: BaseException) -> None:
        if self._broker.closed and isinstance(error, ConnectionClosed):
            # What the end does to a method that waits. On a loop it would have been cancelled.
            error = asyncio.CancelledError()
        super()._fail(call, error)

    def cancel(self) -> None:
        """The connection ended: cancel what runs on the loop. No worker can be stopped."""
        for key in list(self.running):
            if isinstance(key, asyncio.Task):
                key.cancel("the connection of this call has ended")

    def drop(self) -> None:
        """This side closes the connection: forget the updates that have not begun."""
        for job in self.lane.drop():
            job.end(None, asyncio.CancelledError())

    def current(self) -> Any:
        """Give the key in `running` of the call that runs this, None if none does."""
        return self.acting or super().current()


def _invoke(connection: Any, call: CallReceived) -> Any:
    result = copy_context().run(invoke, connection, call)
    if iscoroutine(result):
        result.close()
        raise TypeError(
            f"{type(call.target).__name__}.{result.__name__} is an async method: "
            "the blocking face runs plain ones"
        )
    return result
