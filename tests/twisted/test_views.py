"""What programs see of a connection's tables, and what hooks do with them by hand."""

import gc
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from pellucid.limits import Limits
from pellucid.twisted import flavors, jelly
from pellucid.twisted.broker import Broker
from pellucid.twisted.errors import Error, InsecureJelly, ProtocolError
from pellucid.twisted.reference import RemoteCacheObserver, RemoteReference
from pellucid.twisted.views import Local
from tests.twisted.conftest import Join
from tests.twisted.joined import Joined, failure_of, make, result


class Thing(flavors.Referenceable):
    def remote_name(self) -> str:
        return "thing"


class Proxy(Thing):
    """Stands for a thing."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def processUniqueID(self) -> object:
        return "proxy of", id(self.thing)


class Stock(flavors.Cacheable):
    stopped = 0

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        return {"perspective_was": perspective}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.stopped += 1


class RemoteStock(flavors.RemoteCache):
    def observe_hello(self) -> str:
        return "hello"


jelly.setUnjellyableForClass(Stock, RemoteStock)


class Root(flavors.Root):
    def __init__(self) -> None:
        self.thing = Thing()
        self.stock = Stock()
        self.later: list[Deferred[Any]] = []

    def remote_things(self) -> Any:
        return [self.thing, self.thing]

    def remote_stocks(self) -> Any:
        return self.stock, self.stock

    def remote_stock(self) -> Any:
        return self.stock

    def remote_later(self) -> Any:
        self.later.append(Deferred())
        return self.later[-1]

    def remote_is_thing(self, value: Any) -> bool:
        return value is self.thing


# Objects of this side.


def test_local_objects(join: Join) -> None:
    root = Root()
    joined = join(root)
    kept = joined.ask("things")
    found = joined.server.localObjects
    assert set(found) == {b"root", 1}
    assert (found[1].object, found[1].refcount) == (root.thing, 2)
    assert (found[b"root"].object, found[b"root"].refcount) == (root, 1)
    assert joined.server.luids == {id(root.thing): 1}
    with pytest.raises(TypeError):
        found[2] = root
    kept.clear()
    gc.collect()
    joined.run()
    assert set(joined.server.localObjects) == {b"root"}
    assert joined.server.luids == {}
    joined.lose()
    assert joined.server.localObjects == {}
    assert joined.server.localObjectForID("root") is None


def test_local_object_for_id(join: Join) -> None:
    root = Root()
    joined = join(root)
    kept = joined.ask("things")
    server = joined.server
    assert server.localObjectForID("root") is server.localObjectForID(b"root") is root
    assert server.localObjectForID(1) is root.thing
    for unknown in (2, "thing", None, -1):
        assert server.localObjectForID(unknown) is None
    del kept


def test_names(join: Join) -> None:
    joined = join(Root())
    first, second = Thing(), Thing()
    joined.client.setNameForLocal("thing", first)
    joined.client.setNameForLocal(b"thing", second)
    assert joined.client.localObjectForID("thing") is second
    for name in ("thing", b"thing"):
        reference = joined.server.remoteForName(name)
        assert (reference.luid, reference.broker) == (b"thing", joined.server)
    call = reference.callRemote("name")
    joined.run()
    assert result(call) == "thing"
    call = joined.server.remoteForName("nothing").callRemote("name")
    joined.run()
    assert failure_of(call).check(Error)
    joined.lose()
    joined.client.setNameForLocal("late", first)
    assert joined.client.localObjects == {}


def test_registering_counts(join: Join) -> None:
    joined = join(Root())
    thing = Thing()
    server = joined.server
    luid = server.registerReference(thing)
    assert server.registerReference(thing) == luid
    assert server.registerReference(Thing()) == luid + 1
    assert server.localObjects[luid].refcount == 2
    for known in (luid, luid, luid + 1):
        joined.client.sendDecRef(known)
    joined.run()
    assert set(server.localObjects) == {b"root"}


def test_registering_asks_what_an_object_stands_for(join: Join) -> None:
    joined = join(Root())
    thing = Thing()
    luid = joined.server.registerReference(Proxy(thing))
    assert joined.server.registerReference(Proxy(thing)) == luid
    assert joined.server.luids == {("proxy of", id(thing)): luid}
    for _ in range(2):
        joined.client.sendDecRef(luid)
    joined.run()


def test_registering_has_a_limit(join: Join) -> None:
    joined = join(Root(), limits=Limits(references_exported=2))
    joined.server.registerReference(Thing())
    for n in range(3):
        with pytest.raises(Error, match=r"^Maximum PB reference count exceeded\.$"):
            joined.server.registerReference(Thing())
        assert joined.server.maxBrokerRefsViolations == n + 1
    with pytest.raises(Error, match=r"^Maximum PB reference count exceeded\.  Goodbye\.$"):
        joined.server.registerReference(Thing())
    assert joined.server_wire.disconnecting


# Caches.


def test_remotely_cached_objects(join: Join) -> None:
    root = Root()
    joined = join(root)
    server, client = joined.server, joined.client
    assert server.cachedRemotelyAs(root.stock) is None
    kept = joined.ask("stocks")
    luid = server.cachedRemotelyAs(root.stock)
    assert luid == kept[0].luid
    assert server.remotelyCachedForLUID(luid) is root.stock
    assert server.remotelyCachedLUIDs == {id(root.stock): luid}
    (local,) = server.remotelyCachedObjects.values()
    assert (local.object, local.refcount) == (root.stock, 1)
    assert dict(client.locallyCachedObjects) == {luid: kept[0]}
    assert client.cachedLocallyAs(luid) is kept[0]
    for look_up in (server.remotelyCachedForLUID, client.cachedLocallyAs):
        with pytest.raises(KeyError):
            look_up(luid + 1)
    assert server.cachedRemotelyAs(root.stock, 1) == luid
    assert server.remotelyCachedObjects[luid].refcount == 2
    client.decCacheRef(luid)
    joined.run()
    assert server.remotelyCachedObjects[luid].refcount == 1
    del kept
    gc.collect()
    joined.run()
    assert server.remotelyCachedObjects == server.remotelyCachedLUIDs == {}
    assert client.locallyCachedObjects == {}
    assert root.stock.stopped == 1


class ByHand(Stock):
    """Writes itself as programs do that were written against Twisted's own hook."""

    def jellyFor(self, jellier: Any) -> Any:
        broker = jellier.invoker
        luid = broker.cachedRemotelyAs(self, 1)
        if luid is not None:
            return b"cached", luid
        luid = broker.cacheRemotely(self)
        assert broker.remotelyCachedForLUID(luid) is self
        perspective = broker.serializingPerspective
        self.observer = RemoteCacheObserver(broker, self, perspective)
        state = self.getStateToCacheAndObserveFor(perspective, self.observer)
        written = jellier.prepare(self)
        written.extend([self.getTypeToCopyFor(perspective), luid, jellier.jelly(state)])
        return jellier.preserve(self, written)

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        assert observer == self.observer
        super().stoppedObserving(perspective, observer)


