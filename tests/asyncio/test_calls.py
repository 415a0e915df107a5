"""How the methods that the other side calls are run, and what becomes of their ends."""

import asyncio
import gc
import logging
import re
import weakref
from collections.abc import Awaitable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

import pellucid
from pellucid import InsecureJelly, Limits, RemoteError
from pellucid.asyncio.calls import EAGER_TASKS, Calls
from pellucid.events import CallReceived
from tests.asyncio.pairs import Echo, Reports, Run, Waiting, failure, pair, tables, until

var: ContextVar[str] = ContextVar("var", default="")


class Oops(pellucid.Error):
    """Expected, and known on both sides."""


class Order(pellucid.Root):
    """Notes when each call starts and ends."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def remote_plain(self, n: int) -> int:
        self.seen.append(n)
        return n

    async def remote_quick(self, n: int) -> int:
        self.seen.append(n)
        return n

    async def remote_slow(self, n: int) -> int:
        self.seen.append(n)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.seen.append(f"{n} ends")
        return n


def test_calls_start_in_the_order_of_arrival(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = Order()
        # Also when they have to wait for each other, in several ways.
        for limits in (Limits(), Limits(calls_per_turn=3), Limits(calls_running=2)):
            root.seen.clear()
            async with pair(root, eager=eager, limits=limits) as (client, _):
                names = ["slow", "plain", "quick", "plain", "plain", "slow", "quick", "slow"] * 20
                calls = [client.root.call(name, n) for n, name in enumerate(names)]
                assert await asyncio.gather(*calls) == list(range(len(names)))
                started = [n for n in root.seen if isinstance(n, int)]
                assert started == list(range(len(names)))

    run(main())


def test_a_plain_method_is_answered_in_the_iteration_of_its_arrival_without_a_task(
    run: Run, eager: bool
) -> None:
    class Root(pellucid.Root):
        def remote_plain(self) -> bool:
            loop = asyncio.get_running_loop()
            written = len(writes)
            # The first thing that the next iteration does.
            loop.call_soon(lambda: answered.append(len(writes) > written))
            return asyncio.current_task() is None

    writes: list[bytes] = []
    answered: list[bool] = []

    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, server):
            _spy(server, writes)
            assert await client.root.call("plain") is True
            await until(lambda: bool(answered))
            assert answered == [True]
            assert not server._calls.running

    run(main())


def _spy(connection: pellucid.Connection, writes: list[bytes]) -> None:
    """Note what is written to the transport of a connection."""
    out: Any = connection._out
    transport = out._transport

    class Spy:
        def write(self, data: bytes) -> None:
            writes.append(data)
            transport.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

    out._transport = Spy()


def test_an_async_method_has_one_task_and_one_context_from_first_line_to_last(
    run: Run, eager: bool
) -> None:
    class Root(pellucid.Root):
        async def remote_work(self, text: str) -> list[bool]:
            task = asyncio.current_task()
            assert var.get() == ""
            var.set(text)
            same = [task is not None]
            for _ in range(3):
                await asyncio.sleep(0)
                same.append(asyncio.current_task() is task and var.get() == text)
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                inner = group.create_task(self.inner())
            same.append(inner.result() == text)
            try:
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                same.append(asyncio.current_task() is task and var.get() == text)
            return same

        async def inner(self) -> str:
            await asyncio.sleep(0)
            return var.get()

        def remote_look(self) -> str:
            return var.get()

    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, _):
            calls = [client.root.call("work", str(n)) for n in range(5)]
            for result in await asyncio.gather(*calls):
                assert result == [True] * 6
            assert await client.root.call("look") == ""

    run(main())


class Promise:
    """Awaitable, and no coroutine."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Generator[None, None, object]:
        yield
        return self.value


def test_an_awaitable_result_is_awaited_also_from_a_plain_method(run: Run, eager: bool) -> None:
    class Root(pellucid.Root):
        def remote_promise(self, value: object) -> Awaitable[object]:
            return Promise(value)

        def remote_future(self, value: object) -> Awaitable[object]:
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, value)
            return future

        def remote_coroutine(self, value: object) -> Awaitable[object]:
            return self._coroutine(value)

        async def _coroutine(self, value: object) -> object:
            return value

        def remote_fail(self) -> Awaitable[object]:
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            future.set_exception(Oops("later"))
            return future

    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, _):
            for name in ("promise", "future", "coroutine"):
                assert await client.root.call(name, name) == name
            with pytest.raises(Oops, match="later"):
                await client.root.call("fail")

    run(main())


