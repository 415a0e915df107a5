"""The exception tree, and the names that its classes have on the wire."""

import gc

import pytest
from twisted.cred import error as cred
from twisted.python.reflect import qual
from twisted.spread import flavors, jelly, pb

from pellucid import errors
from pellucid.errors import (
    ConnectionClosed,
    ConnectionLost,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    LoginFailed,
    NoSuchMethod,
    PBError,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    class_from_wire,
    full_name,
    is_expected,
    wire_names,
    without_place,
)

OBJECT = ("builtins.Exception", "builtins.BaseException", "builtins.object")


class Spilled(Error):
    """An application's own."""


class SpilledTwice(Spilled, LookupError):
    pass


def test_the_tree() -> None:
    parents = {cls: cls.__bases__ for name in errors.__all__ for cls in [getattr(errors, name)]}
    assert parents == {
        PBError: (Exception,),
        ProtocolError: (PBError,),
        LocalProtocolError: (ProtocolError,),
        RemoteProtocolError: (ProtocolError,),
        LimitExceeded: (PBError,),
        InsecureJelly: (PBError,),
        ConnectionClosed: (PBError,),
        ConnectionLost: (ConnectionClosed,),
        DeadReferenceError: (ConnectionClosed,),
        LoginFailed: (PBError,),
        RemoteError: (PBError,),
        NoSuchMethod: (RemoteError,),
        Error: (PBError,),
    }


def test_an_error_of_this_side_came_from_nowhere() -> None:
    error = Error("no milk")
    assert (error.remote_type, error.remote_traceback, error.remote_parents) == (None, None, ())
    assert not error.is_a("pellucid.errors.Error")


def test_is_a() -> None:
    error = RemoteError("gone")
    error.remote_type = "app.Gone"
    error.remote_parents = ("app.Gone", "builtins.LookupError")
    assert error.is_a("app.Gone")
    assert error.is_a("builtins.LookupError")
    assert not error.is_a("builtins.KeyError")
    error.remote_parents = ()
    assert error.is_a("app.Gone")


@pytest.mark.parametrize(
    ("where", "text"), [("", "too much"), ("arguments[2]", "arguments[2]: too much")]
)
def test_limit_exceeded(where: str, text: str) -> None:
    error = LimitExceeded("too much", limit="items", value=7, remote=True, where=where)
    assert str(error) == text
    assert (error.limit, error.value, error.remote, error.where) == ("items", 7, True, where)
    assert not LimitExceeded("x", limit="items", value=1).remote


