"""The asyncio face: `connect`, `serve`, and what they give."""

from .client import connect
from .connection import Connection
from .reference import RemoteReference
from .server import Server, serve

__all__ = ["Connection", "RemoteReference", "Server", "connect", "serve"]
