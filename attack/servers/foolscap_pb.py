"""Foolscap: a Tub. The second port gives out its FURL as plain text."""

import sys
from typing import Any

from foolscap.api import Referenceable
from twisted.internet import defer, reactor
from twisted.python import log

from attack.servers.methods import Echo, Methods
from bench.peers import tubs

_reactor: Any = reactor


class Thing(Echo, Referenceable):
    """An object of the server's."""


class Service(Methods, Referenceable):
    """What everybody may call."""

    def remote_make(self) -> Thing:
        return Thing()

    def remote_wait(self, value: object = None) -> Any:
        return defer.Deferred()


def serve() -> None:
    log.startLogging(sys.stderr, setStdout=False)
    print(*tubs.listen(Service()), flush=True)
    _reactor.run()
