"""Failures: what is sent of them, what arrives, and what a chain of errbacks makes of that."""

import asyncio
import operator
import pickle
import traceback
from collections.abc import Callable, Generator
from io import StringIO
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, inlineCallbacks, maybeDeferred, succeed
from twisted.python import log
from twisted.python.failure import Failure
from twisted.python.reflect import qual
from twisted.spread import pb as theirs

from pellucid.errors import InsecureJelly as CoreInsecureJelly
from pellucid.jelly import dumps
from pellucid.twisted import jelly
from pellucid.twisted.errors import Error, NoSuchMethod, RemoteError
from pellucid.twisted.failures import CopiedFailure, CopyableFailure, as_sent, failure2Copyable
from pellucid.twisted.flavors import Copyable, RemoteCopy, Root
from pellucid.twisted.security import DummySecurityOptions, SecurityOptions
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import failure_of, make, result
from tests.twisted.joined import join as join_two

NONE = "Traceback unavailable\n"


class Broken(Error):
    pass


class Other(Error):
    pass


# It has no types.
copyable: Any = CopyableFailure


class Invoker:
    """As much of a Broker as jelly asks for."""

    serializingPerspective = None


def kind_of(found: Any) -> Any:
    """Its class, of which the type checker is not to think anything."""
    return type(found)


def sent(failure: Failure) -> dict[str, Any]:
    """The state that goes on the wire."""
    return failure2Copyable(failure).getStateToCopy()


def received(state: Any) -> Any:
    """What arrives of a state."""
    made = CopiedFailure.__new__(CopiedFailure)
    made.setCopyableState(state)
    return made


def copied(error: BaseException, unsafe: bool = False) -> Any:
    """What arrives of an error that was raised on the other side."""
    return received(failure2Copyable(Failure(error), unsafe).getStateToCopy())


def passed_on(failure: Any, times: int = 1) -> Any:
    """What a chain of errbacks makes of a failure, each of which lets it pass."""
    waiting: Deferred[Any] = fail(failure)
    for _ in range(times):
        waiting.addErrback(lambda found: found.trap("no.Such"))
    return failure_of(waiting)


def raised(failure: Failure) -> Any:
    """The exception that code sees which awaits it."""
    with pytest.raises(RemoteError) as caught:
        failure.raiseException()
    return caught.value


# What arrives.


def test_it_bears_the_name_of_twisteds() -> None:
    assert qual(CopiedFailure) == qual(theirs.CopiedFailure)
    assert qual(CopyableFailure) == qual(theirs.CopyableFailure)
    assert isinstance(copied(Broken("x")), Failure)


def test_type_is_text_and_passes_for_bytes() -> None:
    found = copied(ValueError("x")).type
    assert issubclass(kind_of(found), str)
    assert f"{found}" == "builtins.ValueError"
    assert found == "builtins.ValueError"
    assert found == b"builtins.ValueError"
    assert found != b"builtins.KeyError"
    assert found != "builtins.KeyError"
    assert not operator.ne(found, b"builtins.ValueError")
    assert operator.ne(found, ValueError)
    assert found.decode("utf-8") == "builtins.ValueError"
    assert type(found.decode()) is str
    assert {"builtins.ValueError": 1}[found] == 1


def test_type_passes_for_a_class_where_its_name_is_asked_for() -> None:
    found = copied(ValueError("x")).type
    assert qual(found) == "builtins.ValueError"
    assert (found.__module__, found.__name__, found.__qualname__) == (
        *("builtins", "ValueError"),
        "ValueError",
    )


def test_value_is_text() -> None:
    found = copied(ValueError("the text"))
    assert found.value == "the text"
    assert issubclass(kind_of(found.value), str)
    assert found.getErrorMessage() == "the text"
    assert type(found.getErrorMessage()) is str


def test_there_is_no_traceback_unless_the_other_side_sends_one() -> None:
    assert copied(ValueError("x")).traceback == NONE
    assert "ValueError: x" in copied(ValueError("x"), unsafe=True).traceback


