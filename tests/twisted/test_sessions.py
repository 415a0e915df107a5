"""Recorded conversations of Twisted through this face: our server under its client's bytes, our
client under its server's, with and without a portal.

How they are played, and where we do more than Twisted, is in tests/replays.py.
"""

import gc
from itertools import chain
from typing import Any

import pytest
from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import Anonymous, UsernamePassword
from twisted.cred.error import LoginFailed
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from zope.interface import implementer

from pellucid.banana import decode
from pellucid.twisted import errors, pb
from tests.recordings import (
    APP,
    PORTAL,
    SESSIONS,
    Session,
    check_stream,
    segments,
    sessions,
    ways,
)
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
from tests.twisted.conftest import Logged
from tests.twisted.sides import Asked, One

# The applications, as Twisted's programs write them.


class Known(pb.Error):
    """What the recorded server raises on purpose."""

    __module__ = "vectors"


class Surprise(Exception):
    """What it does not."""

    __module__ = "vectors"


class RichError(pb.Error, pb.Copyable):
    """An error that travels as itself."""

    __module__ = "vectors"

    def getStateToCopy(self) -> Any:
        return {"code": 418, "text": str(self)}


class Plain:
    """Of no kind that travels."""

    __module__ = "vectors"


class Point(pb.Copyable):
    __module__ = "vectors"

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class Line(pb.Copyable):
    __module__ = "vectors"

    def __init__(self, a: Point, b: Point, label: str) -> None:
        self.a = a
        self.b = b
        self.label = label


class Stranger(pb.Copyable):
    """A copy that the other side does not know."""

    __module__ = "vectors"

    def __init__(self, v: int) -> None:
        self.v = v


class Pond(pb.Cacheable):
    __module__ = "vectors"

    def __init__(self, duck: str) -> None:
        self.ducks = [duck]
        self.observers: list[Any] = []

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.observers.append(observer)
        return {"ducks": self.ducks}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.observers.remove(observer)

    def add(self, duck: str) -> None:
        self.ducks.append(duck)
        for observer in self.observers:
            observer.callRemote("add", duck)

    def remove(self, duck: str) -> None:
        self.ducks.remove(duck)
        for observer in self.observers:
            observer.callRemote("remove", duck)


