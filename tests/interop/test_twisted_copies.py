"""Copies between Pellucid and Twisted, in both directions and both roles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import pellucid
from pellucid import InsecureJelly
from tests.asyncio.pairs import FREE, Run, Thing, turn
from tests.interop.goods import MAKERS, Item, Point, SoldOut, registry
from tests.interop.meeting import Twisted, charged, meeting, port_of, until_charged

# What Twisted says when it gets a tag that it has not registered, in a result and in arguments.
COMPLAINTS = {"twisted.spread.jelly.InsecureJelly"}

# What Twisted sees of each, in the words of its `describe`.
SEEN: dict[str, Any] = {
    "item": ("Item", {"name": "pear", "price": 3}),
    "bare": ("Item", {}),
    "ring": ("Item", {"friends": ["again 1"], "name": "ring", "named": {"me": "again 1"}}),
    "twins": [("Item", {"name": "twin"}), ("again 2",), {"again": "again 2"}],
    "points": [("Point", {"x": 1, "y": 2}), ("Point", {"x": 3, "y": 4})],
}


def check_item(item: Any) -> None:
    assert type(item) is Item
    assert vars(item) == {"name": "pear", "price": 3}


def check_bare(item: Any) -> None:
    assert type(item) is Item
    assert vars(item) == {}


def check_ring(item: Any) -> None:
    assert vars(item) == {"name": "ring", "friends": [item], "named": {"me": item}}
    assert item.friends[0] is item.named["me"] is item


def check_selfish(item: Any) -> None:
    assert vars(item) == {"name": "selfish", "me": item, "pair": (item, 1)}
    assert item.me is item.pair[0] is item


def check_lovers(one: Any) -> None:
    assert (one.name, one.other.name) == ("one", "other")
    assert one.other.other is one


def check_twins(value: Any) -> None:
    one, (two,), three = value
    assert vars(one) == {"name": "twin"}
    assert one is two is three["again"]


CHECKS: dict[str, Callable[[Any], None]] = {
    "item": check_item,
    "bare": check_bare,
    "stateless": check_bare,
    "ring": check_ring,
    "selfish": check_selfish,
    "lovers": check_lovers,
    "twins": check_twins,
    "points": lambda points: None,
}


def test_copies_to_twisted(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            for kind, seen in SEEN.items():
                assert await shop.call("describe", MAKERS[kind]()) == seen
                assert await shop.call("call", "ours", "make", kind) == [seen, None]

    run(main())


def test_copies_from_twisted(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            for kind, check in CHECKS.items():
                check(await shop.call("make", kind))
                assert await shop.call("send", kind, "take") == [1, None]
                check(ours.taken.pop())
            assert await shop.call("make", "points") == [Point(1, 2), Point(3, 4)]

    run(main())


def test_copies_there_and_back(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            for kind in ("item", "bare", "ring", "twins"):
                sent = MAKERS[kind]()
                back = await shop.call("echo", sent)
                assert back is not sent
                CHECKS[kind](back)

    run(main())


def test_arguments_and_keywords_are_apart(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            item = Item("pear", price=3)
            seen = await shop.call("describe", item, item, extra=item)
            assert seen == [[SEEN["item"], "again 3"], {"extra": SEEN["item"]}]

    run(main())


def test_a_reference_in_a_copy(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            start = charged(shop.connection)
            thing = Thing()
            item = await shop.call("echo", Item("lent", owner=thing))
            assert item.owner is thing
            assert await shop.call("hold", "kept", item) == (
                "Item",
                {"name": "lent", "owner": "twisted.spread.pb.RemoteReference"},
            )
            assert await shop.call("give", "ours", "take", "kept") == [1, None]
            assert ours.taken.pop().owner is thing
            await shop.call("drop", "kept")
            # Twisted's latest failure, and what it was called with, may live until it collects.
            del item
            await until_charged(shop.connection, start)

    run(main())


def test_our_classes_have_their_own_rules(run: Run, twisted: Twisted) -> None:
    mine = pellucid.Registry()

    @mine.copy("shop.Item")
    @dataclass(slots=True)
    class Crate(pellucid.Copyable, tag="shop.Item"):
        name: str
        size: int = 7

    async def main() -> None:
        async with pellucid.connect(twisted.url("shop"), registry=mine) as connection:
            # Twisted's `price` is no field of ours, and our `size` is none of Twisted's.
            assert await connection.root.call("make", "item") == Crate("pear", 7)
            assert await connection.root.call("echo", Crate("box", 3)) == Crate("box", 3)
            with pytest.raises(InsecureJelly, match=r"'name' of .*Crate is missing"):
                await connection.root.call("make", "bare")

    run(main())


def test_a_state_hides_no_method(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, ours):
            with pytest.raises(InsecureJelly, match=r"'total' names a method") as caught:
                await shop.call("make", "shadowing")
            assert caught.value.where.startswith("result")
            none, names, text = await shop.call("send", "shadowing", "take")
            assert (none, names[0]) == (None, "twisted.spread.jelly.InsecureJelly")
            assert "arguments[0]" in text
            assert ours.taken == []
            assert await shop.call("echo", 1) == 1

    run(main())


def test_an_unregistered_copy_from_twisted(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            theirs, start = await shop.call("tables"), charged(shop.connection)
            with pytest.raises(InsecureJelly, match=r"Unre.*is not registered") as caught:
                await shop.call("make", "unregistered")
            assert caught.value.where == "result"
            none, names, text = await shop.call("send", "unregistered", "take")
            assert (none, names[0]) == (None, "twisted.spread.jelly.InsecureJelly")
            assert "arguments[0]" in text
            # What came with it is given back, the cache as well.
            assert charged(shop.connection) == start
            while await shop.call("tables") != theirs:
                await turn()

    run(main())


def test_an_unregistered_copy_to_twisted(run: Run, twisted: Twisted, role: str) -> None:
    class Unknown(pellucid.Copyable, tag="shop.Unknown"):
        pass

    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            # In arguments it costs one call.
            with pytest.raises(InsecureJelly, match="not allowed") as caught:
                await shop.call("describe", Unknown())
            assert caught.value.remote_type == "twisted.spread.jelly.InsecureJelly"
            assert await shop.call("echo", 1) == 1

    run(main())


def test_an_unregistered_result_hangs_twisted(run: Run, twisted: Twisted) -> None:
    """Twisted drops the connection, and its call is neither answered nor failed.

    No server can know what its clients have registered, so this is for the application to avoid.
    """

    class Root(pellucid.Root):
        def remote_unknown(self) -> object:
            return Unknown()

    class Unknown(pellucid.Copyable, tag="shop.Unknown"):
        pass

    async def main() -> None:
        async with (
            twisted.control() as control,
            pellucid.serve(Root(), FREE, registry=registry) as server,
        ):
            visitor = await control.call("visit", port_of(server.url))
            (connection,) = server.connections
            assert await visitor.call("hang", "root", "unknown") == []
            await connection.wait_closed()

    run(main())


def test_errors_that_travel_as_themselves(run: Run, twisted: Twisted, role: str) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            with pytest.raises(SoldOut) as caught:
                await shop.call("sold_out", "pear")
            assert type(caught.value.item) is Item
            assert (caught.value.item.name, caught.value.left) == ("pear", 0)
            none, names, seen = await shop.call("call", "ours", "sold_out", "plum")
            assert none is None
            assert names[0] == "tests.interop.peers.twisted_flavors.SoldOut"
            assert seen == ("SoldOut", {"item": ("Item", {"name": "plum"}), "left": 0})

    run(main())


def test_an_error_that_we_have_not_registered(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with pellucid.connect(twisted.url("shop")) as connection:
            with pytest.raises(InsecureJelly, match=r"'shop\.SoldOut' is not registered"):
                await connection.root.call("sold_out", "pear")
            assert await connection.root.call("echo", 1) == 1

    run(main())
