"""One exception tree for everything that Pellucid raises.

PBError
├── ProtocolError
│   ├── LocalProtocolError     this side did something that the protocol does not allow
│   └── RemoteProtocolError    the other side did
├── LimitExceeded              a size, a depth or a number is over a limit
├── InsecureJelly              a value may not travel, or may not come in
├── ConnectionClosed
│   ├── ConnectionLost         the connection ended while a call was under way
│   └── DeadReferenceError     a call on a reference whose connection has ended
├── LoginFailed                the other side did not let us in
├── RemoteError                the other side raised something that is not known by name here
│   └── NoSuchMethod           there is no such method
└── Error                      what applications derive their own errors from
"""

from typing import Any
from weakref import WeakValueDictionary

__all__ = [
    "ConnectionClosed",
    "ConnectionLost",
    "DeadReferenceError",
    "Error",
    "InsecureJelly",
    "LimitExceeded",
    "LocalProtocolError",
    "LoginFailed",
    "NoSuchMethod",
    "PBError",
    "ProtocolError",
    "RemoteError",
    "RemoteProtocolError",
]


class PBError(Exception):
    """Everything that Pellucid raises is one of these.

    An error that came from the other side tells where it came from: `remote_type` is the full name
    of its class there, `remote_parents` the names of that class and of all its bases, and
    `remote_traceback` the traceback, where the other side chose to send one. In an error that was
    made on this side `remote_type` is None. A name is cut at 1,000 characters, and no more than
    100 are kept: no class has more. (Wire document, section 13.)
    """

    remote_type: str | None = None
    remote_traceback: str | None = None
    remote_parents: tuple[str, ...] = ()

    def is_a(self, name: str) -> bool:
        """Tell whether the class on the other side is `name`, or derived from it.

        `name` is a full name, such as "builtins.LookupError".
        """
        return name == self.remote_type or name in self.remote_parents


class ProtocolError(PBError):
    """The protocol was not kept."""


class LocalProtocolError(ProtocolError):
    """This side asked for something that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that the protocol does not allow."""


class LimitExceeded(PBError):
    """A size, a depth or a number is over a limit.

    `limit` is the name of the limit in `pellucid.Limits`, `value` what was asked for, and `remote`
    tells whether the other side asked for it. `where` is the place in the value, if there is one.
    """

    def __init__(
        self, text: str, *, limit: str, value: int, remote: bool = False, where: str = ""
    ) -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.limit = limit
        self.value = value
        self.remote = remote
        self.where = where


class InsecureJelly(PBError):
    """A value may not be sent, or what was received may not come in.

    `where` is the place in the value, such as "arguments[2]['owner']". `remote` tells whether the
    value came from the other side. (Wire document, section 6.)
    """

    def __init__(self, text: str = "", *, where: str = "", remote: bool = False) -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.where = where
        self.remote = remote


def without_place(error: BaseException) -> str:
    """Give the text of an error without the place in a value, which may have keys of it."""
    place = getattr(error, "where", "")
    return str(error).removeprefix(f"{place}: ") if place else str(error)


class ConnectionClosed(PBError):
    """The connection has ended."""


class ConnectionLost(ConnectionClosed):
    """The connection ended while a call was under way; `__cause__` is the reason.

    Whether the other side ran the call can't be known.
    """


class DeadReferenceError(ConnectionClosed):
    """A call was made on a reference whose connection had ended before. It was not sent."""


class LoginFailed(PBError):
    """The other side did not let us in."""


class RemoteError(PBError):
    """The other side raised something that is not known by name here.

    `remote_type`, `remote_parents` and `remote_traceback` tell what; the text is the text it had.
    """


class NoSuchMethod(RemoteError):
    """The object has no such method."""


class Error(PBError):
    """What applications derive their own errors from.

    A subclass that a method raises is expected: nothing is logged, and the caller can `except` the
    class of the same full name on its own side.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _loaded[full_name(cls)] = cls


_loaded: WeakValueDictionary[str, type[Error]] = WeakValueDictionary()

# What each class is called on the wire, its own bases that have no name there left out. These are
# the names that existing Twisted programs look for.
_WIRE_NAMES: dict[type, tuple[str, ...]] = {
    PBError: (),
    ProtocolError: ("twisted.spread.pb.ProtocolError", "twisted.spread.pb.Error"),
    LimitExceeded: ("pellucid.LimitExceeded", "twisted.spread.pb.Error"),
    InsecureJelly: ("twisted.spread.jelly.InsecureJelly",),
    ConnectionClosed: (),
    ConnectionLost: ("twisted.spread.pb.PBConnectionLost", "twisted.spread.pb.Error"),
    DeadReferenceError: (
        "twisted.spread.pb.DeadReferenceError",
        "twisted.spread.pb.ProtocolError",
        "twisted.spread.pb.Error",
    ),
    LoginFailed: (
        "twisted.cred.error.UnauthorizedLogin",
        "twisted.cred.error.LoginFailed",
        "twisted.cred.error.Unauthorized",
    ),
    RemoteError: (),
    NoSuchMethod: ("twisted.spread.flavors.NoSuchMethod", "builtins.AttributeError"),
    Error: ("twisted.spread.pb.Error",),
}

# Of our own classes these alone can come from the wire, so that no peer can fake a local event.
_FROM_WIRE: dict[str, type[PBError]] = {
    "twisted.spread.pb.Error": Error,
    "twisted.spread.jelly.InsecureJelly": InsecureJelly,
    "twisted.spread.flavors.NoSuchMethod": NoSuchMethod,
    "twisted.cred.error.LoginFailed": LoginFailed,
    "twisted.cred.error.UnauthorizedLogin": LoginFailed,
    "twisted.cred.error.UnhandledCredentials": LoginFailed,
}


def full_name(cls: type) -> str:
    """Give the name under which `cls` is known to the other side: module and class."""
    return f"{cls.__module__}.{cls.__name__}"


def wire_names(error: BaseException) -> tuple[str, ...]:
    """Give the names of the class of `error` and of its bases, as they go on the wire.

    An error that came from a peer keeps the names that it came with. (Wire document, section 13.)
    """
    if isinstance(error, PBError) and error.remote_type is not None:
        return error.remote_parents or (error.remote_type,)
    names: list[str] = []
    for cls in type(error).__mro__:
        known = _WIRE_NAMES.get(cls)
        names.extend((full_name(cls),) if known is None else known)
    return tuple(dict.fromkeys(names)) or ("twisted.spread.pb.Error",)


def class_from_wire(name: str) -> type[PBError] | None:
    """Give the class that a name from the wire stands for, None where there is none.

    Looked up among the subclasses of `Error` that are loaded. Nothing is ever imported.
    """
    return _FROM_WIRE.get(name) or _loaded.get(name)


def is_expected(error: BaseException) -> bool:
    """Tell whether a method that raises `error` meant the caller to see it."""
    return isinstance(error, (Error, InsecureJelly, LoginFailed)) or type(error) is NoSuchMethod
