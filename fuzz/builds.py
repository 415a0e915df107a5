"""The environment of fuzzing: `.venvs/fuzz`, with atheris, and a folder for each build of Pellucid.

What has not changed is not made again. The compiled builds tell libFuzzer of every place that is
reached; the sanitized one also stops at memory that is not its own and at what C leaves undefined.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.compiled_suite import PARTS, why_not
from tools.test_all import ROOT, Failed, clean_environment, digest, quietly, say

PLACE = ROOT / ".venvs" / "fuzz"
PYTHON = PLACE / "bin" / "python"
LOG = PLACE.with_suffix(".log")
EDGES = PLACE / "edges.so"
BUILDS = ("uncompiled", "compiled", "sanitized")

_WATCHED = "-O1 -fsanitize-coverage=trace-pc"
_SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
_LEFT_OUT = ("*.so", "*.pyd", "*.c", "*.html", "*.egg-info", "__pycache__")


@dataclass(frozen=True)
class Build:
    """A build, and how a process finds it."""

    name: str
    folder: Path
    # How many times longer anything may take than uncompiled and not watched.
    slow: float
    edges: Path | None = None
    preload: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """Give the environment of a process."""
        more = {
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self.preload:
            more["LD_PRELOAD"] = " ".join(self.preload)
        if self.name == "sanitized":
            # Python leaves much for the system to free, and has an allocator that hides mistakes.
            more["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1"
            more["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
            more["PYTHONMALLOC"] = "malloc"
        return clean_environment(**more)


def made(names: list[str]) -> dict[str, Build]:
    """Make the environment and these builds, or as much as is not there yet. Raises Failed."""
    LOG.parent.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    _environment()
    found = {}
    for name in names:
        reason = "" if name == "uncompiled" else why_not()
        if reason:
            raise Failed(f"the build {name} can't be made: {reason}")
        found[name] = _build(name)
    return found


def _environment() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"]["fuzz"]
    stamp = f"{PLACE} {sys.version} {wanted}"
    if _stamped(PLACE, stamp):
        return
    say(f"Making {PLACE.relative_to(ROOT)}, with {', '.join(wanted)}")
    quietly(LOG, [sys.executable, "-m", "venv", "--clear", PLACE])
    try:
        quietly(LOG, [PYTHON, "-m", "pip", "install", "--only-binary=:all:", *wanted])
    except Failed:
        version = ".".join(map(str, sys.version_info[:2]))
        raise Failed(
            f"atheris has no release for Python {version} here. Take another, such as "
            "`make fuzz PYTHON=python3.11`; the corpus runs in `make test` without it"
        ) from None
    (PLACE / ".stamp").write_text(stamp)


def _build(name: str) -> Build:
    folder = PLACE / f"pellucid-{name}"
    flags = {"uncompiled": "", "compiled": _WATCHED, "sanitized": f"{_WATCHED} {_SANITIZED}"}[name]
    stamp = f"{sys.version} {flags} {digest(*PARTS)}"
    if not _stamped(folder, stamp):
        say(f"Building Pellucid, {name}" + "; this takes a minute or two" * bool(flags))
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, flags)
        (folder / ".stamp").write_text(stamp)
    if name == "uncompiled":
        return Build(name, folder, 4.0)
    _edges()
    preload = [str(EDGES)]
    if name == "sanitized":
        preload = [_library("asan"), _library("ubsan"), *preload]
    return Build(name, folder, 8.0 if name == "sanitized" else 2.0, EDGES, tuple(preload))


def _install(folder: Path, flags: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        for part in PARTS:
            top, copy = ROOT / part, Path(place, part)
            if top.is_dir():
                shutil.copytree(top, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
            else:
                shutil.copy(top, copy)
        pip: list[str | Path] = [
            PYTHON,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-cache-dir",
            "--target",
            folder,
        ]
        linked = " ".join(flag for flag in flags.split() if "sanitize=" in flag)
        quietly(
            LOG,
            [*pip, place],
            PELLUCID_COMPILE="1" if flags else "0",
            CFLAGS=flags,
            LDFLAGS=linked,
        )


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def _edges() -> None:
    source = ROOT / "fuzz" / "edges.c"
    if not EDGES.exists() or EDGES.stat().st_mtime < source.stat().st_mtime:
        quietly(LOG, [*_compiler(), "-O2", "-shared", "-fPIC", str(source), "-o", EDGES])


def _library(name: str) -> str:
    """Give the path of a library of the compiler's."""
    asked = [_compiler()[0], f"-print-file-name=lib{name}.so"]
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(path):
        raise Failed(f"the compiler has no lib{name}")
    return os.path.realpath(path)


def _stamped(folder: Path, stamp: str) -> bool:
    try:
        return (folder / ".stamp").read_text() == stamp
    except OSError:
        return False
