"""Run Twisted's own tests for spread, from the installed Twisted, against `pellucid.twisted`.

Those that fail must be the ones that docs/twisted.md lists, each with a reason and with a test of
ours that shows what is right.

Usage: python tools/twisted_suite.py [--real] [--verbose]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.modules import ROOT

PAGE = ROOT / "docs" / "twisted.md"
HEADING = "## Twisted's own tests"
FACE = "pellucid.twisted.pb"
TIMEOUT = 300
_PREFIX = "twisted.spread.test."
_CELL = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Results:
    """What became of the tests, by their names below `twisted.spread.test`."""

    face: str
    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    output: str = ""


@dataclass(frozen=True)
class Listed:
    """A test that is expected to fail: why, and which of ours to look at."""

    name: str
    reason: str
    ours: tuple[str, ...]


class Broken(Exception):
    """The tests, or the list, can't be read."""


def listed(page: str) -> list[Listed]:
    """Read the table of the page."""
    section = page.partition(f"{HEADING}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [_row(row) for row in rows]


def _row(row: str) -> Listed:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]
    name = _CELL.fullmatch(cells[0])
    if len(cells) != 3 or name is None:
        raise Broken(f"a row of docs/twisted.md is not `test`, reason, `our test`: {row}")
    return Listed(name[1], cells[1], tuple(_CELL.findall(cells[2])))


def run(real: bool = False) -> Results:
    """Run the tests in a process of their own, against this face or against Twisted's own code."""
    with tempfile.TemporaryDirectory() as place:
        results = Path(place, "results.json")
        install = [] if real else ["-m", "pellucid.twisted"]
        work = str(Path(place, "trial"))
        command = [sys.executable, *install, "-m", "tools.twisted_trial", str(results), work]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = error.stdout.decode(errors="replace") if error.stdout else ""
            raise Broken(f"{said}\nthe tests did not end within {TIMEOUT} seconds") from None
        if not results.exists():
            raise Broken(f"{done.stdout}\nthe tests did not run")
        found = json.loads(results.read_text())
    names = {key: frozenset(_short(found[key])) for key in ("passed", "failed", "skipped")}
    return Results(found["face"], **names, output=done.stdout)


def _short(names: list[str]) -> Iterator[str]:
    return (name.removeprefix(_PREFIX) for name in names)


def surprises(results: Results, expected: list[Listed]) -> list[str]:
    """Say, in a line each, where the list and the results disagree, and what is wrong with it."""
    names = {entry.name for entry in expected}
    everything = results.passed | results.failed | results.skipped
    found = [f"{name} fails, and is not listed" for name in sorted(results.failed - names)]
    found += [f"{name} is listed, and passes" for name in sorted(results.passed & names)]
    found += [f"{name} is listed, and is not there" for name in sorted(names - everything)]
    for entry in expected:
        if not entry.reason:
            found.append(f"{entry.name} is listed without a reason")
        if not entry.ours:
            found.append(f"{entry.name} is listed without a test of ours")
        found += [f"{entry.name}: there is no {test}" for test in entry.ours if not _exists(test)]
    return found


def _exists(test: str) -> bool:
    """Whether `file.py::name` is a test of ours."""
    path, *names = test.split("::")
    if not names or not (ROOT / path).is_file():
        return False
    text = (ROOT / path).read_text(encoding="utf-8")
    return all(re.search(rf"^\s*(?:def|class) {re.escape(name)}\b", text, re.M) for name in names)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Run Twisted's own tests for spread.")
    parser.add_argument("--real", action="store_true", help="against Twisted's own code")
    parser.add_argument("--verbose", action="store_true", help="show all that trial prints")
    options = parser.parse_args(arguments)
    try:
        expected = [] if options.real else listed(PAGE.read_text(encoding="utf-8"))
        results = run(options.real)
        wrong = surprises(results, expected)
    except (Broken, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if (results.face == FACE) == options.real:
        wrong.append(f"the tests met {results.face}")
    if wrong or options.verbose:
        print(results.output)
    total = len(results.passed | results.failed | results.skipped)
    skipped = f", {len(results.skipped)} skipped" if results.skipped else ""
    print(
        f"Twisted {version('twisted')}, its tests for spread against {results.face}: "
        f"{len(results.passed)} of {total} pass, {len(results.failed)} fail, "
        f"{len(expected)} are listed as failing{skipped}"
    )
    for line in wrong:
        print(f"error: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
