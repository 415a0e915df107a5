"""Takes instances of two classes, and no sets."""

from typing import Any

from tests.interop.programs.parcels import Parcel, Sealed
from tests.interop.programs.spread import jelly, listen, pb, run


class Depot(pb.Root):
    def remote_weigh(self, parcels: dict[str, Parcel]) -> float:
        for owner, parcel in parcels.items():
            print("a", type(parcel).__name__, "of", owner)
        return sum(parcel.pounds() for parcel in parcels.values())

    def remote_open(self, sealed: Any) -> Any:
        print("a", type(sealed).__name__, "with", sealed.secret)
        return sealed

    def remote_name(self, kind: Any) -> str:
        return f"a class called {kind.__name__}"

    def remote_take(self, thing: object) -> None:
        print("this should not have come:", thing)


options = jelly.SecurityOptions()
options.allowInstancesOf(Parcel, Sealed)
del options.allowedTypes[b"set"]
listen(pb.PBServerFactory(Depot(), security=options))
run()
