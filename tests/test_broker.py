"""One connection: its opening, its calls in both directions, what is refused, its end."""

import gc
import threading
import weakref
from typing import Any, cast

import pytest

from pellucid import events
from pellucid.banana import NONE, decode, encode
from pellucid.broker import Broker
from pellucid.errors import (
    ConnectionLost,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    NoSuchMethod,
    RemoteError,
    RemoteProtocolError,
)
from pellucid.events import CallCompleted, CallReceived, Closed, Paused, PeerFault, Unobserved
from pellucid.failures import FAILURE_TAG
from pellucid.flavors import Avatar, Copyable, Referenceable, Viewable, ViewPoint
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from pellucid.registry import RawReader, Registry
from tests import wire
from tests.harness import Echo, Pair, RemoteStock, Side, Stock, Thing, Waiter, join, stocks
from tools.modules import is_compiled

OFFER = bytes.fromhex("0380 0882 70656c6c75636964 0282 7062 0482 6e6f6e65")
# What a server that is Twisted's offers.
TWISTED_OFFER = bytes.fromhex("0280 0282 7062 0482 6e6f6e65")
DICT = [b"dictionary"]


def none(*sexps: Any) -> bytes:
    return b"".join(encode(sexp, "none") for sexp in sexps)


def call(*args: Any, request: Any = 7, target: Any = b"root", name: bytes = b"any") -> Any:
    return [b"message", request, target, name, 1, [b"tuple", *args], DICT]


def served(root: Any = None, **options: Any) -> Side:
    """A server that has agreed on the dialect `none`."""
    side = Side(Broker("server", root=Echo() if root is None else root, **options))
    assert side.take() == OFFER
    side.feed(none(b"none", [b"version", 6]))
    assert side.ready == ["none"]
    side.take()
    return side


def connected(**options: Any) -> Side:
    """A client that has agreed on the dialect `none`."""
    side = Side(Broker("client", **options))
    side.feed(none([b"none"], [b"version", 6]))
    assert side.ready == ["none"]
    assert side.take() == none(b"none", [b"version", 6])
    return side


@pytest.fixture
def pair() -> Pair:
    return join(Echo())


@pytest.fixture
def both() -> Pair:
    """Each side can be called, and knows the copy of a cache."""
    return join(Echo(), client=Echo(), registry=stocks())


# The opening.


def test_a_broker_plays_one_of_two_parts() -> None:
    with pytest.raises(ValueError, match="'client' or a 'server', not 'peer'"):
        Broker("peer")


def test_whom_a_broker_wakes() -> None:
    class Face:
        woken = 0

        def _wake(self) -> None:
            self.woken += 1

    face, woken = Face(), []
    Broker("client", face=face).wake()
    Broker("client", face=face, wake=lambda: woken.append(1)).wake()
    Broker("client").wake()
    assert (face.woken, woken) == (1, [1])


def test_the_server_begins() -> None:
    client, server = Side(Broker("client")), Side(Broker("server", root=Echo()))
    assert client.take() == b""
    assert server.take() == OFFER
    assert client.broker.dialect == server.broker.dialect == ""
    client.feed(OFFER)
    assert client.ready == ["pellucid"]
    # The name, and behind it at once the version.
    choice = bytes.fromhex("0882 70656c6c75636964 0280 1387 0681")
    assert client.take() == choice
    server.feed(choice)
    assert server.ready == ["pellucid"]
    assert server.take() == bytes.fromhex("0280 1387 0681")
    assert client.broker.dialect == server.broker.dialect == "pellucid"
    assert server.broker.root is None
    assert client.root.luid == b"root"


def test_with_twisted_the_dialect_is_its_own() -> None:
    client = Side(Broker("client"))
    client.feed(TWISTED_OFFER)
    assert client.ready == ["pb"]
    assert client.take() == bytes.fromhex("0282 7062 0280 1387 0681")
    server = Side(Broker("server", root=Echo()))
    server.take()
    server.feed(bytes.fromhex("0282 7062 0280 1387 0681"))
    assert server.ready == ["pb"]
    assert server.take() == bytes.fromhex("0280 1387 0681")


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ([b"pb", b"none"], "pb"),
        ([b"none", b"pb"], "none"),
        ([b"pb", b"pellucid"], "pb"),
        ([b"jelly", 5, [b"pb"], b"\xff", b"none"], "none"),
    ],
)
def test_the_client_takes_the_first_that_it_knows(offer: Any, chosen: str) -> None:
    client = Side(Broker("client"))
    client.feed(none(offer))
    assert client.ready == [chosen]


def test_a_client_may_know_less() -> None:
    pair = Pair(Side(Broker("client", dialects=["none"])), Side(Broker("server", root=Echo())))
    pair.run()
    assert pair.client.ready == pair.server.ready == ["none"]
    assert pair.ask("echo", b"list") == b"list"
    pair.prove_empty()


@pytest.mark.parametrize("offer", [[], [b"zz"], [5, [b"pb"], 1.5], b"pb", 5, [b"PB"]])
def test_an_offer_that_does_not_fit(offer: Any) -> None:
    client = Side(Broker("client"))
    client.feed(none(offer))
    (error,) = client.closed
    assert isinstance(error, RemoteProtocolError)
    assert client.broker.closed
    assert not client.broker.ready
    assert client.take() == b""
    with pytest.raises(DeadReferenceError):
        client.call(client.root, "echo")


@pytest.mark.parametrize("name", [b"zz", b"PB", b"\xff", 5, [b"pb"], [b"version", 6]])
def test_a_choice_that_does_not_fit(name: Any) -> None:
    server = Side(Broker("server", root=Echo()))
    server.feed(none(name, b"pb"))
    (error,) = server.closed
    assert isinstance(error, RemoteProtocolError)
    # What was offered still goes out.
    assert server.take() == OFFER
    assert server.ready == []


def test_an_offer_that_is_nested_too_deep() -> None:
    client = Side(Broker("client"))
    client.feed(b"\x01\x80" * 300 + b"\x00\x80")
    (error,) = client.closed
    assert isinstance(error, LimitExceeded)


def test_no_call_before_the_dialect() -> None:
    client = Side(Broker("client"))
    with pytest.raises(LocalProtocolError, match="before the dialect is agreed"):
        client.call(client.root, "echo")
    assert client.counts() == {}


def test_a_server_may_call_before_the_dialect() -> None:
    """What it writes then has no words of any vocabulary, and is understood in all."""
    client = Side(Broker("client", root=Echo()))
    server = Side(Broker("server", root=Echo()))
    reference, waiter = RemoteReference(server.broker, b"root"), Waiter()
    server.broker.call(waiter, reference, "echo", ([b"list", 1],))
    data = server.broker.data_to_send()
    assert data.startswith(OFFER)
    client.feed(data)
    server.feed(client.take())
    assert waiter.result() == [b"list", 1]


def test_calls_may_be_right_behind_the_dialect() -> None:
    server = Side(Broker("server", root=Echo()))
    server.take()
    server.feed(none(b"none", [b"version", 6], call(name=b"any")))
    assert server.ready == ["none"]
    assert server.take().count(b"answer") == 1


def test_versions_are_all_the_same_or_the_end() -> None:
    server = served()
    server.feed(none([b"version", 6]))
    assert server.closed == []
    server.feed(none([b"version", 7], call()))
    (error,) = server.closed
    assert isinstance(error, RemoteProtocolError)
    assert server.take() == b""


# Calls.


def test_a_call_and_its_answer(pair: Pair) -> None:
    waiter = Waiter()
    assert pair.client.broker.call(waiter, pair.root, "any", (1, "two"), {"three": b"3"}) == 1
    pair.run()
    assert waiter.result() == ((1, "two"), {"three": b"3"})
    assert pair.client.broker.call(waiter, pair.root, "any") == 2
    pair.run()
    pair.prove_empty()


def test_calls_go_both_ways() -> None:
    pair = join(Echo(), client=Echo())
    client, server = pair.client, pair.server
    waiter = server.call(RemoteReference(server.broker, b"root"), "echo", 5)
    pair.run()
    assert waiter.result() == 5
    thing = Thing()
    pair.ask("keep", thing)
    (reference,) = pair.server.broker.exports.lookup(b"root").kept
    waiter = server.call(reference, "tell", "hello")
    pair.run()
    assert waiter.result() == 1
    assert thing.heard == ["hello"]
    del reference
    assert client.counts()["exports"] == 1
    pair.ask("forget")
    pair.prove_empty()


def test_a_call_that_wants_no_answer(pair: Pair) -> None:
    broker = pair.client.broker
    assert broker.call(None, pair.root, "thing") == 1
    assert broker.call(None, pair.root, "fail", ("quietly",)) == 2
    assert broker.call(None, pair.root, "nosuch") == 3
    assert broker.ledger.used("calls_pending") == 0
    pair.run()
    # The result was never sent, so nothing holds it.
    pair.prove_empty()
    assert broker.call(None, pair.root, "thing") == 4


def test_answers_come_in_any_order(pair: Pair) -> None:
    root = pair.server.broker.exports.lookup(b"root")
    waiters = [pair.client.call(pair.root, "later") for _ in range(3)]
    pair.run()
    for n in (2, 0, 1):
        pair.server.answer(root.later[n].call, n)
        pair.run()
        assert waiters[n].result() == n
    pair.prove_empty()


def test_calls_start_in_the_order_in_which_they_arrive(pair: Pair) -> None:
    pair.server.auto = False
    for n in range(5):
        pair.client.notify(pair.root, "any", n)
    data = pair.client.take()
    server = pair.server
    server.broker.receive_data(data)
    assert server.broker.next_event(start_calls=False) is None
    assert server.waits()
    pair.client.notify(pair.root, "any", 5)
    server.feed(pair.client.take())
    assert [call.args[0] for call in server.calls] == [0, 1, 2, 3, 4, 5]
    for one in server.calls:
        server.answer(one, None)
    pair.prove_empty()


def test_answers_are_read_while_calls_wait() -> None:
    pair = join(Echo(), client=Echo())
    waiter = pair.client.call(pair.root, "echo", 1)
    pair.server.feed(pair.client.take())
    back = RemoteReference(pair.server.broker, b"root")
    reply = pair.server.call(back, "echo", 2)
    answer = pair.server.take()
    # The call of the server is before its answer.
    broker = pair.client.broker
    broker.receive_data(answer)
    event = broker.next_event(start_calls=False)
    assert isinstance(event, events.CallCompleted)
    pair.client.handle(event)
    assert broker.next_event(start_calls=False) is None
    assert pair.client.waits()
    assert waiter.result() == 1
    pair.run()
    assert reply.result() == 2
    pair.prove_empty()


