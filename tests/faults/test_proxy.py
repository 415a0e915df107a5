"""Two Pellucid programs, and between them a proxy that splits, delays and cuts."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

import pellucid
from pellucid import ConnectionLost
from tests.asyncio.conftest import LoopFactory
from tests.asyncio.pairs import FREE, Run
from tests.faults.cuts import noted
from tests.faults.proxy import Plan, Proxy, Way, between
from tests.faults.talk import PATIENCE, Notes, Portal, Talker, check_over, registry


async def converse(proxy: Proxy, plan: Plan) -> BaseException | None:
    """Talk through the proxy, and give what came of it: an error if it was cut."""
    proxy.plan = plan
    async with asyncio.timeout(PATIENCE):
        try:
            connection = await pellucid.connect(proxy.url, registry=registry())
        except ConnectionLost as error:
            return error
        talker, end = Talker(connection), None
        try:
            await talker.talk()
        except ConnectionLost as error:
            end = error
        else:
            waiting = talker.calls[-2]
            if plan.up.most is plan.down.most is None:
                assert not waiting.done()
                connection.close()
            # What is cut now is not needed for more than that.
            await asyncio.wait([waiting])
            assert isinstance(waiting.exception(), ConnectionLost)
        await talker.check_lost()
        await check_over(connection)
        return end


async def one(proxy: Proxy, portal: Portal, notes: Notes, plan: Plan) -> BaseException | None:
    """Talk once, and see that both sides have forgotten it."""
    error = await converse(proxy, plan)
    async with asyncio.timeout(PATIENCE):
        await check_over(await portal.met.get())
        await proxy.settled()
    notes.check()
    return error


async def length(proxy: Proxy, portal: Portal, notes: Notes) -> tuple[int, int]:
    """How many bytes go up and down."""
    before = [*proxy.passed]
    assert await one(proxy, portal, notes, Plan()) is None
    up, down = (now - then for now, then in zip(proxy.passed, before, strict=True))
    return up, down


# On uvloop's loop, in the short form, every so many bytes, with another beginning for each kind.
STRIDE = 17
# So many of them with one server.
AT_ONCE = 50


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_conversation_is_cut_everywhere(
    run: Run,
    direction: str,
    reset: bool,
    long_form: bool,
    loop_factory: LoopFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    every = long_form or loop_factory is asyncio.new_event_loop
    step, first = (1, 0) if every else (STRIDE, (direction == "up") * 4 + reset * 8)

    async def whole() -> int:
        notes = Notes()
        portal = Portal(notes)
        async with (
            pellucid.serve(portal, FREE, registry=registry()) as server,
            between(server.url) as proxy,
        ):
            up, down = await length(proxy, portal, notes)
            return up if direction == "up" else down

    async def some(cuts: Sequence[int]) -> list[bool]:
        """Cut there, and tell which of the conversations were lost."""
        notes = Notes()
        portal = Portal(notes)
        lost: list[bool] = []
        async with (
            pellucid.serve(portal, FREE, registry=registry()) as server,
            between(server.url) as proxy,
        ):
            for at in cuts:
                way = Way(at)
                plan = Plan(way, reset=reset) if direction == "up" else Plan(down=way, reset=reset)
                with noted(direction, "rst" if reset else "fin", at):
                    lost.append(await one(proxy, portal, notes, plan) is not None)
            assert server.connections == ()
        return lost

    cuts = range(first, run(whole()), step)
    lost: list[bool] = []
    for start in range(0, len(cuts), AT_ONCE):
        lost += run(some(cuts[start : start + AT_ONCE]))
    # At its end there are bytes that nobody waits for.
    assert all(lost[: -len(lost) // 10])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_conversation_in_pieces(run: Run, size: int) -> None:
    async def main() -> None:
        notes = Notes()
        portal = Portal(notes)
        async with (
            pellucid.serve(portal, FREE, registry=registry()) as server,
            between(server.url) as proxy,
        ):
            plan = Plan(Way(size=size), Way(size=size))
            assert await one(proxy, portal, notes, plan) is None
            assert (notes.logins, notes.observing) == (1, 1)

    run(main())


def test_a_conversation_that_is_delayed(run: Run) -> None:
    async def main() -> None:
        notes = Notes()
        portal = Portal(notes)
        async with (
            pellucid.serve(portal, FREE, registry=registry()) as server,
            between(server.url) as proxy,
        ):
            up, down = Way(size=64, delay=0.002), Way(size=32, delay=0.003)
            assert await one(proxy, portal, notes, Plan(up, down)) is None
            # Together with others that are not, and one that is cut.
            plans = [Plan(up, down), Plan(), Plan(down=Way(300)), Plan(Way(size=1))]
            talking = []
            for plan in plans:
                talking.append(asyncio.ensure_future(converse(proxy, plan)))
                # Its plan is taken when it is accepted.
                await portal.met.get()
            ends = await asyncio.gather(*talking)
            assert [error is None for error in ends] == [True, True, False, True]
            server.close()
            await server.wait_closed()
            notes.check()

    run(main())


def test_a_login_that_is_cut_between_its_steps_lost_its_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        notes = Notes()
        portal = Portal(notes)
        async with (
            pellucid.serve(portal, FREE) as server,
            pellucid.connect(server.url) as client,
        ):
            theirs = await portal.met.get()

            async def slowly(function: Any, *args: Any) -> Any:
                theirs.abort()
                await client.wait_closed()
                return function(*args)

            # What takes long is done in a thread.
            monkeypatch.setattr(asyncio, "to_thread", slowly)
            with pytest.raises(ConnectionLost):
                await client.login("alice", "secret")

    run(main())
