"""The recorded conversations of Twisted, how they arrive, and what has to be the same."""

import json
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from pellucid.banana import DIALECTS, Framer, decode
from pellucid.limits import Limits

VECTORS = Path(__file__).parent / "vectors"


@dataclass(frozen=True)
class Session:
    """One entry of the file."""

    name: str
    dialect: str
    server: str
    options: dict[str, Any]
    messages: list[tuple[str, bytes]]
    results: list[dict[str, Any]]
    # What Twisted does there that nobody should.
    accident: str | None

    def stream(self, direction: str) -> list[bytes]:
        return [data for way, data in self.messages if way == direction]

    @property
    def offer(self) -> list[str]:
        return ["none"] if self.dialect == "none" else ["pb", "none"]

    def states(self, key: str) -> list[str]:
        """What was noted of one thing beside the calls."""
        found = [entry.get("state", {}) for entry in self.results]
        return [state[key] for state in found if key in state]


SESSIONS = {
    row["name"]: Session(
        row["name"],
        row["dialect"],
        row["server"],
        row["options"],
        [(message["dir"], bytes.fromhex(message["hex"])) for message in row["messages"]],
        row["results"],
        row.get("accident"),
    )
    for row in json.loads((VECTORS / "sessions.json").read_text())
}
APP = {name for name, session in SESSIONS.items() if session.server == "app"}
PORTAL = SESSIONS.keys() - APP

# The text of a refusal is free; its class is not (section 6).
TEXT_IS_FREE = {"insecure_jelly_args", "class_as_argument"}

FAILURE = b"twisted.spread.pb.CopyableFailure"

ways = pytest.mark.parametrize("way", ["whole", "bytes", "behind", "together"])


def sessions(names: set[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "session", [SESSIONS[n] for n in sorted(names)], ids=sorted(names)
    )


def segments(stream: list[bytes], way: str) -> list[list[bytes]]:
    """For each message of a stream the segments in which it arrives."""
    if way == "bytes":
        return [[data[at : at + 1] for at in range(len(data))] for data in stream]
    if way == "behind":
        # The first byte of the next one arrives with it.
        whole, ends = b"".join(stream), [*accumulate(map(len, stream))]
        cuts = [0, *(end + 1 for end in ends[:-1]), ends[-1]]
        return [[whole[start:end]] for start, end in pairwise(cuts)]
    return [[data] for data in stream]


def split(data: bytes, dialect: str) -> list[bytes]:
    """The messages of a stream."""
    framer = Framer(DIALECTS[dialect], Limits())
    framer.feed(data)
    found = list(iter(framer.next_message, None))
    assert framer.buffered == 0
    return found


RELEASES = ([b"decref"], [b"decache"])


def check_stream(session: Session, ours: bytes, way: str) -> None:
    """Compare all that one side sent with the recording, but for where a release stands."""
    mine, theirs = split(ours, session.dialect), session.stream(way)
    released = []
    for stream in (mine, theirs):
        sexps = [decode(data, session.dialect) for data in stream]
        releases = [sexp[:1] in RELEASES for sexp in sexps]
        pairs = [*zip(stream, releases, strict=True)]
        released.append(sorted(data for data, release in pairs if release))
        stream[:] = [data for data, release in pairs if not release]
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        sexp = decode(other, session.dialect)
        if sexp[:1] == [b"error"] and sexp[2][0] == FAILURE:
            check_failure(session, decode(one, session.dialect), sexp)
        else:
            assert one == other
    assert released[0] == released[1]


def check_failure(session: Session, ours: Any, theirs: Any) -> None:
    assert ours[:2] == theirs[:2]
    mine, recorded = (failure(sexp[2]) for sexp in (ours, theirs))
    # What Twisted adds behind a Deferred is optional.
    assert [*mine] == [key for key in recorded if key not in (b"pickled", b"_frames")]
    for key in (b"type", b"captureVars", b"tb", b"parents", b"frames", b"stack"):
        assert mine[key] == recorded[key]
    if session.name not in TEXT_IS_FREE:
        assert mine[b"value"] == recorded[b"value"]
    unsafe = bool(session.options.get("unsafe"))
    assert mine[b"unsafeTracebacks"] == [b"boolean", b"true" if unsafe else b"false"]
    if unsafe:
        text = mine[b"traceback"][1]
        assert text.startswith(b"Traceback (most recent call last):")
        assert mine[b"value"][1] in text
    else:
        assert mine[b"traceback"] == recorded[b"traceback"]


def failure(jelly: Any) -> dict[bytes, Any]:
    tag, state = jelly
    assert tag == FAILURE
    assert state[0] == b"dictionary"
    assert all(key[0] == b"unicode" for key, _ in state[1:])
    return {key[1]: value for key, value in state[1:]}


def by_call(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((entry for entry in results if "call" in entry), key=lambda e: str(e["call"]))