def test_errors_come_back(pair: Pair) -> None:
    with pytest.raises(RemoteError, match=r"^it broke$") as caught:
        pair.ask("fail", "it broke")
    assert caught.value.remote_type == "builtins.ValueError"
    assert caught.value.is_a("builtins.Exception")
    with pytest.raises(NoSuchMethod, match="No such method: remote_nosuch"):
        pair.ask("nosuch")
    pair.prove_empty()


@pytest.mark.parametrize("tracebacks", [False, True])
def test_a_traceback_goes_out_only_if_it_may(tracebacks: bool) -> None:
    pair = join(Echo(), tracebacks=tracebacks)
    root = pair.server.broker.exports.lookup(b"root")
    waiter = pair.client.call(pair.root, "later")
    pair.run()
    pair.server.broker.fail(root.later[0].call, ValueError("x"), "File secret.py, line 5")
    pair.run()
    with pytest.raises(RemoteError) as caught:
        waiter.result()
    shown = "File secret.py, line 5" if tracebacks else None
    assert caught.value.remote_traceback == shown
    pair.prove_empty()


def test_an_object_that_is_not_there() -> None:
    pair = join(Echo())
    stranger = RemoteReference(pair.client.broker, 4242)
    waiter = pair.client.call(stranger, "x")
    pair.run()
    with pytest.raises(Error, match=r"^Invalid Object ID$"):
        waiter.result()
    pair.prove_empty()


@pytest.mark.parametrize("target", [[1], 1.0, b"nosuch", 0, -1, True, 1 << 100, [b"remote", 1]])
def test_an_id_of_any_kind_is_looked_up(target: Any) -> None:
    server = served()
    server.feed(none(call(target=target)))
    assert b"Invalid Object ID" in server.take()
    assert server.counts() == {}


def test_a_server_without_a_root() -> None:
    server = Side(Broker("server"))
    server.take()
    server.feed(none(b"none", call()))
    assert b"Invalid Object ID" in server.take()


def test_what_can_not_be_sent_leaves_no_trace(pair: Pair) -> None:
    broker = pair.client.broker
    with pytest.raises(InsecureJelly) as caught:
        pair.client.call(pair.root, "any", Thing(), [Thing(), object()])
    assert caught.value.where == "arguments[1][1]"
    with pytest.raises(LimitExceeded):
        pair.client.call(pair.root, "any", Thing(), 1 << 500)
    with pytest.raises(InsecureJelly):
        pair.client.call(pair.root, "\ud800")
    with pytest.raises(AttributeError):
        pair.client.call(pair.root, b"any")  # type: ignore[arg-type]
    with pytest.raises(InsecureJelly):
        broker.call(None, pair.root, "any", (int,))
    assert pair.client.counts() == {}
    assert pair.client.take() == b""
    thing = Thing()
    assert broker.call(None, pair.root, "any", (thing,)) == 1
    assert broker.exports.lookup(1) is thing
    pair.prove_empty()


def test_a_result_that_can_not_be_sent_is_answered(pair: Pair) -> None:
    with pytest.raises(InsecureJelly, match="result"):
        pair.ask("make", "object")
    with pytest.raises(InsecureJelly):
        pair.ask("make", "class")
    assert [type(refusal) for refusal in pair.server.refusals] == [InsecureJelly] * 2
    pair.prove_empty()
    pair.server.broker.exports.lookup(b"root").kept = [Thing(), [Thing(), object()]]
    with pytest.raises(InsecureJelly):
        pair.ask("kept")
    pair.prove_empty()


@pytest.mark.parametrize("value", [1 << 500, "x" * 700_000, [0] * 700_000])
def test_a_result_that_is_too_large_is_answered(pair: Pair, value: Any) -> None:
    pair.server.broker.exports.lookup(b"root").kept = [value]
    with pytest.raises(Exception, match="result") as caught:
        pair.ask("kept")
    assert caught.value.remote_type == "pellucid.LimitExceeded"  # type: ignore[attr-defined]
    pair.prove_empty()


def test_an_error_that_is_too_large_is_answered() -> None:
    pair = join(Echo(), limits=Limits(message_bytes=2000))
    root = pair.server.broker.exports.lookup(b"root")
    waiter = pair.client.call(pair.root, "later")
    pair.run()
    pair.server.broker.fail(root.later[0].call, ValueError("x" * 3000))
    pair.run()
    with pytest.raises(Exception, match=r"limits\.message_bytes"):
        waiter.result()
    pair.prove_empty()


def test_a_call_whose_number_leaves_no_room_for_any_answer_is_the_end() -> None:
    server = served(limits=Limits(message_bytes=1000))
    server.feed(none(call(request=b"x" * 850, name=b"fail")))
    (error,) = server.closed
    assert isinstance(error, LimitExceeded)
    assert server.take() == b""
    assert server.counts() == {}


def test_an_error_that_can_not_be_sent_is_answered(pair: Pair) -> None:
    root = pair.server.broker.exports.lookup(b"root")
    waiter = pair.client.call(pair.root, "later")
    pair.run()
    error = RemoteError("x")
    error.remote_type = "app.Gone"
    error.remote_parents = (5,)  # type: ignore[assignment]
    pair.server.broker.fail(root.later[0].call, error)
    pair.run()
    with pytest.raises(Error, match="an error that can't be sent"):
        waiter.result()
    pair.prove_empty()


def test_an_interrupt_goes_on_and_the_call_is_answered(pair: Pair) -> None:
    class Rude(Referenceable):
        def write_jelly(self, encoder: Any) -> None:
            raise KeyboardInterrupt

    root = pair.server.broker.exports.lookup(b"root")
    waiter = pair.client.call(pair.root, "later")
    pair.run()
    with pytest.raises(KeyboardInterrupt):
        pair.server.broker.answer(root.later[0].call, [Thing(), Rude()])
    pair.run()
    with pytest.raises(RemoteError) as caught:
        waiter.result()
    assert caught.value.remote_type == "builtins.KeyboardInterrupt"
    with pytest.raises(KeyboardInterrupt):
        pair.client.call(pair.root, "any", Thing(), Rude())
    pair.prove_empty()


def test_only_over_its_own_connection(pair: Pair) -> None:
    other = join(Echo())
    with pytest.raises(LocalProtocolError, match="another connection"):
        pair.client.call(other.root, "any")
    with pytest.raises(InsecureJelly, match="only over the connection it came from"):
        pair.ask("any", other.root)
    pair.prove_empty()
    other.prove_empty()


def test_no_more_calls_may_wait_for_their_answers_than_the_limit_says() -> None:
    pair = join(Echo(), limits=Limits(calls_pending=1))
    first = pair.client.call(pair.root, "later")
    with pytest.raises(LimitExceeded, match=r"\(2, and limits\.calls_pending is 1\)"):
        pair.client.call(pair.root, "later")
    assert pair.client.broker.pending == {1: first}
    pair.client.broker.close()


def test_where_too_much_waits_to_be_sent_no_call_is_made() -> None:
    pair = join(Echo(), limits=Limits(out_bytes=500))
    waiter = pair.client.call(pair.root, "any", "x" * 600)
    for want in (None, Waiter()):
        with pytest.raises(LimitExceeded, match=r"limits\.out_bytes is 500"):
            pair.client.broker.call(want, pair.root, "any")
    pair.run()
    assert waiter.result() == (("x" * 600,), {})
    pair.prove_empty()


def test_calls_wait_for_one_that_runs_to_end() -> None:
    server = served(limits=Limits(calls_running=1))
    server.auto = False
    server.feed(none(call(1), call(2)))
    assert [one.args for one in server.calls] == [(1,)]
    server.answer(server.calls[0], None)
    assert server.waits()
    server.run()
    assert [one.args for one in server.calls] == [(1,), (2,)]
    server.answer(server.calls[1], None)
    assert server.take().count(b"answer") == 2
    assert server.counts() == {}


def test_above_a_limit_nothing_is_read() -> None:
    server = served(limits=Limits(calls_waiting=1))
    broker = server.broker
    broker.receive_data(none(call(1), [b"decref", 9]))
    assert broker.next_event(start_calls=False) is None
    assert not server.reads()
    assert broker.next_event(start_calls=False) is None
    assert server.faults == []
    server.run()
    assert len(server.faults) == 1


def test_the_answer_to_a_refused_call_waits_for_room() -> None:
    server = served(limits=Limits(out_bytes=300))
    refused = [call(target=99, request=n) for n in (7, 8, 9)]
    server.feed(none(*refused, [b"frobnicate"]))
    # There was room for one.
    first = server.broker.data_to_send()
    assert first.count(b"Invalid Object ID") == 1
    assert b"didNotUnderstand" not in first
    assert server.counts().keys() == {"calls_waiting", "waiting_bytes"}
    assert server.waits()
    # That is no event either.
    for patience, expected in ((1, Paused), (0, type(None))):
        server.broker.patience = patience
        assert type(server.broker.next_event()) is expected
        assert server.take().count(b"Invalid Object ID") == 1
    assert server.counts() == {}


def test_where_methods_wait_for_answers_calls_over_the_limit_are_refused() -> None:
    """The answer that a method waits for is behind them: it has to be read."""
    server = served(limits=Limits(calls_running=1, calls_waiting=1))
    back = RemoteReference(server.broker, b"root")
    server.auto = False
    server.feed(none(call(1)))
    inner = server.call(back, "any")
    server.take()
    server.feed(none(call(2), call(3, request=8), [b"answer", 1, 5]))
    assert inner.result() == 5
    sent = server.take()
    assert sent.startswith(b"\x03\x80" + none(b"error", 8))
    assert b"too many calls wait" in sent
    assert not server.reads()
    server.answer(server.calls[0], None)
    server.run()
    assert [one.args for one in server.calls] == [(1,), (2,)]
    server.answer(server.calls[1], None)
    assert server.take().count(b"answer") == 2
    assert server.counts() == {}


def test_where_too_much_waits_to_be_released_nothing_is_read() -> None:
    server = served(limits=Limits(references_held=2))
    server.feed(none(call([b"foo"], [b"remote", 1], [b"remote", 2])))
    assert not server.reads()
    server.feed(none(call()))
    out = server.take()
    assert out.count(b"decref") == 2
    assert out.count(b"answer") == 0
    assert server.reads()
    server.run()
    assert server.take().count(b"answer") == 1


def test_releases_wait_for_room() -> None:
    server = served(limits=Limits(out_bytes=300))
    server.feed(none(call([b"foo"], [b"remote", 1])))
    first, second = server.broker.data_to_send(), server.broker.data_to_send()
    assert b"InsecureJelly" in first
    assert b"decref" not in first
    assert second == none([b"decref", 1])
    assert server.counts() == {}


