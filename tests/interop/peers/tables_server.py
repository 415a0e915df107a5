"""A server on Twisted's own PB. Prints its port; ends when it is told to."""

import os

from twisted.internet import reactor, task
from twisted.spread import pb


class Thing(pb.Referenceable):
    """An object to refer to."""

    def remote_number(self, number):
        return number


class Stranger(pb.Copyable):
    """A value that nobody has registered."""


class Root(pb.Root):
    """What the tests call."""

    def __init__(self):
        self.kept = []

    def remote_make(self, count):
        return [Thing() for _ in range(count)]

    def remote_keep(self, thing):
        self.kept.append(thing)

    def remote_let_go(self):
        self.kept.clear()

    def remote_exported(self):
        return len([luid for luid in factory.broker.localObjects if luid != b"root"])

    def remote_later(self, number):
        return task.deferLater(reactor, 0, lambda: number)

    def remote_die(self):
        os._exit(1)

    def remote_stranger(self):
        return Stranger()

    def remote_two_and_a_stranger(self):
        return [Thing(), Stranger(), Thing()]


class Factory(pb.PBServerFactory):
    """Remembers the broker of its only client."""

    def clientConnectionMade(self, protocol):  # noqa: N802 - Twisted's name
        self.broker = protocol


factory = Factory(Root())
port = reactor.listenTCP(0, factory, interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
