"""What no Twisted peer can take is never sent: it costs one call, and the connection lives on.

Twisted drops a connection over a result that it can't read, and the call that waits for it hangs
(wire document, section 13).
"""

import asyncio
import datetime
import decimal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import pellucid
from pellucid import InsecureJelly, LimitExceeded
from tests.asyncio.pairs import Run, Thing
from tests.interop.goods import Item, Ours, SoldOut
from tests.interop.meeting import Twisted, charged, meeting

# What a string or a list may have at most (wire document, section 1), and an integer.
MOST = 655_360
INTEGER = 1 << 448


def selfish() -> Item:
    item = Item("selfish")
    vars(item).update(me=item)
    return item


def paired() -> Item:
    item = Item("paired")
    vars(item).update(pair=(1, (item, 2)))
    return item


def in_a_set() -> Item:
    item = Item("in a set")
    vars(item).update(group={item})
    return item


def in_a_frozenset() -> Item:
    item = Item("in a frozenset")
    vars(item).update(group=frozenset([item]))
    return item


def lovers() -> Item:
    one = Item("one")
    vars(one).update(other=Item("other", other=one))
    return one


def key() -> Item:
    item = Item("key")
    vars(item).update(prices={item: 1})
    return item


def key_in_a_tuple() -> Item:
    item = Item("key")
    vars(item).update(prices={"a": 1, (item, 2): 1})
    return item


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def deep_copies() -> Item:
    item = Item("innermost")
    for _ in range(60):
        item = Item("outer", inner=item)
    return item


def ring(name: str) -> Item:
    item = Item("ring")
    setattr(item, name, [(item,), {"me": (1, item)}])
    return item


def tuple_ring() -> Any:
    inner: list[Any] = []
    whole = (1, inner)
    inner.append(whole)
    return whole


def tuple_and_its_list() -> Any:
    """The tuple comes again when the list that it waited for is complete."""
    inner: list[Any] = []
    waiting = (inner,)
    inner.append(waiting)
    return (inner, waiting)


def tuple_in_itself() -> Any:
    """The tuple waits for the outer list, and stands in its own inner one."""
    outer: list[Any] = []
    inner: list[Any] = []
    waiting = (outer, inner)
    inner.append(waiting)
    outer.append(waiting)
    return outer


def tuple_again(make: Callable[[Any], Any]) -> Any:
    """The tuple still waits for the item around it, and comes again where that matters."""
    item = Item("around")
    waiting = (1, item)
    vars(item).update(all=[waiting, make(waiting)])
    return item


class Whole(pellucid.Copyable, tag="shop.Whole"):
    """A copy whose state is what it was told."""

    def __init__(self, state: Any = None) -> None:
        self.state = self if state is None else state

    def state_to_copy(self) -> Any:
        return self.state


def one_state_of_two() -> Any:
    """Two copies have one dictionary as their state, that waits for the tuple around it."""
    state: dict[str, Any] = {}
    outer = (Whole(state), [Whole(state)])
    state["k"] = outer
    return outer


CYCLES: dict[str, tuple[Callable[[], Any], str]] = {
    "directly": (selfish, ".me"),
    "in a tuple": (paired, ".pair[1][0]"),
    "in a set": (in_a_set, ".group"),
    "in a frozenset": (in_a_frozenset, ".group"),
    "two of each other": (lovers, ".other.other"),
    "as a key": (key, ".prices"),
    "in a key": (key_in_a_tuple, ".prices"),
    "tuple again": (tuple_and_its_list, "[1]"),
    "tuple in itself": (tuple_in_itself, "[0]"),
    "tuple again in a copy": (lambda: tuple_again(lambda one: Item("x", one=one)), ".all[1].one"),
    "tuple again in a key": (lambda: tuple_again(lambda one: {one: 1}), ".all[1]"),
    "tuple again in a state": (lambda: tuple_again(lambda one: Whole((one,))), ".all[1]"),
    "its own state": (Whole, ""),
    "a state of two": (one_state_of_two, "[0]"),
    "further down": (lambda: [1, {"a": selfish()}], "[1]['a'].me"),
}

