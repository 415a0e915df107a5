# mypy: disable-error-code="no-untyped-call"
"""A connection: its beginning, the turns in which what arrived is seen to, its end."""

import gc
import threading
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import FileWrapper, connectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from pellucid.banana import encode
from pellucid.errors import LimitExceeded
from pellucid.limits import Limits
from pellucid.twisted import broker as module
from pellucid.twisted import flavors, jelly
from pellucid.twisted.broker import Broker
from pellucid.twisted.errors import (
    BananaError,
    DeadReferenceError,
    Error,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
)
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Factory, Joined, Reactor, Wire, failure_of, make, result


class Thing(flavors.Referenceable):
    pass


class Root(flavors.Root):
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.later: list[Deferred[Any]] = []
        self.kept: list[Any] = []

    def remote_hear(self, value: Any) -> int:
        self.heard.append(value)
        return len(self.heard)

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_later(self) -> Deferred[Any]:
        self.later.append(Deferred())
        return self.later[-1]

    def remote_thing(self) -> Thing:
        return Thing()

    def remote_keep(self, value: Any) -> None:
        self.kept.append(value)

    def remote_back(self, reference: Any, name: str, *args: Any) -> Any:
        return reference.callRemote(name, *args)


def hear(joined: Joined, count: int, first: int = 0) -> list[Any]:
    return [joined.root.callRemote("hear", n) for n in range(first, first + count)]


# The beginning.


@pytest.mark.parametrize("dialects", [[b"pb", b"none"], [b"none"], [b"pb"]])
def test_the_dialect_that_both_know(join: Join, dialects: list[bytes], piece: int) -> None:
    joined = join(Root(), knownDialects=dialects, size=piece)
    for broker in (joined.client, joined.server):
        assert broker.currentDialect == dialects[0]
    assert joined.server_wire.written.startswith(encode(dialects, "none"))
    version = encode([b"version", 6], dialects[0].decode())
    assert joined.client_wire.written == encode(dialects[0], "none") + version
    assert joined.ask("echo", "x") == "x"


def test_of_several_dialects_the_one_that_the_client_knows(join: Join) -> None:
    client = make(True, knownDialects=[b"none", b"other"])
    joined = join(Root(), brokers=(client, make(False)))
    assert joined.server.currentDialect == b"none"
    assert joined.ask("echo", 1) == 1


def test_no_dialect_in_common(join: Join, logged: Logged) -> None:
    client = make(True, knownDialects=[b"other"])
    joined = join(Root(), brokers=(client, make(False)))
    assert joined.client_wire.disconnecting
    assert joined.lost
    assert "the server offers no dialect that is known here" in logged.text
    reason = joined.client._lost_reason
    assert reason.type is ProtocolError
    assert joined.client.currentDialect is None


def test_a_protocol_of_twisted() -> None:
    broker = Broker()
    assert IProtocol.providedBy(broker)
    assert (broker.version, broker.username, broker.factory) == (6, None, None)
    assert (broker.isClient, Broker(0).isClient) == (1, 0)
    assert broker.security is jelly.globalSecurity
    own = jelly.SecurityOptions()
    assert Broker(1, own).security is own
    assert broker.connects == broker.disconnects == broker.failures == []
    assert broker.disconnected == 0
    assert broker._localCleanup == {}
    assert repr(broker) == "<twisted.spread.pb.Broker opening, of the client>"
    assert Broker.__module__ == "twisted.spread.pb"


def test_it_tells_what_it_is(join: Join) -> None:
    joined = join(Root())
    assert repr(joined.server) == "<twisted.spread.pb.Broker open, of the server>"
    joined.lose()
    assert repr(joined.server) == "<twisted.spread.pb.Broker closed, of the server>"


def test_a_subclass_may_look_at_the_beginning_and_the_end(join: Join, logged: Logged) -> None:
    told: list[str] = []

    class Mine(Broker):
        limits = Limits(calls_pending=3)

        def connectionReady(self) -> None:
            told.append("ready")
            super().connectionReady()
            raise KeyError("x")

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            told.append("lost")
            super().connectionLost(reason)

    joined = join(Root(), kind=Mine)
    assert told == ["ready", "ready"]
    assert len(logged.take(KeyError)) == 2
    assert joined.client.factory.made == [joined.client]
    calls = hear(joined, 4)
    assert failure_of(calls.pop()).value.limit == "calls_pending"
    joined.run()
    assert [result(call) for call in calls] == [1, 2, 3]
    joined.lose()
    assert told[2:] == ["lost", "lost"]