# References.


def test_the_same_object_is_the_same_reference(pair: Pair) -> None:
    first, second = pair.ask("thing"), pair.ask("thing")
    assert first is second
    assert pair.client.counts() == {"imports": 1, "references_held": 1}
    assert pair.server.counts() == {"exports": 1, "references_exported": 1}
    del first, second
    pair.prove_empty()


def test_a_reference_comes_home(pair: Pair) -> None:
    root = pair.server.broker.exports.lookup(b"root")
    pair.ask("keep", pair.ask("thing"))
    pair.ask("keep", pair.root)
    assert root.kept[0] is root.thing
    assert root.kept[1] is root
    pair.prove_empty()


def test_an_object_travels_there_and_back(pair: Pair) -> None:
    thing = Thing()
    assert pair.ask("echo", thing) is thing
    assert pair.ask("echo", [thing, (thing, thing)]) == [thing, (thing, thing)]
    assert pair.ask("any", thing, a=thing) == ((thing,), {"a": thing})
    pair.prove_empty()


def test_an_object_is_kept_as_long_as_it_is_held(pair: Pair) -> None:
    died = threading.Event()

    class Mortal(Thing):
        def __del__(self) -> None:
            died.set()

    pair.ask("keep", [Mortal(), Mortal()])
    gc.collect()
    assert not died.is_set()
    assert pair.client.counts() == {"exports": 2, "references_exported": 2}
    pair.ask("forget")
    pair.prove_empty()
    assert died.is_set()


def test_a_refusal_takes_back_what_is_its_own(pair: Pair) -> None:
    thing = pair.ask("thing")
    with pytest.raises(InsecureJelly):
        pair.ask("make", "object")
    with pytest.raises(InsecureJelly):
        pair.ask("any", Thing(), object())
    waiter = pair.client.call(thing, "tell", 1)
    pair.run()
    assert waiter.result() == 1
    waiter = pair.client.call(pair.root, "keep", Thing())
    with pytest.raises(InsecureJelly):
        pair.client.call(pair.root, "keep", object())
    pair.run()
    assert waiter.result() is None
    assert pair.client.counts()["exports"] == 1
    pair.ask("forget")
    del thing
    pair.prove_empty()


def test_each_occurrence_is_released(pair: Pair) -> None:
    root = pair.server.broker.exports.lookup(b"root")
    root.kept = [root.thing, (root.thing, root.thing)]
    found = pair.ask("kept")
    assert found[0] is found[1][0] is found[1][1]
    owes = [pair.client.broker.owes]
    del found
    owes.append(pair.client.broker.owes)
    assert owes == [False, True]
    released = pair.client.broker.data_to_send()
    assert len(released) == 3 * len(encode([b"decref", 1]))
    pair.server.feed(released)
    root.kept.clear()
    pair.prove_empty()


def test_releases_leave_in_portions_behind_what_was_said() -> None:
    client = connected()
    waiter = client.call(client.root, "kept")
    client.take()
    client.feed(none([b"answer", 1, [b"list", *([b"remote", 5] for _ in range(5000))]]))
    client.notify(client.root, "x")
    waiter.result().clear()
    release = none([b"decref", 5])
    first, second = client.broker.data_to_send(), client.broker.data_to_send()
    said = none([b"message", 2, b"root", b"x", 0, [b"tuple"], DICT])
    assert first == said + 4096 * release
    assert second == 904 * release
    assert client.take() == b""
    assert client.counts() == {}


def test_what_was_dropped_before_a_call_is_released_before_it(pair: Pair) -> None:
    thing = pair.ask("thing")
    luid = thing.luid
    del thing
    pair.client.call(pair.root, "thing")
    assert pair.client.broker.data_to_send().startswith(encode([b"decref", luid]))


def test_a_reference_may_die_in_another_thread(pair: Pair) -> None:
    woken: list[int] = []
    pair = join(Echo(), wake=lambda: woken.append(threading.get_ident()))
    things = pair.ask("things", 3)
    thread = threading.Thread(target=things.clear)
    thread.start()
    ident = thread.ident
    thread.join()
    assert woken == [ident]
    pair.prove_empty()


def test_a_call_goes_on_though_its_object_was_released(pair: Pair) -> None:
    thing = pair.ask("thing")
    waiter = pair.client.call(thing, "tell", 1)
    del thing
    data = pair.client.take()
    # The release is right behind the call.
    assert data.endswith(encode([b"decref", 1]))
    pair.server.feed(data)
    pair.run()
    assert waiter.result() == 1
    pair.prove_empty()


def test_a_call_goes_on_though_its_object_is_released_while_it_runs(pair: Pair) -> None:
    class Slow(Referenceable):
        def __init__(self, root: Echo) -> None:
            self.root = root

        def remote_later(self) -> Any:
            return self.root.remote_later()

    root = pair.server.broker.exports.lookup(b"root")
    root.thing = Slow(root)
    waiter = pair.client.call(pair.ask("thing"), "later")
    pair.run()
    running = root.later[0].call
    assert pair.server.counts() == {"calls_running": 1, "waiting_bytes": running.size}
    pair.server.answer(running, "done")
    pair.run()
    assert waiter.result() == "done"
    pair.prove_empty()


def test_refused_arguments_release_what_they_carried() -> None:
    server = served()
    refs = [[b"remote", n] for n in (1, 2, 2)]
    for arguments in ([*refs, [b"foo", [b"remote", 3]]], [[b"foo", [b"remote", 3]], *refs]):
        server.feed(none(call(*arguments)))
        out = server.take()
        assert b"InsecureJelly" in out
        assert [out.count(none([b"decref", n])) for n in (1, 2, 3)] == [1, 2, 1]
        assert server.counts() == {}
    server.feed(none([b"message", 7, 99, b"x", 0, [b"tuple", *refs], DICT]))
    assert server.take().count(b"decref") == 3
    assert len(server.faults) == 1


@pytest.mark.parametrize("size", [1000, 65_536, 200_000])
def test_long_strings_arrive_however_they_are_cut(size: int) -> None:
    long = [bytes((65 + n,)) * 150_000 for n in range(4)]
    pair = join(Echo())
    for value in (long, (long[0].decode(), {"a": long[1], "b": 2}), {1, long[2]}):
        waiter = pair.client.call(pair.root, "echo", value)
        data = b"".join(pair.client.broker.pieces_to_send())
        for n in range(0, len(data), size):
            pair.server.feed(data[n : n + size])
        pair.run()
        assert waiter.result() == value
    pair.prove_empty()


def test_a_refused_call_with_long_strings_releases_what_it_carried() -> None:
    server = served()
    long = b"x" * 300_000
    data = none(call(long, [b"remote", 1], [b"foo", long], [b"remote", 2], long))
    for n in range(0, len(data), 100_000):
        server.feed(data[n : n + 100_000])
    out = server.take()
    assert b"InsecureJelly" in out
    assert [out.count(none([b"decref", n])) for n in (1, 2)] == [1, 1]
    assert server.counts() == {}


def test_a_call_may_have_a_number_of_any_length() -> None:
    server = served()
    number = b"n" * 200_000
    data = none(call(request=number, name=b"fail"))
    for n in range(0, len(data), 100_000):
        server.feed(data[n : n + 100_000])
    assert server.take().count(none(number)) == 1


def test_what_is_owed_leaves_together_with_what_is_long() -> None:
    client = connected()
    broker = client.broker
    broker.call(None, RemoteReference(broker, b"root"), "echo", (b"x" * 100_000,))
    broker.releases.owe(5, 1)
    data = b"".join(broker.pieces_to_send())
    assert data.count(b"x" * 100_000) == 1
    assert data.endswith(none([b"decref", 5]))
    assert not broker.owes


def test_a_cache_that_is_not_held() -> None:
    server = served()
    sexp = [b"cachemessage", 7, 9, b"x", 1, [b"tuple", [b"remote", 4]], DICT]
    server.feed(none(sexp))
    out = server.take()
    assert b"Invalid Cache ID" in out
    assert none([b"decref", 4]) in out
    sexp[4] = 0
    server.feed(none(sexp))
    assert server.take() == none([b"decref", 4])
    server.feed(none([b"decache", 9], [b"uncache", 9], [b"decache", [9]], [b"uncache", [9]]))
    assert server.faults[1:] == ["the peer released a cache that it does not hold"] * 2
    assert server.counts() == {}


def test_a_peer_that_can_not_count_is_noted() -> None:
    server = served()
    server.feed(none([b"decref", 9], [b"decref", b"root"], [b"decref", [1]], [b"decref", 1.0]))
    assert server.faults == ["the peer released a reference that it does not hold"] * 4
    server.feed(none(call(name=b"any")))
    assert b"answer" in server.take()


def test_unknown_commands_and_what_was_not_understood() -> None:
    server = served()
    server.feed(none([b"frobnicate", 1], [b"didNotUnderstand", b"hum"]))
    assert server.take() == none([b"didNotUnderstand", b"frobnicate"])
    assert len(server.faults) == 2
    assert server.closed == []


# Answers that are wrong.


def test_an_answer_that_nobody_waits_for() -> None:
    client = connected()
    for request in (77, 1.0, b"1", [1], -1):
        client.feed(none([b"answer", request, [b"list", [b"remote", 5]]]))
        assert client.take() == none([b"decref", 5])
    client.feed(none([b"error", 77, 5]))
    assert len(client.faults) == 6
    assert client.counts() == {}


def test_the_second_answer_to_a_call_is_not_one() -> None:
    client = connected()
    waiter = client.call(client.root, "x")
    client.feed(none([b"answer", 1, 5], [b"answer", 1, 6]))
    assert waiter.result() == 5
    assert len(client.faults) == 1


@pytest.mark.parametrize(
    "value",
    [
        *([b"foo"], [b"dereference", 3], [b"local", 77], []),
        # Behind what is refused nothing is read, and everything is counted.
        *([b"list", [b"remote", 3], [b"foo"]], [b"list", [b"foo"], [b"remote", 3]]),
    ],
)
@pytest.mark.parametrize("word", [b"answer", b"error"])
def test_a_refused_answer_costs_that_call_only(word: bytes, value: Any) -> None:
    client = connected()
    waiters = [client.call(client.root, "x") for _ in range(2)]
    client.take()
    client.feed(none([word, 1, value], [b"answer", 2, 5]))
    with pytest.raises(InsecureJelly) as caught:
        waiters[0].result()
    assert caught.value.remote
    assert caught.value.where.startswith("result" if word == b"answer" else "error")
    assert waiters[1].result() == 5
    released = none([b"decref", 3]) if len(value) > 2 else b""
    assert client.take() == released
    assert client.counts() == {}


