"""The parts of `make attack`: its bytes, its list, its bounds, its figures, its table."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import attack.attacks  # noqa: F401 - it registers them
from attack import __main__ as program
from attack import report, wire
from attack.attacker import run
from attack.bounds import BASE, BOUNDS, bound
from attack.measure import LINUX, Times, forget_peak, logged, measure, memory, p99, worked
from attack.outcome import Outcome, Outcomes
from attack.peers import OURS, PEERS, is_ours
from attack.registry import ATTACKS, PB, Attack
from attack.target import Cut, Over, Target
from bench.builds import here
from bench.run import Failed, Placement
from pellucid import Limits, banana

linux = pytest.mark.skipif(not LINUX, reason="it reads /proc")


@pytest.mark.parametrize(
    "value",
    [
        *(0, 1, 127, 128, 2**31 - 1, 2**31, 2**448 - 1, -1, -(2**31), -(2**31) - 1, -(2**448 - 1)),
        *(1.5, b"", b"x" * 200, []),
        [b"list", [1, [b"x", -5]], 2.5],
    ],
)
def test_bytes_are_those_of_an_encoder(value: Any) -> None:
    data = wire.item(value)
    assert data == banana.encode(value, "none")
    assert wire.parse(data) == (value, len(data))
    for end in range(min(len(data), 50)):
        with pytest.raises(wire.Short):
            wire.parse(data[:end])


def test_what_is_written_by_hand() -> None:
    assert wire.tuple_of(2, wire.item(7)) == wire.item([b"tuple", 7, 7])
    whole = wire.opened_call(b"echo") + wire.item([b"tuple", 7]) + wire.item(wire.EMPTY)
    assert whole == wire.call(b"echo", 7)
    assert wire.item(wire.Raw(b"\x01\x81")) == b"\x01\x81"
    with pytest.raises(ValueError, match="type byte"):
        wire.parse(b"\x88")


# The list.


def test_there_are_many_attacks_and_each_says_what_it_is() -> None:
    against_pb = [each for each in ATTACKS.values() if PB in each.ways]
    assert len(against_pb) >= 34
    for each in ATTACKS.values():
        assert PB in each.ways, "the first to have a name says what it is"
        assert each.about.endswith(".")
    for peer in PEERS.values():
        assert sum(1 for each in ATTACKS.values() if peer.family in each.ways) >= 8


def test_each_attack_has_a_bound() -> None:
    assert BOUNDS.keys() == ATTACKS.keys()
    for name in ATTACKS:
        found = bound(name, Limits())
        assert found is not None
        assert BASE <= found < 2**32
    assert bound("nothing", Limits()) is None


def test_the_listing_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    listing = program.listing()
    assert all(f"{name}: " in listing for name in ATTACKS)


# What attacks.


def _attack(function: Any, again: bool = True) -> Attack:
    return Attack("test", "Tests.", {PB: function}, again=again)


def test_who_is_cut_off_begins_again_until_the_end() -> None:
    def cut(target: Target) -> None:
        raise Cut

    target = Target([1], 0.05)
    assert run(_attack(cut), PB, target)["failed"] == ""
    assert target.cut > 1
    target = Target([1], 0.05)
    run(_attack(cut, again=False), PB, target)
    assert target.cut == 1
    with pytest.raises(Over):
        target.left()


def test_an_attack_that_breaks_says_so() -> None:
    found = run(_attack(lambda target: 1 / 0), PB, Target([1], 0.01))
    assert found["failed"] == "ZeroDivisionError: division by zero"


# The figures.


def _outcomes(**more: Any) -> Outcomes:
    calm = Outcome("endless-list", OURS, calm=0.001, p99=0.002, calls=9, growth=5 * 2**20)
    other = Outcome(
        "endless-list", "Twisted PB", calm=0.001, wrong="it is gone", log=2**21, calls=1
    )
    found = Outcome("call-flood", OURS, **{"calm": 0.003, "calls": 9} | more)
    none = Outcome("call-flood", "Twisted PB", failed="it did not start")
    return Outcomes(
        {"machine": "one"},
        bounds={"endless-list": 6 * 2**20},
        log=2**20,
        found=[calm, other, found, none],
        missing={"Pyro5": "it is not there"},
    )


def test_p99() -> None:
    assert p99([]) == 0
    assert p99([*range(100_000, 0, -1_000)]) == 0.1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, []),
        ({"p99": 0.019}, []),
        ({"p99": 0.021}, ["p99 is 10 times"]),
        ({"wrong": "TimeoutError: timed out"}, ["timed out"]),
        ({"new": "a new client: none"}, ["a new client"]),
        ({"ended": "ended at 3 GiB"}, ["3 GiB"]),
        ({"failed": "it broke"}, ["it broke"]),
        ({"log": 2**20}, []),
        ({"log": 2**20 + 2**19}, ["logged 1.5 MB"]),
    ],
)
def test_faults(more: dict[str, Any], said: list[str]) -> None:
    outcomes = _outcomes(**more)
    found = outcomes.faults(outcomes.found[2])
    assert len(found) == len(said)
    assert all(one in other for one, other in zip(said, found, strict=True))
    assert len(report.faults(outcomes)) == len(said)


def test_growth_over_the_bound_is_a_fault() -> None:
    outcomes = _outcomes()
    outcomes.bounds["call-flood"] = 0
    outcomes.found[2].growth = 3 * 2**20
    assert report.faults(outcomes) == [
        f"call-flood, {OURS}: grew by 3 MB, over its bound of 0 MB",
    ]


def test_the_table() -> None:
    outcomes = Outcomes.load(_outcomes(p99=0.1).dump())
    page = report.markdown(outcomes)
    assert f"| attack | bound | {OURS} | Twisted PB |" in page
    assert (
        "| endless-list | 6 MB | 5 MB, 0.0 s, 1.0x | 0 MB, 0.0 s, not answered, log 2 MB |" in page
    )
    assert "| call-flood | - | **0 MB, 0.0 s, 50.0x** | not measured |" in page
    assert ATTACKS["call-flood"].about in page
    assert "Pyro5 is missing: it is not there" in page
    shown = report.text(outcomes)
    assert "FAULT call-flood" in shown
    assert "Pyro5: missing" in shown
    assert report.text(Outcomes()) == "nothing was attacked\n"


def test_the_table_goes_into_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "security.md"
    monkeypatch.setattr(program, "PAGE", page)
    program.write(_outcomes())
    first = page.read_text()
    assert first.startswith("# Security\n")
    page.write_text(first + "\nbehind it\n")
    program.write(_outcomes())
    assert page.read_text() == first + "\nbehind it\n"


def test_who_is_held_to_the_bounds() -> None:
    assert is_ours(OURS)
    assert not is_ours("Twisted PB")


# The processes.


@linux
def test_what_a_process_has() -> None:
    pid = os.getpid()
    assert memory(pid) > 2**20
    assert forget_peak(pid)
    assert memory(pid, "VmHWM") >= memory(pid) - 2**24
    assert worked(pid) > 0
    for reading in (memory, worked, logged):
        assert reading(2**22 + 1) == 0
    assert not forget_peak(2**22 + 1)


@linux
@pytest.mark.parametrize("name", [OURS, "Twisted PB"])
def test_one_attack_with_processes(name: str) -> None:
    peer = PEERS[name]
    times = Times(calm=0.1, attack=0.3)
    outcome = measure(ATTACKS["endless-number"], peer, here(), Placement(), times)
    assert outcome.answered
    assert outcome.failed == ""
    assert outcome.calls > 10
    assert 0 < outcome.calm < 5
    assert outcome.sent > 0


@linux
def test_a_peer_that_is_not_there_is_said_to_be_missing() -> None:
    peer = PEERS["Twisted PB"]._replace(module="nothing_here")
    with pytest.raises(Failed, match="nothing_here"):
        measure(ATTACKS["endless-number"], peer, here(), Placement(), Times(0.1, 0.1))


@linux
def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "QUICK", Times(0.1, 0.2))
    written = tmp_path / "all.json"
    call = ["attack", "--here", "--quick", "--only", "endless-number", "--peers", OURS]
    monkeypatch.setattr(sys, "argv", [*call, "--json", str(written)])
    program.main()
    assert "endless-number" in capsys.readouterr().out
    assert [each["peer"] for each in json.loads(written.read_text())["found"]] == [OURS]
    monkeypatch.setattr(sys, "argv", ["attack", "--from", str(written)])
    program.main()
    assert "endless-number" in capsys.readouterr().out


def test_without_proc_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "LINUX", False)
    monkeypatch.setattr(sys, "argv", ["attack"])
    assert program.main() == 1
    assert "Linux" in capsys.readouterr().err
