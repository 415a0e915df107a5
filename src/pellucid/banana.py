"""Banana: lists, byte strings, integers and floats as bytes, and where in a stream they end.

An item is a prefix of up to 64 digits in base 128, the least significant first, then a type byte,
then for two of the types a body. (Wire document, sections 1 to 3.)
"""

from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, TypeAlias

from . import octets
from .errors import LimitExceeded, PBError, RemoteProtocolError
from .heap import LONG, keep_room
from .limits import Limits
from .records import Record

__all__ = [
    "APART", "DEPTH", "DIALECTS", "FLOAT", "INT", "LIST", "LONGINT", "LONGNEG", "NEG", "NONE", "PB",
    "PELLUCID", "STRING", "VOCAB", "Dialect", "Framer", "Sexp", "decode", "encode", "int_token",
    "list_header", "read_item", "skip_item", "string_token",
]  # fmt: skip

Sexp: TypeAlias = Any  # a list of these, a byte string, an integer or a float

_LIST, _INT, _STRING, _NEG = 0x80, 0x81, 0x82, 0x83
_FLOAT, _LONGINT, _LONGNEG, _VOCAB = 0x84, 0x85, 0x86, 0x87
# Compiled, those are C integers, which no other module can import. These are for the others.
LIST, INT, STRING, NEG = _LIST, _INT, _STRING, _NEG
FLOAT, LONGINT, LONGNEG, VOCAB = _FLOAT, _LONGINT, _LONGNEG, _VOCAB

_BITS: Final = 448
_DEPTH: Final = 256
DEPTH = _DEPTH
_WIRE: Final = Limits()
# What a prefix of more than 8 digits counts as, where it is a size. Above all that is allowed.
_HUGE: Final = 1 << 56
# With so many items to come it may pay to look for many integers in a row.
_MANY: Final = 32
# The room for one read, where no buffer was given.
_ROOM: Final = 64 * 1024
# A piece of a message that is not smaller is kept as it came.
_LARGE: Final = 4096
# A string that is not shorter is kept apart from its message if it comes in pieces, and leaves as
# one.
_APART: Final = 64 * 1024
APART = _APART
# So much of what comes behind it is read together with such a string: the beginning of the next.
_BEHIND: Final = 1024
_LONG: Final = LONG

# What a framer that fills no long string has for it.
_NO_ROOM: Final = bytearray()
_NOWHERE: Final = memoryview(b"")

_DOUBLE: Final = Struct(">d")

# The tokens whose prefix is one digit.
_LISTS: Final = tuple(bytes((n, _LIST)) for n in range(0x80))
_STRINGS: Final = tuple(bytes((n, _STRING)) for n in range(0x80))


class Dialect(Record):
    """A name and a vocabulary. The word `words[i]` has the number i + 1."""

    __slots__ = ("forms", "keys", "longest", "name", "numbers", "tokens", "words")
    __match_args__ = ("name", "words")

    name: str
    words: tuple[bytes, ...]
    numbers: dict[bytes, int]
    tokens: dict[bytes, bytes]
    longest: int
    # For encoders, to remember what they made of keys.
    keys: dict[str, bytes]
    # For whoever writes messages, to make only once what each of them begins with.
    forms: dict[str, Any]

    def __init__(self, name: str, words: tuple[bytes, ...]) -> None:
        numbers = {word: number for number, word in enumerate(words, 1)}
        super().__init__(
            name=name,
            words=words,
            numbers=numbers,
            tokens={word: _token(number, _VOCAB) for word, number in numbers.items()},
            longest=max(map(len, words), default=0),
            keys={},
            forms={},
        )

    def with_words(self, more: tuple[bytes, ...]) -> "Dialect":
        """Give this dialect with further words, which can be read and are not written."""
        made = object.__new__(Dialect)
        fields = {name: getattr(self, name) for name in Dialect.__slots__}
        Record.__init__(made, **fields | {"words": self.words + more})
        return made


def _token(n: int, kind: int) -> bytes:
    """Give the prefix and the type byte of a number that is not negative."""
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F)
        n >>= 7
    out.append(n)
    out.append(kind)
    return bytes(out)


