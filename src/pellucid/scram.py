"""SCRAM-SHA-256: a login that shows the password to nobody who listens, and proves the server too.

The messages are those of RFC 5802 and RFC 7677, without channel binding. Names and passwords are
brought into the form NFKC.
"""

import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest, digest
from typing import Self
from unicodedata import normalize

from .errors import LoginFailed

__all__ = ["ITERATIONS", "ClientLogin", "Keys", "ServerLogin", "prepare_name", "prepare_password"]

ITERATIONS = 600_000
"""What new passwords get. Guessing one from what is stored costs so much for each guess."""

# What a client computes on a server's word: no less than RFC 7677 allows, and no more than takes a
# few seconds.
_FEWEST = 4_096
_MOST = 10_000_000

# No message of an honest peer comes near that.
_LONGEST = 4_096
_SALT = 16
_NONCE = 18

_GS2 = "n,,"

# In characters. Normalizing is quadratic for text that was made to be so.
_LONGEST_NAME = 256
_LONGEST_PASSWORD = 1_024


def prepare_name(name: str) -> str:
    """Give a user name in the form in which it is compared.

    Raises ValueError, which does not tell the name, for one that nobody can have, and TypeError.
    """
    _check_type(name, str, "a user name is a str")
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"a user name has from 1 to {_LONGEST_NAME} characters")
    name = normalize("NFKC", name)
    if not _is_text(name) or "\0" in name:
        raise ValueError("a user name can't have lone surrogates or NUL in it")
    return name


def prepare_password(password: str | bytes) -> bytes:
    """Give what of a password goes into a hash. Bytes are taken as they are.

    Raises ValueError, which does not tell the password, for one that can't be used, and TypeError.
    """
    _check_type(password, (str, bytes), "a password is a str or bytes")
    if not 0 < len(password) <= _LONGEST_PASSWORD:
        raise ValueError(f"a password has from 1 to {_LONGEST_PASSWORD} characters")
    if isinstance(password, bytes):
        return password
    if not _is_text(password):
        raise ValueError("a password can't have lone surrogates in it")
    return normalize("NFKC", password).encode()


