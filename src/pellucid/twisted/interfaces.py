"""What an object offers that travels in a way of its own."""

from typing import Any

from zope.interface import Interface

__all__ = ["IJellyable", "IUnjellyable"]


class IJellyable(Interface):
    """An object that says itself what is sent of it."""

    __module__ = "twisted.spread.interfaces"

    def jellyFor(jellier: Any) -> Any:
        """Give the s-expression that stands for this object.

        It is called once for each value that is sent and holds the object. `jellier` turns the
        parts of the object into s-expressions.
        """


class IUnjellyable(Interface):
    """An object that says itself how it is made from what was received."""

    __module__ = "twisted.spread.interfaces"

    def unjellyFor(jellier: Any, jellyList: Any) -> Any:
        """Take in the s-expression `jellyList`, and give the object that it stands for.

        The first item of `jellyList` is the type tag. `jellier` decodes its parts, and lives as
        long as the decoding of one value.
        """
