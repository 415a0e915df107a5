"""Login without I/O: Perspective Broker's challenge, accounts, checkers, and who is logged in.

The messages of PB's own exchange are in the wire document, section 14. `scram` has the other one.
"""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import md5, scrypt
from hmac import compare_digest, digest
from inspect import signature
from typing import Any, Protocol

from .errors import LoginFailed
from .flavors import Referenceable
from .scram import ITERATIONS, Keys, prepare_name, prepare_password

__all__ = [
    "Account",
    "Anonymous",
    "CertificateNames",
    "Checker",
    "InMemory",
    "LoggedIn",
    "check_response",
    "check_scrypt",
    "decoy",
    "fitting",
    "md5_of",
    "new_challenge",
    "offers",
    "parse_scrypt",
    "refusal",
    "respond",
    "scrypt_of",
]


def refusal() -> LoginFailed:
    """Give the error of every login that is not let in, whatever was wrong with it."""
    return LoginFailed("")


def fitting(kind: type[Exception], method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Give `method(*args, **kwargs)`, for those who have not logged in.

    Raises `kind` for arguments that do not fit: that is no error of this side.
    """
    try:
        signature(method).bind(*args, **kwargs)
    except TypeError as error:
        raise kind(f"{method.__name__}: {error}") from None
    return method(*args, **kwargs)


# PB's own exchange. MD5 is what existing programs speak; who listens can guess the password.


def md5_of(password: str | bytes) -> bytes:
    """Give what PB's exchange needs of a password. To have it is as good as the password."""
    data = password.encode() if isinstance(password, str) else password
    return md5(data, usedforsecurity=False).digest()


def new_challenge() -> bytes:
    """Give a challenge. Each is to be used for one response."""
    return secrets.token_bytes(16)


def respond(challenge: bytes, hashed: bytes) -> bytes:
    """Give the response to a challenge, by who has the MD5 of the password."""
    return md5(hashed + challenge, usedforsecurity=False).digest()


def check_response(challenge: bytes, hashed: bytes, response: object) -> bool:
    """Tell whether a response, which may be anything, is the right one."""
    given = response if type(response) is bytes else b""
    return compare_digest(respond(challenge, hashed), given)


# Slow hashes, as other programs write them: $scrypt$ln=15,r=8,p=3$salt$hash, without padding.

_COST = 15
_BLOCK = 8
_PARALLEL = 3
_SALT = 16
# A file with other numbers than that was not written for a server's logins.
_MOST_MEMORY = 1 << 30


def scrypt_of(password: str | bytes, salt: bytes | None = None, cost: int = _COST) -> str:
    """Hash a password with scrypt. This is slow, and takes 32 MiB with the default `cost`."""
    salt = secrets.token_bytes(_SALT) if salt is None else salt
    made = _scrypt(password, salt, cost, _BLOCK, _PARALLEL, 32)
    return f"$scrypt$ln={cost},r={_BLOCK},p={_PARALLEL}${_base64(salt)}${_base64(made)}"


def check_scrypt(text: str, password: str | bytes) -> bool:
    """Tell whether a hash is that of a password. This is slow. Raises as `parse_scrypt` does."""
    cost, block, parallel, salt, hashed = parse_scrypt(text)
    made = _scrypt(password, salt, cost, block, parallel, len(hashed))
    return compare_digest(made, hashed)


def parse_scrypt(text: str) -> tuple[int, int, int, bytes, bytes]:
    """Give cost, block size, parallelism, salt and hash of `$scrypt$ln=15,r=8,p=3$salt$hash`.

    Raises ValueError, which does not tell the hash, if it can't be read or wants too much memory.
    """
    pattern = r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([\w+/]{4,})\$([\w+/]{22,})"
    found = re.fullmatch(pattern, text, re.ASCII)
    if found is None:
        raise ValueError("this is not an scrypt hash")
    cost, block, parallel = int(found[1]), int(found[2]), int(found[3])
    if _memory(cost, block, parallel) > _MOST_MEMORY:
        raise ValueError("an scrypt hash wants too much memory")
    return cost, block, parallel, _unbase64(found[4]), _unbase64(found[5])


def _scrypt(
    password: str | bytes, salt: bytes, cost: int, block: int, parallel: int, size: int
) -> bytes:
    # OpenSSL refuses to take more than 32 MiB unless it is told how much.
    memory = _memory(cost, block, parallel)
    data = prepare_password(password)
    return scrypt(data, salt=salt, n=1 << cost, r=block, p=parallel, maxmem=memory, dklen=size)


def _memory(cost: int, block: int, parallel: int) -> int:
    return 128 * block * ((1 << cost) + parallel + 2)


def _base64(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


# Accounts and who knows them.


@dataclass(frozen=True)
class Account:
    """What a server keeps of one user, for each way to log in that the user may use.

    `slow` is a hash of scrypt or Argon2, for passwords that come over TLS. `scram` is for logins
    without TLS, and `md5` for those of PB. Where there is no `slow`, `scram` or `md5` stand in.
    """

    avatar_id: str
    slow: str | None = field(default=None, repr=False)
    scram: str | None = field(default=None, repr=False)
    md5: bytes | None = field(default=None, repr=False)


def decoy(username: str, key: bytes, like: Account | None = None) -> Account:
    """Give an account for a user who does not exist, that costs as much to check as `like`.

    The same name and key have the same salt, so that asking twice shows nothing. Nobody knows its
    password, unless `slow` is that of `like`: what is found of a decoy never lets anybody in.
    """
    keys = None if like is None or like.scram is None else Keys.parse(like.scram)
    count, size = (ITERATIONS, _SALT) if keys is None else (keys.iterations, len(keys.salt))
    salt = b""
    while len(salt) < size:
        salt += digest(key, b"%d %b" % (len(salt), username.encode("utf-8", "replace")), "sha256")
    fake = Keys(count, salt[:size], secrets.token_bytes(32), secrets.token_bytes(32))
    return Account(
        "",
        _NOBODY if like is None else like.slow,
        None if like is not None and like.slow is None and like.scram is None else fake.text(),
        secrets.token_bytes(16),
    )


_NOBODY = f"$scrypt$ln={_COST},r={_BLOCK},p={_PARALLEL}${'A' * 22}${'A' * 43}"


class _Certificate(Protocol):
    """What `CertificateNames` looks at."""

    @property
    def common_name(self) -> str:
        """The name of the subject, "" if it has none."""

    @property
    def names(self) -> tuple[str, ...]:
        """All its names, the common name first."""


class Checker:
    """Tells who may log in. Derive from it, and write the methods for what it can check.

    Each may be plain or async. A checker needs not be derived from this class.
    """

    @property
    def has_md5(self) -> bool:
        """Tell whether some of its accounts have `md5`. Without, PB's logins are refused."""
        return False

    def find_account(self, username: str) -> Any:
        """Give the `Account` of a user, or None."""
        return None

    def check_password(self, username: str, password: str | bytes) -> Any:
        """Give the avatar id of the user if the password is right, else None.

        For checkers that have no accounts to give, and over TLS only.
        """
        return None

    def check_certificate(self, certificate: Any) -> Any:
        """Give the avatar id of the owner of a `Certificate` that was verified, or None."""
        return None

    def anonymous(self) -> Any:
        """Tell whether one may log in without a name."""
        return False

    def decoy(self, username: str) -> Account | None:
        """Give an account that stands in where `find_account` knows none, None for a usual one.

        It should look and cost as the others do: see the function `decoy`. It is asked for every
        name, known or not, so that the time it takes tells nothing.
        """
        return None


def offers(checker: object, method: str) -> bool:
    """Tell whether a checker has a method of its own."""
    found = getattr(checker, method, None)
    return callable(found) and getattr(found, "__func__", found) is not getattr(Checker, method)


class InMemory(Checker):
    """Users and their passwords, in a mapping. For tests and small programs.

    Every way to log in works. Making it takes some milliseconds for each user. Raises TypeError for
    what is no mapping of names to passwords, and ValueError for those that nobody can have.
    """

    has_md5 = True

    def __init__(self, users: Mapping[str, str], *, iterations: int = 15_000) -> None:
        _check_mapping(users)
        self._key = secrets.token_bytes(32)
        self._users: dict[str, tuple[bytes, Account]] = {}
        for name, password in users.items():
            known = prepare_name(name)
            if known in self._users:
                raise ValueError("two of the names are the same user")
            scram = Keys.of(password, count=iterations).text()
            account = Account(name, None, scram, md5_of(password))
            self._users[known] = prepare_password(password), account
        nobody = Keys(iterations, bytes(_SALT), bytes(32), bytes(32))
        self._like = Account("", None, nobody.text())

    def find_account(self, username: str) -> Account | None:
        """Give the account of a user, or None."""
        found = self._users.get(prepare_name(username))
        return None if found is None else found[1]

    def check_password(self, username: str, password: str | bytes) -> str | None:
        """Give the name of the user if the password is right, else None."""
        known, account = self._users.get(prepare_name(username), (b"", None))
        right = compare_digest(known, prepare_password(password))
        return account.avatar_id if account is not None and right else None

    def decoy(self, username: str) -> Account:
        """Give an account like those of the users."""
        return decoy(username, self._key, self._like)


def _check_mapping(users: object) -> None:
    if not isinstance(users, Mapping):
        raise TypeError(f"users are a mapping of names to passwords, not {type(users).__name__}")


class Anonymous(Checker):
    """Lets everybody in, without a name: the realm is asked for the avatar of None."""

    def anonymous(self) -> bool:
        """Tell that one may."""
        return True


class CertificateNames(Checker):
    """Lets in who has a certificate that was verified.

    Without `avatars` the common name is the avatar id. With it the first of the certificate's names
    that is in it decides.
    """

    def __init__(self, avatars: Mapping[str, str] | None = None) -> None:
        self._avatars = None if avatars is None else dict(avatars)

    def check_certificate(self, certificate: _Certificate) -> str | None:
        """Give the avatar id for a certificate, or None."""
        if self._avatars is None:
            return certificate.common_name or None
        found = (self._avatars[name] for name in certificate.names if name in self._avatars)
        return next(found, None)


class LoggedIn(Referenceable):
    """An avatar in the hands of who logged in: each login has one, with an id of its own.

    `ended()` is called once, when the other side lets go of it, when the connection ends, or when
    it never got out.
    """

    wants_release = True

    def __init__(self, avatar: Any, ended: Callable[[], object]) -> None:
        self._avatar = avatar
        self._ended: Callable[[], object] | None = ended
        self._sent = False

    @property
    def comes_home_as(self) -> Any:
        """The avatar: what a method gets that is given this back."""
        return self._avatar

    def find_method(self, name: str) -> Callable[..., Any]:
        """Give the avatar's method. Raises NoSuchMethod where there is none."""
        found: Callable[..., Any] = self._avatar.find_method(name)
        return found

    def find_perspective(self) -> Any:
        """Give the avatar: it is who calls."""
        return self._avatar

    def write_jelly(self, encoder: Any) -> None:
        """Write it into the answer of the login."""
        super().write_jelly(encoder)
        self._sent = True

    def settle(self) -> None:
        """Tell that its answer was written or never will be: if it is not in it, it has ended."""
        if not self._sent:
            self.released()

    def released(self) -> None:
        """The other side holds it no longer."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()
