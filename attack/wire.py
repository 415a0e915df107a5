"""Bytes of PB's protocol, written by hand: also those that no honest encoder gives.

Banana in dialect `none`: a list, a string, an integer or a float, each as the protocol has it.
"""

import struct
from typing import Any

LIST, INT, STRING, NEG, FLOAT, LONG, LONGNEG, VOCAB = (bytes([n]) for n in range(0x80, 0x88))
# Of the wire, and of Pellucid, which Twisted lacks.
STRING_BYTES = LIST_ITEMS = 655_360
MESSAGE_BYTES = 16 * 1024 * 1024
ITEMS = 1_000_000

NONE = [b"None"]
EMPTY = [b"dictionary"]
VERSION = [b"version", 6]


class Raw(bytes):
    """Bytes that are an item already, or several."""


def digits(number: int) -> bytes:
    """Write a number as it stands before a type byte."""
    found = bytearray()
    while True:
        found.append(number & 0x7F)
        number >>= 7
        if not number:
            return bytes(found)


def head(kind: bytes, number: int) -> bytes:
    """Write a type byte with its number."""
    return digits(number) + kind


def item(value: Any) -> bytes:
    """Write one item, with all that is in it."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, bytes):
        return head(STRING, len(value)) + value
    if isinstance(value, int):
        if value < 0:
            return head(NEG if value >= -(2**31) else LONGNEG, -value)
        return head(INT if value < 2**31 else LONG, value)
    if isinstance(value, float):
        return FLOAT + struct.pack(">d", value)
    return head(LIST, len(value)) + b"".join(map(item, value))


def text(value: str) -> Any:
    """Write text."""
    return [b"unicode", value.encode("utf-8", "surrogatepass")]


def call(
    name: bytes,
    *args: Any,
    request: Any = 1,
    target: Any = b"root",
    wants_answer: Any = 1,
    command: bytes = b"message",
) -> bytes:
    """Write a call."""
    return item([command, request, target, name, wants_answer, [b"tuple", *args], EMPTY])


def opened_call(name: bytes, request: int = 1) -> bytes:
    """Write a call up to its arguments, which are to follow as one item, and then `item(EMPTY)`."""
    fields = (b"message", request, b"root", name, 1)
    return head(LIST, 7) + b"".join(map(item, fields))


def tuple_of(count: int, each: bytes) -> bytes:
    """Write a tuple with the same item so many times."""
    return head(LIST, count + 1) + item(b"tuple") + each * count


class Short(Exception):
    """The item is not complete."""


def parse(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Read one item of what an honest peer wrote, and give where it ends."""
    start, number = at, 0
    while at < len(data) and data[at] < 0x80:
        number |= data[at] << 7 * (at - start)
        at += 1
    if at == len(data):
        raise Short
    kind = data[at : at + 1]
    at += 1
    if kind == LIST:
        items = []
        for _ in range(number):
            value, at = parse(data, at)
            items.append(value)
        return items, at
    if kind in (STRING, FLOAT):
        end = at + (number if kind == STRING else 8)
        if end > len(data):
            raise Short
        body = data[at:end]
        return (body if kind == STRING else struct.unpack(">d", body)[0]), end
    if kind in (NEG, LONGNEG):
        return -number, at
    if kind in (INT, LONG):
        return number, at
    raise ValueError(f"type byte {kind!r}")
