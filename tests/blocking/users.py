"""What keeps a background thread alive in the tests of it."""

from collections.abc import Callable
from typing import Any

from pellucid.blocking.thread import Background
from pellucid.blocking.waiter import Waiter


class User:
    """Keeps the thread alive until it is closed."""

    patience = 0.0

    def __init__(self, thread: Background) -> None:
        self.thread = thread
        self.calls: list[str] = []
        self.extra: list[int] = []
        thread.request(self._begin).wait()

    def _begin(self, waiter: Waiter) -> None:
        self.thread.add_user(self)
        waiter.set_result(None)

    def close(self) -> None:
        self.calls.append("close")
        self.thread.remove_user(self)

    def abort(self) -> None:
        self.calls.append("abort")
        self.thread.remove_user(self)

    def sockets(self) -> list[int]:
        return self.extra


def ask(thread: Background, function: Callable[[], Any]) -> Any:
    def answer(waiter: Waiter) -> None:
        try:
            waiter.set_result(function())
        except BaseException as error:
            waiter.set_exception(error)

    return thread.request(answer).wait()
