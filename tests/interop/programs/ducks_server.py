"""Has a pond that two clients watch. When both do, a duck comes; when one leaves, another."""

from twisted.internet import defer

from tests.interop.programs.ducks import DuckPond
from tests.interop.programs.spread import listen, pb, run


class Keeper(pb.Root):
    def __init__(self, pond: DuckPond) -> None:
        self.pond = pond
        self.ready = 0

    def remote_getPond(self, place: str) -> "DuckPond | defer.Deferred[DuckPond]":
        if place == "first":
            return self.pond
        turn: defer.Deferred[DuckPond] = defer.Deferred()
        self.pond.watched.addCallback(lambda _: turn.callback(self.pond))
        return turn

    def remote_ready(self) -> None:
        self.ready += 1
        if self.ready == 2:
            self.pond.add("goose")

    def remote_left(self) -> "defer.Deferred[None]":
        """Answer when somebody has left."""
        return self.pond.left


listen(pb.PBServerFactory(Keeper(DuckPond(["mallard", "teal"]))))
run()
