"""Logging in over portals of twisted.cred, and what those who are in can call."""

import gc
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from typing import Any
from weakref import WeakSet, ref

import pytest
from twisted.cred import checkers, credentials, portal
from twisted.cred.error import LoginDenied, UnauthorizedLogin, UnhandledCredentials
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

import pellucid
from pellucid.twisted import avatars, pb
from pellucid.twisted.interfaces import IJellyable
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Joined, Wire, failure_of, result

ALICE = credentials.UsernamePassword(b"alice", b"secret")
BOB = credentials.UsernamePassword(b"bob", b"hidden")


class User(pb.Avatar):
    def __init__(self, name: Any, mind: Any = None) -> None:
        self.name = name
        self.mind = mind
        self.no_method = 5

    def perspective_whoami(self) -> Any:
        return self.name

    def perspective_echo(self, *args: Any, **kw: Any) -> Any:
        return args, kw

    def perspective_is_me(self, other: Any) -> bool:
        return other is self

    def perspective_board(self) -> "Board":
        return Board()

    def perspective_ask_mind(self, value: Any) -> Any:
        return self.mind.callRemote("tell", value)

    def perspective_copy(self) -> "Told":
        return Told()

    async def perspective_later(self, value: Any) -> Any:
        return await succeed(value)

    perspective_constant = 5


class Board(pb.Viewable):
    def view_whose(self, perspective: Any, *args: Any) -> Any:
        return perspective.name, args


class Told(pb.Copyable):
    """Its state tells on whose behalf it was sent."""

    def getStateToCopyFor(self, perspective: Any) -> Any:
        return {"whom": perspective.name}


class ToldCopy(pb.RemoteCopy):
    whom: Any = None


pb.setUnjellyableForClass(Told, ToldCopy)


class Mind(pb.Referenceable):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def remote_tell(self, value: Any) -> int:
        self.heard.append(value)
        return len(self.heard)


@implementer(portal.IRealm)
class Realm:
    """Makes avatars, and writes down who is logged out."""

    def __init__(self, make: Callable[..., Any] = User) -> None:
        self.make = make
        self.asked: list[Any] = []
        self.avatars: list[Any] = []
        self.left: list[Any] = []

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        self.asked.append((avatarId, mind, interfaces))
        self.avatars.append(self.make(avatarId, mind))
        return pb.IPerspective, self.avatars[-1], lambda: self.left.append(avatarId)


def portal_of(realm: Any, *used: Any, kind: Any = portal.Portal) -> Any:
    return kind(realm, used)


class House:
    """A server with a portal and a client, connected."""

    def __init__(self, join: Join, *more: Any, realm: Any = None, **options: Any) -> None:
        self.realm: Any = Realm() if realm is None else realm
        known = checkers.InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret", bob=b"hidden")
        used: tuple[Any, ...] = more or (known, checkers.AllowAnonymousAccess())
        self.portal = portal_of(self.realm, *used)
        protocol = options.pop("protocol", pb.Broker)
        self.server = pb.PBServerFactory(self.portal, **options)
        self.server.protocol = protocol
        self.client = pb.PBClientFactory()
        brokers = self.client.buildProtocol(None), self.server.buildProtocol(None)
        self.both: Joined = join(brokers=brokers)

    def log_in(self, who: Any = ALICE, mind: Any = None) -> Any:
        waiting = self.client.login(who, mind)
        self.both.run()
        return result(waiting)

    def refused(self, who: Any, mind: Any = None) -> Failure:
        waiting = self.client.login(who, mind)
        self.both.run()
        found: Failure = failure_of(waiting)
        return found

    def call(self, target: Any, name: str, *args: Any, **kw: Any) -> Any:
        waiting = target.callRemote(name, *args, **kw)
        self.both.run()
        return result(waiting)

    def settle(self) -> None:
        gc.collect()
        self.both.run()


# The exchange.


def test_a_response_is_that_of_the_protocol() -> None:
    made = pb.respond(bytes(16), b"secret")
    assert made.hex() == "dcedcc25ff20f26684ff7566a535d149"
    assert made == md5(md5(b"secret").digest() + bytes(16)).digest()
    assert pb.respond(bytes(16), "secret") == made  # type: ignore[arg-type]


def test_no_two_challenges_are_the_same() -> None:
    made = {pb.challenge() for _ in range(100)}
    assert len(made) == 100
    assert {len(one) for one in made} == {16}


# In.


