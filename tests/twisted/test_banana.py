"""Banana by itself: what is sent and received, how a dialect is agreed on, and what it costs."""

import sys
from collections.abc import Callable
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.persisted.styles import Ephemeral
from twisted.python.failure import Failure

from pellucid.banana import DIALECTS
from pellucid.banana import encode as core_encode
from pellucid.twisted import banana
from pellucid.twisted.banana import Banana, BananaError


class Peer(Banana):
    """Keeps what it is told."""

    def __init__(self, isClient: Any = 1) -> None:
        super().__init__(isClient)
        self.heard: list[Any] = []
        self.ready: list[bytes | None] = []

    def connectionReady(self) -> None:
        self.ready.append(self.currentDialect)

    def expressionReceived(self, lst: Any) -> None:
        self.heard.append(lst)


def connect(peer: Any) -> None:
    peer.makeConnection(StringTransport())


def connected(dialect: bytes = b"pb", *, client: bool = True, kind: type[Peer] = Peer) -> Peer:
    """A peer in the middle of a connection."""
    peer = kind(client)
    connect(peer)
    peer.currentDialect = dialect
    peer.transport.clear()
    return peer


def sent(value: Any, dialect: bytes = b"pb") -> bytes:
    peer = connected(dialect)
    peer.sendEncoded(value)
    return bytes(peer.transport.value())


def received(data: bytes, dialect: bytes = b"pb", size: int = 0) -> list[Any]:
    peer = connected(dialect)
    for start in range(0, len(data), size or len(data) or 1):
        peer.dataReceived(data[start : start + size] if size else data)
    return peer.heard


each_dialect = pytest.mark.parametrize("dialect", [b"pb", b"none"])
pieces = pytest.mark.parametrize("size", [0, 1, 3])

EXPRESSION = [
    *(0, 1, -1, 127, 128, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**448 - 1, -(2**448) + 1),
    *(b"", b"remote", b"Remote", b"x" * 200, 0.5, -0.0, float("inf"), [], [[[b"deep"], 1]]),
]


# Sending and receiving.


@each_dialect
@pieces
def test_an_expression_arrives_as_it_was_sent(dialect: bytes, size: int) -> None:
    data = sent(EXPRESSION, dialect)
    assert data == core_encode(EXPRESSION, dialect.decode())
    heard = received(data * 2, dialect, size)
    assert heard == [EXPRESSION, EXPRESSION]
    assert [type(item) for item in heard[0]] == [type(item) for item in EXPRESSION]


sexps = st.recursive(
    st.integers(-(2**448) + 1, 2**448 - 1)
    | st.binary(max_size=300)
    | st.floats(allow_nan=False)
    | st.sampled_from(DIALECTS["pb"].words),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=30,
)


@each_dialect
@given(values=st.lists(sexps, max_size=4), size=st.integers(1, 40))
def test_whatever_is_sent_arrives(dialect: bytes, values: list[Any], size: int) -> None:
    data = b"".join(sent(value, dialect) for value in values)
    assert received(data, dialect, size) == values


class Colour(IntEnum):
    RED = 3


class Pair(NamedTuple):
    one: int
    two: bytes


class Word(bytes):
    pass


class Part(float):
    pass


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ((1, (2, b"x")), [1, [2, b"x"]]),
        (Pair(1, b"x"), [1, b"x"]),
        (True, 1),
        (False, 0),
        (Colour.RED, 3),
        (Word(b"remote"), b"remote"),
        (Part(0.5), 0.5),
    ],
)
def test_what_is_nearly_an_expression_goes_as_one(value: Any, same: Any) -> None:
    assert sent(value) == core_encode(same)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("text", "builtins.str"),
        (None, "builtins.NoneType"),
        (bytearray(b"x"), "builtins.bytearray"),
        ({}, "builtins.dict"),
        (set(), "builtins.set"),
        (Fraction(1, 2), "fractions.Fraction"),
        (int, "builtins.type"),
        (1j, "builtins.complex"),
    ],
)
def test_anything_else_is_refused_by_its_type_and_not_shown(value: Any, name: str) -> None:
    peer = connected()
    for one in (value, [1, [value]]):
        with pytest.raises(BananaError) as caught:
            peer.sendEncoded(one)
        assert str(caught.value) == f"Banana cannot send {name} objects"
    assert peer.transport.value() == b""


