"""What programs see of the tables of a connection, and what hooks of theirs do with them."""

from collections.abc import Mapping
from types import CoroutineType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from ..banana import decode, encode
from ..broker import Broker as Core
from ..errors import InsecureJelly
from .errors import translated
from .reference import RemoteCacheObserver, RemoteReference

__all__ = ["Local", "Target", "Views", "as_lists", "tell_released", "tell_unobserved"]

# As jelly a value is nested deeper than it is itself, whose depth is bounded already.
_DEPTH: Final = 4096


class Local:
    """An object of this side in a table of a connection, and how often the other side has it."""

    __module__ = "twisted.spread.pb"

    def __init__(self, object: Any, perspective: Any = None) -> None:
        self.object = object
        self.perspective = perspective
        self.refcount = 1

    def __repr__(self) -> str:
        return f"<Local {self.object!r}, {self.refcount} times>"

    def incref(self) -> int:
        """Count one more, and give how many there are."""
        self.refcount += 1
        return self.refcount

    def decref(self) -> int:
        """Count one less, and give how many there are."""
        self.refcount -= 1
        return self.refcount


class Target:
    """An object of any class that takes its calls itself, by `remoteMessageReceived`."""

    __slots__ = ("__weakref__", "object")

    takes_jelly = True

    def __init__(self, object: Any) -> None:
        self.object = object

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:
        """Let the object take a call."""
        return self.object.remoteMessageReceived(broker, message, args, kw)

    @property
    def comes_home_as(self) -> Any:
        """The object: what a method gets that is given this back."""
        return self.object


def _target_of(obj: Any) -> Any:
    """Give what stands for an object in a table: itself, if the core can call it."""
    kind = type(obj)
    if getattr(kind, "takes_jelly", False):
        return obj
    if "remoteMessageReceived" in getattr(obj, "__dict__", ()):
        return Target(obj)
    if hasattr(kind, "remoteMessageReceived") and not hasattr(kind, "find_method"):
        return Target(obj)
    return obj


def _object_of(target: Any) -> Any:
    """Give what a program knows of what stands in a table."""
    if getattr(type(target), "comes_home_as", None) is None:
        return target
    return target.comes_home_as


def _unique_id(obj: Any) -> Any:
    unique = getattr(obj, "processUniqueID", None)
    return id(obj) if unique is None else unique()


def _key_of(obj: Any) -> Any:
    """Give what the core is to know an object by, None for the object itself."""
    unique = _unique_id(obj)
    return None if unique == id(obj) else unique


def tell_released(event: Any) -> None:
    """Tell an object that the other side has no reference to it any more."""
    event.target.released()


def tell_unobserved(event: Any) -> Any:
    """Tell a cache that a copy of it is gone."""
    return event.target.stoppedObserving(event.perspective, event.observer)


def _bytes(name: Any) -> Any:
    return name.encode() if isinstance(name, str) else name


def as_lists(sexp: Any) -> Any:
    """Give an s-expression in which there may be tuples in place of lists with lists only."""
    return list(map(as_lists, sexp)) if isinstance(sexp, (list, tuple)) else sexp


