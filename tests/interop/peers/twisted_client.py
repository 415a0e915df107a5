"""A Twisted client: it connects to the port on its command line and lets the server drive it."""

import sys
from functools import wraps
from typing import Any

from twisted.internet import defer
from twisted.internet import reactor as installed
from twisted.python import failure
from twisted.spread import pb

from tests.interop.peers.twisted_objects import Peer

reactor: Any = installed


def as_deferred(method: Any) -> Any:
    """Let a method that is a coroutine give a Deferred."""

    @wraps(method)
    def call(*args: Any) -> "defer.Deferred[Any]":
        return defer.ensureDeferred(method(*args))

    return call


class Scary:
    """Of no kind that may travel."""


class Driver(Peer):
    """Calls the server's root when the server says so, and tells how it went."""

    def __init__(self, root: Any) -> None:
        super().__init__()
        self.root = root
        self.broker = root.broker

    def jellyFor(self, jellier: Any) -> Any:
        # A plain reference, though it is a root.
        return pb.Referenceable.jellyFor(self, jellier)

    def remote_call(self, name: str, *args: object, **kwargs: object) -> Any:
        """Call a method of the root, and give `[value, None]` or `[None, names of the error]`."""
        return self._outcome(self.root.callRemote(name, *args, **kwargs))

    def remote_call_scary(self, name: str) -> Any:
        return self._outcome(self.root.callRemote(name, Scary()))

    def remote_call_copy(self, name: str) -> Any:
        return self._outcome(self.root.callRemote(name, self.remote_copy()))

    def _outcome(self, deferred: "defer.Deferred[Any]") -> "defer.Deferred[Any]":
        def failed(reason: failure.Failure) -> list[object]:
            names = [one.decode() if isinstance(one, bytes) else one for one in reason.parents]
            return [None, names, reason.getErrorMessage(), reason.getTraceback()]

        return deferred.addCallbacks(lambda value: [value, None], failed)

    @as_deferred
    async def remote_second(self) -> Any:
        two = await self.root.callRemote("getTwo")
        again = await self.root.callRemote("getTwo")
        return [two is again or two == again, await two.callRemote("three", 12)]

    @as_deferred
    async def remote_home(self) -> Any:
        return await self.root.callRemote("checkTwo", await self.root.callRemote("getTwo"))

    @as_deferred
    async def remote_lend(self) -> Any:
        return await self.root.callRemote("takeTwo", Printer())

    @as_deferred
    async def remote_many(self, count: int) -> Any:
        """Take many references and drop them, and lend as many."""
        taken = await self.root.callRemote("make", count)
        before = len({id(one) for one in taken})
        del taken
        await self.root.callRemote("keep", [pb.Referenceable() for _ in range(count)])
        held = len(self.broker.localObjects)
        await self.root.callRemote("drop")
        return [before, held]

    @as_deferred
    async def remote_flood(self, count: int) -> Any:
        calls = [self.root.callRemote("echo_later", n) for n in range(count)]
        return [await one for one in calls]


class Printer(pb.Referenceable):
    def remote_print(self, arg: object) -> str:
        return f"printed {arg}"


async def run(port: int) -> None:
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", port, factory)
    root = await factory.getRootObject()
    root.broker.notifyOnDisconnect(reactor.stop)
    await root.callRemote("drive", Driver(root))


def main() -> None:
    def failed(reason: failure.Failure) -> None:
        reason.printTraceback(sys.stderr)
        reactor.stop()

    defer.ensureDeferred(run(int(sys.argv[1]))).addErrback(failed)
    reactor.run()


if __name__ == "__main__":
    main()
