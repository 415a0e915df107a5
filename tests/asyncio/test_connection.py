"""What an application sees of a connection: its calls, and its end."""

import asyncio
import socket

import pytest

import pellucid
from pellucid import (
    Connection,
    ConnectionLost,
    DeadReferenceError,
    Limits,
    LocalProtocolError,
)
from pellucid.banana import encode
from tests.asyncio.pairs import (
    CHOICE,
    FREE,
    Echo,
    Run,
    Seeing,
    Waiting,
    alone,
    at_once,
    failure,
    join,
    pair,
    tables,
    turn,
    until,
)


def test_a_client_may_offer_a_root_of_its_own(run: Run) -> None:
    async def main() -> None:
        async with pair(client_root=Echo()) as (client, server):
            with pytest.raises(LocalProtocolError, match="the side that connected"):
                _ = server.root
            assert await client.root.call("echo", 1) == 1

    run(main())


# The end.


def test_close_sends_what_is_ready(run: Run) -> None:
    async def main() -> None:
        root = Seeing()
        async with pair(root) as (client, server):
            for n in range(50):
                client.root.notify("see", n, b"x" * 100_000)
            client.close()
            await client.wait_closed()
            await server.wait_closed()
            assert root.seen == list(range(50))

    run(main())


class _Closing(Waiting):
    """Closes its own connection in the middle of a call."""

    connection: Connection

    def remote_plain(self) -> str:
        self.connection.close()
        return "bye"

    async def remote_quick(self) -> str:
        self.connection.close()
        return "bye"

    async def remote_first(self) -> str:
        self.connection.close()
        await turn()
        return "bye"

    async def remote_last(self) -> str:
        await turn()
        self.connection.close()
        self.connection.close()
        await turn()
        return "bye"

    async def remote_outlast(self) -> str:
        await turn()
        self.connection.close()
        await until(lambda: "other" in self.ended)
        await turn()
        return "bye"

    async def remote_other(self) -> None:
        await until(lambda: self.connection.closed)
        self.ended.append("other")

    async def remote_stay(self) -> None:
        self.connection.close()
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("method", ["plain", "quick", "first", "last"])
def test_the_answer_of_the_call_that_closes_still_goes_out(
    run: Run, eager: bool, method: str
) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            waiting = client.root.call("wait")
            call = client.root.call(method)
            assert await call == "bye"
            assert isinstance(await failure(waiting), ConnectionLost)
            assert root.ended == ["cancelled"]
            await client.wait_closed()

    run(main())


def test_nothing_starts_behind_the_call_that_closes(run: Run, eager: bool) -> None:
    async def main() -> None:
        for method in ("plain", "first"):
            root = _Closing()
            async with pair(root, eager=eager) as (client, server):
                root.connection = server
                call, behind = client.root.call(method), client.root.call("wait")
                assert await call == "bye"
                assert isinstance(await failure(behind), ConnectionLost)
                assert not root.started.is_set()

    run(main())


def test_a_method_that_closes_and_stays_is_waited_for_only_so_long(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager, limits=Limits(close_time=0.02)) as (client, server):
            root.connection = server
            assert isinstance(await failure(client.root.call("stay")), ConnectionLost)
            await server.wait_closed()

    run(main())


