"""What stands for a received value that is referred to and is not finished yet.

A list or dictionary is there before what is in it, so it can be referred to from inside. A tuple
is not: until it is made a hole stands for it, and all that has a hole in it is told when it is.

What can't be done with holes is put off to the end of the unit and done there in the order in which
it was read, what is inner before what is outer. Those are the keys and members that can't be hashed
yet, and the application's own code, which is to see finished states only.
"""

from typing import Any, Final

from .errors import InsecureJelly, LimitExceeded, full_name

__all__ = ["Hole", "Holes", "Number"]

_ROUNDS: Final = 8
_CONTAINERS: Final = (dict, list, set, tuple, frozenset)

Number = int | str | bytes
"""What a reference number is known by. No integers of a peer, which knows their hashes."""


class Hole:
    """Stands for one value. `waiting` is None as soon as `value` is known."""

    __slots__ = ("items", "missing", "number", "start", "value", "waiting")

    def __init__(self, number: Number | None, items: list[Any] | None, start: int = 0) -> None:
        # It is what this number refers to, which begins behind so much that was placed before;
        self.number = number
        self.start = start
        # or a tuple of these, so many of which are missing.
        self.items = items
        self.missing = 0
        # The places to fill: a list or the list of a tuple's hole, and an index; a dictionary and
        # a key; another hole and None, if it stands for the same value.
        self.waiting: list[tuple[Any, Any]] | None = []
        self.value: Any = None


class _Part:
    """A value that is referred to, from `start` to `end` of all that was placed.

    `waiting` is None as soon as all of it is known to be filled.
    """

    __slots__ = ("end", "start", "waiting")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.waiting: bool | None = True


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
    `target`, if there is one. `at` is where in the bytes it stands, and `index` where among all
    that was placed. `makes` tells whether a function is to be called.
    """

    __slots__ = ("at", "index", "makes", "target", "waiting")

    def __init__(self, target: Any, at: int, makes: bool = False) -> None:
        self.target = target
        self.at = at
        self.index = 0
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

    __slots__ = ("_end", "_made", "_reader", "_shared", "_start", "_state", "hole")

    def __init__(
        self, reader: Any, made: Any, state: Any, shared: bool, start: int, end: int, at: int
    ) -> None:
        super().__init__(None, at, not reader.is_early)
        self._shared = shared
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
        if self._shared and not hashing.is_whole(state):
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
        "_filled",
        "_found",
        "_heights",
        "_limit",
        "_open",
        "_parts",
        "_placed",
        "_tuples",
        "_values",
        "at",
        "found_open",
        "late",
        "waits",
    )

    def __init__(self, limit: int) -> None:
        # How high a tuple may be, and how high those are that have others in them.
        self._limit = limit
        self._heights: dict[int, tuple[int, object]] = {}
        self._values: dict[Number, Any] = {}
        # Those that are not at their end; and what is in those that are, in the order of the ends.
        self._open: set[Number] = set()
        self._parts: dict[Number, _Part] = {}
        # What was referred to last, and whether that was not at its end.
        self._found: Any = None
        self.found_open = False
        # How many tuples are not finished.
        self._tuples = 0
        # How many places wait to be filled, and how much is put off.
        self.waits = 0
        # Every hole that was put anywhere, what was put off, and what was referred to that waits,
        # in the order of reading; and from where on what is before an index waits no more.
        self._placed: list[Any] = []
        self._filled: dict[int, int] = {}
        # What is put off, and where in the bytes that stands of it which is being done.
        self.late: list[Any] = []
        self.at = -1

    def begin(self, number: Number) -> Hole:
        """Begin what `number` refers to."""
        if number in self._values:
            raise InsecureJelly("a reference number is used twice")
        hole = Hole(number, None, len(self._placed))
        self._values[number] = hole
        self._open.add(number)
        return hole

    def bind(self, number: Number, value: object) -> None:
        """Tell what `number` refers to before it is finished."""
        self._values[number] = value

    def end(self, hole: Any, value: Any) -> None:
        """Tell what the number of `hole` refers to; it may be a hole itself."""
        if value is hole:
            raise InsecureJelly("a reference is its own value")
        number = hole.number
        self._open.discard(number)
        if len(self._placed) > hole.start:
            self._parts[number] = _Part(hole.start, len(self._placed))
        if type(value) is Hole:
            self._wait(value, hole, None)
        elif self._values[number] is hole:
            self.fill(hole, value)

    def find(self, number: Number) -> Any:
        """Give what `number` refers to, which may be a hole."""
        value = self._values.get(number, self)
        if value is self:
            raise InsecureJelly("a reference number is not defined")
        self._found = value
        self.found_open = number in self._open
        return value

    def waiting_part(self, number: Number) -> _Part | None:
        """Give what is to be placed for what `number` refers to, if something in it waits.

        None for what is not at its end: what refers to it may be what it waits for.
        """
        part = self._parts.get(number)
        return None if part is None or self._is_filled(part) else part

    def is_shared(self, state: object) -> bool:
        """Tell whether a state is a container that came by a reference, or contains itself."""
        return state is self._found and isinstance(state, _CONTAINERS)

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

    def state_later(
        self, reader: Any, made: Any, state: Any, start: int, at: int, shared: bool = False
    ) -> Any:
        """Put off giving a state to its reader. Gives the object, or a hole for it.

        `start` tells from where on what was placed is in the state. `shared` tells whether it came
        by a reference.
        """
        later = _State(reader, made, state, shared, start, len(self._placed), at)
        self._later(later)
        return made if later.hole is None else later.hole

    def _later(self, later: _Later) -> None:
        self.late.append(later)
        later.index = len(self._placed)
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
                left = self._round(left, hashing)
            if left:
                # A function that is to make what its state contains keeps others waiting.
                stuck = next((later for later in left if later.makes), left[0])
                self.at = stuck.at
                raise stuck.refusal()
        finally:
            hashing.end()
        self.at = -1

    def _round(self, late: list[Any], hashing: Any) -> list[Any]:
        """Do what can be done, in the order of reading, and give what is left."""
        left = []
        parts = [part for part in self._parts.values() if part.waiting is not None]
        parts.reverse()
        for later in late:
            while parts and parts[-1].end <= later.index:
                self._is_filled(parts.pop())
            if not self._is_done(later, hashing):
                left.append(later)
        return left

    def _is_filled(self, part: _Part) -> bool:
        if part.waiting is not None and self.are_filled(part.start, part.end):
            part.waiting = None
        return part.waiting is None

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
        """Tell whether nothing of what was placed between waits. No part is looked at twice."""
        filled = self._filled
        placed = self._placed
        seen = [end]
        index = end
        while index > start:
            known = filled.get(index, index)
            if known != index:
                index = known
                seen.append(index)
            elif placed[index - 1].waiting is None:
                index -= 1
            else:
                break
        for one in seen:
            filled[one] = index
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
