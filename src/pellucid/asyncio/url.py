"""Addresses: `pb://host[:port]` and `pb+unix:///path`."""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["DEFAULT_PORT", "Address", "parse"]

DEFAULT_PORT = 8787


@dataclass(frozen=True)
class Address:
    """Where a server listens: a host and a port, or the path of a Unix socket and its mode."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str | None = None
    mode: int = 0o600

    def __str__(self) -> str:
        if self.path is not None:
            return f"pb+unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"pb://{host}:{self.port}"


def parse(url: str) -> Address:
    """Read a URL. Raises ValueError, which says what is wrong with it.

    The mode of a Unix socket is 0600, or what the URL says: `pb+unix:///path?mode=660`.
    """
    parts = urlsplit(url)
    if parts.scheme == "pb+unix":
        if parts.netloc or not parts.path:
            raise ValueError(f"{url!r}: a Unix socket is written pb+unix:///path")
        mode = parse_qs(parts.query).get("mode", ["600"])[-1]
        try:
            return Address(path=unquote(parts.path), mode=int(mode, 8))
        except ValueError:
            raise ValueError(f"{url!r}: the mode is written in octal, as 660") from None
    if parts.scheme != "pb":
        raise ValueError(f"{url!r}: a URL begins with pb:// or pb+unix://")
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"{url!r}: an address is written pb://host or pb://host:port")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    return Address(host=parts.hostname, port=DEFAULT_PORT if port is None else port)
