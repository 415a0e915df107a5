"""The flavours as a Twisted program has them: copies, an error, a cache, a view."""

from typing import Any

from twisted.python import reflect
from twisted.spread import pb


class Item(pb.Copyable, pb.RemoteCopy):
    """A copy that is read by its class, in both directions."""

    def __init__(self, name: str, **more: Any) -> None:
        self.name = name
        for key, value in more.items():
            setattr(self, key, value)

    def getTypeToCopy(self) -> bytes:
        return b"shop.Item"

    def getStateToCopyFor(self, perspective: Any) -> dict[str, Any]:
        state = dict(self.__dict__)
        if perspective is not None:
            state["seen_by"] = perspective.name
        return state


class Point:
    """Made by a factory, so it needs no flavour here."""

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class SentPoint(pb.Copyable):
    """Sends a state that is no dictionary, under the tag of `Point`."""

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def getTypeToCopy(self) -> bytes:
        return b"shop.Point"

    def getStateToCopy(self) -> Any:
        return (self.x, self.y)


class Shadowing(pb.Copyable):
    """Its state names a method of whoever reads it."""

    def getTypeToCopy(self) -> bytes:
        return b"shop.Item"

    def getStateToCopy(self) -> dict[str, Any]:
        return {"name": "shadow", "total": 1}


class Stateless(pb.Copyable):
    """Has nothing to tell."""

    def getTypeToCopy(self) -> bytes:
        return b"shop.Item"

    def getStateToCopy(self) -> None:
        return None


class Unregistered(pb.Copyable):
    """No program reads its tag."""

    def __init__(self, inside: Any) -> None:
        self.inside = inside


class SoldOut(pb.Error, pb.Copyable, pb.RemoteCopy):
    """An error that travels as itself."""

    def __init__(self, item: Any, left: int) -> None:
        super().__init__(f"{item} is sold out")
        self.item = item
        self.left = left

    def getTypeToCopy(self) -> bytes:
        return b"shop.SoldOut"

    def getStateToCopy(self) -> dict[str, Any]:
        return {"item": self.item, "left": self.left}


class Stock(pb.Cacheable):
    """How much there is of everything; whoever has a copy is told of changes."""

    def __init__(self) -> None:
        self.amounts: dict[str, int] = {"apples": 1}
        self.observers: list[Any] = []
        self.stopped: list[Any] = []

    def getTypeToCopy(self) -> bytes:
        return b"shop.Stock"

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> dict[str, Any]:
        self.observers.append(observer)
        return {
            "amounts": self.amounts,
            "watcher": None if perspective is None else perspective.name,
        }

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        # Observers of two connections can't be compared.
        self.observers = [one for one in self.observers if one.broker is not observer.broker]
        self.stopped.append(None if perspective is None else perspective.name)

    def set(self, name: str, amount: int) -> list[Any]:
        """Change an amount, and give the Deferreds of the observers."""
        self.amounts[name] = amount
        return [one.callRemote("set", name, amount) for one in list(self.observers)]


class StockCopy(pb.RemoteCache):
    """What the other side's stock looks like from here."""

    amounts: dict[str, int]
    updates: list[Any]

    def setCopyableState(self, state: Any) -> None:
        self.__dict__.update(state)
        self.updates = []

    def observe_set(self, name: str, amount: int) -> str:
        self.amounts[name] = amount
        self.updates.append((name, amount))
        return f"{name} set"

    def observe_compare(self, one: Any, others: list[Any]) -> list[bool]:
        """Whether these are handles of the same cache."""
        return [vars(other) is vars(self) for other in (one, *others)]

    def observe_fail(self) -> None:
        raise SoldOut("update", 0)


class Shelf(pb.Viewable):
    """Seen by each perspective with the perspective's own eyes."""

    def __init__(self) -> None:
        self.visitors: list[str] = []

    def view_look(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        self.visitors.append(perspective.name)
        return [perspective.name, list(args), kwargs, list(self.visitors)]

    def view_me(self, _perspective: Any) -> Any:
        return self

    def view_item(self, perspective: Any) -> Item:
        return Item(f"for {perspective.name}")

    def view_call_back(self, _perspective: Any, ours: Any, *args: Any) -> Any:
        """Call an object of the other side, as the one who asked."""
        return ours.callRemote("take", *args)


def describe(value: Any, seen: "dict[int, int] | None" = None) -> Any:
    """Give in plain values what has arrived. What came before is `again` and its number."""
    seen = {} if seen is None else seen
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if id(value) in seen:
        return f"again {seen[id(value)]}"
    seen[id(value)] = len(seen) + 1
    if isinstance(value, list):
        return [describe(one, seen) for one in value]
    if isinstance(value, tuple):
        return tuple(describe(one, seen) for one in value)
    if isinstance(value, set | frozenset):
        return type(value)(describe(one, seen) for one in value)
    if isinstance(value, dict):
        return {describe(key, seen): describe(one, seen) for key, one in value.items()}
    if isinstance(value, Item | Point | SoldOut):
        state = {key: describe(one, seen) for key, one in sorted(vars(value).items())}
        return (type(value).__name__, state)
    if isinstance(value, StockCopy):
        return ("StockCopy", dict(value.amounts))
    return reflect.qual(type(value))


pb.setUnjellyableForClass("shop.Item", Item)
pb.setUnjellyableForClass("shop.SoldOut", SoldOut)
pb.setUnjellyableForClass("shop.Stock", StockCopy)
pb.setUnjellyableFactoryForClass("shop.Point", lambda state: Point(*state))
