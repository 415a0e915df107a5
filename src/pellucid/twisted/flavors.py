"""The kinds of objects that an application lets the other side use, with Twisted's hooks."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final
from weakref import ref

from zope.interface import Interface, implementer

from ..errors import full_name
from ..flavors import RemoteCache as CoreRemoteCache
from ..states import set_state, text_keys
from .errors import InsecureJelly, NoSuchMethod
from .hooks import default, is_default
from .jelly import (
    Jellyable,
    Unjellyable,
    getInstanceState,
    setInstanceState,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
    setUnjellyableForClassTree,
    unjellyableRegistry,
)
from .reference import RemoteCacheMethod, RemoteCacheObserver
from .serializable import Serializable

__all__ = [
    "Cacheable", "Copyable", "IPBRoot", "Jellyable", "NoSuchMethod", "Referenceable", "RemoteCache",
    "RemoteCacheMethod", "RemoteCacheObserver", "RemoteCopy", "Root", "Serializable", "Unjellyable",
    "ViewPoint", "Viewable", "cache_atom", "cached_atom", "copyTags", "copy_atom",
    "getInstanceState", "remote_atom", "setCopierForClass", "setCopierForClassTree",
    "setFactoryForClass", "setInstanceState", "setUnjellyableFactoryForClass",
    "setUnjellyableForClass", "setUnjellyableForClassTree", "unjellyCached", "unjellyLCache",
    "unjellyLocal", "unjellyableRegistry",
]  # fmt: skip

# Names from before there was any other kind of copy.
setCopierForClass = setUnjellyableForClass
setCopierForClassTree = setUnjellyableForClassTree
setFactoryForClass = setUnjellyableFactoryForClass
copyTags = unjellyableRegistry

copy_atom = b"copy"
cache_atom = b"cache"
cached_atom = b"cached"
remote_atom = b"remote"

# What ties a copy of a cache to its connection.
_TIES: Final = ("broker", "luid")


def method_of(obj: Any, full: str) -> Callable[..., Any]:
    """Give a method by its full name. Raises NoSuchMethod for what can't be called."""
    found = getattr(obj, full, None)
    if not callable(found):
        raise NoSuchMethod(f"No such method: {full}")
    method: Callable[..., Any] = found
    return method


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()


def _keywords(received: Any) -> dict[str, Any]:
    """Give keyword arguments by names that are text, which Python 2 had as byte strings."""
    return {_text(name): value for name, value in received.items()}


def _is_fast(hook: object, own: object, encoder: Any) -> bool:
    """Tell whether the hook of a class need not be asked: it is ours, and there is a connection."""
    host = encoder.host
    return hook is own and (host is None or host.invoker is not None)


def _key(obj: Serializable) -> object:
    """Give what `obj` has in common with what stands for the same object; None for nothing."""
    own = type(obj).processUniqueID is Serializable.processUniqueID
    return None if own else obj.processUniqueID()


class IPBRoot(Interface):
    """What gives the object that everybody who connects may call."""

    # Without Twisted's `__module__`: interfaces of one name in one module are equal, and where both
    # are loaded an adapter of one would be taken for an adapter of the other.

    def rootObject(broker: Any) -> Any:
        """Give the Referenceable that is the root of the connection `broker`."""


