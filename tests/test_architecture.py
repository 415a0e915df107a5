"""The walls of the house. What may import what, and what may not be imported at all."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tools.modules import CORE, ROOT, SOURCE

_ALL_CORE = set(CORE)
_FACES = {"asyncio", "twisted", "blocking"}

# Which rooms a room may import from. A room is a module of the package or a whole subpackage.
# Imports under TYPE_CHECKING count as well.
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "_compiled": set(),
    "errors": set(),
    "limits": set(),
    "ledger": {"errors", "limits"},
    "octets": set(),
    "records": set(),
    "heap": set(),
    "banana": {"errors", "heap", "limits", "octets", "records"},
    "states": {"errors"},
    "places": {"banana"},
    "registry": {"atoms", "errors", "flavors", "places", "states"},
    "ports": {"errors"},
    "atoms": {"banana", "errors"},
    "holes": {"errors"},
    "hashing": {"limits", "errors", "holes"},
    "selfcycles": {"banana", "places"},
    "parts": {"banana", "errors", "limits", "places"},
    "usual": {"banana", "errors", "flavors", "limits", "octets", "ports"},
    "encoder": {
        *{"banana", "registry", "limits", "errors", "ports", "atoms", "places", "selfcycles"},
        *{"heap", "octets", "parts", "usual"},
    },
    "decoder": {
        *{"banana", "registry", "limits", "errors", "ports", "atoms", "holes", "hashing"},
        *{"octets", "parts", "places", "usual"},
    },
    "jelly": {
        *{"banana", "registry", "limits", "errors", "ports", "atoms", "encoder", "decoder"},
        "places",
    },
    "flavors": {"errors", "states"},
    "releases": {"errors", "limits"},
    "references": {"errors", "events", "ledger", "releases"},
    "caches": {"errors", "events", "flavors", "ledger", "references", "releases"},
    "tables": {"caches", "errors", "events", "flavors", "ledger", "references", "releases"},
    "failures": {"errors", "registry"},
    "messages": {"banana", "decoder", "encoder", "errors", "ports", "usual"},
    "events": set(),
    "waiting": {"errors", "events", "ledger"},
    "outbox": {
        *{"banana", "caches", "encoder", "errors", "failures", "ledger", "limits", "messages"},
        *{"references", "tables"},
    },
    "broker": {*CORE, "_version"} - {"broker", "scram", "login", "seldom"},
    "seldom": set(),
    "scram": {"errors"},
    "login": {"flavors", "errors", "scram"},
    "passwords": {"login", "scram"},
    "asyncio": {*_ALL_CORE, "asyncio", "passwords", "_version"},
    "twisted": {*_ALL_CORE, "twisted", "_version"},
    "blocking": {*_ALL_CORE, "asyncio", "blocking", "_version"},
    "cli": {*_ALL_CORE, *_FACES, "passwords", "_version", "_compiled", "__init__"},
    "__init__": {*_ALL_CORE, *_FACES, "passwords", "_version", "_compiled"},
    "__main__": {"cli"},
}

# What the core may not touch: I/O, clocks, threads, and whatever loads code or objects by name.
IMPURE = {
    "asyncio",
    "concurrent",
    "importlib",
    "logging",
    "marshal",
    "multiprocessing",
    "pickle",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "twisted",
}
NEVER_LOADED = {"asyncio", "socket", "ssl", "twisted"}

# Which rooms may import from outside the standard library, and what.
THIRD_PARTY: dict[str, set[str]] = {
    "cli": {"click", "rich", "uvloop"},
    "passwords": {"argon2"},
    "twisted": {"twisted", "zope"},
}

# The front room: a third of it is flavours, login and TLS.
MAX_EXPORTS = 46
MAX_FILE = 500
MAX_FUNCTION = 50

# Longer than that, each with the reason. "broker.py" or "broker.py: Broker.receive".
LONG_FILES: dict[str, str] = {
    "banana.py": "tokens, and the framer, without which none is decoded",
    "broker.py": "one state machine; what it could do without has left",
    "encoder.py": "one recursion over all types, and what of it is for objects of one's own",
    "decoder.py": "one recursion over all types; atoms, holes and hashing have left",
}
LONG_FUNCTIONS: dict[str, str] = {
    "asyncio/link.py: Link.__init__": "a list of attributes, each with its beginning",
    "asyncio/turns.py: Turns.run": "one loop over the events, and what comes behind it",
    "banana.py: Framer._scan": "one loop over all tokens: a call for each would cost more",
    "broker.py: Broker.__init__": "a list of attributes, each with its beginning",
    "broker.py: Broker.next_event": "one loop over all that there may be to tell of",
    "usual.py: atoms": "one loop over all kinds: a call for each would cost more than it does",
}

# Imports inside of a function, each with the reason.
LAZY: dict[str, str] = {
    "__init__: __getattr__": "the core can be imported without the faces",
    "asyncio.__init__: __getattr__": "a client needs no server, and a server no portal",
    "asyncio.client: _make_plan": "few clients connect again, which needs random numbers",
    "asyncio.connection: login": "hashes and random numbers take long to load",
    "asyncio.connection: login_anonymous": "as above",
    "asyncio.connection: login_certificate": "as above",
    "asyncio.url: __str__": "most addresses need nothing of a library that takes long to load",
    "asyncio.url: _read": "as above",
    "asyncio.url: _unix": "as above",
    "atoms: _types": "dates and decimals take long to load, and most programs send none",
}

# Modules without a test file of their own, each with the reason.
UNPAIRED: dict[str, str] = {
    "__init__": "names only; test_exports looks at them",
    "__main__": "one call, made by the tests of cli",
    "_version": "one constant; test_build looks at it",
}


@dataclass(frozen=True)
class Import:
    """One imported name: `path` is the module, `name` what `from` takes out of it."""

    path: str
    name: str | None
    line: int
    runtime: bool
    function: str | None

    @property
    def top(self) -> str:
        return self.path.partition(".")[0]


class _Imports(ast.NodeVisitor):
    """Collects the imports of one module, and where they stand."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.found: list[Import] = []
        self._functions: list[str] = []
        self._typing = False

    def _add(self, path: str, name: str | None, line: int) -> None:
        function = self._functions[-1] if self._functions else None
        self.found.append(Import(path, name, line, not self._typing, function))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, None, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        path = node.module or ""
        if node.level:
            base = self.package.split(".")
            base = base[: len(base) - node.level + 1]
            path = ".".join([*base, *filter(None, [path])])
        for alias in node.names:
            self._add(path, alias.name, node.lineno)

    def visit_If(self, node: ast.If) -> None:
        before = self._typing
        self._typing = before or ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for child in node.body:
            self.visit(child)
        self._typing = before
        for child in node.orelse:
            self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    visit_AsyncFunctionDef = visit_FunctionDef


