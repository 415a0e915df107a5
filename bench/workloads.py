"""What is measured: the workloads, and the values that go to and fro.

An operation is one call with its answer, whose result is checked; for `in_flight` it is 1000 calls.
"""

import sys
from typing import NamedTuple, NoReturn

TEXT = "hello network"
IN_FLIGHT = 1000

# Twenty keys, as an application has them. Every protocol here can say all of it.
STRUCTURE: dict[str, object] = {
    "id": 918_273,
    "name": "Ada Lovelace",
    "mail": "ada@example.org",
    "city": "Zürich",
    "active": True,
    "verified": False,
    "parent": None,
    "score": 98.25,
    "ratio": 0.1875,
    "created": 1_700_000_000,
    "level": -3,
    "visits": 0,
    "comment": "A sentence of some length, as people write them into a form that asks for it.",
    "days": [1, 2, 3, 5, 8, 13, 21],
    "tags": ["analysis", "engine", "notes"],
    "position": {"latitude": 51.5, "longitude": -0.125, "exact": True},
    "address": {"street": "St James's Square", "number": 12, "country": "gb"},
    "history": [
        {"at": 1_690_000_000, "event": "created"},
        {"at": 1_695_000_000, "event": "renamed"},
    ],
    "limits": [0.5, 1.5, 2.5],
    "language": "en",
}

INTEGERS = [n * 7919 - 30_000_000 for n in range(10_000)]

_CHUNK = 512 * 1024
_CHUNKS = 16

# These are large, and a process that does not need them shall not pay for them when it starts.
CHUNKS: list[bytes]
BLOB: bytes


def __getattr__(name: str) -> object:
    value: object
    if name == "CHUNKS":
        value = [bytes([65 + n]) * _CHUNK for n in range(_CHUNKS)]
    elif name == "BLOB":
        value = b"".join(bytes([65 + n]) * _CHUNK for n in range(_CHUNKS))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    setattr(sys.modules[__name__], name, value)
    return value


class Workload(NamedTuple):
    """One thing to measure: its key and name, the method of a session, and where it runs."""

    key: str
    title: str
    method: str
    # Client and server on a core each, or both on one.
    apart: bool
    # Calls in one operation.
    calls: int
    what: str


_ALL = (
    Workload("sequential", "sequential", "sequential", False, 1, "echo of a short text"),
    Workload("each", "sequential, a core each", "sequential", True, 1, "the same"),
    Workload("in_flight", "in flight", "in_flight", True, IN_FLIGHT, "1000 echoes at a time"),
    Workload("structure", "structure", "structure", False, 1, "echo of a dict with 20 keys"),
    Workload("integers", "integers", "integers", False, 1, "echo of a list of 10,000 integers"),
    Workload("bytes", "bytes", "bytes_", True, 1, "echo of 8 MiB"),
    Workload("reference", "reference", "reference", False, 1, "get an object, call it, drop it"),
    Workload("callback", "callback", "callback", False, 1, "pass an object, which is called"),
)
WORKLOADS = {workload.key: workload for workload in _ALL}


def wrong(what: str = "a result") -> NoReturn:
    """Fail the measurement: what came back is not what was sent."""
    raise AssertionError(f"{what} is wrong")
