from typing import Any, NoReturn

import pytest

from pellucid.errors import Error, InsecureJelly, LimitExceeded, LoginFailed, RemoteError
from pellucid.failures import (
    FAILURE_TAG,
    failure_state,
    is_failure,
    read_failure,
    received_error,
)
from pellucid.registry import Registry

LIMIT = 655_360


class Known(Error):
    def __init__(self) -> NoReturn:
        raise AssertionError("not for what came from the wire")


KNOWN = f"{__name__}.Known"


def read(**state: Any) -> Any:
    return read_failure(state, Registry())


def test_the_ten_keys() -> None:
    state = failure_state(ValueError("no"), string_limit=LIMIT)
    assert list(state.items()) == [
        ("count", 0),
        ("type", b"builtins.ValueError"),
        ("value", "no"),
        ("captureVars", False),
        ("tb", None),
        ("unsafeTracebacks", False),
        (
            "parents",
            [
                "builtins.ValueError",
                "builtins.Exception",
                "builtins.BaseException",
                "builtins.object",
            ],
        ),
        ("frames", []),
        ("stack", []),
        ("traceback", "Traceback unavailable\n"),
    ]
    assert FAILURE_TAG == b"twisted.spread.pb.CopyableFailure"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file", "/srv/secret"), "[Errno 2] No such file: ..."),
        (OSError(18, "Cross link", "/a", None, "/b"), "[Errno 18] Cross link: ... -> ..."),
        (ConnectionResetError(104, "reset"), "[Errno 104] reset"),
        (
            ImportError("cannot import x (/srv/mine.py)", path="/srv/mine.py"),
            "cannot import x (...)",
        ),
        (ImportError("no"), "no"),
        (SyntaxError("bad", ("/srv/mine.py", 3, 1, "x", 3, 2)), "bad (..., line 3)"),
        (SyntaxError("bad"), "bad"),
    ],
)
def test_no_path_of_this_machine_is_sent(error: BaseException, text: str) -> None:
    assert failure_state(error, string_limit=LIMIT)["value"] == text
    for options in ({"paths": True}, {"traceback": "line 1"}):
        shown: Any = options
        assert failure_state(error, string_limit=LIMIT, **shown)["value"] == str(error)


def test_a_traceback_only_if_it_is_given() -> None:
    state = failure_state(ValueError("no"), traceback="line 1", string_limit=LIMIT)
    assert state["unsafeTracebacks"] is True
    assert state["traceback"] == "line 1"


def test_our_own_errors_have_the_names_that_twisted_looks_for() -> None:
    state = failure_state(LoginFailed("who?"), string_limit=LIMIT)
    assert state["type"] == b"twisted.cred.error.UnauthorizedLogin"


def test_what_came_from_a_peer_keeps_its_names() -> None:
    error = read(type=b"far.Error", parents=["far.Error", "far.Base"], value="v")
    state = failure_state(error, string_limit=LIMIT)
    assert state["type"] == b"far.Error"
    assert state["parents"] == ["far.Error", "far.Base"]


