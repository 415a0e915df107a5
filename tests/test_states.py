from collections import OrderedDict
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import attr
import pytest

from pellucid.errors import Error, InsecureJelly
from pellucid.flavors import Cacheable, Referenceable, RemoteCache
from pellucid.states import set_state, state_of, text_keys

T = TypeVar("T")
HERE = __name__


@dataclass
class Item:
    name: str
    price: int = 0
    tags: list[str] = field(default_factory=list)
    total: int = field(init=False, default=5)
    start: InitVar[int] = 7
    shop: ClassVar[str] = "none"

    def __post_init__(self, start: int) -> None:
        self.extra = start


class Size(int):
    pass


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    price: int = 0


@attr.s(auto_attribs=True)
class Old:
    name: str
    price: int = 0
    tags: list[str] = attr.Factory(list)
    shout: str = attr.Factory(lambda self: self.name.upper(), takes_self=True)


@attr.frozen
class New:
    name: str
    price: int = 0


class Plain:
    kind = "plain"
    nothing: object = None

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def close(self) -> None:
        raise AssertionError("never called")

    @property
    def size(self) -> int:
        raise AssertionError("never called")

    @cached_property
    def area(self) -> int:
        return 9

    @staticmethod
    def make() -> None:
        raise AssertionError("never called")

    class Inner:
        pass

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError("never called")


class Slotted:
    __slots__ = ("__private", "colour", "size")

    def __init__(self) -> None:
        self.__private = 1
        self.colour = "red"


class Both(Slotted):
    def __init__(self) -> None:
        super().__init__()
        self.size = 3
        self.more = 4


class Box(Generic[T]):
    def __init__(self) -> None:
        self.value = 1


class Mine(Error):
    pass


def new(cls: Any, state: object) -> Any:
    obj = cls.__new__(cls)
    set_state(obj, state)
    return obj


def refused(cls: Any, state: object) -> str:
    with pytest.raises(InsecureJelly) as caught:
        new(cls, state)
    return str(caught.value)


@pytest.mark.parametrize(
    ("obj", "state"),
    [
        (Item("x", 2), {"name": "x", "price": 2, "tags": [], "total": 5}),
        (Frozen("x"), {"name": "x", "price": 0}),
        (Old("x"), {"name": "x", "price": 0, "tags": [], "shout": "X"}),
        (New("x", 1), {"name": "x", "price": 1}),
        (Plain(a=1, kind="other"), {"a": 1, "kind": "other"}),
        (Slotted(), {"_Slotted__private": 1, "colour": "red"}),
        (Both(), {"_Slotted__private": 1, "colour": "red", "size": 3, "more": 4}),
        (object(), {}),
    ],
)
def test_what_travels(obj: Any, state: dict[str, Any]) -> None:
    assert state_of(obj) == state
    assert list(state_of(obj)) == list(state)
    if type(obj) is not object:
        assert state_of(new(type(obj), state)) == state


def test_what_python_keeps_for_itself_stays_here() -> None:
    assert state_of(Box[int]()) == {"value": 1}
    error = Mine("x")
    error.add_note("a note")
    error.code = 5  # type: ignore[attr-defined]
    assert state_of(error) == {"code": 5}
    plain = Plain(a=1)
    assert plain.area == 9
    assert state_of(plain) == {"a": 1}


def test_a_field_without_a_value() -> None:
    with pytest.raises(InsecureJelly, match=rf"field 'name' of {HERE}\.Frozen has no value"):
        state_of(Frozen.__new__(Frozen))


class Numbered(Enum):
    ONE = 1


class Named(NamedTuple):
    name: str


@dataclass
class Listed(list[int]):
    name: str = "listed"


@pytest.mark.parametrize("obj", [Numbered.ONE, Named("x"), Listed(), OrderedDict(), Size(3)])
def test_what_has_more_than_attributes(obj: Any) -> None:
    with pytest.raises(InsecureJelly, match=r"a .* is a .*it needs a state_to_copy"):
        state_of(obj)


def test_fields_and_nothing_else_are_set() -> None:
    item = new(Item, {"name": "x", "extra": 1, "close": 2, "__class__": 3, "shop": "mine"})
    assert vars(item) == {"name": "x", "price": 0, "tags": [], "total": 5}
    assert Item.shop == "none"
    assert new(Frozen, {b"name": "x"}) == Frozen("x")
    assert new(New, {"name": "x"}) == New("x")
    old = new(Old, {"name": "x"})
    assert (old.price, old.tags, old.shout) == (0, [], "X")
    assert new(Item, {"name": "x"}).tags is not item.tags


@pytest.mark.parametrize("cls", [Item, Frozen, Old, New])
@pytest.mark.parametrize("state", [None, {}, {"price": 3}])
def test_a_field_that_is_missing(cls: Any, state: object) -> None:
    assert refused(cls, state) == f"field 'name' of {HERE}.{cls.__name__} is missing"


