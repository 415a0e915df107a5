"""Every value that Twisted was seen to send, in both dialects: its bytes from us, and from it."""

import ast
import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pellucid.banana import DIALECTS, Framer
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.jelly import Decoder, NullImporter, Unpersistable, dumps, loads
from pellucid.limits import Limits
from pellucid.registry import Registry
from tests.strategies import same

ROWS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("vectors").joinpath("values.json").read_text(encoding="utf-8")
)
NAMES = {"ast": ast, "datetime": datetime, "decimal": decimal, "json": json}

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in ROWS])
every_dialect = pytest.mark.parametrize("dialect", ["pb", "none"])


def build(source: str) -> Any:
    """Run the source of a value: an expression, or statements that set `x`."""
    names = {**NAMES, "Unpersistable": Unpersistable}
    try:
        return eval(source, names)
    except SyntaxError:
        exec(source, names)
        return names["x"]


def wire(row: dict[str, Any], dialect: str) -> bytes | None:
    """What Twisted sends, None where it refuses."""
    if row.get(f"hex_{dialect}") is not None:
        return bytes.fromhex(row[f"hex_{dialect}"])
    parts = row.get(f"hex_{dialect}_parts")
    return b"".join(bytes.fromhex(some) * count for some, count in parts) if parts else None


def travels(row: dict[str, Any]) -> bool:
    """Whether the value is one that we send: not what Twisted refuses, nor what it garbles."""
    return (
        "refused" not in row
        and "unpersistable" not in str(row["jelly"])
        and not (isinstance(row["jelly"], list) and row["jelly"][0] == "class")
    )


def test_all_rows_are_there() -> None:
    assert len(ROWS) == 185
    assert sum(map(travels, ROWS)) == 160


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


def ways(data: bytes, dialect: str) -> Iterator[bytes]:
    """The message as it comes out of a framer that got it in one piece, in bytes, with a tail."""
    chosen = DIALECTS[dialect]
    whole = Framer(chosen, Limits())
    whole.feed(data)
    yield whole.next_message() or b""
    if len(data) < 50_000:
        slow = Framer(chosen, Limits())
        for at in range(len(data)):
            assert slow.next_message() is None
            slow.feed(data[at : at + 1])
        yield slow.next_message() or b""
    more = Framer(chosen, Limits())
    more.feed(data + b"\x05\x81\x03\x82x")
    yield more.next_message() or b""
    assert more.next_message() == b"\x05\x81"


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
