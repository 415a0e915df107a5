"""Ponds, and what their copies are. Both sides import it."""

from typing import Any

from tests.interop.programs.spread import pb


class Pond(pb.Copyable):
    """Sends all of its attributes."""

    def __init__(self, colour: str, frogs: int) -> None:
        self.colour = colour
        self.frogs = frogs

    def count(self) -> int:
        return self.frogs


class RemotePond(pb.RemoteCopy):
    """Takes all of them."""

    colour: str
    frogs: int

    def count(self) -> int:
        return self.frogs


class MixedPond(pb.Copyable):
    """Sends how many animals it has, and not of what kind."""

    def __init__(self, frogs: int, toads: int) -> None:
        self.frogs = frogs
        self.toads = toads

    def count(self) -> int:
        return self.frogs + self.toads

    def getStateToCopy(self) -> dict[str, Any]:
        return {"animals": self.count()}


class RemoteMixedPond(pb.RemoteCopy):
    """Takes the state in its own way."""

    def setCopyableState(self, state: dict[str, Any]) -> None:
        self.total: int = state["animals"]

    def count(self) -> int:
        return self.total


class TaggedPond(Pond):
    """Travels under a name that is nobody's class."""

    def getTypeToCopy(self) -> bytes:
        return b"zoo.Pond"


class ZooPond(RemotePond):
    """What has that name becomes this."""


pb.setUnjellyableForClass(Pond, RemotePond)
pb.setUnjellyableForClass(MixedPond, RemoteMixedPond)
pb.setUnjellyableForClass("zoo.Pond", ZooPond)
