"""From objects to the bytes of a message, in one pass. (Wire document, sections 4 and 5.)"""

import sys
from collections.abc import Callable
from operator import is_not
from typing import Any, Final

from . import octets, usual
from .atoms import tag_of
from .banana import APART, DEPTH, Dialect, Sexp, encode, int_token, list_header, string_token
from .errors import InsecureJelly, LimitExceeded, full_name
from .heap import LONG, keep_room
from .limits import Limits
from .parts import Part, flatten
from .places import attribute_step, step_of
from .ports import Exporter
from .registry import tag_bytes
from .selfcycles import self_cycle

__all__ = ["Encoder"]

_LIST: Final = 0x80
_STRING: Final = 0x82
_FLOAT: Final = 0x84
_LONG: Final = LONG
_APART: Final = APART

# The peers in any other may be Twisted's.
_OWN_DIALECT: Final = "pellucid"

_LISTS: Final = tuple(map(list_header, range(0x80)))
_STRINGS: Final = tuple(bytes((n, _STRING)) for n in range(0x80))
# What goes before a text of so many bytes. The word is in no vocabulary.
_TEXTS: Final = tuple(b"\x02\x80\x07\x82unicode" + head for head in _STRINGS)

# So many short keys of dictionaries are remembered as bytes: the same ones come again and again.
_KEYS: Final = 1024
_LONGEST_KEY: Final = 32

_CHANGED: Final = "it changed while it was written"

# Nothing is ever put into these: most encoders never need any of their own.
_NO_SLOTS: Final[dict[int, int]] = {}
_NO_STEPS: Final[list[Any]] = []


class _Forms:
    """What values begin with in one dialect."""

    __slots__ = ("dereference", "false", "none", "reference", "text", "true", "words")

    def __init__(self, dialect: Dialect) -> None:
        def tagged(n: int, tag: bytes) -> bytes:
            return list_header(n) + string_token(tag, dialect)

        self.words = {
            word: string_token(word, dialect)
            for word in b"list tuple set frozenset dictionary decimal datetime date time timedelta "
            b"remote local".split()
        }
        self.none = tagged(1, b"None")
        self.true = tagged(2, b"boolean") + string_token(b"true", dialect)
        self.false = tagged(2, b"boolean") + string_token(b"false", dialect)
        self.text = tagged(2, b"unicode")
        self.reference = tagged(3, b"reference")
        self.dereference = tagged(2, b"dereference")


