import datetime
import decimal
import enum
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

from pellucid.banana import PELLUCID, decode
from pellucid.encoder import Encoder
from pellucid.errors import InsecureJelly
from pellucid.limits import Limits
from pellucid.ports import NullExporter
from pellucid.twisted.jellier import Jellier, instance_state
from pellucid.twisted.jelly import Jellyable, getInstanceState
from pellucid.twisted.security import DummySecurityOptions, SecurityOptions

HERE = __name__


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def method(self) -> None:
        pass


class Other:
    pass


class Stated:
    def __getstate__(self) -> Any:
        return ("state",)


class Slotted:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 1


class Hooked(Jellyable):
    """Travels as what a function gives for the jellier."""

    def __init__(self, hook: Callable[[Any], Any]) -> None:
        self.hook = hook

    def jellyFor(self, jellier: Any) -> Any:
        return self.hook(jellier)


class Invoker:
    serializingPerspective: Any = "before"


class Exporter(NullExporter):
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def export(self, obj: Any, key: object = None) -> int:
        self.asked.append((obj, key))
        return 7

    def cache(self, obj: Any, perspective: Any, key: object = None) -> tuple[int, Any]:
        self.asked.append((obj, perspective, key))
        return 8, "observer"


def function() -> None:
    pass


def jellied(value: Any, host: Any, exporter: Any = None, perspective: Any = None) -> Any:
    encoder = Encoder(PELLUCID, Limits(), exporter or NullExporter(), perspective)
    encoder.host = host
    encoder.unit(value, "value")
    return decode(encoder.take(), PELLUCID)


def strict(*classes: type, types: Any = (), modules: Any = ()) -> Jellier:
    """The jellier of a connection that allows these."""
    options = SecurityOptions()
    options.allowInstancesOf(*classes)
    options.allowTypes(*types)
    options.allowModules(*modules)
    return Jellier(options, None, strict=True)


def open_() -> Jellier:
    return Jellier(DummySecurityOptions(), None)


def refused(value: Any, host: Jellier) -> str:
    with pytest.raises(InsecureJelly) as caught:
        jellied(value, host)
    return str(caught.value)


# Instances.


def test_an_instance_travels_as_its_attributes() -> None:
    state = [b"dictionary", [[b"unicode", b"a"], 1]]
    assert jellied(Plain(a=1), open_()) == [f"{HERE}.Plain".encode(), state]
    assert jellied(Plain(a=1), strict(Plain)) == [f"{HERE}.Plain".encode(), state]


def test_an_instance_with_a_state() -> None:
    assert jellied(Stated(), open_())[1] == [b"tuple", [b"unicode", b"state"]]
    slots = [b"dictionary", [[b"unicode", b"x"], 1]]
    assert jellied(Slotted(), open_())[1] == [b"tuple", [b"None"], slots]


def test_instances_are_shared() -> None:
    one = Plain()
    one.__dict__["me"] = one
    found = jellied([one, one], open_())
    assert found[1][:2] == [b"reference", 1]
    assert found[2] == [b"dereference", 1]


def test_what_may_not_be_sent_is_refused_on_a_connection() -> None:
    text = refused([1, Plain()], strict(Other))
    assert text == f"value[1]: a {HERE}.Plain can't be sent"


def test_elsewhere_what_arrives_says_so() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Other)
    plain = Plain()
    reason = f"instance of class {HERE}.Plain deemed insecure".encode()
    found = jellied([plain, plain], Jellier(options, None))
    assert found == [
        b"list",
        [b"reference", 1, [b"unpersistable", reason]],
        [b"dereference", 1],
    ]


Pair = namedtuple("Pair", "a b")


class Color(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [Pair(1, 2), Color.RED, Text("x"), bytearray(b"x"), [].append])
def test_what_has_more_than_attributes_is_refused(value: Any) -> None:
    assert "and what makes it one is no attribute" in refused(value, open_())
    assert "can't be sent" in refused(value, strict(Plain))


def test_it_may_say_itself_what_it_is() -> None:
    class Numbers(list[int]):
        def __getstate__(self) -> Any:
            return list(self)

    assert instance_state(Numbers([1, 2])) == [1, 2]


def test_an_exception_is_its_attributes() -> None:
    error = KeyError("text")
    assert instance_state(error) is None
    error.add_note("note")
    assert instance_state(error) == {"__notes__": ["note"]}


def test_a_state_that_fails() -> None:
    class Failing:
        def __getstate__(self) -> Any:
            raise KeyError("secret")

    with pytest.raises(InsecureJelly) as caught:
        jellied(Failing(), open_())
    assert type(caught.value.__cause__) is KeyError