def _check_type(value: object, kind: type | tuple[type, ...], text: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{text}, not {type(value).__name__}")


def _is_text(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


@dataclass(frozen=True, repr=False)
class Keys:
    """What a server keeps of a password. It can check a login with it, not log in elsewhere."""

    iterations: int
    salt: bytes
    stored: bytes
    server: bytes

    @classmethod
    def of(cls, password: str | bytes, salt: bytes | None = None, count: int = ITERATIONS) -> Self:
        """Derive the keys. This is slow: `count` is the number of iterations."""
        salt = secrets.token_bytes(_SALT) if salt is None else salt
        client, server = _derive(password, salt, count)
        return cls(count, salt, sha256(client).digest(), server)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `SCRAM-SHA-256$count:salt$stored:server`. Raises ValueError, without the text."""
        found = re.fullmatch(r"SCRAM-SHA-256\$([1-9]\d{3,7}):([^:$]+)\$([^:$]+):([^:$]+)", text)
        if found is None:
            raise ValueError("this is not a SCRAM-SHA-256 entry")
        salt, stored, server = (b64decode(part, validate=True) for part in found.groups()[1:])
        count = int(found[1])
        if not salt or len(stored) != 32 or len(server) != 32 or not _FEWEST <= count <= _MOST:
            raise ValueError("the parts of a SCRAM-SHA-256 entry have the wrong size")
        return cls(count, salt, stored, server)

    def text(self) -> str:
        """Give the text that `parse` reads. PostgreSQL writes the same."""
        keys = f"{_base64(self.stored)}:{_base64(self.server)}"
        return f"SCRAM-SHA-256${self.iterations}:{_base64(self.salt)}${keys}"

    def check(self, password: str | bytes) -> bool:
        """Tell whether these are the keys of a password. This is slow."""
        again = Keys.of(password, self.salt, self.iterations)
        return compare_digest(again.stored, self.stored)


class ClientLogin:
    """The client's side of one login: `first`, then `final`, then `verify`."""

    def __init__(self, username: str, password: str | bytes, nonce: str | None = None) -> None:
        name = prepare_name(username).replace("=", "=3D").replace(",", "=2C")
        self._password = prepare_password(password)
        self._nonce = nonce or _new_nonce()
        self._bare = f"n={name},r={self._nonce}"
        self._proof = b""

    def first(self) -> bytes:
        """Give the first message."""
        return (_GS2 + self._bare).encode()

    def final(self, server_first: object) -> bytes:
        """Answer the server's first message. This is slow.

        Raises LoginFailed for one that is no good, before anything is computed on its word.
        """
        text = _text(server_first)
        found = re.match(r"r=([^,]+),s=([^,]+),i=([1-9]\d{0,9})(?:,|\Z)", text or "")
        salt = None if found is None else _unbase64(found[2])
        if text is None or found is None or not salt:
            raise LoginFailed("the server's challenge can't be read")
        nonce, count = found[1], int(found[3])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise LoginFailed("the server's challenge belongs to another login")
        if not _FEWEST <= count <= _MOST:
            raise LoginFailed(
                f"the server wants {count} iterations; {_FEWEST} to {_MOST} are allowed"
            )
        bare = f"c={_base64(_GS2.encode())},r={nonce}"
        signed = f"{self._bare},{text},{bare}".encode()
        client, server = _derive(self._password, salt, count)
        proof = _xor(client, digest(sha256(client).digest(), signed, "sha256"))
        self._proof = digest(server, signed, "sha256")
        return f"{bare},p={_base64(proof)}".encode()

    def verify(self, server_final: object) -> None:
        """Take the server's last message. Raises LoginFailed if it does not know the password."""
        proof = (_text(server_final) or "").partition(",")[0]
        if not self._proof or not compare_digest(proof.encode(), b"v=" + b64encode(self._proof)):
            raise LoginFailed("the server could not prove that it knows this password")


class ServerLogin:
    """The server's side of one login: made of the first message, then `challenge` and `finish`.

    Raises LoginFailed, without a text, for a message that is no good.
    """

    def __init__(self, client_first: object, nonce: str | None = None) -> None:
        found = re.fullmatch(
            r"([ny],,)(n=((?:[^,=\0]|=2C|=3D)+),r=([!-+\--~]+)(?:,[^\0]*)?)",
            _text(client_first) or "",
        )
        if found is None:
            raise LoginFailed("")
        self._gs2, self._bare, name, theirs = found.groups()
        self.username = name.replace("=2C", ",").replace("=3D", "=")
        self._nonce = theirs + (nonce or _new_nonce())
        self._first = ""
        self._keys: Keys | None = None

    def challenge(self, keys: Keys) -> bytes:
        """Give the server's first message, for a user with these keys."""
        self._keys = keys
        self._first = f"r={self._nonce},s={_base64(keys.salt)},i={keys.iterations}"
        return self._first.encode()

    def finish(self, client_final: object) -> bytes:
        """Check the client's last message and give the server's.

        Can be called once; raises LoginFailed if the client does not know the password.
        """
        keys, self._keys = self._keys, None
        found = re.fullmatch(r"(c=([^,]+),r=([^,]+)(?:,.*)?),p=([^,]+)", _text(client_final) or "")
        proof = None if found is None else _unbase64(found[4])
        if keys is None or found is None or proof is None or len(proof) != len(keys.stored):
            raise LoginFailed("")
        if found[2] != _base64(self._gs2.encode()) or found[3] != self._nonce:
            raise LoginFailed("")
        signed = f"{self._bare},{self._first},{found[1]}".encode()
        client = _xor(proof, digest(keys.stored, signed, "sha256"))
        if not compare_digest(sha256(client).digest(), keys.stored):
            raise LoginFailed("")
        return b"v=" + b64encode(digest(keys.server, signed, "sha256"))


def _derive(password: str | bytes, salt: bytes, count: int) -> tuple[bytes, bytes]:
    """Give the keys of client and server."""
    salted = pbkdf2_hmac("sha256", prepare_password(password), salt, count)
    return digest(salted, b"Client Key", "sha256"), digest(salted, b"Server Key", "sha256")


def _new_nonce() -> str:
    return secrets.token_urlsafe(_NONCE)


def _text(message: object) -> str | None:
    """Give a received message as text, None if it is none."""
    if type(message) is not bytes or len(message) > _LONGEST:
        return None
    try:
        return message.decode()
    except UnicodeDecodeError:
        return None


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _unbase64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
