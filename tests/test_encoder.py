import datetime
import decimal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pellucid import banana
from pellucid.banana import DIALECTS, NONE, PB, PELLUCID, Framer
from pellucid.encoder import Encoder
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.limits import Limits
from pellucid.ports import NullExporter

UTC = datetime.UTC


def encoder(**limits: int) -> Encoder:
    return Encoder(PB, Limits(**limits), NullExporter())


def encoded(value: object, **limits: int) -> Any:
    one = encoder(**limits)
    one.unit(value, "x")
    return banana.decode(one.take())


@pytest.mark.parametrize(
    ("value", "jelly"),
    [
        (None, [b"None"]),
        (True, [b"boolean", b"true"]),
        (False, [b"boolean", b"false"]),
        (0, 0),
        (1023, 1023),
        (1024, 1024),
        (-1, -1),
        (1.5, 1.5),
        (b"x", b"x"),
        (b"list", b"list"),
        (b"x" * 127, b"x" * 127),
        (b"x" * 128, b"x" * 128),
        ("é", [b"unicode", "é".encode()]),
        ("list", [b"unicode", b"list"]),
        ("no word is as long", [b"unicode", b"no word is as long"]),
        ("é" * 64, [b"unicode", "é".encode() * 64]),
        ([1], [b"list", 1]),
        ((1,), [b"tuple", 1]),
        ({1}, [b"set", 1]),
        (frozenset({1}), [b"frozenset", 1]),
        ({"k": 2}, [b"dictionary", [[b"unicode", b"k"], 2]]),
        (decimal.Decimal("-1.10"), [b"decimal", -110, -2]),
        (datetime.datetime(1, 2, 3, 4, 5, 6, 7), [b"datetime", b"1 2 3 4 5 6 7"]),
        (datetime.date(1, 2, 3), [b"date", b"1 2 3"]),
        (datetime.time(1, 2, 3, 4), [b"time", b"1 2 3 4"]),
        (datetime.timedelta(1, 2, 3), [b"timedelta", b"1 2 3"]),
    ],
)
def test_values(value: object, jelly: object) -> None:
    assert encoded(value) == jelly
    if type(value) in (list, tuple, set, frozenset, dict):
        assert encoded([value, value]) == [b"list", [b"reference", 1, jelly], [b"dereference", 1]]
    else:
        assert encoded([value, value]) == [b"list", jelly, jelly]


def test_cycles_and_the_order_of_numbers() -> None:
    one: list[Any] = []
    two: dict[str, Any] = {}
    value = [one, two, two, one, one]
    two["v"] = value
    assert encoded(value) == [
        b"reference",
        1,
        [
            b"list",
            [b"reference", 3, [b"list"]],
            [b"reference", 2, [b"dictionary", [[b"unicode", b"v"], [b"dereference", 1]]]],
            [b"dereference", 2],
            [b"dereference", 3],
            [b"dereference", 3],
        ],
    ]


def test_each_unit_has_numbers_of_its_own() -> None:
    one, shared = encoder(), [1]
    one.raw(banana.list_header(2))
    for _ in range(2):
        one.unit((shared, shared), "x")
    unit = [b"tuple", [b"reference", 1, [b"list", 1]], [b"dereference", 1]]
    assert banana.decode(one.take()) == [unit, unit]


class Mine:
    """Says itself how it travels."""

    def __init__(self, write: Callable[[Encoder], None]) -> None:
        self.write = write

    def write_jelly(self, encoder: Encoder) -> None:
        self.write(encoder)


def test_what_writes_itself() -> None:
    assert encoded(Mine(lambda to: to.write_remote(7))) == [b"remote", 7]
    assert encoded([Mine(lambda to: to.write_local(b"root"))]) == [b"list", [b"local", b"root"]]
    assert encoded(Mine(lambda to: to.write_sexp([1, [b"x"]]))) == [1, [b"x"]]


