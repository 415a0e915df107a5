"""Banana: the wire cases whole, byte by byte and with a tail; any cutting; limits; the work."""

import math
import struct
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pellucid import banana
from pellucid.banana import (
    DIALECTS,
    NONE,
    PB,
    PELLUCID,
    Dialect,
    Framer,
    decode,
    encode,
    int_token,
    list_header,
    read_item,
    skip_item,
    string_token,
)
from pellucid.errors import LimitExceeded, PBError, RemoteProtocolError
from pellucid.limits import Limits

KIB = 1024
SIZE = 640 * KIB
TAIL = bytes.fromhex("0181")


def pieces(data: bytes, size: int = 1) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def by_feed(framer: Framer, chunk: bytes) -> None:
    framer.feed(chunk)


def by_buffer(framer: Framer, chunk: bytes) -> None:
    """As a transport does it: as much at a time as there is room for."""
    while chunk:
        view = framer.get_buffer()
        size = min(len(view), len(chunk))
        assert size
        view[:size] = chunk[:size]
        framer.received(size)
        chunk = chunk[size:]


Way = Callable[[Framer, bytes], None]


def shared(size: int = 16) -> memoryview:
    return memoryview(bytearray(size))


def run(
    chunks: list[bytes],
    dialect: Dialect = PB,
    limits: Limits | None = None,
    way: Way = by_feed,
    room: int = 16,
    framer: Framer | None = None,
) -> tuple[list[bytes], PBError | None, Framer]:
    """Frame it all. Give the messages, the error that ended it and the framer."""
    if framer is None:
        framer = Framer(dialect, limits or Limits(), shared(room))
    messages: list[bytes] = []
    try:
        for chunk in chunks:
            way(framer, chunk)
            while (message := framer.next_message()) is not None:
                messages.append(message)
    except (RemoteProtocolError, LimitExceeded) as error:
        return messages, error, framer
    return messages, None, framer


def run_late(chunks: list[bytes], limits: Limits) -> tuple[list[bytes], tuple[object, ...]]:
    framer = Framer(PB, limits)
    for chunk in chunks:
        framer.feed(chunk)
    messages, error, _ = run([b""], framer=framer)
    return messages, signature(error)


def run_lazily(
    chunks: list[bytes], takes: list[int], limits: Limits
) -> tuple[list[bytes], tuple[object, ...]]:
    """After each chunk so many messages are taken, if they are there."""
    framer = Framer(PB, limits)
    taken = []
    for chunk, count in zip(chunks, takes, strict=True):
        framer.feed(chunk)
        for _ in range(count):
            try:
                message = framer.next_message()
            except (RemoteProtocolError, LimitExceeded):
                break
            if message is not None:
                taken.append(message)
    messages, error, _ = run([b""], framer=framer)
    return taken + messages, signature(error)


def signature(error: PBError | None) -> tuple[object, ...]:
    if isinstance(error, LimitExceeded):
        return LimitExceeded, str(error), error.limit, error.value, error.remote
    return type(error), str(error)


# Every case of the wire document's sections 1 to 3 and 17.

CANONICAL: list[tuple[str, Any]] = [
    ("00 81", 0),
    ("01 81", 1),
    ("7f 81", 127),
    ("00 01 81", 128),
    ("7f 7f 81", 16383),
    ("00 00 01 81", 16384),
    ("7f 7f 7f 7f 07 81", 2**31 - 1),
    ("00 00 00 00 08 85", 2**31),
    ("7f" * 64 + "85", 2**448 - 1),
    ("01 83", -1),
    ("7f 83", -127),
    ("00 01 83", -128),
    ("7f 7f 7f 7f 07 83", -(2**31) + 1),
    ("00 00 00 00 08 83", -(2**31)),
    ("01 00 00 00 08 86", -(2**31) - 1),
    ("7f" * 64 + "86", -(2**448) + 1),
    ("84 3ff0000000000000", 1.0),
    ("84 8000000000000000", -0.0),
    ("84 7ff0000000000000", math.inf),
    ("84 fff0000000000000", -math.inf),
    ("84 0000000000000001", 5e-324),
    ("00 82", b""),
    ("02 82 6869", b"hi"),
    ("04 82 4c697374", b"List"),
    ("00 01 82" + "78" * 128, b"x" * 128),
    ("00 80", []),
    ("02 80 01 81 01 80 00 82", [1, [b""]]),
    ("00 01 80" + "0181" * 128, [1] * 128),
    ("02 80 02 82 7062 04 82 6e6f6e65", [b"pb", b"none"]),
    ("02 82 7062", b"pb"),
]
IN_PB: list[tuple[str, Any]] = [
    ("01 87", b"None"),
    ("08 87", b"list"),
    ("1f 87", b"uncache"),
    ("02 80 13 87 06 81", [b"version", 6]),
    ("02 80 07 82 756e69636f6465 08 87", [b"unicode", b"list"]),
]
IN_NONE: list[tuple[str, Any]] = [
    ("04 82 6c697374", b"list"),
    ("02 80 07 82 76657273696f6e 06 81", [b"version", 6]),
]
LENIENT: list[tuple[str, Any]] = [
    ("81", 0),
    ("83", 0),
    ("85", 0),
    ("80", []),
    ("82", b""),
    ("01 00 00 00 81", 1),
    ("05" + "00" * 63 + "81", 5),
    ("00" * 64 + "81", 0),
    ("02" + "00" * 63 + "82 6869", b"hi"),
    ("01" + "00" * 63 + "80 0181", [1]),
    ("7f" * 10 + "81", 2**70 - 1),
    ("7f" * 64 + "83", -(2**448) + 1),
    ("00 83", 0),
    ("05 85", 5),
    ("05 86", -5),
    ("05 84 3ff0000000000000", 1.0),
    ("7f" * 64 + "84 3ff0000000000000", 1.0),
]
LENIENT_PB: list[tuple[str, Any]] = [
    ("04 82 6c697374", b"list"),
    ("08 00 00 87", b"list"),
]
UNFINISHED = [
    "",
    "01",
    "01" * 64,
    "00" * 64,
    "84 3ff0",
    "0a 05 82 68656c",
    "02 82 68",
    "00 00 28 80",
    "00 00 28 82",
    "02 80 01 81",
    "0180" * 5000,
]
FATAL: list[tuple[str, str]] = [
    ("7f" * 65, "a prefix has more than 64 digits"),
    ("00" * 65, "a prefix has more than 64 digits"),
    ("01" * 65, "a prefix has more than 64 digits"),
    ("02 80" + "00" * 65, "a prefix has more than 64 digits"),
    ("01 88", "there is no type byte 0x88"),
    ("ff", "there is no type byte 0xff"),
    ("02 80 00 81 c0", "there is no type byte 0xc0"),
    ("01 00 28 80", "list_items"),
    ("00 00 00 00 01 80", "list_items"),
    ("01 00 28 82", "string_bytes"),
    ("7f" * 64 + "82", "string_bytes"),
    ("00" * 63 + "01 80", "list_items"),
]
FATAL_PB = [
    ("87", "dialect pb has no word of number 0"),
    ("00 87", "dialect pb has no word of number 0"),
    ("20 87", "dialect pb has no word of number 32"),
    ("01 01 87", "dialect pb has no word of number 129"),
    ("7f" * 64 + "87", "dialect pb has no word of number "),
]
FATAL_NONE = [
    ("02 80 13 87", "dialect none has no word of number 19"),
    ("20 87", "dialect none has no word of number 32"),
]


