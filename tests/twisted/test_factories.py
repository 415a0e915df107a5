"""The factories: roots and logins asked for at any time, and what becomes of them."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from zope.interface import implementer

from pellucid.twisted import pb
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Joined, Wire, failure_of, result


class Echo(pb.Root):
    def remote_echo(self, value: Any) -> Any:
        return value


def fired(waiting: "Deferred[Any]") -> bool:
    """Whether there is a result, of itself or of what it waits for."""
    found = []

    def note(value: Any) -> Any:
        found.append(value)
        return value

    waiting.addBoth(note)
    return bool(found)


@pytest.fixture
def client() -> pb.PBClientFactory:
    return pb.PBClientFactory()


def connect(join: Join, client: Any, server: Any = None) -> Joined:
    """One connection of a client's factory."""
    server = pb.PBServerFactory(Echo()) if server is None else server
    brokers = (client.buildProtocol(None), server.buildProtocol(None))
    both: Joined = join(brokers=brokers)
    return both


# The root.


def test_a_root_is_given_before_and_behind_the_connection(
    join: Join, client: pb.PBClientFactory
) -> None:
    early = [client.getRootObject(), client.getRootObject()]
    assert client.rootObjectRequests == early
    both = connect(join, client)
    late = client.getRootObject()
    assert client.rootObjectRequests == []
    roots = [result(one) for one in (*early, late)]
    assert roots[0] is roots[1] is roots[2]
    said = roots[0].callRemote("echo", "hello")
    both.run()
    assert result(said) == "hello"


def test_whoever_asks_inside_of_the_answer_gets_it_too(
    join: Join, client: pb.PBClientFactory
) -> None:
    asked = client.getRootObject().addCallback(lambda root: client.getRootObject())
    connect(join, client)
    assert isinstance(result(asked), pb.RemoteReference)


def test_a_request_can_be_taken_back(join: Join, client: pb.PBClientFactory) -> None:
    first, second = client.getRootObject(), client.getRootObject()
    first.cancel()
    assert client.rootObjectRequests == [second]
    failure_of(first).trap(CancelledError)
    client.rootObjectRequests = []
    second.cancel()
    failure_of(second).trap(CancelledError)
    connect(join, client)


def test_a_request_waits_behind_a_lost_connection(join: Join, client: pb.PBClientFactory) -> None:
    both = connect(join, client)
    first = result(client.getRootObject())
    both.lose()
    client.clientConnectionLost(None, Failure(ConnectionDone()))
    again = client.getRootObject()
    assert not fired(again)
    connect(join, client)
    second = result(again)
    assert second.broker is not first.broker
    with pytest.raises(pb.DeadReferenceError):
        first.callRemote("echo", 1)


def test_all_fail_if_no_connection_is_made(client: pb.PBClientFactory) -> None:
    waiting = [client.getRootObject(), client.login(User("alice")), client.getRootObject()]
    reason = Failure(ConnectionRefusedError())
    client.clientConnectionFailed(None, reason)
    assert [failure_of(one).type for one in waiting] == [ConnectionRefusedError] * 3
    assert client.rootObjectRequests == []


def test_who_asks_when_it_fails_waits_for_the_next(join: Join, client: pb.PBClientFactory) -> None:
    waiting = client.getRootObject().addErrback(lambda _: client.getRootObject())
    client.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    connect(join, client)
    assert isinstance(result(waiting), pb.RemoteReference)


def test_a_lost_connection_fails_who_waits_unless_there_will_be_another(
    join: Join, client: pb.PBClientFactory
) -> None:
    kept = client.getRootObject()
    client.clientConnectionLost(None, Failure(ConnectionLost()), reconnecting=1)
    assert not fired(kept)
    client.clientConnectionLost(None, Failure(ConnectionLost()))
    failure_of(kept).trap(ConnectionLost)
    client.clientConnectionLost(None, Failure(ConnectionDone()), 0)
    connect(join, client)


def test_who_is_told_of_a_failure_may_take_another_request_back(
    client: pb.PBClientFactory,
) -> None:
    waiting = [client.getRootObject() for _ in range(4)]
    heard: list[Any] = []
    for number, request in enumerate(waiting):
        request.addErrback(lambda failure, of: heard.append((of, failure.type)), number)
    waiting[0].addCallback(lambda _: waiting[1].cancel())
    # That has fired: nothing happens.
    waiting[2].addCallback(lambda _: waiting[0].cancel())
    client.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert heard == [
        (0, ConnectionRefusedError),
        (1, CancelledError),
        (2, ConnectionRefusedError),
        (3, ConnectionRefusedError),
    ]
    client.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert len(heard) == 4


