"""Prints a quote, or that there is none."""

from sys import stdout
from typing import Any

from twisted.python import log
from twisted.python.failure import Failure

from tests.interop.programs.spread import connect, pb, reactor, run

log.discardLogs()


def got_root(root: Any) -> None:
    root.callRemote("nextQuote").addCallbacks(got_quote, failed)


def got_quote(quote: str) -> None:
    stdout.write(quote + "\n")
    reactor.stop()


def failed(_: Failure) -> None:
    stdout.write("Failed to obtain quote.\n")
    reactor.stop()


factory = pb.PBClientFactory()
connect(factory)
factory.getRootObject().addCallbacks(got_root, failed)
run()
