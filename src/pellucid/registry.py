"""What may arrive and what it becomes: a value per connection, never process-wide."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .errors import Error, PBError, class_from_wire, full_name

__all__ = ["Reader", "Registry"]

Reader = Callable[[object], object]
"""Makes a value of the state that came with a type tag."""

_E = TypeVar("_E", bound=type[Error])


class Registry:
    """What a connection knows by name: errors, and readers of type tags.

    Nothing is ever imported or made on the word of a peer that is not registered here.
    """

    __slots__ = ("_errors", "_readers")

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

    def add_reader(self, tag: bytes, reader: Reader) -> None:
        """Let a received `[tag, state]` become `reader(state)`."""
        self._readers[tag] = reader

    def reader_for(self, tag: bytes) -> Reader | None:
        """Give the reader of a type tag, None if it is not registered."""
        return self._readers.get(tag)
