"""The real shape of the codec: a fused encoder (twice), a framer, a recursive decoder.

Left out: sets, dates, Decimal, flavours, and tuples that contain themselves.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from .errors import CodecError

_LIST: Final = 0x80
_INT: Final = 0x81
_STRING: Final = 0x82
_NEG: Final = 0x83
_FLOAT: Final = 0x84
_LONGINT: Final = 0x85
_LONGNEG: Final = 0x86
_VOCAB: Final = 0x87
_DIGITS: Final = 64
_SIZE: Final = 640 * 1024
_DEPTH: Final = 256

_WORDS: Final[list[bytes]] = (
    b"? None class dereference reference dictionary function instance list module persistent tuple unpersistable "
    b"local lcache version login password challenge logged_in not_logged_in"
).split(b" ")
_WORDS[13:13] = [b"copy", b"cache", b"cached", b"remote"]
_WORDS.extend([b"cachemessage", b"message", b"answer", b"error", b"decref", b"decache", b"uncache"])
_TOKENS: Final[dict[bytes, bytes]] = {w: bytes((i, _VOCAB)) for i, w in enumerate(_WORDS) if i}
_DOUBLE: Final = Struct(">d")

_NONE: Final = b"\x01\x80\x01\x87"
_TRUE: Final = b"\x02\x80\x07\x82boolean\x04\x82true"
_FALSE: Final = b"\x02\x80\x07\x82boolean\x05\x82false"
_TEXT: Final = b"\x02\x80\x07\x82unicode"
_PAIR: Final = b"\x02\x80"
_REFERENCE: Final = b"\x03\x80\x04\x87"
_DEREFERENCE: Final = b"\x02\x80\x03\x87"

_KINDS: Final[dict[bytes, int]] = {
    b"None": 1, b"boolean": 2, b"unicode": 3, b"list": 4, b"tuple": 5, b"dictionary": 6, b"reference": 7,
    b"dereference": 8,
}  # fmt: skip


def _token(n: int, kind: int) -> bytes:
    """Prefix and type byte; n fits in 63 bits."""
    if n < 0x80:
        return bytes((n, kind))
    if n < 0x4000:
        return bytes((n & 0x7F, n >> 7, kind))
    out = bytearray()
    while n:
        out.append(n & 0x7F)
        n >>= 7
    out.append(kind)
    return bytes(out)


def _digits(value: int, kind: int) -> bytes:
    """Prefix and type byte of a number of any size."""
    if value.bit_length() > 7 * _DIGITS:
        raise CodecError("integer of more than 448 bits")
    out = bytearray()
    while value:
        out.append(value & 0x7F)
        value >>= 7
    out.append(kind)
    return bytes(out)


class PartsEncoder:
    """Object graph to bytes: a list of parts, with an empty one before each container."""

    __slots__ = ("_numbers", "_out", "_slots")

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._slots: dict[int, int] = {}
        self._numbers: dict[int, bytes] = {}

    def encode(self, value: object) -> bytes:
        self._value(value, _DEPTH)
        return b"".join(self._out)

    def _value(self, value: object, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self._out.append(_TEXT)
            self._string(value.encode())  # type: ignore[attr-defined]
        elif kind is int:
            self._int(value)  # type: ignore[arg-type]
        elif kind is bytes:
            self._string(value)  # type: ignore[arg-type]
        elif kind is dict or kind is list or kind is tuple:
            if not depth:
                raise CodecError("nested too deep")
            if not self._seen(id(value)):
                self._container(value, depth - 1)
        elif value is None:
            self._out.append(_NONE)
        elif kind is bool:
            self._out.append(_TRUE if value else _FALSE)
        elif kind is float:
            self._out.append(b"\x84" + _DOUBLE.pack(value))
        else:
            raise CodecError(f"cannot send {kind.__name__}")

    def _int(self, value: int) -> None:
        try:
            self._small(value)
        except OverflowError:  # only compiled: the argument of _small is a C integer there
            self._big(value)

    def _small(self, n: int) -> None:
        if 0 <= n < 0x80000000:
            self._out.append(_token(n, _INT))
        elif -0x80000000 <= n < 0:
            self._out.append(_token(-n, _NEG))
        else:
            self._big(n)

    def _big(self, value: int) -> None:
        self._out.append(_digits(value, _LONGINT) if value > 0 else _digits(-value, _LONGNEG))

    def _string(self, value: bytes) -> None:
        size = len(value)
        if size > _SIZE:
            raise CodecError("string above the limit")
        token = _TOKENS.get(value) if size <= 13 else None
        if token is not None:
            self._out.append(token)
        else:
            self._out.append(_token(size, _STRING))
            self._out.append(value)

    def _head(self, size: int, tag: bytes) -> None:
        if size > _SIZE:
            raise CodecError("list above the limit")
        self._out.append(_token(size, _LIST))
        self._out.append(tag)

    def _seen(self, key: int) -> bool:
        slot = self._slots.get(key)
        if slot is None:
            self._slots[key] = len(self._out)
            self._out.append(b"")
            return False
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = _token(len(self._numbers) + 1, _INT)
            self._out[slot] = _REFERENCE + number
        self._out.append(_DEREFERENCE)
        self._out.append(number)
        return True

    def _container(self, value: object, depth: int) -> None:
        if isinstance(value, dict):
            self._head(len(value) + 1, b"\x05\x87")
            for key, item in value.items():
                self._out.append(_PAIR)
                self._value(key, depth)
                self._value(item, depth)
        elif isinstance(value, list):
            self._head(len(value) + 1, b"\x08\x87")
            for item in value:
                self._value(item, depth)
        elif isinstance(value, tuple):
            self._head(len(value) + 1, b"\x0b\x87")
            for item in value:
                self._value(item, depth)


class BufferEncoder:
    """Object graph to bytes: one bytearray, and a list of the places where a prefix goes in at the end."""

    __slots__ = ("_numbers", "_out", "_patches", "_slots")

    def __init__(self) -> None:
        self._out = bytearray()
        self._slots: dict[int, int] = {}
        self._numbers: dict[int, bytes] = {}
        self._patches: list[tuple[int, bytes]] = []

    def encode(self, value: object) -> bytes:
        self._value(value, _DEPTH)
        if not self._patches:
            return bytes(self._out)
        self._patches.sort()
        parts: list[bytes] = []
        start = 0
        for place, prefix in self._patches:
            parts.append(bytes(self._out[start:place]))
            parts.append(prefix)
            start = place
        parts.append(bytes(self._out[start:]))
        return b"".join(parts)

    def _value(self, value: object, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self._out += _TEXT
            self._string(value.encode())  # type: ignore[attr-defined]
        elif kind is int:
            self._int(value)  # type: ignore[arg-type]
        elif kind is bytes:
            self._string(value)  # type: ignore[arg-type]
        elif kind is dict or kind is list or kind is tuple:
            if not depth:
                raise CodecError("nested too deep")
            if not self._seen(id(value)):
                self._container(value, depth - 1)
        elif value is None:
            self._out += _NONE
        elif kind is bool:
            self._out += _TRUE if value else _FALSE
        elif kind is float:
            self._out.append(_FLOAT)
            self._out += _DOUBLE.pack(value)
        else:
            raise CodecError(f"cannot send {kind.__name__}")

    def _int(self, value: int) -> None:
        try:
            self._small(value)
        except OverflowError:  # only compiled: the argument of _small is a C integer there
            self._big(value)

    def _small(self, n: int) -> None:
        if 0 <= n < 0x80000000:
            self._token(n, _INT)
        elif -0x80000000 <= n < 0:
            self._token(-n, _NEG)
        else:
            self._big(n)

    def _big(self, value: int) -> None:
        self._out += _digits(value, _LONGINT) if value > 0 else _digits(-value, _LONGNEG)

    def _token(self, n: int, kind: int) -> None:
        out = self._out
        while n >= 0x80:
            out.append(n & 0x7F)
            n >>= 7
        out.append(n)
        out.append(kind)

    def _string(self, value: bytes) -> None:
        size = len(value)
        if size > _SIZE:
            raise CodecError("string above the limit")
        token = _TOKENS.get(value) if size <= 13 else None
        if token is not None:
            self._out += token
        else:
            self._token(size, _STRING)
            self._out += value

    def _head(self, size: int, tag: int) -> None:
        if size > _SIZE:
            raise CodecError("list above the limit")
        self._token(size, _LIST)
        self._token(tag, _VOCAB)

    def _seen(self, key: int) -> bool:
        slot = self._slots.get(key)
        if slot is None:
            self._slots[key] = len(self._out)
            return False
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = _token(len(self._numbers) + 1, _INT)
            self._patches.append((slot, _REFERENCE + number))
        self._out += _DEREFERENCE
        self._out += number
        return True

    def _container(self, value: object, depth: int) -> None:
        if isinstance(value, dict):
            self._head(len(value) + 1, 5)
            for key, item in value.items():
                self._out += _PAIR
                self._value(key, depth)
                self._value(item, depth)
        elif isinstance(value, list):
            self._head(len(value) + 1, 8)
            for item in value:
                self._value(item, depth)
        elif isinstance(value, tuple):
            self._head(len(value) + 1, 11)
            for item in value:
                self._value(item, depth)


class Framer:
    """Finds the end of each top-level item; checks what can be checked before an object exists."""

    __slots__ = ("_buffer", "_need", "_pos")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 1
        self._pos = 0

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        messages: list[bytes] = []
        start = 0
        while self._scan():
            messages.append(bytes(self._buffer[start : self._pos]))
            start = self._pos
            self._need = 1
        if start:
            del self._buffer[:start]
            self._pos -= start
        return messages

    def _scan(self) -> bool:
        """Go on where the last call stopped; true at the end of a top-level item."""
        data = self._buffer
        end = len(data)
        pos = start = self._pos
        need = self._need
        while need:
            start = pos
            n = 0
            shift = 0
            while pos < end and data[pos] < 0x80:
                if shift < 28:
                    n |= data[pos] << shift
                elif data[pos]:
                    n = 0x7FFFFFFF  # above every limit
                shift += 7
                pos += 1
            if shift > 7 * _DIGITS:
                raise CodecError("prefix of more than 64 digits")
            if pos == end:
                break
            kind = data[pos]
            pos += 1
            if kind == _LIST or kind == _STRING:
                if n > _SIZE:
                    raise CodecError("list or string above the limit")
                if kind == _LIST:
                    need += n
                else:
                    pos += n
            elif kind == _VOCAB:
                if not 0 < n < 32:
                    raise CodecError("unknown vocabulary number")
            elif kind == _FLOAT:
                pos += 8
            elif kind > _VOCAB:
                raise CodecError("unknown type byte")
            if pos > end:
                break
            need -= 1
            start = pos
        self._pos = start
        self._need = need
        return not need


class Decoder:
    """The bytes of one framed item to an object."""

    __slots__ = ("_data", "_pos", "_refs")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0
        self._refs: dict[int, object] = {}

    def decode(self) -> object:
        return self._value(0, _DEPTH)

    def _value(self, ref: int, depth: int) -> object:
        data = self._data
        start = pos = self._pos
        n = 0
        shift = 0
        b = data[pos]
        while b < 0x80:
            if shift > 49:
                return self._long(start)
            n |= b << shift
            shift += 7
            pos += 1
            b = data[pos]
        pos += 1
        self._pos = pos
        if b == _LIST:
            if not n or not depth:
                raise CodecError("empty list, or nested too deep")
            return self._list(n - 1, ref, depth - 1)
        if b == _INT or b == _LONGINT:
            return n
        if b == _NEG or b == _LONGNEG:
            return -n
        if b == _STRING:
            self._pos = pos + n
            if self._pos > len(data):
                raise CodecError("short string")
            view = data  # compiled: a char pointer, whose slices are cheap and unchecked
            return view[pos : pos + n]
        if b == _VOCAB:
            return _WORDS[n]
        self._pos = pos + 8
        return _DOUBLE.unpack_from(data, pos)[0]

    def _long(self, start: int) -> object:
        """An item whose prefix is longer than 8 digits."""
        data = self._data
        pos = start
        value: int = 0
        while data[pos] < 0x80:
            pos += 1
        for digit in reversed(data[start:pos]):
            value = value << 7 | digit
        if data[pos] == _INT or data[pos] == _LONGINT:
            self._pos = pos + 1
            return value
        if data[pos] == _NEG or data[pos] == _LONGNEG:
            self._pos = pos + 1
            return -value
        raise CodecError("padded prefix")  # the library reads these; the spike does not

    def _bytes(self) -> bytes:
        value = self._value(0, 0)
        if type(value) is not bytes:
            raise CodecError("expected a byte string")
        return value

    def _list(self, count: int, ref: int, depth: int) -> object:
        tag = self._bytes()
        kind = _KINDS.get(tag, 0)
        value: object
        if kind == 3 and count == 1:
            value = self._bytes().decode()
        elif kind == 6:
            value = self._dict(count, ref, depth)
        elif kind == 4 or kind == 5:
            items: list[object] = []
            if ref and kind == 4:
                self._refs[ref] = items
            for _ in range(count):
                items.append(self._value(0, depth))
            value = items if kind == 4 else tuple(items)
        elif kind == 1:
            value = None
        elif kind == 2 and count == 1:
            value = self._boolean()
        elif kind == 7 and count == 2:
            number = self._number()
            value = self._value(number, depth)
            self._refs[number] = value
        elif kind == 8 and count == 1:
            value = self._refs.get(self._number(), self)
            if value is self:
                raise CodecError("undefined reference")
        else:
            raise CodecError(f"type {tag!r} not allowed, or wrong number of elements")
        return value

    def _boolean(self) -> bool:
        word = self._bytes()
        if word == b"true":
            return True
        if word == b"false":
            return False
        raise CodecError("neither true nor false")

    def _number(self) -> int:
        value = self._value(0, 0)
        if type(value) is not int or not 0 < value < 0x80000000:
            raise CodecError("expected a number")
        return value

    def _dict(self, count: int, ref: int, depth: int) -> object:
        items: dict[object, object] = {}
        if ref:
            self._refs[ref] = items
        data = self._data
        for _ in range(count):
            if data[self._pos] != 2 or data[self._pos + 1] != _LIST:
                raise CodecError("expected a pair")
            self._pos += 2
            key = self._value(0, depth)
            items[key] = self._value(0, depth)
        return items
