"""A reference comes home, the server: it gets back the very object that it gave out."""

import pellucid
from examples.program import listen_url, run


class Two(pellucid.Referenceable):
    def remote_print(self, arg: object) -> None:
        print("two.print was given", arg)


class One(pellucid.Root):
    def __init__(self, two: Two) -> None:
        self.two = two

    def remote_getTwo(self) -> Two:
        print("One.getTwo(), returning my two called", self.two)
        return self.two

    def remote_checkTwo(self, two: Two) -> None:
        print("One.checkTwo(): comparing my two", self.two)
        print("One.checkTwo(): against your two", two)
        if two is self.two:
            print("One.checkTwo(): our twos are the same")


async def main(url: str) -> None:
    async with pellucid.serve(One(Two()), url) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(listen_url()))
