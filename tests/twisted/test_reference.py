"""Handles on what the other side has."""

import copy
import gc
import pickle
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.persisted.styles import Ephemeral

from pellucid.twisted import flavors, jelly
from pellucid.twisted.errors import (
    DeadReferenceError,
    InsecureJelly,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
)
from pellucid.twisted.interfaces import IJellyable, IUnjellyable
from pellucid.twisted.reference import (
    RemoteCacheMethod,
    RemoteCacheObserver,
    RemoteMethod,
    RemoteReference,
)
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Joined, failure_of, result


class Thing(flavors.Referenceable):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def remote_tell(self, value: Any) -> int:
        self.heard.append(value)
        return len(self.heard)


class Root(Thing, flavors.Root):
    def __init__(self) -> None:
        super().__init__()
        self.thing = Thing()
        self.kept: list[Any] = []

    def remote_thing(self) -> Thing:
        return self.thing

    def remote_things(self) -> list[Thing]:
        return [self.thing, self.thing, Thing()]

    def remote_is_thing(self, value: Any) -> bool:
        return value is self.thing

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_any(self, /, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def remote_keep(self, value: Any) -> None:
        self.kept.append(value)

    def remote_fail(self) -> None:
        raise KeyError("it failed")

    def remote_cache(self) -> Any:
        return self.cache

    cache: Any = None


# One reference for one object.


def test_the_same_object_is_the_same_reference(join: Join, piece: int) -> None:
    joined = join(Root(), size=piece)
    first = joined.ask("thing")
    again, twice, other = joined.ask("things")
    assert first is again is twice
    assert other is not first
    assert other != first
    assert joined.ask("is_thing", first) is True
    assert joined.ask("is_thing", other) is False
    assert [local.refcount for local in joined.server.localObjects.values()] == [1, 3, 1]
    del first, again, twice, other
    joined.prove_empty()


def test_a_reference_tells_what_it_is(join: Join) -> None:
    joined = join(Root())
    reference = joined.ask("thing")
    assert isinstance(reference, RemoteReference)
    assert isinstance(reference, flavors.Serializable)
    assert IJellyable.providedBy(reference)
    assert IUnjellyable.providedBy(reference)
    assert reference.broker is joined.client
    assert reference.luid == 1
    assert reference.perspective is None
    assert reference.doRefCount == 1
    assert repr(reference) == "<twisted.spread.pb.RemoteReference 1>"
    assert repr(joined.root) == "<twisted.spread.pb.RemoteReference root>"
    assert RemoteReference.__module__ == "twisted.spread.pb"


def test_references_compare_and_hash(join: Join) -> None:
    joined, elsewhere = join(Root()), join(Root())
    first, _, second = joined.ask("things")
    far = elsewhere.ask("thing")
    root = joined.root
    assert root == joined.root
    assert hash(root) == hash(joined.root)
    assert far.luid == first.luid
    for one in (first, second, root, far):
        others = [other for other in (first, second, root, far) if other is not one]
        assert one not in others
        for stranger in (None, 1, "x", joined.client):
            assert (one == stranger) is False
            assert (one != stranger) is True
            assert one not in [stranger]
    assert len({first, second, root, far, joined.root}) == 4
    assert sorted([second, root, first]) == [first, second, root]
    assert first < second <= root
    assert root > first
    assert sorted([far, first]) == sorted([first, far])
    with pytest.raises(TypeError):
        assert first < 5


def test_the_other_side_hears_when_the_last_use_goes(join: Join) -> None:
    joined = join(Root())
    reference = joined.ask("thing")
    again = joined.ask("thing")
    del reference
    gc.collect()
    joined.run()
    assert 1 in joined.server.localObjects
    del again
    gc.collect()
    # No one has written anything since.
    joined.step()
    assert 1 not in joined.server.localObjects


def test_names_are_not_counted(join: Join) -> None:
    joined = join(Root())
    before = joined.client_wire.written
    root = joined.root
    assert root.doRefCount == 0
    del root
    gc.collect()
    joined.run()
    assert joined.client_wire.written == before


def test_another_connection_refuses_it(join: Join) -> None:
    joined, elsewhere = join(Root()), join(Root())
    reference = joined.ask("thing")
    failure = failure_of(elsewhere.root.callRemote("is_thing", reference))
    assert failure.type is InsecureJelly
    assert elsewhere.ask("is_thing", None) is False


def test_it_is_never_stored(join: Join) -> None:
    joined = join(Root())
    reference = joined.ask("thing")
    for made in (pickle.loads(pickle.dumps(reference)), copy.copy(reference)):
        assert type(made) is Ephemeral
    assert jelly.jelly([reference])[1][0] == b"unpersistable"


# Calls.


@pytest.mark.parametrize("name", ["tell", b"tell"])
def test_a_call(join: Join, name: str | bytes, piece: int) -> None:
    root = Root()
    joined = join(root, size=piece)
    call = joined.root.callRemote(name, 5)
    assert isinstance(call, Deferred)
    assert list(joined.client.waitingForAnswers.values()) == [call]
    joined.run()
    assert result(call) == 1
    assert root.heard == [5]
    assert joined.client.waitingForAnswers == {}


def test_every_keyword_but_three_is_the_methods(join: Join) -> None:
    joined = join(Root())
    keywords = {"_name": 1, "self": 2, "name": 3, "key": 4, "broker": 5, "message": 6}
    assert joined.ask("any", 0, **keywords) == ((0,), keywords)


def test_no_answer(join: Join) -> None:
    root = Root()
    joined = join(root)
    for wanted in (False, 0, None):
        assert joined.root.callRemote("tell", wanted, pbanswer=wanted) is None
    assert joined.client.waitingForAnswers == {}
    before = joined.server_wire.written
    joined.run()
    assert root.heard == [False, 0, None]
    assert joined.server_wire.written == before
    call = joined.root.callRemote("tell", True, pbanswer=True)
    joined.run()
    assert result(call) == 4


def test_callbacks_by_keyword(join: Join) -> None:
    joined = join(Root())
    told: list[Any] = []
    joined.root.callRemote("tell", 1, pbcallback=told.append)
    joined.root.callRemote("tell", 1, pbcallback=told.append, pberrback=told.append)
    call = joined.root.callRemote("tell", 1, pberrback=told.append)
    joined.run()
    assert told == [1, 2]
    assert result(call) == 3
    joined.root.callRemote("nothing", pberrback=told.append)
    joined.root.callRemote("nothing", pbcallback=told.append, pberrback=told.append)
    joined.run()
    assert [bool(failure.check(NoSuchMethod)) for failure in told[2:]] == [True, True]
    with pytest.raises(TypeError, match="call back"):
        joined.root.callRemote("tell", 1, pbanswer=False, pbcallback=told.append)
    assert len(told) == 4


@pytest.fixture(autouse=True)
def _expected(request: pytest.FixtureRequest, logged: Logged) -> Any:
    """The server logs what it does not know."""
    yield
    if "callbacks_by_keyword" in request.node.name:
        assert len(logged.take(NoSuchMethod)) == 2


@pytest.mark.parametrize(
    ("name", "kind"), [(5, TypeError), (None, TypeError), (b"\xff", UnicodeDecodeError)]
)
@pytest.mark.parametrize("keywords", [{}, {"pbanswer": False}])
def test_what_is_no_name_fails_the_deferred(
    join: Join, name: Any, kind: type[Exception], keywords: Any
) -> None:
    joined = join(Root())
    assert failure_of(joined.root.callRemote(name, **keywords)).type is kind
    assert joined.ask("tell", 1) == 1


@pytest.mark.parametrize("keywords", [{}, {"pbanswer": False}])
def test_what_may_not_be_sent_fails_the_deferred(join: Join, keywords: Any) -> None:
    joined = join(Root())
    thing = Thing()
    failure = failure_of(joined.root.callRemote("tell", [thing, object()], **keywords))
    assert failure.type is InsecureJelly
    assert "arguments[0][1]" in str(failure.value)
    assert joined.client.waitingForAnswers == {}
    joined.prove_empty()


class Breaking(flavors.Copyable):
    def getStateToCopy(self) -> Any:
        raise ZeroDivisionError("no state")


def test_what_a_hook_raises_fails_the_deferred_as_it_is(join: Join) -> None:
    joined = join(Root())
    assert failure_of(joined.root.callRemote("tell", Breaking())).type is ZeroDivisionError
    assert joined.ask("tell", 1) == 1


def test_a_call_on_a_dead_reference_raises_at_once(join: Join) -> None:
    joined = join(Root())
    reference, waiting = joined.ask("thing"), joined.root.callRemote("tell", 1)
    joined.lose()
    failure = failure_of(waiting)
    assert failure.type is PBConnectionLost
    assert failure.value.args == (joined.client._lost_reason,)
    for dead in (reference, joined.root):
        for keywords in ({}, {"pbanswer": False}, {"pbcallback": print}):
            with pytest.raises(DeadReferenceError, match=r"^Calling Stale Broker$"):
                dead.callRemote("tell", 1, **keywords)


class Ending(flavors.Copyable):
    def __init__(self, end: Any) -> None:
        self.end = end

    def getStateToCopy(self) -> Any:
        self.end()
        return {}


@pytest.mark.parametrize("keywords", [{}, {"pbanswer": False}])
def test_a_connection_that_ends_while_a_call_is_written(join: Join, keywords: Any) -> None:
    joined = join(Root())
    with pytest.raises(DeadReferenceError, match="Stale"):
        joined.root.callRemote("tell", Ending(joined.lose), **keywords)


def test_a_call_before_the_dialect_is_agreed(join: Join) -> None:
    joined = join(Root(), greet=False)
    assert failure_of(joined.root.callRemote("tell", 1)).type is ProtocolError
    joined.run()
    assert joined.ask("tell", 1) == 1


def test_a_failure_of_the_other_side(join: Join, logged: Logged) -> None:
    joined = join(Root())
    call = joined.root.callRemote("fail")
    joined.run()
    failure = failure_of(call)
    assert failure.check(KeyError) is KeyError
    assert failure.type == "builtins.KeyError"
    with pytest.raises(RemoteError, match="it failed"):
        failure.raiseException()
    assert len(logged.take(KeyError)) == 1


class Seen(flavors.Copyable, flavors.RemoteCopy):
    def getStateToCopyFor(self, perspective: Any) -> Any:
        return {"seen_by": None if perspective is None else perspective.name}


jelly.setUnjellyableForClass(Seen, Seen)


class Person:
    name = "somebody"


def test_a_call_is_made_on_behalf_of_whom_the_reference_is_for(join: Join) -> None:
    root = Root()
    joined = join(root)
    reference = RemoteReference(Person(), joined.client, b"root", 0)
    reference.callRemote("tell", Seen())
    joined.root.callRemote("tell", Seen())
    joined.run()
    assert [seen.seen_by for seen in root.heard] == ["somebody", None]


# The end.


def test_the_end_of_the_connection_is_told(join: Join, logged: Logged) -> None:
    joined = join(Root())
    told: list[Any] = []
    reference = joined.ask("thing")

    def fails(_: Any) -> None:
        raise KeyError("x")

    def never(_: Any) -> None:
        raise AssertionError

    reference.notifyOnDisconnect(never)
    assert reference._disconnected in joined.client.disconnects
    assert never in reference.disconnectCallbacks
    reference.dontNotifyOnDisconnect(never)
    reference.dontNotifyOnDisconnect(never)
    assert reference._disconnected not in joined.client.disconnects
    assert never not in reference.disconnectCallbacks
    reference.notifyOnDisconnect(fails)
    reference.notifyOnDisconnect(told.append)
    reference.notifyOnDisconnect(told.append)
    reference.dontNotifyOnDisconnect(told.append)
    joined.client.notifyOnDisconnect(lambda: told.append("broker"))
    joined.lose()
    assert told == [reference, "broker"]
    assert len(logged.take(KeyError)) == 1
    reference.notifyOnDisconnect(told.append)
    assert told[2:] == [reference]
    reference.dontNotifyOnDisconnect(told.append)
    with pytest.raises(TypeError):
        reference.notifyOnDisconnect(5)
    reference.notifyOnDisconnect(fails)
    assert len(logged.take(KeyError)) == 1


def test_a_reference_lives_as_long_as_somebody_wants_to_hear(join: Join) -> None:
    joined = join(Root())
    told: list[Any] = []
    joined.ask("thing").notifyOnDisconnect(told.append)
    gc.collect()
    joined.run()
    assert 1 in joined.server.localObjects
    joined.lose()
    assert isinstance(told[0], RemoteReference)


# Hooks that are called by hand.


class _Jellier:
    def __init__(self, invoker: Any) -> None:
        self.invoker = invoker


def test_jelly_for(join: Join) -> None:
    joined, elsewhere = join(Root()), join(Root())
    reference = joined.ask("thing")
    assert list(reference.jellyFor(_Jellier(joined.client))) == [b"local", 1]
    assert reference.jellyFor(_Jellier(None))[0] == b"unpersistable"
    with pytest.raises(InsecureJelly):
        reference.jellyFor(_Jellier(elsewhere.client))


def test_unjelly_for(join: Join) -> None:
    root = Root()
    joined = join(root)
    luid = joined.server.registerReference(root.thing)
    made = RemoteReference.__new__(RemoteReference)
    joined.client.unserializingPerspective = whose = object()
    assert made.unjellyFor(_Jellier(joined.client), [b"remote", luid]) is made
    assert made.perspective is whose
    assert (made.luid, made.broker, made.doRefCount) == (luid, joined.client, 1)
    other = joined.ask("thing")
    assert made == other
    assert made is not other
    assert joined.ask("is_thing", made) is True
    del made
    gc.collect()
    joined.run()
    assert joined.server.localObjects[luid].refcount == 1
    del other
    joined.prove_empty()


def test_one_made_by_hand_outlives_its_connection(join: Join) -> None:
    joined = join(Root())
    luid = joined.server.registerReference(Thing())
    made = RemoteReference(None, joined.client, luid, 1)
    joined.lose()
    del made
    gc.collect()
    assert joined.client._owed == {}


# Methods.


def test_remote_methods(join: Join) -> None:
    joined = join(Root())
    reference = joined.ask("thing")
    tell = reference.remoteMethod("tell")
    assert isinstance(tell, RemoteMethod)
    call = tell(7)
    joined.run()
    assert result(call) == 1
    same = (reference.remoteMethod(b"tell"), RemoteMethod(reference, "tell"))
    others = (reference.remoteMethod("other"), joined.root.remoteMethod("tell"))
    for one in same:
        assert one == tell
        assert hash(one) == hash(tell)
    for one in others:
        assert one != tell
    assert tell != ("tell", reference)
    assert sorted([tell, others[0]]) == [others[0], tell]
    with pytest.raises(TypeError):
        assert tell < 5
    assert tell.name == "tell"
    assert tell.obj is reference
    assert repr(tell) == f"<twisted.spread.pb.RemoteMethod tell of {reference!r}>"


# Copies of caches.


class Stock(flavors.Cacheable):
    def __init__(self) -> None:
        self.observers: list[Any] = []
        self.stopped: list[Any] = []

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.observers.append(observer)
        return {"told": []}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.stopped.append(observer)
        self.observers.remove(observer)


class RemoteStock(flavors.RemoteCache):
    told: list[Any]

    def observe_tell(self, value: Any) -> int:
        self.told.append(value)
        return len(self.told)


jelly.setUnjellyableForClass(Stock, RemoteStock)


def stocked(join: Join) -> tuple[Joined, Stock]:
    root = Root()
    root.cache = Stock()
    return join(root), root.cache


def test_an_observer_tells_the_copy(join: Join) -> None:
    joined, stock = stocked(join)
    kept = joined.ask("cache")
    (observer,) = stock.observers
    assert isinstance(observer, RemoteCacheObserver)
    assert (observer.broker, observer.cached) == (joined.server, stock)
    assert observer.perspective is None
    assert "RemoteCacheObserver of a Stock" in repr(observer)
    call = observer.callRemote("tell", 1)
    observer.callRemote(b"tell", 2, pbanswer=False)
    method = observer.remoteMethod("tell")
    assert isinstance(method, RemoteCacheMethod)
    again = method(3)
    joined.run()
    assert (result(call), result(again)) == (1, 3)
    assert kept.told == [1, 2, 3]
    assert type(pickle.loads(pickle.dumps(observer))) is Ephemeral


def test_observers_of_one_cache_on_two_connections(join: Join) -> None:
    root = Root()
    root.cache = stock = Stock()
    first, second = join(root), join(root)
    kept = [first.ask("cache"), second.ask("cache")]
    one, other = stock.observers
    assert one != other
    assert one == RemoteCacheObserver(first.server, stock, None)
    assert hash(one) == hash(RemoteCacheObserver(first.server, stock, None))
    assert one != RemoteCacheObserver(first.server, stock, object())
    assert one != RemoteCacheObserver(first.server, Stock(), None)
    assert one != 5
    assert len({one, other}) == 2
    kept.pop()
    gc.collect()
    second.run()
    assert stock.observers == [one]
    first.lose()
    assert stock.observers == []
    assert stock.stopped == [other, one]


def test_an_observer_that_stopped(join: Join) -> None:
    joined, stock = stocked(join)
    joined.ask("cache")
    (observer,) = stock.observers
    gc.collect()
    joined.run()
    assert stock.observers == []
    with pytest.raises(ProtocolError, match="no copy") as raised:
        observer.callRemote("tell", 1)
    assert not isinstance(raised.value, DeadReferenceError)
    joined.lose()
    with pytest.raises(DeadReferenceError, match="Stale"):
        observer.callRemote("tell", 1)


def test_one_may_be_told_something_while_it_stops(join: Join) -> None:
    root = Root()
    calls: list[Any] = []

    class Telling(Stock):
        def getTypeToCopy(self) -> str:
            return f"{__name__}.Stock"

        def stoppedObserving(self, perspective: Any, observer: Any) -> None:
            calls.append(observer.callRemote("tell", "the end"))

    root.cache = Telling()
    joined = join(root)
    kept = joined.ask("cache")
    told = kept.told
    del kept
    gc.collect()
    joined.run()
    assert result(calls[0]) == 1
    assert told == ["the end"]


def test_an_observer_that_is_made_by_hand(join: Join) -> None:
    joined, stock = stocked(join)
    made = RemoteCacheObserver(joined.server, stock, None)
    method = RemoteCacheMethod(b"tell", joined.server, stock, None)
    for call in (made.callRemote, method):
        with pytest.raises(ProtocolError, match="no copy"):
            call("tell", 1)
    kept = joined.ask("cache")
    made.callRemote("tell", 1)
    method(2)
    joined.run()
    assert kept.told == [1, 2]
    del kept
    gc.collect()
    joined.run()
    kept = joined.ask("cache")
    made.callRemote("tell", 3)
    joined.run()
    assert kept.told == [3]


def test_methods_of_copies_compare(join: Join) -> None:
    joined, stock = stocked(join)
    kept = joined.ask("cache")
    (observer,) = stock.observers
    method = observer.remoteMethod("tell")
    same = RemoteCacheMethod("tell", joined.server, stock, None)
    assert method == same
    assert hash(method) == hash(same)
    assert method != observer.remoteMethod("other")
    assert method != RemoteCacheMethod("tell", joined.client, stock, None)
    assert method != 5
    assert sorted([method, observer.remoteMethod("a")])[0].name == "a"
    with pytest.raises(TypeError):
        assert method < 5
    assert "RemoteCacheMethod tell of a Stock" in repr(method)
    assert kept.told == []


def test_one_that_ends_a_program_keeps_no_other_from_hearing(join: Join, logged: Logged) -> None:
    joined = join(Root())
    told: list[Any] = []
    reference = joined.ask("thing")

    def leaves(_: Any) -> None:
        raise SystemExit

    reference.notifyOnDisconnect(leaves)
    reference.notifyOnDisconnect(told.append)
    joined.lose()
    assert told == [reference]
    assert len(logged.take(SystemExit)) == 1
