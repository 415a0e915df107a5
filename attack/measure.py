"""Runs one attack on one peer: a server, an honest client and an attacker, each a process.

The server has a core of its own. It is a new one each time, so nothing is left of the last attack.
What a process has is read from /proc, which only Linux has.
"""

import json
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attack.outcome import Outcome
from attack.peers import Peer
from attack.registry import Attack
from bench.builds import Builds
from bench.run import Failed, Placement, Process

LINUX = sys.platform.startswith("linux")
# Above it a server is ended before the machine suffers.
MOST = 3 * 2**30
_PATIENCE = 30.0
_STEP = 0.02
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Times:
    """How long the parts take, in seconds."""

    calm: float
    attack: float


FULL = Times(calm=0.6, attack=3.0)
QUICK = Times(calm=0.4, attack=1.5)


def memory(pid: int, name: str = "VmRSS") -> int:
    """Give what a process has in memory, or had at most with `VmHWM`; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def forget_peak(pid: int) -> bool:
    """Have the peak of a process begin now."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def worked(pid: int) -> float:
    """Give the processor time of a process, in seconds."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after[11]) + int(after[12])) / _TICK


def logged(pid: int) -> int:
    """Give the size of what a process wrote to its standard error, which is a file."""
    try:
        return os.stat(f"/proc/{pid}/fd/2").st_size
    except OSError:
        return 0


def p99(taken: list[int]) -> float:
    """Give the 99th of a hundred, in seconds."""
    return sorted(taken)[len(taken) * 99 // 100] / 1e6 if taken else 0.0


class Arena:
    """One server, one honest client and one attacker, for one attack."""

    def __init__(
        self, attack: Attack, peer: Peer, builds: Builds, placement: Placement, stack: ExitStack
    ) -> None:
        self._attack = attack
        self._peer = peer
        self._environment = builds.plain(peer.build)
        # What a test says of the limits.
        if "ATTACK_LIMITS" in os.environ:
            self._environment["ATTACK_LIMITS"] = os.environ["ATTACK_LIMITS"]
        self._python = builds.python
        self._stack = stack
        self.server = self._start(
            *("attack.servers", peer.module, str(attack.files)), prefix=peer.prefix
        )
        ports = self.server.line(_PATIENCE).split()
        if len(ports) != 2 or not all(port.isdecimal() for port in ports):
            raise Failed(f"its server says {' '.join(ports)[:80]!r}, which are no ports")
        self.honest = self._start("attack.honest", peer.family, *ports)
        self.attacker = self._start("attack.attacker", peer.family, *ports)
        placement.put(self.server, self.honest, True)
        placement.put(self.server, self.attacker, True)
        for process in (self.honest, self.attacker):
            if (said := process.line(_PATIENCE)) != "ready":
                raise Failed(f"one of its clients says {said[:80]!r}")

    def _start(self, module: str, *arguments: str, prefix: tuple[str, ...] = ()) -> Process:
        command = [self._python, *prefix, "-m", module, *arguments]
        process = Process(command, self._environment)
        self._stack.callback(process.kill)
        return process

    def fight(self, times: Times) -> Outcome:
        """Let the attacker loose, and look."""
        outcome = Outcome(self._attack.name, self._peer.name)
        pid = self.server.pid
        calm = json.loads(self.honest.order("run", int(times.calm * 1000), _PATIENCE))
        if calm["wrong"]:
            raise Failed(f"it does not even answer undisturbed: {calm['wrong']}")
        outcome.calm = p99(calm["taken"])
        before, cpu, log = memory(pid), worked(pid), logged(pid)
        exact = forget_peak(pid)
        peak = before
        with ThreadPoolExecutor(2) as pool:
            attacking = pool.submit(
                self.attacker.order, self._attack.name, int(times.attack * 1000), _PATIENCE
            )
            honest = pool.submit(
                self.honest.order, "run", int((times.attack + 0.2) * 1000), _PATIENCE
            )
            while not (attacking.done() and honest.done()):
                time.sleep(_STEP)
                peak = max(peak, memory(pid))
                if peak > MOST and not outcome.ended:
                    outcome.ended = f"ended at {MOST / 2**30:.0f} GiB"
                    self.server.kill()
        if exact:
            peak = max(peak, memory(pid, "VmHWM"))
        outcome.growth = max(0, peak - before)
        outcome.cpu = max(0.0, worked(pid) - cpu)
        outcome.log = max(0, logged(pid) - log)
        self._hear(outcome, attacking, honest)
        self._afterwards(outcome, before)
        return outcome

    def _hear(self, outcome: Outcome, attacking: "Future[str]", honest: "Future[str]") -> None:
        try:
            found: Any = json.loads(attacking.result())
            outcome.sent, outcome.cut = found["sent"], found["cut"]
            outcome.failed = found["failed"]
        except Failed as error:
            outcome.failed = str(error)
        try:
            found = json.loads(honest.result())
        except Failed as error:
            outcome.wrong = str(error)
            return
        taken = found["taken"]
        outcome.p99, outcome.calls, outcome.wrong = p99(taken), len(taken), found["wrong"]
        outcome.worst = max(taken, default=0) / 1e6

    def _afterwards(self, outcome: Outcome, before: int) -> None:
        """Look whether somebody new is let in when the attacker has gone."""
        self.attacker.kill()
        if not self._alive():
            outcome.ended = outcome.ended or "the server has ended"
            return
        try:
            found = json.loads(self.honest.order("new", 0, _PATIENCE))
            if found["wrong"]:
                outcome.new = f"a new client afterwards: {found['wrong']}"
        except Failed as error:
            outcome.new = f"a new client afterwards: {error}"
        outcome.stayed = max(0, memory(self.server.pid) - before)

    def _alive(self) -> bool:
        return memory(self.server.pid) > 0


def measure(
    attack: Attack, peer: Peer, builds: Builds, placement: Placement, times: Times
) -> Outcome:
    """Run one attack on one peer. Raises Failed if the peer can't be measured."""
    with ExitStack() as stack:
        return Arena(attack, peer, builds, placement, stack).fight(times)
