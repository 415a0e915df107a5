"""Sends what the server allows, and what only its own security does."""

from typing import Any

from twisted.internet import defer
from twisted.python.failure import Failure

from tests.interop.programs.parcels import Crate, Parcel, Sealed
from tests.interop.programs.spread import connect, finish, jelly, pb, run


def refused(reason: Failure) -> str:
    reason.trap(jelly.InsecureJelly)
    return "refused"


async def main() -> None:
    root = await factory.getRootObject()
    parcels = {"Ann": Parcel(1000), "Ben": Parcel(250)}
    print("pounds:", await root.callRemote("weigh", parcels))
    sealed = await root.callRemote("open", Sealed("a letter"))
    print("opened:", type(sealed).__name__, sealed.secret)
    print("class:", await root.callRemote("name", Parcel))
    things: dict[str, Any] = {"crate": Crate(), "class of crates": Crate, "set": {1}}
    for name, thing in things.items():
        print(f"{name}:", await root.callRemote("take", thing).addErrback(refused))


options = jelly.SecurityOptions()
options.allowInstancesOf(Parcel, Sealed, Crate)
factory = pb.PBClientFactory(security=options)
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
