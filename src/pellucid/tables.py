"""All tables of one connection, and what encoder and decoder see of them."""

from collections.abc import Callable
from typing import Any

from .caches import CacheExports, CacheImports, CacheObserver
from .errors import InsecureJelly
from .events import Released, Unobserved
from .flavors import RemoteCache
from .ledger import Ledger
from .references import Exports, Ids, Imports, RemoteReference
from .releases import Releases

__all__ = ["Tables"]


class Tables:
    """The tables of the connection that `owner` is, as an Exporter and an Importer.

    `report` hears of what the other side holds no more, `wake` that there is something to release.
    """

    __slots__ = (
        "cache_exports",
        "cache_imports",
        "exports",
        "ids",
        "imports",
        "owner",
        "releases",
    )

    def __init__(
        self,
        owner: Any,
        ledger: Ledger,
        make_reference: Callable[[int | bytes], RemoteReference],
        make_observer: Callable[[int, Any], CacheObserver],
        report: Callable[[Released | Unobserved], None],
        wake: Callable[[], None],
    ) -> None:
        self.owner = owner
        self.ids = Ids()
        self.releases = Releases(ledger.limits, wake)
        self.exports = Exports(ledger, self.ids, report)
        self.imports = Imports(ledger, make_reference, self.releases)
        self.cache_exports = CacheExports(ledger, self.ids, make_observer, report)
        self.cache_imports = CacheImports(ledger, self.releases)

    def clear(self) -> None:
        """The connection is over: forget everything, and tell whom it concerns."""
        self.ids.counted.clear()
        self.releases.clear()
        self.imports.clear()
        self.cache_imports.clear()
        self.cache_exports.clear()
        self.exports.clear()

    # What the encoder asks.

    def export(self, obj: Any, key: object = None) -> int:
        """Give the id of an own object, and count that it is sent once more."""
        return self.exports.export(obj, key)

    def home(self, reference: RemoteReference) -> int | bytes:
        """Give the id by which the other side knows its own object."""
        if reference.origin is not self.owner:
            raise InsecureJelly("a reference can be sent only over the connection it came from")
        return reference.luid

    def cache(
        self, obj: Any, perspective: Any, key: object = None
    ) -> tuple[int, CacheObserver | None]:
        """Give the id of an own cache, and its new observer if this is its first sending."""
        return self.cache_exports.send(obj, perspective, key)

    def home_cache(self, obj: RemoteCache) -> int | bytes:
        """Give the id by which the other side knows its own cache."""
        return self.cache_imports.home(obj)

    def undo(self) -> None:
        """Take back what was counted for a message that is not sent."""
        self.ids.undo()

    # What the decoder asks.

    def remote(self, luid: int | bytes, perspective: Any) -> RemoteReference:
        """Give the reference to an object of the other side, and count that it came once more."""
        return self.imports.receive(luid, perspective)

    def local(self, luid: int | bytes) -> Any:
        """Give the own object with this id."""
        return self.exports.resolve_home(luid)

    def new_cache(self, luid: int | bytes, make: Callable[[], RemoteCache]) -> RemoteCache:
        """Take in a cache of the other side, whose state comes next, as what `make()` gives."""
        return self.cache_imports.receive(luid, make)

    def cached(self, luid: int | bytes) -> RemoteCache:
        """Give the copy of a cache of the other side, and count that it came once more."""
        return self.cache_imports.receive_again(luid)

    def lcache(self, luid: int | bytes) -> Any:
        """Give the own cache with this id."""
        return self.cache_exports.resolve_home(luid)
