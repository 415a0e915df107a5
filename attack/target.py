"""What an attack is given: somewhere to connect to, and an end."""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from attack import wire

_CHUNK = 65_536


class Over(Exception):
    """The time of the attack is up."""


class Cut(Exception):
    """The server has ended the connection."""


class Line:
    """One connection of an attacker. Nothing it does takes longer than the attack."""

    def __init__(self, target: "Target", sock: socket.socket) -> None:
        self._target = target
        self._sock = sock
        self._poll = select.poll()
        self.data = b""
        sock.setblocking(False)

    def _wait(self, events: int) -> int:
        self._poll.register(self._sock, events)
        found = self._poll.poll(self._target.left() * 1000)
        if not found:
            raise Over
        return found[0][1]

    def send(self, data: bytes, *, reading: bool = True) -> None:
        """Send all of it, and meanwhile throw away what comes, or do not read at all."""
        view = memoryview(data)
        while view:
            events = self._wait(select.POLLOUT | (select.POLLIN if reading else 0))
            if events & select.POLLIN:
                self._read()
                self.data = b""
            if events & select.POLLOUT:
                try:
                    sent = self._sock.send(view[: 16 * _CHUNK])
                except BlockingIOError:
                    continue
                except OSError:
                    raise Cut from None
                self._target.sent += sent
                view = view[sent:]
            elif not events & select.POLLIN:
                raise Cut

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            raise Cut from None
        if not data:
            raise Cut
        self.data += data

    def read(self, size: int = 1) -> bytes:
        """Wait for so many bytes, and give all that is there."""
        while len(self.data) < size:
            self._wait(select.POLLIN)
            self._read()
        data, self.data = self.data, b""
        return data

    def item(self) -> Any:
        """Read one item of PB."""
        while True:
            try:
                found, end = wire.parse(self.data)
            except wire.Short:
                self._wait(select.POLLIN)
                self._read()
            else:
                self.data = self.data[end:]
                return found

    def answer(self, request: int) -> Any:
        """Read up to the answer to this call; an error gives None."""
        while True:
            found = self.item()
            if found[:2] == [b"answer", request]:
                return found[2]
            if found[:2] == [b"error", request]:
                return None

    def stand(self) -> None:
        """Keep it until the end, and read nothing."""
        time.sleep(self._target.left())
        raise Over

    def drain(self) -> None:
        """Throw away what comes, until the end."""
        while True:
            self.read()

    def end(self) -> None:
        """Send no more, and still read."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            raise Cut from None

    def reset(self) -> None:
        """Go without a farewell."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """Go."""
        self._sock.close()

    # Whoever is cut off has no more use for it.
    __del__ = close


class Target:
    """The server that is attacked, and what was done to it."""

    def __init__(self, ports: Sequence[int], seconds: float) -> None:
        self.ports = ports
        self.end = time.monotonic() + seconds
        self.sent = 0
        self.cut = 0
        # They stay open when the attack has lost its grip on them.
        self.lines: list[Line] = []

    def left(self) -> float:
        """Give the time that is left. Raises Over at the end."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Over
        return left

    def connect(self, port: int = 0, *, narrow: bool = False) -> Line:
        """Open a connection; a narrow one takes little that is not read."""
        left = self.left()
        sock = socket.socket()
        try:
            if narrow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(left)
            sock.connect(("127.0.0.1", self.ports[port]))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            sock.close()
            raise Over from None
        except OSError:
            sock.close()
            raise Cut from None
        return Line(self, sock)

    def knock(self, port: int = 0) -> Line:
        """Begin a connection, and do not wait until the server has it."""
        self.left()
        sock = socket.socket()
        line = Line(self, sock)
        if sock.connect_ex(("127.0.0.1", self.ports[port])) not in (0, errno.EINPROGRESS):
            raise Cut
        return line

    def pb(self, port: int = 0, *, dialect: bytes = b"none", narrow: bool = False) -> Line:
        """Open a connection and agree on a dialect. At port 1 there is a portal."""
        line = self.connect(port, narrow=narrow)
        line.item()
        line.send(wire.item(dialect) + wire.item(wire.VERSION))
        return line

    def rest(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(min(seconds, self.left()))

    def hold(self, lines: Sequence[Line]) -> None:
        """Keep these until the end, and read nothing."""
        self.lines += lines
        time.sleep(self.left())
        raise Over


def many_files() -> None:
    """Allow this process as many open files as it may have."""
    if os.name == "posix":
        import resource  # noqa: PLC0415 - not on every system

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