class Referenceable(Serializable):
    """An object that travels by reference: it stays here, and the other side gets a handle on it.

    Whoever holds a reference may call the methods whose names begin with `remote_`.
    """

    __module__ = "twisted.spread.flavors"

    method_prefix = "remote_"
    # On whose behalf results of its methods are written.
    perspective: Any = None
    # Whether calls are given to `remoteMessageReceived` as they came.
    takes_jelly: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.takes_jelly = not is_default(cls.remoteMessageReceived)

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method that a call by `name` means. Raises NoSuchMethod where there is none."""
        return method_of(self, f"remote_{name}")

    def find_perspective(self) -> Any:
        """Give on whose behalf the arguments of a call are read: nobody's."""
        return None

    @default
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        """Run the method that a call means, and give its result as `broker.serialize` makes it.

        `args` and `kw` are jelly. A class with a method of its own in place of this one gets all
        its calls there.
        """
        arguments = broker.unserialize(args)
        keywords = _keywords(broker.unserialize(kw))
        result = self.find_method(_text(message))(*arguments, **keywords)
        return broker.serialize(result, self.perspective)

    @default
    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression that stands for this object: its id on the connection."""
        return [b"remote", jellier.invoker.registerReference(self)]

    def write_jelly(self, encoder: Any) -> None:
        """Write this object into a message: as an id in the table of exported objects."""
        if _is_fast(type(self).jellyFor, Referenceable.jellyFor, encoder):
            encoder.write_remote(encoder.exporter.export(self, _key(self)))
        else:
            Jellyable.write_jelly(self, encoder)


@implementer(IPBRoot)
class Root(Referenceable):
    """The object that a factory gives to everybody who connects."""

    __module__ = "twisted.spread.flavors"

    def rootObject(self, broker: Any) -> Any:
        """Give what the connection `broker` has for its root: this object."""
        return self


class ViewPoint(Referenceable):
    """An object as one perspective sees it.

    Methods of `object` whose names begin with `view_` may be called; they get the perspective
    before all other arguments.
    """

    __module__ = "twisted.spread.flavors"

    method_prefix = "view_"

    def __init__(self, perspective: Any, object: Any) -> None:
        self.perspective = perspective
        self.object = object

    def processUniqueID(self) -> object:
        """Give what is the same for all views of one object by one perspective."""
        return id(self.perspective), id(self.object)

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method of the object, which gets the perspective first.

        Raises NoSuchMethod where there is none.
        """
        return partial(method_of(self.object, f"view_{name}"), self.perspective)

    def find_perspective(self) -> Any:
        """Give on whose behalf the object is called."""
        return self.perspective

    def weakly(self) -> Callable[[], "ViewPoint | None"]:
        """Give what makes such a view anew as long as perspective and object are alive.

        Raises TypeError if their classes allow no weak references.
        """
        if type(self) is not ViewPoint:
            return ref(self)
        return partial(_again, *map(_weak, (self.perspective, self.object)))

    @default
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        """Run the method that a call means, and give its result as `broker.serialize` makes it."""
        perspective = self.perspective
        arguments = broker.unserialize(args, perspective)
        keywords = _keywords(broker.unserialize(kw, perspective))
        method = self.find_method(_text(message))
        result = method(*arguments, **keywords)
        return broker.serialize(result, perspective, method, arguments, keywords)


def _weak(part: Any) -> Callable[[], Any]:
    return _nothing if part is None else ref(part)


def _nothing() -> None:
    return None


def _again(perspective: Callable[[], Any], viewed: Callable[[], Any]) -> ViewPoint | None:
    whose, what = perspective(), viewed()
    gone = what is None or (whose is None and perspective is not _nothing)
    return None if gone else ViewPoint(whose, what)


