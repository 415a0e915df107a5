"""Recorded conversations of Twisted: our server under its client's bytes, our client under its
server's.
"""

import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pellucid import messages
from pellucid.banana import DIALECTS, Framer, decode
from pellucid.broker import Broker
from pellucid.errors import Error, InsecureJelly, NoSuchMethod, PBError, RemoteError
from pellucid.events import CallCompleted, CallFailed, CallReceived, Event
from pellucid.flavors import Referenceable, Root
from pellucid.jelly import Decoder
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from pellucid.registry import Registry
from tests.harness import Later, Side

VECTORS = Path(__file__).parent / "vectors"

BOTH = {
    "handshake",
    "echo",
    "echo_bytes_and_numbers",
    "keyword_arguments",
    "second_reference",
    "give_reference_back",
    "client_object_called_by_server",
    "pb_error",
    "pb_error_later",
    "unexpected_exception",
    "unexpected_exception_later",
    "unexpected_exception_unsafe_tracebacks",
    "unknown_method",
    "unknown_object",
    "decref_on_del",
    "same_reference_three_times_in_one_answer",
    "root_as_a_value",
    "own_object_echoed",
    "own_object_echoed_while_held",
    "answer_not_required",
    "answers_out_of_order",
    "dialect_none",
}
# What is sent there is refused by our client before it leaves.
SERVER_ONLY = {"insecure_jelly_args", "class_as_argument", "unpersistable_args"}
# These need copies, caches, views or logins.
OF_OTHER_FLAVOURS = {
    "error_that_is_copyable",
    "copyable",
    "copyable_twice_in_one_answer",
    "copyable_nested",
    "cacheable",
    "cacheable_again_and_back",
    "cacheable_twice_in_one_answer",
    "viewable",
    "own_cacheable_echoed",
    "login",
    "login_bad_password",
    "login_unknown_user",
    "login_anonymous",
    "login_anonymous_refused",
}
# The text of a refusal is free; its class is not.
TEXT_IS_FREE = {"insecure_jelly_args", "class_as_argument"}
FAILURE = b"twisted.spread.pb.CopyableFailure"


@dataclass(frozen=True)
class Session:
    """One entry of the file."""

    name: str
    dialect: str
    options: dict[str, Any]
    messages: list[tuple[str, bytes]]
    results: list[dict[str, Any]]

    def stream(self, direction: str) -> list[bytes]:
        return [data for way, data in self.messages if way == direction]

    @property
    def offer(self) -> list[str]:
        return ["none"] if self.dialect == "none" else ["pb", "none"]


SESSIONS = {
    row["name"]: Session(
        row["name"],
        row["dialect"],
        row["options"],
        [(message["dir"], bytes.fromhex(message["hex"])) for message in row["messages"]],
        row["results"],
    )
    for row in json.loads((VECTORS / "sessions.json").read_text())
}

pieces = pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytes"])


