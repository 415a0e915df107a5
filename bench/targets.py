"""What Pellucid is held to: the median of the ratios of at least ten rounds."""

from typing import NamedTuple

from bench.peers import BASE
from bench.results import Results, Spread

ROUNDS = 10

FLOOR = "BufferedProtocol"
FLOORS = {
    "asyncio": FLOOR,
    "uvloop": "BufferedProtocol, uvloop",
    "asyncio, uncompiled": FLOOR,
    "Twisted face": FLOOR,
}
KINDS = tuple(FLOORS)


class Target(NamedTuple):
    """One number to reach: at least for speeds, at most for times and sizes."""

    what: str
    kind: str
    bound: float
    # What it is a ratio to; "" for a number by itself.
    base: str
    at_most: bool = False

    def measured(self, results: Results) -> Spread | None:
        """Give what was measured of it, if it was."""
        if self.what == "latency":
            return Spread.of(results.tails(self.kind, self.base))
        if self.what == "import":
            return _best(results, self.what, self.kind, self.base)
        if not self.base:
            return Spread.of(results.others.get(self.what, {}).get(self.kind, []))
        if self.at_most:
            return Spread.of(results.beside(self.what, self.kind, self.base))
        return Spread.of(results.ratios(self.what, self.kind, self.base))

    def reached(self, spread: Spread) -> bool:
        """Tell whether that is enough."""
        return spread.middle <= self.bound if self.at_most else spread.middle >= self.bound

    def verdict(self, results: Results) -> str:
        """Say whether it is reached."""
        spread = self.measured(results)
        if spread is None:
            return "not measured"
        return "reached" if self.reached(spread) else "missed"

    def wanted(self) -> str:
        """Say what it asks for."""
        sign = "at most" if self.at_most else "at least"
        if self.what == "memory":
            return f"{sign} {self.bound / 1024:.0f} KiB"
        return f"{sign} {self.bound:g} x {self.base}"

    def firm(self, results: Results) -> bool:
        """Tell whether there were rounds enough to say so."""
        spread = self.measured(results)
        return spread is not None and spread.count >= ROUNDS


def _best(results: Results, what: str, kind: str, base: str) -> Spread | None:
    """Give the ratio of the best to the best: what disturbs an import only makes it longer."""
    figures = results.others.get(what, {})
    if not figures.get(kind) or not figures.get(base):
        return None
    ratio = min(figures[kind]) / min(figures[base])
    return Spread(ratio, ratio, ratio, len(figures[kind]))


def _row(what: str, base: str | None, *bounds: float | None, at_most: bool = False) -> list[Target]:
    """Give the targets of one workload, for the kinds in their order."""
    return [
        Target(what, kind, bound, FLOORS[kind] if base is None else base, at_most)
        for kind, bound in zip(KINDS, bounds, strict=True)
        if bound is not None
    ]


TARGETS = (
    *_row("sequential", BASE, 4.2, 7.5, 2.5, 1.8),
    *_row("sequential", None, 0.75, None, None, None),
    *_row("each", None, 0.85, 0.85, 0.7, None),
    *_row("in_flight", BASE, 20, 20, 4, 4),
    *_row("structure", BASE, 17, 24, 4, 8),
    *_row("integers", BASE, 100, 100, 4, 40),
    *_row("bytes", BASE, 12, 12, 6, 3.5),
    *_row("reference", BASE, 3.7, 6, 2.2, 1.8),
    *_row("callback", BASE, 3.3, 5.5, 2, 1.6),
    *(Target("latency", kind, 1.3, FLOORS[kind], at_most=True) for kind in KINDS),
    *(Target("memory", kind, 4096, "", at_most=True) for kind in KINDS),
    *_row("accept", BASE, 1.0, None, None, None, at_most=True),
    *_row("startup", BASE, 0.35, None, None, None, at_most=True),
    *(
        Target("import", f"import pellucid, {build}", 1.3, "import asyncio", at_most=True)
        for build in ("compiled", "uncompiled")
    ),
)
