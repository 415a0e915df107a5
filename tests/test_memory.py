"""What idle connections, references and waiting calls cost in memory, as `tracemalloc` counts it.

The bounds are a quarter above what was measured with CPython 3.11, uncompiled and compiled.
"""

import asyncio
import gc
import socket
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pellucid
from pellucid import references
from pellucid.asyncio.connection import Connection
from pellucid.broker import Broker
from pellucid.events import CallCompleted, CallReceived
from pellucid.limits import Limits
from pellucid.registry import Registry

COUNT = 200

# Bytes each.
# From Python 3.12 on a transport of asyncio has a deque.
IDLE = 4100 if sys.version_info < (3, 12) else 5300
EXPORTED = 260
HELD = 300
HELD_AND_EXPORTED = 560
PENDING = 240
RUNNING = 3050
WAITING = 340

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.gettrace() is not None,
    reason="other allocators, and what watches the tests, count differently",
)


class Thing(pellucid.Referenceable):
    pass


class Root(pellucid.Root):
    def __init__(self) -> None:
        self.things = [Thing() for _ in range(COUNT)]
        self.kept: list[object] = []

    def remote_echo(self, value: object) -> object:
        return value

    def remote_things(self) -> list[Thing]:
        return self.things

    async def remote_wait(self) -> None:
        await asyncio.get_running_loop().create_future()


class Meter:
    """How many bytes each of `COUNT` took."""

    def __init__(self) -> None:
        self.each = 0.0


@contextmanager
def metered() -> Iterator[Meter]:
    meter = Meter()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield meter
        gc.collect()
        meter.each = (tracemalloc.get_traced_memory()[0] - before) / COUNT
    finally:
        tracemalloc.stop()


def said(write: Callable[[Broker], object]) -> bytes:
    """What a client says first, and then by what `write` does with it."""
    client = Broker("client")
    client.receive_data(Broker("server", root=Root()).data_to_send())
    assert client.next_event() is not None
    write(client)
    return client.data_to_send()


def calls(name: str, count: int, *args: object) -> Callable[[Broker], object]:
    def write(broker: Broker) -> None:
        for _ in range(count):
            broker.call(object(), broker.root, name, args)  # type: ignore[arg-type]

    return write


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def served(
    sockets: list[tuple[socket.socket, socket.socket]], text: bytes, **options: Any
) -> list[Connection]:
    """Connections to clients that have said `text`, and got an answer."""
    loop = asyncio.get_running_loop()
    found = []
    for ours, theirs in sockets:
        _, made = await loop.connect_accepted_socket(
            lambda: Connection("server", faults=object(), **options), ours
        )
        theirs.sendall(text)
        found.append(made)
        await until(lambda made=made: made._broker.ready)  # type: ignore[misc]
        for _ in range(3):
            await asyncio.sleep(0)
        assert theirs.recv(4096)
    return found


def end(sockets: list[tuple[socket.socket, socket.socket]], found: list[Connection]) -> None:
    for connection in found:
        connection.abort()
    for _, theirs in sockets:
        theirs.close()


def joined(root: Root) -> tuple[Broker, Broker]:
    """The client and the server of one connection, ready."""
    client, server = Broker("client"), Broker("server", root=root)
    for _ in range(3):
        client.receive_data(server.data_to_send())
        list(client.events())
        server.receive_data(client.data_to_send())
        list(server.events())
    assert (client.ready, server.ready) == (True, True)
    return client, server


def test_an_idle_connection_at_the_server() -> None:
    text = said(calls("echo", 1, "hello"))
    options = {"root": Root(), "limits": Limits(), "registry": Registry()}

    async def main() -> float:
        sockets = [socket.socketpair() for _ in range(COUNT + 5)]
        for ours, theirs in sockets:
            ours.setblocking(False)
            theirs.setblocking(False)
        # What all share is made.
        first = await served(sockets[:5], text, **options)
        with metered() as meter:
            found = await served(sockets[5:], text, **options)
        end(sockets, first + found)
        await asyncio.sleep(0)
        return meter.each

    each = asyncio.run(main())
    assert each < IDLE


def test_references() -> None:
    client, server = joined(Root())
    client.call("all", client.root, "things")  # type: ignore[arg-type]
    server.receive_data(client.data_to_send())
    call = server.next_event()
    assert isinstance(call, CallReceived)
    things = call.target.remote_things()
    with metered() as owner:
        server.answer(call, things)
        data = server.data_to_send()
        size = len(data)
    owner.each -= size / COUNT
    client.receive_data(data)
    del data
    with metered() as holder:
        event = client.next_event()
        assert isinstance(event, CallCompleted)
        held: list[references.RemoteReference] = event.value
    assert len(held) == COUNT == len(client.imports)
    assert owner.each < EXPORTED
    assert holder.each < HELD


def test_a_reference_of_the_asyncio_face() -> None:
    async def main() -> float:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        server = Connection("server", root=Root())
        client = Connection("client")
        await loop.connect_accepted_socket(lambda: server, ours)
        await loop.connect_accepted_socket(lambda: client, theirs)
        await client.wait_ready()
        await client.root.call("echo", 1)
        with metered() as meter:
            held = await client.root.call("things")
        assert len(held) == COUNT
        server.abort()
        client.abort()
        await asyncio.sleep(0)
        return meter.each

    each = asyncio.run(main())
    assert each < HELD_AND_EXPORTED


def test_a_call_that_waits_for_its_answer() -> None:
    async def main() -> float:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        client = Connection("client")
        await asyncio.get_running_loop().connect_accepted_socket(lambda: client, ours)
        theirs.sendall(Broker("server", root=Root()).data_to_send())
        await client.wait_ready()
        waiting: list[Any] = [client.root.call("echo", 1)]
        await asyncio.sleep(0)
        waiting.clear()
        waiting.extend([None] * COUNT)
        with metered() as meter:
            for n in range(COUNT):
                waiting[n] = client.root.call("echo", 1)
            await asyncio.sleep(0)
        assert len(client._broker.pending) == COUNT + 1
        client.abort()
        theirs.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        return meter.each

    each = asyncio.run(main())
    assert each < PENDING


@pytest.mark.parametrize("running", [True, False])
def test_a_call_of_the_other_side_that_runs_or_waits(running: bool) -> None:
    async def main() -> float:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        limits = Limits(calls_running=COUNT + 1 if running else 1)
        server = Connection("server", root=Root(), limits=limits)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: server, ours)
        client = Broker("client")
        client.receive_data(theirs.recv(4096))
        assert client.next_event() is not None
        calls("wait", 1)(client)
        theirs.sendall(client.data_to_send())
        await until(lambda: server._broker.ledger.calls_running == 1)
        calls("wait", COUNT)(client)
        data = client.data_to_send()
        ledger = server._broker.ledger
        with metered() as meter:
            theirs.sendall(data)
            account = "calls_running" if running else "calls_waiting"
            await until(lambda: ledger.used(account) >= COUNT)
            for _ in range(5):
                await asyncio.sleep(0)
        server.abort()
        theirs.close()
        await server.wait_closed()
        return meter.each

    each = asyncio.run(main())
    assert each < (RUNNING if running else WAITING)
