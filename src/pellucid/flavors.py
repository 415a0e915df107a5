"""The kinds of objects that an application lets the other side use."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, NoReturn, Protocol
from weakref import ref

from .errors import DeadReferenceError, Error, NoSuchMethod, full_name
from .states import set_state, state_of

__all__ = [
    "NOBODYS",
    "Avatar",
    "Cacheable",
    "Copyable",
    "Referenceable",
    "RemoteCache",
    "RemoteCopy",
    "Root",
    "ViewPoint",
    "Viewable",
    "bind_copy",
    "bound_copy",
    "copy_has_size",
    "copy_is_whole",
    "perspective_of",
]


class _Exporter(Protocol):
    def export(self, obj: Any, key: object = None) -> int:
        """Give the id of an own object."""

    def home_cache(self, obj: Any) -> int | bytes:
        """Give the id by which the other side knows its own cache."""


class _Encoder(Protocol):
    @property
    def exporter(self) -> _Exporter:
        """The table of exported objects."""

    @property
    def perspective(self) -> Any:
        """On whose behalf the message is written."""

    def write_remote(self, luid: int) -> None:
        """Write a reference to an own object."""

    def write_copy(self, obj: Any, tag: str, state_for: Callable[[Any], Any]) -> None:
        """Write a copy of an object, with the state that `state_for(perspective)` gives."""

    def write_cache(self, obj: Any, tag: str, state_for: Callable[[Any, Any], Any]) -> None:
        """Write an own cache, with the state that `state_for(perspective, observer)` gives."""

    def write_lcache(self, luid: int | bytes) -> None:
        """Write the copy of a cache of the other side."""


class _Observer(Protocol):
    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Call a method of a copy."""


class Referenceable:
    """An object that travels by reference: it stays here, and the other side gets a handle on it.

    Whoever holds a reference may call the methods whose names begin with `remote_`, plain or async,
    and nothing else. (Wire document, sections 7 and 9.)
    """

    method_prefix = "remote_"

    # Whether `released()` is called when the other side holds this object no more.
    wants_release = False
    # Whether its method takes s-expressions instead of a call's arguments (Twisted's own hook).
    takes_jelly = False
    # What it is on this side when the other side sends it back; None for the object itself.
    comes_home_as: Any = None

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method that a call by `name` means. Raises NoSuchMethod where there is none.

        Only callables are methods: an attribute with a fitting name is not reachable.
        """
        method: Callable[..., Any] | None = getattr(self, self.method_prefix + name, None)
        if not callable(method):
            raise NoSuchMethod(f"No such method: {self.method_prefix}{name}")
        return method

    def find_perspective(self) -> Any:
        """Give on whose behalf a call of this object is made, None for nobody's (section 12)."""
        return None

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this object into a message: as an id in the table of exported objects."""
        encoder.write_remote(encoder.exporter.export(self))


# How objects that nobody has a perspective of tell it: those need not be asked.
NOBODYS: Final = Referenceable.find_perspective


def perspective_of(target: Any) -> Any:
    """Give on whose behalf a call of `target` is made (wire document, section 12).

    Raises Error if the object fails to tell.
    """
    find = getattr(target, "find_perspective", None)
    if find is None:
        return None
    try:
        return find()
    except Exception as error:
        text = f"finding the perspective of the object failed: {full_name(type(error))}"
        raise Error(text) from error


class Root(Referenceable):
    """The object that a server gives to everybody who connects, under the name `root`."""


class Avatar(Referenceable):
    """What a user who logged in has of a server: the perspective of the calls that it handles.

    Whoever holds it may call the methods whose names begin with `perspective_`. (Wire document,
    sections 12 and 14.)
    """

    method_prefix = "perspective_"

    limits: Any = None
    """A `pellucid.Limits` for the connections of this user, if not those of the server."""

    def find_perspective(self) -> Any:
        """Give this object: it is on its own behalf that it is called."""
        return self

    def logout(self) -> Any:
        """Hear that the user has gone. Plain or async; called once for each login."""


class Viewable:
    """An object that is called with the perspective of whoever calls it, which can't be forged.

    It travels as a reference to a ViewPoint: this object as the one to whom it is sent sees it.
    Methods whose names begin with `view_` may be called; they take the perspective, which may be
    None, before all other arguments. (Wire document, section 12.)
    """

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this object into a message, as a reference to a ViewPoint."""
        view = ViewPoint(encoder.perspective, self)
        encoder.write_remote(encoder.exporter.export(view, view.key))


