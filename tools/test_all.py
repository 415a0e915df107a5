"""Run the suite on every CPython of this machine, uncompiled and compiled.

Each interpreter gets two environments under .venvs: one with the sources as they lie, uncompiled,
and one with the compiled package, built from a source distribution as a user's pip would build it.

Usage: python tools/test_all.py [--only 3.12] [--build pure|compiled] [-- PYTEST ARGUMENTS]

Needs nothing but the standard library.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venvs"
OLDEST = (3, 11)
PATIENCE = 30
BUILDS = ("pure", "compiled")

# Where the version managers keep interpreters that are not on the PATH, below the home directory.
MANAGED = (
    ".pyenv/versions/*",
    ".local/share/uv/python/*",
    ".asdf/installs/python/*",
    ".local/share/mise/installs/python/*",
    ".local/share/rtx/installs/python/*",
    ".rye/py/*",
    "anaconda3",
    "anaconda3/envs/*",
    "miniconda3",
    "miniconda3/envs/*",
    "miniforge3",
    "miniforge3/envs/*",
    "mambaforge",
    "mambaforge/envs/*",
    "micromamba/envs/*",
    ".conda/envs/*",
)
# The same managers, where a variable moves them.
MOVED = {
    "PYENV_ROOT": "versions/*",
    "UV_PYTHON_INSTALL_DIR": "*",
    "ASDF_DATA_DIR": "installs/python/*",
    "MISE_DATA_DIR": "installs/python/*",
    "CONDA_PREFIX": "envs/*",
    "CONDA_ENVS_PATH": "*",
    "MAMBA_ROOT_PREFIX": "envs/*",
}
ANYWHERE = (
    "/opt/python/*",
    "/opt/conda",
    "/opt/conda/envs/*",
    "/usr/local/python*",
    "/opt/homebrew/opt/python@3.*",
    "/Library/Frameworks/Python.framework/Versions/3.*",
)
ON_PATH = re.compile(r"python3(\.\d+)?")

# What an interpreter is asked. It runs isolated: nothing of the caller's environment has a say.
QUESTION = """
import importlib.util, json, os, sys, sysconfig
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "executable": os.path.realpath(base),
    "implementation": sys.implementation.name,
    "version": list(sys.version_info),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    executable: str
    version: tuple[int, int, int]
    release: str
    free_threaded: bool
    venv: bool
    headers: bool

    @property
    def name(self) -> str:
        number = ".".join(map(str, self.version))
        return number + self.release + ("t" if self.free_threaded else "")

    def unfit(self, build: str) -> str:
        """Why this build cannot be tried here, or nothing."""
        if self.free_threaded:
            return "free-threaded Python is not promised yet"
        if not self.venv:
            return "it has no venv or no ensurepip"
        if build == "compiled" and not self.headers:
            return "it has no C headers"
        return ""


@dataclass(frozen=True)
class Outcome:
    interpreter: str
    build: str
    result: str
    summary: str
    seconds: float


def candidates() -> Iterator[Path]:
    """Whatever may be a Python, with repetitions."""
    yield Path(sys.executable)
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for pattern in MANAGED:
        folders += sorted(path / "bin" for path in Path.home().glob(pattern))
    for variable, pattern in MOVED.items():
        for value in filter(None, os.environ.get(variable, "").split(os.pathsep)):
            folders += sorted(path / "bin" for path in Path(value).glob(pattern))
    for pattern in ANYWHERE:
        folders += sorted(path / "bin" for path in Path("/").glob(pattern.lstrip("/")))
    for folder in folders:
        try:
            names = sorted(path for path in folder.iterdir() if ON_PATH.fullmatch(path.name))
        except OSError:
            continue
        yield from names


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would reach from the caller's Python into another."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
        and not name.startswith(("PYTHONPATH", "PYTHONHOME", "COVERAGE_"))
        and name not in {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    }
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **more}


