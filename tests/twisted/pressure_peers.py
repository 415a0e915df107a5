# mypy: disable-error-code="no-untyped-call"
"""Both ends of a connection in one process, where one of them does not take what is sent.

Usage: pressure_peers.py REACTOR LISTEN CONNECT

The endpoints are strings as Twisted describes them, `PORT` standing for the port of the server.
"""

import sys
from typing import Any

from twisted.application.reactors import installReactor
from twisted.internet import defer, endpoints, task

from pellucid.errors import LimitExceeded
from pellucid.limits import Limits
from pellucid.twisted import pb, util

LARGE = 300_000
COUNT = 40


class Broker(pb.Broker):
    limits = Limits(out_bytes=2_000_000, stall_time=0.5)


class Root(pb.Root):
    def __init__(self) -> None:
        self.started = 0
        self.heard: list[int] = []

    def remote_large(self, n: int) -> bytes:
        self.started += 1
        return bytes([n]) * LARGE

    def remote_hear(self, n: int, data: bytes) -> int:
        self.heard.append(n)
        return len(data)

    def remote_pages(self, collector: Any) -> None:
        util.StringPager(collector, bytes(range(256)) * 4096, 50_000)


class Server(pb.PBServerFactory):
    protocol = Broker

    def __init__(self, root: Root) -> None:
        super().__init__(root)
        self.made: defer.DeferredQueue[Any] = defer.DeferredQueue()

    def clientConnectionMade(self, protocol: Any) -> None:
        self.made.put(protocol)


class Patient(Broker):
    limits = Limits(out_bytes=100_000_000, stall_time=0.5)


class Client(pb.PBClientFactory):
    protocol: Any = Broker


class Ends:
    """A new connection each time."""

    def __init__(self, reactor: Any, listen: str, connect: str) -> None:
        self.reactor = reactor
        self.listen = listen
        self.connect = connect
        self.root = Root()
        self.factory = Server(self.root)

    async def start(self) -> None:
        listening = endpoints.serverFromString(self.reactor, self.listen)
        self.port = await listening.listen(self.factory)
        number = getattr(self.port.getHost(), "port", "")
        self.there = endpoints.clientFromString(
            self.reactor, self.connect.replace("PORT", str(number))
        )

    async def join(self, kind: Any = Broker) -> tuple[Any, Any, Any]:
        client = Client()
        client.protocol = kind
        await self.there.connect(client)
        root = await client.getRootObject()
        return root, root.broker, await self.factory.made.get()

    async def until(self, condition: Any) -> None:
        while not condition():
            await task.deferLater(self.reactor, 0, lambda: None)


def lost(broker: Any) -> "defer.Deferred[None]":
    ended: defer.Deferred[None] = defer.Deferred()
    broker.notifyOnDisconnect(lambda: ended.callback(None))
    return ended


def waiting(broker: Any) -> int:
    used: int = broker._core.ledger.used("out_bytes")
    return used


async def answers_wait(ends: Ends) -> None:
    """Nobody takes the answers: no more calls start than there is room for."""
    root, client, server = await ends.join()
    client.transport.pauseProducing()
    calls = [root.callRemote("large", n) for n in range(COUNT)]
    await ends.until(lambda: waiting(server) > Broker.limits.out_bytes)
    assert ends.root.started < COUNT, ends.root.started
    assert waiting(server) < Broker.limits.out_bytes + 2 * LARGE, waiting(server)
    client.transport.resumeProducing()
    results = await defer.gatherResults(calls)
    print("answers", results == [bytes([n]) * LARGE for n in range(COUNT)], waiting(server))
    client.transport.loseConnection()
    await lost(server)


async def calls_wait(ends: Ends) -> None:
    """Nobody takes the calls: those above the limit fail, and the others arrive in their order."""
    root, client, server = await ends.join()
    server.transport.pauseProducing()
    calls = [root.callRemote("hear", n, bytes(LARGE)) for n in range(COUNT)]
    refused = 0
    for call in calls[:]:
        if call.called:
            calls.remove(call)
            call.addErrback(lambda failure: failure.trap(LimitExceeded))
            refused += 1
    assert 0 < refused < COUNT, refused
    server.transport.resumeProducing()
    results = await defer.gatherResults(calls)
    in_order = ends.root.heard == list(range(COUNT - refused))
    print("calls", set(results) == {LARGE}, in_order, waiting(client))
    client.transport.loseConnection()
    await lost(server)


async def closing_waits(ends: Ends) -> None:
    """What was sent before the connection is closed in order arrives, and it is closed."""
    root, client, server = await ends.join()
    # A socket that is closed with something unread loses what it has sent.
    await root.callRemote("hear", 0, b"")
    ends.root.heard.clear()
    for n in range(5):
        root.callRemote("hear", n, bytes(LARGE), pbanswer=False)
    client.transport.loseConnection()
    await lost(server)
    await lost(client)
    print("closing", ends.root.heard)


async def pages_wait(ends: Ends) -> None:
    """Pages leave when there is room."""
    root, client, _ = await ends.join()
    got = util.getAllPages(root, "pages")
    client.transport.pauseProducing()
    await task.deferLater(ends.reactor, 0, lambda: None)
    client.transport.resumeProducing()
    pages = await got
    print("pages", len(pages), b"".join(pages) == bytes(range(256)) * 4096)
    client.transport.loseConnection()
    await lost(client)


async def nobody_takes_anything(ends: Ends) -> None:
    """The other side takes nothing for too long."""
    root, client, server = await ends.join(Patient)
    server.transport.pauseProducing()
    # More than all buffers on the way can hold.
    calls = [root.callRemote("hear", n, bytes(LARGE)) for n in range(5 * COUNT)]
    await lost(client)
    reasons = set()
    for call in calls:
        call.addErrback(lambda failure: reasons.add(failure.type.__name__))
    print("stalled", sorted(reasons), client._lost_reason.value.limit)
    server.transport.resumeProducing()
    await lost(server)


async def main(reactor: Any, listen: str, connect: str) -> None:
    ends = Ends(reactor, listen, connect)
    await ends.start()
    for scene in (answers_wait, calls_wait, closing_waits, pages_wait, nobody_takes_anything):
        await scene(ends)
    await defer.maybeDeferred(ends.port.stopListening)
    print("delayed", len(reactor.getDelayedCalls()))


if __name__ == "__main__":
    installReactor(sys.argv[1])
    task.react(lambda reactor: defer.ensureDeferred(main(reactor, *sys.argv[2:])))
