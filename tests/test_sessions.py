"""Recorded conversations of Twisted: our server under its client's bytes, our client under its
server's.

All of them in both roles: message by message, byte by byte, and with something behind each. Where
Twisted does what it should not, `DIFFERS` says at which place the wire document asks for more, and
a test below shows it. Those with a portal are in tests/asyncio/test_login_sessions.py.
"""

import traceback
from itertools import chain
from typing import Any

import pytest

from pellucid import messages
from pellucid.banana import DIALECTS, decode
from pellucid.broker import Broker
from pellucid.caches import CacheObserver
from pellucid.errors import Error, InsecureJelly, NoSuchMethod, PBError, RemoteError
from pellucid.events import CallCompleted, CallFailed, CallReceived, Event
from pellucid.flavors import Cacheable, Copyable, Referenceable, RemoteCache, Root, Viewable
from pellucid.jelly import Decoder
from pellucid.limits import Limits
from pellucid.references import RemoteReference
from pellucid.registry import Registry
from tests.harness import Later, Side, Waiter
from tests.recordings import (
    APP,
    PORTAL,
    SESSIONS,
    Session,
    by_call,
    check_stream,
    failure,
    segments,
    sessions,
    split,
    ways,
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


def test_every_session_runs_in_both_roles() -> None:
    assert len(SESSIONS) == 39
    by_our_server = {*APP, *PORTAL}
    by_our_client = {*(APP - REFUSED_BY_OUR_CLIENT), *(name for name, *_ in REFUSED), *PORTAL}
    assert by_our_server == by_our_client == SESSIONS.keys()


def test_each_accident_of_twisted_is_avoided() -> None:
    accidents = {name for name, session in SESSIONS.items() if session.accident}
    # In that one either order is right.
    accidents.remove("own_object_echoed_while_held")
    assert accidents == {name for name, _ in DIFFERS} - REFUSED_BY_OUR_CLIENT
    assert {name for name, _ in DIFFERS} <= APP


# The applications.


class Known(Error):
    """What the recorded server raises on purpose."""

    __module__ = "vectors"


class Surprise(Exception):
    """What it does not."""

    __module__ = "vectors"


class RichError(Error, Copyable, tag="vectors.RichError"):
    """An error that travels as itself."""

    def state_to_copy(self) -> Any:
        return {"code": 418, "text": str(self)}


class Plain:
    """Of no kind that travels."""


class Point(Copyable, tag="vectors.Point"):
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class Line(Copyable, tag="vectors.Line"):
    def __init__(self, a: Point, b: Point, label: str) -> None:
        self.a = a
        self.b = b
        self.label = label


class Stranger(Copyable, tag="vectors.Stranger"):
    """A copy that the other side does not know."""

    def __init__(self, v: int) -> None:
        self.v = v


class Observer(CacheObserver):
    """Waits for its answers, and does not look at them."""

    def call(self, name: str, *args: Any) -> None:
        self.origin.call(Waiter(), self, name, args)


class Pond(Cacheable, tag="vectors.Pond"):
    def __init__(self, duck: str) -> None:
        self.ducks = [duck]

    def add(self, duck: str) -> None:
        self.ducks.append(duck)
        for observer in self.observers:
            observer.call("add", duck)

    def remove(self, duck: str) -> None:
        self.ducks.remove(duck)
        for observer in self.observers:
            observer.call("remove", duck)


class Desk(Viewable):
    def view_who(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        return perspective and perspective.name, list(args), kwargs


class Two(Referenceable):
    def remote_three(self, number: int) -> int:
        return number * 3


class Listener(Referenceable):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_print(self, number: int) -> str:
        self.heard.append(number)
        return f"printed {number}"


# What the client makes of what it gets. The server reads points and ponds too.


class Shown:
    """Shows its attributes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)!r})"


class PointCopy(Shown):
    x: int
    y: int


class LineCopy(Shown):
    pass


class RichErrorCopy(Shown, Exception):
    __str__ = Shown.__repr__


class PondCache(RemoteCache):
    ducks: list[str]

    def observe_add(self, duck: str) -> None:
        self.ducks.append(duck)

    def observe_remove(self, duck: str) -> int:
        self.ducks.remove(duck)
        return len(self.ducks)

    def __repr__(self) -> str:
        # The recorded client shows the id too; there is one pond.
        return f"PondCache({{'luid': 1, 'ducks': {self.ducks!r}}})"


def application_registry() -> Registry:
    registry = Registry()
    registry.copy("vectors.Point", PointCopy)
    registry.copy("vectors.Line", LineCopy)
    registry.copy("vectors.RichError", RichErrorCopy)
    registry.cache("vectors.Pond", PondCache)
    return registry


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
        self.desk = Desk()
        self.point = Point(3, -4)
        self.pond = Pond("one duck")
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

    def remote_isPond(self, pond: Any) -> bool:
        return pond is self.pond

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

    def remote_rich(self) -> None:
        raise RichError("teapot")

    def remote_point(self) -> Point:
        return self.point

    def remote_pointTwice(self) -> list[Point]:
        return [self.point, self.point]

    def remote_line(self) -> Line:
        return Line(self.point, Point(0, 0), "l\u00edne")

    def remote_norm1(self, point: PointCopy) -> int:
        return abs(point.x) + abs(point.y)

    def remote_pond(self) -> Pond:
        return self.pond

    def remote_pondTwice(self) -> tuple[Pond, Pond]:
        return self.pond, self.pond

    def remote_addDuck(self, duck: str) -> None:
        self.pond.add(duck)

    def remote_removeDuck(self, duck: str) -> None:
        self.pond.remove(duck)

    def remote_desk(self) -> Desk:
        return self.desk

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
        super().__init__(
            Broker(
                "server",
                root=self.app,
                dialects=session.offer,
                registry=application_registry(),
                tracebacks=bool(session.options.get("unsafe")),
                observer_type=Observer,
            )
        )

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
        if isinstance(event, CallCompleted) and isinstance(event.waiter, CallReceived):
            self.answer(event.waiter, event.value)
        else:
            super().handle(event)


# Our server.


def drive(session: Session, way: str) -> tuple[Server, bytes]:
    server = Server(session)
    sent = server.take()
    stream = session.stream("c>s")
    if way == "together":
        stream = [b"".join(stream)]
    for data in chain.from_iterable(segments(stream, way)):
        server.feed(data)
        sent += server.take()
    assert server.ready == [session.dialect]
    assert (server.faults, server.closed) == ([], [])
    return server, sent


@ways
@sessions(APP)
def test_our_server_says_the_same(session: Session, way: str) -> None:
    server, sent = drive(session, way)
    if session.name == "unpersistable_args":
        check_mark(session, server, sent)
    else:
        check_stream(session, sent, "s>c")
        assert server.refusals == []
    # What the client released is gone, and what it sent was released.
    assert server.counts() == {}
    assert server.app.held is None
    assert server.app.pond.observers == ()
    ducks = session.states("ducks") or ["['one duck']"]
    assert repr(server.app.pond.ducks) == ducks[-1]


def check_mark(session: Session, server: Server, sent: bytes) -> None:
    """Twisted gives the mark to the method, and marks it once more when it comes back."""
    mine, theirs = split(sent, session.dialect), session.stream("s>c")
    assert mine[:-1] == theirs[:-1]
    answer = decode(mine[-1])
    assert answer[:2] == [b"error", 1]
    assert failure(answer[2])[b"type"] == b"twisted.spread.jelly.InsecureJelly"
    assert [type(refusal) for refusal in server.refusals] == [InsecureJelly]


@ways
@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("own_object_echoed", [[b"answer", 1, [b"local", 1]], [b"decref", 1]]),
        ("own_cacheable_echoed", [[b"answer", 1, [b"lcache", 1]], [b"decache", 1]]),
    ],
)
def test_the_answer_comes_before_the_release(name: str, tail: Any, way: str) -> None:
    session = SESSIONS[name]
    _, sent = drive(session, way)
    assert [decode(data) for data in split(sent, session.dialect)][-2:] == tail


def test_a_result_that_nobody_asked_for_is_not_held() -> None:
    server, _ = drive(SESSIONS["answer_not_required"], "whole")
    assert server.app.noted == ["first"]
    assert len(server.broker.exports) == 0


# Our client.


class Client(Side):
    """Our client making the recorded calls, and what came of them."""

    def __init__(self, session: Session) -> None:
        super().__init__(Broker("client", registry=application_registry(), observer_type=Observer))
        self.session = session
        self.listener = Listener()
        self.pond = Pond("mine")
        self.held: dict[int | bytes, RemoteReference] = {b"root": self.root}
        # One for each receipt.
        self.copies: list[PondCache] = []
        self.results: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        # What the recordings note beside the calls.
        self.states: dict[str, list[str]] = {"ducks": [], "same_object": [], "same_id": []}
        # It reads what the recorded client sent as what that had in hand.
        self.recorded = Registry()
        self.recorded.copy("vectors.Point", lambda state: Point(**state))
        self.recorded.copy("vectors.Stranger", lambda state: Stranger(**state))
        self.recorded.copy("vectors.Pond", lambda luid: self.pond)

    # What a recorded message names.

    def remote(self, luid: int | bytes, perspective: Any) -> Listener:
        return self.listener

    def local(self, luid: int | bytes) -> RemoteReference:
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
            if event.waiter.startswith(("addDuck", "removeDuck")):
                self.states["ducks"].append(repr(self.copies[0].ducks))
        elif isinstance(event, CallFailed):
            self.results.append({"call": event.waiter, "error": show_error(event.error)})
            self.errors.append(event.error)
        else:
            super().handle(event)

    def keep(self, value: Any) -> None:
        if isinstance(value, RemoteReference):
            if value.luid in self.held:
                same = value is self.held[value.luid]
                self.states["same_id"].append(str(same))
            self.held[value.luid] = value
        elif isinstance(value, PondCache):
            self.copies.append(value)
        elif isinstance(value, list | tuple):
            if value and type(value[0]) in (PointCopy, PondCache):
                self.states["same_object"].append(str(value[0] is value[1]))
                value = value[:1]
            for member in value:
                self.keep(member)
        elif isinstance(value, Listener | Pond):
            self.states["same_object"].append(str(value in (self.listener, self.pond)))


def show(value: Any) -> str:
    """A value as the recordings show it."""
    if isinstance(value, RemoteReference):
        return f"RemoteReference(luid={value.luid!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(show, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(show, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Listener | Copyable | Cacheable):
        return f"<vectors.{type(value).__name__} object>"
    return repr(value)


def show_error(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, PBError):
        return {"local_type": type(error).__name__, "value": str(error)}
    return {
        "type": error.remote_type,
        "value": str(error),
        "parents": list(error.remote_parents),
        "traceback": error.remote_traceback or "Traceback unavailable\n",
    }


def follow(session: Session, way: str) -> tuple[Client, bytes]:
    client = Client(session)
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
    return client, sent


@ways
@sessions(APP - REFUSED_BY_OUR_CLIENT)
def test_our_client_says_and_sees_the_same(session: Session, way: str) -> None:
    client, sent = follow(session, way)
    check_stream(session, sent, "c>s")
    if not session.name.endswith("_echoed"):
        assert by_call(client.results) == by_call(session.results)
        assert client.states["ducks"] == session.states("ducks")
        for key in ("same_object", "same_id"):
            assert set(client.states[key]) >= set(session.states(key))
            assert "False" not in client.states[key]
    if heard := session.states("heard"):
        assert [repr(client.listener.heard)] * len(heard) == heard
    assert client.pond.observers == ()
    assert client.counts() == {}


@ways
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("own_object_echoed", "<vectors.Listener object>"),
        ("own_object_echoed_while_held", "<vectors.Listener object>"),
        ("own_cacheable_echoed", "<vectors.Pond object>"),
    ],
)
def test_our_own_object_comes_back_though_it_was_released(name: str, shown: str, way: str) -> None:
    client, _ = follow(SESSIONS[name], way)
    assert {"call": f"echo({shown})", "result": shown} in client.results
    assert client.states["same_object"] == ["True"]


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("pb_error", Known),
        ("pb_error_later", Known),
        ("unexpected_exception", RemoteError),
        ("unknown_method", NoSuchMethod),
        ("unknown_object", Error),
        ("insecure_jelly_args", InsecureJelly),
        ("error_that_is_copyable", RichErrorCopy),
    ],
)
def test_an_error_arrives_as_the_class_of_its_name(name: str, cls: type[Exception]) -> None:
    client, _ = follow(SESSIONS[name], "whole")
    assert [type(error) for error in client.errors] == [cls]


REFUSED = [
    ("class_as_argument", int, "the class builtins.int can't be sent"),
    ("unpersistable_args", Plain(), "Plain can't be sent"),
]


@pytest.mark.parametrize(("name", "value", "text"), REFUSED)
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
