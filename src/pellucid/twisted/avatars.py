"""Perspectives, and the server's side of a login over a portal of `twisted.cred`."""

import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Final
from weakref import WeakSet

from twisted.cred.credentials import Anonymous, ICredentials, IUsernameHashedPassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import ISSLTransport
from twisted.python import log
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from .. import login
from ..seldom import Seldom
from .broker import Broker
from .errors import Error
from .flavors import IPBRoot, Referenceable, method_of
from .hooks import is_default
from .interfaces import IJellyable
from .transports import name_of_peer

__all__ = [
    "AsReferenceable",
    "Avatar",
    "IPerspective",
    "IUsernameMD5Password",
    "PortalRoot",
    "challenge",
    "respond",
]

# In bytes, text in UTF-8.
_LONGEST_NAME: Final = 1024


def respond(challenge: bytes, password: bytes) -> bytes:
    """Give the response to a challenge, by who knows the password."""
    return login.respond(challenge, login.md5_of(password))


def challenge() -> bytes:
    """Give a challenge, which is to be used for one response."""
    return login.new_challenge()


respond.__module__ = challenge.__module__ = "twisted.spread.pb"


class IPerspective(Interface):
    """What a realm gives for a user who logs in over PB."""

    __module__ = "twisted.spread.pb"

    def perspectiveMessageReceived(broker: Any, message: Any, args: Any, kwargs: Any) -> Any:
        """Do what a call of this perspective asks for.

        `message` is the name of the method. `args` and `kwargs` are s-expressions, which
        `broker.unserialize` reads, and so is what this gives: `broker.serialize` makes it.
        """


class IUsernameMD5Password(ICredentials):
    """A user name, and a response that can be checked with the MD5 of the password alone.

    `username` is as the client sent it, bytes or text of 1 KiB at most.
    """

    __module__ = "twisted.spread.pb"

    def checkPassword(password: Any) -> Any:
        """Tell, now or by a Deferred, whether the client knows this password."""

    def checkMD5Password(password: Any) -> Any:
        """Tell, now or by a Deferred, whether the client knows the password with this MD5."""


@implementer(IPerspective)
class Avatar:
    """What a user who logged in has of a server.

    The client gets a reference, and may call the methods whose names begin with `perspective_`.
    """

    __module__ = "twisted.spread.pb"

    def perspectiveMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        """Call the method for `message`, and give its result, serialized for this perspective.

        A subclass may override it, to see all calls that arrive.
        """
        values = broker.unserialize(args, self)
        named = broker.unserialize(kw, self)
        method = method_of(self, f"perspective_{message}")
        return broker.serialize(method(*values, **named), self, method, values, named)


class AsReferenceable(Referenceable):
    """A reference to an object that travels by none.

    What is called on it arrives at the object's `<messageType>MessageReceived`.
    """

    __module__ = "twisted.spread.pb"

    def __init__(self, object: Any, messageType: str = "remote") -> None:
        self._receive = getattr(object, messageType + "MessageReceived")

    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        """Hand a call on to the object."""
        return self._receive(broker, message, args, kw)


# What the client holds of an avatar. Each is of one login, and tells when it is let go.


class _AvatarHandle(login.LoggedIn):
    """An `Avatar` whose methods are called as they are."""

    def find_method(self, name: str) -> Callable[..., Any]:
        return method_of(self._avatar, f"perspective_{name}")


class _MessageHandle(login.LoggedIn):
    """An avatar that reads its messages itself."""

    takes_jelly = True

    def __init__(self, avatar: Any, ended: Callable[[], object]) -> None:
        super().__init__(avatar, ended)
        self.remoteMessageReceived = avatar.perspectiveMessageReceived


class _ReferenceHandle(login.LoggedIn):
    """An avatar that is referenceable: one and the same, in whatever way the client gets it."""

    @property
    def perspective(self) -> Any:
        """On whose behalf results are written."""
        return self._avatar.perspective

    def find_perspective(self) -> Any:
        return self._avatar.find_perspective()

    def write_jelly(self, encoder: Any) -> None:
        key = self._avatar.processUniqueID()
        encoder.write_remote(encoder.exporter.export(self, key))
        self._sent = True