def _modules() -> dict[str, Path]:
    """Every module of the package, by its name below `pellucid`."""
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
        for path in sorted(SOURCE.rglob("*.py"))
    }


MODULES = _modules()
every_module = pytest.mark.parametrize("module", MODULES)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path, package: str = "") -> list[Import]:
    visitor = _Imports(package)
    visitor.visit(_tree(path))
    return visitor.found


def _imports_of(module: str) -> list[Import]:
    package = ".".join(["pellucid", *module.split(".")[:-1]])
    return _imports(MODULES[module], package)


def _room(module: str) -> str:
    return module.partition(".")[0]


def _target(found: Import) -> str | None:
    """The module of ours that an import loads, or None when it is not ours."""
    if found.top != "pellucid":
        return None
    below = found.path.split(".")[1:]
    for parts in ([*below, found.name] if found.name else below, below):
        name = ".".join(parts)
        if name in MODULES:
            return name
        if name and f"{name}.__init__" in MODULES:
            return f"{name}.__init__"
    if below:
        pytest.fail(f"line {found.line}: there is no {found.path}")
    return "__init__"


def _fresh(code: str) -> object:
    """What a new interpreter prints, as JSON."""
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


# Arrows point down.


@every_module
def test_imports_point_down(module: str) -> None:
    room = _room(module)
    assert room in MAY_IMPORT, f"{module} has no place in the table"
    for found in _imports_of(module):
        target = _target(found)
        if target is not None:
            assert _room(target) in MAY_IMPORT[room], f"line {found.line}: {target} is not below"


def test_the_table_has_no_cycle() -> None:
    graph = {room: below - {room} for room, below in MAY_IMPORT.items()}
    assert _cycle(graph) == []


