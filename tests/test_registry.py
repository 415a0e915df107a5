from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pellucid.errors import Error, InsecureJelly, LimitExceeded, LoginFailed, PBError
from pellucid.flavors import (
    Cacheable,
    Copyable,
    Referenceable,
    RemoteCache,
    RemoteCopy,
    bind_copy,
)
from pellucid.places import OWN_TAGS
from pellucid.registry import RawReader, Reader, Registry, tag_bytes


class Known(Error):
    pass


NAME = f"{Known.__module__}.Known"


def test_an_error_is_known_by_its_own_name() -> None:
    assert Registry().error_for(NAME) is Known
    assert Registry().error_for("twisted.cred.error.UnauthorizedLogin") is LoginFailed
    assert Registry().error_for("pellucid.errors.LimitExceeded") is None


def test_an_error_under_another_name() -> None:
    registry = Registry()
    assert registry.error(Known, "their.Error") is Known
    assert registry.error_for("their.Error") is Known
    assert Registry().error_for("their.Error") is None


def test_an_error_under_its_own_name_again() -> None:
    registry = Registry()

    class Other(Error):
        pass

    registry.error(Other, NAME)
    assert registry.error_for(NAME) is Other
    registry.error(Known)
    assert registry.error_for(NAME) is Known


def test_as_a_decorator() -> None:
    registry = Registry()

    @registry.error(name="their.Other")
    class Mine(Error):
        pass

    @registry.error
    class Plain(Error):
        pass

    assert registry.error_for("their.Other") is Mine
    assert registry.error_for(f"{__name__}.Plain") is Plain


@pytest.mark.parametrize("cls", [PBError, LoginFailed, ValueError])
def test_only_what_derives_from_error(cls: Any) -> None:
    with pytest.raises(TypeError, match="not a subclass"):
        Registry().error(cls)


# Copies.


class Item(Copyable, tag="shop.Item"):
    pass


class Hooked(RemoteCopy):
    def set_copied_state(self, state: dict[str, Any]) -> None:
        if state.get("error"):
            raise state["error"]
        self.found = state


class Elsewhere(Registry):
    """A registry that has a reader for every tag."""

    def reader_for(self, tag: bytes) -> Reader | None:
        return RawReader(lambda sexp, decoder, made: sexp, "any")


def reader(registry: Registry, tag: str = "x.Y") -> Reader:
    found = registry.reader_for(tag.encode())
    assert found is not None
    return found


def read(found: Reader, state: object) -> Any:
    return found.finish(found.make(), state)


def test_a_class_under_a_tag() -> None:
    registry = Registry()
    assert registry.reader_for(b"x.Y") is None
    assert registry.copy("x.Y", Item) is Item
    found = reader(registry)
    assert (found.is_early, found.is_plain, found.is_cache, found.hashes) == (True, True, False, 0)
    item = read(found, {"name": "x"})
    assert type(item) is Item
    assert vars(item) == {"name": "x"}
    assert Registry().reader_for(b"x.Y") is None


def test_what_is_registered_is_known() -> None:
    registry = Registry()
    assert not registry.has_reader(b"x.Y")
    registry.copy("x.Y", Item)
    assert registry.has_reader(b"x.Y")
    assert not registry.has_reader(b"x.Z")
    registry.add_reader(b"x.Z", len)
    assert registry.has_reader(b"x.Z")
    # One that finds its readers elsewhere is asked as well.
    assert Elsewhere().has_reader(b"any")


def test_copies_by_decorator() -> None:
    registry = Registry()

    @registry.copy("x.Y")
    @dataclass(frozen=True)
    class Point:
        x: int

    @registry.copy
    class Own(Copyable, tag="x.Own"):
        pass

    @registry.copy
    class Bare:
        pass

    @registry.copy("x.F")
    def make(state: object) -> object:
        return [state]

    assert read(reader(registry), {"x": 1}) == Point(1)
    assert reader(registry).hashes
    assert type(read(reader(registry, "x.Own"), None)) is Own
    assert type(read(reader(registry, f"{__name__}.Bare"), None)) is Bare
    assert read(reader(registry, "x.F"), 5) == [5]
    assert make(6) == [6]


