# mypy: disable-error-code="no-untyped-call"
"""Tests for trial, with real connections. `Clean` leaves nothing behind, and `Dirty` does."""

from typing import Any

from twisted.internet import defer, endpoints
from twisted.internet import reactor as installed
from twisted.internet.error import ConnectError
from twisted.trial import unittest

from pellucid.twisted import pb

reactor: Any = installed


class Refused(pb.Error):
    pass


class Root(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value

    def remote_refuse(self) -> None:
        raise Refused("not today")

    def remote_break(self) -> None:
        raise ZeroDivisionError("broken")

    def remote_wait(self) -> "defer.Deferred[None]":
        return defer.Deferred()


class Factory(pb.PBServerFactory):
    def __init__(self) -> None:
        super().__init__(Root())
        self.gone: defer.Deferred[None] = defer.Deferred()

    def clientConnectionMade(self, protocol: Any) -> None:
        protocol.notifyOnDisconnect(lambda: self.gone.callback(None))


class Connected(unittest.TestCase):
    def setUp(self) -> Any:
        return defer.ensureDeferred(self.connect())

    async def connect(self) -> None:
        self.server = Factory()
        self.client: Any = pb.PBClientFactory()
        listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.port: Any = await listening.listen(self.server)
        self.addCleanup(self.port.stopListening)
        number = self.port.getHost().port
        there: Any = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", number)
        await there.connect(self.client)
        self.root: Any = await self.client.getRootObject()
        self.lost: defer.Deferred[Any] = defer.Deferred()
        self.root.notifyOnDisconnect(self.lost.callback)


class Clean(Connected):
    def tearDown(self) -> Any:
        self.client.disconnect()
        return defer.gatherResults([self.lost, self.server.gone])

    async def test_call(self) -> None:
        assert await self.root.callRemote("echo", {"a": [1]}) == {"a": [1]}

    async def test_expected(self) -> None:
        await self.assertFailure(self.root.callRemote("refuse"), Refused)
        assert await self.caught("refuse") == "not today"
        assert not self.flushLoggedErrors()

    async def test_unexpected(self) -> None:
        assert await self.caught("break") == "broken"
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def caught(self, method: str) -> str:
        try:
            await self.root.callRemote(method)
        except pb.RemoteError as error:
            return str(error)
        self.fail(f"{method} raised nothing")

    def test_lost_in_a_call(self) -> "defer.Deferred[Any]":
        waiting = self.root.callRemote("wait")
        self.client.disconnect()
        return self.assertFailure(waiting, pb.PBConnectionLost)

    async def test_nobody_listens(self) -> None:
        number = self.port.getHost().port
        await self.port.stopListening()
        factory = pb.PBClientFactory()
        root = factory.getRootObject()
        connector = reactor.connectTCP("127.0.0.1", number, factory)
        await self.assertFailure(root, ConnectError)
        assert connector.state == "disconnected"


class Dirty(Connected):
    async def test_call(self) -> None:
        await self.root.callRemote("echo", 1)
