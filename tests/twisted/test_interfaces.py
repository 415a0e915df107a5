"""The two interfaces: what they ask for, and under which name they are known."""

from typing import Any

import pytest
from zope.interface import Interface, implementer
from zope.interface.verify import verifyClass

from pellucid.twisted import interfaces

EACH = [interfaces.IJellyable, interfaces.IUnjellyable]


@pytest.mark.parametrize("interface", EACH)
def test_an_interface_bears_the_module_of_twisted(interface: Any) -> None:
    assert interface.__module__ == "twisted.spread.interfaces"
    assert interface.__identifier__ == f"twisted.spread.interfaces.{interface.__name__}"
    assert interface.__bases__ == (Interface,)


def test_what_jellies_itself_is_verified() -> None:
    @implementer(interfaces.IJellyable)
    class Sent:
        def jellyFor(self, jellier: Any) -> Any:
            return [b"sent"]

    @implementer(interfaces.IJellyable)
    class Mute:
        pass

    assert verifyClass(interfaces.IJellyable, Sent)
    assert interfaces.IJellyable.providedBy(Sent())
    with pytest.raises(Exception, match="jellyFor"):
        verifyClass(interfaces.IJellyable, Mute)


def test_what_unjellies_itself_is_verified() -> None:
    @implementer(interfaces.IUnjellyable)
    class Received:
        def unjellyFor(self, jellier: Any, jellyList: Any) -> Any:
            return self

    @implementer(interfaces.IUnjellyable)
    class Short:
        def unjellyFor(self, jellier: Any) -> Any:
            return self

    assert verifyClass(interfaces.IUnjellyable, Received)
    with pytest.raises(Exception, match="unjellyFor"):
        verifyClass(interfaces.IUnjellyable, Short)


def test_the_names_are_all_there() -> None:
    assert interfaces.__all__ == ["IJellyable", "IUnjellyable"]
