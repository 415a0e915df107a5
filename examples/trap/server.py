"""Four calls, the server: one method that may raise, and one that stops it all."""

import asyncio

import pellucid
from examples.program import listen_url, run


class MyException(pellucid.Error):
    """The client has a class of this name too, and catches it."""


class One(pellucid.Root):
    def __init__(self) -> None:
        self.told_to_stop = asyncio.Event()

    def remote_fooMethod(self, arg: object) -> str:
        if arg == "panic!":
            raise MyException
        return "response"

    def remote_shutdown(self) -> None:
        self.told_to_stop.set()


async def main(url: str) -> None:
    one = One()
    async with pellucid.serve(one, url) as server:
        print(server.url)
        await one.told_to_stop.wait()


if __name__ == "__main__":
    run(main(listen_url()))
