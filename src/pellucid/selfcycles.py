"""Values that contain themselves in a way that Twisted can't read.

While it has not finished something it puts placeholders where that is referred to, and a tuple or
a set with one in it is a placeholder too. It replaces them in lists and dictionaries, but not in
the state of a copy and not in keys; and it fails over a placeholder that is referred to again when
it has been replaced, or from inside. So nothing of the kind is sent to it. (Wire document,
section 5.)
"""

from collections.abc import Iterator, Sequence
from typing import Final

from .banana import Dialect, skip_item
from .places import PAIR, Frame, is_copy, place, walk

__all__ = ["self_cycle"]

_FIXED: Final = frozenset((b"tuple", b"set", b"frozenset"))


class _Number:
    """What a reference number refers to."""

    __slots__ = ("attributes", "frame", "is_late", "is_used", "level", "waits")

    def __init__(self, frame: Frame, level: int) -> None:
        self.frame = frame
        self.level = level
        # It is finished only when this is, too, the outermost of all that it needs; and what is
        # directly in a dictionary is finished only when that is.
        self.waits: _Number | None = None
        self.attributes: _Number | None = None
        self.is_late = False
        # It was referred to from inside.
        self.is_used = False

    def is_open(self, frames: Sequence[Frame]) -> bool:
        return self.level < len(frames) and frames[self.level] is self.frame

    def unfinished(self, frames: Sequence[Frame]) -> "_Number | None":
        """Give what is open and keeps this from being finished, None if it is finished."""
        return self if self.is_open(frames) else _still(self.waits, frames)


def _still(number: _Number | None, frames: Sequence[Frame]) -> _Number | None:
    return number if number is not None and number.is_open(frames) else None


def _outer(one: _Number | None, other: _Number, frames: Sequence[Frame]) -> _Number:
    """Give the outer of two, the second of which is open."""
    one = _still(one, frames)
    return other if one is None or other.level < one.level else one


def self_cycle(data: bytes, dialect: Dialect) -> str | None:
    """Give the place of what Twisted can't read in the value whose bytes these are, None if none.

    What leads there is to be put before it, such as "arguments". The bytes are an Encoder's.
    """
    numbers: dict[bytes, _Number] = {}
    by_frame: dict[int, _Number] = {}
    for _, frames in walk(data, 0, dialect):
        # The last one is the item itself, if it is a list.
        if not frames or frames[-1].index >= 0:
            continue
        frame = frames[-1]
        if frame.tag == b"reference":
            number = _Number(frame, len(frames) - 1)
            numbers[_first(data, frame)] = by_frame[id(frame)] = number
        elif frame.tag == b"dereference":
            known = numbers.get(_first(data, frame))
            if known is None:
                # Whoever wrote it as it stands knows what it means.
                continue
            if _is_bad(known, frames, by_frame):
                return place(data, frames[:-1], dialect)
    return None


def _is_bad(number: _Number, frames: Sequence[Frame], by_frame: dict[int, _Number]) -> bool:
    """Tell whether Twisted fails over a reference to this number, the last of the frames."""
    outer = frames[:-1]
    waits = number.unfinished(frames)
    if waits is None:
        return number.is_late or (
            is_copy(outer[-1].tag if outer else None)
            and _still(number.attributes, frames) is not None
        )
    if _is_direct(outer, waits):
        return True
    for frame in _placeholders(outer):
        whole = by_frame[id(frame)]
        whole.waits = _outer(whole.waits, waits, frames)
        whole.is_late = True
        if whole.is_used:
            return True
    holder = _dictionary_around(outer, by_frame)
    if holder is not None:
        holder.attributes = _outer(holder.attributes, waits, frames)
    if number.is_open(frames):
        number.is_used = True
        return number.is_late
    return False


def _first(data: bytes, frame: Frame) -> bytes:
    return data[frame.body : skip_item(data, frame.body)]


def _placeholders(frames: Sequence[Frame]) -> Iterator[Frame]:
    """Give what is referred to that can't be made while something in it is a placeholder."""
    for frame in reversed(frames):
        if frame.tag == b"reference":
            yield frame
        elif frame.tag not in _FIXED:
            return


def _is_direct(frames: Sequence[Frame], waits: _Number) -> bool:
    """Tell whether nothing that can change is on the way up to a state or a key.

    A state that contains itself is complete before anybody takes it.
    """
    is_attribute = False
    for frame in reversed(frames):
        tag = frame.tag
        if is_copy(tag):
            return True
        if tag == PAIR and not is_attribute:
            if frame.index == 0:
                return True
        elif tag == b"dictionary" and not is_attribute:
            is_attribute = True
        elif tag == b"reference":
            if is_attribute and frame is waits.frame:
                return False
        elif is_attribute or tag not in _FIXED:
            return False
    return False


def _dictionary_around(frames: Sequence[Frame], by_frame: dict[int, _Number]) -> _Number | None:
    """Give what is referred to as the dictionary whose value, or part of it, comes now."""
    for index in range(len(frames) - 1, -1, -1):
        tag = frames[index].tag
        if tag == PAIR:
            return by_frame.get(id(frames[index - 2])) if index > 1 else None
        if tag != b"reference" and tag not in _FIXED:
            break
    return None
