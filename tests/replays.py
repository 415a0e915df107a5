"""How a recorded conversation is played again, to a server and to a client of any face."""

from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from pellucid import messages
from pellucid.banana import DIALECTS, decode
from pellucid.jelly import Decoder
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from pellucid.registry import Registry
from tests.recordings import (
    APP,
    SESSIONS,
    Session,
    by_call,
    check_stream,
    failure,
    segments,
    split,
)

# Where we do more than Twisted, by whom, and where the wire document asks for it.
DIFFERS = {
    # The answer stands before the release, so that what is named in it is still there.
    ("own_object_echoed", "server"): "19.15",
    ("own_cacheable_echoed", "server"): "19.15",
    # The object itself comes back, though the release came before it.
    ("own_object_echoed", "client"): "19.15",
    ("own_cacheable_echoed", "client"): "19.15",
    # The object of a result that nobody asked for is not held.
    ("answer_not_required", "server"): "19.19",
    # What can't be sent is refused where it is sent.
    ("unpersistable_args", "client"): "19.22",
    ("class_as_argument", "client"): "4",
    # The mark of such an object goes no further.
    ("unpersistable_args", "server"): "19.22",
}
REFUSED_BY_OUR_CLIENT = {"unpersistable_args", "class_as_argument"}
FOLLOWED = APP - REFUSED_BY_OUR_CLIENT


class Played(Protocol):
    """A side of a connection, and what came of it."""

    @property
    def ready(self) -> list[str]: ...

    @property
    def faults(self) -> list[str]: ...

    @property
    def closed(self) -> list[BaseException | None]: ...

    def feed(self, data: bytes) -> None:
        """Let bytes arrive."""

    def take(self) -> bytes:
        """All that is to be sent."""

    def counts(self) -> dict[str, int]:
        """What is still held or owed."""


# A server.


def drive(server: Played, session: Session, way: str) -> bytes:
    """Play what the recorded client said, and give what the server says."""
    sent = server.take()
    stream = session.stream("c>s")
    if way == "together":
        stream = [b"".join(stream)]
    for data in chain.from_iterable(segments(stream, way)):
        server.feed(data)
        sent += server.take()
    assert server.ready == [session.dialect]
    assert (server.faults, server.closed) == ([], [])
    return sent


def check_server(server: Played, app: Any, session: Session, way: str) -> None:
    """What a server with the recorded application says is what was recorded."""
    sent = drive(server, session, way)
    if session.name == "unpersistable_args":
        check_mark(session, sent)
    else:
        check_stream(session, sent, "s>c")
    # What the client released is gone, and what it sent was released.
    assert server.counts() == {}
    assert app.held is None
    assert not app.pond.observers
    ducks = session.states("ducks") or ["['one duck']"]
    assert repr(app.pond.ducks) == ducks[-1]


def check_mark(session: Session, sent: bytes) -> None:
    """Twisted gives the mark to the method, and marks it once more when it comes back."""
    mine, theirs = split(sent, session.dialect), session.stream("s>c")
    assert mine[:-1] == theirs[:-1]
    answer = decode(mine[-1])
    assert answer[:2] == [b"error", 1]
    assert failure(answer[2])[b"type"] == b"twisted.spread.jelly.InsecureJelly"


TAILS = [
    ("own_object_echoed", [[b"answer", 1, [b"local", 1]], [b"decref", 1]]),
    ("own_cacheable_echoed", [[b"answer", 1, [b"lcache", 1]], [b"decache", 1]]),
]


def check_tail(server: Played, name: str, tail: Any, way: str) -> None:
    """The answer comes before the release."""
    session = SESSIONS[name]
    sent = drive(server, session, way)
    assert [decode(data) for data in split(sent, session.dialect)][-2:] == tail


# A client.


@dataclass
class Things:
    """What a client has of its own, and the classes of what is sent around."""

    listener: Any
    pond: Any
    point: type
    stranger: type
    point_copy: type
    pond_cache: type
    # Those that are shown without their content.
    own: tuple[type, ...]


