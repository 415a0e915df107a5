"""The messages of the wire, and the order of their fields, which is known in this file alone.

(Wire document, section 7.)
"""

from collections.abc import Sequence
from typing import Any, Final

from . import banana, usual
from .banana import PB, Dialect
from .decoder import Decoder
from .encoder import Encoder
from .errors import InsecureJelly, RemoteProtocolError
from .ports import Exporter

__all__ = ["Message", "Writer", "agree", "arguments", "read"]

VERSION: Final = 6

MESSAGE: Final = 1
CACHEMESSAGE: Final = 2
ANSWER: Final = 3
ERROR: Final = 4
DECREF: Final = 5
DECACHE: Final = 6
UNCACHE: Final = 7
VERSION_MESSAGE: Final = 8
DID_NOT_UNDERSTAND: Final = 9
UNKNOWN: Final = 10

# Each command: its number, and how many elements its list has, the command included.
_COMMANDS: Final[dict[bytes, tuple[int, int]]] = {
    b"message": (MESSAGE, 7),
    b"cachemessage": (CACHEMESSAGE, 7),
    b"answer": (ANSWER, 3),
    b"error": (ERROR, 3),
    b"decref": (DECREF, 2),
    b"decache": (DECACHE, 2),
    b"uncache": (UNCACHE, 2),
    b"version": (VERSION_MESSAGE, 2),
    b"didNotUnderstand": (DID_NOT_UNDERSTAND, 2),
}

_LIST: Final = 0x80
_INT: Final = 0x81
_STRING: Final = 0x82

# How a message with the right number of elements begins, where its command is in the vocabulary.
_HEADS: Final = {
    banana.list_header(fields) + PB.tokens[word]: command
    for word, (command, fields) in _COMMANDS.items()
    if word in PB.tokens
}


_WANTED: Final = banana.int_token(1)
_UNWANTED: Final = banana.int_token(0)

# So many names of methods are remembered as they are written, none of them longer.
_NAMES: Final = 256
_LONGEST_NAME: Final = 128
# A longer number of a call may make an answer too large.
_LONGEST_REQUEST: Final = 128


class Message:
    """One message that came in.

    `command` is one of the numbers above. `request` is the raw item for a call, which is returned
    as it came, and the decoded one for an answer. `subject` is an object id, a cache id, a command
    or a version. The arguments of a call, keywords behind them, or the result, or the error, are
    not decoded yet: `decoder` stands in front of them, at `start`.
    """

    __slots__ = ("command", "decoder", "name", "request", "start", "subject", "wants_answer")

    def __init__(self, command: int, decoder: Decoder) -> None:
        self.command = command
        self.decoder = decoder
        self.request: Any = None
        self.subject: Any = None
        self.name = ""
        self.wants_answer = True
        self.start = 0


def _text(item: Any, what: str) -> str:
    if not isinstance(item, bytes):
        raise RemoteProtocolError(f"{what} is not a byte string")
    try:
        return item.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"{what} is not UTF-8") from None


def read(data: bytes, decoder: Decoder) -> Message:
    """Read what surrounds the values of one message, whose bytes are `data`.

    Raises RemoteProtocolError for anything that is not a message: after that the connection can't
    be trusted any more.
    """
    command = _HEADS.get(data[:4], 0)
    if command:
        decoder.pos = 4
    else:
        command = _command(data, decoder)
    message = Message(command, decoder)
    if command <= CACHEMESSAGE:
        message.request = decoder.raw()
        message.subject = _field(data, decoder)
        message.name = _text(_field(data, decoder), "the name of a method")
        message.wants_answer = bool(_field(data, decoder))
        if command == MESSAGE:
            usual.remember(data, decoder.pos, message.name, message.wants_answer)
    elif command <= ERROR:
        message.request = _field(data, decoder)
    else:
        message.subject = _field(data, decoder)
        if command == UNKNOWN:
            _text(message.subject, "the command of a message")
    message.start = decoder.pos
    if command == VERSION_MESSAGE and message.subject != VERSION:
        raise RemoteProtocolError(f"the other side does not speak version {VERSION} of PB")
    return message


