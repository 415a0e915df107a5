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
from .flavors import Referenceable, Root
from .jelly import Unpersistable
from .limits import Limits
from .registry import Registry

if TYPE_CHECKING:
    from .asyncio import Connection, RemoteReference, Server, connect, serve

__all__ = [
    "Connection",
    "ConnectionClosed",
    "ConnectionLost",
    "DeadReferenceError",
    "Error",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "LoginFailed",
    "NoSuchMethod",
    "PBError",
    "ProtocolError",
    "Referenceable",
    "Registry",
    "RemoteError",
    "RemoteProtocolError",
    "RemoteReference",
    "Root",
    "Server",
    "Unpersistable",
    "__version__",
    "connect",
    "serve",
]

_ASYNCIO = {"Connection", "RemoteReference", "Server", "connect", "serve"}


def __getattr__(name: str) -> Any:
    # So that the core can be imported without asyncio.
    if name in _ASYNCIO:
        from . import asyncio as face

        return getattr(face, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
