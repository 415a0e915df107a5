"""Handles on what the other side has: call its methods, and get a Deferred of the result."""

from collections.abc import Callable
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.persisted.styles import Ephemeral
from zope.interface import implementer

from .. import caches, references
from .errors import InsecureJelly, ProtocolError, stale
from .interfaces import IUnjellyable
from .jelly import Jellyable
from .notifying import run
from .serializable import Serializable

if TYPE_CHECKING:
    pass

__all__ = [
    "RemoteCacheMethod",
    "RemoteCacheObserver",
    "RemoteMethod",
    "RemoteReference",
    "make_observer",
    "make_reference",
]

_NOT_GIVEN: Final = "the other side has no copy of this cache"


class _Owed(ref["RemoteReference"]):
    """A weak reference to one that was made by hand, and the `decref` that is owed when it goes."""

    __slots__ = ("kept", "luid", "releases")

    kept: dict[int, Any]
    luid: int | bytes
    releases: Any

    def settle(self) -> None:
        """It is gone."""
        self.kept.pop(id(self), None)
        self.releases.owe(self.luid, 1)


@implementer(IUnjellyable)
class RemoteReference(references.RemoteReference, Serializable, Ephemeral):
    """A handle on an object of the other side. `broker` is the connection, `luid` the id on it.

    The same object received twice is the same reference while one is alive; any two references to
    one object compare equal. Sent back over its connection a reference arrives as the object
    itself; over any other it is refused. When the last use of it goes, the other side is told,
    unless `doRefCount` is false. `perspective` is on whose behalf it was received.
    """

    __module__ = "twisted.spread.pb"

    broker: Any
    doRefCount: Any = 1
    # A list as soon as there is anything in it.
    disconnectCallbacks: Any = ()

    def __init__(self, perspective: Any, broker: Any, luid: int | bytes, doRefCount: Any) -> None:
        core = getattr(broker, "_core", broker)
        super().__init__(core, luid)
        self.perspective = perspective
        self.broker = broker
        self.doRefCount = doRefCount
        if doRefCount and core is not broker:
            owed = _Owed(self, core.releases.report)
            owed.luid = luid
            owed.releases = core.releases
            owed.kept = broker._owed
            broker._owed[id(owed)] = owed

    def callRemote(self, _name: str | bytes, /, *args: Any, **kw: Any) -> Any:
        """Call a method, and give a Deferred of its result.

        The call leaves at once. With `pbanswer=False` no answer is wanted, and there is no
        Deferred. `pbcallback` and `pberrback` are added to the Deferred. Raises DeadReferenceError
        if the connection has ended; whatever else is wrong fails the Deferred.
        """
        return self.broker._call(self, _name, args, kw)

    def remoteMethod(self, key: str | bytes) -> "RemoteMethod":
        """Give one method, to be called later."""
        return RemoteMethod(self, key)

    def notifyOnDisconnect(self, callback: Callable[["RemoteReference"], object]) -> None:
        """Call `callback(self)` when the connection has ended, now if it has already.

        As long as it is registered this reference lives. Raises TypeError for what can't be called.
        """
        if not callable(callback):
            raise TypeError(f"{type(callback).__name__} can't be called")
        if self.broker.disconnected:
            run(callback, self)
            return
        if not self.disconnectCallbacks:
            self.disconnectCallbacks = []
            self.broker.notifyOnDisconnect(self._disconnected)
        self.disconnectCallbacks.append(callback)

    def dontNotifyOnDisconnect(self, callback: Callable[["RemoteReference"], object]) -> None:
        """Take back one `notifyOnDisconnect`, if there was one."""
        if callback not in self.disconnectCallbacks:
            return
        self.disconnectCallbacks.remove(callback)
        if not self.disconnectCallbacks:
            self.broker.dontNotifyOnDisconnect(self._disconnected)

    def _disconnected(self) -> None:
        callbacks, self.disconnectCallbacks = self.disconnectCallbacks, ()
        for callback in callbacks:
            run(callback, self)

    def jellyFor(self, jellier: Any) -> Any:
        """Give what stands for this reference: the id by which the other side knows its object.

        Raises InsecureJelly for any other connection than its own.
        """
        invoker = jellier.invoker
        if invoker is None:
            return [b"unpersistable", b"a reference can't be stored"]
        if invoker is not self.broker:
            raise InsecureJelly("a reference can be sent only over the connection it came from")
        return [b"local", self.luid]

    def write_jelly(self, encoder: Any) -> None:
        """Write this reference into a message to the side that it came from."""
        host = encoder.host
        if host is not None and host.invoker is None:
            Jellyable.write_jelly(self, encoder)
        else:
            super().write_jelly(encoder)

    def unjellyFor(self, unjellier: Any, unjellyList: Any) -> "RemoteReference":
        """Become the reference that `unjellyList` tells of, and give it."""
        invoker = unjellier.invoker
        perspective = invoker.unserializingPerspective
        RemoteReference.__init__(self, perspective, invoker, unjellyList[1], 1)
        return self

    def __repr__(self) -> str:
        luid = self.luid
        name = luid.decode("ascii", "replace") if isinstance(luid, bytes) else luid
        return f"<twisted.spread.pb.RemoteReference {name}>"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return bool(_rank(self) < _rank(other))

    # Compiled, the class above seems to have these, and total_ordering would leave them out.

    def __le__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return bool(_rank(self) <= _rank(other))

    def __gt__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return bool(_rank(self) > _rank(other))

    def __ge__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return bool(_rank(self) >= _rank(other))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Ephemeral.__reduce__(self)


