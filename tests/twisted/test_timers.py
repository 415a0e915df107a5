"""Timers with names."""

from twisted.internet.task import Clock

from pellucid.twisted.timers import Timers


def test_a_timer_rings_once() -> None:
    clock, rung = Clock(), list[object]()
    timers = Timers(clock)
    timers.start("a", 5, rung.append, 1)
    clock.advance(4.9)
    assert rung == []
    clock.advance(0.1)
    assert rung == [1]
    assert clock.calls == []


def test_the_first_of_a_name_counts() -> None:
    clock, rung = Clock(), list[object]()
    timers = Timers(clock)
    timers.start("a", 5, rung.append, 1)
    timers.start("a", 1, rung.append, 2)
    timers.start("b", 1, rung.append, 3)
    clock.advance(10)
    assert rung == [3, 1]


def test_what_rings_can_start_it_again() -> None:
    clock, rung = Clock(), list[int]()
    timers = Timers(clock)

    def ring(n: int) -> None:
        rung.append(n)
        if n:
            timers.start("a", 1, ring, n - 1)

    timers.start("a", 1, ring, 2)
    clock.pump([1, 1, 1, 1])
    assert rung == [2, 1, 0]


def test_cancelling() -> None:
    clock, rung = Clock(), list[object]()
    timers = Timers(clock)
    timers.start("a", 5, rung.append, 1)
    timers.cancel("a")
    timers.cancel("b")
    clock.advance(10)
    timers.start("a", 5, rung.append, 2)
    clock.advance(10)
    assert rung == [2]


def test_at_the_end_none_runs_or_is_started() -> None:
    clock, rung = Clock(), list[object]()
    timers = Timers(clock)
    timers.start("a", 5, rung.append, 1)
    timers.start("b", 6, rung.append, 2)
    timers.cancel_all()
    timers.start("c", 7, rung.append, 3)
    assert clock.calls == []
    clock.advance(10)
    assert rung == []


def test_without_a_reactor_nothing_rings() -> None:
    timers = Timers()
    timers.start("a", 0, list[object]().append, 1)
    timers.cancel("a")
    timers.cancel_all()