_WORDS: Final = (
    b"None class dereference reference dictionary function instance list module persistent tuple "
    b"unpersistable copy cache cached remote local lcache version login password challenge "
    b"logged_in not_logged_in cachemessage message answer error decref decache uncache"
)
PB: Final = Dialect("pb", tuple(_WORDS.split()))
NONE: Final = Dialect("none", ())
PELLUCID: Final = Dialect("pellucid", PB.words)
DIALECTS: Final[dict[str, Dialect]] = {one.name: one for one in (PELLUCID, PB, NONE)}


def _over(limit: str, value: int, bound: int, remote: bool) -> LimitExceeded:
    text = f"a message is over limits.{limit} ({value}, and it is {bound})"
    return LimitExceeded(text, limit=limit, value=value, remote=remote)


def int_token(n: int, most: int = _BITS) -> bytes:
    """Give the item of an integer. Raises LimitExceeded if it has more than `most` bits."""
    item = octets.small_int(n)
    if item is not None:
        return item
    bits = n.bit_length()
    if bits > most:
        text = f"an integer of {bits} bits can't be sent, {most} can"
        raise LimitExceeded(text, limit="integer_bits", value=bits)
    return _token(n, _LONGINT) if n > 0 else _token(-n, _LONGNEG)


def list_header(n: int) -> bytes:
    """Give what goes before the `n` items of a list, however many they are."""
    return _LISTS[n] if n < 0x80 else _token(n, _LIST)


def string_token(data: bytes, dialect: Dialect) -> bytes:
    """Give the item of a byte string of any length, by its number if the dialect has one."""
    size = len(data)
    # Hashing a long string, to find nothing, would cost as much as copying it.
    if size <= dialect.longest:
        token: bytes | None = dialect.tokens.get(data)
        if token is not None:
            return token
    return (_STRINGS[size] if size < 0x80 else _token(size, _STRING)) + data


def _find(dialect: Dialect | str) -> Dialect:
    return DIALECTS[dialect] if isinstance(dialect, str) else dialect


def encode(
    sexp: Sexp, dialect: Dialect | str = "pb", depth: int = _DEPTH, limits: Limits = _WIRE
) -> bytes:
    """Give the bytes of an s-expression, nested `depth` deep at most. A bool goes as 0 or 1.

    Raises LimitExceeded for what is over the sizes in `limits`, which are the wire's own if they
    are not given, and TypeError for what is no s-expression.
    """
    chosen = _find(dialect)
    string_bytes, list_items, bits = limits.string_bytes, limits.list_items, limits.integer_bits
    out: list[bytes] = []
    stack: list[Iterator[Sexp]] = [iter((sexp,))]
    while stack:
        for item in stack[-1]:
            kind = type(item)
            if kind is bytes:
                if len(item) > string_bytes:
                    raise _over("string_bytes", len(item), string_bytes, False)
                out.append(string_token(item, chosen))
            elif kind is int or kind is bool:
                out.append(int_token(item, bits))
            elif kind is float:
                out.append(b"\x84" + _DOUBLE.pack(item))
            elif isinstance(item, list):
                if len(stack) > depth:
                    raise _over("depth_sent", len(stack), depth, False)
                if len(item) > list_items:
                    raise _over("list_items", len(item), list_items, False)
                out.append(list_header(len(item)))
                stack.append(iter(item))
                break
            else:
                raise TypeError(f"an s-expression can't hold {kind.__name__}")
        else:
            stack.pop()
    return b"".join(out)


def decode(
    data: bytes, dialect: Dialect | str = "pb", depth: int = _DEPTH, limits: Limits = _WIRE
) -> Sexp:
    """Give the s-expression that `data` is, the whole of it, nested `depth` deep at most.

    Raises RemoteProtocolError, and LimitExceeded for what is over `limits`.
    """
    chosen = _find(dialect)
    framer = Framer(chosen, limits)
    framer.feed(data)
    message = framer.next_message()
    if message is None:
        raise RemoteProtocolError("the item is not complete")
    if framer.buffered:
        raise RemoteProtocolError("there is more behind the item")
    return read_item(message, 0, chosen, depth)[0]


