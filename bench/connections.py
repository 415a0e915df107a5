"""What many connections cost: memory at the server, the time to accept them, and one call more.

Each time server and client are fresh. Memory is what the server alone has written to
(`Private_Dirty` of /proc/PID/smaps_rollup), after some calls and then with all connections, after
one call on each; the system's own buffers are not in it.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.builds import Builds
from bench.peers import Kind
from bench.results import Results
from bench.run import Failed, Peer, Placement, Progress

COUNT = 1000


def memory(pid: int) -> int | None:
    """Give the bytes that a process has to itself, where the system tells."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("Private_Dirty:")]
    return int(found[0]) * 1024 if found else None


def measure(
    kinds: Sequence[Kind],
    builds: Builds,
    placement: Placement,
    results: Results,
    *,
    rounds: int,
    count: int = COUNT,
    quiet: bool = False,
) -> None:
    """Measure the kinds that can have many connections."""
    left = list(kinds)
    progress = Progress(len(left) * rounds, quiet)
    for number in range(rounds):
        for kind in left[:] if number % 2 else left[::-1]:
            progress.step(f"round {number + 1} of {rounds}: {count} connections, {kind.name}")
            try:
                if not _measure(Peer(kind, builds, placement, 60.0), results, count):
                    left.remove(kind)
            except (Failed, OSError) as error:
                results.fail(kind.name, "connections", str(error))
                left.remove(kind)
    progress.over()


def _measure(peer: Peer, results: Results, count: int) -> bool:
    try:
        if "connect" not in peer.methods or peer.kind.instead:
            return False
        peer.place(False)
        peer.seconds("sequential", 200)
        before = memory(peer.server.pid)
        accepted = peer.seconds("connect", count)
        after = memory(peer.server.pid)
        again = peer.seconds("again", 1)
    finally:
        peer.close()
    if before is not None and after is not None:
        results.other("memory", peer.kind.name, (after - before) / count)
    results.other("accept", peer.kind.name, accepted)
    results.other("again", peer.kind.name, again)
    return True
