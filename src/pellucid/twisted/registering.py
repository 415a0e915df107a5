"""What becomes of a type tag: the tables that all connections share, and a connection's view."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from twisted.python.reflect import qual

from ..errors import InsecureJelly, full_name
from ..registry import Reader, Registry
from .named import NAMED, find_class
from .once import Once, made_table
from .readers import InstanceReader, factory_reader, source_reader
from .security import DummySecurityOptions, SecurityOptions, globalSecurity
from .unjellier import Unpersistable

__all__ = [
    "LEAF",
    "SpreadRegistry",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
    "setUnjellyableForClassTree",
    "unjellyableFactoryRegistry",
    "unjellyableRegistry",
]

unjellyableRegistry: dict[bytes, Any] = {}
"""What was registered by type tag: classes, and functions that read what came."""

unjellyableFactoryRegistry: dict[bytes, Callable[[Any], Any]] = {}
"""The functions that are registered by type tag and get the state."""

LEAF: Final = b"pellucid leaf"
"""The tag of what bytes can't hold, in an s-expression that never leaves this process."""

# The tags of what needs no look at the registry.
_OWN: Final = frozenset(
    b"None boolean unicode list tuple set frozenset dictionary decimal datetime date time "
    b"timedelta reference dereference remote local cached lcache unpersistable".split()
)


def _word(name: str | bytes | type) -> bytes:
    if isinstance(name, type):
        name = qual(name)
    return name.encode() if isinstance(name, str) else name


def setUnjellyableForClass(classname: str | bytes | type, unjellyable: Any) -> None:
    """Let what arrives with a type tag become an `unjellyable`.

    The tag is given as such, or by the class that is sent with it. `unjellyable` is a class: its
    `unjellyFor` reads what came, as that of RemoteCopy and RemoteCache does. Or it is a function,
    which gets an Unjellier and the list that came.
    """
    word = _word(classname)
    unjellyableRegistry[word] = unjellyable
    globalSecurity.allowTypes(word)


setUnjellyableForClass.__module__ = "twisted.spread.jelly"


def setUnjellyableFactoryForClass(
    classname: str | bytes | type, copyFactory: Callable[[Any], Any]
) -> None:
    """Let what arrives with a type tag become what `copyFactory` returns for its state."""
    word = _word(classname)
    unjellyableFactoryRegistry[word] = copyFactory
    globalSecurity.allowTypes(word)


setUnjellyableFactoryForClass.__module__ = "twisted.spread.jelly"


def setUnjellyableForClassTree(
    module: ModuleType, baseClass: type, prefix: str | None = None
) -> None:
    """Register every class of a module that is derived from `baseClass`, by its name there.

    The tags begin with `prefix` and a dot: the name of the module, if it is None. If it is empty
    they are the names alone.
    """
    start = module.__name__ if prefix is None else prefix
    for name in dir(module):
        found = getattr(module, name)
        if isinstance(found, type) and issubclass(found, baseClass):
            setUnjellyableForClass(f"{start}.{name}" if start else name, found)


setUnjellyableForClassTree.__module__ = "twisted.spread.jelly"


