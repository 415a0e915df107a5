"""Caches between Pellucid and Twisted, in both directions and both roles."""

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack
from itertools import count

import pytest

import pellucid
from pellucid import DeadReferenceError, InsecureJelly, RemoteError
from tests.asyncio.pairs import FREE, Run, turn, until
from tests.interop.goods import Ours, SoldOut, Stock, StockCopy, registry
from tests.interop.meeting import (
    Twisted,
    charged,
    cut,
    meeting,
    port_of,
    twisted_program,
    until_charged,
)

COMPLAINTS = {"builtins.AttributeError"}

UPDATES = 100

_numbers = count()


@pytest.fixture
def name() -> str:
    """The name of a stock that no other test has."""
    return f"stock {next(_numbers)}"


# Twisted owns, we hold.


def test_we_observe(run: Run, twisted: Twisted, role: str, name: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            call = shop.call
            stock = await call("stock", name)
            assert type(stock) is StockCopy
            assert (stock.amounts, stock.watcher) == ({"apples": 1}, None)
            assert await call("set", name, "pears", 2) == ["pears set"]
            assert (stock.amounts, stock.updates) == ({"apples": 1, "pears": 2}, [("pears", 2)])
            ((names, error),) = await call("fail", name)
            assert names[0].endswith(".SoldOut")
            assert error == ("SoldOut", {"item": "update", "left": 0})
            # `cached` again, and home.
            assert await call("stock", name) is stock
            assert await call("is_stock", name, stock) is True
            assert await call("echo", stock) is stock
            one, two, (three,) = await call("stock_thrice", name)
            assert one is two["again"] is three is stock
            del one, two, three, stock
            await forgotten(shop, name)

    run(main())


def test_we_observe_what_comes_in_arguments(
    run: Run, twisted: Twisted, role: str, name: str
) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            stock = await shop.call("stock", name)
            assert await shop.call("hold", "it", stock) == (
                "tests.interop.peers.twisted_flavors.Stock"
            )
            assert await shop.call("give", "ours", "take", "it", "it") == [2, None]
            assert ours.taken[0] is ours.taken[1] is stock
            # Straight home, as the result of a call of Twisted's.
            del stock
            ours.taken.clear()
            await forgotten(shop, name)
            home = await shop.call("give", "ours", "echo", "it")
            assert home == ["tests.interop.peers.twisted_flavors.Stock", None]
            await forgotten(shop, name, 2)

    run(main())


def test_an_update_comes_before_the_answer_behind_it(
    run: Run, twisted: Twisted, role: str, name: str
) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            stock = await shop.call("stock", name)
            for amount in range(20):
                now, again = await shop.call("set_and_get", name, "apples", amount)
                assert again is stock
                assert stock.amounts["apples"] == now == amount
            del stock, again
            await forgotten(shop, name)

    run(main())


def test_dropped_and_taken_again(run: Run, twisted: Twisted, role: str, name: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            for time in range(1, 4):
                stock = await shop.call("stock", name)
                await shop.call("set", name, "apples", time)
                assert (stock.amounts["apples"], len(stock.updates)) == (time, 1)
                del stock
                await forgotten(shop, name, time)

    run(main())


def test_dropped_while_updates_are_under_way(
    run: Run, twisted: Twisted, role: str, name: str
) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            for amount in range(20):
                stock = await shop.call("stock", name)
                change = shop.call("set", name, "apples", amount)
                again = shop.call("stock", name)
                del stock
                assert await change == ["apples set"]
                assert (await again).amounts == {"apples": amount}
                del change, again
            await forgotten(shop, name, None)

    run(main())


def test_the_first_answer_is_not_taken(run: Run, twisted: Twisted, role: str, name: str) -> None:
    """What Twisted sent in full is known when it comes again, though nobody has it."""

    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            abandoned, call = shop.call("stock", name), shop.call("stock", name)
            abandoned.cancel()
            stock = await call
            assert stock.amounts == {"apples": 1}
            assert await shop.call("set", name, "pears", 2) == ["pears set"]
            assert stock.amounts == {"apples": 1, "pears": 2}
            del abandoned, call, stock
            await forgotten(shop, name, None)
            refused, call = shop.call("stock_and_more", name), shop.call("stock", name)
            with pytest.raises(InsecureJelly, match="not registered"):
                await refused
            stock = await call
            assert stock.amounts == {"apples": 1, "pears": 2}
            del refused, call, stock
            await forgotten(shop, name, None)

    run(main())


def test_several_of_us_observe(run: Run, twisted: Twisted, name: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(
                    pellucid.connect(twisted.url("shop"), registry=registry)
                )
                for _ in range(3)
            ]
            stocks = [await one.root.call("stock", name) for one in connections]
            call = connections[0].root.call
            assert await call("set", name, "pears", 5) == ["pears set"] * 3
            with pytest.raises(InsecureJelly, match=r"arguments\[0\]"):
                await call("echo", stocks[1])
            connections[1].close()
            await connections[1].wait_closed()
            while (await call("watched", name))[0] == 3:
                await turn()
            assert await call("set", name, "plums", 6) == ["plums set"] * 2
            assert [sorted(one.amounts) for one in stocks] == [
                ["apples", "pears", "plums"],
                ["apples", "pears"],
                ["apples", "pears", "plums"],
            ]
            # The one that is cut off keeps what it knew.
            with pytest.raises(InsecureJelly):
                await call("echo", stocks[1])
            del stocks, call

    run(main())


def watchers(stock: Stock) -> int:
    return len(stock.observers)


async def forgotten(shop: pellucid.RemoteReference, name: str, stopped: int | None = 1) -> None:
    """Wait until Twisted has heard that nobody here holds its stock."""
    gc.collect()
    while (await shop.call("watched", name))[0]:
        await turn()
    assert stopped in (None, (await shop.call("watched", name))[1])
    while (await shop.call("tables"))[1]:
        await turn()
    assert "caches_held" not in charged(shop.connection)


# We own, Twisted holds.


def test_twisted_observes(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            start, stock = charged(shop.connection), ours.stock
            assert await shop.call("hold", "one", stock) == ("StockCopy", {"apples": 1})
            assert watchers(stock) == 1
            assert await stock.set_surely("pears", 2) == ["pears set"]
            assert await shop.call("held", "one") == ("StockCopy", {"apples": 1, "pears": 2})
            assert await shop.call("updates", "one") == [("pears", 2)]
            # An update that nobody waits for comes before the call behind it.
            stock.set("plums", 3)
            assert await shop.call("updates", "one") == [("pears", 2), ("plums", 3)]
            # `cached` again: one state, two handles. And home.
            assert await shop.call("hold", "two", stock) == await shop.call("held", "one")
            assert await shop.call("alike", "one", "two") == [False, True]
            assert watchers(stock) == 1
            assert await shop.call("hand", "one") is stock
            assert await shop.call("give", "ours", "is_stock", "two") == [True, None]
            await shop.call("drop", "one")
            assert await shop.call("hand", "two") is stock
            assert stock.stopped == []
            await shop.call("drop", "two")
            await until(lambda: stock.stopped == [None])
            assert watchers(stock) == 0
            await until_charged(shop.connection, start)
            # And anew.
            stock.amounts = {"apples": 9}
            assert await shop.call("hold", "one", stock) == ("StockCopy", {"apples": 9})
            assert await shop.call("updates", "one") == []
            await shop.call("drop", "one")
            await until(lambda: stock.stopped == [None, None])
            while (await shop.call("tables"))[2]:
                await turn()

    run(main())


def test_twisted_takes_one_in_every_way(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            start, stock = charged(shop.connection), ours.stock
            copy = ("StockCopy", {"apples": 1})
            # Straight home, before Twisted's answer could be read.
            assert await shop.call("echo", stock) is stock
            one, other = await shop.call("echo", [stock, (stock,)])
            assert one is other[0] is stock
            assert await shop.call("describe", stock, stock, extra=stock) == (
                [[copy, "again 3"], {"extra": copy}]
            )
            # As a result: in every place the same.
            assert await shop.call("call", "ours", "stock_thrice") == (
                [[copy, {"again": "again 2"}, ("again 2",)], None]
            )
            assert await shop.call("keep", "it", "ours", "stock") == copy
            assert await shop.call("keep", "it", "ours", "stock") == copy
            await shop.call("drop", "it")
            await until(lambda: stock.observers == ())
            await until_charged(shop.connection, start)

    run(main())


def test_observers_fail(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            await shop.call("hold", "it", ours.stock)
            (observer,) = ours.stock.observers
            with pytest.raises(SoldOut) as caught:
                await observer.call("fail")
            assert (caught.value.item, caught.value.left) == ("update", 0)
            with pytest.raises(RemoteError) as missing:
                await observer.call("nowhere")
            assert missing.value.is_a("builtins.AttributeError")
            await shop.call("drop", "it")
            await until(lambda: ours.stock.observers == ())
            with pytest.raises(DeadReferenceError):
                await observer.call("set", "apples", 1)
            assert await shop.call("echo", 1) == 1
            del observer

    run(main())


def test_an_update_with_a_cache_in_it(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            stock = ours.stock
            await shop.call("hold", "it", stock)
            (observer,) = stock.observers
            assert await observer.call("compare", stock, [stock]) == [True, True]
            await shop.call("drop", "it")
            await until(lambda: stock.observers == ())

    run(main())


def test_three_observe_and_one_is_killed(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        ours = Ours()
        stock = ours.stock
        with ExitStack() as programs:
            others = [programs.enter_context(twisted_program()) for _ in range(2)]
            async with pellucid.serve(ours, FREE, registry=registry) as server:
                await three(stock, [twisted, *others], server)
        ours.driver.cancel()

    async def three(stock: Stock, programs: list[Twisted], server: pellucid.Server) -> None:
        async with AsyncExitStack() as stack:
            visitors = []
            for program in programs:
                control = await stack.enter_async_context(program.control())
                visitors.append(await control.call("visit", port_of(server.url)))
                assert await visitors[-1].call("keep", "it", "root", "stock") == (
                    ("StockCopy", {"apples": 1})
                )
            assert watchers(stock) == 3
            amounts = count()
            for _ in range(UPDATES):
                stock.set("apples", next(amounts))
            killing = asyncio.create_task(cut(programs[2].program))
            while not stock.stopped:
                stock.set("apples", next(amounts))
                await turn()
            for _ in range(UPDATES):
                stock.set("apples", next(amounts))
            await killing
            assert stock.stopped == [None]
            assert watchers(stock) == 2
            last = next(amounts)
            assert await stock.set_surely("apples", last) == ["apples set"] * 2
            for visitor in visitors[:2]:
                updates = await visitor.call("updates", "it")
                assert updates == [("apples", amount) for amount in range(last + 1)]
                await visitor.call("lose")
            await until(lambda: stock.stopped == [None] * 3)
            assert watchers(stock) == 0
            await until(lambda: not server.connections)
            del visitors, visitor

    run(main())
