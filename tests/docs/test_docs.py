"""Every Python example in the documentation runs, and prints what the page says it prints."""

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.processes import run
from tools.modules import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<kind>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.M | re.S)


@dataclass(frozen=True)
class Example:
    """A Python block of a page, and what it prints: the next block, if that is one of text."""

    page: str
    line: int
    code: str
    output: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples_in(page: str, text: str) -> list[Example]:
    blocks = [
        (found["kind"].strip(), found["body"], text[: found.start()].count("\n") + 1)
        for found in _FENCE.finditer(text)
    ]
    pairs = zip_longest(blocks, blocks[1:], fillvalue=("", "", 0))
    return [
        Example(page, line, body, next_body if next_kind == "text" else "")
        for (kind, body, line), (next_kind, next_body, _) in pairs
        if kind == "python"
    ]


EXAMPLES = [
    example
    for path in PAGES
    for example in examples_in(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_example_prints_what_the_page_says(example: Example, tmp_path: Path) -> None:
    # With the page's line numbers, so that a traceback points into the page.
    program = tmp_path / "example.py"
    program.write_text("\n" * example.line + example.code, encoding="utf-8")
    ended = run(str(program), cwd=tmp_path)
    assert ended.err == ""
    assert ended.out == example.output
    assert ended.status == 0


@pytest.mark.parametrize(
    "name", ["README.md", "docs/guarantees.md", "docs/sans-io.md", "docs/tutorial.md"]
)
def test_there_are_examples(name: str) -> None:
    assert [example for example in EXAMPLES if example.page == name]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_python_hides_in_another_kind_of_block(path: Path) -> None:
    kinds = {found["kind"].strip() for found in _FENCE.finditer(path.read_text(encoding="utf-8"))}
    assert kinds <= {"python", "text", "console"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_blocks_are_found() -> None:
    text = (
        "a\n```python\n1\n```\nprints:\n```text\n2\n```\n````python\n```\n````\n```text\n3\n```\n"
    )
    assert examples_in("page", text) == [
        Example("page", 2, "1\n", "2\n"),
        Example("page", 9, "```\n", "3\n"),
    ]
