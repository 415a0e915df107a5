"""What an object lets the other side call, and how it is written."""

import copy
import gc
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.spread import flavors, pb

from pellucid.errors import DeadReferenceError, Error, InsecureJelly, NoSuchMethod
from pellucid.flavors import (
    Avatar,
    Cacheable,
    Copyable,
    Referenceable,
    RemoteCache,
    RemoteCopy,
    Root,
    Viewable,
    ViewPoint,
    bind_copy,
    bound_copy,
    copy_has_size,
    copy_is_whole,
    perspective_of,
)


class Exporter:
    def __init__(self) -> None:
        self.exported: list[object] = []
        self.keys: list[object] = []

    def export(self, obj: object, key: object = None) -> int:
        self.exported.append(obj)
        self.keys.append(key)
        return 40 + len(self.exported)

    def home_cache(self, obj: object) -> int | bytes:
        return 7


class Encoder:
    """As much of an encoder as a flavour sees."""

    def __init__(self, perspective: Any = None) -> None:
        self.exporter = Exporter()
        self.perspective = perspective
        self.written: list[tuple[Any, ...]] = []

    def write_remote(self, luid: int) -> None:
        self.written.append(("remote", luid))

    def write_copy(self, obj: Any, tag: str, state_for: Any) -> None:
        self.written.append(("copy", tag, state_for(self.perspective)))

    def write_cache(self, obj: Any, tag: str, state_for: Any) -> None:
        assert state_for == obj.state_to_cache_and_observe_for
        self.written.append(("cache", obj, tag))

    def write_lcache(self, luid: int | bytes) -> None:
        self.written.append(("lcache", luid))


class Lamp(Referenceable):
    remote_colour = "red"

    def remote_switch(self, on: bool) -> bool:
        return not on

    @staticmethod
    def remote_make() -> str:
        return "a lamp"

    def switch(self) -> None:
        raise AssertionError("not for the other side")


class Meter(Referenceable):
    method_prefix = "meter_"

    def meter_read(self) -> int:
        return 7

    def remote_read(self) -> int:
        raise AssertionError("another prefix")


def test_a_method_is_found_by_its_prefix() -> None:
    assert Lamp().find_method("switch")(True) is False
    assert Lamp().find_method("make")() == "a lamp"
    assert Meter().find_method("read")() == 7


def test_a_callable_attribute_is_a_method() -> None:
    lamp = Lamp()
    lamp.remote_added = lambda: "added"  # type: ignore[attr-defined]
    assert lamp.find_method("added")() == "added"


@pytest.mark.parametrize("name", ["colour", "nosuch", "", "_switch", "__init__", "remote_switch"])
def test_nothing_else_is_reachable(name: str) -> None:
    with pytest.raises(NoSuchMethod) as caught:
        Lamp().find_method(name)
    assert str(caught.value) == f"No such method: remote_{name}"


def test_the_prefix_is_in_the_text() -> None:
    with pytest.raises(NoSuchMethod, match=r"^No such method: meter_nosuch$"):
        Meter().find_method("nosuch")


class Plain:
    """As much of Twisted's broker as its objects see."""

    def unserialize(self, value: object) -> object:
        return value


def test_twisted_says_the_same() -> None:
    with pytest.raises(flavors.NoSuchMethod) as theirs:
        pb.Referenceable().remoteMessageReceived(Plain(), b"nosuch", [], {})
    with pytest.raises(NoSuchMethod) as ours:
        Referenceable().find_method("nosuch")
    assert str(ours.value) == str(theirs.value)


def test_it_is_written_as_an_id() -> None:
    encoder = Encoder()
    lamp, meter = Lamp(), Meter()
    for one in (lamp, meter, lamp):
        one.write_jelly(encoder)
    assert encoder.exporter.exported == [lamp, meter, lamp]
    assert encoder.written == [("remote", 41), ("remote", 42), ("remote", 43)]


def test_a_root_is_one_too() -> None:
    assert issubclass(Root, Referenceable)
    assert Root.method_prefix == "remote_"


# Perspectives.


class Somebody:
    pass


class Player(Avatar):
    def perspective_jump(self) -> str:
        return "jumped"

    def remote_jump(self) -> str:
        raise AssertionError("another prefix")


def test_a_call_of_an_avatar_is_on_its_own_behalf() -> None:
    player = Player()
    assert player.find_method("jump")() == "jumped"
    with pytest.raises(NoSuchMethod, match="perspective_fly"):
        player.find_method("fly")
    assert perspective_of(player) is player.find_perspective() is player
    assert player.logout() is None


def test_a_call_of_anything_else_is_on_nobodys() -> None:
    class Bare:
        pass

    for target in (Lamp(), Root(), RemoteCache(), Bare()):
        assert perspective_of(target) is None


