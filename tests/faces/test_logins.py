"""Logging in and out, and on whose behalf things are called, on every face."""

from typing import Any

import pytest

import pellucid
from tests.asyncio.certificates import SECURE, Certificates
from tests.faces.face import Face, Steps, on_each_face, steps, without
from tests.faces.flavours import Avatar, Viewable
from tests.faces.pair import Thing, joined

USERS = {"alice": "correct horse", "bob": "battery staple"}


class Board(Viewable):
    def view_whose(self, perspective: "User", *args: Any) -> tuple[str, Any]:
        return perspective.name, list(args)


class User(Avatar):
    def __init__(self, name: str, mind: Any, realm: "Realm") -> None:
        self.name = name
        self.mind = mind
        self.realm = realm

    def perspective_whoami(self) -> str:
        return self.name

    def perspective_is_me(self, value: object) -> bool:
        return value is self

    def perspective_board(self) -> Board:
        return self.realm.board

    @steps
    def perspective_ask_mind(self, value: Any) -> Steps:
        return (yield self.mind.call("tell", value))

    def logout(self) -> None:
        self.realm.left.append(self.name)


class Realm:
    def __init__(self, face: Face) -> None:
        self.face = face
        self.came: list[str] = []
        self.left: list[str] = []
        self.board = Board()

    def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        if avatar_id == "bob":
            raise self.face.login_failed("bob may not come in")
        self.came.append(avatar_id or "guest")
        return User(avatar_id or "guest", mind, self)


def logging_in(face: Face, *, anonymous: bool = False, **options: Any) -> Steps:
    realm = Realm(face)
    portal = face.portal(realm, USERS, anonymous=anonymous)
    pair = yield from joined(face, portal, **options)
    return realm, pair


@on_each_face
def test_a_login_gives_a_perspective_and_its_release_is_the_logout(face: Face) -> Steps:
    realm, pair = yield from logging_in(face)
    mind = Thing()
    perspective = yield pair.client.login("alice", "correct horse", mind)
    assert isinstance(perspective, type(pair.root))
    assert (yield perspective.call("whoami")) == "alice"
    assert (yield perspective.call("is_me", perspective)) is True
    assert (yield perspective.call("ask_mind", "x")) == 1
    assert mind.heard == ["x"]
    assert realm.left == []
    del perspective, mind
    yield face.until(lambda: realm.left)
    yield from pair.close()
    assert (realm.came, realm.left) == (["alice"], ["alice"])


@on_each_face
def test_at_the_end_of_the_connection_whoever_is_in_is_logged_out_once(face: Face) -> Steps:
    realm, pair = yield from logging_in(face)
    first = yield pair.client.login("alice", "correct horse")
    second = yield pair.client.login("alice", "correct horse")
    assert first is not second
    yield from pair.close()
    assert realm.left == ["alice", "alice"]
    with face.raises(pellucid.DeadReferenceError):
        yield first.call("whoami")


@on_each_face
def test_nobody_gets_in_with_a_wrong_name_or_password(face: Face) -> Steps:
    realm, pair = yield from logging_in(face)
    for name, password in (("alice", "wrong"), ("mallory", "wrong")):
        with face.raises(pellucid.LoginFailed) as caught:
            yield pair.client.login(name, password)
        assert str(caught.value) == face.refusal
    with face.raises(pellucid.LoginFailed):
        yield pair.client.login_anonymous()
    with face.raises(pellucid.LoginFailed):
        yield pair.client.login("bob", "battery staple")
    del caught
    yield pair.empty()
    yield from pair.close()
    assert (realm.came, realm.left) == ([], [])


@on_each_face
def test_a_login_without_a_name(face: Face) -> Steps:
    realm, pair = yield from logging_in(face, anonymous=True)
    guest = yield pair.client.login_anonymous()
    assert (yield guest.call("whoami")) == "guest"
    yield from pair.close()
    assert realm.left == ["guest"]


@on_each_face
def test_views_know_who_looks(face: Face) -> Steps:
    _, pair = yield from logging_in(face, anonymous=True)
    views = []
    for come in (pair.client.login("alice", "correct horse"), pair.client.login_anonymous()):
        perspective = yield come
        views.append((yield perspective.call("board")))
    assert (yield views[0].call("whose", 1)) == ("alice", [1])
    assert (yield views[1].call("whose", 2)) == ("guest", [2])
    yield from pair.close()


@on_each_face
def test_a_login_under_tls(face: Face, certificates: Certificates) -> Steps:
    realm, pair = yield from logging_in(face, url=SECURE, **face.tls(certificates))
    perspective = yield pair.client.login("alice", "correct horse")
    assert (yield perspective.call("whoami")) == "alice"
    with face.raises(pellucid.LoginFailed):
        yield pair.client.login("alice", "wrong")
    yield from pair.close()
    assert realm.left == ["alice"]


@on_each_face
@without(twisted="there are no such credentials in PB")
def test_a_login_with_a_certificate(face: Face, certificates: Certificates) -> Steps:
    realm = Realm(face)
    pair = yield from joined(
        face,
        pellucid.Portal(realm, [pellucid.CertificateNames()]),
        url=SECURE,
        ssl=certificates.server_tls(clients=True),
        client={"ssl": certificates.client_tls("alice")},
    )
    assert pair.server.certificate.common_name == "alice"
    perspective = yield pair.client.login_certificate()
    assert (yield perspective.call("whoami")) == "alice"
    yield from pair.close()
    assert realm.left == ["alice"]


