"""A Tub of Foolscap's, and the way to find it.

A Tub is found by its FURL, which names its certificate. A port gives it out as plain text; the Tub
listens on a port of its own.
"""

import socket
from typing import Any

from foolscap.api import Tub
from foolscap.util import allocate_tcp_port
from twisted.internet import protocol, reactor

_reactor: Any = reactor


class _Hand(protocol.Protocol):
    """Hands out the FURL."""

    furl = ""
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self.furl.encode())
        self.transport.loseConnection()


def listen(service: Any) -> tuple[int, int]:
    """Serve an object on 127.0.0.1. Give the port of its Tub, and that which hands out the FURL."""
    port = allocate_tcp_port()
    tub = Tub()
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port}")
    _Hand.furl = tub.registerReference(service, "echo")
    tub.startService()
    listening = _reactor.listenTCP(0, protocol.Factory.forProtocol(_Hand), interface="127.0.0.1")
    return port, listening.getHost().port


def furl_from(port: int, patience: float | None = None) -> str:
    """Ask a port for the FURL."""
    with socket.create_connection(("127.0.0.1", port), patience) as hand, hand.makefile() as lines:
        return lines.read()
