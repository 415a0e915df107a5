"""The blocking face: calls wait for their result, methods run on worker threads.

It is the asyncio face on one background thread, which all connections and servers of the process
share, and which ends with the last of them.
"""

from .cacheable import Cacheable
from .connection import Connection
from .reconnecting import Reconnecting
from .reference import CacheObserver, RemoteReference
from .server import Server, connect, serve

__all__ = [
    "CacheObserver",
    "Cacheable",
    "Connection",
    "Reconnecting",
    "RemoteReference",
    "Server",
    "connect",
    "serve",
]
