"""pycapnp: its asyncio face on one KJ loop, promises in flight, capabilities as live objects.

The schema is `echo.capnp`. The structure travels as a typed message that is made once; the answer
is compared as a dict, because messages cannot be compared.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import capnp

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

SCHEMA: Any = capnp.load(str(Path(__file__).with_name("echo.capnp")))

PRESENT = {key: item for key, item in STRUCTURE.items() if item is not None}


class Answerer(SCHEMA.Answerer.Server):
    """A live object, on either side."""

    async def answer_context(self, context: Any) -> None:
        context.results.value = context.params.value


class Echo(SCHEMA.Echo.Server):
    """What the server serves."""

    async def text_context(self, context: Any) -> None:
        context.results.value = context.params.value

    structure_context = integers_context = blob_context = text_context

    async def make_context(self, context: Any) -> None:
        context.results.made = Answerer()

    async def ask_context(self, context: Any) -> None:
        context.results.value = (await context.params.target.answer(TEXT)).value


class Session:
    """One connection and its bootstrap capability."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._mine = SCHEMA.Answerer._new_client(Answerer())
        self._typed = SCHEMA.Structure.new_message(**PRESENT)

    async def one(self) -> None:
        if (await self._root.text(TEXT)).value != TEXT:
            wrong()

    async def sequential(self, count: int) -> None:
        echo = self._root.text
        for _ in range(count):
            if (await echo(TEXT)).value != TEXT:
                wrong()

    async def in_flight(self, count: int) -> None:
        echo = self._root.text
        for _ in range(count):
            for promise in [echo(TEXT) for _ in range(IN_FLIGHT)]:
                if (await promise).value != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        echo = self._root.structure
        for _ in range(count):
            if (await echo(self._typed)).value.to_dict() != PRESENT:
                wrong()

    async def integers(self, count: int) -> None:
        echo = self._root.integers
        for _ in range(count):
            if list((await echo(INTEGERS)).value) != INTEGERS:
                wrong()

    async def bytes_(self, count: int) -> None:
        echo = self._root.blob
        for _ in range(count):
            if (await echo(workloads.BLOB)).value != workloads.BLOB:
                wrong()

    async def reference(self, count: int) -> None:
        make = self._root.make
        for _ in range(count):
            made = (await make()).made
            if (await made.answer(TEXT)).value != TEXT:
                wrong()
            del made

    async def callback(self, count: int) -> None:
        ask = self._root.ask
        for _ in range(count):
            if (await ask(self._mine)).value != TEXT:
                wrong()


async def serving() -> None:
    async def accept(stream: Any) -> None:
        await capnp.TwoPartyServer(stream, bootstrap=Echo()).on_disconnect()

    server = await capnp.AsyncIoStream.create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def serve() -> None:
    asyncio.run(capnp.run(serving()))


async def calling(port: int, driver: "Driver") -> None:
    stream = await capnp.AsyncIoStream.create_connection("127.0.0.1", port)
    remote = capnp.TwoPartyClient(stream)
    await driver.run_async(Session(remote.bootstrap().cast_as(SCHEMA.Echo)))


def client(port: int, driver: "Driver") -> None:
    asyncio.run(capnp.run(calling(port, driver)))
