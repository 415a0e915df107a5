"""Twisted's Perspective Broker. `python -m pellucid.twisted` runs the same on the Twisted face."""

from typing import Any

from twisted.internet import defer, reactor, task
from twisted.spread import pb

from bench.driver import Driver
from bench.peers import sessions
from bench.workloads import TEXT

_reactor: Any = reactor


class Echo(pb.Referenceable):
    """Answers with what it gets."""

    def remote_echo(self, value: object) -> object:
        return value


class Service(pb.Root):
    """What the server has."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_make(self) -> Echo:
        return Echo()

    def remote_call_back(self, target: Any) -> object:
        return target.callRemote("echo", TEXT)


class Session(sessions.PB):
    """One connection, and further ones."""

    verb = "callRemote"

    def __init__(self, port: int, root: Any) -> None:
        super().__init__(root, Echo())
        self._port = port

    async def another(self) -> sessions.Call:
        root = await _connect(self._port)
        call: sessions.Call = root.callRemote
        return call


async def _connect(port: int) -> Any:
    factory = pb.PBClientFactory()
    _reactor.connectTCP("127.0.0.1", port, factory)
    return await factory.getRootObject()


def serve() -> None:
    port = _reactor.listenTCP(0, pb.PBServerFactory(Service()), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    _reactor.run()


def client(port: int, driver: Driver) -> None:
    async def main() -> None:
        await driver.run_async(Session(port, await _connect(port)))

    task.react(lambda reactor: defer.ensureDeferred(main()))
