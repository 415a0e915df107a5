"""In fresh processes: `twisted.spread` becomes the face, or somebody is told why it can't."""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pellucid.twisted import installing
from tests.processes import run

FACES = ["banana", "flavors", "interfaces", "jelly", "pb", "publish", "util"]
INSTALL = "import pellucid.twisted; pellucid.twisted.install()\n"


def fresh(code: str, strict: bool = True) -> Any:
    """What a new interpreter prints, as JSON. With `strict`, its warnings are errors."""
    ended = run("-c", f"import json, sys\n{code}", strict=strict)
    assert (ended.err, ended.status) == ("", 0)
    return json.loads(ended.out)


def refused(tmp_path: Path, code: str, name: str = "program.py") -> str:
    """The text of the RuntimeError that ends a program."""
    program = tmp_path / name
    program.write_text(code, encoding="utf-8")
    # Of the loading of all of Twisted, warnings are Twisted's.
    ended = run(str(program), cwd=tmp_path, strict=False)
    assert ended.status == 1
    *_, last = ended.err.splitlines()
    assert last.startswith("RuntimeError: "), ended.err
    return last.removeprefix("RuntimeError: ")


def test_every_way_to_import_gives_the_face() -> None:
    code = (
        "import importlib, pellucid.twisted\n"
        "from pellucid.twisted import install\n"
        "install()\n"
        "import twisted.spread.jelly, twisted.spread.pb as as_pb\n"
        "from twisted import spread\n"
        "from twisted.python import reflect\n"
        "from twisted.spread import banana, pb\n"
        "from twisted.spread.pb import Root\n"
        "face = pellucid.twisted\n"
        "print(json.dumps([\n"
        f"    [n for n in {FACES} if sys.modules['twisted.spread.' + n] is not getattr(face, n)],\n"
        f"    [n for n in {FACES} if getattr(spread, n) is not getattr(face, n)],\n"
        f"    [n for n in {FACES}\n"
        "        if importlib.import_module('twisted.spread.' + n) is not getattr(face, n)],\n"
        "    pb is face.pb and as_pb is face.pb and banana is face.banana,\n"
        "    twisted.spread.jelly is face.jelly and sys.modules['twisted.spread'] is spread,\n"
        "    reflect.namedAny('twisted.spread.pb.Root') is Root is face.pb.Root,\n"
        "    reflect.namedModule('twisted.spread.util') is face.util,\n"
        "]))"
    )
    assert fresh(code) == [[], [], [], True, True, True, True]


def test_a_second_time_changes_nothing() -> None:
    code = (
        f"{INSTALL}"
        "def spread(): return {n: m for n, m in sys.modules.items() if 'twisted' in n}\n"
        "before, package = spread(), pellucid.twisted.installing.twisted.spread\n"
        "pellucid.twisted.install()\n"
        "same = all(spread()[n] is m for n, m in before.items())\n"
        "print(json.dumps([same, len(spread()) - len(before),\n"
        "    package is sys.modules['twisted'].spread]))"
    )
    assert fresh(code) == [True, 0, True]


def test_without_it_nothing_of_twisted_is_replaced() -> None:
    code = (
        "from pellucid.twisted import banana, flavors, interfaces, jelly, pb, publish, util\n"
        "print(json.dumps([n for n in sys.modules if n.startswith('twisted.spread')]))"
    )
    assert fresh(code) == []


@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_twisteds_own(ours_first: bool) -> None:
    imports = ["from pellucid.twisted import pb as ours", "from twisted.spread import pb as theirs"]
    code = "\n".join(imports if ours_first else imports[::-1]) + (
        "\nfrom twisted.cred.portal import Portal\n"
        "portal = Portal(None)\n"
        "print(json.dumps([type(face.PBServerFactory(root).root).__module__.partition('.')[0]\n"
        "    for face in (ours, theirs) for root in (portal, face.Root())]\n"
        "    + [ours.Root is theirs.Root]))"
    )
    # Twisted's roots bear the same name of their module as ours: see the second.
    assert fresh(code) == ["pellucid", "twisted", "twisted", "twisted", False]


