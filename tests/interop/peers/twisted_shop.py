"""What a Twisted program does for the tests: it makes, holds, calls and tells what it got."""

import gc
from collections.abc import Callable
from functools import wraps
from typing import Any

from twisted.internet import defer
from twisted.python import failure
from twisted.spread import pb

from tests.interop.peers.graphs import graph
from tests.interop.peers.twisted_flavors import (
    Item,
    SentPoint,
    Shadowing,
    Shelf,
    SoldOut,
    Stateless,
    Stock,
    StockCopy,
    Unregistered,
    describe,
)
from tests.interop.peers.twisted_objects import Two


def as_deferred(method: Any) -> Any:
    """Let a method that is a coroutine give a Deferred."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> "defer.Deferred[Any]":
        return defer.ensureDeferred(method(*args, **kwargs))

    return call


def outcome(reason: "failure.Failure") -> list[Any]:
    """What a failed call looks like to the program that made it."""
    names = [one.decode() if isinstance(one, bytes) else one for one in reason.parents]
    value = reason.value if isinstance(reason.value, SoldOut) else reason.getErrorMessage()
    return [None, names, describe(value)]


def told(call: "defer.Deferred[Any]") -> "defer.Deferred[Any]":
    """Give `[what came, None]` or what `outcome` gives."""
    return call.addCallbacks(lambda value: [describe(value), None], outcome)


class Holder(pb.Referenceable):
    """Holds objects under names, and makes calls with them."""

    def __init__(self, **held: Any) -> None:
        self.held: dict[str, Any] = held

    def remote_call(self, key: str, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method, and give `[what came, None]` or `[None, names of the error, its text]`."""
        call = defer.maybeDeferred(self.held[key].callRemote, name, *args, **kwargs)
        return told(call)

    @as_deferred
    async def remote_keep(self, to: str, key: str, name: str, *args: Any) -> Any:
        """Call a method, and hold what came."""
        self.held[to] = await self.held[key].callRemote(name, *args)
        return describe(self.held[to])

    def remote_give(self, key: str, name: str, *keys: str) -> Any:
        """Call a method with what is held."""
        return self.remote_call(key, name, *[self.held[one] for one in keys])

    def remote_hold(self, to: str, value: Any) -> Any:
        self.held[to] = value
        return describe(value)

    def remote_hand(self, key: str) -> Any:
        return self.held[key]

    def remote_held(self, key: str) -> Any:
        return describe(self.held[key])

    def remote_updates(self, key: str) -> Any:
        cache: StockCopy = self.held[key]
        return cache.updates

    def remote_alike(self, one: str, other: str) -> list[bool]:
        """Whether two are the same object, and whether they share their attributes."""
        first, second = self.held[one], self.held[other]
        return [first is second, vars(first) is vars(second)]

    def remote_drop(self, *keys: str) -> None:
        for key in keys:
            del self.held[key]

    @as_deferred
    async def remote_hang(self, key: str, name: str, *args: Any) -> Any:
        """Begin a call, and give its fate so far once the connection has ended."""
        ended: defer.Deferred[None] = defer.Deferred()
        called = self.held[key]
        called.broker.notifyOnDisconnect(lambda: ended.callback(None))
        fate: list[str] = []
        call = called.callRemote(name, *args)
        call.addCallbacks(lambda _: fate.append("answered"), lambda _: fate.append("failed"))
        await ended
        return fate


def ring() -> Item:
    item = Item("ring")
    vars(item).update(friends=[item], named={"me": item})
    return item


def selfish() -> Item:
    item = Item("selfish")
    vars(item).update(me=item, pair=(item, 1))
    return item


def lovers() -> Item:
    one = Item("one")
    vars(one).update(other=Item("other", other=one))
    return one


def twins() -> list[Any]:
    item = Item("twin")
    return [item, (item,), {"again": item}]


MAKERS: dict[str, Callable[[], Any]] = {
    "item": lambda: Item("pear", price=3),
    "bare": lambda: Item.__new__(Item),
    "stateless": Stateless,
    "ring": ring,
    "selfish": selfish,
    "lovers": lovers,
    "twins": twins,
    "points": lambda: [SentPoint(1, 2), SentPoint(3, 4)],
    "shadowing": Shadowing,
    "unregistered": lambda: Unregistered([Two(), Stock(), 1]),
}