def test_an_answer_that_is_nested_too_deep() -> None:
    client = connected()
    waiter = client.call(client.root, "x")
    value: Any = [b"list"]
    for _ in range(250):
        value = [b"list", value]
    client.feed(none([b"answer", 1, value]))
    assert waiter.result() != []
    waiter = client.call(client.root, "x")
    deep = b"\x02\x80" + none(b"list")
    client.feed(b"\x03\x80" + none(b"answer", 2) + deep * 300 + none([]))
    with pytest.raises(LimitExceeded) as caught:
        waiter.result()
    assert caught.value.remote
    assert client.closed == []


@pytest.mark.parametrize(("value", "kind"), [([b"None"], "NoneType"), (5, "int"), (b"x", "bytes")])
def test_an_error_that_is_no_error(value: Any, kind: str) -> None:
    client = connected()
    waiter = client.call(client.root, "x")
    client.feed(none([b"error", 1, value]))
    with pytest.raises(RemoteError, match=f"failed with a value: {kind}"):
        waiter.result()


def test_an_answer_that_is_an_error_fails_the_call() -> None:
    client = connected()
    waiter = client.call(client.root, "x")
    state = [*DICT, [[b"unicode", b"value"], [b"unicode", b"no"]]]
    client.feed(none([b"answer", 1, [FAILURE_TAG, state]]))
    with pytest.raises(RemoteError, match=r"^no$"):
        waiter.result()


def test_a_registry_says_what_becomes_of_errors() -> None:
    class Fallen(Error):
        pass

    registry = Registry()
    registry.error(Fallen, name="app.Fell")
    state = [*DICT, [b"type", b"app.Fell"], [b"value", b"down"]]
    # Two connections may share one registry.
    for _ in range(2):
        client = connected(registry=registry)
        waiter = client.call(client.root, "x")
        client.feed(none([b"error", 1, [FAILURE_TAG, state]]))
        with pytest.raises(Fallen, match=r"^down$"):
            waiter.result()


def test_what_a_factory_raises_is_told_on_its_own_side(pair: Pair) -> None:
    def factory(state: object) -> object:
        raise ValueError("too much money")

    class Wallet(Copyable):
        pass

    pair.server.broker.registry.copy(f"{__name__}.Wallet", factory)
    events: list[PeerFault] = []
    pair.server.handle = events.append  # type: ignore[assignment]
    for notify in (False, True):
        waiter = None if notify else Waiter()
        pair.client.broker.call(waiter, pair.root, "echo", (Wallet(),))
        pair.run()
        (event,) = events
        events.clear()
        assert str(event.cause) == "too much money"
        assert "was refused: the reader of type tag" in event.text
        assert waiter is None or "money" not in str(waiter.error)


# Giving up.


def test_nobody_is_told_of_an_abandoned_call(pair: Pair) -> None:
    broker = pair.client.broker
    waiter = Waiter()
    request = broker.call(waiter, pair.root, "things", (2,))
    broker.abandon(request)
    broker.abandon(request)
    broker.abandon(999)
    pair.run()
    assert waiter.done == 0
    pair.prove_empty()
    broker.abandon(request)


def test_what_comes_with_an_abandoned_answer_may_be_refused(pair: Pair) -> None:
    class Unknown(Copyable):
        pass

    pair.server.broker.exports.lookup(b"root").thing = [Thing(), Unknown()]
    client, waiter = pair.client.broker, Waiter()
    client.abandon(client.call(waiter, pair.root, "thing"))
    pair.prove_empty()
    assert waiter.done == 0


def test_nobody_is_told_that_an_abandoned_call_is_lost(pair: Pair) -> None:
    waiter = Waiter()
    pair.client.broker.abandon(pair.client.broker.call(waiter, pair.root, "later"))
    pair.client.broker.close()
    pair.client.run()
    assert waiter.done == 0
    assert pair.client.closed == [None]


# The order of updates, answers and calls.


def test_updates_and_answers_keep_their_order(both: Pair) -> None:
    """With no turn left an update waits, and all that was sent behind it."""
    client, here = both.client, Stock()
    both.server.broker.exports.lookup(b"root").thing = here
    copy = both.ask("thing")
    first, second = client.call(both.root, "echo", 1), client.call(both.root, "echo", 2)
    here.put("apples", 1)
    both.run()
    assert (first.result(), second.result(), copy.items) == (1, 2, {"apples": 1})

    waiters = [client.call(both.root, "later") for _ in range(2)]
    both.run()
    app = both.server.broker.exports.lookup(b"root")
    both.server.answer(app.later[0].call, "before")
    here.put("apples", 2)
    both.server.answer(app.later[1].call, "behind")
    broker = client.broker
    broker.receive_data(both.server.take())
    event = broker.next_event(start_calls=False)
    assert isinstance(event, CallCompleted)
    client.handle(event)
    for _ in range(2):
        assert broker.next_event(start_calls=False) is None
    assert client.waits()
    assert (waiters[0].result(), waiters[1].done, copy.items) == ("before", 0, {"apples": 1})
    event = broker.next_event()
    assert isinstance(event, CallReceived)
    assert event.target is copy
    client.handle(event)
    del event
    client.run()
    assert (waiters[1].result(), copy.items) == ("behind", {"apples": 2})
    del copy
    both.prove_empty()


def test_a_call_before_an_update_starts_before_it(both: Pair) -> None:
    client, here = both.client, Stock()
    both.server.broker.exports.lookup(b"root").thing = here
    copy = both.ask("thing")
    client.auto = False
    back = RemoteReference(both.server.broker, b"root")
    both.server.notify(back, "kind", 1)
    here.put("apples", 1)
    both.server.notify(back, "kind", 2)
    broker = client.broker
    broker.receive_data(both.server.take())
    assert broker.next_event(start_calls=False) is None
    client.run()
    assert [one.name for one in client.calls] == ["kind", "put", "kind"]
    for one in client.calls:
        client.serve(one)
    client.calls.clear()
    del copy, one
    both.prove_empty()


def test_an_update_overtakes_calls_that_a_limit_holds_back() -> None:
    """The method that runs may wait for what makes the update."""
    side = wire.server(limits=Limits(calls_running=1))
    root = side.broker.exports.lookup(b"root")
    side.feed(none(wire.call(b"keep", [wire.TAG, 5, wire.state()])))
    side.take()
    side.feed(none(wire.call(b"later", request=8), wire.call(b"kind", 1, request=9)))
    assert side.counts()["calls_waiting"] == 1
    side.feed(none(wire.put(1, 5, "apples", 1, wants_answer=1)))
    assert side.take() == none([b"answer", 1, 1])
    assert root.kept[0].items == {"apples": 1}
    side.answer(root.later[0].call, None)
    side.run()
    root.kept.clear()
    side.take()
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


def test_what_waits_at_the_end_of_the_stream_starts_first() -> None:
    side = wire.server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(wire.call(b"keep", [wire.TAG, 5, wire.state()])))
    side.broker.receive_data(none(wire.put(1, 5, "apples", 1)))
    side.broker.receive_eof()
    assert side.broker.next_event(start_calls=False) is None
    assert not side.broker.closed
    side.run()
    assert root.kept[0].items == {"apples": 1}
    assert len(side.closed) == 1
    assert side.counts().keys() <= {"out_bytes"}


def test_an_update_that_waits_never_starts_afterwards() -> None:
    side = wire.server()
    side.feed(none(wire.call(b"keep", [wire.TAG, 5, wire.state()])))
    side.take()
    side.broker.receive_data(none(wire.put(1, 5, "apples", 1)))
    assert side.broker.next_event(start_calls=False) is None
    side.broker.close()
    side.run()
    assert side.broker.exports.lookup(b"root") is None
    assert side.closed == [None]
    assert side.counts() == {}


# What is sent while a message is being written.


class Hooked(Stock, tag="harness.Stock"):
    """Does something when it is sent for the first time."""

    def __init__(self, hook: Any) -> None:
        super().__init__()
        self.hook = hook

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        found = super().state_to_cache_and_observe_for(perspective, observer)
        self.hook(observer)
        return found


def test_who_comes_in_is_told_to_the_others_behind_it() -> None:
    side = wire.server()
    back = RemoteReference(side.broker, b"root")

    def hook(observer: Any) -> None:
        here.put("guests", len(here.observers))

    here: Hooked = Hooked(hook)
    side.broker.call(None, back, "x", (here,))
    # The state was taken before the change was told, which the copy gets behind it.
    sent = [b"message", 1, b"root", b"x", 0, [b"tuple", [wire.TAG, 1, wire.state()]], DICT]
    assert side.take() == none(sent, wire.put(2, 1, "guests", 1))
    side.feed(none([b"decache", 1]))
    side.take()
    assert side.counts() == {}


def test_a_call_in_the_midst_of_a_message(both: Pair) -> None:
    waiters: list[Waiter] = []

    def hook(observer: Any) -> None:
        waiters.append(observer.call("put", "a", 1))
        waiters.append(both.client.call(both.root, "echo", here))
        waiters.append(both.client.call(both.root, "echo", object()))
        both.client.broker.abandon(both.client.broker.call(Waiter(), both.root, "echo", (1,)))
        both.client.broker.abandon(
            both.client.broker.call(Waiter(), both.root, "echo", (object(),))
        )
        both.client.notify(both.root, "echo", object())
        both.client.notify(both.root, "keep", 5)

    here = Hooked(hook)
    assert both.ask("any", here, b"behind") == ((here, b"behind"), {})
    assert [waiter.done for waiter in waiters] == [1, 1, 1]
    assert waiters[0].result() == 1
    assert waiters[1].result() is here
    with pytest.raises(InsecureJelly, match="arguments"):
        waiters[2].result()
    (fault,) = both.client.faults
    assert fault.startswith("a call that wants no answer was not sent: a builtins.object")
    both.client.faults.clear()
    assert both.server.broker.exports.lookup(b"root").kept == [5]
    both.ask("forget")
    both.prove_empty()


def test_a_call_in_the_midst_of_a_message_that_is_not_sent(both: Pair) -> None:
    waiters: list[Waiter] = []

    def hook(observer: Any) -> None:
        waiters.append(both.client.call(both.root, "echo", 1))
        waiters.append(observer.call("put", "a", 1))
        observer.notify("put", "a", 1)

    here = Hooked(hook)
    with pytest.raises(InsecureJelly):
        both.ask("keep", here, object())
    both.run()
    assert waiters[0].result() == 1
    # Its copy was never there.
    with pytest.raises(DeadReferenceError):
        waiters[1].result()
    assert here.stopped == [None]
    assert both.ask("echo", 2) == 2
    both.prove_empty()


