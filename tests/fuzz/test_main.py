"""The command line of fuzzing, what it keeps of findings, and the environment that it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz import __main__ as main
from fuzz import builds, corpus, findings, worker
from fuzz.__main__ import Result, Run, arguments, chosen, table
from fuzz.builds import Build
from fuzz.findings import Findings, kind_of, shrink
from fuzz.oracle import Broken
from fuzz.targets import TARGETS
from pellucid.broker import Broker
from tools.modules import ROOT
from tools.test_all import Failed


def test_the_targets_are_those_that_there_are() -> None:
    assert tuple(TARGETS) == main.TARGETS


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], ["uncompiled", "compiled"]),
        (["--build", "compiled"], ["compiled"]),
        (["--sanitize"], ["uncompiled", "sanitized"]),
        (["--sanitize", "--build", "compiled"], ["sanitized"]),
    ],
)
def test_the_builds_that_are_asked_for(given: list[str], names: list[str]) -> None:
    assert chosen(arguments(given)) == names


@pytest.mark.parametrize(
    "given", [["--time", "0"], ["--target", "x"], ["--replay", "x"], ["--build", "x"]]
)
def test_what_makes_no_sense(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(given)
    assert "usage:" in capsys.readouterr().err


def test_the_results() -> None:
    one = Result("compiled", "broker", 10.0, 5000, 100, 200, 30, 40, ["fuzz/findings/x"])
    text = table([one, Result("uncompiled", "framer")])
    assert "5,000      500       10" in text
    assert text.endswith("5,000 executions in 10 s")


# Findings.


def raised(text: str) -> Broken:
    try:
        raise Broken(text)
    except Broken as error:
        return error


def test_findings_that_differ_in_numbers_are_one() -> None:
    assert kind_of(raised("exports is 5")) == kind_of(raised("exports is 17"))
    assert kind_of(raised("exports is 5")) != kind_of(raised("imports is 5"))
    assert kind_of(Broken("made, not raised")) == "Broken in : made, not raised"


def test_a_finding_is_made_smaller() -> None:
    data = bytes(3) + b"abc\xfe\1def\xfe\2X" + bytes(50)
    assert shrink(data, lambda less: b"X" in less) == bytes(3) + b"X"
    assert shrink(data, lambda less: b"X" in less, seconds=-1) == data


def test_a_finding_is_kept_once(tmp_path: Path) -> None:
    found = Findings(tmp_path / "new", "broker", "compiled")

    def again(data: bytes) -> None:
        if b"X" in data:
            raise raised_there(len(data))

    def raised_there(number: int) -> Broken:
        return Broken(f"over {number}")

    for data in (bytes(9) + b"X", bytes(20) + b"XX"):
        with pytest.raises(Broken) as caught:
            again(data)
        found.add(data, caught.value, again)
    (kept,) = (path for path in (tmp_path / "new").iterdir() if path.suffix != ".txt")
    assert kept.read_bytes() == bytes(3) + b"X"
    text = kept.with_suffix(".txt").read_text()
    assert f"python -m fuzz --target broker --build compiled --replay {kept}" in text
    assert "Broken: over 10" in text
    assert [*found.kinds.values()] == [2]


# The worker, without atheris.


@pytest.fixture
def one(tmp_path: Path) -> worker.Worker:
    found = Findings(tmp_path / "findings", "framer", "uncompiled")
    return worker.Worker(TARGETS["framer"], found, tmp_path / "status.json", 4.0)


def test_the_worker_counts(one: worker.Worker) -> None:
    one.one(corpus.seeds("framer")[0])
    one.one(b"\0\0\0\xff")
    one.tell()
    said = json.loads(one.status.read_text())
    assert said == {"executions": 2, "accepted": 1, "refused": 1, "found": 0, "kinds": {}}


def test_the_worker_goes_on_after_a_finding(
    one: worker.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*ignored: Any) -> None:
        raise raised("planted")

    monkeypatch.setattr(one.oracle, "judge", judge)
    monkeypatch.setattr(findings, "_PATIENCE", 0.1)
    for _ in range(3):
        one.one(b"\0\0\0ab")
    assert one.counts["found"] == 3
    assert [*json.loads(one.status.read_text())["kinds"].values()] == [3]


def test_the_worker_finds_what_is_kept_alive(one: worker.Worker) -> None:
    kept = Broker("server")
    one.alive.add(kept)
    with pytest.raises(Broken, match="outlived"):
        one.look_for_leaks()
    del kept
    one.look_for_leaks()


def test_the_worker_mutates(one: worker.Worker) -> None:
    class Plain:
        @staticmethod
        def Mutate(data: bytes, size: int) -> bytes:
            return b"plain"

    made = [one.mutated(Plain, corpus.seeds("framer")[1], 4096, seed) for seed in range(60)]
    assert b"plain" in made
    assert len({*made}) > 20
    assert one.mutated(Plain, bytes(100), 10, 3) == b"plain"


def replay(*paths: Path) -> Any:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "fuzz.worker", "--target", "framer", "--replay"]
    return subprocess.run(
        [*command, *map(str, paths)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_input_is_played_again(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"\0\0\0\x05\x81")
    done = replay(path)
    assert done.returncode == 0
    assert done.stdout.startswith("one ")
    assert "message 0581" in done.stdout


# The environment.


def test_a_build_is_found_by_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    plain = Build("uncompiled", tmp_path, 1.0).environment()
    assert plain["PYTHONPATH"].startswith(f"{tmp_path}{os.pathsep}")
    assert plain["PYTHONHASHSEED"] == "0"
    assert "LD_PRELOAD" not in plain
    checked = Build("sanitized", tmp_path, 1.0, tmp_path, ("a", "b")).environment()
    assert checked["LD_PRELOAD"] == "a b"
    assert "detect_leaks=0" in checked["ASAN_OPTIONS"]


def test_without_a_release_of_atheris_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ROOT / "build" / "fuzz-test"
    monkeypatch.setattr(builds, "PLACE", place)
    monkeypatch.setattr(builds, "LOG", tmp_path / "log")

    def quietly(log: Path, command: list[Any], **more: str) -> None:
        if "pip" in command:
            raise Failed("no")

    monkeypatch.setattr(builds, "quietly", quietly)
    monkeypatch.setattr(sys, "argv", ["fuzz", "--build", "uncompiled"])
    assert main.main() == 2
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"atheris has no release for Python {version} here" in capsys.readouterr().out


def test_without_a_compiler_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builds, "_environment", lambda: None)
    monkeypatch.setattr(builds, "why_not", lambda: "there is none")
    monkeypatch.setattr(builds, "LOG", tmp_path / "log")
    monkeypatch.setattr(sys, "argv", ["fuzz", "--build", "compiled"])
    assert main.main() == 2
    assert "compiled can't be made: there is none" in capsys.readouterr().out


# A run, with a worker that only pretends.


class Pretended(Run):
    """One whose processes end with given codes."""

    codes: list[int]

    def start(self, seconds: int) -> int:
        self.result.executions += 10
        code = self.codes.pop(0)
        if code == 77:
            main.FINDINGS.mkdir(exist_ok=True)
            (main.FINDINGS / f"broker-crash-{len(self.codes)}").write_bytes(b"x")
        self.log.write_text("the end")
        return code


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    monkeypatch.setattr(main, "PLACE", tmp_path)
    monkeypatch.setattr(main, "ROOT", tmp_path)
    monkeypatch.setattr(main, "FINDINGS", tmp_path / "findings")
    return Pretended(Build("compiled", tmp_path, 1.0), "broker", 100, arguments([]))


def test_a_process_that_a_finding_ended_is_started_again(run: Pretended) -> None:
    run.codes = [77, 77, 0]
    (run.place / "seeds" / "same").write_bytes(b"x")
    result = run()
    assert not (run.place / "seeds" / "same").exists()
    assert result.executions == 30
    assert result.findings == ["findings/broker-crash-2", "findings/broker-crash-1"]


def test_a_process_that_never_ran(run: Pretended) -> None:
    run.codes = [1]
    with pytest.raises(Failed, match="fuzzing broker ended with 1:\nthe end"):
        run()


def test_how_far_a_process_is(run: Pretended) -> None:
    run.read((5, 1, 2))
    assert (run.result.executions, run.result.accepted, run.result.refused) == (5, 1, 2)
    run.status.write_text(
        json.dumps({"executions": 90, "accepted": 4, "refused": 5, "kinds": {"a": 1}})
    )
    run.log.write_text("#9 NEW cov: 12 ft: 3 corp: 4/5b\nstat::number_of_executed_units: 100\n")
    run.read((5, 1, 2))
    assert (run.result.executions, run.result.accepted, run.result.refused) == (105, 5, 7)
    assert (run.result.coverage, run.result.corpus) == (12, 4)
    assert run.kinds == {"a": 1}


def test_where_the_builds_disagree(run: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"one": "a 1\nb 2\n", "other": "a 1\nb 3\n"}

    class Done:
        def __init__(self, stdout: str) -> None:
            self.stdout = stdout

    made: Any = {name: name for name in said}
    monkeypatch.setattr(main, "_replay", lambda build, target, paths: Done(said[build]))
    (run.place / "seeds" / "b").write_bytes(b"b")
    differ = main.differences(made, ["broker"])
    assert differ == ["broker b"]
    assert main.keep(differ) == ["findings/broker-differs-b"]