def test_a_class_may_take_its_state_itself() -> None:
    registry = Registry()
    registry.copy("x.Y", Hooked)
    assert not reader(registry).is_plain
    assert read(reader(registry), {b"a": 1}).found == {"a": 1}
    assert read(reader(registry), None).found == {}

    class Default(RemoteCopy):
        pass

    registry.copy("x.Y", Default)
    assert reader(registry).is_plain
    assert vars(read(reader(registry), {"a": 1})) == {"a": 1}


def test_attributes_can_be_put_another_way() -> None:
    registry, names = Registry(), []
    registry.copy("x.Y", Item)
    found = reader(registry)
    found.finish(found.make(), {"a": 1}, lambda obj, name, value: names.append(name))
    assert names == ["a"]


class Unmade:
    def __new__(cls, needed: int) -> "Unmade":
        return super().__new__(cls)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("secret"), InsecureJelly),
        (InsecureJelly("no"), InsecureJelly),
        (LimitExceeded("no", limit="x", value=1), LimitExceeded),
        (RecursionError("no"), RecursionError),
        # What the other side is meant to see.
        (Error("no"), InsecureJelly),
    ],
)
def test_what_the_application_raises(error: Exception, kind: type[Exception]) -> None:
    def fail(state: object) -> None:
        raise error

    class Copy(RemoteCache):
        def set_cached_state(self, state: object) -> None:
            raise error

    registry = Registry()
    registry.copy("x.A", Hooked)
    registry.copy("x.B", fail)
    registry.cache("x.C", Copy)
    for tag, words in (
        ("x.A", "setting the state for type tag 'x.A'"),
        ("x.B", "the reader of type tag 'x.B'"),
        ("x.C", "setting the state for type tag 'x.C'"),
    ):
        with pytest.raises(kind) as caught:
            read(reader(registry, tag), {"error": error})
        text = str(caught.value)
        assert text in (
            "no",
            f"{words} failed: builtins.KeyError",
            f"{words} failed: pellucid.errors.Error: no",
        )
    registry.copy("x.Y", Unmade)
    with pytest.raises(
        InsecureJelly, match=r"making an object for type tag 'x\.Y' failed: builtin"
    ):
        reader(registry).make()


@pytest.mark.parametrize(
    "tag", ["list", "remote", "None", "dereference", "instance", "", "x" * 501]
)
def test_tags_that_can_not_be(tag: str) -> None:
    with pytest.raises(ValueError, match="type tag"):
        Registry().copy(tag, Item)
    with pytest.raises(ValueError, match="type tag"):
        Registry().copy(tag)
    with pytest.raises(ValueError, match="type tag"):
        Registry().cache(tag, RemoteCache)


def test_tags() -> None:
    assert tag_bytes("shöp") == "shöp".encode()
    assert len(tag_bytes("x" * 500)) == 500
    assert all(isinstance(tag, bytes) for tag in OWN_TAGS)
    for tag in ("\ud800", b"x.Y", None):
        with pytest.raises(ValueError, match="has to be text"):
            tag_bytes(tag)  # type: ignore[arg-type]


def test_what_can_not_be_registered() -> None:
    registry: Any = Registry()
    with pytest.raises(TypeError, match="neither a class nor a function"):
        registry.copy("x.Y", 5)
    for wrong in (b"x.Y", 5, lambda state: state):
        with pytest.raises(TypeError, match="is not a type tag"):
            registry.copy(wrong)


def test_a_reader_for_any_tag() -> None:
    registry = Registry()
    registry.add_reader(b"list", repr)
    assert read(reader(registry, "list"), 5) == "5"


# Caches.


def test_caches() -> None:
    registry = Registry()

    @registry.cache("x.Y")
    class Copy(RemoteCache):
        pass

    @registry.cache
    class Own(Cacheable, RemoteCache, tag="x.Own"):
        pass

    @registry.cache
    class Bare(RemoteCache):
        __slots__ = ()

    assert registry.cache("x.Z", Copy) is Copy
    found = reader(registry)
    assert (found.is_early, found.is_plain, found.is_cache) == (True, False, True)
    copy = read(found, {b"name": "x"})
    assert type(copy) is Copy
    assert vars(copy) == {"name": "x"}
    assert reader(registry, "x.Own").is_cache
    assert registry.is_cache(f"{__name__}.Bare".encode())
    registry.copy("x.Y", Item)
    assert not registry.is_cache(b"x.Y")
    assert not registry.is_cache(b"x.Unknown")
    assert {cls.__name__ for cls in (Own, Bare)} == {"Own", "Bare"}


