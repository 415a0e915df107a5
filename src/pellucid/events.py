"""What a broker reports to its face, in the order in which it happened."""

from typing import Any, Final

__all__ = [
    "CallCompleted",
    "CallFailed",
    "CallReceived",
    "Closed",
    "Event",
    "Paused",
    "PeerFault",
    "Ready",
    "Released",
    "Unobserved",
]


class Ready:
    """The dialect is agreed: calls may be made. `dialect` is its name."""

    __slots__ = ("dialect",)

    def __init__(self, dialect: str) -> None:
        self.dialect: Final = dialect


class CallReceived:
    """The other side calls `target`'s method `name`. It may start now.

    `perspective` is on whose behalf. For a copy of a cache it is an update. Hand it back to
    `Broker.answer` or `Broker.fail`, exactly once.
    """

    __slots__ = (
        "args",
        "kwargs",
        "name",
        "perspective",
        "request",
        "size",
        "target",
        "wants_answer",
    )

    def __init__(
        self,
        target: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        request: bytes,
        wants_answer: bool,
        size: int,
        perspective: Any = None,
    ) -> None:
        self.target = target
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.request = request
        self.wants_answer = wants_answer
        self.size = size
        self.perspective = perspective


class CallCompleted:
    """A call of ours was answered with `value`. `waiter` is what was given to `Broker.call`."""

    __slots__ = ("value", "waiter")

    def __init__(self, waiter: Any, value: Any) -> None:
        self.waiter = waiter
        self.value = value


class CallFailed:
    """A call of ours failed with `error`. `waiter` is what was given to `Broker.call`.

    The error is a PBError, or one whose class the application registered as a copy.
    """

    __slots__ = ("error", "waiter")

    def __init__(self, waiter: Any, error: Exception) -> None:
        self.waiter = waiter
        self.error = error


class PeerFault:
    """The other side made a mistake that costs it nothing but a line in the log.

    `cause` is what code of this side raised when it read what came, None if it read it or was not
    asked.
    """

    __slots__ = ("cause", "text")

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        self.text: Final = text
        self.cause: Final = cause


class Paused:
    """Much was read that nobody is told of. Ask again when others have had their turn."""

    __slots__ = ()


class Unobserved:
    """The other side has no copy of the cache `target` any more, or the connection is over.

    Call `target.stopped_observing(perspective, observer)`, and when that is through hand it back
    to `Broker.unobserved`.
    """

    __slots__ = ("luid", "observer", "perspective", "target")

    def __init__(self, target: Any, perspective: Any, observer: Any, luid: int | None) -> None:
        self.target = target
        self.perspective = perspective
        self.observer = observer
        # None where the other side waits for nothing.
        self.luid = luid


class Released:
    """The other side holds `target` no more, or the connection is over: call `target.released()`.

    Only for an object whose class has a true `wants_release`.
    """

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target


class Closed:
    """The connection is over. `error` says why, None where this side asked for it.

    Whatever `data_to_send` still gives is to be sent before the transport is closed.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error: Final = error


Event = (
    Ready
    | CallReceived
    | CallCompleted
    | CallFailed
    | PeerFault
    | Paused
    | Released
    | Unobserved
    | Closed
)
