"""What a hook sees of the encoder that writes a value, and what travels without a hook."""

from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, Protocol

from twisted.python.reflect import qual

from ..encoder import Encoder
from ..errors import InsecureJelly
from ..parts import Part
from .unjellier import Unjellier, Unpersistable

__all__ = ["Jellier", "Unjellier", "Unpersistable", "instance_state"]

# Whoever derives from a class of these modules has a content that is in no attribute, but for
# exceptions.
_WITH_CONTENT: Final = ("builtins", "enum")


class _Writing(Protocol):
    def write_jelly(self, encoder: Encoder) -> None:
        """Write a value."""


class _Words:
    """Writes what is an s-expression in itself."""

    __slots__ = ("_sexp",)

    def __init__(self, sexp: list[Any]) -> None:
        self._sexp = sexp

    def write_jelly(self, encoder: Encoder) -> None:
        """Write it."""
        encoder.write_sexp(self._sexp)


class _Built:
    """Writes what is put together of parts."""

    __slots__ = ("_build", "_obj")

    def __init__(self, obj: object, build: Callable[[Any, Encoder], Any]) -> None:
        self._obj = obj
        self._build = build

    def write_jelly(self, encoder: Encoder) -> None:
        """Put it together."""
        encoder.write_parts(self._obj, partial(self._build, self._obj, encoder))


class _Instance:
    """Writes an instance of an allowed class."""

    __slots__ = ("_obj",)

    def __init__(self, obj: object) -> None:
        self._obj = obj

    def write_jelly(self, encoder: Encoder) -> None:
        """Write its class and its state."""
        encoder.write_copy(self._obj, qual(type(self._obj)), self._state)

    def _state(self, perspective: Any) -> Any:
        return instance_state(self._obj)


def instance_state(obj: Any) -> Any:
    """Give what pickle would keep of an object: what `__getstate__` gives, or its attributes.

    Raises InsecureJelly for what has more than attributes and does not say itself how to keep it.
    """
    cls: Any = type(obj)
    if cls.__getstate__ is object.__getstate__:
        for base in cls.__mro__:
            if _has_content(base):
                raise InsecureJelly(
                    f"a {qual(cls)} is a {base.__name__}, and what makes it one is no attribute"
                )
    return obj.__getstate__()


def _has_content(base: type) -> bool:
    if base.__module__ not in _WITH_CONTENT or base is object:
        return False
    return not issubclass(base, BaseException)


