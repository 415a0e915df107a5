"""The messages that come and go most, each in one go. For Python, where each step is dear.

That is a call, an answer or a release with nothing but small atoms and references in it. What is
anything else, or not wholly there, is None here, and goes the way of all messages: what is given
here is what would become of it there. Compiled, what usual.pxd has under these names takes their
place, for that way is faster there.
"""

import re
from functools import cache
from typing import Any, Final, TypeAlias

from . import octets
from .banana import PB, Dialect, int_token, list_header, string_token
from .errors import InsecureJelly, LimitExceeded
from .flavors import Referenceable
from .limits import Limits
from .ports import Exporter

__all__ = ["answer", "atoms", "call", "fits", "item", "read", "remember"]

_LIST: Final = 0x80
_STRING: Final = 0x82
_FLOAT: Final = 0x84
_POSITIVE: Final = (0x81, 0x85)
_NEGATIVE: Final = (0x83, 0x86)
# The prefix of a number has no more.
_BITS: Final = 56

# No limit is reached by so many bytes, nor by so many items.
_ROOM: Final = 4096
# A call has so many arguments at the most, each of a few bytes more than a short string.
_ARGUMENTS: Final = 8
_SHORT: Final = 0x80
# How deep lists, tuples and dictionaries may be nested in what arrives.
_DEEP: Final = 8


def _tagged(n: int, tag: bytes) -> bytes:
    return list_header(n) + string_token(tag, PB)


_MESSAGE: Final = _tagged(7, b"message")
_ANSWER: Final = _tagged(3, b"answer")
_DECREF: Final = _tagged(2, b"decref")
_TUPLE: Final = string_token(b"tuple", PB)
_NO_KEYWORDS: Final = _tagged(1, b"dictionary")
_REMOTE: Final = _tagged(2, b"remote")
_TEXT: Final = _tagged(2, b"unicode")
_TEXT_PAIR: Final = list_header(2) + _TEXT
_NONE: Final = _tagged(1, b"None")
_TRUE: Final = _tagged(2, b"boolean") + string_token(b"true", PB)
_FALSE: Final = _tagged(2, b"boolean") + string_token(b"false", PB)
_ROOT: Final = string_token(b"root", PB)
_MADE: Final = {
    b"\x80" + string_token(word, PB): made
    for word, made in ((b"list", list), (b"tuple", tuple), (b"dictionary", dict))
}
_BY_REFERENCE: Final = Referenceable.write_jelly
_WANTED: Final = (b"\x00\x81", b"\x01\x81")

_TOKENS: Final = PB.tokens
_LONGEST: Final = PB.longest
_STRINGS: Final = tuple(bytes((n, _STRING)) for n in range(_SHORT))
# What goes before a text of so many bytes.
_TEXTS: Final = tuple(_TEXT + head for head in _STRINGS)
_ARGS: Final = tuple(list_header(n + 1) + _TUPLE for n in range(_ARGUMENTS + 1))

# How calls say a method's name and whether an answer is wanted. Any peer may add to it.
_heads: Final[dict[bytes, tuple[str, bool]]] = {}
_HEADS: Final = 256


def fits(limits: Limits, dialect: Dialect) -> bool:
    """Tell whether what is usual here is so for a connection."""
    return (
        dialect.words == PB.words
        and limits.integer_bits >= _BITS
        and min(limits.string_bytes, limits.list_items, limits.message_bytes) >= _ROOM
        and min(limits.items, limits.containers) >= _ROOM
        and min(limits.depth_received, limits.depth_sent) > _DEEP + 1
    )


# What arrives.


def remember(data: bytes, pos: int, name: str, wants_answer: bool) -> None:
    """Remember how a call says its name and `wants_answer`, whose arguments begin at `pos`."""
    found = _call().match(data)
    if found is not None and found.end(3) == pos:
        if len(_heads) >= _HEADS:
            _heads.clear()
        _heads[found[3]] = name, wants_answer


# The end of a message, its number, what it says first, the object of a call, and its values. Then
# the places of those values that are ids of references.
_Read: TypeAlias = tuple[int, Any, tuple[str, bool] | None, Any, list[Any], list[int]]


