from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from pellucid import banana
from pellucid.banana import DIALECTS, PB
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.flavors import RemoteCache
from pellucid.holes import Hole
from pellucid.jelly import carried, dumps, loads
from pellucid.registry import Registry
from tests import twisted_codec
from tests.strategies import COPIES, Made, copied_graphs, graphs, rings, same, sexps
from tests.strategies import registry as copies

dialects = st.sampled_from(["pb", "none"])


def written(value: object, dialect: str) -> bytes:
    """The bytes of a value; not of one that no Twisted could read."""
    with suppress(InsecureJelly):
        return dumps(value, dialect)
    with pytest.raises(InsecureJelly, match="contains itself"):
        dumps(value, dialect)
    reject()


@given(graphs(), st.sampled_from(["pellucid", "pb", "none"]))
def test_any_graph_goes_there_and_back(value: object, dialect: str) -> None:
    assert same(loads(written(value, dialect), dialect), value)


@given(graphs(), dialects)
def test_twisted_reads_what_we_write(value: object, dialect: str) -> None:
    assert same(twisted_codec.loads(written(value, dialect), dialect), value)


@given(graphs(), dialects)
def test_we_read_what_twisted_writes(value: object, dialect: str) -> None:
    data = twisted_codec.dumps(value, dialect)
    assert same(loads(data, dialect), value)
    # And write the same, numbers of references included.
    assert written(value, dialect) == data


@given(copied_graphs)
def test_any_graph_of_copies_goes_there_and_back(value: object) -> None:
    data = dumps(value, "pellucid")
    try:
        back = loads(data, "pellucid", copies)
    except InsecureJelly as error:
        back = error
    if isinstance(back, InsecureJelly):
        # A function can't be given a state that contains what it makes. Nothing else is refused.
        assert "the state of a 'x.Made' contains what it is in" in str(back)
        assert makes_itself(value)
    else:
        assert same(back, value)
        assert not holes(back)


def makes_itself(value: object) -> bool:
    """Whether something that a function makes is part of its own state."""
    return any(
        isinstance(one, Made) and any(part is one for part in parts(one.content))
        for one in parts(value)
    )


def parts(value: object) -> list[Any]:
    """Everything that a value consists of, each once."""
    seen: dict[int, object] = {}
    work: list[object] = [value]
    while work:
        one = work.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, (*COPIES, Late, Hashed)):
            work += vars(one).values()
        elif isinstance(one, (list, tuple, dict, set, frozenset)):
            work += one
            if isinstance(one, dict):
                work += one.values()
    return list(seen.values())


@given(copied_graphs | rings)
def test_what_twisted_can_not_read_is_not_sent_to_it(value: object) -> None:
    try:
        dumps(value)
    except InsecureJelly as error:
        refused = str(error)
    else:
        refused = ""
    # The same bytes, if they are made.
    data = dumps(value, "pellucid")
    tags = [cls._copy_tag for cls in COPIES]
    try:
        readable = not twisted_codec.placeholders(twisted_codec.loads(data, "pb", tags))
    except AssertionError:
        readable = False
    assert readable is not ("contains itself" in refused)
    if readable:
        assert dumps(value) == data


class Late:
    """A copy that looks at what it is given."""

    def set_copied_state(self, state: dict[str, object]) -> None:
        assert not holes(state)
        self.state = state


class Hashed:
    """One that is hashed by what it is given."""

    name: object = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hashed) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def check(data: bytes, dialect: str) -> None:
    """Whatever it is, it is a value or an error that is documented."""
    registry = Registry()
    registry.add_reader(b"x.Y", lambda state: (state, state))
    registry.copy("x.A", Late)
    registry.copy("x.B", Hashed)
    try:
        value: object = loads(data, dialect, registry)
    except (InsecureJelly, LimitExceeded, RemoteProtocolError) as error:
        value = error
    assert not holes(value)
    assert getattr(value, "remote", True)
    assert not isinstance(value, Exception) or "object at 0x" not in str(value)


def holes(value: object) -> bool:
    """Whether a hole has got out."""
    return any(isinstance(one, Hole) for one in parts(value))


@given(st.binary(max_size=60), dialects)
def test_any_bytes(data: bytes, dialect: str) -> None:
    check(data, dialect)


@given(st.lists(st.integers(0, 0x87), max_size=40).map(bytes), dialects)
def test_any_bytes_that_are_nearly_items(data: bytes, dialect: str) -> None:
    check(data, dialect)


@given(graphs(), dialects, st.data())
def test_any_damage(value: object, dialect: str, data: st.DataObject) -> None:
    damaged = bytearray(written(value, dialect))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    check(bytes(damaged), dialect)


