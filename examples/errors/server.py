"""Exceptions, the server: one method fails as expected, the other does not."""

import pellucid
from examples.program import listen_url, run


class MyError(pellucid.Error):
    """Callers are meant to see this one. The server says nothing about it."""


class MyError2(Exception):
    """This one is a surprise. The server logs it, with its traceback."""


class One(pellucid.Root):
    def remote_broken(self) -> None:
        text = "fall down go boom"
        print(f"raising a MyError exception with data '{text}'")
        raise MyError(text)

    def remote_broken2(self) -> None:
        text = "hadda owie"
        print(f"raising a MyError2 exception with data '{text}'")
        raise MyError2(text)


async def main(url: str) -> None:
    async with pellucid.serve(One(), url) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(listen_url()))
