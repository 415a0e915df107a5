"""Logs in without a name, and with one, over one connection."""

from typing import Any

from twisted.cred import credentials
from twisted.internet import defer

from tests.interop.programs.spread import connect, finish, pb, run


async def main() -> None:
    nobody = await factory.login(credentials.Anonymous())
    print("got a perspective:", nobody)
    user = await factory.login(credentials.UsernamePassword(b"ann", b"one"))
    calls: list[Any] = [nobody.callRemote("sign", 13), user.callRemote("sign", 14)]
    print("they are", await defer.gatherResults(calls))


factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
