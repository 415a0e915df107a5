"""Runs the processes that are measured: where, how often, in which order.

Every kind has one server and one client for the whole run, idle while others are measured. A round
measures each workload with each kind, and the order of the kinds is another in each round.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.builds import Builds
from bench.peers import Kind
from bench.results import Results
from bench.workloads import WORKLOADS, Workload

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
# A workload of which one operation takes longer than this is measured in the first rounds only.
SLOW = 2.0
SLOW_ROUNDS = 3
# Fresh processes first do one of so many operations without a clock.
_WARMING = 10


class Failed(Exception):
    """A measured process did not do what it should."""


class Process:
    """A process that reads orders and answers each with a line."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._err = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - kill closes it
        self._rest = b""
        self._gone = ""
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._err,
            # Ctrl-C is for the harness, which ends them all. In a session of its own Linux would
            # not let a process come behind the others, however nice it is.
            process_group=0,
        )
        self.pid = self._process.pid

    def line(self, patience: float = PATIENCE) -> str:
        """Read the next line."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        end = time.monotonic() + patience
        while b"\n" not in self._rest:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                # A late answer would be taken for that to the next order.
                self._process.kill()
                self._gone = f"no answer for {patience:.0f} seconds"
                raise Failed(self._gone)
            data = os.read(pipe, 65_536)
            if not data:
                raise Failed(self._last_words())
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def order(self, method: str, count: int, patience: float = PATIENCE) -> str:
        """Give an order, and read the answer to it."""
        assert self._process.stdin is not None
        if self._gone:
            raise Failed(self._gone)
        try:
            self._process.stdin.write(f"{method} {count}\n".encode())
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._last_words()) from None
        answer = self.line(patience)
        if answer.startswith("error: "):
            raise Failed(answer.removeprefix("error: "))
        return answer

    def last(self, method: str, count: int, patience: float = PATIENCE) -> None:
        """Give the only order that there will be, and wait for the end."""
        try:
            out, _ = self._process.communicate(f"{method} {count}\n".encode(), patience)
        except subprocess.TimeoutExpired:
            raise Failed("it does not end") from None
        answer = out.decode().splitlines()[-1:]
        if self._process.returncode:
            raise Failed(self._last_words())
        if answer and answer[0].startswith("error: "):
            raise Failed(answer[0].removeprefix("error: "))

    def kill(self) -> None:
        """End it, if it is still there."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._err):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # What it has not read.
                    pass

    def _last_words(self) -> str:
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "it has closed its output"
        self._err.seek(0)
        lines = [line for line in self._err.read().splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"it ended with {self._process.returncode}"


class Placement:
    """Which cores the processes get."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.second: int | None = None
        if hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            self.first = cores[0]
            # Two threads of one core are half of two cores.
            others = [core for core in cores[1:] if core not in _siblings(cores[0])] or cores[1:]
            self.second = others[0] if others else None

    def describe(self) -> str:
        """Say it in a sentence."""
        if self.first is None:
            return "processes are not bound to cores: this system can't"
        if self.second is None:
            return f"client and server share core {self.first}: there is only one"
        apart = ", ".join(workload.title for workload in WORKLOADS.values() if workload.apart)
        return (
            f"client and server share core {self.first}; for {apart} the server has "
            f"core {self.first} and the client core {self.second}"
        )

    def put(self, server: Process, client: Process, apart: bool) -> None:
        """Bind both processes, with all their threads."""
        if self.first is None:
            return
        _bind(server.pid, self.first)
        _bind(client.pid, self.second if apart and self.second is not None else self.first)

    @contextmanager
    def client(self) -> Iterator[None]:
        """Have what is started meanwhile begin on the core of a client that has its own."""
        core = self.first if self.second is None else self.second
        if core is None:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def _siblings(core: int) -> set[int]:
    place = f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
    found: set[int] = set()
    try:
        for part in Path(place).read_text().strip().split(","):
            low, _, high = part.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    except (OSError, ValueError):
        pass
    return found


def _bind(pid: int, core: int) -> None:
    try:
        threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        threads = [pid]
    for thread in threads:
        try:
            os.sched_setaffinity(thread, {core})
        except ProcessLookupError:
            # It has ended.
            pass


class Peer:
    """One kind, running: its server and its client."""

    def __init__(self, kind: Kind, builds: Builds, placement: Placement, patience: float) -> None:
        self.kind = kind
        self._builds = builds
        self._placement = placement
        self._patience = patience
        self.goal = 0.0
        self.counts: dict[str, int] = {}
        self.slow: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._stack = ExitStack()
        # What these processes have done.
        self._done: set[str] = set()
        try:
            self.server = self.start("server")
            self.port = self.server.line(self._patience)
            if not self.port.isdecimal():
                raise Failed(f"its server says {self.port[:80]!r}, which is no port")
            self.client = self.start("client", self.port)
            self.methods = frozenset(self.client.line(self._patience).split())
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Have fresh processes from now on."""
        self.close()
        self._begin()

    def start(self, *arguments: str) -> Process:
        """Start a process of this kind, which ends with it."""
        command = [self._builds.python, *self.kind.command(*arguments)]
        process = Process(command, self._builds.environment(self.kind))
        self._stack.callback(process.kill)
        return process

    def can(self, workload: Workload) -> str | None:
        """Give the method for a workload, if there is one."""
        method = self.kind.method(workload.method)
        return method if method in self.methods else None

    def place(self, apart: bool) -> None:
        """Put its processes on their cores."""
        self._placement.put(self.server, self.client, apart)

    def seconds(self, method: str, count: int) -> float:
        """Do so many operations, and give the time that they took."""
        return float(self.client.order(method, count, self._patience))

    def calibrate(self, workload: Workload, goal: float) -> None:
        """Find out how many operations take about this long."""
        method = self.can(workload)
        assert method is not None
        self.place(workload.apart)
        count = 1
        # What disturbs it makes the count too small, so the count is tried.
        while (taken := self.seconds(method, count)) < goal * 0.6:
            count = _scaled(count, taken, goal)
        self.goal = goal
        self.counts[workload.key] = max(1, round(count * goal / taken))
        if taken / count > SLOW:
            self.slow.add(workload.key)

    def measure(self, workload: Workload) -> float:
        """Give the operations in a second, in one go of the calibrated length.

        What these processes have not done yet they do a tenth as often before.
        """
        method = self.can(workload)
        assert method is not None
        self.place(workload.apart)
        count = self.counts[workload.key]
        if workload.key not in self._done:
            self._done.add(workload.key)
            self.seconds(method, -(-count // _WARMING))
        taken = self.seconds(method, count)
        if taken < self.goal / 2:
            # It was counted while something else was going on.
            self.counts[workload.key] = _scaled(count, taken, self.goal)
        return count / taken

    def latency(self, count: int) -> list[float]:
        """Give p50 and p99 of a sequential call."""
        self.place(False)
        low, high = self.client.order("latency", count, self._patience).strip("[]").split(",")
        return [float(low), float(high)]

    def close(self) -> None:
        """End its processes."""
        self._stack.close()


def _scaled(count: int, taken: float, goal: float) -> int:
    """Give the count for the goal by what was taken; no more than sixteen times as many."""
    return max(count + 1, min(count * 16, int(count * goal / max(taken, 1e-9))))


class Progress:
    """Says on standard error how far it is, in one line that is written over."""

    def __init__(self, steps: int, quiet: bool = False) -> None:
        self._steps = steps
        self._done = 0
        self._started = time.monotonic()
        self._said = 0.0
        self._quiet = quiet

    def step(self, what: str) -> None:
        """One more step begins."""
        now = time.monotonic()
        left = ""
        if self._done >= 10:
            seconds = (now - self._started) / self._done * (self._steps - self._done)
            left = f"; about {int(seconds // 60)} min {int(seconds % 60):02d} s left"
        self._done += 1
        if not self._quiet and (sys.stderr.isatty() or now - self._said > 15):
            self._said = now
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{what + left:<79.79}", end=end, file=sys.stderr, flush=True)

    def over(self) -> None:
        """Leave the line clean."""
        if not self._quiet and sys.stderr.isatty():
            print(f"{'':79}", end="\r", file=sys.stderr, flush=True)


def rotated(kinds: Sequence[Peer], number: int) -> list[Peer]:
    """Give the order of one round: each begins with another, and every second one runs back."""
    start = number % len(kinds)
    order = [*kinds[start:], *kinds[:start]]
    return order[::-1] if number % 2 else order


@contextmanager
def started(
    kinds: Sequence[Kind],
    builds: Builds,
    placement: Placement,
    results: Results,
    patience: float = PATIENCE,
) -> Iterator[list[Peer]]:
    """Start the kinds that can be started; the others are noted."""
    with ExitStack() as stack:
        peers = []
        for kind in kinds:
            try:
                peer = Peer(kind, builds, placement, patience)
            except (Failed, OSError) as error:
                results.fail(kind.name, "", str(error))
            else:
                stack.callback(peer.close)
                peers.append(peer)
        yield peers


def measure(
    peers: list[Peer],
    workloads: Sequence[Workload],
    results: Results,
    *,
    rounds: int,
    goal: float,
    latency: bool,
    renew: bool = False,
    quiet: bool = False,
) -> None:
    """Measure the workloads, and the latency of the kinds that can tell.

    With `renew` the processes are fresh in each round: where their memory lies makes them faster or
    slower for all their life.
    """
    able = {workload.key: [peer for peer in peers if peer.can(workload)] for workload in workloads}
    tellers = [p for p in peers if "one" in p.methods and not p.kind.instead] if latency else []
    each = sum(map(len, able.values()))
    progress = Progress(each * (rounds + 1) + len(tellers) * rounds, quiet)

    def attempt(peer: Peer, key: str, what: Callable[[], None]) -> None:
        """One measurement. Who fails once in a workload is not asked again."""
        try:
            what()
        except Failed as error:
            results.fail(peer.kind.name, key, str(error))
            group = tellers if key == "latency" else able[key]
            group.remove(peer)

    for workload in workloads:
        for peer in able[workload.key][:]:
            progress.step(f"counting: {workload.title}, {peer.kind.name}")
            attempt(peer, workload.key, lambda: peer.calibrate(workload, goal))  # noqa: B023

    def again(peer: Peer) -> None:
        try:
            peer.renew()
        except (Failed, OSError) as error:
            results.fail(peer.kind.name, "", str(error))
            for group in (peers, *able.values(), tellers):
                if peer in group:
                    group.remove(peer)

    for number in range(rounds):
        results.rounds = number + 1
        about = f"round {number + 1} of {rounds}: "
        for peer in peers[:] if renew and number else ():
            again(peer)
        for workload in workloads:
            for peer in rotated(able[workload.key], number) if able[workload.key] else []:
                progress.step(f"{about}{workload.title}, {peer.kind.name}")
                if workload.key in peer.slow and number >= SLOW_ROUNDS:
                    continue
                attempt(
                    peer,
                    workload.key,
                    lambda: results.rate(workload.key, peer.kind.name, peer.measure(workload)),  # noqa: B023
                )
        for peer in rotated(tellers, number) if tellers else []:
            progress.step(f"{about}latency, {peer.kind.name}")
            count = max(100, peer.counts.get("sequential", 1000))
            attempt(
                peer,
                "latency",
                lambda: results.quantiles(peer.kind.name, peer.latency(count)),  # noqa: B023
            )
    progress.over()
