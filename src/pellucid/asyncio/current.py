"""Which call a method is running for."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..errors import LocalProtocolError
from ..events import CallReceived
from ..records import Record

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["CurrentCall", "current_call", "invoke"]

# The fields of a CurrentCall, which is made when somebody asks for it. They hold no argument of the
# call, so that a context that lives on keeps none of them.
_current: ContextVar[tuple[Any, Any, str]] = ContextVar("pellucid.current_call")


class CurrentCall(Record):
    """The call that a method is running for.

    `connection` is where it came from, `perspective` on whose behalf (None where nobody has logged
    in) and `name` what was called.
    """

    __slots__ = __match_args__ = ("connection", "perspective", "name")

    connection: "Connection"
    perspective: Any
    name: str

    def __init__(self, connection: "Connection", perspective: Any, name: str) -> None:
        super().__init__(connection=connection, perspective=perspective, name=name)


def current_call() -> CurrentCall:
    """Tell which call is running here: in its method, and in the tasks that it starts.

    Raises LocalProtocolError outside of a call.
    """
    try:
        fields = _current.get()
    except LookupError:
        raise LocalProtocolError("no call of the other side is running here") from None
    return CurrentCall(*fields)


def invoke(connection: "Connection", call: CallReceived) -> Any:
    """Call the method that `call` names. To be run in a context of its own."""
    _current.set((connection, call.perspective, call.name))
    method: Callable[..., Any] = call.target.find_method(call.name)
    return method(*call.args, **call.kwargs) if call.kwargs else method(*call.args)
