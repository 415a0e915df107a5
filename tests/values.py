"""The recorded values of Twisted: how each is made, how it travels, and what arrives."""

import ast
import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pellucid.banana import DIALECTS, Framer
from pellucid.jelly import Unpersistable
from pellucid.limits import Limits
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


def is_received(row: dict[str, Any], value: Any) -> bool:
    """Whether a value is the one of a row, as it arrives."""
    decoded = row["decoded"]
    source = decoded["python"] if decoded["outcome"] == "changed" else row["build"]
    found = all(eval(identity, {"x": value}) for identity in row.get("identity", ()))
    return found and same(value, build(source))


travelling = pytest.mark.parametrize(
    "row", [pytest.param(row, id=row["name"]) for row in ROWS if travels(row)]
)


def plain(item: Any) -> Any:
    """An s-expression of the file as `encode` takes it."""
    if isinstance(item, list):
        return [plain(one) for one in item]
    return item.encode() if isinstance(item, str) else item


INSTANCES = [row for row in ROWS if "jelly_without_broker" in row and "refused" not in row]


def chosen(bits: int, few: int, count: int) -> list[int]:
    """Give numbers for a table of `2**bits` places, most of which meet those that came before.

    The first ones stand where a key goes from place to place, and all others begin there.
    """
    mask = (1 << bits) - 1
    taken: dict[int, int] = {}
    place = 1
    while len(taken) < few:
        taken[place] = len(taken)
        place = (place * 5 + 1) & mask
    found = list(taken)
    key = mask + 1
    while len(found) < count:
        perturb, place = key, key & mask
        while place in taken:
            perturb >>= 5
            place = (place * 5 + perturb + 1) & mask
            if not perturb:
                if taken.get(place, few) < few // 4:
                    found.append(key)
                break
        key += 1
    return found
