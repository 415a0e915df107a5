"""Jelly: values as s-expressions and back, and what objects have that travel in their own way.

An s-expression is a list of byte strings, numbers and such lists.
"""

from collections.abc import Callable
from typing import Any, Final
from warnings import warn

from twisted.python.reflect import qual
from zope.interface import implementer

from .. import broker
from ..banana import PELLUCID, encode, read_item
from ..decoder import Decoder
from ..encoder import Encoder
from ..errors import PBError
from ..limits import Limits
from ..ports import NullExporter, NullImporter
from .errors import InsecureJelly, translated
from .hooks import default
from .interfaces import IJellyable, IUnjellyable
from .jellier import Jellier, instance_state
from .registering import (
    LEAF,
    SpreadRegistry,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
    setUnjellyableForClassTree,
    unjellyableFactoryRegistry,
    unjellyableRegistry,
)
from .security import DummySecurityOptions, SecurityOptions, globalSecurity
from .unjellier import Unpersistable, restore, set_attributes, spelled

__all__ = [
    "DictTypes", "DummySecurityOptions", "IJellyable", "IUnjellyable", "InsecureJelly", "Jellyable",
    "None_atom", "SecurityOptions", "Unjellyable", "Unpersistable", "class_atom",
    "dereference_atom", "dictionary_atom", "frozenset_atom", "function_atom", "getInstanceState",
    "globalSecurity", "jelly", "list_atom", "module_atom", "persistent_atom", "reference_atom",
    "setInstanceState", "setUnjellyableFactoryForClass", "setUnjellyableForClass",
    "setUnjellyableForClassTree", "set_atom", "tuple_atom", "unjelly",
    "unjellyableFactoryRegistry", "unjellyableRegistry", "unpersistable_atom",
]  # fmt: skip

DictTypes = (dict,)

None_atom = b"None"
class_atom = b"class"
module_atom = b"module"
function_atom = b"function"
dereference_atom = b"dereference"
persistent_atom = b"persistent"
reference_atom = b"reference"
dictionary_atom = b"dictionary"
list_atom = b"list"
set_atom = b"set"
tuple_atom = b"tuple"
frozenset_atom = b"frozenset"
unpersistable_atom = b"unpersistable"

_MOST: Final = 1 << 56


class _Local(Limits):
    """The limits of what never leaves this process: it may cost what it likes.

    It may be deeper than anything that is sent, but not so deep that compiled code breaks a stack.
    """

    def __post_init__(self) -> None:
        """Let everything pass."""


_LOCAL: Final = _Local(
    message_bytes=_MOST,
    items=_MOST,
    containers=_MOST,
    hash_steps=_MOST,
    hash_collisions=_MOST,
    depth_sent=512,
    depth_received=512,
)
# An instance alone is three levels, and its being shared one more.
_DEPTH: Final = 4 * 512 + 1


def __getattr__(name: str) -> Any:
    if name == "instance_atom":
        warn(
            "twisted.spread.jelly.instance_atom was deprecated in Twisted 15.0.0: "
            "instance_atom is unused within Twisted.",
            DeprecationWarning,
            stacklevel=2,
        )
        return b"instance"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def getInstanceState(inst: Any, jellier: Any) -> Any:
    """Give the s-expression of an object as pickle sees it: its class, and its state.

    For a `jellyFor` that wants nothing else.
    """
    sexp = jellier.prepare(inst)
    sexp += [qual(type(inst)).encode(), jellier.jelly(instance_state(inst))]
    return jellier.preserve(inst, sexp)


getInstanceState.__module__ = "twisted.spread.jelly"


def setInstanceState(inst: Any, unjellier: Any, jellyList: Any) -> Any:
    """Give an object the state that `getInstanceState` wrote, and give the object.

    For an `unjellyFor` that wants nothing else.
    """
    restore(inst, unjellier.unjelly(jellyList[1]), unjellier.trusted)
    return inst


setInstanceState.__module__ = "twisted.spread.jelly"


