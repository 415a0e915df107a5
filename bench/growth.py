"""How the time of a call grows with its value, up to the largest that the wire allows."""

from bench.results import Results
from bench.run import Failed, Peer, Progress

SIZES = {
    # The tag of the list is one of its 655,360 elements.
    "integers in a list": ("list_of", [10_000 << n for n in range(7)]),
    "bytes in a string": ("string_of", [10_240 << n for n in range(7)]),
}
# A size is repeated so often, or until this is over.
_TIMES = 5
_SECONDS = 0.5


def measure(peers: list[Peer], results: Results, *, quiet: bool = False) -> None:
    """Measure the kinds that can tell, each value with the best of several calls."""
    left = [peer for peer in peers if {"list_of", "string_of"} <= peer.methods]
    progress = Progress(len(left) * len(SIZES), quiet)
    for what, (method, sizes) in SIZES.items():
        for peer in left[:]:
            progress.step(f"growth: {what}, {peer.kind.name}")
            peer.place(False)
            try:
                found = [[float(size), _best(peer, method, size)] for size in sizes]
            except Failed as error:
                results.fail(peer.kind.name, "growth", str(error))
                left.remove(peer)
            else:
                results.growth.setdefault(what, {})[peer.kind.name] = found
    progress.over()


def _best(peer: Peer, method: str, size: int) -> float:
    taken: list[float] = []
    while len(taken) < _TIMES and sum(taken) < _SECONDS:
        taken.append(peer.seconds(method, size))
    return min(taken)
