"""The client's side of a login, with servers that mean well and with others."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import pellucid
from pellucid import (
    CertificateNames,
    LocalProtocolError,
    LoginFailed,
    NoSuchMethod,
    RemoteProtocolError,
)
from pellucid.asyncio import login as logins
from pellucid.login import check_response, md5_of
from pellucid.scram import Keys, ServerLogin
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import Run, Thing, until
from tests.asyncio.realms import (
    SECRETS,
    USERS,
    Realm,
    Users,
    empty,
    meeting,
    portal,
    refused,
    secure,
)

PASSWORD = USERS["alice"]
PB = ("pb", "none")


class Watching:
    """A root that stands before another one, and notes what is called."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self.called: list[str] = []

    def root_for(self, connection: Any) -> Any:
        before, behind = self, self._root.root_for(connection)

        class Front(pellucid.Root):
            def find_method(self, name: str) -> Callable[..., Any]:
                before.called.append(name)
                found: Callable[..., Any] = behind.find_method(name)
                return found

        return Front()


@asynccontextmanager
async def pb_only(root: Any, certificates: Certificates) -> AsyncIterator[pellucid.Connection]:
    """A client of a server under TLS that speaks PB alone."""

    class Old(pellucid.Connection):
        def __init__(self, role: str, **options: Any) -> None:
            super().__init__(role, dialects=PB, **options)

    class OldServer(pellucid.Server):
        connection_type = Old

    class old_serve(pellucid.serve):
        server_type = OldServer

    async with (
        old_serve(root, SECURE, ssl=certificates.server_tls()) as server,
        pellucid.connect(server.url, ssl=certificates.client_tls()) as client,
    ):
        yield client


# Servers that mean well.


@pytest.mark.parametrize(
    ("dialects", "ways"), [(None, ["loginScram"]), (PB, ["login"]), (("none",), ["login"])]
)
def test_without_tls_the_dialect_decides(
    run: Run, dialects: tuple[str, ...] | None, ways: list[str]
) -> None:
    async def main() -> None:
        realm = Realm()
        front = Watching(portal(realm))
        async with meeting(front, dialects=dialects) as both:
            alice = await both.client.login("alice", PASSWORD, Thing())
            assert front.called == ways
            assert await alice.call("whoami") == "alice"
            assert await alice.call("ask_mind") == "pong"
            del alice
            await until(lambda: realm.left == ["alice"])

    run(main())