def read(data: bytes, start: int) -> _Read | None:
    """Read the message at `start`.

    A call says first the name of the method, and whether an answer is wanted. An answer says
    nothing and has no object, and a release has no number as well: its value is what is released.
    """
    try:
        first = data[start]
        if first == 7:
            found = _read_call(data, start)
        elif first == 3 and data.startswith(_ANSWER, start):
            found = _read_answer(data, start)
        elif first == 2 and data.startswith(_DECREF, start):
            found = _read_release(data, start)
        else:
            return None
    except (IndexError, RecursionError):
        # What is not there yet, or too deep for the stack that is left.
        return None
    if found is None or found[0] > len(data) or found[0] > start + _ROOM:
        return None
    return found


def _read_call(data: bytes, start: int) -> _Read | None:
    found = _call().match(data, start)
    if found is None:
        return None
    request, digits, key, size = found.groups()
    head = _heads.get(key)
    if head is None:
        return None
    subject: Any = b"root"
    if digits is not None:
        subject = shift = 0
        for digit in digits:
            subject |= digit << shift
            shift += 7
    values: list[Any] = []
    ids: list[int] = []
    count = size[0] - 1
    pos, done = atoms(data, found.end(), count, values, False, ids, _DEEP, start + _ROOM)
    if done < count or not data.startswith(_NO_KEYWORDS, pos):
        return None
    return pos + len(_NO_KEYWORDS), request, head, subject, values, ids


def _read_answer(data: bytes, start: int) -> _Read | None:
    pos, request = _natural(data, start + len(_ANSWER))
    if request < 0:
        return None
    values: list[Any] = []
    ids: list[int] = []
    pos, done = atoms(data, pos, 1, values, False, ids, _DEEP, start + _ROOM)
    return (pos, request, None, None, values, ids) if done else None


def _read_release(data: bytes, start: int) -> _Read | None:
    pos, luid = _natural(data, start + len(_DECREF))
    return None if luid < 0 else (pos, None, None, None, [luid], [])


def _natural(data: bytes, pos: int) -> tuple[int, int]:
    """Read the number at `pos`. Gives the place behind it, and -1 for any other item."""
    n = data[pos]
    kind = data[pos + 1]
    if n >= _LIST:
        return pos, -1
    pos += 2
    if kind < _LIST:
        pos, n, kind = _digits(data, pos, n, kind)
    return pos, n if kind in _POSITIVE else -1


def _digits(data: bytes, pos: int, n: int, digit: int) -> tuple[int, int, int]:
    """Read the rest of a prefix that began with `n` and `digit`.

    Gives the place behind it, the number, and what comes in place of one more digit: the kind.
    """
    shift = 7
    while digit < _LIST and shift < _BITS:
        n |= digit << shift
        shift += 7
        digit = data[pos]
        pos += 1
    return pos, n, digit


def atoms(
    data: bytes,
    pos: int,
    count: int,
    result: Any,
    pairs: bool,
    ids: list[int] | None = None,
    deeper: int = 0,
    bound: int = 0,
) -> tuple[int, int]:
    """Read the atoms that so many values at `pos` begin with into `result`.

    That is a list, or with `pairs` a dictionary, whose keys are texts. Gives the place behind them,
    and how many were read. A reference is an atom only if there are `ids`, where its place is
    noted, and so are containers that are nested `deeper` and begin before `bound`. Of what is cut
    off it takes what is there, which ends behind the data then, or raises IndexError.
    """
    key = None
    done = 0
    at = pos
    try:
        for done in range(count):
            at = pos
            if pairs:
                if not data.startswith(_TEXT_PAIR, pos):
                    return at, done
                n = data[pos + 13]
                if n >= _LIST or data[pos + 14] != _STRING:
                    return at, done
                pos += 15
                key = data[pos : pos + n].decode()
                pos += n
            value: Any
            n = data[pos]
            kind = data[pos + 1] if n < _LIST else 0
            if kind == _LIST:
                if data.startswith(_TEXT, pos):
                    n = data[pos + 11]
                    pos += 13
                    if n >= _LIST or data[pos - 1] != _STRING:
                        # Two digits, that is.
                        if n >= _LIST or data[pos - 1] >= _LIST or data[pos] != _STRING:
                            return at, done
                        n |= data[pos - 1] << 7
                        pos += 1
                    value = data[pos : pos + n].decode()
                    pos += n
                elif data.startswith(_TRUE, pos):
                    value = True
                    pos += len(_TRUE)
                elif data.startswith(_FALSE, pos):
                    value = False
                    pos += len(_FALSE)
                elif data.startswith(_NONE, pos):
                    value = None
                    pos += len(_NONE)
                elif ids is not None and data.startswith(_REMOTE, pos):
                    pos, value = _natural(data, pos + len(_REMOTE))
                    if value < 0:
                        return at, done
                    ids.append(done)
                else:
                    make = None
                    if deeper and pos < bound:
                        make = _MADE.get(data[pos + 1 : pos + 4])
                    if make is None or n == 0:
                        return at, done
                    value = {} if make is dict else []
                    pos, inner = atoms(
                        data, pos + 4, n - 1, value, make is dict, None, deeper - 1, bound
                    )
                    if inner < n - 1 or pos > len(data):
                        return at, done
                    if make is tuple:
                        value = tuple(value)
            elif n >= _LIST:
                if n != _FLOAT or pos + 9 > len(data):
                    return at, done
                value = octets.float_at(data, pos + 1)
                pos += 9
            elif kind == _STRING:
                pos += 2
                value = data[pos : pos + n]
                pos += n
            else:
                pos += 2
                if kind < _LIST:
                    pos, n, kind = _digits(data, pos, n, kind)
                if kind in _POSITIVE:
                    value = n
                elif kind in _NEGATIVE:
                    value = -n
                elif kind == _STRING:
                    value = data[pos : pos + n]
                    pos += n
                else:
                    return at, done
            if pairs:
                result[key] = value
            else:
                result.append(value)
    except UnicodeDecodeError:
        return at, done
    return pos, count


