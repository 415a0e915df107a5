from typing import Any

import pytest

from pellucid import banana
from pellucid.banana import NONE, PB
from pellucid.places import (
    attribute_step,
    head,
    is_copy,
    is_id,
    peek,
    place,
    place_of,
    step_of,
    walk,
)


def test_steps() -> None:
    assert step_of("x" * 50, 0) == f"['{'x' * 40}']"
    assert step_of(None, 0) == "[None]"
    assert step_of(True, 0) == "[True]"
    assert step_of(1.5, 0) == "[1.5]"
    assert step_of((1,), 3) == "{value 3}"


def test_steps_into_a_state() -> None:
    assert attribute_step("['name']") == ".name"
    for step in ("['a b']", "[0]", "[b'name']", "{key 0}", '["it\'s"]', "", ".name", "{member}"):
        assert attribute_step(step) == step


def test_heads_of_any_length() -> None:
    assert head(b"\x81", 0) == (0x81, 0, 1)
    assert head(b"x\x01\x02\x81", 1) == (0x81, 257, 4)


def test_peeking() -> None:
    data = banana.encode([5, b"x", 1.5, [], b"list"])
    found = []
    pos = 2
    for _ in range(5):
        found.append(peek(data, pos, PB))
        pos = banana.skip_item(data, pos)
    assert found == [5, b"x", None, None, b"list"]


def test_copies_and_others() -> None:
    assert is_copy(b"x.Y")
    assert not any(map(is_copy, (b"list", b"remote", b"", None)))


def text(word: bytes) -> list[bytes]:
    return [b"unicode", word]


def places(item: Any, dialect: Any = PB) -> list[str]:
    """The place of every 7 in an item."""
    data = b"\x05\x81" + banana.encode(item, dialect)
    seven = b"\x07\x81"
    return [
        place(data, frames, dialect)
        for pos, frames in walk(data, 2, dialect)
        if data.startswith(seven, pos)
    ]


def test_every_item_is_walked() -> None:
    data = banana.encode([b"x", [1, 1.5, []], [[b"y"]]])
    seen = [(pos, len(frames), frames[-1].index) for pos, frames in walk(data, 0, PB)]
    assert seen == [
        (0, 1, -1),
        (5, 2, -1),
        (7, 2, 0),
        (9, 2, 1),
        (18, 3, -1),
        (20, 2, -1),
        (22, 3, -1),
    ]
    assert [list(frames) for _, frames in walk(b"\x05\x81", 0, PB)] == [[]]


@pytest.mark.parametrize("dialect", [PB, NONE])
def test_places(dialect: Any) -> None:
    state = [b"dictionary", [text(b"a"), 7], [text(b"b c"), [b"tuple", 7]], [b"d", 7]]
    for item, expected in (
        (7, [""]),
        ([b"list", 1, [b"tuple", 7]], ["[1][0]"]),
        ([b"set", 7, [b"frozenset", 7]], ["{member}", "{member}{member}"]),
        ([b"dictionary", [7, 7], [b"k", 7]], ["{key 0}", "[7]", "[b'k']"]),
        ([b"dictionary", [text(b"list"), 7], [[b"tuple"], 7]], ["['list']", "{value 1}"]),
        ([b"dictionary", [[b"None"], 7], [[b"unicode", 1], 7]], ["{value 0}", "{value 1}"]),
        ([b"x.Y", state], [".a", "['b c'][0]", "[b'd']"]),
        ([b"x.Y", [b"reference", 1, state]], [".a", "['b c'][0]", "[b'd']"]),
        ([b"x.Y", 3, state], [".a", "['b c'][0]", "[b'd']"]),
        ([b"x.Y", [b"list", state]], ["[0]['a']", "[0]['b c'][0]", "[0][b'd']"]),
        ([b"x.Y", [b"dictionary", [text(b"o"), [b"x.Y", state]]]], None),
        ([b"reference", 1, [b"list", [b"reference", 2, 7]]], ["[0]"]),
        ([[b"x"], 7], [""]),
        ([b"dictionary", [text(b"\xff"), 7]], ["['�']"]),
    ):
        if expected is None:
            expected = [".o.a", ".o['b c'][0]", ".o[b'd']"]
        assert places(item, dialect) == expected


def test_what_is_found_later() -> None:
    item = [
        b"list",
        [b"dictionary", [[b"tuple", 9], [b"tuple", 7]], [8, 7]],
        [b"x.Y", 7],
        [b"set", 7],
    ]
    data = b"\x05\x81" + banana.encode(item)
    seven = [pos for pos, _ in walk(data, 2, PB) if data.startswith(b"\x07\x81", pos)]
    found = [place_of(data, 2, pos, PB) for pos in seven]
    assert found == ["[0]{value 0}[0]", "[0]{key 1}", "[1]", "[2]{member}"]
    assert place_of(data, 2, seven[0] - 4, PB) == "[0]{key 0}"
    assert place_of(data, 2, 2, PB) == ""
    assert place_of(data, 2, 10_000, PB) == ""


@pytest.mark.parametrize("item", [0, -5, (1 << 64) - 1, b"", b"root", b"x" * 500])
def test_what_can_be_an_id(item: object) -> None:
    assert is_id(item)


@pytest.mark.parametrize("item", [1 << 64, -(1 << 64), b"x" * 501, 1.0, [], None, "root", True])
def test_what_can_not(item: object) -> None:
    assert not is_id(item)
