"""The Twisted face, on a reactor of its own for each test.

What the tests serve and send has Twisted's flavours, connections are made by the factories of
`pellucid.twisted.pb` over endpoints, and every call is a `callRemote`. The tests see what that
gives and raises. What is here gives them other names for it.
"""

import gc
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import urlsplit

import pytest
from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import Anonymous, UsernamePassword
from twisted.cred.error import LoginFailed
from twisted.cred.portal import IRealm, Portal
from twisted.internet import defer, error
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

import pellucid
from pellucid.twisted import banana, flavors, jelly, pb
from tests.asyncio.certificates import Certificates
from tests.faces.face import FREE, PATIENCE, Face, Steps, walk_async
from tests.faces.flavours import flavoured

# What the tests call it, and what it is here.
NAMES: dict[type[BaseException], tuple[type[BaseException], ...]] = {
    pellucid.ConnectionLost: (pb.PBConnectionLost,),
    pellucid.DeadReferenceError: (pb.DeadReferenceError,),
    pellucid.InsecureJelly: (jelly.InsecureJelly,),
    pellucid.LimitExceeded: (pellucid.LimitExceeded, banana.BananaError),
    pellucid.LoginFailed: (LoginFailed,),
    pellucid.NoSuchMethod: (pb.NoSuchMethod,),
    pellucid.RemoteError: (pb.RemoteError,),
    ConnectionRefusedError: (error.ConnectionRefusedError,),
    TimeoutError: (defer.TimeoutError,),
}


def _call(reference: Any, name: Any, /, *args: Any, **kwargs: Any) -> Any:
    return reference.callRemote(name, *args, **kwargs)


def _notify(reference: Any, name: Any, /, *args: Any, **kwargs: Any) -> None:
    refused = reference.callRemote(name, *args, pbanswer=False, **kwargs)
    if refused is not None:
        # It has failed already.
        found: list[Failure] = []
        refused.addErrback(found.append)
        found.pop().raiseException()


def _is_dead(reference: Any) -> bool:
    return bool(reference.broker.disconnected)


@contextmanager
def _names_of_the_tests() -> Iterator[None]:
    """Let references answer to the names by which the tests call them, as well."""
    with (
        mock.patch.multiple(
            pb.RemoteReference, create=True, call=_call, notify=_notify, closed=property(_is_dead)
        ),
        mock.patch.multiple(flavors.RemoteCacheObserver, create=True, call=_call, notify=_notify),
    ):
        yield


@contextmanager
def _logging() -> Iterator[None]:
    """Hand on to Python's logging what the face logs, and see that no failure is left unheard."""
    logger = logging.getLogger("tests.faces.twisted")
    logger.setLevel(logging.INFO)
    errors: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        text = log.textFromEventDict(event) or ""
        if event["isError"]:
            logger.error("%s", text)
            errors.append(text)
        elif text.startswith(("PB: ", "PB logins")):
            logger.info("%s", text)

    log.addObserver(observe)
    try:
        yield
        # A Deferred tells of it when it goes.
        gc.collect()
        unheard = any(text.startswith("Unhandled error in Deferred") for text in errors)
        assert not unheard, "\n".join(errors)
    finally:
        log.removeObserver(observe)


@contextmanager
def _reactor(make: Callable[[], Any]) -> Iterator[Any]:
    """A reactor for one test. When it stops it closes what is open."""
    reactor = make()
    try:
        yield reactor
    finally:
        # What it wakes itself with, and what it waits on.
        for reader in list(reactor._internalReaders):
            reactor.removeReader(reader)
            reader.connectionLost(None)
        reactor._internalReaders.clear()
        for name in ("_poller", "_asyncioEventloop"):
            if hasattr(reactor, name):
                getattr(reactor, name).close()


