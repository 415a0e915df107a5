"""Both tables of a connection: what the other side holds of ours, and what we hold of theirs.

Counts are exact, or the protocol breaks: the owner counts each time that an id went out, the holder
owes one `decref` for each time that it came in, and never more. (Wire document, section 9.)
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol
from weakref import ref

from .errors import InsecureJelly
from .events import Released
from .ledger import Ledger
from .releases import Releases

__all__ = ["Counted", "Exports", "Ids", "Imports", "Remembered", "RemoteReference"]

# Nothing is ever put in: most connections hold nothing.
_EMPTY: Final[dict[Any, Any]] = {}
_NONE_COUNTED: Final[list[Any]] = []


class _Home(Protocol):
    def home(self, reference: Any) -> int | bytes:
        """Give the id by which the other side knows its own object."""


class _Encoder(Protocol):
    @property
    def exporter(self) -> _Home:
        """Both tables."""

    def write_local(self, luid: int | bytes) -> None:
        """Write a reference to an object of the other side."""


class RemoteReference:
    """A handle on an object of the other side.

    The same object received twice is the same reference while one is alive. When the last use of
    it goes, the other side is told. A reference belongs to its connection: it can be sent back over
    it, where it arrives as the object itself, and nowhere else. `perspective` is on whose behalf it
    was received, and what calls on it are made for. (Wire document, sections 9 and 12.)
    """

    __slots__ = ("__weakref__", "luid", "origin", "perspective")

    is_observer = False

    def __init__(self, broker: Any, luid: int | bytes) -> None:
        self.origin = broker
        self.luid = luid
        self.perspective: Any = None

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this reference into a message to the side that it came from."""
        encoder.write_local(encoder.exporter.home(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return self.origin is other.origin and self.luid == other.luid

    def __hash__(self) -> int:
        return hash((id(self.origin), self.luid))

    def __repr__(self) -> str:
        name = self.luid.decode("ascii", "replace") if isinstance(self.luid, bytes) else self.luid
        return f"<{type(self).__name__} {name}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} belongs to its connection: it can't be pickled or copied"
        )


class Counted(Protocol):
    """What the message that is being written counts once more."""

    def uncount(self) -> None:
        """The message will not be sent: take that back."""


class Ids:
    """The ids that this side gives out, 1, 2, 3 and so on, to objects and caches alike.

    None is ever used again, but for those of a message that was not sent: `undo` takes them back,
    and whatever else `counted` holds.
    """

    __slots__ = ("counted", "next")

    def __init__(self) -> None:
        self.next = 1
        # What the message that is being written counts so far.
        self.counted: list[Counted] = _NONE_COUNTED

    def take(self) -> int:
        """Give the next one."""
        luid = self.next
        self.next = luid + 1
        return luid

    def count(self, counted: Counted) -> None:
        """Note what the message that is being written counts once more."""
        if self.counted is _NONE_COUNTED:
            self.counted = []
        self.counted.append(counted)

    def give_back(self, luid: int) -> None:
        """It was not sent, and so neither are those above it."""
        self.next = min(self.next, luid)

    def commit(self, before: int = 0) -> None:
        """The message is written: what it counted stays, all but the first `before`."""
        del self.counted[before:]

    def undo(self, before: int = 0) -> None:
        """The message will not be sent: take back what it counted, all but the first `before`."""
        while len(self.counted) > before:
            self.counted.pop().uncount()


class Remembered:
    """The ids that were released lately, for what may still be on its way home.

    It keeps nothing alive.
    """

    __slots__ = ("_by_luid", "_most")

    def __init__(self, most: int) -> None:
        self.use(most)
        self._by_luid: OrderedDict[int | bytes, Callable[[], Any]] = OrderedDict()

    def use(self, most: int) -> None:
        """Remember so many from now on."""
        # It may be more than a C integer holds.
        self._most = min(most, sys.maxsize)

    def add(self, luid: int | bytes, obj: Any) -> None:
        """Remember an object."""
        try:
            # What is made anew each time it is sent knows how it can be made again.
            weakly = getattr(type(obj), "weakly", None)
            self._by_luid[luid] = ref(obj) if weakly is None else weakly(obj)
        except TypeError:
            return  # Its class allows no weak references.
        while len(self._by_luid) > self._most:
            self._by_luid.popitem(last=False)

    def find(self, luid: Any) -> Any:
        """Give the object, None if it is gone or was never there."""
        found = self._by_luid.get(luid)
        return None if found is None else found()

    def clear(self) -> None:
        """Forget everything."""
        self._by_luid.clear()


class _Export:
    __slots__ = ("count", "key", "luid", "obj", "table")

    def __init__(self, table: "Exports", luid: int, obj: Any, key: object) -> None:
        self.table = table
        self.luid = luid
        self.obj = obj
        self.key = key
        self.count = 0

    def uncount(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.table.forget(self)
            self.table.ids.give_back(self.luid)


class Exports:
    """The objects of this side that the other side holds, and the names that it may use.

    `report(owner, event)` hears of each object that is not held any more, if its class has a true
    `wants_release`.
    """

    __slots__ = (
        "_by_key",
        "_by_luid",
        "_name",
        "_named",
        "_names",
        "_open",
        "_owner",
        "_remembered",
        "_report",
        "ids",
        "ledger",
    )

    def __init__(
        self, ledger: Ledger, ids: Ids, owner: Any, report: Callable[[Any, Released], None]
    ) -> None:
        self.ids = ids
        self.ledger = ledger
        self._owner = owner
        self._report = report
        self._by_luid: dict[int | bytes, _Export] = _EMPTY
        self._by_key: dict[object, _Export] = _EMPTY
        # Most connections have one name only, "root".
        self._name: bytes | None = None
        self._named: Any = None
        self._names: dict[bytes, Any] = _EMPTY
        # Made when the first one is released.
        self._remembered: Remembered | None = None
        self._open = True

    def __len__(self) -> int:
        return len(self._by_luid)

    def follow(self) -> None:
        """The limits of the ledger are others now."""
        if self._remembered is not None:
            self._remembered.use(self.ledger.limits.remembered_ids)

    def snapshot(self) -> dict[int | bytes, tuple[Any, int]]:
        """Give what the other side may use, by id or name, and how often each was counted."""
        found: dict[int | bytes, tuple[Any, int]] = {
            name: (obj, 1) for name, obj in self._names.items()
        }
        if self._name is not None:
            found[self._name] = self._named, 1
        found.update({luid: (one.obj, one.count) for luid, one in self._by_luid.items()})
        return found

    def publish(self, name: bytes, obj: Any) -> None:
        """Let the other side use `obj` under a name. Names are not counted (section 8)."""
        if self._name is None or self._name == name:
            self._name, self._named = name, obj
        else:
            self._names = {**self._names, name: obj}

    def export(self, obj: Any, key: object = None) -> int:
        """Count one more occurrence of `obj` in the message being written, and give its id.

        What was exported under an equal `key` counts as the same; without one, `obj` itself.
        Raises LimitExceeded if a new id is needed and the table is full.
        """
        ids = self.ids
        if key is None:
            key = id(obj)
        export = self._by_key.get(key)
        if export is None:
            if not self._open:
                raise InsecureJelly("the connection of this message has ended")
            ledger = self.ledger
            if ledger.references_exported >= ledger.limits.references_exported:
                ledger.charge("references_exported")
            ledger.references_exported += 1
            luid = ids.next
            ids.next = luid + 1
            export = _Export(self, luid, obj, key)
            if self._by_luid is _EMPTY:
                self._by_luid, self._by_key = {}, {}
            self._by_key[key] = self._by_luid[luid] = export
        export.count += 1
        ids.count(export)
        return export.luid

    def forget(self, export: _Export) -> None:
        """Nobody holds this one any more."""
        del self._by_luid[export.luid]
        del self._by_key[export.key]
        self.ledger.references_exported -= 1
        if getattr(type(export.obj), "wants_release", False):
            self._report(self._owner, Released(export.obj))

    def decref(self, luid: Any) -> bool:
        """The other side dropped one occurrence. False if there was none: a mistake of theirs."""
        export = self._by_luid.get(luid)
        if export is None:
            return False
        export.count -= 1
        if export.count == 0:
            if self._remembered is None:
                self._remembered = Remembered(self.ledger.limits.remembered_ids)
            self._remembered.add(luid, _home(export.obj))
            self.forget(export)
        return True

    def lookup(self, luid: Any) -> Any:
        """Give the object that may be called under an id or a name, None if there is none."""
        export = self._by_luid.get(luid)
        if export is not None:
            return export.obj
        if type(luid) is bytes and luid == self._name:
            return self._named
        return self._names.get(luid)

    def resolve_home(self, luid: Any) -> Any:
        """Give the object that comes home as `['local', luid]`.

        For an object whose class has a `comes_home_as` it is what that gives. The `decref` of its
        last occurrence may have overtaken it (section 9), so ids that were released lately still
        count. Raises InsecureJelly for any other id.
        """
        found = self.lookup(luid)
        if found is not None:
            return _home(found)
        found = None if self._remembered is None else self._remembered.find(luid)
        if found is None:
            raise InsecureJelly("a reference to an object that this side does not know")
        return found

    def leave(self) -> None:
        """Forget the owner, behind `clear`."""
        self._owner = None

    def clear(self) -> None:
        """The connection is over: forget everything."""
        self._open = False
        self._name = self._named = None
        self._names = _EMPTY
        for export in list(self._by_luid.values()):
            self.forget(export)
        self._remembered = None


def _home(obj: Any) -> Any:
    return obj if getattr(type(obj), "comes_home_as", None) is None else obj.comes_home_as


class _Held(ref[RemoteReference]):
    """A weak reference that knows how many `decref` are owed when its reference goes."""

    __slots__ = ("count", "key", "luid", "table")

    luid: int | bytes
    key: object
    count: int
    table: "Imports"

    def refuse(self) -> None:
        """An occurrence came in a message that is refused."""
        self.count -= 1

    def settle(self) -> None:
        """The reference is gone: every occurrence of its id is to be released."""
        table = self.table
        table.ledger.references_held -= 1
        # It may have come again since.
        if table.held.get(self.key) is self:
            del table.held[self.key]
        if self.count:
            table.releases.owe(self.luid, self.count)


class Imports:
    """The references to the other side's objects that are alive here.

    `make_reference(owner, luid)` makes the handle. What is owed when one goes, `releases` knows.
    """

    __slots__ = ("_make_reference", "_owner", "_report", "held", "ledger", "releases")

    def __init__(
        self,
        ledger: Ledger,
        owner: Any,
        make_reference: Callable[[Any, int | bytes], RemoteReference],
        releases: Releases,
    ) -> None:
        self.ledger = ledger
        self._owner = owner
        self._make_reference = make_reference
        self.releases = releases
        self._report: Callable[[Any], None] | None = None
        self.held: dict[object, _Held] = _EMPTY

    def __len__(self) -> int:
        return len(self.held)

    def receive(self, luid: int | bytes, perspective: Any = None) -> RemoteReference:
        """Count one more occurrence of an id in the message being read, and give its reference.

        There is one for each perspective. Raises LimitExceeded if it is a new one and too many are
        held.
        """
        key = luid if perspective is None else (luid, id(perspective))
        held = self.held.get(key)
        reference = None if held is None else held()
        if held is None or reference is None:
            if self.releases.gone:
                # Those that are dead are not held.
                self.releases.settle()
            self.releases.check()
            ledger = self.ledger
            if ledger.references_held >= ledger.limits.references_held:
                ledger.charge("references_held", remote=True)
            ledger.references_held += 1
            if self._report is None:
                # One for all of them.
                self._report = self.releases.report
            try:
                reference = self._make_reference(self._owner, luid)
                held = _Held(reference, self._report)
            except BaseException:
                ledger.references_held -= 1
                raise
            if perspective is not None:
                reference.perspective = perspective
            held.luid = luid
            held.key = key
            held.table = self
            held.count = 0
            if self.held is _EMPTY:
                self.held = {}
            self.held[key] = held
        held.count += 1
        self.releases.take_in(held)
        return reference

    def leave(self) -> None:
        """Forget the owner, behind `clear`."""
        self._owner = None

    def clear(self) -> None:
        """The connection is over, and so are the releases."""
        self.ledger.release("references_held", len(self.held))
        self.held.clear()
