"""From the bytes of a message to objects, in one pass. (Wire document, sections 4 to 6.)

What a peer sends is bounded before anything is made of it: how deep it is nested, and what hashing
its keys and members may cost.
"""

from struct import Struct
from typing import Any, Final, NoReturn

from .atoms import Unpersistable, make_date, make_decimal
from .banana import Dialect, Sexp, read_item, skip_item
from .encoder import step_of
from .errors import InsecureJelly, LimitExceeded, RemoteProtocolError, full_name
from .hashing import Hashing
from .holes import Hole, Holes
from .limits import Limits
from .ports import Importer
from .registry import Registry

__all__ = ["Decoder", "head"]

_LIST: Final = 0x80
_INT: Final = 0x81
_STRING: Final = 0x82
_FLOAT: Final = 0x84
_LONGINT: Final = 0x85
_VOCAB: Final = 0x87

# Integers up to here are their own hash, so no two of them collide.
_PLAIN: Final = 1 << 60
# Beside so many others a key or member that is no text costs a step, beside twice as many two.
_CROWD: Final = 4096

_DOUBLE: Final = Struct(">d")
# What stands behind the header of a text. The word is in no vocabulary.
_UNICODE: Final = b"\x07\x82unicode"

_DATES: Final = frozenset((b"datetime", b"date", b"time", b"timedelta"))
# The tags of values with something in them, those of containers and references left out.
_OTHERS: Final = _DATES.union(
    b"boolean unicode decimal dereference remote local cached lcache unpersistable".split()
)


def head(data: bytes, pos: int) -> tuple[int, int, int]:
    """Give the type byte and the prefix of the item at `pos`, and where its body is."""
    end = pos
    while data[end] < _LIST:
        end += 1
    n = 0
    for digit in reversed(data[pos:end]):
        n = n << 7 | digit
    return data[end], n, end + 1


def _shown(word: bytes) -> str:
    """Give a received byte string for a message, cut."""
    return repr(word[:40])[1:] + ("..." if len(word) > 40 else "")


