"""Both tables of caches: what the other side has copies of, and the copies that are here.

The owner counts one for the full form and one for each `['cached', id]`; the holder owes a
`decache` for each. The holder keeps what it has until `uncache` comes, because updates may be under
way. (Wire document, section 11.)
"""

from collections.abc import Callable
from typing import Any, NoReturn
from weakref import ref

from .errors import DeadReferenceError, InsecureJelly
from .events import Unobserved
from .flavors import RemoteCache, bind_copy, bound_copy
from .ledger import Ledger
from .references import Ids, Remembered
from .releases import Releases

__all__ = ["CacheExports", "CacheImports", "CacheObserver"]


class CacheObserver:
    """The owner's handle on the copy that the other side has of one object.

    `perspective` is on whose behalf the object was sent, and what updates are made for. It is no
    value: it can't be sent.
    """

    __slots__ = ("__weakref__", "luid", "origin", "perspective", "stopped")

    is_observer = True

    def __init__(self, broker: Any, luid: int, perspective: Any) -> None:
        self.origin = broker
        self.luid = luid
        self.perspective = perspective
        # Nobody has the copy any more.
        self.stopped = False

    def check(self) -> None:
        """Raise DeadReferenceError if nobody has the copy any more."""
        if self.stopped:
            raise DeadReferenceError("the other side has no copy of this cache any more")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.luid}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} belongs to its connection: it can't be pickled or copied"
        )