def test_who_gets_the_root_may_take_another_request_back(
    join: Join, client: pb.PBClientFactory, logged: Logged
) -> None:
    waiting = [client.getRootObject() for _ in range(4)]
    heard: list[Any] = []
    for number, request in enumerate(waiting):
        request.addBoth(lambda found, of: heard.append((of, type(found))), number)
    waiting[0].addCallback(lambda _: waiting[2].cancel())
    connect(join, client)
    root = pb.RemoteReference
    assert heard == [(0, root), (2, Failure), (1, root), (3, root)]
    assert logged.text == ""


class User:
    """Credentials, as far as the client looks at them."""

    def __init__(self, username: str, password: str = "secret") -> None:
        self.username = username.encode()
        self.password = password.encode()


def test_a_login_fails_when_the_connection_ends_under_it(
    join: Join, client: pb.PBClientFactory
) -> None:
    thinking: Deferred[Any] = Deferred()

    class Slow(pb.Root):
        def remote_login(self, username: bytes) -> "Deferred[Any]":
            return thinking

    waiting = client.login(User("alice"))
    both = connect(join, client, pb.PBServerFactory(Slow()))
    assert not fired(waiting)
    both.lose(ConnectionLost())
    failure_of(waiting).trap(pb.PBConnectionLost)
    thinking.callback(None)


@pytest.mark.parametrize("answer", [None, 5, (b"challenge",), (b"challenge", None), ("x", 2, 3)])
def test_a_login_fails_when_the_server_answers_nonsense(
    join: Join, client: pb.PBClientFactory, answer: Any
) -> None:
    class Mad(pb.Root):
        def remote_login(self, username: bytes) -> Any:
            return answer

    waiting = client.login(User("alice"))
    connect(join, client, pb.PBServerFactory(Mad()))
    assert failure_of(waiting).check(TypeError, ValueError, AttributeError)


# The end.


def test_disconnect_closes_what_there_is(join: Join, client: pb.PBClientFactory) -> None:
    client.disconnect()
    both = connect(join, client)
    client.disconnect()
    assert both.client_wire.disconnecting
    both.run()
    assert both.lost
    client.disconnect()
    client.clientConnectionLost(None, Failure(ConnectionDone()))
    client.disconnect()


def test_disconnect_closes_a_connection_that_is_opening(client: pb.PBClientFactory) -> None:
    broker = client.buildProtocol(None)
    client.disconnect()
    wire: Any = Wire()
    broker.makeConnection(wire)
    assert not wire.disconnecting
    client.disconnect()
    assert wire.disconnecting
    broker.connectionLost(Failure(ConnectionDone()))


# The brokers.


def test_a_client_makes_a_broker_with_its_security(client: pb.PBClientFactory) -> None:
    broker = client.buildProtocol(None)
    assert isinstance(broker, pb.Broker)
    assert broker.factory is client
    assert broker.security is pb.globalSecurity
    security = importable().SecurityOptions()
    assert pb.PBClientFactory(security=security).buildProtocol(None).security is security
    assert pb.PBClientFactory(True).unsafeTracebacks is True
    assert client.unsafeTracebacks is False


def importable() -> Any:
    from pellucid.twisted import jelly

    return jelly


def test_a_server_asks_for_the_root_of_each_broker() -> None:
    asked: list[Any] = []

    class Source(pb.Root):
        def rootObject(self, broker: Any) -> Any:
            assert broker.factory is server
            asked.append(broker)
            return self

    root = Source()
    security = importable().SecurityOptions()
    server = pb.PBServerFactory(root, True, security)
    assert server.root is root
    assert server.unsafeTracebacks is True
    brokers = [server.buildProtocol(None) for _ in range(2)]
    assert asked == brokers
    for broker in brokers:
        assert broker.security is security
        assert broker.localObjectForID("root") is root
    assert pb.PBServerFactory(root).security is pb.globalSecurity


@pytest.mark.parametrize("factory", [pb.PBClientFactory(), pb.PBServerFactory(Echo())])
def test_another_protocol_may_make_the_brokers(factory: Any) -> None:
    class Mine(pb.Broker):
        pass

    made: list[tuple[Any, Any]] = []

    def make(isClient: Any, security: Any) -> Any:
        made.append((isClient, security))
        return Mine(isClient, security)

    factory.protocol = Mine
    assert type(factory.buildProtocol(None)) is Mine
    factory.protocol = make
    assert type(factory.buildProtocol(None)) is Mine
    is_client = isinstance(factory, pb.PBClientFactory)
    assert made == [(is_client, pb.globalSecurity)]
    del factory.protocol
    assert type(factory.buildProtocol(None)) is pb.Broker