def read_item(data: bytes, pos: int, dialect: Dialect, depth: int = _DEPTH) -> tuple[Sexp, int]:
    """Give the item at `pos`, and the place behind it. `data` has been through a Framer.

    Raises LimitExceeded if lists are nested more than `depth` deep.
    """
    words = dialect.words
    top: list[Sexp] = []
    stack: list[tuple[list[Sexp], int]] = []
    items = top
    left = 1
    while True:
        while not left:
            if not stack:
                return top[0], pos
            items, left = stack.pop()
        left -= 1
        n: int = data[pos]
        pos += 1
        if n < 0x80:
            kind = data[pos]
            if kind < 0x80:
                n, pos = _number(data, pos - 1)
                kind = data[pos]
            pos += 1
        else:
            kind = n
            n = 0
        if kind == _STRING:
            items.append(data[pos : pos + n])
            pos += n
        elif kind == _INT:
            items.append(n)
        elif kind == _VOCAB:
            items.append(words[n - 1])
        elif kind == _LIST:
            if len(stack) == depth:
                raise _over("depth_received", depth + 1, depth, True)
            inner: list[Sexp] = []
            items.append(inner)
            stack.append((items, left))
            items = inner
            left = n
        elif kind == _FLOAT:
            items.append(_DOUBLE.unpack_from(data, pos)[0])
            pos += 8
        else:
            items.append(n if kind == _LONGINT else -n)


def _number(data: bytes, start: int) -> tuple[int, int]:
    """Give the prefix at `start`, of any length, and the place of its type byte."""
    end = start
    while data[end] < 0x80:
        end += 1
    n = 0
    for digit in reversed(data[start:end]):
        n = n << 7 | digit
    return n, end


def skip_item(data: bytes, pos: int) -> int:
    """Give the place behind the item at `pos`. `data` has been through a Framer."""
    need = 1
    while need:
        need -= 1
        n = shift = 0
        kind = data[pos]
        while kind < 0x80:
            # A size has no more digits than that; behind them come zeros.
            if shift < 28:
                n |= kind << shift
            shift += 7
            pos += 1
            kind = data[pos]
        pos += 1
        if kind == _STRING:
            pos += n
        elif kind == _LIST:
            need += n
        elif kind == _FLOAT:
            pos += 8
    return pos


