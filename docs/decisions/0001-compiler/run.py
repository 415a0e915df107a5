"""Build the spike with each tool in a temporary directory, compare the builds, print the figures of 0001.

    pip install cython "mypy[mypyc]" setuptools wheel
    python run.py
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = {
    "plain": [],
    "mypyc": ["-m", "mypyc", "spike/codec.py", "spike/probes.py", "spike/probes_open.py"],
    "cython": ["setup.py", "-q", "build_ext", "--inplace"],
}
COLUMNS = ("encode, parts", "encode, buffer", "frame", "decode")


def python(where: Path, *args: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(where), "SPIKE_COMPILE": "1", "MYPYPATH": str(where)}
    command = [sys.executable, *args]
    done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{args} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def prepare(where: Path) -> None:
    shutil.copytree(HERE, where, ignore=shutil.ignore_patterns("__pycache__", "*.so", "build"))
    source = (where / "spike/probes.py").read_text()
    opened = source.replace("class ", "@mypyc_attr(allow_interpreted_subclasses=True)\nclass ")
    opened = opened.replace("annotations\n", "annotations\n\nfrom mypy_extensions import mypyc_attr\n", 1)
    (where / "spike/probes_open.py").write_text(opened)


def main() -> None:
    results, probes = {}, ""
    with tempfile.TemporaryDirectory() as top:
        for tool, command in BUILD.items():
            where = Path(top) / tool
            prepare(where)
            start = time.monotonic()
            if command:
                python(where, *command)
            print(f"{tool}: built in {time.monotonic() - start:.1f} s")
            results[tool] = json.loads(python(where, "bench.py"))
            probes += python(where, "probe.py", "spike.probes")
            if tool == "mypyc":
                probes += python(where, "probe.py", "spike.probes_open")
    assert results["plain"]["bytes"] == results["mypyc"]["bytes"] == results["cython"]["bytes"]
    print("identical bytes and values in all builds\n")
    print("| payload | step | plain | mypyc | cython |\n|---|---|---|---|---|")
    for payload, (size, *_) in results["plain"]["times"].items():
        for i, step in enumerate(COLUMNS, 1):
            figures = " | ".join(f"{results[tool]['times'][payload][i]:.2f}" for tool in BUILD)
            print(f"| {payload}, {size} B | {step} | {figures} |")
    print(probes)


main()
