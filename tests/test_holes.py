from itertools import pairwise
from typing import Any

import pytest

from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.hashing import Hashing
from pellucid.holes import Hole, Holes
from pellucid.limits import Limits
from pellucid.registry import Reader, Registry


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


# What is put off.


def done(holes: Holes, value: Any = None, hashing: Any = None) -> Any:
    holes.finish(Hashing(Limits()) if hashing is None else hashing)
    assert holes.waits == 0
    return holes.whole(value)


def reader_of(cls: Any) -> Reader:
    registry = Registry()
    registry.copy("x.Y", cls)
    reader = registry.reader_for(b"x.Y")
    assert reader is not None
    return reader


class Plain:
    pass


class Hooked:
    def set_copied_state(self, state: dict[str, Any]) -> None:
        self.state = state


def test_pairs_are_put_in_in_order() -> None:
    holes = Holes(256)
    one, two = holes.begin(1), holes.begin(2)
    target: dict[Any, Any] = {"a": 0}
    holes.pairs_later(target, [one, two, "b", 2, ("c",), one], {}, 5)
    assert holes.is_late(target)
    assert not holes.is_late({})
    assert holes.waits == 4
    holes.end(one, (1,))
    holes.end(two, [target])
    assert target == {"a": 0}
    done(holes)
    assert list(target.items()) == [("a", 0), ((1,), [target]), ("b", 2), (("c",), (1,))]
    assert holes.at == -1


def test_members_are_put_in_later() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    target: set[Any] = {"a"}
    assert holes.members_later(target, [one, "b"], None, False, 5) is target
    frozen = holes.members_later({"c"}, [one], None, True, 5)
    assert isinstance(frozen, Hole)
    box: list[Any] = [frozen]
    holes.watch_list(box)
    around = holes.make_tuple([frozen])
    holes.end(one, (1,))
    assert done(holes, around) == (frozenset({"c", (1,)}),)
    assert target == {"a", (1,), "b"}
    assert box == [frozenset({"c", (1,)})]


def test_attributes_are_filled_later() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    plain: Any = Plain()
    holes.set_attribute(plain, "a", 1)
    holes.set_attribute(plain, "b", one)
    assert vars(plain) == {"a": 1, "b": None}
    assert holes.waits == 1
    holes.end(one, (plain,))
    assert plain.b == (plain,)
    holes.set_attribute(plain, "c", one)
    assert plain.c is plain.b


def test_states_are_given_later() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    hooked: Any = Hooked()
    holes.placed(one)
    state = {"t": one}
    holes.watch_dict(state)
    assert holes.state_later(reader_of(Hooked), hooked, state, 0, 5) is hooked
    made = holes.state_later(reader_of(lambda state: [state]), None, one, 0, 5)
    assert isinstance(made, Hole)
    assert not hasattr(hooked, "state")
    holes.end(one, (1,))
    assert done(holes, made) == [(1,)]
    assert hooked.state == {"t": (1,)}


def test_what_is_inner_comes_first() -> None:
    holes, found = Holes(256), list[Any]()

    def note(state: Any) -> int:
        found.append(state)
        return len(found)

    one = holes.begin(1)
    reader = reader_of(note)
    inner = holes.state_later(reader, None, "inner", 0, 5)
    holes.placed(inner)
    state = [inner, one]
    holes.placed(one)
    holes.watch_list(state)
    outer = holes.state_later(reader, None, state, 0, 5)
    holes.end(one, ("t",))
    assert done(holes, outer) == 2
    assert found == ["inner", [1, ("t",)]]


def test_a_state_that_contains_what_it_is_for() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    holes.placed(one)
    made = holes.state_later(reader_of(lambda state: state), None, [one], 0, 7)
    holes.end(one, made)
    with pytest.raises(InsecureJelly, match=r"the state of a 'x\.Y' contains what it is in"):
        done(holes)
    assert holes.at == 7
    holes = Holes(256)
    one = holes.begin(1)
    holes.end(one, holes.state_later(reader_of(lambda state: state), None, one, 0, 7))
    with pytest.raises(InsecureJelly, match="contains what it is in"):
        done(holes)


def test_a_key_that_contains_what_it_is_in() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    frozen = holes.members_later(set(), [one], None, True, 5)
    holes.end(one, holes.make_tuple([frozen]))
    with pytest.raises(InsecureJelly, match="a key or member contains what it is in"):
        done(holes)