def test_a_server_may_call_before_it_has_heard_from_the_client(join: Join) -> None:
    joined = join(Root(), greet=False)
    joined.client.setNameForLocal("mine", Root())
    call = joined.server.remoteForName("mine").callRemote("echo", ["list", "tuple"])
    joined.run()
    assert result(call) == ["list", "tuple"]


# Time.


def test_an_opening_has_its_time(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True, greet=False, limits=Limits(handshake_time=5))
    assert joined.reactor is not None
    told: list[Any] = []
    joined.server.notifyOnDisconnect(lambda: told.append(joined.server._lost_reason.value))
    joined.reactor.turn(4.9)
    before = joined.server_wire.aborted
    joined.reactor.turn(0.1)
    assert (before, joined.server_wire.aborted) == (False, True)
    assert "no dialect was agreed within 5 s" in logged.text
    joined.run()
    assert [type(error) for error in told] == [ProtocolError]


def test_an_opening_that_is_through_has_all_time(join: Join) -> None:
    joined = join(Root(), real=True)
    assert joined.reactor is not None
    joined.reactor.turn(1000)
    assert joined.ask("echo", 1) == 1
    assert joined.reactor.is_idle


def test_a_lost_connection_leaves_no_timer(join: Join) -> None:
    joined = join(Root(), real=True, greet=False)
    assert joined.reactor is not None
    assert not joined.reactor.is_idle
    joined.lose()
    assert joined.reactor.is_idle


def test_answers_do_not_wait_for_acknowledgements(join: Join) -> None:
    assert join(Root(), real=True).server_wire.no_delay
    assert join(Root(), real=True, tls=True).client_wire.no_delay


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_what_is_no_tcp_need_not_know_of_that(error: type[Exception]) -> None:
    class Unix(Wire):
        def setTcpNoDelay(self, enabled: bool) -> None:
            raise error

    broker, wire = make(False), Unix(Reactor())
    broker.makeConnection(wire)
    assert wire.written
    broker.connectionLost(Failure(ConnectionDone()))


# Turns.


def test_so_many_calls_start_in_one_iteration(join: Join) -> None:
    root = Root()
    joined = join(root, real=True, limits=Limits(calls_per_turn=10))
    assert joined.reactor is not None
    calls = hear(joined, 35)
    joined.server.dataReceived(joined.client_wire.take())
    for count in (10, 20, 30):
        assert len(root.heard) == count
        assert not joined.server_wire.reads
        joined.reactor.turn()
    assert root.heard == list(range(35))
    assert joined.server_wire.reads
    joined.run()
    assert [result(call) for call in calls] == list(range(1, 36))


def test_answers_do_not_count(join: Join) -> None:
    joined = join(Root(), real=True, limits=Limits(calls_per_turn=1))
    calls = hear(joined, 20)
    while joined.server_wire.writes < 22:
        joined.deliver(joined.server, joined.client_wire.take())
        assert joined.reactor is not None
        joined.reactor.turn()
    joined.client.dataReceived(joined.server_wire.take())
    assert [result(call) for call in calls] == list(range(1, 21))


def test_a_few_calls_cost_no_iteration(join: Join) -> None:
    joined = join(Root(), real=True)
    assert joined.reactor is not None
    for n in range(40):
        hear(joined, 1, n)
        joined.deliver(joined.server, joined.client_wire.take())
    assert joined.reactor.is_idle
    hear(joined, 20, 40)
    joined.deliver(joined.server, joined.client_wire.take())
    assert not joined.reactor.is_idle


def test_without_a_reactor_all_start_at_once(join: Join) -> None:
    root = Root()
    joined = join(root, limits=Limits(calls_per_turn=10))
    hear(joined, 500)
    joined.server.dataReceived(joined.client_wire.take())
    assert len(root.heard) == 500
    joined.run()


