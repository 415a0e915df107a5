"""The end of a server that lets its calls finish: `drain` and `start_draining`."""

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import pellucid
from pellucid import Connection, ConnectionLost, Limits, Server
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import FREE, Echo, Run, Seeing, Waiting, at_once, failure, until
from tests.asyncio.realms import USERS, Realm, User, portal

# Longer than any test takes.
LONG = 60.0
SHORT = 0.02


class Slow(Waiting):
    """Also calls back while it waits, and gives large results."""

    async def remote_ask(self, back: Any) -> Any:
        self.started.set()
        await self.go.wait()
        return await back.call("ping")

    async def remote_large(self, size: int) -> bytes:
        self.started.set()
        await self.go.wait()
        return b"x" * size

    def remote_future(self) -> "asyncio.Future[int]":
        self.started.set()
        self.future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return self.future


class Ping(pellucid.Referenceable):
    def remote_ping(self) -> str:
        return "pong"


@contextlib.asynccontextmanager
async def busy(
    name: str, *args: object, where: str = FREE
) -> AsyncIterator[tuple[Slow, Server, Connection, "asyncio.Future[Any]"]]:
    """A server with one client, whose call has started."""
    root = Slow()
    server = await pellucid.serve(root, where)
    async with pellucid.connect(server.url) as client:
        call = client.root.call(name, *args)
        await root.started.wait()
        yield root, server, client, call


@contextlib.asynccontextmanager
async def stuck(
    size: int,
) -> AsyncIterator[tuple[Server, asyncio.Transport, list["asyncio.Future[Any]"]]]:
    """A server whose calls are let go, and a client that takes none of their large results."""
    root = Slow()
    server = await pellucid.serve(root, FREE, limits=Limits(close_time=SHORT))
    async with pellucid.connect(server.url) as client:
        # More than the system takes.
        calls = [client.root.call("large", size) for _ in range(50)]
        await until(lambda: server.running == len(calls))
        assert client._transport is not None
        client._transport.pause_reading()
        root.go.set()
        yield server, client._transport, calls


async def refused(url: str) -> None:
    """Nobody listens at an address any more."""
    with pytest.raises(OSError, match=r"(?i)refused|connect|No such file"):
        await pellucid.connect(url)


def test_calls_that_run_finish_and_then_all_is_closed(run: Run) -> None:
    async def main() -> None:
        root = Slow()
        server = await pellucid.serve(root, FREE)
        busy, idle = [await pellucid.connect(server.url) for _ in range(2)]
        reasons: list[BaseException | None] = []
        call = busy.root.call("wait", "the answer")
        await root.started.wait()
        assert server.running == 1
        for each in server.connections:
            each.on_close(reasons.append)
        draining = asyncio.create_task(server.drain(LONG))
        await idle.wait_closed()
        await refused(server.url)
        assert not draining.done()
        assert not busy.closed
        root.go.set()
        assert await call == "the answer"
        await draining
        assert root.ended == ["done"]
        assert (server.connections, server.running) == ((), 0)
        assert repr(server) == f"<Server closed {server.url}>"
        assert reasons == [None, None]
        await busy.wait_closed()

    run(main())


def test_what_waits_for_nothing_is_closed_at_once(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        at_once(server.drain())
        at_once(server.wait_closed())

    run(main())


def test_a_method_that_finishes_can_still_call_back(run: Run) -> None:
    async def main() -> None:
        async with busy("ask", Ping()) as (root, server, _, call):
            server.start_draining(LONG)
            root.go.set()
            assert await call == "pong"
            await server.wait_closed()

    run(main())


def test_a_future_that_a_method_gave_is_waited_for(run: Run) -> None:
    async def main() -> None:
        async with busy("future") as (root, server, _, call):
            server.start_draining(LONG)
            root.future.set_result(5)
            assert await call == 5
            await server.wait_closed()

    run(main())


def test_no_call_starts_any_more(run: Run) -> None:
    async def main() -> None:
        root = Slow()
        # The second one waits for the first to end.
        server = await pellucid.serve(root, FREE, limits=Limits(calls_running=1))
        async with pellucid.connect(server.url) as client:
            first, second = client.root.call("wait", 1), client.root.call("wait", 2)
            await root.started.wait()
            draining = asyncio.create_task(server.drain(LONG))
            await until(lambda: repr(server).startswith("<Server closed"))
            third = client.root.call("echo", 3)
            root.go.set()
            assert await first == 1
            await draining
            assert isinstance(await failure(second), ConnectionLost)
            assert isinstance(await failure(third), ConnectionLost)
            assert root.ended == ["done"]

    run(main())


def test_large_answers_leave_first(run: Run) -> None:
    size = 600_000

    async def main() -> None:
        async with stuck(size) as (server, transport, calls):
            draining = asyncio.create_task(server.drain(LONG))
            await until(lambda: server.running == 0)
            # Longer than closing may take.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(draining), 5 * SHORT)
            assert not draining.done()
            transport.resume_reading()
            assert [len(each) for each in await asyncio.gather(*calls)] == 50 * [size]
            await draining

    run(main())


@pytest.mark.parametrize("seconds", [0, SHORT])
def test_what_takes_too_long_is_cancelled(
    run: Run, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    async def main() -> str:
        async with busy("wait") as (root, server, _, call):
            await server.drain(seconds)
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), ConnectionLost)
        return server.url

    url = run(main())
    text = f"{url}: the time to drain is over, calls that still run are cancelled: 1"
    assert caplog.record_tuples == [("pellucid", logging.WARNING, text)]


