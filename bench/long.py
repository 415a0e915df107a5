"""What takes long: many connections beside one, and ten minutes beside the first."""

import statistics
import time
from collections.abc import Sequence

from bench.builds import Builds
from bench.connections import memory
from bench.peers import Kind
from bench.results import Results
from bench.run import Failed, Peer, Placement, Progress
from bench.workloads import IN_FLIGHT

COUNT = 1000
MINUTES = 10


def measure(
    kinds: Sequence[Kind],
    builds: Builds,
    placement: Placement,
    results: Results,
    *,
    rounds: int,
    minutes: float = MINUTES,
    count: int = COUNT,
    quiet: bool = False,
) -> None:
    """Measure the kinds that can have many connections."""
    crowds(kinds, builds, placement, results, rounds=rounds, count=count, quiet=quiet)
    hours(kinds, builds, placement, results, minutes=minutes, quiet=quiet)


def crowds(
    kinds: Sequence[Kind],
    builds: Builds,
    placement: Placement,
    results: Results,
    *,
    rounds: int,
    count: int,
    quiet: bool,
) -> None:
    """Measure calls on one connection with and without the others, and calls on all of them."""
    progress = Progress(len(kinds), quiet)
    for kind in kinds:
        progress.step(f"{count} connections beside one: {kind.name}")
        try:
            peer = Peer(kind, builds, placement, 60.0)
        except (Failed, OSError) as error:
            results.fail(kind.name, "long", str(error))
            continue
        try:
            if "connect" not in peer.methods:
                continue
            peer.place(False)
            peer.seconds("sequential", count)
            alone = [count / peer.seconds("sequential", count) for _ in range(rounds)]
            peer.seconds("connect", count - 1)
            for _ in range(rounds):
                base = statistics.median(alone)
                crowded = count / peer.seconds("sequential", count)
                spread = (count - 1) / peer.seconds("again", 1)
                results.other(
                    f"long: calls on one of {count} connections, x alone", kind.name, crowded / base
                )
                results.other(
                    f"long: calls on all of {count} in turn, x on one alone",
                    kind.name,
                    spread / base,
                )
                if "at_once" in peer.methods:
                    together = (count - 1) / peer.seconds("at_once", 1)
                    results.other(
                        f"long: calls on all of {count} at the same time, x on one alone",
                        kind.name,
                        together / base,
                    )
        except Failed as error:
            results.fail(kind.name, "long", str(error))
        finally:
            peer.close()
    progress.over()


def hours(
    kinds: Sequence[Kind],
    builds: Builds,
    placement: Placement,
    results: Results,
    *,
    minutes: float,
    quiet: bool,
) -> None:
    """Call for so many minutes, all kinds in turn, and hold the last tenth to the first."""
    peers = []
    try:
        for kind in kinds:
            try:
                peers.append(Peer(kind, builds, placement, 60.0))
            except (Failed, OSError) as error:
                results.fail(kind.name, "long", str(error))
        _hours([peer for peer in peers if "connect" in peer.methods], results, minutes, quiet)
    finally:
        for peer in peers:
            peer.close()


def _hours(peers: list[Peer], results: Results, minutes: float, quiet: bool) -> None:
    progress = Progress(int(minutes * 60), quiet)
    rates: dict[str, list[tuple[float, float, float]]] = {peer.kind.name: [] for peer in peers}
    started = time.monotonic()
    shown = 0
    while peers and (past := time.monotonic() - started) < minutes * 60:
        while shown < past:
            progress.step(f"{minutes:g} minutes of calls")
            shown += 1
        for peer in peers[:]:
            try:
                peer.place(False)
                one = 1000 / peer.seconds("sequential", 1000)
                many = (
                    2 * IN_FLIGHT / peer.seconds("in_flight", 2)
                    if "in_flight" in peer.methods
                    else 0
                )
                kept = memory(peer.server.pid) or 0
            except Failed as error:
                results.fail(peer.kind.name, "long", str(error))
                peers.remove(peer)
            else:
                rates[peer.kind.name].append((one, many, kept))
    progress.over()
    said = f"{minutes:g} minutes, the last tenth x the first"
    for name, found in rates.items():
        part = max(1, len(found) // 10)
        for index, what in enumerate(("sequential", "in flight", "memory of the server")):
            first = statistics.median([rate[index] for rate in found[:part]] or [0])
            last = statistics.median([rate[index] for rate in found[-part:]] or [0])
            if first:
                results.other(f"long: {what}, {said}", name, last / first)
