"""What a value may name: modules, classes, functions, and what is made of them by name.

Only what the application allowed can be named, and on a connection only what is loaded: nothing is
imported on the word of a peer. A registry that `imports` does so, for values of one's own.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from warnings import warn_explicit

from twisted.python.reflect import namedAny, qual

from ..errors import InsecureJelly
from ..registry import RawReader
from .unjellier import Unjellier, Unpersistable, restore

__all__ = ["NAMED", "find_class"]

_LONGEST: Final = 200
_INSTANCE: Final = (
    "Unjelly support for the instance atom is deprecated since Twisted 15.0.0.  "
    "Upgrade peer for modern instance support."
)
# Where this face's own classes are whose names say that they are Twisted's.
_PUBLIC: Final = "twisted.spread."
_ROOMS: Final = frozenset(["pb", "jelly", "banana", "flavors", "util", "interfaces", "publish"])


def _name(item: Any, what: str) -> str:
    if type(item) is bytes:
        try:
            return item.decode()
        except UnicodeDecodeError:
            pass
    raise InsecureJelly(f"the name of a {what} has to be text")


def _refuse(text: str) -> InsecureJelly:
    return InsecureJelly(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")


def find_class(registry: Any, word: Any) -> type:
    """Give the class with this full name. Raises InsecureJelly if it is not allowed."""
    name = _name(word, "class")
    taster = registry.taster
    module, _, last = name.rpartition(".")
    if not taster.isModuleAllowed(module):
        raise _refuse(f"Module {module} not allowed (in type {name}).")
    found = _allowed_class(taster, name)
    if found is None:
        found = _found(registry, module, last)
    if not isinstance(found, type) or not taster.isClassAllowed(found):
        raise _refuse(f"Class {name} not allowed.")
    return found


def _allowed_class(taster: Any, name: str) -> type | None:
    """Look among the classes that were allowed one by one, which need not be in their modules."""
    for cls in getattr(taster, "allowedClasses", ()):
        if qual(cls) == name:
            return cls  # type: ignore[no-any-return]
    return None


def _found(registry: Any, module: str, last: str) -> Any:
    """Give what a module has under a name, None if that is nothing."""
    if registry.imports:
        return _imported(f"{module}.{last}" if module else last)
    return getattr(sys.modules.get(module), "__dict__", {}).get(last)


def _imported(name: str) -> Any:
    if name.startswith(_PUBLIC):
        room, _, last = name.removeprefix(_PUBLIC).partition(".")
        if room in _ROOMS:
            found: Any = import_module(f"{__package__}.{room}")
            for step in last.split(".") if last else ():
                found = getattr(found, step)
            return found
    return namedAny(name)


def _find_module(registry: Any, word: Any) -> ModuleType:
    name = _name(word, "module")
    if not registry.taster.isModuleAllowed(name):
        raise _refuse(f"Module {name} not allowed.")
    found = _imported(name) if registry.imports else sys.modules.get(name)
    if not isinstance(found, ModuleType):
        raise _refuse(f"Module {name} is not loaded.")
    return found


def _find_function(registry: Any, word: Any) -> Any:
    """Give the function with this full name: one of an allowed module, or of an allowed class."""
    name = _name(word, "function")
    owner, _, last = name.rpartition(".")
    found: Any = None
    if registry.taster.isModuleAllowed(owner):
        found = _found(registry, owner, last)
        # What a module has from elsewhere was not allowed with it.
        if not registry.imports and getattr(found, "__module__", None) != owner:
            found = None
    elif registry.taster.isModuleAllowed(owner.rpartition(".")[0]):
        found = vars(find_class(registry, owner.encode())).get(last)
    else:
        raise _refuse(f"Module {owner} not allowed (in function {name}).")
    if not isinstance(found, (FunctionType, BuiltinFunctionType)):
        raise _refuse(f"Function {name} not allowed.")
    return found


# The readers. Each gets the whole `[tag, ...]`, and its registry knows what is allowed.


def _item(sexp: Any, index: int) -> Any:
    if len(sexp) <= index:
        raise InsecureJelly(f"a {sexp[0].decode()} with too little in it")
    return sexp[index]


def _read_module(sexp: Any, decoder: Any, made: Any) -> ModuleType:
    return _find_module(decoder.registry, _item(sexp, 1))


def _read_class(sexp: Any, decoder: Any, made: Any) -> type:
    return find_class(decoder.registry, _item(sexp, 1))


def _read_function(sexp: Any, decoder: Any, made: Any) -> Any:
    return _find_function(decoder.registry, _item(sexp, 1))


def _read_method(sexp: Any, decoder: Any, made: Any) -> Any:
    name = _name(_item(sexp, 1), "method")
    owner = decoder.part(_item(sexp, 2))
    cls = decoder.part(_item(sexp, 3))
    if not isinstance(cls, type) or not decoder.registry.taster.isClassAllowed(cls):
        raise InsecureJelly("a method of what is no class")
    bases = (vars(base).get(name) for base in cls.__mro__)
    function = next((found for found in bases if found is not None), None)
    if not isinstance(function, FunctionType):
        raise TypeError("instance method changed")
    if owner is None:
        return function
    if not isinstance(owner, cls):
        raise InsecureJelly("a method of an instance of another class")
    return MethodType(function, owner)


def _read_instance(sexp: Any, decoder: Any, made: Any) -> Any:
    warn_explicit(_INSTANCE, DeprecationWarning, "", 0)
    cls: Any = decoder.part(_item(sexp, 1))
    taster = decoder.registry.taster
    if not isinstance(cls, type) or not taster.isClassAllowed(cls):
        raise InsecureJelly("an instance of what is no class")
    instance: Any = _blank(cls)
    decoder.bind(instance)
    restore(instance, decoder.part(_item(sexp, 2)), decoder.registry.imports)
    return decoder.registry.later(instance)


def _blank(cls: Any) -> Any:
    return cls.__new__(cls)


def _read_persistent(sexp: Any, decoder: Any, made: Any) -> Any:
    registry = decoder.registry
    load = registry.persistent_load
    if load is None:
        return Unpersistable("Persistent callback not found")
    unjellier = Unjellier(decoder, registry.taster, registry.invoker, load)
    return unjellier.run(load, _item(registry.with_leaves(sexp), 1), unjellier)


def _reader(tag: str, read: Callable[[Any, Any, Any], Any]) -> tuple[bytes, RawReader]:
    return tag.encode(), RawReader(read, repr(tag))


NAMED: Final[dict[bytes, RawReader]] = dict(
    (
        _reader("module", _read_module),
        _reader("class", _read_class),
        _reader("function", _read_function),
        _reader("method", _read_method),
        _reader("instance", _read_instance),
        _reader("persistent", _read_persistent),
    )
)
"""The readers of jelly's own tags that name something, for registries that allow them."""