def test_answers_in_the_midst_of_a_message(both: Pair) -> None:
    app = both.server.broker.exports.lookup(b"root")
    waiters = [both.client.call(both.root, "later") for _ in range(3)]
    both.run()
    first, second, third = (later.call for later in app.later)

    def hook(observer: Any) -> None:
        assert both.server.broker.answer(first, "first") is None
        assert both.server.broker.answer(second, object()) is None
        both.server.broker.fail(third, ValueError("third"))

    app.thing = Hooked(hook)
    copy = both.ask("thing")
    assert type(copy) is RemoteStock
    assert waiters[0].result() == "first"
    with pytest.raises(InsecureJelly):
        waiters[1].result()
    with pytest.raises(Exception, match="third"):
        waiters[2].result()
    del copy
    both.prove_empty()


def test_an_interrupt_in_what_leaves_later(both: Pair) -> None:
    waiter = Waiter()

    class Rude(Referenceable):
        def write_jelly(self, encoder: Any) -> None:
            raise KeyboardInterrupt

    def hook(observer: Any) -> None:
        both.client.broker.call(waiter, both.root, "echo", (Rude(),))

    with pytest.raises(KeyboardInterrupt):
        both.client.notify(both.root, "keep", Hooked(hook))
    both.run()
    with pytest.raises(InsecureJelly, match="interrupted"):
        waiter.result()
    both.ask("forget")
    both.prove_empty()


def test_the_connection_may_end_in_the_midst_of_a_message(both: Pair) -> None:
    waiter = Waiter()

    def hook(observer: Any) -> None:
        broker.call(waiter, both.root, "echo", (1,))
        broker.close()

    broker, here, after = both.client.broker, Hooked(hook), Stock()
    with pytest.raises(DeadReferenceError, match="while a message was written"):
        both.client.call(both.root, "echo", here, Thing())
    with pytest.raises(DeadReferenceError):
        both.client.call(both.root, "echo", after)
    kinds = [type(event) for event in list(broker._reports)]
    assert kinds[-1] is Closed
    assert kinds.count(Unobserved) == 1
    both.client.run()
    with pytest.raises(ConnectionLost):
        waiter.result()
    assert (here.stopped, after.stopped) == ([None], [])
    assert both.client.take() == b""
    assert both.client.counts() == {}


def test_the_connection_may_end_in_the_midst_of_an_answer(both: Pair) -> None:
    app, broker = both.server.broker.exports.lookup(b"root"), both.server.broker
    app.kept = [Hooked(lambda observer: broker.close()), Stock(), Thing()]
    waiter = both.client.call(both.root, "kept")
    both.run()
    assert waiter.done == 0
    assert [one.stopped for one in app.kept[:2]] == [[None], []]
    assert both.server.closed == [None]
    assert both.server.counts() == {}


def test_a_class_may_end_the_connection_while_it_takes_its_state() -> None:
    class Ends(RemoteStock):
        def set_cached_state(self, found: Any) -> None:
            side.broker.close()

    registry = stocks()
    registry.cache("harness.Stock", Ends)
    side = wire.server(registry=registry)
    side.auto = False
    side.feed(none(wire.call(b"keep", [wire.TAG, 5, wire.state()])))
    assert side.calls == []
    assert side.closed == [None]


# On whose behalf.


class Player(Avatar):
    """An avatar that shows what it gets and gives."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.board = Board()

    def perspective_take(self, *values: Any) -> Any:
        self.got.extend(values)
        return values

    def perspective_board(self) -> Any:
        return self.board

    def perspective_fail(self, error: Exception) -> None:
        raise error

    def perspective_make(self) -> Any:
        return Seen()


class Board(Viewable):
    def view_look(self, perspective: Any, *args: Any) -> Any:
        return type(perspective).__name__, args

    def view_me(self, perspective: Any) -> Any:
        return self


class Seen:
    """Shows on whose behalf it is written."""

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp([b"unicode", type(encoder.perspective).__name__.encode()])


def play() -> tuple[Pair, Player]:
    pair = join(Echo(), registry=stocks())
    player = Player()
    pair.server.broker.exports.lookup(b"root").thing = player
    return pair, player


def test_an_avatar_is_the_perspective_of_its_calls() -> None:
    pair, player = play()
    reference, thing = pair.ask("thing"), Thing()
    waiter = pair.client.call(reference, "take", thing, [thing])
    pair.run()
    assert waiter.result() == (thing, [thing])
    first, (second,) = player.got
    assert first is second
    assert first.perspective is player
    # Through the root nobody is.
    pair.ask("keep", thing)
    root = pair.server.broker.exports.lookup(b"root")
    assert root.kept[0].perspective is None
    assert root.kept[0] == first
    # What is sent to whoever it was got from is written on its behalf.
    for one, name in ((first, "Player"), (root.kept[0], "NoneType")):
        pair.server.notify(one, "tell", Seen())
        pair.run()
        assert thing.heard.pop() == name
    waiter = pair.client.call(reference, "make")
    pair.run()
    assert waiter.result() == "Player"
    player.got.clear()
    del first, second, one, reference
    pair.ask("forget")
    pair.prove_empty()


def test_a_view_has_the_perspective_of_whom_it_was_sent_to() -> None:
    pair, player = play()
    reference, root = pair.ask("thing"), pair.server.broker.exports.lookup(b"root")
    waiters = [pair.client.call(reference, "board") for _ in range(2)]
    pair.run()
    view, again = (waiter.result() for waiter in waiters)
    # The same for the same perspective.
    assert view is again
    del again
    waiter = pair.client.call(view, "look", 1)
    pair.run()
    assert waiter.result() == ("Player", (1,))
    waiter = pair.client.call(view, "me")
    pair.run()
    assert waiter.result() is view
    root.kept = [player.board]
    (nobodys,) = pair.ask("kept")
    assert nobodys is not view
    waiter = pair.client.call(nobodys, "look")
    pair.run()
    assert waiter.result() == ("NoneType", ())
    with pytest.raises(NoSuchMethod, match="view_jump"):
        waiter = pair.client.call(view, "jump")
        pair.run()
        waiter.result()
    # It comes home as the view, not as what is seen.
    root.kept.clear()
    pair.ask("keep", view)
    assert root.kept == [ViewPoint(player, player.board)]
    root.kept.clear()
    del view, nobodys, reference
    pair.prove_empty()


def test_a_view_comes_home_behind_its_release() -> None:
    root: Any = Echo()
    root.thing = Board()
    server = served(root)
    server.feed(none([b"message", 7, b"root", b"thing", 1, [b"tuple"], DICT], [b"decref", 1]))
    assert server.take() == none([b"answer", 7, [b"remote", 1]])
    server.feed(none([b"message", 7, b"root", b"keep", 1, [b"tuple", [b"local", 1]], DICT]))
    assert root.kept == [ViewPoint(None, root.thing)]
    server.take()
    assert server.counts() == {}


def test_an_object_that_can_not_tell_its_perspective() -> None:
    class Odd(Referenceable):
        def find_perspective(self) -> Any:
            raise LookupError("not for the other side")

    server = served(Odd())
    server.feed(none(call([b"remote", 5])))
    out = server.take()
    assert b"builtins.LookupError" in out
    assert b"not for" not in out
    assert out.endswith(none([b"decref", 5]))
    assert server.counts() == {}


# Errors that travel as themselves.


class Tumble(Copyable, Exception, tag="tests.Tumble"):
    """An exception that is a copy."""

    def __init__(self, height: Any) -> None:
        super().__init__(f"{height} metres")
        self.height = height

    def state_to_copy_for(self, perspective: Any) -> Any:
        return {"height": self.height, "seen": Seen()}


class RemoteTumble(Exception):
    height: Any
    seen: str


def test_an_error_travels_as_itself() -> None:
    pair, _ = play()
    pair.client.broker.registry.copy("tests.Tumble", RemoteTumble)
    reference, root = pair.ask("thing"), pair.server.broker.exports.lookup(b"root")
    waiter = pair.client.call(pair.root, "later")
    pair.run()
    pair.server.broker.fail(root.later[0].call, Tumble(3))
    pair.run()
    with pytest.raises(RemoteTumble) as caught:
        waiter.result()
    assert vars(caught.value) == {"height": 3, "seen": "NoneType"}
    # On behalf of whoever was called.
    pair.server.auto = False
    waiter = pair.client.call(reference, "make")
    pair.run()
    pair.server.broker.fail(pair.server.calls.pop(), Tumble(4))
    pair.run()
    with pytest.raises(RemoteTumble) as caught:
        waiter.result()
    assert caught.value.seen == "Player"
    pair.server.auto = True
    del reference
    pair.prove_empty()


def test_an_error_that_can_not_travel_as_itself_is_a_failure() -> None:
    pair, _ = play()
    root = pair.server.broker.exports.lookup(b"root")
    waiters = [pair.client.call(pair.root, "later") for _ in range(2)]
    pair.run()
    for later, height in zip(root.later, ([Thing(), object()], 3), strict=True):
        pair.server.broker.fail(later.call, Tumble(height))
    pair.run()
    with pytest.raises(RemoteError) as caught:
        waiters[0].result()
    assert caught.value.remote_type == "tests.test_broker.Tumble"
    # This side does not know it.
    with pytest.raises(InsecureJelly, match=r"tests\.Tumble"):
        waiters[1].result()
    pair.prove_empty()


def test_an_error_that_nobody_can_wait_for() -> None:
    client = connected()
    client.broker.registry.copy("tests.Stop", StopIteration)
    waiter = client.call(client.root, "x")
    client.feed(none([b"error", 1, [b"tests.Stop", DICT]]))
    with pytest.raises(RemoteError) as caught:
        waiter.result()
    assert caught.value.remote_type == "builtins.StopIteration"


def test_an_error_that_is_the_result_is_one() -> None:
    client = connected()
    client.broker.registry.copy("tests.Tumble", RemoteTumble)
    waiter = client.call(client.root, "x")
    client.feed(none([b"answer", 1, [b"tests.Tumble", DICT]]))
    assert type(waiter.result()) is RemoteTumble


def test_the_end_has_an_order(both: Pair) -> None:
    class Wants(Referenceable):
        wants_release = True

    both.server.broker.exports.lookup(b"root").kept = [Wants(), Stock()]
    kept = both.ask("kept")
    broker = both.server.broker
    both.server.call(RemoteReference(broker, b"root"), "later")
    broker.close()
    kinds = [type(event).__name__ for event in broker.events()]
    assert kinds == ["CallFailed", "Unobserved", "Released", "Closed"]
    assert len(kept) == 2


def test_an_object_hears_that_it_is_released(both: Pair) -> None:
    class Wants(Referenceable):
        wants_release = True

    wants = Wants()
    both.ask("keep", wants)
    both.ask("keep", [wants])
    assert both.client.released == []
    both.ask("forget")
    both.run()
    assert both.client.released == [wants]
    with pytest.raises(InsecureJelly):
        both.ask("keep", wants, object())
    both.client.run()
    assert both.client.released == [wants, wants]
    both.prove_empty()


# The end.


def test_close(pair: Pair) -> None:
    thing = pair.ask("thing")
    pair.ask("keep", Thing())
    waiters = [pair.client.call(thing, "tell", n) for n in range(2)]
    broker = pair.client.broker
    broker.close()
    broker.close(ValueError("too late"))
    kinds = [type(event) for event in broker.events()]
    assert kinds == [events.CallFailed, events.CallFailed, events.Closed]
    assert broker.next_event() is None
    assert broker.closed
    assert [waiter.done for waiter in waiters] == [0, 0]
    # What was said before still goes out; no release does, for it is void.
    del thing
    assert pair.client.take().count(b"tell") == 2
    assert pair.client.take() == b""
    assert pair.client.counts() == {}


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, "the connection was closed by this side"),
        (OSError("no route"), "the connection was lost: no route"),
        (OSError(), "the connection was lost"),
    ],
)
def test_what_a_lost_call_is_told(pair: Pair, reason: OSError | None, text: str) -> None:
    waiter = pair.client.call(pair.root, "later")
    pair.client.broker.close(reason)
    pair.client.run()
    with pytest.raises(ConnectionLost) as caught:
        waiter.result()
    assert str(caught.value) == text
    assert caught.value.__cause__ is reason
    assert pair.client.closed == [reason]


def test_a_reference_is_dead_afterwards(pair: Pair) -> None:
    thing = pair.ask("thing")
    pair.client.broker.close()
    with pytest.raises(DeadReferenceError):
        pair.client.call(thing, "tell")
    with pytest.raises(DeadReferenceError):
        pair.client.notify(pair.root, "any")


def test_nothing_is_read_or_started_afterwards() -> None:
    server = served()
    server.auto = False
    broker = server.broker
    broker.receive_data(none(call(1), call(2), call(3)))
    first = broker.next_event()
    assert isinstance(first, CallReceived)
    assert first.args == (1,)
    broker.close()
    broker.receive_data(none(call(4)))
    server.run()
    assert server.calls == []
    assert server.closed == [None]
    # A result that is ready too late is thrown away.
    assert broker.answer(first, object()) is None
    assert server.take() == b""
    assert server.counts() == {}


def test_calls_that_wait_never_start_afterwards() -> None:
    server = served()
    server.broker.receive_data(none(call(1), call(2)))
    assert server.broker.next_event(start_calls=False) is None
    assert server.counts().keys() == {"calls_waiting", "waiting_bytes"}
    server.broker.close()
    server.run()
    assert server.take() == b""
    assert server.counts() == {}


def test_an_error_that_comes_too_late_is_thrown_away() -> None:
    server = served()
    server.auto = False
    server.feed(none(call(1)))
    server.broker.close()
    server.broker.fail(server.calls[0], ValueError("x"))
    server.run()
    assert server.take() == b""
    assert server.counts() == {}


@pytest.mark.parametrize("reason", [None, OSError("reset")])
def test_the_end_of_the_stream(reason: OSError | None) -> None:
    server = served()
    server.broker.receive_data(none(call(1), call(2)) + b"\x07\x80")
    server.broker.receive_eof(reason)
    server.broker.receive_eof(ValueError("the first reason counts"))
    assert server.broker.next_event(start_calls=False) is None
    assert server.closed == []
    server.run()
    # What had arrived was answered.
    assert server.take().count(b"answer") == 2
    (error,) = server.closed
    if reason is None:
        assert isinstance(error, EOFError)
        assert str(error) == "the other side closed the connection"
    else:
        assert error is reason


def test_the_end_of_the_stream_before_the_dialect() -> None:
    client = Side(Broker("client"))
    client.broker.receive_eof()
    client.run()
    assert isinstance(client.closed[0], EOFError)


def test_what_is_broken_ends_with_what_was_good_answered() -> None:
    server = served()
    server.feed(none(call(1)) + b"\x88" + none(call(2)))
    assert server.take().count(b"answer") == 1
    (error,) = server.closed
    assert isinstance(error, RemoteProtocolError)
    server.feed(none(call(3)))
    assert server.take() == b""


# Room to read into.


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_bytes_arrive_in_a_buffer(size: int) -> None:
    room = memoryview(bytearray(size))
    server = served(buffer=room)
    data = none(*(call(b"x" * 1000, request=n) for n in range(3)))
    while data:
        view = server.broker.get_buffer()
        count = min(len(view), len(data))
        view[:count] = data[:count]
        server.broker.received(count)
        data = data[count:]
        server.run()
    assert server.take().count(b"answer") == 3
    server.broker.close()
    view = server.broker.get_buffer()
    view[:1] = b"\x07"
    server.broker.received(1)
    assert server.broker.next_event() is not None
    assert server.broker.next_event() is None


# What is to be sent.


def test_what_is_to_be_sent_is_counted_until_it_has_left(pair: Pair) -> None:
    broker = pair.client.broker
    assert broker.messages_to_send == 0
    pair.client.call(pair.root, "any")
    pair.client.call(pair.root, "any")
    assert broker.messages_to_send == 2
    size = broker.ledger.used("out_bytes")
    data = broker.data_to_send()
    assert len(data) == size
    assert broker.messages_to_send == 0
    broker.data_left(size)
    assert broker.ledger.used("out_bytes") == size
    broker.data_left(3)
    assert broker.ledger.used("out_bytes") == 3
    broker.data_left(0)
    pair.server.feed(data)
    pair.prove_empty()


def test_references_are_made_by_the_face() -> None:
    class Handle(RemoteReference):
        __slots__ = ("face",)

        def __init__(self, broker: Broker, luid: int | bytes, face: str) -> None:
            super().__init__(broker, luid)
            self.face = face

    pair = join(Echo(), reference_type=lambda broker, luid: Handle(broker, luid, "mine"))
    assert isinstance(pair.root, Handle)
    thing = pair.ask("thing")
    assert isinstance(thing, Handle)
    assert thing.face == "mine"
    del thing
    pair.prove_empty()


def test_a_broker_that_is_forgotten_is_collected() -> None:
    pair = join(Echo())
    thing = pair.ask("thing")
    gone = weakref.ref(pair.client.broker)
    del pair, thing
    gc.collect()
    assert gone() is None


def test_the_dialect_has_no_words_until_it_is_agreed() -> None:
    server = Side(Broker("server", root=Echo()))
    server.feed(encode(b"version", "pb"))
    (error,) = server.closed
    assert isinstance(error, RemoteProtocolError)
    assert NONE.words == ()


# For faces that put messages together on their own.


class Asks(Referenceable):
    """Takes its arguments as they came, and decodes them itself."""

    takes_jelly = True

    def __init__(self) -> None:
        self.side: Any = None
        self.seen: list[Any] = []

    def find_method(self, name: str) -> Any:
        def method(args: Any, kwargs: Any) -> Any:
            self.seen.append((name, args, kwargs))
            broker = self.side.broker
            values = [broker.decode_value(encode(one)) for one in (args, kwargs)]
            return Answered(broker.encode_value(values[0]))

        return method


class Answered:
    """An answer that was written already."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp(decode(self.data))