@pytest.mark.parametrize("first", ["", INSTALL])
def test_no_reactor_is_chosen(first: str) -> None:
    code = (
        f"{first}"
        "from pellucid.twisted import banana, flavors, interfaces, jelly, pb, publish, util\n"
        "print(json.dumps('twisted.internet.reactor' in sys.modules))"
    )
    assert fresh(code) is False


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import pellucid.twisted\n"
        f"print(json.dumps([n for n in {FACES} if 'pellucid.twisted.' + n in sys.modules]))"
    )
    assert fresh(code) == []


def test_twisteds_own_tests_can_be_imported() -> None:
    code = (
        f"{INSTALL}"
        "import twisted.spread.test.test_banana as tests\n"
        "from twisted.python.modules import getModule\n"
        "walked = [m.name for m in getModule('twisted.spread').walkModules()]\n"
        "print(json.dumps([\n"
        "    tests.banana is pellucid.twisted.banana,\n"
        "    'twisted.spread.test.test_pb' in walked and 'twisted.spread.pb' in walked,\n"
        "    [n for n in sys.modules if n.startswith('twisted.spread.t')],\n"
        "]))"
    )
    names = ["twisted.spread.test", "twisted.spread.test.test_banana"]
    assert fresh(code) == [True, True, names]


def test_twisteds_users_of_it_get_the_face() -> None:
    code = (
        f"{INSTALL}"
        "from twisted.web import distrib\n"
        "from twisted.words import service\n"
        "print(json.dumps([distrib.pb is pellucid.twisted.pb, service.pb is distrib.pb]))"
    )
    # Parts of Twisted call others that are deprecated.
    assert fresh(code, strict=False) == [True, True]


def test_a_twisted_without_spread() -> None:
    code = (
        "import importlib.machinery, twisted\n"
        "find = importlib.machinery.PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        "    return None if name.startswith('twisted.spread') else find(name, path, target)\n"
        "importlib.machinery.PathFinder.find_spec = find_spec\n"
        f"{INSTALL}"
        "from twisted.spread import pb\n"
        "try:\n    import twisted.spread.test\n    found = True\n"
        "except ModuleNotFoundError:\n    found = False\n"
        "print(json.dumps([pb is pellucid.twisted.pb, found]))"
    )
    assert fresh(code) == [True, False]


def test_its_names_are_found_where_they_say() -> None:
    """So that they can be pickled, and named in a file of settings."""
    code = (
        f"{INSTALL}"
        "import inspect, pickle\n"
        "from twisted.python import reflect\n"
        f"faces = [getattr(pellucid.twisted, name) for name in {FACES}]\n"
        "named = [value for face in faces for value in vars(face).values()\n"
        "    if getattr(value, '__module__', '').startswith('twisted.spread')\n"
        "    and getattr(value, '__qualname__', None)]\n"
        "print(json.dumps([len(named) > 40, [reflect.qual(value) for value in named\n"
        "    if reflect.namedAny(reflect.qual(value)) is not value\n"
        "    or pickle.loads(pickle.dumps(value)) is not value\n"
        "    or inspect.getmodule(value).__name__ not in sys.modules]]))"
    )
    assert fresh(code) == [True, []]


def test_what_is_raised_can_be_pickled() -> None:
    code = (
        f"{INSTALL}"
        "import pickle\n"
        "from twisted.spread import jelly, pb\n"
        "errors = [pb.Error('a'), pb.DeadReferenceError('b'), pb.PBConnectionLost('c'),\n"
        "    jelly.InsecureJelly('d'), pb.NoSuchMethod('e')]\n"
        "again = pickle.loads(pickle.dumps(errors))\n"
        "print(json.dumps([[type(a) is type(b), str(a) == str(b)]\n"
        "    for a, b in zip(errors, again, strict=True)]))"
    )
    assert fresh(code) == [[True, True]] * 5