@each_dialect
def test_words_of_the_vocabulary_are_numbers_in_pb_only(dialect: bytes) -> None:
    number = Banana.outgoingVocabulary[b"remote"]
    short = bytes([number]) + banana.VOCAB
    assert Banana.incomingVocabulary[number] == b"remote"
    assert sent(b"remote", dialect) == (short if dialect == b"pb" else b"\x06\x82remote")
    assert sorted(Banana.outgoingVocabulary.values()) == [*range(1, 32)]


def test_an_expression_is_one_write() -> None:
    peer = connected()
    writes: list[bytes] = []
    peer.transport.write = writes.append
    peer.sendEncoded([1, [2.5, b"x"]])
    assert writes == [core_encode([1, [2.5, b"x"]])]


def test_whoever_takes_no_expressions_says_so() -> None:
    peer = Banana()
    connect(peer)
    peer.currentDialect = b"pb"
    with pytest.raises(NotImplementedError, match=r"twisted.spread.banana.Banana"):
        peer.dataReceived(b"\x01\x81")


def test_each_whole_expression_passes_the_hook() -> None:
    class Watching(Peer):
        seen: Any = None

        def gotItem(self, item: Any) -> None:
            self.seen = item
            super().gotItem(item)

    peer = connected(kind=Watching)
    peer.dataReceived(core_encode([1, [2]]))
    assert (peer.seen, peer.heard) == ([1, [2]], [[1, [2]]])  # type: ignore[attr-defined]


def test_an_expression_that_is_badly_received_costs_none_of_the_others() -> None:
    class Choosy(Peer):
        def expressionReceived(self, lst: Any) -> None:
            if lst == 2:
                raise LookupError(lst)
            super().expressionReceived(lst)

    peer = connected(kind=Choosy)
    with pytest.raises(LookupError):
        peer.dataReceived(b"\x01\x81\x02\x81\x03\x81")
    peer.dataReceived(b"\x04\x81")
    assert peer.heard == [1, 3, 4]


def test_what_arrives_while_an_expression_is_looked_at_is_behind_it() -> None:
    class Answered(Peer):
        def expressionReceived(self, lst: Any) -> None:
            super().expressionReceived(lst)
            if lst == 1:
                self.dataReceived(b"\x03\x81")

    peer = connected(kind=Answered)
    peer.dataReceived(b"\x01\x81\x02\x81")
    assert peer.heard == [1, 2, 3]


# Agreeing on a dialect.


def joined(server: list[bytes], client: list[bytes]) -> tuple[Peer, Peer]:
    """A server and a client that know these dialects, as far as they get."""
    one, other = Peer(isClient=0), Peer()
    one.knownDialects, other.knownDialects = server, client  # type: ignore[misc]
    for peer in (one, other):
        connect(peer)
    for _ in range(3):
        for a, b in ((one, other), (other, one)):
            data = a.transport.value()
            a.transport.clear()
            b.dataReceived(data)
    return one, other


@pytest.mark.parametrize(
    ("server", "client", "agreed"),
    [
        ([b"pb", b"none"], [b"pb", b"none"], b"pb"),
        ([b"none", b"pb"], [b"pb", b"none"], b"none"),
        ([b"new", b"none"], [b"none"], b"none"),
        ([b"own"], [b"own", b"pb"], b"own"),
    ],
)
def test_the_first_dialect_of_the_server_that_both_know(
    server: list[bytes], client: list[bytes], agreed: bytes
) -> None:
    one, other = joined(server, client)
    assert one.currentDialect == other.currentDialect == agreed
    assert one.ready == other.ready == [agreed]
    one.sendEncoded([b"remote", 1])
    data = one.transport.value()
    # Only `pb` has a vocabulary here.
    assert data == core_encode([b"remote", 1], "pb" if agreed == b"pb" else "none")
    other.dataReceived(data)
    assert other.heard == [[b"remote", 1]]


