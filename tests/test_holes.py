from typing import Any

import pytest

from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.holes import Hole, Holes


def test_a_value_that_is_finished() -> None:
    holes = Holes(256)
    hole = holes.begin(1)
    holes.end(hole, "v")
    assert holes.find(1) == "v"
    assert holes.whole("v") == "v"
    assert holes.waits == 0


def test_none_is_a_value() -> None:
    holes = Holes(256)
    holes.end(holes.begin(b"n"), None)
    assert holes.find(b"n") is None


def test_one_that_is_there_before_what_is_in_it() -> None:
    holes = Holes(256)
    hole = holes.begin(1)
    value: list[object] = []
    holes.bind(1, value)
    assert holes.find(1) is value
    holes.end(hole, value)
    assert holes.find(1) is value


def test_numbers_are_defined_once_and_first() -> None:
    holes = Holes(256)
    with pytest.raises(InsecureJelly, match="not defined"):
        holes.find(1)
    holes.begin(1)
    with pytest.raises(InsecureJelly, match="used twice"):
        holes.begin(1)


def test_what_is_nothing_but_itself() -> None:
    holes = Holes(256)
    hole = holes.begin(1)
    with pytest.raises(InsecureJelly, match="its own value"):
        holes.end(hole, holes.find(1))


def test_lists_and_dictionaries_are_filled_later() -> None:
    holes = Holes(256)
    hole = holes.begin(1)
    in_list: list[Any] = ["x", holes.find(1)]
    in_dict: dict[str, Any] = {"a": 1, "b": holes.find(1)}
    holes.watch_list(in_list)
    holes.watch_dict(in_dict)
    assert holes.waits == 2
    holes.end(hole, (5,))
    assert in_list == ["x", (5,)]
    assert in_dict == {"a": 1, "b": (5,)}
    assert holes.waits == 0
    late: list[Any] = [hole]
    holes.watch_list(late)
    assert late == [(5,)]


def test_a_tuple_waits_for_all_that_is_missing() -> None:
    holes = Holes(256)
    one, two = holes.begin(1), holes.begin(2)
    inner = holes.make_tuple([one, two, one])
    outer = holes.make_tuple([inner, "x"])
    box: list[Any] = [outer]
    holes.watch_list(box)
    assert isinstance(outer, Hole)
    holes.end(two, 2)
    assert isinstance(box[0], Hole)
    holes.end(one, 1)
    assert box == [((1, 2, 1), "x")]
    assert holes.whole(outer) == ((1, 2, 1), "x")
    # Those that are filled already are looked through.
    assert holes.make_tuple([inner, 3]) == ((1, 2, 1), 3)


def test_several_numbers_for_one_value() -> None:
    holes = Holes(256)
    one, two = holes.begin(1), holes.begin(2)
    box: list[Any] = [one]
    waiting = holes.make_tuple([box, two])
    holes.watch_list(box)
    holes.end(one, waiting)
    holes.end(two, "two")
    assert box[0][0] is box
    assert holes.find(1) is box[0]


def test_a_tuple_that_contains_itself() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    value = holes.make_tuple([one])
    holes.end(one, value)
    with pytest.raises(InsecureJelly, match="a tuple contains itself"):
        holes.whole(value)


def test_a_tuple_can_be_only_so_high() -> None:
    holes = Holes(3)
    flat = holes.measured((1,))
    second = holes.measured((flat, 2))
    third = holes.measured((second, flat))
    with pytest.raises(LimitExceeded, match="depth_received") as raised:
        holes.measured((1, third))
    assert raised.value.value == 4
