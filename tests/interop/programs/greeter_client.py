"""Logs in as one user, again and again, over two connections."""

from twisted.cred import credentials
from twisted.internet import defer
from twisted.python.failure import Failure

from tests.interop.programs.spread import connect, finish, pb, run

ANN = credentials.UsernamePassword(b"ann", b"pass")


def refused(reason: Failure) -> None:
    reason.trap(ValueError)
    print("refused:", reason.getErrorMessage())


async def main() -> None:
    first = await here.login(ANN)
    second = await there.login(ANN)
    print(await first.callRemote("greet"), await second.callRemote("greet"))
    await here.login(ANN).addErrback(refused)
    del first
    third = await here.login(ANN)
    print(await third.callRemote("greet"), await second.callRemote("greet"))
    there.disconnect()


here = pb.PBClientFactory()
there = pb.PBClientFactory()
connector = connect(here)
connect(there)
finish(defer.ensureDeferred(main()), connector)
run()
