"""The usual messages: each against the long way, in what is read and in what is written."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import messages, usual
from pellucid.banana import NONE, PB, PELLUCID, Framer, encode
from pellucid.errors import InsecureJelly, LimitExceeded, PBError
from pellucid.flavors import Referenceable
from pellucid.jelly import Decoder, Encoder, NullExporter, NullImporter
from pellucid.limits import Limits
from pellucid.messages import Message, Writer, arguments
from pellucid.registry import Registry
from tools.modules import is_compiled

from .strategies import keys, same

LIMITS = Limits()
# With these nothing is usual.
LOWER = Limits(depth_sent=9)
DICT = [b"dictionary"]


class Reference:
    def __init__(self, luid: Any) -> None:
        self.luid = luid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.luid == other.luid

    __hash__ = None  # type: ignore[assignment]


class Importer(NullImporter):
    def remote(self, luid: Any, perspective: Any) -> Any:
        return Reference(luid)


class Exporter(NullExporter):
    """Counts what it gave ids to."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.sent: list[Any] = []

    def export(self, obj: Any, key: object = None) -> int:
        if len(self.sent) == self.most:
            raise LimitExceeded("too many", limit="references_exported", value=self.most)
        self.sent.append(obj)
        return 500 + len(self.sent)

    def undo(self) -> None:
        self.sent.clear()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    usual._heads.clear()
    yield
    usual._heads.clear()


def text(value: str) -> Any:
    return [b"unicode", value.encode()]


def call(*args: Any, request: Any = 7, luid: Any = b"root", name: bytes = b"echo") -> list[Any]:
    return [b"message", request, luid, name, 1, [b"tuple", *args], DICT]


def known(data: bytes) -> Message:
    """Read a message, and remember the name in it, as that does only where nothing is compiled."""
    message = messages.read(data, Decoder(data, PB, LIMITS, Registry(), Importer()))
    if message.command == messages.MESSAGE:
        usual.remember(data, message.start, message.name, message.wants_answer)
    return message


def long_way(data: bytes) -> tuple[Message, Any]:
    """Give the message that `data` begins with, and its values."""
    framer = Framer(PB, LIMITS)
    framer.feed(data)
    whole = framer.next_message()
    assert whole is not None
    message = known(whole)
    decoder = message.decoder
    if message.command == messages.MESSAGE:
        args, kwargs = arguments(decoder)
        assert kwargs == {}
        values = list(args)
    elif message.command == messages.ANSWER:
        values = [decoder.value("result")]
    else:
        assert message.command == messages.DECREF
        values = [message.subject]
    assert decoder.pos == len(whole)
    return message, values


def check(data: bytes, start: int = 0) -> Any:
    """Read what is usual, and see that it is what the long way gives. Gives the values."""
    found = usual.read(data, start)
    if found is None:
        return None
    end, request, head, subject, values, ids = found
    message, plain = long_way(data[start:end])
    for index in ids:
        values[index] = Reference(values[index])
    assert same(values, plain) or values == plain
    assert [type(value) for value in values] == [type(value) for value in plain]
    if head is None:
        assert request == message.request
    else:
        assert (request, subject) == (message.request, message.subject)
        assert head == (message.name, message.wants_answer)
    return values


# What arrives.

ATOMS: dict[str, tuple[Any, Any]] = {
    "text": (text("hello"), "hello"),
    "a longer text": (text("é" * 100), "é" * 100),
    "no text": (text(""), ""),
    "bytes": (b"hello", b"hello"),
    "longer bytes": (b"x" * 300, b"x" * 300),
    "small": (5, 5),
    "negative": (-300, -300),
    "large": (2**40, 2**40),
    "large and negative": (-(2**40), -(2**40)),
    "float": (0.5, 0.5),
    "none": ([b"None"], None),
    "true": ([b"boolean", b"true"], True),
    "false": ([b"boolean", b"false"], False),
    "reference": ([b"remote", 300], Reference(300)),
    "list": ([b"list", 1, text("a"), [b"list"]], [1, "a", []]),
    "tuple": ([b"tuple", 1, [b"tuple"]], (1, ())),
    "dictionary": ([b"dictionary", [text("a"), 1], [text("b"), DICT]], {"a": 1, "b": {}}),
}