def test_a_login_gives_a_perspective(join: Join) -> None:
    house = House(join)
    mind = Mind()
    perspective = house.log_in(ALICE, mind)
    assert isinstance(perspective, pb.RemoteReference)
    assert house.call(perspective, "whoami") == b"alice"
    assert house.call(perspective, "echo", 1, two=[2]) == ((1,), {"two": [2]})
    assert house.call(perspective, "ask_mind", "x") == 1
    assert mind.heard == ["x"]
    assert house.call(perspective, "later", 7) == 7
    ((avatar_id, given, interfaces),) = house.realm.asked
    assert avatar_id == b"alice"
    assert isinstance(given, pb.RemoteReference)
    assert interfaces == (pb.IPerspective,)


def test_a_perspective_is_on_whose_behalf_things_are_sent(join: Join) -> None:
    house = House(join)
    perspective = house.log_in()
    assert house.call(perspective, "copy").whom == b"alice"
    board = house.call(perspective, "board")
    assert house.call(board, "whose", 1) == (b"alice", (1,))
    assert house.call(perspective, "is_me", perspective) is True


def test_a_guest_has_no_name(join: Join) -> None:
    house = House(join)
    guest = house.log_in(credentials.Anonymous(), "mind")
    assert house.call(guest, "whoami") == checkers.ANONYMOUS
    assert house.realm.asked == [(checkers.ANONYMOUS, "mind", (pb.IPerspective,))]


def test_what_an_avatar_does_not_offer_can_not_be_called(join: Join, logged: Logged) -> None:
    house = House(join)
    perspective = house.log_in()
    for name in ("nothing", "constant", "__init__", "whoami__", ""):
        waiting = perspective.callRemote(name)
        house.both.run()
        assert failure_of(waiting).check(pb.NoSuchMethod, AttributeError)
    logged.take(pb.NoSuchMethod)


def test_several_are_in_on_one_connection(join: Join) -> None:
    house = House(join)
    waiting = [house.client.login(who) for who in (ALICE, BOB, ALICE)]
    house.both.run()
    perspectives = [result(one) for one in waiting]
    names = [house.call(one, "whoami") for one in perspectives]
    assert names == [b"alice", b"bob", b"alice"]
    assert len(set(perspectives)) == 3
    assert perspectives[0] != perspectives[2]


# Out.


def test_letting_go_is_the_logout(join: Join) -> None:
    house = House(join)
    first, second = house.log_in(ALICE), house.log_in(ALICE)
    assert house.realm.left == []
    del first
    house.settle()
    assert house.realm.left == [b"alice"]
    assert house.call(second, "whoami") == b"alice"
    house.both.lose()
    assert house.realm.left == [b"alice", b"alice"]


def test_the_end_of_the_connection_is_the_logout_once(join: Join) -> None:
    house = House(join)
    perspective = house.log_in()
    assert len(house.both.server.disconnects) == 1
    house.both.lose()
    assert house.realm.left == [b"alice"]
    del perspective
    house.settle()
    assert house.realm.left == [b"alice"]


def test_a_logout_leaves_nothing_behind(join: Join) -> None:
    house = House(join)
    house.log_in()
    house.settle()
    assert house.realm.left == [b"alice"]
    assert house.both.server.disconnects == []
    avatar = ref(house.realm.avatars.pop())
    gc.collect()
    assert avatar() is None
    house.both.prove_empty()


