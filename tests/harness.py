"""Brokers in memory: one that is driven by bytes, or two that are joined."""

from collections.abc import Callable
from typing import Any

from pellucid.broker import Broker
from pellucid.caches import CacheObserver
from pellucid.errors import PBError
from pellucid.events import (
    CallCompleted,
    CallFailed,
    CallReceived,
    Event,
    Paused,
    PeerFault,
    Ready,
    Released,
    Unobserved,
)
from pellucid.flavors import Cacheable, Referenceable, RemoteCache, Root
from pellucid.references import RemoteReference
from pellucid.registry import Registry

ACCOUNTS = (
    "references_held",
    "references_exported",
    "caches_held",
    "caches_exported",
    "calls_pending",
    "calls_running",
    "calls_waiting",
    "waiting_bytes",
    "out_bytes",
)


class Waiter:
    """What became of one call."""

    def __init__(self) -> None:
        self.done = 0
        self.value: Any = None
        self.error: Exception | None = None

    def result(self) -> Any:
        """The value, which is forgotten here, or the error raised."""
        assert self.done == 1
        if self.error is not None:
            raise self.error
        value, self.value = self.value, None
        return value


class Later:
    """A method that returns this answers when it is told to."""

    def __init__(self) -> None:
        self.call: CallReceived | None = None


class Observer(CacheObserver):
    """A handle on a copy of the other side, with verbs."""

    __slots__ = ()

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Waiter:
        waiter = Waiter()
        self.origin.call(waiter, self, name, args, kwargs)
        return waiter

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        self.origin.call(None, self, name, args, kwargs)


class Side:
    """A broker and its face: it runs the methods that are called."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.ready: list[str] = []
        self.faults: list[str] = []
        self.closed: list[BaseException | None] = []
        self.refusals: list[PBError] = []
        self.auto = True
        self.calls: list[CallReceived] = []
        self.unobserved: list[Unobserved] = []
        self.released: list[Any] = []

    @property
    def root(self) -> RemoteReference:
        assert self.broker.root is not None
        return self.broker.root

    def call(self, reference: RemoteReference, name: str, *args: Any, **kwargs: Any) -> Waiter:
        waiter = Waiter()
        self.broker.call(waiter, reference, name, args, kwargs)
        return waiter

    def notify(self, reference: RemoteReference, name: str, *args: Any) -> None:
        self.broker.call(None, reference, name, args)

    def feed(self, data: bytes, size: int = 0) -> None:
        """Let bytes arrive, in pieces of `size`, and see to what comes of each."""
        for start in range(0, len(data), size or len(data) or 1):
            self.broker.receive_data(data[start : start + size] if size else data)
            self.run()

    def run(self) -> None:
        for event in self.broker.events():
            self.handle(event)

    def handle(self, event: Event) -> None:
        if isinstance(event, CallReceived):
            if self.auto:
                self.serve(event)
            else:
                self.calls.append(event)
        elif isinstance(event, CallCompleted):
            event.waiter.done += 1
            event.waiter.value = event.value
        elif isinstance(event, CallFailed):
            event.waiter.done += 1
            event.waiter.error = event.error
        elif isinstance(event, Ready):
            self.ready.append(event.dialect)
        elif isinstance(event, PeerFault):
            self.faults.append(event.text)
        elif isinstance(event, Unobserved):
            self.unobserved.append(event)
            if self.auto:
                self.stop_observing(event)
        elif isinstance(event, Released):
            self.released.append(event.target)
        elif not isinstance(event, Paused):
            self.closed.append(event.error)

    def serve(self, call: CallReceived) -> None:
        """Run the method and answer."""
        try:
            value = call.target.find_method(call.name)(*call.args, **call.kwargs)
        except Exception as error:
            self.broker.fail(call, error.with_traceback(None))
            return
        if isinstance(value, Later):
            value.call = call
        else:
            self.answer(call, value)

    def stop_observing(self, event: Unobserved) -> None:
        """Tell the object, and that it has been told."""
        event.target.stopped_observing(event.perspective, event.observer)
        self.broker.unobserved(event)

    def answer(self, call: CallReceived, value: Any) -> None:
        refusal = self.broker.answer(call, value)
        if refusal is not None:
            self.refusals.append(refusal.with_traceback(None))

    def waits(self) -> bool:
        """Whether a call waits and could start."""
        return self.broker.has_waiting

    def reads(self) -> bool:
        """Whether reading may go on."""
        return self.broker.wants_data

    def take(self) -> bytes:
        """All that is to be sent, as if it left at once."""
        out = b""
        while data := self.broker.data_to_send():
            out += data
        return out

    def counts(self) -> dict[str, int]:
        """What both tables hold and what the ledger is charged, nothing left out but zeros."""
        broker = self.broker
        tables = broker._tables
        found = {
            "exports": len(broker.exports),
            "imports": len(broker.imports),
            "cache exports": len(tables.cache_exports),
            "cache imports": len(tables.cache_imports),
        }
        found.update(broker.ledger.charged())
        return {name: count for name, count in found.items() if count}


class Pair:
    """A client and a server, joined."""

    def __init__(self, client: Side, server: Side) -> None:
        self.client = client
        self.server = server

    @property
    def root(self) -> RemoteReference:
        return self.client.root

    def run(self) -> None:
        """Deliver until there is nothing more to say."""
        quiet = False
        while not quiet:
            quiet = True
            for one, other in ((self.client, self.server), (self.server, self.client)):
                one.run()
                if data := one.broker.data_to_send():
                    quiet = False
                    other.feed(data)

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the server's root and give what it returns."""
        waiter = self.client.call(self.root, name, *args, **kwargs)
        del args, kwargs
        self.run()
        return waiter.result()

    def prove_empty(self) -> None:
        """Both tables and ledgers are back where they began, and both sides live."""
        self.run()
        assert (self.client.counts(), self.server.counts()) == ({}, {})
        assert (self.client.closed, self.server.closed) == ([], [])
        assert (self.client.faults, self.server.faults) == ([], [])


