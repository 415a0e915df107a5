"""The password file: what is in it, how it is written, and who can read it."""

import importlib.util
import os
import stat
import sys
from pathlib import Path

import pytest

from pellucid import passwords
from pellucid.login import Account, md5_of
from pellucid.passwords import (
    BadPasswordFile,
    PasswordFile,
    check_password,
    make_account,
    write_account,
)
from pellucid.scram import Keys

FEW = 4096


def account(name: str = "alice", password: str = "secret", *, md5: bool = False) -> Account:
    return make_account(name, password, md5=md5, iterations=FEW)


@pytest.fixture(scope="module")
def alice() -> Account:
    return account()


@pytest.fixture(scope="module")
def bob() -> Account:
    return account("bob", "geheim", md5=True)


@pytest.fixture
def users(tmp_path: Path, alice: Account, bob: Account) -> Path:
    path = tmp_path / "users"
    write_account(path, "alice", alice)
    write_account(path, "bob", bob)
    return path


# What is kept of a password.


def test_an_account_has_hashes_only(alice: Account, bob: Account) -> None:
    assert alice.avatar_id == "alice"
    assert alice.slow is not None
    assert alice.slow.startswith("$scrypt$ln=15,r=8,p=3$")
    assert alice.scram is not None
    assert Keys.parse(alice.scram).check("secret")
    assert alice.md5 is None
    assert bob.md5 == md5_of("geheim")


def test_the_slow_hash_is_what_is_checked() -> None:
    one = account()
    assert check_password(one, "secret")
    assert check_password(one, b"secret")
    assert not check_password(one, "Secret")
    # It alone counts, whatever else there is.
    assert not check_password(Account("a", one.slow, None, md5_of("other")), "other")


def test_other_hashes_stand_in_for_the_slow_one(alice: Account) -> None:
    for stored in (Account("a", None, alice.scram), Account("a", None, None, md5_of("secret"))):
        assert check_password(stored, "secret")
        assert not check_password(stored, "Secret")
    assert not check_password(Account("a"), "secret")


def test_argon2_can_be_used() -> None:
    pytest.importorskip("argon2")
    made = make_account("alice", "secret", with_argon2=True, iterations=FEW)
    assert made.slow is not None
    assert made.slow.startswith("$argon2id$")
    assert check_password(made, "secret")
    assert not check_password(made, "Secret")
    with pytest.raises(ValueError, match="Argon2 hash can't be read"):
        check_password(Account("a", "$argon2id$nonsense"), "secret")
    with pytest.raises(ValueError, match="Argon2 hash can't be read"):
        # No base64 has this length; of other lengths some can be read.
        check_password(Account("a", made.slow[:-2]), "secret")


def test_argon2_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(passwords, "argon2", None)
    with pytest.raises(ValueError, match=r"pip install 'pellucid\[argon2\]'"):
        make_account("alice", "secret", with_argon2=True)
    path = tmp_path / "users"
    path.write_text("alice slow=$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAA\n")
    with pytest.raises(ValueError, match=r"line 1: .*pip install"):
        PasswordFile(path)


def test_without_argon2_the_module_is_there_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)
    spec = importlib.util.spec_from_file_location("pellucid.passwords", passwords.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.argon2 is None


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("x", ""), ("x", "y\udcff")])
def test_a_name_or_password_that_can_not_be_used_is_refused(name: str, password: str) -> None:
    with pytest.raises(ValueError, match=r"a user name|a password"):
        make_account(name, password)


# The file.


def test_what_was_written_is_found(users: Path, alice: Account, bob: Account) -> None:
    file = PasswordFile(str(users))
    assert file.find_account("alice") == alice
    assert file.find_account("bob") == bob
    assert file.find_account("nobody") is None
    assert file.has_md5


def test_a_file_is_text_with_a_line_for_each_user(users: Path, alice: Account) -> None:
    secret, *lines = users.read_text().splitlines()
    assert secret.startswith("#decoys=")
    assert lines[0] == f"alice slow={alice.slow} scram={alice.scram}"
    assert lines[1].endswith(f" md5={md5_of('geheim').hex()}")
    for password in ("secret", "geheim"):
        assert password not in users.read_text()


@pytest.mark.parametrize("name", ["a b", "a=b", "#a", "ü", "a%20b", "x@host", "a\nb", " ", "\x85"])
def test_any_name_can_be_written(tmp_path: Path, alice: Account, name: str) -> None:
    path = tmp_path / "users"
    write_account(path, "alice", alice)
    write_account(path, name, make_account(name, "x", iterations=FEW))
    found = PasswordFile(path).find_account(name)
    assert found is not None
    assert check_password(found, "x")
    assert write_account(path, name, None)
    assert PasswordFile(path).find_account(name) is None
    assert PasswordFile(path).find_account("alice") == alice


def test_a_user_who_is_written_again_is_replaced(users: Path, alice: Account) -> None:
    new = Account("bob", alice.slow, alice.scram)
    assert write_account(users, "bob", new)
    file = PasswordFile(users)
    assert file.find_account("bob") == new
    assert not file.has_md5


def test_a_user_can_be_taken_out(users: Path) -> None:
    assert write_account(users, "bob", None)
    assert PasswordFile(users).find_account("bob") is None
    assert not write_account(users, "bob", None)


