"""Pellucid: Perspective Broker for today's Python.

Two processes share one connection and hold references to each other's objects. Either side calls
the other's methods, and decides alone what may come in.
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    ConnectionClosed,
    ConnectionLost,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    LoginFailed,
    NoSuchMethod,
    PBError,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
)
from .flavors import (
    Avatar,
    Cacheable,
    Copyable,
    Referenceable,
    RemoteCache,
    RemoteCopy,
    Root,
    Viewable,
    ViewPoint,
)
from .jelly import Unpersistable
from .limits import Limits, ServerLimits
from .registry import Registry

if TYPE_CHECKING:
    from . import blocking as blocking
    from .asyncio import (
        Backoff,
        Certificate,
        Connection,
        Portal,
        Reconnecting,
        RemoteReference,
        Server,
        client_tls,
        connect,
        current_call,
        serve,
        server_tls,
    )
    from .login import Account, Anonymous, CertificateNames, Checker, InMemory
    from .passwords import BadPasswordFile, PasswordFile

__all__ = [
    "Account",
    "Anonymous",
    "Avatar",
    "Backoff",
    "BadPasswordFile",
    "Cacheable",
    "Certificate",
    "CertificateNames",
    "Checker",
    "Connection",
    "ConnectionClosed",
    "ConnectionLost",
    "Copyable",
    "DeadReferenceError",
    "Error",
    "InMemory",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "LoginFailed",
    "NoSuchMethod",
    "PBError",
    "PasswordFile",
    "Portal",
    "ProtocolError",
    "Reconnecting",
    "Referenceable",
    "Registry",
    "RemoteCache",
    "RemoteCopy",
    "RemoteError",
    "RemoteProtocolError",
    "RemoteReference",
    "Root",
    "Server",
    "ServerLimits",
    "Unpersistable",
    "ViewPoint",
    "Viewable",
    "__version__",
    "client_tls",
    "connect",
    "current_call",
    "serve",
    "server_tls",
]

_ASYNCIO = {
    "Backoff",
    "Certificate",
    "Connection",
    "Portal",
    "Reconnecting",
    "RemoteReference",
    "Server",
    "client_tls",
    "connect",
    "current_call",
    "serve",
    "server_tls",
}
_LOGIN = {"Account", "Anonymous", "CertificateNames", "Checker", "InMemory"}
_PASSWORDS = {"BadPasswordFile", "PasswordFile"}


def __getattr__(name: str) -> Any:
    # So that the core can be imported without asyncio.
    if name in _ASYNCIO:
        from . import asyncio as face

        found = globals()[name] = getattr(face, name)
        return found
    if name == "blocking":
        # In this form the import does not ask here for the name again.
        import pellucid.blocking as blocking_face

        return blocking_face
    if name in _LOGIN:
        # Hashes and random numbers take a tenth of the time that the rest takes to load.
        from . import login

        return getattr(login, name)
    if name in _PASSWORDS:
        # Argon2, where it is installed, loads much.
        from . import passwords

        return getattr(passwords, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # For completion and help, which look at nothing else.
    return sorted({*globals(), *__all__, "blocking"})
