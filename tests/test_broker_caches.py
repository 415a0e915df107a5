"""Caches over one connection, message by message. (Wire document, section 11.)"""

import gc
from typing import Any

import pytest

from pellucid.banana import encode
from pellucid.caches import CacheObserver
from pellucid.errors import (
    ConnectionLost,
    DeadReferenceError,
    InsecureJelly,
    LocalProtocolError,
    NoSuchMethod,
)
from pellucid.flavors import Cacheable, Referenceable
from pellucid.references import RemoteReference
from tests.harness import (
    Echo,
    Observer,
    Pair,
    RemoteStock,
    Side,
    Stock,
    Thing,
    Waiter,
    join,
    stocks,
)
from tests.wire import DICT, TAG, call, none, put, server, state, text


def stock(**items: int) -> tuple[Side, Echo, Stock]:
    """A server that has a stock to give, under the name `thing`."""
    app: Any = Echo()
    app.thing = Stock(**items)
    return server(app), app, app.thing


@pytest.fixture
def pair() -> Pair:
    return join(Echo(), client=Echo(), registry=stocks())


def app_of(pair: Pair) -> Any:
    return pair.server.broker.exports.lookup(b"root")


# The owner, byte by byte.


def test_the_first_sending_is_in_full() -> None:
    side, _, here = stock(apples=3)
    side.feed(none(call(b"thing")))
    assert side.take() == none([b"answer", 7, [TAG, 1, state(apples=3)]])
    assert len(here.observers) == 1
    assert side.counts() == {"cache exports": 1, "caches_exported": 1}
    # And then by its id, until the last occurrence is released.
    for _ in range(2):
        side.feed(none(call(b"thing")))
        assert side.take() == none([b"answer", 7, [b"cached", 1]])
    side.feed(none([b"decache", 1], [b"decache", 1]))
    assert side.take() == b""
    assert len(here.observers) == 1
    side.feed(none([b"decache", 1]))
    assert side.take() == none([b"uncache", 1])
    assert (here.stopped, len(here.observers)) == ([None], 0)
    assert side.counts() == {}
    # Then it has a new id.
    side.feed(none(call(b"thing")))
    assert side.take() == none([b"answer", 7, [TAG, 2, state(apples=3)]])
    side.feed(none([b"decache", 2]))
    assert side.take() == none([b"uncache", 2])
    assert side.counts() == {}
    assert side.faults == []


def test_twice_in_one_value_counts_once_the_first_time() -> None:
    side, app, here = stock()
    app.kept = [here, here]
    side.feed(none(call(b"kept")))
    full = [b"reference", 1, [TAG, 1, state()]]
    assert side.take() == none([b"answer", 7, [b"list", full, [b"dereference", 1]]])
    side.feed(none(call(b"kept")))
    assert side.take() == none([b"answer", 7, [b"list", [b"cached", 1], [b"cached", 1]]])
    side.feed(none([b"decache", 1], [b"decache", 1]))
    assert side.take() == b""
    side.feed(none([b"decache", 1]))
    assert side.take() == none([b"uncache", 1])
    assert side.counts() == {}


def test_in_arguments_and_in_keywords_it_counts_twice() -> None:
    side, _, here = stock()
    back = RemoteReference(side.broker, b"root")
    side.broker.call(None, back, "x", (here,), {"a": here})
    kwargs = [*DICT, [text("a"), [b"cached", 1]]]
    args = [b"tuple", [TAG, 1, state()]]
    assert side.take() == none([b"message", 1, b"root", b"x", 0, args, kwargs])
    side.feed(none([b"decache", 1]))
    assert side.take() == b""
    side.feed(none([b"decache", 1]))
    assert side.take() == none([b"uncache", 1])
    assert side.counts() == {}


def test_objects_and_caches_share_their_ids() -> None:
    side, app, here = stock()
    app.kept = [Thing(), here, Thing()]
    side.feed(none(call(b"kept")))
    sent = [[b"remote", 1], [TAG, 2, state()], [b"remote", 3]]
    assert side.take() == none([b"answer", 7, [b"list", *sent]])
    side.feed(none([b"decref", 1], [b"decref", 3], [b"decache", 2]))
    assert side.take() == none([b"uncache", 2])
    # An id of the one kind is none of the other.
    side.feed(none(call(b"kept")))
    side.take()
    side.feed(none([b"decache", 4], [b"decref", 5]))
    assert len(side.faults) == 2
    side.feed(none([b"decref", 4], [b"decref", 6], [b"decache", 5]))
    assert side.take() == none([b"uncache", 5])
    assert side.counts() == {}


