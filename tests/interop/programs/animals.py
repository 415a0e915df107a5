"""A tree of classes whose instances are copied; `animal_copies` has its mirror image."""

from tests.interop.programs.spread import pb


class Animal(pb.Copyable):
    legs = 4

    def __init__(self, name: str) -> None:
        self.name = name

    def getTypeToCopy(self) -> bytes:
        return f"animals.{type(self).__name__}".encode()


class Frog(Animal):
    """Says so by its tag alone."""


class Newt(Animal):
    """One more."""