# When it is too late.


@pytest.mark.parametrize(
    "line",
    [
        "from twisted.spread import pb",
        "from twisted.spread.pb import Root",
        "import twisted.spread.jelly",
        "import twisted.spread.flavors as f",
        "import twisted.spread",
    ],
)
def test_too_late(tmp_path: Path, line: str) -> None:
    (tmp_path / "shop.py").write_text(f"import os, json as j\n{line}\n", encoding="utf-8")
    (tmp_path / "other.py").write_text("import twisted, shop\n", encoding="utf-8")
    assert refused(tmp_path, f"import other\n{INSTALL}") == (
        "twisted.spread was imported already by shop. Call pellucid.twisted.install() before the "
        "first import of twisted.spread, or start the program with python -m pellucid.twisted."
    )


def test_too_late_for_many(tmp_path: Path) -> None:
    code = f"import twisted.web.distrib\nfrom twisted.spread import pb\n{INSTALL}"
    text = refused(tmp_path, code)
    found = re.match(r"twisted.spread was imported already by (.*?)\. Call ", text)
    assert found is not None
    names = found[1].split(", ")
    assert names[0] == f"__main__ ({tmp_path / 'program.py'})"
    assert {"twisted.web.server", "twisted.web.distrib"} <= set(names)
    assert not any(name.startswith(("pellucid", "twisted.spread")) for name in names)


def test_too_late_for_the_program_itself(tmp_path: Path) -> None:
    text = refused(tmp_path, f"import twisted.spread.pb\n{INSTALL}")
    assert f" by __main__ ({tmp_path / 'program.py'}). Call " in text


def test_too_late_and_nobody_to_be_seen(tmp_path: Path) -> None:
    code = f"__import__('twisted.spread.pb')\n{INSTALL}"
    assert refused(tmp_path, code).startswith("twisted.spread was imported already. Call ")


def test_too_late_with_odd_modules(tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "class Loader:\n"
        "    def get_code(self, name): raise OSError('no')\n"
        "class NoModule:\n"
        "    def __getattr__(self, name): raise RuntimeError(name)\n"
        "odd = sys.modules['odd'] = types.ModuleType('odd')\n"
        "odd.twisted, odd.__loader__ = __import__('twisted.spread.pb'), Loader()\n"
        "bare = sys.modules['bare'] = types.ModuleType('bare')\n"
        "bare.twisted = odd.twisted\n"
        "sys.modules['no_module'], sys.modules['none'] = NoModule(), None\n"
        f"{INSTALL}"
    )
    assert refused(tmp_path, code).startswith("twisted.spread was imported already. Call ")


def test_what_was_refused_leaves_things_as_they_were() -> None:
    code = (
        "import pellucid.twisted\n"
        "from twisted.spread import jelly\n"
        "before = set(sys.modules)\n"
        "try:\n    pellucid.twisted.install()\nexcept RuntimeError:\n    pass\n"
        "import twisted.spread\n"
        "print(json.dumps([twisted.spread.jelly is jelly, sorted(set(sys.modules) - before)]))"
    )
    assert fresh(code) == [True, []]


def test_those_who_use_the_face_are_not_named(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("from pellucid.twisted.pb import Root\n", encoding="utf-8")
    (tmp_path / "theirs.py").write_text("from twisted.spread.pb import Root\n", encoding="utf-8")
    text = refused(tmp_path, f"import ours, theirs\n{INSTALL}")
    assert " already by theirs. Call " in text


def test_without_twisted() -> None:
    ended = run("-c", "import sys; sys.modules['twisted'] = None; import pellucid.twisted")
    *_, last = ended.err.splitlines()
    text = "pellucid.twisted needs Twisted: pip install 'pellucid[twisted]'"
    assert last == f"ModuleNotFoundError: {text}"


def test_the_list_is_complete() -> None:
    folder = Path(inspect.getfile(sys.modules["twisted"])).parent / "spread"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == set(installing._FACES) == set(FACES)
