"""Values inside of s-expressions that an application puts together or takes apart itself.

An object that travels as an s-expression of its own has values in it, which travel as values do. A
`Part` stands for one that was written, and an `Unread` for what came and has not been decoded.
"""

from typing import Any

from .banana import DEPTH, LIST, Dialect, Sexp, encode, list_header, read_item
from .errors import InsecureJelly, LimitExceeded
from .limits import Limits
from .places import head

__all__ = ["Part", "Unread", "flatten", "unread"]


class Part(list[Any]):
    """Stands for a value that was written, from `start` to `end` of what is written."""

    __slots__ = ("end", "start")

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.end = start


class Unread(list[Any]):
    """A list as it came. It is at `at` of the message, and `end` is behind it.

    What it was decoded to is `value`, if it is `read`. If it is `taken`, a copy of it is decoded
    elsewhere, with all that is in it.
    """

    __slots__ = ("at", "end", "read", "taken", "value")

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.end = at
        self.read = False
        self.taken = False
        self.value: Any = None


def flatten(sexp: Any, dialect: Dialect, depth: int, limits: Limits) -> list[Any]:
    """Give an s-expression with parts in it as bytes and the parts, one after the other.

    There are bytes between any two parts, which may be none. Raises InsecureJelly for what is no
    s-expression or is nested more than `depth` deep, and LimitExceeded for what is over `limits`.
    """
    found: list[Any] = []
    written: list[bytes] = []
    _flatten(sexp, dialect, depth, limits, found, written)
    found.append(b"".join(written))
    return found


def _flatten(
    sexp: Any,
    dialect: Dialect,
    depth: int,
    limits: Limits,
    found: list[Any],
    written: list[bytes],
) -> None:
    kind = type(sexp)
    if kind is Part:
        found.append(b"".join(written))
        found.append(sexp)
        written.clear()
    elif kind is list or kind is tuple:
        if depth <= 0:
            raise InsecureJelly("an s-expression is nested too deep")
        size = len(sexp)
        if size > limits.list_items:
            raise LimitExceeded(
                f"a list of {size} items can't be sent, limits.list_items is {limits.list_items}",
                limit="list_items",
                value=size,
            )
        written.append(list_header(size))
        for member in sexp:
            _flatten(member, dialect, depth - 1, limits, found, written)
    else:
        try:
            written.append(encode(sexp, dialect, limits=limits))
        except TypeError as error:
            raise InsecureJelly(str(error)) from None


def unread(
    data: bytes, pos: int, dialect: Dialect, tag: bytes, count: int, known: dict[int, Unread]
) -> Unread:
    """Give `[tag, ...]`, of which `count` items follow at `pos`. `data` has been through a Framer.

    The lists in it are Unread too, and are found in `known` by where their second items are.
    Raises LimitExceeded if they are nested more than 256 deep.
    """
    top = Unread(pos)
    top.append(tag)
    known[pos] = top
    stack = [(top, count)]
    while stack:
        items, left = stack.pop()
        if not left:
            items.end = pos
            continue
        stack.append((items, left - 1))
        kind, n, body = head(data, pos)
        if kind != LIST:
            item: Sexp
            item, pos = read_item(data, pos, dialect)
            items.append(item)
            if len(items) == 1:
                known[pos] = items
            continue
        if len(stack) > DEPTH:
            raise LimitExceeded(
                f"nested deeper than {DEPTH}",
                limit="depth_received",
                value=len(stack),
                remote=True,
            )
        inner = Unread(pos)
        items.append(inner)
        stack.append((inner, n))
        pos = body
    return top
