"""A second object, the client: it gets a reference by a call, and calls what it refers to."""

import pellucid
from examples.program import run, server_url


async def main(url: str) -> int:
    try:
        connection = await pellucid.connect(url)
    except (OSError, ValueError, pellucid.PBError) as error:
        print("error getting first object", error)
        return 1
    async with connection:
        first = connection.root
        print("got first object:", first)
        print("asking it to getTwo")
        second = await first.call("getTwo")
        print("got second object:", second)
        print("telling it to do three(12)")
        await second.call("three", 12)
    return 0


if __name__ == "__main__":
    run(main(server_url()))