def sessions(names: set[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "session", [SESSIONS[n] for n in sorted(names)], ids=sorted(names)
    )


def test_each_session_has_its_place() -> None:
    assert SESSIONS.keys() == BOTH | SERVER_ONLY | OF_OTHER_FLAVOURS


# The applications.


class Known(Error):
    """What the recorded server raises on purpose."""

    __module__ = "vectors"


class Surprise(Exception):
    """What it does not."""

    __module__ = "vectors"


class Plain:
    """Of no kind that travels."""


class Two(Referenceable):
    def remote_three(self, number: int) -> int:
        return number * 3


class Listener(Referenceable):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_print(self, number: int) -> str:
        self.heard.append(number)
        return f"printed {number}"


class Relay:
    """A method that returns this answers with what another call gives."""

    def __init__(self, reference: RemoteReference, name: str, *args: Any) -> None:
        self.reference = reference
        self.name = name
        self.args = args


class App(Root):
    """The recorded server's root."""

    def __init__(self) -> None:
        self.two = Two()
        self.held: Any = None
        self.noted: list[str] = []
        self.waiting: list[tuple[Later, str]] = []
        self.server: Server | None = None

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_kw(self, *args: Any, **kwargs: Any) -> Any:
        return list(args), kwargs

    def remote_getTwo(self) -> Two:
        return self.two

    def remote_manyTwos(self) -> Any:
        return [self.two, (self.two, self.two)]

    def remote_checkTwo(self, two: Any) -> bool:
        return two is self.two

    def remote_isMe(self, me: Any) -> bool:
        return me is self

    def remote_me(self) -> "App":
        return self

    def remote_takeListener(self, listener: RemoteReference) -> Relay:
        return Relay(listener, "print", 12)

    def remote_known(self) -> None:
        raise Known("fall down go boom")

    def remote_knownLater(self) -> None:
        raise Known("fell later")

    def remote_surprise(self) -> None:
        raise Surprise("hadda owie")

    def remote_surpriseLater(self) -> None:
        raise Surprise("owie later")

    def remote_later(self, tag: str) -> Later:
        self.waiting.append((Later(), tag))
        return self.waiting[-1][0]

    def remote_release(self) -> None:
        assert self.server is not None
        while self.waiting:
            later, tag = self.waiting.pop()
            assert later.call is not None
            self.server.answer(later.call, f"late {tag}")

    def remote_note(self, text: str) -> Two:
        self.noted.append(text)
        return self.two

    def remote_notes(self) -> list[str]:
        return self.noted

    def remote_hold(self, value: Any) -> None:
        self.held = value

    def remote_letGo(self) -> None:
        self.held = None


class Server(Side):
    """Our server with the recorded application."""

    def __init__(self, session: Session) -> None:
        self.app = App()
        self.app.server = self
        unsafe = bool(session.options.get("unsafe"))
        dialects = session.offer
        super().__init__(Broker("server", root=self.app, dialects=dialects, tracebacks=unsafe))

    def serve(self, call: CallReceived) -> None:
        try:
            value = call.target.find_method(call.name)(*call.args, **call.kwargs)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            self.broker.fail(call, error.with_traceback(None), text)
            return
        if isinstance(value, Relay):
            self.broker.call(call, value.reference, value.name, value.args)
        elif isinstance(value, Later):
            value.call = call
        else:
            self.answer(call, value)

    def handle(self, event: Event) -> None:
        if isinstance(event, CallCompleted):
            self.answer(event.waiter, event.value)
        else:
            super().handle(event)


# What has to be the same.


def split(data: bytes, dialect: str) -> list[bytes]:
    """The messages of a stream."""
    framer = Framer(DIALECTS[dialect], Limits())
    framer.feed(data)
    found = list(iter(framer.next_message, None))
    assert framer.buffered == 0
    return found


def check_stream(session: Session, ours: bytes, way: str, *, releases: bool = True) -> None:
    """Compare all that one side sent with the recording, but for where a `decref` stands."""
    sides = [split(ours, session.dialect), session.stream(way)]
    decref = [b"decref"]
    released = []
    for stream in sides:
        sexps = [decode(data, session.dialect) for data in stream]
        counted = [data for data, sexp in zip(stream, sexps, strict=True) if sexp[:1] == decref]
        released.append(sorted(counted))
        stream[:] = [data for data, sexp in zip(stream, sexps, strict=True) if sexp[:1] != decref]
    mine, theirs = sides
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        sexp = decode(other, session.dialect)
        if sexp[:1] == [b"error"]:
            check_failure(session, decode(one, session.dialect), sexp)
        else:
            assert one == other
    if releases:
        assert released[0] == released[1]


def check_failure(session: Session, ours: Any, theirs: Any) -> None:
    assert ours[:2] == theirs[:2]
    mine, recorded = (failure(sexp[2]) for sexp in (ours, theirs))
    # What Twisted adds behind a Deferred is optional.
    assert [*mine] == [key for key in recorded if key not in (b"pickled", b"_frames")]
    for key in (b"type", b"captureVars", b"tb", b"parents", b"frames", b"stack"):
        assert mine[key] == recorded[key]
    if session.name not in TEXT_IS_FREE:
        assert mine[b"value"] == recorded[b"value"]
    unsafe = bool(session.options.get("unsafe"))
    assert mine[b"unsafeTracebacks"] == [b"boolean", b"true" if unsafe else b"false"]
    if unsafe:
        text = mine[b"traceback"][1]
        assert text.startswith(b"Traceback (most recent call last):")
        assert mine[b"value"][1] in text
    else:
        assert mine[b"traceback"] == recorded[b"traceback"]


def failure(jelly: Any) -> dict[bytes, Any]:
    tag, state = jelly
    assert tag == FAILURE
    assert state[0] == b"dictionary"
    assert all(key[0] == b"unicode" for key, _ in state[1:])
    return {key[1]: value for key, value in state[1:]}


# Our server.


def drive(session: Session, size: int) -> tuple[Server, bytes]:
    server = Server(session)
    sent = server.take()
    for data in session.stream("c>s"):
        server.feed(data, size)
        sent += server.take()
    assert server.ready == [session.dialect]
    assert (server.faults, server.closed) == ([], [])
    return server, sent


@pieces
@sessions(BOTH | TEXT_IS_FREE)
def test_our_server_says_the_same(session: Session, size: int) -> None:
    server, sent = drive(session, size)
    check_stream(session, sent, "s>c")
    # What the client released is gone, and what it sent was released.
    assert server.counts() == {}
    assert server.app.held is None


def test_the_answer_comes_before_the_release() -> None:
    session = SESSIONS["own_object_echoed"]
    _, sent = drive(session, 0)
    tail = [decode(data) for data in split(sent, session.dialect)][-2:]
    assert tail == [[b"answer", 1, [b"local", 1]], [b"decref", 1]]


def test_what_a_peer_could_not_send_goes_no_further() -> None:
    """Twisted gives the mark to the method, and marks it once more when it comes back."""
    session = SESSIONS["unpersistable_args"]
    server, sent = drive(session, 0)
    _, _, answer = (decode(data) for data in split(sent, session.dialect))
    assert answer[:2] == [b"error", 1]
    assert failure(answer[2])[b"type"] == b"twisted.spread.jelly.InsecureJelly"
    assert [type(refusal) for refusal in server.refusals] == [InsecureJelly]
    assert server.counts() == {}


# Our client.


class Client(Side):
    """Our client making the recorded calls, and what came of them."""

    def __init__(self, session: Session) -> None:
        super().__init__(Broker("client"))
        self.session = session
        self.listener = Listener()
        self.held: dict[int | bytes, RemoteReference] = {b"root": self.root}
        self.results: list[dict[str, Any]] = []
        self.returned: list[bool] = []
        self.errors: list[PBError] = []

    # What a recorded message names.

    def remote(self, luid: int | bytes) -> Listener:
        return self.listener

    def local(self, luid: int | bytes) -> RemoteReference:
        return self.held[luid]

    def cached(self, luid: int | bytes) -> Any:
        raise AssertionError(luid)

    lcache = cached

    def undo(self) -> None:
        raise AssertionError

    def repeat(self, data: bytes) -> None:
        """Do what led to a message of the recorded client."""
        dialect = DIALECTS[self.session.dialect]
        sexp = decode(data, dialect)
        if sexp[:1] == [b"decref"]:
            self.held.pop(sexp[1], None)
        elif sexp[:1] == [b"message"]:
            found = messages.read(data, Decoder(data, dialect, Limits(), Registry(), self))
            args, kwargs = messages.arguments(found.decoder)
            subject = found.subject
            reference = self.held.get(subject) or RemoteReference(self.broker, subject)
            shown = [show(value) for value in args]
            shown += [f"{name}={show(value)}" for name, value in kwargs.items()]
            if not found.wants_answer:
                shown.append("pbanswer=False")
            call = f"{found.name}({', '.join(shown)})"
            waiter = call if found.wants_answer else None
            self.broker.call(waiter, reference, found.name, args, kwargs)
            if waiter is None:
                self.results.append({"call": call, "result": "no answer asked for"})

    def handle(self, event: Event) -> None:
        if isinstance(event, CallCompleted):
            self.results.append({"call": event.waiter, "result": show(event.value)})
            self.keep(event.value)
        elif isinstance(event, CallFailed):
            error = event.error
            shown = {
                "type": error.remote_type,
                "value": str(error),
                "parents": list(error.remote_parents),
                "traceback": error.remote_traceback or "Traceback unavailable\n",
            }
            self.results.append({"call": event.waiter, "error": shown})
            self.errors.append(error)
        else:
            super().handle(event)

    def keep(self, value: Any) -> None:
        if isinstance(value, RemoteReference):
            self.held[value.luid] = value
        elif isinstance(value, list | tuple):
            for member in value:
                self.keep(member)
        elif isinstance(value, Listener):
            self.returned.append(value is self.listener)


def show(value: Any) -> str:
    """A value as the recordings show it."""
    if isinstance(value, RemoteReference):
        return f"RemoteReference(luid={value.luid!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(show, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(show, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Listener):
        return "<vectors.Listener object>"
    return repr(value)


def follow(session: Session, size: int) -> tuple[Client, bytes]:
    client = Client(session)
    sent = b""
    for way, data in session.messages:
        if way == "s>c":
            client.feed(data, size)
        else:
            client.repeat(data)
        sent += client.take()
    assert client.ready == [session.dialect]
    assert (client.faults, client.closed) == ([], [])
    return client, sent


def by_call(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((entry for entry in results if "call" in entry), key=lambda e: str(e["call"]))


@pieces
@sessions(BOTH)
def test_our_client_says_and_sees_the_same(session: Session, size: int) -> None:
    client, sent = follow(session, size)
    check_stream(session, sent, "c>s")
    if session.name != "own_object_echoed":
        assert by_call(client.results) == by_call(session.results)
    heard = [
        entry["state"]["heard"] for entry in session.results if "heard" in entry.get("state", "")
    ]
    assert [repr(client.listener.heard)] * len(heard) == heard
    assert client.counts() == {}


@pytest.mark.parametrize("name", ["own_object_echoed", "own_object_echoed_while_held"])
def test_our_own_object_comes_back_though_it_was_released(name: str) -> None:
    client, _ = follow(SESSIONS[name], 0)
    echoed = {"call": "echo(<vectors.Listener object>)", "result": "<vectors.Listener object>"}
    assert echoed in client.results
    assert client.returned == [True]


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("pb_error", Known),
        ("pb_error_later", Known),
        ("unexpected_exception", RemoteError),
        ("unknown_method", NoSuchMethod),
        ("unknown_object", Error),
    ],
)
def test_an_error_arrives_as_the_class_of_its_name(name: str, cls: type[PBError]) -> None:
    client, _ = follow(SESSIONS[name], 0)
    assert [type(error) for error in client.errors] == [cls]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("class_as_argument", int, "the class builtins.int can't be sent"),
        ("unpersistable_args", Plain(), "Plain can't be sent"),
    ],
)
def test_our_client_does_not_send_what_is_sure_to_be_refused(
    name: str, value: Any, text: str
) -> None:
    session = SESSIONS[name]
    client = Client(session)
    for data in session.stream("s>c")[:2]:
        client.feed(data)
    client.take()
    with pytest.raises(InsecureJelly, match=text):
        client.call(client.root, "echo", value)
    assert client.take() == b""
    assert client.counts() == {}
