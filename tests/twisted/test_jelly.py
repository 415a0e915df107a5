import datetime
import decimal
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.spread import jelly as theirs
from zope.interface.verify import verifyObject

from pellucid.banana import PB, decode, encode
from pellucid.encoder import Encoder
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.limits import Limits
from pellucid.ports import NullExporter
from pellucid.twisted import jelly, registering
from pellucid.twisted.errors import BananaError
from pellucid.twisted.interfaces import IJellyable, IUnjellyable
from tests.strategies import keys, same, scalars

HERE = __name__.encode()


class Plain:
    shown = None

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def method(self) -> None:
        pass


class Stated:
    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self, x: Any) -> None:
        self.x = x


class Node(jelly.Jellyable, jelly.Unjellyable):
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Chosen(jelly.Jellyable):
    def getStateFor(self, jellier: Any) -> Any:
        return [jellier.invoker, 5]


class Posting(jelly.Unjellyable):
    told = False

    def postUnjelly(self) -> None:
        assert self.name == "x"  # type: ignore[attr-defined]
        self.told = True


class Number:
    """Equal by what it is made of, so that it has to be whole when it is a key."""

    def __init__(self, n: Any) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.n == other.n

    def __hash__(self) -> int:
        return hash(self.n)


def function() -> None:
    pass


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Leave the tables of the process as they were."""
    tables: list[Any] = [jelly.unjellyableRegistry, jelly.globalSecurity.allowedTypes]
    before = [dict(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


def back(value: Any, **options: Any) -> Any:
    """What comes back of a value, by way of bytes."""
    return jelly.unjelly(decode(encode(jelly.jelly(value))), **options)


# There and back.


VALUES = [
    *(1, 2.5, b"bytes", "text", None, True, False, [1, [2]], (1, (2,)), {"a": {1: 2}}),
    *({1, 2}, frozenset([3]), decimal.Decimal("-1.50"), datetime.date(2020, 1, 2)),
    *(datetime.datetime(2020, 1, 2, 3), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 5)),
    *(Plain, str, decimal, function, Plain.method, len),
]


@pytest.mark.parametrize("value", VALUES)
def test_there_and_back(value: Any) -> None:
    found = back(value)
    assert found == value
    assert type(found) is type(value)


def test_instances() -> None:
    found = back(Plain(a=[1], shown=2))
    assert type(found) is Plain
    assert vars(found) == {"a": [1], "shown": 2}
    assert vars(back(Plain())) == {}
    assert back(Slotted([1])).x == [1]
    assert back(Stated(("t",))).state == ("t",)
    assert back(Stated(None)).state is None


def test_ones_own_instances_may_hide_a_method() -> None:
    value = Plain(method=5)
    assert back(value).method == 5


def test_methods() -> None:
    value = Plain(a=1)
    value.__dict__["call"] = value.method
    found = back(value)
    assert found.call.__func__ is Plain.method
    assert found.call.__self__ is found


def test_a_method_that_is_gone() -> None:
    sexp = jelly.jelly(Plain().method)
    sexp[1] = b"gone"
    with pytest.raises(TypeError, match="instance method changed"):
        jelly.unjelly(sexp)


def test_cycles() -> None:
    one = Plain()
    other = Node(one=one, pair=(one, [one]), keys={Number(7): one}, all={one})
    one.__dict__.update(me=one, other=other)
    found = back(one, taster=jelly.DummySecurityOptions())
    assert found.me is found
    assert found.other.one is found
    assert found.other.pair == (found, [found])
    assert found.other.keys[Number(7)] is found
    assert found.other.all == {found}
    x: list[Any] = []
    x.append((x, {"x": x}))
    again = back(x)
    assert again[0][0] is again
    assert again[0][1]["x"] is again


def test_objects_with_a_hash_of_their_own() -> None:
    inner = Number(1)
    outer = Number((inner, inner))
    found = back({outer: outer, inner: 1})
    (key,) = (one for one in found if one != inner)
    assert found[key] is key
    assert key.n[0] is key.n[1]


def test_an_instance_as_it_was_written_once() -> None:
    cls = ["class", f"{__name__}.Plain"]
    sexp = [
        "reference",
        1,
        ["instance", cls, ["dictionary", [["unicode", "me"], ["dereference", 1]]]],
    ]
    with pytest.warns(DeprecationWarning, match="instance atom is deprecated since Twisted 15.0.0"):
        found = jelly.unjelly(sexp)
    assert type(found) is Plain
    assert vars(found)["me"] is found


@pytest.mark.parametrize("value", [1, b"x", None, "text", (1,), Plain])
def test_what_is_no_list_stands_for_itself(value: Any) -> None:
    assert jelly.unjelly(value) is value
    assert jelly.unjelly([b"list", value]) == [value]


def test_what_is_made_by_hand() -> None:
    sexp = ["dictionary", ["key", ["list", "a", 1]], [["None"], ["unicode", "text"]]]
    assert jelly.unjelly(sexp) == {"key": ["a", 1], None: "text"}
    assert jelly.unjelly(["boolean", "true"]) is True
    assert jelly.unjelly(["date", "2020 1 2"]) == datetime.date(2020, 1, 2)
    assert jelly.unjelly(["list", ["reference", "r", ["list"]], ["dereference", "r"]]) == [[], []]


@pytest.mark.parametrize("sexp", [[], [b"list", []], [1], [b"no.such.thing"], [b"unicode", 5]])
def test_what_means_nothing(sexp: Any) -> None:
    with pytest.raises((jelly.InsecureJelly, ValueError)):
        jelly.unjelly(sexp)


def test_a_value_is_deep() -> None:
    value: Any = None
    for _ in range(90):
        value = Plain(next=value)
    # As an s-expression it is four times as deep.
    found = jelly.unjelly(jelly.jelly(value))
    for _ in range(90):
        found = found.next
    assert found is None


def test_a_value_is_too_deep() -> None:
    value: list[Any] = []
    for _ in range(2000):
        value = [value]
    with pytest.raises(LimitExceeded, match="nested"):
        jelly.jelly(value)
    sexp: list[Any] = [b"list"]
    for _ in range(5000):
        sexp = [b"list", sexp]
    with pytest.raises(LimitExceeded, match="depth"):
        jelly.unjelly(sexp)


def test_a_value_is_large() -> None:
    value = [b"x" * 600_000] * 40
    assert jelly.unjelly(jelly.jelly(value)) == value


@pytest.mark.parametrize("value", [b"x" * 700_000, "x" * 700_000, 1 << 448])
def test_what_banana_cant_carry(value: Any) -> None:
    with pytest.raises(BananaError):
        jelly.jelly([value])


# Options.


def test_what_is_not_allowed_is_replaced() -> None:
    options = jelly.SecurityOptions()
    options.allowInstancesOf(Plain)
    value = Plain(bad=Stated(1), good=Plain(), cls=Plain)
    found = jelly.unjelly(jelly.jelly(value, options), options)
    assert isinstance(found.bad, jelly.Unpersistable)
    assert f"instance of class {__name__}.Stated deemed insecure" in found.bad.reason
    assert type(found.good) is Plain
    assert found.cls is Plain


def test_what_is_not_allowed_is_refused() -> None:
    options = jelly.SecurityOptions()
    options.allowInstancesOf(Plain)
    with pytest.raises(jelly.InsecureJelly, match="not allowed"):
        jelly.unjelly(jelly.jelly(Plain(bad=Stated(1))), options)
    with pytest.raises(jelly.InsecureJelly, match="'list' is not allowed"):
        jelly.unjelly([b"list"], jelly.SecurityOptions())


def test_a_strangers_state_hides_no_method() -> None:
    options = jelly.SecurityOptions()
    options.allowInstancesOf(Plain)
    with pytest.raises(jelly.InsecureJelly, match="names a method"):
        jelly.unjelly(jelly.jelly(Plain(method=1)), options)


# What is stored elsewhere.


@pytest.mark.parametrize("make", [str, int, lambda n: str(n).encode(), lambda n: [n, "x"]])
def test_what_is_stored_elsewhere(make: Callable[[int], Any]) -> None:
    kept: dict[str, Any] = {}

    def store(obj: Any, jellier: Any) -> Any:
        found = make(len(kept))
        kept[repr(found)] = obj
        return found

    def load(found: Any, unjellier: Any) -> Any:
        assert unjellier.persistentLoad is load
        return kept[repr(found)]

    one = Plain()
    sexp = jelly.jelly([one, one, "x"], persistentStore=store)
    assert jelly.unjelly(sexp, persistentLoad=load) == [one, one, "x"]
    assert len(kept) == 1
    assert sexp[1][2] == [b"persistent", make(0)]


def test_without_the_store() -> None:
    found = jelly.unjelly([b"persistent", b"5"])
    assert isinstance(found, jelly.Unpersistable)
    assert repr(found) == "Unpersistable('Persistent callback not found')"


# Hooks.


def test_a_jellyable() -> None:
    jelly.setUnjellyableForClass(Node, Node)
    one = Node(a=1)
    one.__dict__["me"] = one
    found = back(one)
    assert type(found) is Node
    assert vars(found)["a"] == 1
    assert vars(found)["me"] is found
    assert verifyObject(IJellyable, one)
    assert verifyObject(IUnjellyable, one)


def test_a_jellyable_chooses_its_state() -> None:
    assert jelly.jelly(Chosen()) == [HERE + b".Chosen", [b"list", [b"None"], 5]]


def test_a_class_that_takes_its_state() -> None:
    class Taking(jelly.Unjellyable):
        def setStateFor(self, unjellier: Any, state: Any) -> None:
            self.given = (unjellier.invoker, state)

    jelly.setUnjellyableForClass(Chosen, Taking)
    assert back(Chosen()).given == (None, [None, 5])


def test_the_default_hooks_called_by_those_of_an_application() -> None:
    class Own(Node):
        def jellyFor(self, jellier: Any) -> Any:
            return super().jellyFor(jellier)

        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            return super().unjellyFor(unjellier, jellyList)

    jelly.setUnjellyableForClass(Own, Own)
    own = Own(a=[1])
    own.__dict__["me"] = own
    found = back(own)
    assert found.a == [1]
    assert found.me is found


def test_hooks_see_what_is_written_as_it_is() -> None:
    class Own(jelly.Jellyable):
        def jellyFor(self, jellier: Any) -> Any:
            return ["own.tag", "text", None, [True], jellier.jelly({1})]

    def read(unjellier: Any, jellyList: Any) -> Any:
        return [*jellyList[:4], unjellier.unjelly(jellyList[4])]

    jelly.setUnjellyableForClass("own.tag", read)
    sexp = jelly.jelly(Own())
    assert sexp == [b"own.tag", "text", None, [True], [b"set", 1]]
    assert jelly.unjelly(sexp) == [b"own.tag", "text", None, [True], {1}]


def test_the_state_of_an_instance_by_hand() -> None:
    class Own(jelly.Jellyable, jelly.Unjellyable):
        def __init__(self, state: Any) -> None:
            self.state = state

        def __getstate__(self) -> Any:
            return [self.state]

        def __setstate__(self, state: Any) -> None:
            (self.state,) = state

        def jellyFor(self, jellier: Any) -> Any:
            return jelly.getInstanceState(self, jellier)

        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            return jelly.setInstanceState(self, unjellier, jellyList)

    jelly.setUnjellyableForClass(Own, Own)
    assert back(Own(5)).state == 5


def test_what_a_hook_raises_comes_out() -> None:
    class Failing(jelly.Jellyable, jelly.Unjellyable):
        def jellyFor(self, jellier: Any) -> Any:
            raise LookupError("mine")

        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            raise LookupError("yours")

    with pytest.raises(LookupError, match="mine") as caught:
        jelly.jelly([Failing()])
    assert caught.value.__context__ is None
    jelly.setUnjellyableForClass("failing", Failing)
    with pytest.raises(LookupError, match="yours"):
        jelly.unjelly([b"failing"])


def test_post_unjelly() -> None:
    jelly.setUnjellyableForClass("posting", Posting)
    assert jelly.unjelly(["posting", ["dictionary", ["name", "x"]]]).told


def test_a_jellyable_outside_of_the_face() -> None:
    encoder = Encoder(PB, Limits(), NullExporter())
    encoder.unit(Node(a=1), "value")
    assert decode(encoder.take())[0] == HERE + b".Node"
    with pytest.raises(InsecureJelly, match="can't be sent outside of Twisted"):
        encoder.unit(Chosen(), "value")


def test_an_invoker_without_tables() -> None:
    class Invoker:
        serializingPerspective = "somebody"

    class Seen(jelly.Jellyable):
        def jellyFor(self, jellier: Any) -> Any:
            return [jellier.perspective.encode(), jellier.invoker is invoker]

    invoker = Invoker()
    assert jelly.jelly(Seen(), invoker=invoker) == [b"somebody", True]
    with pytest.raises(jelly.InsecureJelly, match="on a connection only"):
        jelly.unjelly([b"remote", 1], invoker=invoker)


# Names.


def test_every_public_name_of_twisteds_module() -> None:
    tools = {
        *{"NotKnown", "TYPE_CHECKING", "Version", "annotations", "copy", "datetime", "decimal"},
        *{"deprecatedModuleAttribute", "namedAny", "namedObject", "nativeString", "reduce"},
        *{"types", "warnings"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        public = {name for name in dir(theirs) if not name.startswith("_")} - tools
        assert [name for name in public if not hasattr(jelly, name)] == []
        for name in public:
            ours, known = getattr(jelly, name), getattr(theirs, name)
            if isinstance(known, (type, types.FunctionType)):
                assert (ours.__module__, ours.__name__) == (known.__module__, known.__name__)
            elif isinstance(known, bytes):
                assert ours == known


def test_the_name_that_is_deprecated() -> None:
    text = (
        r"twisted\.spread\.jelly\.instance_atom was deprecated in Twisted 15\.0\.0: "
        r"instance_atom is unused within Twisted\."
    )
    with pytest.warns(DeprecationWarning, match=text) as caught:
        assert jelly.instance_atom == b"instance"
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match="has no attribute 'other_atom'"):
        _ = jelly.other_atom


def test_the_tables_are_those_of_all() -> None:
    assert jelly.unjellyableRegistry is registering.unjellyableRegistry
    assert jelly.unjellyableFactoryRegistry is registering.unjellyableFactoryRegistry


def test_it_stands_alone() -> None:
    """Nothing of connections is needed to turn a value into an s-expression."""
    code = (
        "import sys; from pellucid.twisted import jelly\n"
        "assert jelly.unjelly(jelly.jelly([1])) == [1]\n"
        "print([n for n in ('twisted.spread', 'twisted.spread.jelly') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# Twisted's own, as the other side.


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
    )


plain_values = st.recursive(scalars, _nested, max_leaves=20)


@given(plain_values)
def test_the_same_s_expression_as_twisteds(value: Any) -> None:
    # Not by equality: 1 is not 1.0 on the wire, and NaN is itself.
    assert repr(jelly.jelly([value, value])) == repr(theirs.jelly([value, value]))


@given(plain_values)
def test_either_reads_the_others(value: Any) -> None:
    assert same(theirs.unjelly(jelly.jelly(value)), value)
    assert same(jelly.unjelly(theirs.jelly(value)), value)


def graph() -> Any:
    one, other = Plain(), Plain()
    shared = [one, (1, "x")]
    one.__dict__.update(other=other, shared=shared, cls=Plain)
    other.__dict__.update(ones=[one], shared=shared, date=datetime.date(2020, 1, 2))
    return {"one": one, "others": [other, one], "state": Stated((1, [one]))}


def test_the_same_graph() -> None:
    assert jelly.jelly(graph()) == theirs.jelly(graph())
    found: Any = theirs.unjelly(jelly.jelly(graph()))
    assert found["one"].other.ones[0] is found["one"]
    found = jelly.unjelly(theirs.jelly(graph()))
    assert found["one"].other.ones[0] is found["one"]
    assert found["one"].shared is found["one"].other.shared


def test_what_twisted_names_in_text() -> None:
    """Its own functions and methods can't leave the process; read they can be."""
    value = [function, Plain().method, decimal, Plain]
    found = jelly.unjelly(theirs.jelly(value))
    assert (found[0], found[2], found[3]) == (function, decimal, Plain)
    assert found[1].__func__ is Plain.method