def test_a_client_that_takes_nothing_is_cut_off_in_the_end(run: Run) -> None:
    async def main() -> None:
        async with stuck(600_000) as (server, transport, calls):
            await until(lambda: server.running == 0)
            await server.drain(SHORT)
            transport.resume_reading()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(results[-1], ConnectionLost)

    run(main())


def test_the_limit_has_a_default_and_the_earliest_counts(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with busy("wait") as (_, server, _, call):

            def left() -> float:
                assert server._limit is not None
                return server._limit.when() - loop.time()

            server.start_draining(math.inf)
            assert server._limit is None
            server.start_draining()
            assert 15 < left() < 20.1
            server.start_draining(LONG)
            assert 15 < left() < 20.1
            server.start_draining(10)
            # In floats it may be over by the last digit.
            assert 5 < round(left(), 6) <= 10
            await server.drain(SHORT)
            assert isinstance(await failure(call), ConnectionLost)
            assert server._limit is None
            # It is over.
            server.start_draining(LONG)
            assert server._limit is None
            at_once(server.drain())

    run(main())


@pytest.mark.parametrize(
    ("seconds", "error", "text"),
    [
        ("5", TypeError, "the time to drain is a number of seconds, not str"),
        (True, TypeError, "the time to drain is a number of seconds, not bool"),
        (-1, ValueError, "the time to drain can't be below 0: -1"),
        (math.nan, ValueError, "the time to drain can't be below 0: nan"),
    ],
)
def test_a_limit_that_is_none(run: Run, seconds: Any, error: type[Exception], text: str) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            for drain in (server.drain, server.start_draining):
                with pytest.raises(error, match=text):
                    at_once(drain(seconds))  # type: ignore[arg-type]
            assert repr(server) == f"<Server at {server.url}>"

    run(main())


@pytest.mark.parametrize("wait", [Server.wait_closed, Server.drain])
def test_close_ends_it_at_once(run: Run, wait: Callable[[Server], Any]) -> None:
    async def main() -> None:
        async with busy("wait") as (root, server, _, call):
            draining = asyncio.create_task(server.drain(LONG))
            await until(lambda: repr(server).startswith("<Server closed"))
            server.close()
            server.close()
            await wait(server)
            await draining
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), ConnectionLost)

    run(main())


def test_draining_what_is_being_closed_waits_for_it(run: Run) -> None:
    async def main() -> None:
        async with busy("wait") as (_, server, _, call):
            server.close()
            await server.drain(LONG)
            assert server._limit is None
            assert isinstance(await failure(call), ConnectionLost)

    run(main())


def test_whoever_is_cancelled_only_waits_no_more(run: Run) -> None:
    async def main() -> None:
        async with busy("wait", 1) as (root, server, _, call):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.drain(LONG), SHORT)
            root.go.set()
            assert await call == 1
            await server.wait_closed()

    run(main())


def test_a_client_that_goes_away_meanwhile(run: Run) -> None:
    async def main() -> None:
        async with busy("wait", 1) as (root, server, client, call):
            server.start_draining(LONG)
            client.close()
            await server.wait_closed()
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), ConnectionLost)

    run(main())


