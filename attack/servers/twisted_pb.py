"""Twisted's Perspective Broker, as its own documentation sets it up."""

import sys
from typing import Any

from twisted.cred import checkers, portal
from twisted.internet import defer, reactor
from twisted.python import log
from twisted.spread import pb
from zope.interface import implementer

from attack.servers import PASSWORD, USER
from attack.servers.methods import Echo, Methods

_reactor: Any = reactor


class Item(pb.Copyable, pb.RemoteCopy):
    """A copy."""

    typeToCopy = b"app.Item"

    def __init__(self, n: int = 0) -> None:
        self.n = n


class Stock(pb.Cacheable):
    """A cache of the server's."""

    typeToCopy = b"app.Stock"

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        return {"price": 1}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        pass


class StockCopy(pb.RemoteCache):
    """A cache of a client's."""

    def observe_put(self, value: object) -> None:
        pass


class Thing(Echo, pb.Referenceable):
    """An object of the server's."""


class Service(Methods, pb.Root):
    """What everybody may call."""

    def remote_make(self) -> Thing:
        return Thing()

    def remote_item(self) -> Item:
        return Item(7)

    def remote_quote(self) -> Stock:
        return Stock()

    def remote_wait(self, value: object = None) -> Any:
        return defer.Deferred()

    def remote_call_back(self, target: Any) -> Any:
        return target.callRemote("ping")


class User(pb.Avatar):
    """Who has logged in."""

    def perspective_echo(self, value: object) -> object:
        return value


@implementer(portal.IRealm)
class Realm:
    """Gives the avatars."""

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        return pb.IPerspective, User(), lambda: None


def serve() -> None:
    log.startLogging(sys.stderr, setStdout=False)
    pb.setUnjellyableForClass("app.Item", Item)
    pb.setUnjellyableForClass("app.Stock", StockCopy)
    users = checkers.InMemoryUsernamePasswordDatabaseDontUse()
    users.addUser(USER, PASSWORD)
    # Its interfaces have no types.
    login = portal.Portal(Realm(), [users])  # type: ignore[arg-type, list-item]
    ports = [
        _reactor.listenTCP(0, pb.PBServerFactory(root), interface="127.0.0.1")
        for root in (Service(), login)
    ]
    print(*(port.getHost().port for port in ports), flush=True)
    _reactor.run()
