"""Calls the method named on its command line, and prints how that failed."""

from typing import Any

from twisted.python.failure import Failure

from tests.interop.programs.spread import WORDS, connect, finish, pb, run


def got_root(root: Any) -> None:
    finish(root.callRemote(WORDS[1]).addCallback(worked).addErrback(broke), connector)


def worked(_: object) -> None:
    print("erm, it wasn't *supposed* to work..")


def broke(reason: Failure) -> None:
    print("got remote Exception")
    print(" .__class__ =", reason.__class__)
    print(" .getErrorMessage() =", reason.getErrorMessage())
    print(" .type =", reason.type)


factory = pb.PBClientFactory()
connector = connect(factory)
factory.getRootObject().addCallbacks(got_root)
run()
print("Main loop terminated.")
