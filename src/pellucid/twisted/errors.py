"""The exceptions that Twisted programs know, and what the core raises as one of them."""

from collections.abc import Callable
from typing import Any, Final

from twisted.python.failure import Failure

from .. import errors as core

__all__ = [
    "BananaError",
    "DeadReferenceError",
    "Error",
    "InsecureJelly",
    "NoSuchMethod",
    "PBConnectionLost",
    "ProtocolError",
    "RemoteError",
    "stale",
    "translated",
]

# What banana itself can't carry, by the names of the core's limits.
_BANANA: Final = frozenset(("string_bytes", "list_items", "integer_bits"))
_TABLES: Final = frozenset(("references_exported", "caches_exported"))


class Error(core.Error):
    """What a remote method raises that its caller is meant to see.

    Nothing is logged where it was raised. An application derives its own errors from this one.
    """

    __module__ = "twisted.spread.pb"


class ProtocolError(Exception):
    """The protocol was not kept."""

    __module__ = "twisted.spread.pb"


class DeadReferenceError(ProtocolError):
    """A method was called on a reference whose connection has ended. The call was not sent."""

    __module__ = "twisted.spread.pb"


class PBConnectionLost(Exception):
    """The connection ended while a call was under way. The argument is the reason, a Failure.

    Whether the other side ran the call can't be known.
    """

    __module__ = "twisted.spread.pb"


class RemoteError(core.RemoteError):
    """What code that awaits a call sees when the other side raised an exception.

    Its text is the text of that exception, `remoteType` the full name of its class, and
    `remoteTraceback` the traceback, or what was sent in its place.
    """

    __module__ = "twisted.spread.pb"

    def __init__(self, remoteType: Any, value: Any, remoteTraceback: Any) -> None:
        super().__init__(value)
        self.remoteType = remoteType
        self.remoteTraceback = remoteTraceback


class NoSuchMethod(core.NoSuchMethod, AttributeError):
    """The object has no method of this name that may be called from the other side."""

    __module__ = "twisted.spread.flavors"


class InsecureJelly(core.InsecureJelly):
    """A value may not be sent, or what was received may not come in.

    `where` is the place in the value. `remote` tells whether it came from the other side.
    """

    __module__ = "twisted.spread.jelly"

    def __init__(self, *args: object, where: str = "", remote: bool = False) -> None:
        if where:
            args = (f"{where}: {args[0]}" if args else where, *args[1:])
        Exception.__init__(self, *args)
        self.where = where
        self.remote = remote


class BananaError(Exception):
    """What banana can't carry, or what is no banana."""

    __module__ = "twisted.spread.banana"


def stale() -> DeadReferenceError:
    """Give the error of a call on a reference whose connection has ended."""
    return DeadReferenceError("Calling Stale Broker")


def translated(error: BaseException) -> BaseException:
    """Give what a Twisted program expects in place of an error of the core.

    What the application's own code raised while a value was written or read comes out as it was
    raised. Any other error is given back.
    """
    # Of the classes of an application some derive from the core's.
    translate = _TRANSLATIONS.get(type(error))
    return error if translate is None else translate(error)


def _insecure(error: Any) -> BaseException:
    if isinstance(error.__cause__, Exception):
        return translated(error.__cause__)
    found = InsecureJelly(*error.args, remote=error.remote)
    found.where = error.where
    return found


def _limit(error: Any) -> BaseException:
    if error.limit in _BANANA:
        return BananaError(str(error))
    return Error(str(error)) if error.limit in _TABLES else error


def _lost(error: Any) -> BaseException:
    reason = error.__cause__
    if reason is None:
        return PBConnectionLost(str(error))
    return PBConnectionLost(reason if isinstance(reason, Failure) else Failure(reason))


_TRANSLATIONS: Final[dict[type, Callable[[Any], BaseException]]] = {
    core.InsecureJelly: _insecure,
    core.LimitExceeded: _limit,
    core.DeadReferenceError: lambda error: stale(),
    core.ConnectionLost: _lost,
    core.Error: lambda error: Error(str(error)),
    core.NoSuchMethod: lambda error: NoSuchMethod(str(error)),
    core.RemoteError: lambda error: RemoteError(
        error.remote_type, str(error), error.remote_traceback
    ),
    core.ProtocolError: lambda error: ProtocolError(str(error)),
    core.LocalProtocolError: lambda error: ProtocolError(str(error)),
    core.RemoteProtocolError: lambda error: ProtocolError(str(error)),
}
