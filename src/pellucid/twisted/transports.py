"""What a transport is and can do. Those of tests, and of a program's own, may lack most of it."""

from typing import Any, Final

from twisted.internet.interfaces import INegotiated, ISystemHandle
from twisted.internet.tcp import Connection

__all__ = [
    "cut",
    "is_encrypted",
    "is_plain_socket",
    "name_of_peer",
    "reactor_of",
    "send_now",
    "send_without_delay",
    "set_reading",
]

# What `send_now` looks at. None of it is promised by Twisted.
_LOOKED_AT: Final = (
    "_aborting",
    "_tempDataLen",
    "_writeDisconnecting",
    "dataBuffer",
    "disconnecting",
    "producer",
    "streamingProducer",
    "TLS",
    "writeSomeData",
)


def reactor_of(transport: Any) -> Any:
    """Give the reactor of a real transport, None for one that is in memory only."""
    reactor = getattr(transport, "reactor", None)
    return reactor if reactor is not None and ISystemHandle.providedBy(transport) else None


def is_encrypted(transport: Any) -> bool:
    """Tell whether a transport is one of TLS."""
    return bool(INegotiated.providedBy(transport) or getattr(transport, "TLS", False))


def is_plain_socket(transport: Any) -> bool:
    """Tell whether `send_now` can be used: it is a socket of Twisted's own, and writes as such."""
    kind = type(transport)
    return (
        isinstance(transport, Connection)
        and kind.write is Connection.write
        and kind.doWrite is Connection.doWrite
        # Not by a look at its attributes, which would make a dict of them.
        and getattr(transport.write, "__func__", None) is kind.write
        and all(hasattr(transport, name) for name in _LOOKED_AT)
    )


def send_now(transport: Any, data: Any) -> int:
    """Send as much of the data as the system takes at once, and tell how much that is.

    It is nothing as long as anything else is to leave first, or the transport is ending; there is
    `write` then. It is nothing as well if the connection turns out to be lost. The reactor finds
    that too when it writes, and ends the connection in an iteration of its own.
    """
    if (
        transport._tempDataLen
        or transport.dataBuffer
        or not transport.connected
        or transport.disconnecting
        or transport._writeDisconnecting
        or transport._aborting
        or transport.TLS
        # Who is asked for more when all has left would not be asked.
        or not (transport.producer is None or transport.streamingProducer)
    ):
        return 0
    sent = transport.writeSomeData(data)
    return sent if type(sent) is int and sent > 0 else 0


def send_without_delay(transport: Any) -> None:
    """Have what is written sent at once, not when what was sent before is acknowledged."""
    try:
        transport.setTcpNoDelay(True)
    except (AttributeError, OSError):
        pass  # It is not TCP, or gone already.


def set_reading(transport: Any, reading: bool) -> None:
    """Stop reading, or go on with it."""
    if getattr(transport, "disconnecting", False):
        return
    change = getattr(transport, "resumeProducing" if reading else "pauseProducing", None)
    if change is not None:
        change()


def cut(transport: Any) -> None:
    """Close at once, whatever is still to be sent."""
    (getattr(transport, "abortConnection", None) or transport.loseConnection)()


def name_of_peer(transport: Any) -> str:
    """Give the address of the other side for a log."""
    peer = transport.getPeer()
    host = getattr(peer, "host", None)
    return str(peer) if host is None else f"{host}:{peer.port}"
