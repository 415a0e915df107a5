import decimal
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pellucid.banana import PELLUCID, encode
from pellucid.decoder import Decoder
from pellucid.errors import InsecureJelly
from pellucid.limits import Limits
from pellucid.ports import NullImporter
from pellucid.twisted import jelly, security
from pellucid.twisted.named import NAMED, find_class
from pellucid.twisted.registering import SpreadRegistry
from pellucid.twisted.security import DummySecurityOptions, SecurityOptions
from pellucid.twisted.unjellier import Unpersistable

HERE = __name__.encode()
NEVER = "antigravity"
CLASS = [b"class", HERE + b".Thing"]


class Meta(type):
    pass


class Thing(metaclass=Meta):
    def method(self) -> Any:
        return self

    also = 3


class Derived(Thing):
    pass


class Other:
    pass


def function() -> None:
    pass


borrowed = decimal.getcontext


def options(*types: str, **changes: Any) -> SecurityOptions:
    """Options that allow all of jelly's own types, and the classes and modules that are given."""
    found = SecurityOptions()
    found.allowInstancesOf(*changes.get("classes", ()))
    found.allowModules(*changes.get("modules", ()))
    found.allowTypes("function", "method", *types)
    return found


def read(sexp: Any, taster: Any, **changes: Any) -> Any:
    """The value of an item that came over a connection."""
    registry = SpreadRegistry(taster, changes.get("invoker"), changes.get("load"))
    return Decoder(encode(sexp), PELLUCID, Limits(), registry, NullImporter()).value("value")


def refused(sexp: Any, taster: Any, **changes: Any) -> str:
    with pytest.raises(InsecureJelly) as caught:
        read(sexp, taster, **changes)
    return str(caught.value)


# Classes.


def test_an_allowed_class() -> None:
    assert read([b"class", HERE + b".Thing"], options(classes=[Thing])) is Thing


def test_an_allowed_class_that_is_nowhere() -> None:
    local = type("Local", (), {"__module__": __name__})
    assert read([b"class", HERE + b".Local"], options(classes=[local])) is local


def test_a_class_of_an_allowed_module_is_not_allowed_with_it() -> None:
    taster = options(classes=[Thing])
    assert f"Class {__name__}.Other not allowed." in refused([b"class", HERE + b".Other"], taster)


def test_a_class_of_another_module() -> None:
    text = refused([b"class", b"decimal.Decimal"], options(classes=[Thing]))
    assert "Module decimal not allowed (in type decimal.Decimal)." in text


@pytest.mark.parametrize("name", [b"", b"Thing", HERE, b"\xff.x", HERE + b".also", HERE + b".no"])
def test_what_is_no_class(name: bytes) -> None:
    text = refused([b"class", name], options(classes=[Thing]))
    assert "not allowed" in text or "has to be text" in text


def test_a_long_name_is_cut() -> None:
    assert len(refused([b"class", b"a." + b"x" * 5000], options())) < 300


def test_options_of_ones_own_look_at_what_is_loaded() -> None:
    class Own:
        def isTypeAllowed(self, name: Any) -> bool:
            return True

        def isModuleAllowed(self, name: str) -> bool:
            return True

        def isClassAllowed(self, cls: type) -> bool:
            return cls is Other

    assert read([b"class", HERE + b".Other"], Own()) is Other
    assert "not allowed" in refused([b"class", HERE + b".Thing"], Own())
    assert "not allowed" in refused([b"class", f"{NEVER}.Thing".encode()], Own())
    assert NEVER not in sys.modules


def test_nothing_is_imported_for_a_peer() -> None:
    """Not even with options that allow everything."""
    taster = DummySecurityOptions()
    name = NEVER.encode()
    for sexp in ([b"module", name], [b"class", name + b".x"], [b"function", name + b".x"]):
        refused(sexp, taster)
    refused([name + b".x", [b"None"]], taster)
    assert "is not loaded" in refused([b"module", name], options(modules=[NEVER]))
    assert NEVER not in sys.modules


def test_ones_own_value_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    assert jelly.unjelly([b"module", b"wave"]).__name__ == "wave"
    assert jelly.unjelly([b"class", b"wave.Error"]).__name__ == "Error"


def test_the_names_of_this_face_are_its_own() -> None:
    named = [b"class", b"twisted.spread.jelly.SecurityOptions"]
    assert jelly.unjelly(named) is security.SecurityOptions
    assert jelly.unjelly([b"module", b"twisted.spread.jelly"]) is jelly


def test_find_class_by_itself() -> None:
    registry = SimpleNamespace(taster=options(classes=[Thing]), imports=False)
    assert find_class(registry, HERE + b".Thing") is Thing


# Modules and functions.


def test_an_allowed_module() -> None:
    assert read([b"module", b"decimal"], options(modules=[decimal])) is decimal
    assert "Module sys not allowed." in refused([b"module", b"sys"], options(modules=[decimal]))


