"""Which methods run where, in which order, and in which context."""

import threading
from contextvars import ContextVar
from typing import Any

import pytest

import pellucid
from pellucid import blocking
from pellucid.blocking.calls import WorkerCalls
from pellucid.blocking.workers import Workers
from tests.blocking.threads import PATIENCE, Doing, Echo, Waiting, joined, until, wait

seen: ContextVar[str] = ContextVar("seen", default="nothing")


def test_methods_run_on_workers() -> None:
    class Where(pellucid.Root):
        def remote_where(self) -> str:
            return threading.current_thread().name

    with joined(Where()) as pair:
        assert pair.client.root.call("where") == "pellucid worker"


def test_what_says_so_runs_on_the_loop() -> None:
    class Where(pellucid.Root):
        runs_on_loop = True

        def remote_where(self) -> str:
            return threading.current_thread().name

        async def remote_later(self) -> str:
            return threading.current_thread().name

    with joined(Where()) as pair:
        assert pair.client.root.call("where") == "pellucid"
        assert pair.client.root.call("later") == "pellucid"


def test_calls_are_handed_to_workers_in_the_order_in_which_they_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int] = []
    start = WorkerCalls.start

    def watched(self: WorkerCalls, call: Any) -> bool:
        started.append(call.args[0])
        return start(self, call)

    monkeypatch.setattr(WorkerCalls, "start", watched)
    echo = Echo()
    with joined(echo) as pair:
        for number in range(200):
            pair.client.root.notify("keep", number)
        assert pair.client.root.call("echo", 200) == 200
        until(lambda: len(echo.kept) == 200)
    assert started == list(range(201))
    assert set(echo.kept) == set(range(200))


def test_each_call_has_a_context_of_its_own() -> None:
    class Changing(pellucid.Root):
        def remote_change(self, value: str) -> str:
            before = seen.get()
            seen.set(value)
            return before

    with joined(Changing()) as pair:
        for value in ("one", "two", "three"):
            assert pair.client.root.call("change", value) == "nothing"


def test_a_thread_that_a_method_starts_does_not_stand_for_it() -> None:
    class Starting(Echo):
        def remote_close(self) -> None:
            # Closing from inside of the method would not wait for it; from this thread it does.
            self.kept.append(Doing(pellucid.current_call().connection.close))
            self.kept[0].thread.join(0)

    root = Starting()
    with joined(root) as pair:
        try:
            pair.client.root.call("close")
        except pellucid.ConnectionClosed:
            pass
        until(lambda: root.kept)
        root.kept[0].result()


def test_without_a_thread_a_call_fails_and_others_do_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Workers, *args: Any) -> None:
        raise RuntimeError("can't start new thread")

    with joined() as pair:
        with monkeypatch.context() as patch:
            patch.setattr(Workers, "start", refuse)
            with pytest.raises(pellucid.RemoteError, match="can't start new thread"):
                pair.client.root.call("echo", 1)
        assert pair.client.root.call("echo", 2) == 2
        pair.prove_empty()


def test_a_method_that_closes_and_waits_for_another_call_is_cut_after_a_while() -> None:
    limits = pellucid.Limits(close_time=0.05)

    class Closing(Waiting):
        def remote_close(self) -> None:
            pellucid.current_call().connection.close()
            wait(self.go)

    closing = Closing()
    ended = threading.Event()
    with blocking.serve(closing, "pb://127.0.0.1:0", limits=limits) as server:
        with blocking.connect(server.url) as client:
            client.on_close(lambda reason: ended.set())
            with pytest.raises(pellucid.ConnectionLost):
                client.root.call("close")
            wait(ended)
        closing.go.set()


def test_many_calls_at_once_from_both_sides_end() -> None:
    """Each call of one side makes two of the other, in threads of its own."""

    class Both(pellucid.Root):
        def remote_both(self, other: Any, depth: int) -> int:
            if not depth:
                return 1
            calls = [Doing(other.call, "both", self, depth - 1) for _ in range(2)]
            return sum(call.result() for call in calls)

    with joined(Both()) as pair:
        assert pair.client.root.within(PATIENCE).call("both", Both(), 6) == 64
        pair.prove_empty()
