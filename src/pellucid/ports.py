"""What encoder and decoder see of a connection: a few verbs, for what travels by reference."""

from collections.abc import Callable
from typing import Any, Protocol

from .errors import InsecureJelly

__all__ = ["Exporter", "Importer", "NullExporter", "NullImporter"]


class Exporter(Protocol):
    """What the encoder asks of a connection, for what travels by reference."""

    def export(self, obj: Any, key: object = None) -> int:
        """Give the id of an own object, and count that it is sent once more.

        With a `key` whatever was exported under an equal one counts as the same object.
        """

    def home(self, reference: Any) -> int | bytes:
        """Give the id by which the other side knows its own object."""

    def cache(self, obj: Any, perspective: Any, key: object = None) -> tuple[int, Any | None]:
        """Give the id of an own cache, and its new observer if this is its first sending.

        With a `key` whatever was sent under an equal one counts as the same cache.
        """

    def home_cache(self, obj: Any) -> int | bytes:
        """Give the id by which the other side knows its own cache."""

    def undo(self) -> None:
        """Take back what was exported for a message that is not sent."""


class NullExporter:
    """Stands where there is no connection."""

    def export(self, obj: Any, key: object = None) -> int:
        """Refuse."""
        raise _no_connection()

    def home(self, reference: Any) -> int | bytes:
        """Refuse."""
        raise _no_connection()

    def cache(self, obj: Any, perspective: Any, key: object = None) -> tuple[int, Any | None]:
        """Refuse."""
        raise _no_connection()

    def home_cache(self, obj: Any) -> int | bytes:
        """Refuse."""
        raise _no_connection()

    def undo(self) -> None:
        """Nothing was exported."""


class Importer(Protocol):
    """What the decoder asks of a connection, for what travels by reference."""

    def remote(self, luid: int | bytes, perspective: Any) -> Any:
        """Give the reference to an object of the other side, and count that it came once more.

        It remembers on whose behalf it was received.
        """

    def local(self, luid: int | bytes) -> Any:
        """Give the own object with this id."""

    def new_cache(self, luid: int | bytes, make: Callable[[], Any]) -> Any:
        """Take in a cache of the other side, whose state comes next, as what `make()` gives."""

    def cached(self, luid: int | bytes) -> Any:
        """Give the copy of a cache of the other side, and count that it came once more."""

    def lcache(self, luid: int | bytes) -> Any:
        """Give the own cache with this id."""

    def undo(self) -> None:
        """Take back what was imported for a value that is refused."""


class NullImporter:
    """Stands where there is no connection."""

    def remote(self, luid: int | bytes, perspective: Any) -> Any:
        """Refuse."""
        raise _no_connection()

    def local(self, luid: int | bytes) -> Any:
        """Refuse."""
        raise _no_connection()

    def new_cache(self, luid: int | bytes, make: Callable[[], Any]) -> Any:
        """Refuse."""
        raise _no_connection()

    def cached(self, luid: int | bytes) -> Any:
        """Refuse."""
        raise _no_connection()

    def lcache(self, luid: int | bytes) -> Any:
        """Refuse."""
        raise _no_connection()

    def undo(self) -> None:
        """Nothing was imported."""


def _no_connection() -> InsecureJelly:
    return InsecureJelly("references travel on a connection only")