@settings(max_examples=500)
@given(sexps, dialects)
@example([b"reference", 1, [b"tuple", [b"x.Y", [b"list", [b"dereference", 1]]]]], "pb")
def test_any_jelly(item: object, dialect: str) -> None:
    check(banana.encode(item, dialect), dialect)


class Nested:
    """Is written while another value is."""

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp(dumps(["inner", [1]]))


def test_nothing_is_left_of_another_value() -> None:
    for _ in range(3):
        assert dumps([Nested(), 2], "pb") == banana.encode(
            [b"list", dumps(["inner", [1]]), 2], "pb"
        )
        with pytest.raises(InsecureJelly):
            dumps(["text", object()])
        for bad in (b"\x02\x80\x05\x81", b"\x01\x81\x01\x81", b"\x01\x88", b"\x80"):
            with pytest.raises((RemoteProtocolError, InsecureJelly)):
                loads(bad)
        assert loads(dumps(["text", 1])) == ["text", 1]


def test_hundred_thousand_levels() -> None:
    head = b"\x02\x80\x08\x87"
    with pytest.raises(LimitExceeded) as caught:
        loads(head * 100_000 + b"\x05\x81")
    assert caught.value.limit == "depth_received"
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LimitExceeded) as caught:
        dumps(deep)
    assert caught.value.limit == "depth_sent"


def test_one_value_and_nothing_else() -> None:
    with pytest.raises(RemoteProtocolError, match="not complete"):
        loads(b"\x02\x80\x08\x87")
    with pytest.raises(RemoteProtocolError, match="more behind"):
        loads(b"\x05\x81\x05\x81")
    with pytest.raises(ValueError, match="no dialect 'x'"):
        loads(b"\x05\x81", "x")
    with pytest.raises(InsecureJelly, match="on a connection only"):
        loads(banana.encode([b"remote", 1]))


def found(item: object, dialect: str = "pb") -> list[int | bytes]:
    return both(item, dialect)[0]


def both(item: object, dialect: str = "pb") -> tuple[list[int | bytes], list[int | bytes]]:
    registry = Registry()
    registry.cache("x.C", RemoteCache)
    return carried(b"\x05\x81" + banana.encode(item, dialect), 2, DIALECTS[dialect], registry)


def test_what_is_carried() -> None:
    remote = [b"remote", 7]
    assert found(remote) == [7]
    assert found(remote, "none") == [7]
    assert found([b"remote", b"root"]) == [b"root"]
    assert found([b"tuple", remote, [b"list", [b"remote", 300]], remote]) == [7, 300, 7]
    assert found([b"x.Y", [b"dictionary", [[b"unicode", b"k"], remote], [remote, 1]]]) == [7, 7]
    assert found([b"reference", 1, [b"list", remote, 2.0, b"remote", -1]]) == [7]
    assert carried(banana.encode(remote) * 2, 0, PB, Registry()) == ([7], [])


def test_what_only_looks_like_it() -> None:
    # The pairs of a dictionary are no values.
    assert found([b"dictionary", [b"remote", 7], [[b"remote", 8], b"remote"]]) == [8]
    for item in ([b"remote"], [b"remote", 1.5], [b"remote", [b"list"]], [[b"remote"], 7], [], 5):
        assert found(item) == []
    assert found([1.5, [b"remote", 9]]) == [9]


def test_which_caches_are_carried() -> None:
    full = [b"x.C", 7, [b"dictionary", [[b"unicode", b"k"], [b"cached", 8]], [b"cached", 1]]]
    assert both(full) == both(full, "none") == ([], [7, 8])
    item = [b"list", [b"reference", 1, full], [b"dereference", 1], [b"x.Y", 9, [b"remote", b"n"]]]
    assert both(item) == ([b"n"], [7, 8])
    assert both([b"tuple", [b"cached", b"n"], [b"cached", 1.5], [b"lcache", 3]]) == ([], [b"n"])
    for odd in ([b"cached"], [b"x.C"], [b"x.C", [b"list"]], [[b"x.C"], 7]):
        assert both(odd) == ([], [])


class Keeping:
    """Keeps the encoder, and tells what it finds there."""

    encoder: Any = None

    def write_jelly(self, encoder: Any) -> None:
        assert encoder.perspective is None
        assert encoder.host is None
        encoder.perspective = encoder.host = self
        self.encoder = encoder
        encoder.write_remote(1)


def test_what_is_left_in_an_encoder_is_not_for_the_next_value() -> None:
    keeping = Keeping()
    data = dumps(keeping)
    keeping.encoder.raw(b"\x05\x81")
    assert dumps(keeping) == data