def test_a_server_offers_and_a_client_waits() -> None:
    server, client = Banana(isClient=0), Banana()
    for peer in (server, client):
        connect(peer)
        assert peer.currentDialect is None
    assert server.transport.value() == core_encode([b"pb", b"none"], "none")
    assert client.transport.value() == b""


def test_a_client_skips_what_is_no_name() -> None:
    client = Peer()
    connect(client)
    client.dataReceived(core_encode([1, [b"pb"], 0.5, b"none", b"pb"], "none"))
    assert client.ready == [b"none"]
    assert client.transport.value() == b"\x04\x82none"


@pytest.mark.parametrize("offer", [[], [b"new"], [[b"pb"]], b"pb", 7, 0.5])
def test_a_client_that_knows_no_dialect_of_the_server_leaves(offer: Any) -> None:
    client = Peer()
    connect(client)
    refused(client, core_encode(offer, "none"))


@pytest.mark.parametrize("choice", [b"new", b"PB", [b"pb"], 7, 0.5, [], b""])
def test_a_server_whose_client_chooses_what_it_does_not_know_leaves(choice: Any) -> None:
    server = Peer(isClient=0)
    connect(server)
    server.transport.clear()
    refused(server, core_encode(choice, "none"))


def refused(peer: Peer, data: bytes) -> None:
    """It closes in order, and nothing that comes behind is looked at."""
    good = core_encode([b"pb"] if peer.isClient else b"pb", "none")
    peer.dataReceived(data + good + b"\x01\x81")
    peer.dataReceived(good + b"\x01\x81")
    assert peer.transport.disconnecting
    assert peer.transport.value() == b""
    assert (peer.ready, peer.heard, peer.currentDialect) == ([], [], None)


def test_what_comes_in_one_piece_with_the_choice_is_in_the_new_dialect() -> None:
    server = Peer(isClient=0)
    connect(server)
    server.dataReceived(b"\x02\x82pb" + core_encode([b"remote"]))
    assert server.heard == [[b"remote"]]


def test_a_protocol_begins_anew_with_each_connection() -> None:
    peer = connected()
    with pytest.raises(BananaError):
        peer.dataReceived(b"\x02\x80\x01\x81\xff")
    peer.connectionLost(Failure(ConnectionDone()))
    connect(peer)
    assert peer.currentDialect is None
    peer.dataReceived(core_encode([b"none"], "none") + b"\x01\x81")
    assert (peer.ready, peer.heard) == ([b"none"], [1])


# What is no banana.


def check_unreadable(data: bytes, dialect: bytes, text: str, *kinds: type[Exception]) -> None:
    for size in (len(data), 1):
        peer = connected(dialect)
        with pytest.raises(BananaError, match=text) as caught:
            for start in range(0, len(data), size):
                peer.dataReceived(data[start : start + size])
        assert all(isinstance(caught.value, kind) for kind in kinds)
        # It stays so, and the error is a sentence.
        with pytest.raises(BananaError, match=text):
            peer.dataReceived(b"\x01\x81")
        assert str(caught.value).startswith("Banana cannot read what the other side sent: ")
        assert peer.heard == []


@pytest.mark.parametrize("first", [b"\x88", b"\xff"])
@each_dialect
def test_a_type_byte_that_is_none(first: bytes, dialect: bytes) -> None:
    check_unreadable(b"\x01" + first, dialect, "no type byte", NotImplementedError)


def test_a_word_that_is_not_in_the_vocabulary() -> None:
    for number in (b"\x00", b"\x20", b"\x7a"):
        check_unreadable(number + banana.VOCAB, b"pb", "no word of number", KeyError)