def test_many_integers() -> None:
    edges = [1 << bits for bits in (0, 6, 7, 14, 21, 28)] + [0x7FFFFFFF, 16_000]
    small = [0, -0x80000000, *edges, *(-n for n in edges), *(n - 1 for n in edges)]
    large = [0x80000000, -0x80000001, 1 << 63, -1 << 63, 1 << 64, 1 << 447, -1 << 447]
    for values in (small, small * 300, [*small, *large, *small], [*large, *small]):
        assert encoded(values) == [b"list", *values]
        assert encoded((*values, b"x", *values)) == [b"tuple", *values, b"x", *values]
        assert encoded([values, values[0], True]) == [
            b"list", [b"list", *values], values[0], [b"boolean", b"true"],
        ]  # fmt: skip
        one = encoder()
        one.unit(values, "x")
        spelled = b"".join(banana.encode(value) for value in values)
        assert one.take().endswith(spelled)


def test_keys_are_remembered() -> None:
    for round_ in range(3):
        for n in range(2000):
            key = f"{'long ' * (n % 9)}key {n}"
            assert encoded({key: n}) == [b"dictionary", [[b"unicode", key.encode()], n]]
            assert len(PB.keys) <= 1024, round_
    assert encoded({"list": 1, "list ": 2}) == [
        b"dictionary", [[b"unicode", b"list"], 1], [[b"unicode", b"list "], 2],
    ]  # fmt: skip
    with pytest.raises(LimitExceeded, match=r"a string of 5 bytes can't be sent"):
        encoded({"list ": 2}, string_bytes=4)
    assert encoded({"list": 2}, string_bytes=4) == [b"dictionary", [[b"unicode", b"list"], 2]]


def test_what_an_encoder_shows() -> None:
    exporter = NullExporter()
    one = Encoder(NONE, Limits(), exporter, "me")
    assert (one.dialect, one.exporter, one.perspective) == (NONE, exporter, "me")


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", "a text with lone surrogates can't be sent"),
        (Text("secret"), "a test_encoder.Text can't be sent"),
        (Text, "the class test_encoder.Text can't be sent"),
        (Mine, "the class test_encoder.Mine can't be sent"),
        (len, "a builtins.builtin_function_or_method can't be sent"),
        (sys, "a builtins.module can't be sent"),
        (bytearray(b"secret"), "a builtins.bytearray can't be sent"),
        (decimal.Decimal("NaN"), "a decimal.Decimal that is not finite can't be sent"),
        (decimal.Decimal("-Inf"), "a decimal.Decimal that is not finite can't be sent"),
        (
            datetime.datetime(1, 1, 1, tzinfo=UTC),
            "a datetime.datetime with a time zone can't be sent",
        ),
        (datetime.time(tzinfo=UTC), "a datetime.time with a time zone can't be sent"),
    ],
)
def test_what_is_refused(value: object, text: str) -> None:
    with pytest.raises(InsecureJelly) as caught:
        encoder().unit([value], "arguments")
    assert str(caught.value).replace(f"{__name__}.", "test_encoder.") == f"arguments[0]: {text}"
    assert caught.value.where == "arguments[0]"
    assert not caught.value.remote


def refusal(value: object) -> str:
    with pytest.raises(InsecureJelly) as caught:
        encoder().unit(value, "arguments")
    return caught.value.where


def test_the_place_is_told() -> None:
    assert refusal({"\ud800": 1}) == "arguments{key 0}"
    bad = object()
    assert refusal(bad) == "arguments"
    assert refusal((1, 2, {"owner": bad})) == "arguments[2]['owner']"
    assert refusal([{b"k": [0, (bad,)]}]) == "arguments[0][b'k'][1][0]"
    assert refusal({1: 2, bad: 3}) == "arguments{key 1}"
    assert refusal({1: 2, (1,): bad}) == "arguments{value 1}"
    assert refusal({1: {bad}}) == "arguments[1]{member}"
    assert refusal({1: frozenset({bad})}) == "arguments[1]{member}"


