"""Clients that connect again: `connect(url, reconnect=True)`."""

import asyncio
import contextvars
import itertools
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, assert_type

import pytest

import pellucid
from pellucid import (
    Backoff,
    Connection,
    ConnectionLost,
    DeadReferenceError,
    Limits,
    LocalProtocolError,
    LoginFailed,
    Reconnecting,
    Root,
    Server,
)
from pellucid.asyncio import reconnecting as module
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import FREE, Echo, Reports, Run, Waiting, failure, turn, until
from tests.asyncio.realms import USERS, Realm, portal

# Waits that a test does not feel.
QUICK = Backoff(first=0.001, most=0.002)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait is as long as it may be."""
    monkeypatch.setattr(random, "random", lambda: 1.0)


@pytest.fixture(autouse=True)
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "pellucid")
    return caplog


def opening(url: str, **options: Any) -> pellucid.connect[Reconnecting]:
    options.setdefault("reconnect", QUICK)
    return pellucid.connect(url, **options)


def free_port() -> tuple[str, socket.socket]:
    """The URL of a port that nobody listens on while the socket is open."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return f"pb://127.0.0.1:{bound.getsockname()[1]}", bound


async def again(server: Server, root: Any = None, **options: Any) -> Server:
    """Another server at the address of one that was closed."""
    server.close()
    await server.wait_closed()
    return await pellucid.serve(root or Echo(), server.url, **options)


async def cut(server: Server, client: Reconnecting | None = None) -> None:
    """Cut all connections of a server, as a network would. The client has noticed it then."""
    noticing = None if client is None else client.connection
    # There may be new ones at once.
    old = server.connections
    for connection in old:
        if connection._transport is not None:
            connection._transport.abort()
    for connection in old:
        await connection.wait_closed()
    if noticing is not None:
        await noticing.wait_closed()