class _Sent:
    """An object that the other side has copies of."""

    __slots__ = ("count", "key", "luid", "obj", "observer", "table")

    def __init__(
        self, table: "CacheExports", luid: int, obj: Any, key: object, observer: CacheObserver
    ) -> None:
        self.table = table
        self.key = key
        self.luid = luid
        self.obj = obj
        self.observer = observer
        self.count = 0

    def uncount(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.table.drop(self)


class CacheExports:
    """The caches of this side that the other side has copies of.

    `make_observer(luid, perspective)` makes a handle on such a copy. `unobserved(event)` is told
    when there is none any more.
    """

    __slots__ = (
        "_by_key",
        "_by_luid",
        "_ids",
        "_leaving",
        "_ledger",
        "_make_observer",
        "_open",
        "_remembered",
        "_unobserved",
    )

    def __init__(
        self,
        ledger: Ledger,
        ids: Ids,
        make_observer: Callable[[int, Any], CacheObserver],
        unobserved: Callable[[Unobserved], None],
    ) -> None:
        self._ledger = ledger
        self._ids = ids
        self._make_observer = make_observer
        self._unobserved = unobserved
        self._by_luid: dict[int, _Sent] = {}
        self._by_key: dict[object, _Sent] = {}
        # The other side has no copy of these, and does not know yet that we know.
        self._leaving: dict[int, _Sent] = {}
        self._remembered = Remembered(ledger.limits.remembered_ids)
        self._open = True

    def __len__(self) -> int:
        return len(self._by_luid) + len(self._leaving)

    def follow(self) -> None:
        """The limits of the ledger are others now."""
        self._remembered.use(self._ledger.limits.remembered_ids)

    def snapshot(self) -> dict[int, tuple[Any, int]]:
        """Give what the other side has copies of, by id, and how often each was counted."""
        return {luid: (sent.obj, sent.count) for luid, sent in self._by_luid.items()}

    def find(self, obj: Any, key: object = None) -> int | None:
        """Give the id by which the other side has copies of `obj`, None if it has none."""
        sent = self._by_key.get(id(obj) if key is None else key)
        return None if sent is None else sent.luid

    def send(
        self, obj: Any, perspective: Any, key: object = None
    ) -> tuple[int, CacheObserver | None]:
        """Count one more occurrence of `obj` in the message being written, and give its id.

        On its first sending its new observer as well. What was sent under an equal `key` counts as
        the same; without one, `obj` itself. Raises LimitExceeded if the table is full.
        """
        if key is None:
            key = id(obj)
        sent = self._by_key.get(key)
        observer = None
        if sent is None:
            if not self._open:
                raise InsecureJelly("the connection of this message has ended")
            self._ledger.charge("caches_exported")
            luid = self._ids.take()
            try:
                observer = self._make_observer(luid, perspective)
            except BaseException:
                self._ids.give_back(luid)
                self._ledger.release("caches_exported")
                raise
            sent = _Sent(self, luid, obj, key, observer)
            self._by_luid[luid] = self._by_key[key] = sent
        sent.count += 1
        self._ids.count(sent)
        return sent.luid, observer

    def drop(self, sent: _Sent) -> None:
        """It was not sent after all."""
        del self._by_luid[sent.luid]
        del self._by_key[sent.key]
        self._ids.give_back(sent.luid)
        self._stop(sent, None)

    def decache(self, luid: Any) -> bool:
        """The other side dropped one copy. False if there was none: a mistake of theirs."""
        sent = self._by_luid.get(luid)
        if sent is None:
            return False
        sent.count -= 1
        if sent.count == 0:
            del self._by_luid[sent.luid]
            del self._by_key[sent.key]
            self._leaving[sent.luid] = sent
            self._unobserved(_event(sent, sent.luid))
        return True

    def forget(self, event: Unobserved) -> int | None:
        """The object has been told. Give the id that the other side waits to hear about, if any."""
        sent = None if event.luid is None else self._leaving.pop(event.luid, None)
        if sent is None:
            return None
        self._remembered.add(sent.luid, sent.obj)
        sent.observer.stopped = True
        self._ledger.release("caches_exported")
        return sent.luid

    def _stop(self, sent: _Sent, luid: int | None) -> None:
        sent.observer.stopped = True
        self._ledger.release("caches_exported")
        self._unobserved(_event(sent, luid))

    def resolve_home(self, luid: Any) -> Any:
        """Give the object that comes home as `['lcache', id]`.

        The `decache` of its last occurrence may have overtaken it, so ids that were released lately
        still count. Raises InsecureJelly for any other id.
        """
        sent = self._by_luid.get(luid) or self._leaving.get(luid)
        found = self._remembered.find(luid) if sent is None else sent.obj
        if found is None:
            raise InsecureJelly("a cache that this side does not know")
        return found

    def clear(self) -> None:
        """The connection is over: each object that has not been told is told now."""
        self._open = False
        sent = list(self._by_luid.values())
        self._by_luid.clear()
        self._by_key.clear()
        for one in self._leaving.values():
            one.observer.stopped = True
        self._ledger.release("caches_exported", len(self._leaving))
        self._leaving.clear()
        self._remembered.clear()
        for one in sent:
            self._stop(one, None)


def _event(sent: _Sent, luid: int | None) -> Unobserved:
    return Unobserved(sent.obj, sent.observer.perspective, sent.observer, luid)


class _Copy:
    """What is here of one cache of the other side."""

    __slots__ = ("count", "death", "handle", "luid", "make", "size", "state", "table", "whole")

    def __init__(
        self, table: "CacheImports", luid: int | bytes, make: Callable[[], RemoteCache]
    ) -> None:
        self.table = table
        self.luid = luid
        self.make = make
        # A weak reference.
        self.handle: Callable[[], RemoteCache | None]
        # What the handle knew; only when there is none.
        self.state: dict[str, Any] | None = None
        # Of a handle that is going, and not settled.
        self.death: _Death | None = None
        self.count = 0
        # About how large the state is.
        self.size = 0
        # It has had its state.
        self.whole = False

    def died(self, state: dict[str, Any]) -> None:
        """The handle goes. Called by finalizers: any thread, any time."""
        # First, because the handle can still be found by its weak reference.
        self.death = death = _Death(self, state)
        self.table.report(death)

    def refuse(self) -> None:
        """An occurrence came in a message that is refused."""
        self.count -= 1


class _New:
    """A cache whose full form came with the message that is being read."""

    __slots__ = ("copy",)

    def __init__(self, copy: _Copy) -> None:
        self.copy = copy

    def refuse(self) -> None:
        """The message is refused.

        What came whole is kept until the owner forgets it, as if its handle had gone: messages with
        its id may be under way. Else it is as if it had never come.
        """
        if self.copy.whole:
            self.copy.count -= 1
        else:
            self.copy.table.drop(self.copy)


class _Death:
    """What a handle leaves behind."""

    __slots__ = ("copy", "state")

    def __init__(self, copy: _Copy, state: dict[str, Any]) -> None:
        self.copy = copy
        self.state = state

    def settle(self) -> None:
        """The handle is gone: every occurrence is to be released, and its state is kept."""
        self.copy.table.settle(self)


def _gone() -> None:
    pass


class CacheImports:
    """The copies of the other side's caches, each until the other side forgets it.

    What is owed when one goes, `releases` knows.
    """

    __slots__ = ("_copies", "_kept", "_kept_bytes", "_ledger", "_releases", "report")

    def __init__(self, ledger: Ledger, releases: Releases) -> None:
        self._ledger = ledger
        self._releases = releases
        self._copies: dict[int | bytes, _Copy] = {}
        # Those without a handle whose state is kept, in the order in which they went, and the size
        # of all that. Nobody here wants them any more, so they must not cost what a peer likes.
        self._kept: dict[_Copy, None] = {}
        self._kept_bytes = 0
        self.report: Callable[[_Death], None] = releases.report

    def __len__(self) -> int:
        return len(self._copies)

    def snapshot(self) -> dict[int | bytes, RemoteCache | None]:
        """Give the copies that are here, by id; None for one that nobody here uses."""
        return {
            luid: copy.handle() if copy.death is None else None
            for luid, copy in self._copies.items()
        }

    def receive(self, luid: int | bytes, make: Callable[[], RemoteCache]) -> RemoteCache:
        """Take in a new cache, whose state comes next, as what `make()` gives.

        Raises LimitExceeded if too many are held, and InsecureJelly if the id is in use.
        """
        if luid in self._copies:
            raise InsecureJelly("a cache with an id that is in use")
        self._releases.check()
        self._ledger.charge("caches_held", remote=True)
        copy = _Copy(self, luid, make)
        copy.count = 1
        self._copies[luid] = copy
        self._releases.take_in(_New(copy))
        return self._handle(copy)

    def receive_again(self, luid: int | bytes) -> RemoteCache:
        """Count one more occurrence of a cache that is here. Raises InsecureJelly if it is not."""
        handle = self.lookup(luid)
        if handle is None:
            raise InsecureJelly("a cache that this side does not know")
        copy = self._copies[luid]
        copy.count += 1
        self._releases.take_in(copy)
        return handle

    def lookup(self, luid: Any, size: int = 0) -> RemoteCache | None:
        """Give the handle on what is here under an id, None if nothing is.

        If the last one is gone it is a new one, which knows all that that one knew; and by an
        update of so many bytes it may come to know that much more.
        """
        copy = self._copies.get(luid)
        if copy is None:
            return None
        handle = copy.handle() if copy.death is None else None
        if handle is not None:
            return handle
        if copy.death is not None:
            self.settle(copy.death)
        # None while another thread is about to tell of it, or if it is not kept.
        if copy.state is None:
            return None
        handle = self._handle(copy)
        copy.size += size
        return handle

    def _handle(self, copy: _Copy) -> RemoteCache:
        handle = copy.make()
        if copy.state is not None:
            # Whatever its class says about setting attributes.
            object.__setattr__(handle, "__dict__", copy.state)
            self._drop_state(copy)
        bind_copy(handle, copy)
        copy.handle = ref(handle)
        return handle

    def home(self, handle: RemoteCache) -> int | bytes:
        """Give the id by which the other side knows its own cache. Raises InsecureJelly."""
        copy: _Copy | None = bound_copy(handle)
        if copy is None or copy.table is not self:
            raise InsecureJelly("a cache can be sent only over the connection it came from")
        if self._copies.get(copy.luid) is not copy:
            raise InsecureJelly("a cache that the other side has forgotten")
        return copy.luid

    def settle(self, death: _Death) -> None:
        """A handle is gone: release every occurrence, and keep its state."""
        copy = death.copy
        if copy.death is not death:
            return  # That was done when it was looked up.
        copy.death = None
        copy.handle = _gone
        if copy.count > 0:
            self._releases.owe((copy.luid,), copy.count)
            copy.count = 0
        if self._copies.get(copy.luid) is copy:
            copy.state = death.state
            self._kept[copy] = None
            self._kept_bytes += copy.size
            while self._kept_bytes > self._ledger.limits.cache_bytes:
                self._drop_state(next(iter(self._kept)))

    def _drop_state(self, copy: _Copy) -> None:
        """Keep no state of this one, or not here."""
        copy.state = None
        if copy in self._kept:
            del self._kept[copy]
            self._kept_bytes -= copy.size

    def drop(self, copy: _Copy) -> None:
        """Its full form came in a message that is refused, and it was not read wholly."""
        copy.count = 0
        del self._copies[copy.luid]
        self._ledger.release("caches_held")

    def uncache(self, luid: Any) -> None:
        """The other side has forgotten a cache, which should not be in use any more."""
        copy = self._copies.pop(luid, None)
        if copy is not None:
            self._drop_state(copy)
            self._ledger.release("caches_held")

    def clear(self) -> None:
        """The connection is over, and so are the releases."""
        self._ledger.release("caches_held", len(self._copies))
        self._copies.clear()
        self._kept.clear()