def test_a_word_where_there_is_no_vocabulary() -> None:
    for dialect in (b"none", b"own"):
        check_unreadable(b"\x10" + banana.VOCAB, dialect, "no word", NotImplementedError)


@pytest.mark.parametrize("tail", [b"", banana.INT, banana.STRING])
def test_a_prefix_that_is_too_long(tail: bytes) -> None:
    check_unreadable(b"\x00" * 65 + tail, b"pb", "more than 64 digits")


@pytest.mark.parametrize("kind", [banana.LIST, banana.STRING])
def test_what_is_announced_too_long(kind: bytes) -> None:
    for digits in (b"\x01\x00\x28", b"\x02\x01\x01\x01\x01", b"\x7f" * 64):
        check_unreadable(digits + kind, b"pb", "655360")


def test_lists_too_deep_to_be_read() -> None:
    with pytest.raises(BananaError, match="depth_received"):
        received(b"\x01\x80" * 257 + b"\x01\x81")
    (deep,) = received(b"\x01\x80" * 256 + b"\x01\x81")
    for _ in range(256):
        (deep,) = deep
    assert deep == 1


# Limits.


def test_size_limit_is_a_bound_on_what_is_sent() -> None:
    assert Banana.sizeLimit == banana.SIZE_LIMIT == 655360
    size = banana.SIZE_LIMIT
    values: list[Any] = [b"x" * size, [0] * size]
    for value in values:
        assert len(sent(value)) > size
    refusals: list[tuple[Any, str]] = [
        (b"x" * (size + 1), "a byte string of 655361 bytes: the limit is 655360"),
        ([0] * (size + 1), "a list or tuple of 655361 items: the limit is 655360"),
        ((0,) * (size + 1), "a list or tuple of 655361 items: the limit is 655360"),
    ]
    for value, text in refusals:
        with pytest.raises(BananaError, match=text):
            sent(value)
        with pytest.raises(BananaError, match=text):
            banana.encode(value)


def test_a_lower_size_limit_holds_both_ways() -> None:
    peer = connected()
    peer.sizeLimit = 10
    peer.sendEncoded([b"x" * 10, [0] * 10])
    for value in (b"x" * 11, [0] * 11):
        with pytest.raises(BananaError, match="the limit is 10"):
            peer.sendEncoded(value)
    peer.dataReceived(core_encode([b"x" * 10, [0] * 10]))
    assert peer.heard == [[b"x" * 10, [0] * 10]]
    for value in (b"x" * 11, [0] * 11):
        peer = connected()
        peer.sizeLimit = 10
        with pytest.raises(BananaError, match="it is 10"):
            peer.dataReceived(core_encode(value)[:2])


def test_a_higher_size_limit_holds_both_ways() -> None:
    value = [b"x" * 700_000, [0] * 700_000]
    peer = connected()
    peer.sizeLimit = 700_000
    peer.transport.clear()
    peer.sendEncoded(value)
    with pytest.raises(BananaError, match="the limit is 700000"):
        peer.sendEncoded(b"x" * 700_001)
    peer.dataReceived(peer.transport.value())
    assert peer.heard == [value]


def test_the_size_limit_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banana, "SIZE_LIMIT", 10)
    with pytest.raises(BananaError, match="the limit is 10"):
        sent(b"x" * 11)
    with pytest.raises(BananaError, match="the limit is 10"):
        banana.encode(b"x" * 11)
    with pytest.raises(BananaError, match="it is 10"):
        received(core_encode(b"x" * 11))
    monkeypatch.setattr(banana, "SIZE_LIMIT", 700_000)
    with pytest.raises(BananaError, match="the limit is 700000"):
        banana.encode(b"x" * 700_001)
    large = b"x" * 700_000
    assert received(sent(large)) == [large]
    assert banana.decode(banana.encode(large)) == large


