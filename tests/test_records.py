"""Values that are their fields."""

import copy
import pickle

import pytest

from pellucid.records import Record


class Point(Record):
    __slots__ = ("distance", "x", "y")
    __match_args__ = ("x", "y")

    x: int
    y: int
    distance: int

    def __init__(self, x: int, y: int = 0) -> None:
        super().__init__(x=x, y=y, distance=abs(x) + abs(y))


class Place(Record):
    __slots__ = __match_args__ = ("x", "y")

    x: int
    y: int

    def __init__(self, x: int, y: int = 0) -> None:
        super().__init__(x=x, y=y)


def test_fields_are_shown() -> None:
    assert repr(Point(1, -2)) == "Point(x=1, y=-2)"
    assert Point(1, -2).distance == 3


def test_fields_are_compared() -> None:
    assert Point(1) == Point(1, 0)
    assert hash(Point(1)) == hash(Point(1, 0))
    assert Point(1) != Point(2)
    assert Point(1) != Place(1)
    assert Point(1) != (1, 0)


def test_fields_are_matched() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("not matched")


def test_fields_stay() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="cannot assign to field 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete field 'x'"):
        del point.x
    assert point.x == 1


def test_records_are_copied() -> None:
    point = Point(1, 2)
    assert copy.copy(point) == copy.deepcopy(point) == point
    again = pickle.loads(pickle.dumps(point))
    assert (again, again.distance) == (point, 3)