@pytest.mark.parametrize(
    ("value", "limits", "limit", "asked"),
    [
        (2**448, {}, "integer_bits", 449),
        (decimal.Decimal(10**200), {}, "integer_bits", 665),
        (b"x" * 655_361, {}, "string_bytes", 655_361),
        ("é" * 6, {"string_bytes": 11}, "string_bytes", 12),
        ([0] * 655_360, {}, "list_items", 655_361),
        ({1, 2, 3}, {"list_items": 3}, "list_items", 4),
        ({1: 2, 2: 3, 3: 4}, {"list_items": 3}, "list_items", 4),
        ([[[]]], {"depth_sent": 1}, "depth_sent", 2),
    ],
)
def test_limits(value: object, limits: dict[str, int], limit: str, asked: int) -> None:
    with pytest.raises(LimitExceeded) as caught:
        encoder(**limits).unit((value,) if "depth_sent" not in limits else value, "x")
    assert (caught.value.limit, caught.value.value) == (limit, asked)
    assert caught.value.where == "x[0]"
    assert not caught.value.remote


def test_what_is_just_within_the_limits() -> None:
    assert len(encoded([0] * 655_359)) == 655_360
    assert encoded("x" * 11, string_bytes=11) == [b"unicode", b"x" * 11]
    assert encoded([[]], depth_sent=2) == [b"list", [b"list"]]
    encoded(decimal.Decimal("1E+1000000"))


def test_the_stack_that_is_left() -> None:
    value: list[Any] = []
    for _ in range(90):
        value = [value]
    write = Mine(lambda to: _use_up_the_stack())
    for bad in (write, [write]):
        with pytest.raises(LimitExceeded, match="stack that is left") as caught:
            encoder().unit(bad, "x")
        assert caught.value.limit == "depth_sent"
        assert caught.value.where == "x"


def _use_up_the_stack() -> None:
    raise RecursionError("much too long")


def test_whatever_a_writer_raises() -> None:
    def write(to: Encoder) -> None:
        raise KeyError("k")

    with pytest.raises(InsecureJelly, match=r"x\[0\]: .*builtins.KeyError") as caught:
        encoder().unit([Mine(write)], "x")
    assert isinstance(caught.value.__cause__, KeyError)


def test_messages_that_are_too_long() -> None:
    one = encoder(message_bytes=10)
    one.raw(b"x" * 10)
    assert one.take() == b"x" * 10
    one.raw(b"x" * 11)
    with pytest.raises(LimitExceeded) as caught:
        one.take()
    assert (caught.value.limit, caught.value.value) == ("message_bytes", 11)
    assert one.take() == b""


def test_messages_of_too_many_items() -> None:
    value = [1.5, b"x" * 300, [1, 2], 2**447, []]
    data = banana.encode(value)
    one = encoder(items=7)
    one.raw(data)
    assert one.take() == data
    framer = Framer(PB, Limits(items=7))
    framer.feed(data)
    assert framer.next_message() == data
    one = encoder(items=6)
    one.raw(data)
    with pytest.raises(LimitExceeded) as caught:
        one.take()
    assert (caught.value.limit, caught.value.value) == ("items", 7)
    framer = Framer(PB, Limits(items=6))
    framer.feed(data)
    with pytest.raises(LimitExceeded):
        framer.next_message()


def test_reset() -> None:
    one = encoder()
    with pytest.raises(InsecureJelly):
        one.unit([1, object()], "x")
    assert one.out
    one.reset()
    one.unit(1, "x")
    assert one.take() == b"\x01\x81"


class Growing:
    """An object that changes the container it is in while it is written."""

    def __init__(self, home: Any, change: Callable[[Any], object]) -> None:
        self.home = home
        self.change = change

    def write_jelly(self, encoder: Encoder) -> None:
        self.change(self.home)
        encoder.write_sexp(7)


@pytest.mark.parametrize("change", [lambda home: home.append(1), lambda home: home.clear()])
def test_a_list_that_changes_while_it_is_written_is_refused(
    change: Callable[[list[object]], object],
) -> None:
    home: list[object] = []
    home += [Growing(home, change), 2, 3]
    with pytest.raises(InsecureJelly, match="changed while it was written"):
        encoder().unit(home, "x")


def swap_in_a_dict(home: dict[Any, Any]) -> None:
    del home["first"]
    home["new"] = 1