class ReadByHand(RemoteStock):
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        broker = unjellier.invoker
        broker.cacheLocally(jellyList[1], self)
        assert broker.cachedLocallyAs(jellyList[1]) is self
        self.setCopyableState(unjellier.unjelly(jellyList[2]))
        self.read = True
        return self


jelly.setUnjellyableForClass(ByHand, ReadByHand)


def test_a_cache_that_writes_and_reads_itself_by_hand(join: Join, piece: int) -> None:
    root = Root()
    root.stock = stock = ByHand()
    joined = join(root, size=piece)
    first = joined.ask("stock")
    second = joined.ask("stock")
    assert first is second
    assert first.read
    call = stock.observer.callRemote("hello")
    joined.run()
    assert result(call) == "hello"
    del first, second
    joined.prove_empty()
    assert stock.stopped == 1


def test_caching_has_a_limit(join: Join) -> None:
    root = Root()
    root.stock = ByHand()
    joined = join(root, limits=Limits(caches_exported=1))
    kept = joined.ask("stock")
    root.stock = ByHand()
    call = joined.root.callRemote("stock")
    joined.run()
    failure = failure_of(call)
    assert failure.check(Error)
    assert failure.getErrorMessage() == "Maximum PB cache count exceeded."
    del kept


# Values by themselves.


def test_serializing(join: Join) -> None:
    root = Root()
    joined = join(root)
    thing = Thing()
    value = [thing, thing, {"a": (1, 2.5, None, True)}, b"bytes"]
    written = joined.server.serialize(value)
    luid = joined.server.luids[id(thing)]
    pair = [[b"unicode", b"a"], [b"tuple", 1, 2.5, [b"None"], [b"boolean", b"true"]]]
    remote = [b"remote", luid]
    assert written == [b"list", remote, remote, [b"dictionary", pair], b"bytes"]
    assert joined.server.localObjects[luid].refcount == 2
    read = joined.client.unserialize(written)
    assert read[0] is read[1]
    assert isinstance(read[0], RemoteReference)
    assert read[2:] == value[2:]
    assert joined.server.unserialize(joined.client.serialize(read[0])) is thing
    del read
    joined.prove_empty()


