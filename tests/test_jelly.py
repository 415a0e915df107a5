import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pellucid import banana
from pellucid.banana import DIALECTS, PB
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.holes import Hole
from pellucid.jelly import carried, dumps, loads
from pellucid.registry import Registry
from tests import twisted_codec
from tests.strategies import graphs, same, sexps

dialects = st.sampled_from(["pb", "none"])


@given(graphs(), dialects)
def test_any_graph_goes_there_and_back(value: object, dialect: str) -> None:
    assert same(loads(dumps(value, dialect), dialect), value)


@given(graphs(), dialects)
def test_twisted_reads_what_we_write(value: object, dialect: str) -> None:
    assert same(twisted_codec.loads(dumps(value, dialect), dialect), value)


@given(graphs(), dialects)
def test_we_read_what_twisted_writes(value: object, dialect: str) -> None:
    data = twisted_codec.dumps(value, dialect)
    assert same(loads(data, dialect), value)
    # And write the same, numbers of references included.
    assert dumps(value, dialect) == data


def check(data: bytes, dialect: str) -> None:
    """Whatever it is, it is a value or an error that is documented."""
    registry = Registry()
    registry.add_reader(b"x.Y", lambda state: (state, state))
    try:
        value: object = loads(data, dialect, registry)
    except (InsecureJelly, LimitExceeded, RemoteProtocolError) as error:
        value = error
    assert not holes(value)
    assert getattr(value, "remote", True)
    assert not isinstance(value, Exception) or "object at 0x" not in str(value)


def holes(value: object) -> bool:
    """Whether a hole has got out."""
    seen: dict[int, object] = {}
    work: list[object] = [value]
    while work:
        one = work.pop()
        if isinstance(one, Hole):
            return True
        if isinstance(one, (list, tuple, dict, set, frozenset)) and id(one) not in seen:
            seen[id(one)] = one
            work += one
            if isinstance(one, dict):
                work += one.values()
    return False


@given(st.binary(max_size=60), dialects)
def test_any_bytes(data: bytes, dialect: str) -> None:
    check(data, dialect)


@given(st.lists(st.integers(0, 0x87), max_size=40).map(bytes), dialects)
def test_any_bytes_that_are_nearly_items(data: bytes, dialect: str) -> None:
    check(data, dialect)


@given(graphs(), dialects, st.data())
def test_any_damage(value: object, dialect: str, data: st.DataObject) -> None:
    damaged = bytearray(dumps(value, dialect))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    check(bytes(damaged), dialect)


@settings(max_examples=500)
@given(sexps, dialects)
@example([b"reference", 1, [b"tuple", [b"x.Y", [b"list", [b"dereference", 1]]]]], "pb")
def test_any_jelly(item: object, dialect: str) -> None:
    check(banana.encode(item, dialect), dialect)


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
    return carried(b"\x05\x81" + banana.encode(item, dialect), 2, DIALECTS[dialect])


def test_what_is_carried() -> None:
    remote = [b"remote", 7]
    assert found(remote) == [7]
    assert found(remote, "none") == [7]
    assert found([b"remote", b"root"]) == [b"root"]
    assert found([b"tuple", remote, [b"list", [b"remote", 300]], remote]) == [7, 300, 7]
    assert found([b"x.Y", [b"dictionary", [[b"unicode", b"k"], remote], [remote, 1]]]) == [7, 7]
    assert found([b"reference", 1, [b"list", remote, 2.0, b"remote", -1]]) == [7]
    assert carried(banana.encode(remote) * 2, 0, PB) == [7]


def test_what_only_looks_like_it() -> None:
    # The pairs of a dictionary are no values.
    assert found([b"dictionary", [b"remote", 7], [[b"remote", 8], b"remote"]]) == [8]
    for item in ([b"remote"], [b"remote", 1.5], [b"remote", [b"list"]], [[b"remote"], 7], [], 5):
        assert found(item) == []
    assert found([1.5, [b"remote", 9]]) == [9]