def test_what_came_before_the_end_is_still_started(join: Join) -> None:
    root = Root()
    joined = join(root, real=True, limits=Limits(calls_per_turn=10))
    for n in range(35):
        joined.root.callRemote("hear", n, pbanswer=False)
    joined.server.dataReceived(joined.client_wire.take())
    assert len(root.heard) == 10
    joined.lose()
    assert root.heard == list(range(35))


def test_calls_wait_while_too_many_run(join: Join) -> None:
    root = Root()
    joined = join(root, limits=Limits(calls_running=2))
    calls = [joined.root.callRemote("later") for _ in range(5)]
    joined.run()
    assert len(root.later) == 2
    for n in range(5):
        root.later[n].callback(n)
        assert len(root.later) == min(n + 3, 5)
    joined.run()
    assert [result(call) for call in calls] == [0, 1, 2, 3, 4]


def test_the_same_on_a_reactor(join: Join) -> None:
    root = Root()
    joined = join(root, real=True, limits=Limits(calls_running=2))
    calls = [joined.root.callRemote("later") for _ in range(5)]
    for n in range(5):
        joined.run()
        root.later[n].callback(n)
    joined.run()
    assert [result(call) for call in calls] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("real", [False, True])
def test_reading_stops_while_too_much_waits(join: Join, real: bool) -> None:
    root = Root()
    server = make(False, limits=Limits(calls_running=1, calls_waiting=10))
    joined = join(root, real=real, brokers=(make(True), server))
    calls = [joined.root.callRemote("later") for _ in range(30)]
    joined.run()
    reads = [joined.server_wire.reads]
    for n in range(30):
        root.later[n].callback(n)
        joined.run()
    reads.append(joined.server_wire.reads)
    assert reads == [False, True]
    assert [result(call) for call in calls] == list(range(30))


def test_bytes_that_arrive_while_a_method_runs(join: Join) -> None:
    root = Root()
    joined = join(root)
    told: list[Any] = []

    def delivering(value: Any) -> Any:
        told.append(value)
        joined.server.dataReceived(joined.client_wire.take())
        return value

    root.remote_deliver = delivering  # type: ignore[attr-defined]
    first = joined.root.callRemote("deliver", 1)
    data = joined.client_wire.take()
    second = joined.root.callRemote("hear", 2)
    joined.server.dataReceived(data)
    joined.run()
    assert (result(first), result(second)) == (1, 1)
    assert (told, root.heard) == ([1], [2])


def test_calls_both_ways_within_a_call(join: Join, piece: int) -> None:
    joined = join(Root(), size=piece)
    mine = Root()
    assert joined.ask("back", mine, "hear", "x") == 1
    assert mine.heard == ["x"]
    joined.prove_empty()


# Releases.


def test_a_finalizer_never_writes_on_a_reactor(join: Join) -> None:
    joined = join(Root(), real=True)
    reference = joined.ask("thing")
    before = joined.client_wire.written
    del reference
    gc.collect()
    assert joined.client_wire.written == before
    assert joined.reactor is not None
    assert len(joined.reactor.from_threads) == 1
    joined.reactor.turn()
    assert joined.client_wire.written != before
    joined.run()
    assert set(joined.server.localObjects) == {b"root"}


def test_finalizers_wake_the_reactor_once(join: Join) -> None:
    joined = join(Root(), real=True)
    assert joined.reactor is not None
    kept = [joined.ask("thing") for _ in range(3)]
    joined.client_wire.reads = False
    kept.pop()
    # What this finds is not released yet, and has woken it already.
    joined.client._core.releases.take(0)
    kept.pop()
    assert len(joined.reactor.from_threads) == 1
    kept.clear()
    joined.client_wire.reads = True
    joined.lose()
    assert len(joined.reactor.from_threads) == 1
    joined.reactor.turn()


@pytest.mark.parametrize("real", [False, True])
def test_a_finalizer_in_another_thread(join: Join, real: bool) -> None:
    joined = join(Root(), real=real)
    kept = [joined.ask("thing")]
    before = joined.client_wire.written
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert joined.client_wire.written == before
    # In memory it leaves with what is written next.
    joined.ask("echo", 1)
    assert set(joined.server.localObjects) == {b"root"}


