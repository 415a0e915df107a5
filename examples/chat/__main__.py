"""A chat that types by itself: a server and three members, each a process, and one is killed."""

import asyncio
import contextlib
import sys

from examples.chat.server import MEMBERS
from examples.demo import HOME, PATIENCE, Failed, Screen
from examples.program import run

# Dim, cyan, green, yellow, magenta.
COLOURS = {"chat": 2, "server": 36, "ann": 32, "bob": 33, "cat": 35}


class Player:
    """A program of the chat: it is typed to, and what it says is shown."""

    def __init__(self, screen: Screen, who: str) -> None:
        self._screen = screen
        self._who = who
        self._process: asyncio.subprocess.Process | None = None
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    async def start(self, *arguments: str) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, cwd=HOME, stdin=pipe, stdout=pipe
        )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for data in process.stdout:
            line = data.decode(errors="replace").rstrip()
            self._screen.say(self._who, line)
            self._lines.put_nowait(line)
        self._lines.put_nowait("")

    async def join(self, url: str, first: str) -> None:
        """Start a client, log in, and wait until it says that it is in the room."""
        await self.start("examples.chat.client", self._who, url)
        self._write(MEMBERS[self._who])
        await self.hears(first)

    def types(self, text: str) -> None:
        self._screen.say(self._who, f"> {text}")
        self._write(text)

    def _write(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    async def hears(self, text: str) -> str:
        """Wait for a line with this text, and give that line."""
        while line := await self._lines.get():
            if text in line:
                return line
        raise Failed(f"{self._who} never heard {text!r}")

    async def ends(self) -> int:
        assert self._process is not None
        assert self._listening is not None
        await self._listening
        return await self._process.wait()

    async def kill(self) -> None:
        """End it as a crash would: it has no chance to say goodbye."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ends()


async def play(screen: Screen, server: Player, ann: Player, bob: Player, cat: Player) -> None:
    await server.start("examples.chat.server", "--listen", "pb://127.0.0.1:0")
    url = await server.hears("pb://")
    await ann.join(url, "* lobby: ann")
    await bob.join(url, "* lobby: ann, bob")
    await ann.hears("* bob is here")
    ann.types("hello, bob")
    await asyncio.gather(*(one.hears("ann: hello, bob") for one in (ann, bob)))
    screen.say("chat", "cat comes later; what was said is part of what she is sent")
    await cat.join(url, "* lobby: ann, bob, cat")
    await cat.hears("ann: hello, bob")
    await asyncio.gather(*(one.hears("* cat is here") for one in (ann, bob)))
    bob.types("/whisper cat pst")
    await cat.hears("bob whispers: pst")
    screen.say("chat", "bob's process is killed")
    await bob.kill()
    await asyncio.gather(*(one.hears("* bob has left") for one in (ann, cat)))
    cat.types("/who")
    await cat.hears("* here: ann, cat")
    ann.types("/quit")
    await cat.hears("* ann has left")
    cat.types("/quit")
    for one in (ann, cat):
        if await one.ends():
            raise Failed("a client failed")
    await server.hears("cat has left")


async def main() -> int:
    screen = Screen(COLOURS)
    players = [Player(screen, who) for who in COLOURS if who != "chat"]
    try:
        async with asyncio.timeout(PATIENCE):
            await play(screen, *players)
    except TimeoutError:
        screen.say("chat", "failed: it took too long")
        return 1
    except Failed as error:
        screen.say("chat", f"failed: {error}")
        return 1
    finally:
        for player in players:
            await player.kill()
    screen.say("chat", "that was all")
    return 0


if __name__ == "__main__":
    run(main())