class Desk(pb.Viewable):
    def view_who(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        return perspective and perspective.name, list(args), kwargs


class Two(pb.Referenceable):
    def remote_three(self, number: int) -> int:
        return number * 3


class Listener(pb.Referenceable):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_print(self, number: int) -> str:
        self.heard.append(number)
        return f"printed {number}"


class Shown:
    """Shows its attributes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)!r})"


class PointCopy(Shown, pb.RemoteCopy):
    x: int
    y: int


class LineCopy(Shown, pb.RemoteCopy):
    pass


class RichErrorCopy(Shown, pb.RemoteCopy, Exception):
    __str__ = Shown.__repr__


class PondCache(pb.RemoteCache):
    ducks: list[str]

    def observe_add(self, duck: str) -> None:
        self.ducks.append(duck)

    def observe_remove(self, duck: str) -> int:
        self.ducks.remove(duck)
        return len(self.ducks)

    def __repr__(self) -> str:
        return f"PondCache({{'luid': {self.luid}, 'ducks': {self.ducks!r}}})"


pb.setUnjellyableForClass(Point, PointCopy)
pb.setUnjellyableForClass(Line, LineCopy)
pb.setUnjellyableForClass(RichError, RichErrorCopy)
pb.setUnjellyableForClass(Pond, PondCache)


class App(pb.Root):
    """The recorded server's root."""

    def __init__(self) -> None:
        self.two = Two()
        self.desk = Desk()
        self.point = Point(3, -4)
        self.pond = Pond("one duck")
        self.held: Any = None
        self.noted: list[str] = []
        self.waiting: list[tuple[Deferred[str], str]] = []

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

    def remote_takeListener(self, listener: Any) -> Any:
        return listener.callRemote("print", 12)

    def remote_known(self) -> None:
        raise Known("fall down go boom")

    async def remote_knownLater(self) -> None:
        raise Known("fell later")

    def remote_surprise(self) -> None:
        raise Surprise("hadda owie")

    async def remote_surpriseLater(self) -> None:
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

    def remote_later(self, tag: str) -> Deferred[str]:
        self.waiting.append((Deferred(), tag))
        return self.waiting[-1][0]

    def remote_release(self) -> None:
        while self.waiting:
            later, tag = self.waiting.pop()
            later.callback(f"late {tag}")

    def remote_note(self, text: str) -> Two:
        self.noted.append(text)
        return self.two

    def remote_notes(self) -> list[str]:
        return self.noted

    def remote_hold(self, value: Any) -> None:
        self.held = value

    def remote_letGo(self) -> None:
        self.held = None


# What is logged of the calls that fail in the recordings.
FAIL = {
    "unexpected_exception": Surprise,
    "unexpected_exception_later": Surprise,
    "unexpected_exception_unsafe_tracebacks": Surprise,
    "unknown_method": errors.NoSuchMethod,
    "unpersistable_args": errors.InsecureJelly,
}


class Server(One):
    """Our server with the recorded application."""

    def __init__(self, logged: Logged, session: Session) -> None:
        self.app = App()
        super().__init__(logged, False, knownDialects=[name.encode() for name in session.offer])
        self.broker.factory.unsafeTracebacks = bool(session.options.get("unsafe"))

    def publish(self) -> None:
        self.broker.setNameForLocal("root", self.app)


@ways
@sessions(APP)
def test_our_server_says_the_same(session: Session, way: str, logged: Logged) -> None:
    server = Server(logged, session)
    check_server(server, server.app, session, way)
    if session.name in FAIL:
        assert len(logged.take(FAIL[session.name])) == 1


@ways
@pytest.mark.parametrize(("name", "tail"), TAILS)
def test_the_answer_comes_before_the_release(
    name: str, tail: Any, way: str, logged: Logged
) -> None:
    check_tail(Server(logged, SESSIONS[name]), name, tail, way)


def test_a_result_that_nobody_asked_for_is_not_held(logged: Logged) -> None:
    session = SESSIONS["answer_not_required"]
    server = Server(logged, session)
    drive(server, session, "whole")
    assert server.app.noted == ["first"]
    assert server.counts() == {}


class Client(Repeats, One):
    """Our client making the recorded calls."""

    def __init__(self, logged: Logged, session: Session) -> None:
        super().__init__(logged, True)
        own = (Listener, pb.Copyable)
        things = Things(Listener(), Pond("mine"), Point, Stranger, PointCopy, PondCache, own)
        self.begin(session, self.broker.remoteForName("root"), things)

    def make_call(self, call: str | None, reference: Any, name: str, args: Any, kw: Any) -> None:
        if call is None:
            assert reference.callRemote(name, *args, **kw, pbanswer=False) is None
            return
        waiting = reference.callRemote(name, *args, **kw)
        waiting.addCallbacks(
            lambda value: self.completed(call, value), lambda failed: self.failed(call, failed)
        )

    def reference(self, luid: int | bytes) -> Any:
        return pb.RemoteReference(None, self.broker, luid, 0)

    def show_error(self, error: Any) -> dict[str, Any]:
        if isinstance(error.value, BaseException):
            return {"local_type": type(error.value).__name__, "value": str(error.value)}
        return {
            "type": str(error.type),
            "value": error.value,
            "parents": list(error.parents),
            "traceback": error.traceback,
        }


@ways
@sessions(FOLLOWED)
def test_our_client_says_and_sees_the_same(session: Session, way: str, logged: Logged) -> None:
    check_client(Client(logged, session), session, way)


@ways
@pytest.mark.parametrize(("name", "shown"), ECHOED)
def test_our_own_object_comes_back_though_it_was_released(
    name: str, shown: str, way: str, logged: Logged
) -> None:
    check_echoed(Client(logged, SESSIONS[name]), name, shown, way)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pb_error", Known),
        ("pb_error_later", Known),
        ("unexpected_exception", Surprise),
        ("unknown_method", errors.NoSuchMethod),
        ("unknown_object", errors.Error),
        ("insecure_jelly_args", errors.InsecureJelly),
        ("error_that_is_copyable", RichErrorCopy),
    ],
)
def test_an_error_can_be_trapped(name: str, kind: type[Exception], logged: Logged) -> None:
    client = Client(logged, SESSIONS[name])
    follow(client, SESSIONS[name], "whole")
    (failed,) = client.errors
    assert failed.check(kind) is kind
    assert failed.trap(ZeroDivisionError, kind) is kind


