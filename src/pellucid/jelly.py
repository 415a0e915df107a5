"""Jelly: objects as bytes and back. The two halves, and both at once for tools and tests.

(Wire document, sections 4 to 6.)
"""

from typing import Any

from .atoms import Unpersistable
from .banana import DIALECTS, FLOAT, LIST, STRING, Dialect, Framer, read_item, skip_item
from .decoder import Decoder, head
from .encoder import Encoder
from .errors import RemoteProtocolError
from .limits import Limits
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


def _find(dialect: str) -> Dialect:
    found = DIALECTS.get(dialect)
    if found is None:
        raise ValueError(f"there is no dialect {dialect!r}")
    return found


def dumps(obj: Any, dialect: str = "pb") -> bytes:
    """Give the bytes of a value. Raises InsecureJelly and LimitExceeded."""
    encoder = Encoder(_find(dialect), Limits(), NullExporter())
    encoder.unit(obj, "value")
    return encoder.take()


def loads(data: bytes, dialect: str = "pb", registry: Registry | None = None) -> Any:
    """Give the value that `data` is, the whole of it.

    Raises RemoteProtocolError, InsecureJelly and LimitExceeded, the limits being those of
    `Limits()`.
    """
    chosen, limits = _find(dialect), Limits()
    framer = Framer(chosen, limits)
    framer.feed(data)
    message = framer.next_message()
    if message is None:
        raise RemoteProtocolError("the value is not complete")
    if framer.buffered:
        raise RemoteProtocolError("there is more behind the value")
    registry = Registry() if registry is None else registry
    return Decoder(message, chosen, limits, registry, NullImporter()).value("value")


def carried(data: bytes, pos: int, dialect: Dialect) -> list[int | bytes]:
    """Give the id of every `['remote', id]` in the item at `pos`, as often as it is there.

    For what is not decoded, or not wholly: the other side has counted each of them. `data` has
    been through a Framer.
    """
    found: list[int | bytes] = []
    # Of each list that is not at its end: how many items are left, and whether they are the pairs
    # of a dictionary, which have no tag.
    stack: list[list[int]] = [[1, False]]
    while stack:
        top = stack[-1]
        if not top[0]:
            stack.pop()
            continue
        top[0] -= 1
        kind, n, pos = head(data, pos)
        if kind == STRING:
            pos += n
        elif kind == FLOAT:
            pos += 8
        elif kind == LIST:
            tag = b"" if top[1] or not n else _peek(data, pos, dialect)
            stack.append([n, tag == b"dictionary"])
            if tag == b"dictionary":
                # The tag is no pair.
                stack[-1][0] -= 1
                pos = skip_item(data, pos)
            elif tag == b"remote" and n > 1:
                luid = _peek(data, skip_item(data, pos), dialect)
                if luid is not None:
                    found.append(luid)
    return found


def _peek(data: bytes, pos: int, dialect: Dialect) -> Any:
    """Give the item at `pos` if it is an integer or a byte string, else None."""
    if head(data, pos)[0] in (LIST, FLOAT):
        return None
    return read_item(data, pos, dialect)[0]