class Viewable(Serializable):
    """An object that is called with the perspective of whoever calls it, which can't be forged.

    It travels as a ViewPoint: this object as the one to whom it is sent sees it. Methods whose
    names begin with `view_` may be called; they get the perspective before all other arguments.
    """

    __module__ = "twisted.spread.flavors"

    method_prefix = "view_"

    @default
    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression that stands for this object: that of a ViewPoint."""
        return ViewPoint(jellier.invoker.serializingPerspective, self).jellyFor(jellier)

    def write_jelly(self, encoder: Any) -> None:
        """Write this object into a message, as a reference to a ViewPoint."""
        if _is_fast(type(self).jellyFor, Viewable.jellyFor, encoder):
            ViewPoint(encoder.perspective, self).write_jelly(encoder)
        else:
            Jellyable.write_jelly(self, encoder)


class Copyable(Serializable):
    """An object that travels by value: the other side gets an object of its own.

    The other side has to have something registered for the type tag.
    """

    __module__ = "twisted.spread.flavors"

    def getStateToCopy(self) -> Any:
        """Give what is sent of this object: its attributes."""
        return self.__dict__

    def getStateToCopyFor(self, perspective: Any) -> Any:
        """Give what is sent of this object to `perspective`."""
        return self.getStateToCopy()

    def getTypeToCopy(self) -> str | bytes:
        """Give the type tag: the full name of the class."""
        return full_name(type(self)).encode()

    def getTypeToCopyFor(self, perspective: Any) -> str | bytes:
        """Give the type tag under which this object is sent to `perspective`."""
        return self.getTypeToCopy()

    @default
    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression that stands for this object: its tag and its state.

        Where there is no connection it is what `getInstanceState` gives.
        """
        if jellier.invoker is None:
            return getInstanceState(self, jellier)
        perspective = jellier.invoker.serializingPerspective
        tag = self.getTypeToCopyFor(perspective)
        state = self.getStateToCopyFor(perspective)
        sexp = jellier.prepare(self)
        sexp.extend([tag, jellier.jelly(state)])
        return jellier.preserve(self, sexp)

    def write_jelly(self, encoder: Any) -> None:
        """Write this object into a message: its tag, and its state."""
        if _is_fast(type(self).jellyFor, Copyable.jellyFor, encoder):
            encoder.write_copy(self, _tag_of(self, encoder), self.getStateToCopyFor)
        else:
            Jellyable.write_jelly(self, encoder)


def _tag_of(obj: Copyable, encoder: Any) -> str:
    """Give the type tag of a copy as text, which the encoder takes."""
    kind = type(obj)
    if (
        kind.getTypeToCopyFor is Copyable.getTypeToCopyFor
        and kind.getTypeToCopy is Copyable.getTypeToCopy
    ):
        return full_name(kind)
    tag = obj.getTypeToCopyFor(encoder.perspective)
    try:
        return _text(tag)
    except (AttributeError, UnicodeDecodeError):
        raise InsecureJelly(f"a type tag of {full_name(kind)} is not text") from None


