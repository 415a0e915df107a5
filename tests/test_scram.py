"""SCRAM-SHA-256: RFC 7677's own example, and what each side refuses of the other."""

from base64 import b64decode, b64encode
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest

from pellucid.errors import LoginFailed
from pellucid.scram import ClientLogin, Keys, ServerLogin, prepare_name, prepare_password

# RFC 7677, section 3.
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
CHALLENGE = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
PROOF = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

KEYS = Keys.of("pencil", SALT, 4096)


def client(password: str = "pencil", nonce: str | None = CLIENT_NONCE) -> ClientLogin:
    return ClientLogin("user", password, nonce)


def server() -> ServerLogin:
    return ServerLogin(FIRST, SERVER_NONCE)


# Both sides together.


def test_the_example_of_rfc_7677() -> None:
    user, host = client(), server()
    assert user.first() == FIRST
    assert host.username == "user"
    assert host.challenge(KEYS) == CHALLENGE
    assert user.final(CHALLENGE) == FINAL
    assert host.finish(FINAL) == PROOF
    user.verify(PROOF)


@pytest.mark.parametrize("name", ["user", "a,b=c", "=2C", "ü", "\N{OHM SIGN}", "a b"])
def test_any_name_and_password_can_log_in(name: str) -> None:
    user = ClientLogin(name, "p\N{LATIN SMALL LIGATURE FI}")
    host = ServerLogin(user.first())
    assert host.username == prepare_name(name)
    user.verify(host.finish(user.final(host.challenge(Keys.of("pfi", count=4096)))))


def test_no_two_logins_have_the_same_messages() -> None:
    one, two = client(nonce=None).first(), client(nonce=None).first()
    assert one != two
    assert ServerLogin(FIRST).challenge(KEYS) != ServerLogin(FIRST).challenge(KEYS)


def test_keys_have_salts_of_their_own() -> None:
    assert Keys.of("x", count=4096).salt != Keys.of("x", count=4096).salt


# What the server refuses. No refusal says why.


def refuses(final: object, host: ServerLogin | None = None) -> None:
    if host is None:
        host = server()
        host.challenge(KEYS)
    with pytest.raises(LoginFailed) as caught:
        host.finish(final)
    assert str(caught.value) == ""


def test_a_wrong_password_is_refused() -> None:
    refuses(client("pen").final(CHALLENGE))


def test_a_final_message_counts_once() -> None:
    host = server()
    host.challenge(KEYS)
    host.finish(FINAL)
    refuses(FINAL, host)


def test_a_wrong_final_message_ends_the_login() -> None:
    host = server()
    host.challenge(KEYS)
    refuses(b"", host)
    refuses(FINAL, host)


def test_a_final_message_can_not_be_replayed_to_another_challenge() -> None:
    host = ServerLogin(FIRST)
    host.challenge(KEYS)
    refuses(FINAL, host)


def test_a_final_message_before_the_challenge_is_refused() -> None:
    refuses(FINAL, server())


def test_who_has_read_the_stored_keys_can_not_log_in_with_them() -> None:
    host = server()
    host.challenge(KEYS)
    bare = FINAL.partition(b",p=")[0]
    signed = FIRST[3:] + b"," + CHALLENGE + b"," + bare
    signature = digest(KEYS.stored, signed, sha256)
    for key in (KEYS.stored, KEYS.server, bytes(32)):
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        refuses(bare + b",p=" + b64encode(proof))


@pytest.mark.parametrize(
    "final",
    [
        None,
        FINAL.decode(),
        bytearray(FINAL),
        b"",
        b"\xff",
        FINAL[:-4],
        FINAL + b"A" * 5000,
        FINAL.replace(b"biws", b"eSws"),
        FINAL.replace(b"biws", b"bi ws"),
        FINAL.replace(b"%", b"&"),
        FINAL.replace(b"p=", b"p=,"),
        FINAL.replace(b"p=dH", b"p=d\n"),
        FINAL.replace(b"p=dHzb", b"p=dHzbdHzb"),
        FINAL.partition(b",p=")[0],
        FINAL.partition(b",p=")[0] + b",p=",
        FINAL.partition(b",p=")[0] + b",p=AAAA",
        [FINAL],
    ],
)
def test_a_final_message_that_is_no_good_is_refused(final: object) -> None:
    refuses(final)


@pytest.mark.parametrize(
    "first",
    [
        None,
        FIRST.decode(),
        b"",
        b"\xff",
        b"n,,n=user",
        b"n,,n=,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r=a b",
        b"n,,n=us=er,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,m=ext,n=user,r=abc",
        b"n,a=admin,n=user,r=abc",
        b"p=tls-unique,,n=user,r=abc",
        b"n,,n=user,r=" + b"a" * 5000,
        12,
    ],
)
def test_a_first_message_that_is_no_good_is_refused(first: object) -> None:
    with pytest.raises(LoginFailed) as caught:
        ServerLogin(first)
    assert str(caught.value) == ""


def test_a_client_may_say_that_it_could_bind_channels_and_add_extensions() -> None:
    host = ServerLogin(b"y,,n=user,r=abc,x=later", "def")
    challenge = host.challenge(KEYS)
    # What a client would compute that begins with `y,,`.
    salted = Keys.of("pencil", SALT, 4096)
    bare = b"c=eSws,r=abcdef,z=more"
    signed = b"n=user,r=abc,x=later," + challenge + b"," + bare
    user = ClientLogin("user", "pencil", "abc")
    user.final(challenge)
    key = _client_key("pencil")
    assert sha256(key).digest() == salted.stored
    signature = digest(salted.stored, signed, sha256)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    assert host.finish(bare + b",p=" + b64encode(proof)).startswith(b"v=")


