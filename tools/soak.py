"""Let many clients come, do all there is to do, and die at random, and see that nothing is left.

One process is the server. Some others have the clients: they connect, log in, call, pass
references both ways, watch a cache, and die: orderly, by a reset, in the middle of an opening, of a
login, of a call, of a message. All of these processes but one are killed now and then, with all
their clients. After each tenth of the time everything comes to rest, until memory has settled,
and once more at the end. Then no connection may be left, no call, no reference, no avatar, no
observer, no task, and the server may have 5 % more memory and 5 % more objects than when it had
settled, no more. Nothing may be logged as a warning, and nobody may write to stderr. The seed makes
the choices the same, but not their order in time.

Usage: python tools/soak.py [--minutes 10] [--clients 200] [--seed SEED]
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = Path(__file__).with_name("soak_parts.py")
PATIENCE = 60.0
# So much more memory than when it had settled is allowed, and less is noise.
GROWTH = 0.05
# Python's allocator takes memory by the MiB when it needs more than ever before, and hardly ever
# has one empty to give back. So memory has settled when such a part of the time, of so many seconds
# at least, has made it grow by so much at most, and in half of the time at the latest.
SLICE = 0.1
SLICE_AT_LEAST = 3.0
STEADY = 0.01
SETTLED = 0.5
PROCESSES = 4


def say(text: str) -> None:
    print(text, flush=True)


class Part:
    """A process, and what it said."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, err: IO[bytes]) -> None:
        self.name = name
        self.process = process
        self._err = err

    @classmethod
    async def start(cls, name: str, *arguments: str) -> tuple["Part", dict[str, Any]]:
        """Start it, and give what it says first."""
        err = tempfile.TemporaryFile()  # noqa: SIM115
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(PARTS), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            cwd=ROOT,
        )
        part = cls(name, process, err)
        try:
            return part, await part.hear()
        except BaseException:
            part.abandon()
            raise

    async def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        if not line:
            await self.process.wait()
            raise Failed(f"{self.name} ended with {self.process.returncode}: {self.said()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        return await self.hear()

    def said(self) -> str:
        """What it wrote to stderr."""
        self._err.seek(0)
        return self._err.read().decode(errors="replace").strip()

    async def kill(self) -> None:
        """End it at once, whatever it does."""
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise Failed(f"{self.name} does not end") from None

    def abandon(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        self._err.close()


class Failed(Exception):
    """Something was wrong with a part."""


class Soak:
    """One run, and what was wrong in it."""

    def __init__(self, minutes: float, clients: int, seed: str) -> None:
        self._seconds = minutes * 60
        self._seed = seed
        self._chance = random.Random(seed)
        count = min(PROCESSES, -(-clients // 10))
        self._sizes = [len(range(number, clients, count)) for number in range(count)]
        self._parts: dict[str, Part] = {}
        self._url = ""
        self._lives = 0
        self.kills = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        try:
            self._parts["server"], greeting = await Part.start("server")
            self._url = greeting["url"]
            await asyncio.gather(*map(self._start_clients, range(len(self._sizes))))
            settled, left = await self._settle()
            await self._ask_clients("go")
            await self._play(max(left, SLICE_AT_LEAST))
            end = await self._rest("at the end")
            self._compare(settled, end)
            for name in [name for name in self._parts if name != "server"] + ["server"]:
                await self._end(self._parts[name])
        except (Failed, TimeoutError) as error:
            self.problems.append(str(error) or "a part does not answer")
        finally:
            for part in self._parts.values():
                part.abandon()

    async def _settle(self) -> tuple[dict[str, dict[str, Any]], float]:
        """Let them play until memory has settled; give what is left then, and the seconds left."""
        slice_ = max(self._seconds * SLICE, SLICE_AT_LEAST)
        left = self._seconds - slice_
        await self._play(slice_)
        found = await self._rest("first")
        while left > self._seconds * SETTLED:
            before = found["server"]["resident"]
            await self._ask_clients("go")
            await self._play(slice_)
            left -= slice_
            found = await self._rest("settling")
            if found["server"]["resident"] <= before * (1 + STEADY):
                break
        say(f"memory had settled after {self._seconds - left:.0f} s")
        return found, left

    async def _start_clients(self, number: int) -> None:
        name = f"clients {number}"
        self._lives += 1
        size, seed = str(self._sizes[number]), f"{self._seed} {self._lives}"
        arguments = ("--url", self._url, "--clients", size, "--seed", seed)
        self._parts[name], _ = await Part.start(name, *arguments)

    async def _play(self, seconds: float) -> None:
        """Let them play, and kill one now and then."""
        end = time.monotonic() + seconds
        shown = time.monotonic()
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._chance.uniform(0.5, 1.0)))
            if len(self._sizes) > 1 and self._chance.random() < 0.5:
                # The first one lives to the end, to be looked at.
                await self._replace(self._chance.randrange(1, len(self._sizes)))
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                await self._show(end - shown)

    async def _replace(self, number: int) -> None:
        part = self._parts[f"clients {number}"]
        await part.kill()
        self.kills += 1
        if said := part.said():
            self.problems.append(f"{part.name} wrote: {said}")
        part.abandon()
        await self._start_clients(number)

    async def _show(self, left: float) -> None:
        status = await self._parts["server"].ask("status")
        seen = status["seen"]
        say(
            f"{left:5.0f} s left: {seen.get('connections', 0)} connections, "
            f"{seen.get('logins', 0)} logins, {seen.get('observers', 0)} observers, "
            f"{self.kills} processes killed, {status['resident'] / 2**20:.1f} MiB"
        )

    async def _rest(self, when: str) -> dict[str, dict[str, Any]]:
        """Let everything come to rest, the server last, and look at what is left."""
        found = await self._ask_clients("rest")
        found["server"] = await self._parts["server"].ask("rest")
        self._judge(when, found)
        return found

    def _judge(self, when: str, found: dict[str, dict[str, Any]]) -> None:
        for name, left in found.items():
            for text, count in left["faults"].items():
                self.problems.append(f"{when}: {name}: {count} times: {text}")
            if left["alive"]:
                self.problems.append(f"{when}: {name}: still alive: {left['alive']}")
            for task in left["tasks"]:
                self.problems.append(f"{when}: {name}: a task is left: {task}")

    async def _ask_clients(self, command: str) -> dict[str, dict[str, Any]]:
        names = [name for name in self._parts if name != "server"]
        answers = await asyncio.gather(*(self._parts[name].ask(command) for name in names))
        return dict(zip(names, answers, strict=True))

    def _compare(self, settled: dict[str, Any], end: dict[str, Any]) -> None:
        seen = end["server"]["seen"]
        say("the server has seen: " + ", ".join(f"{seen[name]} {name}" for name in sorted(seen)))
        seen = end["clients 0"]["seen"]
        say("one process of clients: " + ", ".join(f"{seen[name]} {name}" for name in sorted(seen)))
        self._compare_one("objects", settled["server"]["blocks"], end["server"]["blocks"])
        before, after = (found["server"]["resident"] / 2**20 for found in (settled, end))
        if before:
            self._compare_one("MiB", before, after)
        else:
            say("memory: this machine does not tell")

    def _compare_one(self, what: str, before: float, after: float) -> None:
        sizes = f"{before:,.6g} {what} when settled, {after:,.6g} {what} at the end"
        say(f"the server has {sizes} ({after / before - 1:+.2%})")
        if after > before * (1 + GROWTH):
            self.problems.append(f"there is more: {sizes}")

    async def _end(self, part: Part) -> None:
        await part.end()
        if part.process.returncode != 0:
            self.problems.append(f"{part.name} ended with {part.process.returncode}")
        if said := part.said():
            self.problems.append(f"{part.name} wrote: {said}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Let clients come and die, and see what is left.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", default="", help="that of another run, to make the same choices")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.clients < 1:
        parser.error("there must be some time, and somebody")
    seed = options.seed or secrets.token_hex(4)
    say(f"{options.clients} clients for {options.minutes:g} minutes, with --seed {seed}")
    soak = Soak(options.minutes, options.clients, seed)
    asyncio.run(soak.run())
    for problem in soak.problems:
        say(f"PROBLEM: {problem}")
    say(f"{len(soak.problems)} problems" if soak.problems else "nothing is left")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