def test_it_connects_again_to_a_server_that_was_away(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        async with opening(server.url) as client:
            assert isinstance(client, Reconnecting)
            first = await client.ready()
            assert client.connection is first is await client.ready()
            assert repr(client) == f"<Reconnecting open {server.url}>"
            assert client.peer == server.url
            old = await first.root.call("thing")
            server = await again(server)
            second = await client.ready()
            assert second is not first
            assert await second.root.call("echo", 1) == 1
            # What came over the first one stays dead.
            assert isinstance(await failure(old.call("ping")), DeadReferenceError)
            assert isinstance(await failure(first.root.call("echo", 1)), DeadReferenceError)
        assert repr(client) == f"<Reconnecting closed {server.url}>"
        assert client.error is None
        assert second.closed
        server.close()
        await server.wait_closed()

    run(main())


def test_nothing_is_sent_a_second_time(run: Run) -> None:
    async def main() -> None:
        root = Waiting()
        async with pellucid.serve(root, FREE) as server, opening(server.url) as client:
            call = (await client.ready()).root.call("wait")
            await root.started.wait()
            root.started.clear()
            await cut(server, client)
            assert isinstance(await failure(call), ConnectionLost)
            assert await (await client.ready()).root.call("echo", 2) == 2
            assert not root.started.is_set()
            assert root.ended == ["cancelled"]

    run(main())


def test_the_first_connection_is_waited_for_too(run: Run) -> None:
    async def main() -> None:
        url, bound = free_port()
        connecting = asyncio.create_task(_whole(opening(url)))
        await turn()
        assert not connecting.done()
        bound.close()
        async with pellucid.serve(Echo(), url):
            client = await connecting
            assert not client.closed
            client.close()
            client.close()
            await client.wait_closed()

    run(main())


async def _whole(opening: pellucid.connect[Reconnecting]) -> Reconnecting:
    return await opening


def test_without_it_there_is_a_connection(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            async with pellucid.connect(server.url, reconnect=False) as connection:
                assert_type(connection, Connection)
                assert type(connection) is Connection
            async with pellucid.connect(server.url, reconnect=True) as client:
                assert_type(client, Reconnecting)
                assert_type(await client.ready(), Connection)
                assert client._backoff == Backoff()

    run(main())


def test_under_tls_and_over_a_unix_socket(
    run: Run, certificates: Certificates, tmp_path: Path
) -> None:
    async def main() -> None:
        for url in (SECURE, f"pb+unix://{tmp_path}/socket"):
            ours, theirs = certificates.client_tls(), certificates.server_tls()
            serving: dict[str, Any] = {"ssl": theirs} if url == SECURE else {}
            connecting: dict[str, Any] = {"ssl": ours} if url == SECURE else {}
            server = await pellucid.serve(Echo(), url, **serving)
            async with opening(server.url, **connecting) as client:
                await client.ready()
                server = await again(server, **serving)
                assert await (await client.ready()).root.call("echo", 1) == 1
            server.close()
            await server.wait_closed()

    run(main())


# Waiting for the next connection.


def test_many_wait_for_the_next_one(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        async with opening(server.url) as client:
            connection = await client.ready()
            server.close()
            await server.wait_closed()
            await connection.wait_closed()
            assert client.connection is None
            assert repr(client) == f"<Reconnecting connecting {server.url}>"
            waiting = [asyncio.create_task(client.ready()) for _ in range(3)]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ready(), 0.01)
            async with pellucid.serve(Echo(), server.url):
                found = await asyncio.gather(*waiting)
                assert len({*found}) == 1
                assert client._waiters == set()

    run(main())


def test_what_is_being_closed_is_not_given(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server, opening(server.url) as client:
            first = await client.ready()
            first.close()
            assert client.connection is None
            second = await client.ready()
            assert second is not first

    run(main())


def test_a_connection_that_was_lost_meanwhile_is_not_given(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server, opening(server.url) as client:
            first = await client.ready()
            missed: list[Connection] = []
            wake = client._wake

            def too_late() -> None:
                client._wake = wake  # type: ignore[method-assign]
                wake()
                assert client.connection is not None
                missed.append(client.connection)
                client.connection.abort()

            # Between the news and who hears them.
            client._wake = too_late  # type: ignore[method-assign]
            await cut(server, client)
            await first.wait_closed()
            assert await client.ready() not in missed
            assert len(missed) == 1

    run(main())


# on_connect


def test_on_connect_runs_before_the_connection_is_given(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        avatars: list[Any] = []
        variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
        variable.set(5)

        async def log_in(connection: Connection) -> None:
            assert variable.get() == 5
            avatars.append(await connection.login("alice", USERS["alice"]))

        server = await pellucid.serve(portal(realm), FREE)
        async with server, opening(server.url, on_connect=log_in) as client:
            await client.ready()
            await cut(server, client)
            await client.ready()
            assert len(avatars) == 2
            assert await avatars[1].call("whoami") == "alice"
            assert isinstance(await failure(avatars[0].call("whoami")), DeadReferenceError)

    run(main())


def test_on_connect_may_be_plain(run: Run) -> None:
    async def main() -> None:
        seen: list[Connection] = []
        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, on_connect=seen.append) as client,
        ):
            assert seen == [await client.ready()]

    run(main())


class Unwilling(Root):
    """Has what clients ask for from the `after`th time on."""

    def __init__(self, after: int) -> None:
        self.asked = 0
        self.after = after

    def remote_ask(self) -> int:
        self.asked += 1
        if self.asked < self.after:
            raise pellucid.Error("not yet\nreally")
        return self.asked


async def ask(connection: Connection) -> None:
    await connection.root.call("ask")


def test_on_connect_that_fails_is_tried_again(run: Run, lines: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        root = Unwilling(3)
        async with pellucid.serve(root, FREE) as server, opening(server.url, on_connect=ask):
            assert root.asked == 3
            await until(lambda: len(server.connections) == 1)
            return server.url

    url = run(main())
    assert lines.messages == [
        f"{url}: on_connect failed: 'Error: not yet\\nreally'; trying again in 0.0 s",
        f"{url}: on_connect failed: 'Error: not yet\\nreally'; trying again in 0.0 s",
        f"{url}: connected",
    ]


def test_a_mistake_in_on_connect_is_raised_the_first_time(run: Run) -> None:
    async def main() -> None:
        def wrong(connection: Connection) -> None:
            raise KeyError("mine")

        async with pellucid.serve(Echo(), FREE) as server:
            with pytest.raises(KeyError, match="mine"):
                await opening(server.url, on_connect=wrong)
            await until(lambda: not server.connections)

    run(main())


def test_later_a_mistake_is_logged_and_tried_again(
    run: Run, lines: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tries = 0

        async def sometimes_wrong(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                raise KeyError("mine")

        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, on_connect=sometimes_wrong) as client,
        ):
            await cut(server, client)
            await until(lambda: tries > 2 and client.connection is not None)

    run(main())
    (line,) = [line for line in lines.messages if "on_connect failed: KeyError: 'mine';" in line]
    assert "in sometimes_wrong\n" in line


def test_on_connect_may_cancel_itself(run: Run, lines: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tries = itertools.count()

        async def cancelled(connection: Connection) -> None:
            if next(tries) == 0:
                raise asyncio.CancelledError

        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, on_connect=cancelled),
        ):
            assert next(tries) == 2

    run(main())
    assert "on_connect was cancelled; trying again" in lines.text


@pytest.mark.parametrize("first", [True, False])
def test_a_refused_login_is_final(run: Run, lines: pytest.LogCaptureFixture, first: bool) -> None:
    async def main() -> None:
        passwords = iter([] if first else [USERS["alice"]])
        tries = 0

        async def log_in(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            await connection.login("alice", next(passwords, "wrong horse"))

        async with pellucid.serve(portal(), FREE) as server:
            if first:
                with pytest.raises(LoginFailed):
                    await opening(server.url, on_connect=log_in)
            else:
                client = await opening(server.url, on_connect=log_in)
                assert client.error is None
                await cut(server, client)
                for _ in range(2):
                    with pytest.raises(LoginFailed) as caught:
                        await client.ready()
                    assert caught.value is client.error
                await client.wait_closed()
                assert client.closed
                assert client.connection is None
                client.close()
            assert tries == 2 - first
            await until(lambda: not server.connections)

    run(main())
    assert ("no further connection is made: LoginFailed" in lines.text) is not first


def test_the_connection_goes_while_on_connect_runs(
    run: Run, lines: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        ended: list[str] = []
        began = asyncio.Event()

        async def patient(connection: Connection) -> None:
            if ended:
                return
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        async with pellucid.serve(Echo(), FREE) as server:
            connecting = asyncio.create_task(_whole(opening(server.url, on_connect=patient)))
            await began.wait()
            await cut(server)
            async with await connecting:
                assert ended == ["cancelled"]

    run(main())
    assert "the connection was lost before on_connect had ended: " in lines.text


def test_on_connect_that_ignores_that_its_connection_goes(
    run: Run, lines: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tries = 0

        async def stubborn(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                connection.close()
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        async with pellucid.serve(Echo(), FREE) as server, opening(server.url, on_connect=stubborn):
            assert tries == 2

    run(main())
    text = "the connection was lost before on_connect had ended: closed by this side; trying"
    assert text in lines.text


@pytest.mark.parametrize("closes", [False, True])
def test_on_connect_that_ignores_its_cancellation(
    run: Run, lines: pytest.LogCaptureFixture, closes: bool
) -> None:
    async def main() -> None:
        tries = 0
        go = asyncio.Event()

        async def endless(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            while tries == 2 and not go.is_set():
                with suppress(asyncio.CancelledError):
                    await go.wait()

        limits = Limits(close_time=0.02)
        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, on_connect=endless, limits=limits) as client,
        ):
            await cut(server, client)
            await until(lambda: tries == 2)
            if closes:
                client.close()
                await client.wait_closed()
            else:
                await cut(server, client)
                await client.ready()
                assert tries == 3
            go.set()
            await turn()

    run(main())
    assert "on_connect ignores that its connection has ended" in lines.text


def test_on_connect_cannot_wait_for_itself(run: Run) -> None:
    async def main() -> None:
        found: list[str] = []
        clients: list[Reconnecting] = []

        async def waits(connection: Connection) -> None:
            if not clients:
                return
            for wait in (clients[0].ready, clients[0].wait_closed):
                with pytest.raises(LocalProtocolError) as caught:
                    await wait()
                found.append(str(caught.value))

        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, on_connect=waits) as client,
        ):
            clients.append(client)
            await cut(server, client)
            await client.ready()
        assert found == [
            "on_connect can't wait for the connection that it sets up",
            "on_connect can't wait for the end of its own client",
        ]

    run(main())


def test_on_connect_may_close_the_client(run: Run) -> None:
    async def main() -> None:
        clients: list[Reconnecting] = []

        async def closes(connection: Connection) -> None:
            for client in clients:
                client.close()
                await asyncio.Event().wait()

        async with pellucid.serve(Echo(), FREE) as server:
            client = await opening(server.url, on_connect=closes)
            clients.append(client)
            await cut(server, client)
            with pytest.raises(DeadReferenceError, match="this client is closed"):
                await client.ready()
            await client.wait_closed()

    run(main())


def test_one_that_ends_the_program(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def leaves(connection: Connection) -> None:
        raise SystemExit(3)

    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            await opening(server.url, on_connect=leaves)

    with pytest.raises(SystemExit), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_another_thread_is_told_so(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server, opening(server.url) as client:
            for act in (client.close, lambda: asyncio.run(_ready(client))):
                with pytest.raises(RuntimeError, match="from another thread"):
                    await asyncio.to_thread(act)
            await client.ready()

    run(main())


async def _ready(client: Reconnecting) -> None:
    await client.ready()


# What trying again would not mend.


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"reconnect": 5},
            TypeError,
            "reconnect= takes True, False or a pellucid.Backoff, not int",
        ),
        ({"reconnect": None}, TypeError, "not NoneType"),
        ({"reconnect": True, "on_connect": 5}, TypeError, "on_connect takes a function, not int"),
        ({"reconnect": False, "on_connect": print}, TypeError, "on_connect= is for reconnect=True"),
        ({"on_connect": print}, TypeError, "on_connect= is for reconnect=True"),
        ({"reconnect": True, "limits": 1}, TypeError, "limits= takes a pellucid.Limits"),
    ],
)
def test_wrong_options(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        pellucid.connect("pb://localhost", **options)


def test_what_is_wrong_with_the_call_is_raised_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise ValueError("the name is no name")

    async def main() -> None:
        opener = opening("pb://127.0.0.1:1")
        monkeypatch.setattr(opener, "_open_one", fails)
        with pytest.raises(ValueError, match="the name is no name"):
            await opener

    run(main())


def test_a_certificate_that_is_refused_is_final_the_first_time_only(
    run: Run, certificates: Certificates
) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls())
        with pytest.raises(ConnectionLost, match="certificate"):
            await opening(server.url)
        async with opening(server.url, ssl=certificates.client_tls()) as client:
            await client.ready()
            client._open_one = opening(server.url)._open_one  # It trusts nobody any more.
            await cut(server, client)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ready(), 0.05)
            assert not client.closed
        server.close()
        await server.wait_closed()

    run(main())


def test_what_is_not_pb_is_tried_again(run: Run, lines: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        connecting = asyncio.create_task(_whole(opening(f"pb://127.0.0.1:{port}")))
        await until(lambda: lines.text.count("trying again") >= 2)
        other.close()
        await other.wait_closed()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    run(main())
    assert "can't connect: ConnectionLost: no PB connection to" in lines.text


# Closing and cancelling at every moment.


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"pb://127.0.0.1:{listening.getsockname()[1]}"


def test_cancelling_while_it_opens(run: Run) -> None:
    async def main() -> None:
        async with silent() as url:
            connecting = asyncio.create_task(_whole(opening(url)))
            for _ in range(20):
                await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting

    run(main())


@pytest.mark.parametrize("moment", range(0, 40, 3))
def test_cancelling_at_any_moment_leaves_nothing(run: Run, moment: int) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:

            async def on_connect(connection: Connection) -> None:
                await connection.root.call("echo", 1)

            connecting = asyncio.create_task(_whole(opening(server.url, on_connect=on_connect)))
            for _ in range(moment):
                await asyncio.sleep(0)
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                client = await connecting
                client.close()
                await client.wait_closed()
            await until(lambda: not server.connections)

    run(main())


@pytest.mark.parametrize("moment", range(0, 40, 3))
def test_closing_at_any_moment_leaves_nothing(run: Run, moment: int) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:

            async def on_connect(connection: Connection) -> None:
                await connection.root.call("echo", 1)

            client = await opening(server.url, on_connect=on_connect)
            for connection in server.connections:
                connection.abort()
            for _ in range(moment):
                await asyncio.sleep(0)
            client.close()
            await client.wait_closed()
            await until(lambda: not server.connections)

    run(main())


def test_closing_while_it_waits(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        client = await opening(server.url, reconnect=Backoff(first=60, most=60))
        connection = await client.ready()
        server.close()
        await connection.wait_closed()
        await until(lambda: client.connection is None)
        waiting = asyncio.create_task(client.ready())
        await turn()
        client.close()
        with pytest.raises(DeadReferenceError, match="this client is closed"):
            await waiting
        await client.wait_closed()
        await server.wait_closed()

    run(main())


def test_closing_while_it_opens(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        client = await opening(server.url)
        async with silent() as url:
            client._open_one = opening(url)._open_one
            await cut(server, client)
            await turn()
            async with client:
                pass
        server.close()
        await server.wait_closed()

    run(main())


def test_the_end_of_the_loop_ends_it(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    clients: list[Reconnecting] = []

    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        clients.append(await opening(server.url))
        server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert clients[0]._task.done()


def test_a_method_closes_the_client_and_is_answered(run: Run) -> None:
    class Mind(pellucid.Referenceable):
        client: Reconnecting

        async def remote_stop(self) -> str:
            with pytest.raises(LocalProtocolError):
                await self.client.wait_closed()
            self.client.close()
            return "stopped"

    class Asking(Root):
        async def remote_take(self, mind: Any) -> None:
            self.mind = mind

    async def main() -> None:
        root, mind = Asking(), Mind()

        async def give(connection: Connection) -> None:
            await connection.root.call("take", mind)

        async with pellucid.serve(root, FREE) as server:
            mind.client = await opening(server.url, on_connect=give)
            assert await root.mind.call("stop") == "stopped"
            await mind.client.wait_closed()
            assert mind.client.closed

    run(main())


def test_the_end_waits_for_methods_of_connections_that_were_lost(run: Run) -> None:
    class Mind(pellucid.Referenceable):
        def __init__(self) -> None:
            self.started, self.go = asyncio.Event(), asyncio.Event()

        async def remote_work(self) -> None:
            self.started.set()
            while not self.go.is_set():
                with suppress(asyncio.CancelledError):
                    await self.go.wait()

    class Asking(Root):
        def remote_take(self, mind: Any) -> None:
            mind.notify("work")

    async def main() -> None:
        mind = Mind()
        async with pellucid.serve(Asking(), FREE) as server:
            client = await opening(server.url)
            first = await client.ready()
            await first.root.call("take", mind)
            await mind.started.wait()
            await cut(server)
            await until(lambda: first.closed)
            # A new one does not wait for it.
            await client.ready()
            client.close()
            ending = asyncio.create_task(client.wait_closed())
            await until(lambda: len(client._connections) == 1)
            assert not ending.done()
            mind.go.set()
            await ending

    run(main())


def test_a_connection_that_is_over_before_it_is_kept(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            client = await opening(server.url)
            real = client._open_one

            async def over() -> Connection:
                client._open_one = real
                connection = await real()
                connection.abort()
                await connection.wait_closed()
                return connection

            client._open_one = over
            await cut(server, client)
            await until(lambda: client._open_one is real)
            await client.ready()
            async with client:
                pass

    run(main())


# The waits.


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"first": "1"}, TypeError, "backoff.first must be a number, not str"),
        ({"most": True}, TypeError, "backoff.most must be a number, not bool"),
        ({"first": 0}, ValueError, "backoff.first can't be 0"),
        ({"first": -1.0}, ValueError, "backoff.first can't be -1.0"),
        ({"factor": 0.5}, ValueError, "backoff.factor can't be 0.5"),
        ({"most": float("inf")}, ValueError, "backoff.most can't be inf"),
        ({"most": float("nan")}, ValueError, "backoff.most can't be nan"),
        ({"first": 2, "most": 1}, ValueError, "backoff.most can't be below backoff.first"),
    ],
)
def test_a_backoff_that_is_none(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Backoff(**options)


def test_the_waits_grow_up_to_a_bound() -> None:
    bounds = Backoff().bounds()
    assert [next(bounds) for _ in range(11)] == pytest.approx(
        [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
    )
    steady = Backoff(first=2, factor=1, most=2).bounds()
    assert [next(steady) for _ in range(3)] == [2, 2, 2]


class Clock:
    """Sleeps that take no time, on a clock that goes on by them."""

    def __init__(self, client: Reconnecting) -> None:
        self.slept: list[float] = []
        self.now = 0.0
        client._loop = self  # type: ignore[assignment]
        self._real = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await turn()


def test_only_a_connection_that_lasted_makes_the_waits_short_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            client = await pellucid.connect(server.url, reconnect=True)
            clock = Clock(client)

            async def next_one(after: float) -> None:
                old = await client.ready()
                clock.now += after
                await cut(server, client)
                await until(lambda: client.connection not in {None, old})

            with monkeypatch.context() as patched:
                # Only that of this module.
                patched.setattr(module, "asyncio", _Asyncio(clock.sleep))
                # It began on the other clock.
                await next_one(0)
                client._bounds = Backoff().bounds()
                clock.slept.clear()
                for after in (0, 29.9, 0, 30.1, 0):
                    await next_one(after)
            assert clock.slept == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.2])
            client.close()
            await client.wait_closed()

    run(main())


class _Asyncio:
    """The library, with another `sleep`."""

    def __init__(self, sleep: Callable[[float], Coroutine[Any, Any, None]]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def test_how_long_is_left_to_chance(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    chances = iter([0.5, 0.0, 0.25])
    monkeypatch.setattr(random, "random", lambda: next(chances, 1.0))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await turn()

    async def main() -> None:
        url, bound = free_port()
        monkeypatch.setattr(module, "asyncio", _Asyncio(sleep))
        connecting = asyncio.create_task(_whole(opening(url, reconnect=Backoff(first=1, most=8))))
        await until(lambda: len(slept) >= 6)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting
        bound.close()

    run(main())
    assert slept[:6] == [0.5, 0.0, 1.0, 8.0, 8.0, 8.0]


def test_the_log_is_not_filled(run: Run, lines: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        url, bound = free_port()
        connecting = asyncio.create_task(_whole(opening(url)))
        await until(lambda: "left out" in lines.text)
        for _ in range(20):
            await turn()
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting
        bound.close()

    run(main())
    assert len(lines.messages) == 11
    assert "can't connect: ConnectionRefusedError: " in lines.messages[0]
    assert "; trying again in 0.0 s" in lines.messages[0]


def test_what_is_logged_of_a_loss(run: Run, lines: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        async with pellucid.serve(Echo(), FREE) as server, opening(server.url) as client:
            first = await client.ready()
            first.close()
            second = await client.ready()
            await cut(server, client)
            await second.wait_closed()
            await client.ready()
            return server.url

    url = run(main())
    assert lines.messages[:3] == [
        f"{url}: connected",
        f"{url}: the connection was closed by this side; trying again in 0.0 s",
        f"{url}: connected",
    ]
    assert lines.messages[3].startswith(f"{url}: the connection was lost: ")
    assert lines.messages[4:] == [f"{url}: connected"]


def test_limits_and_registry_are_those_of_every_connection(run: Run) -> None:
    async def main() -> None:
        limits = Limits(calls_pending=5)
        async with (
            pellucid.serve(Echo(), FREE) as server,
            opening(server.url, limits=limits) as client,
        ):
            assert (await client.ready()).limits is limits
            await cut(server, client)
            assert (await client.ready()).limits is limits

    run(main())


def test_no_report_is_made_of_what_is_given_up(run: Run, reports: Reports) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await opening("pb://127.0.0.1:1")

    run(main())
    assert reports == []
