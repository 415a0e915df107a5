"""An object of the client's, the client: it lends the server an object of its own."""

import pellucid
from examples.program import run, server_url


class Two(pellucid.Referenceable):
    def remote_print(self, arg: object) -> None:
        print("Two.print() called with", arg)


async def main(url: str) -> None:
    async with pellucid.connect(url) as connection:
        one = connection.root
        print("got One:", one)
        print("giving it our two")
        await one.call("takeTwo", Two())


if __name__ == "__main__":
    run(main(server_url()))
