"""Builds the extension modules. Everything else stands in pyproject.toml.

PELLUCID_COMPILE=0  pure Python
PELLUCID_COMPILE=1  compiled; the build fails if that cannot be done
unset               compiled if it works, else pure Python
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Each is src/pellucid/<name>.py, with the C types of its classes in <name>.pxd beside it.
COMPILED = (
    "banana",
    "hashing",
    "holes",
    "encoder",
    "decoder",
    "jelly",
    "events",
    "ledger",
    "releases",
    "references",
    "tables",
    "messages",
    "waiting",
    "outbox",
    "broker",
    "asyncio.outgoing",
    "asyncio.current",
    "asyncio.calls",
    "asyncio.wakeups",
    "asyncio.turns",
)

# Debug information would make up five sixths of the wheel.
FLAGS = ["-g0"] if os.name == "posix" else []

DIRECTIVES = {
    "language_level": 3,
    # Annotations stay what they are in Python. C types are given in the .pxd files only, so that
    # both builds take the same arguments.
    "annotation_typing": False,
    # The input is a stranger's: checks stay on, and numbers behave as in Python.
    "boundscheck": True,
    "wraparound": True,
    "nonecheck": True,
    "cdivision": False,
    "overflowcheck": True,
    "auto_pickle": False,
    "embedsignature": False,
}


def wanted() -> str:
    value = os.environ.get("PELLUCID_COMPILE", "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"PELLUCID_COMPILE is {value!r}; it may be 0, 1 or unset")
    if value == "" and sys.implementation.name != "cpython":
        return "0"
    return value


def extensions() -> list[Extension]:
    mode = wanted()
    if mode == "0":
        return []
    sources = {name: f"src/pellucid/{name.replace('.', '/')}.py" for name in COMPILED}
    modules = [
        Extension(f"pellucid.{name}", [source], extra_compile_args=FLAGS)
        for name, source in sources.items()
        if Path(source).exists()
    ]
    if not modules:
        return []
    try:
        from Cython.Build import cythonize  # noqa: PLC0415 - a pure build needs no Cython

        return list(cythonize(modules, build_dir="build/cython", compiler_directives=DIRECTIVES))
    except Exception as error:
        if mode == "1":
            raise
        give_up(error)
        return []


def give_up(error: Exception) -> None:
    print(f"pellucid: building pure Python, for this happened: {error}", file=sys.stderr)


class BuildAllOrNone(build_ext):
    """The compiled modules know each other's C structures, so half a build is worse than none."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            if wanted() == "1":
                raise
            give_up(error)
            for extension in self.extensions:
                name = self.get_ext_filename(extension.name)
                for place in (self.build_lib, "src"):
                    Path(place, name).unlink(missing_ok=True)
            self.extensions = []


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildAllOrNone},
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
