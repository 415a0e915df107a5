"""Recorded conversations of Twisted: our server under its client's bytes, our client under its
server's.

All of them in both roles: message by message, byte by byte, and with something behind each. Where
Twisted does what it should not, `DIFFERS` says at which place the wire document asks for more, and
a test below shows it. Those with a portal are in tests/asyncio/test_login_sessions.py.
"""

import traceback
from typing import Any

import pytest

from pellucid.broker import Broker
from pellucid.caches import CacheObserver
from pellucid.errors import Error, InsecureJelly, NoSuchMethod, PBError, RemoteError
from pellucid.events import CallCompleted, CallFailed, CallReceived, Event
from pellucid.flavors import Cacheable, Copyable, Referenceable, RemoteCache, Root, Viewable
from pellucid.references import RemoteReference
from pellucid.registry import Registry
from tests.harness import Later, Side, Waiter
from tests.recordings import APP, PORTAL, SESSIONS, Session, sessions, ways
from tests.replays import (
    DIFFERS,
    ECHOED,
    FOLLOWED,
    REFUSED_BY_OUR_CLIENT,
    TAILS,
    Repeats,
    Things,
    check_client,
    check_echoed,
    check_server,
    check_tail,
    drive,
    follow,
)


def test_every_session_runs_in_both_roles() -> None:
    assert len(SESSIONS) == 39
    by_our_server = {*APP, *PORTAL}
    by_our_client = {*FOLLOWED, *(name for name, *_ in REFUSED), *PORTAL}
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
    # Another class has this name, in the tests of another face.
    registry.error(Known)
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


@ways
@sessions(APP)
def test_our_server_says_the_same(session: Session, way: str) -> None:
    server = Server(session)
    check_server(server, server.app, session, way)
    refused = [InsecureJelly] if session.name == "unpersistable_args" else []
    assert [type(refusal) for refusal in server.refusals] == refused


@ways
@pytest.mark.parametrize(("name", "tail"), TAILS)
def test_the_answer_comes_before_the_release(name: str, tail: Any, way: str) -> None:
    check_tail(Server(SESSIONS[name]), name, tail, way)


def test_a_result_that_nobody_asked_for_is_not_held() -> None:
    session = SESSIONS["answer_not_required"]
    server = Server(session)
    drive(server, session, "whole")
    assert server.app.noted == ["first"]
    assert len(server.broker.exports) == 0


# Our client.


class Client(Repeats, Side):
    """Our client making the recorded calls."""

    def __init__(self, session: Session) -> None:
        super().__init__(Broker("client", registry=application_registry(), observer_type=Observer))
        own = (Listener, Copyable, Cacheable)
        things = Things(Listener(), Pond("mine"), Point, Stranger, PointCopy, PondCache, own)
        self.begin(session, self.root, things)

    def make_call(self, call: str | None, reference: Any, name: str, args: Any, kw: Any) -> None:
        self.broker.call(call, reference, name, args, kw)

    def reference(self, luid: int | bytes) -> RemoteReference:
        return RemoteReference(self.broker, luid)

    def show_error(self, error: BaseException) -> dict[str, Any]:
        if not isinstance(error, PBError):
            return {"local_type": type(error).__name__, "value": str(error)}
        return {
            "type": error.remote_type,
            "value": str(error),
            "parents": list(error.remote_parents),
            "traceback": error.remote_traceback or "Traceback unavailable\n",
        }

    def handle(self, event: Event) -> None:
        if isinstance(event, CallCompleted):
            self.completed(event.waiter, event.value)
        elif isinstance(event, CallFailed):
            self.failed(event.waiter, event.error)
        else:
            super().handle(event)


@ways
@sessions(FOLLOWED)
def test_our_client_says_and_sees_the_same(session: Session, way: str) -> None:
    check_client(Client(session), session, way)


@ways
@pytest.mark.parametrize(("name", "shown"), ECHOED)
def test_our_own_object_comes_back_though_it_was_released(name: str, shown: str, way: str) -> None:
    check_echoed(Client(SESSIONS[name]), name, shown, way)


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
    client = Client(SESSIONS[name])
    follow(client, SESSIONS[name], "whole")
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
