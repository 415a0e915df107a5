"""References by the thousand, and peers that misbehave, with Twisted's own PB on the other side."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

import pellucid
from tests.processes import running

pytest.importorskip("twisted.spread.pb")

PEERS = Path(__file__).parent / "peers"


class Thing(pellucid.Referenceable):
    def remote_number(self, number: int) -> int:
        return number


def tables(connection: pellucid.Connection) -> tuple[int, int]:
    broker = connection._broker
    return len(broker.exports), len(broker.imports)


def test_a_thousand_references_to_a_twisted_server_and_back() -> None:
    async def main(port: str) -> None:
        async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:
            root = connection.root
            things = []
            for _ in range(10):
                things += await root.call("make", 100)
            assert tables(connection) == (0, 1000)
            assert await root.call("exported") == 1000
            assert await things[999].call("number", 7) == 7
            del things
            gc.collect()
            assert await root.call("exported") == 0
            for _ in range(1000):
                await root.call("keep", Thing())
            assert tables(connection) == (1000, 0)
            await root.call("let_go")
            await root.call("exported")
            assert tables(connection) == (0, 0)

    with running(str(PEERS / "tables_server.py"), strict=False) as server:
        asyncio.run(main(server.line()))


def test_a_hundred_tasks_call_a_twisted_server() -> None:
    async def main(port: str) -> None:
        async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:

            async def one(number: int) -> int:
                answer: int = await connection.root.call("later", number)
                return answer

            assert await asyncio.gather(*map(one, range(100))) == list(range(100))

    with running(str(PEERS / "tables_server.py"), strict=False) as server:
        asyncio.run(main(server.line()))


def test_a_twisted_server_returns_what_is_not_accepted() -> None:
    async def main(port: str) -> None:
        async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:
            root = connection.root
            with pytest.raises(
                pellucid.InsecureJelly, match=r"result: .*Stranger.* not registered"
            ):
                await root.call("stranger")
            with pytest.raises(pellucid.InsecureJelly, match=r"result\[1\]: ") as raised:
                await root.call("two_and_a_stranger")
            assert raised.value.remote
            # The references before and behind the place of refusal are released.
            await root.call("exported")
            assert await root.call("exported") == 0
            assert tables(connection) == (0, 0)

    with running(str(PEERS / "tables_server.py"), strict=False) as server:
        asyncio.run(main(server.line()))


def test_a_twisted_server_dies_in_the_middle_of_a_call() -> None:
    async def main(port: str) -> None:
        async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:
            reference = (await connection.root.call("make", 1))[0]
            with pytest.raises(pellucid.ConnectionLost) as raised:
                await connection.root.call("die")
            assert isinstance(raised.value.__cause__, (EOFError, ConnectionError))
            with pytest.raises(pellucid.DeadReferenceError):
                await reference.call("number", 1)
            assert tables(connection) == (0, 0)

    with running(str(PEERS / "tables_server.py"), strict=False) as server:
        asyncio.run(main(server.line()))


class Keeper(pellucid.Root):
    """What the Twisted client calls."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.exports = lambda: 0
        self.used: asyncio.Future[asyncio.Future[Any]] = asyncio.get_running_loop().create_future()

    def remote_make(self, count: int) -> list[Thing]:
        return [Thing() for _ in range(count)]

    def remote_keep(self, thing: Any) -> None:
        self.kept.append(thing)

    def remote_let_go(self) -> None:
        self.kept.clear()

    def remote_exported(self) -> int:
        return self.exports()

    async def remote_later(self, number: int) -> int:
        await asyncio.sleep(0)
        return number

    def remote_use(self, thing: pellucid.RemoteReference, name: str) -> None:
        self.used.set_result(thing.call(name))


def test_a_twisted_client() -> None:
    async def main() -> None:
        keeper = Keeper()
        async with pellucid.serve(keeper, "pb://127.0.0.1:0") as server:
            keeper.exports = lambda: len(server.connections[0]._broker.exports)
            port = server.url.rsplit(":", 1)[1]
            lines = await asyncio.to_thread(client, port)
            assert lines == [
                "received 1000 1000",
                "dropped 0",
                "sent 1000",
                "released 0",
                "concurrent True",
                "refused twisted.spread.jelly.InsecureJelly",
                "released 0",
            ]
            # It died in the middle of a call of ours.
            with pytest.raises(pellucid.ConnectionLost):
                await (await keeper.used)
        assert server.connections == ()

    def client(port: str) -> list[str]:
        with running(str(PEERS / "tables_client.py"), port, strict=False) as program:
            return program.end().out.splitlines()

    asyncio.run(main())