def _command(data: bytes, decoder: Decoder) -> int:
    """Give the number of a command, however it is spelled.

    In front of an unknown one the decoder stays.
    """
    pos = 0
    while data[pos] < _LIST:
        pos += 1
    if data[pos] != _LIST:
        raise RemoteProtocolError("a message must be a list")
    length = decoder.list_length()
    if length == 0:
        raise RemoteProtocolError("a message must not be empty")
    start = decoder.pos
    word = decoder.item()
    known = _COMMANDS.get(word) if isinstance(word, bytes) else None
    if known is None:
        decoder.pos = start
        return UNKNOWN
    command, fields = known
    if length != fields:
        raise RemoteProtocolError(
            f"a {word.decode()!r} message has {fields - 1} fields, and {length - 1} came"
        )
    return command


def _field(data: bytes, decoder: Decoder) -> Any:
    """Read an item, which is a small number or a byte string nearly always."""
    pos = decoder.pos
    n = data[pos]
    if n < _LIST:
        kind = data[pos + 1]
        pos += 2
        shift = 7
        while kind < _LIST and shift < 28:
            n |= kind << shift
            shift += 7
            kind = data[pos]
            pos += 1
        if kind == _INT:
            decoder.pos = pos
            return n
        if kind == _STRING:
            decoder.pos = pos + n
            return data[pos : pos + n]
    return decoder.item()


def agree(offer: Any, known: Sequence[str], is_server: bool) -> str:
    """Give the name of the dialect that what the other side began with leads to (section 3).

    That is what a client chose, or the first that a server offers and that is `known`. Raises
    RemoteProtocolError where there is none.
    """
    if is_server:
        name = offer.decode("ascii", "replace") if isinstance(offer, bytes) else ""
        if name not in known:
            raise RemoteProtocolError("the client chose a dialect that was not offered")
        return name
    if not isinstance(offer, list):
        raise RemoteProtocolError("the server did not begin with a list of dialects")
    for one in offer:
        name = one.decode("ascii", "replace") if isinstance(one, bytes) else ""
        if name in known:
            return name
    raise RemoteProtocolError("the server offers no dialect that is known here")


