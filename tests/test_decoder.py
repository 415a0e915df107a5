import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from time import process_time
from typing import Any
from weakref import ref

import pytest

from pellucid import banana
from pellucid.atoms import Unpersistable
from pellucid.banana import NONE, PB
from pellucid.decoder import Decoder
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.flavors import RemoteCache, RemoteCopy
from pellucid.jelly import dumps
from pellucid.limits import Limits
from pellucid.ports import NullImporter
from pellucid.registry import RawReader, Registry
from tests.values import chosen


class Importer(NullImporter):
    def remote(self, luid: int | bytes, perspective: Any) -> Any:
        assert perspective == "me"
        return ("remote", luid)

    def local(self, luid: int | bytes) -> Any:
        return ("local", luid)

    def cached(self, luid: int | bytes) -> Any:
        return ("cached", luid)


def decoder(data: bytes, registry: Registry | None = None, **limits: int) -> Decoder:
    return Decoder(data, PB, Limits(**limits), registry or Registry(), Importer(), "me")


def decoded(jelly: Any, registry: Registry | None = None, **limits: int) -> Any:
    data = banana.encode(jelly)
    one = decoder(data + b"\x09\x81", registry, **limits)
    value = one.value("x")
    assert one.pos == len(data)
    return value


def refused(jelly: Any, registry: Registry | None = None) -> InsecureJelly:
    data = banana.encode(jelly)
    one = decoder(data + b"\x09\x81", registry)
    with pytest.raises(InsecureJelly) as caught:
        one.value("x")
    assert one.pos == len(data)
    assert one.value("x") == 9
    assert caught.value.remote
    return caught.value


def exceeded(jelly: Any, **limits: int) -> LimitExceeded:
    data = jelly if isinstance(jelly, bytes) else banana.encode(jelly)
    one = decoder(data + b"\x09\x81", None, **limits)
    with pytest.raises(LimitExceeded) as caught:
        one.value("x")
    assert one.pos == len(data)
    assert caught.value.remote
    return caught.value


def text(word: bytes) -> list[bytes]:
    return [b"unicode", word]


