"""TLS: contexts, who the other side is, the handshake, and an end that loses nothing."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar, cast

from ..errors import ConnectionLost
from ..limits import Limits
from ..records import Record
from .url import Address

__all__ = [
    "Certificate",
    "Farewell",
    "Secret",
    "certificate_of",
    "check",
    "client_tls",
    "explain",
    "handshake",
    "lost",
    "server_tls",
]

_File = str | os.PathLike[str]
_Password = str | bytes | Callable[[], str | bytes]

# Only the end of what arrives here is looked at, and at once, so that all may share it.
_DROPPED = bytearray(16 * 1024)

# Contexts.


def server_tls(
    certificate: _File,
    key: _File | None = None,
    *,
    client_authorities: _File | None = None,
    password: _Password | None = None,
) -> ssl.SSLContext:
    """Give a context for `serve`: PEM files with the certificate and its chain, and with the key.

    Without `key` it is in the file of the certificate. With `client_authorities`, a PEM file, only
    clients get in that show a certificate of one of these authorities. Raises OSError for a file
    that can't be read and ValueError for one that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, certificate, key, password)
    if client_authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, client_authorities)
    return context


def client_tls(
    authorities: _File | None = None,
    *,
    certificate: _File | None = None,
    key: _File | None = None,
    password: _Password | None = None,
) -> ssl.SSLContext:
    """Give a context for `connect`, which checks the certificate of the server and its name.

    `authorities` is a PEM file with those that are trusted, instead of those of the system.
    `certificate` and `key` are what the client shows if it is asked. Raises as `server_tls`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities is None:
        context.load_default_certs()
    else:
        _load_authorities(context, authorities)
    if certificate is not None:
        _load_certificate(context, certificate, key, password)
    elif key is not None:
        raise ValueError("a key without its certificate")
    return context


# The library says nothing at all, or nothing that helps, of files that are not what they should be,
# and the same of a wrong password.
_UNFIT = {None, "PEM_LIB", "NO_START_LINE", "BAD_DECRYPT", "KEY_VALUES_MISMATCH"}


def _load_certificate(
    context: ssl.SSLContext, certificate: _File, key: _File | None, password: _Password | None
) -> None:
    _check_readable(certificate, key)
    try:
        # Without a password the OpenSSL library would ask for one on the terminal.
        context.load_cert_chain(certificate, key, _no_password if password is None else password)
    except ssl.SSLError as error:
        where = os.fspath(certificate) + ("" if key is None else f" and {os.fspath(key)}")
        if error.reason in _UNFIT:
            text = f"no certificate, no key that fits, or a wrong password in {where}"
        else:
            text = f"{where} can't be used: {explain(error)}"
        raise ValueError(text) from error


def _check_readable(*files: _File | None) -> None:
    # The errors of the library do not name the file.
    for file in files:
        if file is not None:
            with open(file, "rb"):
                pass


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted: its password is needed")


def _load_authorities(context: ssl.SSLContext, authorities: _File) -> None:
    _check_readable(authorities)
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise ValueError(f"no certificates in {os.fspath(authorities)}") from error


def check(address: Address, context: Any, role: str) -> None:
    """Raise ValueError where a URL and the `ssl=` of `connect` or `serve` do not fit together."""
    if context is None:
        if address.tls and role == "server":
            raise ValueError("pbs:// needs ssl=, for example pellucid.server_tls('cert.pem')")
        return
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl= takes an ssl.SSLContext, not {type(context).__name__}")
    if not address.tls:
        raise ValueError("ssl= is for pbs:// only")
    other = ssl.PROTOCOL_TLS_CLIENT if role == "server" else ssl.PROTOCOL_TLS_SERVER
    if context.protocol == other:
        raise ValueError(f"ssl= is a context for the other side: a {role}'s is needed")


# Who the other side is.


class Certificate(Record):
    """What the certificate of the other side says of it. It was verified.

    `common_name` is "" if there is none, `der` is the whole certificate.
    """

    __slots__ = __match_args__ = (
        *("common_name", "dns_names", "email_addresses", "uris", "ip_addresses", "der"),
    )

    common_name: str
    dns_names: tuple[str, ...]
    email_addresses: tuple[str, ...]
    uris: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    der: bytes

    def __init__(
        self,
        common_name: str = "",
        dns_names: tuple[str, ...] = (),
        email_addresses: tuple[str, ...] = (),
        uris: tuple[str, ...] = (),
        ip_addresses: tuple[str, ...] = (),
        der: bytes = b"",
    ) -> None:
        super().__init__(
            common_name=common_name,
            dns_names=dns_names,
            email_addresses=email_addresses,
            uris=uris,
            ip_addresses=ip_addresses,
            der=der,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the common name first."""
        others = self.dns_names + self.email_addresses + self.uris + self.ip_addresses
        return tuple(dict.fromkeys(filter(None, (self.common_name, *others))))

    def __repr__(self) -> str:
        return f"<Certificate {', '.join(self.names)}>"


