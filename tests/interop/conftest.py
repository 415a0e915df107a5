"""The loops of the asyncio face, for these tests too."""

from tests.asyncio.conftest import loop_factory, reports, run, runner

__all__ = ["loop_factory", "reports", "run", "runner"]
