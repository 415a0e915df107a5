from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest

from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.hashing import CROWD, Hashing, Probes, has_own_hash
from pellucid.holes import Hole
from pellucid.limits import Limits
from pellucid.registry import Registry
from tests.values import chosen

# The modulus of the hash of numbers.
M = 2**61 - 1


def test_steps_are_counted_over_all_containers() -> None:
    hashing = Hashing(Limits(hash_steps=10))
    for _ in range(5):
        hashing.admit({}, 1.5, {})
    hashing.charge(5)
    with pytest.raises(LimitExceeded) as caught:
        hashing.admit({}, 1.5, {})
    assert caught.value.limit == "hash_steps"
    assert caught.value.value == 11


def test_sharing_is_expanded() -> None:
    pair: tuple[Any, ...] = (1, "x")
    for _ in range(60):
        pair = (pair, pair)
    hashing = Hashing(Limits())
    with pytest.raises(LimitExceeded) as caught:
        hashing.admit({}, pair, {})
    assert caught.value.limit == "hash_steps"


@pytest.mark.parametrize("make", [tuple, frozenset])
def test_height_is_bounded_however_it_was_reached(make: type) -> None:
    limits = Limits(depth_received=10)
    high: Any = ()
    hashing = Hashing(limits)
    for _ in range(9):
        high = make([high])
        hashing.admit({}, high, {})
    for value in (make([high]), make([make([high])])):
        with pytest.raises(LimitExceeded) as caught:
            hashing.admit({}, value, {})
        assert caught.value.limit == "depth_received"
    for _ in range(1000):
        high = make([high])
    with pytest.raises(LimitExceeded):
        Hashing(limits).admit({}, high, {})


def test_long_strings_cost_more() -> None:
    hashing = Hashing(Limits(hash_steps=3000))
    hashing.admit({}, (b"x" * 600_000,), {})
    with pytest.raises(LimitExceeded):
        hashing.admit({}, ("x" * 600_000,), {})


def admit(container: dict[Any, Any], keys: list[Any], **limits: int) -> None:
    hashing, counts = Hashing(Limits(**limits)), dict[int, int]()
    for key in keys:
        hashing.admit(container, key, counts)
        container[key] = None


def test_collisions_are_bounded() -> None:
    container: dict[Any, Any] = {}
    admit(container, [5 + M * n for n in range(64)])
    with pytest.raises(LimitExceeded) as caught:
        admit({}, [5 + M * n for n in range(65)])
    assert caught.value.limit == "hash_collisions"
    assert caught.value.value == 65
    admit({}, [n + M for n in range(1000)])


def test_the_same_key_again_is_no_collision() -> None:
    admit({}, [(1, 2)] * 1000, hash_collisions=1)


def test_comparing_is_charged() -> None:
    with pytest.raises(LimitExceeded) as caught:
        admit({}, [(*range(49), -1), (*range(49), -2)], hash_steps=150)
    assert caught.value.limit == "hash_steps"


def test_a_frozenset_with_collisions_costs_more() -> None:
    hashing = Hashing(Limits(hash_steps=1000))
    whole = frozenset({5, 5 + M, 5 + 2 * M})
    hashing.crowded(whole, {5: 3})
    other = frozenset({1, 2, 3})
    hashing.crowded(other, {1: 1})
    hashing.crowded(other, {})
    hashing.admit(set(), other, {})
    assert hashing._steps == 4
    hashing.admit(set(), whole, {})
    assert hashing._steps == 4 + 10


class Odd:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def __hash__(self) -> int:
        if self.error is not None:
            raise self.error
        return 1

    def __eq__(self, other: object) -> bool:
        raise ValueError("never equal")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ([], "builtins.list"),
        (([],), "builtins.tuple"),
        ({}, "builtins.dict"),
        (Odd(KeyError("secret")), "test_hashing.Odd"),
    ],
)
def test_what_can_not_be_hashed(key: object, name: str) -> None:
    with pytest.raises(InsecureJelly, match=f"{name} that can't be hashed") as caught:
        Hashing(Limits()).admit({}, key, {})
    assert "secret" not in str(caught.value)


def test_what_can_not_be_compared() -> None:
    with pytest.raises(InsecureJelly, match="can't be hashed"):
        admit({}, [Odd(None), Odd(None)])


# Objects with a hash of their own.


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any = None
    notes: Any = field(default=None, hash=False)


Point = namedtuple("Point", "x y")


class ByIdentity:
    pass


def pair(hashing: Hashing, left: Any, right: Any = None, notes: Any = None) -> Pair:
    made = Pair(left, right, notes)
    hashing.begin(made)
    hashing.note(made, {"left": left, "right": right, "notes": notes})
    return made


