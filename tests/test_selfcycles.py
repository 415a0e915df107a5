from time import process_time
from typing import Any

import pytest

from pellucid import banana
from pellucid.banana import NONE, PB
from pellucid.selfcycles import self_cycle


def found(item: object, dialect: Any = PB) -> str | None:
    return self_cycle(banana.encode(item, dialect), dialect)


def text(word: bytes) -> list[bytes]:
    return [b"unicode", word]


def copy(value: object, number: int = 1) -> list[object]:
    """A copy with a number, and an attribute `a`."""
    return [b"reference", number, [b"x.Y", [b"dictionary", [text(b"a"), value]]]]


def named(number: int, item: object) -> list[object]:
    return [b"reference", number, item]


def tuple_of(number: int, *members: object) -> list[object]:
    return named(number, [b"tuple", *members])


BACK = [b"dereference", 1]
third = [b"dereference", 3]
fourth = [b"dereference", 4]


@pytest.mark.parametrize(
    ("item", "place"),
    [
        (copy(BACK), ".a"),
        (copy([b"tuple", 5, [b"set", [b"frozenset", BACK]]]), ".a[1]{member}{member}"),
        (copy([b"reference", 2, [b"tuple", BACK]]), ".a[0]"),
        ([b"reference", 1, [b"x.Y", BACK]], ""),
        ([b"reference", 1, [b"x.Y", [b"tuple", 5, BACK]]], "[1]"),
        ([b"reference", 1, [b"x.Y", 9, [b"dictionary", [text(b"a"), BACK]]]], ".a"),
        ([b"list", 1, copy(BACK)], "[1].a"),
        # What is not finished need not be a copy itself.
        ([b"reference", 1, [b"list", [b"x.Y", [b"dictionary", [text(b"a"), BACK]]]]], "[0].a"),
        (copy([b"list", copy([b"dereference", 2], 2)]), ".a[0].a"),
        # Keys.
        (copy([b"dictionary", [BACK, 5]]), ".a{key 0}"),
        (copy([b"dictionary", [1, 2], [[b"tuple", BACK], 5]]), ".a{key 1}[0]"),
        # A tuple that is not finished at its end.
        (copy([b"list", tuple_of(2, BACK), [b"x.Y", [b"dereference", 2]]]), ".a[1]"),
        (
            copy(
                [b"list", tuple_of(2, tuple_of(3, BACK)), [b"set", [b"x.Y", [b"dereference", 3]]]]
            ),
            ".a[1]{member}",
        ),
        (
            copy([b"list", tuple_of(2, BACK), tuple_of(3, [b"dereference", 2]), [b"x.Y", third]]),
            ".a[2]",
        ),
        # It was finished later, and comes again.
        ([b"list", copy([b"list", tuple_of(2, BACK)]), [b"dereference", 2]], "[1]"),
        (
            [
                *[b"list", named(4, [b"list", copy([b"list", tuple_of(2, BACK, fourth)])])],
                *[[b"dereference", 1], [b"list", [b"dereference", 2]]],
            ],
            "[2][0]",
        ),
        # It comes again inside of itself, before it is known that it waits or after.
        (named(1, [b"list", tuple_of(2, BACK, [b"list", [b"dereference", 2]])]), "[0][1][0]"),
        (named(1, [b"list", tuple_of(2, [b"list", [b"dereference", 2]], BACK)]), "[0][1]"),
        ([b"list", named(1, [b"list", tuple_of(2, BACK)]), [b"dereference", 2]], "[1]"),
        # A dictionary that waits for what it is in, and is a state.
        (
            tuple_of(
                1, named(2, [b"dictionary", [text(b"k"), BACK]]), [b"x.Y", [b"dereference", 2]]
            ),
            "[1]",
        ),
        (
            tuple_of(
                1,
                *[named(2, [b"dictionary", [5, 5], [5, [b"tuple", BACK]]]), 5],
                *[[b"dereference", 2], [b"x.Y", [b"dereference", 2]]],
            ),
            "[3]",
        ),
        (tuple_of(1, BACK), "[0]"),
        (named(1, BACK), ""),
    ],
)
def test_what_twisted_can_not_read(item: object, place: str) -> None:
    assert found(item) == place
    assert found(item, NONE) == place


@pytest.mark.parametrize(
    "item",
    [
        5,
        copy(5),
        copy([b"list", BACK]),
        copy([b"tuple", [b"list", [b"tuple", BACK]]]),
        copy([b"dictionary", [text(b"k"), BACK]]),
        copy([b"list", [b"dictionary", [text(b"k"), [b"tuple", BACK]]]]),
        copy([b"dictionary", [text(b"k"), [b"dictionary", [text(b"k"), BACK]]]]),
        # A state that contains itself.
        [b"x.Y", named(1, [b"dictionary", [text(b"k"), BACK]])],
        [b"x.Y", named(1, [b"dictionary", [text(b"k"), [b"tuple", 5, BACK]]])],
        [b"tuple", [b"x.Y", named(1, [b"dictionary", [5, [b"list", BACK]]])], [b"x.Y", BACK]],
        # A dictionary is filled later, if it is no state.
        tuple_of(1, named(2, [b"dictionary", [text(b"k"), BACK]]), [b"dereference", 2]),
        tuple_of(1, [b"dictionary", [text(b"k"), BACK]], [b"x.Y", [b"dictionary", [5, 5]]]),
        # Finished before it comes again.
        [b"list", copy(5), BACK, [b"x.Y", BACK], [b"x.Y", [b"dictionary", [text(b"a"), BACK]]]],
        [b"list", copy(5), [b"dictionary", [BACK, 1]]],
        [b"reference", 1, [b"tuple", [b"list", BACK]]],
        named(1, [b"list", tuple_of(2, [b"list", [b"dereference", 2]]), [b"dereference", 2]]),
        named(1, [b"list", tuple_of(2, BACK), [b"list", [b"dereference", 2]]]),
        [b"reference", 1, [[b"odd"], BACK]],
        [b"x.Y", [b"dereference", 9]],
        copy([b"list", tuple_of(2, [b"list", BACK]), [b"x.Y", [b"dereference", 2]]]),
        copy([b"list", tuple_of(2, BACK), [b"dereference", 2], [b"tuple", [b"dereference", 2]]]),
        [b"list", copy([b"list", tuple_of(2, [b"list", BACK])]), [b"dereference", 2]],
    ],
)
def test_what_it_can(item: object) -> None:
    assert found(item) is None


def test_what_waits_for_much_takes_no_longer() -> None:
    """Thousands of tuples that wait, all in one, which is referred to thousands of times."""
    waiting = [tuple_of(n, BACK) for n in range(3, 3000)]
    one = tuple_of(2, *[[b"dereference", n] for n in range(3, 3000)])
    item = named(1, [b"list", *waiting, one, *[[b"dereference", 2]] * 3000])
    started = process_time()
    assert found(item) is None
    assert process_time() - started < 2
