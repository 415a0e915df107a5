"""Who gets into a server, and what all of its connections hold together."""

import socket
from collections.abc import Callable
from typing import Protocol

from ..errors import LimitExceeded
from ..limits import ServerLimits
from .timers import Seldom

__all__ = ["SHARE", "Entry", "Gate"]

# So many bytes a connection may hold that are not counted. A read that cuts a message leaves less
# than its transport buffers, so that small calls go on, whatever the others do.
SHARE = 64 * 1024
# So many file descriptors are left to the application, of few no more than a quarter.
_RESERVE = 64


class _Link(Protocol):
    def _give_up(self, error: LimitExceeded) -> None: ...


class Entry:
    """One connection that was let in. `charged` is what it holds above its share."""

    __slots__ = ("_ended", "_gate", "_key", "_link", "_number", "_opening", "charged")

    def __init__(self, gate: "Gate", key: bytes | str, number: int) -> None:
        self._gate = gate
        self._key = key
        self._number = number
        self._opening = True
        self._ended = False
        self._link: _Link | None = None
        self.charged = 0

    def opened(self) -> None:
        """The dialect is agreed, and who has to log in has done it."""
        if self._opening:
            self._opening = False
            self._gate.handshakes -= 1

    def hold(self, link: _Link, held: int) -> None:
        """Take note of what the connection holds.

        If that is too much for the server, the newest with more than its share is ended.
        """
        above = max(held - SHARE, 0)
        if above and abs(above - self.charged) < SHARE:
            return
        if self._number and not self._ended:
            self._link = link if above else None
            self._gate.charge(self, above)

    def leave(self) -> None:
        """The connection is gone."""
        if self._number:
            self._gate.charge(self, 0)
            self._gate.leave(self._key)
            self.opened()
            self._link = None
            self._number = 0

    @property
    def number(self) -> int:
        """Higher than that of all who came before, 0 of one that has left."""
        return self._number

    def end(self, error: LimitExceeded) -> None:
        """End the connection. Nothing is charged to it any more."""
        link, self._link = self._link, None
        self._ended = True
        if link is not None:
            link._give_up(error)


class Gate:
    """Counts connections, and refuses those that are too many."""

    def __init__(self, limits: ServerLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.connections = 0
        self.handshakes = 0
        self.total_bytes = 0
        self.addresses: dict[bytes | str, int] = {}
        self._charged: dict[Entry, None] = {}
        self._last = 0
        self._log = Seldom(clock)

    def enter(self, host: str, descriptor: int, name: Callable[[], str]) -> Entry | None:
        """Let somebody in from an IP address, or log why not. "" is an address that is exempt."""
        key = _key(host)
        why = self._refusal(key, descriptor)
        if why is not None:
            self._log.warning("%s: refused: %s", name(), why)
            return None
        self.connections += 1
        self.handshakes += 1
        if key:
            self.addresses[key] = self.addresses.get(key, 0) + 1
        self._last += 1
        return Entry(self, key, self._last)

    def _refusal(self, key: bytes | str, descriptor: int) -> str | None:
        limits = self.limits
        if self.connections >= limits.connections:
            return f"server_limits.connections is {limits.connections}"
        if self.handshakes >= limits.handshakes:
            return f"server_limits.handshakes is {limits.handshakes}"
        if self.addresses.get(key, 0) >= limits.connections_per_address:
            return f"server_limits.connections_per_address is {limits.connections_per_address}"
        most = _most_descriptors()
        if 0 < most <= descriptor + min(_RESERVE, most // 4):
            return f"file descriptor {descriptor} of {most} (RLIMIT_NOFILE); some are kept free"
        return None

    def short(self, name: str, error: OSError) -> None:
        """Log that somebody was turned away, as accepting failed."""
        self._log.warning("%s: somebody was turned away: %s", name, error.strerror)

    def leave(self, key: bytes | str) -> None:
        """Somebody from an address has gone."""
        self.connections -= 1
        left = self.addresses.get(key, 0) - 1
        if left > 0:
            self.addresses[key] = left
        else:
            self.addresses.pop(key, None)

    def charge(self, entry: Entry, above: int) -> None:
        """Charge what an entry holds above its share."""
        self._set(entry, above)
        most = self.limits.total_bytes
        while self.total_bytes > most:
            newest = max(self._charged, key=_number)
            error = LimitExceeded(
                f"too many bytes are held for all connections ({self.total_bytes}, and "
                f"server_limits.total_bytes is {most}); of those with more than their share this "
                "is the newest",
                limit="total_bytes",
                value=self.total_bytes,
                remote=True,
            )
            self._set(newest, 0)
            newest.end(error)

    def _set(self, entry: Entry, above: int) -> None:
        self.total_bytes += above - entry.charged
        entry.charged = above
        if above:
            self._charged[entry] = None
        else:
            self._charged.pop(entry, None)


def _number(entry: Entry) -> int:
    return entry.number


# How many file descriptors there may be, which can be changed at any time; below 0 without a limit.
try:
    import resource
except ImportError:  # pragma: no cover - a system that has no such limit

    def _most_descriptors() -> int:
        return -1

else:

    def _most_descriptors() -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _key(host: str) -> bytes | str:
    if ":" not in host:
        return host
    address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    # One of IPv4 in the clothes of IPv6 is one of IPv4.
    mapped = address.startswith(bytes(10) + b"\xff\xff")
    return socket.inet_ntop(socket.AF_INET, address[12:]) if mapped else address[:8]
