"""A floor: a bare asyncio.BufferedProtocol on either side. What is sent is encoded already.

The server sends back whatever comes, as it comes.
"""

import asyncio
import socket
from typing import Any

from bench import workloads
from bench.driver import Driver
from bench.peers import frames, loops
from bench.workloads import IN_FLIGHT, wrong


class _Answering(asyncio.BufferedProtocol):
    # One for all connections: what is in it is used before the next one reads.
    _buffer = memoryview(bytearray(262_144))

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._transport.write(bytes(self._buffer[:nbytes]))


class _Asking(asyncio.BufferedProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._have = 0

    def ask(self, data: bytes, buffer: bytearray) -> "asyncio.Future[None]":
        """Send, and wait until as much has come back. It is in the buffer then."""
        self._have, self._wanted = 0, len(data)
        self._view = memoryview(buffer)
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._transport.write(data)
        return self._waiter

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._have :] if self._have else self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._have += nbytes
        if self._have == self._wanted:
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


async def _connect(port: int) -> _Asking:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(_Asking, "127.0.0.1", port)
    return protocol


class Session:
    """Does the workloads that have no objects in them."""

    def __init__(self, port: int, protocol: _Asking) -> None:
        self.port = port
        self.protocol = protocol
        self.more: list[_Asking] = []

    async def one(self) -> None:
        await _echo(self.protocol, frames.TEXT, 1)

    async def sequential(self, count: int) -> None:
        await _echo(self.protocol, frames.TEXT, count)

    async def in_flight(self, count: int) -> None:
        await _echo(self.protocol, frames.TEXT * IN_FLIGHT, count)

    async def structure(self, count: int) -> None:
        await _echo(self.protocol, frames.STRUCTURE, count)

    async def integers(self, count: int) -> None:
        await _echo(self.protocol, frames.INTEGERS, count)

    async def bytes_(self, count: int) -> None:
        await _echo(self.protocol, frames.frame(workloads.BLOB), count)

    async def connect(self, count: int) -> None:
        for _ in range(count):
            protocol = await _connect(self.port)
            self.more.append(protocol)
            await _echo(protocol, frames.TEXT, 1)

    async def again(self, count: int) -> None:
        for _ in range(count):
            for protocol in self.more:
                await _echo(protocol, frames.TEXT, 1)

    async def at_once(self, count: int) -> None:
        data = frames.TEXT
        for _ in range(count):
            buffers = [bytearray(len(data) + 1) for _ in self.more]
            asked = [each.ask(data, room) for each, room in zip(self.more, buffers, strict=True)]
            for answer in asked:
                await answer
            if not all(buffer.startswith(data) for buffer in buffers):
                wrong()


async def _echo(protocol: _Asking, data: bytes, count: int) -> None:
    # A buffer that is filled makes uvloop read once more, and an empty one is an error there.
    buffer = bytearray(len(data) + 1)
    for _ in range(count):
        await protocol.ask(data, buffer)
        if not buffer.startswith(data):
            wrong()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    (sock,) = server.sockets
    assert sock.family == socket.AF_INET
    print(sock.getsockname()[1], flush=True)
    await server.serve_forever()


async def _client(port: int, driver: Driver) -> None:
    await driver.run_async(Session(port, await _connect(port)))


def serve() -> None:
    loops.run(_serve())


def client(port: int, driver: Driver) -> None:
    loops.run(_client(port, driver))
