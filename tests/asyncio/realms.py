"""Portals for the tests of logins: a realm that notes who comes and goes, and connections to it."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pellucid
from pellucid import Account, Connection, Limits, LoginFailed, Portal, RemoteReference
from pellucid.asyncio.throttle import Throttle
from pellucid.login import md5_of, respond
from pellucid.scram import ClientLogin, Keys
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import Pair, join, left, tables, until

USERS = {"alice": "correct horse", "bob": "battery staple"}
SECRETS = (*USERS, *USERS.values(), "mallory", "wrong horse")

# Few iterations make quick tests.
_FEW = 4_096
_KEYS = {name: Keys.of(password, count=_FEW).text() for name, password in USERS.items()}


class Users(pellucid.Checker):
    """Knows alice and bob, in every way, and notes what it is asked."""

    has_md5 = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_account(self, username: str) -> Account | None:
        self.asked.append(username)
        if username not in USERS:
            return None
        return Account(username, None, _KEYS[username], md5_of(USERS[username]))


class User(pellucid.Avatar):
    """What somebody has who logged in."""

    def __init__(self, name: str, mind: Any, realm: "Realm") -> None:
        self.name = name
        self.mind = mind
        self._realm = realm

    def perspective_whoami(self) -> str:
        return self.name

    def perspective_is_me(self, value: object) -> bool:
        return value is self and pellucid.current_call().perspective is self

    async def perspective_ask_mind(self) -> Any:
        return await self.mind.call("ping")

    async def logout(self) -> None:
        self._realm.left.append(self.name)


class Realm:
    """Makes users. `left` has the names of those that were logged out."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.left: list[str] = []

    async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        name = "guest" if avatar_id is None else avatar_id
        self.came.append(name)
        return User(name, mind, self)


def unhurried() -> Throttle:
    """A throttle whose delays take no time."""
    return Throttle(sleep=_at_once)


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def portal(realm: Any = None, *checkers: Any, **options: Any) -> Portal:
    options.setdefault("throttle", unhurried())
    return Portal(realm or Realm(), checkers or [Users()], **options)


@asynccontextmanager
async def meeting(
    root: Any,
    *,
    host: str | None = None,
    dialects: tuple[str, ...] | None = None,
    limits: Limits | None = None,
    tracebacks: bool = False,
) -> AsyncIterator[Pair]:
    """A client and the server of a portal, who in the end hold nothing of each other.

    They are joined by a Unix socket; with `host` the server takes the client for that one.
    """
    server = Connection(
        "server", root=root, limits=limits, tracebacks=tracebacks, dialects=dialects
    )
    both = await join(Connection("client"), server)
    if host is not None:
        server.host, server.unix, server.peer = host, False, f"pb://{host}:1"
    try:
        yield both
    finally:
        for connection in both:
            connection.close()
        for connection in both:
            await connection.finished()
            assert left(connection) == {}


@asynccontextmanager
async def secure(
    root: Any, certificates: Certificates, name: str | None = None
) -> AsyncIterator[Connection]:
    """A client of a portal, under TLS, which may show a certificate."""
    context = certificates.server_tls(clients=name is not None)
    async with (
        pellucid.serve(root, SECURE, ssl=context) as server,
        pellucid.connect(server.url, ssl=certificates.client_tls(name)) as client,
    ):
        yield client


async def empty(both: Pair) -> None:
    """Wait until both tables are empty."""
    gc.collect()
    await until(lambda: [tables(one) for one in both] == [(0, 0), (0, 0)])


# What a client says, by hand.


async def challenge(root: RemoteReference, username: Any = b"alice") -> Any:
    return await root.call("login", username)


async def respond_to(root: RemoteReference, username: Any, password: str) -> RemoteReference:
    """Log in as Twisted's client does."""
    given, challenger = await challenge(root, username)
    answer = await challenger.call("respond", respond(given, md5_of(password)), None)
    assert isinstance(answer, RemoteReference)
    return answer


async def scram(root: RemoteReference, username: str, password: str) -> RemoteReference:
    """Log in as Pellucid's client does without TLS."""
    exchange = ClientLogin(username, password)
    first, challenger = await root.call("loginScram", exchange.first())
    proof, answer = await challenger.call("finish", exchange.final(first), None)
    exchange.verify(proof)
    assert isinstance(answer, RemoteReference)
    return answer


def refused(error: BaseException | None) -> bool:
    """Whether this is the one error that every failed login has."""
    return (
        type(error) is LoginFailed
        and str(error) in ("", "the server did not let us in")
        and error.remote_type == "twisted.cred.error.UnauthorizedLogin"
        and error.remote_traceback is None
    )
