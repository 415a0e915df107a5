"""What a received object becomes whose class the application registered or allowed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import InsecureJelly, LimitExceeded
from ..flavors import RemoteCache, bound_copy, copy_is_whole
from ..registry import CopyReader, Factory, RawReader, Reader
from ..states import Put, set_state
from .hooks import is_default
from .unjellier import Unjellier, restore, set_attributes

__all__ = ["InstanceReader", "factory_reader", "source_reader"]

_PASSED = (InsecureJelly, LimitExceeded, RecursionError)


class _Setting(CopyReader):
    """Makes an instance without `__init__`; a subclass says how its state is set."""

    __slots__ = ("_registry",)

    def __init__(self, cls: Any, name: str, registry: Any) -> None:
        super().__init__(cls, name)
        self._registry = registry
        # Attributes alone are not all of it where something is called afterwards.
        self.is_plain = not hasattr(cls, "method_prefix") and self.sets_attributes()

    def sets_attributes(self) -> bool:
        """Tell whether the state is nothing but attributes, which a peer may set."""
        return False

    def finish(self, made: Any, state: object, put: Put = object.__setattr__) -> Any:
        """Set the state."""
        try:
            if self.is_plain and type(state) is dict:
                set_state(made, state, put)
            else:
                self.give(made, state)
        except _PASSED:
            raise
        except Exception as error:
            self._failed("setting the state for", error)
        return self._registry.later(made)

    def give(self, made: Any, state: Any) -> None:
        """Give the state to the object."""


class InstanceReader(_Setting):
    """Makes an instance of a class that has no hooks for jelly."""

    __slots__ = ()

    def sets_attributes(self) -> bool:
        """Tell whether there is no `__setstate__`."""
        setter = getattr(self.cls, "__setstate__", None)
        none = setter is None or setter is BaseException.__setstate__
        return none and not self._registry.imports

    def give(self, made: Any, state: Any) -> None:
        """Set the state by `__setstate__`, or as attributes."""
        restore(made, state, self._registry.imports)


class _AttributesReader(_Setting):
    """Makes an Unjellyable."""

    __slots__ = ()

    def sets_attributes(self) -> bool:
        """Tell whether they are a peer's."""
        return not self._registry.imports

    def give(self, made: Any, state: Any) -> None:
        """Set the state as attributes."""
        set_attributes(made, state, self._registry.imports)


class _CopyReader(_Setting):
    """Makes a RemoteCopy."""

    __slots__ = ()

    def sets_attributes(self) -> bool:
        """Tell whether the class has no `setCopyableState` of its own."""
        return is_default(self.cls.setCopyableState)

    def give(self, made: Any, state: Any) -> None:
        """Set the state by `setCopyableState`."""
        made.setCopyableState(state)


class _Handles:
    """Makes the handles on one received cache, the first one with `__init__`."""

    __slots__ = ("_begun", "_cls", "_invoker")

    def __init__(self, cls: Any, invoker: Any) -> None:
        self._cls = cls
        self._invoker = invoker
        self._begun = False

    def __call__(self) -> Any:
        handle = self._cls.__new__(self._cls)
        vars(handle)["broker"] = self._invoker
        if not self._begun:
            self._begun = True
            handle.__init__()
        return handle


class _CacheReader(_Setting):
    """Makes a RemoteCache, which knows its connection and its id there."""

    __slots__ = ()

    is_cache = True

    @property
    def make(self) -> Callable[[], Any]:
        """What makes the handles on a cache, for each cache another."""
        return _Handles(self.cls, self._registry.invoker)

    def measure(self, made: Any, size: int) -> None:
        """Tell what the copy is bound to."""
        bound_copy(made).size = size

    def give(self, made: Any, state: Any) -> None:
        """Set the state by `setCopyableState`, which may replace all attributes."""
        own = {"broker": self._registry.invoker, "luid": bound_copy(made).luid}
        vars(made).update(own)
        made.setCopyableState(state)
        vars(made).update(own)
        copy_is_whole(made)


def factory_reader(registry: Any, factory: Callable[[Any], Any], name: str) -> Reader:
    """Give the reader that calls a function with the state."""
    return Factory(lambda state: registry.later(factory(state)), name)


def source_reader(registry: Any, source: Any, name: str) -> Reader:
    """Give the reader for what was registered: a class, or a function that reads itself."""
    hook = getattr(source, "unjellyFor", None) if isinstance(source, type) else None
    if hook is None:
        return RawReader(partial(_call, source), name)
    cls: Any = source
    connected = registry.invoker is not None
    if is_default(hook):
        if hasattr(cls, "setCopyableState"):
            if not connected:
                return InstanceReader(cls, name, registry)
            is_cache = issubclass(cls, RemoteCache)
            return (_CacheReader if is_cache else _CopyReader)(cls, name, registry)
        if is_default(cls.setStateFor):
            return _AttributesReader(cls, name, registry)
    is_cache = connected and issubclass(cls, RemoteCache)
    return RawReader(_read, name, is_cache, partial(cls.__new__, cls))


def _call(source: Callable[[Any, Any], Any], sexp: Any, decoder: Any, made: Any) -> Any:
    return _hooked(source, sexp, decoder)


def _read(sexp: Any, decoder: Any, made: Any) -> Any:
    return _hooked(made.unjellyFor, sexp, decoder)


def _hooked(hook: Callable[[Any, Any], Any], sexp: Any, decoder: Any) -> Any:
    registry = decoder.registry
    unjellier = Unjellier(decoder, registry.taster, registry.invoker, registry.persistent_load)
    return registry.later(unjellier.run(hook, unjellier, registry.with_leaves(sexp)))
