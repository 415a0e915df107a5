"""A server that says who comes and goes, a line each, and does what its input says."""

import argparse
import asyncio
import logging
import resource
import sys
from typing import Any

import uvloop

import pellucid
from pellucid import Connection, Limits

LARGE = b"x" * 600_000


def say(*words: object) -> None:
    print(*words, flush=True)


class User(pellucid.Avatar):
    def __init__(self, name: str, mind: Any) -> None:
        self.name = name
        self.mind = mind

    def perspective_echo(self, value: Any) -> Any:
        return value

    async def perspective_wait(self) -> None:
        say("waits", self.name)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            say("cancelled", self.name)

    def logout(self) -> None:
        say("out", self.name)


class Hall(pellucid.Portal):
    """Lets everybody in, and says so."""

    def __init__(self) -> None:
        self.users: list[User] = []
        super().__init__(self, [pellucid.Anonymous()])

    def root_for(self, connection: Connection) -> Any:
        # It is not whole yet.
        loop = asyncio.get_running_loop()
        loop.call_soon(connection.on_close, lambda reason: say("end", kind(reason)))
        return super().root_for(connection)

    def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        self.users.append(User(f"guest{len(self.users)}", mind))
        say("in", self.users[-1].name)
        return self.users[-1]


class Echo(pellucid.Root):
    """For those who do not log in."""

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_fail(self) -> None:
        raise ValueError("this is logged")


def kind(error: BaseException | None) -> str:
    return type(error).__name__


async def flood(mind: Any) -> None:
    """Send more than any system takes for somebody who does not read."""
    try:
        for _ in range(40):
            mind.notify("hear", LARGE)
    except pellucid.DeadReferenceError:
        pass


async def obey(server: pellucid.Server, hall: Hall) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    asking: set[asyncio.Future[Any]] = set()
    while line := (await reader.readline()).decode().strip():
        if line == "connections":
            say("connections", len(server.connections))
        elif line == "flood":
            await flood(hall.users[-1].mind)
            say("flooded")
        else:
            call = hall.users[-1].mind.call("hear", line)
            call.add_done_callback(lambda call: say("heard", call.exception() or call.result()))
            asking.add(call)
            say("asked")


async def main(options: argparse.Namespace) -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    limits = Limits(stall_time=options.stall_time)
    hall = Hall()
    root: Any = Echo() if options.open else hall
    async with pellucid.serve(root, "pb://127.0.0.1:0", limits=limits) as server:
        if options.files:
            # Those that it has already, and so many more.
            with open("/dev/null", "rb") as file:
                lowest = file.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + options.files,) * 2)
        say(server.url)
        await obey(server, hall)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--open", action="store_true", help="serve a root in place of a portal")
    parser.add_argument("--stall-time", type=float, default=60.0)
    parser.add_argument("--files", type=int, default=0, help="how many more it may open")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = parser.parse_args()
    factories = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    with asyncio.Runner(loop_factory=factories[options.loop]) as runner:
        runner.run(main(options))
