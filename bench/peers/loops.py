"""The loop that a process runs on: `BENCH_LOOP=uvloop` asks for uvloop's."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run as asyncio.run does."""
    if os.environ.get("BENCH_LOOP") != "uvloop":
        asyncio.run(main)
        return
    import uvloop  # noqa: PLC0415 - where it is asked for

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
