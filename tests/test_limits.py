"""Every number, where it acts in the core."""

import copy
import dataclasses
import inspect
import pickle
import pydoc
import re
from typing import Any

import pytest

from pellucid.banana import encode
from pellucid.broker import Broker
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.flavors import RemoteCache
from pellucid.limits import LOGIN_LIMITS, Limits, ServerLimits
from pellucid.registry import Registry
from tests.harness import Echo, Later, Pair, Side, Stock, Waiter, join, stocks

SIZE = 640 * 1024
DICT = [b"dictionary"]

# What acts in the faces only: they have the clock and the loop.
OF_THE_FACES = {
    *("calls_per_turn", "logins_pending", "log_lines"),
    *("handshake_time", "login_time", "message_time", "idle_time", "keepalive_time"),
    *("stall_time", "close_time"),
}


class Served(Side):
    """A server alone, in dialect `none`, so that what it gets can be written by hand."""

    def __init__(self, registry: Registry | None = None, **limits: Any) -> None:
        self.app = Echo()
        registry = stocks() if registry is None else registry
        broker = Broker("server", root=self.app, limits=Limits(**limits), registry=registry)
        super().__init__(broker)
        self.take()
        self.feed(encode(b"none", "none") + encode([b"version", 6], "none"))
        self.take()

    def ask(self, *args: Any, request: int = 7, name: bytes = b"kind") -> bytes:
        """What a call of the root sends back."""
        self.tell([b"message", request, b"root", name, 1, [b"tuple", *args], [b"dictionary"]])
        return self.take()

    def tell(self, sexp: Any) -> None:
        self.feed(encode(sexp, "none"))

    def broke(self) -> tuple[str, int]:
        """The limit that ended the connection."""
        (error,) = self.closed
        assert isinstance(error, LimitExceeded)
        assert error.remote
        assert self.counts() == {}
        return error.limit, error.value


def pair(**limits: Any) -> Pair:
    return join(Echo(), limits=Limits(**limits), registry=stocks())


def refused(waiter: Pair, *args: Any) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        waiter.ask(*args)
    assert not caught.value.remote
    caught.value.__traceback__ = None
    return caught.value


# The numbers.


def test_the_numbers_can_be_set_and_not_changed() -> None:
    limits = Limits(items=5)
    assert (limits.items, limits.list_items) == (5, SIZE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.items = 6  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[call-arg]


def test_limits_are_values() -> None:
    limits = Limits(items=5)
    assert repr(limits).startswith("Limits(string_bytes=655360, list_items=655360, ")
    assert ", items=5, " in repr(limits)
    assert eval(repr(limits)) == limits
    assert limits == Limits(items=5)
    assert hash(limits) == hash(Limits(items=5))
    assert limits != Limits()
    assert limits != 5
    assert dataclasses.replace(limits, items=Limits().items) == Limits()
    assert copy.copy(limits) == pickle.loads(pickle.dumps(limits)) == limits
    assert not hasattr(limits, "__dict__")


@pytest.mark.parametrize("kind", [Limits, ServerLimits])
def test_the_signature_names_each(kind: type[Any]) -> None:
    given = inspect.signature(kind).parameters
    assert [*given] == [field.name for field in dataclasses.fields(kind)]
    for field in dataclasses.fields(kind):
        shown = given[field.name]
        assert shown.kind is inspect.Parameter.KEYWORD_ONLY
        assert (shown.default, shown.annotation) == (field.default, field.type)
    with pytest.raises(TypeError, match=r"^Limits\.__init__\(\) got an unexpected keyword .*'x'"):
        Limits(x=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1])
def test_each_is_above_zero(name: str, value: int) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=rf"limits\.{name} must be above 0, not {value}"):
        Limits(**wrong)


@pytest.mark.parametrize("name", ["string_bytes", "list_items"])
def test_the_bounds_of_the_wire(name: str) -> None:
    most: dict[str, Any] = {name: SIZE}
    assert getattr(Limits(**most), name) == SIZE
    with pytest.raises(ValueError, match=rf"limits\.{name} can't be above the wire's own 655360"):
        Limits(**{name: SIZE + 1})


