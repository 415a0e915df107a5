"""One connection of ours, led by a script: what the peer sends, and what our application does."""

import weakref
from collections.abc import Callable
from typing import Any

from fuzz.application import OWN_ERRORS, SAID, App, Later, Thing, registry
from fuzz.arrival import Arrival
from fuzz.oracle import Broken, Outcome, check, documented
from fuzz.show import Shown
from pellucid.banana import DIALECTS, Framer, decode, encode
from pellucid.broker import Broker
from pellucid.caches import CacheObserver
from pellucid.errors import (
    ConnectionClosed,
    ConnectionLost,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    PBError,
    RemoteError,
)
from pellucid.events import (
    CallCompleted,
    CallFailed,
    CallReceived,
    Closed,
    Event,
    Paused,
    PeerFault,
    Ready,
    Released,
    Unobserved,
)
from pellucid.failures import FAILURE_TAG, is_failure
from pellucid.limits import Limits
from pellucid.references import RemoteReference

ALIVE: "weakref.WeakSet[Broker]" = weakref.WeakSet()

_LOCAL = (InsecureJelly, LimitExceeded, LocalProtocolError, ConnectionClosed)
_COMMANDS = {
    b"message": 7,
    b"cachemessage": 7,
    b"answer": 3,
    b"error": 3,
    b"decref": 2,
    b"decache": 2,
    b"uncache": 2,
    b"version": 2,
    b"didNotUnderstand": 2,
}
_TABLES = (
    ("references_exported", "exports"),
    ("caches_exported", "cache_exports"),
    ("caches_held", "cache_imports"),
)
_ACCOUNTS = ("references_held", "calls_pending", "calls_waiting", *(name for name, _ in _TABLES))
# One message alone may go beyond these, and updates as far again.
_SOFT = ("out_bytes", "waiting_bytes")
_REGISTRY = registry()
_WIRE = Limits()


class Handle(RemoteReference):
    """A reference whose hash is the same on every connection."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(self.luid)


class Observer(CacheObserver):
    """A handle on a copy, with the verb that a cache needs."""

    __slots__ = ()

    def notify(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Call a method of the copy."""
        self.origin.call(None, self, name, args, kwargs)


