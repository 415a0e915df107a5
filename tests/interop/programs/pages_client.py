"""Collects pages, by the one call that does it all and with a collector of its own."""

from typing import Any

from twisted.internet import defer

from tests.interop.programs.spread import connect, finish, pb, run, util


async def main() -> None:
    root = await factory.getRootObject()
    pages = await util.getAllPages(root, "text", times=250)
    print("text:", [len(page) for page in pages], "".join(pages) == "0123456789" * 250)
    pages = await util.getAllPages(root, "file", 40_960)
    print("file:", [len(page) for page in pages], b"".join(pages) == bytes(range(256)) * 160)
    collected: defer.Deferred[list[Any]] = defer.Deferred()
    await root.callRemote("count", util.CallbackPageCollector(collected.callback))
    print("count:", await collected)


factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
