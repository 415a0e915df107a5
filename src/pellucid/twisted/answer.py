"""The Deferred of a call."""

import asyncio
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Answer"]


class Answer(Deferred[Any]):
    """The Deferred of the result of a call.

    What it fails with may be a failure of the other side, whose value is text. A Future has to be
    given an exception.
    """

    def asFuture(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[Any]":
        """Give a Future of the same result. Cancelling it cancels this."""
        future: asyncio.Future[Any] = loop.create_future()

        def cancelled(ended: "asyncio.Future[Any]") -> None:
            if ended.cancelled():
                self.cancel()

        def succeed(result: Any) -> None:
            if not future.done():
                future.set_result(result)

        def fail(failure: Failure) -> None:
            if not future.done():
                value: Any = failure.value
                is_error = isinstance(value, BaseException)
                future.set_exception(value if is_error else value.with_traceback(None))

        future.add_done_callback(cancelled)
        self.addCallbacks(succeed, fail)
        return future
