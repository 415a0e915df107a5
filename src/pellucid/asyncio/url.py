"""Addresses: `pb://host[:port]`, `pbs://host[:port]` for TLS, and `pb+unix:///path`."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

__all__ = ["DEFAULT_PORT", "Address", "parse"]

DEFAULT_PORT = 8787


@dataclass(frozen=True)
class Address:
    """Where a server listens: a host and a port, or the path of a Unix socket and its mode.

    `tls` tells whether the connections are under TLS.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str | None = None
    mode: int = 0o600
    tls: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"pb+unix://{quote(self.path)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'pbs' if self.tls else 'pb'}://{host}:{self.port}"


def parse(url: str) -> Address:
    """Read a URL. Raises ValueError, which says what is wrong with it.

    The mode of a Unix socket is 0600, or what the URL says: `pb+unix:///path?mode=660`.
    """
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


def _unix(url: str, parts: SplitResult) -> Address:
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
