"""What the documentation shows is so: its programs print what it says, its commands work."""

import re
import shutil
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.docs.console import Console
from tests.docs.pages import PAGES, Block, Command, blocks_of, commands_of, prose_of
from tests.processes import run
from tools.modules import ROOT

# What a block may be: its language, and the word behind it.
KINDS = {
    ("python", ""): "a program; if a block of text follows it is what it prints",
    ("text", ""): "what the program before it prints, or just text",
    ("console", ""): "commands to be looked at",
    ("console", "run"): "commands that are run, and their output",
    ("console", "serve"): "a command that goes on running, and its first output",
    ("text", "server"): "what that command has said since",
}
_FILE = re.compile(r"\w+\.py")


def title_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


BLOCKS = {title_of(path): list(blocks_of(path.read_text(encoding="utf-8"))) for path in PAGES}


@dataclass(frozen=True)
class Example:
    """A program of a page, and what it prints: the next block, if that is one of text."""

    page: str
    line: int
    code: str
    output: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples_in(page: str, blocks: list[Block]) -> list[Example]:
    return [
        Example(
            page, block.line, block.body, after.body if after and after.language == "text" else ""
        )
        for block, after in zip_longest(blocks, blocks[1:])
        if (block.language, block.word) == ("python", "")
    ]


EXAMPLES = [example for page, blocks in BLOCKS.items() for example in examples_in(page, blocks)]
# Pages that are gone through command by command, files of their own included.
WALKS = [page for page, blocks in BLOCKS.items() if any(block.word == "run" for block in blocks)]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_example_prints_what_the_page_says(example: Example, tmp_path: Path) -> None:
    # With the page's line numbers, so that a traceback points into the page.
    program = tmp_path / "example.py"
    program.write_text("\n" * example.line + example.code, encoding="utf-8")
    ended = run(str(program), cwd=tmp_path)
    assert ended.err == ""
    assert ended.out == example.output
    assert ended.status == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the pages have commands of a POSIX shell")
@pytest.mark.parametrize("page", WALKS)
def test_the_commands_work(page: str, tmp_path: Path) -> None:
    programs = {command.text.split()[0] for command in _commands(page)}
    missing = [name for name in programs - {"pellucid"} if not shutil.which(name)]
    if missing:
        pytest.skip(f"not on this machine: {missing}")
    console = Console(tmp_path)
    try:
        for block in BLOCKS[page]:
            console.do(block)
    finally:
        console.stop()


def _commands(page: str) -> list[Command]:
    return [
        command
        for block in BLOCKS[page]
        if block.language == "console" and block.word
        for command in commands_of(block.body)
    ]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(f"docs/{name}.md" for name in ("blocking", "flavours", "guarantees", "sans-io")),
        "docs/tutorial.md",
    ],
)
def test_there_are_examples(page: str) -> None:
    assert [example for example in EXAMPLES if example.page == page]


def test_there_are_walks() -> None:
    assert WALKS == ["docs/login.md", "docs/tls.md", "docs/twisted.md"]


@pytest.mark.parametrize("page", BLOCKS)
def test_no_python_hides_in_another_kind_of_block(page: str) -> None:
    for block in BLOCKS[page]:
        is_file = block.language == "python" and _FILE.fullmatch(block.word)
        assert is_file or (block.language, block.word) in KINDS, block


@pytest.mark.parametrize("path", PAGES, ids=title_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = prose_of(path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_blocks_are_found() -> None:
    text = (
        "a\n```python\n1\n```\nprints:\n```text\n2\n```\n````python a.py\n```\n````\n"
        "```console run\n$ one \\\n  two\n3\n$ four\n```\n"
    )
    blocks = list(blocks_of(text))
    assert blocks == [
        Block(2, "python", "", "1\n"),
        Block(6, "text", "", "2\n"),
        Block(9, "python", "a.py", "```\n"),
        Block(12, "console", "run", "$ one \\\n  two\n3\n$ four\n"),
    ]
    assert examples_in("page", blocks) == [Example("page", 2, "1\n", "2\n")]
    assert commands_of(blocks[3].body) == [Command("one two", ["3"]), Command("four", [])]


def test_a_port_of_the_page_becomes_one_of_here(tmp_path: Path) -> None:
    console = Console(tmp_path)
    try:
        console.do(Block(1, "python", "serve.py", "print('at:34567')\nprint('done')\n"))
        console.do(Block(2, "console", "serve", "$ python serve.py\nat:40001\n"))
        console.do(Block(3, "text", "server", "done\n"))
        console.do(Block(4, "console", "run", "$ echo at:40001\nat:40001\n$ echo hush\n"))
        with pytest.raises(AssertionError):
            console.do(Block(5, "console", "run", "$ echo at:40001\nat:40002\nmore\n"))
        with pytest.raises(AssertionError):
            console.do(Block(6, "console", "run", "$ false\n"))
    finally:
        console.stop()
