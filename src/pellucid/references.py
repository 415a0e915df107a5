"""Both tables of a connection: what the other side holds of ours, and what we hold of theirs.

Counts are exact, or the protocol breaks: the owner counts each time that an id went out, the holder
owes one `decref` for each time that it came in, and never more. (Wire document, section 9.)
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from weakref import ref

from .errors import InsecureJelly
from .limits import Ledger

__all__ = ["Exports", "Imports", "Keyhole", "RemoteReference"]


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
    it, where it arrives as the object itself, and nowhere else.
    """

    __slots__ = ("__weakref__", "broker", "luid")

    def __init__(self, broker: Any, luid: int | bytes) -> None:
        self.broker = broker
        self.luid = luid

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this reference into a message to the side that it came from."""
        encoder.write_local(encoder.exporter.home(self))

    def __repr__(self) -> str:
        name = self.luid.decode("ascii", "replace") if isinstance(self.luid, bytes) else self.luid
        return f"<{type(self).__name__} {name}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} belongs to its connection: it can't be pickled or copied"
        )


class _Export:
    __slots__ = ("count", "luid", "obj")

    def __init__(self, luid: int, obj: Any) -> None:
        self.luid = luid
        self.obj = obj
        self.count = 0


class Exports:
    """The objects of this side that the other side holds, and the names that it may use.

    Ids are 1, 2, 3 and so on, and none is ever used again, but for those of a message that was
    not sent: `undo` takes them back.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_luid: dict[int | bytes, _Export] = {}
        self._by_identity: dict[int, _Export] = {}
        self._names: dict[bytes, Any] = {}
        self._remembered: OrderedDict[int | bytes, ref[Any]] = OrderedDict()
        self._next = 1
        self._unsent: list[_Export] = []

    def __len__(self) -> int:
        return len(self._by_luid)

    def publish(self, name: bytes, obj: Any) -> None:
        """Let the other side use `obj` under a name. Names are not counted (section 8)."""
        self._names[name] = obj

    def export(self, obj: Any) -> int:
        """Count one more occurrence of `obj` in the message being written, and give its id.

        Raises LimitExceeded if a new id is needed and the table is full.
        """
        export = self._by_identity.get(id(obj))
        if export is None:
            self._ledger.charge("references_exported")
            export = _Export(self._next, obj)
            self._next += 1
            self._by_identity[id(obj)] = self._by_luid[export.luid] = export
        export.count += 1
        self._unsent.append(export)
        return export.luid

    def commit(self) -> None:
        """The message is written: what it exported stays."""
        if self._unsent:
            self._unsent = []

    def undo(self) -> None:
        """The message will not be sent: take back what it exported, ids and all."""
        for export in reversed(self._unsent):
            export.count -= 1
            if export.count == 0:
                self._forget(export)
                # New ids were given in order, so that the last one taken back is the lowest.
                self._next = export.luid
        self._unsent = []

    def _forget(self, export: _Export) -> None:
        del self._by_luid[export.luid]
        del self._by_identity[id(export.obj)]
        self._ledger.release("references_exported")

    def decref(self, luid: Any) -> bool:
        """The other side dropped one occurrence. False if there was none: a mistake of theirs."""
        export = self._by_luid.get(luid)
        if export is None:
            return False
        export.count -= 1
        if export.count == 0:
            self._forget(export)
            self._remember(luid, export.obj)
        return True

    def _remember(self, luid: int | bytes, obj: Any) -> None:
        try:
            self._remembered[luid] = ref(obj)
        except TypeError:
            return  # Its class allows no weak references.
        while len(self._remembered) > self._ledger.limits.remembered_ids:
            self._remembered.popitem(last=False)

    def lookup(self, luid: Any) -> Any:
        """Give the object that may be called under an id or a name, None if there is none."""
        export = self._by_luid.get(luid)
        return self._names.get(luid) if export is None else export.obj

    def resolve_home(self, luid: Any) -> Any:
        """Give the object that comes home as `['local', luid]`.

        The `decref` of its last occurrence may have overtaken it (section 9), so ids that were
        released lately still count. Raises InsecureJelly for any other id.
        """
        found = self.lookup(luid)
        if found is None:
            remembered = self._remembered.get(luid)
            found = None if remembered is None else remembered()
        if found is None:
            raise InsecureJelly("a reference to an object that this side does not know")
        return found

    def clear(self) -> None:
        """The connection is over: forget everything."""
        self._ledger.release("references_exported", len(self._by_luid))
        self._by_luid.clear()
        self._by_identity.clear()
        self._names.clear()
        self._remembered.clear()
        self._unsent = []


class _Held(ref[RemoteReference]):
    """A weak reference that knows how many `decref` are owed when its reference goes."""

    __slots__ = ("count", "luid")

    luid: int | bytes
    count: int