def ask(path: Path) -> Interpreter | None:
    """What the Python at `path` is; None when it is not one that we support, or does not run."""
    try:
        run = subprocess.run(
            [path, "-I", "-c", QUESTION],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        said = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    major, minor, micro, level, serial = said["version"]
    if said["implementation"] != "cpython" or (major, minor) < OLDEST:
        return None
    return Interpreter(
        executable=said["executable"],
        version=(major, minor, micro),
        release="" if level == "final" else f"{level}{serial}",
        free_threaded=said["free_threaded"],
        venv=said["venv"],
        headers=said["headers"],
    )


def find_interpreters() -> list[Interpreter]:
    """Each release once, however many names and copies it has."""
    found: dict[str, Interpreter] = {}
    asked: set[Path] = set()
    for path in candidates():
        real = path.resolve()
        if real in asked:
            continue
        # A shim is one script under many names: only a real answer settles what lies behind it.
        interpreter = ask(path)
        if interpreter is None:
            continue
        asked.update((real, Path(interpreter.executable)))
        known = found.get(interpreter.name)
        if known is None or (interpreter.venv, interpreter.headers) > (known.venv, known.headers):
            found[interpreter.name] = interpreter
    return sorted(found.values(), key=lambda it: (it.version, it.name))


def digest(*roots: str) -> str:
    """A hash of the files at or below these places."""
    total = hashlib.sha256()
    for root in roots:
        top = ROOT / root
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.suffix in {".py", ".pxd", ".toml", ".in", ".md", ".typed"} and path.is_file():
                total.update(f"{path.relative_to(ROOT)}\0".encode())
                total.update(path.read_bytes())
    return total.hexdigest()


class Failed(Exception):
    """A step that did not work."""


def say(text: str) -> None:
    print(text, flush=True)


def quietly(log: Path, command: list[str | Path], **more: str) -> None:
    """Run a step whose words matter only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        code = subprocess.call(
            command,
            cwd=ROOT,
            env=clean_environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if code:
        lines = log.read_text(errors="replace").splitlines()
        say("\n".join(lines[-60:]))
        raise Failed(f"{' '.join(map(str, command[1:4]))} ... said {code}")


def aloud(command: list[str | Path], **more: str) -> tuple[int, str]:
    """Run a step that is shown as it goes; return its code and its last line."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    last, tail = "", b""
    with process:
        while chunk := os.read(process.stdout.fileno(), 65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail = (tail + chunk)[-4096:]
    lines = [line for line in tail.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip("= ") if lines else ""
    return process.returncode, last


class Environment:
    """One interpreter with one build of the package in it."""

    def __init__(self, interpreter: Interpreter, build: str) -> None:
        self.interpreter = interpreter
        self.build = build
        self.home = PLACE / f"{build}-{interpreter.name}"
        self.python = self.home / "bin" / "python"
        self.log = PLACE / "logs" / f"{build}-{interpreter.name}.log"

    def prepare(self) -> None:
        """Make it, unless what is there was made of the same things."""
        parts = ["pyproject.toml", "setup.py"]
        if self.build == "compiled":
            parts += ["src", "MANIFEST.in", "README.md"]
        wanted = f"{ROOT} {self.interpreter.executable} {digest(*parts)}"
        stamp = self.home / "made-of"
        if stamp.exists() and stamp.read_text() == wanted and self._runs():
            return
        self.log.unlink(missing_ok=True)
        say("making the environment")
        quietly(self.log, [self.interpreter.executable, "-m", "venv", "--clear", self.home])
        if self.build == "compiled":
            self._install_compiled()
        else:
            say("installing the package, uncompiled")
            self._pip("install", "--editable", f"{ROOT}[test]", PELLUCID_COMPILE="0")
        stamp.write_text(wanted)

    def _install_compiled(self) -> None:
        dist = self.home / "dist"
        say("building the source distribution")
        self._pip("install", "build")
        quietly(self.log, [self.python, "-m", "build", "--sdist", "--outdir", dist, ROOT])
        (archive,) = dist.glob("pellucid-*.tar.gz")
        say("compiling and installing it")
        # A wheel in pip's cache would be of unknown build.
        wheel = ["wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", str(dist), str(archive)]
        self._pip(*wheel, PELLUCID_COMPILE="1")
        (built,) = dist.glob("pellucid-*.whl")
        self._pip("install", f"{built}[test]")

    def _pip(self, *arguments: str, **more: str) -> None:
        quietly(self.log, [self.python, "-m", "pip", *arguments], **more)

    def _runs(self) -> bool:
        try:
            code = subprocess.call([self.python, "-c", "import pytest"], env=clean_environment())
        except OSError:
            return False
        return code == 0

    def test(self, arguments: list[str]) -> tuple[int, str]:
        # tests/test_build.py holds the build to this variable.
        wanted = "1" if self.build == "compiled" else "0"
        cache = f"cache_dir={self.home / 'pytest'}"
        command: list[str | Path] = [self.python, "-m", "pytest", "-q", "-o", cache, *arguments]
        return aloud(command, PELLUCID_COMPILE=wanted)


def attempt(interpreter: Interpreter, build: str, arguments: list[str]) -> Outcome:
    start = time.monotonic()
    reason = interpreter.unfit(build)
    if reason:
        say(f"skipped: {reason}")
        return Outcome(interpreter.name, build, "skipped", reason, 0.0)
    environment = Environment(interpreter, build)
    try:
        environment.prepare()
        code, summary = environment.test(arguments)
    except Failed as error:
        code, summary = 1, str(error)
        say(f"failed: {error}; see {environment.log.relative_to(ROOT)}")
    result = "passed" if code == 0 else "FAILED"
    return Outcome(interpreter.name, build, result, summary, time.monotonic() - start)


def table(outcomes: list[Outcome]) -> str:
    rows = [("python", "build", "result", "time", "summary")]
    rows += [
        (it.interpreter, it.build, it.result, f"{it.seconds:.0f} s", it.summary) for it in outcomes
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the suite on every CPython of this machine.")
    parser.add_argument("--only", action="append", metavar="3.X", help="only these versions")
    parser.add_argument("--build", action="append", choices=BUILDS, help="only this build")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--clear", action="store_true", help="make every environment anew")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    found = find_interpreters()
    if options.only:
        prefixes = tuple(f"{version}." for version in options.only)
        found = [it for it in found if f"{it.name}.".startswith(prefixes)]
    for interpreter in found:
        say(f"CPython {interpreter.name:<10} {interpreter.executable}")
    if not found:
        say("error: no CPython 3.11 or newer was found")
        return 1
    if options.list:
        return 0
    if options.clear:
        shutil.rmtree(PLACE, ignore_errors=True)
    turns = [(it, build) for it in found for build in options.build or BUILDS]
    outcomes = []
    for number, (interpreter, build) in enumerate(turns, 1):
        say(f"\n[{number}/{len(turns)}] CPython {interpreter.name}, {build}")
        outcomes.append(attempt(interpreter, build, options.pytest))
    say("\n" + table(outcomes))
    passed = any(it.result == "passed" for it in outcomes)
    failed = any(it.result == "FAILED" for it in outcomes)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