class _ReadingReferenceHandle(_ReferenceHandle):
    """The same, for one that reads its messages itself."""

    takes_jelly = True

    def __init__(self, avatar: Any, ended: Callable[[], object]) -> None:
        super().__init__(avatar, ended)
        self.remoteMessageReceived = avatar.remoteMessageReceived


def _handle_of(avatar: Any, ended: Callable[[], object]) -> Any:
    """Give what is sent of an avatar: a handle, or the avatar if it says itself how it travels."""
    kind = type(avatar)
    if IJellyable.providedBy(avatar):
        if not isinstance(avatar, Referenceable) or not is_default(kind.jellyFor):
            return avatar
        return (_ReadingReferenceHandle if kind.takes_jelly else _ReferenceHandle)(avatar, ended)
    default = Avatar.perspectiveMessageReceived
    own = "perspectiveMessageReceived" in getattr(avatar, "__dict__", ())
    if getattr(kind, "perspectiveMessageReceived", None) is default and not own:
        return _AvatarHandle(avatar, ended)
    if callable(getattr(avatar, "find_method", None)):
        return login.LoggedIn(avatar, ended)
    return _MessageHandle(avatar, ended)


class _Logout:
    """Calls the logout of one login, once, whatever happens first."""

    def __init__(self, broker: Broker, logout: Callable[[], object]) -> None:
        self._broker = broker
        self._logout: Callable[[], object] | None = logout
        if not broker.disconnected:
            broker.notifyOnDisconnect(self)

    def __call__(self) -> None:
        logout, self._logout = self._logout, None
        if logout is None:
            return
        if not self._broker.disconnected:
            self._broker.dontNotifyOnDisconnect(self)
        maybeDeferred(logout).addErrback(_log_logout)


def _log_logout(failure: Failure) -> None:
    log.err(failure, "a logout failed")


# Who is let in.


@implementer(IPBRoot)
class PortalRoot:
    """Serves a portal: each connection gets a root of its own, which can do nothing but log in."""

    def __init__(self, portal: Any) -> None:
        self.portal = portal
        self._failures = Seldom(time.monotonic)
        self._warned = False

    def rootObject(self, broker: Any) -> "_Door":
        """Give the root of one connection."""
        if not self._warned:
            broker.notifyOnConnect(partial(self._look, broker))
        return _Door(self, broker)

    def _look(self, broker: Any) -> None:
        """Tell, once, that passwords can be guessed from what travels here."""
        host = _exposed_host(broker.transport)
        if self._warned or host is None or not self._takes_hashes():
            return
        self._warned = True
        log.msg(
            f"PB logins without TLS at {host}: whoever listens on the network can guess the "
            "passwords. Serve the portal at a TLS endpoint."
        )

    def _takes_hashes(self) -> bool:
        kinds = self.portal.listCredentialsInterfaces()
        return any(kind in kinds for kind in (IUsernameHashedPassword, IUsernameMD5Password))

    def log_in(self, broker: Any, credentials: Any, mind: Any) -> Deferred[Any]:
        """Ask the portal, and give a Deferred of what the client gets."""
        asked = maybeDeferred(self.portal.login, credentials, mind, IPerspective)
        return asked.addCallbacks(
            self._let_in, self.refuse, callbackArgs=(broker,), errbackArgs=(broker,)
        )

    def _let_in(self, result: Any, broker: Any) -> Any:
        _, avatar, logout = result
        ended = _Logout(broker, logout)
        try:
            handle = _handle_of(avatar, ended)
        except BaseException:
            ended()
            raise
        if broker.disconnected:
            ended()
        return handle

    def refuse(self, failure: Failure, broker: Any) -> Failure:
        """Log that a login failed, and give the failure that the client gets."""
        if failure.check(LoginFailed) is None:
            return failure
        error = failure.value
        if isinstance(error, LoginFailed):
            # A log keeps what it gets, and frames would keep what came with the login.
            failure.cleanFailure()
        if self._failures.allows():
            log.err(failure, f"a login failed, of {name_of_peer(broker.transport)}")
            if self._failures.is_last:
                seconds = self._failures.period
                log.msg(f"further failed logins are not logged for up to {seconds:g} s")
        if isinstance(error, LoginFailed):
            # Where it was raised may tell whether there is such a user.
            failure = Failure(error.with_traceback(None))
        vars(failure)["is_logged"] = True
        return failure


