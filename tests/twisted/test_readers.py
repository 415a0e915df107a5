from collections.abc import Iterator
from typing import Any

import pytest

from pellucid.banana import PELLUCID, encode
from pellucid.decoder import Decoder
from pellucid.errors import InsecureJelly
from pellucid.flavors import RemoteCache as CoreCache
from pellucid.flavors import bind_copy, bound_copy
from pellucid.limits import Limits
from pellucid.ports import NullImporter
from pellucid.registry import CacheReader, RawReader
from pellucid.states import set_state
from pellucid.twisted import registering
from pellucid.twisted.hooks import default
from pellucid.twisted.jelly import Unjellyable, setInstanceState
from pellucid.twisted.readers import InstanceReader, factory_reader, source_reader
from pellucid.twisted.registering import SpreadRegistry
from pellucid.twisted.security import SecurityOptions, globalSecurity

TAG = b"some.Tag"


class Copied:
    """A copy as the flavour is, without what else that has."""

    shown = None

    @default
    def setCopyableState(self, state: Any) -> None:
        assert state is None, "the reader sets attributes faster"

    @default
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        raise AssertionError("the reader knows how")

    def method(self) -> None:
        pass


class Taking(Copied):
    def setCopyableState(self, state: Any) -> None:
        self.taken = state


class Reading(Copied):
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        self.read = unjellier.unjelly(jellyList[-1])
        return self


class Single(Copied):
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        return ONE


class Posted(Copied):
    posted = 0

    def postUnjelly(self) -> None:
        type(self).posted += 1


class Cached(Copied, CoreCache):
    begun = 0

    def __init__(self) -> None:
        type(self).begun += 1
        self.at_first = self.broker
        self.own = 1

    broker: Any = None
    luid: Any = None

    def setCopyableState(self, state: Any) -> None:
        self.known = (self.broker, self.luid)
        self.__dict__ = dict(state, known=self.known)


class Stated:
    def __setstate__(self, state: Any) -> None:
        self.state = state


class Strange(Unjellyable):
    def setStateFor(self, unjellier: Any, state: Any) -> None:
        self.given = (unjellier.invoker, state)


class Plain:
    def method(self) -> None:
        pass


ONE = Single()


class Handle:
    """What binds a handle to its connection, as far as a reader sees it."""

    def __init__(self, luid: Any) -> None:
        self.luid = luid
        self.size = 0
        self.whole = False

    def died(self, state: Any) -> None:
        """A handle goes."""


