"""The parts of a login that need no connection."""

from hashlib import md5
from types import SimpleNamespace
from typing import Any

import pytest

from pellucid import login
from pellucid.errors import NoSuchMethod, wire_names
from pellucid.flavors import Referenceable
from pellucid.login import (
    Account,
    Anonymous,
    CertificateNames,
    Checker,
    InMemory,
    LoggedIn,
    check_response,
    check_scrypt,
    decoy,
    fitting,
    md5_of,
    new_challenge,
    offers,
    parse_scrypt,
    refusal,
    respond,
    scrypt_of,
)
from pellucid.scram import Keys

SECRETS = InMemory({"alice": "secret", "b\N{OHM SIGN}b": "geheim"}, iterations=4096)


def test_refusals_tell_nothing() -> None:
    assert str(refusal()) == ""
    assert wire_names(refusal())[0] == "twisted.cred.error.UnauthorizedLogin"


# PB's own exchange.


def test_the_example_of_the_wire_document() -> None:
    response = respond(bytes(16), md5_of("secret"))
    assert response.hex() == "dcedcc25ff20f26684ff7566a535d149"
    assert check_response(bytes(16), md5_of(b"secret"), response)


def test_challenges_are_random() -> None:
    challenges = {new_challenge() for _ in range(100)}
    assert len(challenges) == 100
    assert {len(one) for one in challenges} == {16}


@pytest.mark.parametrize(
    "response",
    [
        None,
        b"",
        0,
        "dcedcc25ff20f26684ff7566a535d149",
        respond(bytes(16), md5_of("secret"))[:-1],
        respond(bytes(16), md5_of("secret")) + b"\0",
        bytearray(respond(bytes(16), md5_of("secret"))),
        respond(bytes(15) + b"\1", md5_of("secret")),
        respond(bytes(16), md5_of("Secret")),
        md5_of("secret"),
        [respond(bytes(16), md5_of("secret"))],
    ],
)
def test_any_other_response_is_wrong(response: object) -> None:
    assert not check_response(bytes(16), md5_of("secret"), response)