def _rank(reference: RemoteReference) -> Any:
    return id(reference.origin), isinstance(reference.luid, bytes), reference.luid


def make_reference(core: Any, luid: int | bytes) -> RemoteReference:
    """Make the handle on an object of the other side, for the tables of `core`, which count it."""
    reference = RemoteReference.__new__(RemoteReference)
    reference.origin = core
    reference.luid = luid
    reference.perspective = None
    reference.broker = core.face
    return reference


def _name_of(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()


@total_ordering
class RemoteMethod:
    """A method of an object of the other side. Calling it is `callRemote` of `obj`."""

    __module__ = "twisted.spread.pb"

    def __init__(self, obj: Any, name: str | bytes) -> None:
        self.obj = obj
        self.name = _name_of(name)

    def __call__(self, *args: Any, **kw: Any) -> Any:
        """Call the method, and give what `callRemote` gives."""
        return self.obj.callRemote(self.name, *args, **kw)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteMethod):
            return NotImplemented
        return bool(self.obj == other.obj) and self.name == other.name

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, RemoteMethod):
            return NotImplemented
        return bool((self.obj, self.name) < (other.obj, other.name))

    def __hash__(self) -> int:
        return hash((self.obj, self.name))

    def __repr__(self) -> str:
        return f"<twisted.spread.pb.RemoteMethod {self.name} of {self.obj!r}>"


class RemoteCacheObserver(caches.CacheObserver, Ephemeral):
    """A handle on the copy that the other side has of a cache: call its `observe_` methods.

    `broker` is the connection, `cached` the object here, `perspective` on whose behalf it was sent.
    Two for the same three are equal.
    """

    __module__ = "twisted.spread.flavors"

    broker: Any
    cached: Any = None

    def __init__(self, broker: Any, cached: Any, perspective: Any) -> None:
        super().__init__(getattr(broker, "_core", broker), 0, perspective)
        self.broker = broker
        self.cached = cached

    def callRemote(self, _name: str | bytes, /, *args: Any, **kw: Any) -> Any:
        """Call a method of the copy, and give a Deferred of its result, as a reference does.

        Raises ProtocolError if the other side has no copy. Where the other side does not take what
        is sent, its copy would be wrong from now on: then its connection is ended.
        """
        broker = self.broker
        if self.stopped:
            raise _no_copy(broker)
        if not self.luid:
            # Made by hand: the other side may have forgotten the copy, and got a new one.
            luid = broker.cachedRemotelyAs(self.cached)
            if luid is None:
                raise _no_copy(broker)
            made = RemoteCacheObserver(broker, None, self.perspective)
            made.luid = luid
            made.cached = self.cached
            return broker._call(made, _name, args, kw)
        return broker._call(self, _name, args, kw)

    def remoteMethod(self, key: str | bytes) -> "RemoteCacheMethod":
        """Give one method, to be called later."""
        method = RemoteCacheMethod(key, self.broker, self.cached, self.perspective)
        method.observer = self
        return method

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteCacheObserver):
            return NotImplemented
        return (
            self.broker is other.broker
            and self.cached is other.cached
            and self.perspective is other.perspective
        )

    def __hash__(self) -> int:
        return hash((id(self.broker), id(self.cached), id(self.perspective)))

    def __repr__(self) -> str:
        kind = type(self.cached).__name__
        return f"<twisted.spread.flavors.RemoteCacheObserver of a {kind} on {self.broker!r}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Ephemeral.__reduce__(self)


def make_observer(core: Any, luid: int, perspective: Any) -> RemoteCacheObserver:
    """Make the handle on a copy, for the tables of `core`. It is told later of what."""
    observer = RemoteCacheObserver(core.face, None, perspective)
    observer.origin = core
    observer.luid = luid
    return observer


def _no_copy(broker: Any) -> ProtocolError:
    if broker.disconnected:
        return stale()
    return ProtocolError(_NOT_GIVEN)


@total_ordering
class RemoteCacheMethod:
    """A method of the copy that the other side has of a cache."""

    __module__ = "twisted.spread.flavors"

    # What made this, if it was not made by hand.
    observer: RemoteCacheObserver | None = None

    def __init__(self, name: str | bytes, broker: Any, cached: Any, perspective: Any) -> None:
        self.name = _name_of(name)
        self.broker = broker
        self.perspective = perspective
        self.cached = cached

    def __call__(self, *args: Any, **kw: Any) -> "Deferred[Any] | None":
        """Call the method, and give what `callRemote` of an observer gives."""
        observer = self.observer
        if observer is None:
            observer = RemoteCacheObserver(self.broker, self.cached, self.perspective)
        called: Deferred[Any] | None = observer.callRemote(self.name, *args, **kw)
        return called

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteCacheMethod):
            return NotImplemented
        return _method_rank(self) == _method_rank(other)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, RemoteCacheMethod):
            return NotImplemented
        return _method_rank(self) < _method_rank(other)

    def __hash__(self) -> int:
        return hash(_method_rank(self))

    def __repr__(self) -> str:
        kind = type(self.cached).__name__
        return f"<twisted.spread.flavors.RemoteCacheMethod {self.name} of a {kind}>"


def _method_rank(method: RemoteCacheMethod) -> tuple[str, int, int, int]:
    return method.name, id(method.broker), id(method.cached), id(method.perspective)
