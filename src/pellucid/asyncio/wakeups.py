"""Finishing the future that a task awaits, without an iteration of the loop in between.

A future has its callbacks called in the next iteration. For an answer that is one iteration too
many: the task that awaits it could make its next call now, which would leave together with what
else this turn has to send.
"""

import asyncio
from asyncio import current_task
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["Follower", "Wakeups"]

# What a task calls its own callback, in C and in Python.
_NAMES = frozenset(("task_wakeup", "__wakeup"))


class Follower:
    """What follows a future and asks for nothing but to be called when it is done, in a turn."""

    __slots__ = ()


class Wakeups:
    """The tasks to run at the end of a turn, whose futures are done.

    `failed(loop, error)` is called with what ends the program. Set `usual` when something else of
    this turn waits for the next iteration: all that is finished behind it does so too, in order.
    `waiting` is what `run` has to do.
    """

    __slots__ = ("_failed", "_loop", "usual", "waiting")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[asyncio.AbstractEventLoop, BaseException], None],
    ) -> None:
        self._loop = loop
        self._failed = failed
        self.waiting: list[tuple[Callable[..., object], Context, asyncio.Future[Any]]] = []
        self.usual = False

    def finish(self, future: "asyncio.Future[Any]", value: Any) -> None:
        """Give a future its result, unless it is done. What awaits it is left for `run`.

        That is a single task, or a Follower. All others are called in the next iteration.
        """
        if future.done():
            return
        # The name is not public. A future without it, or with anything else in it, goes the usual
        # way.
        callbacks = getattr(future, "_callbacks", None)
        if callbacks and not self.usual:
            self.usual = True
            if len(callbacks) == 1 and current_task(self._loop) is None:
                callback, context = callbacks[0]
                if getattr(callback, "__name__", "") in _NAMES or isinstance(callback, Follower):
                    future.remove_done_callback(callback)
                    self.waiting.append((callback, context, future))
                    self.usual = False
        future.set_result(value)

    def run(self) -> bool:
        """Run the tasks, up to what they await next. Tell whether there were any.

        If there were none the turn is over.
        """
        waiting = self.waiting
        if not waiting:
            self.usual = False
            return False
        self.waiting = []
        for callback, context, future in waiting:
            try:
                context.run(callback, future)
            except BaseException as error:
                if isinstance(error, RuntimeError) and not isinstance(callback, Follower):
                    # Nothing ran: the task, or its context, is entered further down the stack.
                    self._loop.call_soon(callback, future, context=context)
                else:
                    self._failed(self._loop, error)
        return True

    def put_off(self) -> None:
        """The turn was cut off: run all of them in the next iteration."""
        waiting, self.waiting = self.waiting, []
        self.usual = False
        for callback, context, future in waiting:
            self._loop.call_soon(callback, future, context=context)
