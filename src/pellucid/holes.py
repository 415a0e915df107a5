"""What stands for a received value that is referred to and is not finished yet.

A list or dictionary is there before what is in it, so it can be referred to from inside. A tuple
is not: until it is made a hole stands for it, and all that has a hole in it is told when it is.
"""

from typing import Any

from .errors import InsecureJelly, LimitExceeded

__all__ = ["Hole", "Holes"]


class Hole:
    """Stands for one value. `waiting` is None as soon as `value` is known."""

    __slots__ = ("items", "missing", "number", "value", "waiting")

    def __init__(self, number: int | bytes | None, items: list[Any] | None) -> None:
        # It is what this number refers to;
        self.number = number
        # or a tuple of these, so many of which are missing.
        self.items = items
        self.missing = 0
        # The places to fill: a list or the list of a tuple's hole, and an index; a dictionary and
        # a key; another hole and None, if it stands for the same value.
        self.waiting: list[tuple[Any, Any]] | None = []
        self.value: Any = None


class Holes:
    """The reference numbers of one unit, and what waits for what. (Wire document, section 5.)"""

    __slots__ = ("_heights", "_limit", "_tuples", "_values", "waits")

    def __init__(self, limit: int) -> None:
        # How high a tuple may be, and how high those are that have others in them.
        self._limit = limit
        self._heights: dict[int, tuple[int, object]] = {}
        self._values: dict[int | bytes, Any] = {}
        # How many tuples are not finished.
        self._tuples = 0
        # How many places wait to be filled.
        self.waits = 0

    def begin(self, number: int | bytes) -> Hole:
        """Begin what `number` refers to."""
        if number in self._values:
            raise InsecureJelly("a reference number is used twice")
        hole = Hole(number, None)
        self._values[number] = hole
        return hole

    def bind(self, number: int | bytes, value: object) -> None:
        """Tell what `number` refers to before it is finished."""
        self._values[number] = value

    def end(self, hole: Hole, value: Any) -> None:
        """Tell what the number of `hole` refers to; it may be a hole itself."""
        if value is hole:
            raise InsecureJelly("a reference is its own value")
        if type(value) is Hole:
            self._wait(value, hole, None)
        elif hole.number is not None and self._values[hole.number] is hole:
            self._fill(hole, value)

    def find(self, number: int | bytes) -> Any:
        """Give what `number` refers to, which may be a hole."""
        value = self._values.get(number, self)
        if value is self:
            raise InsecureJelly("a reference number is not defined")
        return value

    def watch_list(self, items: list[Any]) -> None:
        """Have the holes in a list replaced."""
        for index, member in enumerate(items):
            if type(member) is Hole:
                self._wait(member, items, index)

    def watch_dict(self, items: dict[Any, Any]) -> None:
        """Have the holes among the values of a dictionary replaced."""
        for key, member in items.items():
            if type(member) is Hole:
                self._wait(member, items, key)

    def make_tuple(self, items: list[Any]) -> Any:
        """Give the tuple of these, or a hole for it if there are holes among them."""
        hole = Hole(None, items)
        for index, member in enumerate(items):
            if type(member) is Hole:
                if member.waiting is None:
                    items[index] = member.value
                else:
                    member.waiting.append((hole, index))
                    self.waits += 1
                    hole.missing += 1
        if not hole.missing:
            return self.measured(tuple(items))
        self._tuples += 1
        return hole

    def measured(self, value: Any) -> Any:
        """Give a tuple or frozenset that is finished. Raises LimitExceeded if it is too high.

        By references it can be higher than the message is nested, and whoever hashes or compares
        it needs a stack for all of that.
        """
        height = 1
        for member in value:
            kind = type(member)
            if kind is tuple or kind is frozenset:
                known = self._heights.get(id(member))
                height = max(height, 2 if known is None else known[0] + 1)
        if height > self._limit:
            raise LimitExceeded(
                f"nested deeper than limits.depth_received, which is {self._limit}",
                limit="depth_received",
                value=height,
            )
        if height > 1:
            self._heights[id(value)] = (height, value)
        return value

    def whole(self, value: Any) -> Any:
        """Give the finished value of the unit, which is at its end."""
        if self._tuples:
            raise InsecureJelly("a tuple contains itself, with nothing that can change between")
        return value.value if type(value) is Hole else value

    def _wait(self, hole: Hole, target: Any, place: Any) -> None:
        if hole.waiting is None:
            target[place] = hole.value
        else:
            hole.waiting.append((target, place))
            self.waits += 1

    def _fill(self, hole: Hole, value: Any) -> None:
        """Put a value wherever its hole is, and so on with the tuples that this finishes."""
        work = [(hole, value)]
        while work:
            hole, value = work.pop()
            places = hole.waiting or ()
            hole.value = value
            hole.waiting = None
            if hole.number is not None:
                self._values[hole.number] = value
            self.waits -= len(places)
            for target, place in places:
                if type(target) is not Hole:
                    target[place] = value
                elif target.items is None:
                    work.append((target, value))
                else:
                    target.items[place] = value
                    target.missing -= 1
                    if not target.missing:
                        self._tuples -= 1
                        work.append((target, self.measured(tuple(target.items))))
