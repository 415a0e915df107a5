"""Fuzz Pellucid: whatever arrives is accepted, or refused with a documented error, in the budget.

Each target runs in each build for its part of the time, in a process of its own. What is found
stands in fuzz/findings, with the command that plays it again; then the exit code is 1.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):
    sys.path.insert(0, str(ROOT))

from fuzz import builds  # noqa: E402
from fuzz.builds import BUILDS, PLACE, PYTHON, Build  # noqa: E402
from tools.test_all import Failed, say  # noqa: E402

FINDINGS = ROOT / "fuzz" / "findings"
TARGETS = ("framer", "decoder", "broker", "session")
_EVERY = 10.0
# A process that a finding ended is started again, so often.
_STARTS = 20
_LINE = re.compile(r"cov: (\d+) .*?corp: (\d+)/")
_LOST = ("crash", "timeout", "oom", "leak")
# Makes the seeds, with the package that is fuzzed and without atheris.
_SEEDS = "import sys, pathlib; from fuzz.corpus import lay_out; lay_out(pathlib.Path(sys.argv[1]))"


@dataclass
class Result:
    """What one target did in one build."""

    build: str
    target: str
    seconds: float = 0.0
    executions: int = 0
    accepted: int = 0
    refused: int = 0
    coverage: int = 0
    corpus: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Executions in a second."""
        return self.executions / self.seconds if self.seconds else 0.0


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    add = parser.add_argument
    add("--time", type=int, default=60, metavar="SECONDS", help="for all of it together (60)")
    add("--target", default="all", choices=(*TARGETS, "all"), help="what is fuzzed (all)")
    add("--build", default="both", choices=("uncompiled", "compiled", "both"), help="(both)")
    add("--sanitize", action="store_true", help="the compiled build with address and UB sanitizer")
    add("--runs", type=int, default=-1, metavar="N", help="so many executions each, at most")
    add("--seed", type=int, default=0, help="of the random numbers; 0 for another one each time")
    add("--json", type=Path, metavar="FILE", help="write the results into a file")
    add("--replay", type=Path, nargs="+", metavar="FILE", help="play inputs of --target once")
    add("--fresh", action="store_true", help="forget the corpus that earlier runs have grown")
    options = parser.parse_args(given)
    if options.time < 1:
        parser.error("there must be some time")
    if options.replay and options.target == "all":
        parser.error("--replay needs a --target")
    return options


def chosen(options: argparse.Namespace) -> list[str]:
    """Give the builds that the command line asks for."""
    if options.sanitize:
        return ["uncompiled", "sanitized"] if options.build == "both" else ["sanitized"]
    return list(BUILDS[:2]) if options.build == "both" else [options.build]


class Run:
    """One target in one build."""

    def __init__(
        self, build: Build, target: str, seconds: int, options: argparse.Namespace
    ) -> None:
        self.build = build
        self.options = options
        self.result = Result(build.name, target)
        self.seconds = seconds
        self.place = PLACE / "work" / target
        self.log = self.place / f"{build.name}.log"
        self.status = self.place / "status.json"
        self.kinds: dict[str, int] = {}
        for name in ("corpus", "seeds"):
            (self.place / name).mkdir(parents=True, exist_ok=True)

    def __call__(self) -> Result:
        """Fuzz until the time is over, however often a finding ends the process."""
        result = self.result
        before = _files()
        began = time.monotonic()
        for _ in range(_STARTS):
            left = self.seconds - (time.monotonic() - began)
            if left < 1 and result.executions:
                break
            code = self.start(max(1, int(left)))
            fresh = _files() - before - {*result.findings}
            result.findings += sorted(fresh)
            if code == 0:
                break
            self.pass_over(fresh, code)
        result.seconds = time.monotonic() - began
        return result

    def pass_over(self, fresh: set[str], code: int) -> None:
        """Let the next process not begin with what ended this one. Raises Failed without that."""
        ends = [ROOT / path for path in fresh if Path(path).name.split("-")[1] in _LOST]
        if not ends:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise Failed(f"fuzzing {self.result.target} ended with {code}:\n{tail}")
        for end in ends:
            data = end.read_bytes()
            for name in ("corpus", "seeds"):
                for path in (self.place / name).iterdir():
                    if path.read_bytes() == data:
                        path.unlink()

    def start(self, seconds: int) -> int:
        """Run one process to its end, and show how far it is."""
        options = self.options
        result = self.result
        done = (result.executions, result.accepted, result.refused)
        self.status.unlink(missing_ok=True)
        command = [
            *(str(PYTHON), "-m", "fuzz.worker", "--target", result.target),
            *("--build", self.build.name, "--place", str(self.place)),
            *("--findings", str(FINDINGS), "--seconds", str(seconds)),
            *("--runs", str(options.runs), "--seed", str(options.seed)),
            *("--slow", str(self.build.slow)),
        ]
        if self.build.edges is not None:
            command += ["--edges", str(self.build.edges)]
        with self.log.open("ab") as log:
            log.truncate(0)
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.build.environment(), stdout=log, stderr=log
            )
            try:
                self.follow(process, seconds, done)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        self.read(done)
        return process.returncode

    def follow(self, process: Any, seconds: int, done: tuple[int, int, int]) -> None:
        """Show how far it is, until it ends."""
        began = shown = time.monotonic()
        while True:
            try:
                process.wait(0.2)
                return
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now - shown >= _EVERY:
                shown = now
                self.read(done)
                result = self.result
                rate = (result.executions - done[0]) / (now - began)
                say(
                    f"  {result.build:<11} {result.target:<8} {result.executions:>9,} executions"
                    f" {rate:>7,.0f}/s  coverage {result.coverage:>5}  corpus {result.corpus:>5}"
                    f"  found {len(self.kinds)}  {max(0, seconds - (now - began)):.0f} s left"
                )

    def read(self, done: tuple[int, int, int]) -> None:
        """Read how far the process is."""
        result = self.result
        try:
            status = json.loads(self.status.read_text())
        except (OSError, ValueError):
            status = {"executions": 0, "accepted": 0, "refused": 0, "kinds": {}}
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        last = re.search(r"stat::number_of_executed_units: +(\d+)", text)
        executions = max(status["executions"], int(last[1]) if last else 0)
        result.executions = done[0] + executions
        result.accepted = done[1] + status["accepted"]
        result.refused = done[2] + status["refused"]
        self.kinds.update(status["kinds"])
        lines = _LINE.findall(text)
        if lines:
            result.coverage, result.corpus = map(int, lines[-1])