def test_updates_are_calls_in_the_other_direction() -> None:
    side, _, here = stock()
    side.feed(none(call(b"thing")))
    side.take()
    here.put("pears", 5)
    assert side.take() == none(put(1, 1, "pears", 5))
    (observer,) = here.observers
    waiter = observer.call("put", "plums", 6)
    assert side.take() == none(put(2, 1, "plums", 6, wants_answer=1))
    side.feed(none([b"answer", 2, 9]))
    assert waiter.result() == 9
    side.feed(none([b"decache", 1]))
    side.take()
    assert side.counts() == {}


def test_what_is_said_while_the_object_is_told_still_reaches_the_copy() -> None:
    class Polite(Stock, tag="harness.Stock"):
        def stopped_observing(self, perspective: Any, observer: Any) -> None:
            observer.notify("put", "bye", 0)
            super().stopped_observing(perspective, observer)

    app: Any = Echo()
    app.thing = Polite()
    side = server(app)
    side.feed(none(call(b"thing")))
    side.take()
    (observer,) = app.thing.observers
    side.feed(none([b"decache", 1]))
    assert side.take() == none(put(1, 1, "bye", 0), [b"uncache", 1])
    with pytest.raises(DeadReferenceError, match="no copy of this cache"):
        observer.notify("put", "late", 0)
    assert side.counts() == {}


def test_an_object_that_is_told_later_is_known_until_then() -> None:
    side, _, here = stock()
    side.feed(none(call(b"thing")))
    side.take()
    side.auto = False
    side.feed(none([b"decache", 1]))
    (event,) = side.unobserved
    assert side.take() == b""
    assert side.counts() == {"cache exports": 1, "caches_exported": 1}
    side.feed(none([b"decache", 1]))
    assert side.faults == ["the peer released a cache that it does not hold"]
    # Sent meanwhile it is another one.
    side.broker.call(None, RemoteReference(side.broker, b"root"), "x", (here,))
    args = [b"tuple", [TAG, 2, state()]]
    assert side.take() == none([b"message", 1, b"root", b"x", 0, args, DICT])
    side.stop_observing(event)
    side.broker.unobserved(event)
    assert side.take() == none([b"uncache", 1])
    assert len(here.observers) == 1
    side.auto = True
    side.feed(none([b"decache", 2]))
    assert side.take() == none([b"uncache", 2])
    assert side.counts() == {}


def test_a_cache_comes_home_behind_its_release() -> None:
    """The other side may write its release before the answer that names it."""
    side, _, here = stock()
    back = RemoteReference(side.broker, b"root")
    waiter = side.call(back, "echo", here)
    side.take()
    side.feed(none([b"decache", 1], [b"answer", 1, [b"lcache", 1]]))
    assert waiter.result() is here
    assert side.take() == none([b"uncache", 1])
    assert side.counts() == {}


def test_a_cache_comes_home() -> None:
    side, _, here = stock()
    side.feed(none(call(b"thing"), call(b"keep", [b"lcache", 1]), call(b"kind", [b"lcache", 9])))
    out = side.take()
    assert b"InsecureJelly" in out
    root = side.broker.exports.lookup(b"root")
    assert root.kept == [here]
    side.feed(none([b"decache", 1]))
    side.take()
    assert side.counts() == {}


# The holder, byte by byte.


def test_a_copy_is_released_once_for_each_occurrence() -> None:
    side = server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(call(b"keep", [TAG, 5, state(apples=3)])))
    (copy,) = root.kept
    assert type(copy) is RemoteStock
    assert copy.items == {"apples": 3}
    side.feed(none(call(b"keep", [b"cached", 5]), call(b"kind", [b"cached", 5])))
    assert root.kept == [copy, copy]
    assert root.kept[1] is copy
    side.take()
    del copy
    root.kept.clear()
    assert side.take() == none([b"decache", 5]) * 3
    assert side.counts() == {"cache imports": 1, "caches_held": 1}
    side.feed(none([b"uncache", 5], [b"uncache", 5]))
    assert side.counts() == {}
    assert side.faults == []


def test_an_update_changes_the_copy_and_is_answered() -> None:
    side = server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(call(b"keep", [TAG, 5, state(apples=3)])))
    side.take()
    side.feed(none(put(1, 5, "pears", 4, wants_answer=1), put(2, 5, "plums", 5)))
    assert side.take() == none([b"answer", 1, 2])
    assert root.kept[0].items == {"apples": 3, "pears": 4, "plums": 5}
    side.feed(none([b"cachemessage", 3, 5, b"drop", 1, [b"tuple"], DICT]))
    out = side.take()
    assert b"twisted.spread.flavors.NoSuchMethod" in out
    assert b"No such method: observe_drop" in out
    root.kept.clear()
    side.take()
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


