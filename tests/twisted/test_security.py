import copy
import decimal
from collections.abc import Callable
from typing import Any

import pytest

from pellucid.twisted.security import DummySecurityOptions, SecurityOptions, globalSecurity


class Thing:
    pass


NAME = f"{__name__}.Thing"
ATOMS = "None bool boolean string str int float datetime time date timedelta NoneType unicode"
BASIC = "dictionary list tuple reference dereference unpersistable persistent long_int long dict"


def test_the_dummy_allows_everything() -> None:
    options = DummySecurityOptions()
    assert options.isTypeAllowed(b"function")
    assert options.isModuleAllowed("os")
    assert options.isClassAllowed(Thing)


@pytest.mark.parametrize("name", [*ATOMS.split(), "decimal", "set", "frozenset"])
def test_numbers_text_dates_and_sets_are_allowed_from_the_start(name: str) -> None:
    assert SecurityOptions().isTypeAllowed(name)
    assert SecurityOptions().isTypeAllowed(name.encode())


@pytest.mark.parametrize("name", [*BASIC.split(), "remote", "local", "cached", "lcache"])
def test_containers_and_references_are_basic(name: str) -> None:
    options = SecurityOptions()
    assert not options.isTypeAllowed(name)
    options.allowBasicTypes()
    assert options.isTypeAllowed(name)
    assert globalSecurity.isTypeAllowed(name)


@pytest.mark.parametrize("name", ["function", "method", "class", "module", "instance"])
def test_what_names_something_is_not_basic(name: str) -> None:
    options = SecurityOptions()
    options.allowBasicTypes()
    assert not options.isTypeAllowed(name)
    assert not globalSecurity.isTypeAllowed(name)


def test_types_are_allowed_by_name_or_by_class() -> None:
    options = SecurityOptions()
    options.allowTypes("one", b"two", Thing)
    assert all(options.isTypeAllowed(name) for name in ("one", b"one", "two", b"two"))
    assert NAME.encode() in options.allowedTypes
    assert set(map(type, options.allowedTypes)) == {bytes}
    assert not options.isTypeAllowed("three")


def test_the_tag_of_a_class_is_left_to_the_class() -> None:
    assert SecurityOptions().isTypeAllowed(b"any.Class")
    assert not SecurityOptions().isClassAllowed(Thing)


def test_modules_are_allowed_by_name_or_as_such() -> None:
    options = SecurityOptions()
    options.allowModules("one", b"two", decimal)
    assert all(options.isModuleAllowed(name) for name in ("one", b"one", "two", "decimal"))
    assert not options.isModuleAllowed("os")
    assert not options.isModuleAllowed("")


def test_instances_need_their_class_their_module_and_the_basic_types() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Thing)
    assert options.isClassAllowed(Thing)
    assert not options.isClassAllowed(type("Derived", (Thing,), {}))
    assert options.isModuleAllowed(__name__)
    for name in ("instance", "class", "classobj", "module", "list", NAME):
        assert options.isTypeAllowed(name)
    assert not options.isTypeAllowed("function")


REMOVALS: list[Callable[[Any], object]] = [
    lambda names: names.__delitem__(b"set"),
    lambda names: names.pop(b"set"),
    lambda names: names.popitem(),
    lambda names: names.clear(),
]


@pytest.mark.parametrize("remove", REMOVALS)
def test_a_removal_is_counted(remove: Callable[[Any], object]) -> None:
    names: Any = SecurityOptions().allowedTypes
    before = dict(names)
    remove(names)
    assert names.removals == 1
    assert len(names) < len(before)


def test_what_a_removal_gives() -> None:
    names = SecurityOptions().allowedTypes
    assert names.pop(b"set") == 1
    assert names.pop(b"set", 7) == 7
    with pytest.raises(KeyError):
        names.pop(b"set")
    with pytest.raises(KeyError):
        del names[b"set"]
    last = list(names)[-1]
    assert names.popitem() == (last, 1)


def test_options_can_be_copied() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Thing)
    other = copy.deepcopy(options)
    assert other.isClassAllowed(Thing)
    del other.allowedTypes[b"set"]
    assert options.isTypeAllowed("set")
    assert not other.isTypeAllowed("set")


def test_the_names_in_print() -> None:
    assert SecurityOptions.__module__ == "twisted.spread.jelly"
    assert DummySecurityOptions.__module__ == "twisted.spread.jelly"
