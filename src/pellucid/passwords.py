"""The password file: one line for each user, written by `pellucid passwd`.

`name slow=... scram=... md5=...`, the name percent-encoded, and after it what there is. A line that
begins with `#` is a comment, but `#decoys=` has the secret that makes up salts for unknown users.
"""

import contextlib
import os
import secrets
from hashlib import sha256
from hmac import compare_digest, digest
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from .login import Account, Checker, check_scrypt, decoy, md5_of, parse_scrypt, scrypt_of
from .scram import ITERATIONS, Keys, prepare_name, prepare_password

argon2: Any
try:
    import argon2
except ModuleNotFoundError:
    argon2 = None

__all__ = [
    "BadPasswordFile",
    "PasswordFile",
    "check_password",
    "make_account",
    "write_account",
]

_DECOYS = "#decoys="


# What is kept of a password, and checking it.


def make_account(
    name: str,
    password: str,
    *,
    md5: bool = False,
    with_argon2: bool = False,
    iterations: int = ITERATIONS,
) -> Account:
    """Make what is kept of a user and a password. This is slow.

    With `md5` the user can log in as programs of Twisted do; that hash is as good as the password.
    Raises ValueError for a name or a password that can't be used, and where Argon2 is missing.
    """
    name = prepare_name(name)
    if with_argon2:
        slow: str = _argon2().PasswordHasher().hash(prepare_password(password))
    else:
        slow = scrypt_of(password)
    scram = Keys.of(password, count=iterations).text()
    return Account(name, slow, scram, md5_of(password) if md5 else None)


def check_password(account: Account, password: str | bytes) -> bool:
    """Tell whether a password is that of an account. This is slow.

    Raises ValueError, which tells neither password nor hash, for what can't be checked.
    """
    if account.slow is not None:
        if account.slow.startswith("$argon2"):
            return _check_argon2(account.slow, prepare_password(password))
        return check_scrypt(account.slow, password)
    if account.scram is not None:
        return Keys.parse(account.scram).check(password)
    return account.md5 is not None and compare_digest(account.md5, md5_of(password))


