import gc
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from pellucid.banana import PELLUCID, encode
from pellucid.broker import Broker
from pellucid.decoder import Decoder
from pellucid.errors import InsecureJelly
from pellucid.failures import FAILURE_TAG
from pellucid.limits import Limits
from pellucid.places import OWN_TAGS
from pellucid.ports import NullImporter
from pellucid.registry import CacheReader, Factory, RawReader
from pellucid.twisted import registering
from pellucid.twisted.jelly import Unjellyable, unjelly
from pellucid.twisted.named import NAMED
from pellucid.twisted.readers import InstanceReader
from pellucid.twisted.registering import (
    LEAF,
    SpreadRegistry,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
    setUnjellyableForClassTree,
    unjellyableFactoryRegistry,
    unjellyableRegistry,
)
from pellucid.twisted.security import DummySecurityOptions, SecurityOptions, globalSecurity
from pellucid.twisted.unjellier import Unpersistable

TAG = b"a.Tag"


class Thing(Unjellyable):
    pass


class Derived(Thing):
    pass


class Sibling(Unjellyable):
    pass


class Plain:
    pass


class Posting(Unjellyable):
    order: list[Any] = []  # noqa: RUF012 - emptied by each test
    fails = False
    name: Any

    def postUnjelly(self) -> None:
        self.order.append(self.name)
        if self.fails:
            raise KeyError(self.name)


