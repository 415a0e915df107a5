"""The chat, the server: it has the rooms, and an avatar for every member who has logged in."""

import argparse

import pellucid
from examples.chat.room import TAG, Refused
from examples.program import URL, run

# Who may come in, if no file says otherwise. It is an example: these are no secrets.
MEMBERS = {"ann": "apple", "bob": "banana", "cat": "cherry"}
LONGEST = 500
REMEMBERED = 20


class Room(pellucid.Cacheable, tag=TAG):
    """Who is here and what was said last. Every member's client has a copy, which follows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[str] = []
        self.said: list[tuple[str, str]] = []

    # A change, and then word of it to all copies. Between the two nothing is awaited.

    def enter(self, who: str) -> None:
        self.members.append(who)
        self.update("entered", who)

    def leave(self, who: str) -> None:
        self.members.remove(who)
        self.update("left", who)

    def say(self, who: str, text: str) -> None:
        self.said = [*self.said, (who, text)][-REMEMBERED:]
        self.update("said", who, text)


class Member(pellucid.Avatar):
    """What one login can do."""

    def __init__(self, hall: "Hall", name: str, mind: pellucid.RemoteReference) -> None:
        self.name = name
        self._hall = hall
        self._mind = mind
        self._rooms: list[Room] = []

    def perspective_join(self, name: str) -> Room:
        room = self._hall.room(_checked(name))
        if room not in self._rooms:
            self._rooms.append(room)
            room.enter(self.name)
        return room

    def perspective_say(self, room: Room, text: str) -> None:
        # The client sends its copy, and the room itself arrives. It might have sent anything.
        if room not in self._rooms:
            raise Refused("you are not in that room")
        room.say(self.name, _checked(text))

    async def perspective_whisper(self, to: str, text: str) -> None:
        _checked(text)
        try:
            for member in self._hall.called(to):
                await member._mind.call("whispered", self.name, text)
        except pellucid.ConnectionClosed:
            raise Refused(f"{to} has just left") from None

    def logout(self) -> None:
        """Called once, however the member went: by a word, a crash, or a cable that was cut."""
        for room in self._rooms:
            room.leave(self.name)
        self._hall.members.remove(self)
        print(f"{self.name} has left")


class Hall:
    """The realm: it makes the avatars. Also all rooms and all members."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._rooms: dict[str, Room] = {}

    def request_avatar(self, avatar_id: str | None, mind: object) -> Member:
        if avatar_id is None or not isinstance(mind, pellucid.RemoteReference):
            raise Refused("a member needs a name, and something that can be whispered to")
        member = Member(self, avatar_id, mind)
        self.members.append(member)
        print(f"{avatar_id} has come")
        return member

    def room(self, name: str) -> Room:
        return self._rooms.setdefault(name, Room(name))

    def called(self, name: str) -> list[Member]:
        found = [member for member in self.members if member.name == name]
        if not found:
            raise Refused(f"{name} is not here")
        return found


def _checked(text: object) -> str:
    """What a client sends may be anything."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        raise Refused(f"that is not a text of 1 to {LONGEST} characters")
    return text


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--listen", metavar="URL", default=URL, help="port 0 takes a free one")
    add("--users", metavar="FILE", help=f"made by `pellucid passwd` (without: {MEMBERS})")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    checker = pellucid.PasswordFile(options.users) if options.users else pellucid.InMemory(MEMBERS)
    async with pellucid.serve(pellucid.Portal(Hall(), [checker]), options.listen) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(arguments()))