def test_an_allowed_function() -> None:
    taster = options(modules=[HERE])
    assert read([b"function", HERE + b".function"], taster) is function
    assert "Module os not allowed" in refused([b"function", b"os.system"], taster)


def test_a_function_of_an_allowed_class() -> None:
    taster = options(classes=[Thing])
    assert read([b"function", HERE + b".Thing.method"], taster) is Thing.method
    for name in (b"Other.method", b"Thing.also", b"Thing.no", b"Derived.method", b"decimal.x"):
        assert "not allowed" in refused([b"function", HERE + b"." + name], taster)


@pytest.mark.parametrize("name", [b"borrowed", b"Thing", b"NEVER", b"missing", b"decimal"])
def test_what_an_allowed_module_has_from_elsewhere(name: bytes) -> None:
    text = refused([b"function", HERE + b"." + name], options(modules=[HERE]))
    assert "not allowed" in text


def test_ones_own_functions() -> None:
    assert jelly.unjelly([b"function", HERE + b".Thing.method"]) is Thing.method
    assert jelly.unjelly([b"function", HERE + b".borrowed"]) is borrowed


@pytest.mark.parametrize("tag", [b"class", b"module", b"function", b"method", b"instance"])
def test_they_have_to_be_allowed_as_types(tag: bytes) -> None:
    taster = SecurityOptions()
    taster.allowBasicTypes()
    taster.allowModules(HERE)
    taster.allowedClasses[Thing] = 1
    cls = [b"class", HERE + b".Thing"]
    assert "is not registered" in refused([tag, HERE, [b"None"], cls], taster)


@pytest.mark.filterwarnings("ignore:Unjelly support")
@pytest.mark.parametrize("tag", sorted(NAMED.keys() - {b"persistent"}))
def test_too_little_in_it(tag: bytes) -> None:
    found = {b"method": [tag, b"method", [b"None"]], b"instance": [tag, CLASS]}.get(tag, [tag])
    text = refused(found, options(classes=[Thing]))
    assert f"a {tag.decode()} with too little in it" in text


def test_persistent_with_nothing_in_it() -> None:
    text = refused([b"persistent"], options(), load=lambda found, unjellier: found)
    assert "with too little in it" in text


@pytest.mark.parametrize("tag", [b"class", b"module", b"function", b"method"])
@pytest.mark.parametrize("name", [7, [b"list"], 1.5])
def test_a_name_has_to_be_one(tag: bytes, name: Any) -> None:
    text = refused([tag, name, [b"None"], [b"None"]], options(classes=[Thing]))
    assert "has to be text" in text or "not allowed" in text


# Methods.


def test_a_method_of_an_instance() -> None:
    sexp = [b"method", b"method", [HERE + b".Thing", [b"None"]], CLASS]
    found = read(sexp, options(classes=[Thing]))
    assert found.__func__ is Thing.method
    assert type(found()) is Thing


def test_an_inherited_method() -> None:
    sexp = [b"method", b"method", [HERE + b".Derived", [b"None"]], [b"class", HERE + b".Derived"]]
    assert type(read(sexp, options(classes=[Derived]))()) is Derived


def test_a_method_of_no_instance() -> None:
    assert read([b"method", b"method", [b"None"], CLASS], options(classes=[Thing])) is Thing.method


@pytest.mark.parametrize("name", [b"gone", b"also", b"__class__"])
def test_a_method_that_is_none(name: bytes) -> None:
    with pytest.raises(InsecureJelly) as caught:
        read([b"method", name, [HERE + b".Thing", [b"None"]], CLASS], options(classes=[Thing]))
    assert type(caught.value.__cause__) is TypeError


def test_a_method_of_another_class() -> None:
    sexp = [b"method", b"method", [HERE + b".Other", [b"None"]], CLASS]
    assert "of another class" in refused(sexp, options(classes=[Thing, Other]))
    assert "of what is no class" in refused([b"method", b"x", 1, 2], options(classes=[Thing]))


# Instances as they were written once, and what is stored elsewhere.


def test_an_instance() -> None:
    with pytest.warns(DeprecationWarning, match="instance atom"):
        found = read([b"instance", CLASS, [b"dictionary", [b"x", 1]]], options(classes=[Thing]))
    assert type(found) is Thing
    assert vars(found) == {"x": 1}


def test_an_instance_of_what_is_no_class() -> None:
    with pytest.warns(DeprecationWarning, match="instance atom"):
        text = refused([b"instance", 7, [b"None"]], options(classes=[Thing]))
    assert "of what is no class" in text


def test_persistent_without_a_store() -> None:
    found = read([b"persistent", b"7"], options())
    assert type(found) is Unpersistable
    assert found.reason == "Persistent callback not found"


def test_persistent_with_one() -> None:
    asked: list[Any] = []

    def load(found: Any, unjellier: Any) -> str:
        asked.extend((found, unjellier.invoker, unjellier.persistentLoad is load))
        return "it"

    assert read([b"persistent", [b"a", 1]], options(), load=load, invoker="broker") == "it"
    assert asked == [[b"a", 1], "broker", True]
