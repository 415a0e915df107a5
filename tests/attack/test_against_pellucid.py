"""Each attack, for a moment, against a Pellucid server with small limits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import attack.attacks  # noqa: F401 - it registers them
from attack.attacker import run
from attack.bounds import bound
from attack.honest import PbSession
from attack.measure import LINUX, forget_peak, memory
from attack.registry import ATTACKS, PB
from attack.target import Target, many_files
from bench.builds import here
from pellucid import Limits

pytestmark = pytest.mark.skipif(not LINUX, reason="it reads /proc")

SMALL = {
    "message_bytes": 2**20,
    "items": 20_000,
    "hash_steps": 20_000,
    "references_held": 1_000,
    "references_exported": 1_000,
    "caches_held": 1_000,
    "caches_exported": 1_000,
    "cache_bytes": 2**20,
    "calls_pending": 1_000,
    "calls_running": 50,
    "calls_waiting": 100,
    "waiting_bytes": 2**20,
    "out_bytes": 2**20,
}
SECONDS = 0.12
NAMES = [name for name, each in ATTACKS.items() if PB in each.ways]


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    # One for each: it may still be at what an attack has sent when everybody has gone.
    many_files()
    process = subprocess.Popen(
        [sys.executable, "-m", "attack.servers", "pellucid_asyncio"],
        env={**here().plain(None), "ATTACK_LIMITS": json.dumps(SMALL)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_client_is_answered_and_the_server_stays_small(
    server: subprocess.Popen[bytes], name: str
) -> None:
    assert server.stdout is not None
    pid, ports = server.pid, [int(port) for port in server.stdout.readline().split()]
    session = PbSession(ports)
    session.echo()
    before = memory(pid)
    assert forget_peak(pid)
    target = Target(ports, SECONDS)
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(run, ATTACKS[name], PB, target)
        session.echo()
        while not attacking.done():
            session.echo()
    assert attacking.result()["failed"] == ""
    for line in target.lines:
        line.close()
    PbSession(ports).echo()
    most = bound(name, Limits(**SMALL))
    assert most is not None
    assert memory(pid, "VmHWM") - before <= most
    assert os.path.exists(f"/proc/{pid}")
