"""A client on Twisted's own PB. Its argument is the port; it prints what it saw."""

import gc
import os
import sys

from twisted.internet import defer, reactor, task
from twisted.spread import pb


class Thing(pb.Referenceable):
    """An object to refer to."""

    def remote_number(self, number):
        return number

    def remote_die(self):
        os._exit(1)


class Stranger(pb.Copyable):
    """A value that nobody has registered."""


def say(*words):
    print(*words, flush=True)


async def use(root, broker):
    things = []
    for _ in range(10):
        things += await root.callRemote("make", 100)
    say("received", len(things), await root.callRemote("exported"))
    del things
    gc.collect()
    say("dropped", await root.callRemote("exported"))
    for _ in range(1000):
        await root.callRemote("keep", Thing())
    say("sent", len(broker.localObjects))
    await root.callRemote("let_go")
    # What released them stands before this answer.
    await root.callRemote("exported")
    say("released", len(broker.localObjects))
    waiting = [root.callRemote("later", number) for number in range(100)]
    say("concurrent", [await one for one in waiting] == list(range(100)))
    try:
        await root.callRemote("keep", [Thing(), Stranger(), Thing()])
    except pb.RemoteError as error:
        say("refused", error.remoteType.decode())
    await root.callRemote("exported")
    say("released", len(broker.localObjects))
    await root.callRemote("use", Thing(), "die")


async def main(reactor):
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", int(sys.argv[1]), factory)
    root = await factory.getRootObject()
    await use(root, root.broker)


task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
