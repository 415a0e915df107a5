"""Has one avatar for each user, however often that logs in, which is twice at most at a time."""

from typing import Any

from twisted.cred import checkers, portal
from zope.interface import implementer

from tests.interop.programs.spread import listen, pb, run


class Greeter(pb.Avatar):
    def __init__(self, name: str) -> None:
        self.name = name
        self.greetings = 0
        self.logins = 0

    def log_in(self) -> None:
        self.logins += 1
        print(self.name, "is here", self.logins, "times")

    def log_out(self) -> None:
        self.logins -= 1
        print(self.name, "is here", self.logins, "times")

    def perspective_greet(self) -> str:
        self.greetings += 1
        return f"welcome number {self.greetings}"


@implementer(portal.IRealm)
class Realm:
    def __init__(self, most: int) -> None:
        self.avatars: dict[bytes, Greeter] = {}
        self.most = most

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        assert pb.IPerspective in interfaces
        avatar = self.avatars.setdefault(avatarId, Greeter(avatarId.decode()))
        if avatar.logins >= self.most:
            raise ValueError("too many of you")
        avatar.log_in()
        return pb.IPerspective, avatar, avatar.log_out


realm: Any = Realm(2)
users: Any = checkers.InMemoryUsernamePasswordDatabaseDontUse(ann=b"pass")
listen(pb.PBServerFactory(portal.Portal(realm, [users])))
run()