@pytest.mark.parametrize("atom", ATOMS)
def test_what_is_usual(atom: str) -> None:
    item, value = ATOMS[atom]
    assert check(encode([b"answer", 7, item])) == [value]
    data = encode(call(item, 5))
    assert usual.read(data, 0) is None
    # The name has been read before now.
    long_way(data)
    assert check(data) == [value, 5]
    assert check(b"\x01\x81" + data + b"\x05", 2) == [value, 5]
    for size in range(len(data)):
        assert usual.read(data[:size], 0) is None
    answer = encode([b"answer", 300, item])
    for size in range(len(answer)):
        assert usual.read(answer[:size], 0) is None


@pytest.mark.parametrize(
    "item",
    [
        [b"list"] * 10, [b"set", 1], [b"dictionary", [1, 2]], [b"dictionary", [text("a" * 128), 2]],
        [b"dictionary", [[b"unicode", b"list"], 2]],
        [b"reference", 1, [b"list"]], [b"remote", b"abc"], [b"remote", -1],
        [b"list", [b"remote", 5]],
        text("x" * 20_000), [b"unicode", b"list"], [b"unicode", 5], [b"unicode", b"\xff"], b"list",
        2**60, -(2**60), 1 << 400, [], [5], [b"x.Copy", DICT], [b"list", b"list"],
        [b"dictionary", [text("a"), b"list"]], [b"unicode", b"\xff" * 200],
        [b"dictionary", [[b"unicode", b"\xff"], 5]],
    ],
)  # fmt: skip
def test_what_is_not(item: Any) -> None:
    long_way(encode(call()))
    assert usual.read(encode(call(item)), 0) is None
    assert usual.read(encode(call(5, item)), 0) is None
    assert usual.read(encode([b"answer", 7, item]), 0) is None


def test_not_too_deep_and_not_too_large() -> None:
    item: Any = 5
    for _ in range(8):
        item = [b"list", item]
    assert check(encode([b"answer", 7, item])) is not None
    assert usual.read(encode([b"answer", 7, [b"list", item]]), 0) is None
    wide = [b"list", *[[b"list", *[b"x" * 100] * 10]] * 4]
    assert usual.read(encode([b"answer", 7, wide]), 0) is None
    assert usual.read(encode([b"answer", 7, b"x" * 4080]), 0) is not None
    assert usual.read(encode([b"answer", 7, b"x" * 4090]), 0) is None
    many = [b"list", *[[b"list", *[b"x" * 100] * 5]] * 120]
    assert usual.read(encode([b"answer", 7, many]), 0) is None


def test_a_list_without_a_size_is_not_usual() -> None:
    assert usual.read(b"\x03\x80" + encode(b"answer") + b"\x05\x81\x80\x80\x09\x87", 0) is None
    assert usual.read(b"\x03\x80" + encode(b"answer") + b"\x05\x81\x00\x80\x09\x87", 0) is None


def test_a_prefix_with_too_many_digits_is_not_usual() -> None:
    head = b"\x03\x80" + encode(b"answer")
    assert usual.read(head + b"\x05\0\0\0\0\0\0\0\0\x81\x05\x81", 0) is None
    assert usual.read(head + b"\x05\x81\x05\0\0\0\0\0\0\0\0\x81", 0) is None
    assert check(head + b"\x05\0\0\0\0\0\0\x81\x05\0\0\0\0\0\0\x81") == [5]
    assert usual.read(head + b"\x05\x82hello\x05\x81", 0) is None
    for odd in (b"\x80", b"\x81", b"\x87", b"\x84" + bytes(8)):
        assert usual.read(head + odd + b"\x81\x05\x81", 0) is None


@pytest.mark.parametrize("luid", [b"root", 1, 300, 1_000_000])
def test_what_is_called(luid: Any) -> None:
    data = encode(call(luid=luid, request=1_000_000))
    long_way(data)
    assert check(data) == []