def test_what_can_not_be_a_cache() -> None:
    class Slots(RemoteCache):
        __slots__ = ("x",)

    class Derived(Slots):
        pass

    registry: Any = Registry()
    for wrong in (Item, 5, Cacheable):
        with pytest.raises(TypeError, match=r"not a subclass of pellucid\.RemoteCache"):
            registry.cache("x.Y", wrong)
    for slotted in (Slots, Derived):
        with pytest.raises(TypeError, match="has slots"):
            registry.cache("x.Y", slotted)


def test_what_a_class_says_itself_is_passed_on() -> None:
    class Refusing:
        def __new__(cls) -> "Refusing":
            raise InsecureJelly("not today")

        def set_copied_state(self, state: object) -> None:
            raise AssertionError("never called")

    registry = Registry()
    registry.copy("x.Y", Refusing)
    reader: Any = registry.reader_for(b"x.Y")
    with pytest.raises(InsecureJelly, match="not today"):
        reader.make()


def test_what_can_be_called_is_not_plain() -> None:
    class Called(Referenceable):
        pass

    class Taking(Referenceable):
        def set_copied_state(self, state: object) -> None:
            self.taken = state

    registry = Registry()
    registry.copy("x.C", Called)
    registry.copy("x.T", Taking)
    called: Any = registry.reader_for(b"x.C")
    taking: Any = registry.reader_for(b"x.T")
    assert not called.is_plain
    assert not taking.is_plain
    assert vars(called.finish(called.make(), {"a": 1})) == {"a": 1}
    assert taking.finish(taking.make(), {"a": 1}).taken == {"a": 1}
    with pytest.raises(InsecureJelly, match="not for a peer to set"):
        called.finish(called.make(), {"remote_a": len})


def test_a_copy_is_told_how_large_its_state_is() -> None:
    class Link:
        size = 0

        def died(self, state: object) -> None:
            pass

    class Copy(RemoteCache):
        pass

    registry, link = Registry(), Link()
    registry.cache("x.C", Copy)
    registry.copy("x.I", Item)
    handle = Copy()
    bind_copy(handle, link)
    reader(registry, "x.C").measure(handle, 7)
    assert link.size == 7
    reader(registry, "x.I").measure(handle, 8)
    assert link.size == 7


def test_a_raw_reader_is_called_with_all_of_it() -> None:
    made = object()
    seen: list[Any] = []

    def read(*args: Any) -> str:
        seen.append(args)
        return "value"

    plain = RawReader(read, "'x.Y'")
    assert plain.is_raw
    assert not plain.is_cache
    assert plain.make() is None
    assert plain.read([b"x.Y", 1], "decoder", None) == "value"
    early = RawReader(read, "'x.Y'", is_cache=True, make=lambda: made)
    assert early.is_cache
    assert early.make() is made
    assert seen == [([b"x.Y", 1], "decoder", None)]


def test_what_a_raw_reader_raises() -> None:
    def fail(error: Exception) -> Any:
        raise error

    for error in (InsecureJelly("x"), LimitExceeded("x", limit="items", value=1), RecursionError()):
        found = RawReader(lambda sexp, decoder, made: fail(sexp), "'x.Y'")
        with pytest.raises(type(error)) as caught:
            found.read(error, None, None)
        assert caught.value is error
        found = RawReader(lambda *args: None, "'x.Y'", make=partial(fail, error))
        with pytest.raises(type(error)):
            found.make()
    broken = RawReader(lambda *args: fail(KeyError()), "'x.Y'", make=lambda: fail(KeyError()))
    with pytest.raises(InsecureJelly, match=r"the reader of type tag 'x.Y' failed: .*KeyError"):
        broken.read([], None, None)
    with pytest.raises(InsecureJelly, match=r"making an object .* 'x.Y' failed"):
        broken.make()


def test_a_registry_allows_everything_and_watches_nothing() -> None:
    registry = Registry()
    assert registry.allows is None
    assert registry.posts is None
    registry.end_unit(0, True)
    assert str(registry.unpersistable("why")) == "Unpersistable('why')"
