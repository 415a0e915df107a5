"""A transport in memory that takes only so many bytes, and ends as it is told."""

import asyncio
from typing import Any, cast


class Wire(asyncio.Transport):
    """What a connection writes to and hears from. It takes `most` bytes, and then no more."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.most = most
        self.sent = bytearray()
        # How many bytes were written and have not left.
        self.held = 0
        self.over = False
        self._closing = False
        self._protocol: asyncio.BufferedProtocol | None = None

    def start(self, protocol: asyncio.BufferedProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    @property
    def protocol(self) -> asyncio.BufferedProtocol:
        assert self._protocol is not None
        return self._protocol

    # What the loop does.

    def feed(self, data: bytes) -> None:
        """Let bytes arrive, as much at a time as there is room for."""
        while data and not self._closing:
            buffer = cast(memoryview, self.protocol.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            data = data[size:]
            self.protocol.buffer_updated(size)

    def end(self) -> None:
        """The other side closes in an orderly way."""
        if not self.protocol.eof_received():
            self.close()

    def reset(self) -> None:
        """The connection breaks."""
        self._lose(ConnectionResetError("it broke"))

    def _lose(self, error: Exception | None) -> None:
        if not self.over:
            self.over = self._closing = True
            self.protocol.connection_lost(error)

    # What the connection does.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.held

    def write(self, data: Any) -> None:
        room = len(data) if self.most is None else self.most - len(self.sent)
        self.sent += data[:room]
        self.held += len(data[room:])

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        # With something unsent it would wait; here who closes has lost already.
        self.abort()

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lose, None)

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
