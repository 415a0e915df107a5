"""Two programs over any endpoint, on any reactor.

Usage: reactor_peers.py REACTOR server ENDPOINT
       reactor_peers.py REACTOR client ENDPOINT

The server prints its reactor, then the number of its port if it has one, and ends when its client
has gone. The endpoints are strings as Twisted describes them.
"""

import sys
from typing import Any

from twisted.application.reactors import installReactor
from twisted.internet import defer, endpoints, task

from pellucid.twisted import pb

LARGE = 600_000


class Refused(pb.Error):
    pass


class Root(pb.Root):
    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor

    def remote_echo(self, value: object) -> object:
        return value

    def remote_tell(self, other: Any, value: object) -> Any:
        return other.callRemote("tell", value)

    async def remote_later(self, value: object) -> object:
        return await task.deferLater(self.reactor, 0, lambda: value)

    def remote_refuse(self) -> None:
        raise Refused("not today")


class Own(pb.Referenceable):
    """What the server calls back, within a call of the client's."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def remote_tell(self, value: object) -> int:
        self.told.append(value)
        return len(self.told)


class Factory(pb.PBServerFactory):
    """Tells when the one client has gone."""

    def __init__(self, root: Root) -> None:
        super().__init__(root)
        self.gone: defer.Deferred[None] = defer.Deferred()

    def clientConnectionMade(self, protocol: Any) -> None:
        protocol.notifyOnDisconnect(lambda: self.gone.callback(None))


async def serve(reactor: Any, endpoint: str) -> None:
    factory = Factory(Root(reactor))
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    print(type(reactor).__name__, getattr(port.getHost(), "port", ""), flush=True)
    await factory.gone
    await defer.maybeDeferred(port.stopListening)
    print("gone", flush=True)


async def visit(reactor: Any, endpoint: str) -> None:
    factory = pb.PBClientFactory()
    await endpoints.clientFromString(reactor, endpoint).connect(factory)
    root = await factory.getRootObject()
    print(type(reactor).__name__)
    print(await root.callRemote("echo", ["hello", {"network": (1, 2.5, None, True)}]))
    large = b"x" * LARGE
    print(await root.callRemote("echo", large) == large)
    own = Own()
    print(await root.callRemote("tell", own, "here"), own.told)
    print(await root.callRemote("echo", own) is own)
    calls = [root.callRemote("later" if i % 2 else "echo", i) for i in range(200)]
    print(await defer.gatherResults(calls) == list(range(200)))
    try:
        await root.callRemote("refuse")
    except pb.RemoteError as error:
        print(f"{error.remoteType}: {error}")
    lost: defer.Deferred[Any] = defer.Deferred()
    root.notifyOnDisconnect(lost.callback)
    factory.disconnect()
    print(await lost is root)
    try:
        root.callRemote("echo", 1)
    except pb.DeadReferenceError as error:
        print(error)


def main(name: str, role: str, endpoint: str) -> None:
    # The face is here already and has left the choice to us.
    reactor = installReactor(name)
    task.react({"server": serve, "client": visit}[role], [endpoint], _reactor=reactor)


if __name__ == "__main__":
    main(*sys.argv[1:])
