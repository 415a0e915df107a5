"""Every value that Twisted was seen to send, in both dialects: its bytes from us, and from it.

By itself, in the state of a copy, and in the state of a cache.
"""

from typing import Any

import pytest

from pellucid.banana import DIALECTS, encode
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.flavors import Cacheable, Copyable, RemoteCache, Root
from pellucid.jelly import Decoder, NullImporter, dumps, loads
from pellucid.limits import Limits
from pellucid.registry import Registry
from tests.harness import join
from tests.strategies import same
from tests.values import (
    INSTANCES,
    ROWS,
    build,
    every_dialect,
    every_row,
    is_received,
    plain,
    travelling,
    travels,
    ways,
    wire,
)


def test_all_rows_are_there() -> None:
    """Each is sent and received below, and those that travel also in a copy and in a cache."""
    assert len({row["name"] for row in ROWS}) == len(ROWS) == 185
    assert sum(map(travels, ROWS)) == 160
    assert len(INSTANCES) == 12


@every_dialect
@every_row
def test_what_is_sent(row: dict[str, Any], dialect: str) -> None:
    value = build(row["build"])
    if not travels(row):
        with pytest.raises((InsecureJelly, LimitExceeded)) as caught:
            dumps(value, dialect)
        error = caught.value
        assert isinstance(error, InsecureJelly | LimitExceeded)
        assert error.where.startswith("value")
        assert not error.remote
        return
    expected = wire(row, dialect)
    assert expected is not None
    sent = dumps(value, dialect)
    if row.get("order_free"):
        assert len(sent) == len(expected)
        assert loads(sent, dialect) == loads(expected, dialect)
    else:
        assert sent == expected


@every_dialect
@every_row
def test_what_is_received(row: dict[str, Any], dialect: str) -> None:
    data = wire(row, dialect)
    if data is None:
        assert "refused" in row
        return
    for message in ways(data, dialect):
        assert message == data
        # With something behind it in the message too, which is not looked at.
        for tail in (b"", b"\x05\x81"):
            decoder = Decoder(
                message + tail, DIALECTS[dialect], Limits(), Registry(), NullImporter()
            )
            outcome = row["decoded"]["outcome"]
            if outcome == "refused":
                with pytest.raises(InsecureJelly, match="not registered"):
                    decoder.value("x")
            else:
                x = decoder.value("x")
                source = row["decoded"]["python"] if outcome == "changed" else row["build"]
                if "deemed insecure" in source:
                    assert x == build(source)
                else:
                    assert same(x, build(source))
                for identity in row.get("identity", ()):
                    assert eval(identity, {"x": x})
            assert decoder.pos == len(message)


# The same values in states, and the states of instances.


class Box(Copyable, tag="vectors.Box"):
    """A copy with one value in it."""

    def __init__(self, content: Any) -> None:
        self.content = content


class BoxCopy:
    """What becomes of it."""

    content: Any


class Tank(Cacheable, tag="vectors.Tank"):
    """A cache with one value in it."""

    def __init__(self, content: Any) -> None:
        self.content = content


class TankCopy(RemoteCache):
    """What becomes of it."""

    content: Any


class Source(Root):
    """Hands out one value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def remote_get(self) -> Any:
        return self.value


def boxes() -> Registry:
    registry = Registry()
    registry.copy("vectors.Box", BoxCopy)
    registry.cache("vectors.Tank", TankCopy)
    return registry


@every_dialect
@travelling
def test_a_copy_holds_it(row: dict[str, Any], dialect: str) -> None:
    sent = dumps(Box(build(row["build"])), dialect)
    expected = wire(row, dialect)
    assert expected is not None
    # The same bytes as without the copy, in the only entry of its state.
    before = encode([b"vectors.Box", [b"dictionary", [[b"unicode", b"content"], 0]]], dialect)
    assert sent.startswith(before[:-2])
    if not row.get("order_free"):
        assert sent == before[:-2] + expected
    box = loads(sent, dialect, registry=boxes())
    assert type(box) is BoxCopy
    assert is_received(row, box.content)


@every_dialect
@travelling
def test_a_cache_holds_it(row: dict[str, Any], dialect: str) -> None:
    pair = join(Source(Tank(build(row["build"]))), dialects=(dialect,), registry=boxes())
    tank = pair.ask("get")
    assert type(tank) is TankCopy
    assert is_received(row, tank.content)
    del tank
    pair.prove_empty()


@every_dialect
@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in INSTANCES])
def test_an_instance_travels_as_a_copy(row: dict[str, Any], dialect: str) -> None:
    """What Twisted sends of an instance whose class is allowed is a copy with its tag."""
    jelly = plain(row["jelly_without_broker"])
    twice = jelly[0] == b"list"
    tag, state = jelly[1][2] if twice else jelly
    attributes = {} if state == [b"None"] else {"a": 1}

    class Instance(Copyable, tag=tag.decode()):
        def state_to_copy(self) -> Any:
            return attributes or None

    instance = Instance()
    data = dumps([instance, instance] if twice else instance, dialect)
    assert data == encode(jelly, dialect)
    with pytest.raises(InsecureJelly, match="not registered"):
        loads(data, dialect)
    registry = Registry()
    registry.copy(tag.decode(), BoxCopy)
    copy = loads(data, dialect, registry=registry)
    if twice:
        assert copy[0] is copy[1]
        copy = copy[0]
    assert type(copy) is BoxCopy
    assert vars(copy) == attributes
