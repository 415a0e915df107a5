"""The order in which updates and answers are handed over, on one thread and without workers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pellucid.blocking.jobs import Job, Lane, depart, hand_over


class Desk:
    """Stands for the background thread and its workers: what is started ends when told to."""

    def __init__(self) -> None:
        self.workers: Any = self
        self.started: list[str] = []
        self._ends: dict[str, Callable[[Any, BaseException | None], None]] = {}
        self.refuses = False
        self.posted: list[tuple[Callable[..., object], Any]] = []

    def start(self, function: Callable[[], str], done: Any, owner: Job) -> None:
        if self.refuses:
            raise RuntimeError("no thread")
        name = function()
        self.started.append(name)
        self._ends[name] = done

    def end(self, name: str, value: Any = None, error: BaseException | None = None) -> None:
        self._ends.pop(name)(value, error)
        self.run()

    def try_post(self, callback: Callable[..., object], *args: Any) -> None:
        self.posted.append((callback, args))

    def run(self) -> None:
        while self.posted:
            callback, args = self.posted.pop(0)
            callback(*args)


class Ended(list[tuple[str, Any, Any]]):
    """The jobs that have ended."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def lane() -> Lane:
    return Lane()


@pytest.fixture
def job(desk: Desk, ended: Ended, lane: Lane) -> Callable[..., Job]:
    def make(name: str, lane: Lane | None = lane) -> Job:
        def then(job: Job, value: Any, error: BaseException | None) -> None:
            ended.append((name, value, error))

        return Job(desk, "connection", lambda: name, then, lane)

    return make


class Waiting:
    """A thread that waits for an answer."""

    def __init__(self, work: object = None) -> None:
        self.work = work
        self.lane: Lane | None = None
        self.outcome: list[Any] = []

    def done(self) -> bool:
        return bool(self.outcome)

    def set_result(self, value: Any) -> None:
        self.outcome.append(value)

    def set_exception(self, error: BaseException) -> None:
        self.outcome.append(error)


Make = Callable[..., Job]


def test_a_job_tells_what_came_of_it(desk: Desk, ended: Ended, job: Make) -> None:
    one = job("one", None)
    heard: list[Job] = []
    one.add_done_callback(heard.append)
    one.start()
    assert ended == []
    desk.end("one", 1)
    assert ended == [("one", 1, None)]
    assert heard == [one]


def test_without_a_thread_a_job_fails(desk: Desk, ended: Ended, job: Make, lane: Lane) -> None:
    desk.refuses = True
    job("free", None).start()
    for number in range(5_000):
        lane.start(job(str(number)))
    desk.run()
    assert len(ended) == 5_001
    assert all(isinstance(error, RuntimeError) for _, _, error in ended)


def test_the_jobs_of_a_lane_run_one_at_a_time_in_order(desk: Desk, job: Make, lane: Lane) -> None:
    for name in ("a", "b", "c"):
        lane.start(job(name))
    assert desk.started == ["a"]
    desk.end("a")
    assert desk.started == ["a", "b"]
    desk.end("b", error=ValueError("b"))
    assert desk.started == ["a", "b", "c"]


def test_the_next_one_starts_also_if_the_end_of_one_goes_wrong(desk: Desk, lane: Lane) -> None:
    def fail(job: Job, value: Any, error: BaseException | None) -> None:
        raise LookupError

    for name in ("a", "b"):
        lane.start(Job(desk, None, partial(str, name), fail, lane))
    with pytest.raises(LookupError):
        desk.end("a")
    assert desk.started == ["a", "b"]


def test_an_answer_is_handed_over_at_once_if_nothing_is_before_it(lane: Lane) -> None:
    waiting = Waiting()
    lane.answer(waiting, 1, None)
    assert waiting.outcome == [1]


def test_an_answer_waits_for_the_updates_before_it(desk: Desk, job: Make, lane: Lane) -> None:
    first, second = Waiting(), Waiting()
    lane.start(job("a"))
    lane.answer(first, 1, None)
    lane.start(job("b"))
    error = ValueError()
    lane.answer(second, None, error)
    assert first.outcome == []
    desk.end("a")
    assert first.outcome == [1]
    assert second.outcome == []
    desk.end("b")
    assert second.outcome == [error]


def test_who_waits_no_more_gets_nothing() -> None:
    waiting = Waiting()
    waiting.outcome.append("late")
    hand_over(waiting, 1, None)
    assert waiting.outcome == ["late"]


def test_a_job_that_waits_lets_others_go_on_and_comes_back(
    desk: Desk, job: Make, lane: Lane
) -> None:
    one = job("one")
    lane.start(one)
    lane.start(job("two"))
    lane.start(job("three"))
    outside, inside = Waiting(), Waiting(one)
    lane.answer(outside, "outside", None)
    depart(inside)
    assert desk.started == ["one", "two"]
    lane.answer(inside, "inside", None)
    assert inside.outcome == []
    desk.end("two")
    # Its answer is behind "three".
    assert desk.started == ["one", "two", "three"]
    desk.end("three")
    assert outside.outcome == ["outside"]
    assert inside.outcome == ["inside"]
    lane.start(job("four"))
    assert "four" not in desk.started
    desk.end("one")
    assert desk.started[-1] == "four"


def test_a_job_that_waits_for_another_connection_is_the_next(
    desk: Desk, job: Make, lane: Lane
) -> None:
    one = job("one")
    lane.start(one)
    for name in ("two", "three"):
        lane.start(job(name))
    inside = Waiting(one)
    depart(inside)
    Lane().answer(inside, "there", None)
    assert inside.outcome == []
    desk.end("two")
    assert inside.outcome == ["there"]
    assert desk.started == ["one", "two"]
    desk.end("one")
    assert desk.started == ["one", "two", "three"]


def test_whoever_gave_up_while_the_lane_was_taken_does_not_take_it(
    desk: Desk, job: Make, lane: Lane
) -> None:
    one = job("one")
    lane.start(one)
    lane.start(job("two"))
    inside = Waiting(one)
    depart(inside)
    hand_over(inside, None, TimeoutError())
    hand_over(inside, "late", None)
    desk.end("two")
    assert [type(each) for each in inside.outcome] == [TimeoutError]
    desk.end("one")
    lane.start(job("three"))
    assert desk.started == ["one", "two", "three"]


def test_only_jobs_in_a_lane_depart(job: Make) -> None:
    for work in (None, "something", job("free", None)):
        waiting = Waiting(work)
        depart(waiting)
        assert waiting.lane is None


def test_jobs_that_have_not_begun_can_be_dropped(
    desk: Desk, ended: Ended, job: Make, lane: Lane
) -> None:
    waiting = Waiting()
    lane.start(job("one"))
    lane.start(job("two"))
    lane.answer(waiting, 1, None)
    for dropped in lane.drop():
        dropped.end(None, ValueError("dropped"))
    assert [name for name, _, _ in ended] == ["two"]
    desk.end("one")
    assert waiting.outcome == [1]
    assert desk.started == ["one"]


def test_a_lane_goes_on_without_a_job_that_does_not_end(
    desk: Desk, ended: Ended, job: Make, lane: Lane
) -> None:
    lane.start(job("stuck"))
    outside = Waiting()
    lane.answer(outside, 1, None)
    lane.give_up()
    assert outside.outcome == [1]
    lane.start(job("next"))
    desk.end("stuck")
    # Which does not disturb the one that is there now.
    lane.start(job("after"))
    assert desk.started == ["stuck", "next"]
    desk.end("next")
    assert desk.started == ["stuck", "next", "after"]