@pytest.mark.parametrize("name", ["depth_received", "depth_sent"])
def test_the_bound_of_the_stack(name: str) -> None:
    most: dict[str, Any] = {name: 256}
    assert getattr(Limits(**most), name) == 256
    with pytest.raises(ValueError, match="can't be above 256"):
        Limits(**{name: 257})


def test_those_of_a_server_are_values_too() -> None:
    limits = ServerLimits(connections=5)
    assert repr(limits).startswith("ServerLimits(connections=5, connections_per_address=2048, ")
    assert eval(repr(limits)) == limits == pickle.loads(pickle.dumps(limits))
    assert hash(limits) == hash(ServerLimits(connections=5))
    assert limits != ServerLimits()
    assert limits != Limits()
    assert dataclasses.replace(limits, connections=10_000) == ServerLimits()
    assert not hasattr(limits, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.connections = 6  # type: ignore[misc]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ServerLimits)])
def test_each_number_of_a_server(name: str) -> None:
    text = pydoc.plain(pydoc.render_doc(ServerLimits))
    assert len(re.findall(rf"\| +{name}: [A-Z]", text)) == 1
    for value, error in ((0, ValueError), (1.5, TypeError), (True, TypeError), (None, TypeError)):
        with pytest.raises(error, match=rf"^server_limits\.{name} must be "):
            ServerLimits(**{name: value})  # type: ignore[arg-type]


def test_less_is_allowed_before_a_login() -> None:
    usual = Limits()
    for field in dataclasses.fields(Limits):
        assert getattr(LOGIN_LIMITS, field.name) <= getattr(usual, field.name)
    assert LOGIN_LIMITS.message_bytes == 64 * 1024


def test_a_time_may_have_no_end() -> None:
    for name, is_time in IS_TIME.items():
        given: dict[str, Any] = {name: float("inf")}
        if is_time:
            assert getattr(Limits(**given), name) == float("inf")
        else:
            with pytest.raises(TypeError):
                Limits(**given)
        with pytest.raises((TypeError, ValueError)):
            Limits(**{name: float("nan")})  # type: ignore[arg-type]


IS_TIME = {field.name: field.type is float for field in dataclasses.fields(Limits)}


@pytest.mark.parametrize("name", IS_TIME)
@pytest.mark.parametrize("value", ["10", None, True, 1j])
def test_each_is_a_number(name: str, value: object) -> None:
    wrong: dict[str, Any] = {name: value}
    kind = "a number" if IS_TIME[name] else "an int"
    with pytest.raises(
        TypeError, match=rf"limits\.{name} must be {kind}, not {type(value).__name__}"
    ):
        Limits(**wrong)


@pytest.mark.parametrize("name", [name for name, is_time in IS_TIME.items() if not is_time])
def test_a_count_is_whole(name: str) -> None:
    wrong: dict[str, Any] = {name: 1.5}
    with pytest.raises(TypeError, match=rf"limits\.{name} must be an int, not float"):
        Limits(**wrong)


def test_a_time_may_be_whole_or_not() -> None:
    assert Limits(close_time=2, stall_time=0.5).close_time == 2
    with pytest.raises(ValueError, match=r"limits\.close_time must be above 0, not nan"):
        Limits(close_time=float("nan"))


@pytest.mark.parametrize("name", IS_TIME)
def test_help_explains_each(name: str) -> None:
    shown = pydoc.plain(pydoc.render_doc(Limits))
    assert re.search(rf"^ \| +{name}: [A-Z]", shown, re.M)


def test_each_limit_is_tested_here() -> None:
    names = {field.name for field in dataclasses.fields(Limits)} - OF_THE_FACES
    assert {name for name in names if f"test_{name}" not in globals()} == set()


# Where each acts.


def test_integer_bits() -> None:
    server = Served(integer_bits=40)
    assert b"int" in server.ask(1 << 34)
    server.ask(1 << 42)
    (error,) = server.closed
    assert str(error) == "a prefix has more than 6 digits"
    joined = pair(integer_bits=40)
    assert joined.ask("echo", -(1 << 39)) == -(1 << 39)
    assert refused(joined, "echo", 1 << 40).limit == "integer_bits"
    for wrong in (31, 449):
        with pytest.raises(ValueError, match=r"limits\.integer_bits is from 32 to"):
            Limits(integer_bits=wrong)


def test_string_bytes() -> None:
    server = Served(string_bytes=50)
    assert b"bytes" in server.ask(b"x" * 50)
    server.ask(b"x" * 51)
    assert server.broke() == ("string_bytes", 51)
    joined = pair(string_bytes=50)
    assert joined.ask("echo", "x" * 50) == "x" * 50
    assert refused(joined, "echo", "\u00e9" * 26).limit == "string_bytes"
    joined.prove_empty()


def test_list_items() -> None:
    server = Served(list_items=12)
    assert b"list" in server.ask([b"list", *range(11)])
    server.ask([b"list", *range(12)])
    assert server.broke() == ("list_items", 13)
    joined = pair(list_items=12)
    assert joined.ask("echo", [0] * 11) == [0] * 11
    error = refused(joined, "echo", [0] * 12)
    assert error.limit == "list_items"
    assert "12 elements can't be sent, 11 can: limits.list_items is 12" in str(error)
    joined.prove_empty()


def test_message_bytes() -> None:
    server = Served(message_bytes=1000)
    assert b"bytes" in server.ask(b"x" * 900)
    server.ask(b"x" * 1000)
    assert server.broke()[0] == "message_bytes"
    joined = pair(message_bytes=1000)
    assert joined.ask("echo", "x" * 900) == "x" * 900
    assert refused(joined, "echo", "x" * 1000).limit == "message_bytes"
    joined.prove_empty()


def test_items() -> None:
    server = Served(items=200)
    assert b"list" in server.ask([b"list", *range(150)])
    server.ask([b"list", *([b"list"] for _ in range(150))])
    assert server.broke()[0] == "items"
    joined = pair(items=200)
    assert joined.ask("kind", [0] * 150) == "list"
    assert refused(joined, "kind", [[]] * 150).limit == "items"
    joined.prove_empty()


def test_containers() -> None:
    server = Served(containers=20)
    # The tuple of the arguments, the list, and the keywords are three.
    assert b"list" in server.ask([b"list", *([b"list"] for _ in range(17))])
    texts = [[b"unicode", b"x"], [b"None"], [b"boolean", b"true"]]
    assert b"list" in server.ask([b"list", *(texts * 10)])
    server.ask([b"list", *([b"list"] for _ in range(19))])
    assert server.broke() == ("containers", 21)
    for one in ([b"tuple"], [b"set"], [b"frozenset"], [b"dictionary"], [b"reference", 1, 1]):
        server = Served(containers=20)
        assert b"list" in server.ask([b"list", *([one] * 17 if one[1:] == [] else [])])
        server.ask([b"list", *([one[0], n, *one[2:]] if one[1:] else one for n in range(19))])
        assert server.broke() == ("containers", 21)
    joined = pair(containers=20)
    assert joined.ask("kind", [[]] * 17) == "list"


def nested(depth: int) -> Any:
    value: Any = [b"list"]
    for _ in range(depth - 1):
        value = [b"list", value]
    return value


def test_depth_received() -> None:
    server = Served(depth_received=10)
    # The tuple of the arguments is one of them.
    assert b"list" in server.ask(nested(9))
    assert b"pellucid.LimitExceeded" in server.ask(nested(10))
    assert b"list" in server.ask(nested(9))
    assert server.closed == []


def test_depth_sent() -> None:
    joined = pair(depth_sent=5)
    value: list[Any] = []
    for _ in range(3):
        value = [value]
    assert joined.ask("kind", value) == "list"
    assert refused(joined, "kind", [value]).where == "arguments[0][0][0][0][0]"
    joined.prove_empty()


def test_hash_steps() -> None:
    """A tuple that holds another one twice, and so on, takes twice the steps at each level."""
    value: Any = [b"tuple", 1]
    for number in range(1, 12):
        value = [b"tuple", [b"reference", number, value], [b"dereference", number]]
    server = Served(hash_steps=1000)
    assert b"pellucid.LimitExceeded" in server.ask([b"set", value])
    assert b"tuple" in server.ask(value)
    assert b"set" in Served(hash_steps=100_000).ask([b"set", value])
    assert server.closed == []


def test_hash_collisions() -> None:
    same = [n * (2**61 - 1) for n in range(1, 12)]
    assert len(set(map(hash, same))) == 1
    server = Served(hash_collisions=10)
    assert b"set" in server.ask([b"set", *same[:9]])
    assert b"pellucid.LimitExceeded" in server.ask([b"set", *same])
    pairs = [[key, 1] for key in same]
    assert b"pellucid.LimitExceeded" in server.ask([b"dictionary", *pairs])
    assert server.closed == []


def test_references_held() -> None:
    server = Served(references_held=3)
    assert b"NoneType" not in server.ask([b"list", *([b"remote", n] for n in (1, 2, 3))])
    assert server.counts() == {}
    refusal = server.ask([b"list", *([b"remote", n] for n in (1, 2, 3, 4))])
    assert b"pellucid.LimitExceeded" in refusal
    # Each that came is released, read or not.
    for luid in (1, 2, 3, 4):
        assert refusal.count(encode([b"decref", luid], "none")) == 1
    assert server.counts() == {}
    assert server.closed == []


def test_references_exported() -> None:
    joined = pair(references_exported=3)
    things = joined.ask("things", 3)
    assert len({thing.luid for thing in things}) == 3
    with pytest.raises(Exception, match=r"Maximum PB reference count exceeded\.") as caught:
        joined.ask("things", 1)
    assert caught.value.is_a("pellucid.LimitExceeded")  # type: ignore[attr-defined]
    things.pop()
    joined.run()
    assert len(joined.ask("things", 1)) == 1
    things.clear()
    joined.prove_empty()


def test_caches_held() -> None:
    server = Served(caches_held=2)
    caches = [[b"harness.Stock", n, [b"dictionary"]] for n in (1, 2, 3)]
    assert b"list" in server.ask([b"list", *caches[:2]])
    # Until the owner forgets them they are held.
    assert server.counts() == {"cache imports": 2, "caches_held": 2}
    for luid in (1, 2):
        server.tell([b"uncache", luid])
    refusal = server.ask([b"list", *caches])
    assert b"pellucid.LimitExceeded" in refusal
    for luid in (1, 2, 3):
        assert refusal.count(encode([b"decache", luid], "none")) == 1
        server.tell([b"uncache", luid])
    assert server.counts() == {}
    assert server.closed == []


def test_cache_bytes() -> None:
    server = Served(cache_bytes=1000)
    state = [b"dictionary", [[b"unicode", b"a"], b"x" * 400]]
    for luid in range(1, 6):
        assert b"list" in server.ask([b"list", [b"harness.Stock", luid, state]])
    # The first are forgotten, though the owner may still name them.
    for luid, known in ((1, False), (2, False), (4, True), (5, True)):
        assert (b"does not know" not in server.ask([b"list", [b"cached", luid]])) is known
    for luid in range(1, 6):
        server.tell([b"uncache", luid])
    assert server.counts() == {}
    assert server.closed == []


def test_caches_exported() -> None:
    joined = pair(caches_exported=2)
    app = joined.server.broker.exports.lookup(b"root")
    app.kept = [Stock() for _ in range(3)]
    with pytest.raises(Exception, match=r"Maximum PB cache count exceeded\.") as caught:
        joined.ask("kept")
    assert caught.value.is_a("pellucid.LimitExceeded")  # type: ignore[attr-defined]
    # What was not sent is not observed.
    assert [stock.stopped for stock in app.kept] == [[None], [None], []]
    app.kept.pop()
    assert len(joined.ask("kept")) == 2
    joined.prove_empty()


def test_remembered_ids() -> None:
    server = Served(remembered_ids=2)
    server.app.kept = [server.app.thing, *(type(server.app.thing)() for _ in range(2))]
    server.ask(name=b"kept")
    for luid in (1, 2, 3):
        server.tell([b"decref", luid])
    assert b"InsecureJelly" in server.ask([b"local", 1])
    assert b"Thing" in server.ask([b"local", 2])
    assert b"Thing" in server.ask([b"local", 3])
    assert server.counts() == {}


def test_calls_pending() -> None:
    joined = pair(calls_pending=2)
    client = joined.client
    waiters = [client.call(joined.root, "later") for _ in range(2)]
    with pytest.raises(LimitExceeded) as caught:
        client.call(joined.root, "kind", 1)
    assert (caught.value.limit, caught.value.value) == ("calls_pending", 3)
    # What wants no answer waits for none.
    client.notify(joined.root, "kind", 1)
    joined.run()
    assert [waiter.done for waiter in waiters] == [0, 0]
    joined.client.broker.close()
    assert joined.client.counts().keys() <= {"out_bytes"}


def test_an_abandoned_call_is_pending_until_its_answer_comes() -> None:
    joined = pair(calls_pending=1)
    broker = joined.client.broker
    broker.abandon(broker.call(Waiter(), joined.root, "kind", (1,)))
    with pytest.raises(LimitExceeded):
        joined.client.call(joined.root, "kind", 2)
    joined.run()
    assert joined.ask("kind", 2) == "int"
    joined.prove_empty()


def test_calls_running() -> None:
    server = Served(calls_running=2)
    for request in range(4):
        assert server.ask(name=b"later", request=request) == b""
    first, second = server.app.later
    assert server.counts()["calls_running"] == 2
    assert server.counts()["calls_waiting"] == 2
    assert not server.waits()
    # Answers and counts are read all the same.
    server.tell([b"decref", 9])
    assert len(server.faults) == 1
    assert first.call is not None
    server.answer(first.call, 1)
    assert server.waits()
    server.run()
    assert len(server.app.later) == 3
    for later in server.app.later[1:]:
        assert later.call is not None
        server.answer(later.call, 1)
    server.run()
    assert second.call is not None
    last = server.app.later[3].call
    assert last is not None
    assert last.request == encode(3, "none")
    server.answer(last, 1)
    server.take()
    assert server.counts() == {}


def test_calls_running_with_updates() -> None:
    """Updates do not wait for methods, but there are bounds to everything."""

    class Slow(RemoteCache):
        def observe_put(self) -> Later:
            return Later()

    registry = Registry()
    registry.cache("harness.Stock", Slow)
    server = Served(calls_running=2, registry=registry)
    server.auto = False
    server.tell([b"message", 7, b"root", b"x", 0, [b"tuple", [b"harness.Stock", 1, DICT]], DICT])
    update = [b"cachemessage", 8, 1, b"put", 0, [b"tuple"], DICT]
    for running in (2, 3, 4):
        server.tell(update)
        assert server.counts()["calls_running"] == len(server.calls) == running
    server.tell(update)
    (error,) = server.closed
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.value, error.remote) == ("calls_running", 4, True)
    for call in server.calls:
        server.answer(call, None)
    server.calls.clear()
    assert server.counts() == {}


