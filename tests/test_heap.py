"""Memory of long messages stays with the process, if the user has said nothing else."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pellucid import banana, encoder, heap, jelly
from pellucid.limits import Limits

GLIBC = platform.libc_ver()[0] == "glibc" and sys.implementation.name == "cpython"

# How many pages the system has to clear for a long message, when it is not the first one.
FAULTS = """
import json, resource
from pellucid import jelly
value = [bytes(512 * 1024)] * 16
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
counts = []
for _ in range(12):
    before = faults()
    jelly.loads(jelly.dumps(value))
    counts.append(faults() - before)
print(json.dumps(counts))
"""


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    heap.keep_room.cache_clear()
    yield
    heap.keep_room.cache_clear()


def faults(**environment: str) -> list[int]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    counts: list[int] = json.loads(done.stdout)
    return sorted(counts)


@pytest.mark.skipif(not GLIBC, reason="it is about glibc")
def test_memory_of_long_messages_stays_with_the_process() -> None:
    assert faults()[6] < 500
    # Whoever tells glibc himself what to keep is heard.
    assert faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")[6] > 2000


def test_one_block_is_made_where_it_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(heap, "bytes", made.append, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    heap.keep_room()
    assert made == []
    heap.keep_room.cache_clear()
    monkeypatch.setattr(sys, "platform", "linux")
    heap.keep_room()
    heap.keep_room()
    assert len(made) == (sys.implementation.name == "cpython")
    assert all(31 * 1024 * 1024 < size < 32 * 1024 * 1024 for size in made)


def test_no_memory_for_it_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> Any:
        raise MemoryError(size)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(heap, "bytes", refuse, raising=False)
    heap.keep_room()


def test_only_long_messages_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(encoder, "keep_room", lambda: asked.append("written"))
    monkeypatch.setattr(banana, "keep_room", lambda: asked.append("read"))
    for size in (1000, 500_000, 1_100_000):
        data = jelly.dumps([bytes(size // 2)] * 2)
        framer = banana.Framer(banana.PB, Limits())
        for at in range(0, len(data), 200_000):
            framer.feed(data[at : at + 200_000])
        assert framer.next_message() == data
    assert asked == ["written", "read"]
