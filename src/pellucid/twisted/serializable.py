"""What everything that can be sent, in this face, has in common."""

from .jelly import Jellyable

__all__ = ["Serializable"]


class Serializable(Jellyable):
    """An object that can be an argument or a result of a remote method.

    An application derives from one of the flavours, which say how: Referenceable, Viewable,
    Copyable and Cacheable.
    """

    __module__ = "twisted.spread.flavors"

    def processUniqueID(self) -> object:
        """Give what is the same, in this process, for all that stands for the same object."""
        return id(self)
