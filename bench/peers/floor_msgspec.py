"""A floor: what a careful hand-written RPC reaches, with asyncio and msgspec's MessagePack.

A message is its length in four bytes, and [number, method, arguments] or [number, result]. There
are methods, and nothing else: no references, no errors but an end, no limits but a length.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from bench.driver import Driver
from bench.peers import loops, sessions

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_LONGEST = 64 * 1024 * 1024


class _Framed(asyncio.BufferedProtocol):
    """Takes messages apart, and sends what one turn of the loop says in few writes."""

    # One for all connections. One that has a part of a message has a buffer of its own.
    _shared = memoryview(bytearray(262_144))

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._buffer = self._shared
        self._have = 0
        self._corked = False
        self._waiting: list[bytes] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[self._have :]

    def buffer_updated(self, nbytes: int) -> None:
        have = self._have + nbytes
        start, size = 0, 0
        view = self._buffer
        while have - start >= 4:
            size = int.from_bytes(view[start : start + 4], "big")
            if size > _LONGEST:
                self._transport.abort()
                return
            if have - start - 4 < size:
                break
            self.take(_decode(view[start + 4 : start + 4 + size]))
            start += 4 + size
            size = 0
        self._have = left = have - start
        if not left:
            self._buffer = self._shared
        elif start or size + 4 > len(view) or view is self._shared:
            self._buffer = memoryview(bytearray(max(size + 4, 65_536)))
            self._buffer[:left] = view[start:have]

    def send(self, message: Any) -> None:
        """Send at once what is the first of a turn, and what follows it together."""
        data = _encode(message)
        data = len(data).to_bytes(4, "big") + data
        if self._corked:
            self._waiting.append(data)
            if len(self._waiting) >= 64:
                self._flush()
        else:
            self._corked = True
            self._transport.write(data)
            self._loop.call_soon(self._uncork)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()

    def _uncork(self) -> None:
        self._corked = False
        if self._waiting:
            self._flush()

    def take(self, message: Any) -> None:
        raise NotImplementedError


class _Answering(_Framed):
    methods: ClassVar[dict[str, Callable[..., Any]]] = {"echo": lambda value: value}

    def take(self, message: Any) -> None:
        number, method, arguments = message
        self.send((number, self.methods[method](*arguments)))


class _Asking(_Framed):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._number = 0
        self._futures: dict[int, asyncio.Future[Any]] = {}

    def call(self, method: str, *arguments: Any) -> "asyncio.Future[Any]":
        """Call a method, and give the future of its result."""
        self._number = number = self._number + 1
        self._futures[number] = future = self._loop.create_future()
        self.send((number, method, arguments))
        return future

    def take(self, message: Any) -> None:
        number, result = message
        future = self._futures.pop(number)
        if not future.done():
            future.set_result(result)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._futures.values():
            future.cancel()


async def _connect(port: int) -> _Asking:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(_Asking, "127.0.0.1", port)
    return protocol


class Session(sessions.Crowd):
    """One connection, and further ones."""

    def __init__(self, port: int, protocol: _Asking) -> None:
        super().__init__(protocol.call)
        self._port = port

    async def another(self) -> sessions.Call:
        return (await _connect(self._port)).call


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _client(port: int, driver: Driver) -> None:
    await driver.run_async(Session(port, await _connect(port)))


def serve() -> None:
    loops.run(_serve())


def client(port: int, driver: Driver) -> None:
    loops.run(_client(port, driver))
