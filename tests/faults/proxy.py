"""A TCP proxy that splits, delays, and cuts after so many bytes. All else it leaves as it is."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pellucid.asyncio.url import parse

_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Way:
    """What happens in one direction: cut after `most` bytes, pieces of `size`, each delayed."""

    most: int | None = None
    size: int = 0
    delay: float = 0.0

    def pieces(self, data: bytes) -> list[bytes]:
        size = self.size or len(data) or 1
        return [data[at : at + size] for at in range(0, len(data), size)]


@dataclass
class Plan:
    """What happens to a connection. With `reset` a cut is a reset, else an orderly end."""

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    reset: bool = False


class Proxy:
    """Stands between clients and a server. `plan` is for the connections that are made from now on.

    `passed` has how many bytes went up and down, over all connections that are through.
    """

    def __init__(self, target: str) -> None:
        address = parse(target)
        self._target = address.host, address.port
        self._loop = asyncio.get_running_loop()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = f"pb://127.0.0.1:{self._listening.getsockname()[1]}"
        self.plan = Plan()
        self.passed = [0, 0]

    async def serve(self) -> None:
        """Take connections until this is cancelled."""
        while True:
            client, _ = await self._loop.sock_accept(self._listening)
            task = self._loop.create_task(self._join(client, self.plan))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until every connection that was taken is through."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        self._listening.close()

    async def _join(self, client: socket.socket, plan: Plan) -> None:
        server = socket.socket()
        with client, server:
            both = client, server
            for sock in both:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(server, self._target)
            ways = [
                self._loop.create_task(self._pump(client, server, plan.up, 0)),
                self._loop.create_task(self._pump(server, client, plan.down, 1)),
            ]
            # The first one that says so cuts both.
            while ways:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                ways = [way for way in ways if way not in done]
                if any(way.result() for way in done):
                    break
            else:
                return
            for way in ways:
                way.cancel()
            if ways:
                await asyncio.wait(ways)
            if plan.reset:
                for sock in both:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                return
            # What is closed with something unread is reset.
            for sock in both:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
            await asyncio.gather(*(self._drop(sock) for sock in both))

    async def _pump(
        self, source: socket.socket, target: socket.socket, way: Way, number: int
    ) -> bool:
        """Pass on what comes. True if the connection is to be cut, or was by somebody else."""
        passed = 0
        try:
            while way.most is None or passed < way.most:
                data = await self._loop.sock_recv(source, 65536)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return False
                for piece in way.pieces(data if way.most is None else data[: way.most - passed]):
                    if way.delay:
                        await asyncio.sleep(way.delay)
                    await self._loop.sock_sendall(target, piece)
                    passed += len(piece)
                    self.passed[number] += len(piece)
                    # Each is read by itself.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        except OSError:
            pass
        return True

    async def _drop(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(sock, 65536):
                pass


@contextlib.asynccontextmanager
async def between(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a server."""
    proxy = Proxy(target)
    serving = asyncio.create_task(proxy.serve())
    try:
        yield proxy
        await proxy.settled()
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        proxy.close()
