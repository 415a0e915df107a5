"""The environment that is measured in: all peers, and Pellucid compiled and uncompiled.

It is `.venvs/bench`, with the peers of the extra `bench`. Pellucid is not installed there: each
build has a folder of its own, and PYTHONPATH chooses. What has not changed is not made again.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers import Kind

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venvs" / "bench"
BUILDS = {"compiled": "1", "uncompiled": "0"}
# What a build is made of.
_SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "src")
_LEFT_OUT = ("*.so", "*.pyd", "*.c", "*.html", "*.egg-info", "__pycache__")


class BuildFailed(Exception):
    """The environment can't be made."""


@dataclass(frozen=True)
class Builds:
    """A Python, and where it finds each build of Pellucid; nowhere means that it has it already."""

    python: str
    folders: dict[str, Path] = field(default_factory=dict)

    def environment(self, kind: Kind) -> dict[str, str]:
        """Give the environment of a process."""
        return {**self.plain(kind.build), **kind.environment}

    def plain(self, build: str | None) -> dict[str, str]:
        """Give an environment with one build, or with none."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "BENCH_", "COVERAGE_"))
        }
        paths = [str(self.folders[build])] if build in self.folders else []
        if not self.folders and os.environ.get("PYTHONPATH"):
            paths.append(os.environ["PYTHONPATH"])
        # The same hashes in every run, so that tables of names are as full.
        kept |= {"PYTHONHASHSEED": "0"}
        if paths:
            kept["PYTHONPATH"] = os.pathsep.join(paths)
        return kept


def here() -> Builds:
    """Measure with this Python and the Pellucid that it has."""
    return Builds(sys.executable)


def present(builds: Builds) -> str:
    """Tell which build a Python has by itself."""
    code = "import pellucid.banana; print(pellucid.banana.__file__.endswith('.py'))"
    done = subprocess.run(
        [builds.python, "-c", code],
        env=builds.plain(None),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return "uncompiled" if done.stdout.strip() == "True" else "compiled"


def made() -> Builds:
    """Make the environment, or as much of it as is not there yet."""
    python = PLACE / "bin" / "python"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    peers = sorted(_requirements("bench", wanted["optional-dependencies"]))
    stamp = _digest(sys.version.encode(), str(PLACE).encode(), *(peer.encode() for peer in peers))
    if not _stamped(PLACE, stamp):
        _say(f"making {PLACE}, with the peers; this takes some minutes")
        if PLACE.exists():
            shutil.rmtree(PLACE)
        _run([sys.executable, "-m", "venv", str(PLACE)])
        if _install(python, peers):
            (PLACE / ".stamp").write_text(stamp)
    folders = {name: PLACE / f"pellucid-{name}" for name in BUILDS}
    for name, folder in folders.items():
        _build(python, name, folder)
    return Builds(str(python), folders)


def _requirements(extra: str, extras: dict[str, list[str]]) -> set[str]:
    """Give what an extra asks for, with what is in the extras of ours that it names."""
    found: set[str] = set()
    for line in extras[extra]:
        if line.startswith("pellucid["):
            for name in line.removeprefix("pellucid[").rstrip("]").split(","):
                found |= _requirements(name.strip(), extras)
        else:
            found.add(line)
    return found


def _install(python: Path, peers: list[str]) -> bool:
    """Install the peers; one that can't be installed is missing in the tables."""
    pip = [str(python), "-m", "pip", "--quiet", "install"]
    try:
        _run([*pip, *peers])
    except BuildFailed:
        missing = 0
        for peer in peers:
            try:
                _run([*pip, peer])
            except BuildFailed as error:
                _say(f"without {peer}: {error}")
                missing += 1
        return not missing
    return True


def _build(python: Path, name: str, folder: Path) -> None:
    parts = []
    for source in _SOURCES:
        top = ROOT / source
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not any(path.match(pattern) for pattern in _LEFT_OUT):
                parts += [str(path.relative_to(ROOT)).encode(), path.read_bytes()]
    stamp = _digest(sys.version.encode(), name.encode(), *parts)
    if _stamped(folder, stamp):
        return
    _say(f"building Pellucid, {name}" + "; this takes a minute" * (name == "compiled"))
    if folder.exists():
        shutil.rmtree(folder)
    # A copy, so that nothing of the one build is found by the other.
    with tempfile.TemporaryDirectory() as place:
        for source in _SOURCES:
            top, copy = ROOT / source, Path(place, source)
            if top.is_dir():
                shutil.copytree(top, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
            else:
                shutil.copy(top, copy)
        _run(
            [
                str(python),
                *["-m", "pip", "--quiet", "install", "--no-deps", "--target"],
                str(folder),
                place,
            ],
            PELLUCID_COMPILE=BUILDS[name],
        )
    (folder / ".stamp").write_text(stamp)


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _stamped(folder: Path, stamp: str) -> bool:
    try:
        return (folder / ".stamp").read_text() == stamp
    except OSError:
        return False


def _run(command: list[str], **more: str) -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"}
    }
    environment = {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **more}
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise BuildFailed("\n".join(lines[-20:]) or f"{command[0]} ended with {done.returncode}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