@pytest.mark.parametrize(
    "message",
    [
        call(luid=b"other"), call(luid=-1), call(luid=2**30), call(luid=b"list"),
        call(request=2**30), call(request=-1), call(request=b"7"), call(name=b"list"),
        call(name="é".encode()), call(name=b"x" * 99), call(*range(9)),
        [b"message", 7, b"root", b"echo", 1, [b"list"], DICT],
        [b"message", 7, b"root", b"echo", -1, [b"tuple"], DICT],
        [b"message", 7, b"root", b"echo", b"yes", [b"tuple"], DICT],
        [b"error", 7, text("a")], [b"decache", 7], [b"didNotUnderstand", b"x"], [b"version", 6],
        [b"decref", b"seven"],
    ],
)  # fmt: skip
def test_what_is_not_a_usual_message(message: Any) -> None:
    data = encode(message)
    known(data)
    assert usual.read(data, 0) is None


def test_a_call_with_keywords_is_not_usual() -> None:
    data = encode(call())
    long_way(data)
    more = [*call()[:-1], [b"dictionary", [text("a"), 1]]]
    assert check(data) == []
    assert usual.read(encode(more), 0) is None


def test_a_release() -> None:
    data = encode([b"decref", 300])
    assert check(data) == [300]
    for size in range(len(data)):
        assert usual.read(data[:size], 0) is None
    assert usual.read(encode([b"decref", [b"list"]]), 0) is None


def test_another_name_is_another_one() -> None:
    long_way(encode(call(name=b"echo")))
    assert usual.read(encode(call(name=b"ech")), 0) is None
    # As long, but its end is elsewhere.
    data = b"\x07\x80" + encode(b"message") + b"\x07\x81\x01\x81\x03\x82echo\x01\x81"
    assert usual.read(data + encode([b"tuple"]) + encode(DICT), 0) is None


def test_names_are_forgotten_when_there_are_many() -> None:
    for number in range(300):
        long_way(encode(call(name=b"name%d" % number)))
        assert len(usual._heads) <= 256
    assert check(encode(call(name=b"name299"))) == []
    assert usual.read(encode(call(name=b"name5")), 0) is None


def test_no_stack_is_left() -> None:
    data = encode([b"answer", 7, [b"list", [b"list", [b"list", [b"list"]]]]])

    found: list[Any] = []

    def down() -> None:
        try:
            found.append(usual.read(data, 0))
        except RecursionError:
            return  # It could not even be called.
        down()

    down()
    assert None in found
    assert all(one is None or one[4] == [[[[[]]]]] for one in found)


items = st.recursive(
    keys,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(items, max_size=3), st.data())
def test_as_the_long_way(args: list[Any], data: st.DataObject) -> None:
    plain = Writer(PELLUCID, Encoder(PELLUCID, LOWER, NullExporter()))
    for whole in (
        plain.call(7, b"root", "echo", True, tuple(args), {}),
        *(plain.answer(encode(7), value) for value in args[:1]),
    ):
        long_way(whole)
        check(whole)
        assert usual.read(whole[:-1], 0) is None
        at = data.draw(st.integers(0, len(whole) - 1))
        broken = bytearray(whole)
        broken[at] = data.draw(st.integers(0, 255))
        check(bytes(broken))


# What leaves.


class Maker:
    """Writes in the usual way if it can, and else in the long one."""

    def __init__(self, limits: Limits, exporter: NullExporter) -> None:
        self.exporter = exporter
        self.writer = Writer(PELLUCID, Encoder(PELLUCID, limits, exporter))
        for name in ("echo", "a"):
            self.writer.call(1, 1, name, True, (), {})

    def call(
        self, request: int, luid: Any, name: str, wants_answer: bool, args: tuple[Any, ...]
    ) -> bytes:
        call = request, luid, name, wants_answer, args
        found = self.writer.usual_call(*call, self.exporter)
        return self.writer.call(*call, {}) if found is None else found

    def answer(self, request: bytes, value: Any) -> bytes:
        found = self.writer.usual_answer(request, value, self.exporter)
        return self.writer.answer(request, value) if found is None else found


def written(limits: Limits, write: Any, most: int = 100) -> tuple[Any, list[Any]]:
    """Give what `write(maker)` gives, or the error, and what has got an id."""
    exporter = Exporter(most)
    maker = Maker(limits, exporter)
    try:
        return write(maker), exporter.sent
    except PBError as error:
        return (type(error), str(error)), exporter.sent