class Importer(NullImporter):
    def __init__(self) -> None:
        self.make: Any = None

    def new_cache(self, luid: Any, make: Any) -> Any:
        self.make = make
        made = make()
        bind_copy(made, Handle(luid))
        return made


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Leave the tables of the process as they were."""
    before = dict(registering.unjellyableRegistry)
    yield
    registering.unjellyableRegistry.clear()
    registering.unjellyableRegistry.update(before)


def read(sexp: Any, source: Any = None, invoker: Any = "broker", **options: Any) -> Any:
    """The value of an item, `source` being registered for the tag."""
    if source is not None:
        registering.unjellyableRegistry[TAG] = source
    taster = options.get("taster") or globalSecurity
    registry = SpreadRegistry(taster, invoker)
    importer = options.get("importer", NullImporter())
    decoder = Decoder(encode(sexp), PELLUCID, Limits(), registry, importer, "somebody")
    return decoder.value("value")


def state(**attributes: Any) -> list[Any]:
    return [b"dictionary", *([[b"unicode", k.encode()], v] for k, v in attributes.items())]


# Copies.


def test_a_copy_gets_attributes() -> None:
    found = read([TAG, state(a=1, shown=2)], Copied)
    assert type(found) is Copied
    assert vars(found) == {"a": 1, "shown": 2}
    assert vars(read([TAG, [b"None"]], Copied)) == {}


def test_a_state_hides_no_method() -> None:
    with pytest.raises(InsecureJelly, match="names a method"):
        read([TAG, state(method=1)], Copied)


def test_python_2_has_byte_strings_for_keys() -> None:
    assert vars(read([TAG, [b"dictionary", [b"a", 1]]], Copied)) == {"a": 1}


def test_a_copy_that_refers_to_itself() -> None:
    sexp = [
        b"reference",
        1,
        [TAG, state(me=[b"dereference", 1], t=[b"tuple", [b"dereference", 1]])],
    ]
    found = read(sexp, Copied)
    assert found.me is found
    assert found.t == (found,)


@pytest.mark.parametrize(
    ("sexp", "value"),
    [([b"dictionary", [b"a", 1]], {b"a": 1}), (7, 7), ([b"None"], None), ([b"tuple"], ())],
)
def test_an_own_setter_gets_the_state_as_it_came(sexp: Any, value: Any) -> None:
    assert read([TAG, sexp], Taking).taken == value


def test_a_setter_that_fails() -> None:
    class Failing(Copied):
        def setCopyableState(self, state: Any) -> None:
            raise KeyError("secret")

    with pytest.raises(InsecureJelly, match=r"setting the state for type tag 'some.Tag'") as caught:
        read([TAG, state(a=1)], Failing)
    assert type(caught.value.__cause__) is KeyError
    assert "secret" not in str(caught.value)


def test_a_copy_outside_of_a_connection_is_an_instance() -> None:
    assert vars(read([TAG, state(a=1)], Taking, None)) == {"a": 1}
    with pytest.raises(InsecureJelly, match=r"can't have this|has to be a dictionary"):
        read([TAG, 7], Taking, None)


def test_what_can_be_called_from_afar_gets_no_method() -> None:
    class Callee(Copied):
        method_prefix = "observe_"

        def setCopyableState(self, state: Any) -> None:
            set_state(self, state)

    Callee.setCopyableState = default(Callee.setCopyableState)  # type: ignore[method-assign]
    registering.unjellyableRegistry[b"its.Type"] = lambda unjellier, jellyList: print
    with pytest.raises(InsecureJelly, match="is not for a peer to set"):
        read([TAG, state(observe_x=[b"its.Type", 0])], Callee)
    assert not source_reader(SpreadRegistry(SecurityOptions(), 1), Callee, "c").is_plain


# Hooks.


def test_a_class_that_reads_itself() -> None:
    sexp = [TAG, 1, 2, [b"list", 3]]
    found = read(sexp, Reading)
    assert type(found) is Reading
    assert found.read == [3]


def test_it_can_refer_to_itself() -> None:
    found = read([b"reference", 1, [TAG, [b"list", [b"dereference", 1]]]], Reading)
    assert found.read == [found]


def test_it_may_give_another_object() -> None:
    found = read([b"list", [b"reference", 1, [TAG, 0]], [b"dereference", 1]], Single)
    assert found == [ONE, ONE]


def test_nothing_but_the_tag() -> None:
    assert read([TAG], Single) is ONE


def test_a_function() -> None:
    seen: list[Any] = []

    def function(unjellier: Any, jellyList: Any) -> Any:
        seen.extend((unjellier.invoker, unjellier.perspective, jellyList[0], len(jellyList)))
        return unjellier.unjelly(jellyList[1])

    assert read([TAG, [b"tuple", 1]], function) == (1,)
    assert seen == ["broker", "somebody", TAG, 2]


def test_a_class_without_hooks_is_called() -> None:
    class Called:
        def __init__(self, unjellier: Any, jellyList: Any) -> None:
            self.item = jellyList[1]

    assert read([TAG, 5], Called).item == 5


def test_a_function_that_fails() -> None:
    def function(unjellier: Any, jellyList: Any) -> None:
        raise LookupError

    with pytest.raises(InsecureJelly, match=r"the reader of type tag 'some.Tag' failed") as caught:
        read([TAG, 5], function)
    assert type(caught.value.__cause__) is LookupError


# Unjellyables.


def test_an_unjellyable_gets_attributes() -> None:
    found = read([TAG, state(a=1)], Unjellyable)
    assert type(found) is Unjellyable
    assert vars(found) == {"a": 1}
    with pytest.raises(InsecureJelly, match="is not for a peer to set"):
        read([TAG, state(setStateFor=1)], Unjellyable)


def test_an_unjellyable_takes_its_state() -> None:
    assert read([TAG, 5], Strange).given == ("broker", 5)


def test_the_state_of_an_instance_by_hand() -> None:
    class Plainly(Copied):
        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            return setInstanceState(self, unjellier, jellyList)

    assert vars(read([TAG, state(a=1)], Plainly)) == {"a": 1}


# Instances.


def instance(cls: type, sexp: Any) -> Any:
    taster = SecurityOptions()
    taster.allowInstancesOf(cls)
    name = f"{cls.__module__}.{cls.__name__}".encode()
    return read([name, sexp], taster=taster)


def test_an_instance_of_an_allowed_class() -> None:
    assert vars(instance(Plain, state(a=1))) == {"a": 1}
    with pytest.raises(InsecureJelly, match="names a method"):
        instance(Plain, state(method=1))


def test_an_instance_that_takes_its_state() -> None:
    assert instance(Stated, [b"tuple", 1]).state == (1,)
    assert instance(Stated, state(a=1)).state == {"a": 1}


def test_an_instance_with_slots() -> None:
    class Slotted:
        __slots__ = ("x",)

    assert instance(Slotted, [b"tuple", [b"None"], state(x=1)]).x == 1


def test_an_exception() -> None:
    error = instance(KeyError, state(code=1))
    assert type(error) is KeyError
    assert vars(error) == {"code": 1}


def test_an_instance_reader_by_itself() -> None:
    reader = InstanceReader(Stated, "'x'", SpreadRegistry(SecurityOptions(), None))
    assert not reader.is_plain
    assert reader.finish(reader.make(), 5).state == 5


# Caches.


def test_a_cache() -> None:
    importer = Importer()
    Cached.begun = 0
    found = read([TAG, 4, state(a=1)], Cached, importer=importer)
    assert type(found) is Cached
    assert found.known == ("broker", 4)
    assert vars(found) == {"a": 1, "known": ("broker", 4), "broker": "broker", "luid": 4}
    assert Cached.begun == 1
    copy = bound_copy(found)
    assert copy.whole
    assert copy.size == len(encode(state(a=1)))
    # Another handle on it begins with what that one knew.
    assert vars(importer.make()) == {"broker": "broker"}
    assert Cached.begun == 1


def test_a_cache_is_known_as_one() -> None:
    registering.unjellyableRegistry[TAG] = Cached
    assert SpreadRegistry(SecurityOptions(), "broker").is_cache(TAG)
    assert not SpreadRegistry(SecurityOptions(), None).is_cache(TAG)
    assert not isinstance(
        source_reader(SpreadRegistry(SecurityOptions(), 1), Cached, "c"), CacheReader
    )


def test_a_cache_that_reads_itself() -> None:
    class Own(Cached):
        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            found = unjellier.new_cache(jellyList[1], self)
            assert found is self
            self.read = unjellier.unjelly(jellyList[2])
            return self

    importer = Importer()
    found = read([TAG, 4, state(a=1)], Own, importer=importer)
    assert found.read == {"a": 1}
    assert bound_copy(found).luid == 4
    assert importer.make() is not found
    reader = source_reader(SpreadRegistry(SecurityOptions(), 1), Own, "c")
    assert isinstance(reader, RawReader)
    assert reader.is_cache


def test_a_cache_outside_of_a_connection() -> None:
    assert vars(read([TAG, state(a=1)], Cached, None)) == {"a": 1}


# What is told in the end.


def test_post_unjelly_is_called_for_each() -> None:
    Posted.posted = 0
    sexp = [b"list", [TAG, state(a=1)], [TAG, state(a=[TAG, state()])]]
    read(sexp, Posted)
    assert Posted.posted == 3


def test_post_unjelly_of_what_a_factory_made() -> None:
    registry = SpreadRegistry(SecurityOptions(), None)
    reader = factory_reader(registry, lambda state: Posted(), "'x'")
    made = reader.finish(None, 5)
    assert registry.posts == [made]
