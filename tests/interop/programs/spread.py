"""What each of these programs begins with: its package of PB, its port, its reactor.

Usage: python -m tests.interop.programs.NAME PACKAGE [WORD...]

PACKAGE is `pellucid.twisted` or `twisted.spread`. A server prints its port when it listens; the
first word of a client is the port of its server.
"""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor as installed
from twisted.python import log

PACKAGE, *WORDS = sys.argv[1:]
HOST = "127.0.0.1"

if TYPE_CHECKING:
    from twisted.spread import banana, jelly, pb, util
else:
    names = ("banana", "jelly", "pb", "util")
    banana, jelly, pb, util = (import_module(f"{PACKAGE}.{name}") for name in names)

__all__ = [
    "HOST",
    "WORDS",
    "banana",
    "connect",
    "finish",
    "jelly",
    "listen",
    "pb",
    "reactor",
    "run",
    "util",
]

reactor: Any = installed
# Whoever reads what is printed waits for it.
cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)


def listen(factory: Any) -> None:
    """Serve on a free port, and print it."""
    print(reactor.listenTCP(0, factory, interface=HOST).getHost().port)


def connect(factory: Any) -> Any:
    """Connect to the port on the command line."""
    return reactor.connectTCP(HOST, int(WORDS[0]), factory)


def finish(deferred: Any, connector: Any) -> None:
    """When it has fired send what there is to send, hang up and stop. Complain if it failed."""

    def hang_up(_: object) -> None:
        connector.transport.protocol.notifyOnDisconnect(reactor.stop)
        connector.disconnect()

    deferred.addErrback(log.err)
    deferred.addCallback(hang_up)


def run() -> None:
    """Run until somebody stops the reactor. Nothing but the package may have been loaded."""
    reactor.run()
    if PACKAGE != "twisted.spread" and "twisted.spread" in sys.modules:
        sys.exit("twisted.spread was loaded")