def test_a_target_may_decode_its_arguments_itself() -> None:
    root = Asks()
    pair = join(root)
    root.side = pair.server
    thing = Thing()
    given = pair.ask("any", 1, thing, two=[2])
    ((name, args, kwargs),) = root.seen
    assert name == "any"
    assert args == [b"tuple", 1, [b"remote", 1]]
    assert kwargs == [b"dictionary", [[b"unicode", b"two"], [b"list", 2]]]
    assert given[0] == 1
    assert given[1] is thing
    del given
    pair.prove_empty()


def test_a_target_that_looks_at_nothing_has_a_fault_at_most() -> None:
    class Silent(Asks):
        def find_method(self, name: str) -> Any:
            return lambda args, kwargs: None

    pair = join(Silent())
    assert pair.ask("any", 5) is None
    pair.prove_empty()


def test_values_by_themselves_are_counted() -> None:
    pair = join(Echo())
    server, client, thing = pair.server.broker, pair.client.broker, Thing()
    data = server.encode_value([thing, thing])
    assert server.exports.snapshot()[1] == (thing, 2)
    first, second = client.decode_value(data)
    assert first is second
    waiter = pair.client.call(first, "tell", 5)
    pair.run()
    assert waiter.result() == 1
    del first, second
    pair.prove_empty()


def test_a_value_that_is_refused_is_released() -> None:
    pair = join(Echo())
    server, client = pair.server.broker, pair.client.broker
    data = server.encode_value([Thing(), Thing()])
    spoilt = encode([*decode(data), [b"foo.Bar", 1]])
    with pytest.raises(InsecureJelly, match=r"value\[2\]: type tag 'foo.Bar' is not registered"):
        client.decode_value(spoilt)
    with pytest.raises(RemoteProtocolError, match="not complete"):
        client.decode_value(data[:-1])
    pair.prove_empty()


def test_a_value_by_itself_may_have_rules_of_its_own() -> None:
    pair = join(Echo())
    registry = Registry()
    registry.copy("foo.Bar", lambda state: ("bar", state))
    client = pair.client.broker
    assert client.decode_value(encode([b"foo.Bar", 1]), registry=registry) == ("bar", 1)
    with pytest.raises(LimitExceeded):
        client.encode_value([1, 2, 3], limits=Limits(list_items=3))
    with pytest.raises(LimitExceeded):
        client.decode_value(encode([b"list", 1, 2, 3]), limits=Limits(list_items=3))
    pair.prove_empty()


def test_a_value_inside_of_a_message_that_is_refused_stays() -> None:
    """A reader of the application's takes one in; the message around it is refused."""
    registry = Registry()
    kept: list[Any] = []
    pair = join(Echo(), registry=registry)
    server, client = pair.server.broker, pair.client.broker
    data = client.encode_value(Thing())
    registry.copy("x.In", lambda state: kept.append(server.decode_value(data)))
    server.receive_data(
        encode(call([b"list", [b"remote", 99]], [b"x.In", 1], [b"foo.Bar", 1]), "pellucid")
    )
    pair.server.run()
    # What came with the message is released, and the one that was taken in is not.
    server.data_to_send()
    assert list(server.imports.held) == [kept[0].luid]
    kept.clear()
    server.data_to_send()
    assert len(server.imports) == 0


