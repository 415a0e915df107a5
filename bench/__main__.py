"""Measure Pellucid beside Twisted PB, other RPC systems and the floors, and print the ratios.

Client and server are processes of their own, on loopback. Only the ratios mean anything: absolute
numbers change with the machine and with what else it does.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import builds as building
from bench import chart, codec, connections, growth, long, report, startup
from bench.builds import BuildFailed, Builds
from bench.peers import BASE, FLOOR, KINDS, OURS, Kind
from bench.results import Results
from bench.run import ROOT, Failed, Placement, measure, started
from bench.workloads import WORKLOADS

PARTS = ("latency", "connections", "startup", "codec", "growth")
PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
# One go of one workload.
_GOAL, _QUICK_GOAL = 0.25, 0.06
_ROUNDS, _QUICK_ROUNDS = 10, 3

_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = "missing"
print(json.dumps(found))
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer and shorter rounds: under two minutes")
    add("--rounds", type=int, metavar="N", help=f"rounds of each measurement ({_ROUNDS})")
    only = [*WORKLOADS, *PARTS]
    add("--only", action="append", choices=only, metavar="WORKLOAD", help=", ".join(only))
    add("--kinds", action="append", choices=list(KINDS), metavar="NAME", help=", ".join(KINDS))
    add("--json", type=Path, metavar="FILE", help="write all figures into a file")
    add("--write", action="store_true", help="write tables and chart into docs/")
    add("--long", action="store_true", help="1000 connections beside one, and ten minutes, instead")
    add("--minutes", type=float, default=long.MINUTES, help="the length of --long")
    add("--from", dest="source", type=Path, metavar="JSON", help="show what was measured before")
    add("--here", action="store_true", help="with this Python and the Pellucid that it has")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = _QUICK_ROUNDS if options.quick else _ROUNDS
    if options.rounds < 1:
        parser.error("there must be a round")
    return options


def describe(results: Results, kinds: list[Kind], builds: Builds, placement: Placement) -> None:
    """Note what is measured, and on what."""
    names = sorted({name for kind in kinds for name in kind.distributions})
    done = subprocess.run(
        [builds.python, "-c", _VERSIONS, *names],
        env=builds.plain(None),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results.versions = {"Python": platform.python_version(), **json.loads(done.stdout)}
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    results.about = {
        "machine": f"{processor}, {cores} cores, {platform.system()} {platform.release()}",
        "placement": placement.describe(),
    }
    if not builds.folders:
        build = building.present(builds)
        results.about["build"] = f"Pellucid {build}, as this Python has it, for all kinds"


def run(options: argparse.Namespace, builds: Builds, results: Results) -> None:
    """Measure what the command line asks for."""
    chosen = [KINDS[name] for name in options.kinds or KINDS]
    if not builds.folders:
        # There is one build only, and it has the first place.
        chosen = [kind for kind in chosen if kind.build != "uncompiled"]
    if BASE not in {kind.name for kind in chosen}:
        chosen.append(KINDS[BASE])
    placement = Placement()
    describe(results, chosen, builds, placement)
    rounds = options.rounds
    ours = [kind for kind in chosen if kind.group in (OURS, FLOOR) or kind.name == BASE]
    if options.long:
        long.measure(ours, builds, placement, results, rounds=rounds, minutes=options.minutes)
        return
    wanted = set(options.only or [*WORKLOADS, *PARTS])
    if "codec" in wanted:
        codec.measure(builds, results, rounds=rounds, least=0.005 if options.quick else 0.02)
    with started(chosen, builds, placement, results) as peers:
        measure(
            peers,
            [workload for key, workload in WORKLOADS.items() if key in wanted],
            results,
            rounds=rounds,
            goal=_QUICK_GOAL if options.quick else _GOAL,
            latency="latency" in wanted,
            # Starting all of them takes longer than a quick round.
            renew=not options.quick,
        )
        if "growth" in wanted:
            growth.measure(peers, results)
        if "startup" in wanted:
            startup.measure(peers, builds, placement, results, rounds=rounds)
    if "connections" in wanted:
        # Each time anew, which takes longer than the rest.
        few = 1 if options.quick else rounds
        connections.measure(ours, builds, placement, results, rounds=few)


def write(results: Results) -> None:
    """Put tables and chart into the documentation."""
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Performance\n"
    if not results.rates:
        PAGE.write_text(report.put(before, report.long_markdown(results)), encoding="utf-8")
        return
    PAGE.write_text(report.put(before, report.markdown(results)), encoding="utf-8")
    CHART.write_text(chart.draw(results), encoding="utf-8")


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    # So that the processes are ended as with Ctrl-C.
    raise SystemExit(128 + number)


def main() -> int:
    """Do what the command line says."""
    signal.signal(signal.SIGTERM, _ended)
    options = arguments()
    status = 0
    if options.source:
        results = Results.load(options.source.read_text())
    else:
        results = Results()
        began = time.monotonic()
        try:
            builds = building.here() if options.here else building.made()
            began = time.monotonic()
            run(options, builds, results)
        except KeyboardInterrupt:
            print("\ninterrupted; this is what there is", file=sys.stderr)
            status = 130
        except (BuildFailed, Failed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        taken = time.monotonic() - began
        results.about["run"] = (
            f"{results.rounds or options.rounds} rounds in {taken / 60:.1f} minutes"
        )
    print(report.text(results), end="")
    if options.json:
        options.json.write_text(results.dump())
    if options.write and not status:
        write(results)
    return status


if __name__ == "__main__":
    sys.exit(main())
