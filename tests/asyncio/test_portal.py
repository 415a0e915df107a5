"""The server's side of a login, under clients that mean well and under others."""

import asyncio
import gc
import logging
from base64 import b64decode
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pellucid
from pellucid import (
    Account,
    Anonymous,
    CertificateNames,
    Checker,
    Connection,
    Error,
    InMemory,
    LocalProtocolError,
    LoginFailed,
    NoSuchMethod,
    PasswordFile,
    Portal,
    RemoteError,
    RemoteReference,
)
from pellucid.asyncio import portal as portals
from pellucid.asyncio.throttle import Throttle
from pellucid.login import decoy, md5_of, respond
from pellucid.passwords import check_password, make_account, write_account
from pellucid.scram import ClientLogin, Keys
from tests.asyncio.certificates import Certificates
from tests.asyncio.pairs import FREE, Pair, Run, Thing, failure, turn, until
from tests.asyncio.realms import (
    SECRETS,
    USERS,
    Realm,
    User,
    Users,
    challenge,
    empty,
    meeting,
    portal,
    refused,
    respond_to,
    scram,
    secure,
)

Login = Callable[[RemoteReference, str, str], Coroutine[Any, Any, RemoteReference]]

either_way = pytest.mark.parametrize("login", [respond_to, scram])


async def error_of(work: Coroutine[Any, Any, object]) -> BaseException:
    """The error of what is to fail, without what it holds."""
    try:
        await work
    except Exception as error:
        return error.with_traceback(None)
    raise AssertionError("this did not fail")


# Who is let in.


@either_way
def test_a_user_gets_an_avatar(run: Run, login: Login) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm)) as both:
            alice = await login(both.client.root, "alice", USERS["alice"])
            assert await alice.call("whoami") == "alice"
            assert await alice.call("is_me", alice)
            for name in ("released", "logout", "login"):
                assert isinstance(await failure(alice.call(name)), NoSuchMethod)
            del alice
            await until(lambda: realm.left == ["alice"])

    run(main())


def test_a_name_may_come_as_bytes_or_text(run: Run) -> None:
    async def main() -> None:
        users = Users()
        async with meeting(portal(None, users)) as both:
            for name in ("alice", b"alice"):
                await respond_to(both.client.root, name, USERS["alice"])
        assert users.asked == ["alice", "alice"]

    run(main())


def test_the_avatar_can_call_the_mind(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal(None, Anonymous())) as both:
            guest = await both.client.root.call("loginAnonymous", Thing())
            assert await guest.call("ask_mind") == "pong"

    run(main())


def test_logins_of_one_connection_know_nothing_of_each_other(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Users(), Anonymous())) as both:
            root = both.client.root
            alice = await respond_to(root, b"alice", USERS["alice"])
            again = await scram(root, "alice", USERS["alice"])
            guest = await root.call("loginAnonymous")
            assert not await alice.call("is_me", again)
            del again
            await until(lambda: realm.left == ["alice"])
            assert await guest.call("whoami") == "guest"
            assert await alice.call("whoami") == "alice"
        assert realm.came == ["alice", "alice", "guest"]
        assert realm.left[0] == "alice"
        assert sorted(realm.left[1:]) == ["alice", "guest"]

    run(main())


def test_one_avatar_may_be_given_to_several_logins(run: Run) -> None:
    class One(Realm):
        def __init__(self) -> None:
            super().__init__()
            self.user = User("everybody", None, self)

        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            return self.user

    async def main() -> None:
        realm = One()
        async with meeting(portal(realm, Anonymous())) as both:
            one = await both.client.root.call("loginAnonymous")
            two = await both.client.root.call("loginAnonymous")
            assert one is not two
            assert await one.call("is_me", two)
            del one
            await until(lambda: realm.left == ["everybody"])
            assert await two.call("whoami") == "everybody"
        assert realm.left == ["everybody"] * 2

    run(main())


def test_everything_may_be_plain_and_derived_from_nothing(run: Run) -> None:
    class Guest(pellucid.Referenceable):
        def remote_hello(self) -> str:
            return "hello"

    class PlainRealm:
        def request_avatar(self, avatar_id: str | None, mind: Any) -> Guest:
            return Guest()

    class PlainChecker:
        async def anonymous(self) -> bool:
            return True

    async def main() -> None:
        async with meeting(portal(PlainRealm(), PlainChecker())) as both:
            guest = await both.client.root.call("loginAnonymous", None)
            assert await guest.call("hello") == "hello"

    run(main())


def test_checkers_are_asked_in_turn(run: Run) -> None:
    async def main() -> None:
        more = InMemory({"carol": "x", "alice": "another alice"}, iterations=4096)
        async with meeting(portal(None, Anonymous(), Users(), more)) as both:
            for login in (respond_to, scram):
                alice = await login(both.client.root, "alice", USERS["alice"])
                assert await alice.call("whoami") == "alice"
            await respond_to(both.client.root, "carol", "x")
            await scram(both.client.root, "carol", "x")

    run(main())