class Imports:
    """The references to the other side's objects that are alive here.

    `make_reference(luid)` makes the handle; `wake()` is called from whatever thread a reference
    dies in, once until `take_releases` is called.
    """

    def __init__(
        self,
        ledger: Ledger,
        make_reference: Callable[[int | bytes], RemoteReference],
        wake: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._make_reference = make_reference
        self._wake = wake
        self._held: dict[int | bytes, _Held] = {}
        self._received: list[_Held] = []
        self._dead: deque[_Held] = deque()
        self._owed: dict[int | bytes, int] = {}
        self._awake = False
        self._open = True

    def __len__(self) -> int:
        return len(self._held)

    def receive(self, luid: int | bytes) -> RemoteReference:
        """Count one more occurrence of an id in the message being read, and give its reference.

        Raises LimitExceeded if it is a new one and too many are held.
        """
        held = self._held.get(luid)
        reference = None if held is None else held()
        if held is None or reference is None:
            if self._dead:
                self._bury()
            self._ledger.charge("references_held", remote=True)
            try:
                reference = self._make_reference(luid)
                held = _Held(reference, self._died)
            except BaseException:
                self._ledger.release("references_held")
                raise
            held.luid = luid
            held.count = 0
            self._held[luid] = held
        held.count += 1
        self._received.append(held)
        return reference

    def commit(self) -> None:
        """The message is read: each occurrence is released when its reference goes."""
        if self._received:
            self._received = []

    def refuse(self, carried: list[int | bytes]) -> None:
        """The message is refused: release every occurrence that it carried, read or not."""
        for held in self._received:
            held.count -= 1
        self._received = []
        for luid in carried:
            self._owe(luid, 1)
        if carried:
            self._wake_once()

    def _owe(self, luid: int | bytes, count: int) -> None:
        self._owed[luid] = self._owed.get(luid, 0) + count

    def _died(self, held: ref[RemoteReference]) -> None:
        # Any thread, at any time, also inside of the other methods here: append, and no more.
        self._dead.append(held)  # type: ignore[arg-type]
        self._wake_once()

    def _wake_once(self) -> None:
        if not self._awake and self._open:
            self._awake = True
            self._wake()

    def _bury(self) -> None:
        """Note what the references that died owe."""
        while self._dead:
            held = self._dead.popleft()
            self._ledger.release("references_held")
            if self._held.get(held.luid) is held:
                del self._held[held.luid]
            if held.count:
                self._owe(held.luid, held.count)

    def take_releases(self, most: int) -> list[int | bytes]:
        """Give the ids to release now, one for each `decref` that is due, at most `most`."""
        self._awake = False
        self._bury()
        taken: list[int | bytes] = []
        while self._owed and len(taken) < most:
            luid, count = self._owed.popitem()
            now = min(count, most - len(taken))
            taken.extend([luid] * now)
            if count > now:
                self._owed[luid] = count - now
        return taken

    @property
    def owes(self) -> bool:
        """Tell whether there is anything to release."""
        return bool(self._dead or self._owed)

    @property
    def has_room(self) -> bool:
        """Tell whether no more ids wait to be released than may be held."""
        return len(self._owed) < self._ledger.limits.references_held

    def clear(self) -> None:
        """The connection is over: nothing is owed any more."""
        self._open = False
        self.take_releases(0)
        self._ledger.release("references_held", len(self._held))
        self._held.clear()
        self._owed.clear()
        self._received = []


class Keyhole:
    """What encoder and decoder see of a connection: the two tables, by five verbs each way."""

    __slots__ = ("_broker", "_exports", "_imports")

    def __init__(self, broker: Any, exports: Exports, imports: Imports) -> None:
        self._broker = broker
        self._exports = exports
        self._imports = imports

    def export(self, obj: Any) -> int:
        """Give the id of an own object, and count that it is sent once more."""
        return self._exports.export(obj)

    def home(self, reference: RemoteReference) -> int | bytes:
        """Give the id by which the other side knows its own object."""
        if reference.broker is not self._broker:
            raise InsecureJelly("a reference can be sent only over the connection it came from")
        return reference.luid

    def remote(self, luid: int | bytes) -> RemoteReference:
        """Give the reference to an object of the other side, and count that it came once more."""
        return self._imports.receive(luid)

    def local(self, luid: int | bytes) -> Any:
        """Give the own object with this id."""
        return self._exports.resolve_home(luid)

    def cache(self, obj: Any) -> tuple[int, bool]:
        """Refuse."""
        raise InsecureJelly("caches can't be sent")

    def home_cache(self, obj: Any) -> int:
        """Refuse."""
        raise InsecureJelly("caches can't be sent")

    def cached(self, luid: int | bytes) -> Any:
        """Refuse."""
        raise InsecureJelly("an unknown cache")

    def lcache(self, luid: int | bytes) -> Any:
        """Refuse."""
        raise InsecureJelly("an unknown cache")

    def undo(self) -> None:
        """Take back what was exported for a message that is not sent."""
        self._exports.undo()