def test_a_file_may_have_no_hashes_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("# ours\n  #eve\n\nalice\nbob md5=" + "00" * 16 + "\n   \n")
    file = PasswordFile(path)
    assert file.find_account("alice") == Account("alice")
    assert file.find_account("#eve") is None
    assert file.find_account("bob") == Account("bob", None, None, bytes(16))
    write_account(path, "bob", None)
    assert path.read_text().startswith("# ours\n  #eve\n#decoys=")


def test_a_file_is_read_again_when_it_has_changed(users: Path, alice: Account) -> None:
    file = PasswordFile(users)
    write_account(users, "carol", Account("carol", alice.slow))
    write_account(users, "bob", None)
    assert file.find_account("carol") is not None
    assert file.find_account("bob") is None
    assert not file.has_md5


def test_a_file_is_not_read_while_it_stays_the_same(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PasswordFile(users)

    def read(path: Path, data: bytes) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(passwords, "_parse", read)
    assert file.find_account("alice") is not None


def test_a_file_that_is_none_is_not_read_again_until_it_has_changed(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = PasswordFile(users)
    good = users.read_text()
    users.write_text("alice nothing")
    with pytest.raises(BadPasswordFile, match="line 1"):
        checker.find_account("alice")
    parsed: list[object] = []
    parse = passwords._parse

    def note(path: Path, data: bytes) -> object:
        parsed.append(data)
        return parse(path, data)

    monkeypatch.setattr(passwords, "_parse", note)
    with pytest.raises(BadPasswordFile, match="line 1"):
        checker.decoy("nobody")
    assert parsed == []
    users.write_text(good)
    assert checker.find_account("alice") is not None
    assert len(parsed) == 1


def test_a_file_that_is_gone_lets_nobody_in(users: Path) -> None:
    file = PasswordFile(users)
    users.unlink()
    with pytest.raises(FileNotFoundError):
        file.find_account("alice")
    with pytest.raises(FileNotFoundError):
        PasswordFile(users)


@pytest.mark.parametrize(
    "line",
    [
        "alice password=SECRET",
        "alice slow",
        "alice slow=SECRET",
        "alice scram=SECRET",
        "alice md5=SECRET",
        "alice md5=00ff",
        "alice md5=" + "00" * 16 + " md5=" + "00" * 16,
        "%ff md5=" + "00" * 16,
        "carol",
        "\xfcSECRET",
    ],
)
def test_a_line_that_can_not_be_read_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"carol\n{line}\n", "latin-1")
    with pytest.raises(BadPasswordFile, match=r"users(, line 2)?: ") as caught:
        PasswordFile(path)
    assert "SECRET" not in str(caught.value)


# Writing.


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_new_file_is_for_its_owner_alone(users: Path) -> None:
    assert mode(users) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o666, 0o640), (0o400, 0o600)])
def test_a_group_may_go_on_reading_but_nobody_else(users: Path, before: int, after: int) -> None:
    users.chmod(before)
    write_account(users, "bob", None)
    assert mode(users) == after


def test_a_link_stays_a_link(users: Path) -> None:
    link = users.with_name("link")
    link.symlink_to(users)
    write_account(link, "bob", None)
    assert link.is_symlink()
    assert PasswordFile(users).find_account("bob") is None


def test_two_do_not_write_at_the_same_time(users: Path) -> None:
    before = users.read_text()
    new = users.with_name("users.new")
    new.write_text("half")
    with pytest.raises(FileExistsError, match="another process"):
        write_account(users, "bob", None)
    assert users.read_text() == before
    assert new.read_text() == "half"


def test_a_file_stays_as_it_was_when_writing_fails(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = users.read_text()

    def fail(*args: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_account(users, "bob", None)
    assert users.read_text() == before
    assert [path.name for path in users.parent.iterdir()] == ["users"]


def test_a_file_that_is_none_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_text("Dear Bob,\nhow are you?\n")
    with pytest.raises(BadPasswordFile, match="line 1"):
        write_account(path, "bob", Account("bob"))
    assert path.read_text() == "Dear Bob,\nhow are you?\n"
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX")
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, tmp_path):
        with pytest.raises(BadPasswordFile, match="not a password file"):
            write_account(path, "alice", Account("alice"))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [link, pipe]


# Decoys.


def salt(account: Account) -> bytes:
    assert account.scram is not None
    return Keys.parse(account.scram).salt


def test_unknown_users_look_the_same_after_a_restart(users: Path) -> None:
    one, again = PasswordFile(users), PasswordFile(users)
    assert salt(one.decoy("nobody")) == salt(again.decoy("nobody"))
    assert salt(one.decoy("nobody")) != salt(one.decoy("somebody"))
    write_account(users, "bob", None)
    assert salt(one.decoy("nobody")) == salt(PasswordFile(users).decoy("nobody"))


def test_unknown_users_look_like_users(users: Path, alice: Account, bob: Account) -> None:
    fakes = [PasswordFile(users).decoy(f"nobody {n}") for n in range(30)]
    assert {fake.slow for fake in fakes} == {alice.slow, bob.slow}
    for fake in fakes:
        assert fake.scram is not None
        assert Keys.parse(fake.scram).iterations == FEW


def test_an_empty_file_has_decoys_too(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch()
    assert PasswordFile(path).decoy("nobody").slow is not None
