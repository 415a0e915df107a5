"""Where in a value something stands, in the words of an error: "arguments[2]['owner'].name".

While a value is written or read its place is known step by step. What is found out later is looked
for in the bytes. (Wire document, sections 4 and 5.)
"""

from collections.abc import Iterator, Sequence
from typing import Final

from .banana import FLOAT, LIST, STRING, Dialect, read_item, skip_item

__all__ = [
    "OWN_TAGS",
    "PAIR",
    "Frame",
    "attribute_step",
    "head",
    "is_copy",
    "is_id",
    "peek",
    "place",
    "place_of",
    "step_of",
    "walk",
]

OWN_TAGS: Final = frozenset(
    b"None boolean int float unicode list tuple set frozenset dictionary decimal datetime date "
    b"time timedelta reference dereference remote local cached lcache unpersistable persistent "
    b"class module function method instance".split()
)
"""The type tags that mean something in themselves; all others are those of copies and caches."""

PAIR: Final = b""
"""Stands for the tag that the pairs of a dictionary do not have."""

_LONGEST_STEP: Final = 40
_ID_BITS: Final = 64
_ID_BYTES: Final = 500


def step_of(key: object, index: int) -> str:
    """Give the step to the value behind `key` in a path such as "arguments[2]['owner']".

    Only a plain key is shown: the text of a container may be of any length.
    """
    if key is None or type(key) in (str, bytes, int, float, bool):
        text = repr(key[:_LONGEST_STEP] if isinstance(key, (str, bytes)) else key)
        return f"[{text}]"
    return f"{{value {index}}}"


def attribute_step(step: str) -> str:
    """Give the step into the state of a copy, made of the step into the dictionary that it is."""
    name = step[2:-2]
    return f".{name}" if name.isidentifier() and step == f"['{name}']" else step


def head(data: bytes, pos: int) -> tuple[int, int, int]:
    """Give the type byte and the prefix of the item at `pos`, and where its body is."""
    end = pos
    while data[end] < LIST:
        end += 1
    n = 0
    for digit in reversed(data[pos:end]):
        n = n << 7 | digit
    return data[end], n, end + 1


def peek(data: bytes, pos: int, dialect: Dialect) -> int | bytes | None:
    """Give the item at `pos` if it is an integer or a byte string, else None."""
    if head(data, pos)[0] in (LIST, FLOAT):
        return None
    found: int | bytes = read_item(data, pos, dialect)[0]
    return found


def is_id(item: object) -> bool:
    """Tell whether an item can be the id of an object or cache of the other side.

    Ids are kept as long as what they name, so they have to be short: what is longer than any
    counter or name is none.
    """
    if type(item) is int:
        return item.bit_length() <= _ID_BITS
    return type(item) is bytes and len(item) <= _ID_BYTES


def is_copy(tag: bytes | None) -> bool:
    """Tell whether a list with this tag is a copy or a cache."""
    return tag is not None and tag != PAIR and tag not in OWN_TAGS


class Frame:
    """A list of the bytes that is not at its end.

    `tag` is None if it has none. `count` items are behind the tag, the first one at `body`, and
    `index` says which of them comes now; -1 before the first.
    """

    __slots__ = ("body", "count", "index", "tag")

    def __init__(self, tag: bytes | None, count: int, body: int) -> None:
        self.tag = tag
        self.count = count
        self.body = body
        self.index = -1


def walk(data: bytes, pos: int, dialect: Dialect) -> Iterator[tuple[int, list[Frame]]]:
    """Give every item in the item at `pos`, in order: where it is, and the lists that it is in.

    A list is itself the last of these then. `data` has been through a Framer. The frames are the
    same ones each time.
    """
    frames: list[Frame] = []
    while True:
        start = pos
        kind, n, pos = head(data, pos)
        if kind == STRING:
            pos += n
        elif kind == FLOAT:
            pos += 8
        elif kind == LIST:
            frames.append(_frame(data, pos, n, frames, dialect))
            pos = frames[-1].body
        yield start, frames
        while frames and frames[-1].index + 1 == frames[-1].count:
            frames.pop()
        if not frames:
            return
        frames[-1].index += 1


def _frame(data: bytes, pos: int, n: int, outer: Sequence[Frame], dialect: Dialect) -> Frame:
    if outer and outer[-1].tag == b"dictionary":
        return Frame(PAIR, n, pos)
    tag = peek(data, pos, dialect) if n else None
    return (
        Frame(tag, n - 1, skip_item(data, pos)) if isinstance(tag, bytes) else Frame(None, n, pos)
    )


def place(data: bytes, frames: Sequence[Frame], dialect: Dialect) -> str:
    """Give the steps to the item that comes now in the last of `frames`."""
    steps = []
    index = 0
    in_state = is_state = False
    for frame in frames:
        step = ""
        tag = frame.tag
        if frame.index < 0 or tag == b"reference":
            continue
        if tag in (b"list", b"tuple"):
            step = f"[{frame.index}]"
        elif tag in (b"set", b"frozenset"):
            step = "{member}"
        elif tag == PAIR:
            step = f"{{key {index}}}"
            if frame.index:
                step = step_of(_key(data, frame.body, dialect), index)
                step = attribute_step(step) if is_state else step
        elif tag == b"dictionary":
            index = frame.index
        is_state = in_state and tag == b"dictionary"
        in_state = is_copy(tag)
        steps.append(step)
    return "".join(steps)


def _key(data: bytes, pos: int, dialect: Dialect) -> object:
    """Give a key of a dictionary, or anything else if it is none that is shown."""
    kind, n, body = head(data, pos)
    if kind != LIST:
        return read_item(data, pos, dialect)[0]
    if n == 2 and peek(data, body, dialect) == b"unicode":
        text = peek(data, skip_item(data, body), dialect)
        if isinstance(text, bytes):
            return text.decode("utf-8", "replace")
    return ()


def place_of(data: bytes, start: int, at: int, dialect: Dialect) -> str:
    """Give the steps from the item at `start` to the one in it that begins at `at`.

    To the key, if that is the value of a dictionary.
    """
    for pos, frames in walk(data, start, dialect):
        if pos == at:
            outer = [frame for frame in frames if frame.index >= 0]
            if outer and outer[-1].tag == PAIR:
                outer[-1].index = 0
            return place(data, outer, dialect)
    return ""
