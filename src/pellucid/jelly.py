"""Jelly: objects as bytes and back. The two halves, and both at once for tools and tests.

(Wire document, sections 4 to 6.)
"""

from typing import Any, Final

from .atoms import Unpersistable
from .banana import DIALECTS, Dialect, Framer
from .decoder import Decoder
from .encoder import Encoder
from .errors import RemoteProtocolError
from .limits import Limits
from .places import is_id, peek, walk
from .ports import Exporter, Importer, NullExporter, NullImporter
from .registry import Registry

__all__ = [
    "Decoder",
    "Encoder",
    "Exporter",
    "Importer",
    "NullExporter",
    "NullImporter",
    "Unpersistable",
    "carried",
    "dumps",
    "loads",
]


_LIMITS: Final = Limits()
_NOTHING: Final = Registry()
_NO_CONNECTION: Final = NullImporter()
# What is not in use, by dialect. A hook may call `dumps` again, and so may another thread.
_ENCODERS: Final[dict[str, list[Encoder]]] = {name: [] for name in DIALECTS}
_FRAMERS: Final[dict[str, list[Framer]]] = {name: [] for name in DIALECTS}


def _find(dialect: str) -> Dialect:
    found = DIALECTS.get(dialect)
    if found is None:
        raise ValueError(f"there is no dialect {dialect!r}")
    return found


def dumps(obj: Any, dialect: str = "pb") -> bytes:
    """Give the bytes of a value. Raises InsecureJelly and LimitExceeded."""
    chosen = _find(dialect)
    spare = _ENCODERS[dialect]
    try:
        encoder = spare.pop()
        # An object may have kept it, and written into it too late.
        encoder.reset()
    except IndexError:
        encoder = Encoder(chosen, _LIMITS, NullExporter())
    encoder.unit(obj, "value")
    data = encoder.take()
    # What objects that write themselves may have set there is not for the next value.
    encoder.perspective = encoder.host = None
    # Not after an error: then it is not empty.
    spare.append(encoder)
    return data


def loads(data: bytes, dialect: str = "pb", registry: Registry | None = None) -> Any:
    """Give the value that `data` is, the whole of it.

    Raises RemoteProtocolError, InsecureJelly and LimitExceeded, the limits being those of
    `Limits()`.
    """
    chosen = _find(dialect)
    spare = _FRAMERS[dialect]
    try:
        framer = spare.pop()
    except IndexError:
        framer = Framer(chosen, _LIMITS)
    framer.feed(data)
    message = framer.next_message()
    if message is None:
        raise RemoteProtocolError("the value is not complete")
    if framer.buffered:
        raise RemoteProtocolError("there is more behind the value")
    spare.append(framer)
    known = _NOTHING if registry is None else registry
    return Decoder(message, chosen, _LIMITS, known, _NO_CONNECTION).value("value")


def carried(
    data: bytes, pos: int, dialect: Dialect, registry: Registry
) -> tuple[list[int | bytes], list[int | bytes]]:
    """Give the ids in the item at `pos` that the other side has counted, as often as it has them.

    First those of every `['remote', id]`, then those of caches, in full and as `['cached', id]`.
    For what is not decoded, or not wholly. `data` has been through a Framer.
    """
    remotes: list[int | bytes] = []
    caches: list[int | bytes] = []
    for _, frames in walk(data, pos, dialect):
        # The last one is the item itself, if it is a list.
        if not frames or frames[-1].index >= 0:
            continue
        tag = frames[-1].tag
        if tag == b"remote":
            found = remotes
        elif tag is not None and (tag == b"cached" or registry.is_cache(tag)):
            found = caches
        else:
            continue
        luid = peek(data, frames[-1].body, dialect) if frames[-1].count else None
        if luid is not None and is_id(luid):
            found.append(luid)
    return remotes, caches
