"""The copies of `animals`, with the same names in the same tree."""

import sys

from tests.interop.programs.spread import pb


class Animal(pb.RemoteCopy):
    name: str

    def say(self) -> str:
        return f"{self.name} says nothing"


class Frog(Animal):
    def say(self) -> str:
        return f"{self.name} says ribbit"


class Newt(Animal):
    """As silent as any animal."""


pb.setUnjellyableForClassTree(sys.modules[__name__], Animal, "animals")
