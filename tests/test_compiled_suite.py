"""The tests of what is compiled run on the compiled build, or it is said why not."""

import sys
from pathlib import Path

import pytest

from tools import compiled_suite
from tools.compiled_suite import main, why_not
from tools.modules import COMPILED, ROOT, SAME_ON_EVERY_BUILD, compiled_tests
from tools.test_all import Failed


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "argv", ["compiled_suite.py"])


def not_called(*arguments: object) -> int:
    raise AssertionError


def test_the_tests_of_what_is_compiled_are_among_them() -> None:
    for name in COMPILED:
        *folders, last = name.split(".")
        test = Path("tests", *folders, f"test_{last}.py")
        assert {str(test), *map(str, test.parents)} & {*compiled_tests()}, f"{test} is left out"
        assert (ROOT / test).exists()


def test_what_is_left_out_exists() -> None:
    left_out = [f"tests/{name}.py" for name in SAME_ON_EVERY_BUILD]
    assert [name for name in left_out if not (ROOT / name).exists()] == []
    assert not {*left_out} & {*compiled_tests()}


@pytest.mark.parametrize("compiler", ["/bin/false", "/there/is/no/cc"])
def test_without_a_compiler_it_goes_on_and_says_so(
    compiler: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(compiled_suite, "build", not_called)
    monkeypatch.setattr(compiled_suite, "test", not_called)
    assert main() == 0
    assert capsys.readouterr().out == f"SKIPPED: the compiled build is not tested: {why_not()}\n"
    assert "C compiler" in why_not()


@pytest.mark.parametrize(("said", "status"), [("true", 1), ("1", 1), ("false", 0), ("0", 0)])
def test_without_a_compiler_what_every_change_must_pass_fails(
    said: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CC", "/bin/false")
    monkeypatch.setenv("CI", said)
    assert main() == status
    assert capsys.readouterr().out.startswith("error: " if status else "SKIPPED: ")


def test_what_does_not_compile_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise Failed("a step said 1")

    monkeypatch.setattr(compiled_suite, "why_not", str)
    monkeypatch.setattr(compiled_suite, "build", fail)
    monkeypatch.setattr(compiled_suite, "test", not_called)
    assert main() == 1
    assert "does not compile: a step said 1" in capsys.readouterr().out


def test_its_status_is_that_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_suite, "why_not", str)
    monkeypatch.setattr(compiled_suite, "build", lambda: None)
    monkeypatch.setattr(compiled_suite, "test", lambda arguments: 5 + len(arguments))
    monkeypatch.setattr(sys, "argv", ["compiled_suite.py", "--", "one"])
    assert main() == 6
    monkeypatch.setattr(sys, "argv", ["compiled_suite.py", "--build"])
    assert main() == 0


def test_what_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("Cython")
    steps: list[str] = []
    monkeypatch.setattr(compiled_suite, "HOME", tmp_path)
    monkeypatch.setattr(compiled_suite, "STAMP", tmp_path / "made-of")
    monkeypatch.setattr(compiled_suite, "LOG", tmp_path / "log")
    monkeypatch.setattr(
        compiled_suite, "quietly", lambda log, command, **more: steps.append("step")
    )
    compiled_suite._packages(tmp_path).mkdir(parents=True)
    compiled_suite.build()
    assert steps == ["step"] * 2
    compiled_suite.build()
    assert steps == ["step"] * 2
    monkeypatch.setenv("CC", "another")
    compiled_suite.build()
    assert steps == ["step"] * 4