# What a stranger may send.


_TAGS = st.sampled_from(
    [
        *(b"class module function method instance persistent list tuple dictionary set".split()),
        *(b"reference dereference unicode remote local cached lcache pellucid_leaf".split()),
        *(HERE + b".Plain", HERE + b".Stated", HERE + b".Number", b"pellucid leaf", b"os.PathLike"),
    ]
)
_WORDS = st.sampled_from([HERE + b".Plain", HERE, b"antigravity", b"os.system", b"method", b"me"])


def _lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.tuples(_TAGS, st.lists(inner, max_size=4)).map(lambda both: [both[0], *both[1]])
    pairs = st.lists(st.lists(inner, min_size=2, max_size=2), max_size=3)
    return named | pairs.map(lambda found: [b"dictionary", *found])


@pytest.mark.filterwarnings("ignore:Unjelly support")
@given(st.recursive(st.integers(-1, 2) | _WORDS, _lists, max_leaves=30))
def test_a_stranger_makes_and_imports_nothing_else(sexp: Any) -> None:
    taster = jelly.SecurityOptions()
    taster.allowInstancesOf(Plain, Stated, Number)
    taster.allowTypes("function", "method")
    taster.allowModules("antigravity")
    before = set(sys.modules)
    try:
        value = jelly.unjelly(sexp, taster)
    except (jelly.InsecureJelly, LimitExceeded, TypeError, AttributeError):
        value = None
    assert set(sys.modules) == before
    assert not isinstance(value, os.PathLike)
    assert value is not os.system