def cases(*tables: tuple[list[Any], Dialect]) -> pytest.MarkDecorator:
    """The rows of the tables as parameters, each with its dialect."""
    rows = [
        pytest.param(
            dialect, *(row if isinstance(row, tuple) else (row,)), id=f"{dialect.name}-{i}"
        )
        for i, (dialect, row) in enumerate((d, row) for table, d in tables for row in table)
    ]
    names = "dialect, text" if isinstance(tables[0][0][0], str) else "dialect, text, expected"
    return pytest.mark.parametrize(names, rows)


ways = pytest.mark.parametrize("way", [by_feed, by_buffer])
good = cases(
    (CANONICAL, PB), (CANONICAL, NONE), (IN_PB, PB), (IN_NONE, NONE),
    (LENIENT, PB), (LENIENT, NONE), (LENIENT_PB, PB),
)  # fmt: skip
fatal = cases((FATAL, PB), (FATAL, NONE), (FATAL_PB, PB), (FATAL_NONE, NONE))


@cases((CANONICAL, PB), (CANONICAL, NONE), (IN_PB, PB), (IN_NONE, NONE))
def test_encode(dialect: Dialect, text: str, expected: Any) -> None:
    assert encode(expected, dialect) == encode(expected, dialect.name) == bytes.fromhex(text)


@good
def test_decode(dialect: Dialect, text: str, expected: Any) -> None:
    value = decode(bytes.fromhex(text), dialect)
    # The representation tells 0.0 from -0.0 and 1 from 1.0.
    assert repr(value) == repr(expected)
    assert repr(decode(bytes.fromhex(text), dialect.name)) == repr(expected)


@good
@ways
def test_frame_whole(dialect: Dialect, text: str, expected: Any, way: Way) -> None:
    data = bytes.fromhex(text)
    messages, error, framer = run([data], dialect, way=way, room=len(data))
    assert (messages, error) == ([data], None)
    assert framer.buffered == 0
    assert read_item(data, 0, dialect)[1] == skip_item(data, 0) == len(data)


@good
@ways
def test_frame_byte_by_byte(dialect: Dialect, text: str, expected: Any, way: Way) -> None:
    data = bytes.fromhex(text)
    framer = Framer(dialect, Limits(), shared())
    for i, byte in enumerate(pieces(data)):
        assert framer.next_message() is None
        assert framer.buffered == i
        way(framer, byte)
    assert framer.next_message() == data
    assert framer.next_message() is None
    assert framer.buffered == 0


@good
@ways
def test_frame_with_a_tail(dialect: Dialect, text: str, expected: Any, way: Way) -> None:
    data = bytes.fromhex(text)
    for rest in (data, TAIL, data + TAIL, TAIL + b"\x01"):
        framer = Framer(dialect, Limits(), shared(len(data) * 3))
        way(framer, data + rest)
        assert framer.next_message() == data
        assert framer.buffered == len(rest)
        value, pos = read_item(TAIL + data + rest, 2, dialect)
        assert (repr(value), pos) == (repr(expected), 2 + len(data))
        assert skip_item(TAIL + data + rest, 2) == pos


@cases((UNFINISHED, PB), (UNFINISHED, NONE))
@ways
def test_unfinished(dialect: Dialect, text: str, way: Way) -> None:
    data = bytes.fromhex(text)
    for chunks in ([data], pieces(data)):
        messages, error, framer = run(chunks, dialect, way=way)
        assert (messages, error) == ([], None)
        assert framer.buffered == len(data)
    with pytest.raises(RemoteProtocolError, match="not complete"):
        decode(data, dialect)