REFUSED: list[tuple[str, Any]] = [("class_as_argument", int), ("unpersistable_args", Plain())]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_our_client_does_not_send_what_is_sure_to_be_refused(
    name: str, value: Any, logged: Logged
) -> None:
    session = SESSIONS[name]
    client = Client(logged, session)
    for data in session.stream("s>c")[:2]:
        client.feed(data)
    client.take()
    asked = Asked(client.held[b"root"].callRemote("echo", value))
    asked.outcome().trap(errors.InsecureJelly)
    assert client.take() == b""
    assert client.counts() == {}


# Logins.


class User(pb.Avatar):
    """The recorded avatar."""

    def __init__(self, name: str) -> None:
        self.name = name

    def perspective_whoami(self) -> bytes:
        return self.name.encode()


@implementer(IRealm)
class Realm:
    """The recorded realm: it notes who comes and goes."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        assert mind is None
        assert interfaces == (pb.IPerspective,)
        name = "anonymous" if avatarId is ANONYMOUS else avatarId.decode()
        self.seen.append(f"in {name}")
        return pb.IPerspective, User(name), lambda: self.seen.append(f"out {name}")


def challenge(session: Session) -> bytes:
    """The recorded challenge, which the recorded response belongs to."""
    for data in session.stream("s>c")[1:]:
        sexp = decode(data, session.dialect)
        if sexp[0] == b"answer" and sexp[2][0] == b"tuple":
            found: bytes = sexp[2][1]
            return found
    return b""


@ways
@sessions(PORTAL)
def test_our_portal_says_the_same(
    session: Session, way: str, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm: Any = Realm()
    checker: Any = InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")
    portal = Portal(realm, [checker])
    if session.options.get("anonymous", True):
        checker = AllowAnonymousAccess()
        portal.registerChecker(checker)
    monkeypatch.setattr("secrets.token_bytes", lambda size=None: challenge(session))
    factory = pb.PBServerFactory(portal)
    server = One(logged, False, factory.buildProtocol(None))
    sent = drive(server, session, way)
    check_stream(session, sent, "s>c")
    refused = "error" in session.results[0]
    assert len(logged.take(LoginFailed)) == refused
    seen = session.states("realm")
    assert realm.seen == (eval(seen[-1]) if seen else [])
    assert server.counts() == {}


PASSWORDS = {"login": b"secret", "login_bad_password": b"guess", "login_unknown_user": b"guess"}


@ways
@sessions(PORTAL)
def test_our_client_logs_in_as_recorded(session: Session, way: str, logged: Logged) -> None:
    factory = pb.PBClientFactory()
    client = One(logged, True, factory.buildProtocol(None))
    results: list[dict[str, Any]] = []

    def entered(perspective: Any) -> Any:
        assert isinstance(perspective, pb.RemoteReference)
        note("login", f"RemoteReference(luid={perspective.luid!r})")
        who = perspective.callRemote("whoami")
        return who.addCallback(lambda who: note("whoami()", repr(who)))

    def note(call: str, result: str) -> None:
        results.append({"call": call, "result": result})

    def refused(failed: Any) -> None:
        error = {"type": str(failed.type), "value": failed.value, "parents": failed.parents}
        results.append({"call": "login", "error": {**error, "traceback": failed.traceback}})

    name = b"mallory" if session.name == "login_unknown_user" else b"alice"
    word = PASSWORDS.get(session.name)
    factory.login(Anonymous() if word is None else UsernamePassword(name, word)).addCallbacks(
        entered, refused
    )
    sent = b""
    for some in together(session, way):
        client.feed(some)
        sent += client.take()
    gc.collect()
    sent += client.take()
    check_stream(session, sent, "c>s")
    assert results == [entry for entry in session.results if "call" in entry]
    assert client.counts() == {}


def together(session: Session, way: str) -> list[bytes]:
    """What the server sends, cut as it arrives, or what comes before our next word in one piece."""
    if way != "together":
        return [*chain.from_iterable(segments(session.stream("s>c"), way))]
    found = [b""]
    for direction, data in session.messages:
        if direction == "s>c":
            found[-1] += data
        elif found[-1]:
            found.append(b"")
    return found


def test_every_password_is_tried() -> None:
    assert {*PASSWORDS, "login_anonymous", "login_anonymous_refused"} == PORTAL


def test_every_session_is_played_in_both_roles() -> None:
    assert {name for name, _ in REFUSED} == REFUSED_BY_OUR_CLIENT
    assert {*FOLLOWED, *REFUSED_BY_OUR_CLIENT, *PORTAL} == {*APP, *PORTAL} == SESSIONS.keys()
    assert FAIL.keys() <= APP
    assert {name for name, _ in DIFFERS} <= APP
