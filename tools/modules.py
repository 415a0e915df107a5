"""The modules of the package by what is asked of them."""

import ast
import importlib.machinery
import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pellucid"

# No I/O, no clock, no thread; each wholly covered by its own test file.
CORE = (
    "errors",
    "limits",
    "ledger",
    "octets",
    "records",
    "heap",
    "banana",
    "states",
    "flavors",
    "registry",
    "ports",
    "atoms",
    "holes",
    "hashing",
    "places",
    "selfcycles",
    "parts",
    "usual",
    "encoder",
    "decoder",
    "jelly",
    "events",
    "releases",
    "references",
    "caches",
    "tables",
    "failures",
    "messages",
    "waiting",
    "outbox",
    "broker",
    "scram",
    "login",
    "seldom",
)


def _compiled() -> tuple[str, ...]:
    """Read the list in setup.py, which cannot be imported."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            return tuple(ast.literal_eval(node.value))
    raise LookupError("setup.py has no COMPILED")


COMPILED = _compiled()


# Of the tests beside the core's these go through what is compiled on every line.
_THROUGH = (
    *("asyncio", "faces"),
    "fuzz/test_corpus.py",
)
# And these do not say more on another build, each with the reason.
SAME_ON_EVERY_BUILD = {
    "test_architecture": "it reads the sources",
    "test_compiled_suite": "a tool's",
    "test_coverage": "it counts lines of the sources",
    "test_pb_application": "a tool's",
    "test_twisted_suite": "the Twisted face's",
}


def compiled_tests() -> list[str]:
    """Give the test files and folders for what is compiled and what goes through it."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    core = [f"tests/{file.name}" for file in files if file.stem not in SAME_ON_EVERY_BUILD]
    return [*core, *(f"tests/{folder}" for folder in _THROUGH)]


def is_compiled(name: str) -> bool:
    """Whether Python would load `pellucid.<name>` from an extension module."""
    try:
        spec = importlib.util.find_spec(f"pellucid.{name}")
    except ModuleNotFoundError:
        return False
    return spec is not None and isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)


def exists(name: str) -> bool:
    """Whether the module has been written."""
    return (SOURCE / f"{name.replace('.', '/')}.py").exists()