def _check_argon2(text: str, password: bytes) -> bool:
    hasher = _argon2().PasswordHasher()
    try:
        return bool(hasher.verify(text, password))
    except argon2.exceptions.VerifyMismatchError:
        return False
    except (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
        raise ValueError("an Argon2 hash can't be read") from None


def _argon2() -> Any:
    if argon2 is None:
        raise ValueError("Argon2 is not installed: pip install 'pellucid[argon2]'")
    return argon2


# The file.


class BadPasswordFile(ValueError):
    """A file that can't be read. The text tells where, and nothing of what is in it."""


class _Content(NamedTuple):
    """What is in a file. Replaced as a whole, because any thread may look at it."""

    seen: tuple[int, int, int]
    accounts: dict[str, Account]
    names: list[str]
    key: bytes
    has_md5: bool


class PasswordFile(Checker):
    """The users of a file that `pellucid passwd` writes. It is read again when it has changed.

    Raises OSError if it can't be read, and BadPasswordFile, which names the line, for one that is
    none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._key = secrets.token_bytes(32)
        self._content: _Content | None = None
        # What was wrong with the file when it was read last.
        self._bad: tuple[tuple[int, int, int], str] | None = None
        self._read()

    @property
    def has_md5(self) -> bool:
        """Tell whether a user can log in as programs of Twisted do."""
        return self._read().has_md5

    def find_account(self, username: str) -> Account | None:
        """Give the account of a user, or None."""
        return self._read().accounts.get(prepare_name(username))

    def decoy(self, username: str) -> Account:
        """Give an account that is like that of some user, for one name always the same."""
        content = self._read()
        if not content.names:
            return decoy(username, content.key)
        pick = digest(content.key, username.encode("utf-8", "replace"), sha256)
        name = content.names[int.from_bytes(pick) % len(content.names)]
        return decoy(username, content.key, content.accounts[name])

    def _read(self) -> _Content:
        content, bad = self._content, self._bad
        if content is not None or bad is not None:
            seen = _state(os.stat(self._path))
            if bad is not None and bad[0] == seen:
                raise BadPasswordFile(bad[1])
            if content is not None and content.seen == seen:
                return content
        with self._path.open("rb") as file:
            seen = _state(os.fstat(file.fileno()))
            data = file.read()
        try:
            users, comments = _parse(self._path, data)
        except BadPasswordFile as error:
            self._bad = seen, str(error)
            raise
        keys = [line.encode() for line in comments if line.startswith(_DECOYS)]
        key = keys[0] if keys else self._key
        accounts = {name: account for name, (_, account) in users.items()}
        has_md5 = any(account.md5 is not None for account in accounts.values())
        content = _Content(seen, accounts, sorted(accounts), key, has_md5)
        self._content, self._bad = content, None
        return content


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _parse(path: Path, data: bytes) -> tuple[dict[str, tuple[str, Account]], list[str]]:
    """Give the lines of a file with what they say, by the names of the users, and the comments."""
    users: dict[str, tuple[str, Account]] = {}
    comments: list[str] = []
    if not data.isascii():
        raise BadPasswordFile(f"{path}: this is not a password file")
    for number, line in enumerate(data.decode("ascii").splitlines(), 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("#"):
            comments.append(line)
            continue
        try:
            account = _account(line)
        except ValueError as error:
            raise BadPasswordFile(f"{path}, line {number}: {error}") from None
        if account.avatar_id in users:
            raise BadPasswordFile(f"{path}, line {number}: this user has another line")
        users[account.avatar_id] = line, account
    return users, comments


def _account(line: str) -> Account:
    name, *parts = line.split()
    found: dict[str, str] = {}
    for part in parts:
        kind, equals, value = part.partition("=")
        if kind not in ("slow", "scram", "md5") or not equals or kind in found:
            raise ValueError("after the name there are slow=, scram= and md5=, each once at most")
        found[kind] = value
    try:
        md5 = bytes.fromhex(found["md5"]) if "md5" in found else None
        user = prepare_name(unquote_to_bytes(name).decode())
    except ValueError:
        raise ValueError("the name or the MD5 hash can't be read") from None
    if md5 is not None and len(md5) != 16:
        raise ValueError("an MD5 hash has 32 digits")
    if "scram" in found:
        Keys.parse(found["scram"])
    if found.get("slow", "").startswith("$argon2"):
        _argon2()
    elif "slow" in found:
        parse_scrypt(found["slow"])
    return Account(user, found.get("slow"), found.get("scram"), md5)


def _line(account: Account) -> str:
    parts = [quote(account.avatar_id, safe="@")]
    parts += [f"slow={account.slow}"] if account.slow is not None else []
    parts += [f"scram={account.scram}"] if account.scram is not None else []
    parts += [f"md5={account.md5.hex()}"] if account.md5 is not None else []
    return " ".join(parts)


def write_account(path: str | os.PathLike[str], name: str, account: Account | None) -> bool:
    """Put an account into a file, in place of what the user had; with None take the user out.

    Tells whether the user was in it. The file is made if it is missing, for its owner alone to
    read. It is replaced as a whole: whoever reads it sees the old one or the new one. Raises
    FileExistsError while another process writes it, and BadPasswordFile for what is none.
    """
    # A link stays a link.
    place = Path(os.path.realpath(path))
    name = prepare_name(name)
    if place.exists() and not place.is_file():
        # It would be replaced as well, even if it is a device.
        raise BadPasswordFile(f"{place}: this is not a password file")
    new = place.with_name(place.name + ".new")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(
            f"{new} exists: another process writes the file, or was stopped while it did"
        ) from None
    try:
        with open(handle, "w", encoding="ascii", newline="\n") as file:
            old = os.stat(place) if place.exists() else None
            users, comments = _parse(place, place.read_bytes()) if old else ({}, [])
            lines = {user: line for user, (line, _) in users.items()}
            known = name in lines
            if account is None:
                lines.pop(name, None)
            else:
                lines[name] = _line(account)
            if not any(line.startswith(_DECOYS) for line in comments):
                comments.append(f"{_DECOYS}{secrets.token_hex(32)}")
            file.write("".join(f"{line}\n" for line in [*comments, *lines.values()]))
            file.flush()
            _keep_readers(handle, old)
            os.fsync(handle)
        os.replace(new, place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _flush_folder(place.parent)
    return known


def _keep_readers(handle: int, old: os.stat_result | None) -> None:
    """Let who could read the old file read the new one, but never everybody."""
    if old is None or os.name != "posix":
        return
    with contextlib.suppress(PermissionError):
        os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, 0o600 | old.st_mode & 0o040)


def _flush_folder(folder: Path) -> None:
    """See to it that the new name is on the disk as well, where a folder can be opened."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
