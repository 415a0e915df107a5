"""Handles on what the other side has, with verbs that wait."""

from numbers import Real
from typing import TYPE_CHECKING, Any

from .. import caches, references
from ..asyncio.opening import check_type
from ..broker import Broker

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["CacheObserver", "RemoteReference", "Within"]


class Within:
    """A reference whose calls wait only so long."""

    __slots__ = ("_handle", "_seconds")

    def __init__(self, handle: "RemoteReference | CacheObserver", seconds: float) -> None:
        check_type(seconds, Real, "within takes a number of seconds")
        self._handle = handle
        self._seconds = seconds

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method as `RemoteReference.call` does. Raises TimeoutError.

        The call is abandoned then: the method runs on, and what it gives is dropped.
        """
        return self._handle.connection._call(self._handle, name, args, kwargs, self._seconds)


class RemoteReference(references.RemoteReference):
    """A handle on an object of the other side: call its methods, from any thread.

    The same object received twice is the same reference while one is alive. A reference sent back
    over its connection arrives as the object itself; over any other it is refused.
    """

    __slots__ = ("connection",)

    def __init__(self, broker: Broker, luid: int | bytes, connection: "Connection") -> None:
        super().__init__(broker, luid)
        self.connection = connection

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, wait for its result and give it.

        Whoever is interrupted abandons the call; the method runs on. Raises the error that the
        method raised, as a class that is known here or as RemoteError; InsecureJelly or
        LimitExceeded for what can't be sent; DeadReferenceError if the connection had ended, and
        ConnectionLost if it ends before the answer. LocalProtocolError where the answer could never
        come: in the hooks of the background thread, and under the lock of a Cacheable.
        """
        return self.connection._call(self, name, args, kwargs)

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Call a method and want no answer, neither result nor error.

        Raises InsecureJelly, LimitExceeded and DeadReferenceError. Under the lock of a Cacheable
        they are raised when that is released, and that a connection has ended is not.
        """
        self.connection._notify(self, name, args, kwargs)

    def within(self, seconds: float) -> Within:
        """Give what calls as this reference does, but waits only so long."""
        return Within(self, seconds)

    @property
    def closed(self) -> bool:
        """Tell whether the connection of this reference has ended."""
        return self.connection.closed

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} at {self.connection.peer}>"


class CacheObserver(caches.CacheObserver):
    """A handle on the copy that the other side has of a cache: call its `observe_` methods.

    `perspective` is on whose behalf it was sent. After `stopped_observing` it is dead.
    """

    __slots__ = ("connection",)

    def __init__(
        self, broker: Broker, luid: int, perspective: Any, connection: "Connection"
    ) -> None:
        super().__init__(broker, luid, perspective)
        self.connection = connection

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the copy, and wait for its result, as a reference does."""
        return self.connection._call(self, name, args, kwargs)

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Tell the copy of a change, and want no answer.

        Raises InsecureJelly and DeadReferenceError, under the lock as `RemoteReference.notify`.
        Where the other side does not take what is sent, its copy would be wrong from now on: then
        its connection is ended.
        """
        self.connection._notify(self, name, args, kwargs)

    def within(self, seconds: float) -> Within:
        """Give what calls as this does, but waits only so long."""
        return Within(self, seconds)

    @property
    def closed(self) -> bool:
        """Tell whether the connection of this copy has ended."""
        return self.connection.closed
