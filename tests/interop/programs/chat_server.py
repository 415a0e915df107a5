"""A chat in groups: each user is a perspective, and sees a group with eyes of its own."""

from typing import Any

from twisted.cred import checkers, portal
from zope.interface import implementer

from tests.interop.programs.spread import listen, pb, run

USERS = {"alice": b"ribbit", "bob": b"quack"}


class Rude(pb.Error):
    """What nobody wants to read."""


class User(pb.Avatar):
    def __init__(self, name: str, mind: Any, chat: "Chat") -> None:
        self.name = name
        self.mind = mind
        self.chat = chat

    def perspective_joinGroup(self, name: str, *, size: int) -> "Group":
        return self.chat.groups.setdefault(name, Group(name, size))

    def send(self, text: str) -> None:
        self.mind.callRemote("print", text, pbanswer=False)

    def leave(self) -> None:
        print(self.name, "left")
        for group in self.chat.groups.values():
            group.remove(self)


class Card(pb.Copyable):
    """Written for whoever it is sent to."""

    def getStateToCopyFor(self, perspective: Any) -> dict[str, str]:
        return {"reader": perspective.name}


class Group(pb.Viewable):
    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.users: list[User] = []

    def remove(self, user: User) -> None:
        self.users.remove(user)
        self.tell(f"{user.name} left {self.name}")

    def tell(self, text: str) -> None:
        for user in self.users:
            user.send(text)

    def view_enter(self, user: User) -> None:
        self.users.append(user)
        if len(self.users) == self.size:
            self.tell(f"{self.name} is complete")

    def view_send(self, user: User, text: str) -> int:
        if "fool" in text:
            raise Rude("don't say that word")
        print(user.name, "sends", text)
        self.tell(f"<{user.name}> {text}")
        return len(self.users)

    def view_card(self, user: User) -> tuple[str, Card]:
        return self.name, Card()


class Chat:
    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}


@implementer(portal.IRealm)
class ChatRealm:
    def __init__(self) -> None:
        self.chat = Chat()

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        assert pb.IPerspective in interfaces
        user = User(avatarId.decode(), mind, self.chat)
        return pb.IPerspective, user, user.leave


checker: Any = checkers.InMemoryUsernamePasswordDatabaseDontUse(**USERS)
realm: Any = ChatRealm()
listen(pb.PBServerFactory(portal.Portal(realm, [checker])))
run()