def test_calls_waiting() -> None:
    server = Served(calls_waiting=2)
    broker = server.broker
    call = encode([b"message", 7, b"root", b"kind", 1, [b"tuple", 1], [b"dictionary"]], "none")
    broker.receive_data(call * 4)
    assert server.reads()
    assert broker.next_event(start_calls=False) is None
    # Ten items, and two containers.
    size = len(call) + 10 * 32 + 2 * 160
    assert server.counts() == {"calls_waiting": 2, "waiting_bytes": 2 * size}
    assert not server.reads()
    server.run()
    assert server.reads()
    assert server.take().count(b"unicode\x03\x82int") == 4
    assert server.counts() == {}


def test_waiting_bytes() -> None:
    server = Served(waiting_bytes=2000)
    broker = server.broker
    big = [b"tuple", b"x" * 600]
    call = encode([b"message", 7, b"root", b"kind", 1, big, [b"dictionary"]], "none")
    broker.receive_data(call * 4)
    assert broker.next_event(start_calls=False) is None
    assert server.counts()["calls_waiting"] == 2
    assert not server.reads()
    server.run()
    assert server.take().count(b"bytes") == 4
    assert server.counts() == {}


def test_waiting_bytes_are_about_what_a_call_costs() -> None:
    server = Served(waiting_bytes=10_000)
    many = [b"tuple", [b"list", *([b"set"] for _ in range(1000))]]
    call = encode([b"message", 7, b"root", b"kind", 1, many, [b"dictionary"]], "none")
    server.broker.receive_data(call * 2)
    assert server.broker.next_event(start_calls=False) is None
    assert server.counts()["calls_waiting"] == 1
    assert 200 < server.counts()["waiting_bytes"] / 1000 < 250


