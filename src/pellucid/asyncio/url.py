"""Addresses: `pb://host[:port]`, `pbs://host[:port]` for TLS, and `pb+unix:///path`."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..records import Record

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["DEFAULT_PORT", "Address", "parse"]

DEFAULT_PORT = 8787


class Address(Record):
    """Where a server listens: a host and a port, or the path of a Unix socket and its mode.

    `tls` tells whether the connections are under TLS.
    """

    __slots__ = __match_args__ = ("host", "port", "path", "mode", "tls")

    host: str
    port: int
    path: str | None
    mode: int
    tls: bool

    def __init__(
        self,
        host: str = "",
        port: int = DEFAULT_PORT,
        path: str | None = None,
        mode: int = 0o600,
        tls: bool = False,
    ) -> None:
        super().__init__(host=host, port=port, path=path, mode=mode, tls=tls)

    def __str__(self) -> str:
        if self.path is not None:
            from urllib.parse import quote  # noqa: PLC0415

            return f"pb+unix://{quote(self.path)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'pbs' if self.tls else 'pb'}://{host}:{self.port}"


@lru_cache(maxsize=64)
def parse(url: str) -> Address:
    """Read a URL. Raises ValueError, which says what is wrong with it.

    The mode of a Unix socket is 0600, or what the URL says: `pb+unix:///path?mode=660`.
    """
    plain = _plain(url)
    return _read(url) if plain is None else plain


def _plain(url: str) -> Address | None:
    """Read a URL that is only a name or an IPv4 address, with a port or without; else give None.

    For the library that reads every URL takes longer to load than all that is here.
    """
    scheme, _, place = url.partition("://")
    host, colon, port = place.removesuffix("/").partition(":")
    if scheme not in ("pb", "pbs") or not url.isascii():
        return None
    if not host.replace(".", "").replace("-", "").isalnum():
        return None
    if not colon:
        number = DEFAULT_PORT
    elif port.isdecimal() and len(port) < 6 and int(port) < 65536:
        number = int(port)
    else:
        return None
    return Address(host.lower(), number, tls=scheme == "pbs")


def _read(url: str) -> Address:
    from urllib.parse import urlsplit  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    if parts.scheme == "pb+unix":
        return _unix(url, parts)
    if parts.scheme not in ("pb", "pbs"):
        raise ValueError(f"{url!r}: a URL begins with pb://, pbs:// or pb+unix://")
    superfluous = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not parts.hostname or superfluous:
        raise ValueError(f"{url!r}: an address is written pb://host or pb://host:port")
    return Address(
        host=parts.hostname,
        port=DEFAULT_PORT if port is None else port,
        tls=parts.scheme == "pbs",
    )


def _unix(url: str, parts: "SplitResult") -> Address:
    from urllib.parse import parse_qs, unquote  # noqa: PLC0415

    # A relative path means another socket to each process, and would be read as a host.
    if parts.netloc or not parts.path.startswith("/") or parts.fragment:
        raise ValueError(f"{url!r}: a Unix socket is written pb+unix:///path, '#' in it as %23")
    options = parse_qs(parts.query, keep_blank_values=True)
    mode = options.pop("mode", ["600"])[-1]
    if options:
        raise ValueError(f"{url!r}: of a Unix socket only the mode can be told: ?mode=660")
    if not re.fullmatch("[0-7]{3}", mode):
        raise ValueError(f"{url!r}: the mode is written in octal, as 660")
    return Address(path=unquote(parts.path), mode=int(mode, 8))
