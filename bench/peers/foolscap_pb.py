"""Foolscap: Tubs with Referenceables. Every Tub uses TLS, so this is the one peer that encrypts.

A Tub is found by its FURL, which names its certificate. The port that the server prints gives it
out as plain text; the Tub listens on a port of its own. The 8 MiB travel as one string.
"""

import socket
from typing import TYPE_CHECKING, Any

from foolscap.api import Referenceable, Tub
from foolscap.util import allocate_tcp_port
from twisted.internet import defer, protocol, reactor, task

from bench.peers import sessions
from bench.workloads import TEXT

if TYPE_CHECKING:
    from bench.driver import Driver

_reactor: Any = reactor


class Echo(Referenceable):
    """Answers with what it gets."""

    def remote_echo(self, value: object) -> object:
        return value


class Service(Echo):
    """What the server has."""

    def remote_make(self) -> Echo:
        return Echo()

    def remote_call_back(self, target: Any) -> Any:
        return target.callRemote("echo", TEXT)


class Session(sessions.Objects):
    """One connection between two Tubs."""

    verb = "callRemote"


class Hand(protocol.Protocol):
    """Hands out the FURL."""

    furl = ""
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self.furl.encode())
        self.transport.loseConnection()


def serve() -> None:
    port = allocate_tcp_port()
    tub = Tub()
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port}")
    Hand.furl = tub.registerReference(Service(), "echo")
    tub.startService()
    listening = _reactor.listenTCP(0, protocol.Factory.forProtocol(Hand), interface="127.0.0.1")
    print(listening.getHost().port, flush=True)
    _reactor.run()


def client(port: int, driver: "Driver") -> None:
    with socket.create_connection(("127.0.0.1", port)) as hand, hand.makefile() as lines:
        furl = lines.read()

    async def main() -> None:
        tub = Tub()
        tub.startService()
        await driver.run_async(Session(await tub.getReference(furl), Echo()))
        await tub.stopService()

    task.react(lambda _: defer.ensureDeferred(main()))
