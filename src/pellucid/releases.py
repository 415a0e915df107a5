"""What is owed to the other side: a message for each occurrence of what went away here.

Both tables of what is held share it. Finalizers report to it from any thread, at any time.
(Wire document, sections 9 and 11.)
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Protocol

from .errors import InsecureJelly
from .limits import Limits

__all__ = ["Debt", "Gone", "Received", "Releases"]

Debt = int | bytes | tuple[int | bytes]
"""The id of an object; as a tuple the id of a cache."""


class _Owner(Protocol):
    def wake(self) -> None:
        """Tell that there is something to release."""


class Gone(Protocol):
    """What reports that something went away."""

    def settle(self) -> None:
        """Note what is owed for it."""


class Received(Protocol):
    """What came in with the message that is being read."""

    def refuse(self) -> None:
        """The message is refused: this occurrence does not count."""


class Releases:
    """The occurrences to release, and what waits to be looked at for more of them.

    `owner.wake()` is called from whatever thread something goes away in, once until `take` is
    called. What is in `gone` has not been looked at, and `owed` is what is to be released.
    `received` is what the message that is being read counts so far. All three are made when
    something is taken in, or owed: most connections never need them.
    """

    __slots__ = ("_awake", "_limits", "_open", "_owner", "gone", "owed", "received")

    def __init__(self, limits: Limits, owner: _Owner) -> None:
        self._limits = limits
        self._owner = owner
        self.gone: deque[Gone] | tuple[()] = ()
        self.owed: OrderedDict[Debt, int] | None = None
        self._awake = False
        self._open = True
        self.received: list[Received] | tuple[()] = ()

    def use(self, limits: Limits) -> None:
        """Hold to these limits from now on."""
        self._limits = limits

    def report(self, gone: Gone) -> None:
        """Something went away.

        Any thread, at any time, also inside of the other methods here: append, and no more.
        """
        if self._open:
            self.gone.append(gone)  # type: ignore[union-attr]
            if not self._awake:
                self.wake()

    def wake(self) -> None:
        """Tell that there is something to take."""
        # Looked up first: as long as this is open there is one.
        owner = self._owner
        if not self._awake and self._open:
            self._awake = True
            owner.wake()

    def settle(self) -> None:
        """Note what is owed for all that went away."""
        while self.gone:
            self.gone.popleft().settle()

    def owe(self, debt: Debt, count: int) -> None:
        """Note that so many occurrences are to be released."""
        owed = self.owed
        if owed is None:
            fresh: OrderedDict[Debt, int] = OrderedDict()
            # A finalizer may have run meanwhile.
            owed = self.owed = fresh if self.owed is None else self.owed
        owed[debt] = owed.get(debt, 0) + count

    def commit(self) -> None:
        """The message is read: each occurrence is released when its holder goes."""
        if self.received:
            self.received = ()

    def take_in(self, one: Received) -> None:
        """Count something that came with the message that is being read."""
        received = self.received
        if received == ():
            received = self.received = []
        received.append(one)  # type: ignore[union-attr]

    def check(self) -> None:
        """Get ready to take in something new, of which `report` will tell.

        Raises InsecureJelly if the connection is over: nothing more is taken in.
        """
        if not self._open:
            raise InsecureJelly("the connection of this message has ended")
        if self.gone == ():
            self.gone = deque()

    def refuse(self, carried: Sequence[Debt]) -> None:
        """The message is refused: release every occurrence that it carried, read or not."""
        for one in self.received:
            one.refuse()
        self.received = ()
        if not self._open:
            return
        # What went away before is released before.
        self.settle()
        for debt in carried:
            self.owe(debt, 1)
        if carried:
            self.wake()

    def take(self, most: int) -> list[Debt]:
        """Give what to release now, once for each message that is due, at most `most`.

        What went away first comes first.
        """
        self._awake = False
        self.settle()
        taken: list[Debt] = []
        while self.owed and len(taken) < most:
            debt, count = self.owed.popitem(last=False)
            now = min(count, most - len(taken))
            taken.extend([debt] * now)
            if count > now:
                self.owed[debt] = count - now
                self.owed.move_to_end(debt, last=False)
        return taken

    @property
    def owes(self) -> bool:
        """Tell whether there is anything to release."""
        return bool(self.gone or self.owed)

    @property
    def has_room(self) -> bool:
        """Tell whether no more ids wait to be released than may be held."""
        return self.owed is None or len(self.owed) < self._limits.references_held

    def leave(self) -> None:
        """Forget the owner, behind `clear`."""
        gone: Any = None
        self._owner = gone

    def clear(self) -> None:
        """The connection is over: nothing is owed any more."""
        self._open = False
        self.settle()
        self.owed = None
        self.received = ()