def arguments(decoder: Decoder) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode the arguments of a call, keywords behind them.

    Raises InsecureJelly and LimitExceeded, as `Decoder.value` does, and for what are no arguments.
    """
    args = decoder.value("arguments")
    if type(args) is not tuple:
        if type(args) is not list:
            raise InsecureJelly("not a tuple", where="arguments", remote=True)
        args = tuple(args)
    kwargs = decoder.value("keywords")
    if type(kwargs) is not dict:
        raise InsecureJelly("not a dictionary", where="keywords", remote=True)
    if kwargs:
        kwargs = {_keyword(name): value for name, value in kwargs.items()}
    return args, kwargs


def _keyword(name: Any) -> str:
    """Give the name of a keyword: text, or bytes from a peer on Python 2."""
    if type(name) is bytes:
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise InsecureJelly("a name is not UTF-8", where="keywords", remote=True) from None
    if type(name) is not str:
        raise InsecureJelly("a name is not text", where="keywords", remote=True)
    return name


# Where those are that are written seldom.
_UPDATE: Final = 1
_DECACHE: Final = 5
_UNCACHE: Final = 6


def _forms(dialect: Dialect) -> tuple[bytes, ...]:
    """Give what messages begin with, and an empty dictionary."""
    words = (
        *((7, b"message"), (7, b"cachemessage"), (3, b"answer"), (3, b"error")),
        *((2, b"decref"), (2, b"decache"), (2, b"uncache"), (1, b"dictionary")),
    )
    return tuple(banana.list_header(n) + banana.string_token(word, dialect) for n, word in words)


class Writer:
    """Writes messages in one dialect."""

    __slots__ = (
        "_answer",
        "_call",
        "_decref",
        "_encoder",
        "_error",
        "_forms",
        "_names",
        "_no_keywords",
        "_usual",
        "dialect",
    )

    def __init__(self, dialect: Dialect, encoder: Encoder) -> None:
        self.dialect = dialect
        self._encoder = encoder
        forms = dialect.forms.get("messages")
        if forms is None:
            forms = dialect.forms["messages"] = _forms(dialect)
        # The names that were written lately. Those of all connections, if none is too long for one.
        shared = encoder.limits.string_bytes >= _LONGEST_NAME
        self._names: dict[str, bytes] = dialect.forms.setdefault("names", {}) if shared else {}
        self._call: bytes = forms[0]
        self._answer: bytes = forms[2]
        self._error: bytes = forms[3]
        self._decref: bytes = forms[4]
        self._forms: tuple[bytes, ...] = forms
        self._no_keywords: bytes = forms[7]
        self._usual: bool = usual.fits(encoder.limits, dialect)

    def _id(self, luid: int | bytes) -> bytes:
        return (
            banana.int_token(luid)
            if isinstance(luid, int)
            else banana.string_token(luid, self.dialect)
        )

    def _name(self, name: str) -> bytes:
        """Write the name of a method, and remember it."""
        try:
            word = self._encoder.string(name.encode())
        except UnicodeEncodeError:
            raise InsecureJelly("a method name with lone surrogates can't be sent") from None
        if len(word) <= _LONGEST_NAME:
            if len(self._names) >= _NAMES:
                self._names.clear()
            self._names[name] = word
        return word

    def version(self) -> bytes:
        """Write the version message, the first one in each direction."""
        return (
            banana.list_header(2)
            + banana.string_token(b"version", self.dialect)
            + banana.int_token(VERSION)
        )

    # None is given for what is not usual, or does not look so, and leaves no trace. Nothing of the
    # application's runs.

    def usual_call(
        self,
        request: int,
        luid: int | bytes,
        name: str,
        wants_answer: bool,
        args: tuple[Any, ...],
        exporter: Exporter,
    ) -> bytes | None:
        """Write a call without keywords if it is usual, and its name was written before."""
        if not self._usual:
            return None
        word = self._names.get(name)
        if word is None:
            return None
        written: bytes | None = usual.call(request, luid, word, wants_answer, args, exporter)
        return written

    def usual_answer(self, request: bytes, value: Any, exporter: Exporter) -> bytes | None:
        """Write an answer if it is usual."""
        if not self._usual or len(request) > _LONGEST_REQUEST:
            return None
        item: bytes | None = usual.answer(value, exporter)
        return None if item is None else self._answer + request + item

    def call(
        self,
        request: int,
        luid: int | bytes,
        name: str,
        wants_answer: bool,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        update: bool = False,
    ) -> bytes:
        """Write a call, or an `update` of a cache.

        Raises InsecureJelly and LimitExceeded, as `Encoder.unit` does.
        """
        encoder = self._encoder
        word = self._names.get(name)
        if word is None:
            word = self._name(name)
        head = self._forms[_UPDATE] if update else self._call
        number, subject = banana.int_token(request), self._id(luid)
        wanted = _WANTED if wants_answer else _UNWANTED
        encoder.out.extend((head, number, subject, word, wanted))
        encoder.unit(args, "arguments")
        if kwargs:
            encoder.unit(kwargs, "keywords")
        else:
            encoder.raw(self._no_keywords)
        return encoder.take()

    def answer(self, request: bytes, value: Any) -> bytes:
        """Write the answer to a call. Raises as `call` does."""
        encoder = self._encoder
        encoder.raw(self._answer + request)
        encoder.unit(value, "result")
        return encoder.take()

    def error(self, request: bytes, value: Any) -> bytes:
        """Write an error that says itself how it travels. Raises as `call` does."""
        encoder = self._encoder
        encoder.raw(self._error + request)
        encoder.unit(value, "error")
        return encoder.take()

    def failure(self, request: bytes, tag: bytes, state: dict[str, Any]) -> bytes:
        """Write the error that answers a call: `[tag, state]` (section 13)."""
        encoder = self._encoder
        encoder.raw(
            self._error + request + banana.list_header(2) + banana.string_token(tag, self.dialect)
        )
        encoder.unit(state, "error")
        return encoder.take()

    def decref(self, luid: int | bytes) -> bytes:
        """Write that one occurrence of a reference is gone."""
        return self._decref + self._id(luid)

    def decache(self, luid: int | bytes) -> bytes:
        """Write that one occurrence of a cache is gone."""
        return self._forms[_DECACHE] + self._id(luid)

    def uncache(self, luid: int) -> bytes:
        """Write that a cache is forgotten here."""
        return self._forms[_UNCACHE] + self._id(luid)

    def did_not_understand(self, command: bytes) -> bytes:
        """Write the reply to an unknown command."""
        word = banana.string_token(b"didNotUnderstand", self.dialect)
        return banana.list_header(2) + word + banana.string_token(command, self.dialect)
