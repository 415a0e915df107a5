"""What waits on one connection, and what starts when."""

from typing import Any

import pytest

from pellucid.errors import Error, LimitExceeded
from pellucid.events import CallReceived
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from pellucid.waiting import Refused, Waiting


def call(size: int = 10) -> CallReceived:
    return CallReceived(None, "x", (), {}, b"\x01\x81", True, size)


class Line:
    """The queue and its ledger."""

    def __init__(self, **limits: int) -> None:
        self.ledger = Ledger(Limits(**limits))
        self.waiting = Waiting(self.ledger)

    def end(self, ended: CallReceived) -> None:
        self.ledger.release("calls_running")
        self.ledger.release("waiting_bytes", ended.size)

    def used(self) -> tuple[int, int, int]:
        names = ("calls_running", "calls_waiting", "waiting_bytes")
        running, waiting, size = (self.ledger.used(name) for name in names)
        return running, waiting, size


def test_a_call_starts_at_once() -> None:
    line = Line()
    assert line.waiting.begin(call(), False, True)
    assert line.used() == (1, 0, 10)


def test_calls_start_in_the_order_in_which_they_came() -> None:
    line = Line(calls_running=2)
    calls = [call() for _ in range(4)]
    assert [line.waiting.begin(one, False, n == 1) for n, one in enumerate(calls)] == [False] * 4
    assert line.used() == (0, 4, 40)
    assert [line.waiting.next(), line.waiting.next()] == calls[:2]
    assert line.waiting.next() is None
    assert line.used() == (2, 2, 40)
    line.end(calls[0])
    assert line.waiting.next() is calls[2]
    assert line.used() == (2, 1, 30)


def test_no_call_starts_where_too_much_waits_to_be_sent() -> None:
    line = Line(out_bytes=5)
    line.ledger.add("out_bytes", 5)
    assert not line.ledger.may_start()
    assert not line.waiting.begin(call(), False, True)
    line.ledger.release("out_bytes", 5)
    assert line.ledger.may_start()


def test_an_update_waits_for_no_limit() -> None:
    line = Line(calls_running=1)
    for one in (call(), call()):
        line.waiting.begin(one, False, True)
    assert line.waiting.begin(call(), True, True)
    assert line.used() == (2, 1, 30)


def test_an_update_waits_for_its_turn_behind_the_calls_that_may_start() -> None:
    line = Line(calls_running=1)
    first, second, update = call(), call(), call()
    for one in (first, second):
        line.waiting.begin(one, False, False)
    assert not line.waiting.begin(update, True, False)
    assert line.used() == (0, 2, 30)
    assert line.waiting.next() is first
    # The limit holds the second one back.
    assert line.waiting.next() is update
    assert line.waiting.next() is None
    assert line.used() == (2, 1, 30)


def test_a_refused_call_has_its_turn_too() -> None:
    line = Line()
    refused = Refused(b"\x01\x81", Error("no"), 30)
    first, second = call(), call()
    line.waiting.begin(first, False, False)
    line.waiting.refuse(refused)
    line.waiting.begin(second, False, False)
    assert line.used() == (0, 3, 50)
    assert [line.waiting.next() for _ in range(3)] == [first, refused, second]
    assert line.used() == (2, 0, 20)


@pytest.mark.parametrize("limit", [{"calls_waiting": 1}, {"waiting_bytes": 10}])
def test_there_is_room_for_so_many(limit: dict[str, Any]) -> None:
    line = Line(**limit)
    assert line.ledger.may_wait()
    line.waiting.begin(call(), False, False)
    assert not line.ledger.may_wait()
    error = line.waiting.too_many()
    assert isinstance(error, LimitExceeded)
    assert error.remote
    assert "too many calls wait" in str(error)


@pytest.mark.parametrize("account", ["calls_running", "waiting_bytes", "out_bytes"])
def test_for_updates_there_is_twice_the_room(account: str) -> None:
    limit: dict[str, Any] = {account: 5}
    line = Line(**limit)
    line.ledger.add(account, 9)
    line.waiting.check_update(True)
    line.ledger.add(account)
    with pytest.raises(LimitExceeded, match="even for an update") as caught:
        line.waiting.check_update(True)
    assert (caught.value.limit, caught.value.value, caught.value.remote) == (account, 10, True)


def test_an_update_that_wants_no_answer_needs_no_room_for_one() -> None:
    line = Line(out_bytes=5)
    line.ledger.add("out_bytes", 50)
    line.waiting.check_update(False)


def test_when_the_connection_is_over_nothing_starts() -> None:
    line = Line()
    line.waiting.begin(call(), False, False)
    line.waiting.refuse(Refused(b"\x01\x81", Error("no"), 30))
    line.waiting.begin(call(), True, False)
    line.waiting.clear()
    assert line.waiting.next() is None
    assert line.used() == (0, 0, 0)
