"""Twisted's own jelly and banana, as a peer for the codec."""

from typing import Any

from twisted.spread import banana, jelly


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


def loads(data: bytes, dialect: str) -> Any:
    peer = Banana(dialect)
    peer.dataReceived(data)
    (item,) = peer.items
    return jelly.unjelly(item)
