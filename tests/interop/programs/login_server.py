"""Lets in users and whoever has no name, and prints who logs out."""

from typing import Any

from twisted.cred import checkers, portal
from zope.interface import implementer

from tests.interop.programs.spread import listen, pb, run


class Visitor(pb.Avatar):
    def __init__(self, name: str, mind: Any) -> None:
        self.name = name
        self.mind = mind

    def perspective_sign(self, number: int) -> str:
        print(f"{self.name} signs page {number}")
        return self.name

    def log_out(self) -> None:
        print(self.name, "logs out")
        if self.mind is None:
            return
        try:
            self.mind.callRemote("goodbye", self.name)
        except pb.DeadReferenceError:
            print(self.name, "is not there to hear it")


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        if pb.IPerspective not in interfaces:
            raise NotImplementedError
        name = "nobody" if avatarId is checkers.ANONYMOUS else avatarId.decode()
        visitor = Visitor(name, mind)
        return pb.IPerspective, visitor, visitor.log_out


realm: Any = Realm()
users: Any = checkers.InMemoryUsernamePasswordDatabaseDontUse(ann=b"one", ben=b"two")
anybody: Any = checkers.AllowAnonymousAccess()
gate = portal.Portal(realm)
gate.registerChecker(users)
gate.registerChecker(anybody)
listen(pb.PBServerFactory(gate))
run()