def test_out_bytes_holds_our_calls_back() -> None:
    joined = pair(out_bytes=500)
    waiter = joined.client.call(joined.root, "kind", "x" * 600)
    with pytest.raises(LimitExceeded) as caught:
        joined.client.call(joined.root, "kind", 1)
    assert caught.value.limit == "out_bytes"
    data = joined.client.take()
    # The transport has taken half of it.
    joined.client.broker.data_left(550)
    with pytest.raises(LimitExceeded):
        joined.client.call(joined.root, "kind", 1)
    joined.client.broker.data_left(100)
    second = joined.client.call(joined.root, "kind", 1)
    joined.client.broker.data_left(0)
    joined.server.feed(data)
    joined.run()
    assert [waiter.result(), second.result()] == ["str", "int"]
    joined.prove_empty()


def test_out_bytes() -> None:
    server = Served(out_bytes=500)
    call = [b"message", 7, b"root", b"echo", 1, [b"tuple", b"x" * 600], [b"dictionary"]]
    for _ in range(4):
        server.tell(call)
    assert server.counts()["calls_waiting"] == 3
    assert not server.waits()
    for left in (2, 1, 0):
        assert server.take().count(b"answer") == 1
        assert server.waits()
        server.run()
        assert server.counts().get("calls_waiting", 0) == left
    assert server.take().count(b"answer") == 1
    assert server.counts() == {}