def test_no_import_cycle() -> None:
    graph = {
        module: {
            target
            for found in _imports_of(module)
            if found.runtime and found.function is None and (target := _target(found))
        }
        for module in MODULES
    }
    assert _cycle(graph) == []


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes that are left when all that depend on nothing are taken away, again and again."""
    left = dict(graph)
    while free := [node for node, below in left.items() if not below & left.keys()]:
        for node in free:
            del left[node]
    return sorted(left)


def test_imports_inside_a_function_have_a_reason() -> None:
    lazy = {
        f"{module}: {found.function}"
        for module in MODULES
        for found in _imports_of(module)
        if found.function is not None
    }
    assert lazy == LAZY.keys()


# The core is pure.


@pytest.mark.parametrize("module", [name for name in MODULES if _room(name) in _ALL_CORE])
def test_the_core_does_no_io(module: str) -> None:
    impure = [f"line {f.line}: {f.path}" for f in _imports_of(module) if f.top in IMPURE]
    assert impure == []
    calls = {
        node.func.id
        for node in ast.walk(_tree(MODULES[module]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"__import__", "eval", "exec", "compile", "open", "print", "input"} == set()


@every_module
def test_nothing_from_outside_but_where_it_belongs(module: str) -> None:
    allowed = {"pellucid", *sys.stdlib_module_names, *THIRD_PARTY.get(_room(module), ())}
    foreign = [f"line {f.line}: {f.path}" for f in _imports_of(module) if f.top not in allowed]
    assert foreign == []


def test_a_fresh_interpreter_loads_no_io_with_the_core() -> None:
    core = [f"pellucid.{name}" for name in MODULES if _room(name) in _ALL_CORE]
    loaded = _fresh(
        "import importlib, json, sys\n"
        f"for name in {core!r}: importlib.import_module(name)\n"
        f"print(json.dumps(sorted({NEVER_LOADED!r} & sys.modules.keys())))"
    )
    assert loaded == []


# What an application sees.


def test_exports() -> None:
    names = _fresh("import json, pellucid; print(json.dumps(list(pellucid.__all__)))")
    assert isinstance(names, list)
    assert len(set(names)) == len(names)
    assert sorted(names) == names
    assert len(names) <= MAX_EXPORTS


def test_a_fresh_interpreter_resolves_every_export() -> None:
    missing = _fresh(
        "import json, pellucid\n"
        "print(json.dumps([n for n in pellucid.__all__ if not hasattr(pellucid, n)]))"
    )
    assert missing == []


def test_help_and_completion_know_every_export() -> None:
    unknown = _fresh(
        "import json, pellucid, pydoc\n"
        "seen = dir(pellucid)\n"
        "text = pydoc.render_doc(pellucid, renderer=pydoc.plaintext)\n"
        "told = ['class connect(', 'class serve(', 'class Portal(', 'class PasswordFile(']\n"
        "print(json.dumps([n for n in pellucid.__all__ if n not in seen]\n"
        "    + [t for t in told if t not in text]))"
    )
    assert unknown == []


def test_the_faces_are_loaded_when_they_are_asked_for() -> None:
    loaded = _fresh(
        "import json, sys, pellucid\n"
        "names = ['asyncio', 'threading', 'pellucid.blocking', 'pellucid.passwords']\n"
        "before = [n for n in names[::2] + names[3:] if n in sys.modules]\n"
        "pellucid.blocking.connect, pellucid.BadPasswordFile\n"
        "print(json.dumps([before, [n for n in names if n in sys.modules]]))"
    )
    assert loaded == [[], ["asyncio", "threading", "pellucid.blocking", "pellucid.passwords"]]


# Each module has its tests.


@every_module
def test_the_module_has_a_test_file(module: str) -> None:
    *folder, name = module.split(".")
    if name in UNPAIRED:
        return
    test = Path("tests", *folder, f"test_{name}.py")
    assert (ROOT / test).exists(), f"{test} is missing"


# Twisted's Perspective Broker is a peer in the tests, never a part of us.


@pytest.mark.parametrize("folder", ["src", "examples", "tools"])
def test_nothing_imports_twisted_spread(folder: str) -> None:
    users = [
        f"{path.relative_to(ROOT)}, line {found.line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in _imports(path)
        if f"{found.path}.{found.name or ''}.".startswith("twisted.spread.")
    ]
    assert users == []


# Nothing is longer than one can read.


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}" if prefix else child.name
            if not isinstance(child, ast.ClassDef):
                yield name, (child.end_lineno or child.lineno) - child.lineno + 1
        yield from _functions(child, name)


def test_long_files_have_a_reason() -> None:
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES.values()
    }
    assert {name for name, length in lengths.items() if length > MAX_FILE} == LONG_FILES.keys()


def test_long_functions_have_a_reason() -> None:
    long = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in MODULES.values()
        for name, length in _functions(_tree(path))
        if length > MAX_FUNCTION
    }
    assert long == LONG_FUNCTIONS.keys()


@pytest.mark.parametrize("reasons", [LONG_FILES, LONG_FUNCTIONS, UNPAIRED])
def test_every_exception_has_a_reason(reasons: dict[str, str]) -> None:
    assert all(reason.strip() for reason in reasons.values())