class ViewPoint(Referenceable):
    """A Viewable as one perspective sees it. Two are equal if both parts are the same."""

    method_prefix = "view_"

    def __init__(self, perspective: Any, viewed: Any) -> None:
        self.perspective = perspective
        self.viewed = viewed

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method of the viewed object, which gets the perspective first.

        Raises NoSuchMethod where there is none.
        """
        method = getattr(self.viewed, self.method_prefix + name, None)
        if not callable(method):
            raise NoSuchMethod(f"No such method: {self.method_prefix}{name}")
        return partial(method, self.perspective)

    def find_perspective(self) -> Any:
        """Give the perspective: it is on whose behalf the object is called."""
        return self.perspective

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this into a message; as the same object, however often it was made anew."""
        encoder.write_remote(encoder.exporter.export(self, self.key))

    @property
    def key(self) -> object:
        """What equal ones have in common, as long as one of them is alive."""
        return "view", id(self.perspective), id(self.viewed)

    def weakly(self) -> Callable[[], "ViewPoint | None"]:
        """Give what makes an equal one as long as both parts are alive.

        Raises TypeError if their classes allow no weak references.
        """
        perspective = None if self.perspective is None else ref(self.perspective)
        return partial(_again, perspective, ref(self.viewed))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ViewPoint):
            return NotImplemented
        return self.perspective is other.perspective and self.viewed is other.viewed

    def __hash__(self) -> int:
        return hash(self.key)


def _again(perspective: ref[Any] | None, viewed: ref[Any]) -> ViewPoint | None:
    whose = None if perspective is None else perspective()
    what = viewed()
    gone = what is None or (perspective is not None and whose is None)
    return None if gone else ViewPoint(whose, what)


