"""A connection as threads use it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..asyncio.opening import check_callback
from ..asyncio.tls import Certificate
from ..errors import DeadReferenceError
from ..limits import Limits
from .closing import Closing
from .locks import after_release, holding, snapshot
from .reference import CacheObserver, RemoteReference
from .waiter import Ended

if TYPE_CHECKING:
    from .inner import InnerConnection

__all__ = ["Connection"]


class Connection(Closing):
    """A connection, as `connect` gives it and as a server has one for each client.

    Use it from any thread. As a context manager it closes in the end.
    """

    _inner: "InnerConnection"

    def __init__(self, inner: "InnerConnection") -> None:
        self._inner = inner
        self._background = inner.background

    @property
    def root(self) -> RemoteReference:
        """The object that the server gives to everybody. No round trip is made for it."""
        root: RemoteReference = self._inner.root
        return root

    @property
    def closed(self) -> bool:
        """Tell whether the connection has ended or is being closed."""
        return self._inner.closed or self._background.forked

    @property
    def peer(self) -> str:
        """The address of the other side."""
        return self._inner.peer

    @property
    def host(self) -> str:
        """The IP address of the other side, "" for a Unix socket."""
        return self._inner.host

    @property
    def unix(self) -> bool:
        """Tell whether this is a Unix socket."""
        return self._inner.unix

    @property
    def encrypted(self) -> bool:
        """Tell whether the connection is under TLS."""
        return self._inner.encrypted

    @property
    def certificate(self) -> Certificate | None:
        """The verified certificate of the other side, if it has shown one."""
        return self._inner.certificate

    @property
    def dialect(self) -> str:
        """The name of the dialect that both sides speak."""
        return self._inner.dialect

    @property
    def limits(self) -> Limits:
        """What the connection may cost."""
        return self._inner.limits

    # Logging in.

    def login(
        self, username: str, password: str, mind: Any = None, *, allow_md5: bool = True
    ) -> RemoteReference:
        """Log in, and give the perspective that the server has for this user.

        Of what both sides can do, the safest is done. With `allow_md5` false never the challenge
        and response of PB, which shows MD5 of the password to whoever can guess it. `mind` is what
        the server may call. Raises LoginFailed if the server refuses or has no login; ValueError
        for a name or a password that nobody can have, such as an empty one; TypeError for what is
        neither.
        """
        inner = self._inner
        return self._log_in(lambda: inner.login(username, password, mind, allow_md5=allow_md5))

    def login_anonymous(self, mind: Any = None) -> RemoteReference:
        """Log in without a name. Raises LoginFailed if the server refuses."""
        return self._log_in(lambda: self._inner.login_anonymous(mind))

    def login_certificate(self, mind: Any = None) -> RemoteReference:
        """Log in as whom the certificate of this side names. Raises LoginFailed if refused."""
        return self._log_in(lambda: self._inner.login_certificate(mind))

    def _log_in(self, function: Callable[[], Any]) -> RemoteReference:
        try:
            perspective: RemoteReference = self._background.run(function)
        except Ended:
            raise _dead() from None
        return perspective

    # Calls.

    def _call(
        self,
        handle: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seconds: float | None = None,
    ) -> Any:
        background = self._background
        background.check_may_wait()
        try:
            waiter = background.request(self._inner.begin_call, handle, name, args, kwargs)
            return waiter.wait(seconds)
        except Ended:
            raise _dead() from None

    def _notify(
        self,
        handle: RemoteReference | CacheObserver,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        background = self._background
        if background.is_current:
            self._inner.tell(handle, name, args, kwargs)
            return
        locked = holding()
        if locked:
            args, kwargs = snapshot((args, kwargs))
        try:
            waiter = background.request(self._inner.begin_notify, handle, name, args, kwargs)
            if locked:
                after_release(waiter)
            else:
                waiter.wait()
        except Ended:
            raise _dead() from None

    # The end.

    def on_close(self, callback: Callable[[BaseException | None], object]) -> None:
        """Call `callback(reason)` on a worker when the connection has ended.

        If it has already, then here and now. The reason is None if this side closed it.
        """
        check_callback(callback)
        background = self._background
        background.check_may_wait()
        inner = self._inner
        try:
            over, reason = background.request(inner.begin_on_close, callback).wait()
        except Ended:
            over, reason = True, inner.reason
        if over:
            callback(reason)

    def close(self) -> None:
        """Close the connection: what is ready to be sent still goes out, calls that wait fail.

        Waits until it is closed and none of its methods runs, at most `limits.close_time` for each.
        With the last connection or server of the process its threads end as well. Called by a
        method that the other side called, its answer still goes out, and nothing is waited for.
        """
        self._close(lambda job: job.connection is self._inner)

    def __repr__(self) -> str:
        return f"<Connection {'closed' if self.closed else 'open'} {self.peer}>"


def _dead() -> DeadReferenceError:
    return DeadReferenceError("the connection of this reference has ended")
