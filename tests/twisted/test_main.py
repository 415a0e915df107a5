"""The command `python -m pellucid.twisted`: it runs programs as Python does, with the face."""

import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

from tests.processes import Ended, run

FACE = ["-m", "pellucid.twisted"]
USAGE = "usage: python -m pellucid.twisted [-h] [-m module | script | command] [argument ...]"
# Says whose `twisted.spread` it has, and what a program can ask of its surroundings.
PROGRAM = """\
import sys
from twisted.spread import pb
import __main__
print(__name__, pb.__name__, __main__.__dict__ is globals(), __spec__ and __spec__.name)
print(sys.argv, __file__, repr(sys.path[0]))
"""


def face(cwd: Path, *arguments: str, strict: bool = True) -> Ended:
    return run(*FACE, *arguments, cwd=cwd, strict=strict)


def said(cwd: Path, *arguments: str) -> list[str]:
    ended = face(cwd, *arguments)
    assert (ended.err, ended.status) == ("", 0)
    return ended.out.splitlines()


def write(path: Path, code: str = PROGRAM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return path


def as_python(cwd: Path, *arguments: str) -> list[str]:
    """What Python says of the same program, but for whose `twisted.spread` it is."""
    ended = run(*arguments, cwd=cwd)
    assert (ended.err, ended.status) == ("", 0)
    return ended.out.replace(" twisted.spread.pb ", " pellucid.twisted.pb ").splitlines()


# As Python does.


def test_a_script(tmp_path: Path) -> None:
    script = write(tmp_path / "below" / "program.py")
    for name in ("below/program.py", str(script)):
        lines = said(tmp_path, name, "-m", "one", "--help")
        assert lines[0] == "__main__ pellucid.twisted.pb True None"
        assert lines == as_python(tmp_path, name, "-m", "one", "--help")
        assert lines[1] == f"{[name, '-m', 'one', '--help']} {script} '{script.parent}'"


def test_a_script_behind_a_link(tmp_path: Path) -> None:
    script = write(tmp_path / "below" / "program.py")
    (tmp_path / "link.py").symlink_to(script)
    lines = said(tmp_path, "link.py")
    assert lines == as_python(tmp_path, "link.py")
    assert lines[1].endswith(f"'{script.parent}'")


def test_a_module(tmp_path: Path) -> None:
    module = write(tmp_path / "shop" / "program.py")
    for option in (["-m", "shop.program"], ["-mshop.program"]):
        lines = said(tmp_path, *option, "-m", "one")
        assert lines == as_python(tmp_path, *option, "-m", "one")
        assert lines[0] == "__main__ pellucid.twisted.pb True shop.program"
        assert lines[1] == f"{[str(module), '-m', 'one']} {module} '{tmp_path}'"


def test_a_package(tmp_path: Path) -> None:
    write(tmp_path / "shop" / "__main__.py")
    write(tmp_path / "shop" / "__init__.py", "from twisted.spread import pb\nprint(pb.__name__)\n")
    lines = said(tmp_path, "-m", "shop", "one")
    assert lines[0] == "pellucid.twisted.pb"
    assert lines[1:] == as_python(tmp_path, "-m", "shop", "one")[1:]


def test_a_directory_and_an_archive(tmp_path: Path) -> None:
    write(tmp_path / "shop" / "__main__.py")
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.write(tmp_path / "shop" / "__main__.py", "__main__.py")
    for name in ("shop", "shop.zip"):
        lines = said(tmp_path, name, "one")
        assert lines == as_python(tmp_path, name, "one")
        assert lines[1].endswith(f"'{tmp_path / name}'")


def test_with_a_safe_path_nothing_is_put_before_it(tmp_path: Path) -> None:
    script = write(tmp_path / "program.py", "import sys; print(sys.path[0]); import other")
    write(tmp_path / "other.py", "print('other')")
    ended = run("-P", *FACE, str(script), cwd=tmp_path)
    assert ended.out != f"{tmp_path}\n"
    assert "No module named 'other'" in ended.err


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('so not')", 1),
        ("raise ValueError('so not')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
@pytest.mark.parametrize("kind", ["script", "module"])
def test_how_it_ends(tmp_path: Path, code: str, status: int, kind: str) -> None:
    write(tmp_path / "program.py", code)
    ended = face(tmp_path, *(["program.py"] if kind == "script" else ["-m", "program"]))
    assert ended.status == status
    assert ended.out == ""
    assert ("so not" in ended.err) == (status == 1)


def test_an_import_error_of_the_program_is_its_own(tmp_path: Path) -> None:
    write(tmp_path / "program.py", "import nowhere")
    for arguments in (["program.py"], ["-m", "program"]):
        ended = face(tmp_path, *arguments)
        assert ended.status == 1
        assert "Traceback" in ended.err
        assert ended.err.endswith("ModuleNotFoundError: No module named 'nowhere'\n")


def test_its_names_outlive_it(tmp_path: Path) -> None:
    """Threads, and what is to be done at the exit, find the main module as it was."""
    code = (
        "import atexit, pickle, threading, sys\n"
        "class Thing: pass\n"
        "def late(when):\n"
        "    threading.main_thread().join() if when == 'thread' else None\n"
        "    print(when, type(pickle.loads(pickle.dumps(Thing()))) is Thing)\n"
        "atexit.register(late, 'exit')\n"
        "threading.Thread(target=late, args=['thread']).start()\n"
    )
    write(tmp_path / "program.py", code)
    assert sorted(said(tmp_path, "program.py")) == ["exit True", "thread True"]
    assert sorted(said(tmp_path, "-m", "program")) == ["exit True", "thread True"]


# Commands of installed packages.


def test_twist(tmp_path: Path) -> None:
    for command in (["twist"], ["-m", "twisted"]):
        lines = said(tmp_path, *command, "--help")
        name = "python -m twisted" if "-m" in command else "twist"
        assert re.sub(r"python[\d.]* ", "python ", lines[0]).startswith(f"Usage: {name} [options]")
        assert not any("pellucid" in line for line in lines)


def test_twistd_has_its_own_help(tmp_path: Path) -> None:
    lines = said(tmp_path, "twistd", "--help")
    assert lines[0] == "Usage: twistd [options]"
    assert not any("pellucid" in line for line in lines)


@pytest.mark.parametrize("command", [["trial"], ["-m", "twisted.trial"]])
def test_trial(tmp_path: Path, command: list[str]) -> None:
    code = (
        "from twisted.trial import unittest\n"
        "from twisted.spread import pb\n"
        "class T(unittest.TestCase):\n"
        "    def test_pb(self):\n"
        "        self.assertEqual(pb.__name__, 'pellucid.twisted.pb')\n"
        "    def test_wrong(self):\n"
        "        self.fail('so be it')\n"
    )
    write(tmp_path / "test_shop.py", code)
    passing = face(tmp_path, *command, "test_shop.T.test_pb")
    assert passing.status == 0, passing.out
    assert "PASSED (successes=1)" in passing.out
    failing = face(tmp_path, *command, "test_shop")
    assert failing.status == 1
    assert "FAILED (failures=1, successes=1)" in failing.out


def test_plugins_get_the_face(tmp_path: Path) -> None:
    plugin = (
        "from twisted.application.service import ServiceMaker\n"
        "from twisted.spread import pb\n"
        "described = ServiceMaker('x', 'x', 'It has ' + pb.__name__, 'described')\n"
    )
    write(tmp_path / "twisted" / "plugins" / "described_plugin.py", plugin)
    for command in (["twist"], ["twistd"], ["-m", "twisted"]):
        lines = said(tmp_path, *command, "--help")
        assert [line.split() for line in lines if line.split()[:1] == ["described"]] == [
            ["described", "It", "has", "pellucid.twisted.pb"]
        ]


def test_an_application_of_twistd(tmp_path: Path) -> None:
    code = (
        "from twisted.application import service\n"
        "from twisted.internet import reactor\n"
        "from twisted.spread import pb\n"
        "application = service.Application('shop')\n"
        "class Shop(service.Service):\n"
        "    def startService(self):\n"
        "        print('it has', pb.__name__)\n"
        "        reactor.callWhenRunning(reactor.stop)\n"
        "Shop().setServiceParent(application)\n"
    )
    write(tmp_path / "shop.tac", code)
    lines = said(tmp_path, "twistd", "--nodaemon", "--pidfile=", "--python", "shop.tac")
    assert any(line.endswith("it has pellucid.twisted.pb") for line in lines)
    assert not any("Traceback" in line for line in lines)


def test_a_file_is_taken_before_a_command(tmp_path: Path) -> None:
    write(tmp_path / "twist", "print('a file')")
    assert said(tmp_path, "twist") == ["a file"]


def test_a_command_is_taken_before_a_directory_of_other_things(tmp_path: Path) -> None:
    write(tmp_path / "trial" / "notes.txt", "")
    assert said(tmp_path, "trial", "--help")[0].startswith("trial [options]")


# What it says when it can't.


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(tmp_path: Path, option: str) -> None:
    lines = said(tmp_path, option)
    assert lines[0] == USAGE
    assert any(line.startswith("  -m module") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "a module, a script or a command is missing"),
        (["-m"], "a module, a script or a command is missing"),
        ([""], "a module, a script or a command is missing"),
        (["-x", "program.py"], "there is no option -x"),
        (["--verbose"], "there is no option --verbose"),
    ],
)
def test_a_wrong_command_line(tmp_path: Path, arguments: list[str], error: str) -> None:
    text = f"{USAGE}\npython -m pellucid.twisted: error: {error}\n"
    assert face(tmp_path, *arguments) == Ended("", text, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        (["-m", "nowhere"], "no module named nowhere", 1),
        (["-m", "nowhere.at.all"], "nowhere.at.all can't be found: No module named 'nowhere'", 1),
        (["-m", "shop"], "shop is a package without a __main__ module", 1),
        (["-m", ".shop"], ".shop can't be found: ", 1),
        (["shop"], "shop is a directory without a __main__.py", 1),
        (["nowhere.py"], "there is no file nowhere.py, and no command of this name", 2),
        (["no/where"], "there is no file no/where, and no command of this name", 2),
        (
            ["twisted.trial", "x"],
            "there is no file twisted.trial, and no command of this name "
            "(for a module: -m twisted.trial)",
            2,
        ),
    ],
)
def test_nothing_to_run(tmp_path: Path, arguments: list[str], error: str, status: int) -> None:
    write(tmp_path / "shop" / "__init__.py", "")
    ended = face(tmp_path, *arguments)
    assert ended.out == ""
    assert ended.err.startswith(f"python -m pellucid.twisted: error: {error}")
    assert ended.err.count("\n") == 1
    assert ended.status == status


def test_when_it_is_too_late(tmp_path: Path) -> None:
    write(tmp_path / "sitecustomize.py", "from twisted.spread import pb")
    write(tmp_path / "program.py")
    ended = run(*FACE, "program.py", cwd=tmp_path, strict=False, places=[tmp_path])
    assert ended.out == ""
    text = "python -m pellucid.twisted: error: twisted.spread was imported already by sitecustomize"
    assert ended.err.startswith(text)
    assert ended.status == 1


def test_it_can_run_itself(tmp_path: Path) -> None:
    write(tmp_path / "program.py", "import sys; print(sys.argv)")
    assert said(tmp_path, *FACE, "program.py", "one") == ["['program.py', 'one']"]


def test_the_interpreter_is_the_same(tmp_path: Path) -> None:
    write(tmp_path / "program.py", "import sys; print(sys.executable, sys.flags.optimize)")
    ended = run("-O", *FACE, "program.py", cwd=tmp_path)
    assert ended.out.split() == [os.fspath(sys.executable), "1"]
