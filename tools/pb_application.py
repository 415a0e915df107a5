"""Run the tests of a large PB application on twisted.spread and on pellucid.twisted.

The application is Buildbot, as it was published, in two releases: a recent one on a recent Twisted,
and one with more tests of PB on the oldest Twisted that we promise. Each has an environment of its
own under .venvs. First all its tests run on both; then those of its master with a worker in another
process, with PB by one implementation here and by the other there.

Usage: python tools/pb_application.py [--only RELEASE] [--brief]

Needs nothing but the standard library. Exits with 1 if a test that passes on twisted.spread does
not pass on pellucid.twisted, or speaks PB no longer.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.test_all import PLACE, ROOT, Failed, clean_environment, digest, quietly, say

TRIAL = ROOT / "tools" / "pb_trial.py"
REQUIREMENTS = ROOT / "tools" / "applications"
SPREAD, FACE = "twisted.spread", "pellucid.twisted"
PATIENCE = 1800
EVERY = 100
TRIES = 3

# What a distribution on the package index lacks in a wheel: its tests.
SOURCES = ("buildbot", "buildbot-worker")
TESTS = ("buildbot.test", "buildbot_worker.test")
# Those where the worker may be a process of its own.
WORKERS = "buildbot.test.integration.interop."
VARIABLES = {
    # The test of the command that submits a patch over PB, to a master that listens.
    "RUN_FLAKY_TESTS": "1",
    # A release that uses SQLAlchemy 1.4 is told once that there is a 2.0.
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
}


@dataclass(frozen=True)
class Result:
    """What became of a test."""

    outcome: str
    reason: str = ""
    connections: int = 0
    received: int = 0
    tries: int = 1

    @property
    def verdict(self) -> str:
        return self.outcome if self.tries == 1 else f"{self.outcome} (try {self.tries})"


MISSING = Result("missing")


@dataclass
class Run:
    """All tests on one implementation of PB."""

    implementation: str
    tests: dict[str, Result]
    seconds: float = 0.0
    speaking: dict[str, Result] = field(init=False)

    def __post_init__(self) -> None:
        self.speaking = {name: test for name, test in self.tests.items() if test.connections}

    def failed(self) -> list[str]:
        return [name for name, test in self.tests.items() if test.outcome == "failed"]


def read(lines: Iterable[str]) -> Run:
    """What tools/pb_trial.py wrote down.

    Raises Failed if it did not come to its end.
    """
    implementation, ended = "", False
    tests: dict[str, Result] = {}
    for line in lines:
        said = json.loads(line)
        name = said.pop("test", "")
        if not name:
            implementation = said.get("pb", implementation)
            ended = said.get("ended", False)
            continue
        # What is found wrong after a test, or around it, comes in a line of its own.
        if tests.get(name, MISSING).outcome != "failed":
            tests[name] = Result(**said)
    if not ended:
        raise Failed(f"the tests ended after {len(tests)}")
    return Run(implementation, tests)


def worse(before: Run, after: Run) -> list[tuple[str, str]]:
    """Each test that is worse in `after`, and what is worse."""
    found = []
    for name, was in before.tests.items():
        now = after.tests.get(name, MISSING)
        if was.outcome == "failed":
            continue
        if now.outcome != was.outcome:
            found.append((name, f"{was.outcome}, now {now.outcome}: {now.reason}".strip(": ")))
        elif was.connections and not now.connections:
            found.append((name, "no longer opens a PB connection"))
    return found


def summary(runs: dict[str, Run]) -> str:
    """The numbers, side by side."""
    rows = [("", *runs)]
    counts = {name: Counter(it.outcome for it in run.tests.values()) for name, run in runs.items()}
    rows.append(("tests", *(str(len(run.tests)) for run in runs.values())))
    for outcome in ("passed", "todo", "skipped", "failed"):
        if any(count[outcome] for count in counts.values()):
            rows.append((f"  {outcome}", *(str(count[outcome]) for count in counts.values())))
    again = [sum(it.tries > 1 for it in run.tests.values()) for run in runs.values()]
    if any(again):
        rows.append(("  tried again", *map(str, again)))
    spoken = [list(run.speaking.values()) for run in runs.values()]
    rows += [
        ("open a PB connection", *(str(len(tests)) for tests in spoken)),
        ("  passed", *(str(sum(it.outcome == "passed" for it in tests)) for tests in spoken)),
        ("  failed", *(str(sum(it.outcome == "failed" for it in tests)) for tests in spoken)),
        ("  connections", *(str(sum(it.connections for it in tests)) for tests in spoken)),
        ("  bytes received", *(str(sum(it.received for it in tests)) for tests in spoken)),
        ("seconds", *(f"{run.seconds:.0f}" for run in runs.values())),
    ]
    return "\n".join(columns(rows))


def details(runs: dict[str, Run]) -> str:
    """Each test that opens a PB connection in some run, or fails in one, side by side."""
    names = dict.fromkeys(name for run in runs.values() for name in [*run.speaking, *run.failed()])
    rows = [("", *runs)]
    for name in names:
        tests = [run.tests.get(name, MISSING) for run in runs.values()]
        rows.append((short(name), *(test.verdict for test in tests)))
    return "\n".join(columns(rows))


def short(name: str) -> str:
    """The name of a test without the packages that all have."""
    for prefix in ("buildbot.test.", "integration.", "interop."):
        name = name.removeprefix(prefix)
    return name


def columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


class Application:
    """One release of the application, in an environment of its own."""

    def __init__(self, requirements: Path) -> None:
        self.name = requirements.stem
        self.requirements = requirements
        self.pins = dict(
            line.split("==") for line in requirements.read_text().split() if "==" in line
        )
        self.home = PLACE / self.name
        self.python = self.home / "bin" / "python"
        self.log = PLACE / "logs" / f"{self.name}.log"

    def prepare(self) -> None:
        """Make the environment, unless it was made of the same things."""
        relevant = [str(self.requirements.relative_to(ROOT)), "pyproject.toml", "setup.py"]
        wanted = f"{ROOT} {sys.version} {digest(*relevant)} {SOURCES}"
        stamp = self.home / "made-of"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self.log.unlink(missing_ok=True)
        say("making the environment")
        quietly(self.log, [sys.executable, "-m", "venv", "--clear", self.home])
        say(f"installing {', '.join(f'{name} {self.pins[name]}' for name in SOURCES)}")
        self._pip("install", "--requirement", str(self.requirements))
        say("fetching their tests")
        self._fetch()
        say("installing this project")
        self._pip("install", "--no-deps", "--editable", str(ROOT), PELLUCID_COMPILE="0")
        stamp.write_text(wanted)

    def _fetch(self) -> None:
        """The source distributions, which have the tests; the installed wheels have none."""
        dist, sources = self.home / "dist", self.home / "sources"
        for name in SOURCES:
            pinned = f"{name}=={self.pins[name]}"
            self._pip("download", "--no-deps", "--no-binary", name, "--dest", str(dist), pinned)
        for archive in sorted(dist.glob("*.tar.gz")):
            with tarfile.open(archive) as tar:
                tar.extractall(sources, filter="data")

    def _pip(self, *arguments: str, **more: str) -> None:
        quietly(self.log, [self.python, "-m", "pip", *arguments], **more)

    def compare(self) -> dict[str, Run]:
        """All tests, on one implementation after the other."""
        runs = {}
        for implementation in (SPREAD, FACE):
            say(f"\n{self.name}: the tests on {implementation}")
            runs[implementation] = self.run(implementation, TESTS)
        return runs

    def mix(self, speaking: Iterable[str]) -> dict[str, Run]:
        """Those of these tests that can have the worker in a process, in all four pairings."""
        tests = [name for name in speaking if name.startswith(WORKERS)]
        runs = {}
        for master, worker in ((SPREAD, SPREAD), (FACE, SPREAD), (SPREAD, FACE), (FACE, FACE)):
            say(f"\n{self.name}: the master on {master}, a worker process on {worker}")
            runs[f"{nick(master)} - {nick(worker)}"] = self.run(master, tests, worker)
        return runs

    def run(self, implementation: str, tests: Iterable[str], worker: str = "") -> Run:
        """The tests on one implementation. Those that fail are tried again, each by itself."""
        start = time.monotonic()
        run = self._once(implementation, tests, worker)
        for name in run.failed():
            for attempt in range(2, TRIES + 1):
                say(f"  once more: {short(name)}: {run.tests[name].reason}")
                alone = self._once(implementation, [name], worker, "-again")
                again = alone.tests.get(name, MISSING)
                run.tests[name] = replace(again, tries=attempt)
                if again.outcome != "failed":
                    break
        return Run(run.implementation, run.tests, time.monotonic() - start)

    def _once(
        self, implementation: str, tests: Iterable[str], worker: str, suffix: str = ""
    ) -> Run:
        place = self.home / "runs" / f"{implementation}{worker and '-'}{worker}{suffix}"
        shutil.rmtree(place, ignore_errors=True)
        (place / "home").mkdir(parents=True)
        report = place / "report"
        face = ["-m", FACE] if implementation == FACE else []
        variables = {
            **VARIABLES,
            "HOME": str(place / "home"),
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": ":".join(map(str, sorted((self.home / "sources").iterdir()))),
        }
        if worker:
            variables["SANDBOXED_WORKER_PATH"] = str(self._worker(worker))
        command: list[str | Path] = [self.python, *face, TRIAL, report, *tests]
        watched(command, place, clean_environment(**variables))
        try:
            run = read(report.read_text().splitlines())
        except Failed as error:
            raise Failed(f"{error}; see {place / 'log'}") from None
        if run.implementation not in ("", f"{implementation}.pb"):
            raise Failed(f"the tests ran on {run.implementation}, not {implementation}")
        return run

    def _worker(self, implementation: str) -> Path:
        """The worker's command, on this implementation."""
        face = f"-m {FACE}" if implementation == FACE else ""
        path = self.home / f"worker-{implementation}"
        command = self.python.parent / "buildbot-worker"
        path.write_text(f'#!/bin/sh\nexec "{self.python}" {face} "{command}" "$@"\n')
        path.chmod(0o755)
        return path