class _Tagged:
    """Has its tag said with the class."""

    _tag: ClassVar[str]

    def __init_subclass__(cls, *, tag: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._tag = tag

    def getTypeToCopy(self) -> str:
        return self._tag


class _Copyable(_Tagged, pb.Copyable, pb.RemoteCopy):
    """What is sent and what arrives are of one class."""


class _Cacheable(_Tagged, pb.Cacheable):
    """Tells its observers of changes, which in Twisted each class does for itself."""

    observers: tuple[Any, ...] = ()

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.observers += (observer,)
        return self.state_to_cache()

    def state_to_cache(self) -> Any:
        raise NotImplementedError

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.stopped_observing(perspective, observer)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        self.observers = tuple(each for each in self.observers if each != observer)

    def update(self, name: str, *args: Any) -> None:
        for observer in self.observers:
            _notify(observer, name, *args)


@implementer(IRealm)
class _Realm:
    """A realm of Twisted that asks one of the tests."""

    def __init__(self, realm: Any) -> None:
        self._realm = realm

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> tuple[Any, Any, Any]:
        assert pb.IPerspective in interfaces
        name = None if avatarId is ANONYMOUS else avatarId.decode()
        avatar = self._realm.request_avatar(name, mind)
        return pb.IPerspective, avatar, avatar.logout


class Connection:
    """A broker, and on the side of the client the factory that made it."""

    def __init__(self, broker: Any, factory: Any = None, root: Any = None) -> None:
        self.broker = broker
        self.root = root
        self._factory = factory

    @property
    def dialect(self) -> str | None:
        dialect = self.broker.currentDialect
        return None if dialect is None else dialect.decode()

    @property
    def closed(self) -> bool:
        return bool(self.broker.disconnected)

    @property
    def limits(self) -> pellucid.Limits:
        limits: pellucid.Limits = self.broker.limits
        return limits

    def login(self, name: str, password: str, mind: Any = None) -> Any:
        credentials = UsernamePassword(name.encode(), password.encode())
        return self._factory.login(credentials, mind)

    def login_anonymous(self, mind: Any = None) -> Any:
        return self._factory.login(Anonymous(), mind)

    def on_close(self, callback: Callable[[None], object]) -> None:
        self.broker.notifyOnDisconnect(partial(callback, None))

    def close(self) -> None:
        self.broker.transport.loseConnection()


class Listening:
    """A server, and the brokers that it has made."""

    def __init__(self, root: Any, limits: pellucid.Limits | None) -> None:
        self.factory = pb.PBServerFactory(root)
        self.factory.noisy = False
        self.factory.protocol = self._make
        self._limits = limits
        self._made: list[Connection] = []
        self.port: Any = None
        self.url = ""

    def _make(self, isClient: Any, security: Any) -> Any:
        broker = _broker(self._limits, isClient, security)
        self._made.append(Connection(broker))
        return broker

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(each for each in self._made if not each.closed)


def _broker(limits: pellucid.Limits | None, isClient: Any, security: Any) -> Any:
    broker = pb.Broker(isClient, security)
    if limits is not None:
        broker.limits = limits
    return broker


class _Event:
    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[defer.Deferred[None]] = []

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def wait(self) -> Any:
        if self._is_set:
            return defer.succeed(None)
        self._waiting.append(defer.Deferred())
        return self._waiting[-1]


class TwistedFace(Face):
    """The Twisted face, both sides on one reactor."""

    Referenceable = pb.Referenceable
    Root = pb.Root
    Avatar = pb.Avatar
    Viewable = pb.Viewable
    Copyable = _Copyable
    Cacheable = _Cacheable
    RemoteCache = pb.RemoteCache
    RemoteReference = pb.RemoteReference
    copy_is_gone = pb.ProtocolError
    # With a traceback.
    # A text is cut, and the traceback has the places where the files are.
    longest_text = 4_000
    # It has no text of its own.
    refusal = ""

    def __init__(self, make_reactor: Callable[[], Any]) -> None:
        super().__init__()
        self._make_reactor = make_reactor
        self.reactor: Any = None
        self._undo = ExitStack()

    # A test, and the methods in it.

    def go(self, test: Steps) -> None:
        failed: list[BaseException] = []
        with self._undo as undo:
            self.reactor = undo.enter_context(_reactor(self._make_reactor))
            undo.enter_context(_names_of_the_tests())
            undo.enter_context(_logging())
            undo.enter_context(warnings.catch_warnings())
            # Twisted's TLS calls what OpenSSL's wrapper has deprecated.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="OpenSSL")
            self.reactor.callWhenRunning(self._start, test, failed)
            self.reactor.run(installSignalHandlers=False)
            if failed:
                raise failed.pop()

    def _start(self, test: Steps, failed: list[BaseException]) -> None:
        done = defer.Deferred.fromCoroutine(self._run(test, failed))
        done.addTimeout(PATIENCE, self.reactor)
        done.addBoth(lambda _: self._end(failed))

    async def _run(self, test: Steps, failed: list[BaseException]) -> None:
        try:
            await walk_async(test)
        except BaseException as raised:
            failed.append(raised)

    def _end(self, failed: list[BaseException]) -> None:
        reactor = self.reactor
        open_ends = {*reactor.getReaders(), *reactor.getWriters()} - set(reactor._internalReaders)
        left = [*open_ends, *reactor.getDelayedCalls()]
        if left and not failed:
            failed.append(AssertionError(f"the reactor has more to do: {left}"))
        reactor.stop()

    def walk(self, way: Steps) -> Any:
        return walk_async(way)

    # What there is before a connection.

    def registry(self, copies: dict[str, type], caches: dict[str, type]) -> None:
        for tag, cls in {**copies, **caches}.items():
            pb.setUnjellyableForClass(tag, flavoured(cls))
            self._undo.callback(jelly.unjellyableRegistry.pop, tag.encode(), None)

    def tls(self, certificates: Certificates) -> dict[str, Any]:
        server = PrivateCertificate.loadPEM(certificates.server.read_bytes()).options()
        authority = Certificate.loadPEM(certificates.authority.read_bytes())
        client = optionsForClientTLS("localhost", trustRoot=authority)
        return {"ssl": server, "client": {"ssl": client}}

    def portal(self, realm: Any, users: dict[str, str], *, anonymous: bool = False) -> Any:
        known = {name: password.encode() for name, password in users.items()}
        checkers: list[Any] = [InMemoryUsernamePasswordDatabaseDontUse(**known)]
        if anonymous:
            checkers.append(AllowAnonymousAccess())
        asked: Any = _Realm(realm)
        return Portal(asked, checkers)

    # Connections.

    def _under_tls(self, tls: Any, factory: Any, *, is_client: bool) -> Any:
        if tls is None:
            return factory
        return TLSMemoryBIOFactory(tls, is_client, factory, self.reactor)

    async def serve(self, root: Any, url: str = FREE, **options: Any) -> Listening:
        listening = Listening(root, options.get("limits"))
        where = urlsplit(url)
        if where.scheme == "pb+unix":
            endpoint: Any = UNIXServerEndpoint(self.reactor, where.path)
        else:
            endpoint = TCP4ServerEndpoint(self.reactor, where.port or 0, interface="127.0.0.1")
        factory = self._under_tls(options.get("ssl"), listening.factory, is_client=False)
        listening.port = await endpoint.listen(factory)
        host = listening.port.getHost()
        listening.url = f"{where.scheme}://127.0.0.1:{host.port}" if where.netloc else url
        return listening

    async def connect(self, url: str, **options: Any) -> Connection:
        factory = pb.PBClientFactory()
        factory.noisy = False
        factory.protocol = partial(_broker, options.get("limits"))
        where = urlsplit(url)
        if where.scheme == "pb+unix":
            endpoint: Any = UNIXClientEndpoint(self.reactor, where.path)
        else:
            endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", where.port or 0)
        tls = options.get("ssl")
        await endpoint.connect(self._under_tls(tls, factory, is_client=True))
        root = await factory.getRootObject()
        return Connection(root.broker, factory, root)

    async def close(self, opened: Any) -> None:
        if isinstance(opened, Listening):
            await defer.maybeDeferred(opened.port.stopListening)
            for connection in opened.connections:
                connection.close()
            await self.until(lambda: not opened.connections)
        elif not opened.closed:
            opened.close()
            await self.until(lambda: opened.closed)

    # Waiting.

    def event(self) -> Any:
        return _Event()

    async def until(self, condition: Callable[[], object]) -> None:
        end = self.reactor.seconds() + PATIENCE
        while not condition():
            assert self.reactor.seconds() < end
            await deferLater(self.reactor, 0.001)

    def together(self, *calls: tuple[Any, ...]) -> Any:
        return defer.gatherResults(
            [reference.callRemote(name, *args) for reference, name, *args in calls]
        )

    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        return reference.callRemote(*call).addTimeout(seconds, self.reactor)

    # What comes of it.

    def raises(
        self, kind: type[BaseException], match: str | None = None
    ) -> AbstractContextManager[Any]:
        return _raises(NAMES.get(kind, (kind,)), match)

    def login_failed(self, text: str) -> Exception:
        failed: Exception = LoginFailed(text)
        return failed

    def viewed(self, view: Any) -> Any:
        return view.object if isinstance(view, pb.ViewPoint) else None

    def broker(self, connection: Any) -> Any:
        return connection.broker._core

    def _left(self, connection: Any) -> dict[str, int]:
        # What is published is charged here as long as the connection lasts.
        held = self.broker(connection).exports.snapshot()
        published = sum(isinstance(key, bytes) for key in held)
        left = super()._left(connection)
        left["references_exported"] = left.get("references_exported", 0) - published
        return {name: count for name, count in left.items() if count}


class _Caught:
    """What was raised, as `pytest.raises` gives it."""

    value: Any = None


@contextmanager
def _raises(kinds: tuple[type[BaseException], ...], match: str | None) -> Iterator[_Caught]:
    caught = _Caught()
    try:
        yield caught
    except BaseException as raised:
        # What the other side raised is judged by its names, as `trap` and `check` do.
        is_named = isinstance(raised, Failure) and raised.check(*kinds) is not None
        if not is_named and not isinstance(raised, kinds):
            raise
        if match is not None and re.search(match, str(raised)) is None:
            pytest.fail(f"it says {str(raised)!r}, not {match!r}")
        caught.value = raised
    else:
        pytest.fail(f"raised nothing, not {kinds}")
