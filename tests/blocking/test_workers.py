"""Threads for the application's methods."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any
from weakref import ref

import pytest

from pellucid.blocking import workers as module
from pellucid.blocking.workers import Executor, Workers, serving
from tests.blocking.threads import PATIENCE, all_threads, until, wait


class End:
    """What came of one piece of work."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error
        self.there.set()


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.stop()
    made.join()


def run(workers: Workers, function: Any, owner: object = None) -> End:
    end = End()
    workers.start(function, end, owner)
    return end


def test_work_runs_on_a_thread_that_knows_for_whom(workers: Workers) -> None:
    owner = object()
    end = run(workers, lambda: (threading.current_thread(), serving()), owner)
    wait(end.there)
    thread, told = end.value
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert told is owner
    assert serving() is None


def test_who_hears_of_the_end_is_in_no_work_any_more(workers: Workers) -> None:
    told = End()
    workers.start(lambda: None, lambda value, error: told(serving(), error), object())
    wait(told.there)
    assert told.value is None


def test_an_error_is_told(workers: Workers) -> None:
    def fail() -> None:
        raise SystemExit(3)

    end = run(workers, fail)
    wait(end.there)
    assert isinstance(end.error, SystemExit)


def test_an_idle_thread_is_used_again(workers: Workers) -> None:
    seen = set()
    for _ in range(5):
        end = run(workers, threading.get_ident)
        wait(end.there)
        seen.add(end.value)
        until(lambda: workers.idle)
    assert len(seen) == 1


def test_a_thread_is_there_before_it_is_needed(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers.prepare()
    until(lambda: workers.idle)
    monkeypatch.setattr(threading.Thread, "start", fail)
    end = run(workers, lambda: 5)
    wait(end.there)
    assert end.value == 5
    # Where none can be made nothing happens.
    Workers().prepare()


def test_there_is_a_thread_for_everybody(workers: Workers) -> None:
    all_there = threading.Barrier(20, timeout=PATIENCE)
    ends = [run(workers, all_there.wait) for _ in range(20)]
    for end in ends:
        wait(end.there)
    assert [end.error for end in ends] == [None] * 20


def test_an_idle_thread_holds_nothing(workers: Workers) -> None:
    class Thing:
        pass

    def give(thing: Thing) -> Thing:
        return thing

    gone = threading.Event()
    thing = Thing()
    watch = ref(thing, lambda _: gone.set())
    end = run(workers, partial(give, thing))
    wait(end.there)
    del thing, end
    gc.collect()
    until(lambda: watch() is None)
    assert gone.is_set()


def test_an_idle_thread_ends_after_a_while(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_threads()
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
    ends = [run(workers, lambda: None) for _ in range(5)]
    for end in ends:
        wait(end.there)
    until(lambda: all_threads() == before)
    end = run(workers, lambda: "again")
    wait(end.there)
    assert end.value == "again"


def test_handing_work_races_with_idle_threads_that_end(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
    for number in range(500):
        end = run(workers, lambda number=number: number)
        wait(end.there)
        assert end.value == number


def test_after_stop_every_thread_ends(workers: Workers) -> None:
    before = all_threads()
    all_there = threading.Barrier(5, timeout=PATIENCE)
    for end in [run(workers, all_there.wait) for _ in range(5)]:
        wait(end.there)
    workers.stop()
    workers.join()
    assert all_threads() == before


def test_joining_does_not_wait_for_a_method_that_does_not_end(workers: Workers) -> None:
    go, started = threading.Event(), threading.Event()

    def stay() -> None:
        started.set()
        wait(go)

    end = run(workers, stay)
    wait(started)
    workers.stop()
    workers.join()
    assert not end.there.is_set()
    go.set()
    wait(end.there)
    workers.join()


def test_a_worker_may_join_the_others(workers: Workers) -> None:
    def stop() -> None:
        workers.stop()
        workers.join()

    end = run(workers, stop)
    wait(end.there)
    assert end.error is None


def test_without_a_thread_work_waits_for_one(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, started = threading.Event(), threading.Event()

    def stay() -> None:
        started.set()
        wait(go)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first = run(workers, stay)
    wait(started)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = run(workers, lambda: "second")
        third = run(workers, lambda: "third")
    assert len(workers.backlog) == 2
    go.set()
    for end in (first, second, third):
        wait(end.there)
    assert (second.value, third.value) == ("second", "third")


def test_without_any_thread_work_is_refused(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            run(workers, lambda: None)
    end = run(workers, lambda: "later")
    wait(end.there)
    assert end.value == "later"


def test_a_loop_runs_its_own_functions_there(workers: Workers) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Executor(workers))
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 7, 0)
        assert (await loop.getaddrinfo("localhost", 1))[0]

    asyncio.run(main())
