"""The harness: its rounds, its processes, its builds, and its command line."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import builds, connections, growth, long, run, startup
from bench.builds import Builds, here
from bench.peers import BASE, KINDS, Kind
from bench.results import Results
from bench.run import Failed, Peer, Placement, measure, rotated, started
from bench.workloads import WORKLOADS
from tests.processes import run as execute

SOCKETS = KINDS["blocking sockets"]
TWO = (KINDS["BufferedProtocol"], KINDS[BASE])


class Pretended:
    """A peer without processes."""

    def __init__(self, name: str, methods: str = "sequential one", fails: str = "") -> None:
        self.kind = Kind(name, "nothing", "peer")
        self.methods = frozenset(methods.split())
        self.counts: dict[str, int] = {}
        self.slow: set[str] = set()
        self.fails = fails
        self.measured = 0
        self.renewed = 0

    can = Peer.can

    def calibrate(self, workload: Any, goal: float) -> None:
        if self.fails == "calibrate":
            raise Failed("it is wrong")
        self.counts[workload.key] = 7

    def measure(self, workload: Any) -> float:
        self.measured += 1
        if self.fails == "second" and self.measured == 2:
            raise Failed("it is tired")
        return 100.0

    def latency(self, count: int) -> list[float]:
        return [1.0, float(count)]

    def renew(self) -> None:
        self.renewed += 1
        if self.fails == "renew":
            raise Failed("it does not start again")


def measured(peers: list[Any], rounds: int = 4, **options: Any) -> Results:
    results = Results()
    chosen = [WORKLOADS["sequential"], WORKLOADS["callback"]]
    measure(peers, chosen, results, rounds=rounds, goal=0.1, latency=True, quiet=True, **options)
    return results


def test_each_round_has_another_order() -> None:
    peers: list[Any] = list("abc")
    orders = ["".join(map(str, rotated(peers, number))) for number in range(6)]
    assert len(set(orders)) == 6
    assert all(sorted(order) == peers for order in orders)


def test_rounds() -> None:
    results = measured([Pretended("a"), Pretended("b", "callback")])
    assert results.rates == {"sequential": {"a": [100.0] * 4}, "callback": {"b": [100.0] * 4}}
    assert results.latency == {"a": [[1.0, 100.0]] * 4}
    assert results.failures == {}


@pytest.mark.parametrize(("fails", "figures"), [("calibrate", []), ("second", [100.0])])
def test_who_fails_is_noted_and_the_others_go_on(fails: str, figures: list[float]) -> None:
    results = measured([Pretended("a", fails=fails), Pretended("b")])
    assert results.figures("sequential", "a") == figures
    assert results.figures("sequential", "b") == [100.0] * 4
    assert list(results.failures) == ["a"]


def test_processes_are_fresh_in_each_round() -> None:
    peers = [Pretended("a"), Pretended("b", fails="renew")]
    left: list[Any] = peers[:]
    results = measured(left, renew=True)
    assert left == peers[:1]
    assert [peer.renewed for peer in peers] == [3, 1]
    assert results.figures("sequential", "a") == [100.0] * 4
    assert results.figures("sequential", "b") == [100.0]
    assert "it does not start again" in str(results.failures["b"])


def test_what_is_slow_is_measured_in_few_rounds() -> None:
    slow = Pretended("a")
    slow.slow.add("sequential")
    results = measured([slow, Pretended("b")])
    assert results.figures("sequential", "a") == [100.0] * run.SLOW_ROUNDS


def test_calibrated_rounds_with_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results()
    monkeypatch.setattr(growth, "SIZES", {"bytes": ("string_of", [10, 20])})
    with started(TWO, here(), Placement(), results) as peers:
        chosen = [WORKLOADS["sequential"], WORKLOADS["each"]]
        measure(peers, chosen, results, rounds=2, goal=0.01, latency=True, renew=True)
        growth.measure(peers, results)
        startup.measure(peers, here(), Placement(), results, rounds=1)
        pids = [process.pid for peer in peers for process in (peer.server, peer.client)]
    assert len(results.ratios("each", "BufferedProtocol", BASE)) == 2
    assert len(results.tails("BufferedProtocol", BASE)) == 2
    assert list(results.growth["bytes"]) == [BASE]
    assert set(results.others["startup"]) == {"BufferedProtocol", BASE, "Python alone"}
    assert results.failures == {}
    assert "counting: sequential, BufferedProtocol" in capsys.readouterr().err
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_connections() -> None:
    results = Results()
    connections.measure(
        [*TWO, SOCKETS], here(), Placement(), results, rounds=1, count=5, quiet=True
    )
    assert set(results.others["accept"]) == set(results.others["again"]) == {k.name for k in TWO}
    assert results.failures == {}


def test_long() -> None:
    results = Results()
    long.measure(
        *([*TWO, SOCKETS], here(), Placement(), results),
        **{"rounds": 1, "minutes": 0.001, "count": 5, "quiet": True},  # type: ignore[arg-type]
    )
    assert len(results.others) >= 4
    assert all(set(found) == {kind.name for kind in TWO} for found in results.others.values())


# Processes.


def _process(code: str) -> run.Process:
    return run.Process([sys.executable, "-c", code], dict(os.environ))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('it broke')", "it broke"),
        ("raise SystemExit(3)", "it ended with 3"),
        ("input(); print('error: so it is')", "so it is"),
        ("import time; time.sleep(60)", "no answer for 0 seconds"),
    ],
)
def test_a_process_that_fails(code: str, said: str) -> None:
    process = _process(code)
    try:
        with pytest.raises(Failed, match=said):
            process.order("sequential", 1, 0.2 if "sleep" in code else 60)
    finally:
        process.kill()


def test_who_does_not_answer_is_not_asked_again() -> None:
    process = _process("import time; time.sleep(60)")
    try:
        for patience in (0.1, 60):
            with pytest.raises(Failed, match="no answer for 0 seconds"):
                process.order("sequential", 1, patience)
    finally:
        process.kill()


def test_the_last_order() -> None:
    process = _process("print(input())")
    try:
        process.last("sequential", 1)
    finally:
        process.kill()
    process = _process("print('error: ' + input())")
    try:
        with pytest.raises(Failed, match="sequential 1"):
            process.last("sequential", 1)
    finally:
        process.kill()


def test_placement() -> None:
    assert "core" in Placement().describe()
    lonely = Placement()
    lonely.first, lonely.second = 0, None
    assert "only one" in lonely.describe()
    lonely.first = None
    assert "not bound" in lonely.describe()
    with lonely.client():
        pass


# Builds.


def test_the_requirements_of_an_extra() -> None:
    extras = {"bench": ["pellucid[fast,twisted]", "rpyc"], "fast": ["uvloop"], "twisted": ["tw"]}
    assert builds._requirements("bench", extras) == {"rpyc", "uvloop", "tw"}


def test_what_has_not_changed_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def pretend(command: list[str], **more: str) -> None:
        steps.append(command[2])
        if command[2] == "venv":
            Path(command[3]).mkdir()
        elif more:
            Path(command[-2]).mkdir()
            assert Path(command[-1], "src", "pellucid", "banana.py").exists()
            assert not list(Path(command[-1]).rglob("*.so"))

    monkeypatch.setattr(builds, "PLACE", tmp_path / "bench")
    monkeypatch.setattr(builds, "_run", pretend)
    monkeypatch.setattr(builds, "_say", lambda text: None)
    first = builds.made()
    assert steps == ["venv", "pip", "pip", "pip"]
    assert builds.made() == first
    assert len(steps) == 4
    (tmp_path / "bench" / "pellucid-compiled" / ".stamp").unlink()
    builds.made()
    assert steps[4:] == ["pip"]


def test_a_peer_that_cannot_be_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def pretend(command: list[str], **more: str) -> None:
        if "bad" in command:
            raise builds.BuildFailed("no such thing")

    monkeypatch.setattr(builds, "_run", pretend)
    monkeypatch.setattr(builds, "_say", said.append)
    assert not builds._install(tmp_path, ["good", "bad"])
    assert said == ["without bad: no such thing"]
    assert builds._install(tmp_path, ["good"])


def test_a_step_that_fails_says_why() -> None:
    with pytest.raises(builds.BuildFailed, match="because"):
        builds._run([sys.executable, "-c", "raise SystemExit('because')"])


def test_the_environment_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("BENCH_LOOP", "other")
    folders = {"compiled": Path("c"), "uncompiled": Path("u")}
    made = Builds("python", folders)
    assert made.environment(KINDS["uvloop"])["PYTHONPATH"] == "c"
    assert made.environment(KINDS["uvloop"])["BENCH_LOOP"] == "uvloop"
    assert made.environment(KINDS["asyncio, uncompiled"])["PYTHONPATH"] == "u"
    assert "PYTHONPATH" not in made.environment(KINDS[BASE])
    assert "BENCH_LOOP" not in made.environment(KINDS[BASE])
    assert here().environment(KINDS[BASE])["PYTHONPATH"] == "somewhere"


# The command line.


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    options = "-m bench --here --quick --rounds 1 --only sequential --only codec"
    done = execute(*options.split(), "--kinds", "blocking sockets", "--json", str(file))
    assert done.status == 0, done.err
    found = json.loads(file.read_text())
    assert set(found["rates"]["sequential"]) == {BASE, "blocking sockets"}
    assert found["versions"]["twisted"]
    assert any(name.startswith("framer: ") for name in found["others"])
    again = execute("-m", "bench", "--from", str(file))
    assert (again.out, again.status) == (done.out, 0)
    assert "sequential: echo of a short text" in again.out


def test_a_command_that_cannot_be() -> None:
    assert execute("-m", "bench", "--only", "nothing").status == 2
    assert execute("-m", "bench", "--rounds", "0").status == 2