def test_a_copy_hears_of_updates_until_the_owner_forgets_it() -> None:
    side = server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(call(b"kind", [TAG, 5, state(apples=3)])))
    assert side.take().endswith(none([b"decache", 5]))
    # They were on their way.
    side.feed(none(put(1, 5, "pears", 4, wants_answer=1)))
    assert side.take() == none([b"answer", 1, 2])
    # It was sent once more before the release arrived.
    side.feed(none(call(b"keep", [b"cached", 5])))
    side.take()
    assert root.kept[0].items == {"apples": 3, "pears": 4}
    root.kept.clear()
    assert side.take() == none([b"decache", 5])
    side.feed(none([b"uncache", 5], put(3, 5, "plums", 5, wants_answer=1)))
    assert b"Invalid Cache ID" in side.take()
    side.feed(none(call(b"keep", [b"cached", 5])))
    assert b"a cache that this side does not know" in side.take()
    assert side.counts() == {}


def test_a_copy_goes_home_before_it_is_released() -> None:
    side = server()
    side.feed(none(call(b"echo", [TAG, 5, state()])))
    assert side.take() == none([b"answer", 7, [b"lcache", 5]], [b"decache", 5])
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


@pytest.mark.parametrize(
    "args",
    [
        [[b"foo"], [TAG, 5, state()], [b"cached", 5], [b"remote", 6]],
        [[b"list", [TAG, 5, [b"list", [b"remote", 6]]]], [b"cached", 5]],
        [[TAG, 5, [*DICT, [text("observe_put"), [b"remote", 6]]]], [b"cached", 5]],
    ],
)
def test_refused_arguments_release_every_occurrence(args: Any) -> None:
    side = server()
    side.feed(none(call(b"keep", *args)))
    out = side.take()
    assert b"InsecureJelly" in out
    assert out.count(none([b"decache", 5])) == 2
    assert out.count(none([b"decref", 6])) == 1
    gc.collect()
    assert side.take() == b""
    assert side.counts() == {}
    side.feed(none(put(1, 5, "a", 1)))
    assert len(side.faults) == 1
    # The owner may have sent it once more.
    side.feed(none(call(b"keep", [b"cached", 5])))
    assert side.take().endswith(none([b"decache", 5]))
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


def test_what_came_whole_in_refused_arguments_is_known() -> None:
    """The owner may send it once more before it sees the release."""
    side = server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(call(b"keep", [TAG, 5, state(a=1)], [b"cached", 5], [b"remote", 6], [b"foo"])))
    out = side.take()
    assert b"InsecureJelly" in out
    assert out.count(none([b"decache", 5])) == 2
    assert out.count(none([b"decref", 6])) == 1
    side.feed(none(put(1, 5, "b", 2), call(b"keep", [b"cached", 5])))
    side.take()
    assert root.kept[0].items == {"a": 1, "b": 2}
    root.kept.clear()
    assert side.take() == none([b"decache", 5])
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


def test_a_refused_update_costs_nothing_else() -> None:
    side = server()
    root = side.broker.exports.lookup(b"root")
    side.feed(none(call(b"keep", [TAG, 5, state()])))
    side.take()
    args = [b"tuple", [b"cached", 5], [b"foo"]]
    side.feed(none([b"cachemessage", 8, 5, b"put", 1, args, DICT]))
    out = side.take()
    assert b"InsecureJelly" in out
    assert out.endswith(none([b"decache", 5]))
    assert root.kept[0].items == {}
    root.kept.clear()
    side.take()
    side.feed(none([b"uncache", 5]))
    assert side.counts() == {}


# Both.


def test_a_cache_there_and_back(pair: Pair) -> None:
    here = Stock(apples=3)
    assert pair.ask("echo", here) is here
    assert pair.ask("any", here, a=[here, here]) == ((here,), {"a": [here, here]})
    pair.ask("keep", here)
    (copy,) = app_of(pair).kept
    here.put("pears", 4)
    pair.run()
    assert copy.items == here.items == {"apples": 3, "pears": 4}
    assert pair.ask("kept") == [here]
    del copy
    pair.ask("forget")
    pair.prove_empty()
    assert here.observers == ()


def test_a_cache_that_came_with_an_abandoned_answer_is_known(pair: Pair) -> None:
    app_of(pair).thing = here = Stock(apples=3)
    client = pair.client.broker
    client.abandon(client.call(Waiter(), pair.root, "thing"))
    assert pair.ask("thing").items == {"apples": 3}
    pair.prove_empty()
    assert here.observers == ()


def test_a_copy_goes_to_its_own_connection_only(pair: Pair) -> None:
    other = join(Echo(), registry=stocks())
    app_of(pair).thing = Stock()
    copy = pair.ask("thing")
    with pytest.raises(InsecureJelly, match="only over the connection it came from"):
        other.ask("echo", copy)
    with pytest.raises(InsecureJelly):
        other.ask("echo", RemoteStock())
    assert pair.ask("echo", copy) is copy
    del copy
    gc.collect()
    pair.prove_empty()
    other.prove_empty()