def name_of(cls: type) -> bytes:
    return f"{cls.__module__}.{cls.__name__}".encode()


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Leave the tables of the process as they were."""
    tables: list[Any] = [
        unjellyableRegistry,
        unjellyableFactoryRegistry,
        globalSecurity.allowedTypes,
    ]
    before = [dict(table) for table in tables]
    Posting.order.clear()
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


def basic() -> SecurityOptions:
    options = SecurityOptions()
    options.allowBasicTypes()
    return options


def asks(registry: SpreadRegistry) -> bool:
    """Tell whether every tag is asked about."""
    return registry.allows is not None


def decode(sexp: Any, registry: SpreadRegistry) -> Any:
    return Decoder(encode(sexp), PELLUCID, Limits(), registry, NullImporter()).value("value")


# The tables of the process.


@pytest.mark.parametrize(
    ("classname", "tag"), [("tag", b"tag"), (b"tag", b"tag"), (Plain, name_of(Plain))]
)
def test_a_class_is_registered_by_tag_or_class(classname: Any, tag: bytes) -> None:
    setUnjellyableForClass(classname, Thing)
    assert unjellyableRegistry[tag] is Thing
    assert globalSecurity.isTypeAllowed(tag)
    setUnjellyableFactoryForClass(classname, len)
    assert unjellyableFactoryRegistry[tag] is len


def test_a_tree_of_classes() -> None:
    module = ModuleType("some.module")
    vars(module).update(Thing=Thing, Other=Derived, Sibling=Sibling, number=5)
    setUnjellyableForClassTree(module, Thing)
    assert unjellyableRegistry[b"some.module.Thing"] is Thing
    assert unjellyableRegistry[b"some.module.Other"] is Derived
    assert b"some.module.Sibling" not in unjellyableRegistry
    setUnjellyableForClassTree(module, Unjellyable, "prefix")
    assert unjellyableRegistry[b"prefix.Sibling"] is Sibling
    setUnjellyableForClassTree(module, Unjellyable, "")
    assert unjellyableRegistry[b"Sibling"] is Sibling
    assert globalSecurity.isTypeAllowed("Sibling")


def test_the_names_in_print() -> None:
    assert setUnjellyableForClass.__module__ == "twisted.spread.jelly"


# What a registry gives.


def test_readers_are_kept_as_long_as_they_hold() -> None:
    registry = SpreadRegistry(basic(), "broker")
    assert registry.reader_for(b"x") is None
    setUnjellyableForClass(TAG, Thing)
    first = registry.reader_for(TAG)
    assert registry.reader_for(TAG) is first
    setUnjellyableForClass(TAG, Derived)
    second = registry.reader_for(TAG)
    assert second is not first
    del unjellyableRegistry[TAG]
    setUnjellyableFactoryForClass(TAG, len)
    assert isinstance(registry.reader_for(TAG), Factory)
    assert registry.reader_for(TAG) is registry.reader_for(TAG)


def test_a_class_comes_before_a_factory() -> None:
    setUnjellyableFactoryForClass(TAG, len)
    setUnjellyableForClass(TAG, Thing)
    assert type(decode([TAG, [b"None"]], SpreadRegistry(basic(), None))) is Thing


def test_a_factory_gets_the_state() -> None:
    setUnjellyableFactoryForClass(TAG, len)
    assert decode([TAG, [b"list", 1, 2]], SpreadRegistry(basic(), None)) == 2


def test_a_tag_without_a_dot_has_to_be_allowed() -> None:
    setUnjellyableForClass("thing", Thing)
    assert SpreadRegistry(globalSecurity, None).reader_for(b"thing") is not None
    options = basic()
    registry = SpreadRegistry(options, None)
    assert registry.reader_for(b"thing") is None
    options.allowTypes("thing")
    assert registry.reader_for(b"thing") is not None
    del options.allowedTypes[b"thing"]
    with pytest.raises(InsecureJelly, match="'thing' is not registered"):
        decode([b"thing", 0], registry)


def test_what_is_not_registered() -> None:
    registry = SpreadRegistry(globalSecurity, None)
    text = r"Module no\.such not allowed \(in type no\.such\.Class\)\."
    with pytest.raises(InsecureJelly, match=text):
        registry.reader_for(b"no.such.Class")
    assert not registry.is_cache(b"no.such.Class")


@pytest.mark.parametrize("tag", [b"string", b"str", b"int", b"float", b"bool", b"dict", b"long"])
def test_a_name_that_is_allowed_and_means_nothing(tag: bytes) -> None:
    assert SpreadRegistry(globalSecurity, None).reader_for(tag) is None


@pytest.mark.parametrize("tag", [b"class", b"module", b"function", b"method", b"instance"])
def test_what_names_something_is_not_allowed_by_itself(tag: bytes) -> None:
    assert SpreadRegistry(globalSecurity, None).reader_for(tag) is None
    assert isinstance(SpreadRegistry(DummySecurityOptions(), None).reader_for(tag), RawReader)


def test_instances_of_allowed_classes() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Plain)
    registry = SpreadRegistry(options, None)
    found = registry.reader_for(name_of(Plain))
    assert isinstance(found, InstanceReader)
    assert registry.reader_for(name_of(Plain)) is found
    with pytest.raises(InsecureJelly, match=r"Class .*Thing not allowed"):
        registry.reader_for(name_of(Thing))
    del options.allowedClasses[Plain]
    with pytest.raises(InsecureJelly, match=r"Class .*Plain not allowed"):
        registry.reader_for(name_of(Plain))
    options.allowedClasses[Plain] = 1
    del options.allowedModules[__name__.encode()]
    with pytest.raises(InsecureJelly, match=r"Module .* not allowed"):
        registry.reader_for(name_of(Plain))


def test_a_registered_class_comes_before_an_allowed_one() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Plain)
    registry = SpreadRegistry(options, None)
    assert type(decode([name_of(Plain), [b"None"]], registry)) is Plain
    setUnjellyableForClass(Plain, Thing)
    assert type(decode([name_of(Plain), [b"None"]], registry)) is Thing


def test_a_failure_can_be_read_by_the_core() -> None:
    unjellyableRegistry.pop(FAILURE_TAG, None)
    registry = SpreadRegistry(globalSecurity, None)
    with pytest.raises(InsecureJelly):
        registry.reader_for(FAILURE_TAG)
    registry.add_reader(FAILURE_TAG, lambda state: state)
    assert decode([FAILURE_TAG, 5], registry) == 5
    assert not isinstance(registry.reader_for(FAILURE_TAG), CacheReader)


def test_what_could_not_be_sent() -> None:
    found = decode([b"unpersistable", b"why"], SpreadRegistry(globalSecurity, None))
    assert type(found) is Unpersistable
    assert found.reason == "Unpersistable data: b'why'"


def test_a_broker_may_have_it() -> None:
    setUnjellyableForClass(FAILURE_TAG, Thing)
    registry = SpreadRegistry(globalSecurity, "broker")
    assert Broker("server", registry=registry).registry is registry


def test_it_goes_with_what_it_made() -> None:
    setUnjellyableForClass(TAG, Thing)
    registry = SpreadRegistry(globalSecurity, None)
    registry.reader_for(TAG)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


# Which tags are asked about.


def test_nothing_is_asked_where_all_is_allowed() -> None:
    for options in (globalSecurity, basic(), DummySecurityOptions()):
        assert SpreadRegistry(options, None).allows is None


@pytest.mark.parametrize(
    ("tag", "sexp"),
    [
        (b"list", [b"list"]),
        (b"None", [b"list", [b"None"]]),
        (b"unicode", [b"tuple", [b"unicode", b"x"]]),
        (b"reference", [b"list", [b"reference", 1, [b"list"]]]),
        (b"set", [b"dictionary", [[b"frozenset"], [b"set"]]]),
        (b"remote", [b"remote", 1]),
        (b"unpersistable", [b"unpersistable", b"x"]),
    ],
)
def test_a_tag_that_is_taken_out_is_refused(tag: bytes, sexp: Any) -> None:
    options = basic()
    registry = SpreadRegistry(options, None)
    assert not asks(registry)
    del options.allowedTypes[tag]
    assert asks(registry)
    with pytest.raises(InsecureJelly, match=f"'{tag.decode()}' is not allowed"):
        decode(sexp, registry)
    options.allowTypes(tag)
    assert not asks(registry)


def test_a_table_that_is_replaced() -> None:
    options = basic()
    registry = SpreadRegistry(options, None)
    assert not asks(registry)
    options.allowedTypes = dict(options.allowedTypes)
    assert not asks(registry)
    del options.allowedTypes[b"set"]
    assert asks(registry)
    options.allowedTypes = {}
    with pytest.raises(InsecureJelly, match="'list' is not allowed"):
        decode([b"list"], registry)


def test_options_of_ones_own_are_asked_about_everything() -> None:
    asked: list[bytes] = []

    class Own(SecurityOptions):
        def isTypeAllowed(self, typeName: Any) -> bool:
            asked.append(typeName)
            return bool(typeName != b"tuple")

    registry = SpreadRegistry(Own(), None)
    assert decode([b"list", 1, [b"None"]], registry) == [1, None]
    assert asked == [b"list", b"None"]
    with pytest.raises(InsecureJelly, match="'tuple' is not allowed"):
        decode([b"list", [b"tuple"]], registry)


def test_the_ready_made_options_may_be_narrowed() -> None:
    class Own(DummySecurityOptions):
        def isTypeAllowed(self, typeName: Any) -> bool:
            return bool(typeName != b"tuple")

    assert unjelly([b"list"], Own()) == []
    with pytest.raises(InsecureJelly, match="'tuple' is not allowed"):
        unjelly([b"list", [b"tuple"]], Own())


def test_an_instance_may_have_its_own_answer() -> None:
    options: Any = basic()
    options.isTypeAllowed = lambda name: name != b"set"
    registry = SpreadRegistry(options, None)
    with pytest.raises(InsecureJelly, match="'set' is not allowed"):
        decode([b"set"], registry)


# What is told in the end.


def posting(name: int, inner: Any = None) -> list[Any]:
    pairs = [[[b"unicode", b"name"], name]]
    if inner is not None:
        pairs.append([[b"unicode", b"inner"], inner])
    return [b"posting", [b"dictionary", *pairs]]


def test_each_is_told_when_the_value_is_whole() -> None:
    setUnjellyableForClass("posting", Posting)
    registry = SpreadRegistry(globalSecurity, None)
    decode([b"list", posting(1, posting(2)), posting(3)], registry)
    assert Posting.order == [2, 1, 3]
    assert registry.posts == []


def test_nothing_is_told_of_a_refused_value() -> None:
    setUnjellyableForClass("posting", Posting)
    registry = SpreadRegistry(globalSecurity, None)
    with pytest.raises(InsecureJelly):
        decode([b"list", posting(1), [b"nothing"]], registry)
    decode([b"list"], registry)
    assert Posting.order == []
    assert registry.posts == []


def test_what_fails_then_refuses_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    setUnjellyableForClass("posting", Posting)
    monkeypatch.setattr(Posting, "fails", True)
    registry = SpreadRegistry(globalSecurity, None)
    with pytest.raises(InsecureJelly, match=r"postUnjelly of a .*Posting failed") as caught:
        decode([b"list", posting(1), posting(2)], registry)
    assert type(caught.value.__cause__) is KeyError
    assert Posting.order == [1]
    assert registry.posts == []


def test_a_value_in_the_middle_of_another() -> None:
    setUnjellyableForClass("posting", Posting)
    registry = SpreadRegistry(globalSecurity, None)

    def function(unjellier: Any, jellyList: Any) -> Any:
        decode(posting(2), registry)
        return Posting.order.copy()

    setUnjellyableForClass("between", function)
    assert decode([b"list", posting(1), [b"between", 0]], registry)[1] == [2]
    assert Posting.order == [2, 1]


def test_a_peers_state_adds_nothing_to_be_told() -> None:
    class Silent(Unjellyable):
        pass

    setUnjellyableForClass("silent", Silent)
    state = [b"dictionary", [[b"unicode", b"postUnjelly"], 5]]
    assert decode([b"silent", state], SpreadRegistry(globalSecurity, None)).postUnjelly == 5


# Leaves.


def test_a_leaf_stands_only_in_ones_own_values() -> None:
    leaf = object()
    registry = SpreadRegistry(DummySecurityOptions(), None, leaves=[leaf])
    assert decode([b"list", [LEAF, 0]], registry) == [leaf]
    for index in (1, -1, b"0", [b"list"]):
        with pytest.raises(InsecureJelly, match="a leaf that is none"):
            decode([b"list", [LEAF, index]], registry)
    for options in (globalSecurity, DummySecurityOptions()):
        with pytest.raises(InsecureJelly):
            decode([b"list", [LEAF, 0]], SpreadRegistry(options, None))


def test_leaves_of_a_list_that_a_hook_sees() -> None:
    registry = SpreadRegistry(basic(), None, leaves=["a", None])
    sexp = [b"x", [LEAF, 1], [b"list", [LEAF, 0]], 5]
    assert registry.with_leaves(sexp) == [b"x", None, [b"list", "a"], 5]
    assert SpreadRegistry(basic(), None).with_leaves([b"x", [LEAF, 1]]) == [b"x", [LEAF, 1]]


def test_leaves_need_not_be_allowed() -> None:
    assert unjelly(["list", None, "text"], basic()) == [None, "text"]
    options = basic()
    del options.allowedTypes[b"set"]
    assert unjelly(["list", None], options) == [None]


def test_it_imports_only_what_is_its_own() -> None:
    assert SpreadRegistry(DummySecurityOptions(), None, leaves=[]).imports
    assert not SpreadRegistry(DummySecurityOptions(), None).imports
    assert not SpreadRegistry(basic(), None, leaves=[]).imports


def test_all_of_jellys_own_tags_are_known() -> None:
    assert registering._OWN | NAMED.keys() == OWN_TAGS - {b"int", b"float"}
