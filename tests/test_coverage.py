"""Each core module is wholly covered by its own test file, branches included."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tools.core_coverage import Result, measure
from tools.modules import COMPILED, CORE, exists, is_compiled

WRITTEN = [name for name in CORE if exists(name)]

pytestmark = [
    pytest.mark.coverage,
    pytest.mark.skipif(
        any(map(is_compiled, COMPILED)), reason="lines of compiled modules cannot be counted"
    ),
]


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[Result]]]:
    """All at once, as many as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(measure, name) for name in WRITTEN}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_module_is_covered(name: str, results: dict[str, Future[Result]]) -> None:
    result = results[name].result()
    assert result.passed, f"{name}: {result.verdict}\n{result.output}"