class Jellier:
    """What a `jellyFor` gets, and the host of an encoder.

    `taster` is what is allowed. `invoker` is the Broker of the connection, None outside of one.
    With `strict`, as on a connection, what may not be sent is refused; else what arrives says that
    it could not be sent. `persistentStore(obj, jellier)` is asked about every instance that has no
    hooks; what it gives, if that is not None, travels in its place. `leaf` makes of what is no
    s-expression one that stands for it.
    """

    def __init__(
        self,
        taster: Any,
        invoker: Any,
        persistentStore: Callable[[Any, "Jellier"], Any] | None = None,
        strict: bool = False,
        leaf: Callable[[Any], Any] | None = None,
    ) -> None:
        self.taster = taster
        self.invoker = invoker
        self.persistentStore = persistentStore
        self._strict = strict
        self._leaf = leaf
        # What the hook that runs now writes, and where to.
        self._obj: Any = None
        self._encoder: Any = None

    # For hooks.

    @property
    def perspective(self) -> Any:
        """On whose behalf the value is written."""
        return None if self._encoder is None else self._encoder.perspective

    def prepare(self, object: Any) -> list[Any]:
        """Begin the s-expression of the object that is being written, and give an empty list.

        From now on what is in the object can refer to it.
        """
        encoder = self._writing()
        if object is self._obj:
            encoder.share(object)
        return []

    def preserve(self, object: Any, sexp: list[Any]) -> list[Any]:
        """End the s-expression of an object. Gives it."""
        return sexp

    def jelly(self, obj: Any) -> Any:
        """Write a value, and give what stands for it in the s-expression of the hook."""
        return self._writing().part(obj)

    def unpersistable(self, reason: str | bytes, sxp: list[Any] | None = None) -> list[Any]:
        """Give the s-expression that tells why an object could not be sent."""
        found = [] if sxp is None else sxp
        found += [b"unpersistable", reason.encode() if isinstance(reason, str) else reason]
        return found

    def cache(self, obj: Any, key: object = None) -> tuple[int, Any]:
        """Give the id of an own cache, and its new observer if this is its first sending."""
        encoder = self._writing()
        found: tuple[int, Any] = encoder.exporter.cache(obj, encoder.perspective, key)
        return found

    def register(self, obj: Any, key: object = None) -> int:
        """Give the id of an own object, and count that it is sent once more."""
        luid: int = self._writing().exporter.export(obj, key)
        return luid

    def _writing(self) -> Any:
        if self._encoder is None:
            raise InsecureJelly("no value is being written")
        return self._encoder

    # For the encoder, and for objects with hooks.

    def write(self, obj: Any, encoder: Encoder) -> None:
        """Write what the `jellyFor` of an object gives."""
        encoder.write_parts(obj, partial(self._hook, obj, encoder))

    def _hook(self, obj: Any, encoder: Encoder) -> Any:
        return self._spelled(self._run(obj, encoder, obj.jellyFor, self))

    def _run(self, obj: Any, encoder: Encoder, hook: Callable[..., Any], *args: Any) -> Any:
        """Call a hook of an object; meanwhile the invoker knows on whose behalf."""
        invoker, perspective = self.invoker, encoder.perspective
        outer = self._obj, self._encoder
        self._obj, self._encoder = obj, encoder
        before = getattr(invoker, "serializingPerspective", perspective)
        changes = before is not perspective
        try:
            if changes:
                invoker.serializingPerspective = perspective
            return hook(*args)
        finally:
            if changes:
                invoker.serializingPerspective = before
            self._obj, self._encoder = outer

    def _spelled(self, sexp: Any, is_tag: bool = False) -> Any:
        """Give what a hook made as an s-expression: text where it can only be bytes is bytes."""
        kind = type(sexp)
        if kind is Part or kind is bytes or kind is int or kind is float:
            return sexp
        if isinstance(sexp, (list, tuple)):
            return [self._spelled(item, index == 0) for index, item in enumerate(sexp)]
        if self._leaf is not None and not is_tag:
            return self._leaf(sexp)
        return sexp.encode() if kind is str else sexp

    def adapt(self, value: Any) -> _Writing | None:
        """Give what writes a value that has no hooks, None if it may not be sent."""
        kind = type(value)
        if not self.taster.isTypeAllowed(qual(kind).encode()):
            raise InsecureJelly(f"Type not allowed for object: {qual(kind)}")
        if isinstance(value, type):
            return self._named(b"class", value.__module__, qual(value))
        if isinstance(value, ModuleType):
            return self._named(b"module", value.__name__, value.__name__)
        if kind is FunctionType or (kind is BuiltinFunctionType and value.__module__ is not None):
            module = value.__module__
            return self._named(b"function", module, f"{module}.{value.__qualname__}")
        if kind is MethodType:
            if self._allows(b"method", type(value.__self__).__module__):
                return _Built(value, _method)
            return self._insecure(value, qual(kind))
        if self.persistentStore is not None:
            return _Built(value, self._stored)
        if self.taster.isClassAllowed(kind):
            return _Instance(value)
        return self._insecure(value, f"instance of class {qual(kind)}")

    def _allows(self, tag: bytes, module: str) -> bool:
        return bool(self.taster.isTypeAllowed(tag) and self.taster.isModuleAllowed(module))

    def _named(self, tag: bytes, module: str, name: str) -> _Writing | None:
        if self._allows(tag, module):
            return _Words([tag, name.encode()])
        return self._insecure(None, f"{tag.decode()} {name}")

    @property
    def _refuses(self) -> bool:
        return self._strict and not getattr(self.taster, "unsafeAsUnpersistable", False)

    def _insecure(self, value: Any, what: str) -> _Writing | None:
        if self._refuses:
            return None
        reason = f"{what} deemed insecure"
        return _Built(value, lambda obj, encoder: self._unsent(obj, encoder, reason))

    def _unsent(self, obj: Any, encoder: Encoder, reason: str) -> Any:
        if obj is not None:
            encoder.share(obj)
        return self.unpersistable(reason)

    def _stored(self, obj: Any, encoder: Encoder) -> Any:
        """Give what an instance travels as where there is a store for what is kept elsewhere."""
        encoder.share(obj)
        assert self.persistentStore is not None
        persistent = self._run(obj, encoder, self.persistentStore, obj, self)
        if persistent is not None:
            return self._spelled([b"persistent", persistent])
        cls = type(obj)
        if self.taster.isClassAllowed(cls):
            return [qual(cls).encode(), encoder.part(instance_state(obj))]
        if self._refuses:
            raise InsecureJelly(f"a {qual(cls)} can't be sent")
        return self.unpersistable(f"instance of class {qual(cls)} deemed insecure")


def _method(method: Any, encoder: Encoder) -> list[Any]:
    owner = method.__self__
    name = method.__func__.__name__
    return [b"method", name.encode(), encoder.part(owner), encoder.part(type(owner))]