class Cacheable(Copyable):
    """An object that travels in full once on each connection, and whose copies hear of changes.

    Whatever changes this object tells the observers that it was given.
    """

    __module__ = "twisted.spread.flavors"

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        """Give what the copy of `perspective` is to know at first.

        `observer` is a handle on that copy: `observer.callRemote` calls its `observe_` methods, and
        what it is told arrives behind this state.
        """
        return self.getStateToCopyFor(perspective)

    def stoppedObserving(self, perspective: Any, observer: Any) -> Any:
        """Hear that a copy is gone, and that `observer` need not be told any more."""

    @default
    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression that stands for this object: in full, or as the id of the copy.

        Where there is no connection it is what `getInstanceState` gives.
        """
        if jellier.invoker is None:
            return getInstanceState(self, jellier)
        luid, observer = jellier.cache(self, _key(self))
        if observer is None:
            return [cached_atom, luid]
        perspective = jellier.invoker.serializingPerspective
        tag = self.getTypeToCopyFor(perspective)
        state = _observed(self, perspective, observer)
        sexp = jellier.prepare(self)
        sexp.extend([tag, luid, jellier.jelly(state)])
        return jellier.preserve(self, sexp)

    def write_jelly(self, encoder: Any) -> None:
        """Write this object into a message: in full, or as the id that the other side knows."""
        if _is_fast(type(self).jellyFor, Cacheable.jellyFor, encoder):
            tag = _tag_of(self, encoder)
            encoder.write_cache(self, tag, partial(_observed, self), _key(self))
        else:
            Jellyable.write_jelly(self, encoder)


def _observed(obj: Cacheable, perspective: Any, observer: Any) -> Any:
    if isinstance(observer, RemoteCacheObserver):
        observer.cached = obj
    return obj.getStateToCacheAndObserveFor(perspective, observer)


class RemoteCopy(Unjellyable):
    """What a copy from the other side becomes. It is made without arguments."""

    __module__ = "twisted.spread.flavors"

    @default
    def setCopyableState(self, state: Any) -> None:
        """Take over a received state: set the attributes that a peer may set.

        Raises InsecureJelly for a key that names anything else.
        """
        set_state(self, state or None)

    @default
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        """Take over what was received, and give this object."""
        if unjellier.invoker is None:
            return setInstanceState(self, unjellier, jellyList)
        self.setCopyableState(unjellier.unjelly(jellyList[1]))
        return self


class RemoteCache(RemoteCopy, Serializable, CoreRemoteCache):
    """The copy of a Cacheable of the other side, which the other side keeps up to date.

    The owner may call the methods whose names begin with `observe_`. A copy goes back over its own
    connection, where it arrives as the original, and nowhere else. It is made without arguments.
    `broker` is the connection, and `luid` the id on it.
    """

    __module__ = "twisted.spread.flavors"

    method_prefix = "observe_"
    broker: Any = None
    luid: Any = None
    # Whether updates are given to `remoteMessageReceived` as they came.
    takes_jelly: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.takes_jelly = not is_default(cls.remoteMessageReceived)

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method that an update by `name` means. Raises NoSuchMethod if there is none."""
        return method_of(self, f"observe_{name}")

    @default
    def setCopyableState(self, state: Any) -> None:
        """Take the state that the owner sent: set the attributes that a peer may set.

        `broker` and `luid` of the owner, if it has such attributes, mean nothing here. Raises
        InsecureJelly for a key that names what the class has.
        """
        given = text_keys(state or None, type(self))
        set_state(self, {name: given[name] for name in given if name not in _TIES})

    def set_cached_state(self, state: Any) -> None:
        """Take the state that the owner sent."""
        self.setCopyableState(state)

    @default
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        """Run the method that an update means, and give its result as `broker.serialize` makes it.

        `args` and `kw` are jelly. A class with a method of its own in place of this one gets all
        its updates there.
        """
        arguments = broker.unserialize(args)
        keywords = _keywords(broker.unserialize(kw))
        method = self.find_method(_text(message))
        result = method(*arguments, **keywords)
        return broker.serialize(result, None, method, arguments, keywords)

    @default
    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression that stands for this object, for the connection it came from.

        Where there is no connection it is what `getInstanceState` gives.
        """
        if jellier.invoker is None:
            return getInstanceState(self, jellier)
        if jellier.invoker is not self.broker:
            raise InsecureJelly("a cache can be sent only over the connection it came from")
        return [b"lcache", self.luid]

    def write_jelly(self, encoder: Any) -> None:
        """Write this copy into a message to the side that it came from."""
        if _is_fast(type(self).jellyFor, RemoteCache.jellyFor, encoder):
            CoreRemoteCache.write_jelly(self, encoder)
        else:
            Jellyable.write_jelly(self, encoder)

    @default
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        """Take over what was received, and give this object, which the connection knows then."""
        broker = unjellier.invoker
        if broker is None:
            return setInstanceState(self, unjellier, jellyList)
        luid = jellyList[1]
        ties = dict(zip(_TIES, (broker, luid), strict=True))
        self.__dict__.update(ties)
        self.__init__()  # type: ignore[misc]
        unjellier.new_cache(luid, self)
        self.setCopyableState(unjellier.unjelly(jellyList[2]))
        # Some classes put a dictionary of their own in the place of theirs.
        self.__dict__.update(ties)
        return self


def unjellyCached(unjellier: Any, unjellyList: Any) -> Any:
    """Read `['cached', id]`: give the copy that is here."""
    return unjellier.invoker.cachedLocallyAs(unjellyList[1])


def unjellyLCache(unjellier: Any, unjellyList: Any) -> Any:
    """Read `['lcache', id]`: give the own Cacheable that comes home."""
    return unjellier.invoker.remotelyCachedForLUID(unjellyList[1])


def unjellyLocal(unjellier: Any, unjellyList: Any) -> Any:
    """Read `['local', id]`: give the own object that comes home."""
    return unjellier.invoker.localObjectForID(unjellyList[1])


for _reader in (unjellyCached, unjellyLCache, unjellyLocal):
    _reader.__module__ = "twisted.spread.flavors"

setUnjellyableForClass("cached", unjellyCached)
setUnjellyableForClass("lcache", unjellyLCache)
setUnjellyableForClass("local", unjellyLocal)
