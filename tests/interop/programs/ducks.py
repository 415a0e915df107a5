"""A pond that tells all who watch it of its ducks. Both sides import it."""

from typing import Any

from twisted.internet import defer
from twisted.python.failure import Failure

from tests.interop.programs.spread import pb


def gone(reason: Failure) -> None:
    """Whoever is gone needs no news."""
    reason.trap(pb.PBConnectionLost)


class DuckPond(pb.Cacheable):
    def __init__(self, ducks: list[str]) -> None:
        self.ducks = ducks
        self.observers: list[Any] = []
        self.watched: defer.Deferred[None] = defer.Deferred()
        self.left: defer.Deferred[None] = defer.Deferred()

    def add(self, duck: str) -> None:
        self.ducks.append(duck)
        for observer in self.observers:
            observer.callRemote("arrived", duck).addErrback(gone)

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> list[str]:
        self.observers.append(observer)
        print(len(self.observers), "watching")
        if not self.watched.called:
            self.watched.callback(None)
        return self.ducks

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        place = self.observers.index(observer)
        self.observers.remove(observer)
        print(f"the {'second' if place else 'first'} left, {len(self.observers)} watching")
        if self.observers:
            self.left.callback(None)
            self.add("swan")


class WatchedPond(pb.RemoteCache):
    """Keeps what it is told, and calls `noticed`, if it has one."""

    noticed: Any = None

    def setCopyableState(self, state: list[str]) -> None:
        self.ducks = state

    def observe_arrived(self, duck: str) -> None:
        self.ducks.append(duck)
        print("now there are", ", ".join(self.ducks))
        if self.noticed is not None:
            self.noticed(duck)


pb.setUnjellyableForClass(DuckPond, WatchedPond)
