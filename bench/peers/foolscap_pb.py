"""Foolscap: Tubs with Referenceables. Every Tub uses TLS, so this is the one peer that encrypts.

The port that the server prints gives out its FURL as plain text. The 8 MiB travel as one string.
"""

from typing import TYPE_CHECKING, Any

from foolscap.api import Referenceable, Tub
from twisted.internet import defer, reactor, task

from bench.peers import sessions, tubs
from bench.workloads import TEXT

if TYPE_CHECKING:
    from bench.driver import Driver

_reactor: Any = reactor


class Echo(Referenceable):
    """Answers with what it gets."""

    def remote_echo(self, value: object) -> object:
        return value


class Service(Echo):
    """What the server has."""

    def remote_make(self) -> Echo:
        return Echo()

    def remote_call_back(self, target: Any) -> Any:
        return target.callRemote("echo", TEXT)


class Session(sessions.Objects):
    """One connection between two Tubs."""

    verb = "callRemote"


def serve() -> None:
    _, port = tubs.listen(Service())
    print(port, flush=True)
    _reactor.run()


def client(port: int, driver: "Driver") -> None:
    furl = tubs.furl_from(port)

    async def main() -> None:
        tub = Tub()
        tub.startService()
        await driver.run_async(Session(await tub.getReference(furl), Echo()))
        await tub.stopService()

    task.react(lambda _: defer.ensureDeferred(main()))