def swap_last(home: dict[Any, Any]) -> None:
    del home["last"]
    home["new"] = 1


def swap_in_a_set(home: set[Any]) -> None:
    home.remove(5)
    home.add(0)


def test_a_dict_whose_keys_change_while_it_is_written_is_refused() -> None:
    home: dict[Any, Any] = {}
    home |= {"first": 1, "it": Growing(home, swap_in_a_dict), "last": 3}
    # Pure Python finds it before we do.
    with pytest.raises(InsecureJelly, match=r"changed while it was written|RuntimeError"):
        encoder().unit(home, "x")


def test_a_dict_of_which_too_few_pairs_come_is_refused() -> None:
    home: dict[Any, Any] = dict.fromkeys("abc")
    home |= {"it": Growing(home, swap_last), "last": 3}
    # The next key makes the dict close the gaps, and Python's loop is behind all that is left.
    for key in "abc":
        del home[key]
    with pytest.raises(InsecureJelly, match="changed while it was written"):
        encoder().unit(home, "x")


class Third(Growing):
    """It comes behind 1 and 2 in a set, and before 5."""

    def __hash__(self) -> int:
        return 3


def test_a_set_whose_members_change_while_it_is_written_is_refused() -> None:
    home: set[Any] = {1, 2, 5}
    home.add(Third(home, swap_in_a_set))
    with pytest.raises(InsecureJelly, match="changed while it was written"):
        encoder().unit(home, "x")


def test_long_strings_are_pieces_of_their_own() -> None:
    long = b"x" * 65_536
    value = [1, long, b"a" * 65_535, "t" * 70_000, [long, long]]
    one = encoder()
    one.unit(value, "x")
    whole = one.take()
    assert one.behind == []
    one.in_pieces = True
    for _ in range(2):
        one.unit(value, "x")
        first = one.take()
        pieces = [first, *one.behind]
        assert b"".join(pieces) == whole
        # They are the same objects, not copied.
        assert [piece is long for piece in pieces].count(True) == 3
        assert sum(map(len, pieces[::2])) < 67_000
        one.reset()
        assert one.behind == []
    # What has no long string is one piece.
    one.unit(value[2], "x")
    assert banana.decode(one.take()) == value[2]
    assert one.behind == []


@pytest.mark.parametrize("in_pieces", [False, True])
def test_limits_hold_for_what_is_long(in_pieces: bool) -> None:
    value = [b"x" * 70_000, *range(50)]
    one = encoder(message_bytes=70_000)
    one.in_pieces = in_pieces
    one.unit(value, "x")
    with pytest.raises(LimitExceeded) as caught:
        one.take()
    assert caught.value.limit == "message_bytes"
    for items in (51, 52):
        one = encoder(items=items)
        one.in_pieces = in_pieces
        one.unit(value, "x")
        if items == 52:
            assert one.take()
            continue
        with pytest.raises(LimitExceeded) as caught:
            one.take()
        assert (caught.value.limit, caught.value.value) == ("items", 52)
    one.reset()
    one.unit(1, "x")
    assert one.take() == b"\x01\x81"


@pytest.mark.parametrize("limit", ["message_bytes", "items"])
def test_a_limit_that_no_c_integer_holds_is_none(limit: str) -> None:
    one = encoder(**{limit: 1 << 100})
    one.unit([1], "x")
    assert one.take()


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Failing:
    def write_jelly(self, encoder: Encoder) -> None:
        raise Silent


def test_an_error_without_text_out_of_a_hook() -> None:
    with pytest.raises(InsecureJelly, match=r"x\[0\]: could not be encoded: .*Silent"):
        encoder().unit([Failing()], "x")


# Copies.


class Copy:
    """An object that is copied with any state."""

    def __init__(self, state: Any, tag: Any = "x.Y") -> None:
        self.state = state
        self.tag = tag
        self.asked: list[Any] = []

    def state_for(self, perspective: Any) -> Any:
        self.asked.append(perspective)
        if isinstance(self.state, Exception):
            raise self.state
        return self.state

    def write_jelly(self, encoder: Encoder) -> None:
        encoder.write_copy(self, self.tag, self.state_for)


