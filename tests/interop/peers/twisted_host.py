"""A Twisted program that serves, and that connects to wherever it is told.

It prints its ports as a line of JSON. On the command line may stand a directory with the
certificates `authority.pem`, `server.pem` and `client.pem`.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from twisted.cred import checkers, credentials, portal
from twisted.internet import defer, endpoints, ssl
from twisted.internet import reactor as installed
from twisted.spread import pb

from tests.interop.peers.twisted_flavors import Shelf, Stock
from tests.interop.peers.twisted_shop import Holder, Mind, Shop, Shopper, as_deferred, told

reactor: Any = installed

HOST = "127.0.0.1"
USERS = {b"alice": b"secret", b"bob": b"builder", "Zo\u00eb".encode(): "gr\u00fcn".encode()}


class Realm:
    """Makes a shopper for each login, and tells who came and who left."""

    def __init__(self, stocks: dict[str, Stock]) -> None:
        self.events: list[str] = []
        self.stocks = stocks
        self.shelf = Shelf()
        self._waiting: list[tuple[int, defer.Deferred[list[str]]]] = []

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        assert pb.IPerspective in interfaces
        name = avatar_id.decode() if avatar_id else "anonymous"
        self.tell(f"{name} in")
        shopper = Shopper(name, mind, self.stocks, self.shelf)
        return pb.IPerspective, shopper, lambda: self.tell(f"{name} out")

    def tell(self, event: str) -> None:
        self.events.append(event)
        for count, waiting in list(self._waiting):
            if len(self.events) >= count:
                self._waiting.remove((count, waiting))
                waiting.callback(list(self.events))

    def told(self, count: int) -> "defer.Deferred[list[str]]":
        """Give the events when there are as many."""
        if len(self.events) >= count:
            return defer.succeed(list(self.events))
        waiting: defer.Deferred[list[str]] = defer.Deferred()
        self._waiting.append((count, waiting))
        return waiting


class Visitor(Holder):
    """A client of some server, told over another connection what to do there."""

    def __init__(self, factory: Any, root: Any) -> None:
        super().__init__(root=root)
        self.factory = factory
        self.mind = Mind()
        self.broker = root.broker
        self.lost: defer.Deferred[None] = defer.Deferred()
        self.broker.notifyOnDisconnect(lambda: self.lost.callback(None))

    def remote_login(self, to: str, name: bytes, password: bytes, minded: bool) -> Any:
        return self._log_in(to, credentials.UsernamePassword(name, password), minded)

    def remote_anonymous(self, to: str, minded: bool) -> Any:
        return self._log_in(to, credentials.Anonymous(), minded)

    def _log_in(self, to: str, who: Any, minded: bool) -> Any:
        call = self.factory.login(who, self.mind if minded else None)
        return told(call.addCallback(partial(self.remote_hold, to)))

    def remote_respond(self, key: str, password: bytes) -> Any:
        """Answer the challenge that `key` holds."""
        challenge, challenger = self.held[key]
        return told(challenger.callRemote("respond", pb.respond(challenge, password), None))

    def remote_give_mind(self, key: str, name: str) -> Any:
        return told(self.held[key].callRemote(name, self.mind))

    def remote_taken(self) -> Any:
        return self.mind.taken

    def remote_lose(self) -> "defer.Deferred[None]":
        self.broker.transport.loseConnection()
        return self.lost

    def remote_abort(self) -> "defer.Deferred[None]":
        self.broker.transport.abortConnection()
        return self.lost


class Control(Shop):
    """A shop that can be told of the rest of the program."""

    host: "Host"

    def remote_events(self, realm: str, count: int = 0) -> Any:
        return self.host.realms[realm].told(count)

    @as_deferred
    async def remote_visit(self, port: int, secure: str = "") -> Visitor:
        """Connect to a server: without TLS, or over `tls`, or with a certificate over `mutual`."""
        return Visitor(*await self.host.connect(port, secure))

    @as_deferred
    async def remote_open_shop(self, port: int, secure: str = "") -> None:
        """Connect to a server and give it a shop."""
        _, root = await self.host.connect(port, secure)
        shop = Shop(self.host.stocks, ours=root)
        shop.broker = root.broker
        await root.callRemote("drive", shop)


class Host(pb.Root):
    """Everything that the program has."""

    def __init__(self, certificates: Path | None) -> None:
        self.certificates = certificates
        self.stocks: dict[str, Stock] = {}
        self.realms = {name: Realm(self.stocks) for name in ("open", "members")}
        self.ports: dict[str, int] = {}

    def rootObject(self, broker: Any) -> Control:
        root = Control(self.stocks)
        root.broker = broker
        root.host = self
        return root

    def portal(self, name: str) -> Any:
        known = checkers.InMemoryUsernamePasswordDatabaseDontUse()
        for user, password in USERS.items():
            known.addUser(user, password)
        allowed: list[Any] = [known]
        if name == "open":
            allowed.append(checkers.AllowAnonymousAccess())
        realm: Any = self.realms[name]
        return portal.Portal(realm, allowed)

    @as_deferred
    async def start(self) -> None:
        roots = {"shop": self, "open": self.portal("open"), "members": self.portal("members")}
        for name, root in roots.items():
            await self.listen(name, root, "")
        if self.certificates is not None:
            for secure in ("tls", "mutual"):
                await self.listen(f"shop_{secure}", self, secure)
            await self.listen("members_tls", roots["members"], "tls")
        print(json.dumps(self.ports), flush=True)

    async def listen(self, name: str, root: Any, secure: str) -> None:
        endpoint: Any = endpoints.TCP4ServerEndpoint(reactor, 0, interface=HOST)
        if secure:
            assert self.certificates is not None
            trusted = self.authority() if secure == "mutual" else None
            both = ssl.PrivateCertificate.loadPEM(self.read("server.pem"))
            options = both.options(*[trusted] if trusted else [])
            endpoint = endpoints.SSL4ServerEndpoint(reactor, 0, options, interface=HOST)
        port = await endpoint.listen(pb.PBServerFactory(root))
        self.ports[name] = port.getHost().port

    async def connect(self, port: int, secure: str) -> Any:
        endpoint: Any = endpoints.TCP4ClientEndpoint(reactor, HOST, port)
        if secure:
            own = None
            if secure == "mutual":
                own = ssl.PrivateCertificate.loadPEM(self.read("client.pem"))
            trusted = ssl.trustRootFromCertificates([self.authority()])
            options = ssl.optionsForClientTLS("localhost", trusted, own)
            endpoint = endpoints.wrapClientTLS(options, endpoint)
        factory = pb.PBClientFactory()
        await endpoint.connect(factory)
        return factory, await factory.getRootObject()

    def read(self, name: str) -> bytes:
        assert self.certificates is not None
        return (self.certificates / name).read_bytes()

    def authority(self) -> Any:
        return ssl.Certificate.loadPEM(self.read("authority.pem"))


def main() -> None:
    def failed(reason: Any) -> None:
        reason.printTraceback(sys.stderr)
        reactor.stop()

    host = Host(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    reactor.callWhenRunning(lambda: host.start().addErrback(failed))
    reactor.run()


if __name__ == "__main__":
    main()