class Cacheable:
    """An object that travels in full once on each connection, and whose copies hear of changes.

    The other side has a RemoteCache that is registered for its tag. Whatever changes this object
    tells its observers, with `update`. (Wire document, section 11.)
    """

    _cache_tag: str
    # Those that the ready-made methods know: a dictionary for its keys, which have an order.
    _observers: dict[Any, None]

    def __init_subclass__(cls, *, tag: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if tag is not None or "_cache_tag" not in cls.__dict__:
            cls._cache_tag = full_name(cls) if tag is None else tag

    def tag_to_cache_for(self, perspective: Any) -> str:
        """Give the type tag under which this object is sent: that of the class."""
        return self._cache_tag

    def state_to_cache(self) -> Any:
        """Give what copies are to know: every attribute."""
        state = state_of(self)
        state.pop("_observers", None)
        return state

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        """Give what one copy is to know, and remember who hears of changes from now on.

        `observer` is a handle on the copy; whatever it is told arrives behind this state.
        """
        self.__dict__.setdefault("_observers", {})[observer] = None
        return self.state_to_cache()

    def stopped_observing(self, perspective: Any, observer: Any) -> Any:
        """Hear that there is one copy less, and that `observer` need not be told any more.

        It may still be told of something now. Plain or async. Also called for a copy that was
        never sent, because the message with it could not be sent, even if
        `state_to_cache_and_observe_for` was never asked.
        """
        self.__dict__.get("_observers", {}).pop(observer, None)

    @property
    def observers(self) -> tuple[Any, ...]:
        """The handles on all copies, in the order in which they were sent."""
        return tuple(self.__dict__.get("_observers", ()))

    def update(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Call `observe_<name>` of every copy, and want no answer.

        Whatever fails, all others are told. Copies that are gone are passed over; the first other
        error is raised when all have been told.
        """
        failed: Exception | None = None
        for observer in self.observers:
            try:
                observer.notify(name, *args, **kwargs)
            except DeadReferenceError:
                pass
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this object into a message: in full, or as the id that the other side knows."""
        tag = self.tag_to_cache_for(encoder.perspective)
        encoder.write_cache(self, tag, self.state_to_cache_and_observe_for)


class RemoteCache:
    """The copy of a Cacheable of the other side, which the other side keeps up to date.

    The owner may call the methods whose names begin with `observe_`. A copy goes back over its own
    connection, where it arrives as the original, and nowhere else. When the last use of it goes,
    the other side is told; a subclass with a `__del__` has to call this one. (Wire document,
    section 11.)
    """

    __slots__ = ("__dict__", "__weakref__", "_copy")

    method_prefix = "observe_"

    def set_cached_state(self, state: Any) -> None:
        """Take the state that the owner sent: its keys become attributes."""
        set_state(self, state)

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method that an update by `name` means. Raises NoSuchMethod if there is none."""
        method: Callable[..., Any] | None = getattr(self, self.method_prefix + name, None)
        if not callable(method):
            raise NoSuchMethod(f"No such method: {self.method_prefix}{name}")
        return method

    def find_perspective(self) -> Any:
        """Give on whose behalf updates are made: nobody's."""
        return None

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this copy into a message to the side that it came from."""
        encoder.write_lcache(encoder.exporter.home_cache(self))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} belongs to its connection: it can't be pickled or copied"
        )

    def __del__(self) -> None:
        copy = bound_copy(self)
        if copy is not None:
            copy.died(self.__dict__)


# What ties a copy to its connection has no name on the class: no state of a peer can set it, and no
# name of the application hides it.
_slot: Any = RemoteCache.__dict__["_copy"]
del RemoteCache._copy  # type: ignore[attr-defined]


def bind_copy(handle: RemoteCache, copy: Any) -> None:
    """Have `copy.died(state)` called when a handle goes, from whatever thread it goes in."""
    _slot.__set__(handle, copy)


def bound_copy(handle: RemoteCache) -> Any:
    """Give what was bound to a handle, None if nothing was."""
    try:
        return _slot.__get__(handle)
    except AttributeError:
        return None


def copy_is_whole(handle: RemoteCache) -> None:
    """Tell what is bound to a handle that it has its state."""
    copy = bound_copy(handle)
    if copy is not None:
        copy.whole = True


def copy_has_size(handle: RemoteCache, size: int) -> None:
    """Tell what is bound to a handle in how many bytes its state came."""
    copy = bound_copy(handle)
    if copy is not None:
        copy.size = size


class Copyable:
    """An object that travels by value: the other side gets an object of its own.

    `tag` is what the other side has to have registered for it; without one it is the full name of
    the class. (Wire document, section 10.)
    """

    __slots__ = ()

    _copy_tag: ClassVar[str]

    def __init_subclass__(cls, *, tag: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A dataclass with slots is a second class made of the first, which had the tag.
        if tag is not None or "_copy_tag" not in cls.__dict__:
            cls._copy_tag = full_name(cls) if tag is None else tag

    def tag_to_copy_for(self, perspective: Any) -> str:
        """Give the type tag under which this object is sent on behalf of `perspective`."""
        return type(self)._copy_tag

    def state_to_copy(self) -> Any:
        """Give what is sent of this object: its fields or attributes, by name."""
        return state_of(self)

    def state_to_copy_for(self, perspective: Any) -> Any:
        """Give what is sent of this object on behalf of `perspective`."""
        return self.state_to_copy()

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this object into a message: its tag, and its state."""
        tag = self.tag_to_copy_for(encoder.perspective)
        encoder.write_copy(self, tag, self.state_to_copy_for)


class RemoteCopy:
    """A base for what a received copy becomes; any other class can be registered as well."""

    __slots__ = ()

    def set_copied_state(self, state: dict[str, Any]) -> None:
        """Take over a received state: set the attributes that a peer may set.

        Raises InsecureJelly for a key that names anything else.
        """
        set_state(self, state)
