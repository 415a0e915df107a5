"""Twisted's own tests for spread pass against the Twisted face, but for those that are listed."""

import sys
from pathlib import Path

import pytest

from tools import twisted_suite
from tools.twisted_suite import HEADING, Broken, Listed, Results, listed, main, run, surprises

pytest.importorskip("twisted.spread.test")

HERE = "tests/test_twisted_suite.py::test_an_agreement"


def results(passed: str = "", failed: str = "", skipped: str = "") -> Results:
    return Results(
        "the face", frozenset(passed.split()), frozenset(failed.split()), frozenset(skipped.split())
    )


def test_the_face_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([])
    said = capsys.readouterr()
    assert status == 0, said
    assert "against pellucid.twisted.pb: " in said.out


def test_the_same_tests_pass_on_twisted_itself() -> None:
    real = run(real=True)
    assert real.face == "twisted.spread.pb"
    assert (real.failed, real.skipped) == (frozenset(), frozenset())
    assert len(real.passed) > 100


def test_the_table_is_read() -> None:
    page = (
        f"# Page\n\n| `no` | row | `of it` |\n\n{HEADING}\n\nWords.\n\n"
        "| test | why | ours |\n|---|---|---|\n"
        "| `a.b` | a \\| b, `c` | `x.py::one`, `y.py::T::two` |\n\n"
        "## More\n\n| `not` | this | `x` |\n"
    )
    assert listed(page) == [Listed("a.b", "a \\| b, `c`", ("x.py::one", "y.py::T::two"))]
    assert listed("nothing") == []


@pytest.mark.parametrize("row", ["| `a` | b |", "| `a` b | c | `d` |", "| `a` | b | c | d |"])
def test_a_broken_row(row: str) -> None:
    with pytest.raises(Broken, match="a row of docs"):
        listed(f"{HEADING}\n{row}\n")


def test_an_agreement() -> None:
    expected = [Listed("a.b", "why", (HERE,)), Listed("a.c", "on this machine", (HERE,))]
    assert surprises(results("a.a", "a.b", "a.c"), expected) == []


@pytest.mark.parametrize(
    ("found", "entry", "text"),
    [
        (results("a.a", "a.b a.c"), Listed("a.b", "why", (HERE,)), "a.c fails, and is not listed"),
        (results("a.b"), Listed("a.b", "why", (HERE,)), "a.b is listed, and passes"),
        (results("a.a"), Listed("a.b", "why", (HERE,)), "a.b is listed, and is not there"),
        (results("", "a.b"), Listed("a.b", "", (HERE,)), "a.b is listed without a reason"),
        (results("", "a.b"), Listed("a.b", "why", ()), "a.b is listed without a test of ours"),
        (
            results("", "a.b"),
            Listed("a.b", "why", (HERE + "_not_there",)),
            f"a.b: there is no {HERE}_not_there",
        ),
        (
            results("", "a.b"),
            Listed("a.b", "why", ("tests/nowhere.py::test_x",)),
            "a.b: there is no tests/nowhere.py::test_x",
        ),
        (
            results("", "a.b"),
            Listed("a.b", "why", ("tests/test_twisted_suite.py",)),
            "a.b: there is no tests/test_twisted_suite.py",
        ),
    ],
)
def test_a_disagreement(found: Results, entry: Listed, text: str) -> None:
    assert surprises(found, [entry]) == [text]


def test_a_disagreement_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "twisted.md"
    page.write_text(f"{HEADING}\n\n| `a.b` | why | `{HERE}` |\n")
    monkeypatch.setattr(twisted_suite, "PAGE", page)
    for found, status in [(results("a.a", "a.b"), 0), (results("a.a a.b"), 1)]:
        ours = Results(twisted_suite.FACE, found.passed, found.failed, found.skipped)
        monkeypatch.setattr(twisted_suite, "run", lambda real, ours=ours: ours)
        assert main([]) == status
    said = capsys.readouterr().out
    assert "1 of 2 pass, 1 fail, 1 are listed as failing\n" in said
    assert "error: a.b is listed, and passes\n" in said
    page.unlink()
    assert main([]) == 1


def test_the_wrong_face_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(twisted_suite, "listed", lambda page: [])
    monkeypatch.setattr(twisted_suite, "run", lambda real: results("a.a"))
    assert main([]) == 1
    assert "error: the tests met the face\n" in capsys.readouterr().out


def test_tests_that_do_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(Broken, match="the tests did not run"):
        run()