def test_a_whole_expression_is_bounded() -> None:
    """Many strings of a size that is allowed would still fill the memory."""
    assert Peer.limits.message_bytes == 16 * 1024 * 1024
    peer = connected()
    one = core_encode(b"x" * banana.SIZE_LIMIT)
    peer.dataReceived(b"\x40\x80")
    with pytest.raises(BananaError, match="message_bytes"):
        for _ in range(64):
            peer.dataReceived(one)


def test_nothing_nested_too_deep_is_sent() -> None:
    value: Any = 1
    for _ in range(256):
        value = [value]
    assert received(sent(value)) == [value]
    with pytest.raises(BananaError, match="above 256 deep"):
        sent([value])
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BananaError, match="above 256 deep"):
        sent(loop)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_has_no_more_digits_than_the_prefix_limit(sign: int) -> None:
    peer = connected()
    assert peer.prefixLimit == 64
    peer.sendEncoded(sign * (2**448 - 1))
    with pytest.raises(BananaError, match="an integer of 449 bits: 448 is the limit"):
        peer.sendEncoded(sign * 2**448)
    peer.setPrefixLimit(2)
    peer.sendEncoded(sign * (2**14 - 1))
    with pytest.raises(BananaError, match="an integer of 15 bits: 14 is the limit"):
        peer.sendEncoded(sign * 2**14)
    peer.transport.clear()
    peer.setPrefixLimit(128)
    peer.sendEncoded(sign * 2**448)
    kind = banana.LONGINT if sign > 0 else banana.LONGNEG
    assert peer.transport.value() == b"\x00" * 64 + b"\x01" + kind


def test_a_prefix_limit_holds_for_what_arrives() -> None:
    peer = connected()
    for limit in (1, 2, 9, 100):
        # Before the first byte, and between two items.
        peer.setPrefixLimit(limit)
        n = 2 ** (7 * limit) - 1
        peer.sendEncoded([n])
        peer.dataReceived(peer.transport.value())
        peer.transport.clear()
        assert peer.heard.pop() == [n]
    for limit in (2, 9, 100):
        for kind in (banana.INT, banana.LONGNEG, banana.STRING, b""):
            peer = connected()
            peer.setPrefixLimit(limit)
            with pytest.raises(BananaError, match=f"more than {limit} digits"):
                peer.dataReceived(b"\x00" * (limit + 1) + kind)


def test_the_prefix_limit_of_new_connections() -> None:
    old = connected()
    try:
        banana.setPrefixLimit(3)
        assert (connected().prefixLimit, old.prefixLimit) == (3, 64)
        with pytest.raises(BananaError, match="21 is the limit"):
            banana.encode(2**21)
    finally:
        banana.setPrefixLimit(64)
    assert connected().prefixLimit == 64


# Time.


def test_the_work_is_linear_in_what_arrives() -> None:
    many = b"\x05\x81" * 100_000
    peer = connected()
    peer.dataReceived(many)
    assert len(peer.heard) == 100_000
    assert peer._framer is not None
    assert peer._framer.copied <= len(many)
    assert peer._framer.examined <= len(many)
    big = core_encode(b"x" * 100_000)
    for start in range(0, len(big), 16):
        peer.dataReceived(big[start : start + 16])
    assert peer.heard[-1] == b"x" * 100_000
    assert peer._framer.examined <= len(many) + len(big)
    assert peer._framer.copied <= len(many) + 4 * len(big)


def test_nothing_is_done_for_an_empty_chunk() -> None:
    peer = connected()
    for data in (b"", b"\x02", b"", b"\x82", b"a", b"", b"b", b""):
        peer.dataReceived(data)
    assert peer.heard == [b"ab"]


# By itself.


@given(value=sexps)
def test_encode_and_decode_use_no_vocabulary(value: Any) -> None:
    data = banana.encode(value)
    assert data == core_encode(value, "none")
    assert banana.decode(data) == value


