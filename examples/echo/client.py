"""Echo, the client: it makes one call and prints the answer."""

import pellucid
from examples.program import run, server_url


async def main(url: str) -> int:
    try:
        async with pellucid.connect(url) as connection:
            echo = await connection.root.call("echo", "hello network")
    except (OSError, ValueError, pellucid.PBError) as error:
        print(f"error: {error}")
        return 1
    print("server echoed:", echo)
    return 0


if __name__ == "__main__":
    run(main(server_url()))