@fatal
@ways
def test_fatal(dialect: Dialect, text: str, expected: str, way: Way) -> None:
    data = bytes.fromhex(text)
    before = encode([b"before"], dialect)
    longer = before + data + TAIL
    for chunks, expected_messages in (
        ([data], []),
        (pieces(data), []),
        ([longer], [before]),
        (pieces(longer), [before]),
    ):
        messages, error, framer = run(chunks, dialect, way=way)
        assert messages == expected_messages
        assert isinstance(error, RemoteProtocolError | LimitExceeded)
        assert expected in str(error)
        if isinstance(error, LimitExceeded):
            assert error.limit == expected
            assert error.remote
            assert error.value > SIZE
        assert framer.broken is error
        assert framer.buffered == 0
    # Not before the last byte.
    assert run([data[:-1]], dialect)[:2] == ([], None)
    with pytest.raises((RemoteProtocolError, LimitExceeded), match=expected):
        decode(data, dialect)


def test_more_behind_the_item() -> None:
    with pytest.raises(RemoteProtocolError, match="more behind"):
        decode(TAIL + TAIL)


def test_nan() -> None:
    data = encode(math.nan)
    assert data == b"\x84" + struct.pack(">d", math.nan)
    assert math.isnan(decode(data))


# Dialects.


def test_vocabulary() -> None:
    assert len(PB.words) == len(PB.numbers) == len(PB.tokens) == 31
    assert NONE.words == ()
    assert DIALECTS == {"pellucid": PELLUCID, "pb": PB, "none": NONE}
    assert PELLUCID.words == PB.words
    for number, word in enumerate(PB.words, 1):
        assert PB.numbers[word] == number
        assert PB.tokens[word] == encode(word) == bytes((number, 0x87))
        assert decode(bytes((number, 0x87))) == word
        assert decode(encode(word, NONE), NONE) == decode(encode(word, NONE), PB) == word
        for other in (word + b"_", b" " + word, word.swapcase()):
            assert encode(other, PB) == encode(other, NONE)


def test_a_dialect_is_data() -> None:
    words = tuple(f"a somewhat longer word {i}".encode() for i in range(200))
    dialect = Dialect("mine", words)
    assert hash(dialect) == hash(Dialect("mine", words))
    assert dialect.tokens[words[127]] == b"\x00\x01\x87"
    for word in words:
        assert len(encode(word, dialect)) <= 3
        assert decode(encode(word, dialect), dialect) == word
    with pytest.raises(AttributeError):
        dialect.name = "other"  # type: ignore[misc]


def test_unknown_dialect() -> None:
    with pytest.raises(KeyError):
        encode(1, "pc")
    with pytest.raises(KeyError):
        decode(TAIL, "pc")


def test_the_dialect_may_change_between_items() -> None:
    framer = Framer(NONE, Limits())
    version = encode([b"version", 6])
    framer.feed(encode(b"pb", NONE) + version)
    assert framer.next_message() == b"\x02\x82pb"
    framer.dialect = PB
    assert framer.next_message() == version


def test_constants() -> None:
    names = ("LIST", "INT", "STRING", "NEG", "FLOAT", "LONGINT", "LONGNEG", "VOCAB")
    assert [getattr(banana, name) for name in names] == list(range(0x80, 0x88))
    assert all(hasattr(banana, name) for name in banana.__all__)


# What a sender may not send.


def test_bool_goes_as_a_number() -> None:
    assert encode([True, False]) == encode([1, 0])


@pytest.mark.parametrize("value", ["text", None, (1,), {}, bytearray(), 1j, [[{1}]]])
def test_no_s_expression(value: object) -> None:
    with pytest.raises(TypeError, match="an s-expression can't hold"):
        encode(value)


@pytest.mark.parametrize("n", [2**448, -(2**448), 2**5000])
def test_integers_have_448_bits(n: int) -> None:
    with pytest.raises(LimitExceeded) as caught:
        int_token(n)
    assert (caught.value.limit, caught.value.value) == ("integer_bits", n.bit_length())
    assert not caught.value.remote


def test_longest_string() -> None:
    data = string_token(b"x" * SIZE, PB)
    assert decode(data) == b"x" * SIZE
    with pytest.raises(LimitExceeded) as caught:
        encode(b"x" * (SIZE + 1))
    assert (caught.value.limit, caught.value.value) == ("string_bytes", SIZE + 1)
    assert not caught.value.remote


def test_longest_list() -> None:
    assert list_header(SIZE) == bytes.fromhex("00002880")
    assert decode(encode([0] * SIZE)) == [0] * SIZE
    with pytest.raises(LimitExceeded) as caught:
        encode([0] * (SIZE + 1))
    assert (caught.value.limit, caught.value.value) == ("list_items", SIZE + 1)
    assert not caught.value.remote


class Wide(Limits):
    _largest = 1 << 30
    _widest = 7 * 128


def test_two_sides_may_agree_on_more() -> None:
    """It is a bound of those who read, and not of the bytes."""
    wide = Wide(string_bytes=SIZE + 1, list_items=SIZE + 1, integer_bits=7 * 128)
    for value in (b"x" * (SIZE + 1), [0] * (SIZE + 1), 1 << 7 * 127, -(1 << 600)):
        with pytest.raises(LimitExceeded):
            encode(value)
        data = encode(value, limits=wide)
        assert decode(data, limits=wide) == value
        with pytest.raises((LimitExceeded, RemoteProtocolError)):
            decode(data)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [7, value, 8]
    return value


