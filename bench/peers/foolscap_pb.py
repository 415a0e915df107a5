"""Foolscap: Tubs with Referenceables. Every Tub uses TLS, so this is the one peer that encrypts.

A Tub is found by its FURL, which names its certificate. The port that the server prints gives it
out as plain text; the Tub listens on a port of its own. The 8 MiB travel as one string.
"""

import socket
from typing import TYPE_CHECKING, Any

from foolscap.api import Referenceable, Tub
from foolscap.util import allocate_tcp_port
from twisted.internet import defer, protocol, reactor, task

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

NOTES: dict[str, str] = {
    "sequential": "with TLS, which Foolscap always uses",
    "startup": "makes a key and a certificate",
}

_reactor: Any = reactor


class Answerer(Referenceable):
    """A live object, on either side."""

    def remote_answer(self, value: object) -> object:
        return value


class Echo(Referenceable):
    """What the server serves."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_make(self) -> Answerer:
        return Answerer()

    def remote_ask(self, target: Any) -> Any:
        return target.callRemote("answer", TEXT)


class Session:
    """One connection between two Tubs."""

    def __init__(self, root: Any) -> None:
        self._call = root.callRemote
        self._mine = Answerer()

    async def one(self) -> None:
        if await self._call("echo", TEXT) != TEXT:
            wrong()

    async def sequential(self, count: int) -> None:
        await self._echo(TEXT, count)

    async def in_flight(self, count: int) -> None:
        call = self._call
        for _ in range(count):
            for deferred in [call("echo", TEXT) for _ in range(IN_FLIGHT)]:
                if await deferred != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        await self._echo(STRUCTURE, count)

    async def integers(self, count: int) -> None:
        await self._echo(INTEGERS, count)

    async def bytes_(self, count: int) -> None:
        await self._echo(workloads.BLOB, count)

    async def reference(self, count: int) -> None:
        call = self._call
        for _ in range(count):
            made = await call("make")
            if await made.callRemote("answer", TEXT) != TEXT:
                wrong()
            del made

    async def callback(self, count: int) -> None:
        call = self._call
        for _ in range(count):
            if await call("ask", self._mine) != TEXT:
                wrong()

    async def _echo(self, value: object, count: int) -> None:
        call = self._call
        for _ in range(count):
            if await call("echo", value) != value:
                wrong()


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
    Hand.furl = tub.registerReference(Echo(), "echo")
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
        await driver.run_async(Session(await tub.getReference(furl)))
        await tub.stopService()

    task.react(lambda _: defer.ensureDeferred(main()))
