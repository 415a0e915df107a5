"""Jelly on a connection, or with one: what is let through there, and what counts."""

from collections.abc import Iterator
from typing import Any

import pytest

from pellucid.twisted import jelly
from pellucid.twisted.broker import Broker
from pellucid.twisted.flavors import Copyable, Referenceable, RemoteCopy, Root
from tests.twisted import joined
from tests.twisted.conftest import Join, Logged


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def method(self) -> int:
        return 7


class Other(Plain):
    pass


class Node(jelly.Jellyable, jelly.Unjellyable):
    """Travels as it is, and counts how often it was whole."""

    whole = 0
    items: Any
    one: Any

    def postUnjelly(self) -> None:
        type(self).whole += 1


class Own(jelly.Jellyable, jelly.Unjellyable):
    """Travels as an s-expression of its own."""

    seen: list[Any]
    value: Any
    copy: Any

    def __init__(self, value: Any) -> None:
        self.value = value

    def jellyFor(self, jellier: Any) -> Any:
        sexp = jellier.prepare(self)
        broker = jellier.invoker
        sexp += ["own", [jellier.jelly(self.value), 5], jellier.jelly([self])]
        assert broker.serializingPerspective is jellier.perspective
        return jellier.preserve(self, sexp)

    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        broker = unjellier.invoker
        assert broker.unserializingPerspective is unjellier.perspective
        assert jellyList[1][1] == 5
        self.value = unjellier.unjelly(jellyList[1][0])
        self.copy = unjellier.unjelly(jellyList[2])
        return self


class Skipping(Own):
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        return self


class Copied(Copyable, RemoteCopy):
    pass


