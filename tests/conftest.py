"""What every test shares."""

import gc
import importlib.util
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tools.modules import COMPILED, is_compiled

# A slow machine is no failure.
settings.register_profile("pellucid", deadline=None, print_blob=True)
settings.load_profile("pellucid")
# Coverage wants the same examples every time.
settings.register_profile("steady", deadline=None, derandomize=True)


def pytest_report_header() -> str:
    compiled = [name for name in COMPILED if is_compiled(name)]
    spec = importlib.util.find_spec("pellucid")
    place = spec.origin if spec else "nowhere"
    return f"pellucid: {'compiled ' + ', '.join(compiled) if compiled else 'pure Python'}, {place}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage runs last: what is broken should be heard of before what is untested."""
    items.sort(key=lambda item: item.get_closest_marker("coverage") is not None)


def pytest_collection_finish() -> None:
    """Leave out what is there before the first test: many of them have all garbage collected."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _rested() -> Iterator[None]:
    """Leave out what is alive after each file as well: it is pytest's own, and grows."""
    yield
    gc.collect()
    gc.freeze()
