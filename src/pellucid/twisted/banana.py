"""Banana as a protocol of its own: lists, byte strings, integers and floats, both ways."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from twisted.internet.protocol import Protocol
from twisted.persisted.styles import Ephemeral
from twisted.python import log
from twisted.python.reflect import fullyQualifiedName

from ..banana import (
    DEPTH,
    NONE,
    PB,
    Dialect,
    Framer,
    Sexp,
    int_token,
    list_header,
    read_item,
    string_token,
)
from ..banana import encode as encode_item
from ..errors import LimitExceeded, PBError
from ..limits import Limits
from .errors import BananaError
from .sizes import SIZE, resized

__all__ = [
    "FLOAT", "HIGH_BIT_SET", "INT", "LIST", "LONGINT", "LONGNEG", "NEG", "SIZE_LIMIT", "STRING",
    "VOCAB", "Banana", "BananaError", "b1282int", "decode", "encode", "int2b128", "setPrefixLimit",
]  # fmt: skip

LIST = b"\x80"
INT = b"\x81"
STRING = b"\x82"
NEG = b"\x83"
FLOAT = b"\x84"
LONGINT = b"\x85"
LONGNEG = b"\x86"
VOCAB = b"\x87"

HIGH_BIT_SET = b"\x80"

# A program may assign another one.
SIZE_LIMIT = SIZE

# What is in memory already may be as large as it is, and deeper than what goes to a peer.
_LOCAL = Limits(message_bytes=1 << 56, items=1 << 56)
_LOCAL_DEPTH = 1000


class _Unreadable(BananaError, NotImplementedError, KeyError):
    """What arrived is no item. Twisted raises one of these, depending on what is wrong with it."""

    __str__ = Exception.__str__


def int2b128(integer: int, stream: Callable[[bytes], object]) -> None:
    """Give an integer that is not negative to `stream`, as digits in base 128, the lowest first.

    Raises ValueError for a negative one.
    """
    if integer < 0:
        raise ValueError("a negative integer has no digits")
    data = integer.to_bytes(integer.bit_length() // 8 + 1, "little")
    digits = bytearray()
    # Eight digits are seven bytes, so that the time is linear.
    for at in range(0, len(data), 7):
        n = int.from_bytes(data[at : at + 7], "little")
        digits += bytes(n >> shift & 0x7F for shift in range(0, 56, 7))
    stream(bytes(digits.rstrip(b"\0")) or b"\0")


def b1282int(st: bytes) -> int:
    """Give the integer that digits in base 128 stand for. It is 0 where there are none.

    Raises ValueError for a byte that is no digit.
    """
    if not st.isascii():
        raise ValueError("a digit in base 128 is below 128")
    data = bytearray()
    for at in range(0, len(st), 8):
        n = sum(digit << 7 * place for place, digit in enumerate(st[at : at + 8]))
        data += n.to_bytes(7, "little")
    return int.from_bytes(data, "little")


class New:
    """What new connections begin with."""

    prefix_limit = 64


def setPrefixLimit(limit: int) -> None:
    """Set how many digits a prefix may have on connections that are made from now on."""
    New.prefix_limit = limit


class Banana(Protocol, Ephemeral):
    """Sends and receives s-expressions over a connection, when both sides have agreed on a dialect.

    Override `expressionReceived`, and `connectionReady` if it matters when the dialect is known.
    `knownDialects` are the names of the dialects, the best first. No item may have a prefix of
    more than `prefixLimit` digits, and no list or byte string may be longer than `sizeLimit`, or
    SIZE_LIMIT where that is not set. `limits` bounds what a whole expression from the other side
    may cost.
    """

    __module__ = "twisted.spread.banana"

    transport: Any
    knownDialects: ClassVar[list[bytes]] = [b"pb", b"none"]
    # A number as soon as there is a connection.
    prefixLimit: Any = None
    sizeLimit: int = SIZE_LIMIT
    limits = Limits()

    outgoingVocabulary: Mapping[bytes, int] = MappingProxyType(PB.numbers)
    incomingVocabulary: Mapping[int, bytes] = MappingProxyType(dict(enumerate(PB.words, 1)))

    currentDialect: bytes | None = None
    _framer: Framer | None = None
    _refused = False

    def __init__(self, isClient: Any = 1) -> None:
        self.isClient = isClient

    # Agreeing on a dialect.

    def setPrefixLimit(self, limit: int) -> None:
        """Set how many digits a prefix may have on this connection."""
        self.prefixLimit = limit
        if self._framer is not None:
            self._framer.digits = limit

    def connectionMade(self) -> None:
        """Begin. The server tells which dialects it knows."""
        self._framer = None
        self._refused = False
        self.setPrefixLimit(New.prefix_limit)
        self.currentDialect = None
        if not self.isClient:
            self.sendEncoded(self.knownDialects)

    def connectionReady(self) -> None:
        """Override this: the dialect is agreed, and `sendEncoded` may be called."""

    def callExpressionReceived(self, obj: Sexp) -> None:
        """Take an expression from the other side. Those before the dialect is agreed are about it.

        Where there is no dialect that both know, the connection is closed.
        """
        if self.currentDialect:
            self.expressionReceived(obj)
        elif self.isClient:
            offered = obj if isinstance(obj, list) else []
            dialect = next((name for name in offered if name in self.knownDialects), None)
            if dialect is None:
                self._refuse("the server offers no dialect that is known here")
            else:
                self.sendEncoded(dialect)
                self._selectDialect(dialect)
        elif obj in self.knownDialects:
            self._selectDialect(obj)
        else:
            self._refuse("the client chose a dialect that is not known here")

    def _selectDialect(self, dialect: bytes) -> None:
        # Programs and Twisted's own tests settle the dialect by this name.
        self.currentDialect = dialect
        self.connectionReady()

    def _refuse(self, why: str) -> None:
        """Close the connection in order, and look at nothing that still comes."""
        log.msg(f"Banana closes the connection: {why}")
        self._refused = True
        self.transport.loseConnection()

    def _dialect(self) -> Dialect:
        return PB if self.currentDialect == b"pb" else NONE

    # Receiving.

    def dataReceived(self, chunk: bytes) -> None:
        """Take bytes from the other side.

        Raises BananaError for what is no banana, or too large. It is a NotImplementedError and a
        KeyError as well, unless it is about a size.
        """
        if self._refused:
            return
        framer = self._framer
        if framer is None:
            size = max(_size(self.sizeLimit), 1)
            framer = Framer(NONE, resized(self.limits, size, self.prefixLimit))
            framer.digits = self.prefixLimit
            self._framer = framer
        framer.feed(chunk)
        while not self._refused:
            dialect = framer.dialect = self._dialect()
            try:
                message = framer.next_message()
                if message is None:
                    return
                item = read_item(message, 0, dialect)[0]
            except PBError as error:
                raise _unreadable(error) from None
            self.gotItem(item)

    def gotItem(self, item: Sexp) -> None:
        """Take a whole expression from the other side."""
        self.callExpressionReceived(item)

    def expressionReceived(self, lst: Sexp) -> None:
        """Override this: an expression came, a list, a byte string, an integer or a float."""
        raise NotImplementedError(f"{fullyQualifiedName(type(self))} takes no expressions")

    # Sending.

    def sendEncoded(self, obj: Sexp) -> None:
        """Send an expression: integers, floats, byte strings, and lists or tuples of them.

        Raises BananaError, and sends nothing, if there is anything else in it, or if a part of it
        is too large.
        """
        size = _size(self.sizeLimit)
        self._put(_encoded(obj, self._dialect(), self.prefixLimit, size))

    def _put(self, data: bytes) -> None:
        self.transport.write(data)


def _size(limit: int) -> int:
    """Give the size that holds where `sizeLimit` is this."""
    return SIZE_LIMIT if limit == SIZE else limit


def _unreadable(error: PBError) -> BananaError:
    kind = BananaError if isinstance(error, LimitExceeded) else _Unreadable
    return kind(f"Banana cannot read what the other side sent: {error}")


def _encoded(obj: Sexp, dialect: Dialect, digits: int, size: int, depth: int = DEPTH) -> bytes:
    """Give the bytes of an expression. Raises BananaError."""
    out: list[bytes] = []
    stack: list[Iterator[Sexp]] = [iter((obj,))]
    while stack:
        for item in stack[-1]:
            if isinstance(item, (list, tuple)):
                _check_size(item, size, "a list or tuple of {} items")
                if len(stack) > depth:
                    raise BananaError(f"Banana cannot send what is nested above {depth} deep")
                out.append(list_header(len(item)))
                stack.append(iter(item))
                break
            if isinstance(item, bytes):
                _check_size(item, size, "a byte string of {} bytes")
                out.append(string_token(bytes(item), dialect))
            elif isinstance(item, int):
                out.append(_integer(int(item), digits))
            elif isinstance(item, float):
                out.append(encode_item(float(item)))
            else:
                raise BananaError(f"Banana cannot send {fullyQualifiedName(type(item))} objects")
        else:
            stack.pop()
    return b"".join(out)


def _check_size(item: Any, size: int, what: str) -> None:
    if len(item) > size:
        text = what.format(len(item))
        raise BananaError(f"Banana cannot send {text}: the limit is {size}")


def _integer(n: int, digits: int) -> bytes:
    """Give the item of an integer whose prefix has not more than `digits` digits."""
    bits = n.bit_length()
    if bits > 7 * digits:
        raise BananaError(
            f"Banana cannot send an integer of {bits} bits: {7 * digits} is the limit"
        )
    return int_token(n, 7 * digits)


def encode(lst: Sexp) -> bytes:
    """Give the bytes of an expression, in the dialect without a vocabulary.

    Raises BananaError for what can't be sent.
    """
    return _encoded(lst, NONE, New.prefix_limit, SIZE_LIMIT, _LOCAL_DEPTH)


def decode(st: bytes) -> Sexp:
    """Give the expression that bytes begin with, in the dialect without a vocabulary.

    Raises BananaError if there is none, or not the whole of one.
    """
    framer = Framer(NONE, resized(_LOCAL, SIZE_LIMIT, New.prefix_limit))
    framer.feed(st)
    try:
        message = framer.next_message()
        if message is not None:
            return read_item(message, 0, NONE, _LOCAL_DEPTH)[0]
    except PBError as error:
        raise _unreadable(error) from None
    raise BananaError("Banana cannot read an item that is not complete")


for _function in (int2b128, b1282int, setPrefixLimit, encode, decode):
    _function.__module__ = "twisted.spread.banana"
