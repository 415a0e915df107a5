"""The one lock under which caches are changed."""

import threading
from typing import Any

import pytest

from pellucid.blocking.locks import StateLock, after_release, holding, snapshot
from pellucid.errors import DeadReferenceError, InsecureJelly
from tests.blocking.threads import Doing


class Errand:
    """Something that was asked for, and what comes of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.waited: list[bool] = []

    def wait(self) -> None:
        self.waited.append(holding())
        if self.error is not None:
            raise self.error


def test_a_thread_knows_whether_it_holds_the_lock() -> None:
    lock = StateLock()
    assert not holding()
    with lock, lock:
        assert holding()
        assert not Doing(holding).result()
    assert not holding()


def test_one_thread_at_a_time_holds_it() -> None:
    lock = StateLock()
    with lock:
        assert not Doing(lock.acquire, False).result()
        assert not Doing(lock.acquire, True, 0.001).result()
        assert lock.acquire()
        lock.release()
    assert not holding()


def test_what_was_asked_for_is_waited_for_when_the_lock_is_free() -> None:
    lock = StateLock()
    errand = Errand()
    with lock:
        with lock:
            after_release(errand)
        assert errand.waited == []
    assert errand.waited == [False]
    with lock:
        pass
    assert errand.waited == [False]


def test_the_first_error_is_raised_when_all_were_waited_for() -> None:
    lock = StateLock()
    errands = [Errand(), Errand(InsecureJelly("one")), Errand(InsecureJelly("two"))]
    lock.acquire()
    for errand in errands:
        after_release(errand)
    with pytest.raises(InsecureJelly, match="one"):
        lock.release()
    assert not holding()
    assert [errand.waited for errand in errands] == [[False]] * 3


def test_nobody_misses_an_update_to_a_connection_that_has_ended() -> None:
    with StateLock():
        after_release(Errand(DeadReferenceError("gone")))


def test_an_error_of_an_update_does_not_hide_that_of_the_application() -> None:
    with pytest.raises(KeyError) as caught, StateLock():
        after_release(Errand(InsecureJelly("unsendable")))
        raise KeyError("mine")
    assert caught.value.__notes__ == ["besides, an update failed: unsendable"]


def test_an_error_of_an_update_is_raised_at_the_end_of_with() -> None:
    with pytest.raises(InsecureJelly, match="unsendable"), StateLock():
        after_release(Errand(InsecureJelly("unsendable")))
    assert not holding()


def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    lock = StateLock()
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            go.wait()
            # What a thread of the parent does with its own lock is not looked at here.
            lock._lock.acquire()

    def forked() -> bool:
        lock.renew()
        return lock.acquire(False)

    other = Doing(hold)
    held.wait()
    assert forked()
    lock.release()
    go.set()
    other.result()


def test_a_thread_that_forks_under_the_lock_still_holds_it() -> None:
    lock = StateLock()
    with lock, lock:
        after_release(Errand(InsecureJelly("the parent's")))
        lock.renew()
        assert holding()
        assert not Doing(lock.acquire, False).result()
    assert Doing(lock.acquire, False).result()


@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        None,
        [1, [2, (3, {4})], {"five": bytearray(b"6")}],
        {(1, 2): [3], "x": {}},
        frozenset({1}),
        (),
    ],
)
def test_a_snapshot_is_equal(value: object) -> None:
    assert snapshot(value) == value
    assert type(snapshot(value)) is type(value)


def test_a_snapshot_does_not_change() -> None:
    inner = [1]
    value = {"list": inner, "again": inner, "set": {1}, "bytes": bytearray(b"x"), "in": (inner,)}
    copy: Any = snapshot(value)
    inner.append(2)
    value["set"].add(2)  # type: ignore[attr-defined]
    value["bytes"].append(2)  # type: ignore[attr-defined]
    value["new"] = 1  # type: ignore[assignment]
    assert copy == {"list": [1], "again": [1], "set": {1}, "bytes": b"x", "in": ([1],)}
    assert copy["list"] is copy["again"]
    assert copy["list"] is copy["in"][0]


def test_a_snapshot_keeps_cycles() -> None:
    loop: list[Any] = []
    loop.append({"me": loop, "both": (loop, loop)})
    copy = snapshot(loop)
    assert copy is not loop
    assert copy[0]["me"] is copy
    assert copy[0]["both"][1] is copy
    inner: list[Any] = []
    pair = (inner, 1)
    inner.append(pair)
    copied = snapshot(pair)
    assert copied is not pair
    assert copied[0][0][1] == 1
    assert copied[0] is not inner


def test_a_snapshot_leaves_objects_and_what_is_too_deep_alone() -> None:
    class Thing(list[int]):
        pass

    thing = Thing([1])
    assert snapshot([thing])[0] is thing
    deep: list[Any] = []
    bottom = deep
    for _ in range(10_000):
        deep = [deep]
    copy = snapshot(deep)
    assert copy is not deep
    while copy:
        copy = copy[0]
    assert copy is bottom
