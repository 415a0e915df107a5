"""The command `python -m pellucid.twisted`: run a program with this face as `twisted.spread`."""

import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, NoReturn

from .installing import install

_USAGE = "usage: python -m pellucid.twisted [-h] [-m module | script | command] [argument ...]"
_HELP = f"""{_USAGE}

Run a program that imports twisted.spread, with pellucid.twisted in the place of twisted.spread.

  -m module   run a module, as python -m does
  script      run a file, or a directory or zip file with a __main__.py, as python does
  command     run a command of an installed package, such as twist, twistd or trial,
              if there is no such file

All arguments behind it are the program's. Other processes that the program starts, as trial -j
does, are not included.
"""


def main(arguments: list[str]) -> None:
    """Run what the command line names."""
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if first in ("-h", "--help"):
        print(_HELP, end="")
        sys.exit(0)
    if first.startswith("-m"):
        name, *rest = [first[2:], *rest] if first != "-m" else rest or [""]
        run, what = _run_module, name
    elif first.startswith("-"):
        _fail(f"there is no option {first}", 2, usage=True)
    else:
        run, what = _run_script, first
    if not what:
        _fail("a module, a script or a command is missing", 2, usage=True)
    try:
        install()
    except RuntimeError as error:
        _fail(str(error), 1)
    # In place: who has imported the list has the program's arguments as well.
    sys.argv[:] = [what, *rest]
    run(what)


def _fail(text: str, status: int, usage: bool = False) -> NoReturn:
    if usage:
        print(_USAGE, file=sys.stderr)
    print(f"python -m pellucid.twisted: error: {text}", file=sys.stderr)
    sys.exit(status)


def _run_module(name: str) -> None:
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
            if spec is None:
                _fail(f"{name} is a package without a __main__ module", 1)
    except (ImportError, ValueError) as error:
        _fail(f"{name} can't be found: {error}", 1)
    if spec is None:
        _fail(f"no module named {name}", 1)
    if spec.has_location:
        sys.argv[0] = str(spec.origin)
    _run_spec(spec)


def _run_script(name: str) -> None:
    # Absolute, as Python has it, so that it is right in another directory as well.
    path = os.path.abspath(name)
    importer = pkgutil.get_importer(path) if os.path.exists(path) else None
    spec = importer.find_spec("__main__") if importer is not None else None
    if spec is None and not os.path.isfile(path):
        _run_command(name)
    if not sys.flags.safe_path:
        # Where we were started has no part in it.
        del sys.path[0]
    if spec is not None:
        sys.path.insert(0, path)
        _run_spec(spec)
        return
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    if name.endswith(".pyc"):
        compiled = SourcelessFileLoader("__main__", path)
        _run_code(compiled.get_code("__main__"), compiled, path)
    else:
        source = SourceFileLoader("__main__", path)
        _run_code(source.source_to_code(source.get_data(path), path), source, path)


def _run_command(name: str) -> NoReturn:
    for entry in entry_points(group="console_scripts", name=name):
        command: Callable[[], Any] = entry.load()
        # Some print the documentation of the main module as their own.
        sys.modules["__main__"] = ModuleType("__main__")
        sys.exit(command())
    if os.path.isdir(name):
        _fail(f"{name} is a directory without a __main__.py", 1)
    hint = ""
    if all(part.isidentifier() for part in name.split(".")):
        hint = f" (for a module: -m {name})"
    _fail(f"there is no file {name}, and no command of this name{hint}", 2)


def _run_spec(spec: ModuleSpec) -> None:
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None
    if code is None:
        _fail(f"{spec.name} has no code that can be run", 1)
    file = spec.origin if spec.has_location else None
    _run_code(code, loader, file, __spec__=spec, __package__=spec.parent, __cached__=spec.cached)


def _run_code(code: Any, loader: Any, file: str | None, **names: Any) -> None:
    """Run a program as the main module, which stays: threads and exit handlers may need it."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__loader__ = loader
    if file is not None:
        module.__file__ = file
    vars(module).update(names)
    exec(code, vars(module))


if __name__ == "__main__":
    main(sys.argv[1:])