class Keeper(Root):
    def __init__(self) -> None:
        self.kept: Any = None

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_keep(self, value: Any) -> None:
        self.kept = value


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Leave the tables of the process as they were."""
    tables: list[Any] = [jelly.unjellyableRegistry, jelly.globalSecurity.allowedTypes]
    before = [dict(table) for table in tables]
    for cls in (Node, Copied):
        jelly.setUnjellyableForClass(cls, cls)
    jelly.setUnjellyableForClass("own", Own)
    Node.whole = 0
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


def options(*classes: type, types: Any = ()) -> jelly.SecurityOptions:
    found = jelly.SecurityOptions()
    found.allowInstancesOf(*classes)
    found.allowTypes(*types)
    return found


# On a connection.


def test_instances_of_allowed_classes(join: Join, piece: int) -> None:
    pair = join(Keeper(), security=options(Plain), size=piece)
    value = Plain(a=[1], b=Plain())
    value.__dict__["me"] = [value]
    found = pair.ask("echo", value)
    assert type(found) is Plain
    assert found is not value
    assert vars(found)["a"] == [1]
    assert vars(found)["me"] == [found]
    pair.prove_empty()


@pytest.mark.parametrize("value", [Other(), Plain().method, Plain, joined, len, {"x": Other(a=1)}])
def test_what_is_not_allowed_is_never_sent(join: Join, value: Any) -> None:
    pair = join(Keeper())
    before = pair.client_wire.written
    with pytest.raises(jelly.InsecureJelly, match=r"arguments\[0\].* can't be sent"):
        pair.ask("echo", value)
    assert pair.client_wire.written == before
    pair.prove_empty()


def test_what_may_not_be_sent_may_arrive_as_a_note_that_it_was_not(join: Join) -> None:
    """For programs that were written for Twisted as it is, and send what nobody looks at."""
    careless = options()
    careless.unsafeAsUnpersistable = True
    keeper = Keeper()
    pair = join(keeper, security=careless)
    pair.ask("keep", [1, Other()])
    assert "Other deemed insecure" in keeper.kept[1].reason
    pair.prove_empty()


def test_what_the_other_side_does_not_allow(join: Join) -> None:
    brokers = joined.make(True, security=options(Plain)), joined.make(False)
    pair = join(Keeper(), brokers=brokers)
    waiting = pair.root.callRemote("echo", Plain())
    pair.run()
    failure = joined.failure_of(waiting)
    assert failure.check(jelly.InsecureJelly)
    assert "not allowed (in type" in str(failure.value)
    pair.prove_empty()


def test_classes_and_methods_where_they_are_allowed(join: Join) -> None:
    pair = join(Keeper(), security=options(Plain, types=["method", "function"]))
    assert pair.ask("echo", [Plain, Plain.method]) == [Plain, Plain.method]
    found = pair.ask("echo", Plain(a=5).method)
    assert found() == 7
    assert vars(found.__self__) == {"a": 5}


def test_options_of_ones_own_let_references_pass(join: Join) -> None:
    own = jelly.SecurityOptions()
    own.allowBasicTypes()
    pair = join(Keeper(), security=own)
    mine = Referenceable()
    assert pair.ask("echo", [mine, {"x": mine}]) == [mine, {"x": mine}]
    pair.prove_empty()


def test_a_type_that_is_taken_out(join: Join) -> None:
    own = options()
    del own.allowedTypes[b"set"]
    brokers = joined.make(True), joined.make(False, security=own)
    pair = join(Keeper(), brokers=brokers)
    assert pair.ask("echo", [1]) == [1]
    waiting = pair.root.callRemote("echo", {1})
    pair.run()
    assert joined.failure_of(waiting).check(jelly.InsecureJelly)


def test_hooks(join: Join, piece: int) -> None:
    pair = join(Keeper(), size=piece)
    mine = Referenceable()
    value = Own([mine, "text"])
    found = pair.ask("echo", [value, value])
    assert type(found[0]) is Own
    assert found[0] is found[1]
    assert found[0].copy == [found[0]]
    assert found[0].value == [mine, "text"]
    pair.prove_empty()


def test_what_a_hook_does_not_look_at_is_released(join: Join) -> None:
    jelly.setUnjellyableForClass("own", Skipping)
    keeper = Keeper()
    pair = join(keeper)
    mine = Referenceable()
    assert pair.ask("keep", [Own(mine), mine]) is None
    assert pair.client.localObjects[1].refcount == 1
    keeper.kept = None
    pair.prove_empty()


def test_post_unjelly_before_the_method_runs(join: Join) -> None:
    class Looking(Root):
        def remote_look(self, node: Any) -> list[Any]:
            return [Node.whole, type(node.one.items[0]) is Node]

    node = Node()
    node.one = Node()
    node.one.items = [node]
    assert join(Looking()).ask("look", node) == [2, True]


def test_post_unjelly_of_a_refused_value(join: Join, logged: Logged) -> None:
    class Refusing(RemoteCopy):
        def setCopyableState(self, state: Any) -> None:
            raise KeyError

    jelly.setUnjellyableForClass(Copied, Refusing)
    pair = join(Keeper())
    waiting = pair.root.callRemote("echo", [Node(), Copied()])
    pair.run()
    assert joined.failure_of(waiting)
    assert pair.ask("echo", 5) == 5
    assert Node.whole == 0
    logged.take()


def test_nothing_of_a_peer_hides_a_method(join: Join) -> None:
    pair = join(Keeper(), security=options(Plain))
    waiting = pair.root.callRemote("echo", Plain(method=1))
    pair.run()
    assert joined.failure_of(waiting).check(jelly.InsecureJelly)


# By itself, with the tables of a connection.


def test_a_reference_counts(join: Join) -> None:
    pair = join(Keeper())
    mine = Referenceable()
    sexp = jelly.jelly([mine, mine], invoker=pair.client)
    assert sexp == [b"list", [b"remote", 1], [b"remote", 1]]
    assert 1 in pair.client.localObjects
    found = jelly.unjelly(sexp, invoker=pair.server)
    assert found[0].luid == 1
    assert pair.ask("echo", mine) is mine
    home = jelly.jelly(found, invoker=pair.server)
    assert home == [b"list", [b"local", 1], [b"local", 1]]
    assert jelly.unjelly(home, invoker=pair.client) == [mine, mine]
    del found
    pair.prove_empty()


def test_brokers_that_never_talked() -> None:
    mine = Referenceable()
    one, other = Broker(), Broker(0)
    found = jelly.unjelly(jelly.jelly(mine, invoker=one), invoker=other)
    assert found.luid in one.localObjects


def test_the_options_are_those_that_are_given(join: Join) -> None:
    pair = join(Keeper())
    taster = options(Plain)
    sexp = jelly.jelly([Plain(a=1), Other()], taster, invoker=pair.client)
    found = jelly.unjelly(sexp, taster, invoker=pair.server)
    assert vars(found[0]) == {"a": 1}
    assert isinstance(found[1], jelly.Unpersistable)
    assert type(jelly.unjelly(jelly.jelly(Plain(), invoker=pair.client))) is Plain
    with pytest.raises(jelly.InsecureJelly):
        jelly.unjelly(jelly.jelly(Other()), taster, invoker=pair.server)


def test_a_value_that_is_refused_counts_nothing(join: Join) -> None:
    class Failing(jelly.Jellyable):
        def jellyFor(self, jellier: Any) -> Any:
            raise KeyError("mine")

    pair = join(Keeper())
    with pytest.raises(KeyError, match="mine"):
        jelly.jelly([Referenceable(), Failing()], invoker=pair.client)
    pair.prove_empty()


def test_a_copy_is_read_as_on_a_connection() -> None:
    class Taking(RemoteCopy):
        def setCopyableState(self, state: Any) -> None:
            self.taken = state

    jelly.setUnjellyableForClass(Copied, Taking)
    copied = Copied()
    copied.a = 1  # type: ignore[attr-defined]
    found = jelly.unjelly(jelly.jelly(copied, invoker=Broker()), invoker=Broker(0))
    assert found.taken == {"a": 1}
    assert vars(jelly.unjelly(jelly.jelly(copied))) == {"a": 1}


@pytest.mark.parametrize("tag", [b"list", b"tuple", b"set"])
def test_a_reference_in_a_list_that_a_hook_makes_is_held(join: Join, tag: bytes) -> None:
    class Slice(Copied):
        thing: Any
        things: list[Any]

        def jellyFor(self, jellier: Any) -> Any:
            return [b"slice", jellier.jelly(self.thing)]

        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            self.things = list(unjellier.unjelly([tag, *jellyList[1:]]))
            return self

    jelly.setUnjellyableForClass("slice", Slice)
    keeper, one = Keeper(), Slice()
    one.thing = Keeper()
    pair = join(keeper)
    pair.ask("keep", one)
    (held,) = keeper.kept.things
    called = held.callRemote("echo", 5)
    pair.run()
    assert called.result == 5
    del held, one
    keeper.kept = None
    pair.prove_empty()
