"""Handles on what the other side has, with verbs."""

import asyncio
from typing import TYPE_CHECKING, Any

from .. import caches, references
from ..broker import Broker

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["CacheObserver", "RemoteReference"]


class RemoteReference(references.RemoteReference):
    """A handle on an object of the other side: call its methods.

    The same object received twice is the same reference while one is alive. A reference sent back
    over its connection arrives as the object itself; over any other it is refused.
    """

    __slots__ = ("connection",)

    def __init__(self, broker: Broker, luid: int | bytes, connection: "Connection") -> None:
        # As the class above does: one is made for each object that comes in.
        self.origin = broker
        self.luid = luid
        self.perspective = None
        self.connection = connection

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        """Call a method, and give the future of its result.

        The call has started already: calls leave in the order in which they are made. Cancelling
        the future abandons the call; the method runs on. Awaiting it raises the error that the
        method raised, as a class that is known here or as RemoteError; InsecureJelly or
        LimitExceeded for what can't be sent; DeadReferenceError if the connection had ended, and
        ConnectionLost if it ends before the answer.
        """
        return self.connection._out.call(self, name, args, kwargs)

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Call a method and want no answer, neither result nor error.

        Raises InsecureJelly, LimitExceeded and DeadReferenceError at once.
        """
        self.connection._notify(self, name, args, kwargs)

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

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        """Call a method of the copy, and give the future of its result, as a reference does."""
        return self.connection._out.call(self, name, args, kwargs)

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Tell the copy of a change, and want no answer.

        Raises InsecureJelly and DeadReferenceError at once. Where the other side does not take what
        is sent, its copy would be wrong from now on: then its connection is ended.
        """
        self.connection._notify(self, name, args, kwargs)

    @property
    def closed(self) -> bool:
        """Tell whether the connection of this copy has ended."""
        return self.connection.closed