@pytest.mark.parametrize("state", [None, {}])
def test_a_state_without_anything(state: object) -> None:
    assert vars(new(Plain, state)) == {}


@pytest.mark.parametrize("name", ["close", "size", "area", "make", "Inner"])
def test_no_part_of_a_class_is_hidden(name: str) -> None:
    assert refused(Plain, {"a": 1, name: 2}) == f"state key {name!r} names a method of {HERE}.Plain"


@pytest.mark.parametrize("name", ["__class__", "__dict__", "__setattr__", "__unknown__"])
def test_no_dunder_is_set(name: str) -> None:
    assert refused(Plain, {name: 2}) == f"state key {name!r} is not for a peer to set"


def test_what_a_class_has_as_data_may_be_set() -> None:
    plain = new(Plain, {"kind": "new", "nothing": 1, "_private": 2, "not a name": 3})
    assert vars(plain) == {"kind": "new", "nothing": 1, "_private": 2, "not a name": 3}


@pytest.mark.parametrize(
    ("cls", "name"), [(Referenceable, "method_prefix"), (RemoteCache, "__dict__")]
)
def test_what_a_flavour_has_is_not(cls: type, name: str) -> None:
    derived: Any = type("Derived", (cls,), {})
    assert "is not for a peer to set" in refused(derived, {name: ""})
    slotted: Any = type("Slotted", (cls,), {"__slots__": ("x",)})
    assert state_of(new(slotted, {"x": 1})) == {"x": 1}


def test_who_observes_a_cache_is_not() -> None:
    class Both(Cacheable):
        pass

    assert "is not for a peer to set" in refused(Both, {"_observers": {}})
    assert vars(new(Plain, {"_observers": 1})) == {"_observers": 1}


@pytest.mark.parametrize(("cls", "prefix"), [(Referenceable, "remote"), (RemoteCache, "observe")])
def test_no_method_is_made_of_what_a_peer_sends(cls: type, prefix: str) -> None:
    derived: Any = type("Derived", (cls,), {})
    name = f"{prefix}_address"
    assert "is not for a peer to set" in refused(derived, {name: len})
    assert vars(new(derived, {name: "here", "callback": len})) == {name: "here", "callback": len}


def test_an_error_can_be_a_copy() -> None:
    error = new(Mine, {"code": 5, "remote_type": "x.Y"})
    assert (error.code, error.remote_type) == (5, "x.Y")
    assert "names a method" in refused(Mine, {"args": ()})


def test_long_keys_are_cut() -> None:
    assert len(refused(Plain, {"__" + "x" * 5000 + "__": 1})) < 100


def test_objects_without_room() -> None:
    assert "can't have this state" in refused(Slotted, {"other": 1})
    assert "can't have this state" in refused(type("Empty", (), {"__slots__": ()}), {"a": 1})


def test_a_default_that_fails() -> None:
    def fail() -> int:
        raise KeyError("default")

    @dataclass
    class Failing:
        value: int = field(default_factory=fail)

    with pytest.raises(KeyError):
        new(Failing, {})


def test_the_keys_of_python_2() -> None:
    state = {"a": 1}
    assert text_keys(state, Plain) is state
    assert text_keys({b"a": 1, "b": 2}, Plain) == {"a": 1, "b": 2}
    assert text_keys(None, Plain) == {}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ([], f"the state of a {HERE}.Plain has to be a dictionary"),
        ((), f"the state of a {HERE}.Plain has to be a dictionary"),
        ({1: 2}, f"a state key of a {HERE}.Plain is not text"),
        ({b"\xff": 2}, f"a state key of a {HERE}.Plain is not text"),
    ],
)
def test_what_is_no_state(state: object, text: str) -> None:
    assert refused(Plain, state) == text


def test_attributes_can_be_put_another_way() -> None:
    found: list[tuple[object, str, object]] = []
    put: Callable[[Any, str, Any], None] = lambda obj, name, value: found.append(  # noqa: E731
        (obj, name, value)
    )
    plain, item = Plain(), Item("x")
    set_state(plain, {"a": 1}, put)
    set_state(item, {"name": "y"}, put)
    assert found[:2] == [(plain, "a", 1), (item, "name", "y")]
    assert vars(plain) == {}


def test_what_bears_the_name_of_twisted_is_ours_too() -> None:
    class Flavour:
        __module__ = "twisted.spread.flavors"
        luid = None

    class Program(Flavour):
        price = 0

    class Test:
        __module__ = "twisted.spread.test.test_pb"
        luid = None

    item = Program()
    set_state(item, {"price": 5})
    assert item.price == 5
    with pytest.raises(InsecureJelly, match="state key 'luid' is not for a peer to set"):
        set_state(item, {"luid": 5})
    set_state(Test(), {"luid": 5})