def test_md5_also_works_where_it_is_not_allowed_for_security(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_for_other_things(data: bytes, *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return md5(data, usedforsecurity=False)

    monkeypatch.setattr(login, "md5", only_for_other_things)
    assert check_response(b"c", md5_of("secret"), respond(b"c", md5_of("secret")))


# scrypt.


def test_scrypt_is_written_as_others_write_it() -> None:
    text = scrypt_of("secret", cost=4)
    assert text.startswith("$scrypt$ln=4,r=8,p=3$")
    assert check_scrypt(text, "secret")
    assert check_scrypt(text, b"secret")
    assert not check_scrypt(text, "Secret")
    assert scrypt_of("secret", cost=4) != text


def test_scrypt_of_another_program_can_be_read() -> None:
    # RFC 7914, section 12: N = 1024, r = 8, p = 16, the salt "NaCl".
    text = (
        "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSed"
        "mDDaxyevuUqD7m2DYMvfoswGQA"
    )
    assert check_scrypt(text, "password")


def test_new_passwords_take_32_megabytes_to_guess() -> None:
    text = scrypt_of("secret", b"salt" * 4)
    assert text == scrypt_of("secret", b"salt" * 4)
    assert parse_scrypt(text)[:3] == (15, 8, 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$scrypt$ln=4,r=8,p=3$AAAAAAAA",
        "$scrypt$ln=25,r=8,p=3$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=4,r=8,p=3$AAAAAAA_$AAAAAAAAAAAAAAAAAAAAAA",
        "$bcrypt$ln=4,r=8,p=3$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    ],
)
def test_a_hash_that_can_not_be_read_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"scrypt hash|base64") as caught:
        check_scrypt(text, "secret")
    assert "AAAA" not in str(caught.value)


# Accounts.


def test_an_account_does_not_show_its_hashes() -> None:
    assert repr(Account("alice", "x1", "x2", b"x3")) == "Account(avatar_id='alice')"


def test_a_decoy_is_the_same_each_time_that_one_asks() -> None:
    one, again = decoy("nobody", b"key"), decoy("nobody", b"key")
    assert one.scram is not None
    assert again.scram is not None
    assert Keys.parse(one.scram).salt == Keys.parse(again.scram).salt
    assert Keys.parse(one.scram).iterations == 600_000
    for other in (decoy("somebody", b"key"), decoy("nobody", b"another key")):
        assert other.scram is not None
        assert Keys.parse(other.scram).salt != Keys.parse(one.scram).salt


def test_a_decoy_looks_like_the_account_that_it_is_to_look_like() -> None:
    like = Account("alice", "slow", Keys.of("x", bytes(40), 5000).text())
    fake = decoy("nobody", b"key", like)
    assert fake.slow == "slow"
    assert fake.scram is not None
    keys = Keys.parse(fake.scram)
    assert (len(keys.salt), keys.iterations) == (40, 5000)
    assert decoy("nobody", b"key", Account("alice", "slow")).scram is not None
    # Checking a password against MD5 alone is quick, for everybody.
    quick = decoy("nobody", b"key", Account("alice", None, None, md5_of("x")))
    assert (quick.slow, quick.scram) == (None, None)
    assert quick.md5 is not None


def test_a_decoy_costs_what_a_new_password_costs() -> None:
    slow = decoy("nobody", b"key").slow
    assert slow is not None
    assert parse_scrypt(slow)[:3] == parse_scrypt(scrypt_of("x"))[:3]
    assert not check_scrypt(slow, "x")


# Checkers.


class Plain:
    """A checker that is derived from nothing."""

    def find_account(self, username: str) -> Account:
        return Account(username)


def test_a_checker_offers_what_it_has_written_itself() -> None:
    everything = ("find_account", "check_password", "anonymous", "check_certificate", "decoy")
    assert [one for one in everything if offers(Checker(), one)] == []
    assert [one for one in everything if offers(Plain(), one)] == ["find_account"]
    assert [one for one in everything if offers(Anonymous(), one)] == ["anonymous"]
    assert [one for one in everything if offers(CertificateNames(), one)] == ["check_certificate"]
    assert [one for one in everything if offers(SECRETS, one)] == [
        "find_account",
        "check_password",
        "decoy",
    ]
    function = SimpleNamespace(find_account=lambda username: None, anonymous=True)
    assert [one for one in everything if offers(function, one)] == ["find_account"]


def test_a_checker_that_can_do_nothing_lets_nobody_in() -> None:
    checker = Checker()
    assert not checker.has_md5
    assert checker.find_account("alice") is None
    assert checker.check_password("alice", "secret") is None
    assert checker.check_certificate(None) is None
    assert checker.anonymous() is False
    assert checker.decoy("alice") is None


def test_users_in_memory_have_everything() -> None:
    account = SECRETS.find_account("alice")
    assert account is not None
    assert account.avatar_id == "alice"
    assert account.md5 == md5_of("secret")
    assert account.scram is not None
    assert Keys.parse(account.scram).check("secret")
    assert SECRETS.has_md5
    assert SECRETS.find_account("nobody") is None


def test_users_in_memory_are_checked() -> None:
    assert SECRETS.check_password("alice", "secret") == "alice"
    assert SECRETS.check_password("alice", b"secret") == "alice"
    assert SECRETS.check_password("alice", "geheim") is None
    assert SECRETS.check_password("nobody", "secret") is None


def test_a_name_is_the_same_user_however_it_is_written() -> None:
    account = SECRETS.find_account("b\N{GREEK CAPITAL LETTER OMEGA}b")
    assert account is not None
    assert account.avatar_id == "b\N{OHM SIGN}b"
    with pytest.raises(ValueError, match="same user"):
        InMemory({"\N{OHM SIGN}": "a", "\N{GREEK CAPITAL LETTER OMEGA}": "b"}, iterations=4096)


def test_users_in_memory_are_a_mapping_of_text() -> None:
    wrong: Any
    for wrong in (["alice"], None, "alice"):
        with pytest.raises(TypeError, match="users are a mapping of names to passwords, not"):
            InMemory(wrong)
    for wrong in ({"alice": None}, {b"alice": "x"}):
        with pytest.raises(TypeError, match=r"a user name is a str|a password is a str or bytes"):
            InMemory(wrong)


def test_decoys_in_memory_look_like_users() -> None:
    fake, real = SECRETS.decoy("nobody").scram, SECRETS.find_account("alice")
    assert fake is not None
    assert real is not None
    assert real.scram is not None
    assert Keys.parse(fake).iterations == Keys.parse(real.scram).iterations
    assert len(fake) == len(real.scram)
    assert Keys.parse(fake).salt != bytes(16)


def test_everybody_may_be_anonymous() -> None:
    assert Anonymous().anonymous() is True


def certificate(common_name: str, *names: str) -> Any:
    return SimpleNamespace(
        common_name=common_name, names=tuple(filter(None, (common_name, *names)))
    )


def test_the_common_name_of_a_certificate_is_the_avatar_id() -> None:
    checker = CertificateNames()
    assert checker.check_certificate(certificate("alice", "host")) == "alice"
    assert checker.check_certificate(certificate("", "host")) is None


def test_the_names_of_a_certificate_can_be_given_avatars() -> None:
    checker = CertificateNames({"alice": "a", "host": "h"})
    assert checker.check_certificate(certificate("alice", "host")) == "a"
    assert checker.check_certificate(certificate("", "other", "host")) == "h"
    assert checker.check_certificate(certificate("bob")) is None


# Who is logged in.


class Avatar(Referenceable):
    method_prefix = "perspective_"

    def perspective_ping(self) -> str:
        return "pong"


class Encoder:
    """Stands for the encoder and its table."""

    def __init__(self) -> None:
        self.exporter = self
        self.written: list[object] = []

    def export(self, obj: object) -> int:
        self.written.append(obj)
        return 1

    def write_remote(self, luid: int) -> None:
        self.written.append(luid)


def logged_in() -> tuple[LoggedIn, Avatar, list[str]]:
    avatar, ended = Avatar(), list[str]()
    return LoggedIn(avatar, lambda: ended.append("ended")), avatar, ended


def test_who_is_logged_in_calls_the_methods_of_the_avatar() -> None:
    wrapper, avatar, _ = logged_in()
    assert wrapper.find_method("ping")() == "pong"
    assert wrapper.find_perspective() is avatar
    assert wrapper.comes_home_as is avatar
    for name in ("released", "find_method", "settle"):
        with pytest.raises(NoSuchMethod):
            wrapper.find_method(name)


def test_each_login_ends_once() -> None:
    wrapper, _, ended = logged_in()
    encoder = Encoder()
    wrapper.write_jelly(encoder)
    assert encoder.written == [wrapper, 1]
    wrapper.settle()
    assert ended == []
    wrapper.released()
    wrapper.released()
    wrapper.settle()
    assert ended == ["ended"]


def test_a_login_whose_answer_was_not_written_has_ended() -> None:
    wrapper, _, ended = logged_in()
    wrapper.settle()
    wrapper.released()
    assert ended == ["ended"]


def test_arguments_that_do_not_fit_are_no_error_of_this_side() -> None:
    def method(one: int, *, two: int = 2) -> tuple[int, int]:
        return one, two

    assert fitting(KeyError, method, 1, two=3) == (1, 3)
    with pytest.raises(KeyError, match="method: missing a required argument: 'one'"):
        fitting(KeyError, method, two=3)
