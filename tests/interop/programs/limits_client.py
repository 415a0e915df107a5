"""Goes up to each limit, and beyond."""

from typing import Any

from twisted.internet import defer
from twisted.python.failure import Failure

from tests.interop.programs.spread import banana, connect, finish, pb, run


def refused(reason: Failure) -> str:
    return f"too much, says {reason.trap(banana.BananaError, pb.Error).__name__}"


async def main() -> None:
    root = await factory.getRootObject()
    calls: list[tuple[str, Any]] = [
        ("length", b"x" * banana.SIZE_LIMIT),
        ("length", b"x" * (banana.SIZE_LIMIT + 1)),
        ("bits", 1 - 2**448),
        ("bits", 2**448),
    ]
    for name, value in calls:
        # Twisted raises at once what can't be encoded.
        call = defer.maybeDeferred(root.callRemote, name, value)
        print(f"{name}:", await call.addErrback(refused))
    for count in (8, 16):
        made = root.callRemote("make", count).addCallback(len)
        print("made:", await made.addErrback(refused))


factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
