"""What a method can learn of the call that it runs for, and whom its context variables reach."""

import asyncio
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import pytest

import pellucid
from pellucid import Connection, LocalProtocolError, current_call
from pellucid.asyncio.current import CurrentCall
from tests.asyncio.pairs import Run, Thing, pair, until

var: ContextVar[str] = ContextVar("var", default="")


class Promise:
    """Awaitable, and no coroutine. Where it is awaited it asks too."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return current_call().name


class Root(pellucid.Root):
    def __init__(self) -> None:
        self.seen: list[CurrentCall] = []
        self.names: list[str] = []

    def remote_plain(self) -> None:
        self.seen.append(current_call())

    async def remote_later(self) -> None:
        self.seen.append(current_call())
        await asyncio.sleep(0)
        self.seen.append(current_call())

    def remote_promise(self) -> Promise:
        return Promise()

    async def remote_tasks(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(self.helper())

    async def helper(self) -> None:
        await asyncio.sleep(0)
        self.names.append(current_call().name)

    def remote_callback(self) -> None:
        asyncio.get_running_loop().call_soon(self.helped)

    def helped(self) -> None:
        self.names.append(current_call().name)

    async def remote_ask(self, other: pellucid.RemoteReference) -> list[str]:
        before = current_call().name
        answer = await other.call("ask")
        return [before, answer, current_call().name]

    def remote_set(self, text: str) -> str:
        before = var.get()
        var.set(text)
        return before

    async def remote_set_later(self, text: str) -> str:
        return self.remote_set(text)


class Mine(pellucid.Referenceable):
    def remote_ask(self) -> str:
        return current_call().name


def test_outside_of_a_call_there_is_none() -> None:
    with pytest.raises(LocalProtocolError, match="no call of the other side is running here"):
        current_call()


def test_a_method_knows_its_call(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager) as (client, server):
            await client.root.call("plain")
            await client.root.call("later")
            assert [one.name for one in root.seen] == ["plain", "later", "later"]
            assert {one.connection for one in root.seen} == {server}
            assert {one.perspective for one in root.seen} == {None}
            assert await client.root.call("promise") == "promise"
            with pytest.raises(LocalProtocolError):
                current_call()
            root.seen.clear()

    run(main())


def test_what_a_method_starts_knows_it_too(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager) as (client, _):
            await client.root.call("tasks")
            await client.root.call("callback")
            await until(lambda: len(root.names) == 3)
            assert root.names == ["tasks", "tasks", "callback"]

    run(main())


def test_calls_of_both_sides_inside_of_each_other(run: Run, eager: bool) -> None:
    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, _):
            calls = [client.root.call("ask", Mine()) for _ in range(3)]
            assert await asyncio.gather(*calls) == [["ask", "ask", "ask"]] * 3

    run(main())


@pytest.mark.parametrize("name", ["set", "set_later"])
def test_context_variables_do_not_reach_later_calls(run: Run, eager: bool, name: str) -> None:
    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, _):
            calls = [client.root.call(name, str(n)) for n in range(3)]
            assert await asyncio.gather(*calls) == [""] * 3
            assert var.get() == ""

    run(main())


def test_a_context_that_lives_on_keeps_no_argument(run: Run, eager: bool) -> None:
    class Keeping(pellucid.Root):
        async def remote_keep(self, thing: object) -> None:
            self.task = asyncio.create_task(self.wait())

        async def wait(self) -> str:
            await go.wait()
            return current_call().name

    async def main() -> None:
        root = Keeping()
        async with pair(root, eager=eager) as (client, server):
            await client.root.call("keep", Thing())
            await until(lambda: len(server._broker.imports) == 0)
            go.set()
            assert await root.task == "keep"

    go = asyncio.Event()
    run(main())


def test_the_perspective_of_a_call(run: Run, eager: bool) -> None:
    class User(pellucid.Avatar):
        def perspective_who(self) -> bool:
            return current_call().perspective is self

        async def perspective_who_later(self) -> bool:
            await asyncio.sleep(0)
            return current_call().perspective is self

    class Door(pellucid.Root):
        def remote_enter(self) -> Any:
            return User()

    async def main() -> None:
        async with pair(Door(), eager=eager) as (client, _):
            user = await client.root.call("enter")
            assert await user.call("who") is True
            assert await user.call("who_later") is True
            del user

    run(main())


def test_a_connection_is_known_by_its_call(run: Run, eager: bool) -> None:
    class Leaving(pellucid.Root):
        def remote_leave(self) -> str:
            current_call().connection.close()
            return "bye"

    async def main() -> None:
        async with pair(Leaving(), eager=eager) as (client, server):
            assert await client.root.call("leave") == "bye"
            await server.wait_closed()
            assert isinstance(server, Connection)

    run(main())
