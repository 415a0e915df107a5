"""What hashing the keys and members of one received message may cost.

A few bytes can name a tuple of any size, for the same part may be in it many times; and numbers
can be chosen so that many have the same hash, or so that all places are taken where a table looks
for them. So each is charged before it is hashed, and before a place is found for it. An object
with a hash of its own is charged by the state that it came with, for that is what its class looks
at.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from .errors import InsecureJelly, LimitExceeded, full_name
from .holes import Hole
from .limits import Limits

__all__ = ["CROWD", "Hashing", "Probes", "has_own_hash"]

CROWD: Final = 512
"""Beside so many others a key or member that is no text is charged for finding its place."""

# So many places where it looks for one cost nothing, and four more a step. Numbers at random need
# two, as many in even steps do; those in the worst even steps need 30.
_FREE: Final = 8
# How CPython looks for a place: behind each a set looks at so many more. Then both go where more of
# the hash leads, by so many bits at a time.
_RUN: Final = 9
_SHIFT: Final = 5
_HASH_BITS: Final = (1 << 64) - 1
# A set that is not larger is made four times as large, a larger one twice.
_LARGE_SET: Final = 50_000
# Setting an attribute takes as long as so many steps.
_TAKING: Final = 8
_UNKNOWN: Final = object()
_CHANGING: Final = (list, dict, set)
# What is charged as it stands, whoever made it.
_PLAIN: Final = frozenset(
    (str, bytes, int, float, bool, type(None), tuple, frozenset, list, dict, set)
)


def has_own_hash(cls: type) -> bool:
    """Tell whether objects of a class are hashed by anything but what Python does with its own."""
    own: object = cls.__hash__
    return own is not None and own is not object.__hash__ and cls not in _PLAIN


class Probes:
    """The table of one dictionary or set, as CPython has it, to count where it looks for a place.

    Of texts and byte strings nobody else knows the hash: they are not in it, but make it larger.
    `counts` are the hashes of what is in the container and is no small integer.
    """

    __slots__ = ("_codes", "_container", "_is_set", "_mask", "_room", "_taken")

    def __init__(self, container: Any, counts: dict[int, int]) -> None:
        self._container = container
        self._is_set = type(container) is set
        self._mask = 7
        self._room = 0
        self._taken = bytearray()
        self._codes = [code for code, count in counts.items() for _ in range(count)]
        for key in container:
            if type(key) is int:
                code = hash(key)
                if code not in counts:
                    self._codes.append(code)

    def take(self, code: int, most: int) -> int:
        """Take a place, and give what that costs. What is more than `most` is not counted on."""
        steps = 0
        if len(self._container) >= self._room:
            steps = self._grow(len(self._container), most)
        self._codes.append(code)
        place = code & self._mask
        if not self._taken[place]:
            self._taken[place] = 1
            return steps
        return steps + self._take(code, most)

    def _grow(self, used: int, most: int) -> int:
        """Make the table as large as it is when one more comes to so many."""
        size = self._mask + 1
        room = self._room
        while used >= room:
            if self._is_set:
                # What comes to so many is what makes it larger.
                room = (3 * size + 1) // 5
                if used >= room:
                    least = 2 * room if room > _LARGE_SET else 4 * room
                    while size <= least:
                        size *= 2
            else:
                room = 2 * size // 3
                if used >= room:
                    size *= 2
        self._mask = size - 1
        self._room = room
        self._taken = bytearray(size)
        steps = 0
        for code in self._codes:
            steps += self._take(code, most)
            if steps > most:
                break
        return steps

    def _take(self, code: int, most: int) -> int:
        taken = self._taken
        mask = self._mask
        perturb = code & _HASH_BITS
        place = perturb & mask
        most = 4 * most + _FREE + 4
        count = 0
        while taken[place]:
            if self._is_set and place + _RUN <= mask:
                found = taken.find(0, place + 1, place + _RUN + 1)
                if found >= 0:
                    place = found
                    break
            count += 1
            if count >= most:
                break
            perturb >>= _SHIFT
            place = (place * 5 + (perturb & mask) + 1) & mask
        taken[place] = 1
        return (count - _FREE) // 4 if count > _FREE else 0


class Hashing:
    """Counts the steps, over a whole message. It keeps every object alive that it has measured."""

    __slots__ = ("_crowds", "_is_end", "_limits", "_open", "_probes", "_sizes", "_states", "_steps")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = 0
        # The expanded size and the height of tuples and frozensets; and the most members with the
        # same hash of the frozensets that have such. The objects keep their ids theirs.
        self._sizes: dict[int, tuple[int, int, object]] = {}
        self._crowds: dict[int, tuple[int, object]] = {}
        # The tables of large containers.
        self._probes: dict[int, Probes] = {}
        # The states of the objects with a hash of their own.
        self._states: dict[int, tuple[Any, object]] = {}
        # At the end of a unit all is there, but for what is still missing in these.
        self._is_end = False
        self._open: dict[int, object] = {}

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

    # Objects with a hash of their own.

    def begin(self, obj: object) -> None:
        """Tell of an object with a hash of its own whose state is not there yet."""
        self._states[id(obj)] = (_UNKNOWN, obj)

    def finish(self, reader: Any, made: Any, state: Any) -> Any:
        """Give a state to its reader, note what hashing the value costs, and give the value."""
        # The application may take out of it what it likes.
        known = state.copy() if type(state) in _CHANGING and not reader.is_plain else state
        value = reader.finish(made, state)
        self.note(value, known)
        return value

    def share(self, state: Any) -> None:
        """Charge for a container that a few bytes named: each copy takes all that is in it."""
        self.charge(_TAKING * len(state))

    def is_whole(self, state: Any) -> bool:
        """Charge for a state that is shared, as `share` does, at the end of a unit.

        False if something is missing in it.
        """
        if not isinstance(state, (dict, list, set, tuple, frozenset)):
            return True
        self.share(state)
        members = state.values() if isinstance(state, dict) else state
        return id(state) not in self._open and not any(type(one) is Hole for one in members)

    def note(self, value: object, state: object) -> None:
        """Tell what an object was made of that may have a hash of its own."""
        known = self._states.get(id(value))
        if (known is None or known[0] is _UNKNOWN) and has_own_hash(type(value)):
            self._states[id(value)] = (state, value)

    def begin_end(self, targets: Iterable[object]) -> None:
        """Tell that all of a unit has been read, but for what is missing in some containers."""
        self._is_end = True
        self._open = {id(target): target for target in targets}

    def close(self, target: object) -> None:
        """Tell that nothing is missing in a container any more."""
        self._open.pop(id(target), None)

    def end(self) -> None:
        """Tell that a unit is finished."""
        self._is_end = False
        self._open = {}

    # Keys and members.

    def admit(self, container: Any, key: Any, counts: dict[int, int]) -> bool:
        """Refuse a key or member that can't be hashed, or only at too high a price.

        False if it can't be hashed before the end of the unit, because it is not finished, or has
        a class that looks at what may not be.
        """
        kind = type(key)
        size = 1
        if kind is tuple or kind is frozenset or id(key) in self._states:
            measured = self._measure(key, 0)
            if measured is None:
                return False
            size = measured[0]
        self.charge(size)
        try:
            code = hash(key)
            known = counts.get(code, 0)
            if known:
                self.charge(size * known)
                if key in container:
                    return True
            if len(container) >= CROWD and key not in container:
                self.place(container, code, counts)
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
        return True

    def place(self, container: Any, code: int, counts: dict[int, int] | None) -> None:
        """Charge for a place for one more key or member with this hash. Raises LimitExceeded."""
        probes = self._probes.get(id(container))
        if probes is None:
            probes = self._probes[id(container)] = Probes(container, counts or {})
        steps = probes.take(code, self._limits.hash_steps - self._steps)
        if steps:
            self.charge(steps)

    def admit_late(self, container: Any, key: Any, counts: dict[int, int]) -> bool:
        """Refuse what `admit` refuses, at the end of the unit. False if it is not finished yet."""
        if type(key) is str or type(key) is bytes:
            return True
        if type(key) is Hole:
            return False
        return self.admit(container, key, counts)

    def _measure(self, value: Any, depth: int) -> tuple[int, int, object] | None:
        """Give what hashing or comparing a value costs, sharing expanded; None if it can't be told.

        The second number is its height: neither hashing nor comparing looks at how deep it goes.
        """
        known = self._sizes.get(id(value))
        if known is None:
            self._check(depth)
            members = self._members(value)
            if members is None:
                return None
            size = 0
            height = 0
            for member in members:
                kind = type(member)
                size += 1
                if kind is str or kind is bytes:
                    size += len(member) >> 8
                elif (
                    kind is tuple
                    or kind is frozenset
                    or kind is Hole
                    or (kind in _CHANGING and self._is_end)
                    or id(member) in self._states
                ):
                    inner = self._measure(member, depth + 1)
                    if inner is None:
                        self.charge(size)
                        return None
                    size += inner[0]
                    height = max(height, inner[1])
            known = (size * self._crowd(value) + 1, height + 1, value)
            self._sizes[id(value)] = known
        self._check(depth + known[1] - 1)
        return known

    def _members(self, value: Any) -> Iterable[Any] | None:
        """Give what is in a value, None if it is not all there."""
        kind = type(value)
        if kind is tuple or kind is frozenset:
            return value  # type: ignore[no-any-return]
        if kind is Hole or not self._is_end or id(value) in self._open:
            return None
        if kind is dict:
            return chain(value, value.values())
        if kind is list or kind is set:
            return value  # type: ignore[no-any-return]
        state = self._states[id(value)][0]
        return None if state is _UNKNOWN else (state,)

    def _check(self, depth: int) -> None:
        if depth >= self._limits.depth_received:
            raise LimitExceeded(
                "a key or member is nested deeper than limits.depth_received, which is "
                f"{self._limits.depth_received}",
                limit="depth_received",
                value=depth + 1,
            )

    def _crowd(self, value: Any) -> int:
        """Tell how many members or keys of a value have the same hash, at the most."""
        kind = type(value)
        if kind is dict or kind is set:
            counts: dict[int, int] = {}
            for member in value:
                if type(member) is not str and type(member) is not bytes:
                    code = hash(member)
                    counts[code] = counts.get(code, 0) + 1
            return max(counts.values(), default=1)
        crowd = self._crowds.get(id(value))
        return 1 if crowd is None else crowd[0]

    def crowded(self, whole: frozenset[Any], counts: dict[int, int]) -> None:
        """Remember how many members of a frozenset have the same hash: comparing it costs more."""
        crowd = max(counts.values(), default=1)
        if crowd > 1:
            self._crowds[id(whole)] = (crowd, whole)