def test_depth() -> None:
    data = encode(nested(256))
    assert decode(data) == nested(256)
    assert encode(decode(data)) == data
    with pytest.raises(LimitExceeded) as caught:
        encode(nested(257))
    assert (caught.value.limit, caught.value.value) == ("depth_sent", 257)
    assert not caught.value.remote
    for depth in (257, 100_000):
        data = b"\x01\x80" * (depth - 1) + b"\x00\x80"
        assert skip_item(data, 0) == len(data)
        with pytest.raises(LimitExceeded) as caught:
            decode(data)
        assert (caught.value.limit, caught.value.value) == ("depth_received", 257)
        assert caught.value.remote


def test_a_list_in_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(LimitExceeded):
        encode(loop)


# Limits.


def refused(data: bytes, limits: Limits) -> LimitExceeded:
    """The same error at the same byte, whole and cut."""
    _, whole, _ = run([data], limits=limits)
    _, cut, _ = run(pieces(data), limits=limits)
    _, longer, _ = run([data + b"\xff"], limits=limits)
    assert isinstance(whole, LimitExceeded)
    assert signature(whole) == signature(cut) == signature(longer)
    assert whole.remote
    assert f"limits.{whole.limit} " in str(whole)
    return whole


def accepted(data: bytes, limits: Limits) -> None:
    for chunks in ([data], pieces(data)):
        assert run(chunks, limits=limits)[:2] == ([data], None)


def test_limit_of_a_string() -> None:
    limits = Limits(string_bytes=200)
    accepted(encode([b"x" * 200, b"y" * 200]), limits)
    error = refused(bytes.fromhex("02 80 00 82 49 01 82"), limits)
    assert (error.limit, error.value) == ("string_bytes", 201)


def test_limit_of_a_list() -> None:
    limits = Limits(list_items=200)
    accepted(encode([[0] * 200, [0] * 200]), limits)
    error = refused(bytes.fromhex("02 80 00 80 49 01 80"), limits)
    assert (error.limit, error.value) == ("list_items", 201)


def test_limit_of_items() -> None:
    limits = Limits(items=10)
    message = encode([[0] * 4, [0] * 4])
    accepted(message, limits)
    assert run([message * 3], limits=limits)[0] == [message] * 3
    error = refused(bytes.fromhex("02 80 04 80 0081 0081 0081 0081 05 80"), limits)
    assert (error.limit, error.value) == ("items", 11)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("03 82", 5),
        ("01 80 01 82", 5),
        ("03 80", 5),
        ("02 80 01 80", 6),
        ("00 00 00 00 81", 5),
        ("01 80 00 00 81", 5),
        ("84", 9),
        ("03 00 00 87", 4),
    ],
)
def test_limit_of_a_message(text: str, value: int) -> None:
    data = bytes.fromhex(text)
    for size in range(1, value):
        error = refused(data, Limits(message_bytes=size))
        assert error.limit == "message_bytes"
        assert size < error.value <= value
    messages, error_, _ = run([data], limits=Limits(message_bytes=value))
    assert error_ is None
    assert len(messages) == (len(data) == value)


def test_limit_of_a_message_counts_from_its_beginning() -> None:
    limits = Limits(message_bytes=20)
    message = encode([b"x" * 8, b"y" * 8])
    assert len(message) == 22
    short = encode([b"x" * 8, b"y" * 6])
    for size in range(1, 61):
        assert run(pieces(short * 3, size), limits=limits)[0] == [short] * 3
        messages, error, _ = run(pieces(short + message, size), limits=limits)
        assert messages == [short]
        assert isinstance(error, LimitExceeded)
        assert (error.limit, error.value) == ("message_bytes", 22)


def test_limits_may_be_enormous() -> None:
    accepted(encode([1, [b"x"]]), Limits(items=10**40, message_bytes=10**40))


def test_25_of_the_longest_strings_fit() -> None:
    data = encode([b"x" * SIZE] * 25)
    assert run(pieces(data, 256 * KIB))[:2] == ([data], None)
    with pytest.raises(LimitExceeded, match="message_bytes"):
        decode(encode([b"x" * SIZE] * 26))


# Broken, and dropped.


def test_once_broken_always_broken() -> None:
    framer = Framer(PB, Limits())
    assert framer.broken is None
    framer.feed(TAIL + b"\x88" + TAIL)
    assert framer.next_message() == TAIL
    caught = []
    for _ in range(3):
        with pytest.raises(RemoteProtocolError) as info:
            framer.next_message()
        caught.append(info.value)
        framer.feed(TAIL)
        by_buffer(framer, TAIL)
        assert framer.buffered == 0
    assert caught == [framer.broken] * 3
    framer.discard()
    assert framer.broken is caught[0]


@ways
@pytest.mark.parametrize("start", ["05", "05 82 6869", "05 80 0181", "02 80", "84 00"])
def test_discard(way: Way, start: str) -> None:
    for chunks in ([bytes.fromhex(start)], pieces(bytes.fromhex(start))):
        _, _, framer = run(chunks, way=way, room=2)
        assert framer.buffered
        framer.feed(TAIL)
        framer.discard()
        assert framer.buffered == 0
        assert framer.next_message() is None
        way(framer, TAIL)
        assert framer.next_message() == TAIL


def test_a_message_in_one_chunk_is_not_copied() -> None:
    framer = Framer(PB, Limits())
    data = encode([b"x" * 100])
    for _ in range(3):
        framer.feed(data)
        assert framer.next_message() is data
    assert framer.copied == 0
    framer.feed(TAIL + data)
    assert framer.next_message() == TAIL
    assert framer.next_message() == data
    assert framer.next_message() is None


