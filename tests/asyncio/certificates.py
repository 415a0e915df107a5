"""Certificates for the tests of TLS, made once, and some that are wrong."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import pellucid

SECURE = "pbs://127.0.0.1:0"


@dataclass(frozen=True)
class Certificates:
    """PEM files. `authority` has signed all but `stranger`."""

    place: Path
    authority: Path
    server: Path
    expired: Path
    elsewhere: Path
    alice: Path
    stranger: Path

    def server_tls(self, name: str = "server", *, clients: bool = False) -> ssl.SSLContext:
        """The context of a server, which may want certificates of its clients."""
        authorities = self.authority if clients else None
        return pellucid.server_tls(getattr(self, name), client_authorities=authorities)

    def client_tls(self, name: str | None = None) -> ssl.SSLContext:
        """The context of a client, which may have a certificate."""
        return pellucid.client_tls(
            self.authority, certificate=None if name is None else getattr(self, name)
        )


def make(place: Path) -> Certificates:
    """Make them all, in a directory."""
    authority, other = trustme.CA(), trustme.CA()
    past = datetime.now(UTC) - timedelta(days=1)
    issued = {
        "server": authority.issue_cert("127.0.0.1", "localhost"),
        "expired": authority.issue_cert("127.0.0.1", not_after=past),
        "elsewhere": authority.issue_cert("elsewhere.example"),
        "alice": authority.issue_cert("alice@example.com", common_name="alice"),
        "stranger": other.issue_cert("mallory@example.com", common_name="mallory"),
    }
    authority.cert_pem.write_to_path(place / "authority.pem")
    for name, one in issued.items():
        one.private_key_and_cert_chain_pem.write_to_path(place / f"{name}.pem")
    return Certificates(place, *(place / f"{name}.pem" for name in ("authority", *issued)))


def lock(certificates: Certificates, name: str, password: str) -> Path:
    """Give the key of a certificate in a file of its own, which takes a password."""
    key = load_pem_private_key(getattr(certificates, name).read_bytes(), None)
    locked = certificates.place / f"{name}.locked"
    locked.write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
    )
    return locked
