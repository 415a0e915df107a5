from typing import Any

import pytest

from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.hashing import Hashing
from pellucid.limits import Limits

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
