"""Pellucid: the asyncio face, on asyncio's loop or on uvloop."""

import asyncio

import pellucid
from bench.driver import Driver
from bench.peers import loops, sessions
from bench.workloads import TEXT


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


class Session(sessions.PB):
    """One connection, and further ones."""

    verb = "call"

    def __init__(self, url: str, connection: pellucid.Connection) -> None:
        super().__init__(connection.root, Echo())
        self._url = url
        self._opened: list[pellucid.Connection] = []

    async def another(self) -> sessions.Call:
        connection = await pellucid.connect(self._url)
        self._opened.append(connection)
        return connection.root.call

    def close(self) -> None:
        for connection in self._opened:
            connection.close()


async def _serve() -> None:
    async with pellucid.serve(Service(), "pb://127.0.0.1:0") as server:
        print(server.url.rsplit(":", 1)[1], flush=True)
        await server.serve_forever()


async def _client(port: int, driver: Driver) -> None:
    url = f"pb://127.0.0.1:{port}"
    async with pellucid.connect(url) as connection:
        session = Session(url, connection)
        await driver.run_async(session)
        session.close()


def serve() -> None:
    loops.run(_serve())


def client(port: int, driver: Driver) -> None:
    loops.run(_client(port, driver))
