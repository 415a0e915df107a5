"""Echo, the server: its root object gives back what it was given."""

import pellucid
from examples.program import listen_url, run


class Echoer(pellucid.Root):
    def remote_echo(self, text: str) -> str:
        print("echoing:", text)
        return text


async def main(url: str) -> None:
    async with pellucid.serve(Echoer(), url) as server:
        print(server.url)
        await server.serve_forever()


if __name__ == "__main__":
    run(main(listen_url()))