def test_options_may_refuse_a_type() -> None:
    class Own(DummySecurityOptions):
        def isTypeAllowed(self, typeName: Any) -> bool:
            assert type(typeName) is bytes
            return typeName != f"{HERE}.Plain".encode()

    host = Jellier(Own(), None)
    assert f"Type not allowed for object: {HERE}.Plain" in refused(Plain(a="secret"), host)
    assert jellied(Other(), host) == [f"{HERE}.Other".encode(), [b"None"]]


def test_a_date_with_a_zone() -> None:
    value = datetime.datetime.now(datetime.UTC)
    assert "time zone" in refused(value, open_())


# What is named.


NAMED = [
    (Plain, [b"class", f"{HERE}.Plain".encode()]),
    (str, [b"class", b"builtins.str"]),
    (decimal, [b"module", b"decimal"]),
    (function, [b"function", f"{HERE}.function".encode()]),
    (Plain.method, [b"function", f"{HERE}.Plain.method".encode()]),
    (len, [b"function", b"builtins.len"]),
]


@pytest.mark.parametrize(("value", "sexp"), NAMED)
def test_what_has_a_name(value: Any, sexp: Any) -> None:
    assert jellied(value, open_()) == sexp
    allowed = strict(types=["function"], modules=[HERE, decimal, "builtins"])
    assert jellied([value], allowed) == [b"list", sexp]


@pytest.mark.parametrize(("value", "sexp"), NAMED)
def test_its_module_has_to_be_allowed(value: Any, sexp: Any) -> None:
    host = strict(types=["function"], modules=["os"])
    assert "can't be sent" in refused(value, host)
    host = Jellier(SecurityOptions(), None)
    assert jellied(value, host) == [
        b"unpersistable",
        sexp[0] + b" " + sexp[1] + b" deemed insecure",
    ]


def test_its_type_has_to_be_allowed() -> None:
    assert "can't be sent" in refused(function, strict(modules=[HERE]))
    assert "can't be sent" in refused(Plain().method, strict(Plain))


def test_a_method() -> None:
    name = f"{HERE}.Plain".encode()
    sexp = [b"method", b"method", [name, [b"None"]], [b"class", name]]
    assert jellied(Plain().method, open_()) == sexp
    assert jellied(Plain().method, strict(Plain, types=["method"])) == sexp
    assert "can't be sent" in refused(Plain().method, strict(types=["method"], modules=[HERE]))
    found = jellied(Plain().method, Jellier(SecurityOptions(), None))
    assert found == [b"unpersistable", b"builtins.method deemed insecure"]


# What is stored elsewhere.


def stored(store: Any, taster: Any = None) -> Jellier:
    return Jellier(taster or DummySecurityOptions(), None, store)


def test_what_is_stored_elsewhere() -> None:
    asked: list[Any] = []

    def store(obj: Any, jellier: Any) -> Any:
        asked.append((obj, jellier))
        return [b"row", 5] if isinstance(obj, Plain) else None

    plain, other = Plain(), Other()
    host = stored(store)
    found = jellied([plain, other, plain, 1, "text"], host)
    assert found == [
        b"list",
        [b"reference", 1, [b"persistent", [b"row", 5]]],
        [f"{HERE}.Other".encode(), [b"None"]],
        [b"dereference", 1],
        1,
        [b"unicode", b"text"],
    ]
    assert asked == [(plain, host), (other, host)]


def test_what_is_not_stored_has_to_be_allowed() -> None:
    options = SecurityOptions()
    options.allowInstancesOf(Other)
    found = jellied(Plain(), stored(lambda obj, jellier: None, options))
    assert found[0] == b"unpersistable"
    host = Jellier(options, None, lambda obj, jellier: None, strict=True)
    assert f"a {HERE}.Plain can't be sent" in refused(Plain(), host)


def test_objects_with_hooks_are_not_stored() -> None:
    host = stored(lambda obj, jellier: b"id")
    assert jellied(Hooked(lambda jellier: [b"x"]), host) == [b"x"]


# Hooks.


def test_a_hook() -> None:
    def hook(jellier: Any) -> Any:
        return [b"tag", jellier.jelly([1]), jellier.jelly(2), jellier.jelly("t"), 3]

    assert jellied(Hooked(hook), open_()) == [b"tag", [b"list", 1], 2, [b"unicode", b"t"], 3]


def test_text_in_place_of_bytes() -> None:
    assert jellied(Hooked(lambda jellier: ("tag", ["x", 1])), open_()) == [b"tag", [b"x", 1]]


def test_a_hook_that_gives_no_list() -> None:
    assert jellied([Hooked(lambda jellier: b"plain")], open_()) == [b"list", b"plain"]