class Life:
    """A broker and its face. `outcome` hears all that happens."""

    def __init__(self, role: str, limits: Limits, arrival: Arrival, outcome: Outcome) -> None:
        self.outcome = outcome
        self.arrival = arrival
        self.app = App()
        self.broker = Broker(
            role,
            root=self.app,
            limits=limits,
            registry=_REGISTRY,
            reference_type=Handle,
            observer_type=Observer,
            buffer=arrival.buffer(),
        )
        ALIVE.add(self.broker)
        # Updates of caches do not wait, so as many calls may run again.
        self.bounds = [(name, getattr(limits, name)) for name in _ACCOUNTS]
        self.bounds.append(("calls_running", 2 * limits.calls_running))
        self.soft_bounds = [(name, 2 * getattr(limits, name)) for name in _SOFT]
        self.starts = True
        self.waiting: dict[int, list[Event]] = {}
        self.calls = 0
        self.requests: dict[int, int] = {}
        self.closed = 0
        self.received = 0
        self.sent = bytearray()

    # What arrives.

    def feed(self, data: bytes) -> None:
        """Let the peer send something."""
        self.received += len(data)
        self.arrival.deliver(data, self.broker, self.broker.receive_data, self.run)
        self.check_accounts()
        self.check_tables()

    def run(self) -> bool:
        """Take every event. Tells whether the connection is over."""
        broker = self.broker
        before = broker.ledger.waiting_bytes
        while (event := broker.next_event(self.starts)) is not None:
            self.handle(event)
            # What came with it goes now, and not with the next one, which may not have come yet.
            del event
            self.check_accounts()
        if broker.ledger.waiting_bytes != before:
            self.check_accounts()
        return broker.closed

    def handle(self, event: Event) -> None:
        """See to one event."""
        note = self.outcome.add
        check(not self.closed or not isinstance(event, (CallReceived, Ready)), "work after the end")
        if isinstance(event, CallReceived):
            self.serve(event)
        elif isinstance(event, CallCompleted):
            self.answered(event, self.shown(event.value))
        elif isinstance(event, CallFailed):
            self.answered(event, self.failure(event.error))
        elif isinstance(event, PeerFault):
            self.outcome.refused = True
            note(f"fault: {event.text}{self.cause(event.cause)}")
        elif isinstance(event, Unobserved):
            event.target.stopped_observing(event.perspective, event.observer)
            self.broker.unobserved(event)
            note("unobserved")
        elif isinstance(event, Released):
            note(f"released {type(event.target).__name__}")
        elif isinstance(event, Ready):
            note(f"ready {event.dialect}")
        elif not isinstance(event, Paused):
            self.end(event)

    def serve(self, call: CallReceived) -> None:
        """Run the method and answer."""
        self.outcome.accepted = True
        self.outcome.messages += 1
        check(type(call.name) is str and type(call.args) is tuple, "a call of the wrong shape")
        check(all(type(key) is str for key in call.kwargs), "a keyword that is no text")
        values = self.shown((call.args, call.kwargs))
        self.outcome.add(f"call {call.name[:40]!r} of {type(call.target).__name__} with {values}")
        try:
            value = call.target.find_method(call.name)(*call.args, **call.kwargs)
        except (Error, PBError, *OWN_ERRORS) as error:
            self.broker.fail(call, error.with_traceback(None))
            return
        if isinstance(value, Later):
            self.app.later.append(call)
        else:
            self.answer(call, value)

    def answer(self, call: CallReceived, value: Any) -> None:
        """Answer a call, with nothing where the answer could not be compared."""
        shown = Shown(value)
        refusal = self.broker.answer(call, None if shown.vague else value)
        if refusal is not None:
            if not isinstance(refusal, (InsecureJelly, LimitExceeded)):
                raise Broken(f"an answer was refused with {refusal!r}") from refusal
            self.outcome.add(f"not sent: {type(refusal).__name__}: {refusal}")
        # Its traceback leads back to this frame. Who looks for cycles would say when the call goes.
        del refusal

    def answered(self, event: CallCompleted | CallFailed, what: str) -> None:
        """Note what became of a call of ours."""
        self.outcome.messages += 1
        check(not self.waiting[event.waiter], "a call of ours ended twice")
        self.waiting[event.waiter].append(event)
        self.outcome.add(f"our call {event.waiter}: {what}")

    def failure(self, error: Exception) -> str:
        """Give the error of a call of ours as text."""
        if is_failure(error):
            return f"error {self.shown(error)}"
        if type(error) in (ConnectionLost, RemoteError) or isinstance(error, OWN_ERRORS):
            return f"{type(error).__name__}: {error}"
        self.outcome.refused = True
        return documented(error) + self.cause(error.__cause__)

    def cause(self, error: BaseException | None) -> str:
        """Give as text what code of this side raised: only the application's own may."""
        if error is None:
            return ""
        if not isinstance(error, OWN_ERRORS):
            raise Broken(f"reading a value raised {type(error).__name__}: {error}") from error
        return f" because of {type(error).__name__}"

    def end(self, event: Closed) -> None:
        """The connection is over."""
        self.closed += 1
        error = event.error
        if error is None or isinstance(error, EOFError):
            self.outcome.add(f"closed: {error}")
        elif isinstance(error, LimitExceeded):
            # One of ours, too: an answer of which not even an error could be sent.
            self.outcome.refused = True
            self.outcome.add(f"closed: {error}")
        else:
            self.outcome.refusal(error, "closed")

    def shown(self, value: Any) -> str:
        """Give a value as text."""
        shown = Shown(value)
        self.outcome.vague |= shown.vague
        return shown.text

    # What our application does meanwhile.

    def act(self, number: int) -> None:
        """Do one of the actions."""
        actions = self.actions()
        name, action = actions[number % len(actions)]
        self.outcome.add(f"action {name}")
        try:
            action()
        except _LOCAL as error:
            self.outcome.add(f"{type(error).__name__}: {error}")
        self.run()
        self.check_tables()

    def actions(self) -> list[tuple[str, Callable[[], object]]]:
        """Give the actions, by their numbers."""
        broker, app = self.broker, self.app
        return [
            ("send", self.take),
            ("answer", self.answer_later),
            ("fail", self.fail_later),
            ("drop", app.kept.clear),
            ("ask", lambda: self.call("ask", *app.kept[:2])),
            ("thing", lambda: self.call("take", app.thing, Thing())),
            ("stock", lambda: self.call("take", app.stock)),
            ("view", lambda: self.call("take", app.view, app.user)),
            ("put", lambda: app.stock.put("a", len(self.sent))),
            ("notify", lambda: self.notify(app.thing)),
            ("abandon", self.abandon),
            ("stuck", self.stuck),
            ("hold", lambda: setattr(self, "starts", not self.starts)),
            ("refused", lambda: self.call("take", Thing(), object())),
            ("value", lambda: broker.decode_value(broker.encode_value([app.thing, *app.kept[:1]]))),
            ("eof", broker.receive_eof),
            ("close", broker.close),
        ]

    def target(self) -> RemoteReference | None:
        """Give what we call: the newest reference that is kept, or else the root."""
        for one in reversed(self.app.kept):
            if isinstance(one, RemoteReference):
                return one
        return self.broker.root

    def call(self, name: str, *args: Any) -> None:
        """Make a call of ours."""
        target = self.target()
        if target is None or Shown(args).vague:
            return
        # No number comes again: those of abandoned calls are not in `waiting`.
        waiter = self.calls
        self.calls += 1
        self.waiting[waiter] = []
        try:
            self.requests[self.broker.call(waiter, target, name, args)] = waiter
        except BaseException:
            del self.waiting[waiter]
            raise

    def notify(self, *args: Any) -> None:
        """Make one that wants no answer."""
        target = self.target()
        if target is not None:
            self.broker.call(None, target, "tell", args)

    def abandon(self) -> None:
        """Wait for the newest call no more, if it is still waiting."""
        if self.requests:
            request, waiter = self.requests.popitem()
            if request in self.broker.pending:
                self.broker.abandon(request)
                del self.waiting[waiter]

    def answer_later(self) -> None:
        """Answer the oldest call that waits for it."""
        if self.app.later:
            call = self.app.later.pop(0)
            self.answer(call, call.args)

    def fail_later(self) -> None:
        """Let the newest one fail."""
        if self.app.later:
            self.broker.fail(self.app.later.pop(), OWN_ERRORS[len(self.app.later) % 2]("later"))

    def stuck(self) -> None:
        """The transport has what there is, and nothing of it leaves."""
        data = self.broker.data_to_send()
        self.sent += data
        self.broker.data_left(len(data))

    def take(self) -> None:
        """All that is to be sent leaves."""
        while data := self.broker.data_to_send():
            self.sent += data
        self.broker.data_left(0)

    # What has to hold.

    def check_accounts(self) -> None:
        """Hold every account to its limit."""
        ledger = self.broker.ledger
        for name, bound in self.bounds:
            used = getattr(ledger, name)
            if not 0 <= used <= bound:
                raise Broken(f"{name} is {used}")
        # An answer is as large as what it gives back.
        more = 20_000 + 4 * self.received
        for name, bound in self.soft_bounds:
            used = getattr(ledger, name)
            if not 0 <= used <= bound + more:
                raise Broken(f"{name} is {used}")

    def check_tables(self) -> None:
        """Hold the accounts to be what is in the tables."""
        broker = self.broker
        if not broker.closed:
            for name, table in _TABLES:
                used, there = broker.ledger.used(name), len(getattr(broker, table))
                check(used == there, f"{name} is {used}, and {there} are there")

    def finish(self, dialect: str) -> None:
        """End the connection, and prove that nothing is left."""
        broker, app = self.broker, self.app
        self.starts = True
        self.take()
        broker.receive_eof()
        self.run()
        if not broker.closed:
            # It waits for calls that run; nobody does any more.
            broker.close()
            self.run()
        self.take()
        while app.later:
            self.answer_later()
        app.kept.clear()
        self.run()
        check(self.closed == 1, f"the end came {self.closed} times")
        check(broker.next_event() is None and broker.data_to_send() == b"", "more after the end")
        check(all(self.waiting.values()), "a call of ours did not end")
        charged = broker.ledger.charged()
        check(not charged, f"still charged at the end: {charged}")
        for name in ("exports", "imports", "cache_exports", "cache_imports"):
            check(len(getattr(broker, name)) == 0, f"{name} is not empty")
        self.check_sent(dialect)

    def check_sent(self, dialect: str) -> None:
        """Hold all that we sent to be messages that a peer understands."""
        data = bytes(self.sent)
        self.outcome.sent = data
        # What the handshake begins with is in none.
        framer = Framer(DIALECTS["none"], _WIRE)
        framer.feed(data)
        framer.next_message()
        framer.dialect = DIALECTS[dialect]
        while (message := framer.next_message()) is not None:
            sexp = decode(message, dialect)
            if not isinstance(sexp, list) or _COMMANDS.get(sexp[0] if sexp else b"") != len(sexp):
                raise Broken(f"we sent {sexp!r:.100}")
            # The number of a call goes back as it came.
            body = sexp[2:] if sexp[0] in (b"answer", b"error") else [sexp]
            ours = b"".join(encode(one, dialect) for one in body)
            check(message.endswith(ours), f"not as others would write it: {sexp!r:.100}")
            if sexp[0] == b"error":
                self.check_error(sexp[2])
        check(framer.buffered == 0, "the last message that we sent is not complete")

    def check_error(self, sexp: Any) -> None:
        """Hold an error that we answered to be a documented one."""
        check(sexp[0] == FAILURE_TAG and sexp[1][0] == b"dictionary", "an error of another shape")
        kind = next(pair[1] for pair in sexp[1][1:] if pair[0][1] == b"type")
        check(kind.decode("utf-8", "replace") in SAID, f"an error {kind!r} was answered")
        self.outcome.refused |= not kind.startswith(b"fuzz.")