@cache
def _call() -> re.Pattern[bytes]:
    # A call up to its first argument: its number; the object, by its id or as the root; the name,
    # in ASCII, and whether an answer is wanted; how many items the tuple has. Where the name ends
    # is not seen here: that part means something only if it is one that was read the long way
    # before. Compiled when it is first needed.
    return re.compile(
        re.escape(_MESSAGE)
        + rb"([\0-\x7f]{1,4}+\x81)(?:([\0-\x7f]{1,4}+)\x81|"
        + re.escape(_ROOT)
        + rb")([\0-\x7f]{1,99}+\x82[\0-\x7f]{1,99}+\x81)([\x01-\x09])\x80"
        + re.escape(_TUPLE)
    )


# What leaves.


def item(value: Any) -> bytes | None:
    """Give the item of a value."""
    kind = type(value)
    if kind is str:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            return None
        size = len(data)
        if size <= _LONGEST and data in _TOKENS:
            return _TEXT + _TOKENS[data]
        return _TEXTS[size] + data if size < _SHORT else None
    if kind is int:
        return octets.small_int(value)
    if value is None:
        return _NONE
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is float:
        return octets.float_item(value)
    if kind is bytes:
        size = len(value)
        if size <= _LONGEST and value in _TOKENS:
            return _TOKENS[value]
        return _STRINGS[size] + value if size < _SHORT else None
    return None


def answer(value: Any, exporter: Exporter) -> bytes | None:
    """Give the item of a value, which may be an object of this side."""
    written = item(value)
    if written is None and _is_reference(value):
        written = _reference(value, exporter)
    return written


def _is_reference(value: Any) -> bool:
    return getattr(type(value), "write_jelly", None) is _BY_REFERENCE


def _reference(value: Any, exporter: Exporter) -> bytes | None:
    """Give the item of an own object, and count that it is sent once more."""
    try:
        return _REMOTE + int_token(exporter.export(value))
    except (InsecureJelly, LimitExceeded):
        return None


def call(
    request: int,
    luid: Any,
    word: bytes,
    wants_answer: bool,
    args: tuple[Any, ...],
    exporter: Exporter,
) -> bytes | None:
    """Give a call without keywords, of the method whose name is `word` as an item."""
    count = len(args)
    if count > _ARGUMENTS:
        return None
    number = octets.small_int(request)
    subject = octets.small_int(luid) if type(luid) is int else _ROOT if luid == b"root" else None
    if number is None or subject is None:
        return None
    out = [_MESSAGE, number, subject, word, _WANTED[wants_answer], _ARGS[count]]
    place = 0
    for value in args:
        written = item(value)
        if written is None:
            # One may be an object of this side. It counts only when nothing can be wrong with all
            # others, for what is taken back may be told to the application.
            if place or not _is_reference(value):
                return None
            place = len(out)
            written = b""
        out.append(written)
    if place:
        written = _reference(args[place - 6], exporter)
        if written is None:
            return None
        out[place] = written
    out.append(_NO_KEYWORDS)
    return b"".join(out)