def nick(implementation: str) -> str:
    return implementation.partition(".")[0]


def watched(command: list[str | Path], place: Path, environment: dict[str, str]) -> None:
    """Run tests, and say now and then how many there were. What they say goes into a file."""
    log, report = place / "log", place / "report"
    start, told = time.monotonic(), 0
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    with process:
        while process.poll() is None:
            seconds = time.monotonic() - start
            if seconds > PATIENCE:
                process.kill()
                raise Failed(f"the tests did not end; see {log}")
            time.sleep(0.5)
            done = report.read_bytes().count(b"\n") if report.exists() else 0
            if done // EVERY > told:
                told = done // EVERY
                say(f"  {told * EVERY} tests, {seconds:.0f} s")
    if not report.exists() or not report.stat().st_size:
        say("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
        raise Failed(f"no test ran; see {log}")


def attempt(application: Application, brief: bool) -> list[tuple[str, str]]:
    """Try one release, and give what is worse on the face."""
    application.prepare()
    runs = application.compare()
    mixed = {} if brief else application.mix(runs[SPREAD].speaking)
    found = worse(runs[SPREAD], runs[FACE])
    say(f"\n{application.name}, Twisted {application.pins['Twisted']}\n")
    say(details(runs) + "\n")
    say(summary(runs))
    if mixed:
        say("\nMaster and worker in two processes, PB of the master - PB of the worker\n")
        say(details(mixed) + "\n")
        say(summary(mixed))
        first, *others = mixed.values()
        found += [it for other in others for it in worse(first, other)]
    for name, what in found:
        say(f"WORSE: {name}: {what}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run Buildbot's tests on both implementations.")
    parser.add_argument("--only", metavar="RELEASE", help="only this release, such as 4.3.0")
    parser.add_argument("--brief", action="store_true", help="no worker in another process")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    found, tried = 0, 0
    for requirements in sorted(REQUIREMENTS.glob("*.txt"), reverse=True):
        application = Application(requirements)
        if options.only and not application.name.endswith(options.only):
            continue
        tried += 1
        try:
            found += len(attempt(application, options.brief))
        except Failed as error:
            say(f"failed: {error}")
            found += 1
    say(f"\n{found} tests are worse on {FACE}" if tried else "error: there is no such release")
    return 0 if tried and not found else 1


if __name__ == "__main__":
    sys.exit(main())
