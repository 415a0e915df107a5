"""The build under test is the one that was asked for, and whole."""

import importlib.metadata
import importlib.util
import os
from pathlib import Path

import pytest

import pellucid
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
