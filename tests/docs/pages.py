"""Pages of the documentation, as their blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.modules import ROOT

__all__ = ["PAGES", "Block", "Command", "blocks_of", "commands_of", "prose_of"]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<kind>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block. `word` is what stands behind its language: a file's name, or an order."""

    line: int
    language: str
    word: str
    body: str


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that stand below it."""

    text: str
    output: list[str]


def blocks_of(text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        language, _, word = found["kind"].strip().partition(" ")
        yield Block(text[: found.start()].count("\n") + 1, language, word, found["body"])


def prose_of(text: str) -> str:
    """What stands outside of the blocks."""
    return _FENCE.sub("", text)


def commands_of(body: str) -> list[Command]:
    """Take a console block apart: `$ ` begins a command, a backslash continues it."""
    commands: list[Command] = []
    text = ""
    for line in body.splitlines():
        if text.endswith("\\"):
            text = f"{text[:-1].rstrip()} {line.strip()}"
        elif line.startswith("$ "):
            text = line[2:]
        elif commands:
            commands[-1].output.append(line)
            continue
        else:
            raise ValueError(f"output of no command: {line}")
        if not text.endswith("\\"):
            commands.append(Command(text, []))
    return commands
