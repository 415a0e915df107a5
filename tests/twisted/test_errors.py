"""The exceptions of the face: what they are called, and what becomes of the core's."""

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.python.reflect import qual
from twisted.spread import banana as theirs_banana
from twisted.spread import flavors as theirs_flavors
from twisted.spread import jelly as theirs_jelly
from twisted.spread import pb as theirs

from pellucid import errors as core
from pellucid.errors import class_from_wire, wire_names
from pellucid.jelly import dumps
from pellucid.twisted import errors

PAIRS: list[tuple[type[BaseException], type[BaseException], tuple[Any, ...]]] = [
    (errors.Error, theirs.Error, ("text",)),
    (errors.ProtocolError, theirs.ProtocolError, ("text",)),
    (errors.DeadReferenceError, theirs.DeadReferenceError, ("text",)),
    (errors.PBConnectionLost, theirs.PBConnectionLost, ("text",)),
    (errors.RemoteError, theirs.RemoteError, ("a.B", "text", "tb")),
    (errors.NoSuchMethod, theirs_flavors.NoSuchMethod, ("text",)),
    (errors.InsecureJelly, theirs_jelly.InsecureJelly, ("text",)),
    (errors.BananaError, theirs_banana.BananaError, ("text",)),
]


@pytest.mark.parametrize(("ours", "their", "args"), PAIRS)
def test_a_class_bears_the_name_of_twisteds(
    ours: type[BaseException], their: type[BaseException], args: tuple[Any, ...]
) -> None:
    assert qual(ours) == qual(their)


@pytest.mark.parametrize(("ours", "their", "args"), PAIRS)
def test_an_error_is_made_and_told_as_twisteds(
    ours: type[BaseException], their: type[BaseException], args: tuple[Any, ...]
) -> None:
    made, model = ours(*args), their(*args)
    assert (str(made), made.args, repr(made)) == (str(model), model.args, repr(model))


@pytest.mark.parametrize(("ours", "their", "args"), PAIRS)
def test_it_goes_on_the_wire_under_the_names_of_twisteds(
    ours: type[BaseException], their: type[BaseException], args: tuple[Any, ...]
) -> None:
    assert list(wire_names(ours(*args))) == Failure(their(*args)).parents


def test_what_an_application_derives_goes_under_its_own_name_and_theirs() -> None:
    class Broken(errors.Error):
        pass

    class TheirBroken(theirs.Error):
        pass

    names = list(wire_names(Broken("x")))
    assert names[1:] == Failure(TheirBroken("x")).parents[1:]
    assert names[0] == f"{__name__}.Broken"


@pytest.mark.parametrize(("ours", "their", "args"), PAIRS)
def test_everything_but_banana_and_the_end_is_caught_with_the_cores_own(
    ours: type[BaseException], their: type[BaseException], args: tuple[Any, ...]
) -> None:
    bases = {
        errors.Error: core.Error,
        errors.RemoteError: core.RemoteError,
        errors.NoSuchMethod: core.NoSuchMethod,
        errors.InsecureJelly: core.InsecureJelly,
    }
    assert issubclass(ours, bases.get(ours, Exception))
    assert issubclass(ours, core.PBError) == (ours in bases)


def test_a_received_pb_error_is_the_cores_in_a_program_of_both_faces() -> None:
    assert class_from_wire("twisted.spread.pb.Error") is core.Error


def test_an_error_of_an_application_is_known_to_both_faces() -> None:
    class Shared(errors.Error):
        pass

    assert class_from_wire(f"{__name__}.Shared") is Shared


def test_remote_error_keeps_type_and_traceback() -> None:
    error = errors.RemoteError(b"a.B", "text", "the traceback")
    assert (error.remoteType, error.remoteTraceback) == (b"a.B", "the traceback")
    assert error.args == ("text",)
    # It was made here.
    assert error.remote_type is None


def test_no_such_method_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="remote_x"):
        raise errors.NoSuchMethod("remote_x")


@pytest.mark.parametrize("args", [(), ("text",), (b"tag",), ("text", 5)])
def test_insecure_jelly_takes_any_arguments(args: tuple[object, ...]) -> None:
    error = errors.InsecureJelly(*args)
    assert error.args == args
    assert (error.where, error.remote) == ("", False)