@on_each_face
def test_a_realm_and_a_logout_may_fail(face: Face, caplog: pytest.LogCaptureFixture) -> Steps:
    class Failing(Realm):
        def request_avatar(self, avatar_id: str | None, mind: Any) -> Any:
            if mind is None:
                raise LookupError("a broken realm")
            user = super().request_avatar(avatar_id, mind)
            user.logout = self.fail  # type: ignore[method-assign]
            return user

        def fail(self) -> None:
            raise LookupError("a broken logout")

    pair = yield from joined(face, face.portal(Failing(face), USERS, anonymous=True))
    with face.raises(pellucid.RemoteError, match="a broken realm"):
        yield pair.client.login_anonymous()
    yield pair.client.login_anonymous(Thing())
    yield from pair.close()
    for text in ("a broken realm", "a broken logout"):
        assert text in caplog.text


@on_each_face
@without(twisted="there a checker that raises anything else tells the client so")
def test_a_checker_may_fail(face: Face, caplog: pytest.LogCaptureFixture) -> Steps:
    class Broken(pellucid.Checker):
        def find_account(self, username: str) -> Any:
            raise LookupError("a broken checker")

    pair = yield from joined(face, pellucid.Portal(Realm(face), [Broken()]))
    with face.raises(pellucid.LoginFailed):
        yield pair.client.login("alice", "x")
    yield from pair.close()
    assert "Broken.find_account" in caplog.text


@on_each_face
@without(twisted="there a server without a login is one that has no such method")
def test_a_server_without_a_login_is_told_from_one_that_refuses(face: Face) -> Steps:
    pair = yield from joined(face)
    for login in (lambda: pair.client.login("alice", "x"), pair.client.login_anonymous):
        with face.raises(pellucid.LoginFailed, match=r"^this server has no login$"):
            yield login()
    yield from pair.close()


@on_each_face
def test_before_a_login_nothing_can_be_called(face: Face) -> Steps:
    realm, pair = yield from logging_in(face)
    for name in ("whoami", "board", "nothing", "find_method", "rootObject"):
        with face.raises(pellucid.NoSuchMethod, match=f"^No such method: remote_{name}"):
            yield pair.root.call(name)
    assert realm.came == []
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="there the text is Twisted's, without the hint")
def test_before_a_login_every_call_hears_what_comes_first(face: Face) -> Steps:
    _, pair = yield from logging_in(face)
    for name in ("whoami", "nothing", "find_method"):
        expected = f"^No such method: remote_{name}: log in first$"
        with face.raises(pellucid.NoSuchMethod, match=expected):
            yield pair.root.call(name)
    yield from pair.close()


@on_each_face
@without(twisted="there is nothing to be told apart, for the client does not look")
def test_a_realm_that_misses_a_method_is_no_server_without_a_login(face: Face) -> Steps:
    class Lost(Realm):
        def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            raise pellucid.NoSuchMethod("No such method: remote_find_user")

    pair = yield from joined(face, pellucid.Portal(Lost(face), [pellucid.Anonymous()]))
    with face.raises(pellucid.NoSuchMethod, match="find_user"):
        yield pair.client.login_anonymous()
    yield from pair.close()


@on_each_face
@without(twisted="there credentials are objects, which the factory does not look into")
def test_what_is_no_name_and_no_password_is_not_sent(face: Face) -> Steps:
    realm, pair = yield from logging_in(face)
    given: Any
    for given in (None, 3, b"alice"):
        with pytest.raises(TypeError, match="a user name is a str, not"):
            yield pair.client.login(given, "x")
    for given in (None, 3):
        with pytest.raises(TypeError, match="a password is a str or bytes, not"):
            yield pair.client.login("alice", given)
    with pytest.raises(ValueError, match="a password has from 1 to"):
        yield pair.client.login("alice", "")
    assert realm.came == []
    yield from pair.close()


@on_each_face
@without(twisted="PB never sends a password, under TLS or not")
def test_a_checker_of_passwords_says_that_it_needs_tls(
    face: Face, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> Steps:
    class Own(pellucid.Checker):
        def check_password(self, username: str, password: str | bytes) -> str | None:
            return username if password == USERS.get(username) else None

    portal = pellucid.Portal(Realm(face), [Own()])
    pair = yield from joined(face, portal)
    with face.raises(pellucid.LoginFailed):
        yield pair.client.login("alice", "correct horse")
    yield from pair.close()
    (text,) = caplog.messages
    assert "no checker has find_account, and check_password needs pbs://" in text
    assert "alice" not in text
    caplog.clear()
    with_tls = {"ssl": certificates.server_tls(), "client": {"ssl": certificates.client_tls()}}
    pair = yield from joined(face, portal, SECURE, **with_tls)
    user = yield pair.client.login("alice", "correct horse")
    assert (yield user.call("whoami")) == "alice"
    del user
    yield from pair.close()
    assert caplog.messages == []
