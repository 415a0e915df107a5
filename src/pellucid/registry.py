"""What may arrive and what it becomes: a value per connection, never process-wide."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar, overload

from .atoms import Unpersistable
from .errors import Error, InsecureJelly, LimitExceeded, PBError, class_from_wire, full_name
from .flavors import RemoteCache, RemoteCopy, copy_has_size, copy_is_whole
from .places import OWN_TAGS
from .states import Put, set_state, text_keys

__all__ = ["CacheReader", "CopyReader", "Factory", "RawReader", "Reader", "Registry", "tag_bytes"]

_E = TypeVar("_E", bound=type[Error])
_C = TypeVar("_C", bound=Callable[..., Any])
_R = TypeVar("_R", bound=type[RemoteCache])

_LONGEST_TAG: Final = 500
# What says itself what is wrong. No variable may hold it: its traceback would hold that variable.
_OURS: Final = (InsecureJelly, LimitExceeded, RecursionError)


def tag_bytes(tag: str) -> bytes:
    """Give a type tag as it goes on the wire.

    Raises ValueError if it is one of jelly's own, or is empty, too long or no text.
    """
    try:
        word = tag.encode()
    except (AttributeError, UnicodeEncodeError):
        raise ValueError("a type tag has to be text") from None
    if not 0 < len(word) <= _LONGEST_TAG:
        raise ValueError(f"a type tag has from 1 to {_LONGEST_TAG} bytes")
    if word in OWN_TAGS:
        raise ValueError(f"the type tag {tag!r} has a meaning of its own")
    return word


class Reader:
    """What a received `[tag, state]` becomes, or a `[tag, id, state]` if `is_cache`.

    With `is_early` there is an object before its state is read, which `make` gives. With
    `is_plain` its state is nothing but attributes to set, and with `is_raw` it is for `read`.
    `hashes` tells whether objects of the class have a hash of their own. What the application's
    code raises becomes InsecureJelly.
    """

    __slots__ = ("name",)

    is_cache: bool = False
    is_early: ClassVar[bool] = True
    is_raw: ClassVar[bool] = False
    is_plain: bool = False
    hashes: bool = False

    def __init__(self, name: str) -> None:
        self.name = name

    def make(self) -> Any:
        """Give the object that the state is for."""

    def finish(self, made: Any, state: object, put: Put = object.__setattr__) -> Any:
        """Give the value, from what `make` gave and the finished state.

        If `is_plain` it need not be finished: `put(obj, name, value)` sets the attributes.
        """

    def measure(self, made: Any, size: int) -> None:
        """Tell in how many bytes the state came of what `make` gave, if `is_cache`."""

    def _failed(self, what: str, error: Exception) -> NoReturn:
        text = f"{what} type tag {self.name} failed: {full_name(type(error))}"
        if isinstance(error, Error):
            # That is what the other side is meant to see.
            text += f": {error}"
        raise InsecureJelly(text) from error


class Factory(Reader):
    """Calls a function with the state."""

    __slots__ = ("_call",)

    is_early = False

    def __init__(self, call: Callable[[Any], Any], name: str) -> None:
        super().__init__(name)
        self._call = call

    def finish(self, made: Any, state: object, put: Put = object.__setattr__) -> Any:
        """Call the function."""
        try:
            return self._call(state)
        except _OURS:
            raise
        except Exception as error:
            self._failed("the reader of", error)


class RawReader(Reader):
    """Calls `read(sexp, decoder, made)` with the whole `[tag, ...]`.

    Of what stands in it that decodes what it wants, with `decoder.part`. `made` is what `make()`
    gave, which can be referred to inside of it; None without `make`.
    """

    __slots__ = ("_make", "_read", "is_cache")

    is_raw = True

    def __init__(
        self,
        read: Callable[[Any, Any, Any], Any],
        name: str,
        is_cache: bool = False,
        make: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(name)
        self._read = read
        self._make = make
        self.is_cache = is_cache

    def make(self) -> Any:
        """Give what is there before it is read, None if nothing is."""
        try:
            return None if self._make is None else self._make()
        except _OURS:
            raise
        except Exception as error:
            self._failed("making an object for", error)

    def read(self, sexp: Any, decoder: Any, made: Any) -> Any:
        """Give the value."""
        try:
            return self._read(sexp, decoder, made)
        except _OURS:
            raise
        except Exception as error:
            self._failed("the reader of", error)


class CopyReader(Reader):
    """Makes an instance of a class, without `__init__`, and sets its state."""

    __slots__ = ("_takes_state", "cls", "hashes", "is_plain")

    def __init__(self, cls: Any, name: str) -> None:
        super().__init__(name)
        self.cls = cls
        own: object = cls.__hash__
        self.hashes = own is not None and own is not object.__hash__
        takes = getattr(cls, "set_copied_state", None)
        self._takes_state = takes is not None and takes is not RemoteCopy.set_copied_state
        # Of what can be called from afar no attribute may become a method.
        self.is_plain = not self._takes_state and not hasattr(cls, "method_prefix")

    def make(self) -> Any:
        """Give an instance without attributes."""
        try:
            return self.cls.__new__(self.cls)
        except _OURS:
            raise
        except Exception as error:
            self._failed("making an object for", error)

    def finish(self, made: Any, state: object, put: Put = object.__setattr__) -> Any:
        """Set the state."""
        try:
            if self._takes_state:
                made.set_copied_state(text_keys(state, self.cls))
            else:
                set_state(made, state, put)
        except _OURS:
            raise
        except Exception as error:
            self._failed("setting the state for", error)
        return made


class CacheReader(CopyReader):
    """Makes the copy of a cache."""

    __slots__ = ()

    is_cache = True

    def __init__(self, cls: Any, name: str) -> None:
        super().__init__(cls, name)
        self.is_plain = False

    def measure(self, made: Any, size: int) -> None:
        """Tell what the copy is bound to."""
        copy_has_size(made, size)

    def finish(self, made: Any, state: object, put: Put = object.__setattr__) -> Any:
        """Set the state."""
        try:
            made.set_cached_state(text_keys(state, self.cls))
        except _OURS:
            raise
        except Exception as error:
            self._failed("setting the state for", error)
        copy_is_whole(made)
        return made


class Registry:
    """What a connection knows by name: errors, and the classes of copies and caches.

    Nothing is ever imported or made on the word of a peer that is not registered here.
    """

    __slots__ = ("_errors", "_readers")

    allows: Callable[[bytes], bool] | None = None
    """Asked about every type tag, jelly's own too, before a value is decoded. None allows all."""

    unpersistable: Callable[[str], Any] = Unpersistable
    """Makes what stands for a value that the other side could not send, of the reason."""

    posts: list[Any] | None = None
    """What readers add to while a value is decoded, and `end_unit` sees to when it is."""

    def __init__(self) -> None:
        self._errors: dict[str, type[PBError]] = {}
        self._readers: dict[bytes, Reader] = {}

    if TYPE_CHECKING:

        @overload
        def error(self, cls: _E, name: str | None = None) -> _E: ...

        @overload
        def error(self, cls: None = None, name: str | None = None) -> Callable[[_E], _E]: ...

    def error(self, cls: Any = None, name: str | None = None) -> Any:
        """Let a received error whose class is called `name` become a `cls`.

        Without `name` it is the full name of `cls`. Without `cls` this is a decorator.
        """
        if cls is None:
            return partial(self.error, name=name)
        if not issubclass(cls, Error):
            raise TypeError(f"{cls!r} is not a subclass of pellucid.Error")
        self._errors[full_name(cls) if name is None else name] = cls
        return cls

    def error_for(self, name: str) -> type[PBError] | None:
        """Give the class that a received error of this name becomes, None if it is not known."""
        return self._errors.get(name) or class_from_wire(name)

    if TYPE_CHECKING:

        @overload
        def copy(self, tag: _C) -> _C: ...

        @overload
        def copy(self, tag: str, cls: _C) -> _C: ...

        @overload
        def copy(self, tag: str) -> Callable[[_C], _C]: ...

    def copy(self, tag: Any, cls: Any = None) -> Any:
        """Let a received copy with this tag become a `cls`, or what it returns if it is a function.

        The instance is made without `__init__`; its `set_copied_state` gets the state, or else its
        attributes are set, those that a peer may set. A function gets the finished state. With the
        tag alone this is a decorator, and it is one by itself: then the tag is that of the class.
        Raises ValueError for a tag that can't be one, and TypeError for what can't be called.
        (Wire document, section 10.)
        """
        tag, cls = _split(tag, cls, "_copy_tag")
        word = tag_bytes(tag)
        if cls is None:
            return partial(self.copy, tag)
        if not callable(cls):
            raise TypeError(f"{cls!r} is neither a class nor a function")
        name = repr(tag)
        is_class = isinstance(cls, type)
        self._readers[word] = CopyReader(cls, name) if is_class else Factory(cls, name)
        return cls

    if TYPE_CHECKING:

        @overload
        def cache(self, tag: _R) -> _R: ...

        @overload
        def cache(self, tag: str, cls: _R) -> _R: ...

        @overload
        def cache(self, tag: str) -> Callable[[_R], _R]: ...

    def cache(self, tag: Any, cls: Any = None) -> Any:
        """Let a received cache with this tag become a `cls`, a subclass of RemoteCache.

        A decorator in the same two ways as `copy`. Raises ValueError for a tag that can't be one,
        and TypeError for a class whose instances keep anything outside of their `__dict__`.
        (Wire document, section 11.)
        """
        tag, cls = _split(tag, cls, "_cache_tag")
        word = tag_bytes(tag)
        if cls is None:
            return partial(self.cache, tag)
        if not isinstance(cls, type) or not issubclass(cls, RemoteCache):
            raise TypeError(f"{cls!r} is not a subclass of pellucid.RemoteCache")
        for base in cls.__mro__:
            if not issubclass(RemoteCache, base) and base.__dict__.get("__slots__"):
                raise TypeError(f"{cls!r} has slots, and the state of a cache is its __dict__")
        self._readers[word] = CacheReader(cls, repr(tag))
        return cls

    def add_reader(self, tag: bytes, reader: Callable[[Any], Any]) -> None:
        """Let a received `[tag, state]` become `reader(state)`, without a look at the tag."""
        self._readers[tag] = Factory(reader, repr(tag)[1:])

    def end_unit(self, mark: int, whole: bool) -> None:
        """See to `posts` from `mark` on, and take it off: the value that it came with is decoded.

        If it is not `whole` it is refused. A whole one for which this raises InsecureJelly is
        refused, and then this is called again if anything is left.
        """

    def reader_for(self, tag: bytes) -> Reader | None:
        """Give the reader of a type tag, None if it is not registered."""
        return self._readers.get(tag)

    def has_reader(self, tag: bytes) -> bool:
        """Tell whether a type tag is registered."""
        return self.reader_for(tag) is not None

    def is_cache(self, tag: bytes) -> bool:
        """Tell whether a cache is registered for a type tag."""
        reader = self._readers.get(tag)
        return reader is not None and reader.is_cache


def _split(tag: Any, cls: Any, attribute: str) -> tuple[Any, Any]:
    """Give tag and class, of which the first may be left out."""
    if cls is None and isinstance(tag, type):
        return getattr(tag, attribute, None) or full_name(tag), tag
    if not isinstance(tag, str):
        raise TypeError(f"{tag!r} is not a type tag")
    return tag, cls
