from typing import Any

import pytest

from pellucid.banana import PELLUCID, encode
from pellucid.decoder import Decoder
from pellucid.errors import InsecureJelly
from pellucid.limits import Limits
from pellucid.ports import NullImporter
from pellucid.registry import RawReader, Registry
from pellucid.twisted.unjellier import (
    Unjellier,
    Unpersistable,
    restore,
    set_attributes,
    spelled,
)


class Plain:
    shown = None

    def method(self) -> str:
        return "mine"


class Slotted:
    __slots__ = ("__dict__", "x")

    x: Any


class Taking:
    def __init__(self) -> None:
        self.taken: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        self.taken.append(state)


class Importer(NullImporter):
    """Takes in caches, as the core's does: it may make another handle later."""

    def __init__(self) -> None:
        self.caches: dict[Any, Any] = {}
        self.make: Any = None

    def new_cache(self, luid: int | bytes, make: Any) -> Any:
        self.make = make
        self.caches[luid] = make()
        return self.caches[luid]


class Invoker:
    unserializingPerspective: Any = "before"


def unjellied(sexp: list[Any], read: Any, perspective: Any = None, **options: Any) -> Any:
    """What `read(unjellier, the list)` gives for an item with the tag `x`."""
    registry: Any = type("Local", (Registry,), {"imports": False})()
    invoker = options.pop("invoker", None)

    def hooked(found: Any, decoder: Any, made: Any) -> Any:
        return read(Unjellier(decoder, "taster", invoker), found)

    registry._readers[b"x"] = RawReader(hooked, "'x'")
    importer = options.pop("importer", NullImporter())
    decoder = Decoder(encode(sexp), PELLUCID, Limits(), registry, importer, perspective)
    return decoder.value("value")


# The hooks' view of a decoder.


def test_parts_are_read_once() -> None:
    def read(unjellier: Unjellier, sexp: Any) -> Any:
        first = unjellier.unjelly(sexp[1])
        assert unjellier.unjelly(sexp[1]) is first
        return first, unjellier.unjelly(sexp[2]), sexp[3]

    assert unjellied([b"x", [b"list", 1], 5, b"raw"], read) == ([1], 5, b"raw")


def test_a_list_made_by_hand() -> None:
    made = ["list", "text", b"bytes", 1, 2.5, None, True, False, ["unicode", "more"]]

    def read(unjellier: Unjellier, sexp: Any) -> Any:
        return unjellier.unjelly(made)

    assert unjellied([b"x", 0], read) == ["text", b"bytes", 1, 2.5, None, True, False, "more"]


def test_a_list_made_of_parts() -> None:
    def read(unjellier: Unjellier, sexp: Any) -> Any:
        return unjellier.unjelly([b"tuple", *sexp[1:]])

    assert unjellied([b"x", 1, [b"list", 2]], read) == (1, [2])


def test_an_object_in_a_list_made_by_hand() -> None:
    """What is no list stands for itself; only what is decoded as a whole has to be jelly."""
    thing = object()
    assert unjellied([b"x", 0], lambda unjellier, sexp: unjellier.unjelly(["list", thing])) == [
        thing
    ]
    with pytest.raises(InsecureJelly, match=r"a builtins.object in an s-expression"):
        unjellied([b"x", 0], lambda unjellier, sexp: unjellier.unjelly([b"set", thing]))


def test_parts_in_a_list_made_by_hand_share_what_they_shared() -> None:
    def read(unjellier: Unjellier, sexp: Any) -> Any:
        return unjellier.unjelly([b"list", [b"tuple", *sexp[1:]]])

    shared = [[b"reference", 1, [b"list", 2]], [b"dereference", 1]]
    ((first, second),) = unjellied([b"x", *shared], read)
    assert first == [2]
    assert first is second


def test_into_a_place() -> None:
    target = [0, 0]

    def read(unjellier: Unjellier, sexp: Any) -> Any:
        return unjellier.unjellyInto(target, 1, sexp[1])

    assert unjellied([b"x", [b"tuple", 1]], read) == (1,)
    assert target == [0, (1,)]


def test_what_it_knows() -> None:
    found: list[Any] = []

    def read(unjellier: Unjellier, sexp: Any) -> Any:
        found.extend((unjellier.taster, unjellier.invoker, unjellier.perspective))
        found.append(unjellier.trusted)
        found.append(unjellier.persistentLoad)

    unjellied([b"x", 0], read, "somebody")
    assert found == ["taster", None, "somebody", False, None]


