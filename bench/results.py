"""What was measured: the raw figures, to and from JSON, and the ratios between them."""

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and how far they lie apart."""

    middle: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        """Give the spread; None for no values."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass
class Results:
    """The figures of one run. Lists have one entry for each round; None where nothing is known."""

    # Machine, versions, placement: what is printed above the tables.
    about: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    # How many rounds have begun.
    rounds: int = 0
    # Operations in a second: of a workload, of a kind.
    rates: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    # [p50, p99] in seconds, of a kind.
    latency: dict[str, list[list[float] | None]] = field(default_factory=dict)
    # Why something is not there: of a kind, of a workload; "" for all of them.
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    # Of the other measurements: what, then the kind, then its figures in the rounds.
    others: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    # [size, seconds] of one echo, for growing sizes: of what, of a kind.
    growth: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)

    def rate(self, workload: str, kind: str, value: float) -> None:
        """Note what a kind did in the round that is under way."""
        values = self.rates.setdefault(workload, {}).setdefault(kind, [])
        values += [None] * (self.rounds - 1 - len(values))
        values.append(value)

    def quantiles(self, kind: str, value: list[float]) -> None:
        """Note the latency of a kind in the round that is under way."""
        values = self.latency.setdefault(kind, [])
        values += [None] * (self.rounds - 1 - len(values))
        values.append(value)

    def other(self, what: str, kind: str, value: float) -> None:
        """Note one more figure of another measurement."""
        self.others.setdefault(what, {}).setdefault(kind, []).append(value)

    def fail(self, kind: str, workload: str, why: str) -> None:
        """Note that something can't be measured."""
        self.failures.setdefault(kind, {})[workload] = why

    def figures(self, workload: str, kind: str) -> list[float]:
        """Give the rates of a kind."""
        values = self.rates.get(workload, {}).get(kind, [])
        return [value for value in values if value is not None]

    def ratios(self, workload: str, kind: str, base: str) -> list[float]:
        """Give how often as fast as the base a kind was, for each round that has both."""
        rates = self.rates.get(workload, {})
        pairs = zip(rates.get(kind, []), rates.get(base, []), strict=False)
        return [ours / theirs for ours, theirs in pairs if ours and theirs]

    def tails(self, kind: str, base: str) -> list[float]:
        """Give p99 / p50 of a kind, beside the same of the base, for each round that has both."""
        pairs = zip(self.latency.get(kind, []), self.latency.get(base, []), strict=False)
        return [
            (ours[1] / ours[0]) / (theirs[1] / theirs[0])
            for ours, theirs in pairs
            if ours and theirs
        ]

    def beside(self, what: str, kind: str, base: str) -> list[float]:
        """Give another measurement of a kind as ratios to that of the base."""
        figures = self.others.get(what, {})
        pairs = zip(figures.get(kind, []), figures.get(base, []), strict=False)
        return [ours / theirs for ours, theirs in pairs if theirs]

    def dump(self) -> str:
        """Give it as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, text: str) -> "Results":
        """Read what dump gave."""
        try:
            found: Any = json.loads(text)
        except ValueError:
            found = None
        known = {part.name for part in dataclasses.fields(cls)}
        if not isinstance(found, dict) or not found.keys() <= known:
            raise ValueError("this is no file that the bench wrote")
        return cls(**found)
