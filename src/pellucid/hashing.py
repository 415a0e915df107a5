"""What hashing the keys and members of one received message may cost.

A few bytes can name a tuple of any size, for the same part may be in it many times; and numbers
can be chosen so that many have the same hash. So each is charged before it is hashed.
"""

from typing import Any

from .errors import InsecureJelly, LimitExceeded, full_name
from .limits import Limits

__all__ = ["Hashing"]


class Hashing:
    """Counts the steps, over a whole message. It keeps every object alive that it has measured."""

    __slots__ = ("_crowds", "_limits", "_sizes", "_steps")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = 0
        # The expanded size and the height of tuples and frozensets; and the most members with the
        # same hash of the frozensets that have such. The objects keep their ids theirs.
        self._sizes: dict[int, tuple[int, int, object]] = {}
        self._crowds: dict[int, tuple[int, object]] = {}

    def charge(self, steps: int) -> None:
        """Count steps. Raises LimitExceeded."""
        self._steps += steps
        if self._steps > self._limits.hash_steps:
            raise LimitExceeded(
                "hashing keys and members takes more steps than limits.hash_steps, which is "
                f"{self._limits.hash_steps}",
                limit="hash_steps",
                value=self._steps,
            )

    def admit(self, container: Any, key: Any, counts: dict[int, int]) -> None:
        """Refuse a key or member that can't be hashed, or only at too high a price."""
        kind = type(key)
        size = self._measure(key, 0)[0] if kind is tuple or kind is frozenset else 1
        self.charge(size)
        try:
            code = hash(key)
            known = counts.get(code, 0)
            if known:
                self.charge(size * known)
                if key in container:
                    return
        except LimitExceeded:
            raise
        except Exception as error:
            raise InsecureJelly(
                f"a {full_name(kind)} that can't be hashed is a key or member"
            ) from (None if type(error) is TypeError else error)
        if known >= self._limits.hash_collisions:
            raise LimitExceeded(
                "more keys or members have the same hash than limits.hash_collisions, which is "
                f"{self._limits.hash_collisions}",
                limit="hash_collisions",
                value=known + 1,
            )
        counts[code] = known + 1

    def _measure(self, value: Any, depth: int) -> tuple[int, int, object]:
        """Give what hashing or comparing a tuple or frozenset costs, sharing expanded.

        The second number is its height: neither hashing nor comparing looks at how deep it goes.
        """
        known = self._sizes.get(id(value))
        if known is None:
            self._check(depth)
            size = 0
            height = 0
            for member in value:
                kind = type(member)
                size += 1
                if kind is tuple or kind is frozenset:
                    inner = self._measure(member, depth + 1)
                    size += inner[0]
                    height = max(height, inner[1])
                elif kind is str or kind is bytes:
                    size += len(member) >> 8
            crowd = self._crowds.get(id(value))
            if crowd is not None:
                size *= crowd[0]
            known = (size + 1, height + 1, value)
            self._sizes[id(value)] = known
        self._check(depth + known[1] - 1)
        return known

    def _check(self, depth: int) -> None:
        if depth >= self._limits.depth_received:
            raise LimitExceeded(
                "a key or member is nested deeper than limits.depth_received, which is "
                f"{self._limits.depth_received}",
                limit="depth_received",
                value=depth + 1,
            )

    def crowded(self, whole: frozenset[Any], counts: dict[int, int]) -> None:
        """Remember how many members of a frozenset have the same hash: comparing it costs more."""
        crowd = max(counts.values(), default=1)
        if crowd > 1:
            self._crowds[id(whole)] = (crowd, whole)