def _client_key(password: str) -> bytes:
    """The key that a client's proof is made of, taken out of a message of RFC 7677's."""
    final = client(password).final(CHALLENGE)
    bare, _, proof = final.partition(b",p=")
    signature = digest(KEYS.stored, FIRST[3:] + b"," + CHALLENGE + b"," + bare, sha256)
    return bytes(a ^ b for a, b in zip(b64decode(proof), signature, strict=True))


# What the client refuses.


@pytest.mark.parametrize(
    "challenge",
    [
        None,
        CHALLENGE.decode(),
        b"",
        b"\xff",
        b"r=,s=AAAA,i=4096",
        CHALLENGE.replace(b"i=4096", b"i=4096x"),
        CHALLENGE.replace(b"i=4096", b"i="),
        CHALLENGE.replace(b"i=4096", b"i=-4096"),
        CHALLENGE.replace(b"i=4096", b"i=" + b"9" * 200),
        CHALLENGE.replace(b"s=W22Z", b"s=W22"),
        CHALLENGE.replace(b"s=W22Z", b"s=W2\n"),
        b"m=what," + CHALLENGE,
        CHALLENGE + b"," + b"x" * 5000,
    ],
)
def test_a_challenge_that_is_no_good_is_refused(challenge: object) -> None:
    with pytest.raises(LoginFailed, match="can't be read"):
        client().final(challenge)


@pytest.mark.parametrize("nonce", [b"another", CLIENT_NONCE.encode()[:-1], CLIENT_NONCE.encode()])
def test_a_challenge_of_another_login_is_refused(nonce: bytes) -> None:
    with pytest.raises(LoginFailed, match="another login"):
        client().final(b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")


@pytest.mark.parametrize("count", [1, 4095, 10_000_001, 9_999_999_999])
def test_a_server_can_make_the_client_compute_neither_too_little_nor_too_much(count: int) -> None:
    with pytest.raises(LoginFailed, match=f"{count} iterations"):
        client().final(CHALLENGE.replace(b"4096", b"%d" % count))


def test_a_challenge_may_have_extensions() -> None:
    assert client().final(CHALLENGE + b",x=later").startswith(b"c=biws,")


@pytest.mark.parametrize(
    "proof", [None, b"", b"v=", b"e=other-error", PROOF[:-1], b"v=AAAA", PROOF.decode(), b"\xff"]
)
def test_a_server_that_can_not_prove_itself_is_refused(proof: object) -> None:
    user = client()
    user.final(CHALLENGE)
    with pytest.raises(LoginFailed, match="could not prove"):
        user.verify(proof)


def test_there_is_no_proof_before_there_is_a_login() -> None:
    with pytest.raises(LoginFailed, match="could not prove"):
        client().verify(b"v=")


def test_a_proof_may_have_extensions() -> None:
    user = client()
    user.final(CHALLENGE)
    user.verify(PROOF + b",x=later")


# What is stored.


def test_keys_are_written_as_postgresql_writes_them() -> None:
    text = KEYS.text()
    stored, server_key = b64encode(KEYS.stored).decode(), b64encode(KEYS.server).decode()
    assert text == f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${stored}:{server_key}"
    assert Keys.parse(text) == KEYS


def test_keys_can_check_a_password() -> None:
    assert KEYS.check("pencil")
    assert KEYS.check(b"pencil")
    assert not KEYS.check("pen")


def test_keys_are_not_shown() -> None:
    assert "=" not in repr(KEYS)
    assert "\\x" not in repr(KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEYS.text()[:-1],
        KEYS.text().replace("4096", "4095"),
        KEYS.text().replace("4096", "99999999"),
        KEYS.text().replace("SHA-256", "SHA-1"),
        KEYS.text().replace("W22Z", "W2 Z"),
        KEYS.text().replace("W22ZaJ0SNY7soEsUEjb6gQ==", "ü"),
        KEYS.text() + "AAAA",
    ],
)
def test_a_text_that_is_none_of_keys_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"SCRAM|base64|ASCII|padding|number") as caught:
        Keys.parse(text)
    assert KEYS.text()[20:40] not in str(caught.value)


# Names and passwords.


@pytest.mark.parametrize("name", ["", "x" * 257, "a\0b", "a\ud800"])
def test_a_name_that_nobody_can_have_is_refused_without_showing_it(name: str) -> None:
    with pytest.raises(ValueError, match="a user name") as caught:
        ClientLogin(name, "x")
    assert not name or name not in str(caught.value)


@pytest.mark.parametrize("password", ["", b"", "x" * 1025, b"x" * 1025, "a\udcff"])
def test_a_password_that_can_not_be_used_is_refused_without_showing_it(
    password: str | bytes,
) -> None:
    with pytest.raises(ValueError, match="a password") as caught:
        ClientLogin("x", password)
    assert not password or str(password) not in str(caught.value)


def test_what_is_no_text_is_no_name_and_no_password() -> None:
    wrong: Any
    for wrong in (None, 3, b"x"):
        with pytest.raises(TypeError, match="a user name is a str, not"):
            prepare_name(wrong)
    for wrong in (None, 3, bytearray(b"x")):
        with pytest.raises(TypeError, match="a password is a str or bytes, not"):
            prepare_password(wrong)


def test_passwords_as_bytes_are_taken_as_they_are() -> None:
    assert prepare_password(b"\xff") == b"\xff"
    assert prepare_password("\N{LATIN SMALL LIGATURE FI}") == b"fi"
