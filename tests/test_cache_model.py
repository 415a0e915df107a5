"""Caches under whatever order of events: one owner, and holders that come and go.

Each cache counts its versions and remembers what it was at each. A copy takes an update only if it
makes the next version of it, so none is lost, none comes twice and none out of order; and whatever
is answered tells the versions at which it was sent, which the copies in hand must then have.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pellucid.broker import Broker
from pellucid.caches import CacheObserver
from pellucid.errors import (
    ConnectionLost,
    DeadReferenceError,
    InsecureJelly,
    LimitExceeded,
    PBError,
)
from pellucid.events import CallCompleted, CallFailed, CallReceived, Closed, Event, Unobserved
from pellucid.flavors import Cacheable, Referenceable, RemoteCache, Root
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from pellucid.registry import Registry
from tests.harness import Side

CACHES = 4
LINKS = 3
EVERYTHING = 1_000_000
# Small enough to be met.
TIGHT = Limits(caches_exported=3, caches_held=3, calls_pending=8, calls_running=2, remembered_ids=2)
# So that observers are cut off.
NARROW = Limits(out_bytes=900, calls_running=1, calls_waiting=4)
WIDE = Limits()
LIMITS = [WIDE, TIGHT, NARROW]

State = tuple[tuple[int, ...], int]


# The owner.


class Observer(CacheObserver):
    """As a face makes it: an observer that takes nothing any more is cut off."""

    def __init__(self, given_up: list["Observer"], *args: Any) -> None:
        super().__init__(*args)
        self.given_up = given_up

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        self.send(None, name, args, kwargs)

    def send(self, waiter: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.origin.call(waiter, self, name, args, kwargs)
        except LimitExceeded:
            # Not at once: a message may be half written.
            self.given_up.append(self)


class Log(Cacheable, tag="model.Log"):
    """A list and a number. Each change of them makes the next version."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.entries: list[int] = []
        self.total = 0
        self.history: list[State] = [((), 0)]
        # Who looks on, and on whose behalf; who did, as often as it was told.
        self.watching: dict[Observer, Any] = {}
        self.watched: list[Observer] = []
        # It changes when somebody begins to look on, and so does its friend.
        self.greets = False
        self.friend: Log | None = None

    @property
    def version(self) -> int:
        return len(self.history) - 1

    def state_to_cache(self) -> Any:
        return {
            "index": self.index,
            "version": self.version,
            "entries": self.entries,
            "total": self.total,
        }

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        assert observer not in self.watching
        assert observer not in self.watched
        if self.greets:
            self.append(0)
        if self.friend is not None:
            self.friend.append(1)
        self.watching[observer] = perspective
        return super().state_to_cache_and_observe_for(perspective, observer)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        assert observer not in self.watched
        # It is not there if its message was refused before the state was asked for.
        assert self.watching.pop(observer, perspective) is perspective
        self.watched.append(observer)
        super().stopped_observing(perspective, observer)
        assert observer not in self.observers
        try:
            observer.notify("farewell")
        except DeadReferenceError:
            pass  # The connection is over.

    def changed(self) -> int:
        self.history.append((tuple(self.entries), self.total))
        return self.version

    def append(self, number: int) -> None:
        self.entries.append(number)
        self.update("append", self.changed(), number)

    def add(self, number: int) -> None:
        self.total += number
        self.update("add", version=self.changed(), number=number)

    def clear(self, check: Callable[[int], Callable[[Any], None]]) -> None:
        """Each holder tells at which version it is then."""
        self.entries.clear()
        version = self.changed()
        for observer in self.observers:
            try:
                observer.send(Asked(check(version)), "clear", (version,), {})
            except DeadReferenceError:
                pass


class Thing(Referenceable):
    """What travels by reference has its ids from the same counter."""


class Foreign:
    """It can be sent, and nobody can read it."""

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp([b"foo.Bar", 1])


# The holders.