def test_a_reference_that_dies_in_a_turn_leaves_with_it(join: Join) -> None:
    joined = join(Root(), real=True)
    joined.root.callRemote("thing")
    joined.run()
    gc.collect()
    joined.run()
    assert set(joined.server.localObjects) == {b"root"}


# Too many references.


def test_too_many_references(join: Join) -> None:
    joined = join(Root(), limits=Limits(references_exported=3))
    kept = [joined.ask("thing"), joined.ask("thing")]
    for n in range(4):
        call = joined.root.callRemote("thing")
        joined.client_wire.reads = n < 3
        joined.step()
        text = "Maximum PB reference count exceeded." + ("" if n < 3 else "  Goodbye.")
        joined.client_wire.reads = True
        joined.deliver(joined.client, joined.server_wire.take())
        failure = failure_of(call)
        assert failure.check(Error)
        assert failure.getErrorMessage() == text
        assert joined.server_wire.disconnecting is (n == 3)
    joined.run()
    assert joined.lost
    assert len(kept) == 2


@pytest.mark.parametrize("real", [False, True])
def test_too_many_references_a_moment_later(join: Join, real: bool) -> None:
    root = Root()
    joined = join(root, real=real, limits=Limits(references_exported=1))
    calls = [joined.root.callRemote("later") for _ in range(5)]
    joined.run()
    for later in root.later[:4]:
        later.callback(Thing())
    joined.run()
    texts = [failure_of(call).getErrorMessage() for call in calls[:4]]
    assert texts == ["Maximum PB reference count exceeded."] * 3 + [
        "Maximum PB reference count exceeded.  Goodbye."
    ]
    assert joined.lost
    assert failure_of(calls[4]).type is PBConnectionLost


def test_too_many_references_of_ones_own(join: Join) -> None:
    joined = join(Root(), real=True, limits=Limits(references_exported=2))
    joined.ask("keep", [Thing(), Thing()])
    for n in range(4):
        call = joined.root.callRemote("keep", Thing())
        text = "Maximum PB reference count exceeded." + ("" if n < 3 else "  Goodbye.")
        failure = failure_of(call)
        assert (failure.type, failure.getErrorMessage()) == (Error, text)
    joined.run()
    assert joined.lost


def test_the_bound_is_twisteds_unless_another_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_BROKER_REFS == 1024
    limits = Broker()._core.limits
    assert (limits.references_exported, limits.caches_exported) == (1025, 1025)
    monkeypatch.setattr(module, "MAX_BROKER_REFS", 5)
    limits = Broker()._core.limits
    assert (limits.references_exported, limits.caches_exported) == (6, 6)
    own = Broker()
    own.limits = Limits(references_exported=77)
    assert own._core.limits.references_exported == 77


