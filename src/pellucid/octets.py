"""Numbers as bytes, for where each nanosecond counts.

Compiled, what octets.pxd has under these names takes their place.
"""

import re
from functools import cache
from struct import Struct
from typing import Any, Final

__all__ = [
    "float_at",
    "float_item",
    "room",
    "skip_ints",
    "small_int",
    "writable",
    "write_ints",
    "written",
]

_DOUBLE: Final = Struct(">d")
_FLOAT_ITEM: Final = Struct(">Bd")
_ENDS: Final = tuple(bytes((n, 0x81)) for n in range(0x80))
_NEG_ENDS: Final = tuple(bytes((n, 0x83)) for n in range(0x80))
# Two digits each, made when they are first needed.
_PAIRS: Final[list[bytes]] = []
_DIGIT_OR_TYPE: Final = bytes(n >> 7 for n in range(0x100))
_TOO_LONG: Final = bytes(6)
# One that was made before.
_SPARE: Final[list[bytearray]] = []


def float_at(data: bytes, pos: int) -> float:
    """Give the float whose eight bytes begin at `pos`."""
    value: float = _DOUBLE.unpack_from(data, pos)[0]
    return value


def float_item(value: float) -> bytes:
    """Give the item of a float."""
    return _FLOAT_ITEM.pack(0x84, value)


def small_int(value: int) -> bytes | None:
    """Give the item of an integer that four bytes can hold, None for any other."""
    if 0 <= value < 0x80:
        return _ENDS[value]
    n, kind = (value, 0x81) if value >= 0 else (-value, 0x83)
    if n < 0x80:
        return _NEG_ENDS[n]
    if n < 0x4000:
        return bytes((n & 0x7F, n >> 7, kind))
    if n < 0x200000:
        return bytes((n & 0x7F, n >> 7 & 0x7F, n >> 14, kind))
    if n < 0x10000000:
        return bytes((n & 0x7F, n >> 7 & 0x7F, n >> 14 & 0x7F, n >> 21, kind))
    if not -0x80000000 <= value < 0x80000000:
        return None
    return bytes((n & 0x7F, n >> 7 & 0x7F, n >> 14 & 0x7F, n >> 21 & 0x7F, n >> 28, kind))


def write_ints(values: list[Any] | tuple[Any, ...], out: list[bytes]) -> int:
    """Write the integers that `values` begins with, and tell how many those are.

    It stops at one that four bytes can't hold.
    """
    if not _PAIRS:
        _PAIRS.extend(bytes((n & 0x7F, n >> 7)) for n in range(0x4000))
    pairs, append = _PAIRS, out.append
    done = 0
    for value in values:
        if type(value) is not int:
            break
        n, ends, kind = (value, _ENDS, b"\x81") if value >= 0 else (-value, _NEG_ENDS, b"\x83")
        if n >= 0x4000:
            if n >= 0x10000000:
                item = small_int(value)
                if item is None:
                    break
                append(item)
                done += 1
                continue
            append(pairs[n & 0x3FFF])
            n >>= 14
        if n < 0x80:
            append(ends[n])
        else:
            append(pairs[n])
            append(kind)
        done += 1
    return done


# A byte string that is filled piece by piece.


def room(size: int) -> Any:
    """Give room for so many bytes, the first of which become a byte string."""
    try:
        # To make one is to clear it.
        spare = _SPARE.pop()
    except IndexError:
        return bytearray(size)
    return spare if len(spare) == size else bytearray(size)


def writable(made: Any) -> memoryview:
    """Give what is written through into what `room` has given."""
    return memoryview(made)


def written(made: Any, size: int) -> bytes:
    """Give the first bytes of what `room` has given. Nobody may write there any more.

    Compiled, that is where they are, and the rest is lost.
    """
    data = bytes(memoryview(made)[:size])
    if not _SPARE:
        _SPARE.append(made)
    return data


def skip_ints(data: bytes, pos: int, need: int, bound: int) -> tuple[int, int]:
    """Go over a run of integers at `pos`, of `need` items that are to come.

    Gives the place behind it, and how many items are to come then. It goes nowhere if the run has
    more than those, or would leave less than a byte for each before `bound`, or something is odd.
    """
    found = _integers().match(data, pos)
    if found is None:
        return pos, need
    marks = found[0].translate(_DIGIT_OR_TYPE)
    left = need - marks.count(1)
    if left < 0 or found.end() + left > bound or _TOO_LONG in marks:
        return pos, need
    return found.end(), left


@cache
def _integers() -> re.Pattern[bytes]:
    # Compiled when it is first needed.
    return re.compile(rb"[\x00-\x7f\x81\x83]*[\x81\x83]")
