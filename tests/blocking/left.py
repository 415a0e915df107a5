"""What a test may take, and what it may leave behind: fixtures for all tests with threads."""

import faulthandler
import gc
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from tests.blocking.threads import PATIENCE, all_threads, open_sockets


class _TooLate(BaseException):
    """A test that hangs. Nothing between the test and pytest catches it."""


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Interrupt what the test waits for when its time is over."""

    def ring(number: int, frame: FrameType | None) -> Any:
        faulthandler.dump_traceback(all_threads=True)
        raise _TooLate(f"it took longer than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    # Whatever can't be interrupted.
    faulthandler.dump_traceback_later(3 * PATIENCE, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def nothing_left(in_time: None) -> Iterator[None]:
    gc.collect()
    threads, sockets = all_threads(), open_sockets()
    yield
    assert all_threads() - threads == set()
    gc.collect()
    assert open_sockets() - sockets == set()