def test_what_is_fed_is_kept() -> None:
    framer = Framer(PB, Limits())
    chunk = bytearray(TAIL)
    framer.feed(chunk)  # type: ignore[arg-type]
    framer.feed(b"")
    chunk[0] = 9
    assert framer.next_message() == TAIL
    framer.feed(b"")
    assert framer.next_message() is None


def test_chunks_wait_for_their_turn() -> None:
    framer = Framer(PB, Limits())
    messages = [encode([i, b"x" * i]) for i in range(20)]
    for piece in pieces(b"".join(messages), 7):
        framer.feed(piece)
    assert framer.buffered == sum(map(len, messages))
    for i, message in enumerate(messages):
        assert framer.next_message() == message
        assert framer.buffered == sum(map(len, messages[i + 1 :]))
    assert framer.next_message() is None


def test_what_comes_waits_behind_what_waits() -> None:
    framer = Framer(PB, Limits())
    messages = [encode([i]) for i in range(4)]
    framer.feed(messages[0])
    framer.feed(messages[1])
    assert framer.next_message() == messages[0]
    # Nothing is left of the first chunk, and the second one has not been looked at.
    framer.feed(messages[2])
    buffer = framer.get_buffer()
    buffer[: len(messages[3])] = messages[3]
    framer.received(len(messages[3]))
    assert [framer.next_message() for _ in range(4)] == [*messages[1:], None]


# In place.


def begun(size: int, room: int = 64) -> tuple[Framer, memoryview, bytes]:
    """A framer in the middle of a string, its shared buffer, and what is to come."""
    buffer = shared(room)
    framer = Framer(PB, Limits(), buffer)
    data = encode([bytes(i % 251 for i in range(size)), 5])
    framer.feed(data[:10])
    assert framer.next_message() is None
    return framer, buffer, data[10:]


def test_a_long_string_is_received_in_place() -> None:
    framer, buffer, rest = begun(SIZE)
    arrived, steps = 10, 0
    while len(rest) > 2 + len(buffer):
        view = framer.get_buffer()
        assert view.obj is not buffer.obj
        assert 0 < len(view) <= arrived + len(buffer)
        size = min(len(view), len(rest))
        view[:size] = rest[:size]
        framer.received(size)
        rest = rest[size:]
        arrived += size
        steps += 1
        assert framer.buffered == arrived
        if len(rest) > 2:
            assert framer.next_message() is None
    assert steps < 20
    if rest[2:]:
        assert framer.get_buffer().obj is buffer.obj
    by_buffer(framer, rest)
    message = framer.next_message()
    assert message == encode([bytes(i % 251 for i in range(SIZE)), 5])
    assert framer.copied < 3 * SIZE + KIB


def test_a_string_in_place_ends_the_message() -> None:
    data = encode(b"x" * 100)
    framer = Framer(PB, Limits(), shared(8))
    framer.feed(data[:5])
    for byte in pieces(data[5:]):
        assert framer.next_message() is None
        by_buffer_one(framer, byte)
    assert framer.next_message() == data
    assert framer.get_buffer().nbytes == 8


def by_buffer_one(framer: Framer, byte: bytes) -> None:
    framer.get_buffer()[:1] = byte
    framer.received(1)


def test_a_short_rest_comes_through_the_shared_buffer() -> None:
    framer, buffer, _ = begun(60, 64)
    assert framer.get_buffer().obj is buffer.obj


def test_what_was_fed_comes_first() -> None:
    framer, buffer, rest = begun(1000)
    framer.feed(rest[:10])
    assert framer.get_buffer().obj is buffer.obj
    framer.feed(rest[10:])
    framer.received(0)
    message = framer.next_message()
    assert message is not None
    assert len(message) == len(rest) + 10


def test_feeding_while_a_part_is_lent() -> None:
    framer, buffer, rest = begun(1000)
    view = framer.get_buffer()
    assert view.obj is not buffer.obj
    framer.feed(rest[:20])
    assert framer.next_message() is None
    view[:10] = rest[20:30]
    framer.received(10)
    framer.feed(rest[30:])
    message = framer.next_message()
    assert message is not None
    assert message[10:] == rest


def test_dropping_while_a_part_is_lent() -> None:
    framer, _, _ = begun(1000)
    view = framer.get_buffer()
    framer.discard()
    view[:2] = TAIL
    framer.received(2)
    assert framer.next_message() == TAIL


def test_more_than_there_was_room_for() -> None:
    framer = Framer(PB, Limits())
    with pytest.raises(ValueError, match="0 bytes"):
        framer.received(0)
    view = framer.get_buffer()
    assert len(view) == 64 * KIB
    with pytest.raises(ValueError, match="65537 bytes"):
        framer.received(len(view) + 1)
    view = framer.get_buffer()
    with pytest.raises(ValueError, match="-1 bytes"):
        framer.received(-1)
    view = framer.get_buffer()
    view[:2] = TAIL
    framer.received(2)
    with pytest.raises(ValueError, match="2 bytes"):
        framer.received(2)
    assert framer.next_message() == TAIL


# Long strings apart from their message.

LONG = 64 * KIB