def test_what_a_logout_raises_is_logged_and_stops_nothing(join: Join, logged: Logged) -> None:
    class Bad(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            interface, avatar, logout = super().requestAvatar(avatarId, mind, *interfaces)
            return interface, avatar, lambda: (logout(), 1 / 0)

    house = House(join, realm=Bad())
    perspective = house.log_in(ALICE)
    house.log_in(BOB)
    house.settle()
    assert house.realm.left == [b"bob"]
    assert len(logged.take(ZeroDivisionError)) == 1
    assert house.call(perspective, "whoami") == b"alice"
    house.both.lose()
    assert house.realm.left == [b"bob", b"alice"]
    assert len(logged.take(ZeroDivisionError)) == 1


@pytest.mark.parametrize("failing", [False, True])
def test_a_logout_may_take_its_time(join: Join, logged: Logged, failing: bool) -> None:
    left: list[Any] = []

    async def logout() -> None:
        await succeed(None)
        left.append(1)
        if failing:
            raise ValueError

    class Slow(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            return pb.IPerspective, User(avatarId), logout

    house = House(join, realm=Slow())
    house.log_in()
    house.settle()
    assert left == [1]
    assert len(logged.take(ValueError)) == failing


class Hesitant(Realm):
    """Gives avatars when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Deferred[Any] = Deferred()

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        found = super().requestAvatar(avatarId, mind, *interfaces)
        return self.waiting.addCallback(lambda _: found)


def test_an_avatar_that_comes_too_late_is_logged_out(join: Join) -> None:
    realm = Hesitant()
    house = House(join, realm=realm)
    waiting = house.client.login(ALICE)
    house.both.run()
    house.both.lose()
    failure_of(waiting).trap(pb.PBConnectionLost)
    assert realm.left == []
    realm.waiting.callback(None)
    assert realm.left == [b"alice"]


@pytest.mark.parametrize("late", [False, True])
def test_an_avatar_that_does_not_get_out_is_logged_out(join: Join, late: bool) -> None:
    house: House

    class Crowded(Hesitant):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            if not late:
                fill(house.both.server)
                self.waiting.callback(None)
            return super().requestAvatar(avatarId, mind, *interfaces)

    realm = Crowded()
    house = House(join, realm=realm)
    waiting = house.client.login(ALICE)
    house.both.run()
    if late:
        fill(house.both.server)
        realm.waiting.callback(None)
        house.both.run()
    failure = failure_of(waiting)
    assert failure.check(pb.Error)
    assert "reference count" in failure.getErrorMessage()
    assert realm.left == [b"alice"]
    house.both.lose()
    assert realm.left == [b"alice"]


def fill(broker: Any) -> None:
    """Let a side export as many objects as it may."""
    with pytest.raises(pb.Error):
        for _ in range(pb.MAX_BROKER_REFS + 1):
            broker.registerReference(pb.Referenceable())


# Every kind of avatar.


@implementer(pb.IPerspective)
class Reader:
    """Has nothing of PB but what the interface asks for."""

    def __init__(self, name: Any, mind: Any) -> None:
        self.name = name

    def perspectiveMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        args = broker.unserialize(args, self)
        kw = broker.unserialize(kw, self)
        return broker.serialize((message, args, kw, self.name, Board()), self)


def test_an_avatar_may_read_its_messages_itself(join: Join) -> None:
    house = House(join, realm=Realm(Reader))
    perspective = house.log_in()
    *told, board = house.call(perspective, "ANYTHING", "here", bar="baz")
    assert told == ["ANYTHING", ("here",), {"bar": "baz"}, b"alice"]
    assert house.call(board, "whose") == (b"alice", ())
    del perspective, board
    house.settle()
    assert house.realm.left == [b"alice"]


class Watched(User):
    seen: list[Any] = []  # noqa: RUF012

    def perspectiveMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        self.seen.append(message)
        return super().perspectiveMessageReceived(broker, message, args, kw)


def patched(name: Any, mind: Any) -> User:
    """An avatar of which one alone is watched."""
    user = User(name, mind)

    def receive(broker: Any, message: Any, args: Any, kw: Any) -> Any:
        Watched.seen.append(message)
        return pb.Avatar.perspectiveMessageReceived(user, broker, message, args, kw)

    user.perspectiveMessageReceived = receive  # type: ignore[method-assign]
    return user


@pytest.mark.parametrize("make", [Watched, patched])
def test_an_avatar_may_see_what_comes_in(join: Join, make: Any) -> None:
    Watched.seen.clear()
    house = House(join, realm=Realm(make))
    perspective = house.log_in(ALICE, Mind())
    assert house.call(perspective, "whoami") == b"alice"
    assert house.call(perspective, "echo", [1], two=2) == (([1],), {"two": 2})
    assert house.call(perspective, "ask_mind", 1) == 1
    assert house.call(perspective, "copy").whom == b"alice"
    assert house.call(perspective, "later", 7) == 7
    assert Watched.seen == ["whoami", "echo", "ask_mind", "copy", "later"]


class Door(pb.Referenceable):
    """An avatar that goes by reference, whatever way it goes."""

    def __init__(self, name: Any, mind: Any) -> None:
        self.name = name

    def remote_whoami(self) -> Any:
        return self.name

    def remote_again(self) -> "Door":
        return self

    def remote_is_me(self, other: Any) -> bool:
        return other is self


class ReadingDoor(Door):
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        return super().remoteMessageReceived(broker, message, args, kw)


@pytest.mark.parametrize("make", [Door, ReadingDoor])
def test_an_avatar_that_goes_by_reference_is_one_object(join: Join, make: Any) -> None:
    house = House(join, realm=Realm(make))
    perspective = house.log_in()
    assert house.call(perspective, "whoami") == b"alice"
    again = house.call(perspective, "again")
    assert again == perspective
    assert house.call(again, "is_me", perspective) is True
    del perspective
    house.settle()
    assert house.realm.left == []
    assert house.call(again, "whoami") == b"alice"
    del again
    house.settle()
    assert house.realm.left == [b"alice"]


def test_an_avatar_that_goes_by_reference_says_for_whom_its_results_are(join: Join) -> None:
    class Owned(Door):
        def __init__(self, name: Any, mind: Any) -> None:
            super().__init__(name, mind)
            self.perspective = User("owner")

        def remote_copy(self) -> Told:
            return Told()

    house = House(join, realm=Realm(Owned))
    assert house.call(house.log_in(), "copy").whom == "owner"


def test_one_avatar_may_be_that_of_two_logins(join: Join) -> None:
    one = Door("both", None)
    house = House(join, realm=Realm(lambda name, mind: one))
    first, second = house.log_in(ALICE), house.log_in(BOB)
    assert first == second
    house.both.lose()
    assert sorted(house.realm.left) == [b"alice", b"bob"]
    del first, second


def test_a_view_may_be_an_avatar(join: Join) -> None:
    house = House(join, realm=Realm(lambda name, mind: pb.ViewPoint(User(name), Board())))
    perspective = house.log_in()
    assert house.call(perspective, "whose", 1) == (b"alice", (1,))
    del perspective
    house.settle()
    assert house.realm.left == [b"alice"]


class Card(pb.Copyable):
    def __init__(self, name: Any, mind: Any) -> None:
        self.name = name


class CardCopy(pb.RemoteCopy):
    name: Any = None


pb.setUnjellyableForClass(Card, CardCopy)


def test_an_avatar_may_go_as_a_copy(join: Join) -> None:
    house = House(join, realm=Realm(Card))
    card = house.log_in()
    assert isinstance(card, CardCopy)
    assert card.name == b"alice"
    del card
    house.settle()
    assert house.realm.left == []
    house.both.lose()
    assert house.realm.left == [b"alice"]


class OwnWay(Door):
    def jellyFor(self, jellier: Any) -> Any:
        return jellier.jelly(["own", self.name])


def test_an_avatar_may_say_itself_how_it_goes(join: Join) -> None:
    house = House(join, realm=Realm(OwnWay))
    assert house.log_in() == ["own", b"alice"]
    house.both.lose()
    assert house.realm.left == [b"alice"]


def test_an_avatar_may_be_one_of_another_face(join: Join) -> None:
    class Shared(pellucid.Avatar):
        def __init__(self, name: Any, mind: Any) -> None:
            self.name = name

        def perspective_whoami(self) -> Any:
            return self.name

    house = House(join, realm=Realm(Shared))
    perspective = house.log_in()
    assert house.call(perspective, "whoami") == b"alice"
    del perspective
    house.settle()
    assert house.realm.left == [b"alice"]


def test_what_is_no_avatar_is_logged_out(join: Join, logged: Logged) -> None:
    house = House(join, realm=Realm(lambda name, mind: object()))
    assert house.refused(ALICE).check(AttributeError)
    assert house.realm.left == [b"alice"]
    assert len(logged.take(AttributeError)) == 1


def test_the_avatar_provides_the_interface() -> None:
    assert verifyObject(pb.IPerspective, User("x"))
    assert not IJellyable.providedBy(User("x"))


# By hand.


class Reading:
    """What an avatar asks of a broker."""

    def __init__(self) -> None:
        self.serialized: list[Any] = []

    def unserialize(self, value: Any, perspective: Any = None) -> Any:
        return value[1]

    def serialize(self, *given: Any) -> Any:
        self.serialized.append(given)
        return "jelly", given[0]


def test_an_avatar_can_be_handed_a_message() -> None:
    user, broker = User("alice"), Reading()
    given = user.perspectiveMessageReceived(broker, "echo", ("a", (1,)), ("k", {"b": 2}))
    assert given == ("jelly", ((1,), {"b": 2}))
    ((value, perspective, method, args, kw),) = broker.serialized
    assert perspective is user
    assert method == user.perspective_echo
    assert (value, args, kw) == (((1,), {"b": 2}), (1,), {"b": 2})
    with pytest.raises(AttributeError, match="perspective_none"):
        user.perspectiveMessageReceived(broker, "none", ("a", ()), ("k", {}))


class Receiver:
    def specialMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        return broker.serialize((message, broker.unserialize(args), broker.unserialize(kw)))

    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        return broker.serialize("remote")


def test_a_reference_to_anything_that_receives_messages(join: Join) -> None:
    class Source(pb.Root):
        def remote_special(self) -> Any:
            return pb.AsReferenceable(Receiver(), "special")

        def remote_plain(self) -> Any:
            return pb.AsReferenceable(Receiver())

    both = join(Source())
    special, plain = both.ask("special"), both.ask("plain")
    for target, wanted in ((special, ("go", (1,), {"a": 2})), (plain, "remote")):
        waiting = target.callRemote("go", 1, a=2)
        both.run()
        assert result(waiting) == wanted
    with pytest.raises(AttributeError):
        pb.AsReferenceable(Receiver(), "other")
    del special, plain, target


# Who is let in.


class Md5Checker:
    """Knows the MD5 of a password, and takes its time."""

    credentialInterfaces = (pb.IUsernameMD5Password,)

    def requestAvatarId(self, given: Any) -> Any:
        assert verifyObject(pb.IUsernameMD5Password, given)
        known = md5(b"secret").digest()
        checked: Deferred[Any] = succeed(None)
        checked.addCallback(lambda _: given.checkMD5Password(known))
        return checked.addCallback(lambda right: given.username if right else refusal())


def refusal() -> Failure:
    return Failure(UnauthorizedLogin())


def test_a_checker_may_know_the_md5_alone(join: Join, logged: Logged) -> None:
    house = House(join, Md5Checker())
    assert house.call(house.log_in(), "whoami") == b"alice"
    wrong = credentials.UsernamePassword(b"alice", b"wrong")
    house.refused(wrong).trap(UnauthorizedLogin)
    assert len(logged.take(UnauthorizedLogin)) == 1


def test_a_password_file_is_a_checker(join: Join, tmp_path: Path, logged: Logged) -> None:
    path = tmp_path / "passwords"
    path.write_bytes(b"alice:secret\nbob:hidden\n")
    house = House(join, checkers.FilePasswordDB(str(path)))
    assert house.call(house.log_in(BOB), "whoami") == b"bob"
    for name, password in ((b"alice", b"hidden"), (b"carol", b"secret")):
        house.refused(credentials.UsernamePassword(name, password)).trap(UnauthorizedLogin)
    assert len(logged.take(UnauthorizedLogin)) == 2


def test_a_user_name_goes_to_the_checker_as_it_came(join: Join, logged: Logged) -> None:
    names: list[Any] = []

    class Curious:
        credentialInterfaces = (credentials.IUsernameHashedPassword,)

        def requestAvatarId(self, given: Any) -> Any:
            names.append(given.username)
            return fail(UnauthorizedLogin())

    house = House(join, Curious())
    names_sent: tuple[Any, ...] = (b"alice", "alice", b"", "\u00e9" * 512, b"x" * 1024)
    for name in names_sent:
        house.refused(credentials.UsernamePassword(name, b"secret")).trap(UnauthorizedLogin)
    assert tuple(names) == names_sent
    logged.take(UnauthorizedLogin)


def test_a_failure_does_not_tell_what_was_wrong(join: Join, logged: Logged) -> None:
    house = House(join, unsafeTracebacks=True)
    seen = set()
    for name, password in ((b"carol", b"secret"), (b"alice", b"wrong"), (b"alice", b"")):
        failure = house.refused(credentials.UsernamePassword(name, password))
        failure.trap(UnauthorizedLogin)
        seen.add((str(failure.type), str(failure.value), failure.getTraceback()))
    assert len(seen) == 1
    ((kind, text, _),) = seen
    assert (kind, text) == ("twisted.cred.error.UnauthorizedLogin", "")
    assert len(logged.take(UnauthorizedLogin)) == 3
    assert "carol" not in logged.text
    assert house.call(house.log_in(), "whoami") == b"alice"


def test_a_refusal_may_come_from_another_server(join: Join, logged: Logged) -> None:
    first = House(join)

    class Asking:
        credentialInterfaces = (credentials.IUsernameHashedPassword,)

        def requestAvatarId(self, given: Any) -> Any:
            wrong = credentials.UsernamePassword(given.username, b"wrong")
            return fail(first.refused(wrong))

    second = House(join, Asking())
    failure = second.refused(ALICE)
    failure.trap(UnauthorizedLogin)
    assert str(failure.type) == "twisted.cred.error.UnauthorizedLogin"
    assert not hasattr(failure, "is_logged")
    assert len(logged.take(UnauthorizedLogin)) == 2


def test_what_is_logged_of_a_login_keeps_nothing_alive(join: Join, logged: Logged) -> None:
    minds: list[Any] = []

    class Strict(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            minds.append(ref(mind))
            raise LoginDenied

    house = House(join, realm=Strict())
    house.refused(ALICE, Mind()).trap(LoginDenied)
    gc.collect()
    assert minds[0]() is None
    assert len(logged.take(LoginDenied)) == 1


def test_a_realm_may_say_why(join: Join, logged: Logged) -> None:
    class Strict(Realm):
        def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
            raise LoginDenied("not on sundays")

    house = House(join, realm=Strict())
    failure = house.refused(ALICE)
    failure.trap(LoginDenied)
    assert failure.getErrorMessage() == "not on sundays"
    assert len(logged.take(LoginDenied)) == 1


def test_nobody_checks_guests(join: Join, logged: Logged) -> None:
    house = House(join, checkers.InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret"))
    house.refused(credentials.Anonymous()).trap(UnhandledCredentials)
    assert len(logged.take(UnhandledCredentials)) == 1


def test_a_realm_that_fails_is_logged_as_any_method(join: Join, logged: Logged) -> None:
    house = House(join, realm=Realm(lambda name, mind: 1 / 0))
    house.refused(ALICE).trap(ZeroDivisionError)
    assert len(logged.take(ZeroDivisionError)) == 1


def test_failed_logins_are_logged_seldom(join: Join, logged: Logged) -> None:
    house = House(join)
    wrong = credentials.UsernamePassword(b"alice", b"wrong")
    for _ in range(25):
        house.refused(wrong).trap(UnauthorizedLogin)
    assert logged.text.count("a login failed, of 192.0.2.1:8787") == 10
    assert logged.text.count("further failed logins are not logged") == 1
    assert len(logged.take(UnauthorizedLogin)) == 10
    other = House(join)
    other.refused(wrong).trap(UnauthorizedLogin)
    assert len(logged.take(UnauthorizedLogin)) == 1


def test_a_challenge_serves_one_response(join: Join, logged: Logged) -> None:
    house = House(join)
    challenge, challenger = house.both.ask("login", b"alice")
    right = pb.respond(challenge, b"secret")
    waiting = [challenger.callRemote("respond", right, None) for _ in range(2)]
    del challenger
    house.both.run()
    assert isinstance(result(waiting[0]), pb.RemoteReference)
    failure_of(waiting[1]).trap(UnauthorizedLogin)
    assert house.realm.asked == [(b"alice", None, (pb.IPerspective,))]
    assert len(logged.take(UnauthorizedLogin)) == 1


@pytest.mark.parametrize("response", [None, 5, "text", b"", b"x" * 16, [b"x" * 16]])
def test_whatever_is_no_response_does_not_match(join: Join, logged: Logged, response: Any) -> None:
    house = House(join)
    _, challenger = house.both.ask("login", b"alice")
    house.both.run()
    waiting = challenger.callRemote("respond", response, None)
    del challenger
    house.both.run()
    failure_of(waiting).trap(UnauthorizedLogin)
    assert len(logged.take(UnauthorizedLogin)) == 1


@pytest.mark.parametrize(
    "name", [["alice"], ("realm", b"alice"), 5, None, b"x" * 1025, "x" * 1025, "\u00e9" * 513]
)
def test_what_can_not_be_a_user_name_is_that_of_nobody(
    join: Join, logged: Logged, name: Any
) -> None:
    asked: list[Any] = []

    class Trusting:
        credentialInterfaces = (credentials.IUsernameHashedPassword,)

        def requestAvatarId(self, given: Any) -> Any:
            asked.append(given)
            return b"anybody"

    house = House(join, Trusting())
    failure = house.refused(credentials.UsernamePassword(name, b"secret"))
    assert str(failure.type) == "twisted.cred.error.UnauthorizedLogin"
    assert failure.getErrorMessage() == ""
    assert asked == []
    assert len(logged.take(UnauthorizedLogin)) == 1


class WeighedCopy(pb.RemoteCopy):
    """Tells whether it is still here."""

    here: WeakSet[Any] = WeakSet()  # noqa: RUF012

    def setCopyableState(self, state: Any) -> None:
        self.here.add(self)


class WeighedSource(pb.Copyable):
    pass


pb.setUnjellyableForClass(WeighedSource, WeighedCopy)


def test_a_login_that_is_begun_keeps_nothing_but_a_name(join: Join, logged: Logged) -> None:
    house = House(join)
    _, challenger = house.both.ask("login", [WeighedSource(), b"x" * 100_000])
    gc.collect()
    assert len(WeighedCopy.here) == 0
    waiting = challenger.callRemote("respond", [WeighedSource()], None)
    house.both.run()
    failure_of(waiting).trap(UnauthorizedLogin)
    gc.collect()
    assert len(WeighedCopy.here) == 0
    logged.take(UnauthorizedLogin)


@pytest.mark.parametrize("times", [1, 2])
def test_a_challenge_that_was_used_keeps_nothing(join: Join, logged: Logged, times: int) -> None:
    """Not even while the client goes on holding it."""
    taken: list[Any] = []
    house = House(join, Noting(taken))
    _, challenger = house.both.ask("login", b"alice")
    for _ in range(times):
        waiting = challenger.callRemote("respond", [WeighedSource()], None)
        house.both.run()
        failure_of(waiting).trap(UnauthorizedLogin)
    (kept,) = taken
    assert kept() is None
    gc.collect()
    assert len(WeighedCopy.here) == 0
    logged.take(UnauthorizedLogin)


class Noting:
    """Refuses everybody, and notes with what they came."""

    credentialInterfaces = (credentials.IUsernameHashedPassword,)

    def __init__(self, taken: list[Any]) -> None:
        self.taken = taken

    def requestAvatarId(self, given: Any) -> Any:
        assert given.username == b"alice"
        assert isinstance(given.response[0], WeighedCopy)
        self.taken.append(ref(given))
        return fail(UnauthorizedLogin())


def test_credentials_stay_whole_for_who_takes_its_time(join: Join) -> None:
    taken: list[Any] = []
    waiting: Deferred[Any] = Deferred()

    class Slow:
        credentialInterfaces = (credentials.IUsernameHashedPassword,)

        def requestAvatarId(self, given: Any) -> Any:
            taken.append(given)
            return waiting

    house = House(join, Slow())
    login = house.client.login(ALICE)
    house.both.run()
    (given,) = taken
    assert (given.username, given.checkPassword(b"secret")) == (b"alice", True)
    assert given.broker is house.both.server
    waiting.callback(given.username)
    house.both.run()
    assert house.call(result(login), "whoami") == b"alice"
    assert (given.username, given.checkPassword(b"wrong")) == (b"alice", False)


# How many are under way.


def begin(house: House, number: int) -> list[Any]:
    return [house.both.ask("login", b"alice") for _ in range(number)]


def too_many(house: House) -> None:
    """One more is refused, in words that the program of the client can tell its user."""
    waiting = house.both.root.callRemote("login", b"alice")
    house.both.run()
    failure = failure_of(waiting)
    failure.trap(pb.Error)
    assert failure.getErrorMessage() == "too many logins of this connection are under way"


def test_a_connection_begins_so_many_logins_and_no_more(join: Join, logged: Logged) -> None:
    house, other = House(join), House(join)
    held = begin(house, 16)
    too_many(house)
    failure = house.refused(ALICE)
    assert failure.check(pb.Error)
    # Others, and those who come without a name, are not in the way.
    assert other.call(other.log_in(), "whoami") == b"alice"
    house.log_in(credentials.Anonymous())
    # What is used or let go makes room.
    challenge, challenger = held.pop()
    house.call(challenger, "respond", pb.respond(challenge, b"secret"), None)
    held += begin(house, 1)
    too_many(house)
    del held[0]
    house.settle()
    held += begin(house, 1)
    too_many(house)
    # One that was refused as well, though the client still has it.
    wrong = held[0][1].callRemote("respond", b"x" * 16, None)
    house.both.run()
    failure_of(wrong).trap(UnauthorizedLogin)
    held += begin(house, 1)
    too_many(house)
    held.clear()
    del challenger
    house.both.prove_empty()
    assert house.call(house.log_in(), "whoami") == b"alice"
    logged.take(UnauthorizedLogin)


def test_nobody_s_logins_count_as_well(join: Join) -> None:
    house = House(join)
    held = [house.both.ask("login", [b"x"]) for _ in range(16)]
    too_many(house)
    del held


def test_how_many_logins_a_connection_may_begin_is_a_limit(join: Join) -> None:
    class Strict(pb.Broker):
        limits = replace(pb.Broker.limits, logins_pending=2)

    house = House(join, protocol=Strict)
    waiting = [house.client.login(who) for who in (ALICE, BOB, ALICE)]
    house.both.run()
    names = [house.call(result(one), "whoami") for one in waiting[:2]]
    assert names == [b"alice", b"bob"]
    assert failure_of(waiting[2]).check(pb.Error)
    assert house.call(house.log_in(), "whoami") == b"alice"


def test_arguments_that_do_not_fit_are_no_error_of_the_server(join: Join) -> None:
    house = House(join)
    root = result(house.client.getRootObject())
    _, challenger = house.both.ask("login", b"alice")
    calls = [
        root.callRemote("login"),
        root.callRemote("login", b"alice", b"secret"),
        root.callRemote("loginAnonymous", None, 2),
        challenger.callRemote("respond", b"x"),
        challenger.callRemote("respond", b"x", None, other=5),
    ]
    house.both.run()
    for waiting in calls:
        failure_of(waiting).trap(pb.Error)
    del challenger, root


def test_who_is_not_in_can_but_log_in(join: Join, logged: Logged) -> None:
    house = House(join)
    root = result(house.client.getRootObject())
    for name in ("whoami", "find_method", "log_in"):
        waiting = root.callRemote(name)
        house.both.run()
        assert failure_of(waiting).check(AttributeError)
    logged.take(pb.NoSuchMethod)
    del root


# Who listens.


class Elsewhere(Wire):
    def __init__(self, host: Any) -> None:
        super().__init__()
        self.host = host

    def getHost(self) -> Any:
        return self.host


def connected(root: Any, host: Any, encrypted: bool = False) -> None:
    """A connection that is ready, at an address of the server."""
    client: Any = pb.Broker()
    client.factory = pb.PBClientFactory()
    server = root.buildProtocol(None)
    wires = Wire(), Elsewhere(host)
    if encrypted:
        alsoProvides(wires[1], ISSLTransport)
    server.makeConnection(wires[1])
    client.makeConnection(wires[0])
    for _ in range(3):
        client.dataReceived(wires[1].take())
        server.dataReceived(wires[0].take())
    for broker in (client, server):
        broker.connectionLost(Failure(EOFError()))


AWAY = IPv4Address("TCP", "192.0.2.2", 8787)


def portal_with(checker: Any) -> pb.PBServerFactory:
    return pb.PBServerFactory(portal_of(Realm(), checker))


def known() -> Any:
    return checkers.InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")


@pytest.mark.parametrize("checker", [known(), Md5Checker()])
@pytest.mark.parametrize("host", [AWAY, IPv6Address("TCP", "2001:db8::1", 8787)])
def test_a_portal_that_others_can_listen_to_is_told_once(
    logged: Logged, checker: Any, host: Any
) -> None:
    server = portal_with(checker)
    connected(server, IPv4Address("TCP", "127.0.0.1", 8787))
    assert "without TLS" not in logged.text
    for _ in range(3):
        connected(server, host)
    assert logged.text.count(f"PB logins without TLS at {host.host}") == 1
    connected(portal_with(checker), host)
    assert logged.text.count(f"PB logins without TLS at {host.host}") == 2


@pytest.mark.parametrize(
    "host",
    [
        IPv4Address("TCP", "127.0.0.53", 8787),
        IPv6Address("TCP", "::1", 8787),
        IPv6Address("TCP", "::ffff:127.0.0.1", 8787),
        UNIXAddress("/run/pb"),
        "a file",
    ],
)
def test_nobody_listens_inside_of_the_machine(logged: Logged, host: Any) -> None:
    connected(portal_with(known()), host)
    assert "without TLS" not in logged.text


def test_nobody_listens_to_tls(logged: Logged) -> None:
    connected(portal_with(known()), AWAY, encrypted=True)
    assert "without TLS" not in logged.text


def test_guests_have_no_passwords(logged: Logged) -> None:
    connected(portal_with(checkers.AllowAnonymousAccess()), AWAY)
    assert "without TLS" not in logged.text


def test_a_portal_is_a_root() -> None:
    class MyPortal(portal.Portal):
        pass

    for kind in (portal.Portal, MyPortal):
        made = portal_of(Realm(), known(), kind=kind)
        root = pb.IPBRoot(made)
        assert isinstance(root, avatars.PortalRoot)
        assert root.portal is made