class Shop(Holder):
    """The root of one connection. Whatever the other side wants called is `ours`."""

    broker: Any = None

    def __init__(self, stocks: dict[str, Stock], **held: Any) -> None:
        super().__init__(**held)
        self.stocks = stocks

    def remote_meet(self, ours: Any) -> None:
        self.held["ours"] = ours

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_describe(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return describe([list(args), kwargs])
        return describe(args[0] if len(args) == 1 else list(args))

    def remote_make(self, kind: str) -> Any:
        return MAKERS[kind]()

    def remote_graph(self, seed: int) -> Any:
        return graph(seed, Item, [])

    def remote_send(self, kind: str, name: str) -> Any:
        """Call ours with what was made."""
        return self.remote_call("ours", name, MAKERS[kind]())

    def remote_sold_out(self, name: str) -> None:
        raise SoldOut(Item(name), 0)

    def remote_tables(self) -> list[int]:
        """How many objects and caches of this side the other holds, and how many of its caches."""
        broker = self.broker
        return [
            len(broker.localObjects),
            len(broker.remotelyCachedObjects),
            len(broker.locallyCachedObjects),
        ]

    def remote_collect(self) -> None:
        """Let go of what refers to itself."""
        gc.collect()

    def remote_lose(self) -> None:
        self.broker.transport.loseConnection()

    # The stocks are the same on all connections.

    def remote_stock(self, name: str) -> Stock:
        return self.stocks.setdefault(name, Stock())

    def remote_stock_thrice(self, name: str) -> list[Any]:
        stock = self.remote_stock(name)
        return [stock, {"again": stock}, (stock,)]

    def remote_stock_and_more(self, name: str) -> list[Any]:
        """Give a stock with something that nobody takes."""
        return [self.remote_stock(name), Unregistered(None)]

    @as_deferred
    async def remote_set(self, name: str, what: str, amount: int) -> Any:
        """Change a stock, and wait until everybody has answered."""
        done = await defer.DeferredList(self.stocks[name].set(what, amount), consumeErrors=True)
        return [describe(value) if good else outcome(value)[1:] for good, value in done]

    def remote_set_and_get(self, name: str, what: str, amount: int) -> Any:
        """Change a stock, and give it before anybody can have answered."""
        stock = self.stocks[name]
        for one in stock.set(what, amount):
            one.addErrback(lambda _: None)
        return [stock.amounts[what], stock]

    @as_deferred
    async def remote_fail(self, name: str) -> Any:
        calls = [one.callRemote("fail") for one in self.stocks[name].observers]
        done = await defer.DeferredList(calls, consumeErrors=True)
        return [outcome(value)[1:] for _, value in done]

    def remote_is_stock(self, name: str, value: Any) -> bool:
        return value is self.stocks[name]

    def remote_watched(self, name: str) -> list[Any]:
        """How many observe a stock, and how many have stopped."""
        return [len(self.stocks[name].observers), len(self.stocks[name].stopped)]


class Mind(pb.Referenceable):
    """A client's own object, for the avatar to call."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def remote_take(self, *values: Any) -> Any:
        self.taken.append(describe(list(values)))
        return len(self.taken)


class Shopper(pb.Avatar):
    """What somebody who has logged in may do."""

    def __init__(self, name: str, mind: Any, stocks: dict[str, Stock], shelf: Shelf) -> None:
        self.name = name
        self.mind = mind
        self.stocks = stocks
        self.shelf = shelf

    def perspective_who(self, *args: Any, **kwargs: Any) -> Any:
        return [self.name, describe(list(args)), describe(kwargs)]

    def perspective_tell_mind(self, *values: Any) -> Any:
        return self.mind.callRemote("take", *values)

    def perspective_has_mind(self) -> bool:
        return self.mind is not None

    def perspective_item(self) -> Item:
        return Item("for you")

    def perspective_stock(self, name: str) -> Stock:
        return self.stocks.setdefault(name, Stock())

    def perspective_shelf(self) -> Shelf:
        return self.shelf

    def perspective_is_my_shelf(self, view: Any) -> bool:
        return view.object is self.shelf and view.perspective is self

    def perspective_call_back(self, ours: Any) -> Any:
        """Give something to an object that came with the call, as this avatar."""
        return ours.callRemote("take", Item("for you"))

    def perspective_fail(self) -> None:
        raise SoldOut(None, 0)
