"""How bytes arrive: whole, or cut anywhere, given or written into the receiver's own buffer."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

# So small that most strings do not fit.
ROOM = 48
_SIZES = (0, 1, 1, 2, 3, 5, 17, 100, 4096)


class Receiver(Protocol):
    """What takes bytes in either way."""

    def get_buffer(self) -> memoryview:
        """Give room."""

    def received(self, n: int, /) -> None:
        """Take what was put there."""


@dataclass(frozen=True)
class Arrival:
    """A way to arrive. Without a seed all comes at once."""

    seed: int | None = None
    in_place: bool = False

    def buffer(self) -> memoryview | None:
        """Give what the receiver is made with."""
        return memoryview(bytearray(ROOM)) if self.in_place else None

    def deliver(
        self,
        data: bytes,
        receiver: Receiver,
        feed: Callable[[bytes], None],
        then: Callable[[], bool],
    ) -> None:
        """Let `data` arrive, and after each piece call `then()`, until that says that it is over.

        Behind the last piece it is called even if nothing is left.
        """
        if self.seed is None:
            feed(data)
            then()
            return
        random = Random(self.seed)
        pos = 0
        while pos < len(data):
            size = min(random.choice(_SIZES), len(data) - pos)
            piece = data[pos : pos + size]
            if self.in_place:
                view = receiver.get_buffer()
                size = min(size, len(view))
                view[:size] = piece[:size]
                receiver.received(size)
            else:
                feed(piece)
            pos += size
            if then():
                return
