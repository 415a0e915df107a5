"""Numbers as bytes: each function against the plain way to say the same, in both builds."""

from struct import pack
from typing import Any

import pytest

from pellucid import octets
from pellucid.banana import LONGINT, LONGNEG, encode
from pellucid.banana import int_token as token

EDGES = [
    0, 1, 127, 128, 16_383, 16_384, 0x1FFFFF, 0x200000, 0xFFFFFFF, 0x10000000, 0x7FFFFFFF,
]  # fmt: skip
SMALL = [*EDGES, *(-n for n in EDGES[1:]), -0x80000000]
LARGE = [0x80000000, -0x80000001, 1 << 62, 1 << 63, -(1 << 64), 1 << 400]


def plain(value: int) -> bytes:
    """Give the item of a small integer digit by digit."""
    n, digits = abs(value), []
    while n >= 0x80:
        digits.append(n & 0x7F)
        n >>= 7
    return bytes([*digits, n, 0x81 if value >= 0 else 0x83])


def test_floats() -> None:
    for value in (0.0, -0.0, 1.5, -1e300, float("inf")):
        assert octets.float_item(value) == b"\x84" + pack(">d", value)
        assert octets.float_at(b"ab" + pack(">d", value) + b"c", 2) == value


@pytest.mark.parametrize("value", SMALL)
def test_a_small_integer(value: int) -> None:
    assert octets.small_int(value) == plain(value) == token(value)


@pytest.mark.parametrize("value", LARGE)
def test_a_large_integer(value: int) -> None:
    assert octets.small_int(value) is None
    assert encode(value)[-1] == (LONGINT if value > 0 else LONGNEG)


@pytest.mark.parametrize("rest", [[], ["text", 1], [True], *([value, 1] for value in LARGE)])
@pytest.mark.parametrize("kind", [list, tuple])
def test_the_integers_that_a_sequence_begins_with(kind: Any, rest: list[Any]) -> None:
    many = SMALL * 200
    out = [b"before"]
    assert octets.write_ints(kind(many + rest), out) == len(many)
    assert b"".join(out) == b"before" + b"".join(map(plain, many))
    assert octets.write_ints(kind(rest), out) == 0


RUN = b"".join(map(plain, SMALL))


@pytest.mark.parametrize(
    ("data", "need", "expected"),
    [
        (RUN, 100, (len(RUN), 100 - len(SMALL))),
        (RUN, len(SMALL), (len(RUN), 0)),
        (RUN, len(SMALL) - 1, None),
        (RUN + b"\x05\x06", 100, (len(RUN), 100 - len(SMALL))),
        (RUN + b"\x01\x82a", 100, (len(RUN), 100 - len(SMALL))),
        (RUN + b"\x00" * 6 + b"\x81", 100, None),
        (b"\x81" * 3, 100, (3, 97)),
        (b"", 100, None),
        (b"\x01\x80", 100, None),
    ],
)
def test_going_over_integers(data: bytes, need: int, expected: tuple[int, int] | None) -> None:
    end, left = expected or (0, need)
    assert octets.skip_ints(data, 0, need, 1000) == (end, left)
    assert octets.skip_ints(b"\x80" + data, 1, need, 1 + end + left) == (end + 1, left)
    if expected:
        assert octets.skip_ints(data, 0, need, end + left - 1) == (0, need)


def test_a_byte_string_is_filled_piece_by_piece() -> None:
    both = [octets.room(2), octets.room(2)]
    for room in both:
        octets.writable(room)[:] = b"ab"
    assert [octets.written(room, 1) for room in both] == [b"a", b"a"]
    for size in (1000, 1000, 2000):
        room = octets.room(size)
        view = octets.writable(room)
        view[:3] = b"abc"
        view[3:size] = b"x" * (size - 3)
        data = octets.written(room, 900)
        assert data == b"abc" + b"x" * 897
        # Another one does not touch it.
        octets.writable(octets.room(size))[:size] = b"y" * size
        assert data == b"abc" + b"x" * 897
