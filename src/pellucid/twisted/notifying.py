"""Who hears of the beginning and the end of a connection."""

from collections.abc import Callable
from typing import Any

from twisted.python import log

from .once import Once, made_list

__all__ = ["Notifying", "run"]


def run(function: Callable[..., Any], *args: Any) -> Any:
    """Call what the application wants to have called. What it raises is logged."""
    try:
        return function(*args)
    except BaseException:
        name = getattr(function, "__qualname__", type(function).__name__)
        log.err(None, f"PB: {name} failed")
        return None


def _check(notifier: object) -> None:
    if not callable(notifier):
        raise TypeError(f"{type(notifier).__name__} can't be called")


class Notifying:
    """The part of a Broker that tells of its beginning and end.

    `connects`, `disconnects` and `failures` are those who want to hear, in their order.
    """

    factory: Any = None
    currentDialect: bytes | None = None
    disconnected: Any = 0

    connects: Any = Once(made_list)
    disconnects: Any = Once(made_list)
    failures: Any = Once(made_list)

    def connectionReady(self) -> None:
        """Hear that the dialect is agreed, and tell all who want to know, the factory last."""
        notifiers = self.connects
        # Who is added meanwhile is in another one.
        del self.connects
        for notifier in notifiers:
            run(notifier)
        made = getattr(self.factory, "clientConnectionMade", None)
        if made is not None:
            run(made, self)

    def connectionFailed(self) -> None:
        """Hear that the connection ended before the dialect was agreed."""
        notifiers, self.failures = self.failures, []
        for notifier in notifiers:
            run(notifier)

    def _tell_of_end(self) -> None:
        if self.currentDialect is None:
            self.connectionFailed()
        notifiers, self.disconnects = self.disconnects, []
        for notifier in notifiers:
            run(notifier)

    def notifyOnConnect(self, notifier: Callable[[], object]) -> None:
        """Call `notifier()` when the dialect is agreed, now if it is already."""
        _check(notifier)
        if self.currentDialect is None:
            self.connects.append(notifier)
        else:
            run(notifier)

    def notifyOnFail(self, notifier: Callable[[], object]) -> None:
        """Call `notifier()` if the connection ends before the dialect is agreed."""
        _check(notifier)
        self.failures.append(notifier)

    def notifyOnDisconnect(self, notifier: Callable[[], object]) -> None:
        """Call `notifier()` when the connection has ended, now if it has already."""
        _check(notifier)
        if self.disconnected:
            run(notifier)
        else:
            self.disconnects.append(notifier)

    def dontNotifyOnDisconnect(self, notifier: Callable[[], object]) -> None:
        """Take back one `notifyOnDisconnect`, if there was one."""
        if notifier in self.disconnects:
            self.disconnects.remove(notifier)
