"""Attack Pellucid and, beside it, others, and say what they cost and whom they kept from working.

Server, attacker and honest client are processes of their own, on loopback. The server has a core of
its own. Needs Linux: what a process takes is read from /proc.
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

import attack.attacks  # noqa: F401 - it registers them
from attack import report
from attack.measure import FULL, LINUX, QUICK, Times, measure
from attack.outcome import Outcome, Outcomes
from attack.peers import PEERS, Peer
from attack.registry import ATTACKS
from attack.target import many_files
from bench import builds as building
from bench.builds import BuildFailed, Builds
from bench.run import ROOT, Failed, Placement, Progress

PAGE = ROOT / "docs" / "security.md"

_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""
_BOUNDS = """
import json, sys
from attack.bounds import LOG, bound
from pellucid import Limits
limits = Limits()
print(json.dumps([LOG, {name: bound(name, limits) for name in sys.argv[1:]}]))
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m attack", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="shorter attacks: a third of the time")
    add("--only", action="append", choices=list(ATTACKS), metavar="NAME", help="see --list")
    add("--peers", action="append", choices=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    add("--json", type=Path, metavar="FILE", help="write all figures into a file")
    add("--write", action="store_true", help="write the table into docs/security.md")
    add("--from", dest="source", type=Path, metavar="JSON", help="show what was measured before")
    add("--here", action="store_true", help="with this Python and the Pellucid that it has")
    add("--list", action="store_true", help="say what attacks there are")
    return parser.parse_args()


def listing() -> str:
    """Say what attacks there are."""
    lines = []
    for name, each in ATTACKS.items():
        able = ", ".join(peer.name for peer in PEERS.values() if peer.family in each.ways)
        lines.append(f"{name}: {each.about}\n    {able}")
    return "\n".join(lines) + f"\n{len(ATTACKS)} attacks\n"


def _asked(builds: Builds, code: str, *names: str, build: str | None = None) -> str:
    """Ask the Python that is measured with."""
    done = subprocess.run(
        [builds.python, "-c", code, *names],
        cwd=ROOT,
        env=builds.plain(build),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed("it can't be asked for versions and bounds; its own words are above")
    return done.stdout


def describe(outcomes: Outcomes, peers: list[Peer], builds: Builds, times: Times) -> None:
    """Note what is attacked, and on what."""
    build = "compiled" if builds.folders else None
    outcomes.log, bounds = json.loads(_asked(builds, _BOUNDS, *ATTACKS, build=build))
    outcomes.bounds = {name: size for name, size in bounds.items() if size is not None}
    names = sorted({name for peer in peers for name in peer.distributions})
    versions = {
        "Python": platform.python_version(),
        **json.loads(_asked(builds, _VERSIONS, *names)),
    }
    cores = len(os.sched_getaffinity(0))
    outcomes.about = {
        "machine": f"{platform.machine()}, {cores} cores, Linux {platform.release()}",
        "times": f"{times.attack:g} s each attack, {times.calm:g} s undisturbed before it",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def run(options: argparse.Namespace, builds: Builds, outcomes: Outcomes) -> None:
    """Try what the command line asks for."""
    times = QUICK if options.quick else FULL
    chosen = [
        peer for peer in PEERS.values() if peer.name in (options.peers or ()) or not options.peers
    ]
    if not options.peers:
        chosen = [peer for peer in chosen if peer.usual]
    describe(outcomes, chosen, builds, times)
    placement = Placement()
    wanted = [each for name, each in ATTACKS.items() if not options.only or name in options.only]
    steps = [(each, peer) for each in wanted for peer in chosen if peer.family in each.ways]
    progress = Progress(len(steps))
    for each, peer in steps:
        if peer.name in outcomes.missing:
            continue
        progress.step(f"{each.name}, {peer.name}")
        try:
            outcomes.found.append(measure(each, peer, builds, placement, times))
        except (Failed, OSError) as error:
            # The same server stands other attacks: then it is there.
            if any(outcome.peer == peer.name for outcome in outcomes.found):
                outcomes.found.append(Outcome(each.name, peer.name, failed=str(error)))
            else:
                outcomes.missing[peer.name] = str(error)
    progress.over()


def write(outcomes: Outcomes) -> None:
    """Put the table into the documentation."""
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Security\n"
    PAGE.write_text(report.put(before, report.markdown(outcomes)), encoding="utf-8")


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    # So that the processes are ended as with Ctrl-C.
    raise SystemExit(128 + number)


def main() -> int:
    """Do what the command line says."""
    signal.signal(signal.SIGTERM, _ended)
    options = arguments()
    if options.list:
        print(listing(), end="")
        return 0
    status = 0
    if options.source:
        outcomes = Outcomes.load(options.source.read_text())
    else:
        if not LINUX:
            print("error: this needs Linux: it reads /proc", file=sys.stderr)
            return 1
        many_files()
        outcomes = Outcomes()
        try:
            builds = building.here() if options.here else building.made()
            began = time.monotonic()
            run(options, builds, outcomes)
            outcomes.about["run"] = f"{(time.monotonic() - began) / 60:.1f} minutes"
        except KeyboardInterrupt:
            print("\ninterrupted; this is what there is", file=sys.stderr)
            status = 130
        except (BuildFailed, Failed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(report.text(outcomes), end="")
    if options.json:
        options.json.write_text(outcomes.dump())
    if options.write and not status:
        write(outcomes)
    return status or int(bool(report.faults(outcomes)))


if __name__ == "__main__":
    sys.exit(main())
