"""Every test runs on both kinds of loop, and leaves nothing behind."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import uvloop

from pellucid.asyncio.calls import EAGER_TASKS
from tests.asyncio.certificates import Certificates, make
from tests.asyncio.pairs import PATIENCE, Reports, Run

_T = TypeVar("_T")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
FACTORIES: dict[str, LoopFactory] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=FACTORIES)
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    return FACTORIES[request.param]


@pytest.fixture
def runner(loop_factory: LoopFactory) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        yield runner


@pytest.fixture
def reports(runner: asyncio.Runner) -> Reports:
    """What the loop was told by callbacks that failed. A test takes out what it expects."""
    found: Reports = []
    runner.get_loop().set_exception_handler(lambda loop, context: found.append(context))
    return found


@pytest.fixture
def run(runner: asyncio.Runner, reports: Reports) -> Iterator[Run]:
    """Run a coroutine to its end, after which no task and no report may be left."""

    async def whole(main: Coroutine[Any, Any, _T]) -> _T:
        async with asyncio.timeout(PATIENCE):
            result = await main
        # asyncio accepts connections in tasks of its own, also those that come too late.
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    def run(main: Coroutine[Any, Any, _T]) -> _T:
        return runner.run(whole(main))

    yield run
    gc.collect()
    # What was just collected may have had something to say.
    runner.run(asyncio.sleep(0))
    assert reports == []


@pytest.fixture(
    params=[False, True] if EAGER_TASKS else [False], ids=["later", "eager"][: 1 + EAGER_TASKS]
)
def eager(request: pytest.FixtureRequest) -> bool:
    """Whether the tasks of calls run their first lines at once."""
    value: bool = request.param
    return value


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))
