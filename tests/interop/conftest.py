"""The loops of the asyncio face, and a Twisted program that all tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.asyncio.conftest import loop_factory, reports, run, runner
from tests.interop.meeting import ROLES, Twisted, complaints, twisted_program

__all__ = ["loop_factory", "reports", "role", "run", "runner", "twisted"]


@pytest.fixture(scope="module")
def twisted(request: pytest.FixtureRequest) -> Iterator[Twisted]:
    """The program. It may complain of nothing but what the module's `COMPLAINTS` names."""
    with twisted_program() as twisted:
        yield twisted
        ended = twisted.program.stop()
    assert complaints(ended.err) <= getattr(request.module, "COMPLAINTS", set()), ended.err


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    """Who connects to whom."""
    role: str = request.param
    return role
