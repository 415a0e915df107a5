"""The asyncio face: `connect`, `serve`, what they give, and what goes with them."""

from typing import TYPE_CHECKING, Any

from .client import connect
from .connection import Connection
from .current import CurrentCall, current_call
from .reference import CacheObserver, RemoteReference
from .tls import Certificate, client_tls, server_tls

if TYPE_CHECKING:
    from .portal import Portal
    from .reconnecting import Backoff, Reconnecting
    from .server import Server, serve

__all__ = [
    "Backoff",
    "CacheObserver",
    "Certificate",
    "Connection",
    "CurrentCall",
    "Portal",
    "Reconnecting",
    "RemoteReference",
    "Server",
    "client_tls",
    "connect",
    "current_call",
    "serve",
    "server_tls",
]


def __getattr__(name: str) -> Any:
    # A client needs no server, and a server no portal, which loads all that checks a password. Few
    # clients connect again.
    if name in ("Server", "serve"):
        from . import server

        return getattr(server, name)
    if name == "Portal":
        from .portal import Portal

        return Portal
    if name in ("Backoff", "Reconnecting"):
        from . import reconnecting

        return getattr(reconnecting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # For completion and help, which look at nothing else.
    return sorted({*globals(), *__all__})
