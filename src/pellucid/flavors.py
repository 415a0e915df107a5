"""The kinds of objects that an application lets the other side use."""

from collections.abc import Callable
from typing import Any, Protocol

from .errors import NoSuchMethod

__all__ = ["Referenceable", "Root"]


class _Exporter(Protocol):
    def export(self, obj: Any) -> int:
        """Give the id of an own object."""


class _Encoder(Protocol):
    @property
    def exporter(self) -> _Exporter:
        """The table of exported objects."""

    def write_remote(self, luid: int) -> None:
        """Write a reference to an own object."""


class Referenceable:
    """An object that travels by reference: it stays here, and the other side gets a handle on it.

    Whoever holds a reference may call the methods whose names begin with `remote_`, plain or async,
    and nothing else. (Wire document, sections 7 and 9.)
    """

    method_prefix = "remote_"

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method that a call by `name` means. Raises NoSuchMethod where there is none.

        Only callables are methods: an attribute with a fitting name is not reachable.
        """
        full = self.method_prefix + name
        method = getattr(self, full, None)
        if not callable(method):
            raise NoSuchMethod(f"No such method: {full}")
        found: Callable[..., Any] = method
        return found

    def write_jelly(self, encoder: _Encoder) -> None:
        """Write this object into a message: as an id in the table of exported objects."""
        encoder.write_remote(encoder.exporter.export(self))


class Root(Referenceable):
    """The object that a server gives to everybody who connects, under the name `root`."""
