"""Takes copies of the client's objects, and gives one of its own."""

from typing import Any

from tests.interop.programs import animal_copies
from tests.interop.programs.ponds import Pond
from tests.interop.programs.spread import listen, pb, run


class Receiver(pb.Root):
    def remote_keep(self, pond: Any) -> str:
        print("got a", type(pond).__name__)
        print("count", pond.count())
        return "in good health"

    def remote_shelter(self, animals: list[animal_copies.Animal]) -> None:
        for animal in animals:
            print(type(animal).__name__, "is here:", animal.say())

    def remote_compare(self, pond: Any, again: list[Any]) -> bool:
        return again == [pond, pond]

    def remote_lend(self) -> Pond:
        return Pond("black", 2)


listen(pb.PBServerFactory(Receiver()))
run()
