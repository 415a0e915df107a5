"""Foolscap: a Tub. The second port gives out its FURL as plain text."""

import sys
from typing import Any

from foolscap.api import Referenceable, Tub
from foolscap.util import allocate_tcp_port
from twisted.internet import defer, protocol, reactor
from twisted.python import log

from attack.servers import BLOB

_reactor: Any = reactor


class Thing(Referenceable):
    """An object of the server's."""

    def remote_echo(self, value: object) -> object:
        return value


class Service(Referenceable):
    """What everybody may call."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_blob(self, size: int) -> bytes:
        return BLOB[:size]

    def remote_make(self) -> Thing:
        return Thing()

    def remote_fail(self, text: object) -> None:
        raise ValueError(text)

    def remote_wait(self, value: object = None) -> Any:
        return defer.Deferred()


class Hand(protocol.Protocol):
    """Gives out the FURL."""

    furl = ""
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self.furl.encode())
        self.transport.loseConnection()


def serve() -> None:
    log.startLogging(sys.stderr, setStdout=False)
    port = allocate_tcp_port()
    tub = Tub()
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port}")
    Hand.furl = tub.registerReference(Service(), "echo")
    tub.startService()
    listening = _reactor.listenTCP(0, protocol.Factory.forProtocol(Hand), interface="127.0.0.1")
    print(port, listening.getHost().port, flush=True)
    _reactor.run()
