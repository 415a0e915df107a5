"""The server's side of a login: who is let in, and what they get.

A portal is served in place of a root. Each connection has a root of its own, which can do nothing
but log in. Whatever is wrong with a login, it fails alike.
"""

import asyncio
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from weakref import WeakSet

from ..errors import Error, LocalProtocolError, LoginFailed, NoSuchMethod, is_expected
from ..flavors import Referenceable
from ..limits import Limits
from ..login import (
    Account,
    LoggedIn,
    check_response,
    decoy,
    fitting,
    new_challenge,
    offers,
    refusal,
)
from ..passwords import BadPasswordFile, check_password
from ..scram import Keys, ServerLogin, prepare_name, prepare_password
from .throttle import SlowChecks, Throttle, TooMany
from .timers import Seldom

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Portal", "PortalRoot"]

# What a checker may be able to do, one of them at least.
_WAYS = ("find_account", "check_password", "check_certificate", "anonymous")


class _Found(NamedTuple):
    """What a checker has of a user: an account, which is `fake` if `known` is false.

    `fake` is a decoy in any case: to have made it takes its time.
    """

    account: Account
    known: bool
    fake: Account


class Portal:
    """Serve this in place of a root, and only who logs in gets something to call.

    `realm.request_avatar(avatar_id, mind)`, plain or async, gives the `Avatar` of a user, whose id
    is None for a guest; `mind` is what the client gave. `checkers` tell who may log in and how, see
    `Checker`. PB's own login works where a checker has MD5 of passwords. Without TLS it is refused
    to other machines unless `allow_md5_without_tls` is true. Raises TypeError for what is no realm,
    for a checker that can check nothing, and if there is none.
    """

    awaits_login = True

    def __init__(
        self,
        realm: Any,
        checkers: Iterable[Any],
        *,
        allow_md5_without_tls: bool = False,
        throttle: Throttle | None = None,
    ) -> None:
        _check_no_class(realm, "realm")
        if not callable(getattr(realm, "request_avatar", None)):
            raise TypeError(f"{type(realm).__name__} is no realm: it has no request_avatar")
        self._realm = realm
        self._checkers = _checked(checkers)
        self._allow_md5_without_tls = allow_md5_without_tls
        self._throttle = Throttle() if throttle is None else throttle
        self._slow = SlowChecks()
        self._key = secrets.token_bytes(32)
        # Two, so that many failures do not hide what is wrong here.
        self._failures = Seldom(time.monotonic)
        self._problems = Seldom(time.monotonic)

    def root_for(self, connection: "Connection") -> "PortalRoot":
        """Give the root of one connection."""
        return PortalRoot(self, connection)

    # MD5, and where it is allowed.

    def check_serving(self, hosts: Sequence[str], encrypted: bool) -> None:
        """Tell whether this may be served on these IP addresses.

        Raises LocalProtocolError if passwords could be guessed by whoever listens on the network.
        """
        away = [host for host in hosts if not _is_local(host)]
        if away and not encrypted and not self._allow_md5_without_tls and self._has_md5():
            raise LocalProtocolError(
                f"the users of this portal can log in with PB's MD5, which shows their passwords "
                f"to whoever listens and guesses, and {away[0]} can be reached from the network: "
                "serve it at pbs:// with ssl=, or say Portal(..., allow_md5_without_tls=True)"
            )

    def _has_md5(self) -> bool:
        return any(getattr(checker, "has_md5", False) for checker in self._checkers)

    def allows_md5(self, connection: "Connection") -> bool:
        """Tell whether PB's login may be used on a connection, and log why not."""
        try:
            has_md5 = self._has_md5()
        except Exception as error:
            self._broken("has_md5", error)
            has_md5 = False
        if not has_md5:
            self._problems.warning(
                "%s: a login of PB was refused: there is no MD5 of any password "
                "(pellucid passwd --pb-md5 writes it)",
                connection.peer,
            )
            return False
        local = connection.unix or _is_local(connection.host)
        if local or connection.encrypted or self._allow_md5_without_tls:
            return True
        self._problems.warning(
            "%s: a login of PB was refused: there is no TLS, and allow_md5_without_tls is not set",
            connection.peer,
        )
        return False

    # Who it is. Each of these gives an avatar id, or None.

    async def by_response(
        self, connection: "Connection", username: object, challenge: bytes, response: object
    ) -> str | None:
        """Check the response of PB's own exchange."""
        avatar_id = None
        for account, known, _ in await self._find(connection, username):
            hashed = account.md5 or secrets.token_bytes(16)
            right = check_response(challenge, hashed, response)
            if right and known and account.md5 is not None:
                avatar_id = avatar_id or account.avatar_id
        return avatar_id

    async def by_password(
        self, connection: "Connection", username: object, password: object
    ) -> str | None:
        """Check a password, with one slow hash for each checker that has accounts."""
        name = _name(username)
        if name is None or not isinstance(password, (str, bytes)):
            return None
        try:
            prepare_password(password)
        except ValueError:
            return None
        for checker in self._checkers:
            if offers(checker, "check_password"):
                avatar_id = await self._ask(connection, checker.check_password, name, password)
            elif offers(checker, "find_account"):
                account, known, _ = await self._find_one(connection, checker, name)
                check = self._slow.run(check_password, account, password)
                right = await self._safely("the check of a password", check)
                avatar_id = account.avatar_id if right and known else None
            else:
                continue
            if avatar_id:
                return str(avatar_id)
        return None

    async def by_certificate(self, connection: "Connection") -> str | None:
        """Look who the client is whose certificate was verified."""
        if connection.certificate is None:
            return None
        for checker in self._checkers:
            if offers(checker, "check_certificate"):
                check = checker.check_certificate
                avatar_id = await self._ask(connection, check, connection.certificate)
                if avatar_id:
                    return str(avatar_id)
        return None

    async def may_be_anonymous(self, connection: "Connection") -> bool:
        """Tell whether a checker lets everybody in."""
        for checker in self._checkers:
            if offers(checker, "anonymous") and await self._ask(connection, checker.anonymous):
                return True
        return False

    async def keys_of(self, connection: "Connection", username: str) -> tuple[Keys, str | None]:
        """Give the keys for SCRAM, and whose they are: None for those that nobody can use."""
        found = await self._find(connection, username)
        ways = {way for way in _WAYS for checker in self._checkers if offers(checker, way)}
        if "check_password" in ways and "find_account" not in ways:
            self._problems.warning(
                "%s: a login with a password is refused: no checker has find_account, "
                "and check_password needs pbs://",
                connection.peer,
            )
        for account, known, _ in found:
            if known and account.scram is not None:
                keys = await self._safely("reading SCRAM keys", _parse(account.scram))
                if keys is not None:
                    return keys, account.avatar_id
        fakes = [each.fake.scram for each in found if each.fake.scram]
        text = fakes[0] if fakes else decoy(username, self._key).scram
        assert text is not None
        return Keys.parse(text), None

    async def _find(self, connection: "Connection", username: object) -> list[_Found]:
        name = _name(username)
        if name is None:
            return []
        return [
            await self._find_one(connection, checker, name)
            for checker in self._checkers
            if offers(checker, "find_account")
        ]

    async def _find_one(self, connection: "Connection", checker: Any, name: str) -> _Found:
        account = await self._ask(connection, checker.find_account, name)
        fake = None
        if offers(checker, "decoy"):
            fake = await self._ask(connection, checker.decoy, name)
        if fake is None:
            fake = decoy(name, self._key)
        return _Found(fake, False, fake) if account is None else _Found(account, True, fake)

    async def _ask(self, connection: "Connection", function: Callable[..., Any], *args: Any) -> Any:
        name = getattr(function, "__qualname__", type(function).__name__)
        return await self._safely(name, connection.run_application(function, *args))

    async def _safely(self, name: str, answer: Awaitable[Any]) -> Any:
        """Wait for what a checker says. One that is broken knows nobody."""
        try:
            return await answer
        except LoginFailed:
            return None
        except Exception as error:
            self._broken(name, error)
            return None

    def _broken(self, name: str, error: Exception) -> None:
        if isinstance(error, BadPasswordFile):
            self._problems.warning("%s: %s", name, error)
            return
        # Not its text: that may have a name or a password in it.
        frames = "".join(traceback.format_tb(error.__traceback__))
        self._problems.warning("%s raised %s\n%s", name, type(error).__qualname__, frames)

    # Whether, and in.

    async def prove(
        self, connection: "Connection", username: object, check: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Make one attempt, when it is the turn of this host, and give what `check()` gives.

        Raises LoginFailed if that is nothing, or if too many attempts are waiting.
        """
        found = None
        try:
            async with self._throttle.attempt(connection.host, _name(username)) as attempt:
                found = await check()
                attempt.succeeded = bool(found)
        except (TooMany, LoginFailed):
            pass
        if not found:
            self.refuse(connection)
        return found

    def refuse(self, connection: "Connection") -> NoReturn:
        """Raise the error of a login that is not let in."""
        self._failures.info("%s: a login failed", connection.peer)
        raise refusal()

    async def let_in(self, connection: "Connection", avatar_id: str | None, mind: Any) -> LoggedIn:
        """Ask the realm for an avatar, and give what the client gets of it.

        An avatar that the realm makes is logged out, whatever becomes of the connection.
        """
        request = self._realm.request_avatar
        task = asyncio.ensure_future(connection.run_application(request, avatar_id, mind))
        try:
            avatar = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                connection.run_last(self._give_back, connection, task)
            raise
        if not callable(getattr(avatar, "find_method", None)):
            what = f"request_avatar gave a {type(avatar).__name__}, which is no Avatar"
            self._problems.warning("%s: %s", connection.peer, what)
            raise TypeError(what)
        limits = getattr(avatar, "limits", None)
        if limits is not None and not isinstance(limits, Limits):
            _log_out(connection, avatar)
            what = f"the limits of a {type(avatar).__name__} are no pellucid.Limits"
            self._problems.warning("%s: %s", connection.peer, what)
            raise TypeError(what)
        connection.logged_in(limits)
        logged_in = LoggedIn(avatar, partial(_log_out, connection, avatar))
        # When the method that called this has returned, its answer is written at once.
        asyncio.get_running_loop().call_soon(logged_in.settle)
        return logged_in

    async def _give_back(self, connection: "Connection", task: "asyncio.Task[Any]") -> None:
        """The connection ended while the realm was asked: take what it gives and log it out."""
        try:
            avatar = await task
        except Exception as error:
            if is_expected(error):
                return
            raise
        _log_out(connection, avatar)


class _Door(Referenceable):
    """What can be called by those who have not logged in."""

    # Where methods run in threads, these do not.
    runs_on_loop = True

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method, which raises Error for arguments that do not fit.

        That is no error of this side, with a traceback in its log for whoever wants to fill it.
        """
        return partial(fitting, Error, super().find_method(name))


class PortalRoot(_Door):
    """What a connection has for a root until it logs in. (Wire document, section 14.)

    `loginPassword`, `loginScram` and `loginCertificate` are Pellucid's own.
    """

    def __init__(self, portal: Portal, connection: "Connection") -> None:
        self._portal = portal
        self._connection = connection
        # Those that the client has and has not used. One that it drops leaves by itself.
        self._challengers: WeakSet[Any] = WeakSet()

    def remote_login(self, username: Any) -> tuple[bytes, Referenceable]:
        """Begin PB's own exchange: give a challenge, and whom to give the response."""
        self._check_room()
        if not self._portal.allows_md5(self._connection):
            self._portal.refuse(self._connection)
        challenge = new_challenge()
        # Not what came, which may be large.
        challenger = _Challenger(self, _name(username), challenge)
        self._challengers.add(challenger)
        return challenge, challenger

    async def remote_loginScram(self, first: Any) -> tuple[bytes, Referenceable]:
        """Begin SCRAM-SHA-256: give the server's first message, and whom to give the final one."""
        self._check_room()
        challenger = _ScramChallenger(self, ServerLogin(first))
        self._challengers.add(challenger)
        return await challenger.begin(), challenger

    async def remote_loginPassword(
        self, username: Any, password: Any, mind: Any = None
    ) -> LoggedIn:
        """Log in with a password, under TLS only."""
        portal, connection = self._portal, self._connection
        if not connection.encrypted:
            portal.refuse(connection)
        check = partial(portal.by_password, connection, username, password)
        avatar_id = await portal.prove(connection, username, check)
        return await portal.let_in(connection, avatar_id, mind)

    async def remote_loginCertificate(self, mind: Any = None) -> LoggedIn:
        """Log in as whom the certificate of the client names."""
        portal, connection = self._portal, self._connection
        avatar_id = await portal.by_certificate(connection)
        if avatar_id is None:
            portal.refuse(connection)
        return await portal.let_in(connection, avatar_id, mind)

    async def remote_loginAnonymous(self, mind: Any = None) -> LoggedIn:
        """Log in without a name."""
        portal, connection = self._portal, self._connection
        if not await portal.may_be_anonymous(connection):
            portal.refuse(connection)
        return await portal.let_in(connection, None, mind)

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method. Raises NoSuchMethod, which says what comes first."""
        try:
            return super().find_method(name)
        except NoSuchMethod as error:
            raise NoSuchMethod(f"{error}: log in first") from None

    def _check_room(self) -> None:
        if len(self._challengers) >= self._connection.limits.logins_pending:
            raise LoginFailed("too many logins of this connection are under way")

    def use(self, challenger: object) -> tuple[Portal, "Connection"]:
        """Let a challenger be used, once. Raises LoginFailed the second time."""
        if challenger not in self._challengers:
            self._portal.refuse(self._connection)
        self._challengers.discard(challenger)
        return self._portal, self._connection

    async def keys_of(self, username: str) -> tuple[Keys, str | None]:
        """Give the keys for SCRAM, and whose they are."""
        return await self._portal.keys_of(self._connection, username)


class _Challenger(_Door):
    """Takes the response to one challenge, once."""

    def __init__(self, root: PortalRoot, username: str | None, challenge: bytes) -> None:
        self._root = root
        self._username = username
        self._challenge = challenge

    async def remote_respond(self, response: Any, mind: Any = None) -> LoggedIn:
        """Log in, if the response is the right one."""
        portal, connection = self._root.use(self)
        check = partial(portal.by_response, connection, self._username, self._challenge, response)
        avatar_id = await portal.prove(connection, self._username, check)
        return await portal.let_in(connection, avatar_id, mind)


class _ScramChallenger(_Door):
    """Takes the client's final message, once."""

    def __init__(self, root: PortalRoot, exchange: ServerLogin) -> None:
        self._root = root
        self._exchange = exchange
        self._avatar_id: str | None = None

    async def begin(self) -> bytes:
        """Give the server's first message."""
        keys, self._avatar_id = await self._root.keys_of(self._exchange.username)
        return self._exchange.challenge(keys)

    async def remote_finish(self, final: Any, mind: Any = None) -> tuple[bytes, LoggedIn]:
        """Log in, if the client knows the password, and prove that the server does."""
        portal, connection = self._root.use(self)

        async def check() -> tuple[bytes, str] | None:
            proof = self._exchange.finish(final)
            return None if self._avatar_id is None else (proof, self._avatar_id)

        proof, avatar_id = await portal.prove(connection, self._exchange.username, check)
        return proof, await portal.let_in(connection, avatar_id, mind)


def _checked(checkers: Iterable[Any]) -> tuple[Any, ...]:
    if not isinstance(checkers, Iterable):
        raise TypeError(f"a Portal takes a list of checkers, not one {type(checkers).__name__}")
    checked = tuple(checkers)
    for checker in checked:
        _check_no_class(checker, "checker")
        if not any(offers(checker, way) for way in _WAYS):
            name = type(checker).__name__
            raise TypeError(f"{name} is no checker: it has none of {', '.join(_WAYS)}")
    if not checked:
        raise TypeError("a Portal without checkers lets nobody in")
    return checked


def _check_no_class(given: object, what: str) -> None:
    if isinstance(given, type):
        name = given.__name__
        raise TypeError(f"{name} is a class: the {what} is an object of it, {name}()")


def _log_out(connection: "Connection", avatar: Any) -> None:
    logout = getattr(avatar, "logout", None)
    if logout is not None:
        connection.run_last(logout)


async def _parse(text: str) -> Keys:
    return Keys.parse(text)


def _name(username: object) -> str | None:
    """Give a user name that can be looked up, None for what is none."""
    try:
        if isinstance(username, bytes):
            username = username.decode()
        return prepare_name(username) if isinstance(username, str) else None
    except ValueError:
        return None


def _is_local(host: str) -> bool:
    """Tell whether an IP address is this machine's alone."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