def _files() -> set[str]:
    found = FINDINGS.glob("*") if FINDINGS.exists() else ()
    return {str(path.relative_to(ROOT)) for path in found if path.suffix != ".txt"}


def replay(options: argparse.Namespace, made: dict[str, Build]) -> int:
    """Play inputs once, in each build, and compare what the builds make of them."""
    said = {}
    code = 0
    for name, build in made.items():
        done = _replay(build, options.target, options.replay)
        code |= done.returncode != 0
        said[name] = done.stdout
        print(done.stdout + done.stderr, end="")
    return int(code or len(set(said.values())) > 1)


def _replay(build: Build, target: str, paths: list[Path]) -> Any:
    command = [str(PYTHON), "-m", "fuzz.worker", "--target", target, "--slow", str(build.slow)]
    command += ["--replay", *(str(path.resolve()) for path in paths)]
    return subprocess.run(
        command, cwd=ROOT, env=build.environment(), capture_output=True, text=True, check=False
    )


def differences(made: dict[str, Build], targets: list[str]) -> list[str]:
    """Play the whole corpus in every build, and give what they disagree about."""
    found = []
    for target in targets:
        place = PLACE / "work" / target
        paths = [place / "corpus", place / "seeds"]
        said: dict[str, dict[str, str]] = {}
        for name, build in made.items():
            lines = _replay(build, target, paths).stdout.splitlines()
            said[name] = dict(line.split(" ", 1) for line in lines if " " in line)
        first, *others = said.values()
        for other in others:
            found += [f"{target} {one}" for one in sorted(first) if first[one] != other.get(one)]
        say(f"  {target:<8} {len(first):>6,} inputs of the corpus played in each build")
    return found


def keep(places: list[str]) -> list[str]:
    """Copy inputs about which the builds disagree to the findings."""
    found = []
    for entry in places:
        target, name = entry.split(" ", 1)
        for part in ("corpus", "seeds"):
            path = PLACE / "work" / target / part / name
            if path.exists():
                FINDINGS.mkdir(parents=True, exist_ok=True)
                copy = FINDINGS / f"{target}-differs-{name}"
                shutil.copy(path, copy)
                found.append(str(copy.relative_to(ROOT)))
    return found


def table(results: list[Result]) -> str:
    """Give the results as text."""
    rows = [
        f"{one.build:<11} {one.target:<8} {one.executions:>11,} {one.rate:>8,.0f} "
        f"{one.seconds:>8.0f} {one.accepted:>11,} {one.refused:>11,} {one.coverage:>8,} "
        f"{one.corpus:>7,} {len(one.findings):>8}"
        for one in results
    ]
    total = sum(one.executions for one in results)
    seconds = sum(one.seconds for one in results)
    head = (
        "build       target    executions   each s  seconds    accepted     refused coverage"
        "  corpus findings"
    )
    return "\n".join([head, *rows, f"{total:,} executions in {seconds:.0f} s"])


def run(options: argparse.Namespace, made: dict[str, Build]) -> int:
    """Fuzz what the command line asks for."""
    targets = list(TARGETS) if options.target == "all" else [options.target]
    if options.fresh:
        shutil.rmtree(PLACE / "work", ignore_errors=True)
    first = next(iter(made.values()))
    subprocess.run(
        [str(PYTHON), "-c", _SEEDS, str(PLACE / "work" / "seeds")],
        cwd=ROOT,
        env=first.environment(),
        check=True,
    )
    for target in targets:
        shutil.rmtree(PLACE / "work" / target / "seeds", ignore_errors=True)
        shutil.move(PLACE / "work" / "seeds" / target, PLACE / "work" / target / "seeds")
    seconds = max(1, options.time // (len(made) * len(targets)))
    results: list[Result] = []
    status = 0
    try:
        for build in made.values():
            for target in targets:
                one = Run(build, target, seconds, options)
                results.append(one.result)
                one()
    except KeyboardInterrupt:
        say("interrupted; this is what there is")
        status = 130
    differ = keep(differences(made, targets)) if len(made) > 1 and not status else []
    say("\n" + table(results))
    found = sorted({path for one in results for path in one.findings} | set(differ))
    for path in found:
        target = Path(path).name.partition("-")[0]
        say(f"FOUND {path}: python -m fuzz --target {target} --replay {path}")
    if options.json:
        shown = {"results": [asdict(one) for one in results], "differ": differ}
        options.json.write_text(json.dumps(shown, indent=1) + "\n")
    return status or bool(found)


def main() -> int:
    """Do what the command line says."""
    options = arguments()
    try:
        made = builds.made(chosen(options))
        return replay(options, made) if options.replay else run(options, made)
    except Failed as error:
        say(f"error: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
