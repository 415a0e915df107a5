"""The codec alone, in one process: Pellucid's beside Twisted's jelly and banana.

`python -m bench.codec ROUNDS SECONDS` prints the ratios as JSON, for the build that it runs with:
how many times as fast as Twisted it encodes and decodes each value, and how many times as long the
framer takes for eight times as much.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import workloads
from bench.builds import BUILDS, Builds, present
from bench.results import Results


def values() -> dict[str, Any]:
    """Give the values that the codec is measured with."""
    row = {"name": "Ada", "age": 36, "tags": ["a", "b"], "score": 1.5, "ok": True, "none": None}
    return {
        "call arguments": ("hello network", 12, b"bytes", ["a", "list"]),
        "structure": workloads.STRUCTURE,
        "200 rows": [dict(row, number=n) for n in range(200)],
        "10,000 integers": workloads.INTEGERS,
        "64 KiB of bytes": b"x" * 65_536,
    }


def seconds_per_run(run: Callable[[Any], object], value: object, least: float) -> float:
    """Time one function with one argument, long enough to be timed."""
    count = 1
    while True:
        started = time.perf_counter()
        for _ in range(count):
            run(value)
        taken = time.perf_counter() - started
        if taken > least:
            return taken / count
        count = max(count + 1, min(count * 16, int(count * least * 1.3 / max(taken, 1e-9))))


def ratios(rounds: int, least: float) -> dict[str, list[float]]:
    """Measure in rounds, Twisted and Pellucid in turn."""
    # The Twisted face is not meant here, and the harness itself shall not load either.
    from twisted.spread import banana, jelly  # noqa: PLC0415

    from pellucid import jelly as ours  # noqa: PLC0415

    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in values().items():
            mine = ours.dumps(value, "none")
            theirs = bytes(banana.encode(jelly.jelly(value)))
            if not ours.loads(mine, "none") == jelly.unjelly(banana.decode(theirs)) == value:
                workloads.wrong(name)
            slow = seconds_per_run(lambda v: banana.encode(jelly.jelly(v)), value, least)
            fast = seconds_per_run(lambda v: ours.dumps(v, "none"), value, least)
            found.setdefault(f"encode: {name}", []).append(slow / fast)
            slow = seconds_per_run(lambda v: jelly.unjelly(banana.decode(v)), theirs, least)
            fast = seconds_per_run(lambda v: ours.loads(v, "none"), mine, least)
            found.setdefault(f"decode: {name}", []).append(slow / fast)
    return found


def framer(rounds: int, least: float) -> dict[str, list[float]]:
    """Measure how the time to take a message apart grows from an eighth of the largest to it."""
    from pellucid import banana  # noqa: PLC0415
    from pellucid.limits import Limits  # noqa: PLC0415

    def integers(count: int) -> None:
        framer = banana.Framer(banana.PB, Limits())
        framer.feed(banana.list_header(count) + b"\x01\x81" * count)
        if framer.next_message() is None:
            workloads.wrong()

    def string(size: int) -> None:
        framer = banana.Framer(banana.PB, Limits())
        data = banana.string_token(b"x" * size, banana.PB)
        found = None
        for start in range(0, len(data), 16):
            framer.feed(data[start : start + 16])
            found = framer.next_message()
        if found is None:
            workloads.wrong()

    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, run, size in (
            ("framer: 640 KiB of integers in one chunk, x 1/8 of it", integers, 327_680),
            ("framer: a string of 640 KiB in 16-byte chunks, x 1/8 of it", string, 655_360),
        ):
            small = seconds_per_run(run, size // 8, least)
            large = seconds_per_run(run, size, least)
            found.setdefault(name, []).append(large / small)
    return found


def measure(builds: Builds, results: Results, *, rounds: int, least: float) -> None:
    """Measure each build, in processes of its own."""
    for build in BUILDS if builds.folders else (present(builds),):
        print(f"codec, {build}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [builds.python, "-m", "bench.codec", str(rounds), str(least)],
            env=builds.plain(build),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it failed"]
            results.fail(f"codec, {build}", "", lines[-1])
            continue
        for what, figures in json.loads(done.stdout).items():
            results.others.setdefault(what, {})[build] = figures


def main() -> None:
    """Print the ratios of this build."""
    rounds, least = int(sys.argv[1]), float(sys.argv[2])
    print(json.dumps({**ratios(rounds, least), **framer(min(rounds, 5), least)}))


if __name__ == "__main__":
    main()