@pytest.mark.parametrize("perspective", ["somebody", "before", None])
def test_the_invoker_knows_on_whose_behalf(perspective: Any) -> None:
    invoker = Invoker()

    def fails(value: int) -> None:
        assert invoker.unserializingPerspective == perspective
        raise KeyError(value)

    def read(unjellier: Unjellier, sexp: Any) -> Any:
        with pytest.raises(KeyError):
            unjellier.run(fails, 1)
        return unjellier.run(lambda: invoker.unserializingPerspective)

    assert unjellied([b"x", 0], read, perspective, invoker=invoker) == perspective
    assert invoker.unserializingPerspective == "before"


def test_an_invoker_that_knows_nothing() -> None:
    run = unjellied([b"x", 0], lambda unjellier, sexp: unjellier.run(int, "7"), invoker=object())
    assert run == 7


def test_a_new_cache() -> None:
    importer = Importer()
    instance = Plain()

    def read(unjellier: Unjellier, sexp: Any) -> Any:
        return unjellier.new_cache(sexp[1], instance)

    assert unjellied([b"x", 4], read, importer=importer) is instance
    assert importer.caches == {4: instance}
    again = importer.make()
    assert type(again) is Plain
    assert again is not instance


def test_unpersistable() -> None:
    assert Unpersistable("gone").reason == "gone"
    assert repr(Unpersistable("gone")) == "Unpersistable('gone')"


# States.


def test_setstate_gets_whatever_came() -> None:
    for trusted in (False, True):
        obj = Taking()
        for state in (None, (1, 2), {"a": 1}):
            restore(obj, state, trusted)
        assert obj.taken == [None, (1, 2), {"a": 1}]


@pytest.mark.parametrize("trusted", [False, True])
def test_attributes(trusted: bool) -> None:
    obj = Plain()
    restore(obj, {"a": 1, "shown": 2}, trusted)
    assert vars(obj) == {"a": 1, "shown": 2}
    restore(obj, None, trusted)
    assert vars(obj) == {"a": 1, "shown": 2}


@pytest.mark.parametrize("trusted", [False, True])
def test_slots_beside_attributes(trusted: bool) -> None:
    original = Slotted()
    original.x = [1]
    vars(original)["y"] = 2
    obj = Slotted()
    restore(obj, original.__getstate__(), trusted)
    assert (obj.x, vars(obj)) == ([1], {"y": 2})


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("state", [1, "text", [], (1,), (1, 2), ({}, 3)])
def test_what_is_no_state(state: Any, trusted: bool) -> None:
    with pytest.raises(InsecureJelly, match=r"Plain"):
        set_attributes(Plain(), state, trusted)


def test_only_ones_own_state_hides_a_method() -> None:
    obj: Any = Plain()
    with pytest.raises(InsecureJelly, match="names a method"):
        restore(obj, {"method": 1}, False)
    restore(obj, {"method": 1}, True)
    assert obj.method == 1


def test_the_attributes_of_an_exception() -> None:
    """An exception has a `__setstate__` that sets whatever it is given."""
    error = KeyError()
    with pytest.raises(InsecureJelly, match="is not for a peer to set"):
        restore(error, {"__class__": 1}, False)
    restore(error, {"code": 1}, False)
    assert vars(error) == {"code": 1}


def test_an_object_without_attributes() -> None:
    with pytest.raises(AttributeError):
        set_attributes(object(), {"a": 1}, True)


# S-expressions made by hand.


def test_text_in_place_of_bytes() -> None:
    def leaf(item: Any) -> Any:
        return "leaf", item

    sexp = ["dictionary", ["key", ["list", "a", 1]], [["class", "a.B"], ["method", "m", None]]]
    assert spelled(sexp, leaf) == [
        b"dictionary",
        [("leaf", "key"), [b"list", ("leaf", "a"), 1]],
        [[b"class", b"a.B"], [b"method", b"m", ("leaf", None)]],
    ]
    assert sexp[0] == "dictionary"


@pytest.mark.parametrize("leaf", [True, None, (1, 2), object()])
def test_what_is_no_item_is_a_leaf(leaf: Any) -> None:
    assert spelled([b"list", leaf], lambda item: [b"found", item]) == [b"list", [b"found", leaf]]


def test_empty_lists() -> None:
    assert spelled([], id) == []
    assert spelled([b"dictionary", []], id) == [b"dictionary", []]


def test_one_that_contains_itself() -> None:
    sexp: list[Any] = [b"list"]
    sexp += [sexp, sexp]
    with pytest.raises(InsecureJelly, match="too deep"):
        spelled(sexp, id)
