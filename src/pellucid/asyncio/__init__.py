"""The asyncio face: `connect`, `serve`, what they give, and what goes with them."""

from .client import connect
from .connection import Connection
from .current import CurrentCall, current_call
from .portal import Portal
from .reference import CacheObserver, RemoteReference
from .server import Server, serve
from .tls import Certificate, client_tls, server_tls

__all__ = [
    "CacheObserver",
    "Certificate",
    "Connection",
    "CurrentCall",
    "Portal",
    "RemoteReference",
    "Server",
    "client_tls",
    "connect",
    "current_call",
    "serve",
    "server_tls",
]