class Decoder:
    """Reads the items of one message, which has been through a Framer, from `pos` on.

    `perspective` is for readers to look at.
    """

    __slots__ = (
        "_data",
        "_depth",
        "_hashing",
        "_holes",
        "_path",
        "_seen",
        "_words",
        "dialect",
        "importer",
        "limits",
        "perspective",
        "pos",
        "registry",
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
        self._hashing: Any = None
        # The reference numbers of this unit, from the first one on.
        self._holes: Any = None
        # How often a hole was put anywhere.
        self._seen = 0
        self._path: list[str] = []

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
        return self._data[start : self.pos]

    def list_length(self) -> int:
        """Read the header of a list, and give the number of its items."""
        kind, n = self._head()
        if kind != _LIST:
            raise RemoteProtocolError("a list was expected")
        return n

    def _head(self) -> tuple[int, int]:
        kind, n, self.pos = head(self._data, self.pos)
        return kind, n

    def _string(self, what: str) -> bytes:
        """Read a byte string, whether it is spelled out or not."""
        kind, n = self._head()
        if kind == _STRING:
            start = self.pos
            self.pos = start + n
            return self._data[start : start + n]
        if kind == _VOCAB:
            return self._words[n - 1]
        raise InsecureJelly(f"{what} has to be a byte string")

    def _skip(self, count: int) -> None:
        for _ in range(count):
            self.pos = skip_item(self._data, self.pos)

    # One value.

    def value(self, where: str) -> Any:
        """Read one value, which has reference numbers of its own. `where` is what it is called.

        Raises InsecureJelly and LimitExceeded, which tell the place in the value, and nothing else.
        In any case the decoder stands behind the value then.
        """
        start = self.pos
        error: InsecureJelly | LimitExceeded
        try:
            value = self._value(0, None)
            if self._holes is not None:
                value = self._holes.whole(value)
            return value
        except RecursionError:
            error = LimitExceeded(
                "nested too deep for the stack that is left",
                limit="depth_received",
                value=len(self._path),
                remote=True,
                where=where,
            )
        except LimitExceeded as found:
            error = LimitExceeded(
                str(found), limit=found.limit, value=found.value, remote=True, where=self._at(where)
            )
            error.__cause__ = found.__cause__
        except InsecureJelly as found:
            error = InsecureJelly(str(found), where=self._at(where), remote=True)
            error.__cause__ = found.__cause__
        finally:
            self._holes = None
        self._path.clear()
        self.pos = skip_item(self._data, start)
        raise error from error.__cause__

    def _at(self, where: str) -> str:
        return where + "".join(reversed(self._path))

    def _value(self, depth: int, number: Any) -> Any:
        """Read a value inside of `depth` others. `number` is what will refer to it, if anything."""
        data = self._data
        pos = self.pos
        size = data[pos]
        n: Any = size
        pos += 1
        if size < _LIST:
            kind = data[pos]
            shift = 7
            while kind < _LIST and shift < 35:
                size |= kind << shift
                shift += 7
                pos += 1
                kind = data[pos]
            pos += 1
            n = size
            if kind < _LIST:
                kind, n, pos = head(data, self.pos)
        elif size == _FLOAT:
            self.pos = pos + 8
            return _DOUBLE.unpack_from(data, pos)[0]
        else:
            kind = size
            n = 0
        if kind == _INT:
            self.pos = pos
            return n
        if kind == _STRING:
            self.pos = pos + n
            return data[pos : pos + n]
        if kind != _LIST:
            return self._number(kind, n, pos)
        if n == 2 and data.startswith(_UNICODE, pos):
            self.pos = pos + 9
            return self._text()
        tag = self._tag(n, pos)
        if tag == b"list":
            return self._list(n - 1, depth, number)
        if tag == b"dictionary":
            return self._dictionary(n - 1, depth, number)
        if tag == b"tuple":
            return self._tuple(n - 1, depth)
        if tag == b"reference":
            return self._reference(n - 1, depth, number)
        if tag == b"set":
            return self._set(n - 1, depth, number, False)
        if tag == b"frozenset":
            return self._set(n - 1, depth, number, True)
        return self._tagged(tag, n - 1, depth)

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

    def _number(self, kind: int, n: Any, pos: int) -> Any:
        """Give an item that is neither a small integer, nor spelled out, nor a list."""
        self.pos = pos
        if kind == _LONGINT:
            return n
        if kind == _FLOAT:
            self.pos = pos + 8
            return _DOUBLE.unpack_from(self._data, pos)[0]
        if kind == _VOCAB:
            return self._words[n - 1]
        return -n

    def _text(self) -> str:
        data = self._data
        pos = self.pos
        n = data[pos]
        if n < _LIST and data[pos + 1] == _STRING:
            pos += 2
            self.pos = pos + n
            text = data[pos : pos + n]
        else:
            text = self._string("the content of a text")
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise InsecureJelly("a text is not UTF-8") from None

    # Containers. Those that can change are there before what is in them.

    def _deeper(self, depth: int) -> int:
        if depth >= self._depth:
            raise LimitExceeded(
                f"nested deeper than limits.depth_received, which is {self._depth}",
                limit="depth_received",
                value=depth + 1,
            )
        return depth + 1

    def _items(self, result: list[Any], count: int, depth: int) -> bool:
        """Read the members of a container. Tells whether there may be holes among them."""
        depth = self._deeper(depth)
        mark = self._seen
        try:
            for _ in range(count):
                result.append(self._value(depth, None))
        except Exception:
            self._path.append(f"[{len(result)}]")
            raise
        return self._seen != mark

    def _list(self, count: int, depth: int, number: Any) -> list[Any]:
        result: list[Any] = []
        if number is not None:
            self._holes.bind(number, result)
        if self._items(result, count, depth):
            self._holes.watch_list(result)
        return result

    def _tuple(self, count: int, depth: int) -> Any:
        items: list[Any] = []
        if not self._items(items, count, depth):
            whole = tuple(items)
            return whole if self._holes is None else self._holes.measured(whole)
        self._seen += 1
        return self._holes.make_tuple(items)

    def _dictionary(self, count: int, depth: int, number: Any) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        if number is not None:
            self._holes.bind(number, result)
        depth = self._deeper(depth)
        mark = self._seen
        counts: Any = None
        key: Any = None
        index = 0
        behind = False
        try:
            for index in range(count):  # noqa: B007 - `except` looks at it
                behind = False
                self._pair()
                key = self._value(depth, None)
                if type(key) is not str:
                    counts = self._admit(result, key, counts)
                behind = True
                result[key] = self._value(depth, None)
        except Exception:
            self._path.append(step_of(key, index) if behind else f"{{key {index}}}")
            raise
        if self._seen != mark:
            self._holes.watch_dict(result)
        return result

    def _pair(self) -> None:
        if self._data.startswith(b"\x02\x80", self.pos):
            self.pos += 2
        elif self._head() != (_LIST, 2):
            raise InsecureJelly("what is in a dictionary has to be a list of two")

    def _set(self, count: int, depth: int, number: Any, frozen: bool) -> Any:
        result: set[Any] = set()
        if number is not None and not frozen:
            self._holes.bind(number, result)
        depth = self._deeper(depth)
        counts: Any = None
        try:
            for _ in range(count):
                member = self._value(depth, None)
                if type(member) is not str:
                    counts = self._admit(result, member, counts)
                result.add(member)
        except Exception:
            self._path.append("{member}")
            raise
        if not frozen:
            return result
        whole = frozenset(result)
        if self._holes is not None:
            self._holes.measured(whole)
        if counts is not None:
            self._costs().crowded(whole, counts)
        return whole

    # References.

    def _reference_number(self) -> Any:
        number = self.item()
        if type(number) is not int and type(number) is not bytes:
            raise InsecureJelly("a reference number has to be an integer or a byte string")
        return number

    def _reference(self, count: int, depth: int, outer: Any) -> Any:
        if count < 2:
            raise InsecureJelly("a reference needs a number and a value")
        number = self._reference_number()
        if self._holes is None:
            self._holes = Holes(self._depth)
        hole = self._holes.begin(number)
        # Being referred to is no nesting; being referred to by many numbers may go on for ever.
        value = self._value(depth if outer is None else self._deeper(depth), number)
        self._skip(count - 2)
        self._holes.end(hole, value)
        return value

    def _dereference(self) -> Any:
        number = self._reference_number()
        if self._holes is None:
            self._holes = Holes(self._depth)
        value = self._holes.find(number)
        kind = type(value)
        if kind is Hole:
            self._seen += 1
        elif kind is str or kind is bytes:
            # Comparing it may take longer than the few bytes that named it.
            self._costs().charge(len(value) >> 8)
        return value

    # Hashing.

    def _costs(self) -> Any:
        if self._hashing is None:
            self._hashing = Hashing(self.limits)
        return self._hashing

    def _admit(self, container: Any, key: Any, counts: Any) -> Any:
        """Refuse a key or member that must not be hashed. `counts` belongs to the container."""
        kind = type(key)
        if kind is str or kind is bytes:
            return counts
        size = len(container)
        if size >= _CROWD:
            # Other hashes are known to the peer, who can choose them so that finding a place takes
            # longer the more there are, though no two are the same.
            self._costs().charge(size // _CROWD)
        if kind is int and -_PLAIN < key < _PLAIN:
            return counts
        if kind is Hole:
            # What is not finished contains this container: through something that can't be hashed
            # either, or with nothing between that can change.
            raise InsecureJelly("a key or member contains what it is in")
        if counts is None:
            counts = {}
        self._costs().admit(container, key, counts)
        return counts

    # The other tags.

    def _tagged(self, tag: bytes, count: int, depth: int) -> Any:
        if tag == b"None":
            self._skip(count)
            return None
        if tag not in _OTHERS:
            return self._registered(tag, count, depth)
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
            value = self._text()
        elif tag == b"decimal":
            used = 2
            value = make_decimal(self.item(), self.item())
        elif tag in _DATES:
            value = make_date(tag, self._string("the content of a date"))
        elif tag == b"unpersistable":
            # The text that Twisted gives it, but short enough to be compared without counting.
            value = Unpersistable(f"Unpersistable data: {self._string('a reason')[:1000]!r}")
        else:
            value = self._by_id(tag)
        self._skip(count - used)
        return value

    def _registered(self, tag: bytes, count: int, depth: int) -> Any:
        reader = self.registry.reader_for(tag)
        if reader is None:
            raise InsecureJelly(f"type tag {_shown(tag)} is not registered")
        if count == 0:
            raise InsecureJelly(f"a {_shown(tag)} with nothing in it")
        mark = self._waits()
        state = self._value(self._deeper(depth), None)
        self._skip(count - 1)
        if self._waits() != mark or type(state) is Hole:
            raise InsecureJelly(f"the state of a {_shown(tag)} contains what it is in")
        try:
            return reader(state)
        except (InsecureJelly, LimitExceeded, RecursionError):
            raise
        except Exception as error:
            _failed(f"the reader of type tag {_shown(tag)}", error)

    def _waits(self) -> int:
        return self._holes.waits if self._holes is not None else 0

    def _by_id(self, tag: bytes) -> Any:
        luid = self.item()
        if type(luid) is not int and type(luid) is not bytes:
            raise InsecureJelly("an id has to be an integer or a byte string")
        importer = self.importer
        try:
            if tag == b"remote":
                return importer.remote(luid)
            if tag == b"local":
                return importer.local(luid)
            if tag == b"cached":
                return importer.cached(luid)
            return importer.lcache(luid)
        except (InsecureJelly, LimitExceeded, RecursionError):
            raise
        except Exception as error:
            _failed("looking up an id", error)


def _failed(what: str, error: Exception) -> NoReturn:
    raise InsecureJelly(f"{what} failed: {full_name(type(error))}") from error
