"""A second object, the server: the root object hands out another one."""

import pellucid
from examples.program import listen_url, run


class Two(pellucid.Referenceable):
    def remote_three(self, arg: object) -> None:
        print("Two.three was given", arg)


class One(pellucid.Root):
    def remote_getTwo(self) -> Two:
        two = Two()
        print("returning a Two called", two)
        return two


async def main(url: str) -> None:
    async with pellucid.serve(One(), url) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(listen_url()))
