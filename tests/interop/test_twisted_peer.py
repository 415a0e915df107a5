"""Real Twisted at the other end of a TCP connection, as the server and as the client."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import pellucid
from pellucid import (
    Connection,
    ConnectionLost,
    DeadReferenceError,
    InsecureJelly,
    NoSuchMethod,
    Referenceable,
    RemoteError,
    RemoteReference,
)
from tests.asyncio.pairs import FREE, Run, tables, turn, until
from tests.processes import Program, running

PEERS = "tests.interop.peers"
# Twisted lets go of no more than 1024 objects on a connection.
MANY = 1000

VALUES: list[object] = [
    None,
    True,
    -5,
    1 << 200,
    0.5,
    "text ü",
    b"bytes",
    [1, [2, [3]]],
    (1, (2,)),
    {"a": 1, b"b": [2], 3: (4,)},
    {1, 2},
    frozenset([b"x"]),
]


class Expected(pellucid.Error):
    """The Twisted client sees this name."""


class Printer(Referenceable):
    def __init__(self) -> None:
        self.printed: list[object] = []

    def remote_print(self, arg: object) -> str:
        self.printed.append(arg)
        return f"printed {arg}"


class Two(Referenceable):
    def remote_three(self, arg: object) -> object:
        return arg


class Root(pellucid.Root):
    """What the Twisted client calls."""

    def __init__(self) -> None:
        self.driver: asyncio.Future[RemoteReference] = asyncio.get_running_loop().create_future()
        self.two = Two()
        self.kept: list[object] = []

    def remote_drive(self, driver: RemoteReference) -> None:
        self.driver.set_result(driver)

    def remote_echo(self, value: object) -> object:
        return value

    async def remote_echo_later(self, value: object) -> object:
        await turn()
        return value

    def remote_getTwo(self) -> Two:
        return self.two

    def remote_checkTwo(self, two: object) -> bool:
        return two is self.two

    async def remote_takeTwo(self, two: RemoteReference) -> object:
        return await two.call("print", 12)

    def remote_nextQuote(self) -> str:
        return "An apple a day keeps the doctor away."

    def remote_fooMethod(self, arg: object) -> str:
        if arg == "panic!":
            raise Expected("panic")
        return "response"

    def remote_unexpected(self) -> None:
        raise KeyError("nothing")

    def remote_make(self, count: int) -> list[Referenceable]:
        return [Referenceable() for _ in range(count)]

    def remote_keep(self, values: list[object]) -> int:
        self.kept.extend(values)
        return len(self.kept)

    def remote_drop(self) -> None:
        self.kept.clear()


@asynccontextmanager
async def twisted_server() -> AsyncIterator[tuple[Connection, Program]]:
    """A connection to a Twisted server."""
    with running("-m", f"{PEERS}.twisted_server") as program:
        port = await asyncio.to_thread(program.line)
        async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:
            yield connection, program
        program.stop()


@asynccontextmanager
async def twisted_client() -> AsyncIterator[tuple[RemoteReference, Connection, Root]]:
    """The driver of a Twisted client, the connection that it made, and what it calls there."""
    root = Root()
    async with pellucid.serve(root, FREE) as server:
        with running("-m", f"{PEERS}.twisted_client", server.url.rsplit(":", 1)[1]) as program:
            driver = await root.driver
            del root.driver
            connection = driver.connection
            yield driver, connection, root
            connection.close()
            ended = await asyncio.to_thread(program.end)
            assert (ended.status, ended.err) == (0, "")


# Twisted is the server.


def test_server_echo(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            for method in ("echo", "echo_later"):
                for value in VALUES:
                    echoed = await connection.root.call(method, value)
                    assert echoed == value
                    assert type(echoed) is type(value)
            assert await connection.root.call("add", 1, 2, x=3, name=4) == 10

    run(main())


def test_server_second_reference_and_home(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            two = await connection.root.call("getTwo")
            assert isinstance(two, RemoteReference)
            assert await connection.root.call("getTwo") is two
            assert await two.call("three", 12) == 12
            assert await connection.root.call("checkTwo", two) is True
            assert await connection.root.call("checkTwo", 5) is False

    run(main())


def test_server_calls_an_object_of_ours(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            printer = Printer()
            assert await connection.root.call("takeTwo", printer) == "printed 12"
            assert printer.printed == [12]
            assert await connection.root.call("echo", printer) is printer
            await until(lambda: tables(connection) == (0, 0))

    run(main())


def test_server_errors(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            call = connection.root.call
            with pytest.raises(pellucid.Error, match="panic") as expected:
                await call("fooMethod", "panic!")
            assert expected.value.remote_type == f"{PEERS}.twisted_objects.Expected"
            assert expected.value.is_a("twisted.spread.pb.Error")
            with pytest.raises(RemoteError, match="nothing") as unexpected:
                await call("unexpected")
            assert unexpected.value.remote_type == "builtins.KeyError"
            assert unexpected.value.is_a("builtins.LookupError")
            with pytest.raises(NoSuchMethod, match="remote_nowhere"):
                await call("nowhere")
            with pytest.raises(RemoteError) as arguments:
                await call("echo")
            assert arguments.value.is_a("builtins.TypeError")

    run(main())


def test_server_trap(run: Run) -> None:
    class Scary:
        pass

    async def main() -> None:
        async with twisted_server() as (connection, _):
            call = connection.root.call
            assert await call("fooMethod", "safe string") == "response"
            with pytest.raises(InsecureJelly):
                await call("fooMethod", Scary())
            with pytest.raises(pellucid.Error, match="panic"):
                await call("fooMethod", "panic!")
            gone = asyncio.Event()
            connection.on_close(lambda _: gone.set())
            connection.root.notify("shutdown")
            await gone.wait()
            with pytest.raises(DeadReferenceError):
                await call("fooMethod", "dummy")

    run(main())


def test_server_quotes(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            assert "apple" in await connection.root.call("nextQuote")

    run(main())


def test_server_many_references(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            call = connection.root.call
            start = await call("tables")
            for _ in range(3):
                made = await call("make", MANY)
                assert len(set(made)) == MANY
                assert await call("tables") == [start[0] + MANY, 0]
                # Some come twice, and some go home.
                assert await call("echo", made[:10]) == made[:10]
                del made
                assert await call("keep", [Printer() for _ in range(MANY)]) == MANY
                assert tables(connection) == (MANY, 0)
                await call("drop")
                await until(lambda: tables(connection) == (0, 0))
                while await call("tables") != start:
                    await turn()

    run(main())


def test_server_a_hundred_tasks(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):

            async def work(n: int) -> list[object]:
                method = "echo_later" if n % 2 else "echo"
                return [await connection.root.call(method, [n, i]) for i in range(20)]

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(n)) for n in range(100)]
            for n, task in enumerate(tasks):
                assert task.result() == [[n, i] for i in range(20)]

    run(main())


def test_server_dies_in_the_middle_of_a_call(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, program):
            two = await connection.root.call("getTwo")
            for call in [connection.root.call("die") for _ in range(2)]:
                with pytest.raises(ConnectionLost) as caught:
                    await call
                assert isinstance(caught.value.__cause__, EOFError | OSError)
            with pytest.raises(DeadReferenceError):
                await two.call("three", 1)
            await connection.wait_closed()
            assert (await asyncio.to_thread(program.end)).status == 7

    run(main())


def test_server_returns_what_we_do_not_accept(run: Run) -> None:
    async def main() -> None:
        async with twisted_server() as (connection, _):
            call = connection.root.call
            start = await call("tables")
            with pytest.raises(InsecureJelly, match=r"twisted_objects\.Copy") as caught:
                await call("copy")
            assert caught.value.remote
            # The connection lives, and what the copy had with it is given back.
            assert await call("echo", 1) == 1
            assert tables(connection) == (0, 0)
            while await call("tables") != start:
                await turn()

    run(main())


# Twisted is the client.


def test_client_echo(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, _, _root):
            for method in ("echo", "echo_later"):
                for value in VALUES:
                    assert await driver.call("call", method, value) == [value, None]

    run(main())


def test_client_second_reference_and_home(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, _, _root):
            assert await driver.call("second") == [True, 12]
            assert await driver.call("home") is True
            assert await driver.call("lend") == "printed 12"
            assert await driver.call("call", "checkTwo", 5) == [False, None]

    run(main())


def test_client_errors(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, _, _root):
            value, names, text, _ = await driver.call("call", "fooMethod", "panic!")
            assert (value, text) == (None, "panic")
            assert names[0] == f"{__name__}.Expected"
            assert "twisted.spread.pb.Error" in names
            assert "Peer will receive" not in caplog.text
            value, names, text, trace = await driver.call("call", "unexpected")
            assert (value, text) == (None, "'nothing'")
            assert names[:2] == ["builtins.KeyError", "builtins.LookupError"]
            assert "KeyError" in trace
            assert "remote_unexpected" not in trace
            assert "Peer will receive PB traceback" in caplog.text
            _, names, text, _ = await driver.call("call", "nowhere")
            assert names[0] == "twisted.spread.flavors.NoSuchMethod"
            assert text == "No such method: remote_nowhere"
            _, names, _, _ = await driver.call("call", "echo")
            assert names[0] == "builtins.TypeError"

    with caplog.at_level(logging.INFO, "pellucid"):
        run(main())


def test_client_trap_and_quotes(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, _, _root):
            assert await driver.call("call", "fooMethod", "safe") == ["response", None]
            # Twisted sends something else in its place, and tells nobody.
            assert await driver.call("call_scary", "fooMethod") == ["response", None]
            quote, _ = await driver.call("call", "nextQuote")
            assert "apple" in quote

    run(main())


def test_client_sends_what_we_do_not_accept(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, connection, _):
            start = tables(connection)
            outcome: Any = await driver.call("call_copy", "echo")
            assert outcome[1][0] == "twisted.spread.jelly.InsecureJelly"
            assert "twisted_objects.Copy" in outcome[2]
            assert await driver.call("call", "echo", 1) == [1, None]
            assert tables(connection) == start

    run(main())


def test_client_many_references(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, connection, _):
            start, theirs = tables(connection), await driver.call("tables")
            for _ in range(3):
                assert await driver.call("many", MANY) == [MANY, theirs[0] + MANY]
                await until(lambda: tables(connection) == start)
                while await driver.call("tables") != theirs:
                    await turn()

    run(main())


def test_client_a_hundred_calls_at_once(run: Run) -> None:
    async def main() -> None:
        async with twisted_client() as (driver, _, _root):
            calls = [driver.call("flood", 50) for _ in range(10)]
            calls += [driver.call("echo_later", n) for n in range(100)]
            results = await asyncio.gather(*calls)
            assert results[:10] == [list(range(50))] * 10
            assert results[10:] == list(range(100))

    run(main())


def test_client_dies_in_the_middle_of_a_call(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pellucid.serve(root, FREE) as server:
            port = server.url.rsplit(":", 1)[1]
            with running("-m", f"{PEERS}.twisted_client", port) as program:
                driver = await root.driver
                with pytest.raises(ConnectionLost):
                    await driver.call("die")
                assert (await asyncio.to_thread(program.end)).status == 7
                await until(lambda: not server.connections)
            del root.driver, driver

    run(main())