def values_of(framer: Framer, chunks: list[bytes], way: Way) -> tuple[list[Any], list[int]]:
    """Frame it all with long strings apart. Give the values, and how many strings were apart."""
    framer.apart = True
    values, counts = [], []
    for chunk in chunks:
        way(framer, chunk)
        while (message := framer.next_message()) is not None:
            bodies, framer.bodies = framer.bodies, ()
            dialect = framer.dialect.with_words(bodies) if bodies else framer.dialect
            value, end = read_item(message, 0, dialect)
            assert end == len(message) == skip_item(message, 0)
            assert framer.size == len(encode(value, framer.dialect))
            values.append(value)
            counts.append(len(bodies))
    return values, counts


@pytest.mark.parametrize("way", [by_feed, by_buffer])
def test_a_long_string_is_apart_from_its_message(way: Way) -> None:
    strings = [bytes((n,)) * (5 * LONG + n) for n in range(4)]
    value = [b"list", 1, *strings, [b"message", strings[0], 2.5], 7]
    data = encode(value)
    framer = Framer(PB, Limits(), shared(2 * LONG))
    # Of the first one too little has come.
    values, counts = values_of(framer, pieces(data, 2 * LONG), way)
    assert values == [value]
    assert counts == [4]
    assert framer.buffered == 0
    # Then the usual ones go on as ever.
    assert values_of(framer, [encode([1]), encode(b"x" * LONG)], way) == (
        [[1], b"x" * LONG],
        [0, 0],
    )


def test_long_strings_are_read_to_where_they_stay() -> None:
    data = encode([bytes(8 * LONG)] * 8)
    framer = Framer(PB, Limits(), shared(4 * LONG))
    framer.apart = True
    pos = 0
    while framer.next_message() is None:
        view = framer.get_buffer()
        size = min(len(view), len(data) - pos)
        view[:size] = data[pos : pos + size]
        framer.received(size)
        pos += size
    assert pos == len(data)
    assert len(framer.bodies) == 8
    # But for the first half of the first one, and for what was read together with another.
    assert framer.copied < 2 * 4 * LONG + 8 * 2 * KIB


def test_no_room_is_taken_for_what_is_only_announced() -> None:
    framer = Framer(PB, Limits(), shared(KIB))
    framer.apart = True
    framer.feed(encode([SIZE * b"x"])[: KIB + 20])
    assert framer.next_message() is None
    assert len(framer.get_buffer()) <= 2 * KIB


def test_a_float_behind_a_long_string_is_none() -> None:
    string = encode(b"x" * LONG)
    # The string ends with what it began with, where one as long as it would begin.
    string = string[:-9] + string[:3] + string[-6:]
    for rest in range(1, 8):
        data = b"\x02\x80" + string + b"\x84" + bytes(8)
        values, counts = values_of(Framer(PB, Limits()), [data[:-rest], data[-rest:]], by_feed)
        assert (values, counts) == ([decode(data)], [0])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x00\x04\x00\x82" + LONG * b"x", id="padded"),
        pytest.param(b"\x01\x80\x00\x00\x04\x00\x00\x82" + LONG * b"x", id="padded in a list"),
    ],
)
def test_a_string_with_an_odd_prefix_is_not_apart(data: bytes) -> None:
    framer = Framer(PB, Limits())
    framer.apart = True
    framer.feed(data[:-10])
    assert framer.next_message() is None
    framer.feed(data[-10:])
    assert framer.next_message() == data
    assert framer.bodies == ()


def test_a_string_whose_prefix_came_before_is_not_apart() -> None:
    data = encode([1, 2, LONG * b"x"])
    for place in range(1, 9):
        chunks = [data[:place], data[place:-10], data[-10:]]
        values, counts = values_of(Framer(PB, Limits()), chunks, by_feed)
        assert values == [decode(data)]
        assert counts == [int(place <= 6)]


