"""All tables of one connection, and what encoder and decoder see of them."""

from collections.abc import Callable
from functools import partial
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

    `make_reference(owner, luid)` and `make_observer(owner, luid, perspective)` make the handles.
    `report(owner, event)` hears of what the other side holds no more, and `owner.wake()` tells
    that there is something to release. But for `exports`, the tables are made at their first use:
    most connections never need them.
    """

    __slots__ = (
        "_cache_exports",
        "_cache_imports",
        "_imports",
        "_make_observer",
        "_make_reference",
        "_open",
        "_report",
        "exports",
        "ids",
        "owner",
        "releases",
    )

    def __init__(
        self,
        owner: Any,
        ledger: Ledger,
        make_reference: Callable[[Any, int | bytes], RemoteReference],
        make_observer: Callable[[Any, int, Any], CacheObserver],
        report: Callable[[Any, Released | Unobserved], None],
    ) -> None:
        self.owner = owner
        self._make_observer = make_observer
        self._report = report
        self._open = True
        self.ids = Ids()
        self.releases = Releases(ledger.limits, owner)
        self.exports = Exports(ledger, self.ids, owner, report)
        self._make_reference = make_reference
        self._imports: Imports | None = None
        self._cache_exports: CacheExports | None = None
        self._cache_imports: CacheImports | None = None

    @property
    def imports(self) -> Imports:
        """The references to the other side's objects."""
        found = self._imports
        if found is None:
            found = Imports(self.exports.ledger, self.owner, self._make_reference, self.releases)
            self._imports = found
        return found

    @property
    def cache_exports(self) -> CacheExports:
        """The caches of this side that the other side has copies of."""
        found = self._cache_exports
        if found is None:
            make = partial(self._make_observer, self.owner)
            report = partial(self._report, self.owner)
            found = CacheExports(self.exports.ledger, self.ids, make, report)
            if not self._open:
                found.clear()
            self._cache_exports = found
        return found

    @property
    def cache_imports(self) -> CacheImports:
        """The copies of the other side's caches."""
        if self._cache_imports is None:
            self._cache_imports = CacheImports(self.exports.ledger, self.releases)
        return self._cache_imports

    def follow(self) -> None:
        """The limits of the ledger are others now."""
        self.releases.use(self.exports.ledger.limits)
        self.exports.follow()
        if self._cache_exports is not None:
            self._cache_exports.follow()

    def clear(self) -> None:
        """The connection is over: forget everything, and tell whom it concerns."""
        self._open = False
        self.ids.counted.clear()
        self.releases.clear()
        if self._imports is not None:
            self._imports.clear()
        if self._cache_imports is not None:
            self._cache_imports.clear()
        if self._cache_exports is not None:
            self._cache_exports.clear()
        self.exports.clear()

    def leave(self) -> None:
        """Forget the owner, behind `clear`: nothing comes or goes any more."""
        self.owner = None
        self.releases.leave()
        self.exports.leave()
        if self._imports is not None:
            self._imports.leave()
        # It is made again, and empty, if somebody asks for it.
        self._cache_exports = None

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
        imports = self.imports if self._imports is None else self._imports
        return imports.receive(luid, perspective)

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
