"""Graphs of all kinds of objects: Twisted gives back what it got, or nothing is sent."""

import gc
from typing import Any

import pytest

from pellucid import InsecureJelly
from tests.asyncio.pairs import Run, Thing, until
from tests.interop.goods import Item, Stock
from tests.interop.meeting import Twisted, charged, meeting, until_charged
from tests.interop.peers.graphs import graph, shape

GRAPHS = 200
PARTS = [0, 1, 2]


@pytest.mark.parametrize("part", PARTS)
def test_there_and_back(run: Run, twisted: Twisted, role: str, part: int) -> None:
    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            start, refused = charged(shop.connection), 0
            own: list[Any] = [Thing(), Thing(), Stock(), Stock()]
            for seed in range(part * GRAPHS, (part + 1) * GRAPHS):
                sent = graph(seed, Item, own)
                call = shop.call("echo", sent)
                try:
                    back = await call
                except InsecureJelly:
                    # Twisted is asked nothing that it can't read.
                    refused += 1
                    assert "contains itself" in str(call.exception())
                    continue
                assert shape(back, Item, own) == shape(sent, Item, own), seed
            assert 0 < refused < GRAPHS / 2
            del sent, back, call
            gc.collect()
            await shop.call("collect")
            await until(lambda: not own[2].observers and not own[3].observers)
            await until_charged(shop.connection, start)

    run(main())


def test_whatever_twisted_makes(run: Run, twisted: Twisted, role: str) -> None:
    """Also what Twisted itself could not read."""

    async def main() -> None:
        async with meeting(twisted, role) as (shop, _):
            for seed in range(GRAPHS):
                came = await shop.call("graph", seed)
                assert shape(came, Item, []) == shape(graph(seed, Item, []), Item, []), seed

    run(main())
