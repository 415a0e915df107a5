"""Waiting for the background thread."""

import threading

import pytest

from pellucid.blocking import thread as module
from pellucid.blocking.thread import Background
from pellucid.blocking.waiter import Ended, Waiter
from pellucid.errors import ConnectionLost
from tests.blocking.threads import (
    Doing,
    interrupt,
    wait,
)
from tests.blocking.users import User, ask


def test_waiting_gives_the_result_or_raises_the_error(thread: Background) -> None:
    assert ask(thread, lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        ask(thread, lambda: 1 // 0)


def test_only_the_first_outcome_counts(thread: Background) -> None:
    def twice(waiter: Waiter) -> None:
        waiter.set_result(1)
        waiter.set_result(2)
        waiter.set_exception(ValueError())
        assert waiter.done()

    assert thread.request(twice).wait() == 1


def test_waiting_ends_after_a_time(thread: Background) -> None:
    kept: list[Waiter] = []
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        thread.request(kept.append).wait(0)
    with pytest.raises(TimeoutError):
        thread.request(kept.append).wait(-5)
    ask(thread, lambda: None)
    assert [waiter.done() for waiter in kept] == [True, True]
    assert thread.waiters == set()


def test_any_time_can_be_waited(thread: Background) -> None:
    assert thread.request(lambda waiter: waiter.set_result(1)).wait(float("inf")) == 1


def test_whoever_waits_when_the_thread_ends_hears_of_it(user: User) -> None:
    kept: list[Waiter] = []
    heard = threading.Event()

    def keep(waiter: Waiter) -> None:
        kept.append(waiter)
        heard.set()

    waiting = Doing(lambda: user.thread.request(keep).wait())
    wait(heard)
    user.thread.post(user.close)
    with pytest.raises(Ended):
        waiting.result()


def test_ctrl_c_ends_waiting(thread: Background) -> None:
    kept: list[Waiter] = []

    def keep(waiter: Waiter) -> None:
        kept.append(waiter)
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        thread.request(keep).wait()
    assert kept[0].done()
    kept[0].set_result(1)
    assert thread.waiters == set()


def test_only_a_daemon_thread_rests_when_the_interpreter_exits(
    thread: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The threads that rest do so for ever, so that this test has none.
    monkeypatch.setattr(module._state, "exiting", True)

    def fail(waiter: Waiter) -> None:
        waiter.set_exception(ConnectionLost("closed"))

    with pytest.raises(ConnectionLost):
        thread.request(fail).wait()
    with pytest.raises(ConnectionLost):
        Doing(lambda: thread.request(fail).wait(), daemon=False).result()
