"""Each attack, for a moment, against one Pellucid server with small limits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

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


class Server:
    """The server that all of them attack."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attack.servers", "pellucid_asyncio"],
            env={**here().plain(None), "ATTACK_LIMITS": json.dumps(SMALL)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.ports = [int(port) for port in self.process.stdout.readline().split()]
        self._session = PbSession(self.ports)
        self._session.echo()
        self._files = self._open_files()
        # The bound of the attack before.
        self.last = 0.0

    def _open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settle(self) -> None:
        """Let it be done with what earlier attacks sent. What is still open then stays so."""
        end = monotonic() + SECONDS
        while self._open_files() > self._files and monotonic() < end:
            self._session.echo()
        self._files = self._open_files()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    many_files()
    made = Server()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_client_is_answered_and_the_server_stays_small(server: Server, name: str) -> None:
    pid = server.process.pid
    server.settle()
    session = PbSession(server.ports)
    before = memory(pid)
    assert forget_peak(pid)
    target = Target(server.ports, SECONDS)
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(run, ATTACKS[name], PB, target)
        session.echo()
        while not attacking.done():
            session.echo()
    assert attacking.result()["failed"] == ""
    for line in target.lines:
        line.close()
    PbSession(server.ports).echo()
    most = bound(name, Limits(**SMALL))
    assert most is not None
    # On a busy machine it may still be at what the attack before has sent.
    assert memory(pid, "VmHWM") - before <= most + server.last
    server.last = most
    assert os.path.exists(f"/proc/{pid}")
