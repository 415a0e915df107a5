"""The loop of the background thread."""

import asyncio
import os
import selectors
from typing import Any

__all__ = ["Loop"]


class Loop(asyncio.SelectorEventLoop):
    """A loop that a forked process can leave behind without touching what it shares with it."""

    def __init__(self, background: Any) -> None:
        self.background = background
        self._watched = selectors.DefaultSelector()
        self._left = False
        super().__init__(self._watched)

    def leave(self, others: list[int]) -> None:
        """In a forked process: close its copies of the sockets, those that are not read included.

        As long as they are open the other sides hear of no end. The loop must not see to it: it
        would take the sockets of the parent's loop, which has the same epoll, out of that.
        """
        self._left = True
        sockets = {key.fd for key in self._watched.get_map().values()}
        null = os.open(os.devnull, os.O_RDWR)
        for number in sockets.union(others):
            # The number stays taken, because the socket object will close it once more.
            os.dup2(null, number, inheritable=False)
        os.close(null)
        self._watched.close()

    def __del__(self) -> None:
        if not self._left:
            super().__del__()
