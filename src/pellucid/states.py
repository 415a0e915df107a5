"""What of an object becomes its state, and what of a peer's state may become attributes.

(Wire document, section 10.) A state comes from a stranger. None of the application's code runs
because of it: no `__init__`, no property, no `__setattr__`.
"""

import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property
from types import MemberDescriptorType
from typing import Any, Final

from .errors import InsecureJelly, full_name

__all__ = ["Put", "set_state", "state_of", "text_keys"]

Put = Callable[[Any, str, Any], None]
"""Sets an attribute of an object."""

_MISSING: Final = object()
_LONGEST_KEY: Final = 40
# Where a cache keeps its observers.
_PRIVATE: Final = "_observers"
# What the flavours have on their classes is theirs: what may be called, and private links.
_OURS: Final = __name__.rpartition(".")[0] + "."
# Those of the Twisted face bear the names of Twisted's modules.
_TWISTED: Final = frozenset(
    f"twisted.spread.{name}" for name in ("banana", "flavors", "jelly", "pb", "publish", "util")
)
# Whoever derives from a class of these modules has a content that is in no attribute, but for
# errors.
_WITH_CONTENT: Final = ("builtins", "enum")


def state_of(obj: Any) -> dict[str, Any]:
    """Give what travels of an object: the fields of a dataclass or attrs class, or its attributes.

    Raises InsecureJelly for a field that has no value, and for what has more than attributes.
    """
    cls = type(obj)
    for base in cls.__mro__:
        if _has_content(base):
            raise InsecureJelly(
                f"a {full_name(cls)} is a {base.__name__}, and what makes it one is no attribute: "
                "it needs a state_to_copy and a factory of its own"
            )
    fields = _fields(cls)
    if fields is None:
        return _attributes(obj, cls)
    state = {}
    for field in fields:
        name = field.name
        value = getattr(obj, name, _MISSING)
        if value is _MISSING:
            raise InsecureJelly(f"field {name!r} of {full_name(cls)} has no value")
        state[name] = value
    return state


def _has_content(base: type) -> bool:
    if base.__module__ not in _WITH_CONTENT or base is object:
        return False
    return not issubclass(base, BaseException)


def _attributes(obj: Any, cls: type) -> dict[str, Any]:
    state = {}
    for base in reversed(cls.__mro__):
        if "__slots__" in base.__dict__ and not _is_ours(base):
            for name, slot in base.__dict__.items():
                if type(slot) is MemberDescriptorType and not _is_dunder(name):
                    value = getattr(obj, name, _MISSING)
                    if value is not _MISSING:
                        state[name] = value
    for name, value in getattr(obj, "__dict__", {}).items():
        # What is computed from the others is computed there as well.
        if not _is_dunder(name) and type(_on_class(cls, name)) is not cached_property:
            state[name] = value
    return state


def text_keys(state: object, cls: type) -> dict[str, Any]:
    """Give a received state as a dictionary with text keys, which Python 2 had as byte strings.

    None is a state without anything in it. Raises InsecureJelly for what can't be a state.
    """
    if state is None:
        return {}
    if type(state) is not dict:
        raise InsecureJelly(f"the state of a {full_name(cls)} has to be a dictionary")
    for key in state:
        if type(key) is not str:
            return {_text(key, cls): value for key, value in state.items()}
    return state


def _text(key: object, cls: type) -> str:
    if type(key) is bytes:
        try:
            return key.decode()
        except UnicodeDecodeError:
            pass
    elif type(key) is str:
        return key
    raise InsecureJelly(f"a state key of a {full_name(cls)} is not text")


def set_state(obj: Any, state: object, put: Put = object.__setattr__) -> None:
    """Set the attributes of an object that a peer's state may set, with `put(obj, name, value)`.

    Of a dataclass or attrs class those are its fields: what is no field is ignored, a missing one
    gets its default. On any other class a key must not name what the class has as a method or
    another descriptor, nor make a method that can be called from afar. Raises InsecureJelly for
    what is not allowed.
    """
    cls = type(obj)
    found = text_keys(state, cls)
    fields = _fields(cls)
    try:
        if fields is not None:
            for field in fields:
                name = field.name
                value = found.get(name, _MISSING)
                put(obj, name, _default(field, obj, cls) if value is _MISSING else value)
            return
        prefix = getattr(cls, "method_prefix", None)
        for name, value in found.items():
            _check(name, cls)
            if prefix is not None and name.startswith(prefix) and callable(value):
                raise InsecureJelly(f"state key {name[:_LONGEST_KEY]!r} is not for a peer to set")
            put(obj, name, value)
    except (AttributeError, TypeError) as error:
        raise InsecureJelly(f"a {full_name(cls)} can't have this state") from error


def _fields(cls: type) -> Iterable[Any] | None:
    """Give the fields of a dataclass or an attrs class."""
    if hasattr(cls, "__dataclass_fields__"):
        return dataclasses.fields(cls)
    found: Iterable[Any] | None = getattr(cls, "__attrs_attrs__", None)
    return found


def _default(field: Any, obj: Any, cls: type) -> Any:
    default = field.default
    factory = getattr(field, "default_factory", dataclasses.MISSING)
    if factory is not dataclasses.MISSING:
        return factory()
    if type(field) is not dataclasses.Field:
        # The library attrs is never imported here; these are its own two marks.
        kind = type(default).__name__
        if kind == "Factory":
            return default.factory(obj) if default.takes_self else default.factory()
        if kind != "_Nothing":
            return default
    elif default is not dataclasses.MISSING:
        return default
    raise InsecureJelly(f"field {field.name!r} of {full_name(cls)} is missing")


def _check(name: str, cls: type) -> None:
    """Refuse a key that would hide a part of the class."""
    found = [base for base in cls.__mro__ if name in base.__dict__]
    if _is_dunder(name) or any(map(_is_ours, found)) or (name == _PRIVATE and _observed(cls)):
        raise InsecureJelly(f"state key {name[:_LONGEST_KEY]!r} is not for a peer to set")
    if not found:
        return
    part = found[0].__dict__[name]
    kind = type(part)
    if kind is MemberDescriptorType:
        return
    if callable(part) or any(hasattr(kind, verb) for verb in ("__get__", "__set__", "__delete__")):
        shown = repr(name[:_LONGEST_KEY])
        raise InsecureJelly(f"state key {shown} names a method of {full_name(cls)}")


def _observed(cls: type) -> bool:
    """Tell whether objects of a class remember who observes them."""
    return hasattr(cls, "state_to_cache_and_observe_for")


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_ours(cls: type) -> bool:
    """Tell whether a class is one of the flavours. What an error has may be set."""
    module = str(cls.__module__)
    ours = module.startswith(_OURS) or module in _TWISTED
    return ours and not issubclass(cls, BaseException)


def _on_class(cls: type, name: str) -> object:
    """Give what a class has under a name, as it stands there."""
    for base in cls.__mro__:
        part = base.__dict__.get(name, _MISSING)
        if part is not _MISSING:
            return part
    return None