def test_it_may_be_read_by_a_hook() -> None:
    class Unjellier:
        def unjelly(self, value: Any) -> Any:
            return {"type": value}

    made = CopiedFailure.__new__(CopiedFailure)
    assert made.unjellyFor(Unjellier(), [b"tag", b"a.B"]) is made
    assert made.type == "a.B"


def test_an_empty_state_is_some_error() -> None:
    found = received({})
    assert (found.type, found.value, found.traceback) == ("builtins.BaseException", "", NONE)
    assert found.check(KeyError) is None
    assert found.getTracebackObject() is None
    with pytest.raises(RemoteError):
        found.raiseException()


@pytest.mark.parametrize("state", [[], 5, "text", b"bytes", ("a", "b")])
def test_a_state_that_is_no_dictionary_is_refused(state: object) -> None:
    with pytest.raises(CoreInsecureJelly):
        received(state)


def test_python_2_sends_bytes() -> None:
    state = {
        b"type": b"exceptions.ValueError",
        b"value": b"text",
        b"parents": [b"exceptions.ValueError", b"exceptions.Exception"],
        b"traceback": b"Traceback unavailable\n",
        b"count": 3,
    }
    found = received(state)
    assert (found.type, found.value, found.traceback) == ("exceptions.ValueError", "text", NONE)
    assert found.check("exceptions.Exception")
    assert found.count == 3


@pytest.mark.parametrize(
    "state",
    [
        {"type": 5, "value": 5, "parents": 5, "traceback": 5, "count": "5"},
        {"type": None, "value": None, "parents": [1, None, []], "traceback": [], "count": None},
        {"parents": {"a": 1}, "unsafeTracebacks": "yes", "captureVars": True, "tb": object()},
        {"frames": [("f", "/etc/passwd", 1, [], [])], "_frames": 5, "stack": 7, "pickled": 1},
    ],
)
def test_what_is_misshapen_counts_as_missing(state: dict[str, Any]) -> None:
    found = received(state)
    assert (found.type, found.value, found.traceback) == ("builtins.BaseException", "", NONE)
    assert (found.count, found.frames, found.tb, found.captureVars) == (0, [], None, False)
    assert "passwd" not in found.getTraceback()
    assert passed_on(found).check("builtins.BaseException")


def test_a_failure_without_a_type_has_the_first_of_its_names() -> None:
    found = received({"parents": ["a.B", "a.C"]})
    assert found.type == "a.B"
    assert found.parents == ["a.B", "a.C"]


def test_a_failure_without_parents_has_its_type() -> None:
    found = received({"type": b"a.B"})
    assert found.parents == ["a.B"]
    assert found.check("a.B")


def test_whatever_else_was_sent_is_an_attribute() -> None:
    found = received({"code": 42, "__class__": 1, "trap": 2, "check": 3, "_parents": 4})
    assert found.code == 42
    assert kind_of(found) is CopiedFailure
    assert found.check("a.B") is None


def test_a_subclass_may_take_the_state_itself() -> None:
    class Own(CopiedFailure):
        def setCopyableState(self, state: Any) -> None:
            super().setCopyableState({**state, "value": "changed"})

    made: Any = Own.__new__(Own)
    made.setCopyableState(sent(Failure(Broken("x"))))
    assert made.value == "changed"


def test_a_subclass_may_even_replace_all_attributes() -> None:
    class Own(CopiedFailure):
        def setCopyableState(self, state: Any) -> None:
            self.__dict__ = {**state, "_parents": state["parents"]}

    made: Any = Own.__new__(Own)
    made.setCopyableState(sent(Failure(Broken("x"))))
    assert passed_on(made, 3).check(Broken) is Broken


# Trapping, again and again.


def test_it_is_trapped_by_class_name_and_base() -> None:
    found = copied(Broken("x"))
    assert found.trap(KeyError, Broken) is Broken
    assert found.check(Other, Error) is Error
    assert found.check(f"{__name__}.Broken") == f"{__name__}.Broken"
    assert found.check(Other, KeyError) is None


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_is_no_exception_of_the_usual_kind_is_trapped_as_well(
    error: type[BaseException],
) -> None:
    found = copied(error())
    assert found.check(ValueError, error) is error
    assert passed_on(found, 2).check(error) is error