@pytest.mark.parametrize("item", [None, object(), {}])
def test_what_is_no_s_expression(item: Any) -> None:
    assert "s-expression" in refused(Hooked(lambda jellier: [b"tag", item]), open_())


def test_leaves_where_they_are_wanted() -> None:
    host = Jellier(DummySecurityOptions(), None, leaf=lambda item: [b"leaf", repr(item).encode()])
    found = jellied(Hooked(lambda jellier: ["tag", "text", None, (1, True)]), host)
    assert found == [b"tag", [b"leaf", b"'text'"], [b"leaf", b"None"], [1, [b"leaf", b"True"]]]


def test_prepare_and_preserve_share() -> None:
    def hook(jellier: Any) -> Any:
        sexp = jellier.prepare(one)
        sexp += [b"tag", jellier.jelly([one])]
        return jellier.preserve(one, sexp)

    one = Hooked(hook)
    assert jellied([one, one], open_()) == [
        b"list",
        [b"reference", 1, [b"tag", [b"list", [b"dereference", 1]]]],
        [b"dereference", 1],
    ]


def test_without_prepare_each_is_written() -> None:
    one = Hooked(lambda jellier: [b"tag", jellier.jelly(())])
    assert jellied([one, one], open_())[1] == [b"tag", [b"reference", 1, [b"tuple"]]]


def test_another_object_is_not_shared_by_the_hook_of_one() -> None:
    inner = Plain(a=1)

    def hook(jellier: Any) -> Any:
        made = jellier.preserve(inner, [*jellier.prepare(inner), b"inner"])
        sexp = jellier.prepare(outer)
        sexp += [b"outer", made]
        return jellier.preserve(outer, sexp)

    outer = Hooked(hook)
    found = jellied([outer, outer, inner], open_())
    assert found[1] == [b"reference", 1, [b"outer", [b"inner"]]]
    assert found[2] == [b"dereference", 1]
    assert found[3][0] == f"{HERE}.Plain".encode()


def test_the_state_of_an_instance_by_hand() -> None:
    found = jellied(Hooked(lambda jellier: getInstanceState(plain, jellier)), open_())
    assert found == [f"{HERE}.Plain".encode(), [b"None"]]


plain = Plain()


def test_unpersistable() -> None:
    host = open_()
    assert host.unpersistable("why") == [b"unpersistable", b"why"]
    sexp: list[Any] = []
    assert host.unpersistable(b"why", sexp) is sexp
    assert sexp == [b"unpersistable", b"why"]


def test_ids() -> None:
    exporter = Exporter()
    one = Hooked(lambda jellier: [b"remote", jellier.register(one, "key")])
    assert jellied(one, open_(), exporter) == [b"remote", 7]
    two = Hooked(lambda jellier: [b"cached", jellier.cache(two, "key")[0]])
    assert jellied(two, open_(), exporter, "somebody") == [b"cached", 8]
    assert exporter.asked == [(one, "key"), (two, "somebody", "key")]


def test_a_hook_that_fails() -> None:
    def hook(jellier: Any) -> Any:
        raise KeyError("secret")

    host = open_()
    with pytest.raises(InsecureJelly) as caught:
        jellied(Hooked(hook), host)
    assert type(caught.value.__cause__) is KeyError
    # It is as good as new.
    assert jellied(1, host) == 1
    with pytest.raises(InsecureJelly, match="no value is being written"):
        host.jelly(1)


def test_nothing_is_written_outside_of_a_hook() -> None:
    assert open_().perspective is None
    with pytest.raises(InsecureJelly, match="no value is being written"):
        open_().prepare(object())


@pytest.mark.parametrize("perspective", ["somebody", "before", None])
def test_the_invoker_knows_on_whose_behalf(perspective: Any) -> None:
    invoker = Invoker()
    host = Jellier(DummySecurityOptions(), invoker)
    seen: list[Any] = []

    def hook(jellier: Any) -> Any:
        seen.append((jellier.perspective, jellier.invoker, invoker.serializingPerspective))
        return [b"x"]

    inner = Hooked(hook)
    outer = Hooked(lambda jellier: [b"y", jellier.jelly(inner), *hook(jellier)])
    jellied([outer], host, perspective=perspective)
    assert seen == [(perspective, invoker, perspective)] * 2
    assert invoker.serializingPerspective == "before"


def test_an_invoker_that_knows_nothing() -> None:
    host = Jellier(DummySecurityOptions(), object())
    assert jellied(Hooked(lambda jellier: [b"x"]), host, perspective="somebody") == [b"x"]