def key(name: bytes) -> list[bytes]:
    return [b"unicode", name]


def test_copies() -> None:
    assert encoded(Copy({"a": 1})) == [b"x.Y", [b"dictionary", [key(b"a"), 1]]]
    assert encoded([Copy(None, "sh\xf6p")]) == [b"list", ["sh\xf6p".encode(), [b"None"]]]
    assert encoded(Copy(Copy(5))) == [b"x.Y", [b"x.Y", 5]]


def test_a_copy_that_comes_twice() -> None:
    copy = Copy({})
    copy.state["me"] = [copy]
    one = Encoder(PELLUCID, Limits(), NullExporter(), "user")
    one.unit([copy, copy], "x")
    assert copy.asked == ["user"]
    state = [b"dictionary", [key(b"me"), [b"list", [b"dereference", 1]]]]
    assert banana.decode(one.take()) == [
        b"list",
        [b"reference", 1, [b"x.Y", state]],
        [b"dereference", 1],
    ]
    one.perspective = "other"
    for _ in range(2):
        one.unit(copy, "x")
    assert copy.asked == ["user", "other", "other"]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("list", "the type tag 'list' has a meaning of its own"),
        ("", "a type tag has from 1 to 500 bytes"),
        ("x" * 501, "a type tag has from 1 to 500 bytes"),
        ("\ud800", "a type tag has to be text"),
        (b"x.Y", "a type tag has to be text"),
    ],
)
def test_tags_that_can_not_be_sent(tag: Any, text: str) -> None:
    with pytest.raises(InsecureJelly) as caught:
        encoder().unit([Copy({}, tag)], "x")
    assert str(caught.value) == f"x[0]: {text}"


def test_places_in_states() -> None:
    bad = object()
    for value, where in (
        (Copy({"name": bad}), ".name"),
        (Copy({"a b": bad}), "['a b']"),
        (Copy({"name": [bad]}), ".name[0]"),
        ([Copy({"a": {"b": Copy({"c": bad})}})], "[0].a['b'].c"),
        (Copy([bad]), "[0]"),
        (Copy(bad), ""),
        (Copy({1: bad}), "[1]"),
        (Copy({bad: 1}), "{key 0}"),
        ({"a": Copy(KeyError("secret"))}, "['a']"),
    ):
        with pytest.raises(InsecureJelly) as caught:
            encoder().unit(value, "x")
        assert caught.value.where == f"x{where}"
        assert "secret" not in str(caught.value)


def test_copies_are_levels() -> None:
    value: Any = 5
    for _ in range(10):
        value = Copy(value)
    encoded(value, depth_sent=10)
    with pytest.raises(LimitExceeded) as caught:
        encoded([value], depth_sent=10)
    assert (caught.value.limit, caught.value.value) == ("depth_sent", 11)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_copies_that_contain_themselves(dialect: str) -> None:
    direct, paired, through, as_key = Copy({}), Copy({}), Copy({}), Copy({})
    direct.state["me"] = direct
    paired.state["me"] = (1, paired)
    through.state["me"] = [(through,), {"a": through}]
    as_key.state["a"] = {as_key: 1}
    for value, where in (
        (direct, ".me"),
        ([3, paired], "[1].me[1]"),
        (as_key, ".a{key 0}"),
        (through, None),
        ([direct.asked, Copy({})], None),
        ([[], Copy({"a": [through, through]})], None),
    ):
        one = Encoder(DIALECTS[dialect], Limits(), NullExporter())
        one.raw(b"\x05\x81")
        if where is None or dialect == "pellucid":
            one.unit(value, "x")
            continue
        with pytest.raises(InsecureJelly, match="contains itself") as caught:
            one.unit(value, "x")
        assert caught.value.where == f"x{where}"
        one.reset()
        one.unit([1], "x")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tuples_that_contain_themselves(dialect: str) -> None:
    box: list[Any] = []
    waiting = (box,)
    box.append(waiting)
    one = Encoder(DIALECTS[dialect], Limits(), NullExporter())
    for value in (box, waiting, [box, box], ((), box, ()), [(box, 1), waiting[0]]):
        one.unit(value, "x")
    if dialect == "pellucid":
        one.unit([box, waiting], "x")
        return
    with pytest.raises(InsecureJelly, match="contains itself") as caught:
        one.unit([box, waiting], "x")
    assert caught.value.where == "x[1]"


