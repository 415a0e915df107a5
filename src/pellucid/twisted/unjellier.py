"""What a hook sees of the decoder that reads a value, and how an object gets its state back."""

from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any, Final

from ..errors import InsecureJelly, full_name
from ..parts import Unread
from ..states import set_state

__all__ = ["Unjellier", "Unpersistable", "restore", "set_attributes", "spelled"]

# A value nested deeper than that breaks any stack.
_DEPTH: Final = 10_000
# What stands behind these tags as text can only be meant as bytes.
_WORDS: Final = frozenset(
    b"None boolean unicode decimal datetime date time timedelta reference dereference remote local "
    b"cached lcache unpersistable class module function method".split()
)


class Unpersistable:
    """Stands for what could not be sent; `reason` says what it was."""

    __module__ = "twisted.spread.jelly"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Unpersistable({self.reason!r})"


class Unjellier:
    """What an `unjellyFor` and its like get, to read what stands in the list that they get.

    `invoker` is the Broker of the connection, None outside of one. `taster` is what is allowed.
    """

    def __init__(
        self,
        decoder: Any,
        taster: Any,
        invoker: Any,
        persistentLoad: Callable[[Any, "Unjellier"], Any] | None = None,
    ) -> None:
        self.taster = taster
        self.invoker = invoker
        self.persistentLoad = persistentLoad
        self._decoder = decoder

    @property
    def perspective(self) -> Any:
        """On whose behalf the value is read."""
        return self._decoder.perspective

    @property
    def trusted(self) -> bool:
        """Whether the value comes from no peer, and may do with an object what it likes."""
        return bool(self._decoder.registry.imports)

    def unjelly(self, obj: Any) -> Any:
        """Give the value of an s-expression: a part of what the hook got, or one made by hand."""
        if type(obj) is not list:
            return self._decoder.part(obj)
        tag = _bytes(obj[0]) if obj else None
        # What came is decoded where it stands: a copy of it would know nothing of what it shares.
        if tag == b"list":
            return list(map(self.unjelly, obj[1:]))
        if tag == b"tuple":
            return tuple(map(self.unjelly, obj[1:]))
        return self._decoder.part(spelled(obj, _value_of))

    def unjellyInto(self, obj: Any, loc: Any, jel: Any) -> Any:
        """Put the value of an s-expression into `obj[loc]`, and give it."""
        obj[loc] = value = self.unjelly(jel)
        return value

    def new_cache(self, luid: int | bytes, instance: Any) -> Any:
        """Let `instance` be the copy of the cache that the other side knows by this id."""
        cls: Any = type(instance)
        first = [instance]
        return self._decoder.importer.new_cache(
            luid, lambda: first.pop() if first else cls.__new__(cls)
        )

    def run(self, hook: Callable[..., Any], *args: Any) -> Any:
        """Call a hook; meanwhile the invoker knows on whose behalf."""
        invoker = self.invoker
        perspective = self.perspective
        before = getattr(invoker, "unserializingPerspective", perspective)
        if before is perspective:
            return hook(*args)
        invoker.unserializingPerspective = perspective
        try:
            return hook(*args)
        finally:
            invoker.unserializingPerspective = before


def restore(obj: Any, state: Any, trusted: bool) -> None:
    """Give an instance its state: by `__setstate__`, or as `set_attributes` does."""
    setter = getattr(type(obj), "__setstate__", None)
    if setter is None or setter is BaseException.__setstate__:
        set_attributes(obj, state, trusted)
    else:
        setter(obj, state)


def set_attributes(obj: Any, state: Any, trusted: bool) -> None:
    """Set the attributes of an instance: a dictionary, None, or those with slots beside them.

    If the state is not `trusted` none of them hides a part of the class. Raises InsecureJelly.
    """
    if type(state) is tuple and len(state) == 2:
        merged: dict[Any, Any] = {}
        for part in state:
            if type(part) is dict:
                merged |= part
            elif part is not None:
                raise _no_state(obj)
        state = merged
    if not trusted:
        set_state(obj, state)
    elif type(state) is dict:
        attributes = getattr(obj, "__dict__", None)
        for name, value in state.items():
            # The value of a slot is no entry there.
            if attributes is None or type(getattr(type(obj), name, None)) is MemberDescriptorType:
                object.__setattr__(obj, name, value)
            else:
                attributes[name] = value
    elif state is not None:
        raise _no_state(obj)


def _no_state(obj: object) -> InsecureJelly:
    return InsecureJelly(f"a {full_name(type(obj))} can't have this state")


def spelled(sexp: list[Any], leaf: Callable[[Any], Any]) -> list[Any]:
    """Give an s-expression that somebody made by hand as one that can be encoded.

    Text stands for bytes where only bytes can be, as in a tag. What else is neither list, bytes
    nor number is what `leaf` makes of it. Raises InsecureJelly for one that contains itself.
    """
    top: list[Any] = []
    stack = [(sexp, top, 1, False)]
    while stack:
        source, target, depth, is_pair = stack.pop()
        if depth > _DEPTH:
            raise InsecureJelly("an s-expression is nested too deep")
        tag = None if is_pair or not source else _bytes(source[0])
        in_words = tag in _WORDS
        for index, item in enumerate(source):
            kind = type(item)
            if isinstance(item, list):
                if isinstance(item, Unread):
                    item.taken = True
                inner: list[Any] = []
                target.append(inner)
                stack.append((item, inner, depth + 1, tag == b"dictionary"))
            elif kind is str and (in_words or (index == 0 and not is_pair)):
                target.append(item.encode())
            elif kind is bytes or kind is int or kind is float:
                target.append(item)
            else:
                target.append(leaf(item))
    return top


def _bytes(item: Any) -> Any:
    return item.encode() if type(item) is str else item


def _value_of(item: Any) -> Any:
    """Give what stands for a value that Twisted lets stand for itself."""
    if type(item) is str:
        return [b"unicode", item.encode()]
    if item is None:
        return [b"None"]
    if type(item) is bool:
        return [b"boolean", b"true" if item else b"false"]
    raise InsecureJelly(f"a {full_name(type(item))} in an s-expression")
