"""How the tests meet the Twisted program `peers/twisted_host.py`, in either role."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import pellucid
from pellucid import Connection, RemoteReference
from tests.asyncio.pairs import FREE, left, until
from tests.interop.goods import Ours, registry
from tests.processes import Program, running

HOST = "tests.interop.peers.twisted_host"
ROLES = ["twisted serves", "twisted connects"]


@dataclass(frozen=True)
class Twisted:
    """A Twisted program that runs."""

    program: Program
    ports: dict[str, int]

    def url(self, name: str) -> str:
        return f"pb://127.0.0.1:{self.ports[name]}"

    @asynccontextmanager
    async def control(self) -> AsyncIterator[RemoteReference]:
        """What tells the program what to do, on a connection of its own."""
        async with pellucid.connect(self.url("shop")) as connection:
            yield connection.root


@contextmanager
def twisted_program(*arguments: str) -> Iterator[Twisted]:
    """Start the program, and in the end stop it, if it still runs."""
    # Warnings about Twisted's own ways are Twisted's.
    with running("-m", HOST, *arguments, strict=False) as program:
        yield Twisted(program, json.loads(program.line()))


def complaints(err: str) -> set[str]:
    """The names of the exceptions that a Twisted program reported."""
    found = re.findall(r"^(?:Failure: )?((?:\w+\.)+\w+)(?::|$)", err, re.MULTILINE)
    return {*found, *re.findall(r"Exception ignored.*", err)}


@asynccontextmanager
async def meeting(
    twisted: Twisted, role: str, ours: Ours | None = None
) -> AsyncIterator[tuple[RemoteReference, Ours]]:
    """Give the shop of the Twisted program and what it calls; in the end nothing is left of it."""
    ours = ours or Ours()
    if role == ROLES[0]:
        async with pellucid.connect(twisted.url("shop"), registry=registry) as connection:
            await connection.root.call("meet", ours)
            yield connection.root, ours
            del ours
            await ended(connection)
        return
    async with (
        twisted.control() as control,
        pellucid.serve(ours, FREE, registry=registry) as server,
    ):
        await control.call("open_shop", port_of(server.url))
        shop = await ours.driver
        yield shop, ours
        connection = shop.connection
        del shop, ours.driver
        await ended(connection)


async def ended(connection: Connection) -> None:
    """Close a connection, upon which nothing is charged to it any more."""
    connection.close()
    await connection.wait_closed()
    assert {**left(connection), **charged(connection)} == {}


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def charged(connection: Connection) -> dict[str, int]:
    """What of a connection's objects either side holds."""
    ledger = connection._broker.ledger
    names = ("references_held", "references_exported", "caches_held", "caches_exported")
    return {name: ledger.used(name) for name in names if ledger.used(name)}


async def until_charged(connection: Connection, expected: dict[str, int]) -> None:
    await until(lambda: charged(connection) == expected)


async def cut(program: Program) -> None:
    """Kill a program, and wait for its end."""
    await asyncio.to_thread(program.stop, 9)
