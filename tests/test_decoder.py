from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pellucid import banana
from pellucid.atoms import Unpersistable
from pellucid.banana import NONE, PB
from pellucid.decoder import Decoder, head
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.limits import Limits
from pellucid.ports import NullImporter
from pellucid.registry import Registry


class Importer(NullImporter):
    def remote(self, luid: int | bytes) -> Any:
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


def test_heads_of_any_length() -> None:
    assert head(b"\x81", 0) == (0x81, 0, 1)
    assert head(b"x\x01\x02\x81", 1) == (0x81, 257, 4)


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
    ],
)
def test_lenient_spelling(data: bytes, value: object) -> None:
    found = decoder(data).value("x")
    assert found == value
    assert type(found) is type(value)


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
        ([b"reference", 1, [b"tuple", [b"set", [b"dereference", 1]]]], "x[0]{member}", "what it"),
        (
            [b"reference", 1, [b"tuple", [b"dictionary", [[b"dereference", 1], 1]]]],
            "x[0]{key 0}",
            "contains what it is in",
        ),
    ],
)
def test_what_is_refused(jelly: object, place: str, said: str) -> None:
    error = refused(jelly)
    assert error.where == place
    assert said in str(error)
    assert len(str(error)) < 200


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
        def remote(self, luid: int | bytes) -> Any:
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


def test_many_numbers_as_keys_cost_more_and_more_steps() -> None:
    # Their hashes are the peer's choice, and so is how long finding a place for each takes.
    keys = list(range(0, 40_000, 2))
    pairs = [[key, 0] for key in keys]
    assert len(decoded([b"dictionary", *pairs])) == 20_000
    error = exceeded([b"dictionary", *pairs], hash_steps=30_000)
    assert error.limit == "hash_steps"
    assert decoded([b"set", *keys], hash_steps=60_000) == set(keys)
    texts = [[[b"unicode", b"%d" % key], 0] for key in keys]
    assert len(decoded([b"dictionary", *texts], hash_steps=1)) == 20_000
