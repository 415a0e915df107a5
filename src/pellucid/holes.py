"""What stands for a received value that is referred to and is not finished yet.

A list or dictionary is there before what is in it, so it can be referred to from inside. A tuple
is not: until it is made a hole stands for it, and all that has a hole in it is told when it is.

What can't be done with holes is put off to the end of the unit and done there in the order in which
it was read, what is inner before what is outer. Those are the keys and members that can't be hashed
yet, and the application's own code, which is to see finished states only.
"""

from typing import Any, Final

from .errors import InsecureJelly, LimitExceeded, full_name

__all__ = ["Hole", "Holes"]

_ROUNDS: Final = 8


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


class _Attributes:
    """An object as the place of its attributes."""

    __slots__ = ("_obj",)

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def __setitem__(self, name: str, value: Any) -> None:
        object.__setattr__(self._obj, name, value)


class _Later:
    """Something that is put off. `waiting` is None as soon as it is done.

    `run(holes, hashing)` does it, and tells whether it could. Until then something is missing in
    `target`, if there is one. `at` is where in the bytes it stands. `makes` tells whether a
    function is to be called.
    """

    __slots__ = ("at", "makes", "target", "waiting")

    def __init__(self, target: Any, at: int, makes: bool = False) -> None:
        self.target = target
        self.at = at
        self.makes = makes
        self.waiting: bool | None = True

    def refusal(self) -> InsecureJelly:
        """Give the error if it can never be done."""
        # What is not finished contains this container: through something that can't be hashed
        # either, or with nothing between that can change.
        return InsecureJelly("a key or member contains what it is in")


class _Pairs(_Later):
    """The pairs of a dictionary from the first one on whose key could not be hashed."""

    __slots__ = ("_counts", "_done", "_pairs")

    def __init__(self, target: dict[Any, Any], pairs: list[Any], counts: Any, at: int) -> None:
        super().__init__(target, at)
        self._pairs = pairs
        self._counts = {} if counts is None else counts
        self._done = 0

    def run(self, holes: "Holes", hashing: Any) -> bool:
        """Put them in."""
        pairs = self._pairs
        for index in range(self._done, len(pairs), 2):
            key = pairs[index]
            if not hashing.admit_late(self.target, key, self._counts):
                return False
            holes.put(self.target, key, pairs[index + 1])
            self._done = index + 2
        return True


class _Members(_Later):
    """The members of a set from the first one on that could not be hashed."""

    __slots__ = ("_counts", "_done", "_members", "hole")

    def __init__(
        self, target: set[Any], members: list[Any], counts: Any, hole: Hole | None, at: int
    ) -> None:
        super().__init__(target, at)
        self._members = members
        self._counts = {} if counts is None else counts
        self._done = 0
        self.hole = hole

    def run(self, holes: "Holes", hashing: Any) -> bool:
        """Put them in, and make the frozenset if it is to be one."""
        members = self._members
        for index in range(self._done, len(members)):
            if not hashing.admit_late(self.target, members[index], self._counts):
                return False
            self.target.add(members[index])
            self._done = index + 1
        if self.hole is not None:
            whole = frozenset(self.target)
            hashing.crowded(whole, self._counts)
            holes.fill(self.hole, holes.measured(whole))
        return True


class _State(_Later):
    """A state that was not finished when it was read, and who waits for it."""

    __slots__ = ("_end", "_made", "_reader", "_start", "_state", "hole")

    def __init__(self, reader: Any, made: Any, state: Any, start: int, end: int, at: int) -> None:
        super().__init__(None, at, not reader.is_early)
        self._reader = reader
        self._made = made
        self._state = state
        self._start = start
        self._end = end
        self.hole = None if reader.is_early else Hole(None, None)

    def run(self, holes: "Holes", hashing: Any) -> bool:
        """Give it to the reader."""
        state = self._state
        if type(state) is Hole:
            if state.waiting is not None:
                return False
            state = state.value
        if not holes.are_filled(self._start, self._end):
            return False
        value = hashing.finish(self._reader, self._made, state)
        if self.hole is not None:
            holes.fill(self.hole, holes.bounded(value))
        return True

    def refusal(self) -> InsecureJelly:
        """Give the error if it can never be done."""
        return InsecureJelly(f"the state of a {self._reader.name} contains what it is in")


