"""The flavours as a Pellucid program has them; the counterpart of `peers/twisted_flavors.py`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pellucid
from pellucid import RemoteReference

registry = pellucid.Registry()


@registry.copy("shop.Item")
class Item(pellucid.Copyable, tag="shop.Item"):
    """A copy that is read by its class, in both directions."""

    def __init__(self, name: str, **more: Any) -> None:
        self.name = name
        for key, value in more.items():
            setattr(self, key, value)

    def state_to_copy_for(self, perspective: Any) -> Any:
        state = dict(vars(self))
        if perspective is not None:
            state["seen_by"] = perspective.name
        return state

    def total(self) -> int:
        """What no state of a peer may hide."""
        return 0


@dataclass(frozen=True, slots=True)
class Point(pellucid.Copyable, tag="shop.Point"):
    """Sends a state that is no dictionary, and is made by a factory."""

    x: int
    y: int

    def state_to_copy(self) -> Any:
        return (self.x, self.y)


registry.copy("shop.Point", lambda state: Point(*state))


@registry.copy("shop.SoldOut")
class SoldOut(pellucid.Copyable, pellucid.Error, tag="shop.SoldOut"):
    """An error that travels as itself."""

    def __init__(self, item: object, left: int) -> None:
        super().__init__(f"{item} is sold out")
        self.item = item
        self.left = left

    def state_to_copy(self) -> Any:
        return {"item": self.item, "left": self.left}


class Stock(pellucid.Cacheable, tag="shop.Stock"):
    """How much there is of everything; whoever has a copy is told of changes."""

    def __init__(self) -> None:
        self.amounts: dict[str, int] = {"apples": 1}
        self.stopped: list[object] = []

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        super().state_to_cache_and_observe_for(perspective, observer)
        watcher = None if perspective is None else perspective.name
        return {"amounts": self.amounts, "watcher": watcher}

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        super().stopped_observing(perspective, observer)
        self.stopped.append(None if perspective is None else perspective.name)

    def set(self, name: str, amount: int) -> None:
        """Change an amount, and tell the observers without waiting for them."""
        self.amounts[name] = amount
        self.update("set", name, amount)

    async def set_surely(self, name: str, amount: int) -> list[Any]:
        """Change an amount, and wait until every observer has answered."""
        self.amounts[name] = amount
        calls = [one.call("set", name, amount) for one in self.observers]
        return await asyncio.gather(*calls, return_exceptions=True)


@registry.cache("shop.Stock")
class StockCopy(pellucid.RemoteCache):
    """What the other side's stock looks like from here."""

    amounts: dict[str, int]
    watcher: str | None
    updates: list[tuple[str, int]]

    def set_cached_state(self, state: Any) -> None:
        super().set_cached_state(state)
        self.updates = []

    def observe_set(self, name: str, amount: int) -> str:
        self.amounts[name] = amount
        self.updates.append((name, amount))
        return f"{name} set"

    async def observe_fail(self) -> None:
        raise SoldOut("update", 0)


class Shelf(pellucid.Viewable):
    """Seen by each perspective with the perspective's own eyes."""

    def __init__(self) -> None:
        self.visitors: list[str] = []

    def view_look(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        self.visitors.append(perspective.name)
        return [perspective.name, list(args), kwargs, list(self.visitors)]

    def view_me(self, _perspective: Any) -> Any:
        return self

    async def view_item(self, perspective: Any) -> Item:
        return Item(f"for {perspective.name}")

    async def view_call_back(self, _perspective: Any, theirs: RemoteReference, *args: Any) -> Any:
        return await theirs.call("take", *args)


def ring() -> Item:
    item = Item("ring")
    vars(item).update(friends=[item], named={"me": item})
    return item


def twins() -> list[Any]:
    item = Item("twin")
    return [item, (item,), {"again": item}]


MAKERS: dict[str, Callable[[], Any]] = {
    "item": lambda: Item("pear", price=3),
    "bare": lambda: Item.__new__(Item),
    "ring": ring,
    "twins": twins,
    "points": lambda: [Point(1, 2), Point(3, 4)],
}


class Ours(pellucid.Root):
    """What the Twisted program calls."""

    def __init__(self) -> None:
        self.driver: asyncio.Future[RemoteReference] = asyncio.get_running_loop().create_future()
        self.taken: list[Any] = []
        self.stock = Stock()

    def remote_drive(self, driver: RemoteReference) -> None:
        self.driver.set_result(driver)

    def remote_take(self, *values: Any) -> int:
        self.taken.extend(values)
        return len(self.taken)

    def remote_echo(self, value: Any) -> Any:
        return value

    async def remote_make(self, kind: str) -> Any:
        return MAKERS[kind]()

    def remote_sold_out(self, name: str) -> None:
        raise SoldOut(Item(name), 0)

    def remote_stock(self) -> Stock:
        return self.stock

    def remote_stock_thrice(self) -> Any:
        return [self.stock, {"again": self.stock}, (self.stock,)]

    def remote_is_stock(self, value: Any) -> bool:
        return value is self.stock
