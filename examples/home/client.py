"""A reference comes home, the client: it hands a reference back to where it came from."""

import pellucid
from examples.program import run, server_url


async def main(url: str) -> None:
    async with pellucid.connect(url) as connection:
        one = connection.root
        print("got one object:", one)
        print("asking it to getTwo")
        two = await one.call("getTwo")
        print("got two object:", two)
        print("giving it back to one")
        print("one is", one)
        await one.call("checkTwo", two)


if __name__ == "__main__":
    run(main(server_url()))