class Stubborn(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Words(str):
    __slots__ = ()


class Wordy(Exception):
    def __str__(self) -> str:
        return Words("a\ud800é" * 10)


def test_texts_that_would_not_travel() -> None:
    state = failure_state(Stubborn(), string_limit=LIMIT)
    assert state["value"] == "<no text: str() of the error raised ValueError>"
    state = failure_state(Wordy(), traceback="t" * 20, string_limit=11)
    assert state["value"] == "a?éa?éa?"
    assert type(state["value"]) is str
    assert state["traceback"] == "t" * 11
    assert state["type"] == (__name__ + ".Wordy")[:11].encode()


def test_a_known_error() -> None:
    error = read(type=KNOWN.encode(), value="text", parents=[KNOWN], traceback="tb")
    assert type(error) is Known
    assert error.args == ("text",)
    assert error.remote_type == KNOWN
    assert error.remote_parents == (KNOWN,)
    assert error.remote_traceback == "tb"


def test_the_first_known_name_counts() -> None:
    error = read(type=b"far.Error", parents=["far.Error", "x.Y", KNOWN, "twisted.spread.pb.Error"])
    assert type(error) is Known
    assert str(error) == ""
    assert error.is_a("x.Y")


def test_an_unknown_error() -> None:
    error = read(type="far.Error", value="text")
    assert type(error) is RemoteError
    assert error.remote_type == "far.Error"
    assert error.remote_parents == ()
    assert error.remote_traceback is None
    assert str(error) == "text"


def test_no_peer_can_fake_a_local_event() -> None:
    error = read(type=b"pellucid.LimitExceeded", parents=["pellucid.errors.LimitExceeded"])
    assert type(error) is RemoteError


def test_a_refusal_by_the_other_side() -> None:
    error = read(type=b"twisted.spread.jelly.InsecureJelly", value="v")
    assert type(error) is InsecureJelly
    assert error.remote is True
    assert error.where == ""


def test_names_that_no_class_has_are_cut() -> None:
    error = read(type=b"T" * 600_000, parents=["P" * 600_000, *["x.Y"] * 200], value="v" * 5_000)
    assert error.remote_type == "T" * 1_000
    assert error.remote_parents == ("P" * 1_000, *["x.Y"] * 99)
    assert str(error) == "v" * 5_000


def test_python_2() -> None:
    state: dict[object, object] = {b"type": b"x.Y", b"value": b"\xff!", b"parents": (b"x.Y", 5)}
    error = read_failure(state, Registry())
    assert str(error) == "\ufffd!"
    assert error.remote_parents == ("x.Y",)


def test_nothing_in_it() -> None:
    error = read(type=5, value=None, parents=7, traceback=1)
    assert type(error) is RemoteError
    assert error.remote_type == "builtins.BaseException"
    error = read(parents=["x.Y"])
    assert error.remote_type == "x.Y"


@pytest.mark.parametrize("state", [None, [], b"", 5])
def test_no_dictionary(state: object) -> None:
    with pytest.raises(InsecureJelly, match="dictionary") as caught:
        read_failure(state, Registry())
    assert caught.value.remote


class Picky(Error):
    def __new__(cls, *args: object) -> "Picky":
        raise LimitExceeded("no", limit="items", value=0)


class Strange(Error):
    def __new__(cls, *args: object) -> Any:
        return 5


class ReadOnly(Error):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize("cls", [Picky, Strange])
def test_a_class_that_can_not_be_made(cls: type) -> None:
    name = f"{__name__}.{cls.__name__}"
    error = read(type=name, value="text")
    assert type(error) is RemoteError
    assert error.remote_type == name
    assert str(error) == "text"


def test_a_class_that_is_read_only() -> None:
    error = read(type=f"{__name__}.ReadOnly", value="text")
    assert type(error) is ReadOnly
    assert error.remote_type == f"{__name__}.ReadOnly"


# What a call fails with.


def test_a_failure_is_told_from_an_error_that_is_a_value() -> None:
    assert is_failure(read(value="no"))
    assert not is_failure(Error("no"))
    assert not is_failure(ValueError("no"))
    assert not is_failure("no")


def test_an_exception_that_came_as_itself_is_the_error() -> None:
    for error in (ValueError("no"), read(value="no")):
        assert received_error(error) is error


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, KeyboardInterrupt])
def test_an_exception_that_nobody_can_wait_for(kind: type[BaseException]) -> None:
    value = kind("the end")
    error = received_error(value)
    assert type(error) is RemoteError
    assert str(error) == "the end"
    assert error.remote_type == f"builtins.{kind.__name__}"
    assert error.__cause__ is value


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), (5, "int"), (ValueError, "type")])
def test_a_value_that_is_no_exception(value: object, kind: str) -> None:
    error = received_error(value)
    assert type(error) is RemoteError
    assert str(error) == f"the call failed with a value: {kind}"