def test_an_object_that_fails_to_tell() -> None:
    class Odd(Referenceable):
        def find_perspective(self) -> Any:
            raise LookupError("not for the other side")

    with pytest.raises(Error, match=r"^finding .* failed: builtins\.LookupError$"):
        perspective_of(Odd())


class Board(Viewable):
    view_size = 3

    def view_read(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        return perspective, args, kwargs

    def remote_read(self) -> None:
        raise AssertionError("another prefix")


def test_a_viewable_is_written_as_what_the_perspective_sees() -> None:
    whose, board = Somebody(), Board()
    encoder = Encoder(whose)
    board.write_jelly(encoder)
    (view,) = encoder.exporter.exported
    assert view == ViewPoint(whose, board)
    assert encoder.written == [("remote", 41)]
    # As is the view itself.
    assert isinstance(view, ViewPoint)
    view.write_jelly(encoder)
    assert encoder.exporter.keys == [view.key, view.key]
    assert encoder.exporter.exported[1] is view


def test_a_view_passes_the_perspective_on() -> None:
    whose, board = Somebody(), Board()
    view = ViewPoint(whose, board)
    assert view.find_method("read")(1, a=2) == (whose, (1,), {"a": 2})
    assert ViewPoint(None, board).find_method("read")() == (None, (), {})
    assert perspective_of(view) is whose
    for name in ("write", "size", "__init__"):
        with pytest.raises(NoSuchMethod, match=f"No such method: view_{name}"):
            view.find_method(name)


def test_views_are_equal_if_both_parts_are_the_same() -> None:
    alice, bob, board = Somebody(), Somebody(), Board()
    view = ViewPoint(alice, board)
    assert view == ViewPoint(alice, board)
    assert hash(view) == hash(ViewPoint(alice, board))
    assert len({view, ViewPoint(bob, board), ViewPoint(alice, Board())}) == 3
    assert view != board
    assert view not in [None, 1]


def test_a_view_can_be_made_again_as_long_as_both_parts_are_alive() -> None:
    whose, board = Somebody(), Board()
    again, nobodys = ViewPoint(whose, board).weakly(), ViewPoint(None, board).weakly()
    assert again() == ViewPoint(whose, board)
    assert nobodys() == ViewPoint(None, board)
    del whose
    gc.collect()
    assert again() is None
    assert nobodys() == ViewPoint(None, board)
    del board
    gc.collect()
    assert nobodys() is None
    with pytest.raises(TypeError):
        ViewPoint(5, Board()).weakly()


# Caches, on the side of the owner.


class Observer:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.heard: list[Any] = []

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((name, args, kwargs))


class Stock(Cacheable):
    def __init__(self) -> None:
        self.items = {"a": 1}


def test_the_tag_of_a_cache_is_that_of_its_class() -> None:
    class Named(Stock, tag="shop.Stock"):
        pass

    class Below(Named):
        pass

    @dataclass(slots=True)
    class Data(Cacheable, tag="shop.Data"):
        count: int = 0

    tags = [cls().tag_to_cache_for(None) for cls in (Stock, Named, Below, Data)]
    assert tags == [f"{__name__}.Stock", "shop.Stock", f"{__name__}.Below", "shop.Data"]


def test_a_cache_is_written_with_the_tag_for_the_perspective() -> None:
    class Twofold(Stock):
        def tag_to_cache_for(self, perspective: Any) -> str:
            return f"for.{perspective}"

    encoder = Encoder("alice")
    stock = Twofold()
    stock.write_jelly(encoder)
    assert encoder.written == [("cache", stock, "for.alice")]


def test_the_state_of_a_cache_is_every_attribute() -> None:
    @dataclass
    class Data(Cacheable):
        count: int
        names: list[str] = field(default_factory=list)

    caches: list[tuple[Cacheable, Any]] = [(Stock(), {"items": {"a": 1}})]
    caches.append((Data(5), {"count": 5, "names": []}))
    for cache, state in caches:
        assert cache.state_to_cache() == state
        assert cache.state_to_cache_and_observe_for(None, Observer()) == state
        assert cache.state_to_cache() == state


def observers_of(stock: Cacheable) -> list[Any]:
    return list(stock.observers)


def test_observers_come_and_go() -> None:
    stock = Stock()
    assert observers_of(stock) == []
    first, second = Observer(), Observer()
    for observer in (first, second):
        stock.state_to_cache_and_observe_for(None, observer)
    assert observers_of(stock) == [first, second]
    stock.stopped_observing(None, first)
    stock.stopped_observing(None, first)
    assert observers_of(stock) == [second]
    Stock().stopped_observing(None, first)


def test_an_update_reaches_all_that_can_be_reached() -> None:
    stock = Stock()
    stock.update("nobody")
    errors = [DeadReferenceError("x"), None, InsecureJelly("first"), ValueError("second"), None]
    observers = [Observer(error) for error in errors]
    for observer in observers:
        stock.state_to_cache_and_observe_for(None, observer)
    with pytest.raises(InsecureJelly, match="first"):
        stock.update("put", "a", self=2, name=3)
    heard = [observer.heard for observer in observers if observer.error is None]
    assert heard == [[("put", ("a",), {"self": 2, "name": 3})]] * 2
    for observer in observers[2:4]:
        stock.stopped_observing(None, observer)
    stock.update("put")


def test_an_observer_may_go_while_others_are_told() -> None:
    class Last(Observer):
        def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
            super().notify(name)
            stock.stopped_observing(None, self)

    stock = Stock()
    observers = [Last() for _ in range(3)]
    for observer in observers:
        stock.state_to_cache_and_observe_for(None, observer)
    stock.update("bye")
    assert [len(observer.heard) for observer in observers] == [1, 1, 1]
    assert observers_of(stock) == []


# Caches, on the side of the holder.


class RemoteStock(RemoteCache):
    items: dict[str, int]

    def observe_put(self, name: str, count: int) -> None:
        self.items[name] = count


def test_a_copy_takes_its_state_and_hears_of_changes() -> None:
    stock = RemoteStock()
    stock.set_cached_state({"items": {}})
    stock.find_method("put")("a", 1)
    assert vars(stock) == {"items": {"a": 1}}
    with pytest.raises(NoSuchMethod, match="observe_drop"):
        stock.find_method("drop")
    with pytest.raises(InsecureJelly):
        stock.set_cached_state({"observe_put": 5})


def test_a_copy_goes_home() -> None:
    encoder = Encoder()
    RemoteStock().write_jelly(encoder)
    assert encoder.written == [("lcache", 7)]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_stays_where_it_is(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="a RemoteStock belongs to its connection"):
        duplicate(RemoteStock())


class Link:
    whole = False
    size = 0

    def __init__(self) -> None:
        self.states: list[Any] = []

    def died(self, state: Any) -> None:
        self.states.append(state)


@pytest.mark.parametrize("bases", [(), (Lamp,), (Somebody, Referenceable)])
def test_a_copy_that_goes_tells_what_it_knew(bases: tuple[type, ...]) -> None:
    kind: Any = type("Kind", (*bases, RemoteCache), {})
    link, one = Link(), kind()
    assert bound_copy(one) is None
    bind_copy(one, link)
    assert bound_copy(one) is link
    copy_is_whole(one)
    copy_has_size(one, 7)
    assert link.whole
    assert link.size == 7
    one.count = 5
    state = vars(one)
    # What binds it can't be seen or set.
    assert state == {"count": 5}
    one._copy = 6
    assert bound_copy(one) is link
    del one
    assert link.states == [{"count": 5, "_copy": 6}]
    assert link.states[0] is state


def test_a_copy_that_is_bound_to_nothing_goes_in_silence() -> None:
    stock = RemoteStock()
    copy_is_whole(stock)
    copy_has_size(stock, 7)
    del stock


# Copies.


class Item(Copyable, tag="shop.Item"):
    def __init__(self, name: str) -> None:
        self.name = name


class Bare(Item):
    pass


@dataclass(slots=True)
class Slotted(Copyable, tag="shop.Slotted"):
    name: str


class Shown(Item):
    def tag_to_copy_for(self, perspective: Any) -> str:
        return f"shop.{perspective}"

    def state_to_copy_for(self, perspective: Any) -> Any:
        return {"for": perspective, **self.state_to_copy()}


class SoldOut(Copyable, Error, tag="shop.SoldOut"):
    pass


def test_the_tag_of_a_copy_is_that_of_its_class() -> None:
    assert Item("x").tag_to_copy_for(None) == "shop.Item"
    assert Bare("x").tag_to_copy_for(None) == f"{__name__}.Bare"
    assert Slotted("x").tag_to_copy_for(None) == "shop.Slotted"
    assert SoldOut().tag_to_copy_for(None) == "shop.SoldOut"
    assert not hasattr(Slotted("x"), "__dict__")


def test_a_copy_is_written_as_tag_and_state() -> None:
    encoder = Encoder("ann")
    for one in (Item("x"), Slotted("y"), Shown("z")):
        one.write_jelly(encoder)
    assert encoder.written == [
        ("copy", "shop.Item", {"name": "x"}),
        ("copy", "shop.Slotted", {"name": "y"}),
        ("copy", "shop.ann", {"for": "ann", "name": "z"}),
    ]


def test_what_a_copy_becomes_takes_its_state() -> None:
    class Received(RemoteCopy):
        def close(self) -> None:
            raise AssertionError("never called")

    received = Received()
    received.set_copied_state({"name": "x"})
    assert vars(received) == {"name": "x"}
    with pytest.raises(InsecureJelly, match="'close' names a method"):
        received.set_copied_state({"close": 1})
