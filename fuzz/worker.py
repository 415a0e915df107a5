"""One process of fuzzing: one target, in the build that this Python finds.

Needs atheris. `python -m fuzz` starts it, in an environment that has that.
"""

import argparse
import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuzz.findings import Findings
    from fuzz.oracle import Budget
    from fuzz.targets import Target

# After so many executions it is looked for connections that are still alive.
_LEAK_EVERY = 4000
_STATUS_EVERY = 0.5
# Of the mutations that are left to libFuzzer, which changes bytes.
_RAW = 0.2
_LONGEST = 4096
_EDGES = 1 << 16


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.worker", description=__doc__)
    add = parser.add_argument
    add("--target", required=True)
    add("--build", default="uncompiled")
    add("--place", type=Path, help="where status, corpus and seeds are")
    add("--findings", type=Path)
    add("--seconds", type=int, default=0)
    add("--runs", type=int, default=-1)
    add("--seed", type=int, default=0)
    add("--slow", type=float, default=1.0, help="how many times longer anything may take")
    add("--edges", type=Path, help="the library that hears of compiled code")
    add("--replay", type=Path, nargs="+", help="play these, and tell what becomes of them")
    return parser.parse_args()


class Worker:
    """Plays inputs, and counts."""

    def __init__(self, target: "Target", findings: "Findings", status: Path, slow: float) -> None:
        # Not above: what is imported there would not be watched.
        from fuzz import life, mutate, oracle  # noqa: PLC0415

        self.oracle, self.mutate, self.alive = oracle, mutate, life.ALIVE
        self.target = target
        self.findings = findings
        self.status = status
        self.budget: Budget = oracle.Budget(0.3 * slow, 0.00005 * slow, 0.000005 * slow)
        self.counts = {"executions": 0, "accepted": 0, "refused": 0, "found": 0}
        self.said = 0.0

    def one(self, data: bytes) -> None:
        """Play an input."""
        counts = self.counts
        counts["executions"] += 1
        try:
            outcome = self.oracle.judge(self.target, data, self.budget)
            counts["accepted"] += outcome.accepted
            counts["refused"] += outcome.refused
            if counts["executions"] % _LEAK_EVERY == 0:
                self.look_for_leaks()
        except Exception as error:
            counts["found"] += 1
            self.findings.add(data, error, self.again)
            self.said = 0.0
        now = time.monotonic()
        if now - self.said > _STATUS_EVERY:
            self.said = now
            self.tell()

    def again(self, data: bytes) -> None:
        """Play an input of which it is known that it breaks something."""
        self.oracle.judge(self.target, data, self.budget)

    def look_for_leaks(self) -> None:
        """Raise if a connection outlived its input."""
        gc.collect()
        self.oracle.check(not self.alive, f"{len(self.alive)} connections outlived their input")

    def tell(self) -> None:
        """Write down how far it is."""
        text = json.dumps({**self.counts, "kinds": self.findings.kinds})
        fresh = self.status.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.status)

    def mutated(self, atheris: Any, data: bytes, size: int, seed: int) -> bytes:
        """Give an input near to another one, as libFuzzer asks for it."""
        random = Random(seed)
        if random.random() < _RAW:
            return bytes(atheris.Mutate(data, size))
        found = self.mutate.mutated(data, random, self.target.name)
        return found if len(found) <= size else bytes(atheris.Mutate(data, size))


def watch(edges: Path) -> None:
    """Give the counters of compiled code to libFuzzer."""
    # It finds a mutator only if that is there before.
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | os.RTLD_GLOBAL)
    importlib.import_module("atheris.custom_mutator")
    sys.setdlopenflags(before)
    # The one that atheris will load, with libFuzzer in it.
    core = importlib.util.find_spec("atheris.core_with_libfuzzer")
    assert core is not None
    fuzzer = ctypes.CDLL(core.origin)
    library = ctypes.CDLL(str(edges))
    counters = (ctypes.c_uint8 * _EDGES).in_dll(library, "fuzz_counters")
    places = (ctypes.c_size_t * (2 * _EDGES)).in_dll(library, "fuzz_places")
    # What a place is called is of no use to anybody, but each needs a name of its own.
    places[::2] = list(range(1, _EDGES + 1))
    for name, table in (
        ("__sanitizer_cov_8bit_counters_init", counters),
        ("__sanitizer_cov_pcs_init", places),
    ):
        start = ctypes.addressof(table)
        end = start + ctypes.sizeof(table)
        fuzzer[name](ctypes.c_void_p(start), ctypes.c_void_p(end))


def replay(paths: list[Path], name: str, slow: float) -> int:
    """Play inputs once, and tell what becomes of each."""
    from fuzz import oracle  # noqa: PLC0415
    from fuzz.targets import TARGETS  # noqa: PLC0415

    target = TARGETS[name]
    budget = oracle.Budget(0.3 * slow, 0.00005 * slow, 0.000005 * slow)
    failed = 0
    for path in paths:
        for one in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                outcome = oracle.judge(target, one.read_bytes(), budget)
            except Exception:
                failed += 1
                print(f"{one}: BROKEN", flush=True)
                traceback.print_exc()
            else:
                print(f"{one.name} {outcome.digest}", flush=True)
                if len(paths) == 1 and path.is_file():
                    print("\n".join(outcome.lines))
    return 1 if failed else 0


def fuzz(options: argparse.Namespace) -> None:
    """Play inputs until the time is over. Ends the process."""
    import atheris  # noqa: PLC0415

    is_pure = options.edges is None
    with atheris.instrument_imports(include=["pellucid"]) if is_pure else contextlib.nullcontext():
        from fuzz.findings import Findings  # noqa: PLC0415
        from fuzz.targets import TARGETS  # noqa: PLC0415
    place = options.place
    findings = Findings(options.findings, options.target, options.build)
    worker = Worker(TARGETS[options.target], findings, place / "status.json", options.slow)
    settings = {
        "max_total_time": options.seconds,
        "runs": options.runs,
        "seed": options.seed,
        "max_len": _LONGEST,
        "timeout": int(60 * options.slow),
        # The oracle holds the time. To libFuzzer an input whose finding is made small is slow.
        "report_slow_units": int(60 * options.slow),
        "rss_limit_mb": 4096,
        "artifact_prefix": f"{options.findings}/{options.target}-",
        "print_final_stats": 1,
        "detect_leaks": 0,
    }
    options.findings.mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [
            sys.argv[0],
            *(f"-{name}={value}" for name, value in settings.items()),
            *map(str, (place / "corpus", place / "seeds")),
        ],
        worker.one,
        custom_mutator=lambda data, size, seed: worker.mutated(atheris, data, size, seed),
        internal_libfuzzer=True,
    )
    if options.edges is not None:
        watch(options.edges)
    atheris.Fuzz()


def main() -> int:
    """Do what the command line says."""
    options = arguments()
    # What is sent may have the order of a set, which is then the same in every process.
    assert os.environ.get("PYTHONHASHSEED") == "0", "the hashes have to be the same everywhere"
    if options.replay:
        return replay(options.replay, options.target, options.slow)
    fuzz(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
