"""The recorded logins of Twisted: our portal under its client's bytes, our client under its
server's.

Where the answer of ours is another one, `DIFFERS` says at which place the wire document asks for
it.
"""

import asyncio
import gc
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pellucid import Anonymous, Avatar, Checker, InMemory, LoginFailed, Portal, RemoteReference
from pellucid.asyncio.connection import Connection
from pellucid.banana import DIALECTS, Framer, decode
from pellucid.limits import Limits
from tests.asyncio.pairs import Run, left, tables, until
from tests.recordings import (
    PORTAL,
    RELEASES,
    Session,
    check_stream,
    failure,
    segments,
    sessions,
    split,
    ways,
)

# What is refused is refused in one way, whatever was wrong (section 14). Twisted tells there that
# nobody is let in without a name.
DIFFERS = {("login_anonymous_refused", "server"): "14"}

PASSWORDS = {"login": "secret", "login_bad_password": "guess", "login_unknown_user": "guess"}
UNAUTHORIZED = b"twisted.cred.error.UnauthorizedLogin"


class User(Avatar):
    """The recorded avatar."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    def perspective_whoami(self) -> bytes:
        return self.name.encode()

    def logout(self) -> None:
        self.seen.append(f"out {self.name}")


class Realm:
    """The recorded realm: it notes who comes and goes."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        assert mind is None
        name = "anonymous" if avatar_id is None else avatar_id
        self.seen.append(f"in {name}")
        return User(name, self.seen)


class Twisted:
    """The recorded side: what it sends, and what it has got."""

    def __init__(self, session: Session, sock: socket.socket) -> None:
        self.session = session
        self.sock = sock
        self.got = b""
        self.framer = Framer(DIALECTS[session.dialect], Limits())
        # Messages that are no releases, whose place is free, and the others.
        self.said = 0
        self.released = 0
        self.more = asyncio.Event()

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self.sock, 4096):
            self.got += data
            self.framer.feed(data)
            while (message := self.framer.next_message()) is not None:
                if decode(message, self.session.dialect)[:1] in RELEASES:
                    self.released += 1
                else:
                    self.said += 1
            self.more.set()

    async def heard(self, said: int, released: int = 0) -> None:
        """Wait until so much has come."""
        while self.said < said or self.released < released:
            self.more.clear()
            await self.more.wait()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)
        # So that each segment is read by itself.
        for _ in range(3):
            await asyncio.sleep(0)

    async def play(self, direction: str, way: str) -> None:
        """Say what was recorded, each message when all before it has been heard."""
        arriving = iter(segments(self.session.stream(direction), way))
        together = b""
        said = released = 0
        for other, data in [*self.session.messages, ("", b"")]:
            if other != direction:
                if together:
                    await self.send(together)
                    together = b""
                release = bool(data) and decode(data, self.session.dialect)[:1] in RELEASES
                released += release
                said += bool(data) and not release
                continue
            await self.heard(said)
            for some in next(arriving):
                if way == "together":
                    together += some
                else:
                    await self.send(some)
        await self.heard(said, released)


@asynccontextmanager
async def joined(session: Session, ours: Connection) -> AsyncIterator[Twisted]:
    """Our connection and a recorded one; in the end ours owes and holds nothing."""
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    there.setblocking(False)
    await loop.connect_accepted_socket(lambda: ours, here)
    twisted = Twisted(session, there)
    reading = asyncio.create_task(twisted.read())
    try:
        yield twisted
    finally:
        ours.close()
        there.shutdown(socket.SHUT_WR)
        await ours.finished()
        await reading
        there.close()
        assert left(ours) == {}


def challenge(session: Session) -> bytes:
    """The recorded challenge, which the recorded response belongs to."""
    for data in session.stream("s>c"):
        sexp = decode(data, "none" if data == session.stream("s>c")[0] else session.dialect)
        if sexp[0] == b"answer" and isinstance(sexp[2], list) and sexp[2][0] == b"tuple":
            found: bytes = sexp[2][1]
            return found
    return b""


def test_every_session_of_a_portal_is_here() -> None:
    assert len(PORTAL) == 5
    assert {*PASSWORDS, "login_anonymous", "login_anonymous_refused"} == PORTAL


@ways
@sessions(PORTAL)
def test_our_portal_says_the_same(
    session: Session, way: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = Realm()
    checkers: list[Checker] = [InMemory({"alice": "secret"}, iterations=4096)]
    if session.options.get("anonymous", True):
        checkers.append(Anonymous())
    portal = Portal(realm, checkers)
    recorded, at_random = challenge(session), secrets.token_bytes
    monkeypatch.setattr(
        "secrets.token_bytes",
        lambda size=None: recorded if size == len(recorded) else at_random(size),
    )

    async def main() -> bytes:
        ours = Connection("server", root=portal, dialects=tuple(session.offer))
        async with joined(session, ours) as twisted:
            await twisted.play("c>s", way)
            # The recording ends with the release of the avatar, if there is one.
            await until(lambda: realm.seen == realm_seen(session))
            await until(lambda: tables(ours) == (0, 0))
            return twisted.got

    sent = run(main())
    assert realm.seen == realm_seen(session)
    if (session.name, "server") in DIFFERS:
        mine, theirs = split(sent, session.dialect), session.stream("s>c")
        assert mine[:-1] == theirs[:-1]
        error = decode(mine[-1], session.dialect)
        assert error[:2] == decode(theirs[-1], session.dialect)[:2]
        assert failure(error[2])[b"type"] == UNAUTHORIZED
        assert failure(error[2])[b"value"] == [b"unicode", b""]
    else:
        check_stream(session, sent, "s>c")


def realm_seen(session: Session) -> list[str]:
    """Who came and went in the recording."""
    seen = session.states("realm")
    found: list[str] = eval(seen[-1]) if seen else []
    return found


@ways
@sessions(PORTAL)
def test_our_client_says_and_sees_the_same(session: Session, way: str, run: Run) -> None:
    async def main() -> tuple[list[dict[str, Any]], bytes]:
        ours = Connection("client")
        async with joined(session, ours) as twisted:
            playing = asyncio.create_task(twisted.play("s>c", way))
            await ours.wait_ready()
            results = await converse(ours, session)
            gc.collect()
            await playing
            assert tables(ours) == (0, 0)
            return results, twisted.got

    results, sent = run(main())
    check_stream(session, sent, "c>s")
    assert results == [entry for entry in session.results if "call" in entry]


async def converse(ours: Connection, session: Session) -> list[dict[str, Any]]:
    """Do what the recorded client did, and tell what came of it."""
    name = "mallory" if session.name == "login_unknown_user" else "alice"
    try:
        if session.name in PASSWORDS:
            perspective = await ours.login(name, PASSWORDS[session.name])
        else:
            perspective = await ours.login_anonymous()
    except LoginFailed as error:
        return [{"call": "login", "error": shown(error)}]
    results = [{"call": "login", "result": f"RemoteReference(luid={perspective.luid!r})"}]
    assert isinstance(perspective, RemoteReference)
    who = await perspective.call("whoami")
    results.append({"call": "whoami()", "result": repr(who)})
    return results


def shown(error: LoginFailed) -> dict[str, Any]:
    return {
        "type": error.remote_type,
        # What stands for a text that the server does not give.
        "value": str(error).removeprefix("the server did not let us in"),
        "parents": list(error.remote_parents),
        "traceback": error.remote_traceback or "Traceback unavailable\n",
    }