@pytest.mark.parametrize(
    "sexp",
    [
        [b"message", 7, 99, b"echo", 1, [b"tuple"], [b"dictionary"]],
        [b"message", 7, b"root", b"echo", 1, [b"foo"], [b"dictionary"]],
        [b"cachemessage", 7, 9, b"x", 1, [b"tuple"], [b"dictionary"]],
    ],
)
def test_refusals_do_not_pile_up_where_nobody_takes_them(sexp: Any) -> None:
    server = Served(out_bytes=1000, calls_waiting=50)
    broker = server.broker
    broker.receive_data(encode(sexp, "none") * 100)
    server.run()
    assert server.counts()["calls_waiting"] == 50
    assert server.counts()["out_bytes"] < 2000
    assert not server.reads()
    answers = 0
    while data := server.take():
        answers += data.count(b"CopyableFailure")
        server.run()
    assert answers == 100
    assert server.counts() == {}
    assert server.closed == []


def test_replies_to_unknown_commands_do_not_pile_up() -> None:
    server = Served(out_bytes=1000)
    for _ in range(100):
        server.tell([b"frobnicate" * 10])
    assert len(server.faults) == 100
    assert server.counts()["out_bytes"] < 1200
    assert b"didNotUnderstand" in server.take()
    assert server.counts() == {}


def test_what_is_over_a_limit_is_said_with_its_place() -> None:
    joined = pair(string_bytes=100)
    with pytest.raises(LimitExceeded) as caught:
        joined.ask("kind", [1, {"owner": "x" * 101}])
    assert caught.value.where == "arguments[0][1]['owner']"
    with pytest.raises(InsecureJelly):
        joined.ask("kind", object())
    joined.prove_empty()
