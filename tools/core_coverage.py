"""Hold each core module to 100 % of its lines and branches, by its own test file alone.

Usage: python tools/core_coverage.py [MODULE ...]
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.modules import COMPILED, CORE, ROOT, exists, is_compiled

TIMEOUT = 600


@dataclass(frozen=True)
class Result:
    """What the tests of one module reached."""

    name: str
    statements: int = 0
    branches: int = 0
    percent: float = 0.0
    missing: str = ""
    error: str = ""
    output: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and not self.missing

    @property
    def verdict(self) -> str:
        return self.error or (f"missing {self.missing}" if self.missing else "ok")


def measure(name: str) -> Result:
    """Run `tests/test_<name>.py` in a process of its own and read what it covered."""
    test = ROOT / "tests" / f"test_{name}.py"
    if not test.exists():
        return Result(name, error=f"no tests/{test.name}")
    with tempfile.TemporaryDirectory() as place:
        data, report = Path(place, "data"), Path(place, "report.json")
        coverage = [sys.executable, "-m", "coverage"]
        env = {**os.environ, "COVERAGE_FILE": str(data)}
        env.pop("COVERAGE_PROCESS_START", None)
        # The same examples every time: what is covered must not be a matter of luck.
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=steady"]
        run = _run([*coverage, "run", *pytest, str(test)], env)
        if run.returncode != 0:
            return Result(name, error="the tests fail", output=run.stdout)
        run = _run([*coverage, "json", "-q", "-o", str(report)], env)
        if run.returncode != 0:
            return Result(name, error="coverage has no report", output=run.stdout)
        return _read(name, json.loads(report.read_text()))


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _read(name: str, report: dict[str, dict[str, dict[str, object]]]) -> Result:
    ours = [path for path in report["files"] if Path(path).parts[-2:] == ("pellucid", f"{name}.py")]
    if not ours:
        return Result(name, error="its tests never import it")
    found = report["files"][ours[0]]
    summary, lines, arcs = found["summary"], found["missing_lines"], found["missing_branches"]
    assert isinstance(summary, dict)
    assert isinstance(lines, list)
    assert isinstance(arcs, list)
    missing = [str(line) for line in lines]
    # An arc from a line that never ran says nothing new; a negative end is a way out.
    missing += [f"{a}->{b if b > 0 else 'exit'}" for a, b in arcs if a not in lines]
    return Result(
        name,
        statements=summary["num_statements"],
        branches=summary["num_branches"],
        percent=summary["percent_covered"],
        missing=", ".join(missing),
    )


def main(names: list[str]) -> int:
    unknown = set(names) - set(CORE)
    if unknown:
        print(f"not core modules: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    if any(map(is_compiled, COMPILED)):
        print("the installed build is compiled; its lines cannot be counted", file=sys.stderr)
        return 2
    chosen = [name for name in names or CORE if exists(name)]
    print(f"{'module':<12}{'lines':>7}{'branches':>10}{'covered':>10}  verdict", flush=True)
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(measure, chosen):
            failed += not result.passed
            numbers = f"{result.statements:>7}{result.branches:>10}{result.percent:>9.2f}%"
            print(f"{result.name:<12}{numbers}  {result.verdict}", flush=True)
            if result.output:
                print(result.output)
    print(f"{len(chosen) - failed} of {len(chosen)} core modules are covered")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