class Holes:
    """The reference numbers of one unit, and what waits for what. (Wire document, section 5.)"""

    __slots__ = (
        "_checked",
        "_heights",
        "_limit",
        "_placed",
        "_tuples",
        "_values",
        "at",
        "late",
        "waits",
    )

    def __init__(self, limit: int) -> None:
        # How high a tuple may be, and how high those are that have others in them.
        self._limit = limit
        self._heights: dict[int, tuple[int, object]] = {}
        self._values: dict[int | bytes, Any] = {}
        # How many tuples are not finished.
        self._tuples = 0
        # How many places wait to be filled, and how much is put off.
        self.waits = 0
        # Every hole that was put anywhere, and what was put off, in the order of reading; and which
        # parts of that are known to wait no more, each with its beginning and its end.
        self._placed: list[Any] = []
        self._checked: list[tuple[int, int]] = []
        # What is put off, and where in the bytes that stands of it which is being done.
        self.late: list[Any] = []
        self.at = -1

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
            self.fill(hole, value)

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
            if isinstance(member, (tuple, frozenset)):
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

    def bounded(self, value: Any) -> Any:
        """Give what a factory made. Raises LimitExceeded if it is a tuple that is too high."""
        return self.measured(value) if isinstance(value, (tuple, frozenset)) else value

    # What is put off.

    def placed(self, value: Any) -> None:
        """Tell of a hole that is about to be put somewhere, in the order of reading."""
        self._placed.append(value)

    def put(self, target: Any, place: Any, value: Any) -> None:
        """Put a value in its place, or what is in a hole as soon as that is known."""
        target[place] = value
        if type(value) is Hole:
            self._wait(value, target, place)

    def set_attribute(self, obj: Any, name: str, value: Any) -> None:
        """Set an attribute, or have it set if the value is a hole: until then it is None."""
        if type(value) is Hole:
            object.__setattr__(obj, name, None)
            self._wait(value, _Attributes(obj), name)
        else:
            object.__setattr__(obj, name, value)

    def pairs_later(self, target: dict[Any, Any], pairs: list[Any], counts: Any, at: int) -> None:
        """Put off the pairs of a dictionary: a key, its value, the next key, and so on.

        `counts` is what Hashing has counted for it. `at` is where in the bytes an error would be.
        """
        self.watch_list(pairs)
        self._later(_Pairs(target, pairs, counts, at))

    def members_later(
        self, target: set[Any], members: list[Any], counts: Any, frozen: bool, at: int
    ) -> Any:
        """Put off members of a set. Gives the set, or a hole for the frozenset."""
        self.watch_list(members)
        hole = Hole(None, None) if frozen else None
        self._later(_Members(target, members, counts, hole, at))
        return target if hole is None else hole

    def state_later(self, reader: Any, made: Any, state: Any, start: int, end: int, at: int) -> Any:
        """Put off giving a state to its reader. Gives the object, or a hole for it.

        `start` and `end` tell what of all that was placed is in the state.
        """
        later = _State(reader, made, state, start, end, at)
        self._later(later)
        return made if later.hole is None else later.hole

    def _later(self, later: _Later) -> None:
        self.late.append(later)
        self.waits += 1
        # Whatever it is in waits for it as for a hole.
        self._placed.append(later)

    def is_late(self, value: Any) -> bool:
        """Tell whether the latest that was put off are parts of this dictionary."""
        return bool(self.late) and self.late[-1].target is value

    def finish(self, hashing: Any) -> None:
        """Do all that was put off, at the end of the unit. Raises InsecureJelly, LimitExceeded.

        What needs something that was read behind it is left for the next round. More than a few
        rounds nobody needs who does not want to cost time.
        """
        left = self.late
        hashing.begin_end([later.target for later in left])
        try:
            for _ in range(_ROUNDS):
                self._checked.clear()
                left = [later for later in left if not self._is_done(later, hashing)]
            if left:
                # A function that is to make what its state contains keeps others waiting.
                stuck = next((later for later in left if later.makes), left[0])
                self.at = stuck.at
                raise stuck.refusal()
        finally:
            hashing.end()
        self.at = -1

    def _is_done(self, later: Any, hashing: Any) -> bool:
        self.at = later.at
        try:
            if not later.run(self, hashing):
                return False
        except (InsecureJelly, LimitExceeded, RecursionError):
            raise
        except Exception as error:
            raise InsecureJelly(f"it can't be hashed: {full_name(type(error))}") from error
        later.waiting = None
        self.waits -= 1
        hashing.close(later.target)
        return True

    def are_filled(self, start: int, end: int) -> bool:
        """Tell whether nothing of what was placed between waits. No part is looked at twice.

        Asked in the order of reading: a part is inside of the next one or before it.
        """
        checked = self._checked
        index = end
        while index > start:
            if checked and checked[-1][1] == index:
                index = checked.pop()[0]
            elif self._placed[index - 1].waiting is None:
                index -= 1
            else:
                break
        if index < end:
            checked.append((index, end))
        return index <= start

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

    def fill(self, hole: Hole, value: Any) -> None:
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