class Framer:
    """Cuts a stream into its top-level items, and holds each to the limits before it is decoded.

    Bytes come in through `feed`, or through `get_buffer` and `received`. The work is linear in
    their number, however they are cut; `examined` and `copied` count it. What breaks a rule is
    refused at the same byte, however the stream is cut; from then on the framer is `broken`.

    With `apart` set, a long string that comes in pieces is not put into its message, where it would
    have to be copied out again. It is one of `bodies` then, and in its place stands a word of
    `dialect.with_words(bodies)`. Whoever reads the message takes them away.
    """

    __slots__ = (
        "_apart", "_body", "_chunk", "_chunks", "_digits", "_filled", "_held", "_in_place",
        "_item_limit", "_items", "_last", "_later", "_list_items", "_message_bytes", "_need",
        "_parts", "_pos", "_prefix", "_queued", "_room", "_shared", "_size", "_skip", "_start",
        "_string_bytes", "_view",
        "apart", "bodies", "broken", "copied", "dialect", "digits", "examined", "items", "messages",
        "size",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, limits: Limits, buffer: memoryview | None = None) -> None:
        self.dialect = dialect  # may be set between two items
        self.digits = 0  # so many a prefix may have
        self.broken: PBError | None = None
        self.examined = self.copied = 0
        # How many items were given so far; how many were in the last one, at all depths, and how
        # many bytes, with those of `bodies`.
        self.messages = self.items = self.size = 0
        self.apart = False
        self.bodies: tuple[bytes, ...] = ()
        self._string_bytes = self._list_items = self._item_limit = self._message_bytes = 0
        # What holds from the end of the item on that is not complete.
        self._later: Limits | None = None
        self._hold_to(limits)
        self._shared = buffer
        # What get_buffer gave out, and whether it is a part of _last.
        self._view: memoryview | None = None
        self._in_place = False
        self.discard()

    def _hold_to(self, limits: Limits, least: int = 0) -> None:
        """Hold what comes to these limits; with `least` 1 to those that held before, if larger."""
        self.digits = max(-(-limits.integer_bits // 7), self.digits * least)
        self._string_bytes = max(limits.string_bytes, self._string_bytes * least)
        self._list_items = max(limits.list_items, self._list_items * least)
        self._item_limit = max(min(limits.items, _HUGE), self._item_limit * least)
        self._message_bytes = max(min(limits.message_bytes, _HUGE), self._message_bytes * least)

    def use(self, limits: Limits) -> None:
        """Hold what comes to these limits.

        An item of which a part has been looked at may be what the larger ones allow.
        """
        begun = self.is_amid or self._pos != self._start
        self._later = limits if begun else None
        self._hold_to(limits, begun)

    @property
    def is_amid(self) -> bool:
        """Tell whether all that came has been looked at, or taken, but for a part of an item."""
        return self._held > 0

    def close(self) -> None:
        """Drop all that is held, and take in nothing more."""
        self.discard()
        self._view = self._later = None
        if self.broken is None:
            self.broken = RemoteProtocolError("nothing more is taken in")

    def discard(self) -> None:
        """Drop all that is held. What comes next is taken for the beginning of an item."""
        # The item that is not complete: its first _held bytes are in _parts, and behind those in
        # _last, which is filled up to _filled; the others in _chunk from _start, scanned to _pos.
        self._parts: list[Any] | tuple[()] = ()
        self._last = _NO_ROOM
        self._held = self._filled = 0
        self._in_place = False
        self._chunk = b""
        self._start = self._pos = 0
        # What came after _chunk, and its size.
        self._chunks: deque[bytes] | tuple[()] = ()  # a deque when one is needed
        self._queued = 0
        # Items that are to come, items that were announced, bytes of a body that are to come, and
        # the digits of a prefix that came without its type byte: their value and their number.
        self._need = 1
        self._items = self._skip = self._prefix = self._digits = 0
        # The size of the string whose body is to come. If that is kept apart, where it goes, and
        # the same for writing into; and those of this item that are there.
        self._size = 0
        self._body: Any = None
        self._room = _NOWHERE
        self._apart: list[bytes] | tuple[()] = ()

    @property
    def buffered(self) -> int:
        """The bytes that are held."""
        return self._held + len(self._chunk) - self._start + self._queued

    def feed(self, chunk: bytes) -> None:
        """Take bytes that have arrived."""
        if self.broken is not None:
            return
        if type(chunk) is not bytes:
            chunk = bytes(chunk)
        if self._in_place:
            # The reader may still write into what it was lent.
            self._in_place = False
            if self._body is None:
                self._seal()
            else:
                filled = self._size - self._skip
                old = octets.writable(self._body)[:filled]
                self._make_room()
                self._fill(old)
        self._add(chunk)

    def _add(self, chunk: bytes) -> None:
        # What was looked at to its end is dropped at once.
        if not self._chunk and not self._chunks:
            self._chunk = chunk
            self._start = self._pos = 0
        else:
            if not self._chunks:
                self._chunks = deque()
            self._chunks.append(chunk)
            self._queued += len(chunk)

    def get_buffer(self) -> memoryview:
        """Give room for what arrives next; `received` tells how much of it was filled.

        In the middle of a long string the room is where the string goes in the end.
        """
        shared = self._shared
        if shared is None:
            shared = self._shared = memoryview(bytearray(_ROOM))
        view = shared
        skip = self._skip
        self._in_place = False
        if skip and not self._chunk and not self._chunks:
            if self._body is not None:
                if skip >= _LARGE:
                    self._in_place = True
                    view = self._room
            elif skip > len(shared):
                self._in_place = True
                if self._filled == len(self._last):
                    self._seal()
                    # Not more than has arrived, beyond what is there anyway.
                    self._last = bytearray(min(skip, max(self._held, len(shared))))
                view = memoryview(self._last)[self._filled : self._filled + skip]
        self._view = view
        return view

    def received(self, n: int) -> None:
        """Take the first `n` bytes of what get_buffer gave."""
        view = self._view
        self._view = None
        if view is None or not 0 <= n <= len(view):
            if self.broken is not None:
                return
            raise ValueError(f"{n} bytes can't have been received")
        if self._in_place:
            self._in_place = False
            if self._body is not None:
                self._received_body(n)
            else:
                self._held += n
                self._skip -= n
                self._filled += n
        else:
            self.copied += n
            if self.broken is None:
                self._add(bytes(view[:n]))

    def skip(self, end: int) -> None:
        """Go to `end`, behind an item that begins in what came last and was not looked at here."""
        self.messages += 1
        if end == len(self._chunk):
            self._chunk = b""
            end = 0
        self._start = self._pos = end

    def next_message(self) -> bytes | None:
        """Give the next complete item, None if there is none yet.

        Raises RemoteProtocolError or LimitExceeded, and from then on always the same error.
        """
        if self.broken is not None:
            raise self.broken.with_traceback(None)
        if not (self._chunk or self._chunks or self._held):
            return None
        while not self._scan():
            if not self._next_chunk():
                return None
        self._need = 1
        self.messages += 1
        self.items = self._items
        self._items = 0
        if self._later is not None:
            self._hold_to(self._later)
            self._later = None
        if self.bodies:
            self.bodies = ()
        data = self._chunk
        start = self._start
        pos = self._start = self._pos
        self.size = self._held + pos - start
        if pos == len(data):
            self._chunk = b""
            self._start = self._pos = 0
            if not start and not self._held:
                return data
        if self._held:
            self._seal()
            self._keep(memoryview(data)[start:pos])
            message = b"".join(self._parts)
            self._parts = ()
            self._held = 0
            if self._apart:
                self.bodies = tuple(self._apart)
                self._apart = ()
            if self.size > _LONG:
                keep_room()
        else:
            message = data[start:pos]
        self.copied += len(message)
        return message

    def _next_chunk(self) -> bool:
        """Put the rest of the chunk aside and take the next one. False if there is none."""
        if self._start < len(self._chunk) and not (self._size >= _APART and self._begin_body()):
            self._hold(self._chunk[self._start :] if self._start else self._chunk)
        self._start = self._pos = 0
        if not self._chunks:
            self._chunk = b""
            return False
        self._chunk = self._chunks.popleft()
        self._queued -= len(self._chunk)
        return True

    def _hold(self, rest: bytes) -> None:
        """Put the next bytes of the item aside. Only small pieces are copied together."""
        size = len(rest)
        if size >= _LARGE:
            self._seal()
            self._keep(rest)
        else:
            if len(self._last) - self._filled < size:
                self._seal()
                self._last = bytearray(max(size, min(self._held, _ROOM)))
            memoryview(self._last)[self._filled : self._filled + size] = rest
            self._filled += size
            self.copied += size
        self._held += size

    def _begin_body(self) -> bool:
        """Keep the string at the end of the chunk apart. False if that is not to be."""
        data, start, size = self._chunk, self._start, self._size
        came = len(data) - start
        head = _token(size, _STRING)
        body = len(data) + self._skip - size
        at = body - len(head)
        # No more room than twice what has come. The prefix may have come in part before.
        if not self.apart or size > 2 * (self._held + came) or at < start or data[at:body] != head:
            return False
        if not self._apart:
            self._apart = []
        # What stands for it is a word that the dialect does not have, so none such can have come.
        word = _token(len(self.dialect.words) + len(self._apart) + 1, _VOCAB)
        self._hold(data[start:at] + word)
        self._held += len(data) - at - len(word)
        self._make_room()
        self._fill(memoryview(data)[body:])
        return True

    def _make_room(self) -> None:
        self._body = octets.room(self._size + _BEHIND)
        self._room = octets.writable(self._body)

    def _fill(self, piece: memoryview) -> None:
        """Put the next piece into the string that is kept apart."""
        size = len(piece)
        self._room[:size] = piece
        self._room = self._room[size:]
        self.copied += size

    def _go_on_with_body(self) -> None:
        """Take what a new chunk has of the string that is kept apart."""
        size = min(self._skip, len(self._chunk))
        self._fill(memoryview(self._chunk)[:size])
        self.examined += size
        self._start = self._pos = size
        self._filled_body(size)

    def _received_body(self, n: int) -> None:
        """Take what was read into the string that is kept apart, and what came behind it."""
        size = min(self._skip, n)
        behind = bytes(self._room[size:n])
        self._room = self._room[size:]
        self._filled_body(size)
        if behind:
            self.copied += len(behind)
            self._add(behind)

    def _filled_body(self, size: int) -> None:
        self._held += size
        self._skip -= size
        if self._skip == 0:
            self._room = _NOWHERE
            body = octets.written(self._body, self._size)
            self._body = None
            self._apart.append(body)  # type: ignore[union-attr]

    def _keep(self, piece: bytes | memoryview) -> None:
        if not self._parts:
            self._parts = []
        self._parts.append(piece)

    def _seal(self) -> None:
        """Have nothing more written into _last, which may be lent and can't be resized then."""
        if self._filled:
            view = memoryview(self._last)[: self._filled]
            # Room that is left over is not kept if it is most of it.
            self._keep(view if 2 * self._filled >= len(self._last) else bytes(view))
        self._last = _NO_ROOM
        self._filled = 0

    def _scan(self) -> bool:
        """Go on where the last call stopped. Tell whether an item is complete."""
        if self._body is not None:
            self._go_on_with_body()
        data = self._chunk
        pos = self._pos + self._skip
        need, n, digits = self._need, self._prefix, self._digits
        end, words = len(data), len(self.dialect.words)
        bound = self._start + self._message_bytes - self._held
        many, bad, size = _MANY, False, self._size
        while need and pos < end:
            kind = data[pos]
            pos += 1
            if kind < 0x80:
                if digits or pos == end or data[pos] < 0x80:
                    if digits >= self.digits:
                        raise self._refuse(kind, n, 0)
                    if digits < 8:
                        n |= kind << 7 * digits
                    elif kind:
                        n = _HUGE
                    digits += 1
                    continue
                n = kind
                kind = data[pos]
                pos += 1
            need -= 1
            if kind == _STRING:
                pos += n
                size = n
                bad = n > self._string_bytes
            elif kind == _LIST:
                need += n
                self._items += n
                bad = n > self._list_items or self._items > self._item_limit
            elif kind == _VOCAB:
                bad = not 0 < n <= words
            elif kind == _FLOAT:
                pos += 8
                size = 0
            elif kind > _VOCAB:
                bad = True
            elif need > many:
                many = need
                pos, need = octets.skip_ints(data, pos, need, bound)
                many = _MANY if many - need > _MANY else _HUGE
            if bad or pos + need > bound:
                raise self._refuse(kind, n, self._message_bytes + pos + need - bound)
            n = digits = 0
        self._skip = max(pos - end, 0)
        self._size = size if self._skip else 0
        pos -= self._skip
        self.examined += pos - self._pos
        self._pos, self._need, self._prefix, self._digits = pos, need, n, digits
        return not need and not self._skip

    def _refuse(self, kind: int, n: int, size: int) -> PBError:
        """Break, and give the error: the first of the rules that a token broke.

        `size` is what the message comes to, with all that was announced.
        """
        error: PBError
        if kind < 0x80:
            error = RemoteProtocolError(f"a prefix has more than {self.digits} digits")
        elif kind > _VOCAB:
            error = RemoteProtocolError(f"there is no type byte {kind:#x}")
        elif kind == _STRING and n > self._string_bytes:
            error = _over("string_bytes", n, self._string_bytes, True)
        elif kind == _LIST and n > self._list_items:
            error = _over("list_items", n, self._list_items, True)
        elif kind == _LIST and self._items > self._item_limit:
            error = _over("items", self._items, self._item_limit, True)
        elif kind == _VOCAB and not 0 < n <= len(self.dialect.words):
            error = RemoteProtocolError(f"dialect {self.dialect.name} has no word of number {n}")
        else:
            error = _over("message_bytes", size, self._message_bytes, True)
        self.broken = error
        self.discard()
        return error
