"""Tests of faults leave nothing behind, on both kinds of loop. With PELLUCID_FAULTS=all they run in
their long form."""

import os

import pytest

from tests.asyncio.conftest import loop_factory, reports, run, runner

__all__ = ["loop_factory", "reports", "run", "runner"]


@pytest.fixture(scope="session")
def long_form() -> bool:
    """Whether every offset is wanted where each takes some milliseconds."""
    return os.environ.get("PELLUCID_FAULTS") == "all"
