"""Twisted's own jelly and banana, as a peer for the codec."""

from collections.abc import Sequence
from typing import Any

from twisted.persisted import crefutil
from twisted.spread import banana, jelly, pb


class Banana(banana.Banana):
    """One end of a connection whose dialect is agreed."""

    _encode: Any
    dataReceived: Any

    def __init__(self, dialect: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setPrefixLimit(64)  # type: ignore[no-untyped-call]
        self.currentDialect = dialect.encode()
        self.items: list[Any] = []

    def expressionReceived(self, item: Any) -> None:
        self.items.append(item)


def dumps(value: Any, dialect: str) -> bytes:
    parts: list[bytes] = []
    Banana(dialect)._encode(jelly.jelly(value), parts.append)
    return b"".join(parts)


class Copy(pb.RemoteCopy):
    """What every copy becomes."""

    def setCopyableState(self, state: Any) -> None:
        whole = state if isinstance(state, dict) else {"state": state}
        super().setCopyableState(whole)  # type: ignore[no-untyped-call]


def loads(data: bytes, dialect: str, tags: Sequence[str] = ()) -> Any:
    """Give the value. Twisted knows the tags of copies from then on, for the whole process."""
    for tag in tags:
        pb.setUnjellyableForClass(tag, Copy)
    peer = Banana(dialect)
    peer.dataReceived(data)
    (item,) = peer.items
    # With a broker, whatever it is, a copy is read as on a connection.
    return jelly.unjelly(item, invoker=object())


def placeholders(value: Any) -> list[Any]:
    """Find what Twisted left where it could not finish a value."""
    seen: dict[int, Any] = {}
    work = [value]
    while work:
        one = work.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, Copy):
            work += vars(one).values()
        elif isinstance(one, (list, tuple, dict, set, frozenset)):
            work += one
            if isinstance(one, dict):
                work += one.values()
    return [one for one in seen.values() if isinstance(one, crefutil.NotKnown)]
