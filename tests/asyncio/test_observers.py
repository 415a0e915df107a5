"""Caches over a connection: who hears of changes, in which order, and until when."""

import asyncio
from typing import Any

import pytest

import pellucid
from pellucid import DeadReferenceError, Limits, Registry
from pellucid.asyncio import CacheObserver, Connection
from pellucid.asyncio.calls import EAGER_TASKS
from tests.asyncio.pairs import (
    OFFER,
    Pair,
    Reports,
    Run,
    alone,
    failure,
    join,
    left,
    turn,
    until,
)


class Board(pellucid.Cacheable, tag="tests.Board"):
    """Lines that everybody sees."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gone: list[object] = []

    def state_to_cache(self) -> dict[str, Any]:
        return {"lines": list(self.lines)}

    def stopped_observing(self, perspective: Any, observer: Any) -> Any:
        super().stopped_observing(perspective, observer)
        self.gone.append(observer)

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.update("add", line)


class Copy(pellucid.RemoteCache):
    lines: list[str]

    def observe_add(self, line: str) -> None:
        self.lines.append(line)

    async def observe_add_later(self, line: str) -> int:
        await asyncio.sleep(0)
        self.lines.append(line)
        return len(self.lines)

    def observe_fail(self) -> None:
        raise pellucid.Error("no")


class Root(pellucid.Root):
    def __init__(self, board: Any) -> None:
        self.board = board

    def remote_board(self) -> Any:
        return self.board

    def remote_add(self, line: str, other: Any = None) -> int:
        self.board.add(line)
        if other is not None:
            other.notify("never")
        return len(self.board.lines)

    def remote_call(self, other: Any) -> None:
        other.notify("last")

    async def remote_wait(self) -> None:
        await asyncio.get_running_loop().create_future()


def registry() -> Registry:
    known = Registry()
    known.cache("tests.Board", Copy)
    return known


async def both(root: object, *, eager: bool = EAGER_TASKS, limits: Limits | None = None) -> Pair:
    return await join(
        Connection("client", registry=registry(), eager=eager),
        Connection("server", root=root, limits=limits, eager=eager),
    )


async def end(pair: Pair) -> None:
    for connection in pair:
        connection.close()
    for connection in pair:
        await connection.finished()
        assert left(connection) == {}
        assert _caches(connection) == (0, 0)


def _caches(connection: Connection) -> tuple[int, int]:
    tables = connection._broker._tables
    return len(tables.cache_exports), len(tables.cache_imports)


def test_changes_are_seen_before_the_answer_behind_them(run: Run, eager: bool) -> None:
    async def main() -> None:
        board = Board()
        pair = await both(Root(board), eager=eager)
        copy = await pair.client.root.call("board")
        assert isinstance(copy, Copy)
        for n in range(1, 5):
            assert await pair.client.root.call("add", "x") == n
            assert copy.lines == ["x"] * n
        calls = [pair.client.root.call("add", "y") for _ in range(300)]
        assert await asyncio.gather(*calls) == list(range(5, 305))
        assert copy.lines == board.lines
        (observer,) = board.observers
        assert isinstance(observer, CacheObserver)
        assert observer.perspective is None
        assert not observer.closed
        assert await observer.call("add_later", "z") == 305
        with pytest.raises(pellucid.Error, match="no"):
            await observer.call("fail")
        with pytest.raises(pellucid.NoSuchMethod):
            await observer.call("nothing")
        del copy
        await end(pair)
        assert observer.closed

    run(main())


class Closes(pellucid.Referenceable):
    """Closes its connection, and waits for an answer that comes behind an update."""

    connection: Connection

    def __init__(self) -> None:
        self.heard: list[object] = []

    def remote_never(self) -> None:
        self.heard.append("never")

    async def remote_last(self) -> None:
        adding = [self.connection.root.call("add", "x", self) for _ in range(3)]
        self.connection.close()
        self.heard += await asyncio.gather(*adding)


def test_an_update_hides_no_answer_from_a_method_that_closes(run: Run, eager: bool) -> None:
    async def main() -> None:
        board, closes = Board(), Closes()
        both = await join(
            Connection("client", registry=registry(), eager=eager),
            Connection("server", root=Root(board), eager=eager),
        )
        closes.connection = both.client
        copy = await both.client.root.call("board")
        both.client.root.notify("call", closes)
        # It takes far less than `close_time`.
        async with asyncio.timeout(5):
            await both.client.finished()
        assert closes.heard == [1, 2, 3]
        assert copy.lines == []
        del copy
        await end(both)

    run(main())


def test_who_drops_a_copy_is_told_no_more(run: Run) -> None:
    async def main() -> None:
        board = Board()
        pair = await both(Root(board))
        copy = await pair.client.root.call("board")
        (observer,) = board.observers
        await turn()
        assert _caches(pair.server) == (1, 0)
        del copy
        await until(lambda: board.gone == [observer])
        assert board.observers == ()
        await until(lambda: _caches(pair.client) == (0, 0))
        assert isinstance(await failure(observer.call("add", "x")), DeadReferenceError)
        with pytest.raises(DeadReferenceError):
            observer.notify("add", "x")
        board.add("nobody")
        await end(pair)
        assert len(board.gone) == 1

    run(main())


def test_at_the_end_of_the_connection_all_are_told_once(run: Run) -> None:
    async def main() -> None:
        board, other = Board(), Board()
        seen: list[object] = []
        pair = await both(Root([board, other, board]))
        copies = await pair.client.root.call("board")
        assert copies[0] is copies[2]
        pair.server.on_close(lambda reason: seen.append((len(board.gone), len(other.gone))))
        pair.client.close()
        await pair.server.wait_closed()
        assert len(board.gone) == len(other.gone) == 1
        await until(lambda: seen == [(1, 1)])
        await end(pair)

    run(main())


class Awkward(Board, tag="tests.Board"):
    """Does not hear the news well."""

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        super().stopped_observing(perspective, observer)
        raise KeyError("awkward")


class Slow(Board, tag="tests.Board"):
    """Takes its time to hear the news."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def stopped_observing(self, perspective: Any, observer: Any) -> None:
        await self.go.wait()
        super().stopped_observing(perspective, observer)


