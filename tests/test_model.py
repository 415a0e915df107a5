"""Two brokers against a model of both tables, under whatever order of events.

The model sees the messages only: an owner's count is how often an id went out, less each `decref`
that has arrived; a holder owes a `decref` for each time that an id came in, and whatever is not in
the application's hands any more has been released.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pellucid.banana import PB, Framer, decode
from pellucid.broker import Broker
from pellucid.errors import ConnectionClosed, InsecureJelly, LimitExceeded
from pellucid.events import CallCompleted, CallFailed, CallReceived, Event
from pellucid.flavors import Referenceable, Root
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from tests.harness import Side, Waiter

# Small enough to be met.
LIMITS = Limits(references_held=6, references_exported=5, calls_pending=6, remembered_ids=2)
OBJECTS = 4


class Named(Referenceable):
    """An object that is known by its name on both sides."""

    def __init__(self, name: str) -> None:
        self.name = name


class Foreign:
    """It can be sent, and nobody can read it."""

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp([b"foo.Bar", 1])


def flat(value: Any) -> Iterator[Any]:
    """What is in a value, at whatever depth."""
    if isinstance(value, list | tuple):
        for member in value:
            yield from flat(member)
    else:
        yield value


def spoilt(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Some values, with one that nobody can read in the middle."""
    middle = len(values) // 2
    return (*values[:middle], Foreign(), *values[middle:])


def references(value: Any) -> set[int | bytes]:
    return {one.luid for one in flat(value) if isinstance(one, RemoteReference)}


def occurrences(sexp: Any) -> Iterator[int]:
    """The ids that a message counts."""
    if isinstance(sexp, list):
        if sexp[:1] == [b"remote"]:
            yield sexp[1]
        for member in sexp:
            yield from occurrences(member)


class Peer(Side):
    """A side with objects of its own, and its half of the model."""

    def __init__(self, name: str, broker: Broker) -> None:
        super().__init__(broker)
        self.objects = [Named(f"{name}{n}") for n in range(OBJECTS)]
        self.kept: list[Any] = []
        self.waiters: dict[int, Waiter] = {}
        self.abandoned: set[int] = set()
        self.dirty = False
        # The model: what went out and came in, as often as it did; which id is which object.
        self.owned: Counter[int] = Counter()
        self.owing: Counter[int] = Counter()
        self.pending: set[int] = set()
        self.names: dict[int | bytes, str] = {}
        self.inbox: deque[tuple[bytes, Any]] = deque()

    def handle(self, event: Event) -> None:
        if isinstance(event, CallReceived):
            assert isinstance(event.target, Root) or event.target in self.objects
            self.check(event.args)
            self.calls.append(event)
            return
        super().handle(event)
        if isinstance(event, CallCompleted):
            self.check(event.value)
            self.kept.append(event.value)
            event.waiter.value = None
        elif isinstance(event, CallFailed):
            assert not isinstance(event.error, ConnectionClosed)
            event.waiter.error = None

    def check(self, value: Any) -> None:
        """Each object that came is the one whose name came with it."""
        *values, names = value
        for one, name in zip(flat(values), names, strict=True):
            if isinstance(one, Named):
                assert one in self.objects
                assert one.name == name
            else:
                assert isinstance(one, RemoteReference)
                assert one.origin is self.broker
                assert self.names.setdefault(one.luid, name) == name

    def alive(self) -> set[int | bytes]:
        held = references(self.kept)
        return held.union(*(references(call.args) for call in self.calls))

    def name_of(self, value: Any) -> str:
        return value.name if isinstance(value, Named) else self.names[value.luid]

    def build(self, picks: list[int]) -> tuple[Any, ...]:
        """Some values, some of them twice, and behind them their names."""
        hand = [one for one in flat(self.kept) if isinstance(one, RemoteReference)]
        hand += [one for call in self.calls for one in flat(call.args) if type(one) is not str]
        values: list[Any] = []
        for pick in picks:
            if pick < OBJECTS:
                values.append(self.objects[pick])
            elif hand:
                values.append(hand[pick % len(hand)])
        if sum(picks) % 2:
            values.append(tuple(values))
        return (*values, [self.name_of(one) for one in flat(values)])


picks = st.lists(st.integers(0, OBJECTS + 5), min_size=1, max_size=4)
sides = st.booleans()


