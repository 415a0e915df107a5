"""An object of the client's, the server: it calls whatever it is given."""

import pellucid
from examples.program import listen_url, run


class One(pellucid.Root):
    async def remote_takeTwo(self, two: pellucid.RemoteReference) -> None:
        print("received a Two called", two)
        print("telling it to print(12)")
        await two.call("print", 12)


async def main(url: str) -> None:
    async with pellucid.serve(One(), url) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(listen_url()))