def test_what_makes_brokers_may_make_something_else() -> None:
    class Recorded:
        def __init__(self, **given: Any) -> None:
            self.given = given

    client = pb.PBClientFactory()
    client.protocol = Recorded
    made = client.buildProtocol(None)
    assert made.given == {"isClient": True, "security": pb.globalSecurity}
    assert made.factory is client


def test_a_server_hears_of_each_connection(join: Join, client: pb.PBClientFactory) -> None:
    class Hearing(pb.PBServerFactory):
        heard: Any = None

        def clientConnectionMade(self, protocol: Any) -> None:
            super().clientConnectionMade(protocol)
            self.heard = protocol

    server = Hearing(Echo())
    both = connect(join, client, server)
    assert server.heard is both.server


class Quotes:
    """What has an adapter, and nothing of PB."""

    def __init__(self) -> None:
        self.quotes = ["an apple a day"]


@implementer(pb.IPBRoot)
class QuotesRoot:
    def __init__(self, quotes: Quotes) -> None:
        self.quotes = quotes

    def rootObject(self, broker: Any) -> Any:
        return QuotesReader(self.quotes)


class QuotesReader(pb.Referenceable):
    def __init__(self, quotes: Quotes) -> None:
        self.quotes = quotes

    def remote_nextQuote(self) -> str:
        return self.quotes.quotes[0]


registerAdapter(QuotesRoot, Quotes, pb.IPBRoot)


def test_whatever_has_an_adapter_is_served(join: Join, client: pb.PBClientFactory) -> None:
    both = connect(join, client, pb.PBServerFactory(Quotes()))
    assert both.ask("nextQuote") == "an apple a day"


def test_what_gives_no_root_is_refused() -> None:
    with pytest.raises(TypeError):
        pb.PBServerFactory(object())


# Reactors, endpoints and services. With an endpoint nobody tells the factory how it ended.


def lost_in_the_opening(reactor: MemoryReactorClock, reason: BaseException) -> Any:
    """Let the last connection be made, and be lost before a word was said."""
    factory: Any = reactor.tcpClients[-1][2]
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(Wire())
    protocol.connectionLost(Failure(reason))
    return factory


Connect = Callable[[MemoryReactorClock, Any], Any]


def test_with_connect_tcp_the_reactor_tells(client: pb.PBClientFactory) -> None:
    reactor = MemoryReactorClock()
    connector = reactor.connectTCP("192.0.2.1", pb.portno, client)
    waiting = client.getRootObject()
    lost_in_the_opening(reactor, ConnectionLost())
    assert not fired(waiting)
    client.clientConnectionLost(connector, Failure(ConnectionLost()))
    failure_of(waiting).trap(ConnectionLost)


def test_with_an_endpoint_a_request_fails_with_its_connection(
    join: Join, client: pb.PBClientFactory
) -> None:
    reactor = MemoryReactorClock()
    endpoint: Any = TCP4ClientEndpoint(reactor, "192.0.2.1", pb.portno)
    connected = endpoint.connect(client)
    waiting = [client.getRootObject(), client.login(User("alice"))]
    lost_in_the_opening(reactor, ConnectionLost("gone"))
    assert isinstance(result(connected), pb.Broker)
    for one in waiting:
        failure_of(one).trap(ConnectionLost)
    # The next one is served.
    again = client.getRootObject()
    connect(join, client)
    assert isinstance(result(again), pb.RemoteReference)


def test_with_an_endpoint_that_gets_nowhere_the_program_may_tell(
    client: pb.PBClientFactory,
) -> None:
    reactor = MemoryReactorClock()
    endpoint: Any = TCP4ClientEndpoint(reactor, "192.0.2.1", pb.portno)
    connected = endpoint.connect(client)
    waiting = client.getRootObject()
    connected.addErrback(lambda reason: client.clientConnectionFailed(None, reason))
    refused = Failure(ConnectionRefusedError())
    reactor.tcpClients[0][2].clientConnectionFailed(reactor.connectors[0], refused)
    failure_of(waiting).trap(ConnectionRefusedError)
    assert result(connected) is None


def test_a_request_outlives_one_of_two_connections(join: Join, client: pb.PBClientFactory) -> None:
    waiting = client.getRootObject()
    first = client.buildProtocol(None)
    second = client.buildProtocol(None)
    first.makeConnection(Wire())
    first.connectionLost(Failure(ConnectionLost()))
    assert not fired(waiting)
    server = pb.PBServerFactory(Echo()).buildProtocol(None)
    join(brokers=(second, server))
    assert isinstance(result(waiting), pb.RemoteReference)


