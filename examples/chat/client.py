"""The chat, the client: what you type is said in the room. `/who`, `/whisper NAME TEXT`, `/quit`.

It uses the blocking face: this program waits for what is typed, and what the others say arrives on
threads of its own.
"""

import argparse
import sys
from collections.abc import Iterator

import pellucid
from examples.chat.room import TAG
from examples.program import URL, password, run_plain
from pellucid import blocking

registry = pellucid.Registry()


@registry.cache(TAG)
class RoomCopy(pellucid.RemoteCache):
    """The room as this client knows it."""

    name: str
    members: list[str]
    said: list[tuple[str, str]]

    def observe_entered(self, who: str) -> None:
        self.members.append(who)
        print(f"* {who} is here")

    def observe_left(self, who: str) -> None:
        self.members.remove(who)
        print(f"* {who} has left")

    def observe_said(self, who: str, text: str) -> None:
        print(f"{who}: {text}")


class Ear(pellucid.Referenceable):
    """The mind: what the server has of this client's."""

    def remote_whispered(self, who: str, text: str) -> None:
        print(f"{who} whispers: {text}")


def typed() -> Iterator[str]:
    for line in sys.stdin:
        text = line.strip()
        if text == "/quit":
            return
        if text:
            yield text


def obey(me: blocking.RemoteReference, room: RoomCopy, text: str) -> None:
    match text.split(maxsplit=2):
        case ["/who"]:
            print("* here:", ", ".join(room.members))
        case ["/whisper", to, whispered]:
            me.call("whisper", to, whispered)
        case _:
            me.call("say", room, text)


def main(options: argparse.Namespace) -> None:
    secret = password(options.name)
    with blocking.connect(options.url, registry=registry) as connection:
        me = connection.login(options.name, secret, mind=Ear())
        room = me.call("join", options.room)
        print(f"* {room.name}:", ", ".join(room.members))
        for who, text in room.said:
            print(f"{who}: {text}")
        for text in typed():
            try:
                obey(me, room, text)
            except pellucid.Error as error:
                print("*", error)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("name", help="yours: ann, bob or cat, if the server has no file of users")
    add("url", nargs="?", default=URL, help=f"where the server is ({URL})")
    add("--room", default="lobby", help="which room to join (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    run_plain(lambda: main(options))