def at_end(**limits: int) -> Hashing:
    hashing = Hashing(Limits(**limits))
    hashing.begin_end([])
    return hashing


@pytest.mark.parametrize(
    ("cls", "own"),
    [(Pair, True), (Point, True), (ByIdentity, False), (tuple, False), (dict, False), (Odd, True)],
)
def test_which_have_a_hash_of_their_own(cls: type, own: bool) -> None:
    assert has_own_hash(cls) is own


def test_they_are_admitted_at_the_end() -> None:
    for make in (lambda one: one, lambda one: (one,), lambda one: frozenset([(one,)])):
        hashing = Hashing(Limits())
        key: Any = make(pair(hashing, 1))
        assert not hashing.admit({}, key, {})
        hashing.begin_end([])
        assert hashing.admit({}, key, {})
        assert hashing.admit_late({}, key, {})
        hashing.end()


def test_what_is_not_finished_is_not_admitted() -> None:
    hashing = at_end()
    waiting = Pair(1)
    hashing.begin(waiting)
    hole, box = Hole(None, None), [1]
    for part in (waiting, hole, [hole], {"k": hole}, {1: (hole,)}, [[waiting]], box):
        hashing.begin_end([box])
        key = pair(hashing, part)
        assert not hashing.admit({}, (key,), {})
        assert not hashing.admit_late({}, (key,), {})
    for late in (hole, waiting):
        assert not hashing.admit_late({}, late, {})


def test_what_was_missing_comes() -> None:
    hashing, box = at_end(), [1]
    key = pair(hashing, 1, notes=box)
    hashing.begin_end([box])
    assert not hashing.admit({}, key, {})
    hashing.close(box)
    assert hashing.admit({}, key, {})


def test_texts_are_not_charged_late() -> None:
    hashing = at_end(hash_steps=1)
    for key in ("x", b"x"):
        assert hashing.admit_late({}, key, {})
    assert hashing.admit_late({}, 1.5, {})
    assert hashing.admit_late({}, "x", {})
    with pytest.raises(LimitExceeded):
        hashing.admit_late({}, 2.5, {})


def test_a_state_is_charged() -> None:
    hashing = at_end()
    hashing.admit_late({}, pair(hashing, 1), {})
    # The object, its state, and three keys with three values in it.
    assert hashing._steps == 1 + 1 + 7
    hashing = at_end()
    hashing.admit_late({}, pair(hashing, 1, notes=[1, (2, "x" * 1024), {3: 4}, {5}]), {})
    assert hashing._steps == 9 + (1 + 4 + (1 + 2 + 4) + (1 + 2) + (1 + 1))


@pytest.mark.parametrize("make", [lambda *both: [*both], lambda *both: (*both,)])
def test_sharing_in_states_is_expanded(make: Any) -> None:
    hashing = at_end()
    key: Any = pair(hashing, 1)
    for _ in range(60):
        key = pair(hashing, key, make(key, key))
    with pytest.raises(LimitExceeded) as caught:
        hashing.admit_late({}, key, {})
    assert caught.value.limit == "hash_steps"


@pytest.mark.parametrize("make", [lambda one: one, lambda one: [one], lambda one: {"k": one}])
def test_the_height_of_states_is_bounded(make: Any) -> None:
    hashing = at_end(depth_received=100)
    key: Any = pair(hashing, 1)
    for _ in range(200):
        key = pair(hashing, make(key))
    with pytest.raises(LimitExceeded) as caught:
        hashing.admit_late({}, key, {})
    assert caught.value.limit == "depth_received"


def test_a_state_that_contains_itself() -> None:
    hashing, box = at_end(), list[Any]()
    key = pair(hashing, 1, notes=box)
    box.append(key)
    with pytest.raises(LimitExceeded) as caught:
        hashing.admit_late({}, key, {})
    assert caught.value.limit == "depth_received"


def test_what_hashes_by_identity_costs_nothing_more() -> None:
    hashing, one = at_end(), ByIdentity()
    hashing.note(one, list(range(100)))
    hashing.admit_late({}, one, {})
    assert hashing._steps == 1


def test_collisions_inside_of_states() -> None:
    same = [5 + M * n for n in range(30)]
    for crowded in (set(same), dict.fromkeys(same)):
        hashing = at_end()
        hashing.admit_late({}, pair(hashing, 1, notes=crowded), {})
        assert hashing._steps > 30 * 30
        plain = at_end()
        alike = set(range(30)) if isinstance(crowded, set) else dict.fromkeys(range(30))
        plain.admit_late({}, pair(plain, 1, notes=alike), {})
        assert plain._steps < 80


