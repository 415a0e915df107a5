"""What fuzzing starts from: the recorded vectors as inputs, and what is kept from earlier runs."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fuzz.script import Script, write
from fuzz.targets import CLIENT, PLAIN, TARGETS, TIGHT
from pellucid.banana import decode, encode

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
KEPT = ROOT / "tests" / "fuzz" / "corpus"
# Longer ones say nothing more here, and are slow.
LONGEST = 4096
_SEND = 0


def _rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return found


def _dialect(flags: int) -> str:
    return "none" if flags & PLAIN else "pb"


def _values() -> list[tuple[int, bytes]]:
    """Give the values, with the flag of their dialect."""
    found = []
    for row in _rows("values.json"):
        for key, flags in (("hex_pb", 0), ("hex_none", PLAIN)):
            if row.get(key):
                found.append((flags, bytes.fromhex(row[key])))
    return found


def _damage(state: str) -> list[tuple[int, bytes]]:
    found = []
    for row in _rows("malformed.json"):
        if row["state"] == state and row.get("hex"):
            flags = CLIENT * (row["role"] == "client") + PLAIN * (row["dialect"] == "none")
            found.append((flags, bytes.fromhex(row["hex"])))
    return found


def _talks() -> list[tuple[int, list[bytes]]]:
    """Give what each side of a conversation hears."""
    found = []
    for row in _rows("sessions.json"):
        for way, role in (("c>s", 0), ("s>c", CLIENT)):
            stream = [bytes.fromhex(one["hex"]) for one in row["messages"] if one["dir"] == way]
            found.append((role + PLAIN * (row["dialect"] == "none"), stream))
    return found


def _framer() -> list[Script]:
    found = [Script(flags, 1, 0, [data]) for flags, data in _values() + _damage("ready")]
    return found + [Script(flags, 1, 0, [b"".join(talk[2:])]) for flags, talk in _talks()]


def _decoder() -> list[Script]:
    return [Script(flags, 1, 0, [data]) for flags, data in _values()]


def _broker() -> list[Script]:
    found = [Script(flags, 1, 0, [data, _SEND]) for flags, data in _damage("ready")]
    for flags, data in _values():
        dialect = _dialect(flags)
        jelly = decode(data, dialect)
        call = [b"message", 1, b"root", b"echo", 1, [b"tuple", jelly], [b"dictionary"]]
        found.append(Script(flags, 1, 0, [encode(call, dialect), _SEND]))
        found.append(Script(flags | CLIENT, 1, 0, [encode([b"answer", 1, jelly], dialect), _SEND]))
    for flags, talk in _talks():
        # The name of the dialect and the version were said.
        said = [data for data in talk[1:] if b"version" not in data and data[2:3] != b"\x13"]
        found.append(Script(flags, 1, 0, [step for data in said for step in (data, _SEND)]))
    return found


def _session() -> list[Script]:
    found = [Script(flags, 1, 0, [data, _SEND]) for flags, data in _damage("fresh")]
    for flags, talk in _talks():
        found.append(Script(flags, 1, 0, [step for data in talk for step in (data, _SEND)]))
    return found


_MAKERS = {"framer": _framer, "decoder": _decoder, "broker": _broker, "session": _session}


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Give the inputs that the vectors make for a target, with the usual limits and tight ones."""
    found: dict[bytes, None] = {}
    for one in _MAKERS[target]():
        # Where there are few of them, or they are fast.
        both = (one.flags, one.flags | TIGHT) if target != "broker" else (one.flags,)
        for flags in both:
            data = write(Script(flags, one.seed, one.kind, one.steps))
            if len(data) <= LONGEST:
                found[data] = None
    return tuple(found)


def kept(target: str) -> dict[str, bytes]:
    """Give the inputs that were kept, by name: each once broke something, or reached a corner."""
    folder = KEPT / target
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}


def name_of(data: bytes) -> str:
    """Give the name under which an input is kept."""
    return sha256(data).hexdigest()[:16]


def lay_out(folder: Path) -> None:
    """Write the seeds and what is kept into a folder for each target."""
    for target in TARGETS:
        place = folder / target
        place.mkdir(parents=True, exist_ok=True)
        for data in (*seeds(target), *kept(target).values()):
            (place / name_of(data)).write_bytes(data)