def test_a_peer_that_goes_while_a_method_closes(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            call = client.root.call("stay")
            await until(lambda: server.closed)
            reasons: list[object] = []
            server.on_close(reasons.append)
            client.close()
            await server.wait_closed()
            assert isinstance(await failure(call), ConnectionLost)
            await until(lambda: reasons == [None])

    run(main())


def test_the_answer_of_the_call_that_closes_goes_to_a_peer_that_says_no_more(
    run: Run, eager: bool
) -> None:
    async def main() -> None:
        root = _Closing()
        limits = Limits(calls_running=2)
        root.connection = Connection("server", root=root, limits=limits, eager=eager)
        with await alone(root.connection) as sock:
            sock.send(CHOICE)
            # The last one waits until there is room for it.
            for name in (b"outlast", b"other", b"wait"):
                sock.send(encode([b"message", 1, b"root", name, 1, [b"tuple"], [b"dictionary"]]))
            sock.shutdown(socket.SHUT_WR)
            await root.connection.wait_closed()
            assert b"bye" in sock.recv(65536)
        assert not root.started.is_set()

    run(main())


def test_the_answer_of_the_call_that_closes_survives_a_flood(run: Run, eager: bool) -> None:
    async def main() -> None:
        root = _Closing()
        async with pellucid.serve(root, "pb://127.0.0.1:0") as server:
            client = await pellucid.connect(server.url)
            root.connection = server.connections[0]
            call = client.root.call("plain")
            for _ in range(100):
                client.root.notify("echo", b"x" * 300_000)
            assert await call == "bye"
            await client.wait_closed()

    run(main())


def test_wait_closed_in_a_method_of_the_connection_is_refused(run: Run, eager: bool) -> None:
    class Root(_Closing):
        async def remote_wait_closed(self) -> None:
            await self.connection.wait_closed()

        async def remote_wait_closed_later(self) -> None:
            await turn()
            await self.connection.wait_closed()

        async def remote_leave(self) -> None:
            async with self.connection:
                pass

    async def main() -> None:
        root = Root()
        async with pair(root, eager=eager) as (client, server):
            root.connection = server
            for method in ("wait_closed", "wait_closed_later", "leave"):
                error = await failure(client.root.call(method))
                assert isinstance(error, pellucid.PBError)
                assert "a method can't wait for the end of its own connection" in str(error)
            assert server.closed

    run(main())


def test_the_context_ends_in_close_and_wait_closed_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            async with client as same:
                assert same is client
            assert client.closed
            at_once(client.wait_closed())
        root = Waiting()
        async with pair(root) as (client, server):
            call = client.root.call("wait")
            await root.started.wait()

            async def use() -> None:
                async with server:
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(use())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            at_once(server.wait_closed())
            assert root.ended == ["cancelled"]
            assert isinstance(await failure(call), ConnectionLost)

    run(main())


def test_on_close_tells_why_also_after_the_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            mine: list[object] = []
            theirs: list[object] = []
            for _ in range(2):
                client.on_close(mine.append)
                server.on_close(theirs.append)
            client.close()
            client.on_close(mine.append)
            await client.wait_closed()
            await server.wait_closed()
            client.on_close(mine.append)
            server.on_close(theirs.append)
            await until(lambda: len(mine) == 4 and len(theirs) == 3)
            assert mine == [None] * 4
            assert [type(one) for one in theirs] == [EOFError] * 3
            assert len(set(map(id, theirs))) == 1

    run(main())


def test_two_wait_for_the_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            waiting = [asyncio.create_task(server.wait_closed()) for _ in range(2)]
            await asyncio.sleep(0)
            client.close()
            await asyncio.gather(*waiting)

    run(main())


def test_who_is_told_of_the_very_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            told: list[Connection] = []
            client.on_done(told.append)
            client.close()
            await client.wait_closed()
            assert told == [client]

    run(main())


# Calls of ours.


def test_answers_that_nobody_waits_for_any_more(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            calls = [client.root.call(name, 1) for name in ("echo", "nothing")]
            for call in calls:
                call.cancel()
            assert await client.root.call("echo", 2) == 2
            assert client._broker.ledger.used("calls_pending") == 0

    run(main())


def test_what_is_called_while_it_closes_is_dead(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.close()
            assert isinstance(await failure(client.root.call("echo", 1)), DeadReferenceError)
            with pytest.raises(DeadReferenceError):
                client.root.notify("echo", 1)

    run(main())


def test_another_thread_and_another_process_are_refused(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            thing = await client.root.call("thing")
            # Out of the turn in which it came, which would tell of its end.
            await turn()
            thread = client._out.thread
            for there, text in ((thread + 1, "another thread"), (0, "the process that forked")):
                client._out.thread = there
                with pytest.raises(RuntimeError, match=text):
                    thing.call("ping")
                with pytest.raises(RuntimeError, match=text):
                    thing.notify("ping")
                with pytest.raises(RuntimeError, match=text):
                    client.close()
            # A child that drops a reference says nothing on the connection of its parent.
            del thing
            await turn()
            assert tables(server) == (1, 0)
            client._out.thread = thread
            client._broker.releases._awake = False
            assert await client.root.call("echo", 1) == 1
            await until(lambda: tables(server) == (0, 0))

    run(main())


def test_a_reference_that_goes_wakes_the_loop(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            box = [await client.root.call("thing")]
            # The loop holds the future of the call until its next turn.
            await turn()
            await asyncio.to_thread(box.clear)
            await until(lambda: tables(server) == (0, 0))
            box = [await client.root.call("thing")]
            box.clear()
            await until(lambda: tables(server) == (0, 0))
            # After the loop there is nobody to wake.
            real, client._loop = client._loop, asyncio.new_event_loop()
            client._loop.close()
            client._wake()
            client._loop = real

    run(main())


def test_drain_where_nothing_waits(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            await client.drain()
            reason = OSError("the cable")
            client.abort(reason)
            with pytest.raises(ConnectionLost) as caught:
                await client.drain()
            assert caught.value.__cause__ is reason

    run(main())


# The hooks of the application.


class _Hook:
    """Something to run at the end, and how it went."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.seen: list[str] = []

    def plain(self, text: str) -> str:
        self.seen.append(text)
        return text.upper()

    async def later(self, text: str) -> str:
        await self.go.wait()
        return self.plain(text)

    def broken(self) -> None:
        raise KeyError("hook")

    async def broken_later(self) -> None:
        await asyncio.sleep(0)
        raise KeyError("hook")


def test_a_hook_may_be_plain_or_async(run: Run) -> None:
    async def main() -> None:
        hook = _Hook()
        hook.go.set()
        async with pair() as (client, _):
            assert await client.run_application(hook.plain, "a") == "A"
            assert await client.run_application(hook.later, "b") == "B"
            with pytest.raises(KeyError):
                await client.run_application(hook.broken)

    run(main())


def test_the_last_hooks_run_to_their_end(run: Run) -> None:
    async def main() -> None:
        hook = _Hook()
        async with pair() as (client, _):
            client.run_last(hook.later, "a")
            client.close()
            waiting = asyncio.create_task(client.wait_closed())
            await until(lambda: client._over)
            client.run_last(hook.later, "b")
            client.run_last(hook.plain, "c")
            await turn()
            assert not waiting.done()
            assert hook.seen == ["c"]
            hook.go.set()
            await waiting
            assert hook.seen == ["c", "a", "b"]
            # Also when nobody waits any more.
            client.run_last(hook.later, "d")
            await until(lambda: not client._last)
            assert hook.seen == ["c", "a", "b", "d"]

    run(main())


def test_a_last_hook_that_takes_too_long_is_not_waited_for(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        hook = _Hook()
        async with pair(client_limits=Limits(close_time=0.02)) as (client, _):
            client.close()
            client.on_close(lambda reason: client.run_last(hook.later, "a"))
            client.run_last(hook.later, "b")
            await client.wait_closed()
            hook.go.set()
            await until(lambda: len(hook.seen) == 2)

    run(main())
    assert "still running after the end of the connection: _Hook.later" in caplog.text


@pytest.mark.parametrize("name", ["broken", "broken_later"])
def test_a_last_hook_that_fails_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.run_last(getattr(_Hook(), name))
            client.close()
            await client.wait_closed()

    run(main())
    assert f"_Hook.{name} failed" in caplog.text
    assert "\nKeyError (texts" in caplog.text
    assert "'hook'" not in caplog.text


def test_what_a_connection_tells_of_itself(run: Run) -> None:
    async def main() -> None:
        limits = Limits(calls_running=7)
        async with pair(limits=limits) as (client, server):
            assert client.dialect == server.dialect == "pellucid"
            assert client.unix
            assert client.host == ""
            assert not client.encrypted
            assert client.certificate is None
            assert server.limits is limits
        async with (
            pellucid.serve(Echo(), FREE) as listening,
            pellucid.connect(listening.url) as connection,
        ):
            assert not connection.unix
            assert connection.host == "127.0.0.1"
        connection = Connection("client", dialects=("pb",))
        assert connection.dialect == ""
        connection.close()
        await connection.wait_closed()

    run(main())


def test_the_side_that_connected_speaks_an_older_dialect(run: Run) -> None:
    async def main() -> None:
        both = await join(Connection("client", dialects=("pb",)), Connection("server", root=Echo()))
        assert both.client.dialect == both.server.dialect == "pb"
        assert await both.client.root.call("echo", 1) == 1
        both.client.close()
        for connection in both:
            await connection.wait_closed()

    run(main())


def test_who_waits_for_the_end_hears_of_it_behind_the_callbacks(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            told: list[str] = []
            client.on_close(lambda reason: told.append("callback"))
            # What the loop does when the transport is lost, and a task that asks in that moment.
            client.abort()
            while not client._over:
                await asyncio.sleep(0)
            await client.wait_closed()
            told.append("waiter")
            assert told == ["callback", "waiter"]

    run(main())