def test_raw_items() -> None:
    one = decoder(banana.encode([1, b"x", [2, [3.0]], b"list", [4], 5]))
    assert (one.dialect, one.perspective) == (PB, "me")
    assert one.list_length() == 6
    assert one.item() == 1
    assert one.raw() == b"\x01\x82x"
    assert one.read_sexp() == [2, [3.0]]
    assert one.raw() == b"\x08\x87"
    assert one.item() == [4]
    with pytest.raises(RemoteProtocolError, match="a list"):
        one.list_length()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x05\x81", 5),
        (b"\x81", 0),
        (b"\x05\x00\x81", 5),
        (b"\x05\x85", 5),
        (b"\x01\x84" + b"\x00" * 8, 0.0),
        (b"\x84\x3f\xf0" + b"\x00" * 6, 1.0),
        (b"\x05\x83", -5),
        (b"\x05\x86", -5),
        (b"\x00\x82", b""),
        (b"\x82", b""),
        (b"\x01\x00\x82x", b"x"),
        (b"\x08\x87", b"list"),
        (b"\x08\x00\x87", b"list"),
        (b"\x02\x00\x80\x08\x87\x05\x81", [5]),
        (b"\x02\x80\x04\x82list\x05\x81", [5]),
        (b"\x02\x80\x08\x00\x87\x05\x81", [5]),
        (b"\x02\x80\x07\x82unicode\x08\x87", "list"),
        (b"\x02\x80\x07\x82unicode\x01\x00\x82x", "x"),
        (b"\x02\x80\x07\x00\x82unicode\x01\x82x", "x"),
        (b"\x02\x80\x05\x87\x02\x00\x80\x01\x81\x02\x81", {1: 2}),
        (b"\x02\x80\x05\x87\x02\x80\x02\x00\x80\x07\x82unicode\x01\x82x\x02\x81", {"x": 2}),
        (b"\x01" * 20 + b"\x84" + b"\x00" * 8, 0.0),
        (b"\x05" + b"\x00" * 20 + b"\x81", 5),
        (b"\x00" * 8 + b"\x01\x83", -(1 << 56)),
        (b"\x7f" * 64 + b"\x85", (1 << 448) - 1),
        (b"\x02" + b"\x00" * 20 + b"\x80\x08\x87\x05\x81", [5]),
        (b"\x01" + b"\x00" * 20 + b"\x82x", b"x"),
    ],
)
def test_lenient_spelling(data: bytes, value: object) -> None:
    found = decoder(data).value("x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("end", [1, "x", 1.5, 1 << 40, -1 << 70, 1 << 447, [], True, b"x"])
@pytest.mark.parametrize("kind", [list, tuple])
def test_many_integers(end: object, kind: Any) -> None:
    numbers = [1, 127, 128, -128, 0x7FFFFFFF, -0x80000000, 20_000, -3_000_000]
    jelly = dumps(kind([*numbers, end, *numbers, end]))
    assert decoder(jelly).value("x") == kind([*numbers, end, *numbers, end])
    spelled = b"\x06\x80\x08\x87" + b"\x05\x00\x81" * 4 + b"\x05" + b"\x00" * 20 + b"\x81"
    assert decoder(spelled).value("x") == [5] * 5
    with pytest.raises(InsecureJelly, match=r"x\[8\]: an empty list has no type tag"):
        decoded([b"list", *numbers, []])


def test_the_dialect_without_words() -> None:
    data = banana.encode([b"list", [b"boolean", b"true"], text(b"list")], "none")
    one = Decoder(data, NONE, Limits(), Registry(), NullImporter())
    assert one.value("x") == [True, "list"]


@pytest.mark.parametrize(
    ("jelly", "value"),
    [
        ([b"None"], None),
        ([b"None", 1, [2]], None),
        ([b"boolean", b"true"], True),
        ([b"boolean", b"false", 1], False),
        ([b"unicode", b"x", 1], "x"),
        ([b"decimal", 11, -1, 5], Decimal("1.1")),
        ([b"date", b"2020 2 29", 1], date(2020, 2, 29)),
        ([b"remote", 1], ("remote", 1)),
        ([b"local", b"n", 0], ("local", b"n")),
        ([b"cached", 2], ("cached", 2)),
        ([b"unpersistable", b"x"], Unpersistable("Unpersistable data: b'x'")),
        ([b"reference", 1, 5, 6], 5),
        ([b"list", [b"reference", b"a", [b"None"]], [b"dereference", b"a"]], [None, None]),
        ([b"set", 1, b"x", text(b"x"), 1.5, 1.5], {1, b"x", "x", 1.5}),
        ([b"frozenset", 2**61, 2, -5], frozenset({2**61, 2, -5})),
        ([b"frozenset", text(b"x")], frozenset({"x"})),
        ([b"dictionary", [[b"tuple"], 1], [text(b"k"), 2], [b"k", 3]], {(): 1, "k": 2, b"k": 3}),
    ],
)
def test_values(jelly: object, value: object) -> None:
    assert decoded(jelly) == value


def test_references() -> None:
    x = decoded([b"reference", 7, [b"list", [b"dereference", 7]]])
    assert x[0] is x
    x = decoded([b"reference", 7, [b"dictionary", [text(b"k"), [b"dereference", 7]]]])
    assert x["k"] is x
    # A set can't contain itself, but it can be looked at twice.
    x = decoded([b"list", [b"reference", 1, [b"set", 1]], [b"dereference", 1]])
    assert x[0] is x[1]
    x = decoded([b"list", [b"reference", 1, [b"frozenset", 1]], [b"dereference", 1]])
    assert x[0] is x[1]
    # Through a tuple, and with several numbers for the same.
    inner = [b"dictionary", [text(b"k"), [b"dereference", 1]]]
    x = decoded([b"reference", 1, [b"reference", 2, [b"tuple", inner, [b"list"], 5]]])
    assert x[0]["k"] is x
    x = decoded([b"reference", 1, [b"reference", 2, [b"list", [b"tuple", [b"dereference", 1]]]]])
    assert x[0][0] is x


def test_a_key_that_comes_twice() -> None:
    again = [text(b"k"), [b"dereference", 1]]
    x = decoded([b"reference", 1, [b"tuple", [b"dictionary", again, [text(b"k"), 5]]]])
    assert x == ({"k": 5},)


ITSELF = [b"reference", 1, [b"tuple", [b"dereference", 1]]]


@pytest.mark.parametrize(
    ("jelly", "place", "said"),
    [
        ([], "x", "an empty list has no type tag"),
        ([5], "x", "a type tag has to be a byte string"),
        ([[b"list"]], "x", "a type tag has to be a byte string"),
        ([b"list", []], "x[0]", "an empty list"),
        ([b"foo", 1], "x", "type tag 'foo' is not registered"),
        ([b"x\xff" * 60], "x", r"type tag 'x\xff"),
        ([b"class", b"builtins.int"], "x", "'class' is not registered"),
        ([b"persistent", 1], "x", "'persistent' is not registered"),
        ([b"instance", b"a.B", [b"dictionary"]], "x", "'instance' is not registered"),
        ([b"unicode"], "x", "a unicode with nothing in it"),
        ([b"decimal", 1], "x", "a decimal with nothing in it"),
        ([b"decimal", 1.5, 1], "x", "two integers"),
        ([b"date", b"1"], "x", "a date that is none"),
        ([b"date", 1], "x", "the content of a date has to be a byte string"),
        ([b"unicode", b"\xff"], "x", "not UTF-8"),
        ([b"unicode", b"\xff", 1], "x", "not UTF-8"),
        ([b"unicode", [b"x"]], "x", "the content of a text"),
        ([b"boolean", b"maybe"], "x", "neither true nor false"),
        ([b"remote", 1.5], "x", "an id has to be"),
        ([b"remote", [1]], "x", "an id has to be"),
        ([b"lcache", 1], "x", "on a connection only"),
        ([b"unpersistable", 1], "x", "a reason has to be"),
        ([b"dictionary", b"ab"], "x{key 0}", "a list of two"),
        ([b"dictionary", [1, 2], [1, 2, 3]], "x{key 1}", "a list of two"),
        ([b"dictionary", [[b"list"], 1]], "x{key 0}", "builtins.list that can't be hashed"),
        ([b"dictionary", [text(b"owner"), [b"foo"]]], "x['owner']", "not registered"),
        ([b"dictionary", [[b"tuple"], [b"list", 1, [b"foo"]]]], "x{value 0}[1]", "not registered"),
        ([b"set", [b"list"]], "x{member}", "can't be hashed"),
        ([b"frozenset", [b"dictionary"]], "x{member}", "can't be hashed"),
        ([b"reference", 1], "x", "needs a number and a value"),
        ([b"reference", 1.5, 1], "x", "a reference number has to be"),
        ([b"dereference", 1], "x", "not defined"),
        ([b"list", [b"dereference", 1], [b"reference", 1, 5]], "x[0]", "not defined"),
        ([b"list", [b"reference", 1, 5], [b"reference", 1, 5]], "x[1]", "used twice"),
        ([b"reference", 1, [b"dereference", 1]], "x", "its own value"),
        (ITSELF, "x", "a tuple contains itself"),
        ([b"list", ITSELF], "x", "a tuple contains itself"),
        (
            [b"reference", 1, [b"tuple", [b"set", [b"dereference", 1]]]],
            "x[0]{member}",
            "what it is in",
        ),
        (
            [b"reference", 1, [b"tuple", [b"dictionary", [[b"dereference", 1], 1]]]],
            "x[0]{key 0}",
            "contains what it is in",
        ),
        (
            [b"reference", 1, [b"frozenset", [b"tuple", [b"dereference", 1]]]],
            "x{member}",
            "a key or member contains what it is in",
        ),
    ],
)
def test_what_is_refused(jelly: object, place: str, said: str) -> None:
    error = refused(jelly)
    assert error.where == place
    assert said in str(error)
    assert len(str(error)) < 300


def test_the_names_of_classes_are_shown_in_full() -> None:
    name = b"shop.orders.history." + b"Purchase" * 20
    assert str(refused([name, 5])) == f"x: type tag '{name.decode()}' is not registered"


def test_readers() -> None:
    registry = Registry()
    registry.add_reader(b"x.Y", lambda state: {"state": state})
    assert decoded([b"x.Y", [b"list", 1], 2], registry) == {"state": [1]}
    shared = [b"list", [b"reference", 1, [b"x.Y", 5]], [b"dereference", 1]]
    x = decoded(shared, registry)
    assert x[0] is x[1]
    # What is in the state may well refer to what is finished, or to what can be changed.
    state = [b"list", [b"reference", 2, [b"tuple", [b"list", [b"dereference", 2]]]]]
    x = decoded([b"reference", 1, [b"list", [b"x.Y", state], [b"dereference", 1]]], registry)
    assert x[0]["state"][0][0][0] is x[0]["state"][0]


@pytest.mark.parametrize("inner", [[b"dereference", 1], [b"list", [b"dereference", 1]]])
def test_a_state_that_is_not_finished(inner: object) -> None:
    registry = Registry()
    registry.add_reader(b"x.Y", lambda state: state)
    for outer in ([b"x.Y", inner], [b"tuple", [b"x.Y", inner]]):
        assert "contains what it is in" in str(refused([b"reference", 1, outer], registry))


def raising(error: Exception) -> Callable[[object], object]:
    def reader(state: object) -> object:
        raise error

    return reader


def test_readers_that_raise() -> None:
    registry = Registry()
    registry.add_reader(b"x.A", raising(InsecureJelly("no", where="inner")))
    registry.add_reader(b"x.B", raising(KeyError("secret")))
    assert str(refused([b"list", [b"x.A", 1]], registry)) == "x[0]: inner: no"
    error = refused([b"list", [b"x.B", 1]], registry)
    assert str(error) == "x[0]: the reader of type tag 'x.B' failed: builtins.KeyError"
    assert isinstance(error.__cause__, KeyError)
    assert "nothing in it" in str(refused([b"x.A"], registry))


def test_a_connection_that_raises() -> None:
    class Odd(NullImporter):
        def remote(self, luid: int | bytes, perspective: Any) -> Any:
            raise (KeyError("secret") if luid == 1 else LimitExceeded("no", limit="l", value=3))

    for luid, expected in ((1, InsecureJelly), (2, LimitExceeded)):
        data = banana.encode([b"list", [b"remote", luid]])
        one = Decoder(data, PB, Limits(), Registry(), Odd())
        with pytest.raises(expected) as caught:
            one.value("x")
        assert "secret" not in str(caught.value)
        assert str(caught.value).startswith("x[0]: ")


def nested(levels: int, inner: bytes = b"\x01\x80\x08\x87") -> bytes:
    return b"\x02\x80\x08\x87" * (levels - 1) + inner


def test_depth() -> None:
    assert decoder(nested(10), depth_received=10).value("x")
    error = exceeded(nested(11), depth_received=10)
    assert (error.limit, error.value) == ("depth_received", 11)
    assert error.where == "x" + "[0]" * 10
    for inner in ([b"dictionary"], [b"set"], [b"tuple"], [b"reference", 1, [b"list"]]):
        decoder(nested(10, banana.encode(inner)), depth_received=10).value("x")
        assert exceeded(nested(11, banana.encode(inner)), depth_received=10).value == 11
    assert decoder(nested(256)).value("x")
    assert exceeded(nested(100_000)).limit == "depth_received"


def test_depth_of_references_and_states() -> None:
    # A reference is no level, but many around one value are.
    jelly: Any = [b"list"]
    for number in range(9):
        jelly = [b"list", [b"reference", number, jelly]]
    assert decoded(jelly, depth_received=10)
    jelly = 5
    for number in range(100):
        jelly = [b"reference", number, jelly]
    assert exceeded(jelly, depth_received=10).limit == "depth_received"
    registry = Registry()
    registry.add_reader(b"x.Y", lambda state: state)
    one = decoder(b"\x02\x80\x03\x82x.Y" * 11 + b"\x05\x81", registry, depth_received=10)
    with pytest.raises(LimitExceeded):
        one.value("x")
    # Nor is a deep item where a number should be.
    deep = b"\x03\x80\x04\x87" + b"\x01\x80" * 300 + b"\x05\x81" + b"\x05\x81"
    assert exceeded(deep).limit == "depth_received"


def test_the_stack_that_is_left() -> None:
    registry = Registry()
    registry.add_reader(b"x.Y", raising(RecursionError("much too long")))
    one = decoder(banana.encode([b"list", [b"x.Y", 5]]), registry)
    with pytest.raises(LimitExceeded, match="stack that is left") as caught:
        one.value("x")
    assert caught.value.limit == "depth_received"
    assert caught.value.where == "x"


def test_sixty_pairs_as_a_key() -> None:
    pairs: list[Any] = [[b"reference", 0, [b"tuple", 1, 1]]]
    for n in range(60):
        pairs.append([b"reference", n + 1, [b"tuple", [b"dereference", n], [b"dereference", n]]])
    for last in ([b"dictionary", [[b"dereference", 60], 1]], [b"set", [b"dereference", 60]]):
        error = exceeded([b"list", *pairs, last])
        assert error.limit == "hash_steps"
        assert error.where.startswith("x[61]{")


def test_a_tower_as_a_key() -> None:
    tower: list[Any] = [[b"reference", 0, [b"tuple"]]]
    for n in range(5000):
        tower.append([b"reference", n + 1, [b"tuple", [b"dereference", n]]])
    assert exceeded([b"list", *tower, [b"set", [b"dereference", 5000]]]).limit == "depth_received"


def test_strings_that_are_referred_to_are_charged() -> None:
    long = [b"list", [b"reference", 1, b"x" * 25_600], [b"reference", 2, text(b"x" * 25_600)]]
    assert decoded([*long, *[[b"dereference", 1]] * 4], hash_steps=400)[5] == b"x" * 25_600
    assert exceeded([*long, *[[b"dereference", 2]] * 5], hash_steps=400).limit == "hash_steps"


def test_collisions() -> None:
    same = [5 + (2**61 - 1) * n for n in range(70)]
    # Small numbers are not even counted.
    assert len(decoded([b"set", *same[:65]])) == 65
    assert exceeded([b"set", *same]).limit == "hash_collisions"
    assert exceeded([b"frozenset", *same]).limit == "hash_collisions"
    assert exceeded([b"dictionary", *[[n, n] for n in same]]).limit == "hash_collisions"
    # A frozenset of such is a dear member.
    dear = [b"frozenset", *same[:60]]
    assert len(decoded([b"set", dear, [b"frozenset", 1.5, 2.5]], hash_steps=10_000)) == 2
    assert exceeded([b"set", dear], hash_steps=1_000).limit == "hash_steps"


@pytest.mark.parametrize("tag", [b"tuple", b"frozenset"])
def test_references_can_build_no_tower_of_tuples(tag: bytes) -> None:
    # Whoever hashes a tuple needs a stack for all of it, and nothing guards that.
    floor: Any = [b"reference", 0, [tag, 1]]
    floors = [floor]
    floors += [[b"reference", n, [tag, [b"dereference", n - 1]]] for n in range(1, 300)]
    error = exceeded([b"list", *floors])
    assert (error.limit, error.value, error.where) == ("depth_received", 257, "x[256]")


def test_references_can_build_a_long_chain_of_lists() -> None:
    floors: list[Any] = [[b"reference", 0, [b"list"]]]
    floors += [[b"reference", n, [b"list", [b"dereference", n - 1]]] for n in range(1, 1000)]
    value = decoded([b"list", *floors])
    assert value[999][0] is value[998]


def test_a_long_reason_is_cut() -> None:
    value = decoded([b"unpersistable", b"x" * 10_000])
    assert value.reason == f"Unpersistable data: {b'x' * 1000!r}"


def test_numbers_that_were_chosen_as_keys_cost_many_steps() -> None:
    # Their hashes are the peer's choice, and so is how long finding a place for each takes.
    keys = list(range(0, 40_000, 2))
    pairs = [[key, 0] for key in keys]
    assert len(decoded([b"dictionary", *pairs], hash_steps=5_000)) == 20_000
    assert decoded([b"set", *keys], hash_steps=5_000) == set(keys)
    texts = [[[b"unicode", b"%d" % key], 0] for key in keys]
    assert len(decoded([b"dictionary", *texts], hash_steps=1)) == 20_000
    bad = [[key, 0] for key in chosen(13, 3800, 5400)]
    error = exceeded([b"dictionary", *bad], hash_steps=100_000)
    assert error.limit == "hash_steps"
    # The same key again takes no other place.
    again = [[1, 0]] * 5_000
    assert len(decoded([b"dictionary", *pairs[:1000], *again], hash_steps=1000)) == 1001


# Copies and caches.


class Item:
    pass


class Hooked(RemoteCopy):
    """Remembers what was there when it was given its state."""

    def set_copied_state(self, state: dict[str, Any]) -> None:
        self.state = state
        self.seen = repr(state)


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any = None


class Made:
    """What a factory makes."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.seen = [type(one).__name__ for one in state] if type(state) is list else []


def make(state: Any) -> Made:
    return Made(state)


class Copy(RemoteCache):
    pass


def registered() -> Registry:
    registry = Registry()
    registry.copy("x.I", Item)
    registry.copy("x.H", Hooked)
    registry.copy("x.P", Pair)
    registry.copy("x.M", make)
    registry.copy("x.T", lambda state: state if isinstance(state, tuple) else (state,))
    registry.cache("x.C", Copy)
    return registry


REGISTRY = registered()


def state(**entries: Any) -> list[Any]:
    return [b"dictionary", *[[text(name.encode()), value] for name, value in entries.items()]]


def named(number: int, jelly: Any) -> list[Any]:
    return [b"reference", number, jelly]


def back(number: int) -> list[Any]:
    return [b"dereference", number]


def test_copies() -> None:
    item = decoded([b"x.I", state(a=1, b=[b"list"]), 5], REGISTRY)
    assert type(item) is Item
    assert vars(item) == {"a": 1, "b": []}
    assert vars(decoded([b"x.I", [b"None"]], REGISTRY)) == {}
    assert decoded([b"x.P", state(left=1)], REGISTRY) == Pair(1)
    assert decoded([b"x.H", state(a=1)], REGISTRY).state == {"a": 1}
    assert decoded([b"x.M", 5], REGISTRY).state == 5
    both = decoded([b"list", named(1, [b"x.P", state(left=1)]), back(1)], REGISTRY)
    assert both[0] is both[1]


@pytest.mark.parametrize("tag", [b"x.I", b"x.H"])
def test_copies_that_contain_themselves(tag: bytes) -> None:
    inside = state(
        me=back(1),
        pair=[b"tuple", 1, [b"tuple", back(1)]],
        all=[b"list", back(1)],
        group=[b"set", back(1)],
        frozen=[b"frozenset", [b"tuple", back(1)]],
        names=[b"dictionary", [back(1), 1], [[b"tuple", back(1)], back(1)]],
    )
    one = decoded(named(1, [tag, inside]), REGISTRY)
    found = vars(one) if tag == b"x.I" else one.state
    assert found["me"] is one
    assert found["pair"] == (1, (one,))
    assert found["all"] == [one]
    assert found["group"] == {one}
    assert found["frozen"] == {(one,)}
    assert found["names"] == {one: 1, (one,): one}


@pytest.mark.parametrize("tag", [b"x.I", b"x.H"])
def test_copies_in_what_they_contain(tag: bytes) -> None:
    whole, copy = decoded(
        [b"list", named(1, [b"tuple", named(2, [tag, state(t=back(1))])]), back(2)], REGISTRY
    )
    found = vars(copy) if tag == b"x.I" else copy.state
    assert found["t"] is whole
    assert whole == (copy,)
    # Among the keys of what it contains.
    inside = state(d=[b"dictionary", [text(b"a"), 1], [back(1), 2], [text(b"z"), back(1)]])
    whole = decoded(named(1, [b"tuple", 5, [tag, inside]]), REGISTRY)
    found = vars(whole[1]) if tag == b"x.I" else whole[1].state
    assert list(found["d"].items()) == [("a", 1), (whole, 2), ("z", whole)]
    inside = state(s=[b"set", back(1), 2], f=[b"frozenset", 1, back(1)])
    whole = decoded(named(1, [b"tuple", 5, [tag, inside]]), REGISTRY)
    found = vars(whole[1]) if tag == b"x.I" else whole[1].state
    assert found == {"s": {whole, 2}, "f": frozenset({1, whole})}


def test_the_application_sees_what_is_finished() -> None:
    inside = [
        b"list",
        back(1),
        named(2, [b"x.H", state(t=back(1), h=[b"x.H", state(d=[b"dictionary", [back(1), 1]])])]),
        [b"x.H", state(a=[b"x.I", state(t=back(1))])],
    ]
    whole = decoded(named(1, [b"tuple", [b"x.I", state(a=inside)]]), REGISTRY)
    _, hooked, other = whole[0].a
    for one in (hooked, hooked.state["h"], other):
        assert "Hole" not in one.seen
        assert "None" not in one.seen
    assert hooked.state["h"].state == {"d": {whole: 1}}
    assert other.state["a"].t is whole


def test_factories_wait_for_their_state() -> None:
    inside = state(m=named(2, [b"x.M", [b"list", back(1)]]), n=back(2), t=[b"tuple", back(2)])
    whole = decoded(named(1, [b"tuple", [b"x.I", inside]]), REGISTRY)
    item = whole[0]
    assert item.m.state == [whole]
    assert "Hole" not in item.m.seen
    assert item.n is item.m
    assert item.t == (item.m,)
    # In each other.
    inside = state(m=[b"x.M", [b"x.M", [b"x.H", state(t=back(1))]]])
    whole = decoded(named(1, [b"tuple", [b"x.I", inside]]), REGISTRY)
    assert whole[0].m.state.state.state == {"t": whole}
    # As the whole value, and as a key of what is no copy.
    whole = decoded([b"x.M", named(1, [b"tuple", [b"x.H", state(t=back(1))]])], REGISTRY)
    assert whole.state[0].state["t"] is whole.state
    table = decoded([b"dictionary", [[b"x.M", [b"set", [b"x.P", state(left=1)]]], 2]], REGISTRY)
    assert [key.state for key in table] == [{Pair(1)}]


@pytest.mark.parametrize(
    ("jelly", "place"),
    [
        (named(1, [b"x.M", [b"list", back(1)]]), ""),
        (named(1, [b"x.M", back(1)]), ""),
        ([b"list", 5, named(1, [b"tuple", [b"x.M", [b"list", back(1)]]])], "[1][0]"),
        ([b"list", named(1, [b"x.M", state(a=[b"x.M", back(1)])])], "[0].a"),
        ([b"x.I", state(a=named(1, [b"x.M", state(b=back(1))]))], ".a"),
        (named(1, [b"frozenset", [b"x.M", [b"tuple", back(1)]]]), "{member}"),
    ],
)
def test_a_factory_whose_state_contains_what_it_makes(jelly: Any, place: str) -> None:
    error = refused(jelly, REGISTRY)
    assert str(error) == f"x{place}: the state of a 'x.M' contains what it is in"


def test_objects_with_a_hash_of_their_own() -> None:
    one = [b"x.P", state(left=1)]
    table = decoded([b"dictionary", [text(b"a"), 1], [one, 2], [text(b"z"), 3], [one, 4]], REGISTRY)
    assert list(table.items()) == [("a", 1), (Pair(1), 4), ("z", 3)]
    assert decoded([b"set", 5, one, one, [b"tuple", one]], REGISTRY) == {5, Pair(1), (Pair(1),)}
    assert decoded([b"frozenset", one], REGISTRY) == frozenset({Pair(1)})
    assert decoded([b"tuple", [b"frozenset", one]], REGISTRY) == (frozenset({Pair(1)}),)
    # Through an object that is hashed by its identity they may contain themselves.
    inside = state(left=named(2, [b"x.I", state(d=[b"dictionary", [back(1), 1]])]))
    pair = decoded(named(1, [b"x.P", inside]), REGISTRY)
    assert pair.left.d == {pair: 1}
    inside = state(left=[b"x.I", state(d=[b"dictionary", [back(3), 1]])])
    whole = decoded(named(3, [b"tuple", 5, [b"x.P", inside]]), REGISTRY)
    assert whole[1].left.d == {whole: 1}
    # But not in what their own hash looks at.
    data = banana.encode(named(3, [b"tuple", [b"x.P", state(left=[b"set", back(3)])]]))
    with pytest.raises(InsecureJelly, match="what it is in"):
        decoder(data, REGISTRY).value("x")
    inside = state(left=[b"x.I", state(s=[b"set", back(3)])], right=back(3))
    data = banana.encode(named(3, [b"tuple", [b"x.P", inside]]))
    with pytest.raises(LimitExceeded) as caught:
        decoder(data, REGISTRY).value("x")
    assert caught.value.where == "x[0].left.s{member}"


def test_what_is_a_key_of_itself_is_refused() -> None:
    itself = named(1, [b"x.P", state(left=[b"dictionary", [back(1), 1]])])
    assert refused([b"list", itself], REGISTRY).where == "x[0].left{key 0}"


@pytest.mark.parametrize(
    ("jelly", "place", "said"),
    [
        ([b"x.I", [b"list"]], "", "has to be a dictionary"),
        ([b"x.I"], "", "a x.I with nothing in it"),
        ([b"x.C", 1], "", "a x.C with nothing in it"),
        ([b"x.C", 1.5, state()], "", "an id has to be"),
        ([b"x.I", state(a=[b"foo"])], ".a", "not registered"),
        ([b"x.I", state(a=[b"dictionary", [text(b"b"), [b"foo"]]])], ".a['b']", "not registered"),
        ([b"x.I", [b"dictionary", [text(b"a b"), [b"foo"]]]], "['a b']", "not registered"),
        ([b"x.I", [b"foo"]], "", "not registered"),
        ([b"x.I", state(a=[b"x.I", state(b=[b"foo"])])], ".a.b", "not registered"),
        ([b"x.I", [b"list", [b"foo"]]], "[0]", "not registered"),
        ([b"list", [b"x.I", state(__class__=1)]], "[0]", "not for a peer to set"),
        ([b"list", [b"x.P", state()]], "[0]", f"field 'left' of {__name__}.Pair is missing"),
        # The rest of what is put off.
        ([b"dictionary", [[b"x.P", state(left=1)], [b"foo"]]], "{value 0}", "not registered"),
        (
            [b"dictionary", [1, 1], [[b"x.P", state(left=1)], 1], [b"k", [b"foo"]]],
            "[b'k']",
            "not registered",
        ),
        ([b"dictionary", [[b"x.P", state(left=1)], 1], [[b"foo"], 1]], "{key 1}", "registered"),
        ([b"set", [b"x.P", state(left=1)], [b"foo"]], "{member}", "not registered"),
        # Found at the end.
        ([b"list", [b"set", 5, [b"x.P", state(left=[b"list"])]]], "[0]{member}", "be hashed"),
        (
            [b"dictionary", [1, 2], [[b"x.P", state(left=[b"list"])], 1]],
            "{key 1}",
            "can't be hashed",
        ),
        (
            named(1, [b"tuple", [b"list", [b"x.H", [b"list", back(1)]]]]),
            "[0][0]",
            "has to be a dictionary",
        ),
        (
            named(1, [b"tuple", [b"x.I", [b"dictionary", [back(1), 1]]]]),
            "[0]",
            f"a state key of a {__name__}.Item is not text",
        ),
    ],
)
def test_copies_that_are_refused(jelly: Any, place: str, said: str) -> None:
    error = refused(jelly, REGISTRY)
    assert error.where == f"x{place}"
    assert said in str(error).replace("'x.", "x.").replace("I'", "I").replace("C'", "C")


def test_the_stack_and_depth_of_copies() -> None:
    jelly: Any = 5
    for _ in range(5):
        jelly = [b"x.I", state(a=jelly)]
    assert decoded(jelly, REGISTRY, depth_received=10).a
    one = decoder(banana.encode([b"list", jelly]), REGISTRY, depth_received=10)
    with pytest.raises(LimitExceeded) as caught:
        one.value("x")
    assert caught.value.limit == "depth_received"
    assert caught.value.where == "x[0].a.a.a.a"


class Caches(NullImporter):
    def __init__(self) -> None:
        self.held: dict[object, Any] = {}

    def new_cache(self, luid: int | bytes, make: Callable[[], Any]) -> Any:
        if luid in self.held:
            raise KeyError("secret")
        self.held[luid] = made = make()
        return made

    def cached(self, luid: int | bytes) -> Any:
        return self.held[luid]


def test_caches() -> None:
    importer = Caches()
    again = [b"dictionary", [text(b"me"), back(1)], [text(b"t"), back(2)], [b"a", [b"cached", 7]]]
    jelly = named(2, [b"tuple", named(1, [b"x.C", 7, again, 5]), back(1), [b"cached", 7]])
    one = Decoder(banana.encode(jelly), PB, Limits(), REGISTRY, importer)
    whole = one.value("x")
    cache = importer.held[7]
    assert type(cache) is Copy
    assert whole == (cache, cache, cache)
    assert vars(cache) == {"me": cache, "t": whole, "a": cache}
    one = Decoder(banana.encode([b"list", [b"x.C", 7, state()]]), PB, Limits(), REGISTRY, importer)
    with pytest.raises(InsecureJelly, match="taking in a cache failed") as caught:
        one.value("x")
    assert caught.value.where == "x[0]"
    one = Decoder(banana.encode([b"x.C", 7, state()]), PB, Limits(), REGISTRY, NullImporter())
    with pytest.raises(InsecureJelly, match="on a connection only"):
        one.value("x")


@pytest.mark.parametrize("luid", [1.5, [b"list"], b"x" * 501, 1 << 64, -(1 << 64)])
@pytest.mark.parametrize("tag", [b"remote", b"local", b"cached", b"lcache", b"x.C"])
def test_ids_are_short(tag: bytes, luid: Any) -> None:
    assert "an id has to be" in str(refused([b"list", [tag, luid, state()]], REGISTRY))
    if tag == b"remote":
        for short in (b"x" * 500, (1 << 64) - 1):
            assert decoded([tag, short]) == ("remote", short)


KEYED = [b"dictionary", [back(1), 2]]


@pytest.mark.parametrize("tag", [b"x.I", b"x.H", b"x.P"])
def test_a_shared_state_with_holes(tag: bytes) -> None:
    inside = [b"list", named(2, state(left=back(1))), *[[tag, back(2)]] * 2]
    whole = decoded(named(1, [b"tuple", inside, [tag, back(2)]]), REGISTRY)
    for one in (*whole[0][1:], whole[1]):
        found = one.state if tag == b"x.H" else vars(one)
        assert found["left"] is whole
        assert "Hole" not in getattr(one, "seen", "")
    if tag == b"x.P":
        return
    # With a key that comes later.
    for inner, place in ((state(left=5, d=[b"dictionary", [back(1), 2]]), ""), (KEYED, ".a[1]")):
        inside = [b"x.I", state(a=[b"list", named(2, inner), [tag, back(2)]])]
        jelly = named(1, [b"tuple", inside])
        if place:
            error = refused(jelly, REGISTRY)
            assert error.where == f"x[0]{place}"
            assert "is not text" in str(error)
        else:
            whole = decoded(jelly, REGISTRY)
            copy = whole[0].a[1]
            found = copy.state if tag == b"x.H" else vars(copy)
            assert found == {"left": 5, "d": {whole: 2}}


def test_what_waits_may_come_by_a_reference() -> None:
    # A list that waits, and an object that has not had its state, and one in the other.
    for inner in ([b"list", back(1)], [b"x.H", state(t=back(1))]):
        parts = [
            named(2, inner),
            named(3, [b"list", back(2)]),
            named(4, [b"x.H", state(a=back(3))]),
        ]
        hooked = [[b"x.H", state(b=back(number))] for number in (2, 3, 4)]
        whole = decoded(named(1, [b"tuple", [b"list", *parts, *hooked, back(4)]]), REGISTRY)
        for one in whole[0][3:]:
            assert "Hole" not in one.seen
            assert "None" not in one.seen
        assert whole[0][6] is whole[0][2]
    # A factory can't make what its state contains.
    for number in (2, 3):
        parts = [named(2, [b"list", back(1)]), named(3, [b"tuple", back(2)])]
        jelly = named(1, [b"tuple", *parts, [b"x.M", back(number)]])
        error = refused(jelly, REGISTRY)
        assert error.where == "x[2]"
        assert "contains what it is in" in str(error)
    # What is finished in the meantime keeps nobody waiting.
    parts = [
        named(1, [b"tuple", named(2, [b"list", back(1)])]),
        [b"x.M", back(2)],
        [b"x.M", back(2)],
    ]
    whole = decoded([b"list", *parts], REGISTRY)
    assert whole[1].state is whole[0][0]
    # One after the other, as many as there are.
    chain = [named(2, [b"list", back(1)])]
    chain += [named(n, [b"x.H", state(a=back(n - 1))]) for n in range(3, 100)]
    whole = decoded(named(1, [b"tuple", [b"list", *chain]]), REGISTRY)
    assert all("None" not in one.seen for one in whole[0][1:])


@pytest.mark.parametrize("tag", [b"x.I", b"x.H", b"x.P"])
def test_a_state_that_is_what_the_copy_is_in(tag: bytes) -> None:
    found = decoded(
        named(1, state(left=1, me=named(2, [tag, back(1)]), right=(1.5), t=[b"tuple", back(2)])),
        REGISTRY,
    )
    copy = found["me"]
    if tag == b"x.P":
        assert (copy.left, copy.right) == (1, 1.5)
    else:
        assert (copy.state if tag == b"x.H" else vars(copy)) == found
    error = refused([b"list", named(1, [b"list", [b"x.M", back(1)], 5])], REGISTRY)
    assert str(error) == "x[0][0]: the state of a 'x.M' contains what it is in"


@pytest.mark.parametrize("tag", [b"x.I", b"x.H", b"x.P", b"x.M", b"x.T"])
@pytest.mark.parametrize("kind", ["dictionary", "tuple", "late"])
def test_a_shared_state_is_paid_for(tag: bytes, kind: str) -> None:
    """Each copy takes all that is in it."""
    if kind == "dictionary":
        inner = state(left=1, **{f"a{n}": n for n in range(99)})
    elif tag in (b"x.M", b"x.T"):
        inner = [b"tuple", *[1] * 99, 5 if kind == "tuple" else [b"x.T", 5]]
    else:
        return
    jelly = [b"list", named(1, inner), *[[tag, back(1)]] * 40]
    assert len(decoded(jelly, REGISTRY, hash_steps=40_000)) == 41
    one = decoder(banana.encode(jelly), REGISTRY, hash_steps=30_000)
    with pytest.raises(LimitExceeded) as caught:
        one.value("x")
    assert caught.value.limit == "hash_steps"


def test_the_hash_of_a_reference_number_is_not_known() -> None:
    """All of these have the same hash as integers."""
    numbers = [n * sys.hash_info.modulus for n in range(1, 20_000)]
    started = process_time()
    found = decoded([b"list", *[named(number, 5) for number in numbers], back(numbers[7])])
    assert found == [5] * 20_000
    assert process_time() - started < 2


class Weighed(Pair):
    """Counts how often it is hashed."""

    hashed = 0

    def __hash__(self) -> int:
        type(self).hashed += 1
        return super().__hash__()


def test_shared_objects_as_keys_cost_what_they_are() -> None:
    pairs: list[Any] = [named(0, [b"x.P", state(left=1)])]
    for n in range(60):
        pairs.append(named(n + 1, [b"x.P", state(left=back(n), right=back(n))]))
    for last in ([b"dictionary", [back(60), 1]], [b"set", [b"tuple", back(60)]]):
        one = decoder(banana.encode([b"list", *pairs, last]), REGISTRY)
        with pytest.raises(LimitExceeded) as caught:
            one.value("x")
        assert caught.value.limit == "hash_steps"
        assert caught.value.where.startswith("x[61]{")


def test_an_unfinished_key_is_looked_at_for_a_price() -> None:
    Weighed.hashed = 0
    registry = registered()
    registry.copy("x.W", Weighed)
    large = named(1, [b"tuple", *range(1000), [b"x.W", state(left=1)]])
    one = decoder(banana.encode([b"list", large, *[[b"set", back(1)]] * 400]), registry)
    assert len(one.value("x")) == 401
    assert 400 <= Weighed.hashed <= 1200
    one = decoder(banana.encode([b"list", large, *[[b"set", back(1)]] * 600]), registry)
    with pytest.raises(LimitExceeded) as caught:
        one.value("x")
    assert caught.value.limit == "hash_steps"


def test_thousands_of_factories_that_wait() -> None:
    chain = named(1, [b"tuple", [b"list", named(2, [b"x.M", [b"list", back(1)]])]])
    chain[2][1] += [named(n + 1, [b"x.M", [b"list", back(n), back(1)]]) for n in range(2, 5000)]
    whole = decoded(chain, REGISTRY)
    assert len(whole[0]) == 4999
    one = whole[0][-1]
    while len(one.state) > 1:
        one = one.state[0]
    assert one is whole[0][0]
    # In each other, as deep as it goes.
    inner: Any = [b"list", *[back(1)] * 1000]
    for _ in range(120):
        inner = [b"list", back(1), [b"x.M", inner], back(1)]
    whole = decoded(named(1, [b"tuple", inner]), REGISTRY)
    assert whole[0][0] is whole


def test_a_factory_can_build_no_tower() -> None:
    floors: list[Any] = [named(0, [b"x.T", 1])]
    floors += [named(n, [b"x.T", back(n - 1)]) for n in range(1, 300)]
    floors += [named(n, [b"x.T", [b"list", back(n - 1)]]) for n in range(300, 600)]
    assert len(decoded([b"list", *floors], REGISTRY)) == 600
    registry = Registry()
    registry.copy("x.T", lambda state: (state,))
    one = decoder(banana.encode([b"list", *floors[:300]]), registry)
    with pytest.raises(LimitExceeded) as caught:
        one.value("x")
    assert caught.value.limit == "depth_received"


def test_units_know_nothing_of_each_other() -> None:
    late = named(
        1, [b"tuple", [b"x.M", [b"list", [b"x.H", state(t=[b"set", [b"x.P", state(left=1)]])]]]]
    )
    one = decoder(banana.encode(late) * 2, REGISTRY)
    first, second = one.value("x"), one.value("x")
    assert first[0].state[0].state == second[0].state[0].state == {"t": {Pair(1)}}


def test_a_refusal_keeps_nothing_alive() -> None:
    """Not until the garbage collector comes: what it keeps would not be released so long."""

    class Held:
        pass

    def fail(error: Any) -> None:
        raise error("x")

    registry = Registry()
    registry.copy("x.I", lambda state: fail(InsecureJelly))
    registry.copy("x.R", lambda state: fail(RecursionError))
    registry.copy("x.M", lambda state: fail(MemoryError))

    def refused(tag: bytes) -> ref[Held]:
        held = Held()
        with pytest.raises((InsecureJelly, LimitExceeded)):
            decoder(banana.encode([tag, 1]), registry).value("x")
        return ref(held)

    gc.disable()
    try:
        for tag in (b"foo.Bar", b"x.I", b"x.R", b"x.M"):
            assert refused(tag)() is None
    finally:
        gc.enable()


# What the application reads itself.


def raw(read: Callable[[Any, Decoder, Any], Any], **options: Any) -> Registry:
    """A registry in which `x.R` is read by a function."""
    registry = Registry()
    registry._readers[b"x.R"] = RawReader(read, "'x.R'", **options)
    return registry


class Box:
    values: Any = None


def fill(sexp: Any, decoder: Decoder, made: Any) -> Any:
    made.values = [decoder.part(one) for one in sexp[1:]]
    return made


def test_a_reader_decodes_what_it_wants() -> None:
    seen: list[Any] = []

    def read(sexp: Any, decoder: Decoder, made: Any) -> Any:
        seen.append((list(sexp), made, decoder.perspective))
        assert decoder.part(sexp[3]) is decoder.part(sexp[3])
        return [decoder.part(one) for one in sexp[1:]]

    jelly = [b"x.R", 1, b"two", [b"list", [b"remote", 3]], [b"unicode", b"four"]]
    assert decoded([b"list", jelly, 5], raw(read)) == [[1, b"two", [("remote", 3)], "four"], 5]
    assert seen == [(jelly, None, "me")]
    assert decoded([b"x.R"], raw(lambda sexp, decoder, made: sexp)) == [b"x.R"]


def test_readers_inside_of_each_other_know_the_same_lists() -> None:
    found = decoded([b"x.R", [b"x.R", [b"list", [b"x.R", 7]]]], raw(fill, make=Box))
    assert found.values[0].values[0][0].values == [7]


def test_what_is_shared_is_shared_across_parts() -> None:
    jelly = [b"x.R", [b"reference", 1, [b"list", 1]], [b"list", [b"dereference", 1]]]
    found = decoded([b"list", jelly, [b"dereference", 1]], raw(fill, make=Box))
    first, second = found[0].values
    assert first is second[0] is found[1]


def test_what_is_made_early_can_refer_to_itself() -> None:
    jelly = [b"reference", 1, [b"x.R", [b"list", [b"dereference", 1]]]]
    found = decoded(jelly, raw(fill, make=Box))
    assert found.values[0][0] is found


def test_a_reader_may_tell_what_it_is_as_soon_as_it_knows() -> None:
    def read(sexp: Any, decoder: Decoder, made: Any) -> Any:
        box = Box()
        assert decoder.part(sexp[1]) == ["kind"]
        decoder.bind(box)
        box.values = decoder.part(sexp[2])
        return box

    kind = [b"list", [b"unicode", b"kind"]]
    found = decoded([b"reference", 1, [b"x.R", kind, [b"list", [b"dereference", 1]]]], raw(read))
    assert found.values == [found]
    assert decoded([b"x.R", kind, [b"list"]], raw(read)).values == []


def test_without_an_early_object_it_is_put_in_later() -> None:
    def read(sexp: Any, decoder: Decoder, made: Any) -> Any:
        return tuple(decoder.part(one) for one in sexp[1:])

    jelly = [b"reference", 1, [b"x.R", 5]]
    assert decoded([b"list", jelly, [b"dereference", 1]], raw(read)) == [(5,), (5,)]
    with pytest.raises(InsecureJelly, match="before all that is in it has come"):
        decoded([b"reference", 1, [b"x.R", [b"list", [b"dereference", 1]]]], raw(read))


def test_a_reader_may_give_another_object() -> None:
    registry = raw(lambda sexp, decoder, made: decoder.part(sexp[1]), make=Box)
    jelly = [b"list", [b"reference", 1, [b"x.R", [b"list"]]], [b"dereference", 1]]
    first, second = decoded(jelly, registry)
    assert first == []
    assert first is second


def test_a_part_may_be_any_list() -> None:
    registry = raw(lambda sexp, decoder, made: decoder.part([b"list", *sexp[1:]]))
    assert decoded([b"x.R", 1, [b"unicode", b"t"]], registry) == [1, "t"]


def test_what_a_reader_did_not_look_at_is_noted() -> None:
    def read(sexp: Any, decoder: Decoder, made: Any) -> Any:
        return decoder.part(sexp[1][2])

    jelly = [b"x.R", [b"list", [b"remote", 1], [b"unicode", b"t"]], [b"remote", 2], 3]
    data = banana.encode(jelly)
    one = decoder(data, raw(read))
    assert one.value("x") == "t"
    assert [banana.read_item(data, at, PB)[0] for at in one.skipped] == [
        [b"remote", 1],
        [b"remote", 2],
    ]


def test_a_reader_may_come_too_late() -> None:
    kept: list[Any] = []
    registry = raw(lambda sexp, decoder, made: kept.append(sexp[1]))
    one = decoder(banana.encode([b"x.R", [b"list", [b"foo.Bar"]]]), registry)
    one.value("x")
    with pytest.raises(InsecureJelly, match=r"foo\.Bar' is not registered"):
        one.part(kept[0])


def test_what_is_decoded_elsewhere_is_not_noted() -> None:
    def read(sexp: Any, decoder: Decoder, made: Any) -> Any:
        sexp[1].taken = sexp[2][1].taken = True

    jelly = [b"x.R", [b"remote", 1], [b"list", [b"remote", 2], [b"remote", 3]]]
    data = banana.encode(jelly)
    one = decoder(data, raw(read))
    one.value("x")
    assert [banana.read_item(data, at, PB)[0] for at in one.skipped] == [[b"remote", 3]]


def test_what_a_reader_raises_tells_where() -> None:
    def fail(sexp: Any, decoder: Decoder, made: Any) -> Any:
        raise KeyError("x")

    error = refused([b"list", 1, [b"x.R", 1]], raw(fail))
    assert str(error) == "x[1]: the reader of type tag 'x.R' failed: builtins.KeyError"
    assert type(error.__cause__) is KeyError
    error = refused([b"x.R", 1], raw(fill, make=lambda: fail(None, None, None)))  # type: ignore[arg-type]
    assert str(error) == "x: making an object for type tag 'x.R' failed: builtins.KeyError"

    def catch(sexp: Any, decoder: Decoder, made: Any) -> Any:
        with pytest.raises(InsecureJelly):
            decoder.part(sexp[1])
        raise InsecureJelly("it is mine")

    assert str(refused([b"list", [b"x.R", [b"list", [b"foo.Bar"]]]], raw(catch))) == (
        "x[0]: it is mine"
    )
    assert str(refused([b"x.R", [b"list", 1, [b"foo.Bar"]]], raw(fill, make=Box))) == (
        "x[1]: type tag 'foo.Bar' is not registered"
    )


# What the registry allows, and whom it tells.


def test_a_registry_may_refuse_type_tags() -> None:
    class Picky(Registry):
        allows = staticmethod(lambda tag: tag in (b"list", b"unicode", b"dictionary"))

    assert decoded([b"dictionary", [text(b"a"), [b"list", 1]]], Picky()) == {"a": [1]}
    error = refused([b"list", [b"dictionary", [text(b"a"), [b"tuple"]]]], Picky())
    assert str(error) == "x: type tag 'tuple' is not allowed"
    refused([b"list", [b"None"]], Picky())


def test_what_readers_leave_is_seen_to_at_the_end_of_the_value() -> None:
    heard: list[Any] = []

    class Posting(Registry):
        def __init__(self) -> None:
            super().__init__()
            self.posts: list[Any] = []
            self.copy("x.P", self.posts.append)

        def end_unit(self, mark: int, whole: bool) -> None:
            heard.append((self.posts[mark:], whole))
            if whole and b"bad" in self.posts:
                raise InsecureJelly("not that")
            del self.posts[mark:]

    registry = Posting()
    assert decoded(5, registry) == 5
    assert heard == []
    registry.posts.append("of another")
    decoded([b"list", [b"x.P", 1], [b"x.P", 2]], registry)
    assert heard == [([1, 2], True)]
    heard.clear()
    assert str(refused([b"x.P", b"bad"], registry)) == "x: not that"
    assert heard == [([b"bad"], True), ([b"bad"], False)]
    heard.clear()
    refused([b"list", [b"x.P", 1], [b"foo.Bar"]], registry)
    assert heard == [([1], False)]
    assert registry.posts == ["of another"]


def test_what_could_not_be_sent_is_what_the_registry_says() -> None:
    class Telling(Registry):
        unpersistable = str

    found = decoded([b"unpersistable", b"why"], Telling())
    assert found == "Unpersistable data: b'why'"


@pytest.mark.parametrize("dialect", [PB, NONE], ids=lambda dialect: dialect.name)
def test_atoms_and_others_by_turns(dialect: Any) -> None:
    value = {"a": 1, "b": [5, "x", {1, 2}, "y"], "c": "text", 5: None, "d": (True, b"z"), "e": 0.5}
    data = dumps(value, dialect.name)
    assert Decoder(data, dialect, Limits(), Registry(), Importer(), "me").value("value") == value


# How many containers there are.


def test_containers_are_counted_before_they_are_made() -> None:
    for one in ([b"list"], [b"tuple"], [b"set"], [b"frozenset"], [b"dictionary"]):
        fits = [b"list", *[one] * 9]
        assert len(decoded(fits, containers=10)) == 9
        data = banana.encode([*fits, one, b"behind"])
        decoding = decoder(data, containers=10)
        with pytest.raises(LimitExceeded, match=r"limits\.containers, which is 10") as caught:
            decoding.value("x")
        assert (caught.value.limit, caught.value.value) == ("containers", 11)
        assert (decoding.over, decoding.containers) == (True, 11)
        # What follows is not worth to be looked for.
        assert decoding.pos < len(data)


def test_atoms_are_no_containers() -> None:
    atoms = [[b"unicode", b"x"], [b"None"], [b"boolean", b"true"], 5, b"x"]
    assert len(decoded([b"list", *atoms * 10], containers=1)) == 50


def test_raw_items_that_stand_for_strings_of_one_message() -> None:
    long = b"x" * 70_000
    data = banana.list_header(2) + bytes((len(PB.words) + 1, 0x87)) + banana.encode([b"list", 2])
    one = Decoder(data, PB.with_words((long,)), Limits(), Registry(), Importer(), "me")
    assert one.list_length() == 2
    assert one.raw() == banana.encode(long)
    assert one.raw() == banana.encode([b"list", 2])