def test_a_client_that_has_gone_is_not_waited_for(run: Run) -> None:
    async def main() -> None:
        root = Slow()
        # The call that waits keeps the connection.
        server = await pellucid.serve(root, FREE, limits=Limits(calls_running=1))
        client = await pellucid.connect(server.url)
        calls = [client.root.call("wait", 1) for _ in range(2)]
        await root.started.wait()
        (connection,) = server.connections
        client.close()
        await until(lambda: connection._turns.eof)
        assert not connection.closed
        await server.drain(LONG)
        assert root.ended == ["cancelled"]
        for call in calls:
            assert isinstance(await failure(call), ConnectionLost)
        await client.wait_closed()

    run(main())


class Stopping(pellucid.Root):
    server: Server

    async def remote_wait_for_it(self) -> None:
        await self.server.drain()

    async def remote_begin(self) -> str:
        self.server.start_draining(LONG)
        await asyncio.sleep(0)
        return "begun"

    def remote_begin_at_once(self) -> str:
        self.server.start_draining(LONG)
        return "begun"


def test_a_method_cannot_wait_for_its_own_end(run: Run) -> None:
    async def main() -> None:
        root = Stopping()
        root.server = await pellucid.serve(root, FREE)
        async with root.server, pellucid.connect(root.server.url) as client:
            with pytest.raises(pellucid.Error, match="can't wait for the end"):
                await client.root.call("wait_for_it")
            # Nothing was begun.
            assert repr(root.server) == f"<Server at {root.server.url}>"

    run(main())


@pytest.mark.parametrize("name", ["begin", "begin_at_once"])
def test_a_method_can_begin_it(run: Run, name: str) -> None:
    async def main() -> None:
        root = Stopping()
        root.server = await pellucid.serve(root, FREE)
        async with pellucid.connect(root.server.url) as client:
            assert await client.root.call(name) == "begun"
            await root.server.wait_closed()

    run(main())


def test_who_has_not_agreed_a_dialect_is_closed(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        host, _, port = server.url.removeprefix("pb://").partition(":")
        with socket.create_connection((host, int(port))) as silent:
            await until(lambda: len(server.connections) == 1)
            await server.drain(LONG)
            silent.settimeout(1)
            while silent.recv(1000):
                pass

    run(main())


def test_tls_handshakes_are_given_up(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        root = Slow()
        server = await pellucid.serve(root, SECURE, ssl=certificates.server_tls())
        host, _, port = server.url.removeprefix("pbs://").partition(":")
        client = await pellucid.connect(server.url, ssl=certificates.client_tls())
        call = client.root.call("wait", 1)
        await root.started.wait()
        with socket.create_connection((host, int(port))):
            await until(lambda: len(server._handshakes) == 1)
            draining = asyncio.create_task(server.drain(LONG))
            await until(lambda: not server._handshakes)
            root.go.set()
            assert await call == 1
            await draining
        await client.wait_closed()

    run(main())


def test_a_unix_socket_is_removed_at_once(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "socket"
        async with busy("wait", 1, where=f"pb+unix://{path}") as (root, server, _, call):
            server.start_draining(LONG)
            assert not path.exists()
            await refused(server.url)
            root.go.set()
            assert await call == 1
            await server.wait_closed()

    run(main())


class Gate(Realm):
    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        self.asked.set()
        await self.open.wait()
        return await super().request_avatar(avatar_id, mind)


def test_a_login_that_runs_is_finished(run: Run) -> None:
    async def main() -> None:
        realm = Gate()
        server = await pellucid.serve(portal(realm), FREE)
        async with pellucid.connect(server.url) as client:
            login = asyncio.create_task(client.login("alice", USERS["alice"]))
            await realm.asked.wait()
            draining = asyncio.create_task(server.drain(LONG))
            await until(lambda: repr(server).startswith("<Server closed"))
            realm.open.set()
            perspective = await login
            await draining
            assert realm.came == realm.left == ["alice"]
            assert await failure(perspective.call("whoami")) is not None

    run(main())


def test_it_takes_no_task_and_leaves_none(run: Run) -> None:
    async def main() -> None:
        root = Seeing()
        server = await pellucid.serve(root, FREE)
        clients = [await pellucid.connect(server.url) for _ in range(5)]
        before = asyncio.all_tasks()
        server.start_draining(LONG)
        assert asyncio.all_tasks() == before
        await server.wait_closed()
        for client in clients:
            await client.wait_closed()

    run(main())


def test_serve_forever_ends_with_it(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        await server.drain()
        await serving
        with pytest.raises(OSError, match=r"(?i)refused|connect"):
            await pellucid.connect(server.url)

    run(main())
