"""Asks for a second object, and calls that one."""

from typing import Any

from twisted.python.failure import Failure

from tests.interop.programs.spread import connect, finish, pb, reactor, run


def no_root(reason: Failure) -> None:
    print("error getting first object", reason)
    reactor.stop()


def got_root(root: Any) -> None:
    print("got first object:", root)
    print("asking it to getTwo")
    root.callRemote("getTwo").addCallbacks(got_helper)


def got_helper(helper: Any) -> None:
    print("got second object:", helper)
    print("telling it to do three(12)")
    finish(helper.callRemote("three", 12), connector)


factory = pb.PBClientFactory()
connector = connect(factory)
factory.getRootObject().addCallbacks(got_root, no_root)
run()
