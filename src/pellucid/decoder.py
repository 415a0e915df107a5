"""From the bytes of a message to objects, in one pass. (Wire document, sections 4 to 6.)

What a peer sends is bounded before anything is made of it: how deep it is nested, and what hashing
its keys and members may cost.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from . import octets, usual
from .atoms import make_date, make_decimal
from .banana import PB, Dialect, Sexp, encode, read_item, skip_item
from .errors import InsecureJelly, LimitExceeded, RemoteProtocolError, full_name
from .hashing import CROWD, Hashing
from .holes import Hole, Holes
from .limits import Limits
from .parts import Unread, unread
from .places import attribute_step, is_id, place_of, step_of, walk
from .ports import Importer
from .registry import Registry

__all__ = ["Decoder"]

_LIST: Final = 0x80
_INT: Final = 0x81
_STRING: Final = 0x82
_NEG: Final = 0x83
_FLOAT: Final = 0x84
_LONGINT: Final = 0x85
_VOCAB: Final = 0x87

_NO_BOUND: Final = 1 << 56

# A prefix with more bits than that is no size.
_WIDE: Final = 56

# A longer list may begin with many numbers.
_FEW: Final = 4

# Integers up to here are their own hash, so no two of them collide.
_PLAIN: Final = 1 << 60
_CROWD: Final = CROWD
# Those whose atoms may be usual.
_USUAL_WORDS: Final = PB.words
# In place of counts: what is to be hashed only at the end of the unit.
_LATE: Final = object()

# What stands behind the header of a text, for the word is in no vocabulary; and what a pair begins
# with whose key is a text.
_UNICODE: Final = b"\x07\x82unicode"
_TEXT_PAIR: Final = b"\x02\x80\x02\x80" + _UNICODE

# So much of a tag is shown, which is often the name of a module and a class.
_LONGEST_TAG: Final = 200

_DATES: Final = frozenset((b"datetime", b"date", b"time", b"timedelta"))
# What is made of a list with one of jelly's own tags.
_SEQUENCE, _DICTIONARY, _TUPLE, _REFERENCE, _SET, _FROZENSET, _OTHER = range(1, 8)
_OTHERS: Final = _DATES.union(
    b"None boolean unicode decimal dereference remote local cached lcache unpersistable".split()
)
_MADE: Final[dict[bytes, int]] = dict.fromkeys(_OTHERS, _OTHER) | {
    b"list": _SEQUENCE,
    b"dictionary": _DICTIONARY,
    b"tuple": _TUPLE,
    b"reference": _REFERENCE,
    b"set": _SET,
    b"frozenset": _FROZENSET,
}


def _shown(word: bytes) -> str:
    """Give a received byte string for a message, cut."""
    text = repr(word[:_LONGEST_TAG])[1:]
    cut = len(word) > _LONGEST_TAG or len(text) > _LONGEST_TAG + 2
    return text[:_LONGEST_TAG] + "..." if cut else text


class Decoder:
    """Reads the items of one message, which has been through a Framer, from `pos` on.

    `perspective` is for readers to look at, and `containers` tells how many of those were met that
    `limits.containers` bounds; `over` that they were too many.
    """

    __slots__ = (
        "_data",
        "_depth",
        "_failed",
        "_hashing",
        "_holes",
        "_inner",
        "_most",
        "_path",
        "_raw_number",
        "_seen",
        "_unread",
        "_words",
        "containers",
        "dialect",
        "importer",
        "limits",
        "over",
        "perspective",
        "pos",
        "registry",
        "skipped",
    )

    def __init__(
        self,
        data: bytes,
        dialect: Dialect,
        limits: Limits,
        registry: Registry,
        importer: Importer,
        perspective: Any = None,
    ) -> None:
        self._data = data
        self.pos = 0
        self.dialect = dialect
        self.limits = limits
        self.registry = registry
        self.importer = importer
        self.perspective = perspective
        self._words = dialect.words
        self._depth = limits.depth_received
        # Whoever sets a limit that no C integer holds wants none.
        self._most = min(limits.containers, _NO_BOUND)
        self.containers = 0
        self.over = False
        self._hashing: Any = None
        # The reference numbers of this unit, from the first one on.
        self._holes: Any = None
        # How often a hole was put anywhere, or something put off.
        self._seen = 0
        # How deep what is in a value is that the application reads itself; what failed there; and
        # the number of that value.
        self._inner = 0
        self._failed: Any = None
        self._raw_number: Any = None
        self._path: list[str] = []
        # The lists in what the application reads itself, by where their second items are; and where
        # those are that it did not look at.
        self._unread: Any = None
        self.skipped: Any = None

    def item(self) -> Sexp:
        """Read one item as an s-expression. Raises LimitExceeded if it is nested too deep."""
        value, self.pos = read_item(self._data, self.pos, self.dialect)
        return value

    def read_sexp(self) -> Sexp:
        """Read one value as an s-expression."""
        return self.item()

    def raw(self) -> bytes:
        """Read the bytes of one item."""
        start = self.pos
        self.pos = skip_item(self._data, start)
        raw = self._data[start : self.pos]
        if len(self._words) > len(self.dialect.tokens):
            # It may have a word that is one of this message only.
            raw = encode(read_item(raw, 0, self.dialect)[0], self.dialect, limits=self.limits)
        return raw

    def list_length(self) -> int:
        """Read the header of a list, and give the number of its items."""
        kind, n = self._head()
        if kind != _LIST:
            raise RemoteProtocolError("a list was expected")
        return int(n)

    def _head(self) -> tuple[int, Any]:
        """Read the type byte and the prefix of an item."""
        data = self._data
        end = self.pos
        while data[end] < _LIST:
            end += 1
        n: Any = 0
        for digit in reversed(data[self.pos : end]):
            n = n << 7 | digit
        self.pos = end + 1
        return data[end], n

    def _string(self, what: str) -> bytes:
        """Read a byte string, whether it is spelled out or not."""
        data = self._data
        pos = self.pos
        n = data[pos]
        if n < _LIST and data[pos + 1] == _STRING:
            pos += 2
        else:
            kind, size = self._head()
            if kind == _VOCAB:
                return bytes(self._words[size - 1])
            if kind != _STRING:
                raise InsecureJelly(f"{what} has to be a byte string")
            n = size
            pos = self.pos
        self.pos = pos + n
        return data[pos : pos + n]

    def _skip(self, count: int) -> None:
        for _ in range(count):
            self.pos = skip_item(self._data, self.pos)

    # One value.

    def value(self, where: str) -> Any:
        """Read one value, which has reference numbers of its own. `where` is what it is called.

        Raises InsecureJelly and LimitExceeded, which tell the place in the value, and nothing else.
        In any case the decoder stands behind the value then, but when it is `over`: nothing more is
        worth to be looked at.
        """
        start = self.pos
        registry = self.registry
        posts = registry.posts
        mark = 0 if posts is None else len(posts)
        error: InsecureJelly | LimitExceeded
        try:
            if registry.allows is not None:
                self._check_tags(registry.allows)
            value = self._value(0, None)
            if self._holes is not None:
                if self._holes.late:
                    self._holes.finish(self._costs())
                value = self._holes.whole(value)
            if posts is not None and len(posts) > mark:
                registry.end_unit(mark, True)
            return value
        except RecursionError:
            error = self._too_deep(where)
        except (InsecureJelly, LimitExceeded) as found:
            error = _told(found, self._at(where, start))
        finally:
            self._holes = None
            self._seen = 0
        self._path.clear()
        if not self.over:
            self.pos = skip_item(self._data, start)
        if posts is not None and len(posts) > mark:
            registry.end_unit(mark, False)
        try:
            raise error from error.__cause__
        finally:
            # Its traceback holds this frame, and with it whatever is further up the stack.
            del error

    def _too_deep(self, where: str) -> LimitExceeded:
        return LimitExceeded(
            "nested too deep for the stack that is left",
            limit="depth_received",
            value=len(self._path),
            remote=True,
            where=where,
        )

    def _check_tags(self, allows: Callable[[bytes], bool]) -> None:
        for _, frames in walk(self._data, self.pos, self.dialect):
            tag = frames[-1].tag if frames and frames[-1].index < 0 else None
            if tag and not allows(tag):
                raise InsecureJelly(f"type tag {_shown(tag)} is not allowed")

    def _at(self, where: str, start: int) -> str:
        if self._holes is not None and self._holes.at >= 0:
            return where + place_of(self._data, start, self._holes.at, self.dialect)
        return where + "".join(reversed(self._path))

    def _value(self, depth: int, number: Any) -> Any:
        """Read a value inside of `depth` others. `number` is what will refer to it, if anything."""
        data = self._data
        pos = self.pos + 1
        kind = data[pos - 1]
        n = 0
        if kind < _LIST:
            n = kind
            kind = data[pos]
            pos += 1
            shift = 7
            while kind < _LIST:
                if shift < _WIDE:
                    n |= kind << shift
                elif kind:
                    return self._wide()
                shift += 7
                kind = data[pos]
                pos += 1
        if kind == _STRING:
            self.pos = pos + n
            return data[pos : pos + n]
        if kind == _INT:
            self.pos = pos
            return n
        if kind != _LIST:
            return self._number(kind, n, pos)
        if n == 2 and data.startswith(_UNICODE, pos):
            return self._text(pos + 9)
        tag = self._tag(n, pos)
        made = _MADE.get(tag, 0)
        if made == _DICTIONARY:
            return self._dictionary(n - 1, depth, number)
        if made == _SEQUENCE or made == _TUPLE:  # noqa: PLR1714, SIM109 - faster
            return self._sequence(n - 1, depth, number, made == _TUPLE)
        if made == _SET or made == _FROZENSET:  # noqa: PLR1714, SIM109 - faster
            return self._set(n - 1, depth, number, made == _FROZENSET)
        if made == _REFERENCE:
            return self._reference(n - 1, depth, number)
        if made == _OTHER:
            return self._other(tag, n - 1)
        return self._registered(tag, n - 1, depth, number)

    def _number(self, kind: int, n: int, pos: int) -> Any:
        """Give an item that is no small integer, no string that is spelled out and no list."""
        self.pos = pos
        if kind == _LONGINT:
            return n
        if kind == _FLOAT:
            self.pos = pos + 8
            return octets.float_at(self._data, pos)
        return self._words[n - 1] if kind == _VOCAB else -n

    def _wide(self) -> Any:
        """Read an item whose prefix is more than any size."""
        kind, n = self._head()
        if kind == _FLOAT:
            self.pos += 8
            return octets.float_at(self._data, self.pos - 8)
        return n if kind == _INT or kind == _LONGINT else -n  # noqa: PLR1714, SIM109 - faster

    def _tag(self, n: int, pos: int) -> bytes:
        """Read the tag of a list of `n` items, the first of which is at `pos`."""
        if n == 0:
            raise InsecureJelly("an empty list has no type tag")
        data = self._data
        first = data[pos]
        if first < _LIST and data[pos + 1] == _VOCAB:
            self.pos = pos + 2
            return self._words[first - 1]
        self.pos = pos
        return self._string("a type tag")

    def _text(self, pos: int) -> str:
        """Read a text whose bytes are the item at `pos`."""
        data = self._data
        n = data[pos]
        try:
            if n < _LIST and data[pos + 1] == _STRING:
                pos += 2
                self.pos = pos + n
                return data[pos : pos + n].decode()
            self.pos = pos
            return self._string("the content of a text").decode()
        except UnicodeDecodeError:
            raise InsecureJelly("a text is not UTF-8") from None

    # Containers. Those that can change are there before what is in them.

    def _count(self) -> None:
        """Count a container, before it is made."""
        self.containers += 1
        if self.containers > self._most:
            self.over = True
            raise LimitExceeded(
                f"more containers in one message than limits.containers, which is {self._most}",
                limit="containers",
                value=self.containers,
            )

    def _deeper(self, depth: int) -> int:
        if depth >= self._depth:
            raise LimitExceeded(
                f"nested deeper than limits.depth_received, which is {self._depth}",
                limit="depth_received",
                value=depth + 1,
            )
        return depth + 1

    def _ints(self, result: list[Any], count: int) -> int:
        """Read the integers that a container begins with, and tell how many of them."""
        data = self._data
        pos = self.pos
        for done in range(count):
            n = data[pos]
            if n >= _LIST:
                return done
            pos += 1
            kind = data[pos]
            shift = 7
            while kind < _LIST and shift < _WIDE:
                n |= kind << shift
                shift += 7
                pos += 1
                kind = data[pos]
            if kind == _INT:
                result.append(n)
            elif kind == _NEG:
                result.append(-n)
            else:
                return done
            pos += 1
            self.pos = pos
        return count

    def _sequence(self, count: int, depth: int, number: Any, is_tuple: bool) -> Any:
        self._count()
        result: list[Any] = []
        if number is not None and not is_tuple:
            self._holes.bind(number, result)
        if depth >= self._depth:
            self._deeper(depth)
        depth += 1
        mark = self._seen
        try:
            # Of many numbers the first ones are read in one go.
            done = self._ints(result, count) if count > _FEW else 0
            if done < count and self._words is _USUAL_WORDS:
                self.pos, more = usual.atoms(self._data, self.pos, count - done, result, False)
                done += more
            for _ in range(done, count):
                result.append(self._value(depth, None))
        except Exception:
            self._path.append(f"[{len(result)}]")
            raise
        if is_tuple:
            return self._tuple(result, self._seen != mark)
        if self._seen != mark:
            self._holes.watch_list(result)
        return result

    def _tuple(self, items: list[Any], has_holes: bool) -> Any:
        if not has_holes:
            whole = tuple(items)
            return whole if self._holes is None else self._holes.measured(whole)
        value = self._holes.make_tuple(items)
        return self._placed(value) if type(value) is Hole else value

    def _dictionary(self, count: int, depth: int, number: Any) -> dict[Any, Any]:
        self._count()
        data = self._data
        result: dict[Any, Any] = {}
        if number is not None:
            self._holes.bind(number, result)
        if depth >= self._depth:
            self._deeper(depth)
        depth += 1
        mark = self._seen
        counts: Any = None
        key: Any = None
        admitted: Any = None
        index = 0
        behind = False
        usual_words = self._words is _USUAL_WORDS
        try:
            while index < count:
                behind = False
                if usual_words:
                    self.pos, done = usual.atoms(data, self.pos, count - index, result, True)
                    index += done
                    if index == count:
                        break
                at = self.pos
                if data.startswith(_TEXT_PAIR, at):
                    key = self._text(at + 13)
                else:
                    self._pair()
                    key = self._value(depth, None)
                    if type(key) is not str:
                        admitted = self._admit(result, key, counts)
                        if admitted is _LATE:
                            break
                        counts = admitted
                behind = True
                result[key] = self._value(depth, None)
                index += 1
        except Exception:
            self._path.append(step_of(key, index) if behind else f"{{key {index}}}")
            raise
        if self._seen != mark:
            self._holes.watch_dict(result)
        if admitted is _LATE:
            self._late_pairs(result, key, counts, index, count, depth)
        return result

    def _late_pairs(
        self, result: dict[Any, Any], key: Any, counts: Any, index: int, count: int, depth: int
    ) -> None:
        """Read the rest of a dictionary, from the value of pair `index` on, to put it in later."""
        at = self.pos
        pairs = [key]
        behind = True
        try:
            pairs.append(self._value(depth, None))
            for _ in range(index + 1, count):
                behind = False
                self._pair()
                pairs.append(self._value(depth, None))
                behind = True
                pairs.append(self._value(depth, None))
        except Exception:
            index += len(pairs) // 2
            self._path.append(step_of(pairs[-1], index) if behind else f"{{key {index}}}")
            raise
        self._unit().pairs_later(result, pairs, counts, at)
        self._seen += 1

    def _pair(self) -> None:
        data = self._data
        pos = self.pos
        if data[pos] == 2 and data[pos + 1] == _LIST:
            self.pos = pos + 2
        elif self._head() != (_LIST, 2):
            raise InsecureJelly("what is in a dictionary has to be a list of two")

    def _set(self, count: int, depth: int, number: Any, frozen: bool) -> Any:
        self._count()
        result: set[Any] = set()
        if number is not None and not frozen:
            self._holes.bind(number, result)
        if depth >= self._depth:
            self._deeper(depth)
        depth += 1
        at = self.pos
        counts: Any = None
        late: Any = None
        try:
            for _ in range(count):
                member = self._value(depth, None)
                if late is not None:
                    late.append(member)
                    continue
                if type(member) is not str:
                    admitted = self._admit(result, member, counts)
                    if admitted is _LATE:
                        late = [member]
                        continue
                    counts = admitted
                result.add(member)
        except Exception:
            self._path.append("{member}")
            raise
        if late is not None:
            value = self._unit().members_later(result, late, counts, frozen, at)
            self._seen += 1
            return self._placed(value) if frozen else value
        if not frozen:
            return result
        whole = frozenset(result)
        if self._holes is not None:
            self._holes.measured(whole)
        if counts is not None:
            self._costs().crowded(whole, counts)
        return whole

    # References, and what is put off.

    def _unit(self) -> Any:
        if self._holes is None:
            self._holes = Holes(self._depth)
        return self._holes

    def _placed(self, value: Any) -> Any:
        """Give what may be a hole, which is about to be put somewhere."""
        self._seen += 1
        self._holes.placed(value)
        return value

    def _reference_number(self) -> str | bytes:
        number = self.item()
        if type(number) is bytes:
            return number
        if type(number) is not int:
            raise InsecureJelly("a reference number has to be an integer or a byte string")
        # The peer knows the hash of an integer, and could choose many that have the same.
        return str(number)

    def _reference(self, count: int, depth: int, outer: Any) -> Any:
        if count < 2:
            raise InsecureJelly("a reference needs a number and a value")
        self._count()
        number = self._reference_number()
        hole = self._unit().begin(number)
        # Being referred to is no nesting; being referred to by many numbers may go on for ever.
        value = self._value(depth if outer is None else self._deeper(depth), number)
        self._skip(count - 2)
        self._holes.end(hole, value)
        return value

    def _dereference(self) -> Any:
        number = self._reference_number()
        value = self._unit().find(number)
        kind = type(value)
        if kind is Hole:
            self._placed(value)
        elif kind is str or kind is bytes:
            # Comparing it may take longer than the few bytes that named it.
            self._costs().charge(len(value) >> 8)
        elif self._holes.waits:
            part = self._holes.waiting_part(number)
            if part is not None:
                self._placed(part)
        return value

    # Hashing.

    def _costs(self) -> Any:
        if self._hashing is None:
            self._hashing = Hashing(self.limits)
        return self._hashing

    def _admit(self, container: Any, key: Any, counts: Any) -> Any:
        """Refuse a key or member that must not be hashed. Gives the `counts` of the container.

        If it can't be hashed yet, it gives that it is late.
        """
        kind = type(key)
        if kind is str or kind is bytes:
            return counts
        if kind is int and -_PLAIN < key < _PLAIN:
            # The peer can choose them so that finding a place takes longer the more there are,
            # though no two hashes are the same.
            if len(container) >= _CROWD and key not in container:
                self._costs().place(container, hash(key), counts)
            return counts
        if kind is Hole:
            return _LATE
        if counts is None:
            counts = {}
        return counts if self._costs().admit(container, key, counts) else _LATE

    # The other tags.

    def _other(self, tag: bytes, count: int) -> Any:
        if tag == b"None":
            self._skip(count)
            return None
        if count == 0 or (tag == b"decimal" and count == 1):
            raise InsecureJelly(f"a {tag.decode()} with nothing in it")
        used = 1
        value: Any
        if tag == b"boolean":
            word = self._string("the content of a boolean")
            if word != b"true" and word != b"false":  # noqa: PLR1714 - faster
                raise InsecureJelly("a boolean that is neither true nor false")
            value = word == b"true"
        elif tag == b"dereference":
            value = self._dereference()
        elif tag == b"unicode":
            value = self._text(self.pos)
        elif tag == b"decimal":
            used = 2
            value = make_decimal(self.item(), self.item())
        elif tag in _DATES:
            value = make_date(tag, self._string("the content of a date"))
        elif tag == b"unpersistable":
            # The text that Twisted gives it, but short enough to be compared without counting.
            value = self.registry.unpersistable(
                f"Unpersistable data: {self._string('a reason')[:1000]!r}"
            )
        else:
            value = self._by_id(tag)
        self._skip(count - used)
        return value

    def _registered(self, tag: bytes, count: int, depth: int, number: Any) -> Any:
        """Read a copy, `[tag, state]`, or a cache, `[tag, id, state]`."""
        reader = self.registry.reader_for(tag)
        if reader is None:
            raise InsecureJelly(f"type tag {_shown(tag)} is not registered")
        least = 2 if reader.is_cache else 1
        if count < least and not reader.is_raw:
            raise InsecureJelly(f"a {_shown(tag)} with nothing in it")
        self._count()
        depth = self._deeper(depth)
        if reader.is_raw:
            return self._raw(reader, tag, count, depth, number)
        made: Any = None
        if reader.is_early:
            made = self._new_cache(reader) if reader.is_cache else reader.make()
            if number is not None:
                self._holes.bind(number, made)
            if reader.hashes:
                self._costs().begin(made)
        at = self.pos
        seen = self._seen
        try:
            state = self._value(depth, None)
        except Exception:
            if self._path:
                self._path[-1] = attribute_step(self._path[-1])
            raise
        if reader.is_cache:
            reader.measure(made, self.pos - at)
        self._skip(count - least)
        holes = self._holes
        shared = holes is not None and holes.is_shared(state)
        if shared:
            self._costs().share(state)
        if type(state) is Hole or (shared and holes.found_open) or self._waits_since(seen):
            return self._late_state(reader, made, state, seen, at, shared)
        if reader.is_early and not reader.hashes:
            return reader.finish(made, state)
        value = self._costs().finish(reader, made, state)
        return value if holes is None else holes.bounded(value)

    # What the application reads itself.

    def _raw(self, reader: Any, tag: bytes, count: int, depth: int, number: Any) -> Any:
        if self._unread is None:
            self._unread, self.skipped = {}, []
        sexp = self._unread.get(self.pos)
        if sexp is None:
            sexp = unread(self._data, self.pos, self.dialect, tag, count, self._unread)
        made = reader.make()
        outer, self._raw_number = self._raw_number, number
        if made is not None:
            self.bind(made)
        steps = len(self._path)
        inner, self._inner = self._inner, depth
        try:
            value = reader.read(sexp, self, made)
        except Exception as error:
            if error is not self._failed:
                del self._path[steps:]
            raise
        finally:
            self._inner, self._raw_number = inner, outer
            # Its traceback holds this decoder.
            self._failed = None
        if number is not None and made is not None and value is not made:
            self._holes.bind(number, value)
        # What failed in there may have been caught.
        del self._path[steps:]
        self._note_skipped(sexp)
        self.pos = sexp.end
        return value

    def bind(self, value: Any) -> None:
        """Tell what the item is that is being read, for what in it refers to it."""
        if self._raw_number is not None:
            self._holes.bind(self._raw_number, value)

    def _note_skipped(self, sexp: Unread) -> None:
        for one in sexp:
            if type(one) is Unread and not one.read and not one.taken:
                if any(map(_is_read, one)):
                    self._note_skipped(one)
                else:
                    self.skipped.append(one.at)

    def part(self, sexp: Any) -> Any:
        """Decode a part of what the reader of a type tag was given, for that reader.

        What is no list stands for itself. A list that did not come here is decoded by itself.
        Raises InsecureJelly and LimitExceeded.
        """
        kind = type(sexp)
        if kind is not Unread:
            return self._apart(sexp) if kind is list else sexp
        if sexp.read:
            return sexp.value
        pos, seen = self.pos, self._seen
        self.pos = sexp.at
        try:
            value = self._value(self._inner, None)
        except Exception as error:
            if self._inner:
                self._failed = error
            raise
        finally:
            self.pos = pos
        if type(value) is Hole or self._waits_since(seen):
            raise InsecureJelly("it is to be read before all that is in it has come")
        sexp.value, sexp.read = value, True
        return value

    def _apart(self, sexp: Any) -> Any:
        other = Decoder(
            encode(sexp, self.dialect, limits=self.limits),
            self.dialect,
            self.limits,
            self.registry,
            self.importer,
            self.perspective,
        )
        return other.value("part")

    def _late_state(
        self, reader: Any, made: Any, state: Any, seen: int, at: int, shared: bool
    ) -> Any:
        """Give what a state is for that is not finished, from the hole number `seen` on."""
        holes = self._holes
        if reader.is_plain and type(state) is dict and not shared and not holes.is_late(state):
            # Nobody looks at attributes before the end.
            reader.finish(made, state, holes.set_attribute)
            if reader.hashes:
                self._costs().note(made, state)
            return made
        value = holes.state_later(reader, made, state, seen, at, shared or type(state) is Hole)
        self._seen += 1
        return value if reader.is_early else self._placed(value)

    def _new_cache(self, reader: Any) -> Any:
        luid = self._luid()
        try:
            return self.importer.new_cache(luid, reader.make)
        except (InsecureJelly, LimitExceeded, RecursionError):
            raise
        except Exception as error:
            _failed("taking in a cache", error)

    def _waits_since(self, seen: int) -> bool:
        """Tell whether anything waits that was put anywhere since."""
        return self._seen != seen and not self._holes.are_filled(seen, self._seen)

    def _luid(self) -> Any:
        luid = self.item()
        if not (type(luid) is int and 0 <= luid < _PLAIN) and not is_id(luid):
            raise InsecureJelly("an id has to be an integer or a byte string, and short")
        return luid

    def _by_id(self, tag: bytes) -> Any:
        luid = self._luid()
        importer = self.importer
        try:
            if tag == b"remote":
                return importer.remote(luid, self.perspective)
            if tag == b"local":
                return importer.local(luid)
            if tag == b"cached":
                return importer.cached(luid)
            return importer.lcache(luid)
        except (InsecureJelly, LimitExceeded, RecursionError):
            raise
        except Exception as error:
            _failed("looking up an id", error)


def _told(found: InsecureJelly | LimitExceeded, where: str) -> InsecureJelly | LimitExceeded:
    """Give what was found, without its traceback, and with the place."""
    error: InsecureJelly | LimitExceeded
    if isinstance(found, LimitExceeded):
        error = LimitExceeded(
            str(found), limit=found.limit, value=found.value, remote=True, where=where
        )
    else:
        error = InsecureJelly(str(found), where=where, remote=True)
    error.__cause__ = found.__cause__
    return error


def _is_read(part: Any) -> bool:
    """Tell whether anything in an item was read."""
    return type(part) is Unread and (part.read or part.taken or any(map(_is_read, part)))


def _failed(what: str, error: Exception) -> NoReturn:
    raise InsecureJelly(f"{what} failed: {full_name(type(error))}") from error