def certificate_of(transport: asyncio.BaseTransport) -> Certificate | None:
    """Give the certificate of the other side, None if it showed none that was verified."""
    found: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    fields: Any = None if found is None else found.getpeercert()
    if not fields:
        return None
    names: dict[str, list[str]] = {}
    for kind, name in fields.get("subjectAltName", ()):
        names.setdefault(kind, []).append(name)
    common = [value for part in fields["subject"] for key, value in part if key == "commonName"]
    assert found is not None
    return Certificate(
        # The last one is the most specific.
        common_name=common[-1] if common else "",
        dns_names=tuple(names.get("DNS", ())),
        email_addresses=tuple(names.get("email", ())),
        uris=tuple(names.get("URI", ())),
        ip_addresses=tuple(names.get("IP Address", ())),
        der=found.getpeercert(binary_form=True) or b"",
    )


# The handshake.


class Secret(asyncio.Protocol):
    """What a transport has before its handshake, and in it. It keeps what comes too early.

    `met(transport)` is called when the handshake may begin.
    """

    def __init__(self, met: Callable[[asyncio.Transport], object] | None = None) -> None:
        self._met = met
        self.early: list[bytes] = []
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        if self._met is not None:
            self._met(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """Keep what arrived before the beginning or together with the end of the handshake."""
        self.early.append(data)

    def eof_received(self) -> bool:
        """Note that nothing more will come."""
        self.ended = True
        return False


class _Connection(Protocol):
    """What `handshake` needs of a connection."""

    def secured(self, transport: asyncio.Transport, below: asyncio.Transport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool: ...


_Made = TypeVar("_Made", bound=_Connection)


# uvloop counts milliseconds, and can't count for ever.
_ENDLESS = 1e6


async def handshake(
    plain: asyncio.Transport,
    make: Callable[[], _Made],
    context: ssl.SSLContext,
    limits: Limits,
    server_hostname: str | None = None,
) -> _Made:
    """Make a plain transport, which has a Secret, that of the connection that `make()` makes.

    Without `server_hostname` this is the server. Raises OSError, of which `explain` tells more,
    and then the transport is closed and nothing was made.
    """
    loop = asyncio.get_running_loop()
    before, secret = cast(Secret, plain.get_protocol()), Secret()
    try:
        if plain.is_closing():
            raise ConnectionResetError
        # Between the protocol of TLS and its beginning, which `start_tls` schedules.
        loop.call_soon(_feed, plain, before.early)
        transport = await loop.start_tls(
            plain,
            secret,
            context,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
            ssl_handshake_timeout=min(limits.handshake_time, _ENDLESS),
            ssl_shutdown_timeout=min(limits.close_time, _ENDLESS),
        )
        # Where the plain one is closed meanwhile, uvloop gives a transport all the same.
        if transport is None or plain.is_closing():
            raise ConnectionResetError
        connection = make()
        connection.secured(transport, plain)
    except BaseException:
        plain.abort()
        raise
    for data in secret.early:
        connection.data_received(data)
    if secret.ended:
        connection.eof_received()
    return connection


def _feed(plain: asyncio.Transport, early: list[bytes]) -> None:
    protocol = cast(asyncio.BufferedProtocol, plain.get_protocol())
    for data in early:
        left = memoryview(data)
        while left:
            room = memoryview(protocol.get_buffer(len(left)))
            count = min(len(room), len(left))
            room[:count] = left[:count]
            protocol.buffer_updated(count)
            left = left[count:]


# What a library says of bytes that are no TLS.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
}
_KNOWN = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate",
    "NO_SHARED_CIPHER": "there is no cipher that both sides have",
    "UNSUPPORTED_PROTOCOL": "there is no version of TLS that both sides have",
}