class Tables(RuleBasedStateMachine):
    """Sends, answers, refusals, cancellations, drops and delays, in any order."""

    @initialize()
    def join(self) -> None:
        self.peers = [
            Peer("c", Broker("client", root=Root(), limits=LIMITS)),
            Peer("s", Broker("server", root=Root(), limits=LIMITS)),
        ]
        client, server = self.peers
        client.feed(server.take())
        server.feed(client.take())
        client.feed(server.take())
        assert client.ready == server.ready == ["pellucid"]

    def pair(self, first: bool) -> tuple[Peer, Peer]:
        client, server = self.peers
        return (client, server) if first else (server, client)

    def flush(self, peer: Peer, other: Peer) -> None:
        """What is to be sent is on its way, and counted."""
        peer.dirty = False
        framer = Framer(PB, LIMITS)
        framer.feed(peer.take())
        while (data := framer.next_message()) is not None:
            sexp = decode(data)
            peer.owned.update(occurrences(sexp))
            if sexp[0] == b"decref":
                peer.owing[sexp[1]] -= 1
                assert peer.owing[sexp[1]] >= 0
            other.inbox.append((data, sexp))

    def send(
        self, first: bool, values: tuple[Any, ...], target: int | None, wants: bool = True
    ) -> int:
        """Make a call. 0 if it is refused, and then nothing is sent."""
        peer, other = self.pair(first)
        reference = RemoteReference(peer.broker, b"root")
        held = [one for one in flat(peer.kept) if isinstance(one, RemoteReference)]
        if target is not None and held:
            reference = held[target % len(held)]
        waiter = Waiter() if wants else None
        said = len(other.inbox)
        request = 0
        try:
            request = peer.broker.call(waiter, reference, "take", values)
        except (InsecureJelly, LimitExceeded):
            pass
        del reference, held, values
        self.flush(peer, other)
        calls = [data for data, sexp in list(other.inbox)[said:] if sexp[0] == b"message"]
        assert len(calls) == (request != 0)
        if not request:
            return 0
        if waiter is not None:
            peer.waiters[request] = waiter
            peer.pending.add(request)
        return request

    @rule(
        first=sides,
        picks=picks,
        at=st.none() | st.integers(0, 9),
        ending=st.integers(0, 5),
        wants=sides,
        soon=sides,
    )
    def call(
        self, first: bool, picks: list[int], at: int | None, ending: int, wants: bool, soon: bool
    ) -> None:
        values = self.pair(first)[0].build(picks)
        if ending == 0:
            # Refused here.
            assert self.send(first, (*values, object()), at, wants) == 0
        else:
            # Or refused there.
            self.send(first, spoilt(values) if ending == 1 else values, at, wants)
        del values
        if soon:
            self.deliver(not first, 99, 7)

    @precondition(lambda self: any(peer.calls for peer in self.peers))
    @rule(first=sides, n=st.integers(0, 9), picks=picks, ending=st.integers(0, 5), soon=sides)
    def answer(self, first: bool, n: int, picks: list[int], ending: int, soon: bool) -> None:
        first = first if self.pair(first)[0].calls else not first
        peer, other = self.pair(first)
        value = peer.build(picks)
        call = peer.calls.pop(n % len(peer.calls))
        if ending == 0:
            peer.broker.fail(call, ValueError("no"))
        elif ending == 1:
            peer.broker.answer(call, (*value, object()))
        elif ending == 2:
            peer.broker.answer(call, spoilt(value))
        else:
            peer.broker.answer(call, value)
            if ending == 3:
                peer.kept.append(call.args)
        del call, value
        self.flush(peer, other)
        if soon:
            self.deliver(not first, 99, 7)

    @precondition(lambda self: any(peer.pending for peer in self.peers))
    @rule(first=sides, n=st.integers(0, 9))
    def abandon(self, first: bool, n: int) -> None:
        peer, other = self.pair(first)
        if not peer.pending:
            peer = other
        waiting = [number for number, waiter in peer.waiters.items() if not waiter.done]
        if waiting:
            request = waiting[n % len(waiting)]
            peer.broker.abandon(request)
            peer.abandoned.add(request)

    @precondition(lambda self: any(peer.kept for peer in self.peers))
    @rule(first=sides, n=st.integers(0, 9))
    def drop(self, first: bool, n: int) -> None:
        peer, other = self.pair(first)
        if not peer.kept:
            peer = other
        if peer.kept:
            peer.kept.pop(n % len(peer.kept))
            # Nothing is said of it before there is something to send.
            peer.dirty = True

    @precondition(lambda self: any(peer.inbox for peer in self.peers))
    @rule(first=sides, count=st.integers(1, 9), cut=st.integers(0, 40))
    def deliver(self, first: bool, count: int, cut: int) -> None:
        """Some messages arrive, cut anywhere."""
        peer, other = self.pair(first)
        if not peer.inbox:
            peer, other = other, peer
        for _ in range(min(count, len(peer.inbox))):
            data, sexp = peer.inbox.popleft()
            # Counted before it is looked at, whatever becomes of it.
            peer.owing.update(occurrences(sexp))
            if sexp[0] == b"decref":
                peer.owned[sexp[1]] -= 1
            elif sexp[0] in (b"answer", b"error"):
                peer.pending.remove(sexp[1])
            peer.feed(data[:cut])
            peer.feed(data[cut:])
        self.flush(peer, other)

    @invariant()
    def tables_and_model_agree(self) -> None:
        for peer in getattr(self, "peers", ()):
            owned = +peer.owned
            exports, ledger = peer.broker.exports, peer.broker.ledger
            assert len(exports) == ledger.used("references_exported") == len(owned)
            for luid in owned:
                assert exports.lookup(luid) in peer.objects
            assert ledger.used("calls_running") == len(peer.calls)
            assert ledger.used("calls_pending") == len(peer.pending)
            assert peer.closed == []
            # Nobody has counted wrong.
            refused = "a call that wants no answer was refused"
            assert all(text.startswith(refused) for text in peer.faults)
            for request, waiter in peer.waiters.items():
                lost = request in peer.pending or request in peer.abandoned
                assert waiter.done == (0 if lost else 1)
            if not peer.dirty:
                alive = peer.alive()
                assert set(+peer.owing) == alive
                assert len(peer.broker.imports) == ledger.used("references_held") == len(alive)
                assert ledger.used("out_bytes") == 0

    def teardown(self) -> None:
        """Everything is delivered, answered and dropped: nothing is left."""
        for _ in range(9):
            for first in (True, False):
                peer, _ = self.pair(first)
                self.deliver(first, len(peer.inbox), 3)
                while peer.calls:
                    self.answer(first, 0, [], 5, False)
                peer.kept.clear()
                self.flush(*self.pair(first))
                self.tables_and_model_agree()
        for peer in self.peers:
            assert peer.counts() == {}
            assert not +peer.owned
            assert not +peer.owing


Tables.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestTables = Tables.TestCase
