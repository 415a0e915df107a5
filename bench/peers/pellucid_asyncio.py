"""Pellucid: the asyncio face, on asyncio's loop or on uvloop."""

import asyncio

import pellucid
from bench import workloads
from bench.driver import Driver
from bench.peers import loops
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong


class Echo(pellucid.Referenceable):
    """Answers with what it gets."""

    def remote_echo(self, value: object) -> object:
        return value


class Service(pellucid.Root):
    """What the server has."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_make(self) -> Echo:
        return Echo()

    def remote_call_back(self, target: pellucid.RemoteReference) -> "asyncio.Future[object]":
        return target.call("echo", TEXT)


class Session:
    """Does the workloads."""

    def __init__(self, url: str, connection: pellucid.Connection) -> None:
        self.url = url
        self.root = connection.root
        self.echo = Echo()
        self.more: list[pellucid.Connection] = []

    async def one(self) -> None:
        if await self.root.call("echo", TEXT) != TEXT:
            wrong()

    async def sequential(self, count: int) -> None:
        call = self.root.call
        for _ in range(count):
            if await call("echo", TEXT) != TEXT:
                wrong()

    async def in_flight(self, count: int) -> None:
        call = self.root.call
        for _ in range(count):
            for future in [call("echo", TEXT) for _ in range(IN_FLIGHT)]:
                if await future != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        await self._echo(STRUCTURE, count)

    async def integers(self, count: int) -> None:
        await self._echo(INTEGERS, count)

    async def bytes_(self, count: int) -> None:
        await self._echo(workloads.CHUNKS, count)

    async def _echo(self, value: object, count: int) -> None:
        call = self.root.call
        for _ in range(count):
            if await call("echo", value) != value:
                wrong()

    async def reference(self, count: int) -> None:
        call = self.root.call
        for _ in range(count):
            reference = await call("make")
            if await reference.call("echo", TEXT) != TEXT:
                wrong()
            del reference

    async def callback(self, count: int) -> None:
        call = self.root.call
        for _ in range(count):
            if await call("call_back", self.echo) != TEXT:
                wrong()

    async def connect(self, count: int) -> None:
        for _ in range(count):
            connection = await pellucid.connect(self.url)
            self.more.append(connection)
            if await connection.root.call("echo", TEXT) != TEXT:
                wrong()

    async def again(self, count: int) -> None:
        for _ in range(count):
            for connection in self.more:
                if await connection.root.call("echo", TEXT) != TEXT:
                    wrong()

    async def list_of(self, size: int) -> None:
        await self._echo([7] * size, 1)

    async def string_of(self, size: int) -> None:
        await self._echo(b"x" * size, 1)


async def _serve() -> None:
    async with pellucid.serve(Service(), "pb://127.0.0.1:0") as server:
        print(server.url.rsplit(":", 1)[1], flush=True)
        await server.serve_forever()


async def _client(port: int, driver: Driver) -> None:
    url = f"pb://127.0.0.1:{port}"
    async with pellucid.connect(url) as connection:
        session = Session(url, connection)
        await driver.run_async(session)
        for further in session.more:
            further.close()


def serve() -> None:
    loops.run(_serve())


def client(port: int, driver: Driver) -> None:
    loops.run(_client(port, driver))