@pytest.mark.parametrize("times", [1, 2, 3, 10])
def test_what_was_not_trapped_is_as_it_was(times: int) -> None:
    found = passed_on(copied(Broken("the text")), times)
    assert kind_of(found) is Failure
    assert found.check(Broken) is Broken
    assert found.check(Other) is None
    assert (found.type, found.value, found.traceback) == (f"{__name__}.Broken", "the text", NONE)
    assert found.getErrorMessage() == "the text"


def test_a_chain_of_errbacks_ends_at_the_one_that_traps_it() -> None:
    seen: list[Any] = []
    waiting: Deferred[Any] = fail(copied(Broken("x")))
    waiting.addErrback(lambda found: found.trap(KeyError))
    waiting.addErrback(lambda found: found.trap(Other, NoSuchMethod))
    waiting.addErrback(lambda found: seen.append(found.trap(Other, Broken)))
    waiting.addErrback(lambda found: seen.append("no"))
    assert result(waiting) is None
    assert seen == [Broken]


def test_an_errback_that_raises_it_lets_it_pass() -> None:
    waiting: Deferred[Any] = fail(copied(Broken("x")))
    waiting.addErrback(lambda found: found.raiseException())
    waiting.addErrback(lambda found: found.raiseException())
    assert failure_of(waiting).check(Broken)


def test_a_received_error_can_be_the_failure_of_another_deferred() -> None:
    error = raised(copied(Broken("x")))
    other: Deferred[Any] = Deferred()
    other.errback(error)
    other.addErrback(lambda found: found.trap(Other))
    assert failure_of(other).check(Broken)
    assert failure_of(fail(Failure(error))).check(Broken)


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_failure_that_is_cleaned_is_still_trapped(times: int) -> None:
    found = passed_on(copied(Broken("x")), times)
    for _ in range(2):
        found.cleanFailure()
        assert (found.type, found.value) == (f"{__name__}.Broken", "x")
        assert found.check(Other, Broken) is Broken
        found = passed_on(found)


def test_a_failure_that_is_cleaned_holds_no_frames_and_still_tells_of_them() -> None:
    found = failure_of(by_coroutine(lambda: fail(copied(Broken("x"))), False))
    assert found.tb is not None
    found.cleanFailure()
    assert found.tb is None
    assert "in waits" in found.getTraceback()
    assert found.check(Broken)


def test_a_failure_made_of_one_is_cleaned_like_it() -> None:
    found = copyable(copied(Broken("x")))
    found.cleanFailure()
    assert found.check(Broken)
    assert found.getStateToCopy()["parents"][0] == f"{__name__}.Broken"


# Raised.


def test_what_is_raised_is_a_remote_error() -> None:
    found = copied(Broken("the text"), unsafe=True)
    error = raised(found)
    assert issubclass(kind_of(error), Exception)
    assert error.remoteType == b"tests.twisted.test_failures.Broken"
    assert error.args == ("the text",)
    assert str(error) == "the text"
    assert repr(error) == "RemoteError('the text')"
    assert error.remoteTraceback == found.traceback != NONE
    assert qual(type(error)) == qual(theirs.RemoteError)


def test_it_is_told_in_a_traceback_as_a_remote_error() -> None:
    text = "".join(traceback.format_exception(raised(copied(Broken("the text")))))
    assert text.endswith("twisted.spread.pb.RemoteError: the text\n")


def test_it_knows_the_classes_of_the_other_side() -> None:
    error = raised(copied(Broken("x")))
    assert error.remote_type == f"{__name__}.Broken"
    assert error.is_a("twisted.spread.pb.Error")
    assert not error.is_a("builtins.KeyError")
    assert not error.is_a(qual(RemoteError))


def test_an_exception_without_a_text_has_none() -> None:
    assert str(raised(copied(Broken()))) == ""


