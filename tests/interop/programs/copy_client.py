"""Sends copies of all kinds, and takes one."""

from twisted.internet import defer
from twisted.python.failure import Failure

from tests.interop.programs.animals import Animal, Frog, Newt
from tests.interop.programs.ponds import MixedPond, Pond, TaggedPond
from tests.interop.programs.spread import connect, finish, jelly, pb, run


class Stray(pb.Copyable):
    """Nobody has said what becomes of it."""


def refused(reason: Failure) -> str:
    reason.trap(jelly.InsecureJelly)
    return "not at all"


async def main() -> None:
    root = await factory.getRootObject()
    for pond in (Pond("green", 7), MixedPond(3, 4), TaggedPond("blue", 5)):
        print("count", pond.count())
        print("it is there", await root.callRemote("keep", pond))
    await root.callRemote("shelter", [Frog("Fred"), Newt("Ned"), Animal("Ann")])
    print("one pond:", await root.callRemote("compare", pond, [pond, pond]))
    print("a stray is there", await root.callRemote("keep", Stray()).addErrback(refused))
    lent = await root.callRemote("lend")
    print("lent a", type(lent).__name__, lent.colour, lent.count())


factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