def test_decode_looks_at_the_first_expression() -> None:
    assert banana.decode(b"\x01\x81\x02\x81") == 1
    assert banana.decode(b"\x01\x81\x02") == 1


@pytest.mark.parametrize("data", [b"", b"\x05", b"\x05\x82abcd", b"\x02\x80\x01\x81"])
def test_decode_wants_a_whole_expression(data: bytes) -> None:
    with pytest.raises(BananaError, match="not complete"):
        banana.decode(data)


def test_decode_forgets_what_it_could_not_read() -> None:
    for bad in (b"\x7f" * 65 + b"\x85", b"\x10\x87", b"\xff", b"\x01\x80" * 1001 + b"\x00\x81"):
        with pytest.raises(BananaError):
            banana.decode(bad)
        assert banana.decode(b"\x01\x81") == 1


def test_what_stays_here_may_be_deeper() -> None:
    value: Any = 1
    for _ in range(1000):
        value = [value]
    data = banana.encode(value)
    assert data == b"\x01\x80" * 1000 + b"\x01\x81"
    assert banana.encode(banana.decode(data)) == data
    with pytest.raises(BananaError, match="above 1000 deep"):
        banana.encode([value])


def test_decode_takes_what_is_larger_than_a_message() -> None:
    value = [b"x" * banana.SIZE_LIMIT] * 30
    assert banana.decode(banana.encode(value)) == value


NUMBERS = [*range(300), 2**14 - 1, 2**14, 2**56 - 1, 2**56, 2**63, 1024**10, 2**448 - 1, 2**448]


@pytest.mark.parametrize("n", NUMBERS)
def test_digits_in_base_128(n: int) -> None:
    out: list[bytes] = []
    banana.int2b128(n, out.append)
    digits = b"".join(out)
    assert len(digits) == max(1, -(-n.bit_length() // 7))
    assert sum(digit * 128**place for place, digit in enumerate(digits)) == n
    assert banana.b1282int(digits) == n
    assert banana.b1282int(digits + b"\0" * 9) == n


def test_a_number_of_many_digits_takes_no_more_than_its_share_of_time() -> None:
    """With one step for each digit, over the whole number, this would take minutes."""
    n = 7**2_000_000
    out = bytearray()
    banana.int2b128(n, out.extend)
    assert len(out) == -(-n.bit_length() // 7)
    assert banana.b1282int(bytes(out)) == n


def test_what_has_no_digits_and_what_is_none() -> None:
    assert banana.b1282int(b"") == 0
    with pytest.raises(ValueError, match="negative"):
        banana.int2b128(-1, bytearray().extend)
    with pytest.raises(ValueError, match="below 128"):
        banana.b1282int(b"\x01\x80")


# Names.


def test_the_names_are_twisted_s() -> None:
    assert Banana.__module__ == BananaError.__module__ == "twisted.spread.banana"
    assert issubclass(Banana, Ephemeral)
    assert all(hasattr(banana, name) for name in banana.__all__)
    assert {function.__module__ for function in functions()} == {"twisted.spread.banana"}
    types = [getattr(banana, name) for name in ("LIST", "INT", "STRING", "NEG", "FLOAT")]
    types += [banana.LONGINT, banana.LONGNEG, banana.VOCAB]
    assert types == [bytes([n]) for n in range(0x80, 0x88)]
    assert banana.HIGH_BIT_SET == b"\x80"


def functions() -> list[Callable[..., Any]]:
    return [banana.int2b128, banana.b1282int, banana.setPrefixLimit, banana.encode, banana.decode]


@pytest.mark.parametrize("function", functions())
def test_the_arguments_are_twisted_s(function: Callable[..., Any]) -> None:
    from twisted.spread import banana as real

    theirs = getattr(real, function.__name__).__code__
    assert sys.modules["twisted.spread.banana"] is real
    ours = function.__code__
    count = theirs.co_argcount
    assert ours.co_varnames[: ours.co_argcount] == theirs.co_varnames[:count]