def test_insecure_jelly_tells_the_place() -> None:
    error = errors.InsecureJelly("not allowed", 7, where="arguments[0]", remote=True)
    assert error.args == ("arguments[0]: not allowed", 7)
    assert (error.where, error.remote) == ("arguments[0]", True)
    assert str(errors.InsecureJelly(where="result")) == "result"


# What becomes of the core's.


def _limit(name: str) -> core.LimitExceeded:
    return core.LimitExceeded(f"too much: {name}", limit=name, value=7)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (core.Error("said"), errors.Error, "said"),
        (core.NoSuchMethod("none"), errors.NoSuchMethod, "none"),
        (core.DeadReferenceError("old"), errors.DeadReferenceError, "Calling Stale Broker"),
        (core.ProtocolError("p"), errors.ProtocolError, "p"),
        (core.LocalProtocolError("p"), errors.ProtocolError, "p"),
        (core.RemoteProtocolError("p"), errors.ProtocolError, "p"),
        (_limit("string_bytes"), errors.BananaError, "too much: string_bytes"),
        (_limit("list_items"), errors.BananaError, "too much: list_items"),
        (_limit("integer_bits"), errors.BananaError, "too much: integer_bits"),
        (_limit("references_exported"), errors.Error, "too much: references_exported"),
        (_limit("caches_exported"), errors.Error, "too much: caches_exported"),
        (core.ConnectionLost("gone"), errors.PBConnectionLost, "gone"),
    ],
)
def test_an_error_of_the_core_becomes_one_of_twisteds(
    error: Exception, kind: type[Exception], text: str
) -> None:
    found = errors.translated(error)
    assert type(found) is kind
    assert str(found) == text


@pytest.mark.parametrize("name", ["message_bytes", "out_bytes", "depth_sent", "calls_pending"])
def test_other_limits_stay_what_they_are(name: str) -> None:
    error = _limit(name)
    assert errors.translated(error) is error


@pytest.mark.parametrize("value", [1 << 500, "x" * 700_000, [0] * 700_000])
def test_what_banana_really_refuses_is_one_of_these(value: object) -> None:
    with pytest.raises(core.LimitExceeded) as caught:
        dumps(value)
    assert type(errors.translated(caught.value)) is errors.BananaError


def test_insecure_jelly_keeps_text_place_and_side() -> None:
    error = core.InsecureJelly("no", where="result", remote=True)
    found = errors.translated(error)
    assert type(found) is errors.InsecureJelly
    assert (str(found), found.where, found.remote) == ("result: no", "result", True)


def test_what_the_application_raised_comes_out_as_it_was() -> None:
    cause = KeyError("mine")
    error = core.InsecureJelly("could not be encoded: builtins.KeyError", where="arguments")
    error.__cause__ = cause
    assert errors.translated(error) is cause


def test_what_the_core_raised_below_is_translated_as_well() -> None:
    error = core.InsecureJelly("outer")
    error.__cause__ = _limit("string_bytes")
    assert type(errors.translated(error)) is errors.BananaError


def test_a_lost_connection_has_the_failure_of_the_transport() -> None:
    reason = Failure(ConnectionDone())
    error = core.ConnectionLost("lost")
    error.__cause__ = reason
    found = errors.translated(error)
    assert type(found) is errors.PBConnectionLost
    assert found.args == (reason,)


def test_a_lost_connection_makes_a_failure_of_any_other_reason() -> None:
    error = core.ConnectionLost("lost")
    error.__cause__ = EOFError("the other side closed the connection")
    [reason] = errors.translated(error).args
    assert isinstance(reason, Failure)
    assert reason.check(EOFError)


def test_a_remote_error_keeps_what_it_tells() -> None:
    error = core.RemoteError("text")
    error.remote_type, error.remote_traceback = "a.B", "tb"
    found = errors.translated(error)
    assert isinstance(found, errors.RemoteError)
    assert (found.remoteType, str(found), found.remoteTraceback) == ("a.B", "text", "tb")


class Mine(errors.Error):
    pass


class Refused(errors.InsecureJelly):
    pass


class CoreMine(core.Error):
    pass


@pytest.mark.parametrize(
    "error",
    [
        *(Mine("x"), CoreMine("x"), errors.Error("x"), Refused("x"), errors.InsecureJelly(b"x")),
        *(ValueError("x"), SystemExit(), core.LoginFailed(), errors.DeadReferenceError("other")),
    ],
)
def test_everything_else_is_given_back(error: BaseException) -> None:
    assert errors.translated(error) is error
