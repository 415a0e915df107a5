"""What came of the attacks."""

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

# An honest client may wait this much longer than undisturbed, and no more.
MOST_TIMES = 10.0


@dataclass
class Outcome:
    """One attack on one peer. Sizes are bytes, times are seconds."""

    attack: str
    peer: str
    # Of the server: how much it grew at most, what of it stayed, what it worked and logged.
    growth: int = 0
    stayed: int = 0
    cpu: float = 0.0
    log: int = 0
    # Of the honest client: the 99th of a hundred calls, before and meanwhile, and the longest.
    calm: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    calls: int = 0
    # What went wrong with it, if anything did; and with a new one behind the attack.
    wrong: str = ""
    new: str = ""
    # Of the attacker: what it sent, how often it was cut off, and what went wrong with it.
    sent: int = 0
    cut: int = 0
    failed: str = ""
    # The server did not survive, or had to be ended.
    ended: str = ""

    @property
    def answered(self) -> bool:
        """Tell whether the honest client and the one after it were answered."""
        return not (self.wrong or self.new or self.ended)


@dataclass
class Outcomes:
    """All of a run."""

    about: dict[str, str] = field(default_factory=dict)
    # For each attack that Pellucid has to stand, what it may grow by, in bytes.
    bounds: dict[str, int] = field(default_factory=dict)
    # What each of them may have it log, in bytes; 0 if nothing is said.
    log: int = 0
    found: list[Outcome] = field(default_factory=list)
    # Peers that can't be started, and why.
    missing: dict[str, str] = field(default_factory=dict)

    def one(self, attack: str, peer: str) -> Outcome | None:
        """Give what came of one attack on one peer."""
        for outcome in self.found:
            if (outcome.attack, outcome.peer) == (attack, peer):
                return outcome
        return None

    def calm(self, peer: str) -> float:
        """Give the undisturbed p99 of a peer: the median of all its servers."""
        calm = [outcome.calm for outcome in self.found if outcome.peer == peer and outcome.calm]
        return median(calm) if calm else 0.0

    def times(self, outcome: Outcome) -> float:
        """Give how many times the undisturbed p99 an honest client waited."""
        calm = self.calm(outcome.peer)
        return outcome.p99 / calm if calm else 0.0

    def faults(self, outcome: Outcome) -> list[str]:
        """Say what should not have been, of a peer that is held to the bounds."""
        found = []
        bound = self.bounds.get(outcome.attack)
        if bound is not None and outcome.growth > bound:
            found.append(f"grew by {_mb(outcome.growth)} MB, over its bound of {_mb(bound)} MB")
        if self.log and outcome.log > self.log:
            found.append(f"logged {outcome.log / 2**20:.1f} MB")
        for what in (outcome.ended, outcome.wrong, outcome.new):
            if what:
                found.append(what)
        if not outcome.wrong and (times := self.times(outcome)) >= MOST_TIMES:
            found.append(f"an honest client's p99 is {times:.0f} times the undisturbed one")
        if outcome.failed:
            found.append(f"the attack itself failed: {outcome.failed}")
        return found

    def dump(self) -> str:
        """Write all of it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def load(cls, text: str) -> "Outcomes":
        """Read what was written."""
        read: dict[str, Any] = json.loads(text)
        read["found"] = [Outcome(**each) for each in read["found"]]
        return cls(**read)


def _mb(size: int) -> int:
    return round(size / 2**20)