INSECURE: dict[str, tuple[Callable[[], Any], str]] = {
    "class": (lambda: Item, ""),
    "class in a state": (lambda: Item("x", kind=[int]), ".kind[0]"),
    "function": (lambda: [len], "[0]"),
    "module": (lambda: {"a": asyncio}, "['a']"),
    "method": (lambda: (selfish().total,), "[0]"),
    "plain object": (SimpleNamespace, ""),
    "subclass": (lambda: [True, type("Number", (int,), {})(3)], "[1]"),
    "exception": (lambda: [ValueError("x")], "[0]"),
    "lone surrogate": (lambda: {"a": ["\ud800"]}, "['a'][0]"),
    "aware time": (lambda: [datetime.datetime.now(datetime.UTC)], "[0]"),
    "not a number": (lambda: [decimal.Decimal("NaN")], "[0]"),
}

TOO_LARGE: dict[str, tuple[Callable[[], Any], str]] = {
    "bytes": (lambda: [1, bytes(MOST + 1)], "[1]"),
    "text": (lambda: Item("ü" * (MOST // 2 + 1)), ".name"),
    "integer": (lambda: {"n": INTEGER}, "['n']"),
    "negative integer": (lambda: {"n": -INTEGER}, "['n']"),
    "list": (lambda: [[0] * MOST], "[0]"),
    "tuple": (lambda: [(0,) * MOST], "[0]"),
    "depth": (lambda: deep(200), "[0]" * 50),
    "depth of copies": (deep_copies, ".inner" * 20),
}

REFUSED = {**CYCLES, **INSECURE, **TOO_LARGE}

# What looks alike, and what Twisted reads.
TAKEN: dict[str, Callable[[], Any]] = {
    "bytes": lambda: bytes(MOST),
    "integer": lambda: [INTEGER - 1, 1 - INTEGER],
    "depth": lambda: deep(90),
    "shared copies": lambda: [item := Item("x"), (item, {item: item}), Item("y", other=item)],
    "ring": lambda: ring("friends"),
    "tuple in a ring": tuple_ring,
}


class Refused(Ours):
    """Gives what may not travel, with something before it that may."""

    def remote_refused(self, name: str) -> Any:
        return [Thing(), REFUSED[name][0]()]

    async def remote_refused_later(self, name: str) -> Any:
        await asyncio.sleep(0)
        return self.remote_refused(name)

    def remote_taken(self, name: str) -> Any:
        return TAKEN[name]()

    def remote_raise(self, name: str) -> None:
        raise ERRORS[name]()

    async def remote_raise_later(self, name: str) -> None:
        await asyncio.sleep(0)
        raise ERRORS[name]()


@pytest.mark.parametrize("name", REFUSED)
def test_arguments(run: Run, twisted: Twisted, name: str) -> None:
    make, where = REFUSED[name]
    expected: type[Exception] = LimitExceeded if name in TOO_LARGE else InsecureJelly

    async def main() -> None:
        async with meeting(twisted, "twisted serves") as (shop, _):
            theirs, start = await shop.call("tables"), charged(shop.connection)
            with pytest.raises(expected) as caught:
                await shop.call("describe", Thing(), make())
            assert isinstance(caught.value, InsecureJelly | LimitExceeded)
            assert caught.value.where.startswith(f"arguments[1]{where}")
            assert not caught.value.remote
            with pytest.raises(expected) as named:
                await shop.call("describe", here=make())
            assert f"{where}" in str(named.value)
            assert await shop.call("tables") == theirs
            assert charged(shop.connection) == start

    run(main())


def test_results(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role, Refused()) as (shop, _):
            start = charged(shop.connection)
            for name, (_, where) in REFUSED.items():
                for method in ("refused", "refused_later"):
                    none, names, text = await shop.call("call", "ours", method, name)
                    assert none is None
                    limit, insecure = "pellucid.LimitExceeded", "twisted.spread.jelly.InsecureJelly"
                    assert names[0] == (limit if name in TOO_LARGE else insecure)
                    assert names[-1] == "builtins.object"
                    assert text.startswith(f"result[1]{where}"), name
            assert await shop.call("echo", 1) == 1
            assert charged(shop.connection) == start

    run(main())


def test_values_that_are_nearly_refused(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role, Refused()) as (shop, _):
            for name, make in TAKEN.items():
                seen = await shop.call("describe", make())
                assert "_Dereference" not in str(seen)[:10_000]
                assert await shop.call("call", "ours", "taken", name) == [seen, None]

    run(main())


# Failures.


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Beyond(BaseException):
    """What `except Exception` does not see."""


class Unsendable(SoldOut, tag="shop.SoldOut"):
    """An error that should travel as itself, and can't."""


def odd(**attributes: Any) -> BaseException:
    kind: Any = type("Odd", (Exception,), attributes)
    error: BaseException = kind("odd")
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: ValueError("plain"),
    "speechless": Speechless,
    "wordless": lambda: odd(__str__=lambda _: 5),
    "cancelled": lambda: asyncio.CancelledError("stop"),
    "beyond": lambda: Beyond("far"),
    "generator": GeneratorExit,
    "stop": lambda: StopIteration(3),
    "endless": lambda: ValueError("ü" * MOST),
    "surrogate": lambda: ValueError("a\ud800b"),
    "odd module": lambda: odd(__module__=5),
    "odder module": lambda: odd(__module__="\ud800"),
    "long module": lambda: odd(__module__="x" * MOST),
    "group": lambda: ExceptionGroup("both", [ValueError("x"), KeyError("y")]),
    "noted": lambda: SoldOut(Item("pear"), 0),
    "unsendable": lambda: Unsendable(len, 0),
    "selfish": lambda: Unsendable(selfish(), 0),
    "too deep": lambda: Unsendable(deep(150), 0),
    "too large": lambda: Unsendable(bytes(MOST + 1), 0),
}


def test_failures(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role, Refused()) as (shop, _):
            for name in ERRORS:
                for method in ("raise", "raise_later"):
                    none, names, text = await shop.call("call", "ours", method, name)
                    assert none is None
                    assert names
                    assert all(isinstance(one, str) for one in names)
                    assert isinstance(text, str) or name == "noted"
                    assert await shop.call("echo", name) == name

    run(main())


def test_what_a_failure_tells(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with meeting(twisted, "twisted connects", Refused()) as (shop, _):

            async def told(name: str) -> Any:
                _, names, text = await shop.call("call", "ours", "raise", name)
                return names[0], text

            assert await told("plain") == ("builtins.ValueError", "plain")
            assert (await told("cancelled"))[0].endswith(".CancelledError")
            assert await told("beyond") == (f"{__name__}.Beyond", "far")
            assert (await told("noted"))[1][0] == "SoldOut"
            # What can't travel as itself is an ordinary failure of the same name.
            kind, text = await told("selfish")
            assert kind == f"{__name__}.Unsendable"
            assert "is sold out" in text

    run(main())


def test_notifications_and_observers(run: Run, twisted: Twisted) -> None:
    """What is refused where nobody waits is told where it was asked for."""

    async def main() -> None:
        async with meeting(twisted, "twisted serves") as (shop, ours):
            with pytest.raises(InsecureJelly, match=r"arguments\[0\]\.me"):
                shop.notify("describe", selfish())
            await shop.call("hold", "it", ours.stock)
            (observer,) = ours.stock.observers
            with pytest.raises(InsecureJelly, match=r"arguments\[1\]\.me"):
                await observer.call("set", "apples", selfish())
            assert await observer.call("set", "apples", 2) == "apples set"
            await shop.call("drop", "it")
            del observer

    run(main())


def test_a_cache_state(run: Run, twisted: Twisted, role: str) -> None:
    """A cache that may not travel is not observed."""

    class Spoilt(pellucid.Cacheable, tag="shop.Stock"):
        def __init__(self) -> None:
            self.me = self
            self.stopped = 0

        def stopped_observing(self, perspective: Any, observer: Any) -> None:
            super().stopped_observing(perspective, observer)
            self.stopped += 1

    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            start, spoilt = charged(shop.connection), Spoilt()
            with pytest.raises(InsecureJelly, match=r"arguments\[1\]\.me"):
                await shop.call("hold", "it", spoilt)
            assert await shop.call("echo", 1) == 1
            assert (spoilt.observers, spoilt.stopped) == ((), 1)
            assert charged(shop.connection) == start

    run(main())
