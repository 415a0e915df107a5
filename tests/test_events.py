"""What a broker reports."""

import typing

from pellucid import events
from pellucid.errors import Error
from pellucid.events import (
    CallCompleted,
    CallFailed,
    CallReceived,
    Closed,
    Event,
    PeerFault,
    Ready,
    Released,
    Unobserved,
)


def test_each_holds_what_it_is_given() -> None:
    target, waiter, error = object(), object(), Error("no")
    assert Ready("pb").dialect == "pb"
    call = CallReceived(target, "echo", (1,), {"a": 2}, b"\x07\x81", True, 33)
    assert (call.target, call.name, call.args, call.kwargs) == (target, "echo", (1,), {"a": 2})
    assert (call.request, call.wants_answer, call.size) == (b"\x07\x81", True, 33)
    assert call.perspective is None
    call = CallReceived(target, "echo", (), {}, b"\x07\x81", True, 33, waiter)
    assert call.perspective is waiter
    completed = CallCompleted(waiter, 5)
    assert (completed.waiter, completed.value) == (waiter, 5)
    failed = CallFailed(waiter, error)
    assert (failed.waiter, failed.error) == (waiter, error)
    assert PeerFault("odd").text == "odd"
    unobserved = Unobserved(target, waiter, error, 7)
    assert (unobserved.target, unobserved.perspective) == (target, waiter)
    assert (unobserved.observer, unobserved.luid) == (error, 7)
    assert Released(target).target is target
    assert Closed(error).error is error
    assert Closed(None).error is None


def test_event_is_any_of_them() -> None:
    kinds = typing.get_args(Event)
    assert {kind.__name__ for kind in kinds} | {"Event"} == set(events.__all__)


def test_they_are_small() -> None:
    calls = (CallCompleted(1, 2), CallFailed(1, Error()))
    for event in (Ready("pb"), *calls, PeerFault("x"), Released(1), Unobserved(1, 2, 3, 4)):
        assert not hasattr(event, "__dict__")