class Copy(RemoteCache):
    """What a holder has of a `Log`."""

    index: int
    version: int
    entries: list[int]
    total: int

    def next(self, version: int) -> int:
        assert version == self.version + 1
        self.version = version
        return version

    def observe_append(self, version: int, number: int) -> None:
        self.next(version)
        self.entries.append(number)

    def observe_add(self, *, version: int, number: int) -> None:
        self.next(version)
        self.total += number

    def observe_clear(self, version: int) -> int:
        self.entries.clear()
        return self.next(version)

    def observe_farewell(self) -> None:
        """Nobody has a copy any more."""


def shape(values: list[Any], form: int) -> Any:
    """Some values, some of them more than once."""
    forms: list[Callable[[], Any]] = [
        lambda: values,
        lambda: [values[0], tuple(values)],
        lambda: (values, list(values), values),
        lambda: {"first": values[-1], "all": set(values), "deep": [{"x": values[0]}]},
    ]
    return forms[form]()


def flat(value: Any) -> Iterator[Any]:
    """What is in a value, at whatever depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for member in value:
            yield from flat(member)
    else:
        yield value


# Both of them.


class Asked:
    """A call that was made, and what to do with the value that answers it."""

    def __init__(self, then: Callable[[Any], None], spoilt: bool = False) -> None:
        self.then = then
        self.spoilt = spoilt
        self.done = 0
        self.request = 0
        self.abandoned = False

    @property
    def ended(self) -> bool:
        return self.done == 1 or (self.abandoned and self.done == 0)


class Peer(Side):
    """One end of a connection. Its calls wait for their answers as long as the test likes."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.other_root = RemoteReference(broker, b"root")
        self.asked: list[Asked] = []
        # The number of the call that was started last.
        self.started = -1
        self.stages: list[str] = []
        # What is on its way to this side.
        self.inbox = b""

    def ask(self, asked: Asked, name: str, *args: Any, **kwargs: Any) -> None:
        kwargs["number"] = len(self.asked)
        asked.request = self.broker.call(asked, self.other_root, name, args, kwargs)
        self.asked.append(asked)

    def pump(self, starts: int) -> None:
        """One turn, in which so many calls may start."""
        while (event := self.broker.next_event(starts > 0)) is not None:
            starts -= isinstance(event, CallReceived)
            self.handle(event)

    def handle(self, event: Event) -> None:
        if self.broker.closed:
            self.stages.append(type(event).__name__)
        if isinstance(event, CallReceived):
            self.received(event)
        elif isinstance(event, CallCompleted):
            event.waiter.done += 1
            event.waiter.then(event.value)
        elif isinstance(event, CallFailed):
            event.waiter.done += 1
            self.failed(event.waiter, event.error)
        elif isinstance(event, Unobserved):
            event.target.stopped_observing(event.perspective, event.observer)
            self.broker.unobserved(event)
        elif isinstance(event, Closed):
            self.closed.append(event.error)
        else:
            super().handle(event)

    def failed(self, asked: Asked, error: Exception) -> None:
        """Only what is refused on purpose, or for a limit, or is cut off, fails."""
        if isinstance(error, ConnectionLost):
            assert self.broker.closed
        elif self.broker.limits is not WIDE:
            # What is over a limit is refused, and so is what needs it.
            assert isinstance(error, PBError)
        else:
            assert asked.spoilt
            assert isinstance(error, InsecureJelly)

    def received(self, call: CallReceived) -> None:
        """Answer a call, or hold it until `answer_one`."""
        # They start in the order in which they were made.
        assert call.kwargs["number"] > self.started
        self.started = call.kwargs["number"]
        self.calls.append(call)
        if not call.kwargs.get("held"):
            self.answer_one(-1)

    def answer_one(self, n: int) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        """The application forgets all that it has in hand."""


