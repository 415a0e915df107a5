"""Build the package uncompiled, with mypyc and with Cython, and time the three in turns.

Usage: python run.py [ROUNDS]
"""

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MEASURE = HERE / "measure.py"


def compiled_modules() -> tuple[str, ...]:
    sys.path.insert(0, str(ROOT))
    from tools.modules import COMPILED

    return COMPILED


def build(name: str, place: Path) -> Path:
    """Copy the sources and compile them there."""
    home = place / name
    home.mkdir()
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, home)
    skip = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", home / "src", ignore=skip)
    source = home / "src"
    if name == "Cython":
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        run(command, home, PELLUCID_COMPILE="1")
    elif name == "mypyc":
        # What has a .pxd and is not built by itself, Cython puts into the modules that use it.
        typed = {path.stem for path in (source / "pellucid").glob("*.pxd")}
        files = [f"pellucid/{module}.py" for module in sorted({*compiled_modules(), *typed})]
        run([str(Path(sys.executable).with_name("mypyc")), *files], source, MYPYPATH=".")
    return source


def run(command: list[str], place: Path, **more: str) -> None:
    environment = {**os.environ, **more}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def measure(source: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, str(MEASURE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for name in ("Cython", "mypyc", "setuptools"):
        if importlib.util.find_spec(name) is None:
            raise SystemExit(f"{name} is not installed")
    with tempfile.TemporaryDirectory() as place:
        sources = {name: build(name, Path(place)) for name in ("uncompiled", "mypyc", "Cython")}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
        for _ in range(rounds):
            for name, source in sources.items():
                taken[name].append(measure(source))
    print("| what | uncompiled, us | mypyc | Cython | Cython / mypyc |")
    print("|---|---|---|---|---|")
    for what in taken["uncompiled"][0]:
        plain, mypyc, cython = (
            [each[what] for each in taken[name]] for name in ("uncompiled", "mypyc", "Cython")
        )
        ratios = [
            statistics.median(a / b for a, b in zip(one, other))
            for one, other in ((plain, mypyc), (plain, cython), (mypyc, cython))
        ]
        speeds = " | ".join(f"{ratio:.1f} x" for ratio in ratios)
        print(f"| {what} | {statistics.median(plain) * 1e6:.1f} | {speeds} |")


if __name__ == "__main__":
    main()
