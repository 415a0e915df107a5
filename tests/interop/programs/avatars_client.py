"""Has three perspectives on one connection, and drops one of them before it hangs up."""

from twisted.cred import credentials
from twisted.internet import defer

from tests.interop.programs.spread import connect, finish, pb, run


class Mind(pb.Referenceable):
    def __init__(self) -> None:
        self.heard: defer.Deferred[str] = defer.Deferred()

    def remote_goodbye(self, name: str) -> None:
        self.heard.callback(name)


async def main() -> None:
    minds = Mind(), Mind()
    one = await factory.login(credentials.UsernamePassword(b"ann", b"one"), minds[0])
    two = await factory.login(credentials.UsernamePassword(b"ben", b"two"), minds[1])
    again = await factory.login(credentials.UsernamePassword(b"ann", b"one"))
    print("they are", *[await user.callRemote("sign", 15) for user in (one, two, again)])
    del one
    print("goodbye", await minds[0].heard)
    print("still here:", *[await user.callRemote("sign", 16) for user in (two, again)])
    kept.extend((two, again))


kept: list[object] = []
factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