def test_a_request_made_when_a_ready_connection_ends_waits(
    join: Join, client: pb.PBClientFactory
) -> None:
    both = connect(join, client)
    again: list[Deferred[Any]] = []
    both.client.notifyOnDisconnect(lambda: again.append(client.getRootObject()))
    both.lose()
    assert not fired(again[0])
    connect(join, client)
    assert isinstance(result(again[0]), pb.RemoteReference)


def test_a_client_service_connects_again(join: Join, client: Any) -> None:
    reactor: Any = MemoryReactorClock()
    endpoint: Any = TCP4ClientEndpoint(reactor, "192.0.2.1", pb.portno)
    service = ClientService(endpoint, client, retryPolicy=lambda _: 1.0, clock=reactor)
    waiting = client.getRootObject()
    service.startService()
    refused = Failure(ConnectionRefusedError())
    reactor.tcpClients[0][2].clientConnectionFailed(reactor.connectors[0], refused)
    assert not fired(waiting)
    reactor.advance(1.0)
    assert len(reactor.tcpClients) == 2
    made: list[Any] = []
    build = client.buildProtocol

    def keep(addr: Any) -> Any:
        made.append(build(addr))
        return made[-1]

    client.buildProtocol = keep
    reactor.tcpClients[1][2].buildProtocol(None)
    join(brokers=(made[0], pb.PBServerFactory(Echo()).buildProtocol(None)))
    assert isinstance(result(waiting), pb.RemoteReference)
    service.stopService()


class Again(pb.PBClientFactory, ReconnectingClientFactory):
    """As existing programs write it."""

    noisy = False

    def __init__(self) -> None:
        pb.PBClientFactory.__init__(self)
        self.clock: Any = Clock()

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        ReconnectingClientFactory.clientConnectionFailed(self, connector, reason)

    def clientConnectionLost(
        self, connector: Any, reason: Failure, reconnecting: object = 1
    ) -> None:
        pb.PBClientFactory.clientConnectionLost(self, connector, reason, reconnecting=1)
        ReconnectingClientFactory.clientConnectionLost(self, connector, reason)

    def clientConnectionMade(self, broker: Any) -> None:
        ReconnectingClientFactory.resetDelay(self)
        super().clientConnectionMade(broker)


class Connector:
    connected = 0

    def connect(self) -> None:
        self.connected += 1

    def stopConnecting(self) -> None:
        pass


def test_a_reconnecting_factory_keeps_what_waits(join: Join) -> None:
    client: Any = Again()
    connector = Connector()
    client.startedConnecting(connector)
    waiting = client.getRootObject()
    client.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
    client.clock.advance(60)
    assert connector.connected == 1
    # Lost before a word was said, and then made.
    broker = client.buildProtocol(None)
    broker.makeConnection(Wire())
    broker.connectionLost(Failure(ConnectionLost()))
    client.clientConnectionLost(connector, Failure(ConnectionLost()))
    assert not fired(waiting)
    client.clock.advance(60)
    assert connector.connected == 2
    first = connect(join, client)
    assert isinstance(result(waiting), pb.RemoteReference)
    first.lose()
    client.clientConnectionLost(connector, Failure(ConnectionDone()))
    client.clock.advance(60)
    assert connector.connected == 3
    second = connect(join, client)
    root = result(client.getRootObject())
    assert root.broker is second.client
    client.stopTrying()


class AutoLogin(pb.PBClientFactory):
    """As existing programs write it, with the names that have an underscore."""

    def clientConnectionMade(self, broker: Any) -> None:
        super().clientConnectionMade(broker)
        self.root = self._root
        self.asked = self._cbSendUsername(self._root, b"alice", b"secret", None)


def test_a_subclass_may_log_in_by_itself(join: Join) -> None:
    class Taking(pb.Root):
        def remote_login(self, username: bytes) -> Any:
            return b"challenge", Answering(username)

    class Answering(pb.Referenceable):
        def __init__(self, username: bytes) -> None:
            self.username = username

        def remote_respond(self, response: bytes, mind: Any) -> Any:
            return self.username, response == pb.respond(b"challenge", b"secret"), mind

    client = AutoLogin()
    both = connect(join, client, pb.PBServerFactory(Taking()))
    assert result(client.asked) == (b"alice", True, None)
    assert client._broker is both.client
    del client.root
