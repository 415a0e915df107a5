"""What an object lets the other side call, and how it is written."""

import pytest
from twisted.spread import flavors, pb

from pellucid.errors import NoSuchMethod
from pellucid.flavors import Referenceable, Root


class Exporter:
    def __init__(self) -> None:
        self.exported: list[object] = []

    def export(self, obj: object) -> int:
        self.exported.append(obj)
        return 40 + len(self.exported)


class Encoder:
    """As much of an encoder as a flavour sees."""

    def __init__(self) -> None:
        self.exporter = Exporter()
        self.written: list[tuple[str, int]] = []

    def write_remote(self, luid: int) -> None:
        self.written.append(("remote", luid))


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