def test_under_tls_the_password_is_sent(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        front = Watching(portal())
        async with secure(front, certificates) as client:
            alice = await client.login("alice", PASSWORD)
            assert await alice.call("whoami") == "alice"
            with pytest.raises(LoginFailed) as caught:
                await client.login("alice", "wrong horse")
            assert refused(caught.value)
        assert front.called == ["loginPassword"] * 2

    run(main())


def test_a_guest_logs_in(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal(None, pellucid.Anonymous())) as both:
            guest = await both.client.login_anonymous(Thing())
            assert await guest.call("whoami") == "guest"
            assert await guest.call("ask_mind") == "pong"
        async with meeting(portal()) as both:
            with pytest.raises(LoginFailed) as caught:
                await both.client.login_anonymous()
            assert refused(caught.value)

    run(main())


def test_the_owner_of_a_certificate_logs_in(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with secure(portal(None, CertificateNames()), certificates, "alice") as client:
            alice = await client.login_certificate(Thing())
            assert await alice.call("whoami") == "alice"
            assert await alice.call("ask_mind") == "pong"

    run(main())


@pytest.mark.parametrize("dialects", [None, PB])
@pytest.mark.parametrize("name", ["alice", "mallory"])
def test_a_wrong_password_raises_login_failed(
    run: Run, dialects: tuple[str, ...] | None, name: str
) -> None:
    async def main() -> None:
        async with meeting(portal(), dialects=dialects) as both:
            with pytest.raises(LoginFailed) as caught:
                await both.client.login(name, "wrong horse")
            assert refused(caught.value)
            assert str(caught.value) == "the server did not let us in"
            await both.client.login("alice", PASSWORD)

    run(main())


@pytest.mark.parametrize("dialects", [None, PB])
def test_names_and_passwords_of_any_letters(run: Run, dialects: tuple[str, ...] | None) -> None:
    users = {"b\N{LATIN SMALL LETTER O WITH DIAERESIS}b, =": "h\N{SNOWMAN}rse"}

    async def main() -> None:
        door = portal(None, pellucid.InMemory(users, iterations=4096))
        async with meeting(door, dialects=dialects) as both:
            for name, password in users.items():
                bob = await both.client.login(name, password)
                assert await bob.call("whoami") == name
                await both.client.login(name, password.encode())  # type: ignore[arg-type]

    run(main())


def test_many_logins_at_the_same_time(run: Run) -> None:
    async def main() -> None:
        limits = pellucid.Limits(logins_pending=100)
        async with meeting(portal(), limits=limits) as both:
            logins = [both.client.login("alice", PASSWORD) for _ in range(40)]
            found = await asyncio.gather(*logins)
            assert len({id(one) for one in found}) == 40

    run(main())


def test_a_server_without_logins(run: Run) -> None:
    async def main() -> None:
        async with meeting(pellucid.Root()) as both:
            with pytest.raises(LoginFailed, match="this server has no login") as caught:
                await both.client.login("alice", PASSWORD)
            assert isinstance(caught.value.__cause__, NoSuchMethod)
            with pytest.raises(LoginFailed, match="this server has no login"):
                await both.client.login_anonymous()

    run(main())


def test_a_server_of_pb_without_logins(run: Run) -> None:
    async def main() -> None:
        async with meeting(pellucid.Root(), dialects=PB) as both:
            with pytest.raises(LoginFailed, match="this server has no login"):
                await both.client.login("alice", PASSWORD)

    run(main())


# What the client does not do.


def test_md5_can_be_forbidden_and_then_nothing_is_sent(run: Run) -> None:
    async def main() -> None:
        front = Watching(portal())
        async with meeting(front, dialects=PB) as both:
            sent = both.client._broker._last_request
            with pytest.raises(LoginFailed, match="allow_md5"):
                await both.client.login("alice", PASSWORD, allow_md5=False)
            assert both.client._broker._last_request == sent
            # What is sent next is the first that the server hears.
            await both.client.login("alice", PASSWORD)
        assert front.called == ["login"]

    run(main())


def test_md5_can_be_forbidden_where_it_is_not_used(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            await both.client.login("alice", PASSWORD, allow_md5=False)

    run(main())


@pytest.mark.parametrize(
    ("name", "password"), [("", "x"), ("x", ""), ("a\0", "x"), ("x", "\ud800")]
)
def test_what_can_be_nobodys_is_not_sent(run: Run, name: str, password: str) -> None:
    async def main() -> None:
        front = Watching(portal())
        async with meeting(front) as both:
            with pytest.raises(ValueError, match=r"a user name|a password"):
                await both.client.login(name, password)
        assert front.called == []

    run(main())


def test_a_certificate_is_for_tls(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            with pytest.raises(LocalProtocolError, match="pbs://"):
                await both.client.login_certificate()

    run(main())


def test_a_certificate_is_not_for_a_server_of_twisted(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        front = Watching(portal())
        async with pb_only(front, certificates) as client:
            with pytest.raises(LoginFailed, match="only PB's"):
                await client.login_certificate()
            assert await (await client.login("alice", PASSWORD)).call("whoami") == "alice"
        assert front.called == ["login"]

    run(main())


# Servers that lie. `answers` is what each step of a login gives.


class Liar(pellucid.Root):
    """Answers every step of a login with what it is told."""

    def __init__(self, first: Any = None, second: Any = None) -> None:
        self._first = first
        self._second = second
        self.heard: list[Any] = []

    def find_method(self, name: str) -> Callable[..., Any]:
        def method(*args: Any) -> Any:
            self.heard.append((name, *args))
            answer = self._second if name in ("respond", "finish") else self._first
            return answer(self, *args) if callable(answer) else answer

        return method


THING = Thing()
NONSENSE: list[Any] = [
    None,
    (),
    b"x",
    (b"x",),
    (b"x", None),
    ("x", THING),
    (b"x", THING, 1),
    [b"x", THING],
]


@pytest.mark.parametrize("dialects", [None, PB])
@pytest.mark.parametrize("answer", NONSENSE)
def test_a_first_answer_that_makes_no_sense(
    run: Run, dialects: tuple[str, ...] | None, answer: Any
) -> None:
    async def main() -> None:
        async with meeting(Liar(answer), dialects=dialects) as both:
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await both.client.login("alice", PASSWORD)
            await empty(both)

    run(main())


@pytest.mark.parametrize("answer", [None, b"x", (THING,), "alice"])
def test_an_avatar_that_is_none(run: Run, certificates: Certificates, answer: Any) -> None:
    async def main() -> None:
        liar = Liar(lambda liar, name=None: (bytes(16), liar), answer)
        async with meeting(liar, dialects=PB) as both:
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await both.client.login("alice", PASSWORD)
        async with meeting(Liar(answer)) as both:
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await both.client.login_anonymous()
        async with secure(Liar(answer), certificates) as client:
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await client.login("alice", PASSWORD)
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await client.login_certificate()

    run(main())


def scram_liar(count: int = 4096, proof: Any = b"v=AAAA") -> Liar:
    """Speaks SCRAM without knowing a password, and gives an avatar to everybody."""

    def first(liar: Liar, message: bytes = b"n,,n=x,r=y") -> Any:
        keys = Keys(count, b"salt", bytes(32), bytes(32))
        return ServerLogin(message).challenge(keys), liar

    return Liar(first, lambda liar, *args: (proof, Thing()))


@pytest.mark.parametrize("proof", [b"v=AAAA", b"v=", b"e=unknown-user", b"", "v=", None, Thing()])
def test_a_server_that_can_not_prove_itself_is_not_trusted(run: Run, proof: Any) -> None:
    async def main() -> None:
        async with meeting(scram_liar(proof=proof)) as both:
            with pytest.raises(LoginFailed, match="could not prove"):
                await both.client.login("alice", PASSWORD)
            # The avatar was let go.
            await empty(both)

    run(main())


@pytest.mark.parametrize("answer", [None, (b"v=AAAA",), Thing(), [b"v=AAAA", Thing()]])
def test_a_last_answer_that_makes_no_sense(run: Run, answer: Any) -> None:
    async def main() -> None:
        liar = scram_liar()
        liar._second = answer
        async with meeting(liar) as both:
            with pytest.raises(RemoteProtocolError, match="can't be understood"):
                await both.client.login("alice", PASSWORD)

    run(main())


def test_a_server_that_repeats_the_proof_of_another_login_is_not_trusted(run: Run) -> None:
    keys = Keys.of(PASSWORD, b"salt", 4096)
    proofs: list[bytes] = []
    exchanges: list[ServerLogin] = []

    def first(liar: Liar, message: bytes) -> Any:
        exchanges.append(ServerLogin(message))
        return exchanges[-1].challenge(keys), liar

    def last(liar: Liar, message: bytes, mind: Any) -> Any:
        proofs.append(exchanges[-1].finish(message))
        return proofs[0], Thing()

    async def main() -> None:
        async with meeting(Liar(first, last)) as both:
            await both.client.login("alice", PASSWORD)
            with pytest.raises(LoginFailed, match="could not prove"):
                await both.client.login("alice", PASSWORD)

    run(main())


@pytest.mark.parametrize("count", [1, 4095, 10_000_001, 2_000_000_000])
def test_a_server_can_not_make_the_client_compute_for_ever_or_too_little(
    run: Run, count: int
) -> None:
    async def main() -> None:
        liar = scram_liar(count)
        async with meeting(liar) as both:
            with pytest.raises(LoginFailed, match=f"{count} iterations"):
                await both.client.login("alice", PASSWORD)
        # Nothing that was made of the password has left.
        assert [name for name, *_ in liar.heard] == ["loginScram"]

    run(main())


def test_other_calls_go_on_while_the_client_computes(run: Run) -> None:
    async def main() -> None:
        liar = scram_liar(2_000_000)
        async with meeting(liar) as both:
            login = asyncio.create_task(both.client.login("alice", PASSWORD))
            await until(lambda: len(liar.heard) == 1)
            for _ in range(20):
                await both.client.root.call("ping")
            assert [name for name, *_ in liar.heard] == ["loginScram", *["ping"] * 20]
            with pytest.raises(LoginFailed):
                await login

    run(main())


@pytest.mark.parametrize("dialects", [None, PB])
@pytest.mark.parametrize("ours", [True, False])
def test_a_connection_that_goes_between_the_steps_is_lost(
    run: Run, dialects: tuple[str, ...] | None, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = logins._challenge

    async def main() -> None:
        async with meeting(portal(), dialects=dialects) as both:

            def cut(answer: object) -> Any:
                found = challenge(answer)
                both.client.abort(None if ours else EOFError("gone"))
                return found

            monkeypatch.setattr(logins, "_challenge", cut)
            with pytest.raises(pellucid.ConnectionLost, match="between two steps") as caught:
                await both.client.login("alice", PASSWORD)
            assert isinstance(caught.value.__cause__, type(None) if ours else EOFError)
            # Nothing at all is sent of this one.
            with pytest.raises(pellucid.DeadReferenceError):
                await both.client.login("alice", PASSWORD)

    run(main())


def test_what_a_server_of_pb_gets_is_no_password(run: Run) -> None:
    async def main() -> None:
        liar = Liar(lambda liar, name: (b"c" * 16, liar), Thing())
        async with meeting(liar, dialects=PB) as both:
            await both.client.login("alice", PASSWORD, "mind")
        # The name as bytes, since Twisted's checkers compare those.
        (_, name), (_, response, mind) = liar.heard
        assert (name, mind) == (b"alice", "mind")
        assert check_response(b"c" * 16, md5_of(PASSWORD), response)

    run(main())


def test_the_client_logs_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        for liar in (Liar(), scram_liar(), scram_liar(1)):
            async with meeting(liar) as both:
                with pytest.raises(pellucid.PBError):
                    await both.client.login("alice", PASSWORD)
        async with meeting(portal(None, Users())) as both:
            await both.client.login("alice", PASSWORD)

    run(main())
    for record in caplog.records:
        text = f"{record.getMessage()} {record.exc_text} {record.exc_info} {record.args}"
        assert [secret for secret in SECRETS if secret in text] == []
