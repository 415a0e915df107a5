"""The soak in its short form, and that it finds what it looks for."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from pellucid import Connection
from tests.processes import run
from tools import soak, soak_parts

MANY = Path(soak.__file__)


def test_twenty_clients_leave_nothing() -> None:
    ended = run(str(MANY), "--minutes", "0.1", "--clients", "20")
    assert ended.out.splitlines()[-1:] == ["nothing is left"], ended.out + ended.err
    assert (ended.status, ended.err) == (0, "")
    assert "with --seed" in ended.out.splitlines()[0]


# What it would find.


def rested(resident: int = 0, blocks: int = 1, **found: Any) -> dict[str, dict[str, Any]]:
    usual: dict[str, Any] = {"faults": {}, "alive": {}, "tasks": [], "seen": {}}
    usual |= {"resident": resident, "blocks": blocks}
    return {"server": {**usual, **found}, "clients 0": usual}


@pytest.mark.parametrize(
    ("before", "after", "grows"), [(100, 105, False), (1000, 1051, True), (0, 0, False)]
)
def test_memory_may_grow_a_little(before: int, after: int, grows: bool) -> None:
    made = soak.Soak(1, 10, "seed")
    made._compare(rested(before), rested(after))
    assert bool(made.problems) is grows


def test_there_may_be_a_few_more_objects() -> None:
    made = soak.Soak(1, 10, "seed")
    made._compare(rested(blocks=100), rested(blocks=105))
    assert not made.problems
    made._compare(rested(blocks=100), rested(blocks=106))
    text = "there is more: 100 objects when settled, 106 objects at the end"
    assert made.problems == [text]


@pytest.mark.parametrize(
    ("seen", "settled", "left"),
    [
        ([100, 101], 101, 80.0),
        ([100, 102, 104, 105], 105, 60.0),
        ([100, 110, 120, 130, 140], 140, 50.0),
    ],
)
def test_memory_has_settled_when_it_is_steady(seen: list[int], settled: int, left: float) -> None:
    sizes = iter(seen)

    class Played(soak.Soak):
        async def _play(self, seconds: float) -> None:
            assert seconds == 10.0

        async def _rest(self, when: str) -> dict[str, dict[str, Any]]:
            return rested(next(sizes))

    found, seconds = asyncio.run(Played(100 / 60, 10, "seed")._settle())
    assert found["server"]["resident"] == settled
    assert seconds == pytest.approx(left)
    assert next(sizes, None) is None


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"faults": {"bad": 2}}, "the end: server: 2 times: bad"),
        ({"alive": {"Connection": 1}}, "the end: server: still alive: {'Connection': 1}"),
        ({"tasks": ["<Task>"]}, "the end: server: a task is left: <Task>"),
    ],
)
def test_what_is_left_is_a_problem(found: dict[str, Any], text: str) -> None:
    made = soak.Soak(1, 10, "seed")
    made._judge("the end", rested(**found))
    assert made.problems == [text]


def test_a_part_that_ends_or_complains_is_a_problem(tmp_path: Path) -> None:
    async def main() -> soak.Soak:
        made = soak.Soak(0.01, 10, "seed")
        await made.run()
        return made

    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nprint('oh', file=sys.stderr)\nsys.exit(3)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soak, "PARTS", broken)
        made = asyncio.run(main())
    assert made.problems == ["server ended with 3: oh"]


def test_what_stays_alive_is_seen() -> None:
    async def main() -> tuple[Any, Any]:
        watch = soak_parts.Watch()
        usual = sys.unraisablehook
        watch.start()
        sys.unraisablehook = usual
        connection = Connection("client")
        task = asyncio.create_task(asyncio.sleep(60))
        left = await watch.left(tries=1)
        task.cancel()
        connection.close()
        await connection.wait_closed()
        del connection
        await asyncio.wait([task])
        del task
        return left, await watch.left()

    gc.collect()
    left, later = asyncio.run(main())
    assert left["alive"]["Connection"] == left["alive"]["Broker"] == 1
    assert len(left["tasks"]) == 1
    assert (later["alive"], later["tasks"], later["faults"]) == ({}, [], {})