def test_an_observer_is_no_value(pair: Pair) -> None:
    here = Stock()
    pair.ask("keep", here)
    (observer,) = here.observers
    with pytest.raises(InsecureJelly, match="Observer"):
        pair.ask("echo", observer)
    with pytest.raises(LocalProtocolError, match="another connection"):
        join(Echo()).client.broker.call(None, observer, "put")
    pair.ask("forget")
    pair.prove_empty()


def test_an_update_that_the_copy_refuses_comes_back_as_an_error(pair: Pair) -> None:
    here = Stock()
    pair.ask("keep", here)
    (observer,) = here.observers
    waiter = observer.call("drop")
    pair.run()
    with pytest.raises(NoSuchMethod, match="observe_drop"):
        waiter.result()
    with pytest.raises(InsecureJelly):
        here.update("put", "x", object())
    pair.ask("forget")
    pair.prove_empty()


def test_what_is_undone_was_never_observed(pair: Pair) -> None:
    first, second = Stock(), Stock()
    with pytest.raises(InsecureJelly):
        pair.ask("echo", [Thing(), first, first, object(), second])
    assert pair.client.broker.has_waiting
    pair.client.run()
    assert (first.stopped, second.stopped) == ([None], [])
    assert first.observers == second.observers == ()
    assert pair.client.take() == b""
    # Its id is free again.
    assert pair.client.broker.call(None, pair.root, "keep", (first,)) == 1
    assert encode([b"cached", 1]) not in pair.client.broker._outbox._out[0]
    pair.run()
    assert app_of(pair).kept[0].items == {}
    pair.ask("forget")
    pair.prove_empty()


def test_somebody_is_woken_for_what_is_undone() -> None:
    woken: list[int] = []
    pair = join(Echo(), registry=stocks(), wake=lambda: woken.append(1))
    app_of(pair).kept = [Stock(), object()]
    with pytest.raises(InsecureJelly):
        pair.ask("kept")
    assert woken == [1]
    assert app_of(pair).kept[0].stopped == [None]
    pair.prove_empty()


def test_when_the_connection_ends_each_object_is_told_once(pair: Pair) -> None:
    class Wants(Referenceable):
        wants_release = True

    app, broker = app_of(pair), pair.server.broker
    app.kept = [Stock(), Wants(), Stock()]
    here, wants, leaving = app.kept
    kept = pair.ask("kept")
    waiter = pair.server.call(RemoteReference(broker, b"root"), "later")
    pair.server.auto = False
    kept.pop()
    pair.run()
    (late,) = pair.server.unobserved
    assert late.target is leaving
    broker.close(OSError("gone"))
    pair.server.run()
    with pytest.raises(ConnectionLost):
        waiter.result()
    (event,) = pair.server.unobserved[1:]
    assert event.target is here
    assert pair.server.released == [wants]
    for one in (late, event):
        pair.server.stop_observing(one)
        broker.unobserved(one)
    assert (here.stopped, leaving.stopped) == ([None], [None])
    assert here.observers == leaving.observers == ()
    assert pair.server.take() == b""
    assert pair.server.counts().keys() <= {"calls_running", "waiting_bytes"}
    pair.client.broker.close()
    assert kept[0].items == {}
    del kept
    assert pair.client.counts().keys() <= {"calls_running", "waiting_bytes"}


# Who observes what.


def test_an_observer_knows_for_whom_it_is() -> None:
    class Seen(Cacheable, tag="harness.Stock"):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
            self.seen.append((perspective, observer.perspective, observer.luid))
            return {"items": {}}

        def stopped_observing(self, perspective: Any, observer: Any) -> None:
            self.seen.append(perspective)

    side, here = server(), Seen()
    reference = RemoteReference(side.broker, b"root")
    reference.perspective = "alice"
    side.broker.call(None, reference, "x", (here,))
    side.feed(none([b"decache", 1]))
    assert here.seen == [("alice", "alice", 1), "alice"]
    (event,) = side.unobserved
    assert isinstance(event.observer, Observer)
    side.take()
    assert side.counts() == {}


def test_observers_are_made_by_the_face() -> None:
    pair = join(Echo(), registry=stocks(), observer_type=CacheObserver)
    here = Stock()
    pair.ask("keep", here)
    (observer,) = here.observers
    assert type(observer) is CacheObserver
    waiter = Waiter()
    pair.client.broker.call(waiter, observer, "put", ("a", 1))
    pair.run()
    assert waiter.result() == 1
    pair.ask("forget")
    pair.prove_empty()
