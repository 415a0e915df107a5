"""Quotes, the client: it prints one quote."""

import sys

import pellucid
from examples.program import run, server_url


async def main(url: str) -> int:
    try:
        async with pellucid.connect(url) as connection:
            quote = await connection.root.call("nextQuote")
    except (OSError, ValueError, pellucid.PBError) as error:
        print("Failed to obtain quote.")
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(quote)
    return 0


if __name__ == "__main__":
    run(main(server_url()))
