"""What `make demo` shows: a quote server in one process, and its caller in another."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pellucid
from examples.program import run

HOME = Path(__file__).resolve().parent.parent
QUOTES = HOME / "examples" / "quotes" / "proverbs.txt"
# The whole demo takes a second or two.
PATIENCE = 60.0


class Failed(Exception):
    """Something in the demo did not go as it should."""


# The caller: what this file is when it runs as the second process.


async def one_call(root: pellucid.RemoteReference, name: str) -> None:
    print(f"call    {name}()")
    value = await root.call(name)
    print(f"answer  {name}()  ->  {value!r}")


async def caller(url: str) -> int:
    async with pellucid.connect(url) as connection:
        print(f"connected to {url}")
        root = connection.root
        await one_call(root, "nextQuote")
        print("three at once:")
        # Calls leave in the order in which they are made.
        await asyncio.gather(*(one_call(root, "nextQuote") for _ in range(3)))
        print("a method that is not there:")
        try:
            await one_call(root, "allQuotes")
        except pellucid.NoSuchMethod as error:
            print(f"error   allQuotes()  ->  {type(error).__name__}: {error}")
            return 0
    return 1


# The show: it starts both processes, and prints what they say.


# Dim, cyan, yellow.
COLOURS = {"demo": 2, "server": 36, "client": 33}


class Screen:
    """Prints who says what, in colour on a terminal."""

    def __init__(self, colours: Mapping[str, int] = COLOURS) -> None:
        self._colours = colours
        self._width = max(map(len, colours))
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, who: str, text: str) -> None:
        name = f"{who:>{self._width}}"
        if self._coloured:
            name = f"\033[{self._colours[who]}m{name}\033[0m"
        print(f"{name}  {text}")

    async def repeat(self, who: str, stream: asyncio.StreamReader) -> None:
        """Print each line of a stream as it comes."""
        async for line in stream:
            self.say(who, line.decode(errors="replace").rstrip())


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=HOME, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, process.stdout


async def find_url(screen: Screen, stream: asyncio.StreamReader) -> str:
    """Read what the server says until it says where to call it."""
    async for line in stream:
        text = line.decode().strip()
        screen.say("server", f"listening on {text}")
        if text.startswith("pb://"):
            return text
    raise Failed("the server did not start")


async def stop(process: asyncio.subprocess.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    return await process.wait()


async def show(screen: Screen) -> None:
    screen.say("demo", "starting a quote server on a free port of this machine")
    options = ["--port", "0", "--pb", "0", "--file", str(QUOTES), "--verbose"]
    server, heard = await start("examples.quotes.server", *options)
    try:
        url = await find_url(screen, heard)
        listening = asyncio.create_task(screen.repeat("server", heard))
        screen.say("demo", "calling it from another process")
        client, said = await start("examples.demo", "--caller", url)
        try:
            await screen.repeat("client", said)
            if await client.wait():
                raise Failed("the client failed")
        finally:
            await stop(client)
    finally:
        status = await stop(server)
    await listening
    # Where there is no SIGTERM, a process that is told to stop has no say in its status.
    if status and os.name == "posix":
        raise Failed(f"the server ended with {status}")
    screen.say("demo", "the server is stopped; that was all")


async def main() -> int:
    screen = Screen()
    try:
        async with asyncio.timeout(PATIENCE):
            await show(screen)
    except TimeoutError:
        screen.say("demo", "failed: it took too long")
        return 1
    except Failed as error:
        screen.say("demo", f"failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--caller", metavar="URL", help=argparse.SUPPRESS)
    option = parser.parse_args().caller
    run(caller(option) if option else main())
