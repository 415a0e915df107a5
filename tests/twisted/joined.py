"""Two brokers of the Twisted face, joined in memory.

`join(root)` gives a client and a server whose transports keep what is written until `run` delivers
it. The transports behave as those of TCP do: they tell a producer when they have enough, and when
what was written has left, and `loseConnection` waits for that. With `real=True` there is a clock in
place of a reactor, and the brokers take the transports for real ones; with `tls=True` as well they
behave as those of TLS do, which are not closed while there is a producer.
"""

import gc
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IConsumer, ISystemHandle, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from pellucid.twisted.broker import Broker
from tests.harness import ACCOUNTS

ROUNDS = 10_000


class Reactor(Clock):
    """A clock that also takes calls from threads, as a reactor does."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: deque[tuple[Callable[..., Any], Any, Any]] = deque()

    def callFromThread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.from_threads.append((function, args, kwargs))

    def turn(self, seconds: float = 0.0) -> bool:
        """One iteration: whatever is due runs, but not what that makes due. Tells if anything."""
        calls = [self.from_threads.popleft() for _ in range(len(self.from_threads))]
        for function, args, kwargs in calls:
            function(*args, **kwargs)
        due = [call for call in self.calls if call.getTime() <= self.seconds() + seconds]
        self.rightNow += seconds
        for call in due:
            if call in self.calls:
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        return bool(calls or due)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a time that comes."""
        return not self.calls and not self.from_threads


@implementer(ITransport, IConsumer)
class Wire:
    """A transport that keeps what is written. `reads` tells whether anything may be delivered."""

    def __init__(self, reactor: Reactor | None = None, tls: bool = False) -> None:
        self.TLS = tls
        self.no_delay = False
        # What one of TLS collects until the next iteration.
        self.small: list[bytes] = []
        if reactor is not None:
            self.reactor = reactor
            directlyProvides(self, ISystemHandle)
        self.out: list[bytes] = []
        # All that was ever written, and in how many writes.
        self.written = b""
        self.writes = 0
        self.connected = True
        self.disconnecting = False
        self.aborted = False
        self.reads = True
        self.producer: Any = None
        self.streaming = self.paused = False
        self.registered = 0

    def write(self, data: bytes) -> None:
        assert type(data) is bytes
        if not self.connected or not data:
            return
        self.writes += 1
        if self.TLS:
            self.small.append(data)
            if sum(map(len, self.small)) > 64_000:
                self.collected()
            elif len(self.small) == 1:
                self.reactor.callLater(0, self.collected)
        else:
            self.put(data)

    def collected(self) -> None:
        data = b"".join(self.small)
        self.small.clear()
        # As Twisted has it, what comes behind the end is dropped.
        if data and not (self.disconnecting and self.producer is None):
            self.put(data)

    def put(self, data: bytes) -> None:
        self.out.append(data)
        self.written += data
        if self.streaming and self.producer is not None and sum(map(len, self.out)) > 64 * 1024:
            self.paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def loseConnection(self) -> None:
        if self.small:
            self.collected()
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 8787)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.2", 8787)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("there is a producer")
        if not self.connected:
            producer.stopProducing()
            return
        self.registered += 1
        self.producer = producer
        self.streaming = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reads = False

    def resumeProducing(self) -> None:
        self.reads = True

    def stopProducing(self) -> None:
        self.loseConnection()

    # What the test does.

    def take(self) -> bytes:
        """What was written since the last time, which has left now."""
        data = b"".join(self.out)
        self.out.clear()
        if data:
            self.drained()
        return data

    def drained(self) -> None:
        """Tell that what was written has left."""
        if self.producer is not None and (self.paused or not self.streaming):
            self.paused = False
            self.producer.resumeProducing()

    @property
    def is_done(self) -> bool:
        """Whether it is to be closed, and nothing keeps it."""
        if self.aborted:
            return True
        if not self.disconnecting or self.out:
            return False
        return self.producer is None or (self.streaming and not self.paused and not self.TLS)


class Factory:
    """What a broker asks of the factory that made it."""

    unsafeTracebacks = False

    def __init__(self) -> None:
        self.made: list[Broker] = []

    def clientConnectionMade(self, broker: Broker) -> None:
        self.made.append(broker)