class Fickle:
    """Can be hashed a few times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __hash__(self) -> int:
        self.times -= 1
        if self.times < 0:
            raise KeyError("secret")
        return 1


@pytest.mark.parametrize("times", [0, 1])
def test_whatever_hashing_raises(times: int) -> None:
    holes = Holes(256)
    holes.members_later(set(), [Fickle(times)], None, False, 5)
    with pytest.raises(InsecureJelly, match="can't be hashed") as caught:
        done(holes)
    assert "secret" not in str(caught.value)


def test_a_factory_can_build_no_tower_either() -> None:
    holes = Holes(3)
    reader = reader_of(lambda state: (state,))
    value: Any = 1
    for _ in range(4):
        value = holes.state_later(reader, None, value, 0, 5)
    with pytest.raises(LimitExceeded, match="depth_received"):
        done(holes)
    assert holes.bounded([1]) == [1]


def test_what_is_needed_may_come_behind() -> None:
    holes, found = Holes(256), list[Any]()

    def look(state: Any) -> int:
        found.append(hooked.state)
        return 7

    hooked: Any = Hooked()
    one = holes.begin(1)
    # Its state has the frozenset that it is in, which is made of what is there already.
    holes.placed(one)
    state = {"home": one}
    holes.watch_dict(state)
    holes.state_later(reader_of(Hooked), hooked, state, 0, 5)
    frozen = holes.members_later(set(), [(hooked,)], None, True, 6)
    holes.end(one, frozen)
    # And what is around both of them sees both finished.
    around = holes.state_later(reader_of(look), None, frozen, 0, 7)
    assert done(holes, around) == 7
    assert found == [{"home": frozenset({(hooked,)})}]


def test_pairs_are_put_in_once() -> None:
    holes = Holes(256)
    target: dict[Any, Any] = {}
    inner = holes.begin(1)
    holes.pairs_later(target, ["a", 1, inner, inner, "b", 2], None, 5)
    group = holes.members_later({0}, [1.5, inner], None, True, 5)
    holes.end(inner, holes.state_later(reader_of(lambda state: ("made",)), None, 5, 2, 5))
    assert done(holes, group) == {0, 1.5, ("made",)}
    assert list(target.items()) == [("a", 1), (("made",), ("made",)), ("b", 2)]


def test_a_value_may_come_behind_its_key() -> None:
    holes = Holes(256)
    target: dict[Any, Any] = {}
    one = holes.begin(1)
    holes.pairs_later(target, [("k",), one], None, 5)
    holes.end(one, holes.members_later(set(), [1.5], None, True, 5))
    done(holes)
    assert target == {("k",): frozenset({1.5})}


def backwards(length: int) -> Holes:
    """Frozensets each of which needs the next."""
    holes = Holes(256)
    numbers = [holes.begin(number) for number in range(length + 1)]
    for one, following in pairwise(numbers):
        holes.end(one, holes.members_later(set(), [following], None, True, 5))
    holes.end(numbers[-1], 5)
    return holes


def test_what_comes_behind_is_waited_for_a_few_times() -> None:
    holes = backwards(8)
    done(holes)
    assert str(holes.find(0)).count("frozenset") == 8
    holes = backwards(9)
    with pytest.raises(InsecureJelly, match="contains what it is in"):
        done(holes)


class Counted(list[Any]):
    looked = 0

    def __getitem__(self, index: Any) -> Any:
        self.looked += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("fails", [False, True])
def test_no_hole_is_looked_at_twice(fails: bool) -> None:
    holes = Holes(256)
    holes._placed = counted = Counted()
    one, two = holes.begin(1), holes.begin(2)
    # Many levels, each with holes of its own before and behind the next.
    starts = []
    for level in range(200):
        starts.append(len(counted))
        for _ in range(10):
            holes.placed(two if fails and level == 100 else one)
    holes.end(one, 1)
    ends = []
    for start in reversed(starts):
        for _ in range(10):
            holes.placed(one)
        ends.append(len(counted))
        assert holes.are_filled(start, len(counted)) is not (fails and start <= 1000)
    assert counted.looked <= len(counted) + 100 * fails
    if not fails:
        assert holes.are_filled(0, len(counted))


def test_a_hole_before_what_was_looked_at() -> None:
    holes = Holes(256)
    one, two = holes.begin(1), holes.begin(2)
    for hole in (two, one, two):
        holes.placed(hole)
    holes.end(one, 1)
    assert holes.are_filled(1, 2)
    assert not holes.are_filled(0, 2)
    assert not holes.are_filled(0, 3)
    holes.end(two, 2)
    assert holes.are_filled(0, 3)
    assert holes.are_filled(3, 3)


def test_what_is_referred_to_waits_for_what_is_in_it() -> None:
    holes, found = Holes(256), list[Any]()
    one, two, three = holes.begin(1), holes.begin(2), holes.begin(3)
    holes.end(three, [])
    assert holes.waiting_part(3) is None
    holes.placed(one)
    inner = [one]
    holes.watch_list(inner)
    # What is not finished may be what it is in.
    assert holes.waiting_part(2) is None
    holes.end(two, inner)
    part: Any = holes.waiting_part(2)
    assert part.waiting
    holes.placed(part)
    hooked: Any = Hooked()
    holes.state_later(reader_of(Hooked), hooked, {"a": inner}, 1, 5)
    made = holes.state_later(reader_of(found.append), None, [5], 2, 6)
    assert isinstance(made, Hole)
    with pytest.raises(InsecureJelly, match=r"the state of a 'x\.Y' contains"):
        done(holes)
    holes.end(one, "v")
    done(holes)
    assert hooked.state == {"a": ["v"]}
    assert found == [[5]]
    assert holes.waiting_part(2) is None


@pytest.mark.parametrize("state", [[], {}, set(), (1,), frozenset()])
def test_shared_states(state: Any) -> None:
    holes = Holes(256)
    assert not holes.is_shared(state)
    hole = holes.begin(1)
    holes.bind(1, state)
    holes.find(1)
    assert holes.is_shared(state)
    assert [holes.found_open] == [True]
    holes.end(hole, state)
    holes.find(1)
    assert not holes.found_open
    holes.end(holes.begin(2), 5)
    holes.find(2)
    assert not holes.is_shared(5)


def test_a_shared_state_is_not_given_with_holes() -> None:
    holes = Holes(256)
    one = holes.begin(1)
    state = {"a": one}
    holes.watch_dict(state)
    hooked: Any = Hooked()
    holes.state_later(reader_of(Hooked), hooked, state, 0, 5, True)
    with pytest.raises(InsecureJelly):
        done(holes)
    holes.end(one, "v")
    done(holes)
    assert hooked.state == {"a": "v"}