def test_what_a_reader_does_not_look_at_is_released() -> None:
    registry = Registry()
    registry._readers[b"x.R"] = RawReader(lambda sexp, decoder, made: sexp[1], "'x.R'")

    class Box:
        def write_jelly(self, encoder: Any) -> None:
            encoder.write_parts(self, lambda: [b"x.R", 1, encoder.part([Thing()])])

    pair = join(Echo(), registry=registry)
    assert pair.ask("echo", Box()) == 1
    assert pair.ask("kind", Box()) == "int"
    pair.prove_empty()


def test_an_error_is_what_the_face_makes_of_it() -> None:
    pair = join(Echo(), error_value=lambda value: ("failed", value))
    pair.client.call(pair.root, "fail", "no")
    waiter = pair.client.call(pair.root, "nothing")
    pair.run()
    word, error = cast(tuple[str, object], waiter.error)
    assert word == "failed"
    assert isinstance(error, NoSuchMethod)


def test_an_answer_that_can_not_be_sent_is_what_the_face_says() -> None:
    server = served()
    server.auto = False
    server.feed(none(call()))
    (received,) = server.calls
    refusal = server.broker.answer(received, object(), lambda error: KeyError("mine"))
    assert isinstance(refusal, InsecureJelly)
    assert b"builtins.KeyError" in server.take()


def test_own_objects_can_be_counted_by_hand() -> None:
    pair = join(Echo(), client=Echo(), registry=stocks())
    server, client, thing, stock = pair.server.broker, pair.client.broker, Thing(), Stock()
    luid = server.register(thing)
    assert server.register(thing) == luid
    assert server.exports.snapshot()[luid] == (thing, 2)
    held = client.decode_value(encode([b"list", [b"remote", luid], [b"remote", luid]]))
    number, observer = server.register_cache(stock, "me")
    assert observer is not None
    assert observer.perspective == "me"
    assert server.register_cache(stock) == (number, None)
    assert server.cache_exports.snapshot() == {number: (stock, 2)}
    full = [b"harness.Stock", number, [b"dictionary"]]
    copy = client.decode_value(encode([b"list", full, [b"cached", number]]))
    assert client.cache_imports.snapshot() == {number: copy[0]}
    del held, copy
    pair.prove_empty()


def test_calls_that_wait_can_be_looked_at() -> None:
    pair = join(Echo())
    waiter = pair.client.call(pair.root, "later")
    pair.client.call(pair.root, "later")
    assert pair.client.broker.pending[1] is waiter
    pair.client.broker.abandon(2)
    assert list(pair.client.broker.pending) == [1]


def test_an_answer_that_can_not_be_sent_is_not_kept() -> None:
    server, held = served(), Thing()
    server.auto = False
    server.feed(none(call()))
    (received,) = server.calls
    gone = weakref.ref(held)
    gc.disable()
    try:
        server.broker.answer(received, [held, object()])
        del held
        assert gone() is None
    finally:
        gc.enable()


def test_a_request_number_can_be_taken() -> None:
    pair = join(Echo())
    assert pair.client.broker.take_request() == 1
    assert pair.client.broker.call(Waiter(), pair.root, "any") == 2
    pair.prove_empty()


def test_what_is_to_be_done_behind_a_message() -> None:
    done: list[str] = []

    class Busy:
        def write_jelly(self, encoder: Any) -> None:
            talking.client.broker.behind(lambda: done.append("behind"))
            done.append("written")
            encoder.write_sexp(5)

    talking = join(Echo())
    assert talking.ask("echo", Busy()) == 5
    assert done == ["written", "behind"]
    talking.client.broker.behind(lambda: done.append("now"))
    assert done[-1] == "now"
    talking.prove_empty()


def test_a_reader_that_is_interrupted_fails_the_call_that_waits() -> None:
    def interrupt(state: Any) -> Any:
        raise KeyboardInterrupt

    registry = Registry()
    registry.copy("x.I", interrupt)
    client = connected(registry=registry)
    for waits in (True, False):
        waiter = Waiter()
        request = client.broker.call(waiter, client.root, "any")
        if not waits:
            client.broker.abandon(request)
        client.take()
        client.broker.receive_data(
            none([b"answer", request, [b"list", [b"remote", 5], [b"x.I", 1]]])
        )
        with pytest.raises(KeyboardInterrupt):
            client.run()
        client.run()
        assert (str(waiter.error) == "reading it was interrupted") == waits
        assert client.take() == none([b"decref", 5])
    assert client.counts() == {}


# The usual messages, which are read in one go where nothing is compiled. With these limits none is.

USUAL = [{}, {"depth_sent": 9}]


def spoken(role: str = "server", **options: Any) -> Side:
    """A side that has agreed on the dialect `pb`."""
    bounds = Limits(**options.pop("limits", {}))
    side = Side(Broker(role, root=Echo(), limits=bounds, **options))
    side.feed(none(b"pb" if role == "server" else [b"pb"]) + encode([b"version", 6]))
    assert side.ready == ["pb"]
    side.take()
    return side


def remote(*luids: int) -> list[Any]:
    return [[b"remote", luid] for luid in luids]


@pytest.mark.parametrize(
    "messages",
    [
        [call(5, b"a", name=b"any")], [call(*remote(1, 2, 1), name=b"keep")],
        [call(*remote(1, 2, 3))], [call(name=b"thing"), [b"decref", 1]],
        [call(name=b"thing"), call(name=b"thing"), [b"decref", 1], call([b"local", 1])],
        [[b"decref", 1]], [[b"decref", 99]], [[b"answer", 99, 5]], [[b"answer", 1, *remote(5)]],
        [call(target=99)], [call(target=b"other")], [call(name=b"no_such_method")],
        [call(*remote(1, 2), name=b"keep"), call(name=b"forget"), call(*remote(1))],
        [call(name=b"any"), [b"message", 8, b"root", b"any", 0, [b"tuple", 5], DICT]],
    ],
)  # fmt: skip
def test_what_is_usual_is_as_all_else(messages: list[Any]) -> None:
    told = []
    for limits in USUAL:
        side = spoken(limits={"references_held": 2, **limits})
        # Its name is known when it comes again.
        data = b"".join(map(encode, messages))
        for _ in range(3):
            side.feed(data)
            side.feed(data, 1)
            gc.collect()
        told.append((side.take(), side.faults, side.counts(), len(side.closed)))
    assert told[0] == told[1]


@pytest.mark.parametrize("limits", USUAL)
@pytest.mark.parametrize("value", [5, [b"unicode", b"a"], *remote(5), [b"list", *remote(5)]])
def test_a_usual_answer(limits: Any, value: Any) -> None:
    side = spoken("client", limits=limits)
    given, gone = side.call(side.root, "a"), side.call(side.root, "b")
    side.broker.abandon(2)
    side.feed(encode([b"answer", 1, value]) + encode([b"answer", 2, value]))
    assert (given.done, gone.done) == (1, 0)
    assert side.broker.ledger.calls_pending == 0
    assert side.faults == []
    held = value != 5 and b"unicode" not in value
    assert side.counts() == ({"imports": 1, "references_held": 1} if held else {}) | {
        "out_bytes": side.broker.ledger.out_bytes
    }
    side.take()
    del given
    gc.collect()
    assert side.take() == (encode([b"decref", 5]) * 2 if held else b"")


@pytest.mark.parametrize("limits", USUAL)
def test_tags_are_asked_about_in_what_is_usual(limits: Any) -> None:
    asked: list[bytes] = []

    class Watching(Registry):
        @staticmethod
        def allows(tag: bytes) -> bool:
            asked.append(tag)
            return tag != b"remote"

    side = spoken(limits=limits, registry=Watching())
    for _ in range(2):
        asked.clear()
        side.feed(encode(call(5)))
        assert asked == [b"tuple", *DICT]
        side.feed(encode(call(*remote(5))))
        assert asked[2:] == [b"tuple", b"remote"]
        assert b"not allowed" in side.take()


@pytest.mark.parametrize("limits", USUAL)
def test_a_usual_call_waits_as_all_others(limits: Any) -> None:
    side = spoken(limits={"calls_running": 1, "calls_waiting": 2, **limits})
    side.auto = False
    for _ in range(4):
        side.feed(encode(call(name=b"later")))
    assert [one.name for one in side.calls] == ["later"]
    assert side.broker.ledger.calls_waiting == 2
    assert not side.broker.wants_data
    assert side.broker.next_event(False) is None
    for _ in range(4):
        side.answer(side.calls.pop(), None)
        side.run()
    assert side.calls == []
    assert side.take() == encode([b"answer", 7, [b"None"]]) * 4
    assert side.counts() == {}


@pytest.mark.parametrize("limits", USUAL)
def test_whoever_interrupts_the_reading_of_references(limits: Any) -> None:
    made: list[Any] = []

    def make(broker: Broker, luid: int | bytes) -> RemoteReference:
        made.append(luid)
        if len(made) == 2:
            raise KeyboardInterrupt
        return RemoteReference(broker, luid)

    side = spoken(limits=limits, reference_type=make)
    side.feed(encode(call()))
    side.take()
    side.broker.receive_data(encode(call(*remote(1, 2))))
    with pytest.raises(KeyboardInterrupt):
        side.run()
    # The long way looks at none of it again.
    assert side.broker.releases.received == () or limits or is_compiled("broker")


# Other limits, and what is held.


def test_a_live_connection_gets_other_limits() -> None:
    pair = join(Echo())
    assert pair.ask("echo", "x" * 200) == "x" * 200
    things = [pair.ask("things", 2) for _ in range(2)]
    lower = Limits(string_bytes=100, references_exported=3, remembered_ids=1)
    for side in (pair.client, pair.server):
        side.broker.use_limits(lower)
        assert side.broker.limits is side.broker.ledger.limits is lower
    with pytest.raises(LimitExceeded) as caught:
        pair.ask("echo", "x" * 200)
    assert caught.value.limit == "string_bytes"
    with pytest.raises(Error, match="Maximum PB reference count exceeded"):
        pair.ask("things", 1)
    # What was there stays.
    assert len({thing.luid for pair_of in things for thing in pair_of}) == 4
    for side in (pair.client, pair.server):
        side.broker.use_limits(Limits())
    assert pair.ask("echo", "x" * 200) == "x" * 200
    things.append(pair.ask("things", 1))
    things.clear()
    pair.prove_empty()


def test_other_limits_while_a_message_is_written() -> None:
    pair = join(Echo())
    broker = pair.client.broker

    class Strict(Referenceable):
        def write_jelly(self, encoder: Any) -> None:
            broker.use_limits(Limits(string_bytes=100))
            encoder.write_sexp(b"y" * 200)

    assert pair.ask("kind", Strict()) == "bytes"
    with pytest.raises(LimitExceeded):
        pair.ask("echo", "x" * 200)
    pair.prove_empty()