def finish(hashing: Hashing, cls: Any, state: Any) -> Any:
    registry = Registry()
    registry.copy("x.Y", cls)
    reader = registry.reader_for(b"x.Y")
    assert reader is not None
    made = reader.make()
    if made is not None and reader.hashes:
        hashing.begin(made)
    return hashing.finish(reader, made, state)


def steps(key: Any, hashing: Hashing) -> int:
    before = hashing._steps
    hashing.admit_late({}, key, {})
    return hashing._steps - before


def test_what_was_made_of_a_state() -> None:
    hashing = at_end()
    assert steps(finish(hashing, Pair, {"left": (1, 2, 3)}), hashing) == 9
    assert steps(finish(hashing, lambda state: Point(*state), [1, 2]), hashing) == 5
    assert steps(finish(hashing, lambda state: Point(*state.pop()), [(1, 2)]), hashing) == 7
    assert steps(finish(hashing, lambda state: (1, 2), 5), hashing) == 3
    # Made once, it keeps what it was made of.
    point = finish(hashing, lambda state: Point(1, state), (1, 2))
    assert finish(hashing, lambda state: state, point) is point
    assert steps(point, hashing) == 5


class Taking(Pair):
    def set_copied_state(self, state: dict[str, Any]) -> None:
        for name in list(state):
            object.__setattr__(self, name, state.pop(name))


def test_a_state_that_is_taken_apart() -> None:
    hashing = at_end()
    made = finish(hashing, Taking, {"left": 1, "right": 2, "notes": 3})
    assert steps(made, hashing) == 9


def test_a_shared_state_is_charged_and_looked_at() -> None:
    hashing = Hashing(Limits(hash_steps=80))
    hole = Hole(1, None)
    assert hashing.is_whole(5)
    assert hashing.is_whole({"a": 1, "b": (hole,)})
    assert not hashing.is_whole({"a": 1, "b": hole})
    assert not hashing.is_whole([hole])
    late: set[int] = set()
    hashing.begin_end([late])
    assert not hashing.is_whole(late)
    hashing.close(late)
    assert hashing.is_whole(late)
    with pytest.raises(LimitExceeded):
        hashing.is_whole((1,) * 10)


# Where a table looks for a place.


def steps_for(keys: Any, make: Any = dict, most: int = 10_000_000) -> int:
    """Charge for places for all keys, and give how many steps that took."""
    hashing = Hashing(Limits(hash_steps=most))
    container = make()
    for key in keys:
        if len(container) >= CROWD:
            hashing.admit(container, key, {}) if type(key) is float else hashing.place(
                container, hash(key), None
            )
        if make is dict:
            container[key] = None
        else:
            container.add(key)
    before = 0
    try:
        hashing.charge(most + 1)
    except LimitExceeded as error:
        before = error.value - most - 1
    return before


@pytest.mark.parametrize("make", [dict, set])
@pytest.mark.parametrize("shift", [0, 3, 8, 12, 16, 24, 32, 40])
def test_numbers_in_even_steps_pass(make: Any, shift: int) -> None:
    count = 20_000
    assert steps_for((n << shift for n in range(count)), make) < 10 * count
    assert steps_for((-n << shift for n in range(count)), make) < 10 * count


@pytest.mark.parametrize("make", [dict, set])
def test_larger_tables(make: Any) -> None:
    assert steps_for(range(90_000), make) == 0
    assert steps_for((n * 1000 for n in range(170_000)), make) < 20_000


def test_numbers_that_were_chosen_do_not_pass() -> None:
    keys = chosen(13, 3800, 5400)
    assert steps_for(keys) > 300_000
    with pytest.raises(LimitExceeded) as caught:
        steps_for(keys, most=10_000)
    assert caught.value.limit == "hash_steps"
    # What is refused is found out before it costs much.
    assert caught.value.value < 11_000


def test_making_a_table_larger_costs_as_well() -> None:
    keys = chosen(13, 3800, 5400)
    probes = Probes(dict.fromkeys(keys), {})
    assert 50 < probes.take(5, 50) < 5000
    assert Probes(dict.fromkeys(range(5000)), {}).take(5000, 50) == 0


def test_other_hashes_take_places_as_well() -> None:
    hashing = Hashing(Limits())
    for make in (dict.fromkeys, set):
        container: Any = make([n + 0.5 for n in range(CROWD)])
        counts = {hash(key): 1 for key in container}
        counts[7] = 1
        for key in (0.5, 9999.5, 9999.5, 7, 2.0**70):
            assert hashing.admit(container, key, counts)
            container.add(key) if make is set else container.setdefault(key)
