"""The factories of both sides: what the reactor makes brokers with."""

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from twisted.cred.credentials import IAnonymous
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.python.failure import Failure

from .avatars import respond
from .broker import Broker
from .errors import PBConnectionLost
from .flavors import IPBRoot
from .security import globalSecurity

__all__ = ["PBClientFactory", "PBServerFactory"]

# Generic for the type checker, and in newer releases of Twisted only.
if TYPE_CHECKING:
    _ClientFactory = ClientFactory[Broker]
    _ServerFactory = ServerFactory[Broker]
else:
    _ClientFactory = ClientFactory
    _ServerFactory = ServerFactory


class PBClientFactory(_ClientFactory):
    """Makes the broker of a client, and gives what the server has to offer.

    Use it with `connectTCP` and its like, or with an endpoint. What is asked for before there is a
    connection waits for it. `protocol` makes the broker and may be replaced, by a subclass of
    `Broker` for one.

    A request that waits fails with the reason when the connection fails or is lost. If an endpoint
    gets no connection at all, only the Deferred of its `connect` tells; hand what that fails with
    to `clientConnectionFailed(None, reason)` and the requests fail as well.
    """

    __module__ = "twisted.spread.pb"

    protocol: Any = Broker
    unsafeTracebacks = False

    # Whether the reactor tells this factory itself when a connection is lost. It tells the wrapper
    # of an endpoint, which keeps that to itself.
    _is_told = False

    def __init__(self, unsafeTracebacks: bool = False, security: Any = globalSecurity) -> None:
        self.unsafeTracebacks = unsafeTracebacks
        self.security = security
        # Those that the dialect is not agreed with.
        self._opening: WeakSet[Broker] = WeakSet()
        self._reset()

    # The names with an underscore and a capital are those that subclasses call, or override.

    def _reset(self) -> None:
        self.rootObjectRequests: list[Deferred[Any]] = []
        self._broker: Any = None
        self._root: Any = None

    def _failAll(self, reason: Failure) -> None:
        requests = self.rootObjectRequests
        self._reset()
        for request in requests:
            # One that is told may take another one back.
            if not request.called:
                request.errback(reason)

    def buildProtocol(self, addr: Any) -> Any:
        """Make the broker of a connection, with the security options of this factory."""
        broker = self.protocol(isClient=True, security=self.security)
        broker.factory = self
        if isinstance(broker, Broker):
            self._opening.add(broker)
            broker.notifyOnDisconnect(partial(self._disconnected, broker))
        return broker

    def _disconnected(self, broker: Broker) -> None:
        """A connection is lost: nobody else may tell those who wait for it to open."""
        was_opening = broker in self._opening
        self._opening.discard(broker)
        if was_opening and not self._is_told and not self._opening:
            reason = broker._lost_reason
            self._failAll(Failure(PBConnectionLost()) if reason is None else reason)

    def startedConnecting(self, connector: Any) -> None:
        """Hear from the reactor that a connection is being made."""
        self._is_told = True
        super().startedConnecting(connector)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Hear that no connection was made: whatever waits for one fails."""
        self._failAll(reason)

    def clientConnectionLost(
        self, connector: Any, reason: Failure, reconnecting: object = 0
    ) -> None:
        """Hear that the connection was lost.

        Subclasses that connect again pass a true `reconnecting`: then what waits goes on waiting,
        for the next connection.
        """
        if reconnecting:
            self._broker = None
            self._root = None
        else:
            self._failAll(reason)

    def clientConnectionMade(self, broker: Any) -> None:
        """Hear that a connection is ready for calls: give the root to all who wait for it."""
        self._opening.discard(broker)
        self._broker = broker
        self._root = broker.remoteForName("root")
        requests = self.rootObjectRequests
        self.rootObjectRequests = []
        for request in requests:
            if not request.called:
                request.callback(self._root)

    def getRootObject(self) -> Deferred[Any]:
        """Give a Deferred of the server's root, now or when there is a connection."""
        if self._broker and not self._broker.disconnected:
            return succeed(self._root)
        request: Deferred[Any] = Deferred(self._cancelled)
        self.rootObjectRequests.append(request)
        return request

    def _cancelled(self, request: Deferred[Any]) -> None:
        if request in self.rootObjectRequests:
            self.rootObjectRequests.remove(request)

    def disconnect(self) -> None:
        """Close the connection, if there is one.

        A factory that connects again will do so also after this.
        """
        for broker in [*self._opening, self._broker]:
            if broker is not None and broker.transport is not None:
                broker.transport.loseConnection()

    def login(self, credentials: Any, client: Any = None) -> Deferred[Any]:
        """Log in, and give a Deferred of the perspective that the server has for this user.

        `credentials` have a `username` and a `password`, or are anonymous. `client` is the mind:
        what the server may call.
        """
        root = self.getRootObject()
        if IAnonymous.providedBy(credentials):
            return root.addCallback(self._cbLoginAnonymous, client)
        return root.addCallback(
            self._cbSendUsername, credentials.username, credentials.password, client
        )

    def _cbSendUsername(self, root: Any, username: Any, password: Any, client: Any) -> Any:
        asked = root.callRemote("login", username)
        return asked.addCallback(self._cbResponse, password, client)

    def _cbResponse(self, challenges: Any, password: Any, client: Any) -> Any:
        challenge, challenger = challenges
        return challenger.callRemote("respond", respond(challenge, password), client)

    def _cbLoginAnonymous(self, root: Any, client: Any) -> Any:
        return root.callRemote("loginAnonymous", client)


class PBServerFactory(_ServerFactory):
    """Makes the broker of each client, and gives it the root.

    `root` is a `pb.Root`, a Portal of `twisted.cred` whose realm has avatars for `IPerspective`, or
    whatever else provides `IPBRoot` or has an adapter to it. With `unsafeTracebacks` clients get
    the tracebacks of what fails here. `protocol` makes the broker and may be replaced.
    """

    __module__ = "twisted.spread.pb"

    protocol: Any = Broker
    unsafeTracebacks = False

    def __init__(
        self, root: Any, unsafeTracebacks: bool = False, security: Any = globalSecurity
    ) -> None:
        self.root: Any = IPBRoot(root)
        self.unsafeTracebacks = unsafeTracebacks
        self.security = security

    def buildProtocol(self, addr: Any) -> Any:
        """Make the broker of a connection, and ask for the root that its client gets."""
        broker = self.protocol(isClient=False, security=self.security)
        broker.factory = self
        broker.setNameForLocal("root", self.root.rootObject(broker))
        return broker

    def clientConnectionMade(self, protocol: Any) -> None:
        """Hear that the connection of a broker is ready for calls. For subclasses."""