def test_other_limits_before_the_dialect_is_agreed() -> None:
    pair = Pair(Side(Broker("client")), Side(Broker("server", root=Echo())))
    for side in (pair.client, pair.server):
        side.broker.use_limits(Limits(string_bytes=100))
    pair.run()
    assert pair.ask("echo", "x") == "x"
    with pytest.raises(LimitExceeded):
        pair.ask("echo", "x" * 200)
    pair.prove_empty()


def test_what_is_held_for_the_other_side() -> None:
    side = served()
    broker = side.broker
    whole = none(call(b"x" * 500))
    seen = broker.messages_read
    broker.receive_data(whole[:400])
    assert (broker.held_bytes, broker.is_mid_message) == (400, False)
    assert broker.next_event() is None
    assert (broker.held_bytes, broker.is_mid_message) == (400, True)
    assert broker.messages_read == seen
    broker.receive_data(whole[400:])
    event = broker.next_event()
    assert isinstance(event, CallReceived)
    assert (broker.messages_read, broker.is_mid_message) == (seen + 1, False)
    assert broker.held_bytes == event.size > len(whole)
    broker.answer(event, b"y" * 300)
    assert broker.held_bytes > 300
    side.take()
    assert broker.held_bytes == 0


def test_a_message_that_we_do_not_read_on_is_not_late() -> None:
    side = served(limits=Limits(calls_waiting=1))
    broker = side.broker
    broker.receive_data(none(call())[:20])
    assert broker.next_event(start_calls=False) is None
    assert broker.is_mid_message
    broker.receive_data(none(call())[20:] + none(call())[:20])
    assert broker.next_event(start_calls=False) is None
    assert (broker.wants_data, broker.is_mid_message) == (False, False)
    assert broker.held_bytes > 20


def test_messages_are_counted_however_they_are_read() -> None:
    pair = join(Echo())
    seen = pair.server.broker.messages_read
    for _ in range(3):
        pair.ask("echo", 1)
    assert pair.server.broker.messages_read == seen + 3


def test_after_the_end_nothing_is_held() -> None:
    side = served(Echo())
    broker = side.broker
    side.auto = False
    side.feed(none(call(name=b"echo"), call(name=b"echo")) + none(call(b"x" * 5000))[:4000])
    first, second = side.calls
    broker.answer(first, b"y" * 1000)
    sent = len(side.broker.data_to_send())
    broker.data_left(sent // 2)
    broker.answer(second, b"y" * 1000)
    view = broker.get_buffer()
    broker.close()
    assert broker.ledger.charged() == {}
    assert broker.held_bytes == 0
    # What was written still goes out.
    assert b"y" * 1000 in broker.data_to_send()
    broker.data_left(10)
    broker.data_left(0)
    # What a transport still brings is dropped.
    broker.received(min(len(view), 5))
    broker.get_buffer()
    broker.received(3)
    assert broker.held_bytes == 0
    assert broker.ledger.charged() == {}
    assert not broker.is_mid_message


def test_what_runs_at_the_end_is_charged_until_it_is_handed_back() -> None:
    side = served(Echo())
    side.auto = False
    side.feed(none(call(name=b"echo")))
    side.broker.close()
    (running,) = side.calls
    assert side.broker.ledger.charged() == {"calls_running": 1, "waiting_bytes": running.size}
    side.broker.fail(running, ValueError())
    assert side.broker.ledger.charged() == {}


def test_what_ended_the_connection_holds_nothing_that_was_received() -> None:
    side = served()
    secret = b"s" * 1000
    side.feed(none(call(secret)) + none([b"message", 7, b"root", b"\xff", 1, [], []]) + secret)
    (error,) = side.closed
    assert isinstance(error, RemoteProtocolError)
    assert error.__traceback__ is None
    assert error.__context__ is None
    assert side.broker.held_bytes == 0


@pytest.mark.parametrize("wants", [0, 1])
def test_a_call_whose_reading_is_interrupted_is_refused(wants: int) -> None:
    def interrupt(state: Any) -> Any:
        raise KeyboardInterrupt

    registry = Registry()
    registry.copy("x.I", interrupt)
    side = served(registry=registry)
    sexp = call([b"list", [b"remote", 5], [b"x.I", 1]])
    sexp[4] = wants
    side.broker.receive_data(none(sexp, call(1)))
    with pytest.raises(KeyboardInterrupt):
        side.run()
    side.run()
    answers = side.take()
    assert (b"reading it was interrupted" in answers) == bool(wants)
    assert none([b"decref", 5]) in answers
    assert bool(side.faults) is not bool(wants)
    assert side.counts() == {}
    assert side.closed == []


# Results that nobody takes.


def test_results_are_left_out_where_nobody_takes_them() -> None:
    side = served(Echo(), limits=Limits(out_bytes=4 * 2**20))
    side.auto = False
    size = 2**20
    for n in range(1000):
        side.feed(none(call(request=n, name=b"echo")))
    assert len(side.calls) == 1000
    ledger = side.broker.ledger
    for n, one in enumerate(side.calls):
        assert side.broker.answer(one, [b"x" * (size // 2)] * 2) is None
        # Two times the limit, one message, and what each of the others gets.
        assert ledger.out_bytes < 8 * 2**20 + size + 700 * (n + 1)
    side.calls.clear()
    side.run()
    (fault,) = side.faults
    assert fault.startswith(
        "the peer takes no answers: calls get an error in place of their result"
    )
    data = side.take()
    assert data.count(b"too many bytes are waiting to be sent") == 1000 - 8
    assert side.counts() == {}


def test_errors_are_short_where_nobody_takes_them() -> None:
    side = served(Echo(), limits=Limits(out_bytes=1000))
    side.auto = False
    for n in range(100):
        side.feed(none(call(request=n, name=b"echo")))
    for one in side.calls:
        side.broker.fail(one, ValueError("x" * 5000))
    assert side.broker.ledger.out_bytes < 2000 + 6000 + 100 * 700
    assert side.take().count(b"too many bytes") == 99
    assert len(side.faults) == 0
    side.run()
    assert len(side.faults) == 1


def test_what_can_not_be_sent_for_a_limit_is_said_by_the_answer_alone() -> None:
    side = served(Echo(), limits=Limits(references_exported=1))
    side.auto = False
    side.feed(none(call(), call()))
    first, second = side.calls
    assert side.broker.answer(first, Thing()) is None
    refused = side.broker.answer(second, Thing())
    assert isinstance(refused, LimitExceeded)
    side.run()
    assert side.faults == []
    assert side.take().count(b"Maximum PB reference count exceeded.") == 1


def test_a_call_with_too_many_containers_ends_the_connection() -> None:
    side = served(limits=Limits(containers=10))
    side.feed(none(call([b"list", [b"remote", 1], *[[b"list"]] * 10])))
    (error,) = side.closed
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.where) == ("containers", "arguments[0][9]")
    assert error.__traceback__ is None
    assert side.counts() == {}


@pytest.mark.parametrize("waits", [True, False])
def test_an_answer_with_too_many_containers_ends_the_connection(waits: bool) -> None:
    client = connected(limits=Limits(containers=10))
    waiter, other = Waiter(), Waiter()
    request = client.broker.call(waiter, client.root, "any")
    client.broker.call(other, client.root, "any")
    if not waits:
        client.broker.abandon(request)
    client.feed(none([b"answer", request, [b"list", [b"remote", 1], *[[b"list"]] * 10]]))
    (error,) = client.closed
    assert isinstance(error, LimitExceeded)
    assert error.limit == "containers"
    if waits:
        assert isinstance(waiter.error, LimitExceeded)
    assert isinstance(other.error, ConnectionLost)
    client.take()
    assert client.counts() == {}


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_broker_that_its_face_has_left_is_in_no_cycle(role: str) -> None:
    class Face:
        def _wake(self) -> None: ...

    gc.collect()
    gc.disable()
    try:
        broker = Broker(role, root=Thing(), face=Face())
        # All that is made at its first use.
        assert len(broker.imports) == len(broker.cache_imports) == len(broker.cache_exports) == 0
        broker.close()
        while broker.next_event() is not None:
            pass
        broker.leave()
        assert broker.closed
        assert (broker.face, broker.root) == (None, None)
        assert len(broker.exports) == len(broker.imports) == 0
        assert len(broker.cache_exports) == len(broker.cache_imports) == 0
        gone = weakref.ref(broker)
        del broker
        assert gone() is None
    finally:
        gc.enable()


def patient(count: int, **options: Any) -> tuple[Side, int | bytes]:
    """A server that pauses after three messages, and an object that can be released so often."""
    side = served(**options)
    thing = Thing()
    for _ in range(count):
        luid = side.broker.register(thing)
    side.broker.patience = 3
    return side, luid


@pytest.mark.parametrize("limits", [None, Limits(string_bytes=100)])
def test_a_broker_pauses_where_much_is_read_that_gives_no_event(limits: Limits | None) -> None:
    side, luid = patient(7, limits=limits)
    broker = side.broker
    seen = broker.messages_read
    broker.receive_data(none([b"decref", luid]) * 7 + none(call(name=b"echo")))
    read = []
    for _ in range(2):
        assert type(broker.next_event()) is Paused
        read.append(broker.messages_read - seen)
    # What follows is still there, and in its order.
    assert read == [3, 6]
    event = broker.next_event()
    assert isinstance(event, CallReceived)
    assert (event.name, broker.messages_read - seen) == ("echo", 8)
    assert broker.next_event() is None
    broker.answer(event, 1)
    side.take()
    assert side.counts() == {}
    assert side.faults == []


def test_a_broker_pauses_only_where_no_event_comes_for_long() -> None:
    side, luid = patient(8)
    broker = side.broker
    release = none([b"decref", luid]) * 2
    broker.receive_data((release + none(call(name=b"echo"))) * 3)
    # Each event begins the count anew.
    for _ in range(3):
        assert isinstance(broker.next_event(), CallReceived)
    assert broker.next_event() is None
    # Two are left. Who has no patience set is never paused.
    broker.patience = 0
    broker.receive_data(release)
    assert broker.next_event() is None
    assert len(broker.exports) == 0


def test_a_broker_that_pauses_still_tells_of_the_end() -> None:
    side, luid = patient(3)
    broker = side.broker
    broker.receive_data(none([b"decref", luid]) * 3)
    reason = OSError("cut")
    broker.receive_eof(reason)
    assert type(broker.next_event()) is Paused
    event = broker.next_event()
    assert isinstance(event, Closed)
    assert event.error is reason
    assert broker.next_event() is None
