"""Every recorded session is cut at every byte, in both directions and both roles: on asyncio.

The transport is in memory, so that each cut takes a few turns of the loop and nothing waits for
time. Whatever was under way, it is over a few turns later: calls have failed with ConnectionLost,
observers and avatars are released once, no task runs, and nothing is logged that an uncut
conversation would not log.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest

import pellucid
from pellucid.asyncio.connection import Connection
from pellucid.asyncio.reference import RemoteReference
from pellucid.errors import ConnectionLost, DeadReferenceError
from pellucid.flavors import Cacheable, Copyable
from tests.asyncio.pairs import Reports
from tests.asyncio.realms import unhurried
from tests.asyncio.test_login_sessions import Realm, challenge, converse
from tests.faults.cuts import (
    OURS,
    CountedPond,
    check_lost,
    ends,
    noted,
    pieces,
    repeated,
    ways_to_end,
)
from tests.faults.wire import Wire
from tests.recordings import APP, PORTAL, SESSIONS, Session, sessions
from tests.replays import Repeats, Things
from tests.test_sessions import (
    App,
    Listener,
    Point,
    PointCopy,
    PondCache,
    Stranger,
    application_registry,
)

# More turns of the loop than anything here takes.
TURNS = 100
# The accounts of a transport that is gone stand as they were.
FREE = {"out_bytes"}


class Cut:
    """A side whose connection ends."""

    role = ""
    connection: Connection
    ponds: tuple[CountedPond, ...] = ()

    def __init__(self, session: Session) -> None:
        self.session = session

    async def play(self, direction: str, at: int) -> None:
        """Play until so many bytes of a direction have come through."""
        ours = OURS[self.role]
        self.wire = Wire(at if direction == ours else None)
        await outside(partial(self.wire.start, self.connection))
        await self.settle()
        for way, data, last in pieces(self.session, self.role, direction, at):
            if way == ours:
                self.say(data)
            else:
                await outside(partial(self.wire.feed, data))
            await self.settle()
            if last or self.wire.held:
                break

    async def settle(self) -> None:
        """Let all be done that can be done without more bytes."""
        for _turn in range(TURNS):
            before = len(self.wire.sent), self.wire.held
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if before == (len(self.wire.sent), self.wire.held) and not self.is_busy():
                return
        raise AssertionError("it does not come to rest")

    def is_busy(self) -> bool:
        """Whether something runs that will end."""
        return False

    def say(self, data: bytes) -> None:
        """Do what led to a recorded message of ours."""

    async def end(self, how: str) -> None:
        """Lose the connection, and look at what became of all that was under way."""
        connection, reason = self.connection, ends()[how]
        assert not connection.closed
        waiting: list[asyncio.Future[Any]] = [*connection._broker.pending.values()]
        assert not any(future.done() for future in waiting)
        reasons: list[BaseException | None] = []
        connection.on_close(reasons.append)
        await outside(self.wire.end if how == "eof" else self.wire.reset)
        finished = asyncio.ensure_future(connection.wait_closed())
        for _ in range(TURNS):
            if finished.done() and self.wire.over:
                break
            await asyncio.sleep(0)
        assert finished.done()
        assert [type(each) for each in reasons] == [type(reason)]
        for future in waiting:
            assert future.done()
            check_lost(future.exception(), reason)
        await self.let_go()
        for pond in self.ponds:
            pond.check()
        assert len(connection._timers._handles or ()) == 0
        charged = connection._broker.ledger.charged()
        assert charged.keys() <= FREE
        assert len(connection._broker.exports) == len(connection._broker.imports) == 0

    async def let_go(self) -> None:
        """Look at what else is over, and forget what an application would hold."""


# A server.


class AsyncPond(CountedPond, tag="vectors.Pond"):
    """The recorded cache, which does not look at what its observers answer."""

    def _tell(self, name: str, duck: str) -> None:
        for observer in self.observers:
            observer.call(name, duck).add_done_callback(asyncio.Future.exception)

    def add(self, duck: str) -> None:
        self.ducks.append(duck)
        self._tell("add", duck)

    def remove(self, duck: str) -> None:
        self.ducks.remove(duck)
        self._tell("remove", duck)


class AsyncApp(App):
    """The recorded application, whose methods wait for futures."""

    def __init__(self) -> None:
        super().__init__()
        self.pond = self.counted = AsyncPond("one duck")
        self.later: list[tuple[asyncio.Future[str], str]] = []

    def remote_takeListener(self, listener: Any) -> Any:
        return listener.call("print", 12)

    def remote_later(self, tag: str) -> Any:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.later.append((future, tag))
        return future

    def remote_release(self) -> None:
        while self.later:
            future, tag = self.later.pop()
            future.set_result(f"late {tag}")


class CutServer(Cut):
    role = "server"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.app = AsyncApp()
        self.ponds = (self.app.counted,)
        self.connection = Connection(
            "server",
            root=self.app,
            dialects=session.offer,
            registry=application_registry(),
            tracebacks=bool(session.options.get("unsafe")),
        )

    async def let_go(self) -> None:
        assert all(future.cancelled() for future, _ in self.app.later)
        self.app.held = None


USERS = pellucid.InMemory({"alice": "secret"}, iterations=4096)


class CutPortal(Cut):
    role = "server"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.realm = Realm()
        checkers: list[pellucid.Checker] = [USERS]
        if session.options.get("anonymous", True):
            checkers.append(pellucid.Anonymous())
        portal = pellucid.Portal(self.realm, checkers, throttle=unhurried())
        self.connection = Connection("server", root=portal, dialects=session.offer)

    def is_busy(self) -> bool:
        return bool(self.connection._calls.running)

    async def let_go(self) -> None:
        came = [text for text in self.realm.seen if text.startswith("in ")]
        left = [text for text in self.realm.seen if text.startswith("out ")]
        assert [text.partition(" ")[2] for text in came] == [
            text.partition(" ")[2] for text in left
        ]


# A client.


class CutClient(Cut, Repeats):
    role = "client"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.connection = Connection("client", registry=application_registry())
        self.futures: list[tuple[str, asyncio.Future[Any]]] = []
        pond = CountedPond("mine")
        self.ponds = (pond,)
        own = (Listener, Copyable, Cacheable)
        things = Things(Listener(), pond, Point, Stranger, PointCopy, PondCache, own)
        self.begin(session, self.connection.root, things)

    def say(self, data: bytes) -> None:
        repeated(self.repeat, data)

    def make_call(self, call: str | None, reference: Any, name: str, args: Any, kw: Any) -> None:
        if call is None:
            reference.notify(name, *args, **kw)
            return
        future = reference.call(name, *args, **kw)
        self.futures.append((call, future))
        future.add_done_callback(partial(self._answered, call))

    def _answered(self, call: str, future: "asyncio.Future[Any]") -> None:
        error = future.exception()
        if error is None:
            self.completed(call, future.result())
        else:
            self.failed(call, error)

    def reference(self, luid: int | bytes) -> RemoteReference:
        return RemoteReference(self.connection._broker, luid, self.connection)

    def show_error(self, error: BaseException) -> dict[str, Any]:
        return {"type": type(error).__name__}

    async def let_go(self) -> None:
        assert all(future.done() for _, future in self.futures)
        late = self.connection.root.call("echo", 1)
        assert type(late.exception()) is DeadReferenceError
        self.held.clear()
        self.copies.clear()
        self.errors.clear()
        self.futures.clear()


class CutLogin(Cut):
    """A client that logs in as an application does."""

    role = "client"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.connection = Connection("client")
        self.conversing: asyncio.Task[Any] | None = None

    async def play(self, direction: str, at: int) -> None:
        self.conversing = asyncio.ensure_future(self._converse())
        await super().play(direction, at)

    async def _converse(self) -> Any:
        await self.connection.wait_ready()
        return await converse(self.connection, self.session)

    async def let_go(self) -> None:
        assert self.conversing is not None
        assert self.conversing.done()
        error = self.conversing.exception()
        if error is None:
            assert self.conversing.result() == [
                entry for entry in self.session.results if "call" in entry
            ]
        else:
            assert type(error) is ConnectionLost
        self.conversing = None


# All of it, at every byte.


async def outside(act: Callable[[], object]) -> None:
    """Let the loop call this, as it calls what belongs to a transport."""
    asyncio.get_running_loop().call_soon(act)
    await asyncio.sleep(0)


class Records(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def logged() -> Iterator[list[str]]:
    records = Records()
    logger = logging.getLogger("pellucid")
    logger.addHandler(records)
    yield records.texts
    logger.removeHandler(records)


@pytest.fixture
def reports() -> Reports:
    """What the loop was told of things that nobody looked at."""
    return []


Make = Callable[[Session], Cut]


async def cut_everywhere(
    make: Make,
    session: Session,
    direction: str,
    logged: list[str],
    reports: Reports,
    long_form: bool,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    whole = make(session)
    await whole.play("", 0)
    ours = direction == OURS[whole.role]
    count = len(whole.wire.sent) if ours else len(b"".join(session.stream(direction)))
    await whole.end("eof")
    usual = [*logged]
    for at in range(count + 1):
        for how in ways_to_end(whole.role, direction, long_form):
            with noted(session.name, whole.role, direction, how, at):
                logged.clear()
                side = make(session)
                await side.play(direction, at)
                await side.end(how)
                assert logged == usual[: len(logged)]
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert reports == []


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(main)


both = pytest.mark.parametrize("direction", ["c>s", "s>c"])


@both
@sessions({*APP})
def test_a_client_is_cut_at_every_byte(
    session: Session, direction: str, logged: list[str], reports: Reports, long_form: bool
) -> None:
    run(cut_everywhere(CutClient, session, direction, logged, reports, long_form))


@both
@sessions({*PORTAL})
def test_a_client_that_logs_in_is_cut_at_every_byte(
    session: Session, direction: str, logged: list[str], reports: Reports, long_form: bool
) -> None:
    run(cut_everywhere(CutLogin, session, direction, logged, reports, long_form))


@both
@sessions({*APP})
def test_a_server_is_cut_at_every_byte(
    session: Session, direction: str, logged: list[str], reports: Reports, long_form: bool
) -> None:
    run(cut_everywhere(CutServer, session, direction, logged, reports, long_form))


@both
@sessions({*PORTAL})
def test_a_portal_is_cut_at_every_byte(
    session: Session,
    direction: str,
    logged: list[str],
    reports: Reports,
    long_form: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded, at_random = challenge(session), secrets.token_bytes
    monkeypatch.setattr(
        "secrets.token_bytes",
        lambda size=None: recorded if size == len(recorded) else at_random(size),
    )
    run(cut_everywhere(CutPortal, session, direction, logged, reports, long_form))


def test_a_method_that_waited_for_its_own_client_is_quiet(
    logged: list[str], reports: Reports
) -> None:
    session = SESSIONS["client_object_called_by_server"]

    async def main() -> None:
        server = CutServer(session)
        await server.play("c>s", len(b"".join(session.stream("c>s"))) - 12)
        assert len(server.connection._calls.running) == 1
        await server.end("eof")

    run(main())
    assert logged == []