def test_published_names_count(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BROKER_REFS", 5)
    joined = join(Root())
    kept = [joined.ask("thing") for _ in range(5)]
    call = joined.root.callRemote("thing")
    joined.run()
    assert failure_of(call).check(Error)
    assert len(kept) == 5
    joined.client.setNameForLocal("a", Thing())
    joined.client.setNameForLocal("a", Thing())
    assert joined.client._core.ledger.used("references_exported") == 1


# The end.


class Stock(flavors.Cacheable):
    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def getStateToCopy(self) -> Any:
        return {}

    def stoppedObserving(self, perspective: Any, observer: Any) -> Any:
        self.told.append("stopped observing")
        with pytest.raises(DeadReferenceError):
            observer.callRemote("anything")


class RemoteStock(flavors.RemoteCache):
    pass


jelly.setUnjellyableForClass(Stock, RemoteStock)


def test_who_hears_of_the_end_in_which_order(join: Join) -> None:
    told: list[Any] = []
    joined = join(Root())
    joined.ask("keep", Stock(told))
    calls = [joined.root.callRemote("later") for _ in range(2)]

    def lost(failure: Failure) -> None:
        assert joined.client.disconnected
        with pytest.raises(DeadReferenceError):
            joined.root.callRemote("echo", 1)
        told.append(failure.value)

    for call in calls:
        call.addErrback(lost)
    joined.client.notifyOnDisconnect(lambda: told.append("first"))
    joined.client.notifyOnDisconnect(lambda: told.append("second"))
    joined.lose(ConnectionLost("the cable"))
    first, second, *others = told
    assert others == ["stopped observing", "first", "second"]
    reason = joined.client._lost_reason
    for error in (first, second):
        assert type(error) is PBConnectionLost
        assert error.args == (reason,)
    assert reason.type is ConnectionLost
    root = joined.server._names
    assert root == {}


@pytest.fixture(autouse=True)
def _answer_what_waits(monkeypatch: pytest.MonkeyPatch, join: Join) -> Any:
    """Methods that still wait hold what they were called with."""
    made: list[Root] = []
    before = Root.__init__

    def remember(self: Root) -> None:
        before(self)
        made.append(self)

    monkeypatch.setattr(Root, "__init__", remember)
    yield
    for root in made:
        for later in root.later:
            if not later.called:
                later.callback(None)


def test_what_happens_while_one_hears_of_the_end(join: Join) -> None:
    joined = join(Root())
    told: list[int] = []

    def again(failure: Failure) -> None:
        joined.client.connectionLost(Failure(ConnectionDone()))
        told.append(1)

    joined.root.callRemote("later").addErrback(again)
    joined.run()
    joined.lose()
    assert told == [1]
    joined.client.dataReceived(b"\x80\x80\x80")


def test_the_end_from_within_a_call(join: Join) -> None:
    root = Root()
    joined = join(root)
    root.remote_end = joined.lose  # type: ignore[attr-defined]
    call = joined.root.callRemote("end")
    after = joined.root.callRemote("hear", 1)
    joined.run()
    assert failure_of(call).type is failure_of(after).type is PBConnectionLost
    assert root.heard == []


def test_a_slow_stop_is_waited_for(join: Join, logged: Logged) -> None:
    later: Deferred[Any] = Deferred()
    told: list[str] = []

    class Slow(Stock):
        def getTypeToCopy(self) -> str:
            return f"{__name__}.Stock"

        async def stoppedObserving(self, perspective: Any, observer: Any) -> None:
            told.append("begun")
            await later
            told.append("ended")
            raise KeyError("x")

    joined = join(Root())
    written = joined.server.serialize(Slow([]))
    copy = joined.client.unserialize(written)
    before = joined.server_wire.written
    del copy
    gc.collect()
    joined.run()
    assert told == ["begun"]
    assert joined.server_wire.written == before
    later.callback(None)
    joined.run()
    assert told == ["begun", "ended"]
    assert joined.server_wire.written != before
    assert len(logged.take(KeyError)) == 1
    joined.prove_empty()


# What the other side does wrong.


BAD = {
    "type byte": b"\xff",
    "prefix": b"\x01" * 100,
    "no list": encode(5),
    "fields": encode([b"message", 1]),
    "version": encode([b"version", 7], "pb"),
}


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_a_violation_ends_the_connection_in_order(
    join: Join, case: str, real: bool, logged: Logged
) -> None:
    root = Root()
    joined = join(root, real=real)
    waiting, answered = joined.root.callRemote("later"), joined.root.callRemote("hear", 1)
    mine = joined.server.remoteForName("x").callRemote("y")
    joined.client_wire.out.append(BAD[case])
    late = joined.root.callRemote("hear", 2)
    joined.server.dataReceived(joined.client_wire.take())
    # What was answered before still leaves.
    assert joined.server_wire.disconnecting
    assert joined.server_wire.out
    failure = failure_of(mine)
    assert failure.type is PBConnectionLost
    (reason,) = failure.value.args
    assert issubclass(reason.type, (ProtocolError, BananaError))
    assert joined.server._lost_reason is reason
    assert not joined.server.disconnected
    with pytest.raises(DeadReferenceError):
        joined.server.remoteForName("x").callRemote("y")
    joined.run()
    assert result(answered) == 1
    assert root.heard == [1]
    assert failure_of(waiting).type is failure_of(late).type is PBConnectionLost
    assert joined.server.disconnected
    assert "the connection to 192.0.2.1:8787 was ended" in logged.text
    assert len(logged.take(ProtocolError, BananaError)) == 1


def test_violations_are_not_logged_for_ever(join: Join, logged: Logged) -> None:
    factory = Factory()
    for n in range(12):
        joined = join(Root(), brokers=(make(True), make(False, factory=factory)))
        joined.server.dataReceived(b"\xff")
        joined.run()
        assert joined.lost
        assert len(logged.take()) == (1 if n < 10 else 0)


def test_what_is_cut_off_twice(join: Join) -> None:
    joined = join(Root(), real=True)
    joined.lose()
    joined.client._abort(LimitExceeded("too late", limit="stall_time", value=1))
    assert not joined.client_wire.aborted


def test_who_does_not_close_is_cut_off(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True, limits=Limits(close_time=5))
    assert joined.reactor is not None
    joined.server.dataReceived(b"\xff")
    assert joined.server_wire.disconnecting
    joined.reactor.turn(4.9)
    before = joined.server_wire.aborted
    joined.reactor.turn(0.1)
    assert (before, joined.server_wire.aborted) == (False, True)
    joined.run()
    assert len(logged.take()) == 1


def test_a_mistake_that_costs_nothing_is_logged(join: Join, logged: Logged) -> None:
    joined = join(Root())
    for _ in range(30):
        joined.client.sendCall(b"decref", 99)
    joined.run()
    assert logged.text.count("the peer released a reference that it does not hold") == 10
    assert "192.0.2.1:8787" in logged.text
    assert joined.ask("echo", 1) == 1


class Unreadable(flavors.Copyable):
    def getStateToCopy(self) -> Any:
        return {}


class Reading(flavors.RemoteCopy):
    def setCopyableState(self, state: Any) -> None:
        raise ZeroDivisionError("it was divided")


jelly.setUnjellyableForClass(Unreadable, Reading)


def test_what_a_reader_raises_is_logged_where_it_was_raised(join: Join, logged: Logged) -> None:
    joined = join(Root())
    call = joined.root.callRemote("hear", Unreadable())
    joined.run()
    assert failure_of(call)
    assert len(logged.take(ZeroDivisionError)) == 1


def test_a_result_that_cannot_be_read_fails_its_call(join: Join) -> None:
    root = Root()
    root.remote_unreadable = Unreadable  # type: ignore[attr-defined]
    joined = join(root)
    call = joined.root.callRemote("unreadable")
    joined.run()
    assert failure_of(call).type is ZeroDivisionError
    assert joined.ask("echo", 1) == 1


@pytest.mark.parametrize("value", [[b"None"], 5, [b"list", 1]])
def test_an_error_that_is_no_failure(join: Join, value: Any) -> None:
    joined = join(Root())
    call = joined.root.callRemote("later")
    joined.server.sendCall(b"error", 1, value)
    joined.run()
    failure = failure_of(call)
    assert isinstance(failure.value, RemoteError)
    assert str(failure.value).startswith("the call failed with a value: ")


def test_a_result_that_nobody_can_take(join: Join, logged: Logged) -> None:
    joined = join(Root())
    call = joined.root.callRemote("echo", 1)
    call.callback("too early")
    joined.run()
    assert len(logged.take()) == 1
    assert joined.ask("echo", 2) == 2


# Copies that can't be told.


class Watched(flavors.Cacheable):
    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.observer = observer
        return {}


class RemoteWatched(flavors.RemoteCache):
    def observe_tell(self, value: Any) -> None:
        pass


jelly.setUnjellyableForClass(Watched, RemoteWatched)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("keywords", [{}, {"pbanswer": False}])
def test_a_copy_that_misses_an_update_loses_its_connection(
    join: Join, real: bool, keywords: Any, logged: Logged
) -> None:
    watched = Watched()
    joined = join(Root(), real=real, limits=Limits(calls_pending=1, out_bytes=100_000))
    assert joined.ask("keep", watched) is None
    joined.server_wire.reads = False
    if real:
        watched.observer.callRemote("tell", bytes(300_000), pbanswer=False)
    else:
        waiting = watched.observer.callRemote("tell", 1)
    missed = watched.observer.callRemote("tell", 2, **keywords)
    if real or not keywords:
        failure = failure_of(missed)
        assert failure.type is LimitExceeded
        joined.server_wire.reads = True
        joined.run()
        assert joined.client_wire.aborted
        assert joined.client._lost_reason.type is LimitExceeded
        assert len(logged.take(LimitExceeded)) == 1
    else:
        joined.server_wire.reads = True
        joined.run()
    if not real:
        waiting.addErrback(lambda failure: failure.trap(PBConnectionLost))


# Other transports.


def test_a_transport_of_twisteds_own_tests() -> None:
    broker = Broker(False)
    broker.factory = Factory()
    transport = StringTransport()
    broker.makeConnection(transport)
    assert transport.value() == encode([b"pb", b"none"], "none")
    broker.setNameForLocal("root", Root())
    broker.dataReceived(encode(b"pb", "none") + encode([b"version", 6]))
    message = [b"message", 1, b"root", b"echo", 1, [b"tuple", 5], [b"dictionary"]]
    transport.clear()
    broker.dataReceived(encode(message))
    assert transport.value() == encode([b"answer", 1, 5])
    transport.loseConnection()
    transport.clear()
    broker.dataReceived(encode(message))
    assert transport.value() == encode([b"answer", 1, 5])
    broker.connectionLost(Failure(ConnectionDone()))


def test_a_transport_that_can_do_nothing_but_write(logged: Logged) -> None:
    class Plain:
        written = b""
        closed = False

        def write(self, data: bytes) -> None:
            self.written += data

        def loseConnection(self) -> None:
            self.closed = True

        def getPeer(self) -> Any:
            return "somebody"

    broker = Broker(False)
    broker.limits = Limits(calls_running=1, calls_waiting=1)
    broker.factory = Factory()
    transport = Plain()
    root = Root()
    broker.setNameForLocal("root", root)
    broker.makeConnection(transport)
    broker.dataReceived(encode(b"pb", "none") + encode([b"version", 6]))
    message = [b"message", 1, b"root", b"later", 1, [b"tuple"], [b"dictionary"]]
    for _ in range(5):
        broker.dataReceived(encode(message))
    assert len(root.later) == 1
    for n in range(5):
        root.later[n].callback(n)
    broker.dataReceived(b"\xff")
    assert [transport.closed] == [True]
    assert "the connection to somebody was ended" in logged.text
    assert len(logged.take(ProtocolError, BananaError)) == 1
    broker.connectionLost(Failure(ConnectionDone()))


def test_a_reactor_is_found_through_what_wraps_the_transport() -> None:
    reactor = Reactor()
    wire = Wire(reactor)
    broker = make(False)

    class Making(WrappingFactory[ProtocolWrapper]):
        pass

    class Serving:
        def buildProtocol(self, addr: Any) -> Broker:
            made: Broker = broker
            return made

    wrapper = Making(Serving()).buildProtocol(None)
    wrapper.makeConnection(wire)
    assert broker._reactor is reactor
    assert wire.no_delay
    assert not reactor.is_idle
    wrapper.connectionLost(Failure(ConnectionDone()))
    assert reactor.is_idle


def test_a_file_for_a_transport() -> None:
    class Closed:
        def write(self, data: bytes) -> None:
            raise OSError("closed")

        def close(self) -> None:
            pass

    broker = make(False)
    broker.makeConnection(FileWrapper(Closed()))
    broker.connectionLost(Failure(ConnectionDone()))


def test_an_object_that_cannot_be_told(join: Join, logged: Logged) -> None:
    joined = join(Root())
    joined.server.cacheRemotely(object())
    joined.server.dataReceived(encode([b"decache", 1], "pb"))
    assert len(logged.take(AttributeError)) == 1
    joined.server.cacheRemotely(object())
    joined.lose()
    assert len(logged.take(AttributeError)) == 1


def test_an_error_that_is_a_plain_value() -> None:
    error = module._error_value(5)
    assert str(error) == "the call failed with a value: int"
    failure = Failure(KeyError())
    assert module._error_value(failure) is failure