class Joined:
    """A client and a server on one connection. `size` is that of the pieces that arrive."""

    def __init__(
        self, client: Any, server: Any, size: int, reactor: Reactor | None, tls: bool
    ) -> None:
        self.client = client
        self.server = server
        self.size = size
        self.reactor = reactor
        self.client_wire = Wire(reactor, tls)
        self.server_wire = Wire(reactor, tls)
        self.lost = False

    def connect(self) -> None:
        self.server.makeConnection(self.server_wire)
        self.client.makeConnection(self.client_wire)

    @property
    def root(self) -> Any:
        """The client's reference to what the server publishes as root."""
        return self.client.remoteForName("root")

    def run(self) -> None:
        """Deliver, and let time stand still, until there is nothing more to say."""
        for _ in range(ROUNDS):
            if not self.step():
                return
        raise AssertionError("the two sides never come to an end")

    def step(self) -> bool:
        """Deliver once what either side has written. Tells whether there was anything."""
        moved = False
        for wire, other, receiver in (
            (self.client_wire, self.server_wire, self.server),
            (self.server_wire, self.client_wire, self.client),
        ):
            if other.reads or self.lost:
                data = wire.take()
                moved = self.deliver(receiver, data) or moved
        if self.reactor is not None:
            moved = self.reactor.turn() or moved
        if not self.lost and (self.client_wire.is_done or self.server_wire.is_done):
            aborted = self.client_wire.aborted or self.server_wire.aborted
            self.lose(ConnectionAborted() if aborted else ConnectionDone())
            moved = True
        return moved

    def deliver(self, receiver: Any, data: bytes) -> bool:
        """Let bytes arrive at one side."""
        for start in range(0, len(data), self.size or len(data) or 1):
            if receiver.transport.connected:
                receiver.dataReceived(data[start : start + self.size] if self.size else data)
        return bool(data)

    def lose(self, reason: BaseException | None = None) -> None:
        """End the connection on both sides, because of `reason`. What was not delivered is lost."""
        if self.lost:
            return
        self.lost = True
        failure = Failure(ConnectionDone() if reason is None else reason)
        for broker, wire in ((self.client, self.client_wire), (self.server, self.server_wire)):
            wire.connected = False
            wire.small.clear()
            producer, wire.producer = wire.producer, None
            if producer is not None:
                producer.stopProducing()
            broker.connectionLost(failure)

    def ask(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the root, and give what comes of it."""
        waiting = self.root.callRemote(name, *args, **kwargs)
        del args, kwargs
        self.run()
        return result(waiting)

    def counts(self) -> list[dict[str, int]]:
        """What the tables of both sides hold and what their ledgers are charged, but for zeros.

        Published names are left out.
        """
        gc.collect()
        self.run()
        return [counts(side) for side in (self.client, self.server)]

    def prove_empty(self) -> None:
        """Neither side holds anything of the other."""
        assert self.counts() == [{}, {}]


def counts(broker: Any) -> dict[str, int]:
    """What one side's tables hold and what its ledger is charged, but for zeros and names."""
    core = broker._core
    tables = core._tables
    found = {name: core.ledger.used(name) for name in ACCOUNTS}
    found["references_exported"] -= sum(isinstance(key, bytes) for key in core.exports.snapshot())
    found["exports"] = len(core.exports)
    found["imports"] = len(core.imports)
    found["cache exports"] = len(tables.cache_exports)
    found["cache imports"] = len(tables.cache_imports)
    return {name: count for name, count in found.items() if count}


def result(waiting: "Deferred[Any] | Any") -> Any:
    """What a Deferred that has fired holds, or the exception raised; a Failure that can't be."""
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found, "it has not fired"
    value = found.pop()
    if isinstance(value, Failure):
        value.raiseException()
    return value


def failure_of(waiting: "Deferred[Any] | Any") -> Any:
    """The Failure that a Deferred has fired with."""
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found, "it has not fired"
    assert isinstance(found[0], Failure), f"it is {found[0]!r}"
    return found.pop()


def make(is_client: bool, **options: Any) -> Any:
    """One broker with a factory of its own, not connected. Options are attributes of it."""
    security = options.pop("security", None)
    kind = options.pop("kind", Broker)
    broker = kind(is_client) if security is None else kind(is_client, security)
    broker.factory = Factory()
    for name, value in options.items():
        setattr(broker, name, value)
    return broker


def join(
    root: Any = None,
    *,
    brokers: tuple[Any, Any] | None = None,
    size: int = 0,
    real: bool = False,
    tls: bool = False,
    greet: bool = True,
    **options: Any,
) -> Joined:
    """Join a client and a server that publishes `root`.

    `brokers` are two that a test or a factory has made, the client first; without it they are made
    with `options` as attributes. `size` is that of the pieces in which bytes arrive, 0 for whole.
    """
    if brokers is None:
        brokers = make(True, **options), make(False, **options)
    client, server = brokers
    if root is not None:
        server.setNameForLocal("root", root)
    joined = Joined(client, server, size, Reactor() if real else None, tls)
    joined.connect()
    if greet:
        joined.run()
    return joined