def test_a_hook_that_fails_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        board = Awkward()
        pair = await both(Root(board))
        copy = await pair.client.root.call("board")
        await turn()
        del copy
        await until(lambda: len(board.gone) == 1)
        await until(lambda: _caches(pair.client) == (0, 0))
        assert await pair.client.root.call("add", "x") == 1
        await end(pair)

    run(main())
    assert "pb+unix://: Awkward.stopped_observing failed" in caplog.text
    assert "\nKeyError (texts" in caplog.text
    assert "'awkward'" not in caplog.text


def test_an_async_hook_is_through_before_the_copy_is_forgotten(run: Run) -> None:
    async def main() -> None:
        board = Slow()
        pair = await both(Root(board))
        copy = await pair.client.root.call("board")
        await turn()
        del copy
        await until(lambda: len(pair.server._last) == 1)
        await turn()
        assert _caches(pair.client) == (0, 1)
        board.go.set()
        await until(lambda: _caches(pair.client) == (0, 0))
        assert len(board.gone) == 1
        await end(pair)

    run(main())


def test_a_hook_that_ends_the_program_goes_on_to_the_loop(
    runner: asyncio.Runner, reports: Reports
) -> None:
    class Leaving(Board, tag="tests.Board"):
        def stopped_observing(self, perspective: Any, observer: Any) -> None:
            super().stopped_observing(perspective, observer)
            raise SystemExit(3)

    made: list[Pair] = []
    board = Leaving()

    async def start() -> None:
        made.append(await both(Root(board)))
        await made[0].client.root.call("board")
        await until(lambda: False)

    loop = runner.get_loop()
    task = loop.create_task(start())
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)
    task.cancel()
    assert len(board.gone) == 1
    runner.run(end(made[0]))


