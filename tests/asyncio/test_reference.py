"""What a reference can do: call, notify, and be itself."""

import asyncio
import copy
import gc
import os
import pickle
import threading
import warnings
from typing import Any

import pytest

import pellucid
from pellucid import ConnectionLost, DeadReferenceError, InsecureJelly, LimitExceeded, Limits
from tests.asyncio.pairs import (
    Pair,
    Reports,
    Run,
    Thing,
    Waiting,
    pair,
    tables,
    turn,
    until,
)


class MyError(pellucid.Error):
    pass


class Root(Waiting):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.thing = Thing()

    def remote_keywords(self, **kwargs: object) -> object:
        return kwargs

    def remote_fail(self, text: str) -> None:
        raise MyError(text)

    def remote_thing(self) -> Thing:
        return self.thing

    def remote_new(self) -> Thing:
        return Thing()

    def remote_things(self, count: int) -> list[Thing]:
        return [Thing() for _ in range(count)]

    def remote_is_thing(self, value: object) -> bool:
        return value is self.thing

    def remote_keep(self, *values: object) -> None:
        self.kept.extend(values)

    def remote_drop(self) -> None:
        self.kept.clear()

    async def remote_wait_thing(self) -> Thing:
        await self.go.wait()
        return Thing()


# Calls.


def test_a_call_has_started_when_call_returns(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, _):
            future = client.root.call("keep", 1)
            assert isinstance(future, asyncio.Future)
            client.root.notify("keep", 2)
            await until(lambda: len(root.kept) == 2)
            assert root.kept == [1, 2]
            await future

    run(main())


def test_calls_leave_in_the_order_in_which_they_are_made_awaited_or_not(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, _):
            calls = []
            for n in range(0, 9, 3):
                calls.append(client.root.call("keep", n))
                client.root.notify("keep", n + 1)
                await client.root.call("keep", n + 2)
            await asyncio.gather(*calls)
            assert root.kept == list(range(9))

    run(main())


def test_what_asyncio_does_with_futures_works(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, _):
            call = client.root.call
            assert list(await asyncio.gather(call("echo", 1), call("echo", 2))) == [1, 2]
            done, pending = await asyncio.wait([call("echo", 3), call("echo", 3)])
            assert [one.result() for one in done] == [3, 3]
            assert not pending
            assert await asyncio.wait_for(call("echo", 4), 10) == 4
            assert await asyncio.shield(call("echo", 5)) == 5
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call("wait"), 0.001)

            async def one(n: int) -> object:
                return await call("echo", n)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(n)) for n in range(5)]
            assert [task.result() for task in tasks] == list(range(5))
            seen: list[object] = []
            future = call("echo", 6)
            future.add_done_callback(lambda future: seen.append(future.result()))
            await future
            await asyncio.sleep(0)
            assert seen == [6]
            root.go.set()

    run(main())


def test_every_keyword_reaches_the_method(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, _):
            keywords = {"self": 1, "name": 2, "timeout": 3, "args": 4, "kwargs": 5, "reference": 6}

            class Target(pellucid.Referenceable):
                def remote_take(_me, /, **kwargs: object) -> object:
                    return kwargs

            root.thing = Target()  # type: ignore[assignment]
            reference = await client.root.call("thing")
            assert await reference.call("take", **keywords) == keywords
            taken = {key: keywords[key] for key in keywords if key != "self"}
            assert await client.root.call("keywords", **taken) == taken
            client.root.notify("keywords", **keywords)

    run(main())


# Errors.