def test_serializing_an_atom(join: Join) -> None:
    joined = join(Root())
    for value in (5, b"x", 2.5):
        assert joined.client.serialize(value) == value
        assert joined.client.unserialize(value) == value
    assert joined.client.unserialize((b"tuple", 1, (b"list", 2))) == (1, [2])


def test_serializing_what_is_not_there_yet(join: Join) -> None:
    joined = join(Root())
    later: Deferred[Any] = Deferred()
    written = joined.client.serialize(later)
    later.callback([1])
    assert result(written) == [b"list", 1]
    assert failure_of(joined.client.serialize(fail(KeyError()))).type is KeyError
    assert failure_of(joined.client.serialize(succeed(object()))).type is InsecureJelly

    async def coming() -> Any:
        return (1,)

    assert result(joined.client.serialize(coming())) == [b"tuple", 1]


class Curious(flavors.Copyable):
    def __init__(self, broker: Any) -> None:
        self.broker = broker

    def getStateToCopyFor(self, perspective: Any) -> Any:
        broker = self.broker
        told = broker.jellyMethod, broker.jellyArgs, broker.jellyKw
        self.told = (*told, perspective)
        return {}


def test_what_serialize_is_told_is_for_the_hooks(join: Join) -> None:
    joined = join(Root())
    broker = joined.client
    value, whose = Curious(broker), object()
    broker.serialize(value, whose, "method", ("args",), {"kw": 1})
    assert value.told == ("method", ("args",), {"kw": 1}, whose)
    assert (broker.jellyMethod, broker.jellyArgs, broker.jellyKw) == (None, None, None)


class Failing(flavors.Copyable):
    def getStateToCopy(self) -> Any:
        raise KeyError("no state")


def test_what_may_not_be_serialized(join: Join) -> None:
    joined = join(Root())
    with pytest.raises(InsecureJelly):
        joined.client.serialize([Thing(), object()])
    with pytest.raises(KeyError, match="no state"):
        joined.client.serialize([Thing(), Failing()])
    assert joined.client.localObjects == {}
    for refused in ([b"what.is.this", 1], [b"tuple", [b"local", 99]]):
        with pytest.raises(InsecureJelly):
            joined.client.unserialize(refused)
    with pytest.raises(TypeError):
        joined.client.unserialize([b"list", object()])
    assert issubclass(ProtocolError, Exception)


def test_on_whose_behalf_a_value_is_read(join: Join) -> None:
    joined = join(Root())
    whose = object()
    written = joined.server.serialize(Thing())
    read = joined.client.unserialize(written, whose)
    assert read.perspective is whose
    del read
    joined.prove_empty()


def test_a_broker_that_is_not_connected_serves_as_an_invoker() -> None:
    broker, other = Broker(), Broker(False)
    thing = Thing()
    written = jelly.jelly([thing], invoker=broker)
    assert written == [b"list", [b"remote", 1]]
    (reference,) = jelly.unjelly(written, invoker=other)
    assert isinstance(reference, RemoteReference)
    assert jelly.jelly(reference, invoker=other) == [b"local", 1]
    assert jelly.unjelly([b"local", 1], invoker=broker) is thing
    assert broker.localObjectForID(1) is thing


# What is owed, and numbers.


def test_decrefs_by_hand(join: Join, piece: int) -> None:
    joined = join(Root(), size=piece)
    luid = joined.server.registerReference(Thing())
    joined.client.sendDecRef(luid)
    joined.step()
    assert luid not in joined.server.localObjects
    joined.lose()
    joined.client.sendDecRef(luid)
    joined.client.decCacheRef(luid)


def test_numbers_by_hand(join: Join) -> None:
    root = Root()
    joined = join(root)
    first = joined.server.newLocalID()
    thing = Thing()
    luid = joined.server.registerReference(thing)
    assert luid > first
    request = joined.client.newRequestID()
    call = joined.root.callRemote("later")
    assert dict(joined.client.waitingForAnswers) == {request + 1: call}
    joined.run()
    joined.lose()
    assert failure_of(call)
    root.later[0].callback(None)
    assert joined.client.waitingForAnswers == {}


def test_local() -> None:
    local = Local("x", "whose")
    assert (local.object, local.perspective, local.refcount) == ("x", "whose", 1)
    assert local.incref() == 2
    assert (local.decref(), local.decref()) == (1, 0)
    assert repr(local) == "<Local 'x', 0 times>"
    assert Local.__module__ == "twisted.spread.pb"


def test_what_is_named_before_there_is_a_transport(join: Join) -> None:
    server = make(False)
    thing = Thing()
    server.setNameForLocal("thing", thing)
    server.limits = Limits(references_exported=5)
    joined: Joined = join(Root(), brokers=(make(True), server))
    assert joined.server.localObjectForID("thing") is thing
    assert joined.server._core.limits.references_exported == 5