def join(root: Any = None, *, client: Any = None, **options: Any) -> Pair:
    """Join two brokers. `options` are for both; `client` is what the server may call as root."""
    options.setdefault("observer_type", Observer)
    ours = Side(Broker("client", root=client, **options))
    theirs = Side(Broker("server", root=Root() if root is None else root, **options))
    pair = Pair(ours, theirs)
    pair.run()
    assert ours.ready == theirs.ready != []
    return pair


class Echo(Root):
    """A root that gives back, keeps, forgets, and fails."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.thing = Thing()
        self.later: list[Later] = []

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_any(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def remote_kind(self, value: Any) -> str:
        return type(value).__name__

    def remote_thing(self) -> "Thing":
        return self.thing

    def remote_things(self, count: int) -> list["Thing"]:
        return [Thing() for _ in range(count)]

    def remote_keep(self, value: Any) -> None:
        self.kept.append(value)

    def remote_kept(self) -> Any:
        return self.kept

    def remote_forget(self) -> None:
        self.kept.clear()

    def remote_make(self, make: str) -> Any:
        makers: dict[str, Callable[[], Any]] = {"object": object, "class": lambda: int}
        return makers[make]()

    def remote_fail(self, text: str) -> None:
        raise ValueError(text)

    def remote_later(self) -> Later:
        self.later.append(Later())
        return self.later[-1]


class Thing(Referenceable):
    """An object that can be called and told apart."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def remote_tell(self, value: Any) -> int:
        self.heard.append(value)
        return len(self.heard)


class Stock(Cacheable, tag="harness.Stock"):
    """A cache: how many there are of what."""

    def __init__(self, **items: Any) -> None:
        self.items = dict(items)
        self.stopped: list[Any] = []

    def state_to_cache(self) -> Any:
        return {"items": dict(self.items)}

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        super().stopped_observing(perspective, observer)
        self.stopped.append(perspective)

    def put(self, name: str, count: Any) -> None:
        self.items[name] = count
        self.update("put", name, count)


class RemoteStock(RemoteCache):
    """Its copy."""

    items: dict[str, Any]

    def observe_put(self, name: str, count: Any) -> int:
        self.items[name] = count
        return len(self.items)


def stocks() -> Registry:
    """What knows the copy of a cache."""
    registry = Registry()
    registry.cache("harness.Stock", RemoteStock)
    return registry