def test_an_error_is_caught_by_the_class_of_the_same_name(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            with pytest.raises(MyError, match="why") as caught:
                await client.root.call("fail", "why")
            assert caught.value.remote_type == f"{__name__}.MyError"

    run(main())


def test_what_can_not_be_sent_comes_out_of_the_await_and_of_notify(run: Run) -> None:
    async def main() -> None:
        async with pair(Root(), client_root=Root()) as (client, _), pair(Root()) as (other, _):
            for value in (object(), other.root):
                future = client.root.call("echo", [value])
                with pytest.raises(InsecureJelly, match="arguments"):
                    await future
                with pytest.raises(InsecureJelly, match="arguments"):
                    client.root.notify("echo", [value])
            future = client.root.call("echo", b"x" * 700_000)
            with pytest.raises(LimitExceeded):
                await future
            with pytest.raises(LimitExceeded):
                client.root.notify("echo", b"x" * 700_000)
            assert await client.root.call("echo", 1) == 1

    run(main())


def test_what_is_no_name_of_a_method_comes_out_of_the_await(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            future = client.root.call(b"echo", 1)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="the name of a method is a str, not bytes"):
                await future
            assert await client.root.call("echo", 1) == 1

    run(main())


def test_a_dead_reference_says_so_from_the_await_alone(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, server):
            root = client.root
            closed = [root.closed]
            client.close()
            closed.append(root.closed)
            assert closed == [False, True]
            for _ in range(2):
                future = root.call("echo", 1)
                with pytest.raises(DeadReferenceError):
                    await future
                with pytest.raises(DeadReferenceError):
                    root.notify("echo", 1)
                await client.wait_closed()
            await server.wait_closed()

    run(main())


def test_calls_in_flight_are_lost_with_the_connection_and_know_why(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, server):
            calls = [client.root.call("wait") for _ in range(3)]
            await root.started.wait()
            server.close()
            for call in calls:
                with pytest.raises(ConnectionLost) as caught:
                    await call
                assert isinstance(caught.value.__cause__, EOFError)
        async with pair(Root()) as (client, server):
            call = client.root.call("wait")
            reason = OSError("the cable")
            client.abort(reason)
            with pytest.raises(ConnectionLost, match="the cable") as caught:
                await call
            assert caught.value.__cause__ is reason
        async with pair(Root()) as (client, server):
            call = client.root.call("wait")
            client.close()
            with pytest.raises(ConnectionLost) as caught:
                await call
            assert caught.value.__cause__ is None

    run(main())


def test_a_failed_call_that_nobody_looked_at_is_reported(run: Run, reports: Reports) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            client.root.call("fail", "unseen")
            await client.root.call("echo", 1)
            gc.collect()
            (context,) = reports
            assert "never retrieved" in context["message"]
            assert isinstance(context["exception"], MyError)
            reports.clear()

    run(main())


def test_cancelling_abandons_the_call_and_a_late_answer_releases_its_references(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, server):

            async def use() -> None:
                await client.root.call("wait_thing")

            task = asyncio.create_task(use())
            await client.root.call("echo", 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            failing = client.root.call("fail", "unseen")
            failing.cancel()
            root.go.set()
            await until(lambda: client._broker.ledger.used("calls_pending") == 0)
            await until(lambda: tables(server) == (0, 0))
            assert tables(client) == (0, 0)

    run(main())


# Identity.


def test_the_same_object_is_the_same_reference_while_one_is_alive(run: Run) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root) as (client, server):
            thing = await client.root.call("thing")
            assert await client.root.call("thing") is thing
            first, second = await client.root.call("echo", [thing, thing])
            assert first is second is thing
            assert thing.connection is client
            assert {thing: 1}[first] == 1
            assert thing != client.root
            assert await client.root.call("new") is not thing
            assert await client.root.call("is_thing", thing) is True
            assert await client.root.call("is_thing", [thing]) is False
            mine = Thing()
            assert await client.root.call("echo", mine) is mine
            await client.root.call("keep", mine, [mine])
            assert root.kept[0] is root.kept[1][0]
            assert await root.kept[0].call("ping") == "pong"
            await client.root.call("drop")
            del thing, first, second
            await until(lambda: tables(client) == tables(server) == (0, 0))

    run(main())


def test_a_reference_stays_with_its_connection(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            for act in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="belongs to its connection"):
                    act(client.root)

    run(main())


def test_the_repr_has_no_data(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            client.peer = "pb://there:1"
            assert repr(client.root) == "<RemoteReference root at pb://there:1>"
            assert repr(await client.root.call("thing")) == "<RemoteReference 1 at pb://there:1>"

    run(main())


# The peer's table empties, with no further call.


async def _drop_here(both: Pair) -> None:
    thing = await both.client.root.call("thing")
    assert tables(both.server) == (1, 0)
    del thing


async def _drop_in_another_thread(both: Pair) -> None:
    box = [await both.client.root.call("thing")]
    assert tables(both.server) == (1, 0)
    # The loop holds the future of the call until its next turn.
    await turn()
    thread = threading.Thread(target=box.clear)
    thread.start()
    # The loop sleeps meanwhile: only the thread wakes it.
    await until(lambda: not thread.is_alive())
    thread.join()


async def _drop_in_a_cycle(both: Pair) -> None:
    class Node:
        me: object
        thing: object

    node = Node()
    node.me, node.thing = node, await both.client.root.call("thing")
    assert tables(both.server) == (1, 0)
    del node
    gc.collect()


async def _drop_many(both: Pair) -> None:
    things = await both.client.root.call("things", 10_000)
    assert tables(both.server) == (10_000, 0)
    assert len(things) == 10_000
    del things


@pytest.mark.parametrize(
    "drop", [_drop_here, _drop_in_another_thread, _drop_in_a_cycle, _drop_many]
)
def test_the_last_reference_that_goes_empties_the_table_of_the_peer(run: Run, drop: Any) -> None:
    async def main() -> None:
        async with pair(Root()) as both:
            await drop(both)
            await until(lambda: tables(both.client) == tables(both.server) == (0, 0))

    run(main())


def test_references_that_came_with_a_call_are_released_too(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager) as (client, server):
            await client.root.call("keep", Thing(), [Thing()])
            assert tables(client) == (2, 0)
            await client.root.call("drop")
            await until(lambda: tables(client) == tables(server) == (0, 0))
            client.root.notify("echo", Thing())
            await until(lambda: tables(client) == (1, 0) or tables(client) == (0, 0))
            await until(lambda: tables(client) == tables(server) == (0, 0))

    run(main())


def test_a_reference_that_goes_after_the_loop_does_no_harm(runner: asyncio.Runner) -> None:
    kept: list[object] = []

    async def main() -> None:
        async with pair(Root()) as (client, _):
            kept.append(await client.root.call("thing"))

    runner.run(main())
    runner.close()
    kept.clear()
    gc.collect()


def test_the_loop_closed_under_an_open_connection(runner: asyncio.Runner) -> None:
    together = pair(Root())

    async def start() -> pellucid.RemoteReference:
        client, _ = await together.__aenter__()
        thing: pellucid.RemoteReference = await client.root.call("thing")
        return thing

    thing = runner.run(start())
    broker, connection = thing.connection._broker, thing.connection
    real, connection._loop = connection._loop, asyncio.new_event_loop()
    connection._loop.close()
    del thing
    gc.collect()
    connection._loop = real
    assert broker.owes
    broker.releases._awake = False
    runner.run(together.__aexit__(None, None, None))


# Other threads and processes.


def test_a_call_from_another_thread_is_refused_with_advice(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, _):
            root = client.root

            def use() -> None:
                for act in (root.call, root.notify):
                    with pytest.raises(RuntimeError, match="run_coroutine_threadsafe"):
                        act("echo", 1)
                with pytest.raises(RuntimeError, match=r"from another thread.*an `async def`"):
                    client.close()

            await asyncio.to_thread(use)

            async def call() -> object:
                return await root.call("echo", 1)

            loop = asyncio.get_running_loop()
            task = asyncio.to_thread(
                lambda: asyncio.run_coroutine_threadsafe(call(), loop).result()
            )
            assert await task == 1

    run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_call_after_fork_is_refused(run: Run) -> None:
    async def main() -> None:
        async with pair(Root()) as (client, server):
            box = [await client.root.call("thing")]
            with warnings.catch_warnings():
                # The threads that Python warns of are not in the way of what the child does.
                warnings.simplefilter("ignore")
                pid = os.fork()
            if pid == 0:
                os._exit(_in_the_child(box))
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                await turn()
            # What the child dropped is still held here.
            await client.root.call("echo", 1)
            assert tables(server) == (1, 0)
            assert await box[0].call("ping") == "pong"
            box.clear()

    run(main())


def _in_the_child(box: list[pellucid.RemoteReference]) -> int:
    """Give the status to exit with: 0 if all went as it should."""
    status = 0
    for act in (box[0].call, box[0].notify):
        try:
            act("ping")
        except RuntimeError as error:
            status |= "forked" not in str(error)
        else:
            status |= 2
    box.clear()
    return status


def test_the_number_of_calls_in_flight_is_bounded(run: Run) -> None:
    async def main() -> None:
        root = Root()
        limits = Limits(calls_pending=2)
        async with pair(root, client_limits=limits) as (client, _):
            calls = [client.root.call("wait", n) for n in range(3)]
            with pytest.raises(LimitExceeded) as caught:
                await calls[2]
            assert caught.value.limit == "calls_pending"
            root.go.set()
            assert await asyncio.gather(*calls[:2]) == [0, 1]

    run(main())
