"""What a transport is and can do. Those of tests, and of a program's own, may lack most of it."""

from typing import Any

from twisted.internet.interfaces import INegotiated, ISystemHandle

__all__ = ["cut", "is_encrypted", "name_of_peer", "reactor_of", "send_without_delay", "set_reading"]


def reactor_of(transport: Any) -> Any:
    """Give the reactor of a real transport, None for one that is in memory only."""
    reactor = getattr(transport, "reactor", None)
    return reactor if reactor is not None and ISystemHandle.providedBy(transport) else None


def is_encrypted(transport: Any) -> bool:
    """Tell whether a transport is one of TLS."""
    return bool(INegotiated.providedBy(transport) or getattr(transport, "TLS", False))


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