registerAdapter(PortalRoot, Portal, IPBRoot)


class _Entrance(Referenceable):
    """What can be called by those who have not logged in."""

    def __init__(self, root: PortalRoot, broker: Any) -> None:
        self.broker = broker
        self.portal = root.portal
        self._root = root

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the method, which raises Error for arguments that do not fit.

        That is no error of this side, with a traceback in its log for whoever wants to fill it.
        """
        return partial(login.fitting, Error, super().find_method(name))


class _Door(_Entrance):
    """The root of a connection that has not logged in."""

    def __init__(self, root: PortalRoot, broker: Any) -> None:
        super().__init__(root, broker)
        self._pending: WeakSet[_Challenger] = WeakSet()

    def remote_login(self, username: Any) -> tuple[bytes, Referenceable]:
        """Begin a login with a password: give a challenge, and whom to give the response.

        Raises Error if the connection has begun as many as it may.
        """
        if len(self._pending) >= self.broker.limits.logins_pending:
            raise Error("too many logins of this connection are under way")
        new = challenge()
        credentials = _Credentials(self, username, new) if _is_name(username) else None
        challenger = _Challenger(self._root, self.broker, credentials, self._pending)
        self._pending.add(challenger)
        return new, challenger

    def remote_loginAnonymous(self, mind: Any) -> Deferred[Any]:
        """Log in without a name."""
        return self._root.log_in(self.broker, Anonymous(), mind)


class _Challenger(_Entrance):
    """Takes the response to one challenge, once. It is pending until then.

    Without credentials it refuses whatever comes, as for a user that there is not.
    """

    def __init__(
        self,
        root: PortalRoot,
        broker: Any,
        credentials: "_Credentials | None",
        pending: "WeakSet[_Challenger]",
    ) -> None:
        super().__init__(root, broker)
        self._credentials = credentials
        self._pending = pending

    def remote_respond(self, response: Any, mind: Any) -> Deferred[Any]:
        """Log in, if the response is the right one."""
        self._pending.discard(self)
        # The client may hold this for as long as it likes, but not what came with the login.
        credentials, self._credentials = self._credentials, None
        if credentials is None:
            return fail(self._root.refuse(Failure(UnauthorizedLogin()), self.broker))
        credentials.response = response
        return self._root.log_in(self.broker, credentials, mind)


@implementer(IUsernameHashedPassword, IUsernameMD5Password)
class _Credentials:
    """What checkers check: the response of a client to a challenge."""

    response: Any = None

    def __init__(self, door: _Door, username: Any, challenge: bytes) -> None:
        self.broker = door.broker
        self.portal = door.portal
        self.username = username
        self.challenge = challenge

    def checkPassword(self, password: Any) -> bool:
        """Tell whether the client knows this password."""
        return self.checkMD5Password(login.md5_of(password))

    def checkMD5Password(self, md5Password: bytes) -> bool:
        """Tell whether the client knows the password with this MD5."""
        return login.check_response(self.challenge, md5Password, self.response)


def _is_name(username: Any) -> bool:
    """Tell whether this can be the name of a user, and is small enough to be kept."""
    if type(username) is str:
        username = username.encode("utf-8", "surrogatepass")
    return type(username) is bytes and len(username) <= _LONGEST_NAME


def _exposed_host(transport: Any) -> str | None:
    """Give the address of this side if others can listen to what it sends, None if not."""
    if ISSLTransport.providedBy(transport):
        return None
    host = getattr(transport.getHost(), "host", None)
    try:
        address = ip_address(str(host).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return None if address.is_loopback else str(host)
