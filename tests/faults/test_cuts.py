"""Every recorded session is cut at every byte, in both directions and both roles: the core.

Whatever was under way, each call that waits ends with ConnectionLost, each observer of a cache is
released once, and nothing is held or owed behind the end.
"""

from typing import Any

import pytest

from pellucid.broker import Broker
from pellucid.errors import ConnectionLost, DeadReferenceError
from pellucid.events import CallCompleted, CallFailed, CallReceived, Event
from pellucid.flavors import Cacheable, Copyable
from pellucid.references import RemoteReference
from tests.faults.cuts import (
    OURS,
    Asked,
    CountedPond,
    check_lost,
    ends,
    noted,
    pieces,
    repeated,
    ways_to_end,
)
from tests.harness import Side
from tests.recordings import APP, SESSIONS, Session, sessions
from tests.replays import REFUSED_BY_OUR_CLIENT, Repeats, Things
from tests.test_sessions import (
    Listener,
    Observer,
    Point,
    PointCopy,
    PondCache,
    Server,
    Stranger,
    application_registry,
)

# A call of the root, an answer, and a release, each of which comes too late.
LATE = b"\x03\x80\x11\x87\x01\x81\x00\x81\x02\x80\x07\x87\x01\x81"

# In which nothing is asked, or nothing that can be asked by ours.
WITHOUT_CALLS = {"handshake", *REFUSED_BY_OUR_CLIENT}


class Cut(Side):
    """A side whose connection ends."""

    role = ""
    sent = 0

    def prepare(self, pond: CountedPond) -> None:
        # What has observers.
        self.pond = pond
        # The waiters that heard what became of their calls, and what those were told that lost.
        self.over: list[Any] = []
        self.lost: list[CallFailed] = []

    def note(self, event: CallCompleted | CallFailed) -> None:
        self.over.append(event.waiter)
        if isinstance(event, CallFailed) and type(event.error) is ConnectionLost:
            self.lost.append(event)

    def play(self, session: Session, direction: str, at: int) -> None:
        """Play until so many bytes of a direction have come through."""
        ours = OURS[self.role]
        for way, data, last in pieces(session, self.role, direction, at):
            if way == ours:
                self.say(data)
            else:
                self.feed(data)
            self.sent += len(self.take())
            if last or (direction == ours and self.sent > at):
                break
        if direction == ours:
            self.broker.data_left(max(0, self.sent - at))

    def say(self, data: bytes) -> None:
        """Do what led to a recorded message of ours."""

    def end(self, how: str) -> None:
        """Lose the connection, and look at what became of all that was under way."""
        reason = ends()[how]
        waiting = [*self.broker.pending.values()]
        assert (self.closed, self.lost) == ([], [])
        if how == "eof":
            self.broker.receive_eof(reason)
        else:
            self.broker.close(reason)
        self.run()
        assert self.closed == [reason]
        assert [*map(id, waiting)] == [id(event.waiter) for event in self.lost]
        for event in self.lost:
            check_lost(event.error, reason)
        self.let_go()
        # What the transport had is gone with it.
        self.broker.data_left(0)
        assert len({*map(id, self.over)}) == len(self.over)
        self.pond.check()
        self.check_empty()
        self.feed(LATE)
        self.broker.receive_eof()
        self.broker.close()
        self.run()
        assert self.closed == [reason]
        self.check_empty()

    def check_empty(self) -> None:
        assert self.counts() == {}
        assert self.broker.pending == {}
        assert self.take() == b""
        assert not self.broker.has_waiting

    def let_go(self) -> None:
        """Do what a face does with methods that run, and an application with what it holds."""


class CutServer(Cut, Server):
    role = "server"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.app.pond = CountedPond("one duck")
        self.prepare(self.app.pond)

    def handle(self, event: Event) -> None:
        if isinstance(event, (CallCompleted, CallFailed)):
            self.note(event)
        if isinstance(event, CallFailed) and isinstance(event.waiter, CallReceived):
            self.broker.fail(event.waiter, event.error)
        else:
            super().handle(event)

    def let_go(self) -> None:
        for later, _ in self.app.waiting:
            assert later.call is not None
            self.broker.fail(later.call, ConnectionLost())
        self.app.held = None


class CutClient(Cut, Repeats):
    role = "client"

    def __init__(self, session: Session) -> None:
        super().__init__(Broker("client", registry=application_registry(), observer_type=Observer))
        self.prepare(CountedPond("mine"))
        self.asked: list[Asked] = []
        own = (Listener, Copyable, Cacheable)
        things = Things(Listener(), self.pond, Point, Stranger, PointCopy, PondCache, own)
        self.begin(session, self.root, things)

    def say(self, data: bytes) -> None:
        repeated(self.repeat, data)

    def make_call(self, call: str | None, reference: Any, name: str, args: Any, kw: Any) -> None:
        asked = None if call is None else Asked(call)
        self.broker.call(asked, reference, name, args, kw)
        if asked is not None:
            self.asked.append(asked)

    def reference(self, luid: int | bytes) -> RemoteReference:
        return RemoteReference(self.broker, luid)

    def show_error(self, error: BaseException) -> dict[str, Any]:
        return {"type": type(error).__name__}

    def handle(self, event: Event) -> None:
        if isinstance(event, (CallCompleted, CallFailed)):
            self.note(event)
        if isinstance(event, CallCompleted) and isinstance(event.waiter, Asked):
            self.completed(event.waiter.text, event.value)
        elif isinstance(event, CallFailed) and isinstance(event.waiter, Asked):
            self.failed(event.waiter.text, event.error)
        else:
            super().handle(event)

    def let_go(self) -> None:
        heard = {*map(id, self.over)}
        assert all(id(asked) in heard for asked in self.asked)
        with pytest.raises(DeadReferenceError):
            self.call(self.root, "echo", 1)
        self.held.clear()
        self.copies.clear()
        self.errors.clear()


KINDS: dict[str, type[CutServer] | type[CutClient]] = {"client": CutClient, "server": CutServer}


def cut_everywhere(session: Session, role: str, direction: str, long_form: bool) -> int:
    """Gives how many calls were lost."""
    whole = KINDS[role](session)
    whole.play(session, "", 0)
    count = whole.sent if direction == OURS[role] else len(b"".join(session.stream(direction)))
    whole.end("eof")
    assert whole.ready == [session.dialect]
    lost = 0
    for how in ways_to_end(role, direction, long_form):
        for at in range(count + 1):
            with noted(session.name, role, direction, how, at):
                side = KINDS[role](session)
                side.play(session, direction, at)
                side.end(how)
                assert side.faults == whole.faults[: len(side.faults)]
                lost += len(side.lost)
    return lost


@pytest.mark.parametrize("direction", ["c>s", "s>c"])
@sessions({*SESSIONS})
def test_our_client_is_cut_at_every_byte(session: Session, direction: str, long_form: bool) -> None:
    lost = cut_everywhere(session, "client", direction, long_form)
    assert (lost > 0) is (session.name not in WITHOUT_CALLS)


@pytest.mark.parametrize("direction", ["c>s", "s>c"])
@sessions(APP)
def test_our_server_is_cut_at_every_byte(session: Session, direction: str, long_form: bool) -> None:
    cut_everywhere(session, "server", direction, long_form)