@given(st.lists(items, max_size=9), st.sampled_from([b"root", b"list", 1, 300, 2**40, -1]))
def test_the_same_bytes(args: list[Any], luid: Any) -> None:
    def calls(maker: Maker) -> bytes:
        return maker.call(7, luid, "echo", luid != 1, tuple(args))

    assert written(LIMITS, calls) == written(LOWER, calls)
    for value in args:
        assert written(LIMITS, lambda maker, value=value: maker.answer(b"\x07\x81", value)) == (
            written(LOWER, lambda maker, value=value: maker.answer(b"\x07\x81", value))
        )


THING, OTHER = Referenceable(), Referenceable()


@pytest.mark.parametrize(
    "args",
    [
        (THING,), (5, THING, "a"), (THING, THING), (THING, OTHER), (THING, object()),
        ("\ud800",), (THING, "\ud800"), ("hello", b"list", "list", 2**60, None, True, False, 0.5),
        ("x" * 127, "x" * 128, b"x" * 127, b"x" * 128), (Referenceable,), (THING, [THING]),
    ],
)  # fmt: skip
def test_own_objects(args: tuple[Any, ...]) -> None:
    for most in (0, 1, 100):
        found, sent = written(LIMITS, lambda maker: maker.call(7, 1, "a", True, args), most)
        plain, there = written(LOWER, lambda maker: maker.call(7, 1, "a", True, args), most)
        assert found == plain
        assert sent == there
        for value in args:
            found, sent = written(LIMITS, lambda maker: maker.answer(b"\x07\x81", value), most)  # noqa: B023
            plain, there = written(LOWER, lambda maker: maker.answer(b"\x07\x81", value), most)  # noqa: B023
            assert found == plain
            assert sent == there


def test_a_number_that_is_not_small() -> None:
    for request in (1, 2**31, 2**40):
        found = written(LIMITS, lambda maker: maker.call(request, 1, "a", False, ()))  # noqa: B023
        assert found == written(LOWER, lambda maker: maker.call(request, 1, "a", False, ()))  # noqa: B023


def test_the_item_of_an_atom() -> None:
    for value in ("hello", "list", b"list", b"ab", 5, -5, 0.5, None, True, False):
        plain = Encoder(PB, LOWER, NullExporter())
        plain.unit(value, "value")
        assert usual.item(value) == plain.take()
    others: list[Any] = [[], (), {}, object(), "x" * 128, b"x" * 128, 2**40, "\ud800"]
    for other in others:
        assert usual.item(other) is None


# Where.


def test_where_it_is_usual() -> None:
    assert usual.fits(LIMITS, PB)
    assert usual.fits(LIMITS, PELLUCID)
    assert not usual.fits(LIMITS, NONE)
    for name, bound in {
        "integer_bits": 55, "string_bytes": 4095, "list_items": 4095, "message_bytes": 4095,
        "items": 4095, "depth_received": 9, "depth_sent": 9,
    }.items():  # fmt: skip
        assert not usual.fits(Limits(**{name: bound}), PB)
        assert usual.fits(Limits(**{name: bound + 1}), PB)


def test_atoms_of_a_container() -> None:
    result: list[Any] = []
    data = b"".join(map(encode, (1, text("a"), [b"list"], 5)))
    pos, done = usual.atoms(data, 0, 4, result, False)
    assert (result, done, data[pos:]) == ([1, "a"], 2, encode([b"list"]) + encode(5))
    pairs: dict[str, Any] = {}
    data = b"".join(map(encode, ([text("a"), 1], [text("b"), [b"remote", 5]], [5, 6])))
    pos, done = usual.atoms(data, 0, 3, pairs, True)
    assert (pairs, done) == ({"a": 1}, 1)
    assert data[pos:] == encode([text("b"), [b"remote", 5]]) + encode([5, 6])


def test_names_are_remembered_where_nothing_is_compiled() -> None:
    data = encode(call())
    messages.read(data, Decoder(data, PB, LIMITS, Registry(), NullImporter()))
    assert bool(usual._heads) is not is_compiled("messages")


def test_what_fails_is_still_what_fails() -> None:
    with pytest.raises(InsecureJelly, match="lone surrogates"):
        Writer(PB, Encoder(PB, LIMITS, NullExporter())).call(1, 1, "a", True, ("\ud800",), {})