class Encoder:
    """Writes items into `out`, message after message.

    An object that says itself how it travels has a method `write_jelly(encoder)` on its type, which
    calls one of the methods `write_...` once. `perspective` is for such objects to look at. After
    an exception `reset` has to be called; what was exported is not undone here.

    With `in_pieces` set, `take` gives the first piece of a message in which long strings are, which
    are pieces of their own and are not copied. The others are in `behind`, until they are taken
    from there.
    """

    __slots__ = (
        "_bits",
        "_copies",
        "_depth",
        "_dereference",
        "_false",
        "_head",
        "_items",
        "_kept",
        "_keys",
        "_level",
        "_list_items",
        "_long",
        "_longest",
        "_message_bytes",
        "_none",
        "_numbered",
        "_parts",
        "_path",
        "_reference",
        "_root",
        "_root_slot",
        "_short",
        "_slots",
        "_string_bytes",
        "_text",
        "_tokens",
        "_true",
        "_tuples",
        "_usual",
        "_words",
        "behind",
        "dialect",
        "exporter",
        "host",
        "in_pieces",
        "limits",
        "out",
        "perspective",
    )

    def __init__(
        self, dialect: Dialect, limits: Limits, exporter: Exporter, perspective: Any = None
    ) -> None:
        self.dialect = dialect
        self.limits = limits
        self.exporter = exporter
        self.perspective = perspective
        # Whom objects of the application's own ask that say themselves how they travel. Its
        # `adapt(value)` is asked for what writes a value that nothing else can.
        self.host: Any = None
        self.out: list[bytes] = []
        self.in_pieces = False
        self.behind: list[bytes] = _NO_STEPS
        # So many bytes of it are those of long strings.
        self._long = 0
        # Where in `out` the header of each container of this unit stands; of one that has a
        # reference number already, the number, negative.
        self._slots: dict[int, int] = _NO_SLOTS
        # The same for the unit's own value, if that is a container: most have no other.
        self._root: object = None
        self._root_slot = 0
        # An id means nothing any more when its object is gone.
        self._kept: list[object] = _NO_STEPS
        self._numbered = 0
        # How deep the object is that writes itself.
        self._level = 0
        # Where the s-expression begins that is being put together, and its parts so far.
        self._head = 0
        self._parts: list[Part] | None = None
        # Whether this unit has copies in it, and tuples that come more than once.
        self._copies = False
        self._tuples = False
        self._path: list[str] = _NO_STEPS
        forms = dialect.forms.get("values")
        if forms is None:
            forms = dialect.forms["values"] = _Forms(dialect)
        self._words: dict[bytes, bytes] = forms.words
        self._none: bytes = forms.none
        self._true: bytes = forms.true
        self._false: bytes = forms.false
        self._text: bytes = forms.text
        self._reference: bytes = forms.reference
        self._dereference: bytes = forms.dereference
        self._hold_to(limits)

    def _hold_to(self, limits: Limits) -> None:
        dialect = self.dialect
        # No vocabulary word is longer, and no string below it is too long.
        self._longest = dialect.longest
        self._tokens = dialect.tokens
        self._short = min(0x80, limits.string_bytes + 1)
        self._keys: dict[str, bytes] = dialect.keys if limits.string_bytes >= _LONGEST_KEY else {}
        # Whoever sets a limit that no C integer holds wants none.
        self._message_bytes = min(limits.message_bytes, sys.maxsize)
        self._items = min(limits.items, sys.maxsize)
        self._string_bytes = limits.string_bytes
        self._list_items = limits.list_items
        self._bits = limits.integer_bits
        self._depth = limits.depth_sent
        self._usual = usual.fits(limits, dialect)

    def raw(self, data: bytes) -> None:
        """Write what is encoded already."""
        self.out.append(data)

    def write_sexp(self, sexp: Sexp) -> None:
        """Write an s-expression as it stands."""
        self.out.append(encode(sexp, self.dialect, limits=self.limits))

    def write_remote(self, luid: int | bytes) -> None:
        """Write a reference to an own object."""
        self._by_id(b"remote", luid)

    def write_local(self, luid: int | bytes) -> None:
        """Write a reference to an object of the other side."""
        self._by_id(b"local", luid)

    def write_copy(self, obj: object, tag: str, state_for: Callable[[Any], Any]) -> None:
        """Write a copy of `obj`, whose state `state_for(perspective)` gives (section 10).

        It is asked for its state once in each value that is written. Raises InsecureJelly if `tag`
        can't be a type tag.
        """
        level = self._level
        slot = self._slots.get(id(obj))
        if slot is not None:
            self._again(obj, slot)
            return
        self._begin(obj, 2, tag, level)
        self._state(state_for(self.perspective), level + 1)

    def write_cache(
        self, obj: Any, tag: str, state_for: Callable[[Any, Any], Any], key: object = None
    ) -> None:
        """Write an own cache: in full the first time, then as its id (section 11).

        The full form has what `state_for(perspective, observer)` gives. What was sent under an
        equal `key` counts as the same cache. Raises as `write_copy`.
        """
        level = self._level
        slot = self._slots.get(id(obj))
        if slot is not None:
            self._again(obj, slot)
            return
        luid, observer = self.exporter.cache(obj, self.perspective, key)
        if observer is None:
            self.write_cached(luid)
            return
        self._begin(obj, 3, tag, level)
        self.out.append(int_token(luid))
        self._state(state_for(self.perspective, observer), level + 1)

    def write_cached(self, luid: int | bytes) -> None:
        """Write an own cache that the other side has."""
        self._by_id(b"cached", luid)

    def write_lcache(self, luid: int | bytes) -> None:
        """Write the copy of a cache of the other side."""
        self._by_id(b"lcache", luid)

    def _by_id(self, word: bytes, luid: int | bytes) -> None:
        token = int_token(luid, self._bits) if isinstance(luid, int) else self.string(luid)
        self.out.append(list_header(2) + string_token(word, self.dialect) + token)

    def write_parts(self, obj: object, build: Callable[[], Any]) -> None:
        """Write `obj` as the s-expression that `build()` puts together.

        There the values in it are written, with `part`, and `share` tells that `obj` may be
        referred to. The parts may stand in any order, each once. Raises InsecureJelly for what is
        no s-expression, and for a part that is left out or stands there twice.
        """
        slot = self._slots.get(id(obj))
        if slot is not None:
            self._again(obj, slot)
            return
        level, outer, outer_head = self._level, self._parts, self._head
        self._deeper(level)
        parts: list[Part] = []
        self._head = at = len(self.out)
        self._parts = parts
        self.out.append(b"")
        try:
            sexp = build()
        finally:
            self._level, self._parts, self._head = level, outer, outer_head
        pieces = flatten(sexp, self.dialect, DEPTH, self.limits)
        placed: list[Part] = pieces[1::2]
        if any(map(is_not, placed, parts)) or len(placed) != len(parts):
            self._reorder(placed, parts, at + 1)
        self.out[at] += pieces[0]
        for part, behind in zip(placed, pieces[2::2], strict=True):
            self.out[part.end] = behind

    def part(self, value: Any) -> Any:
        """Write a value in an s-expression that is being put together, and give what stands for it.

        That is an integer, a float or a byte string itself, and else a Part. Raises InsecureJelly
        if none is being put together.
        """
        parts, level = self._parts, self._level
        if parts is None:
            raise InsecureJelly("there is no s-expression of which a value could be a part")
        kind = type(value)
        if kind is int or kind is float or kind is bytes:
            return value
        part = Part(len(self.out))
        head = self._head
        self._value(value, level + 1)
        self._level, self._parts, self._head = level, parts, head
        part.end = len(self.out)
        # Room for what stands behind it.
        self.out.append(b"")
        parts.append(part)
        return part

    def share(self, obj: object) -> None:
        """Let what follows in this value refer to `obj`, which is being put together."""
        self._copies = True
        if self._slots is _NO_SLOTS:
            self._slots, self._kept = {}, []
        self._slots[id(obj)] = self._head
        self._kept.append(obj)

    def _reorder(self, placed: list[Part], parts: list[Part], start: int) -> None:
        """Put parts, the first of which begins at `start`, where they stand."""
        if sorted(map(id, placed)) != sorted(map(id, parts)):
            raise InsecureJelly("of an s-expression a part is left out, or stands there twice")
        out = self.out[start:]
        del self.out[start:]
        slots = {slot: key for key, slot in self._slots.items() if slot >= start}
        for part in placed:
            first, end = part.start, part.end
            part.start = len(self.out)
            self.out += out[first - start : end - start]
            part.end = len(self.out)
            self.out.append(b"")
            for slot in range(first, end):
                if slot in slots:
                    self._slots[slots[slot]] = slot - first + part.start

    def _begin(self, obj: object, size: int, tag: str, depth: int) -> None:
        """Write the header of a copy or cache."""
        try:
            word = tag_bytes(tag)
        except ValueError as error:
            raise InsecureJelly(str(error)) from None
        self._deeper(depth)
        self._copies = True
        if self._slots is _NO_SLOTS:
            self._slots, self._kept = {}, []
        self._slots[id(obj)] = len(self.out)
        self._kept.append(obj)
        self.out.append(list_header(size) + self.string(word))

    def _state(self, state: object, depth: int) -> None:
        try:
            self._value(state, depth)
        except Exception:
            if self._path:
                self._path[-1] = attribute_step(self._path[-1])
            raise

    def reset(self) -> None:
        """Forget what is written and not taken."""
        self.out.clear()
        self.behind = _NO_STEPS
        self._long = 0

    def take(self) -> bytes:
        """Give what is written, one message, and begin anew. Raises LimitExceeded."""
        if self._long and self.in_pieces:
            return self._take_pieces()
        data = b"".join(self.out)
        self.reset()
        self._check(len(data), data)
        return data

    def _take_pieces(self) -> bytes:
        out, long = self.out, self._long
        size = sum(map(len, out))
        # Without the bodies of the long strings, nearly.
        self._check(size, b"".join(out) if size - long > self._items else b"")
        pieces: list[bytes] = []
        start = 0
        for n, data in enumerate(out):
            if len(data) >= _APART:
                pieces.append(b"".join(out[start:n]))
                pieces.append(data)
                start = n + 1
        pieces.append(b"".join(out[start:]))
        self.reset()
        self.behind = pieces[1:]
        return pieces[0]

    def _check(self, size: int, data: bytes) -> None:
        """Hold a message to the limits. `data` may be left out where it has few items."""
        if size > self._message_bytes:
            raise LimitExceeded(
                f"a message of {size} bytes can't be sent, limits.message_bytes is "
                f"{self._message_bytes}",
                limit="message_bytes",
                value=size,
            )
        # An item has a byte at the least.
        if len(data) > self._items:
            items = _count_items(data)
            if items > self._items:
                raise LimitExceeded(
                    f"a message of {items} items can't be sent, limits.items is {self._items}",
                    limit="items",
                    value=items,
                )
        if size > _LONG:
            keep_room()

    def unit(self, value: object, where: str) -> None:
        """Write one value, with reference numbers of its own. `where` is what it is called.

        Raises InsecureJelly and LimitExceeded, which tell the place in the value.
        """
        self._numbered = 0
        self._copies = self._tuples = False
        start = len(self.out)
        try:
            self._value(value, 0)
            # Twisted has no trouble with what is shared otherwise.
            doubtful = self._copies if self._numbered < 2 else self._copies or self._tuples
            if self._numbered and doubtful and self.dialect.name != _OWN_DIALECT:
                self._refuse_self_cycle(b"".join(self.out[start:]))
        except RecursionError:
            # Not the interpreter's own text: a stack is no business of who sends a value.
            raise LimitExceeded(
                "nested too deep for the stack that is left",
                limit="depth_sent",
                value=len(self._path),
                where=where,
            ) from None
        except LimitExceeded as error:
            place = self._place(where)
            raise LimitExceeded(
                str(error), limit=error.limit, value=error.value, where=place
            ) from error.__cause__
        except InsecureJelly as error:
            raise InsecureJelly(str(error), where=self._place(where)) from error.__cause__
        except Exception as error:
            text = f"could not be encoded: {full_name(type(error))}"
            raise InsecureJelly(text, where=self._place(where)) from error
        finally:
            self._root = None
            if self._kept:
                self._slots.clear()
                self._kept.clear()
            if self._path:
                self._path.clear()

    def _refuse_self_cycle(self, data: bytes) -> None:
        found = self_cycle(data, self.dialect)
        if found is not None:
            self._step(found)
            raise InsecureJelly("it contains itself in a way that Twisted can't read")

    def _step(self, step: str) -> None:
        if self._path is _NO_STEPS:
            self._path = []
        self._path.append(step)

    def _place(self, where: str) -> str:
        return where + "".join(reversed(self._path))

    def _value(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self._unicode(value)
        elif kind is int:
            item = octets.small_int(value)
            self.out.append(int_token(value, self._bits) if item is None else item)
        elif kind is bytes:
            self._bytes(value)
        elif kind is list:
            self._sequence(value, b"list", depth)
        elif kind is dict:
            self._dictionary(value, depth)
        elif kind is tuple:
            self._sequence(value, b"tuple", depth)
        elif value is True:
            self.out.append(self._true)
        elif value is False:
            self.out.append(self._false)
        elif value is None:
            self.out.append(self._none)
        elif kind is float:
            self.out.append(octets.float_item(value))
        elif kind is set:
            self._set(value, b"set", depth)
        elif kind is frozenset:
            self._set(value, b"frozenset", depth)
        else:
            self._rare(value, kind, depth)

    def _unicode(self, value: str) -> None:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise InsecureJelly("a text with lone surrogates can't be sent") from None
        size = len(data)
        if size > self._longest and size < self._short:
            self.out.append(_TEXTS[size])
            self.out.append(data)
        else:
            self.out.append(self._text)
            self._bytes(data)

    def _bytes(self, data: bytes) -> None:
        """Write a byte string, which is not copied yet. Raises LimitExceeded."""
        size = len(data)
        if size <= self._longest:
            token = self._tokens.get(data)
            if token is not None:
                self.out.append(token)
                return
        if size > self._string_bytes:
            raise self._too_long(size)
        if size >= _APART:
            self._long += size
        self.out.append(_STRINGS[size] if size < 0x80 else list_header(size)[:-1] + b"\x82")
        self.out.append(data)

    def _too_long(self, size: int) -> LimitExceeded:
        return LimitExceeded(
            f"a string of {size} bytes can't be sent, limits.string_bytes is {self._string_bytes}",
            limit="string_bytes",
            value=size,
        )

    def string(self, data: bytes) -> bytes:
        """Give the item of a byte string. Raises LimitExceeded if it is too long."""
        size = len(data)
        if size > self._longest and size < self._short:
            return _STRINGS[size] + data
        if size > self._string_bytes:
            raise self._too_long(size)
        return string_token(data, self.dialect)

    def _opens(self, value: object, size: int, word: bytes, depth: int) -> bool:
        """Write the header of a container; if it was written before, that it comes again."""
        if depth:
            slot = self._root_slot if value is self._root else self._slots.get(id(value))
            if slot is not None:
                self._again(value, slot)
                return False
            if depth >= self._depth:
                self._deeper(depth)
        if size >= self._list_items:
            raise LimitExceeded(
                f"{size} elements can't be sent, {self._list_items - 1} can: "
                f"limits.list_items is {self._list_items}, and the tag is one more",
                limit="list_items",
                value=size + 1,
            )
        out = self.out
        if depth:
            if self._slots is _NO_SLOTS:
                self._slots, self._kept = {}, []
            self._slots[id(value)] = len(out)
            self._kept.append(value)
        else:
            self._root = value
            self._root_slot = len(out)
        size += 1
        out.append(_LISTS[size] if size < 0x80 else list_header(size))
        out.append(self._words[word])
        return True

    def _deeper(self, depth: int) -> None:
        if depth >= self._depth:
            raise LimitExceeded(
                f"nested deeper than limits.depth_sent, which is {self._depth}",
                limit="depth_sent",
                value=depth + 1,
            )

    def _again(self, value: object, slot: int) -> None:
        if slot >= 0:
            # Twisted gives the numbers in this order too.
            self._numbered += 1
            # Python has one empty tuple.
            if type(value) is tuple and value:
                self._tuples = True
            self.out[slot] = self._reference + int_token(self._numbered) + self.out[slot]
            slot = -self._numbered
            if value is self._root:
                self._root_slot = slot
            else:
                self._slots[id(value)] = slot
        self.out.append(self._dereference + int_token(-slot))

    def _sequence(self, value: Any, word: bytes, depth: int) -> None:
        size = len(value)
        if not self._opens(value, size, word, depth):
            return
        # Of many numbers the first ones are written in one go.
        done = octets.write_ints(value, self.out) if size and type(value[0]) is int else 0
        if done == size:
            return
        out, atoms = self.out, self._usual
        item: bytes | None
        index = -1
        depth += 1
        try:
            for index, member in enumerate(value):
                if index >= done:
                    item = usual.item(member) if atoms else None
                    if item is None:
                        self._value(member, depth)
                    else:
                        out.append(item)
            if index + 1 != size:
                raise InsecureJelly(_CHANGED)
        except Exception:
            self._step(f"[{index}]")
            raise

    def _set(self, value: Any, word: bytes, depth: int) -> None:
        size = len(value)
        if not self._opens(value, size, word, depth):
            return
        done = 0
        depth += 1
        try:
            for member in value:
                self._value(member, depth)
                done += 1
            if done != size:
                raise InsecureJelly(_CHANGED)
        except Exception:
            self._step("{member}")
            raise

    def _dictionary(self, value: dict[Any, Any], depth: int) -> None:
        size = len(value)
        if not self._opens(value, size, b"dictionary", depth):
            return
        out = self.out
        keys = self._keys
        index = 0
        depth += 1
        key: Any = None
        known: bytes | None
        item: bytes | None
        atoms = self._usual
        behind = False
        try:
            for key, member in value.items():
                behind = False
                if type(key) is str:
                    known = keys.get(key)
                    out.append(self._key(key) if known is None else known)
                else:
                    out.append(b"\x02\x80")
                    self._value(key, depth)
                behind = True
                item = usual.item(member) if atoms else None
                if item is None:
                    self._value(member, depth)
                else:
                    out.append(item)
                index += 1
            # Python finds that only in some cases, and compiled in fewer.
            if index != size:
                raise InsecureJelly(_CHANGED)
        except Exception:
            self._step(step_of(key, index) if behind else f"{{key {index}}}")
            raise

    def _key(self, key: str) -> bytes:
        """Give what a pair with this key begins with."""
        try:
            data = key.encode()
        except UnicodeEncodeError:
            raise InsecureJelly("a text with lone surrogates can't be sent") from None
        known = b"\x02\x80" + self._text + self.string(data)
        if len(data) <= _LONGEST_KEY:
            if len(self._keys) >= _KEYS:
                self._keys.clear()
            self._keys[key] = known
        return known

    def _rare(self, value: Any, kind: type, depth: int) -> None:
        write = getattr(kind, "write_jelly", None)
        if write is not None and not isinstance(value, type):
            self._level = depth
            write(value, self)
            return
        tag = tag_of(kind)
        if tag is None:
            self._adapted(value, kind, depth)
        elif tag == b"decimal":
            self._decimal(value)
        else:
            text = _date_text(tag, value)
            self.out.append(list_header(2) + self._words[tag] + self.string(text.encode()))

    def _adapted(self, value: Any, kind: type, depth: int) -> None:
        adapted = None if self.host is None else self.host.adapt(value)
        if adapted is not None:
            self._level = depth
            adapted.write_jelly(self)
        elif isinstance(value, type):
            raise InsecureJelly(f"the class {full_name(value)} can't be sent")
        else:
            raise InsecureJelly(f"a {full_name(kind)} can't be sent")

    def _decimal(self, value: Any) -> None:
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise InsecureJelly("a decimal.Decimal that is not finite can't be sent")
        number = int(type(value)((sign, digits, 0)))
        self.out.append(
            list_header(3)
            + self._words[b"decimal"]
            + int_token(number, self._bits)
            + int_token(exponent, self._bits)
        )


def _date_text(tag: bytes, value: Any) -> str:
    if tag == b"timedelta":
        return f"{value.days} {value.seconds} {value.microseconds}"
    if tag == b"date":
        return f"{value.year} {value.month} {value.day}"
    if value.tzinfo is not None:
        raise InsecureJelly(f"a {full_name(type(value))} with a time zone can't be sent")
    clock = f"{value.hour} {value.minute} {value.second} {value.microsecond}"
    return clock if tag == b"time" else f"{value.year} {value.month} {value.day} {clock}"


def _count_items(data: bytes) -> int:
    """Count the items of the lists in a message, as the framer of the other side does."""
    items = 0
    pos = 0
    end = len(data)
    while pos < end:
        n = 0
        shift = 0
        while data[pos] < _LIST:
            # A size has no more digits than that.
            if shift < 28:
                n |= data[pos] << shift
            shift += 7
            pos += 1
        kind = data[pos]
        pos += 1
        if kind == _LIST:
            items += n
        elif kind == _STRING:
            pos += n
        elif kind == _FLOAT:
            pos += 8
    return items