def apart(size: int) -> tuple[Framer, memoryview, bytes]:
    """A framer in the middle of a string that is apart, room for it, and what is to come."""
    framer = Framer(PB, Limits(), shared(LONG))
    framer.apart = True
    data = encode([bytes(i % 251 for i in range(size)), 5])
    framer.feed(data[: size // 2 + 10])
    assert framer.next_message() is None
    view = framer.get_buffer()
    assert len(view) > size // 2 - 10
    return framer, view, data[size // 2 + 10 :]


def test_feeding_while_a_part_of_one_apart_is_lent() -> None:
    framer, view, rest = apart(2 * LONG)
    framer.feed(rest[:20])
    assert framer.next_message() is None
    # Too late: it is for nobody.
    view[:10] = b"!" * 10
    framer.received(0)
    framer.feed(rest[20:])
    view[20:30] = b"!" * 10
    message = framer.next_message()
    assert message is not None
    value, _ = read_item(message, 0, PB.with_words(framer.bodies))
    view[:20] = b"!" * 20
    assert value == [bytes(i % 251 for i in range(2 * LONG)), 5]


def test_dropping_while_a_part_of_one_apart_is_lent() -> None:
    framer, view, _ = apart(2 * LONG)
    framer.discard()
    view[:2] = TAIL
    framer.received(2)
    assert framer.next_message() == TAIL
    assert framer.bodies == ()


def test_the_word_for_a_string_that_is_apart_can_not_come() -> None:
    framer, _, rest = apart(2 * LONG)
    framer.feed(rest[:-2] + bytes((len(PB.words) + 1, 0x87)))
    with pytest.raises(RemoteProtocolError, match="no word of number"):
        framer.next_message()


def test_what_nobody_took_is_gone_with_the_next_message() -> None:
    framer, _, rest = apart(2 * LONG)
    framer.feed(rest + TAIL)
    counts = []
    for _ in range(2):
        assert framer.next_message() is not None
        counts.append(len(framer.bodies))
    assert counts == [1, 0]


def test_further_words_are_read_and_not_written() -> None:
    more = PB.with_words((b"one", b"two"))
    assert more.words == (*PB.words, b"one", b"two")
    assert decode(b"\x01\x80" + bytes((len(more.words), 0x87)), more) == [b"two"]
    assert encode([b"two", b"list"], more) == encode([b"two", b"list"], PB)


sizes = st.sampled_from([0, 5, 200, LONG - 1, LONG, LONG + 1, 3 * LONG, 9 * LONG])
parts = st.sampled_from([1, 5, 1000, LONG - 3, LONG, 4 * LONG])


@settings(max_examples=25)
@given(
    st.lists(st.lists(sizes | st.lists(sizes, max_size=3), max_size=5), max_size=3),
    st.lists(parts, min_size=1, max_size=8),
    st.sampled_from([KIB, LONG, 4 * LONG]),
    st.sampled_from([SIZE, 2 * LONG]),
    st.sampled_from([100 * LONG, 20 * LONG]),
)
def test_any_cutting_of_long_strings(
    shape: list[Any], parts: list[int], room: int, string_bytes: int, message_bytes: int
) -> None:
    def filled(sizes: Any) -> Any:
        if isinstance(sizes, list):
            return [filled(size) for size in sizes]
        return [sizes % 97, 0.5, bytes((sizes % 251,)) * sizes]

    stream = b"".join(encode(filled(sizes)) for sizes in shape)
    chunks = []
    pos = 0
    for size in cycle(parts):
        # Not so many of them.
        chunks.append(stream[pos : pos + size])
        pos += size
        if pos >= len(stream) or len(chunks) == 100:
            break
    limits = Limits(string_bytes=string_bytes, message_bytes=message_bytes)
    whole = b"".join(chunks)
    messages, error, plain = run([whole], limits=limits)
    for way in (by_feed, by_buffer):
        framer = Framer(PB, limits, shared(room))
        found: list[Any] = []
        other: PBError | None = None
        try:
            for chunk in chunks:
                values, _ = values_of(framer, [chunk], way)
                found += values
        except (RemoteProtocolError, LimitExceeded) as problem:
            other = problem
        assert signature(other) == signature(error)
        if error is None:
            assert found == [read_item(message, 0, PB)[0] for message in messages]
            assert framer.buffered == plain.buffered


# Bounded work.


def integers(n: int) -> list[bytes]:
    return [b"\x05\x81" * (n // 2)]


def one_string(n: int) -> list[bytes]:
    return pieces(encode(b"x" * n), 16)


def one_list(n: int) -> list[bytes]:
    return pieces(encode([5] * (n // 16)))


def prefixes(n: int) -> list[bytes]:
    return pieces((b"\x00" * 63 + b"\x81") * (n // 512))


def long_strings(n: int) -> list[bytes]:
    return pieces(encode([b"x" * (n // 8)] * 8 * 8), 4 * KIB)


@ways
@pytest.mark.parametrize("make", [integers, one_string, one_list, prefixes, long_strings])
def test_the_work_is_linear(make: Callable[[int], list[bytes]], way: Way) -> None:
    work = []
    for n in (20 * KIB, 160 * KIB):
        messages, error, framer = run(make(n), way=way, room=KIB)
        assert error is None
        assert messages
        assert framer.buffered == 0
        work.append(framer.examined + framer.copied)
        assert work[-1] <= 7 * sum(map(len, messages))
    assert work[0] > 0
    assert work[1] <= 8.5 * work[0]


# Any value, any bytes, any cutting.

words = st.sampled_from(PB.words) | st.binary(max_size=200)
numbers = st.integers(-(2**448) + 1, 2**448 - 1) | st.integers(-300, 300)
atoms = words | numbers | st.floats(allow_nan=False)
sexps = st.recursive(atoms, lambda inner: st.lists(inner, max_size=6), max_leaves=30)
dialects = st.sampled_from([PB, NONE])


@st.composite
def loose(draw: st.DrawFn) -> bytes:
    """Bytes that are often items, padded or not, and sometimes are not."""
    out = b""
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from([*range(0x80, 0x88), 0x80, 0x82, 0x88]))
        prefix = bytes(draw(st.lists(st.integers(0, 6), max_size=2)))
        prefix += bytes(draw(st.sampled_from([0, 0, 0, 1, 5, 62, 64])))
        out += prefix + bytes([kind]) + draw(st.binary(max_size=9))
    return out


streams = st.binary(max_size=80) | loose()


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def model(data: bytes, pos: int, dialect: Dialect) -> tuple[Any, int]:
    """The wire document's section 1, read literally. IndexError where more has to come."""
    start = pos
    while data[pos] < 0x80:
        pos += 1
        if pos - start > 64:
            raise ValueError
    n = sum(digit << 7 * i for i, digit in enumerate(data[start:pos]))
    kind = data[pos]
    pos += 1
    if kind > 0x87 or (kind in {0x80, 0x82} and n > SIZE):
        raise ValueError
    if kind == 0x80:
        items = []
        for _ in range(n):
            item, pos = model(data, pos, dialect)
            items.append(item)
        return items, pos
    if kind == 0x87:
        if not 0 < n <= len(dialect.words):
            raise ValueError
        return dialect.words[n - 1], pos
    size = {0x82: n, 0x84: 8}.get(kind, 0)
    if pos + size > len(data):
        raise IndexError
    body = data[pos : pos + size]
    if kind == 0x84:
        return struct.unpack(">d", body)[0], pos + 8
    if kind == 0x82:
        return body, pos + n
    return (-n if kind in {0x83, 0x86} else n), pos


def modelled(data: bytes, dialect: Dialect) -> Iterator[Any]:
    """The values in a stream; what ends it comes last."""
    pos = 0
    while True:
        try:
            value, pos = model(data, pos, dialect)
        except (IndexError, ValueError) as error:
            yield type(error)
            return
        yield value


@given(sexps, dialects)
def test_round_trip(value: Any, dialect: Dialect) -> None:
    data = encode(value, dialect)
    back = decode(data, dialect)
    assert repr(back) == repr(value)
    assert encode(back, dialect) == data
    assert skip_item(data, 0) == len(data)


@given(streams, dialects)
@example(b"\x00" * 64 + b"\x81", PB)
@example(b"\x00" * 65, PB)
def test_any_bytes(data: bytes, dialect: Dialect) -> None:
    expected = list(modelled(data, dialect))
    messages, error, framer = run([data], dialect)
    values = [read_item(message, 0, dialect) for message in messages]
    assert repr([value for value, _ in values]) == repr(expected[:-1])
    assert [pos for _, pos in values] == list(map(len, messages))
    assert [skip_item(message, 0) for message in messages] == list(map(len, messages))
    assert (error is not None) == (expected[-1] is ValueError)
    if error is None:
        assert framer.buffered == len(data) - sum(map(len, messages))
    try:
        value = decode(data, dialect)
    except (RemoteProtocolError, LimitExceeded):
        assert error is not None or len(messages) != 1 or framer.buffered
    else:
        assert repr(value) == repr(expected[0])
        assert repr(decode(encode(value, dialect), dialect)) == repr(value)


@given(st.data(), streams | st.lists(sexps).map(lambda many: b"".join(map(encode, many))))
def test_any_cutting(data: st.DataObject, stream: bytes) -> None:
    limits = Limits(
        string_bytes=data.draw(st.sampled_from([3, 100, SIZE])),
        list_items=data.draw(st.sampled_from([2, SIZE])),
        items=data.draw(st.sampled_from([4, 1000])),
        message_bytes=data.draw(st.sampled_from([10, 100, 10_000])),
    )
    messages, error, framer = run([stream], PB, limits)
    chunks = data.draw(cuts(stream))
    room = data.draw(st.integers(1, 40))
    for way in (by_feed, by_buffer):
        again, other, second = run(chunks, PB, limits, way, room)
        assert again == messages
        assert signature(other) == signature(error)
        assert second.buffered == framer.buffered
        assert second.examined <= len(stream)
    # All fed before the first message is taken, or some of it.
    assert run_late(chunks, limits) == (messages, signature(error))
    takes = data.draw(st.lists(st.integers(0, 2), min_size=len(chunks), max_size=len(chunks)))
    assert run_lazily(chunks, takes, limits) == (messages, signature(error))


def test_an_item_that_was_read_elsewhere_is_skipped() -> None:
    framer = Framer(PB, Limits())
    framer.feed(encode(5) + encode(b"hello") + encode(6)[:1])
    framer.skip(2)
    assert framer.next_message() == encode(b"hello")
    assert (framer.examined, framer.messages) == (7, 2)
    assert framer.next_message() is None
    framer.feed(encode(6)[1:])
    assert framer.next_message() == encode(6)
    framer.feed(encode(7))
    framer.skip(2)
    assert framer.buffered == 0
    assert framer.next_message() is None


# Other limits, and the end.


def test_other_limits_between_two_items() -> None:
    framer = Framer(NONE, Limits())
    framer.feed(encode(b"x" * 200, "none"))
    framer.use(Limits(string_bytes=100))
    with pytest.raises(LimitExceeded):
        framer.next_message()


@pytest.mark.parametrize("by", [by_feed, by_buffer])
def test_an_item_that_came_in_part_may_be_what_the_larger_limits_allow(by: Any) -> None:
    lower = Limits(string_bytes=100, list_items=3, items=10, message_bytes=300, integer_bits=32)
    large = [b"x" * 200, 1 << 100, [1, 2, 3, 4, 5], *range(10), b"y" * 300]
    data = encode(large, "none")
    for cut in (1, 150, 203, len(data) - 1):
        framer = Framer(NONE, Limits())
        by(framer, data[:cut])
        assert framer.next_message() is None
        assert framer.is_amid
        framer.use(lower)
        by(framer, data[cut:])
        assert decode(framer.next_message() or b"", "none") == large
        assert (framer.messages, framer.items, framer.buffered) == (1, 19, 0)
        # Behind it only the new ones hold.
        assert framer.digits == 5
        by(framer, encode(b"x" * 101, "none"))
        with pytest.raises(LimitExceeded):
            framer.next_message()
    framer = Framer(NONE, lower)
    by(framer, data[:1])
    assert framer.next_message() is None
    framer.use(Limits())
    by(framer, data[1:])
    assert decode(framer.next_message() or b"", "none") == large


def test_after_its_end_a_framer_takes_nothing() -> None:
    framer = Framer(NONE, Limits())
    framer.feed(encode(b"x" * 500_000, "none")[:300_000])
    assert framer.next_message() is None
    view = framer.get_buffer()
    framer.close()
    assert framer.buffered == 0
    framer.received(min(5, len(view)))
    framer.feed(b"abc")
    framer.get_buffer()
    framer.received(3)
    assert framer.buffered == 0
    with pytest.raises(RemoteProtocolError, match="nothing more"):
        framer.next_message()
    broken = framer.broken
    framer.close()
    assert framer.broken is broken