@pytest.mark.parametrize(("where", "text"), [("", "no"), ("result['a']", "result['a']: no")])
def test_insecure_jelly(where: str, text: str) -> None:
    error = InsecureJelly("no", where=where, remote=True)
    assert (str(error), error.where, error.remote) == (text, where, True)
    assert str(InsecureJelly()) == ""
    assert not InsecureJelly().remote


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InsecureJelly("no", where="result['key']"), "no"),
        (LimitExceeded("too much", limit="items", value=7, where="arguments[2]"), "too much"),
        # Only the place goes, and only once.
        (InsecureJelly("a: no", where="a"), "a: no"),
        (InsecureJelly("no: yes"), "no: yes"),
        (InsecureJelly(), ""),
        (ValueError("a: no"), "a: no"),
    ],
)
def test_a_text_without_the_place(error: BaseException, text: str) -> None:
    assert without_place(error) == text


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (Error("x"), ("twisted.spread.pb.Error", *OBJECT)),
        (Spilled("x"), ("Spilled", "twisted.spread.pb.Error", *OBJECT)),
        (
            SpilledTwice("x"),
            ("SpilledTwice", "Spilled", "twisted.spread.pb.Error", "builtins.LookupError", *OBJECT),
        ),
        (InsecureJelly("x"), ("twisted.spread.jelly.InsecureJelly", *OBJECT)),
        (
            RemoteProtocolError("x"),
            (
                "pellucid.errors.RemoteProtocolError",
                "twisted.spread.pb.ProtocolError",
                "twisted.spread.pb.Error",
                *OBJECT,
            ),
        ),
        (
            LimitExceeded("x", limit="items", value=1),
            ("pellucid.LimitExceeded", "twisted.spread.pb.Error", *OBJECT),
        ),
        (
            ConnectionLost("x"),
            ("twisted.spread.pb.PBConnectionLost", "twisted.spread.pb.Error", *OBJECT),
        ),
        (
            DeadReferenceError("x"),
            (
                "twisted.spread.pb.DeadReferenceError",
                "twisted.spread.pb.ProtocolError",
                "twisted.spread.pb.Error",
                *OBJECT,
            ),
        ),
        (
            LoginFailed("x"),
            (
                "twisted.cred.error.UnauthorizedLogin",
                "twisted.cred.error.LoginFailed",
                "twisted.cred.error.Unauthorized",
                *OBJECT,
            ),
        ),
        (
            NoSuchMethod("x"),
            ("twisted.spread.flavors.NoSuchMethod", "builtins.AttributeError", *OBJECT),
        ),
        (RemoteError("x"), OBJECT),
        (PBError("x"), OBJECT),
        (ConnectionClosed("x"), OBJECT),
        (
            KeyError("x"),
            ("builtins.KeyError", "builtins.LookupError", *OBJECT),
        ),
        (SystemExit(), ("builtins.SystemExit", "builtins.BaseException", "builtins.object")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_names_on_the_wire(error: BaseException, names: tuple[str, ...]) -> None:
    full = tuple(name if "." in name else f"{__name__}.{name}" for name in names)
    assert wire_names(error) == full


@pytest.mark.parametrize(
    ("error", "twisted"),
    [
        (Error("x"), pb.Error),
        (ProtocolError("x"), pb.ProtocolError),
        (InsecureJelly("x"), jelly.InsecureJelly),
        (ConnectionLost("x"), pb.PBConnectionLost),
        (DeadReferenceError("x"), pb.DeadReferenceError),
        (NoSuchMethod("x"), flavors.NoSuchMethod),
        (LoginFailed("x"), cred.UnauthorizedLogin),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_first_name_is_that_of_a_class_of_twisted(
    error: PBError, twisted: type[Exception]
) -> None:
    names = wire_names(error)
    assert names[0] == qual(twisted)
    # What a Twisted program traps by a base class is caught by it here too.
    bases = {qual(cls) for cls in twisted.__mro__ if cls.__module__.startswith("twisted.")}
    assert bases <= set(names)


def test_a_relayed_error_keeps_its_names() -> None:
    error = RemoteError("gone")
    error.remote_type = "app.Gone"
    assert wire_names(error) == ("app.Gone",)
    error.remote_parents = ("app.Gone", "builtins.LookupError")
    assert wire_names(error) == ("app.Gone", "builtins.LookupError")


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("twisted.spread.pb.Error", Error),
        ("twisted.spread.jelly.InsecureJelly", InsecureJelly),
        ("twisted.spread.flavors.NoSuchMethod", NoSuchMethod),
        ("twisted.cred.error.LoginFailed", LoginFailed),
        ("twisted.cred.error.UnauthorizedLogin", LoginFailed),
        ("twisted.cred.error.UnhandledCredentials", LoginFailed),
        (f"{__name__}.Spilled", Spilled),
        (f"{__name__}.SpilledTwice", SpilledTwice),
        # No peer can fake what happens on this side.
        ("twisted.spread.pb.PBConnectionLost", None),
        ("twisted.spread.pb.DeadReferenceError", None),
        ("twisted.spread.pb.ProtocolError", None),
        ("pellucid.LimitExceeded", None),
        ("pellucid.errors.Error", None),
        ("pellucid.errors.ConnectionLost", None),
        ("builtins.SystemExit", None),
        ("os.system", None),
    ],
)
def test_classes_from_the_wire(name: str, cls: type[PBError] | None) -> None:
    assert class_from_wire(name) is cls


def test_a_class_that_is_gone_is_not_found() -> None:
    name = full_name(type("Passing", (Error,), {"__module__": "app"}))
    assert name == "app.Passing"
    gc.collect()
    assert class_from_wire(name) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Error("x"), True),
        (Spilled("x"), True),
        (InsecureJelly("x"), True),
        (LoginFailed("x"), True),
        (NoSuchMethod("x"), True),
        (type("Mine", (NoSuchMethod,), {})("x"), False),
        (RemoteError("x"), False),
        (LimitExceeded("x", limit="items", value=1), False),
        (DeadReferenceError("x"), False),
        (ValueError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_expected(error: BaseException, expected: bool) -> None:
    assert is_expected(error) is expected


def test_a_subclass_may_take_keywords() -> None:
    class Tagged(Error):
        tag: str

        def __init_subclass__(cls, *, tag: str) -> None:
            cls.tag = tag
            super().__init_subclass__()

    class Red(Tagged, tag="red"):
        pass

    assert Red.tag == "red"
    assert class_from_wire(full_name(Red)) is Red
