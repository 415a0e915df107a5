"""The client's side of a login: what is sent follows from the connection."""

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, cast

from .. import references
from ..errors import (
    ConnectionLost,
    DeadReferenceError,
    LocalProtocolError,
    LoginFailed,
    NoSuchMethod,
    RemoteProtocolError,
)
from ..login import md5_of, respond
from ..scram import ClientLogin, prepare_name, prepare_password
from .reference import RemoteReference

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["login", "login_anonymous", "login_certificate"]


async def login(
    connection: "Connection",
    username: str,
    password: str | bytes,
    mind: Any = None,
    *,
    allow_md5: bool = True,
) -> RemoteReference:
    """Log in with a name and a password.

    Between two Pellucid programs the password is sent under TLS, and proved with SCRAM-SHA-256
    without. A Twisted server gets PB's own exchange, unless `allow_md5` is false: then LoginFailed
    is raised, and nothing sent. Raises LoginFailed also if the server refuses, has no login, or
    can't prove that it knows the password; ValueError for a name or a password that nobody can
    have, such as an empty one; TypeError for what is neither.
    """
    prepare_name(username)
    prepare_password(password)
    if connection.dialect != "pellucid":
        if not allow_md5:
            raise LoginFailed("the server has only PB's login with MD5, which allow_md5 forbids")
        return await _with_md5(connection, username, password, mind)
    if connection.encrypted:
        answer = await _call(connection, None, "loginPassword", username, password, mind)
        return _perspective(answer)
    return await _with_scram(connection, username, password, mind)


async def _with_md5(
    connection: "Connection", username: str, password: str | bytes, mind: Any
) -> RemoteReference:
    # Twisted's checkers compare bytes.
    answer = await _call(connection, None, "login", username.encode())
    challenge, challenger = _challenge(answer)
    response = respond(challenge, md5_of(password))
    return _perspective(await _call(connection, challenger, "respond", response, mind))


async def _with_scram(
    connection: "Connection", username: str, password: str | bytes, mind: Any
) -> RemoteReference:
    exchange = ClientLogin(username, password)
    answer = await _call(connection, None, "loginScram", exchange.first())
    challenge, challenger = _challenge(answer)
    # Slow, on purpose.
    final = await asyncio.to_thread(exchange.final, challenge)
    answer = await _call(connection, challenger, "finish", final, mind)
    if type(answer) is not tuple or len(answer) != 2:
        _nonsense()
    exchange.verify(answer[0])
    return _perspective(answer[1])


async def login_anonymous(connection: "Connection", mind: Any = None) -> RemoteReference:
    """Log in without a name. Raises LoginFailed if the server refuses."""
    return _perspective(await _call(connection, None, "loginAnonymous", mind))


async def login_certificate(connection: "Connection", mind: Any = None) -> RemoteReference:
    """Log in as whom the certificate of this side names.

    Raises LoginFailed if the server refuses or is one of Twisted's, and LocalProtocolError without
    TLS.
    """
    if not connection.encrypted:
        raise LocalProtocolError("a login with a certificate needs TLS: connect to pbs://")
    if connection.dialect != "pellucid":
        raise LoginFailed("the server has only PB's login with MD5")
    return _perspective(await _call(connection, None, "loginCertificate", mind))


async def _call(connection: "Connection", handle: Any, name: str, *args: Any) -> Any:
    target = connection.root if handle is None else handle
    try:
        # Not by a verb of the reference: those of another face may block.
        return await connection._out.call(target, name, args, {})
    except LoginFailed as error:
        # A server does not tell why.
        if not str(error):
            error.args = ("the server did not let us in",)
        raise
    except DeadReferenceError:
        if handle is None:
            raise
        # A step was sent before.
        reason = connection._error
        raise ConnectionLost("the connection ended between two steps of a login") from reason
    except NoSuchMethod as error:
        # A realm may raise one as well, which is about something else.
        if handle is None and str(error).endswith(f"_{name}"):
            raise LoginFailed("this server has no login") from error
        raise


def _challenge(answer: object) -> tuple[bytes, references.RemoteReference]:
    """Take apart what the server answers to the first step of a login."""
    if type(answer) is tuple and len(answer) == 2:
        challenge, challenger = answer
        if type(challenge) is bytes and isinstance(challenger, references.RemoteReference):
            return challenge, challenger
    _nonsense()


def _perspective(answer: object) -> RemoteReference:
    if not isinstance(answer, references.RemoteReference):
        _nonsense()
    return cast(RemoteReference, answer)


def _nonsense() -> NoReturn:
    raise RemoteProtocolError("the server's answer to a login can't be understood")