class SpreadRegistry(Registry):
    """What one connection lets in: what is registered for all, as far as `security` allows it.

    `invoker` is the Broker, None outside of a connection. `persistentLoad` is called for what was
    stored elsewhere. `leaves` are what stands behind the tag LEAF, where a value came from no peer;
    only then DummySecurityOptions import what is named.
    """

    unpersistable = Unpersistable

    # What the class above has, and most connections never need.
    _errors: Any = Once(made_table)
    _readers: Any = Once(made_table)
    # By tag: what was registered or which class it is, and the reader.
    _known: Any = Once(made_table)
    _instances: Any = Once(made_table)

    def __init__(
        self,
        security: Any,
        invoker: Any,
        persistentLoad: Callable[[Any, Any], Any] | None = None,
        leaves: list[Any] | None = None,
    ) -> None:
        self.taster = security
        self.invoker = invoker
        self.persistent_load = persistentLoad
        self._leaves = leaves
        # What is to be told when the value is whole that it is in.
        self.posts: list[Any] = []
        # The ready-made options are asked by a look at their tables.
        asked = getattr(security.isTypeAllowed, "__func__", None)
        self._is_plain = asked is SecurityOptions.isTypeAllowed
        self._is_open = asked is DummySecurityOptions.isTypeAllowed
        self.imports = isinstance(security, DummySecurityOptions) and leaves is not None
        # The names that are known to have all of jelly's own among them.
        self._names: Any = None
        self._removals = 0

    @property
    def allows(self) -> Callable[[bytes], bool] | None:  # type: ignore[override]
        """What is asked about every tag: nothing, if all of jelly's own are allowed."""
        if self._is_open:
            return None
        if self._is_plain:
            names = self.taster.allowedTypes
            if names is self._names and names.removals == self._removals:
                return None
            if names.keys() >= _OWN:
                # Until something is taken out of them that need not be found out again.
                if hasattr(names, "removals"):
                    self._names, self._removals = names, names.removals
                return None
        return self._allows

    def _allows(self, tag: bytes) -> bool:
        if self._is_open:
            return True
        if self._is_plain:
            return tag in self.taster.allowedTypes or b"." in tag or tag == LEAF
        return bool(tag == LEAF or self.taster.isTypeAllowed(tag))

    def reader_for(self, tag: bytes) -> Reader | None:
        """Give the reader of a type tag, None for one that is not registered or not allowed.

        Raises InsecureJelly for the name of a class that is not allowed.
        """
        found = self._registered(tag)
        if found is not None or tag == LEAF:
            return found if self._allows(tag) else None
        if not self._allows(tag):
            return None
        found = NAMED.get(tag) or super().reader_for(tag)
        return self._instance_reader(tag) if found is None and b"." in tag else found

    def has_reader(self, tag: bytes) -> bool:
        """Tell whether there is a reader of a type tag, without making it."""
        return tag in unjellyableRegistry or super().has_reader(tag)

    def _registered(self, tag: bytes) -> Reader | None:
        known: tuple[Any, Reader] | None = self._known.get(tag)
        source = unjellyableRegistry.get(tag)
        if source is not None:
            if known is None or known[0] is not source:
                known = source, source_reader(self, source, repr(tag)[1:])
                self._known[tag] = known
            return known[1]
        source = unjellyableFactoryRegistry.get(tag)
        if source is not None:
            if known is None or known[0] is not source:
                known = source, factory_reader(self, source, repr(tag)[1:])
                self._known[tag] = known
            return known[1]
        if tag == LEAF and self._leaves is not None:
            return factory_reader(self, self._leaf, "a leaf")
        return None

    def _instance_reader(self, tag: bytes) -> Reader:
        known: tuple[type, Reader] | None = self._instances.get(tag)
        if known is not None and self._still_allowed(tag, known[0]):
            return known[1]
        cls = find_class(self, tag)
        reader = InstanceReader(cls, repr(tag)[1:], self)
        self._instances[tag] = cls, reader
        return reader

    def _still_allowed(self, tag: bytes, cls: type) -> bool:
        module = tag.decode().rpartition(".")[0]
        return bool(self.taster.isModuleAllowed(module) and self.taster.isClassAllowed(cls))

    def is_cache(self, tag: bytes) -> bool:
        """Tell whether a cache is registered for a type tag, allowed or not."""
        found = self._registered(tag)
        return super().is_cache(tag) if found is None else found.is_cache

    # What is told when a value is whole.

    def later(self, obj: Any) -> Any:
        """Have the `postUnjelly` of an object called in the end, if its class has one. Gives it."""
        if hasattr(type(obj), "postUnjelly"):
            self.posts.append(obj)
        return obj

    def end_unit(self, mark: int, whole: bool) -> None:
        """Call what waits for the end of a value, if it is `whole`. Raises InsecureJelly."""
        waiting = self.posts[mark:]
        del self.posts[mark:]
        for obj in waiting if whole else ():
            try:
                obj.postUnjelly()
            except Exception as error:
                text = f"postUnjelly of a {full_name(type(obj))} failed"
                raise InsecureJelly(text) from error

    def _leaf(self, index: Any) -> Any:
        leaves = self._leaves
        if leaves is None or type(index) is not int or not 0 <= index < len(leaves):
            raise InsecureJelly("a leaf that is none")
        return leaves[index]

    def with_leaves(self, sexp: list[Any]) -> list[Any]:
        """Give an s-expression with what stands behind the tag LEAF in its place."""
        if self._leaves:
            for index, item in enumerate(sexp):
                if isinstance(item, list):
                    is_leaf = len(item) == 2 and item[0] == LEAF
                    sexp[index] = self._leaf(item[1]) if is_leaf else self.with_leaves(item)
        return sexp