class Repeats:
    """A client that makes the recorded calls, and what came of them."""

    def begin(self, session: Session, root: RemoteReference, things: Things) -> None:
        self.session = session
        self.things = things
        self.held: dict[int | bytes, Any] = {b"root": root}
        # One for each receipt.
        self.copies: list[Any] = []
        self.results: list[dict[str, Any]] = []
        self.errors: list[Any] = []
        # What the recordings note beside the calls.
        self.states: dict[str, list[str]] = {"ducks": [], "same_object": [], "same_id": []}
        # It reads what the recorded client sent as what that had in hand.
        self.recorded = Registry()
        self.recorded.copy("vectors.Point", lambda state: things.point(**state))
        self.recorded.copy("vectors.Stranger", lambda state: things.stranger(**state))
        self.recorded.copy("vectors.Pond", lambda luid: things.pond)

    def make_call(self, call: str | None, reference: Any, name: str, args: Any, kw: Any) -> None:
        """Call; without an answer where `call`, by which it is known, is None."""
        raise NotImplementedError

    def reference(self, luid: int | bytes) -> Any:
        """A reference that was made by hand."""
        raise NotImplementedError

    def show_error(self, error: Any) -> dict[str, Any]:
        """An error as the recordings show it."""
        raise NotImplementedError

    # What a recorded message names.

    def remote(self, luid: int | bytes, perspective: Any) -> Any:
        return self.things.listener

    def local(self, luid: int | bytes) -> Any:
        return self.held[luid]

    def lcache(self, luid: int | bytes) -> Any:
        return self.copies[0]

    def new_cache(self, luid: int | bytes, make: Any) -> Any:
        raise AssertionError(luid)

    def cached(self, luid: int | bytes) -> Any:
        raise AssertionError(luid)

    def undo(self) -> None:
        raise AssertionError

    def repeat(self, data: bytes) -> None:
        """Do what led to a message of the recorded client."""
        dialect = DIALECTS[self.session.dialect]
        sexp = decode(data, dialect)
        if sexp[:1] == [b"decref"]:
            self.held.pop(sexp[1], None)
        elif sexp[:1] == [b"decache"]:
            self.copies.pop()
        elif sexp[:1] == [b"message"]:
            self.repeat_call(data)

    def repeat_call(self, data: bytes) -> None:
        dialect = DIALECTS[self.session.dialect]
        found = messages.read(data, Decoder(data, dialect, Limits(), self.recorded, self))
        args, kwargs = messages.arguments(found.decoder)
        subject = found.subject
        reference = self.held.get(subject) or self.reference(subject)
        shown = [self.show(value) for value in args]
        shown += [f"{name}={self.show(value)}" for name, value in kwargs.items()]
        if not found.wants_answer:
            shown.append("pbanswer=False")
        call = f"{found.name}({', '.join(shown)})"
        self.make_call(call if found.wants_answer else None, reference, found.name, args, kwargs)
        if not found.wants_answer:
            self.results.append({"call": call, "result": "no answer asked for"})

    def completed(self, call: str, value: Any) -> None:
        self.results.append({"call": call, "result": self.show(value)})
        self.keep(value)
        if call.startswith(("addDuck", "removeDuck")):
            self.states["ducks"].append(repr(self.copies[0].ducks))

    def failed(self, call: str, error: Any) -> None:
        self.results.append({"call": call, "error": self.show_error(error)})
        self.errors.append(error)

    def keep(self, value: Any) -> None:
        things = self.things
        if isinstance(value, RemoteReference):
            if value.luid in self.held:
                same = value is self.held[value.luid]
                self.states["same_id"].append(str(same))
            self.held[value.luid] = value
        elif isinstance(value, things.pond_cache):
            self.copies.append(value)
        elif isinstance(value, list | tuple):
            if value and type(value[0]) in (things.point_copy, things.pond_cache):
                self.states["same_object"].append(str(value[0] is value[1]))
                value = value[:1]
            for member in value:
                self.keep(member)
        elif isinstance(value, type(things.listener) | type(things.pond)):
            self.states["same_object"].append(str(value in (things.listener, things.pond)))

    def show(self, value: Any) -> str:
        """A value as the recordings show it."""
        if isinstance(value, RemoteReference):
            return f"RemoteReference(luid={value.luid!r})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.show, value))}]"
        if type(value) is tuple:
            return f"({', '.join(map(self.show, value))}{',' * (len(value) == 1)})"
        if isinstance(value, self.things.own):
            return f"<vectors.{type(value).__name__} object>"
        return repr(value)


class Follower(Played, Protocol):
    """A side that is a `Repeats` as well."""

    things: Things
    results: list[dict[str, Any]]
    states: dict[str, list[str]]

    def repeat(self, data: bytes) -> None:
        """Do what led to a message of the recorded client."""


def follow(client: Follower, session: Session, way: str) -> bytes:
    """Play what the recorded server said, making its client's calls, and give what we said."""
    sent = b""
    arriving = iter(segments(session.stream("s>c"), way))
    together: list[bytes] = []
    for direction, data in [*session.messages, ("c>s", b"")]:
        if direction == "s>c":
            together += next(arriving)
            if way == "together":
                # All that the server sent between two messages of its client.
                continue
        for some in [b"".join(together)] if way == "together" else together:
            client.feed(some)
            sent += client.take()
        together.clear()
        if direction == "c>s" and data:
            client.repeat(data)
        sent += client.take()
    assert client.ready == [session.dialect]
    assert (client.faults, client.closed) == ([], [])
    return sent


def check_client(client: Follower, session: Session, way: str) -> None:
    """What a client says and sees is what was recorded."""
    sent = follow(client, session, way)
    check_stream(session, sent, "c>s")
    if not session.name.endswith("_echoed"):
        assert by_call(client.results) == by_call(session.results)
        assert client.states["ducks"] == session.states("ducks")
        for key in ("same_object", "same_id"):
            assert set(client.states[key]) >= set(session.states(key))
            assert "False" not in client.states[key]
    if heard := session.states("heard"):
        assert [repr(client.things.listener.heard)] * len(heard) == heard
    assert not client.things.pond.observers
    assert client.counts() == {}


ECHOED = [
    ("own_object_echoed", "<vectors.Listener object>"),
    ("own_object_echoed_while_held", "<vectors.Listener object>"),
    ("own_cacheable_echoed", "<vectors.Pond object>"),
]


def check_echoed(client: Follower, name: str, shown: str, way: str) -> None:
    """Our own object comes back, though it was released."""
    follow(client, SESSIONS[name], way)
    assert {"call": f"echo({shown})", "result": shown} in client.results
    assert client.states["same_object"] == ["True"]