class Owner(Peer):
    """The side of the caches."""

    def __init__(self, logs: list[Log], broker: Broker) -> None:
        super().__init__(broker)
        self.logs = logs
        self.thing = Thing()

    def versions(self) -> list[int]:
        return [log.version for log in self.logs]

    def answer_one(self, n: int) -> None:
        call = self.calls.pop(n % len(self.calls))
        value, *rest = call.args
        if call.name == "get":
            value = shape([self.logs[index] for index in value], rest[0])
        else:
            # What comes home is the cache itself.
            indexes = rest.pop()
            found = [one for one in flat(value) if isinstance(one, Log)]
            assert {log.index for log in found} == set(indexes)
            assert all(log is self.logs[log.index] for log in found)
            if call.name == "home":
                value = None
        spoilt = call.kwargs.get("spoilt")
        if spoilt == "here":
            refusal = self.broker.answer(call, [value, object()])
            assert refusal is not None or not call.wants_answer or self.broker.closed
        else:
            end = Foreign() if spoilt == "there" else self.thing
            self.broker.answer(call, (value, self.versions(), end))


class Holder(Peer):
    """The side of the copies. `kept` is what its application has in hand."""

    def __init__(self, logs: list[Log], broker: Broker) -> None:
        super().__init__(broker)
        self.logs = logs
        self.kept: list[Copy] = []

    def received(self, call: CallReceived) -> None:
        if isinstance(call.target, Copy):
            # Not caught: whatever it finds wrong ends the test.
            if call.name == "farewell":
                assert all(vars(copy) is not vars(call.target) for copy in self.kept)
            value = call.target.find_method(call.name)(*call.args, **call.kwargs)
            self.check_state(call.target)
            self.broker.answer(call, value)
            return
        value, versions = call.args
        # Updates may have overtaken it while it waited, and not the other way round.
        assert all(copy.version >= versions[copy.index] for copy in self.kept)
        self.keep(value)
        super().received(call)

    def answer_one(self, n: int) -> None:
        call = self.calls.pop(n % len(self.calls))
        self.broker.answer(call, call.args[0] if call.name == "bounce" else None)

    def got(self, value: Any) -> None:
        """Take an answer of the owner: each update before it has been seen, none behind it."""
        value, versions, _ = value
        for copy in self.kept:
            assert copy.version == versions[copy.index]
        self.keep(value)

    def keep(self, value: Any) -> None:
        for copy in flat(value):
            if isinstance(copy, Copy):
                self.check_state(copy)
                # While one is in hand another of it is the same.
                assert all(copy is one for one in self.kept if one.index == copy.index)
                self.kept.append(copy)

    def check_state(self, copy: Copy) -> None:
        log = self.logs[copy.index]
        assert (tuple(copy.entries), copy.total) == log.history[copy.version]

    def check_versions(self) -> None:
        """Everything has arrived: each copy is what the owner is."""
        assert all(copy.version == self.logs[copy.index].version for copy in self.kept)

    def clear(self) -> None:
        self.kept.clear()