def test_news_while_a_copy_is_being_sent(run: Run) -> None:
    """Whoever sees the board already hears that one more looks, and who comes hears no old news."""

    class Crowd(Board, tag="tests.Board"):
        def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
            state = super().state_to_cache_and_observe_for(perspective, observer)
            self.add(f"visitor {len(self.observers)}")
            return state

    async def main() -> None:
        board = Crowd()
        first, second = await both(Root(board)), await both(Root(board))
        copies = [await pair.client.root.call("board") for pair in (first, second)]
        assert await first.client.root.call("add", "x") == 3
        assert await second.client.root.call("add", "y") == 4
        await until(lambda: all(copy.lines == board.lines for copy in copies))
        assert board.lines == ["visitor 1", "visitor 2", "x", "y"]
        copies.clear()
        await end(first)
        await end(second)

    run(main())


def test_who_takes_nothing_does_not_keep_the_others_from_hearing(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        board = Board()
        deaf = Connection("server", root=Root(board), limits=Limits(out_bytes=500_000), peer="deaf")
        pair = await both(Root(board))
        copies = [await pair.client.root.call("board")]
        with await alone(deaf) as sock:
            sock.send(b"\x02\x82pb\x02\x80\x13\x87\x06\x81")
            sock.send(
                pellucid.banana.encode(
                    [b"message", 1, b"root", b"board", 1, [b"tuple"], [b"dictionary"]]
                )
            )
            await until(lambda: len(board.observers) == 2)
            assert sock.recv(len(OFFER)) == OFFER
            observers = board.observers
            for _ in range(20):
                board.add("x" * 200_000)
            await deaf.wait_closed()
            assert isinstance(deaf._error, pellucid.LimitExceeded)
            assert deaf._error.limit == "out_bytes"
        assert len(board.observers) == 1
        with pytest.raises(DeadReferenceError):
            observers[1].notify("add", "x")
        await until(lambda: copies[0].lines == board.lines)
        copies.clear()
        await end(pair)

    run(main())
    assert "deaf: the connection was ended: too many bytes are waiting to be sent" in caplog.text


def test_what_can_not_be_sent_is_told_to_whoever_changes_something(run: Run) -> None:
    async def main() -> None:
        board = Board()
        pair = await both(Root(board))
        copy = await pair.client.root.call("board")
        with pytest.raises(pellucid.InsecureJelly):
            board.update("add", object())
        with pytest.raises(pellucid.LimitExceeded, match="string_bytes"):
            board.update("add", "x" * 700_000)
        assert await pair.client.root.call("add", "x") == 1
        assert copy.lines == ["x"]
        del copy
        await end(pair)

    run(main())


# Objects that want to hear that the other side has let go of them.


class Lent(pellucid.Referenceable):
    wants_release = True

    def __init__(self) -> None:
        self.seen: list[str] = []

    def released(self) -> Any:
        self.seen.append("released")


class Slower(Lent):
    async def released(self) -> None:
        await asyncio.sleep(0)
        super().released()
        raise KeyError("slower")


@pytest.mark.parametrize("kind", [Lent, Slower])
@pytest.mark.parametrize("how", ["dropped", "closed", "lost", "not sent"])
def test_an_object_hears_once_that_it_is_released(
    run: Run, caplog: pytest.LogCaptureFixture, kind: type[Lent], how: str
) -> None:
    async def main() -> None:
        lent = kind()
        pair = await both(Root([lent, object()] if how == "not sent" else lent))
        if how == "not sent":
            await failure(pair.client.root.call("board"))
        else:
            box = [await pair.client.root.call("board")]
            await turn()
            assert lent.seen == []
            if how == "dropped":
                box.clear()
            elif how == "closed":
                pair.server.close()
            else:
                assert pair.client._transport is not None
                pair.client._transport.abort()
        await until(lambda: lent.seen == ["released"])
        await end(pair)
        assert lent.seen == ["released"]

    run(main())
    assert ("Slower.released failed" in caplog.text) is (kind is Slower)


def test_a_call_that_is_not_sent_releases_without_anything_to_read(run: Run) -> None:
    async def main() -> None:
        lent = Lent()
        pair = await both(Root(None))
        assert await pair.client.root.call("board") is None
        error = await failure(pair.client.root.call("board", lent, object()))
        assert isinstance(error, pellucid.InsecureJelly)
        await until(lambda: lent.seen == ["released"])
        await end(pair)

    run(main())
