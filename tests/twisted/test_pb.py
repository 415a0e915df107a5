"""The names of the face are those of Twisted's modules, and so are the signatures."""

import importlib
import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest
from zope.interface.interface import InterfaceClass

from pellucid.twisted import broker, flavors, jelly, pb
from tests.twisted.conftest import Join

MODULES = ["banana", "flavors", "interfaces", "jelly", "pb", "publish", "util"]
SPREAD = "twisted.spread"

# What differs from Twisted, each with the reason. Members go by the class that defines them.
_ANY_KEYWORD = "the names of its own parameters are free for keywords"
_WIRE = "the messages of the wire are the core's"
DIFFERENT: dict[str, str] = {
    "TYPE_CHECKING": "a name of typing",
    "IPBRoot.__module__": "interfaces of one name in one module are equal: adapters would collide",
    "Banana.buffer": "what is not read yet is the framer's",
    "Banana.k": "left over from a loop",
    "Banana.v": "left over from a loop",
    "Broker.connectionLost": "the reason has the default that it has in Protocol",
    "Broker.expressionReceived": "Banana's serves, where the parameter is called lst",
    "Broker.proto_answer": _WIRE,
    "Broker.proto_cachemessage": _WIRE,
    "Broker.proto_decache": _WIRE,
    "Broker.proto_decref": _WIRE,
    "Broker.proto_didNotUnderstand": _WIRE,
    "Broker.proto_error": _WIRE,
    "Broker.proto_message": _WIRE,
    "Broker.proto_uncache": _WIRE,
    "Broker.proto_version": _WIRE,
    "RemoteCacheObserver.callRemote": _ANY_KEYWORD,
    "RemoteReference.callRemote": _ANY_KEYWORD,
}

# Some names of jelly are deprecated, and say so.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

each_module = pytest.mark.parametrize("name", MODULES)


def both(name: str) -> tuple[ModuleType, ModuleType]:
    theirs = importlib.import_module(f"{SPREAD}.{name}")
    assert "pellucid" not in str(theirs.__file__)
    return theirs, importlib.import_module(f"pellucid.twisted.{name}")


def is_spreads(value: Any) -> bool:
    """Whether it is defined in twisted.spread. A constant is; what was imported is not."""
    home = getattr(value, "__module__", None)
    if home is None:
        home = type(value).__module__
        constant = home == "builtins" and not isinstance(value, ModuleType)
        return constant or home.startswith(SPREAD)
    return str(home).startswith(SPREAD)


def public(module: ModuleType) -> dict[str, Any]:
    named = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    found = vars(module).items()
    own = {name: value for name, value in found if name[0] != "_" and is_spreads(value)}
    return {**own, **named}


@each_module
def test_every_public_name_is_there(name: str) -> None:
    theirs, ours = both(name)
    names = public(theirs)
    assert names
    assert [one for one in names if not hasattr(ours, one) and one not in DIFFERENT] == []


@each_module
def test_a_star_imports_the_same(name: str) -> None:
    theirs, ours = both(name)
    if hasattr(theirs, "__all__"):
        assert sorted(ours.__all__) == sorted(theirs.__all__)
    else:
        assert set(ours.__all__) <= set(public(theirs))


@each_module
def test_classes_and_functions_bear_the_same_module(name: str) -> None:
    theirs, ours = both(name)
    wrong = [
        f"{one}: {getattr(ours, one).__module__}"
        for one, value in public(theirs).items()
        if isinstance(value, (type, FunctionType, InterfaceClass))
        and getattr(ours, one).__module__ != value.__module__
        and f"{one}.__module__" not in DIFFERENT
    ]
    assert wrong == []


def signature(function: Any) -> list[tuple[str, Any, str]]:
    return [
        (one.name, one.kind, "" if one.default is one.empty else plain(one.default))
        for one in inspect.signature(function).parameters.values()
    ]


def plain(default: Any) -> str:
    """A default in a form that compares, whichever package it is of."""
    if isinstance(default, (bool, int)):
        return str(int(default))
    return repr(default) if isinstance(default, (str, bytes)) else type(default).__name__


def members(cls: type) -> Iterator[tuple[str, str, Any]]:
    """What instances have of a class and of its bases in twisted.spread, and where it is said."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith(SPREAD):
            for name in vars(base).keys() - seen:
                if name[0] != "_" or name == "__init__":
                    yield name, f"{base.__name__}.{name}", vars(base)[name]
        seen.update(vars(base))


def differences(where: str, theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    if isinstance(theirs, InterfaceClass):
        for name in theirs.names():
            wanted, given = theirs[name].getSignatureInfo(), ours[name].getSignatureInfo()
            if wanted["positional"] != given["positional"]:
                yield f"{where}.{name}", str(given["positional"])
    elif isinstance(theirs, type):
        for name, full, value in members(theirs):
            if not hasattr(ours, name):
                yield full, "is missing"
            elif isinstance(value, FunctionType):
                yield from differences(full, value, getattr(ours, name))
    elif isinstance(theirs, FunctionType):
        wanted, given = signature(theirs), signature(ours)
        if wanted != given:
            yield where, f"{given} in place of {wanted}"


def found_different() -> Iterator[tuple[str, str]]:
    for name in MODULES:
        theirs, ours = both(name)
        for one, value in public(theirs).items():
            if hasattr(ours, one):
                yield from differences(one, value, getattr(ours, one))


def test_the_signatures_are_the_same() -> None:
    wrong = [found for found in found_different() if found[0] not in DIFFERENT]
    assert wrong == []


def test_what_is_not_different_is_not_in_the_list() -> None:
    found = {where for where, _ in found_different()}
    assert DIFFERENT.keys() - found == {"TYPE_CHECKING", "IPBRoot.__module__"}


def test_a_name_of_another_module_is_the_same_object() -> None:
    assert pb.Referenceable is flavors.Referenceable
    assert pb.jelly is jelly.jelly
    assert pb.globalSecurity is jelly.globalSecurity
    assert pb.banana is importlib.import_module("pellucid.twisted.banana")
    assert pb.Broker is broker.Broker
    assert pb.portno == 8787


def test_a_program_may_raise_the_number_of_references(join: Join) -> None:
    before = pb.MAX_BROKER_REFS
    assert before == 1024
    assert counted(join) == before
    try:
        pb.MAX_BROKER_REFS = 2048
        assert broker.MAX_BROKER_REFS == pb.MAX_BROKER_REFS == 2048
        assert counted(join) == 2048
    finally:
        pb.MAX_BROKER_REFS = before
    assert before == broker.MAX_BROKER_REFS


def counted(join: Join) -> int:
    """How many objects a side may export whose root is published."""
    both = join(pb.Root())
    things = [pb.Referenceable() for _ in range(3000)]
    for count, thing in enumerate(things):
        try:
            both.server.registerReference(thing)
        except pb.Error:
            both.lose()
            return count
    raise AssertionError("there is no limit")
