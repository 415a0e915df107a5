"""The build under test is the one that was asked for, and whole."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import pellucid
from tools.compiled_suite import why_not
from tools.modules import COMPILED, ROOT, exists, is_compiled

ASKED = os.environ.get("PELLUCID_COMPILE", "")


@pytest.mark.parametrize("name", COMPILED)
def test_the_module_is_compiled_or_not_as_asked(name: str) -> None:
    if not ASKED:
        pytest.skip("PELLUCID_COMPILE is not set: either build is right")
    if not exists(name):
        pytest.skip(f"pellucid.{name} is not written yet")
    assert is_compiled(name) == (ASKED == "1"), "an old build may lie about: make clean"


@pytest.mark.skipif(ASKED != "1", reason="only the compiled build is tested as installed")
def test_the_compiled_build_is_tested_as_installed() -> None:
    spec = importlib.util.find_spec("pellucid")
    assert spec is not None
    assert spec.origin is not None
    assert not Path(spec.origin).is_relative_to(ROOT / "src")


def test_the_package_says_that_it_is_typed() -> None:
    assert pellucid.__file__ is not None
    assert Path(pellucid.__file__).with_name("py.typed").exists()


def test_the_version_is_said_once() -> None:
    version = importlib.metadata.version("pellucid")
    assert getattr(pellucid, "__version__", version) == version


def test_the_core_needs_nothing() -> None:
    needed = importlib.metadata.requires("pellucid") or []
    assert [line for line in needed if "extra ==" not in line] == []


# Building. One module that can be compiled stands for all of them, so that it takes a second.

ONE = "waiting"
NO_COMPILER = {"CC": "/bin/false"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with a package of few modules."""
    pytest.importorskip("setuptools", "77")
    tree = tmp_path / "tree"
    package = tree / "src" / "pellucid"
    package.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    sources = ROOT / "src" / "pellucid"
    for name in ("__init__.py", "_version.py", f"{ONE}.py", "banana.pxd", "py.typed"):
        shutil.copy(sources / name, package)
    return tree


def setup_py(
    tree: Path, *words: str, compile: str | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ("CC", "CFLAGS", "PELLUCID_COMPILE")
    }
    if compile is not None:
        kept["PELLUCID_COMPILE"] = compile
    return subprocess.run(
        [sys.executable, "setup.py", "-q", *words],
        cwd=tree,
        env={**kept, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def built(tree: Path, compile: str | None = None, **more: str) -> tuple[bool, str]:
    """Build, and tell whether the module was compiled, and what was said."""
    place = tree / "built"
    run = setup_py(tree, "build", "--build-lib", str(place), compile=compile, **more)
    assert run.returncode == 0, run.stderr
    assert (place / "pellucid" / f"{ONE}.py").exists()
    return any((place / "pellucid").glob(f"{ONE}.*.so")), run.stderr


def without_cython(tmp_path: Path) -> dict[str, str]:
    place = tmp_path / "without" / "Cython"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ModuleNotFoundError('there is no Cython')\n")
    return {"PYTHONPATH": str(place.parent)}


def needs_a_compiler() -> None:
    pytest.importorskip("Cython")
    if reason := why_not():
        pytest.skip(reason)


def test_it_is_compiled_if_that_works(tree: Path) -> None:
    needs_a_compiler()
    assert built(tree) == (True, "")


def test_it_is_compiled_on_demand(tree: Path) -> None:
    needs_a_compiler()
    assert built(tree, "1") == (True, "")


def test_it_is_pure_on_demand(tree: Path, tmp_path: Path) -> None:
    assert built(tree, "0", **NO_COMPILER, **without_cython(tmp_path)) == (False, "")


def test_without_a_compiler_it_is_pure(tree: Path) -> None:
    pytest.importorskip("Cython")
    compiled, said = built(tree, **NO_COMPILER)
    assert not compiled
    assert "pellucid: building pure Python, for this happened: " in said
    assert "/bin/false" in said


def test_without_cython_it_is_pure(tree: Path, tmp_path: Path) -> None:
    compiled, said = built(tree, **without_cython(tmp_path))
    assert not compiled
    assert "pellucid: building pure Python, for this happened: there is no Cython" in said


def test_a_demand_that_can_not_be_met(tree: Path, tmp_path: Path) -> None:
    for lacking in (NO_COMPILER, without_cython(tmp_path)):
        assert setup_py(tree, "build", compile="1", **lacking).returncode != 0


def test_a_switch_that_is_no_switch(tree: Path) -> None:
    run = setup_py(tree, "build", compile="yes")
    assert run.returncode != 0
    assert run.stderr == "PELLUCID_COMPILE is 'yes'; it may be 0, 1 or unset\n"


@pytest.mark.parametrize("compile", ["0", "1"])
def test_the_wheel(tree: Path, compile: str) -> None:
    if compile == "1":
        needs_a_compiler()
    run = setup_py(tree, "bdist_wheel", compile=compile)
    assert run.returncode == 0, run.stderr
    (file,) = (tree / "dist").glob("*.whl")
    assert ("none-any" in file.name) == (compile == "0")
    with zipfile.ZipFile(file) as wheel:
        names = [Path(name).name for name in wheel.namelist() if name.startswith("pellucid/")]
    libraries = [name for name in names if name.endswith(".so")]
    assert [name.partition(".")[0] for name in libraries] == [ONE] * int(compile)
    expected = ["__init__.py", "_version.py", "banana.pxd", "py.typed", f"{ONE}.py"]
    assert sorted(set(names) - {*libraries}) == sorted(expected)


def test_the_source_distribution(tree: Path) -> None:
    sources = tree / "src" / "pellucid"
    for name in ("waiting.c", "waiting.cpython-311-x86_64-linux-gnu.so"):
        (sources / name).write_text("")
    run = setup_py(tree, "sdist", "--formats=gztar", compile="0")
    assert run.returncode == 0, run.stderr
    (file,) = (tree / "dist").glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"__init__.py", "_version.py", "banana.pxd", "py.typed", "waiting.py"}
    assert {Path(name).name for name in names if name.startswith("src/pellucid/")} == expected
    assert {"setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"} <= names