@implementer(IJellyable)
class Jellyable:
    """An object that says itself how it travels: as its class and `getStateFor`, if not otherwise.

    No options are asked about it.
    """

    __module__ = "twisted.spread.jelly"

    def getStateFor(self, jellier: Any) -> Any:
        """Give what is sent of this object: its attributes."""
        return self.__dict__

    def jellyFor(self, jellier: Any) -> Any:
        """Give the s-expression of this object."""
        sexp = jellier.prepare(self)
        sexp += [qual(type(self)).encode(), jellier.jelly(self.getStateFor(jellier))]
        return jellier.preserve(self, sexp)

    def write_jelly(self, encoder: Encoder) -> None:
        """Write this object into a message."""
        cls = type(self)
        # Flavours have other hooks, and come here when those are to be asked.
        if cls.jellyFor is Jellyable.jellyFor and cls.getStateFor is Jellyable.getStateFor:
            encoder.write_copy(self, qual(cls), lambda perspective: self.__dict__)
        elif encoder.host is None:
            raise InsecureJelly(f"a {qual(cls)} can't be sent outside of Twisted")
        else:
            encoder.host.write(self, encoder)


@implementer(IUnjellyable)
class Unjellyable:
    """What a received object becomes that takes its state by `setStateFor`.

    It is made without `__init__`.
    """

    __module__ = "twisted.spread.jelly"

    @default
    def setStateFor(self, unjellier: Any, state: Any) -> None:
        """Take over a received state: set the attributes."""
        set_attributes(self, state, unjellier.trusted)

    @default
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        """Take over what was received, and give this object."""
        self.setStateFor(unjellier, unjellier.unjelly(jellyList[1]))
        return self


def jelly(
    object: Any,
    taster: Any = DummySecurityOptions(),  # noqa: B008 - it has no state
    persistentStore: Callable[[Any, Any], Any] | None = None,
    invoker: Any = None,
) -> Any:
    """Give a value as an s-expression, or as itself if it is a byte string or a number.

    What `taster` does not allow is replaced by what says so. `persistentStore(obj, jellier)` is
    asked about each instance without hooks; what it gives, if not None, stands for the instance.
    `invoker` is the Broker whose references may be in it. Raises InsecureJelly, BananaError for
    what banana can't carry, and what the hooks of an object raise.
    """
    leaves: list[Any] = []
    host = Jellier(taster, invoker, persistentStore, leaf=_leaf_of(leaves))
    perspective = getattr(invoker, "serializingPerspective", None)
    core = getattr(invoker, "_core", None)
    try:
        if isinstance(core, broker.Broker):
            data = core.encode_value(object, perspective, host=host, limits=_LOCAL)
        else:
            encoder = Encoder(PELLUCID, _LOCAL, NullExporter(), perspective)
            encoder.host = host
            encoder.unit(object, "value")
            data = encoder.take()
        sexp = read_item(data, 0, PELLUCID, _DEPTH)[0]
        return _with_leaves(sexp, leaves) if leaves else sexp
    except PBError as error:
        failed = translated(error)
    raise failed


jelly.__module__ = "twisted.spread.jelly"


def unjelly(
    sexp: Any,
    taster: Any = DummySecurityOptions(),  # noqa: B008 - it has no state
    persistentLoad: Callable[[Any, Any], Any] | None = None,
    invoker: Any = None,
) -> Any:
    """Give the value of an s-expression, which may come from a stranger if `taster` is one's own.

    The ready-made `taster` imports what is named, and makes what it names. `persistentLoad(id,
    unjellier)` gives what `persistentStore` gave the id for. `invoker` is the Broker whose
    references may be in it. Raises InsecureJelly, and what the hooks of an object raise.
    """
    if not isinstance(sexp, list):
        return sexp
    leaves: list[Any] = []
    registry = SpreadRegistry(taster, invoker, persistentLoad, leaves)
    perspective = getattr(invoker, "unserializingPerspective", None)
    core = getattr(invoker, "_core", None)
    try:
        data = encode(spelled(sexp, _leaf_of(leaves)), PELLUCID, _DEPTH)
        if isinstance(core, broker.Broker):
            return core.decode_value(data, perspective, registry=registry, limits=_LOCAL)
        decoder = Decoder(data, PELLUCID, _LOCAL, registry, NullImporter(), perspective)
        return decoder.value("value")
    except PBError as error:
        failed = translated(error)
    raise failed


unjelly.__module__ = "twisted.spread.jelly"


def _leaf_of(leaves: list[Any]) -> Callable[[Any], Any]:
    """Give what puts a leaf aside and gives the s-expression that stands for it."""

    def leaf(item: Any) -> Any:
        leaves.append(item)
        return [LEAF, len(leaves) - 1]

    return leaf


def _with_leaves(sexp: Any, leaves: list[Any]) -> Any:
    """Put the leaves back where they were."""
    if not isinstance(sexp, list):
        return sexp
    if len(sexp) == 2 and sexp[0] == LEAF:
        return leaves[sexp[1]]
    return [_with_leaves(item, leaves) for item in sexp]
