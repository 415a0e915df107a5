"""Quotes, the client: it prints one quote."""

import argparse
import sys
from typing import Any

from twisted.internet import endpoints, task

from pellucid.twisted import pb


async def main(reactor: Any, host: str, port: int) -> None:
    factory: Any = pb.PBClientFactory()
    try:
        await endpoints.TCP4ClientEndpoint(reactor, host, port).connect(factory)
        root = await factory.getRootObject()
        quote = await root.callRemote("nextQuote")
    # Nobody listens there, no PB is spoken there, or the quoter failed.
    except Exception as error:
        print("Failed to obtain quote.")
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(quote)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", nargs="?", type=int, default=pb.portno, help="(%(default)s)")
    parser.add_argument("--host", default="localhost", help="where the server is (%(default)s)")
    options = parser.parse_args()
    task.react(main, [options.host, options.port])
