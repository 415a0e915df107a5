"""The catalogue, the server: guests may look, users with a password may also write notes."""

import argparse
from dataclasses import replace
from pathlib import Path

import pellucid
from examples.catalogue.entry import Entry, Refused
from examples.program import URL, run

LONGEST = 200


class User(pellucid.Avatar):
    """Who calls: a user who has logged in, or a guest."""

    def __init__(self, catalogue: "Catalogue", name: str | None) -> None:
        self.name = name or "a guest"
        self.may_edit = name is not None
        self._catalogue = catalogue

    def perspective_catalogue(self) -> "Catalogue":
        return self._catalogue


class Catalogue(pellucid.Viewable):
    """One object for all. Each user has an own view of it: every method is told who calls."""

    def __init__(self, folder: Path) -> None:
        self._entries = {
            path.name: Entry(path.name, path.stat().st_size, path=str(path))
            for path in sorted(folder.iterdir())
            if path.is_file()
        }

    def view_list(self, user: User) -> list[Entry]:
        log("list")
        return list(self._entries.values())

    def view_note(self, user: User, name: object, note: object) -> Entry:
        # A client may send anything.
        if not user.may_edit:
            raise Refused("guests may look, and not write")
        if not isinstance(name, str) or name not in self._entries:
            raise Refused(f"there is no {name}")
        if not isinstance(note, str) or len(note) > LONGEST:
            raise Refused(f"a note is a text of up to {LONGEST} characters")
        log(f"note {name}")
        self._entries[name] = entry = replace(self._entries[name], note=note)
        return entry


def log(what: str) -> None:
    """Say who does what. Nobody needs to pass the user on to here."""
    print(f"{pellucid.current_call().perspective.name}: {what}")


class Realm:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def request_avatar(self, avatar_id: str | None, mind: object) -> User:
        return User(self._catalogue, avatar_id)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, help="the folder whose files are shown")
    add("--listen", metavar="URL", default=URL, help="port 0 takes a free one")
    add("--users", metavar="FILE", help="made by `pellucid passwd`; without it all are guests")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    checkers: list[pellucid.Checker] = [pellucid.Anonymous()]
    if options.users:
        checkers.append(pellucid.PasswordFile(options.users))
    portal = pellucid.Portal(Realm(Catalogue(options.folder)), checkers)
    async with pellucid.serve(portal, options.listen) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(arguments()))
