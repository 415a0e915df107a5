"""What connections and servers of the background thread have in common: others wait for the end."""

from .thread import Background, running
from .waiter import Waiter

__all__ = ["Lasting"]


class Lasting:
    """What keeps the background thread alive to its end, of which it tells whoever waits for it.

    It stands behind a class of the asyncio face, which closes it.
    """

    patience: float = 0.0
    background: Background
    _closers: list[Waiter]
    _told: bool

    def _begin_use(self) -> None:
        self.background = running()
        self._closers = []
        self._told = False

    def close(self) -> None:
        """Begin to close it."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close it at once."""
        self.close()

    def sockets(self) -> list[int]:
        """Nothing: what listens is read from all the time, and connections know theirs."""
        return []

    def begin_wait(self, waiter: Waiter) -> None:
        """Tell when nothing of it is left."""
        if self._told:
            waiter.set_result(None)
        else:
            self._closers.append(waiter)

    def begin_close(self, waiter: Waiter) -> None:
        """Close it, and tell when nothing of it is left."""
        self.close()
        self.begin_wait(waiter)

    def _tell_end(self) -> None:
        self._told = True
        # First, so that whoever waited knows whether the thread ends.
        self.background.remove_user(self)
        for waiter in self._closers:
            waiter.set_result(None)
