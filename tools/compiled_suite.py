"""Compile the package, and run the tests of what is compiled on it.

The environment of this Python stays uncompiled. build/compiled is another, made only where the
sources have changed: it has the compiled package, and takes all else from this one.

Usage: python tools/compiled_suite.py [--build] [-- PYTEST ARGUMENTS]
"""

import argparse
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.modules import ROOT, compiled_tests
from tools.test_all import Failed, aloud, digest, quietly, say

HOME = ROOT / "build" / "compiled"
PYTHON = HOME / "bin" / "python"
LOG = ROOT / "build" / "compiled.log"
STAMP = HOME / "made-of"

# What a build reads. It is done on a copy, so that nothing that it leaves lies between the sources.
PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")
# The tests are as fast with it, and the compiler takes half the time.
CFLAGS = "-O1"


def why_not() -> str:
    """Why nothing can be compiled here, or nothing."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    folders = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    with tempfile.TemporaryDirectory() as place:
        Path(place, "probe.c").write_text("#include <Python.h>\n")
        includes = [f"-I{folder}" for folder in folders]
        command = [*shlex.split(compiler), *includes, "-c", "probe.c", "-o", "probe.o"]
        try:
            subprocess.run(command, cwd=place, capture_output=True, check=True)
        except OSError as error:
            return f"there is no C compiler ({error})"
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").splitlines() or [f"{compiler} failed"]
            return f"the C compiler or the headers of Python are missing or broken ({lines[0]})"
    return ""


def build() -> None:
    """Make the environment, unless what is there was made of the same things."""
    cython = importlib.metadata.version("cython")
    compiler = os.environ.get("CC", "")
    wanted = f"{ROOT} {sys.prefix} {sys.version} {cython} {compiler} {CFLAGS} {digest(*PARTS)}"
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    started = time.monotonic()
    say("Compiling the package into build/compiled")
    LOG.unlink(missing_ok=True)
    quietly(LOG, [sys.executable, "-m", "venv", "--without-pip", "--clear", HOME])
    with tempfile.TemporaryDirectory() as place:
        for part in PARTS:
            _copy(ROOT / part, Path(place, part))
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-cache-dir"]
        # With what is installed here, so that it works without a network.
        pip += ["--no-build-isolation", "--target", str(_packages(HOME)), place]
        flags = f"{os.environ.get('CFLAGS', '')} {CFLAGS}"
        quietly(LOG, [*pip], PELLUCID_COMPILE="1", CFLAGS=flags)
    # Behind its own packages. The .pth files there are not read: one of them names src.
    beside = _packages(HOME) / "beside.pth"
    beside.write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    STAMP.write_text(wanted)
    say(f"Compiled in {time.monotonic() - started:.0f} s")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        skipped = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "*.egg-info", "__pycache__")
        shutil.copytree(source, target, ignore=skipped)
    else:
        shutil.copy(source, target)


def _packages(home: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))


def test(arguments: list[str]) -> int:
    """Run the tests that go through compiled code."""
    cache = f"cache_dir={HOME / 'pytest'}"
    command: list[str | Path] = [PYTHON, "-m", "pytest", "-q", "-o", cache]
    # tests/test_build.py holds the build to this variable.
    code, _ = aloud([*command, *(arguments or compiled_tests())], PELLUCID_COMPILE="1")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests of what is compiled, compiled.")
    parser.add_argument("--build", action="store_true", help="compile, and run no tests")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    reason = why_not()
    if reason:
        # Whoever works on the package may be without; what every change must pass may not.
        needed = os.environ.get("CI", "").lower() not in ("", "0", "false")
        say(f"{'error' if needed else 'SKIPPED'}: the compiled build is not tested: {reason}")
        return 1 if needed else 0
    try:
        build()
    except Failed as error:
        say(f"error: the package does not compile: {error}; see {LOG.relative_to(ROOT)}")
        return 1
    return 0 if options.build else test(options.pytest)


if __name__ == "__main__":
    sys.exit(main())