def test_what_was_added_to_a_failure_stays_when_it_is_raised() -> None:
    found = copied(Broken("x"))
    found.note = "mine"
    assert passed_on(found).note == "mine"


def test_it_is_thrown_into_a_generator() -> None:
    caught: list[BaseException] = []

    def waits() -> Generator[str, Any, None]:
        try:
            yield "first"
        except RemoteError as error:
            caught.append(error)
            yield "second"

    for failure in (copied(Broken("x")), passed_on(copied(Broken("x")))):
        steps = waits()
        assert next(steps) == "first"
        assert failure.throwExceptionIntoGenerator(steps) == "second"
    assert list(map(str, caught)) == ["x", "x"]


def by_inline_callbacks(call: Callable[[], Any], catch: bool) -> Deferred[Any]:
    @inlineCallbacks
    def waits() -> Generator[Any, Any, str]:
        try:
            yield call()
        except RemoteError as error:
            if not catch:
                raise
            return f"{error.remoteType}: {error}"
        return "nothing"

    return waits()


def by_coroutine(call: Callable[[], Any], catch: bool) -> Deferred[Any]:
    async def waits() -> str:
        try:
            await call()
        except RemoteError as error:
            if not catch:
                raise
            return f"{error.remoteType}: {error}"
        return "nothing"

    return Deferred.fromCoroutine(waits())


awaiting = pytest.mark.parametrize("awaits", [by_inline_callbacks, by_coroutine])
failing = pytest.mark.parametrize("times", [0, 1, 3])


@awaiting
@failing
def test_code_that_awaits_sees_a_remote_error(awaits: Any, times: int) -> None:
    failure = passed_on(copied(Broken("x")), times)
    assert result(awaits(lambda: fail(failure), True)) == f"{__name__}.Broken: x"


@awaiting
@failing
def test_what_it_does_not_catch_is_still_trapped_by_class(awaits: Any, times: int) -> None:
    waiting = awaits(lambda: fail(passed_on(copied(Broken("x")), times)), False)
    waiting.addErrback(lambda found: found.trap(Other))
    found = failure_of(waiting)
    assert found.check(Other, Broken) is Broken
    # That is what was raised.
    assert found.check(RemoteError) is RemoteError


def test_before_it_is_raised_it_is_no_remote_error() -> None:
    assert copied(Broken("x")).check(RemoteError) is None


@awaiting
def test_coroutines_that_await_each_other_pass_it_on(awaits: Any) -> None:
    def level(depth: int) -> Any:
        if depth == 0:
            return fail(copied(Broken("x")))
        return awaits(lambda: level(depth - 1), False)

    assert failure_of(level(4)).check(Broken)


@awaiting
def test_the_failure_tells_where_on_this_side_it_was_awaited(awaits: Any) -> None:
    def call_of_mine() -> Any:
        return fail(copied(Broken("x")))

    found = failure_of(awaits(call_of_mine, False))
    text = found.getTraceback()
    assert "in waits" in text
    assert text.endswith(f"{__name__}.Broken: x\n")


def test_it_can_be_raised_in_a_function_that_is_called() -> None:
    def calls() -> None:
        copied(Broken("x")).raiseException()

    found = failure_of(maybeDeferred(calls))
    assert found.check(Broken)
    assert "in calls" in found.getTraceback()


def test_no_failure_holds_on_to_the_frames_of_another() -> None:
    found = copied(Broken("x"))
    passed_on(found, 3)
    assert found.tb is None
    assert found.frames == []


# Printed.


