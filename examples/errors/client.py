"""Exceptions, the client: it calls a method that fails, and says what came back.

A class that this side does not know still tells its name and its text. A subclass of
`pellucid.Error` arrives as `pellucid.Error`, everything else as `pellucid.RemoteError`.
"""

import argparse

import pellucid
from examples.program import URL, run


async def main(url: str, method: str) -> None:
    async with pellucid.connect(url) as connection:
        try:
            await connection.root.call(method)
        except (pellucid.Error, pellucid.RemoteError) as error:
            kind = type(error)
            print("got remote Exception")
            print(f" .__class__ = {kind.__module__}.{kind.__qualname__}")
            # The labels are PB's own; here they are str(error) and error.remote_type.
            print(f" .getErrorMessage() = {error}")
            print(f" .type = {error.remote_type}")
        else:
            print("erm, it wasn't *supposed* to work..")
    print("Main loop terminated.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Call a method that fails.")
    parser.add_argument("url", nargs="?", default=URL, help=f"where the server is ({URL})")
    parser.add_argument("method", nargs="?", default="broken", choices=["broken", "broken2"])
    arguments = parser.parse_args()
    run(main(arguments.url, arguments.method))
