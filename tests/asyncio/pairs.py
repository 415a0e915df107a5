"""Two connections joined by a socket pair, and what else the tests of this face share."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import pytest

import pellucid
from pellucid import Connection, Limits, Registry
from pellucid.asyncio.calls import EAGER_TASKS

PATIENCE = 10.0
FREE = "pb://127.0.0.1:0"

# What a server says first, and what a client of PB and one of ours answer.
OFFER = b"\x03\x80\x08\x82pellucid\x02\x82pb\x04\x82none"
CHOICE = b"\x02\x82pb\x02\x80\x13\x87\x06\x81"
OWN_CHOICE = b"\x08\x82pellucid\x02\x80\x13\x87\x06\x81"

_T = TypeVar("_T")

Reports = list[dict[str, Any]]


class Run(Protocol):
    def __call__(self, main: Coroutine[Any, Any, _T]) -> _T: ...


class Pair(NamedTuple):
    """Both ends of one connection."""

    client: Connection
    server: Connection


class Thing(pellucid.Referenceable):
    """An object that travels by reference."""

    def remote_ping(self) -> str:
        return "pong"


class Echo(pellucid.Root):
    def remote_echo(self, value: object) -> object:
        return value

    def remote_thing(self) -> Thing:
        return Thing()


class Waiting(pellucid.Root):
    """Has a method that waits until it is let go, and tells how it ends."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.ended: list[str] = []

    async def remote_wait(self, value: object = None) -> object:
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return value

    def remote_go(self) -> None:
        self.go.set()

    def remote_echo(self, value: object) -> object:
        return value


class Seeing(pellucid.Root):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def remote_see(self, n: int, *more: object) -> None:
        self.seen.append(n)

    async def remote_see_later(self, n: int, *more: object) -> None:
        self.seen.append(n)
        await asyncio.sleep(0)


async def alone(connection: Connection) -> socket.socket:
    """Give the other end of a connection that talks to a plain socket."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
    return theirs


async def join(client: Connection, server: Connection) -> Pair:
    """Join two connections, and wait until calls can be made."""
    loop = asyncio.get_running_loop()
    for connection, sock in zip((server, client), socket.socketpair(), strict=True):
        await loop.connect_accepted_socket(_giving(connection), sock)
    await client.wait_ready()
    await server.wait_ready()
    return Pair(client, server)


def _giving(connection: Connection) -> Callable[[], Connection]:
    return lambda: connection


async def outside(act: Callable[[], object]) -> None:
    """Call `act` as a transport would be: by the loop, and by no task."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def called() -> None:
        try:
            act()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(called)
    await done


@asynccontextmanager
async def pair(
    root: object = None,
    *,
    eager: bool = EAGER_TASKS,
    limits: Limits | None = None,
    client_limits: Limits | None = None,
    client_root: object = None,
    tracebacks: bool = False,
    registry: Registry | None = None,
) -> AsyncIterator[Pair]:
    """Two connections, which in the end owe and hold nothing."""
    both = await join(
        Connection("client", root=client_root, limits=client_limits, eager=eager),
        Connection(
            "server",
            root=root or Echo(),
            limits=limits,
            eager=eager,
            tracebacks=tracebacks,
            registry=registry,
        ),
    )
    try:
        yield both
    finally:
        for connection in both:
            connection.close()
        for connection in both:
            await connection.finished()
            assert left(connection) == {}


def left(connection: Connection) -> dict[str, int]:
    """What is still charged to a connection."""
    ledger = connection._broker.ledger
    names = ("references_held", "references_exported", "calls_pending", "calls_running")
    names += ("calls_waiting", "waiting_bytes")  # type: ignore[assignment]
    return {name: ledger.used(name) for name in names if ledger.used(name)}


def tables(connection: Connection) -> tuple[int, int]:
    """How many objects the other side holds, and how many of its objects are held."""
    return len(connection._broker.exports), len(connection._broker.imports)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells of: the other end of the wire has to do something."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await turn()


async def turn() -> None:
    """Let the loop go round once, the sockets included."""
    # A loop reads the clock once in an iteration: behind a long one a timer may be due at once.
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)


async def failure(call: "asyncio.Future[Any]") -> BaseException:
    """The error of a call that is to fail."""
    await asyncio.wait([call])
    error = call.exception()
    assert error is not None
    return error


def at_once(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that has nothing to wait for."""
    with pytest.raises(StopIteration):
        coroutine.send(None)
