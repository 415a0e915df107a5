"""Measure Pellucid beside Twisted PB, in interleaved rounds, and print the ratios.

Client and server are processes of their own, on loopback. Only the ratios mean anything: absolute
numbers change with the machine and with what else it does.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.spread import banana as twisted_banana
from twisted.spread import jelly as twisted_jelly

from pellucid import banana, jelly
from pellucid.limits import Limits

# What is measured, by how its processes are started: the Twisted face runs Twisted's own programs.
KINDS = {
    "asyncio": ("-m", "bench.peers", "pellucid"),
    "Twisted face": ("-m", "pellucid.twisted", "-m", "bench.peers", "twisted"),
    "Twisted PB": ("-m", "bench.peers", "twisted"),
}
BASE = "Twisted PB"
WORKLOADS = ("sequential", "in flight")


def codec_values() -> dict[str, Any]:
    """Give the values that the codec is measured with."""
    row = {"name": "Ada", "age": 36, "tags": ["a", "b"], "score": 1.5, "ok": True, "none": None}
    return {
        "call arguments": ("hello network", 12, b"bytes", ["a", "list"]),
        "200 rows": [dict(row, number=n) for n in range(200)],
        "10,000 integers": [n * 7919 - 30_000_000 for n in range(10_000)],
        "64 KiB of bytes": b"x" * 65_536,
    }


def seconds_per_run(run: Callable[[], object]) -> float:
    """Time one function: the best of many, each long enough to be timed."""
    count = 1
    while True:
        started = time.perf_counter()
        for _ in range(count):
            run()
        taken = time.perf_counter() - started
        if taken > 0.02:
            return taken / count
        count *= 2


def twisted_codec(value: Any) -> tuple[Callable[[], bytes], Callable[[bytes], Any]]:
    """Give Twisted's encoder and decoder for one value."""

    def encode() -> bytes:
        return bytes(twisted_banana.encode(twisted_jelly.jelly(value)))

    def decode(data: bytes) -> Any:
        return twisted_jelly.unjelly(twisted_banana.decode(data))

    return encode, decode


def measure_codec(rounds: int) -> None:
    """Print how the codec compares."""
    print(f"{'codec':<20}{'encode: x Twisted':>24}{'decode: x Twisted':>24}")
    for name, value in codec_values().items():
        encode, decode = twisted_codec(value)
        ours, theirs = jelly.dumps(value, "none"), encode()
        assert jelly.loads(ours, "none") == decode(theirs) == value
        ratios: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            ratios[0].append(
                seconds_per_run(encode)
                / seconds_per_run(lambda value=value: jelly.dumps(value, "none"))  # type: ignore[misc]
            )
            ratios[1].append(
                seconds_per_run(lambda theirs=theirs, decode=decode: decode(theirs))  # type: ignore[misc]
                / seconds_per_run(lambda ours=ours: jelly.loads(ours, "none"))  # type: ignore[misc]
            )
        print(f"{name:<20}{spread(ratios[0]):>24}{spread(ratios[1]):>24}")


def spread(values: list[float]) -> str:
    """Show the median of some ratios, and how far they lie apart."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def measure_framer() -> None:
    """Print how the time to take a message apart grows with its size and with its pieces."""
    print(f"\n{'framer':<44}{'n':>10}{'8n':>10}{'ratio':>8}")

    def integers(count: int) -> None:
        framer = banana.Framer(banana.PB, Limits())
        framer.feed(banana.list_header(count) + b"\x01\x81" * count)
        assert framer.next_message() is not None

    def string(size: int) -> None:
        framer = banana.Framer(banana.PB, Limits())
        data = banana.string_token(b"x" * size, banana.PB)
        found = None
        for start in range(0, len(data), 16):
            framer.feed(data[start : start + 16])
            found = framer.next_message()
        assert found is not None

    for name, run, size in (
        ("one-digit integers in one chunk (640 KiB)", integers, 327_680),
        ("a string in 16-byte chunks (640 KiB)", string, 655_360),
    ):
        small = seconds_per_run(lambda run=run, size=size: run(size // 8))  # type: ignore[misc]
        large = seconds_per_run(lambda run=run, size=size: run(size))  # type: ignore[misc]
        print(f"{name:<44}{small * 1e3:>7.1f} ms{large * 1e3:>7.1f} ms{large / small:>8.1f}")


def measure_calls(rounds: int, seconds: float) -> None:
    """Print how calls between two processes compare."""
    servers = {kind: start(kind, "server") for kind in KINDS}
    try:
        ports = {kind: read_line(server) for kind, server in servers.items()}
        print(f"\n{'calls':<20}{'':<16}{'calls /s':>12}{'x Twisted PB':>24}")
        for workload in WORKLOADS:
            rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for number in range(rounds):
                for kind in KINDS if number % 2 else reversed(KINDS):
                    client = start(kind, "client", ports[kind], workload, str(seconds))
                    rates[kind].append(float(read_line(client)))
                    client.wait()
            for kind in KINDS:
                ratios = [a / b for a, b in zip(rates[kind], rates[BASE], strict=True)]
                shown = "" if kind == BASE else spread(ratios)
                print(
                    f"{workload:<20}{kind:<16}{statistics.median(rates[kind]):>12,.0f}{shown:>24}"
                )
    finally:
        for server in servers.values():
            server.terminate()
            server.wait()


def start(kind: str, role: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start one of the measured processes."""
    *how, name = KINDS[kind]
    command = [sys.executable, *how, f"{name}-{role}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_line(process: "subprocess.Popen[str]") -> str:
    """Read what a measured process has to say."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise SystemExit(f"{process.args!r} failed")
    return line


def main() -> None:
    """Run the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one round of calls")
    options = parser.parse_args()
    how = "uncompiled" if (banana.__file__ or "").endswith(".py") else "compiled"
    print(f"Pellucid {how}, Python {sys.version.split()[0]}; ratios above 1 favour Pellucid\n")
    measure_codec(options.rounds)
    measure_framer()
    measure_calls(options.rounds, options.seconds)


if __name__ == "__main__":
    main()
