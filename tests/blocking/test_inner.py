"""The application's hooks, which the face on the background thread has run on workers."""

import asyncio
import threading
from typing import Any

import pytest

import pellucid
from pellucid import blocking
from tests.blocking.threads import Pair, joined, until, wait


class Board(pellucid.Cacheable, tag="tests.InnerBoard"):
    """A cache that tells how it is left."""

    def __init__(self) -> None:
        self.left: list[str] = []

    def state_to_cache(self) -> dict[str, Any]:
        return {}


class BoardCopy(pellucid.RemoteCache):
    pass


class Owner(pellucid.Root):
    def __init__(self, board: Board) -> None:
        self.board = board

    def remote_board(self) -> Board:
        return self.board


def registry() -> pellucid.Registry:
    made = pellucid.Registry()
    made.cache("tests.InnerBoard", BoardCopy)
    return made


def run(pair: Pair, function: Any, *args: Any) -> Any:
    """Have a connection run a hook."""
    inner = pair.server._inner
    return inner.background.run(lambda: inner.run_application(function, *args))


def thread_name() -> str:
    return threading.current_thread().name


def test_a_hook_runs_on_a_worker() -> None:
    with joined() as pair:
        assert run(pair, thread_name) == "pellucid worker"
        assert run(pair, divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            run(pair, divmod, 7, 0)


def test_an_async_hook_runs_on_the_loop() -> None:
    async def hook(number: int) -> tuple[str, int]:
        await asyncio.sleep(0)
        return thread_name(), number

    with joined() as pair:
        assert run(pair, hook, 5) == ("pellucid", 5)


def test_a_last_hook_runs_to_its_end_when_the_connection_ends() -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[str] = []

    def last(text: str) -> None:
        begun.set()
        wait(go)
        ended.append(text)

    with joined() as pair:
        inner = pair.server._inner
        inner.background.post(inner.run_last, last, "done")
        wait(begun)
        pair.client.close()
        until(lambda: inner.closed)
        go.set()
        pair.server.close()
        assert ended == ["done"]


def test_a_last_hook_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def last() -> None:
        raise LookupError("mine")

    with joined() as pair:
        pair.server._inner.background.post(pair.server._inner.run_last, last)
    assert "\nLookupError (texts" in caplog.text


def test_that_a_copy_is_gone_is_told_before_the_other_side_hears() -> None:
    go = threading.Event()

    class Slow(Board, tag="tests.InnerBoard"):
        def stopped_observing(self, perspective: object, observer: Any) -> None:
            wait(go)
            observer.notify("last")
            super().stopped_observing(perspective, observer)
            self.left.append(thread_name())

    board = Slow()
    with joined(Owner(board), registry=registry()) as pair:
        pair.client.root.call("board")
        inner = pair.server._inner
        until(lambda: inner._last)
        assert board.left == []
        go.set()
        pair.prove_empty()
        assert board.left == ["pellucid worker"]


def test_an_async_stopped_observing_is_waited_for() -> None:
    class Later(Board, tag="tests.InnerBoard"):
        async def stopped_observing(self, perspective: object, observer: object) -> None:
            await asyncio.sleep(0)
            super().stopped_observing(perspective, observer)
            self.left.append(thread_name())

    board = Later()
    with joined(Owner(board), registry=registry()) as pair:
        pair.client.root.call("board")
        until(lambda: board.left)
        pair.prove_empty()
    assert board.left == ["pellucid"]
    assert board.observers == ()


@pytest.mark.parametrize("later", [False, True])
def test_a_stopped_observing_that_fails_is_logged(
    later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Plain(Board, tag="tests.InnerBoard"):
        def stopped_observing(self, perspective: object, observer: object) -> None:
            raise LookupError("mine")

    class Later(Board, tag="tests.InnerBoard"):
        async def stopped_observing(self, perspective: object, observer: object) -> None:
            raise LookupError("mine")

    board = Later() if later else Plain()
    with joined(Owner(board), registry=registry()) as pair:
        pair.client.root.call("board")
        pair.prove_empty()
    assert "stopped_observing failed" in caplog.text
    assert "\nLookupError (texts" in caplog.text


def test_a_copy_that_is_not_taken_ends_its_connection() -> None:
    """Its updates are lost, so it would be wrong from then on."""
    board = Board()
    limits = pellucid.Limits(out_bytes=50_000)
    ended: list[BaseException | None] = []
    with joined(Owner(board), registry=registry(), limits=limits) as pair:
        pair.server.on_close(ended.append)
        kept = pair.client.root.call("board")
        (observer,) = board.observers
        client = pair.client._inner
        client.background.post(client._transport.pause_reading)  # type: ignore[union-attr]
        with pytest.raises(pellucid.DeadReferenceError):
            while True:
                observer.notify("change", "x" * 10_000)
        until(lambda: ended)
        client.background.post(client._transport.resume_reading)  # type: ignore[union-attr]
        assert type(kept) is BoardCopy
        assert isinstance(ended[0], pellucid.LimitExceeded)


def test_only_the_side_that_connected_has_a_root() -> None:
    with joined() as pair:
        assert isinstance(pair.client.root, blocking.RemoteReference)
        with pytest.raises(pellucid.LocalProtocolError):
            pair.server.root.notify("echo")