def explain(error: BaseException) -> str:
    """Say in plain words why a handshake failed, or why a file can't be used."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason
        if not reason:
            return str(error)
        if reason in _NOT_TLS:
            return "the other side does not speak TLS"
        if "ALERT" in reason:
            alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
            return f"the other side refused: {alert}"
        return _KNOWN.get(reason) or reason.replace("_", " ").lower()
    if isinstance(error, ConnectionAbortedError):
        return "it took too long"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "the other side closed the connection"
    return str(error) or type(error).__name__


def lost(address: Address, error: BaseException) -> ConnectionLost:
    """Give the error of a client whose handshake failed."""
    text = explain(error)
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        text = "the server does not speak TLS; is it a pb:// address?"
    elif isinstance(error, (ConnectionResetError, BrokenPipeError)):
        text += " during the TLS handshake; it may not speak TLS"
    return ConnectionLost(f"no PB connection to {address}: {text}")


# The end.

# No alert is longer.
_TAIL = 64


def _is_end(tail: bytes) -> bool:
    """Tell whether the last record is an alert: after the one that ends TLS there comes no other.

    TLS 1.3 hides the kind of a record, but not that there are two bytes in it.
    """
    for start in range(len(tail) - 5):
        kind, version, size = tail[start], tail[start + 1 : start + 3], tail[start + 3 : start + 5]
        length = int.from_bytes(size)
        if version == b"\x03\x03" and start + 5 + length == len(tail):
            return kind == 21 or (kind == 23 and length == 19)
    return False


class Farewell(asyncio.BufferedProtocol):
    """Closes a connection under TLS, and loses nothing of what was written.

    asyncio cuts the connection when something arrives after it has said that it closes, and with
    that what has not left yet. So from then on this stands below TLS, takes what arrives and drops
    it, until the other side has read everything and closes too.

    The other side may do the same at the same time, and drop what TLS says of the end. So when that
    comes, and only then, TCP says it as well: uvloop may forget what it has not read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        below: asyncio.Transport,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._below = below
        self._above: Any = None
        # The last bytes that arrived.
        self._tail = b""

    def start(self) -> None:
        """Begin: what has arrived so far is read in the next iteration of the loop."""
        self._transport.resume_reading()
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.close()
        if not self._below.is_closing():
            self._above = self._below.get_protocol()
            self._below.set_protocol(self)
            self._below.resume_reading()

    def _end(self) -> None:
        """If the other side has said that nothing more comes, say it too, when that is true."""
        if not _is_end(self._tail) or self._transport.get_write_buffer_size():
            return
        # The other side may be faster.
        with contextlib.suppress(OSError):
            self._below.write_eof()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Give room for what is dropped."""
        return _DROPPED

    def buffer_updated(self, nbytes: int) -> None:
        """Drop what has arrived."""
        self._tail = (self._tail + _DROPPED[max(nbytes - _TAIL, 0) : nbytes])[-_TAIL:]
        self._end()

    def eof_received(self) -> bool:
        """The other side has closed."""
        return False

    def pause_writing(self) -> None:
        """For TLS, which still writes."""
        self._above.pause_writing()

    def resume_writing(self) -> None:
        """For TLS, which still writes."""
        self._above.resume_writing()
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, for TLS and whoever is above it."""
        self._above.connection_lost(exc)
