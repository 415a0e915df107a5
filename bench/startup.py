"""How long a program takes that connects, makes one call and ends; and what importing takes.

The time of a program is that of its whole process. An import is timed inside of a fresh process.
"""

import subprocess
import time

from bench.builds import Builds, present
from bench.results import Results
from bench.run import PATIENCE, Failed, Peer, Placement, Process, Progress

_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
_IMPORTS = {
    "import asyncio": ("asyncio", None),
    "import pellucid, compiled": ("pellucid", "compiled"),
    "import pellucid, uncompiled": ("pellucid", "uncompiled"),
    "with its asyncio face, compiled": ("pellucid.asyncio", "compiled"),
    "with its asyncio face, uncompiled": ("pellucid.asyncio", "uncompiled"),
}


def measure(
    peers: list[Peer],
    builds: Builds,
    placement: Placement,
    results: Results,
    *,
    rounds: int,
    quiet: bool = False,
) -> None:
    """Measure programs of the kinds that run, and imports."""
    found = (None, *builds.folders) if builds.folders else (None, present(builds))
    imports = {name: given for name, given in _IMPORTS.items() if given[1] in found}
    left = [peer for peer in peers if "sequential" in peer.methods and not peer.kind.instead]
    progress = Progress((len(left) + len(imports) + 1) * rounds, quiet)
    for number in range(rounds):
        for peer in left[:] if number % 2 else left[::-1]:
            progress.step(f"round {number + 1} of {rounds}: startup, {peer.kind.name}")
            try:
                results.other("startup", peer.kind.name, _program(peer, builds, placement))
            except (Failed, OSError) as error:
                results.fail(peer.kind.name, "startup", str(error))
                left.remove(peer)
        progress.step(f"round {number + 1} of {rounds}: startup, Python alone")
        results.other("startup", "Python alone", _alone(builds))
        for name, (module, build) in imports.items():
            progress.step(f"round {number + 1} of {rounds}: {name}")
            results.other("import", name, _import(module, build, builds))
    progress.over()


def _program(peer: Peer, builds: Builds, placement: Placement) -> float:
    peer.place(True)
    command = [builds.python, *peer.kind.command("client", peer.port)]
    with placement.client():
        started = time.perf_counter()
        process = Process(command, builds.environment(peer.kind))
        try:
            process.last("sequential", 1)
            return time.perf_counter() - started
        finally:
            process.kill()


def _alone(builds: Builds) -> float:
    started = time.perf_counter()
    subprocess.run([builds.python, "-c", ""], env=builds.plain(None), check=True)
    return time.perf_counter() - started


def _import(module: str, build: str | None, builds: Builds) -> float:
    # The best of three: what disturbs it only makes it longer.
    return min(
        float(
            subprocess.run(
                [builds.python, "-c", _IMPORT.format(module)],
                env=builds.plain(build),
                stdout=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=True,
            ).stdout
        )
        for _ in range(3)
    )
