"""Lends an object to the server."""

from typing import Any

from tests.interop.programs.spread import connect, finish, pb, run


class Printer(pb.Referenceable):
    def remote_print(self, number: int) -> None:
        print("Two.print() called with", number)


def got_root(root: Any, printer: Printer) -> None:
    print("got One:", root)
    print("giving it our two")
    finish(root.callRemote("takeTwo", printer), connector)


factory = pb.PBClientFactory()
connector = connect(factory)
factory.getRootObject().addCallback(got_root, Printer())
run()