class Link:
    """One connection of the owner to a holder."""

    def __init__(
        self, logs: list[Log], owner_is: str, dialect: str, limits: Limits, perspective: Any
    ) -> None:
        # Observers that take nothing any more.
        self.given_up: list[Observer] = []
        registry = Registry()
        registry.cache("model.Log", Copy)
        options: dict[str, Any] = {
            "dialects": (dialect,),
            "limits": limits,
            "registry": registry,
            "observer_type": partial(Observer, self.given_up),
        }
        holder_is = "server" if owner_is == "client" else "client"
        desk = Desk(perspective)
        self.owner = Owner(logs, Broker(owner_is, root=desk, **options))
        self.holder = Holder(logs, Broker(holder_is, root=Root(), **options))
        self.sides: list[Peer] = [self.owner, self.holder]
        self.settle()
        assert self.owner.ready == self.holder.ready == [dialect]

    def other(self, side: Peer) -> Peer:
        return self.holder if side is self.owner else self.owner

    def flush(self, side: Peer) -> bool:
        """What is to be sent is on its way."""
        data = side.take()
        self.other(side).inbox += data
        return bool(data)

    def deliver(self, side: Peer, count: int) -> bool:
        """Some bytes arrive, which are not looked at yet."""
        if self.given_up or not side.broker.wants_data:
            return False
        data, side.inbox = side.inbox[:count], side.inbox[count:]
        side.broker.receive_data(data)
        return bool(data)

    def settle(self) -> None:
        """Deliver until there is nothing more to say; only calls that were held stay."""
        busy = True
        while busy:
            busy = False
            for side in self.sides:
                side.pump(EVERYTHING)
                busy |= self.flush(side)
                busy |= self.deliver(self.other(side), EVERYTHING)

    def finish(self) -> None:
        """Settle, and answer what was held too."""
        self.settle()
        while any(side.calls for side in self.sides):
            for side in self.sides:
                while side.calls:
                    side.answer_one(0)
            self.settle()

    def cut(self, side: Peer, rest: bool, error: BaseException | None) -> None:
        """The connection ends. What was on its way to the other end arrives or does not."""
        side.pump(0)
        self.flush(side)
        side.broker.close(error)
        side.pump(1)
        other = self.other(side)
        if rest:
            other.broker.receive_data(other.inbox)
        other.broker.receive_eof()
        while not other.closed:
            # What it still has to say goes nowhere.
            other.take()
            other.pump(1)
            if other.calls:
                other.answer_one(0)
        self.over()

    def over(self) -> None:
        """The connection has ended on both sides: nothing is left of it."""
        for side in self.sides:
            side.pump(1)
            while side.calls:
                side.answer_one(0)
            side.clear()
            side.take()
            assert len(side.closed) == 1
            assert all(asked.ended for asked in side.asked)
            order = ["CallFailed", "Unobserved", "Released", "Closed"]
            ended = [stage for stage in side.stages if stage in order]
            assert ended == sorted(ended, key=order.index)
            assert side.counts() == {}


class Desk(Root):
    """Who calls it calls on somebody's behalf."""

    def __init__(self, perspective: Any) -> None:
        self.perspective = perspective

    def find_perspective(self) -> Any:
        return self.perspective


# What happens.

numbers = st.integers(0, 9)
flags = st.booleans()
indexes = st.lists(st.integers(0, CACHES - 1), min_size=1, max_size=3)
forms = st.integers(0, 3)
holding = st.sampled_from([False, False, False, True])
spoilings = st.sampled_from([None, None, None, None, "here", "there"])


