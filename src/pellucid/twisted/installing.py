"""How this face takes the place of `twisted.spread` in a process."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import CodeType, ModuleType

import twisted

__all__ = ["install"]

_SPREAD = "twisted.spread"
_FACES = ("banana", "flavors", "interfaces", "jelly", "pb", "publish", "util")


def _stand_in() -> ModuleType:
    """Make the package, so that what else is in Twisted's directory can be imported from it."""
    spec = importlib.util.find_spec(_SPREAD)
    if spec is None:
        package = ModuleType(_SPREAD)
        package.__path__ = []
        return package
    return importlib.util.module_from_spec(spec)


_PACKAGE = _stand_in()


def install() -> None:
    """Make `twisted.spread` and its modules this face, for the whole process.

    Call it before anything imports `twisted.spread`. A second call changes nothing. Twisted's own
    `twisted.spread.test` can still be imported, and tests this face. No reactor is installed.

    Raises RuntimeError if Twisted's modules are loaded already. The text names who imported them,
    as far as that can be seen.
    """
    loaded = list(_originals())
    if loaded:
        raise RuntimeError(_refusal(loaded))
    faces = {name: importlib.import_module(f"{__package__}.{name}") for name in _FACES}
    sys.modules[_SPREAD] = _PACKAGE
    for name, face in faces.items():
        sys.modules[f"{_SPREAD}.{name}"] = face
        setattr(_PACKAGE, name, face)
    setattr(twisted, "spread", _PACKAGE)  # noqa: B010 - it is no name that Twisted declares


def _originals() -> Iterator[ModuleType]:
    """Give Twisted's own modules that are loaded."""
    names = {_SPREAD, *(f"{_SPREAD}.{name}" for name in _FACES)}
    for name, module in list(sys.modules.items()):
        if name in names and module is not _PACKAGE and getattr(module, "__name__", "") == name:
            yield module


def _refusal(originals: list[ModuleType]) -> str:
    importers = list(_importers(originals))
    by = f" by {', '.join(importers)}" if importers else ""
    return (
        f"twisted.spread was imported already{by}. Call pellucid.twisted.install() before the "
        "first import of twisted.spread, or start the program with python -m pellucid.twisted."
    )


def _importers(originals: list[ModuleType]) -> Iterator[str]:
    """Name the modules that hold one of these modules, or something that is defined in one."""
    theirs = {id(module) for module in originals}
    for module in originals:
        for value in vars(module).values():
            if getattr(value, "__module__", None) == module.__name__:
                theirs.add(id(value))
    for name, module in list(sys.modules.items()):
        if name == "twisted" or f"{name}.".startswith((f"{_SPREAD}.", f"{__package__}.")):
            continue
        # Not everything that stands there is a module.
        held = list(getattr(module, "__dict__", {}).values())
        if any(id(value) in theirs for value in held) or (
            # After `import twisted.spread.pb` a module holds but the topmost package.
            any(value is twisted for value in held) and _imports_spread(_code_of(module))
        ):
            file = getattr(module, "__file__", None) if name == "__main__" else None
            yield f"{name} ({file})" if file else name


def _code_of(module: ModuleType) -> CodeType | None:
    try:
        name = module.__spec__.name if module.__spec__ else module.__name__
        code = module.__loader__.get_code(name)  # type: ignore[union-attr]
    # A loader may have no code to give, and raise what it likes.
    except Exception:
        return None
    return code if isinstance(code, CodeType) else None


def _imports_spread(code: CodeType | None) -> bool:
    if code is None:
        return False
    if any(f"{name}.".startswith(f"{_SPREAD}.") for name in code.co_names):
        return True
    return any(_imports_spread(part) for part in code.co_consts if isinstance(part, CodeType))