# Caches.


class Exporter(NullExporter):
    """Knows what was sent before."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def cache(self, obj: Any, perspective: Any, key: object = None) -> tuple[int, Any | None]:
        if id(obj) in self.known:
            return self.known[id(obj)], None
        self.known[id(obj)] = luid = len(self.known) + 1
        return luid, f"observer {luid} for {perspective}"


class Cache:
    def __init__(self, tag: str = "x.C") -> None:
        self.tag = tag
        self.state: dict[str, Any] = {"a": 1}
        self.asked: list[Any] = []

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        self.asked.append((perspective, observer))
        return self.state

    def write_jelly(self, encoder: Encoder) -> None:
        encoder.write_cache(self, self.tag, self.state_to_cache_and_observe_for)


def test_caches() -> None:
    one, first, second = Encoder(PB, Limits(), Exporter(), "me"), Cache(), Cache()

    def written(value: Any) -> Any:
        one.unit(value, "x")
        return banana.decode(one.take())

    full = [b"x.C", 1, [b"dictionary", [key(b"a"), 1]]]
    assert written([first, first]) == [b"list", [b"reference", 1, full], [b"dereference", 1]]
    assert first.asked == [("me", "observer 1 for me")]
    again = [b"cached", 1]
    assert written([first, second, first]) == [b"list", again, [b"x.C", 2, full[2]], again]
    assert len(first.asked) == 1
    one.write_lcache(7)
    assert banana.decode(one.take()) == [b"lcache", 7]
    one.write_cached(b"n")
    assert banana.decode(one.take()) == [b"cached", b"n"]


def test_what_is_wrong_with_a_cache() -> None:
    cache = Cache()
    cache.state = {"me": cache}
    with pytest.raises(InsecureJelly, match="contains itself") as caught:
        Encoder(PB, Limits(), Exporter()).unit(cache, "x")
    assert caught.value.where == "x.me"
    with pytest.raises(InsecureJelly, match="a meaning of its own"):
        Encoder(PB, Limits(), Exporter()).unit(Cache("cached"), "x")
    cache.state = {"bad": object()}
    with pytest.raises(InsecureJelly) as caught:
        Encoder(PB, Limits(), Exporter()).unit([cache], "x")
    assert caught.value.where == "x[0].bad"
    with pytest.raises(InsecureJelly, match="on a connection only"):
        encoder().unit(Cache(), "x")


# What the application puts together itself.


class Own:
    """Travels as what `build(self, encoder)` gives."""

    def __init__(self, build: Callable[["Own", Encoder], Any], *values: Any) -> None:
        self.build = build
        self.values = values

    def write_jelly(self, encoder: Encoder) -> None:
        encoder.write_parts(self, lambda: self.build(self, encoder))


def tagged(own: Own, encoder: Encoder) -> Any:
    encoder.share(own)
    return [b"x.O", *map(encoder.part, own.values)]


def unshared(own: Own, encoder: Encoder) -> Any:
    return (b"x.O", *map(encoder.part, own.values))


def backwards(own: Own, encoder: Encoder) -> Any:
    encoder.share(own)
    return [b"x.O", *reversed([encoder.part(value) for value in own.values])]


def test_parts_are_values() -> None:
    assert encoded(Own(tagged)) == [b"x.O"]
    assert encoded(Own(lambda own, encoder: b"atom")) == b"atom"
    jelly = [b"x.O", 1, 1.5, b"b", [b"unicode", b"t"], [b"list", 2]]
    assert encoded(Own(tagged, 1, 1.5, b"b", "t", [2])) == jelly
    assert encoded([Own(unshared, "t", [2]), 3]) == [b"list", [b"x.O", jelly[4], jelly[5]], 3]
    inner = Own(tagged, Own(tagged, "t"), [])
    assert encoded(inner) == [b"x.O", [b"x.O", [b"unicode", b"t"]], [b"list"]]


def test_parts_may_stand_deep_inside() -> None:
    own = Own(lambda own, encoder: [b"x.O", [[encoder.part("a")], 1, encoder.part("b")], 2])
    assert encoded(own) == [b"x.O", [[[b"unicode", b"a"]], 1, [b"unicode", b"b"]], 2]


def test_what_is_shared_is_referred_to() -> None:
    own, shared = Own(tagged, 5), [1]
    assert encoded([own, own]) == [
        b"list",
        [b"reference", 1, [b"x.O", 5]],
        [b"dereference", 1],
    ]
    own = Own(unshared, 5)
    assert encoded([own, own]) == [b"list", [b"x.O", 5], [b"x.O", 5]]
    assert encoded([Own(tagged, shared, shared), shared]) == [
        b"list",
        [b"x.O", [b"reference", 1, [b"list", 1]], [b"dereference", 1]],
        [b"dereference", 1],
    ]
    around: list[Any] = []
    own = Own(tagged, around)
    around.append(own)
    assert encoded(own) == [b"reference", 1, [b"x.O", [b"list", [b"dereference", 1]]]]


def test_parts_may_stand_in_any_order() -> None:
    shared = [1]
    text = [b"unicode", b"t"]
    assert encoded(Own(backwards, "t", 5, [])) == [b"x.O", [b"list"], 5, text]
    # What was written first has the number, wherever it stands.
    assert encoded([Own(backwards, [shared], ("t", shared)), shared]) == [
        b"list",
        [
            b"x.O",
            [b"tuple", text, [b"dereference", 1]],
            [b"list", [b"reference", 1, [b"list", 1]]],
        ],
        [b"dereference", 1],
    ]
    # What is met again later is found where it stands now.
    one, two = [1], [2]
    assert encoded([Own(backwards, one, two), two, one]) == [
        b"list",
        [b"x.O", [b"reference", 1, [b"list", 2]], [b"reference", 2, [b"list", 1]]],
        [b"dereference", 1],
        [b"dereference", 2],
    ]


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda own, encoder: [b"x.O", *[encoder.part([])] * 2], "stands there twice"),
        (lambda own, encoder: [b"x.O", encoder.part([])][:1], "left out"),
        (lambda own, encoder: [b"x.O", "text"], "can't hold str"),
    ],
)
def test_what_is_put_together_wrongly_is_refused(build: Any, text: str) -> None:
    one = encoder()
    with pytest.raises(InsecureJelly, match=rf"^x\[0\]: .*{text}"):
        one.unit([Own(build)], "x")
    one.reset()
    one.unit([1], "x")
    assert banana.decode(one.take()) == [b"list", 1]


def test_a_part_is_a_part_of_something() -> None:
    with pytest.raises(InsecureJelly, match="no s-expression"):
        encoder().part([])


def test_what_is_nested_in_parts_is_bounded() -> None:
    own = Own(tagged, 1)
    for _ in range(20):
        own = Own(tagged, own)
    with pytest.raises(LimitExceeded) as caught:
        encoded(own, depth_sent=10)
    assert caught.value.limit == "depth_sent"


# What the host knows.


class Host:
    """Sends complex numbers, and classes by their names."""

    def adapt(self, value: Any) -> Any:
        if type(value) is complex:
            return Own(tagged, value.real, value.imag)
        return Own(lambda own, encoder: value.__name__.encode()) if value is Own else None


def test_the_host_is_asked_for_what_nobody_knows() -> None:
    one = encoder()
    one.host = Host()
    one.unit([1j, Own], "x")
    assert banana.decode(one.take()) == [b"list", [b"x.O", 0.0, 1.0], b"Own"]
    with pytest.raises(InsecureJelly, match=r"x\[0\]: a builtins.object can't be sent"):
        one.unit([object()], "x")
    with pytest.raises(InsecureJelly, match=r"the class builtins.int can't be sent"):
        one.unit(int, "x")
