"""Twisted's Perspective Broker. `python -m pellucid.twisted` runs the same on the Twisted face."""

from typing import Any

from twisted.internet import defer, reactor, task
from twisted.spread import pb

from bench import workloads
from bench.driver import Driver
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

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


class Session:
    """Does the workloads."""

    def __init__(self, port: int, root: Any) -> None:
        self.port = port
        self.root = root
        self.echo = Echo()
        self.more: list[Any] = []

    async def one(self) -> None:
        if await self.root.callRemote("echo", TEXT) != TEXT:
            wrong()

    async def sequential(self, count: int) -> None:
        call = self.root.callRemote
        for _ in range(count):
            if await call("echo", TEXT) != TEXT:
                wrong()

    async def in_flight(self, count: int) -> None:
        call = self.root.callRemote
        for _ in range(count):
            for deferred in [call("echo", TEXT) for _ in range(IN_FLIGHT)]:
                if await deferred != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        await self._echo(STRUCTURE, count)

    async def integers(self, count: int) -> None:
        await self._echo(INTEGERS, count)

    async def bytes_(self, count: int) -> None:
        await self._echo(workloads.CHUNKS, count)

    async def _echo(self, value: object, count: int) -> None:
        call = self.root.callRemote
        for _ in range(count):
            if await call("echo", value) != value:
                wrong()

    async def reference(self, count: int) -> None:
        call = self.root.callRemote
        for _ in range(count):
            reference = await call("make")
            if await reference.callRemote("echo", TEXT) != TEXT:
                wrong()
            del reference

    async def callback(self, count: int) -> None:
        call = self.root.callRemote
        for _ in range(count):
            if await call("call_back", self.echo) != TEXT:
                wrong()

    async def connect(self, count: int) -> None:
        for _ in range(count):
            root = await _connect(self.port)
            self.more.append(root)
            if await root.callRemote("echo", TEXT) != TEXT:
                wrong()

    async def again(self, count: int) -> None:
        for _ in range(count):
            for root in self.more:
                if await root.callRemote("echo", TEXT) != TEXT:
                    wrong()

    async def list_of(self, size: int) -> None:
        await self._echo([7] * size, 1)

    async def string_of(self, size: int) -> None:
        await self._echo(b"x" * size, 1)


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