class Views:
    """The part of a Broker that has to do with its tables.

    All mappings are copies for reading. They are empty when the connection has ended.
    """

    serializingPerspective: Any = None
    unserializingPerspective: Any = None

    # What `serialize` was told that it is for, for the hooks that it calls.
    jellyMethod: Any = None
    jellyArgs: Any = None
    jellyKw: Any = None

    disconnected: Any
    # What has names before there is a core, and how many have some in it.
    _names: Any
    _named = 0
    _has_core: bool

    if TYPE_CHECKING:

        @property
        def _core(self) -> Core: ...

        def _refusal(self, error: BaseException) -> BaseException: ...

    # Objects of this side.

    @property
    def localObjects(self) -> Mapping[int | bytes, Local]:
        """What the other side may call, by id or name."""
        return _locals(self._core.exports.snapshot())

    @property
    def luids(self) -> Mapping[Any, int]:
        """The ids of what the other side has references to, by what `processUniqueID` gives."""
        exported = self._core.exports.snapshot().items()
        return MappingProxyType(
            {_unique_id(_object_of(obj)): n for n, (obj, _) in exported if type(n) is int}
        )

    def localObjectForID(self, luid: Any) -> Any:
        """Give what the other side may call under an id or a name, None if there is nothing."""
        found = self._core.exports.lookup(_bytes(luid))
        return None if found is None else _object_of(found)

    def setNameForLocal(self, name: str | bytes, object: Any) -> None:
        """Let the other side call an object under a name."""
        word, target = _bytes(name), _target_of(object)
        if not self._has_core:
            self._names[word] = target
        elif not self.disconnected:
            self._publish(self._core, word, target)

    def _publish(self, core: Core, name: bytes, target: Any) -> None:
        if core.exports.lookup(name) is None:
            # Names count like what was sent, but there is no limit for them.
            core.ledger.add("references_exported")
            self._named += 1
        core.exports.publish(name, target)

    def registerReference(self, object: Any) -> int:
        """Count an object as sent once more, and give the id under which the other side has it.

        Raises Error if the other side has too many.
        """
        target = _target_of(object)
        key = _key_of(object)
        if target is not object:
            key = "target", id(object) if key is None else key
        try:
            luid: int = self._core.register(target, key)
        except Exception as error:
            raise self._refusal(error) from None
        return luid

    # Objects of the other side.

    def remoteForName(self, name: str | bytes) -> RemoteReference:
        """Give a reference to what the other side has under a name. It need not be there."""
        return RemoteReference(None, self, _bytes(name), 0)

    # Caches of this side, of which the other side has copies.

    @property
    def remotelyCachedObjects(self) -> Mapping[int | bytes, Local]:
        """What the other side has copies of, by id."""
        return _locals(self._core.cache_exports.snapshot())

    @property
    def remotelyCachedLUIDs(self) -> Mapping[Any, int]:
        """The ids of what the other side has copies of, by what `processUniqueID` gives."""
        cached = self._core.cache_exports.snapshot().items()
        return MappingProxyType({_unique_id(obj): luid for luid, (obj, _) in cached})

    def cachedRemotelyAs(self, instance: Any, incref: Any = 0) -> int | None:
        """Give the id under which the other side has a copy, None if it has none.

        With `incref` the copy counts as sent once more.
        """
        core = self._core
        key = _key_of(instance)
        luid: int | None = core.cache_exports.find(instance, key)
        if luid is not None and incref:
            core.register_cache(instance, self.serializingPerspective, key)
        return luid

    def cacheRemotely(self, instance: Any) -> int:
        """Count a cache as sent in full, and give its id. Raises Error if there are too many."""
        try:
            luid, observer = self._core.register_cache(
                instance, self.serializingPerspective, _key_of(instance)
            )
        except Exception as error:
            raise self._refusal(error) from None
        if isinstance(observer, RemoteCacheObserver):
            observer.cached = instance
        assigned: int = luid
        return assigned

    def remotelyCachedForLUID(self, luid: int) -> Any:
        """Give the object that the other side has a copy of by this id. Raises KeyError."""
        try:
            return self._core.cache_exports.resolve_home(luid)
        except InsecureJelly:
            raise KeyError(luid) from None

    # Copies of the other side's caches.

    @property
    def locallyCachedObjects(self) -> Mapping[int | bytes, Any]:
        """The copies that are here, by id; None for one that nobody uses just now."""
        return MappingProxyType(self._core.cache_imports.snapshot())

    def cacheLocally(self, cid: int | bytes, instance: Any) -> None:
        """Let `instance` be the copy that the other side knows by this id, until it forgets it."""
        first = [instance]
        kind: Any = type(instance)
        self._core.cache_imports.receive(cid, lambda: first.pop() if first else kind.__new__(kind))

    def cachedLocallyAs(self, cid: int | bytes) -> Any:
        """Give the copy that the other side knows by this id. Raises KeyError."""
        found = self._core.cache_imports.lookup(cid)
        if found is None:
            raise KeyError(cid)
        return found

    # Values by themselves.

    def serialize(
        self,
        object: Any,
        perspective: Any = None,
        method: Any = None,
        args: Any = None,
        kw: Any = None,
    ) -> Any:
        """Give the jelly of a value, which counts as sent. Of a Deferred it is a Deferred.

        The other arguments are for the hooks that are called meanwhile. Raises InsecureJelly, and
        what those hooks raise.
        """
        if isinstance(object, CoroutineType):
            object = Deferred.fromCoroutine(object)
        if isinstance(object, Deferred):
            return object.addCallback(self.serialize, perspective, method, args, kw)
        self.jellyMethod, self.jellyArgs, self.jellyKw = method, args, kw
        try:
            data = self._core.encode_value(object, perspective)
        except Exception as error:
            raise self._refusal(error) from None
        finally:
            self.jellyMethod = self.jellyArgs = self.jellyKw = None
        return decode(data, "pb", _DEPTH, self._core.limits)

    def unserialize(self, sexp: Any, perspective: Any = None) -> Any:
        """Give the value that jelly stands for, which counts as received.

        Raises InsecureJelly, and what hooks raise that are called for it.
        """
        data = encode(as_lists(sexp), "pb", _DEPTH, self._core.limits)
        try:
            return self._core.decode_value(data, perspective)
        except Exception as error:
            raise translated(error) from None

    # Calls of ours.

    @property
    def waitingForAnswers(self) -> Mapping[int, Any]:
        """The Deferreds of the calls that are not answered yet, by request number."""
        return MappingProxyType(self._core.pending)

    def sendDecRef(self, objectID: int | bytes) -> None:
        """Tell the other side that one reference to its object is gone."""
        self._owe(objectID)

    def decCacheRef(self, objectID: int | bytes) -> None:
        """Tell the other side that one copy of its cache is gone."""
        self._owe((objectID,))

    def _owe(self, debt: Any) -> None:
        if not self.disconnected:
            self._core.releases.owe(debt, 1)
            self._core.releases.wake()

    def newLocalID(self) -> int:
        """Give an id that no object of this connection has."""
        luid: int = self._core.exports.ids.take()
        return luid

    def newRequestID(self) -> int:
        """Give a number that no call has."""
        request: int = self._core.take_request()
        return request


def _locals(table: Mapping[Any, tuple[Any, int]]) -> Mapping[Any, Local]:
    found = {}
    for luid, (obj, count) in table.items():
        found[luid] = local = Local(_object_of(obj))
        local.refcount = count
    return MappingProxyType(found)
