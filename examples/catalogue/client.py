"""The catalogue, the client: shows the entries, after writing a note to one of them if asked to."""

import argparse

import pellucid
from examples.catalogue.entry import Entry, Refused, registry
from examples.program import URL, password, run


async def main(options: argparse.Namespace) -> int:
    secret = password(options.user) if options.user else ""
    async with pellucid.connect(options.url, registry=registry) as connection:
        if options.user:
            me = await connection.login(options.user, secret)
        else:
            me = await connection.login_anonymous()
        catalogue = await me.call("catalogue")
        if options.note:
            try:
                await catalogue.call("note", *options.note)
            except Refused as refused:
                print("refused:", refused)
                return 1
        for entry in await catalogue.call("list"):
            show(entry)
    return 0


def show(entry: Entry) -> None:
    print(f"{entry.name:<12} {entry.size:>6}", *filter(None, [entry.note, entry.path]), sep="  ")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("url", nargs="?", default=URL, help=f"where the server is ({URL})")
    add("--user", metavar="NAME", help="log in with a password; without it you are a guest")
    add("--note", nargs=2, metavar=("FILE", "TEXT"), help="write a note to an entry")
    return parser.parse_args()


if __name__ == "__main__":
    run(main(arguments()))
