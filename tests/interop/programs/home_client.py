"""Gives an object back to the server that it came from."""

from typing import Any

from tests.interop.programs.spread import connect, finish, pb, run


class Steps:
    """One method after the other, and what they all know."""

    root: Any = None

    def first(self, root: Any) -> None:
        print("got one object:", root)
        self.root = root
        print("asking it to getTwo")
        self.root.callRemote("getTwo").addCallback(self.second)

    def second(self, token: Any) -> None:
        print("got two object:", token)
        print("giving it back to one")
        print("one is", self.root)
        finish(self.root.callRemote("checkTwo", token), connector)


factory = pb.PBClientFactory()
connector = connect(factory)
factory.getRootObject().addCallback(Steps().first)
run()