def test_before_a_login_there_is_nothing_to_call(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            root = both.client.root
            for name in ("whoami", "use", "keys_of", "find_method", "_portal"):
                assert isinstance(await failure(root.call(name)), NoSuchMethod)
            _, challenger = await challenge(root)
            for name in ("begin", "whoami", "_root"):
                assert isinstance(await failure(challenger.call(name)), NoSuchMethod)

    run(main())


def test_what_is_no_realm_is_refused() -> None:
    with pytest.raises(TypeError, match="object is no realm"):
        Portal(object(), [Anonymous()])
    with pytest.raises(TypeError, match=r"Realm is a class: the realm is an object of it, Realm"):
        Portal(Realm, [Anonymous()])


class Misspelt(Checker):
    def find_acount(self, username: str) -> None:
        """Never asked."""


@pytest.mark.parametrize(
    ("checkers", "text"),
    [
        ([], "a Portal without checkers lets nobody in"),
        (Anonymous(), "a Portal takes a list of checkers, not one Anonymous"),
        ([Anonymous], "Anonymous is a class: the checker is an object of it"),
        ([Anonymous(), object()], "object is no checker: it has none of find_account, "),
        ([Misspelt()], "Misspelt is no checker"),
        ([Checker()], "Checker is no checker"),
        ({"alice": "x"}, "str is no checker"),
    ],
)
def test_what_is_no_checker_is_refused(checkers: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Portal(Realm(), checkers)


def test_what_a_challenger_lacks_it_lacks_without_advice(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            _, challenger = await challenge(both.client.root)
            error = await failure(challenger.call("whoami"))
            assert str(error) == "No such method: remote_whoami"

    run(main())


# Who is not.


@either_way
def test_an_unknown_user_and_a_wrong_password_are_the_same(run: Run, login: Login) -> None:
    async def main() -> None:
        users = Users()
        async with meeting(portal(None, users)) as both:
            root = both.client.root
            assert refused(await error_of(login(root, "alice", "wrong horse")))
            assert refused(await error_of(login(root, "mallory", "wrong horse")))
            assert refused(await error_of(login(root, "mallory", USERS["alice"])))
        assert users.asked == ["alice", "mallory", "mallory"]

    run(main())


def test_an_unknown_user_has_one_salt_as_others_have(run: Run) -> None:
    async def first(root: RemoteReference, name: str) -> tuple[str, int]:
        exchange = ClientLogin(name, "x")
        answer, _ = await root.call("loginScram", exchange.first())
        _, salt, count = answer.decode().split(",")
        return salt, int(count.removeprefix("i="))

    async def main() -> None:
        known = InMemory(USERS, iterations=5_000)
        door = portal(None, known)
        async with meeting(door) as one, meeting(door) as two:
            roots = one.client.root, two.client.root
            fake = [await first(root, "mallory") for root in roots]
            real = [await first(root, "alice") for root in roots]
            assert fake[0] == fake[1] != real[0] == real[1]
            assert fake[0][1] == real[0][1] == 5_000
            assert len(fake[0][0]) == len(real[0][0])
            assert await first(roots[0], "trudy") != fake[0]

    run(main())


@either_way
def test_a_user_without_the_right_hash_is_as_good_as_unknown(run: Run, login: Login) -> None:
    class Bare(Users):
        def find_account(self, username: str) -> Account | None:
            return Account(username) if super().find_account(username) else None

    async def main() -> None:
        async with meeting(portal(None, Bare())) as both:
            for name in ("alice", "mallory"):
                assert refused(await error_of(login(both.client.root, name, USERS["alice"])))

    run(main())


@pytest.mark.parametrize("name", [None, b"\xff", "", "x" * 300, "a\0b", 12, [b"alice"], "a\ufffd"])
def test_a_name_that_nobody_has_is_refused_like_any_other(run: Run, name: object) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            given, challenger = await challenge(both.client.root, name)
            assert len(given) == 16
            response = respond(given, md5_of(USERS["alice"]))
            assert refused(await failure(challenger.call("respond", response, None)))

    run(main())


def test_without_a_checker_that_can_tell_nobody_gets_in(run: Run) -> None:
    class Nobody(Checker):
        def anonymous(self) -> bool:
            return False

    async def main() -> None:
        realm = Realm()
        async with meeting(Portal(realm, [Nobody()])) as both:
            root = both.client.root
            assert refused(await failure(root.call("login", b"alice")))
            assert refused(await failure(root.call("loginAnonymous", None)))
            assert refused(await failure(root.call("loginCertificate", None)))
            assert refused(await error_of(scram(root, "alice", USERS["alice"])))
        assert realm.came == []

    run(main())


def test_a_guest_needs_a_checker_that_lets_guests_in(run: Run) -> None:
    class NotNow(Checker):
        async def anonymous(self) -> bool:
            return False

    async def main() -> None:
        async with meeting(portal(None, Users(), NotNow())) as both:
            assert refused(await failure(both.client.root.call("loginAnonymous", None)))

    run(main())


# Challenges.


def test_challenges_differ(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            found = [(await challenge(both.client.root))[0] for _ in range(20)]
            assert len(set(found)) == 20

    run(main())


def test_a_challenge_is_good_for_one_login(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm)) as both:
            given, challenger = await challenge(both.client.root)
            right = respond(given, md5_of(USERS["alice"]))
            first = await challenger.call("respond", right, None)
            for _ in range(3):
                assert refused(await failure(challenger.call("respond", right, None)))
            assert await first.call("whoami") == "alice"
        assert realm.came == ["alice"]

    run(main())


def test_a_challenge_can_not_be_tried_again(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            given, challenger = await challenge(both.client.root)
            right = respond(given, md5_of(USERS["alice"]))
            assert refused(await failure(challenger.call("respond", bytes(16), None)))
            assert refused(await failure(challenger.call("respond", right, None)))

    run(main())


def test_a_challenge_is_good_for_one_of_many_at_the_same_time(run: Run) -> None:
    class Slow(Users):
        async def find_account(self, username: str) -> Account | None:  # type: ignore[override]
            await turn()
            return super().find_account(username)

    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Slow())) as both:
            given, challenger = await challenge(both.client.root)
            right = respond(given, md5_of(USERS["alice"]))
            calls = [challenger.call("respond", right, None) for _ in range(20)]
            await asyncio.wait(calls)
            assert [call.exception() is None for call in calls] == [True] + [False] * 19
            assert all(refused(call.exception()) for call in calls[1:])
        assert realm.came == ["alice"]

    run(main())


def test_a_response_answers_its_own_challenge_only(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            old, _ = await challenge(both.client.root)
            _, challenger = await challenge(both.client.root)
            recorded = respond(old, md5_of(USERS["alice"]))
            assert refused(await failure(challenger.call("respond", recorded, None)))

    run(main())


@pytest.mark.parametrize(
    "forge",
    [
        lambda right: None,
        lambda right: b"",
        lambda right: bytes(16),
        lambda right: right[:-1],
        lambda right: right + b"\0",
        lambda right: right.hex(),
        lambda right: right.decode("latin-1"),
        lambda right: [right],
        int.from_bytes,
        lambda right: {right: right},
        lambda right: b"\0" * 600_000,
    ],
)
def test_a_forged_response_is_refused(run: Run, forge: Callable[[bytes], object]) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            given, challenger = await challenge(both.client.root)
            forged = forge(respond(given, md5_of(USERS["alice"])))
            assert refused(await failure(challenger.call("respond", forged, None)))

    run(main())


def test_a_scram_exchange_is_good_for_one_login(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm)) as both:
            exchange = ClientLogin("alice", USERS["alice"])
            first, challenger = await both.client.root.call("loginScram", exchange.first())
            final = exchange.final(first)
            calls = [challenger.call("finish", final, None) for _ in range(5)]
            await asyncio.wait(calls)
            assert [call.exception() is None for call in calls] == [True] + [False] * 4
            assert all(refused(call.exception()) for call in calls[1:])
            # Nor does it help at another one.
            _, other = await both.client.root.call("loginScram", exchange.first())
            assert refused(await failure(other.call("finish", final, None)))
        assert realm.came == ["alice"]

    run(main())


@pytest.mark.parametrize("message", [None, b"", "n,,n=alice,r=x", b"n,,n=,r=x", b"x" * 600_000])
def test_a_scram_message_that_is_no_good_is_refused(run: Run, message: object) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            assert refused(await failure(both.client.root.call("loginScram", message)))
            exchange = ClientLogin("alice", USERS["alice"])
            _, challenger = await both.client.root.call("loginScram", exchange.first())
            assert refused(await failure(challenger.call("finish", message, None)))

    run(main())


def test_a_scram_name_that_nobody_can_have_is_refused(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            first = b"n,,n=" + b"x" * 1000 + b",r=abc"
            answer, challenger = await both.client.root.call("loginScram", first)
            assert answer.startswith(b"r=abc")
            assert refused(await failure(challenger.call("finish", b"c=biws,r=,p=AAAA", None)))

    run(main())


def test_wrong_arguments_are_an_error_and_nothing_more(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with meeting(portal()) as both:
            _, challenger = await challenge(both.client.root)
            root = both.client.root
            calls = [root.call("login"), challenger.call("respond", b"", None, 1)]
            calls.append(root.call("loginAnonymous", None, method=1))
            for call, name in zip(calls, ("login", "respond", "loginAnonymous"), strict=True):
                error = await failure(call)
                assert type(error) is Error
                assert str(error).startswith(f"remote_{name}: ")
            await respond_to(root, b"alice", USERS["alice"])

    run(main())
    # Else it were easy to fill.
    assert caplog.records == []


def test_the_logins_that_a_connection_has_begun_are_bounded(run: Run) -> None:
    async def main() -> None:
        limits = pellucid.Limits(logins_pending=3)
        async with meeting(portal(), limits=limits) as both, meeting(portal()) as other:
            root = both.client.root
            begun = [await challenge(root) for _ in range(3)]
            for call in (root.call("login", b"alice"), root.call("loginScram", b"n,,n=a,r=b")):
                error = await failure(call)
                assert isinstance(error, LoginFailed)
                assert "too many logins" in str(error)
            # Others feel nothing of it; and what is used or dropped makes room.
            await respond_to(other.client.root, b"alice", USERS["alice"])
            given, challenger = begun.pop()
            await challenger.call("respond", respond(given, md5_of(USERS["alice"])), None)
            begun.append(await challenge(root))
            begun.clear()
            challenger = None
            await empty(both)
            for _ in range(3):
                begun.append(await challenge(root))
            assert isinstance(await failure(root.call("login", b"alice")), LoginFailed)

    run(main())


def test_logins_whose_answer_nobody_wants_take_no_room(run: Run) -> None:
    async def main() -> None:
        async with meeting(portal(), limits=pellucid.Limits(logins_pending=3)) as both:
            for _ in range(50):
                both.client.root.notify("login", b"alice")
                both.client.root.notify("loginScram", ClientLogin("alice", "x").first())
            alice = await respond_to(both.client.root, b"alice", USERS["alice"])
            assert await alice.call("whoami") == "alice"
            del alice
            await empty(both)

    run(main())


# Floods.


def test_after_three_failures_a_host_waits_and_others_do_not(run: Run) -> None:
    async def main() -> None:
        slept: list[float] = []
        go = asyncio.Event()

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await go.wait()

        door = portal(throttle=Throttle(sleep=sleep))
        async with (
            meeting(door, host="127.0.0.1") as one,
            meeting(door, host="127.0.0.1") as same,
            meeting(door, host="127.0.0.2") as other,
        ):
            for _ in range(3):
                await error_of(respond_to(one.client.root, b"alice", "wrong horse"))
            assert slept == []
            waiting = asyncio.create_task(scram(same.client.root, "alice", USERS["alice"]))
            await until(lambda: slept == [1])
            await respond_to(other.client.root, b"alice", USERS["alice"])
            assert not waiting.done()
            go.set()
            await waiting
            # That one was right, so the next ones need not wait.
            await error_of(respond_to(one.client.root, b"alice", "wrong horse"))
            assert slept == [1]
            del waiting

    run(main())


@either_way
def test_an_account_of_ones_own_does_not_help_to_guess(
    run: Run, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the two users do not fall together.
    monkeypatch.setattr("pellucid.asyncio.throttle._USERS", 2**60)

    async def main() -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        async with meeting(portal(throttle=Throttle(sleep=sleep))) as both:
            for _ in range(6):
                assert refused(await error_of(login(both.client.root, "alice", "wrong horse")))
                await login(both.client.root, "bob", USERS["bob"])
            assert slept == [1, 2, 4]
            await empty(both)

    run(main())


def test_a_flood_of_logins_is_cut_down_and_others_get_in(run: Run) -> None:
    async def main() -> None:
        users = Users()
        go = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await go.wait()

        door = portal(None, users, throttle=Throttle(sleep=sleep))
        limits = pellucid.Limits(logins_pending=500)
        async with (
            meeting(door, host="127.0.0.1", limits=limits) as flood,
            meeting(door, host="127.0.0.2") as other,
        ):
            begun = [await challenge(flood.client.root) for _ in range(400)]
            calls = [challenger.call("respond", bytes(16), None) for _, challenger in begun]
            # Three were tried, one waits for its delay and ten wait for that one.
            await until(lambda: sum(call.done() for call in calls) == 400 - 11)
            assert users.asked == ["alice"] * 3
            alice = await respond_to(other.client.root, b"alice", USERS["alice"])
            assert await alice.call("whoami") == "alice"
            go.set()
            await asyncio.wait(calls)
            assert all(refused(call.exception()) for call in calls)
        assert users.asked == ["alice"] * (3 + 1 + 11)

    run(main())


def test_a_flood_of_passwords_computes_two_slow_hashes_at_a_time(
    run: Run, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = [0, 0]

    def slowly(account: Account, password: str | bytes) -> bool:
        running[0] += 1
        running[1] = max(running)
        try:
            return check_password(account, password)
        finally:
            running[0] -= 1

    monkeypatch.setattr(portals, "check_password", slowly)

    async def main() -> None:
        root = portal()
        async with secure(root, certificates) as client:
            calls = [client.root.call("loginPassword", "alice", "no") for _ in range(50)]
            await asyncio.wait(calls)
            assert all(refused(call.exception()) for call in calls)
        assert running[0] == 0
        assert 1 <= running[1] <= 2

    run(main())


# Passwords, under TLS.


class Counted:
    """Counts the slow hashes that a portal computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(portals, "check_password", self._check)

    def _check(self, account: Account, password: str | bytes) -> bool:
        self.count += 1
        return check_password(account, password)

    def take(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture(scope="module")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("passwords") / "users"
    for name, password in USERS.items():
        write_account(path, name, make_account(name, password, iterations=4096))
    return path


@pytest.mark.parametrize("files", [1, 2])
def test_a_password_costs_the_same_whoever_it_is_said_to_be(
    run: Run,
    certificates: Certificates,
    users_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: int,
) -> None:
    async def main() -> None:
        slow = Counted(monkeypatch)
        # Two of them know the same users; a third one has been asked before and knows nobody.
        checkers = [*[PasswordFile(users_file)] * files, Anonymous()]
        root = portal(None, *checkers)
        async with secure(root, certificates) as client:
            login = partial(client.root.call, "loginPassword")
            for name, password in (("alice", "wrong horse"), ("mallory", "wrong horse")):
                assert refused(await failure(login(name, password, None)))
                assert slow.take() == files
            for user in ("alice", b"alice"):
                alice = await login(user, USERS["alice"], None)
                assert await alice.call("whoami") == "alice"
                assert slow.take() == 1
            # What can be nobody's costs nothing, whoever it is said to be.
            strange: tuple[object, ...]
            for strange in ((None, "x"), ("alice", None), ("alice", ""), ("", "x")):
                assert refused(await failure(login(*strange)))
            assert refused(await failure(login("alice", "x" * 2000)))
            assert slow.take() == 0

    run(main())


def test_a_user_without_keys_looks_like_one_who_does_not_exist(run: Run) -> None:
    asked: list[str] = []

    class Some(Users):
        def find_account(self, username: str) -> Account | None:
            found = super().find_account(username)
            return Account("bob", None, None, md5_of("x")) if username == "bob" else found

        def decoy(self, username: str) -> Account:
            asked.append(username)
            return decoy(username, b"key", Account("", None, Keys.of("x", bytes(20), 4097).text()))

    async def first(root: RemoteReference, name: str) -> Keys:
        given, _ = await root.call("loginScram", ClientLogin(name, "x").first())
        salt, count = given.decode().split(",")[1:]
        return Keys(int(count[2:]), b64decode(salt[2:]), b"", b"")

    async def main() -> None:
        # As after a restart.
        seen = []
        for _ in range(2):
            async with meeting(portal(None, Some())) as both:
                keys = [await first(both.client.root, name) for name in ("bob", "mallory")]
                assert [(one.iterations, len(one.salt)) for one in keys] == [(4097, 20)] * 2
                seen.append([one.salt for one in keys])
                await first(both.client.root, "alice")
        assert seen[0] == seen[1]
        # All names cost the same.
        assert asked == ["bob", "mallory", "alice"] * 2

    run(main())


def test_a_checker_may_see_the_password_itself(run: Run, certificates: Certificates) -> None:
    class Elsewhere(Checker):
        async def check_password(self, username: str, password: str | bytes) -> str | None:
            return f"{username}@elsewhere" if password == "let me in" else None

        def find_account(self, username: str) -> Account | None:
            raise AssertionError("it has no accounts for passwords")

    async def main() -> None:
        root = portal(None, Elsewhere(), InMemory(USERS, iterations=4096))
        async with secure(root, certificates) as client:
            login = partial(client.root.call, "loginPassword")
            assert await (await login("alice", "let me in")).call("whoami") == "alice@elsewhere"
            assert await (await login("alice", USERS["alice"])).call("whoami") == "alice"
            assert refused(await failure(login("alice", "wrong horse")))

    run(main())


def test_a_password_that_comes_without_tls_is_refused_though_it_is_right(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm)) as both:
            for password in (USERS["alice"], "wrong horse"):
                call = both.client.root.call("loginPassword", "alice", password, None)
                assert refused(await failure(call))
        assert realm.came == []

    run(main())


# Certificates.


@pytest.mark.parametrize(
    ("checkers", "name"),
    [
        ([CertificateNames()], "alice"),
        ([CertificateNames({"alice@example.com": "a"})], "a"),
        ([Users(), CertificateNames({}), CertificateNames()], "alice"),
    ],
)
def test_a_certificate_lets_its_owner_in(
    run: Run, certificates: Certificates, checkers: list[Any], name: str
) -> None:
    async def main() -> None:
        root = portal(None, *checkers)
        async with secure(root, certificates, "alice") as client:
            alice = await client.root.call("loginCertificate", None)
            assert await alice.call("whoami") == name

    run(main())


def test_a_certificate_that_nobody_knows_does_not(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with secure(portal(None, CertificateNames({})), certificates, "alice") as client:
            assert refused(await failure(client.root.call("loginCertificate", None)))

    run(main())


def test_who_shows_no_certificate_has_none(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        root = portal(None, CertificateNames())
        async with secure(root, certificates) as client:
            assert refused(await failure(client.root.call("loginCertificate", None)))

    run(main())


# Where MD5 may be used.

LOCAL = ["127.0.0.1", "127.8.8.8", "::1"]
AWAY = ["0.0.0.0", "::", "192.0.2.1", "fe80::1%eth0", "localhost"]


@pytest.mark.parametrize("hosts", [[], *[[host] for host in LOCAL], LOCAL])
def test_md5_is_allowed_on_this_machine(hosts: list[str]) -> None:
    portal().check_serving(hosts, False)


@pytest.mark.parametrize("host", AWAY)
def test_md5_is_not_allowed_on_the_network_unless_one_says_so(host: str) -> None:
    for hosts in ([host], [*LOCAL, host]):
        with pytest.raises(LocalProtocolError, match=r"ssl=.*allow_md5_without_tls=True") as caught:
            portal().check_serving(hosts, False)
        assert host in str(caught.value)
        portal().check_serving(hosts, True)
        portal(allow_md5_without_tls=True).check_serving(hosts, False)
        portal(None, Anonymous()).check_serving(hosts, False)


def test_a_server_with_md5_does_not_begin_to_listen(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(LocalProtocolError, match="allow_md5_without_tls"):
            await pellucid.serve(portal(), "pb://0.0.0.0:0")
        async with pellucid.serve(portal(), FREE) as server:
            assert server.urls

    run(main())


def test_md5_that_was_added_later_is_not_used_on_the_network(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        open_door = portal(allow_md5_without_tls=True)
        async with (
            meeting(portal(), host="192.0.2.1") as away,
            meeting(portal(), host="127.0.0.1") as here,
            meeting(open_door, host="192.0.2.1") as allowed,
        ):
            assert refused(await failure(away.client.root.call("login", b"alice")))
            await scram(away.client.root, "alice", USERS["alice"])
            await respond_to(here.client.root, b"alice", USERS["alice"])
            await respond_to(allowed.client.root, b"alice", USERS["alice"])

    run(main())
    assert "pb://192.0.2.1:1: a login of PB was refused: there is no TLS" in caplog.text


def test_where_there_is_no_md5_all_are_refused_alike_and_the_log_says_why(
    run: Run, caplog: pytest.LogCaptureFixture, users_file: Path
) -> None:
    async def main() -> None:
        async with meeting(portal(None, PasswordFile(users_file))) as both:
            for name in (b"alice", b"mallory"):
                assert refused(await failure(both.client.root.call("login", name)))

    run(main())
    assert "there is no MD5 of any password (pellucid passwd --pb-md5" in caplog.text


def test_why_no_password_can_be_right_without_tls_is_logged_seldom(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(Checker):
        def check_password(self, username: str, password: str | bytes) -> str:
            return username

    async def main() -> None:
        async with meeting(portal(None, Own(), Anonymous())) as both:
            for _ in range(20):
                assert refused(await error_of(scram(both.client.root, "alice", "x")))

    run(main())
    told = [text for text in caplog.messages if "check_password needs pbs://" in text]
    assert 0 < len(told) <= 10
    assert "alice" not in caplog.text


# Checkers and realms that fail.


class Broken(Checker):
    """Fails in every method, and says more than it should."""

    @property
    def has_md5(self) -> bool:
        raise LookupError(*USERS.items())

    def find_account(self, username: str) -> Any:
        raise LookupError(*USERS.items())

    async def check_password(self, username: str, password: str | bytes) -> Any:
        raise LookupError(*USERS.items())

    def anonymous(self) -> Any:
        raise LookupError(*USERS.items())

    def check_certificate(self, certificate: object) -> Any:
        raise LookupError(*USERS.items())

    def decoy(self, username: str) -> Any:
        raise LookupError(*USERS.items())


class Half(Broken):
    """Fails when it is used."""

    has_md5 = True


def test_a_checker_that_is_broken_knows_nobody_and_the_others_are_asked(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with meeting(portal(None, Broken())) as both:
            root = both.client.root
            assert refused(await failure(root.call("login", b"alice")))
            assert refused(await failure(root.call("loginAnonymous", None)))
            assert refused(await error_of(scram(root, "alice", USERS["alice"])))

        async with meeting(portal(None, Half(), Users(), Anonymous())) as both:
            root = both.client.root
            await respond_to(root, b"alice", USERS["alice"])
            await scram(root, "alice", USERS["alice"])
            await root.call("loginAnonymous", None)

    run(main())
    assert "Broken.find_account raised LookupError" in caplog.text
    assert "test_portal.py" in caplog.text
    assert "horse" not in caplog.text


def test_a_password_file_that_can_not_be_read_lets_nobody_in_and_the_log_says_where(
    run: Run, caplog: pytest.LogCaptureFixture, users_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "users"
    path.write_bytes(users_file.read_bytes())

    async def main() -> None:
        async with meeting(portal(None, PasswordFile(path))) as both:
            await scram(both.client.root, "alice", USERS["alice"])
            with path.open("a") as file:
                file.write("alice slow=SECRET\n")
            assert refused(await error_of(scram(both.client.root, "alice", USERS["alice"])))
            path.write_bytes(users_file.read_bytes())
            await scram(both.client.root, "alice", USERS["alice"])

    run(main())
    assert f"PasswordFile.find_account: {path}, line 4: " in caplog.text
    assert "SECRET" not in caplog.text


def test_a_checker_may_refuse_with_login_failed(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Strict(Users):
        def find_account(self, username: str) -> Account | None:
            raise LoginFailed("locked out")

    async def main() -> None:
        async with meeting(portal(None, Strict())) as both:
            assert refused(await error_of(respond_to(both.client.root, b"alice", "x")))

    run(main())
    assert "Strict" not in caplog.text


def test_hashes_that_can_not_be_read_let_nobody_in(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Checker):
        def find_account(self, username: str) -> Account:
            return Account(username, "$odd$SECRET", "SCRAM-SHA-1$SECRET")

    async def main() -> None:
        root = portal(None, Odd())
        async with secure(root, certificates) as client:
            call = client.root.call("loginPassword", "alice", "x")
            assert refused(await failure(call))
            assert refused(await error_of(scram(client.root, "alice", "x")))

    run(main())
    assert "raised ValueError" in caplog.text
    assert "SECRET" not in caplog.text


def test_what_the_realm_raises_is_answered(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Closed(Realm):
        error: Exception

        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            raise self.error

    class Full(pellucid.Error):
        pass

    async def main() -> None:
        realm = Closed()
        async with meeting(portal(realm, Anonymous())) as both:
            for realm.error in (LoginFailed("guests only"), Full("no room")):
                error = await failure(both.client.root.call("loginAnonymous", None))
                assert type(error) is type(realm.error)
                assert str(error) == str(realm.error)
            assert caplog.records == []
            realm.error = KeyError("oops")
            error = await failure(both.client.root.call("loginAnonymous", None))
            assert isinstance(error, RemoteError)
            assert error.remote_type == "builtins.KeyError"

    run(main())
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("given", [None, "alice", {}])
def test_what_is_no_avatar_is_an_error_of_the_server(
    run: Run, given: object, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def request_avatar(self, avatar_id: str | None, mind: Any) -> object:
            return given

    async def main() -> None:
        async with meeting(portal(Odd(), Anonymous())) as both:
            error = await failure(both.client.root.call("loginAnonymous", None))
            assert isinstance(error, RemoteError)
            assert error.remote_type == "builtins.TypeError"

    run(main())
    assert f"request_avatar gave a {type(given).__name__}, which is no Avatar" in caplog.text


# Logout: once for each avatar that the realm made, whatever happens.


class Slowly(Realm):
    """Makes an avatar when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        self.asked.set()
        await self.go.wait()
        return await super().request_avatar(avatar_id, mind)


async def guest_of(both: Pair) -> RemoteReference:
    guest = await both.client.root.call("loginAnonymous", None)
    assert isinstance(guest, RemoteReference)
    return guest


def test_logout_when_the_reference_is_dropped(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Anonymous())) as both:
            guest = await guest_of(both)
            assert realm.left == []
            del guest
            await until(lambda: realm.left == ["guest"])
            await empty(both)
        assert realm.left == ["guest"]

    run(main())


@pytest.mark.parametrize("end", ["client closes", "server closes", "cut"])
def test_logout_when_the_connection_ends(run: Run, end: str) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Anonymous())) as both:
            guests = [await guest_of(both) for _ in range(3)]
            if end == "client closes":
                both.client.close()
            elif end == "server closes":
                both.server.close()
            else:
                both.client.abort(OSError("cut"))
            # The server's end waits for the logouts.
            await both.server.wait_closed()
            assert realm.left == ["guest"] * 3
            del guests

    run(main())


def test_logout_when_all_happens_at_once(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Anonymous())) as both:
            guests = [await guest_of(both) for _ in range(5)]
            # The releases leave just before the end.
            guests.clear()
            gc.collect()
            both.server.close()
            both.client.close()
            await both.server.wait_closed()
        assert realm.left == ["guest"] * 5

    run(main())


@pytest.mark.parametrize("abrupt", [False, True])
def test_logout_when_the_connection_ends_while_the_realm_is_asked(run: Run, abrupt: bool) -> None:
    async def main() -> None:
        realm = Slowly()
        async with meeting(portal(realm, Anonymous())) as both:
            call = both.client.root.call("loginAnonymous", None)
            await realm.asked.wait()
            if abrupt:
                both.client.abort(OSError("cut"))
            else:
                both.client.close()
            await failure(call)
            await until(lambda: both.server.closed)
            assert realm.left == []
            realm.go.set()
            await both.server.wait_closed()
            assert (realm.came, realm.left) == (["guest"], ["guest"])
            del call

    run(main())


def test_logout_when_avatar_and_end_come_in_the_same_moment(run: Run) -> None:
    async def main() -> None:
        realm = Slowly()
        async with meeting(portal(realm, Anonymous())) as both:
            call = both.client.root.call("loginAnonymous", None)
            await realm.asked.wait()
            realm.go.set()
            both.server.abort(OSError("cut"))
            await failure(call)
            await both.server.wait_closed()
            assert (realm.came, realm.left) == (["guest"], ["guest"])
            del call

    run(main())


def test_logout_when_the_realm_itself_ends_the_connection(run: Run) -> None:
    class Hostile(Realm):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            user = await super().request_avatar(avatar_id, mind)
            mind.connection.abort(OSError("cut"))
            return user

    async def main() -> None:
        realm = Hostile()
        async with meeting(portal(realm, Anonymous())) as both:
            await failure(both.client.root.call("loginAnonymous", Thing()))
            await both.server.wait_closed()
            assert (realm.came, realm.left) == (["guest"], ["guest"])

    run(main())


@pytest.mark.parametrize("error", [LoginFailed("no"), RuntimeError("broken")])
def test_no_logout_where_the_realm_made_nothing(
    run: Run, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    class Never(Slowly):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            await super().request_avatar(avatar_id, mind)
            raise error

    async def main() -> None:
        realm = Never()
        async with meeting(portal(realm, Anonymous())) as both:
            call = both.client.root.call("loginAnonymous", None)
            await realm.asked.wait()
            both.client.close()
            await failure(call)
            await until(lambda: both.server.closed)
            realm.go.set()
            await both.server.wait_closed()
            assert realm.left == []
            del call

    run(main())
    # An error that nobody was told of is in the log.
    assert ("RuntimeError" in caplog.text) == isinstance(error, RuntimeError)


def test_no_logout_where_the_realm_was_cancelled(run: Run) -> None:
    class Cancelled(Realm):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            raise asyncio.CancelledError

    async def main() -> None:
        realm = Cancelled()
        async with meeting(portal(realm, Anonymous())) as both:
            error = await failure(both.client.root.call("loginAnonymous", None))
            assert isinstance(error, RemoteError)
            assert realm.left == []

    run(main())


def test_logout_when_nobody_wants_the_answer(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        async with meeting(portal(realm, Anonymous())) as both:
            both.client.root.notify("loginAnonymous", None)
            await until(lambda: realm.left == ["guest"])
            await empty(both)
        assert realm.left == ["guest"]

    run(main())


def test_logout_when_the_answer_can_not_be_sent(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        limits = pellucid.Limits(references_exported=2)
        async with meeting(portal(realm, Anonymous()), limits=limits) as both:
            guests = [await guest_of(both) for _ in range(2)]
            error = await failure(both.client.root.call("loginAnonymous", None))
            assert "Maximum PB reference count" in str(error)
            await until(lambda: realm.left == ["guest"])
            assert await guests[0].call("whoami") == "guest"
            guests.clear()
            await until(lambda: realm.left == ["guest"] * 3)

    run(main())


def test_logout_of_an_avatar_that_is_called_when_it_is_dropped(run: Run) -> None:
    class Busy(User):
        async def perspective_wait(self) -> str:
            await asyncio.sleep(0)
            return self.name

    class Office(Realm):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            return Busy("guest", mind, self)

    async def main() -> None:
        realm = Office()
        async with meeting(portal(realm, Anonymous())) as both:
            guest = await guest_of(both)
            call = guest.call("wait")
            del guest
            assert await call == "guest"
            await until(lambda: realm.left == ["guest"])

    run(main())


def test_a_logout_that_fails_is_logged_and_harms_nobody(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(User):
        def logout(self) -> Any:
            raise RuntimeError("stumbled")

    class Stairs(Realm):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            return Clumsy("guest", mind, self)

    async def main() -> None:
        async with meeting(portal(Stairs(), Anonymous())) as both:
            guest = await guest_of(both)
            del guest
            await until(lambda: "stumbled" in caplog.text)
            assert await (await guest_of(both)).call("whoami") == "guest"

    run(main())


# What is written down.


def test_neither_names_nor_passwords_are_logged(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def attack(root: RemoteReference) -> None:
        for name in ("alice", "mallory"):
            for login in (respond_to, scram):
                await error_of(login(root, name, "wrong horse"))
            for password in (*USERS.values(), "wrong horse", None):
                call = root.call("loginPassword", name, password, "mallory")
                await asyncio.gather(call, return_exceptions=True)
            _, challenger = await challenge(root, name.encode())
            await failure(challenger.call("respond", b"wrong horse", "mallory"))
            await failure(challenger.call("respond", b"wrong horse", "mallory"))
            await failure(root.call("login", name, "wrong horse"))
            await failure(root.call("loginPassword", name, "wrong horse", None, "mallory"))
            await failure(root.call("loginScram", f"n,,n={name},r=wrong horse".encode()))
        await respond_to(root, b"alice", USERS["alice"])
        await scram(root, "alice", USERS["alice"])

    async def main() -> None:
        async with meeting(portal(None, Half(), Users()), host="127.0.0.1") as both:
            await attack(both.client.root)
        async with meeting(portal(), tracebacks=True) as both:
            await attack(both.client.root)
        root = portal(None, Users(), Half())
        async with secure(root, certificates) as client:
            await attack(client.root)

    run(main())
    assert "a login failed" in caplog.text
    for record in caplog.records:
        text = f"{record.getMessage()} {record.exc_text} {record.exc_info} {record.args}"
        assert [secret for secret in SECRETS if secret in text] == []


def test_a_flood_does_not_fill_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pellucid")

    async def main() -> None:
        async with meeting(portal(None, Anonymous()), host="127.0.0.1") as both:
            calls = [both.client.root.call("login", b"alice") for _ in range(300)]
            await asyncio.wait(calls)
            assert all(refused(call.exception()) for call in calls)

    run(main())
    assert 0 < len(caplog.records) < 30


def test_keys_are_those_of_the_user() -> None:
    account = Users().find_account("alice")
    assert account is not None
    assert account.scram is not None
    assert Keys.parse(account.scram).check(USERS["alice"])


def test_a_root_belongs_to_its_connection(run: Run) -> None:
    async def main() -> None:
        door = portal()
        one, two = Connection("server", root=door), Connection("server", root=door)
        assert door.root_for(one) is not door.root_for(two)
        one.close()
        two.close()
        await asyncio.gather(one.finished(), two.finished())

    run(main())
