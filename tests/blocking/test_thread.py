"""The background thread: how it starts, waits, is waited for, and ends."""

import asyncio
import threading
from typing import Any

import pytest

from pellucid.blocking.locks import state_lock
from pellucid.blocking.thread import Background, background, running
from pellucid.blocking.waiter import Ended, Waiter
from pellucid.errors import LocalProtocolError
from tests.blocking.threads import (
    PATIENCE,
    Doing,
    forked,
    interrupt,
    many_threads,
    wait,
)
from tests.blocking.users import User, ask


def test_there_is_one_as_long_as_it_has_users(user: User) -> None:
    first = background()
    assert first is user.thread
    assert first.thread.daemon
    assert ask(first, running) is first
    user.thread.post(user.close)
    first.thread.join(PATIENCE)
    first.join()
    assert not first.thread.is_alive()
    with pytest.raises(Ended):
        first.post(print)
    first.try_post(print)
    second = background()
    assert second is not first
    user.thread = second
    User.__init__(user, second)


def test_many_threads_start_one_together() -> None:
    together = threading.Barrier(8, timeout=PATIENCE)

    def start() -> Background:
        together.wait()
        return background()

    found = {thread.result() for thread in [Doing(start) for _ in range(8)]}
    assert len(found) == 1
    user = User(found.pop())
    user.thread.post(user.close)
    user.thread.thread.join(PATIENCE)


def test_a_thread_that_does_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            background()
    user = User(background())
    user.thread.post(user.close)
    user.thread.thread.join(PATIENCE)


def test_posting_races_with_the_end() -> None:
    for _ in range(30):
        user = User(background())
        together = threading.Barrier(3, timeout=PATIENCE)

        def call(user: User = user, together: threading.Barrier = together) -> str:
            together.wait()
            count = 0
            while True:
                try:
                    ask(user.thread, lambda: None)
                except Ended:
                    return f"ended after {count}"
                count += 1

        callers = [Doing(call) for _ in range(2)]
        together.wait()
        user.thread.post(user.close)
        for caller in callers:
            assert caller.result().startswith("ended")
        user.thread.thread.join(PATIENCE)
        assert user.thread.waiters == set()


def test_the_thread_can_not_wait_for_itself(thread: Background) -> None:
    with pytest.raises(LocalProtocolError, match="wait for itself"):
        ask(thread, thread.check_may_wait)


def test_under_the_lock_nobody_may_wait(thread: Background) -> None:
    with state_lock, pytest.raises(LocalProtocolError, match="under the lock"):
        thread.check_may_wait()
    thread.check_may_wait()


def test_a_coroutine_runs_on_the_thread(thread: Background) -> None:
    async def main() -> Background:
        await asyncio.sleep(0)
        return running()

    async def fail() -> None:
        raise LookupError("x")

    assert thread.run(main) is thread
    with pytest.raises(LookupError):
        thread.run(fail)


def test_the_thread_lives_while_a_coroutine_runs() -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        return 1

    thread = background()
    assert thread.run(main) == 1
    thread.thread.join(PATIENCE)
    assert not thread.thread.is_alive()


def test_ctrl_c_cancels_the_coroutine(thread: Background) -> None:
    cancelled = threading.Event()

    async def main() -> None:
        interrupt()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        thread.run(main)
    wait(cancelled)


def test_a_result_that_comes_too_late_is_undone(
    thread: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> str:
        return "opened"

    undone: list[str] = []
    finished = threading.Event()

    def undo(result: str) -> None:
        undone.append(result)
        finished.set()

    def interrupted(self: Waiter) -> Any:
        wait(told)
        raise KeyboardInterrupt

    told = threading.Event()
    settle = Waiter._settle

    def settled(self: Waiter) -> None:
        settle(self)
        told.set()

    with monkeypatch.context() as patch:
        patch.setattr(Waiter, "_settle", settled)
        patch.setattr(Waiter, "_outcome", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.run(main, undo)
    wait(finished)
    assert undone == ["opened"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_reaches_who_serves(
    thread: Background, kind: type[BaseException]
) -> None:
    def leave(waiter: Waiter) -> None:
        raise kind(7)

    with pytest.raises(kind):
        thread.wait_forever(leave)
    # Nobody else is disturbed.
    assert ask(thread, lambda: 1) == 1


def test_who_serves_goes_on_when_told(thread: Background) -> None:
    thread.wait_forever(lambda waiter: waiter.set_result(None))


def test_finishing_closes_the_users_and_ends_the_thread(user: User) -> None:
    user.thread.finish()
    assert user.calls == ["close"]
    assert not user.thread.thread.is_alive()
    user.thread.finish()


def test_a_user_that_does_not_close_is_cut(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "close", lambda: user.calls.append("close"))
    user.thread._patience = 0.0
    user.thread.finish()
    assert user.calls == ["close", "abort"]
    assert not user.thread.thread.is_alive()


def test_finishing_cancels_what_is_being_opened() -> None:
    begun = threading.Event()

    async def main() -> None:
        begun.set()
        await asyncio.Event().wait()

    thread = background()
    opening = Doing(thread.run, main, daemon=False)
    wait(begun)
    thread.finish()
    with pytest.raises(Ended):
        opening.result()


def test_tasks_and_late_transports_do_not_outlive_the_thread(user: User) -> None:
    tasks: list[asyncio.Task[Any]] = []

    def start() -> None:
        tasks.append(user.thread.loop.create_task(asyncio.Event().wait()))

    ask(user.thread, start)
    user.thread.post(user.close)
    user.thread.thread.join(PATIENCE)
    assert tasks[0].cancelled()


def test_asyncio_s_own_functions_run_on_workers_that_end(thread: Background) -> None:
    async def look_up() -> Any:
        return await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    assert thread.run(look_up)


# A process that is forked.


@many_threads
def test_a_forked_process_begins_afresh(user: User) -> None:
    old = user.thread

    def child() -> None:
        with pytest.raises(RuntimeError, match="the process that forked"):
            old.post(print)
        old.try_post(print)
        old.join()
        new = background()
        assert new is not old
        inner = User(new)
        assert ask(new, lambda: 5) == 5
        new.post(inner.close)
        new.thread.join(PATIENCE)
        assert not new.thread.is_alive()

    assert forked(child) == 0
    # The parent's loop is undisturbed.
    assert ask(old, lambda: 6) == 6
