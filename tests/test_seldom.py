"""Lines of a log that others can cause: so many in a time, and not one more."""

import time

from pellucid.seldom import Seldom


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


def test_the_first_ones_are_allowed_and_the_last_of_them_says_so() -> None:
    seldom = Seldom(Clock(), 3, 60.0)
    allowed = [(seldom.allows(), seldom.is_last) for _ in range(5)]
    assert allowed == [(True, False), (True, False), (True, True), (False, False), (False, False)]


def test_after_a_while_they_are_allowed_again() -> None:
    clock = Clock()
    seldom = Seldom(clock, 1, 60.0)
    assert [seldom.allows(), seldom.allows()] == [True, False]
    clock.now += 59.9
    assert not seldom.allows()
    clock.now += 0.1
    assert [seldom.allows(), seldom.allows()] == [True, False]


def test_each_has_a_count_of_its_own() -> None:
    first, second = Seldom(time.monotonic, 1), Seldom(time.monotonic, 1)
    assert [first.allows(), first.allows(), second.allows()] == [True, False, True]
    assert first.period == 60.0


def test_other_numbers_count_what_was_allowed_already() -> None:
    clock = Clock()
    seldom = Seldom(clock, 2, 60.0)
    assert [seldom.allows() for _ in range(3)] == [True, True, False]
    seldom.allow(5)
    # Those that were not allowed count as well.
    allowed = [(seldom.allows(), seldom.is_last) for _ in range(3)]
    assert allowed == [(True, False), (True, True), (False, False)]
    seldom.allow(1)
    assert not seldom.allows()
    clock.now += 60.0
    allowed = [(seldom.allows(), seldom.is_last) for _ in range(2)]
    assert allowed == [(True, True), (False, False)]