class Failing(pellucid.Root):
    def remote_plain(self, kind: str) -> None:
        raise KINDS[kind]

    async def remote_quick(self, kind: str) -> None:
        raise KINDS[kind]

    async def remote_slow(self, kind: str) -> None:
        await asyncio.sleep(0)
        raise KINDS[kind]

    async def remote_cancel(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    def remote_unsendable(self) -> object:
        return object()


KINDS: dict[str, BaseException] = {
    "expected": Oops("no"),
    "unexpected": KeyError("x"),
    "cancelled": asyncio.CancelledError("stop"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "close": GeneratorExit("of its own"),
}

ways = pytest.mark.parametrize("way", ["plain", "quick", "slow"])


@ways
def test_an_expected_error_is_quiet(
    run: Run, eager: bool, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            with pytest.raises(Oops, match="no"):
                await client.root.call(way, "expected")
            error = await failure(client.root.call("nothing"))
            assert isinstance(error, pellucid.NoSuchMethod)
            assert str(error) == "No such method: remote_nothing"

    with caplog.at_level(logging.DEBUG, "pellucid"):
        run(main())
    assert caplog.text == ""


@ways
def test_an_unexpected_error_is_logged_and_answered(
    run: Run, eager: bool, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            error = await failure(client.root.call(way, "unexpected"))
            assert type(error) is RemoteError
            assert error.remote_type == "builtins.KeyError"
            assert error.is_a("builtins.KeyError")
            assert error.is_a("builtins.LookupError")
            assert not error.is_a("builtins.ValueError")
            assert error.remote_traceback is None

    run(main())
    (record,) = caplog.records
    assert record.name == "pellucid"
    assert "Peer will receive PB traceback" in record.getMessage()
    assert way in record.getMessage()
    assert record.levelname == "ERROR"
    assert "Traceback" in caplog.text
    assert "\nKeyError (texts of errors are logged with tracebacks=True)" in caplog.text


class GivingFutures(Waiting):
    """Its plain method gives a future."""

    def __init__(self) -> None:
        super().__init__()
        self.futures: list[asyncio.Future[Any]] = []

    def remote_give(self) -> "asyncio.Future[Any]":
        self.futures.append(asyncio.get_running_loop().create_future())
        self.started.set()
        return self.futures[-1]

    def remote_give_again(self) -> "asyncio.Future[Any]":
        return self.futures[-1]

    def remote_relay(self, thing: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = thing.call("ping")
        return future


@pytest.mark.parametrize("end", ["value", "expected error", "error", "cancelled"])
def test_a_future_that_a_plain_method_gives_is_the_answer(
    run: Run, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        root = GivingFutures()
        async with pair(root) as (client, server):
            first, second = client.root.call("give"), client.root.call("give_again")
            await until(lambda: len(server._calls.running) == 2)
            future = root.futures[0]
            # The second is another's, and has a task.
            assert [asyncio.Task in type(key).__mro__ for key in server._calls.running] == [
                False,
                True,
            ]
            if end == "value":
                future.set_result(5)
                assert [await first, await second] == [5, 5]
            elif end == "cancelled":
                future.cancel()
                for call in (first, second):
                    error = await failure(call)
                    assert isinstance(error, RemoteError)
                    assert error.remote_type == "asyncio.exceptions.CancelledError"
            else:
                future.set_exception(Oops("x") if end == "expected error" else ValueError("x"))
                for call in (first, second):
                    assert str(await failure(call)) == "x"
            assert not server._calls.running
            assert bool(caplog.records) == (end in ("error", "cancelled"))

    run(main())


def test_a_future_that_a_method_gave_is_cancelled_when_the_connection_ends(run: Run) -> None:
    async def main() -> None:
        root = GivingFutures()
        async with pair(root) as (client, server):
            call = client.root.call("give")
            await root.started.wait()
            client.abort()
            assert isinstance(await failure(call), pellucid.ConnectionLost)
            await server.wait_closed()
            assert root.futures[0].cancelled()

    run(main())


def test_a_call_that_is_lost_with_its_own_caller_is_not_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(pellucid.Referenceable):
        async def remote_ping(self) -> None:
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async with pair(GivingFutures()) as (client, server):
            call = client.root.call("relay", Slow())
            await until(lambda: bool(server._calls.running))
            client.abort()
            assert isinstance(await failure(call), pellucid.ConnectionLost)
            await server.wait_closed()

    run(main())
    assert caplog.text == ""


def test_a_future_of_another_loop_is_refused(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    other = asyncio.new_event_loop()

    class Root(pellucid.Root):
        def remote_give(self) -> "asyncio.Future[Any]":
            return other.create_future()

    async def main() -> None:
        async with pair(Root()) as (client, _):
            error = await failure(client.root.call("give"))
            assert "attached to a different loop" in str(error)

    try:
        run(main())
    finally:
        other.close()
    assert "Traceback" in caplog.text


def test_what_a_call_back_gives_is_relayed_without_a_task(run: Run) -> None:
    class Thing(pellucid.Referenceable):
        def remote_ping(self) -> str:
            tasks.append(len(asyncio.all_tasks()))
            return "pong"

    tasks: list[int] = []

    async def main() -> None:
        async with pair(GivingFutures()) as (client, server):
            before = len(asyncio.all_tasks())
            assert await client.root.call("relay", Thing()) == "pong"
            assert tasks == [before]
            await until(lambda: tables(client) == tables(server) == (0, 0))

    run(main())


@ways
def test_with_tracebacks_the_caller_gets_them(run: Run, eager: bool, way: str) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager, tracebacks=True) as (client, _):
            error = await failure(client.root.call(way, "unexpected"))
            assert isinstance(error, RemoteError)
            assert error.remote_traceback is not None
            assert f"in remote_{way}" in error.remote_traceback
            assert "KeyError: 'x'" in error.remote_traceback

    run(main())


@ways
def test_cancelled_error_is_answered_as_an_error(run: Run, eager: bool, way: str) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            error = await failure(client.root.call(way, "cancelled"))
            assert isinstance(error, RemoteError)
            assert error.is_a("asyncio.exceptions.CancelledError")
            assert isinstance(await failure(client.root.call("cancel")), RemoteError)

    run(main())


@ways
def test_generator_exit_is_answered_as_an_error(run: Run, eager: bool, way: str) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            error = await failure(client.root.call(way, "close"))
            assert isinstance(error, RemoteError)
            assert error.is_a("builtins.GeneratorExit")
            assert str(error) == "of its own"

    run(main())


@ways
@pytest.mark.parametrize(("kind", "cls"), [("exit", SystemExit), ("interrupt", KeyboardInterrupt)])
def test_what_ends_the_program_is_answered_and_then_goes_on(
    runner: asyncio.Runner, eager: bool, way: str, kind: str, cls: type[BaseException]
) -> None:
    together = pair(Failing(), eager=eager)
    calls: list[asyncio.Future[Any]] = []

    async def start() -> None:
        client, _ = await together.__aenter__()
        calls.append(client.root.call(way, kind))
        await asyncio.wait([asyncio.get_running_loop().create_future()])

    async def end() -> BaseException:
        error = await failure(calls[0])
        await together.__aexit__(None, None, None)
        return error

    loop = runner.get_loop()
    task = loop.create_task(start())
    with pytest.raises(cls) as caught:
        loop.run_until_complete(task)
    assert caught.value is KINDS[kind]
    task.cancel()
    error = runner.run(end())
    assert isinstance(error, RemoteError)
    assert error.is_a(f"builtins.{cls.__name__}")


@ways
def test_a_notification_that_fails_is_logged_and_not_answered(
    run: Run, eager: bool, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            client.root.notify(way, "unexpected")
            assert isinstance(await failure(client.root.call(way, "expected")), Oops)

    run(main())
    assert "Peer will receive PB traceback" in caplog.text


def test_a_result_that_can_not_be_sent_is_an_error_on_both_sides(
    run: Run, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            error = await failure(client.root.call("unsendable"))
            assert isinstance(error, InsecureJelly)
            assert error.remote_type is not None

    run(main())
    assert "the result of 'unsendable' can't be sent" in caplog.text


def test_a_result_that_can_not_be_sent_is_kept_by_nothing(run: Run, eager: bool) -> None:
    held: list[weakref.ref[object]] = []

    class Odd(pellucid.Root):
        def remote_odd(self, thing: object) -> object:
            result = Echo()
            held.extend((weakref.ref(result), weakref.ref(thing)))
            return [result, object()]

    async def main() -> None:
        async with pair(Odd(), eager=eager) as (client, _):
            gc.collect()
            gc.disable()
            try:
                await failure(client.root.call("odd", Echo()))
                await until(lambda: not any(each() for each in held))
            finally:
                gc.enable()

    run(main())
    assert len(held) == 2


def test_what_hooks_raise_is_logged_where_they_are(
    run: Run, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(pellucid.Copyable, tag="calls.Stubborn"):
        def state_to_copy(self) -> object:
            raise KeyError("no state today")

    class Giving(pellucid.Root):
        def remote_give(self) -> Stubborn:
            return Stubborn()

        def remote_take(self, value: object) -> None:
            pass

    def factory(state: object) -> object:
        raise ValueError("too much money")

    registry = pellucid.Registry()
    registry.copy("calls.Wallet", factory)

    class Wallet(pellucid.Copyable, tag="calls.Wallet"):
        pass

    async def main() -> None:
        async with pair(Giving(), eager=eager, registry=registry) as (client, _):
            error = await failure(client.root.call("give"))
            assert "could not be encoded: builtins.KeyError" in str(error)
            error = await failure(client.root.call("take", Wallet()))
            assert "the reader of type tag 'calls.Wallet' failed: builtins.Value" in str(error)
            assert "money" not in str(error)

    run(main())
    assert "in state_to_copy" in caplog.text
    assert "\nKeyError (texts" in caplog.text
    assert "in factory" in caplog.text
    assert "\nValueError (texts" in caplog.text
    assert not re.search("today$|money$", caplog.text, re.M)


def test_running_methods_are_cancelled_when_the_connection_ends(
    run: Run, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        root = Waiting()
        async with pair(root, eager=eager) as (client, server):
            call = client.root.call("wait")
            await root.started.wait()
            client.close()
            await client.wait_closed()
            await server.wait_closed()
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), pellucid.ConnectionLost)

    run(main())
    assert "Peer will receive" not in caplog.text


def test_a_method_that_is_cancelled_before_its_first_line_is_answered(run: Run) -> None:
    async def main() -> None:
        root = Waiting()
        async with pair(root, eager=False) as (client, server):
            call = client.root.call("wait")
            await until(lambda: bool(server._calls.running or root.started.is_set()))
            for task in server._calls.running:
                task.cancel()
            error = await failure(call)
            assert isinstance(error, RemoteError)
            assert error.is_a("asyncio.exceptions.CancelledError")

    run(main())


def test_a_task_that_is_cancelled_at_once(run: Run) -> None:
    class Root(Echo):
        connection: pellucid.Connection

        async def remote_never(self) -> None:
            raise AssertionError("not reached")

        def remote_promise(self) -> Promise:
            return Promise(1)

        def find_method(self, name: str) -> Any:
            def cancel() -> None:
                for task in self.connection._calls.running:
                    task.cancel()

            if name in ("never", "promise"):
                # Before the first line of the task that is about to be made.
                asyncio.get_running_loop().call_soon(cancel)
            return super().find_method(name)

    async def main() -> None:
        root = Root()
        async with pair(root, eager=False) as (client, server):
            root.connection = server
            for name in ("never", "promise"):
                error = await failure(client.root.call(name))
                assert isinstance(error, RemoteError)
                assert error.is_a("asyncio.exceptions.CancelledError")
            assert await client.root.call("echo", 1) == 1

    run(main())


def test_close_can_be_called_where_no_loop_runs(runner: asyncio.Runner, reports: Reports) -> None:
    together = pair()

    async def start() -> pellucid.Connection:
        return (await together.__aenter__()).client

    client = runner.run(start())
    client.close()
    assert client.closed
    runner.run(together.__aexit__(None, None, None))
    assert reports == []


def test_from_python_3_12_tasks_are_eager() -> None:
    assert hasattr(asyncio, "eager_task_factory") == EAGER_TASKS


def test_a_method_that_the_end_of_the_loop_cuts_off_is_not_answered(run: Run) -> None:
    async def main() -> None:
        async with pair() as (_, server):
            call = CallReceived(Echo(), "echo", (), {}, b"\x01\x81", True, 0)
            assert isinstance(server._calls, Calls)
            serving = server._calls._serve(call, Promise(1), [])
            serving.send(None)
            serving.close()

    run(main())


def test_a_long_error_is_not_logged_whole(
    run: Run, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Root(pellucid.Root):
        def remote_fail(self, text: str) -> None:
            raise KeyError(text)

    async def main() -> None:
        async with pair(Root(), eager=eager) as (client, _):
            error = await failure(client.root.call("fail", "x" * 300_000))
            assert isinstance(error, RemoteError)

    run(main())
    assert "Peer will receive PB traceback (from 'fail')" in caplog.text
    assert "in remote_fail" in caplog.text
    assert "KeyError" in caplog.text
    assert len(caplog.text) < 100_000


@ways
def test_an_expected_error_that_no_answer_tells_of_is_logged(
    run: Run, eager: bool, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(Failing(), eager=eager) as (client, _):
            client.root.notify(way, "expected")
            await until(lambda: bool(caplog.records))

    run(main())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    expected = f"a call that wants no answer failed, '{way}' of a Failing: "
    assert expected in record.getMessage()
    assert record.exc_info is None


def test_what_a_peer_says_is_one_line_of_a_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(pellucid.Error):
        def __str__(self) -> str:
            raise LookupError

    class Root(pellucid.Root):
        def remote_odd(self) -> None:
            raise Odd

        def remote_say(self, text: str) -> None:
            raise Oops(text)

    async def main() -> None:
        async with pair(Root()) as (client, server):
            client.root.notify("a\nb")
            client.root.notify("say", "x\ny" * 1_000)
            client.root.notify("odd")
            await until(lambda: len(caplog.records) == 3)
            assert tables(server) == (0, 0)

    run(main())
    assert all(len(text.splitlines()) == 1 for text in caplog.messages)
    assert all(len(text) < 500 for text in caplog.messages)
