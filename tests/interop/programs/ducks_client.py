"""Watches a pond as the `first` or the `second`, and `stays`, `drops` it or `disconnects`.

Whoever does not stay leaves when it has seen the first duck come.
"""

from typing import Any

from twisted.internet import defer

from tests.interop.programs.ducks import WatchedPond
from tests.interop.programs.spread import WORDS, connect, finish, pb, run


class Watcher:
    def __init__(self) -> None:
        self.done: defer.Deferred[None] = defer.Deferred()

    def got_root(self, root: Any) -> None:
        self.root = root
        root.callRemote("getPond", WORDS[1]).addCallback(self.got_pond)

    def got_pond(self, pond: WatchedPond) -> None:
        print("cached:", ", ".join(pond.ducks))
        pond.noticed = self.noticed
        self.pond: WatchedPond | None = pond
        self.root.callRemote("ready")

    def noticed(self, duck: str) -> None:
        if WORDS[2] == "stays":
            if duck == "swan":
                self.done.callback(None)
        elif WORDS[2] == "disconnects":
            self.done.callback(None)
        elif self.pond is not None:
            self.pond = None
            self.root.callRemote("left").chainDeferred(self.done)


factory = pb.PBClientFactory()
connector = connect(factory)
watcher = Watcher()
factory.getRootObject().addCallback(watcher.got_root)
finish(watcher.done, connector)
run()