class Caches(RuleBasedStateMachine):
    """Changes, sendings, drops, refusals, delays, ends and new beginnings, in any order."""

    @initialize(
        count=st.integers(1, LINKS),
        limits=st.sampled_from(LIMITS),
        greets=st.integers(0, CACHES),
        friends=st.integers(0, CACHES - 1),
    )
    def begin(self, count: int, limits: Limits, greets: int, friends: int) -> None:
        self.limits = limits
        self.logs = [Log(index) for index in range(CACHES)]
        for log in self.logs[:greets]:
            log.greets = True
        for log in self.logs[:friends]:
            log.friend = self.logs[-1]
        self.links = [self.connect(n) for n in range(count)]

    def connect(self, n: int) -> Link:
        owner_is = "client" if n % 2 else "server"
        dialect = ("pellucid", "pb", "none")[n % 3]
        return Link(self.logs, owner_is, dialect, self.limits, object() if n % 4 else None)

    def link(self, n: int) -> Link:
        return self.links[n % len(self.links)]

    def side(self, n: int, owner: bool) -> Peer:
        link = self.link(n)
        return link.owner if owner else link.holder

    def soon(self, n: int, how: int) -> None:
        """Some of it arrives at once, so that there is less to be drawn."""
        link = self.link(n)
        if how == 0:
            link.settle()
            if self.limits is not NARROW:
                # No update waits for calls that run.
                link.holder.check_versions()
        elif how < 3:
            for side in link.sides:
                link.flush(side)

    # Changes.

    @rule(index=st.integers(0, CACHES - 1), number=numbers, how=st.integers(0, 3))
    def change(self, index: int, number: int, how: int) -> None:
        log = self.logs[index]
        if how == 0:
            log.add(number)
        elif how == 1:
            log.clear(seen)
        else:
            log.append(number)

    # Sendings, by the holder's wish and by the owner's.

    @rule(
        n=numbers,
        indexes=indexes,
        form=forms,
        spoilt=spoilings,
        held=holding,
        soon=st.integers(0, 4),
    )
    def get(
        self, n: int, indexes: list[int], form: int, spoilt: str | None, held: bool, soon: int
    ) -> None:
        holder = self.link(n).holder
        asked = Asked(holder.got, bool(spoilt))
        try:
            holder.ask(asked, "get", indexes, form, spoilt=spoilt, held=held)
        except (LimitExceeded, DeadReferenceError):
            pass
        self.soon(n, soon)

    @rule(
        n=numbers,
        indexes=indexes,
        form=forms,
        name=st.sampled_from(["take", "bounce"]),
        spoilt=spoilings,
        held=holding,
        soon=st.integers(0, 4),
    )
    def give(
        self,
        n: int,
        indexes: list[int],
        form: int,
        name: str,
        spoilt: str | None,
        held: bool,
        soon: int,
    ) -> None:
        owner = self.link(n).owner
        logs = [self.logs[index] for index in indexes]
        value = shape(logs, form)
        if spoilt:
            value = [value, object() if spoilt == "here" else Foreign(), logs[0]]

        def back(found: Any) -> None:
            if name == "bounce":
                assert set(flat(found)) == set(flat(value))
                assert all(type(one) is Log for one in flat(found))

        try:
            more: dict[str, Any] = {"held": held}
            if form:
                more["one"] = logs[0]
            owner.ask(Asked(back, bool(spoilt)), name, value, owner.versions(), **more)
            assert spoilt != "here"
        except (LimitExceeded, DeadReferenceError):
            pass
        except InsecureJelly:
            assert spoilt == "here"
        self.soon(n, soon)

    @rule(
        n=numbers,
        form=forms,
        name=st.sampled_from(["home", "echo"]),
        spoilt=spoilings,
        held=holding,
        drop=flags,
        soon=st.integers(0, 4),
    )
    def send_home(
        self, n: int, form: int, name: str, spoilt: str | None, held: bool, drop: bool, soon: int
    ) -> None:
        holder = self.link(n).holder
        if not holder.kept:
            return
        copies = holder.kept[:3]
        value = shape(copies, form)
        sent = sorted({copy.index for copy in copies})
        if drop:
            # All that keeps them is the message.
            holder.kept.clear()
        try:
            asked = Asked(holder.got, bool(spoilt))
            holder.ask(asked, name, value, sent, spoilt=spoilt, held=held)
        except (LimitExceeded, DeadReferenceError):
            pass
        del copies, value
        self.soon(n, soon)

    @rule(
        n=numbers,
        indexes=st.lists(st.integers(0, CACHES - 1), min_size=1, max_size=5),
        cut=st.integers(0, 600),
        starts=st.lists(st.integers(0, 2), min_size=1, max_size=5),
    )
    def burst(self, n: int, indexes: list[int], cut: int, starts: list[int]) -> None:
        """Answers and updates in turn reach a holder that is slow."""
        link = self.link(n)
        owner, holder = link.owner, link.holder
        for number, index in enumerate(indexes):
            try:
                holder.ask(Asked(holder.got), "get", [index], number % 4)
            except LimitExceeded:
                pass
            link.flush(holder)
            link.deliver(owner, EVERYTHING)
            owner.pump(EVERYTHING)
            self.logs[indexes[-1 - number]].append(number)
        link.flush(owner)
        link.deliver(holder, cut)
        for count in starts:
            holder.pump(count)
            link.deliver(holder, EVERYTHING)

    @rule(n=numbers, at=numbers, count=st.integers(1, 5), soon=st.integers(0, 4))
    def drop(self, n: int, at: int, count: int, soon: int) -> None:
        kept = self.link(n).holder.kept
        if kept:
            at %= len(kept)
            del kept[at : at + count]
            self.soon(n, soon)

    @rule(n=numbers, owner=flags, at=numbers)
    def abandon(self, n: int, owner: bool, at: int) -> None:
        """Nobody waits for an answer any more."""
        side = self.side(n, owner)
        if side.asked:
            at %= len(side.asked)
            side.broker.abandon(side.asked[at].request)
            side.asked[at].abandoned = True

    @rule(n=numbers, owner=flags, at=numbers)
    def answer(self, n: int, owner: bool, at: int) -> None:
        side = self.side(n, owner)
        if side.calls:
            side.answer_one(at)

    # Delays.

    @rule(n=numbers, owner=flags)
    def flush(self, n: int, owner: bool) -> None:
        self.link(n).flush(self.side(n, owner))

    @rule(
        n=numbers,
        owner=flags,
        count=st.integers(1, 60) | st.integers(60, 600) | st.just(EVERYTHING),
        starts=st.none() | st.integers(0, 3),
    )
    def deliver(self, n: int, owner: bool, count: int, starts: int | None) -> None:
        """Some bytes arrive, and are looked at in a turn or wait."""
        side = self.side(n, owner)
        self.link(n).deliver(side, count)
        if starts is not None:
            side.pump(starts)

    @rule(n=numbers, owner=flags, starts=st.integers(0, 3))
    def turn(self, n: int, owner: bool, starts: int) -> None:
        self.side(n, owner).pump(starts)

    # Ends.

    @rule(n=numbers, owner=flags, rest=flags, fault=flags, patience=st.integers(0, 3))
    def reconnect(self, n: int, owner: bool, rest: bool, fault: bool, patience: int) -> None:
        if patience:
            return
        link = self.link(n)
        link.cut(self.side(n, owner), rest, OSError("gone") if fault else None)
        self.links[n % len(self.links)] = self.connect(n)

    @precondition(lambda self: len(getattr(self, "links", ())) < LINKS)
    @rule(n=numbers)
    def join(self, n: int) -> None:
        self.links.append(self.connect(n))

    # What always holds.

    @invariant()
    def copies_are_what_the_owner_was(self) -> None:
        for n, link in enumerate(getattr(self, "links", ())):
            for copy in link.holder.kept:
                link.holder.check_state(copy)
            for side in link.sides:
                refused = "a call that wants no answer was refused"
                assert all(text.startswith(refused) for text in side.faults)
                assert all(asked.done < 2 for asked in side.asked)
                assert not side.broker.closed
            if link.given_up:
                # One update is lost, and so is all behind it.
                assert self.limits is not WIDE
                link.cut(link.owner, False, None)
                self.links[n] = self.connect(n)

    @invariant()
    def who_looks_on_is_known(self) -> None:
        for log in getattr(self, "logs", ()):
            assert set(log.observers) == set(log.watching)
            assert len(log.observers) == len(log.watching)
            assert len(log.watched) == len(set(log.watched))

    def teardown(self) -> None:
        """Everything arrives: copies are what the owner is. All are dropped: nothing is left."""
        if sys.exception() is not None:
            return  # It has failed already, and what failed holds what it looked at.
        links = getattr(self, "links", ())
        for _ in range(2):
            # What one of them finishes may change what another one has.
            for link in links:
                link.finish()
            self.copies_are_what_the_owner_was()
        for link in links:
            link.holder.check_versions()
            link.holder.kept.clear()
            link.finish()
            for side in link.sides:
                assert side.counts() == {}
                assert side.closed == []
                assert all(asked.ended for asked in side.asked)
        for log in getattr(self, "logs", ()):
            assert log.watching == {}
            assert log.observers == ()
        for link in links:
            link.cut(link.owner, True, None)


def seen(version: int) -> Callable[[Any], None]:
    """A check of what a holder tells."""

    def check(value: Any) -> None:
        assert value == version

    return check


Caches.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestCaches = Caches.TestCase