def printed(failure: Any, how: str = "printTraceback", **options: Any) -> str:
    file = StringIO()
    getattr(failure, how)(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("how", ["printTraceback", "printBriefTraceback", "printDetailedTraceback"])
def test_it_is_printed_with_type_and_text(how: str) -> None:
    expected = f"Traceback from remote host -- {__name__}.Broken: the text\n"
    assert printed(copied(Broken("the text")), how) == expected


def test_it_is_printed_with_the_traceback_that_was_sent() -> None:
    state = {**sent(Failure(Broken("x"))), "traceback": "over there\n"}
    assert printed(received(state)).endswith("Broken: x\nover there\n")


@pytest.mark.parametrize("detail", ["default", "brief", "verbose"])
def test_all_that_prints_gives_text(detail: str) -> None:
    for found in (copied(Broken("x")), passed_on(copied(Broken("x")), 2)):
        assert "Broken: x" in found.getTraceback(detail=detail).replace("'", "")
        assert "Broken: x" in found.getBriefTraceback()
        assert str(found).startswith("[Failure instance: ")
        assert f"{__name__}.Broken: x" in repr(found)
        assert "Broken" in printed(found, "printDetailedTraceback")


def test_it_is_printed_to_the_log_by_itself(logged: Logged) -> None:
    copied(Broken("the text")).printTraceback()
    assert "Broken: the text" in logged.text


@pytest.mark.parametrize("times", [0, 1, 3])
def test_it_is_logged(times: int, logged: Logged) -> None:
    log.err(passed_on(copied(Broken("the text")), times))
    log.err(passed_on(copied(Broken("the text")), times), "why")
    assert logged.text.count("the text") == 2
    [one, other] = logged.take(Broken)
    assert one.check(Error)
    assert other.check(Error)


def test_what_nobody_looks_at_is_logged(logged: Logged) -> None:
    fail(copied(Broken("the text")))
    [found] = logged.take(Broken)
    assert found.getErrorMessage() == "the text"


def test_a_raised_one_is_logged(logged: Logged) -> None:
    try:
        copied(Broken("the text")).raiseException()
    except RemoteError as error:
        log.err(error)
        log.err()
    assert len(logged.take(Broken)) == 2


# Stored.


@pytest.mark.parametrize("times", [0, 2])
def test_it_is_pickled_and_still_trapped(times: int) -> None:
    again = pickle.loads(pickle.dumps(passed_on(copied(Broken("x")), times)))
    assert kind_of(again) is Failure
    assert again.check(Other, Broken) is Broken
    assert (again.type, again.value) == (f"{__name__}.Broken", "x")
    assert passed_on(again, 2).check(Broken)


def test_one_that_is_cleaned_is_pickled_as_well() -> None:
    found = passed_on(copied(Broken("x")))
    found.cleanFailure()
    assert pickle.loads(pickle.dumps(found)).check(Broken)


def test_what_is_raised_is_pickled() -> None:
    again = pickle.loads(pickle.dumps(raised(copied(Broken("x")))))
    assert isinstance(again, RemoteError)
    assert (again.remoteType, str(again)) == (f"{__name__}.Broken", "x")
    assert Failure(again).check(Broken)


# What is sent.


def where_it_happened() -> Failure:
    try:
        raise Broken("the text")
    except Broken:
        return Failure()


def after_a_deferred() -> Failure:
    """A failure whose frames were looked at."""
    found: Failure = failure_of(maybeDeferred(where_it_happened().raiseException))
    assert found.frames
    found.getTraceback()
    return found


EACH: list[Callable[[], Failure]] = [where_it_happened, after_a_deferred]


@pytest.mark.parametrize("make", EACH)
def test_ten_keys_are_sent_in_the_order_of_the_wire(make: Callable[[], Failure]) -> None:
    assert list(sent(make()).items()) == [
        ("count", 0),
        ("type", f"{__name__}.Broken".encode()),
        ("value", "the text"),
        ("captureVars", False),
        ("tb", None),
        ("unsafeTracebacks", False),
        ("parents", [f"{__name__}.Broken", *Failure(theirs.Error()).parents]),
        ("frames", []),
        ("stack", []),
        ("traceback", NONE),
    ]


def test_the_same_is_sent_as_by_twisted() -> None:
    ours = copyable(ZeroDivisionError("x")).getStateToCopy()
    their = theirs.CopyableFailure(ZeroDivisionError("x")).getStateToCopy()
    # Twisted says the last one only after it was asked.
    assert {**ours, "count": their["count"]} == {**their, "unsafeTracebacks": False}


@pytest.mark.parametrize("make", EACH)
def test_no_name_of_a_file_is_sent(make: Callable[[], Failure]) -> None:
    text = repr(jelly.jelly(copyable(make()), invoker=Invoker()))
    assert ".py" not in text
    assert "where_it_happened" not in text


@pytest.mark.parametrize("make", EACH)
def test_with_unsafe_tracebacks_the_traceback_is_sent(make: Callable[[], Failure]) -> None:
    state = failure2Copyable(make(), unsafeTracebacks=1).getStateToCopy()
    assert state["unsafeTracebacks"] is True
    assert state["frames"] == []
    assert "in where_it_happened" in state["traceback"]
    assert state["traceback"].endswith(f"{__name__}.Broken: the text\n")
    assert list(state) == list(sent(make()))


def test_it_is_jellied_as_a_copy() -> None:
    tag, state = jelly.jelly(copyable(Broken("x")), invoker=Invoker())
    assert tag == b"twisted.spread.pb.CopyableFailure"
    assert state[0] == b"dictionary"
    assert [[b"unicode", b"value"], [b"unicode", b"x"]] in state


def test_a_failure_of_the_current_exception() -> None:
    try:
        raise Broken("x")
    except Broken:
        found = copyable()
    assert found.getStateToCopy()["value"] == "x"
    assert not found.unsafeTracebacks


class Unprintable(Exception):
    def __str__(self) -> str:
        raise KeyError("no text")


@pytest.mark.parametrize("error", [Unprintable(), Broken("\ud800"), Broken("x" * 1_000_000)])
def test_whatever_its_text_it_can_be_sent(error: Exception) -> None:
    state = sent(Failure(error))
    assert isinstance(state["value"], str)
    assert len(state["value"].encode()) <= 655_360
    found = received(state)
    assert found.check(type(error))


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_names_are_sent_never_classes(error: BaseException) -> None:
    state = sent(Failure(error))
    kind = type(error)
    assert state["type"] == qual(kind).encode()
    assert state["parents"][:1] == [qual(kind)]
    assert "builtins.BaseException" in state["parents"]


def test_a_failure_of_something_else_than_an_exception() -> None:
    state = sent(Failure("just text", theirs.Error))
    assert (state["type"], state["value"]) == (b"twisted.spread.pb.Error", "just text")
    assert state["parents"] == Failure(theirs.Error()).parents
    state = sent(Failure(5))
    assert (state["type"], state["value"], state["parents"]) == (
        *(b"builtins.int", "5"),
        ["builtins.int", "builtins.object"],
    )


# Relayed.


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_relayed_failure_keeps_type_and_parents(times: int) -> None:
    origin = sent(where_it_happened())
    failure = passed_on(received(origin), times)
    assert sent(failure) == origin
    assert copyable(failure).getStateToCopy() == origin
    assert sent(failure_of(by_coroutine(lambda: fail(failure), False))) == origin
    assert sent(Failure(raised(failure))) == origin


def test_a_relayed_failure_is_that_of_twisted_relayed() -> None:
    state = sent(passed_on(copied(ZeroDivisionError("x"))))
    their = theirs.CopyableFailure(ZeroDivisionError("x")).getStateToCopy()
    assert state["parents"] == their["parents"]
    assert state["type"] == their["type"]


def test_the_traceback_of_the_origin_is_relayed_only_if_that_is_allowed_here() -> None:
    failure = received({**sent(where_it_happened()), "traceback": "over there\n"})
    assert sent(failure)["traceback"] == NONE
    assert failure2Copyable(failure, 1).getStateToCopy()["traceback"] == "over there\n"


def test_its_maker_bears_the_module_of_twisteds() -> None:
    assert failure2Copyable.__module__ == theirs.failure2Copyable.__module__


def test_failure2copyable_leaves_the_failure_as_it_is() -> None:
    failure = where_it_happened()
    before = dict(failure.__dict__)
    copy: Any = failure2Copyable(failure, unsafeTracebacks=1)
    assert kind_of(copy) is CopyableFailure
    assert copy.unsafeTracebacks == 1
    assert copy.check(Broken)
    assert failure.__dict__ == before


# How a call is answered that ended with a failure.


class Told(Error, Copyable, RemoteCopy):
    """Goes as itself."""


class Allowed(Error):
    """Goes as itself where the options say so."""


class WithCode(CopyableFailure):
    def getStateToCopy(self) -> dict[str, Any]:
        return {**super().getStateToCopy(), "code": 42}

    def getTypeToCopy(self) -> str:
        return "twisted.spread.pb.CopyableFailure"


class Fails(CopyableFailure):
    def getStateToCopy(self) -> dict[str, Any]:
        raise KeyError("no state")


def test_an_ordinary_error_is_sent_as_it_is() -> None:
    failure = where_it_happened()
    assert as_sent(failure, SecurityOptions(), False) == (failure.value, None)


def test_its_traceback_is_given_only_if_that_is_allowed() -> None:
    _, text = as_sent(where_it_happened(), SecurityOptions(), 1)
    assert text is not None
    assert "in where_it_happened" in text


def test_a_relayed_one_has_the_names_of_the_other_side() -> None:
    error, _ = as_sent(passed_on(copied(Broken("x"))), SecurityOptions(), False)
    assert isinstance(error, Exception)
    assert getattr(error, "remote_type", None) == f"{__name__}.Broken"
    assert str(error) == "x"


def test_options_that_allow_everything_let_no_text_pass_for_an_exception() -> None:
    error, _ = as_sent(copied(Broken("x")), DummySecurityOptions(), False)
    assert not hasattr(type(error), "write_jelly")
    assert getattr(error, "remote_type", None) == f"{__name__}.Broken"


def test_an_error_that_goes_as_itself_tells_nothing_of_this_side_where_it_can_not() -> None:
    class Mute(Allowed):
        def __str__(self) -> str:
            raise KeyError("no text")

    error, _ = as_sent(Failure(Mute()), DummySecurityOptions(), False)
    assert hasattr(type(error), "write_jelly")
    assert str(error) == ""


def test_it_can_not_on_a_connection_of_another_face() -> None:
    error, _ = as_sent(Failure(Allowed("x")), DummySecurityOptions(), False)
    with pytest.raises(CoreInsecureJelly, match="Allowed"):
        dumps(error)


class Fallible(Root):
    """Its methods fail in the ways that a test asks for."""

    def __init__(self, failure: Callable[[], Failure]) -> None:
        self.failure = failure

    def remote_now(self) -> None:
        self.failure().raiseException()

    def remote_later(self) -> Any:
        return fail(self.failure())


ways = pytest.mark.parametrize("way", ["now", "later"])


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both classes are known to the receiver."""
    for kind in (Told, Allowed):
        monkeypatch.setitem(jelly.unjellyableRegistry, qual(kind).encode(), kind)


@ways
def test_an_error_arrives_with_its_names(way: str, join: Join) -> None:
    joined = join(Fallible(lambda: Failure(Broken("the text"))))
    waiting = joined.root.callRemote(way)
    joined.run()
    found = failure_of(waiting)
    assert kind_of(found) is CopiedFailure
    assert found.check(Broken)
    assert (found.type, found.value, found.traceback) == (f"{__name__}.Broken", "the text", NONE)


@ways
def test_a_copyable_error_arrives_as_itself(way: str, registered: None, join: Join) -> None:
    joined = join(Fallible(lambda: Failure(Told("the text"))))
    waiting = joined.root.callRemote(way)
    joined.run()
    found = failure_of(waiting)
    assert isinstance(found.value, Told)


@ways
def test_an_allowed_error_arrives_as_itself(way: str, registered: None, join: Join) -> None:
    security = SecurityOptions()
    security.allowInstancesOf(Allowed)
    joined = join(Fallible(lambda: Failure(Allowed("the text"))), security=security)
    waiting = joined.root.callRemote(way)
    joined.run()
    assert isinstance(failure_of(waiting).value, Allowed)


@ways
def test_an_allowed_error_that_can_not_be_sent_arrives_as_a_failure(way: str, join: Join) -> None:
    security = SecurityOptions()
    security.allowInstancesOf(Allowed)

    def fails() -> Failure:
        error = Allowed("the text")
        error.unsafe = object()  # type: ignore[attr-defined]
        return Failure(error)

    joined = join(Fallible(fails), security=security)
    waiting = joined.root.callRemote(way)
    joined.run()
    found = failure_of(waiting)
    assert found.check(Allowed)
    assert found.value == "the text"


def test_a_failure_with_hooks_of_its_own_is_asked(join: Join) -> None:
    kind: Any = WithCode
    joined = join(Fallible(lambda: kind(Broken("the text"))))
    waiting = joined.root.callRemote("later")
    joined.run()
    found = failure_of(waiting)
    assert (found.code, found.value) == (42, "the text")
    assert found.check(Broken)


def test_where_its_hooks_fail_it_goes_as_any_other(join: Join) -> None:
    kind: Any = Fails
    joined = join(Fallible(lambda: kind(Broken("the text"))))
    waiting = joined.root.callRemote("later")
    joined.run()
    found = failure_of(waiting)
    assert (found.type, found.value) == (f"{__name__}.Broken", "the text")


def test_a_failure_is_an_argument_and_a_result_as_well(join: Join) -> None:
    class Holder(Root):
        def remote_take(self, failures: list[Any]) -> Any:
            [failure] = failures
            assert failure.check(Broken)
            return succeed([failure2Copyable(failure)])

    joined = join(Holder())
    [found] = joined.ask("take", [copyable(Broken("x"))])
    assert found.check(Broken)


def test_a_failure_goes_through_jelly_and_back() -> None:
    made = jelly.jelly(copyable(ZeroDivisionError("x")), invoker=Invoker())
    found = jelly.unjelly(made)
    assert kind_of(found) is CopiedFailure
    assert found.check(ArithmeticError) is ArithmeticError
    again = jelly.unjelly(jelly.jelly(copyable(found), invoker=Invoker()))
    assert again.check(ArithmeticError) is ArithmeticError
    assert again.type == "builtins.ZeroDivisionError"


# Twisted itself on the other side.


class TheirBroken(theirs.Error):
    pass


class TheirRoot(theirs.Root):
    def remote_now(self) -> None:
        raise TheirBroken("the text")

    def remote_later(self) -> Any:
        return fail(TheirBroken("the text"))


class TheirFactory:
    def __init__(self, unsafe: bool) -> None:
        self.unsafeTracebacks = unsafe

    def clientConnectionMade(self, broker: Any) -> None:
        pass


def of_twisted(is_client: bool, unsafe: bool = False) -> Any:
    broker: Any = theirs.Broker(is_client)
    broker.factory = TheirFactory(unsafe)
    return broker


@ways
def test_twisted_traps_what_is_sent(way: str) -> None:
    fallible = Fallible(lambda: Failure(Broken("the text")))
    both = join_two(fallible, brokers=(of_twisted(True), make(False)))
    waiting = both.root.callRemote(way)
    both.run()
    found = failure_of(waiting)
    assert found.check(Broken) is Broken
    assert found.check(theirs.Error)
    assert (found.type, found.value, found.traceback) == (
        *(f"{__name__}.Broken".encode(), "the text"),
        NONE,
    )
    both.lose()


@ways
@pytest.mark.parametrize("unsafe", [False, True])
def test_what_twisted_sends_is_trapped(way: str, unsafe: bool) -> None:
    both = join_two(TheirRoot(), brokers=(make(True), of_twisted(False, unsafe)))
    waiting = both.root.callRemote(way)
    both.run()
    found = passed_on(failure_of(waiting), 2)
    assert found.check(Error, TheirBroken) is Error
    assert found.check(TheirBroken)
    assert (found.type, found.value) == (f"{__name__}.TheirBroken", "the text")
    assert (found.traceback != NONE) is unsafe
    both.lose()


def test_the_other_side_cannot_say_that_it_is_logged() -> None:
    assert not hasattr(received({"is_logged": True}), "is_logged")
