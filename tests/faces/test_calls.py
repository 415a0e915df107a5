"""Calls, references and errors, on every face."""

from typing import Any

import pytest

import pellucid
from pellucid import Limits
from tests.faces.face import Face, Steps, on_each_face, steps, without
from tests.faces.flavours import Referenceable
from tests.faces.pair import Known, Root, Thing, joined

VALUES = [None, True, 5, -(2**70), 1.5, "text", b"bytes", [1, [2]], (1, 2), {"a": 1}, {1, 2}]


@on_each_face
def test_values_come_back_as_they_were(face: Face) -> Steps:
    pair = yield from joined(face)
    for value in VALUES:
        found = yield pair.root.call("echo", value)
        assert found == value
        assert type(found) is type(value)
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_all_arguments_arrive(face: Face) -> Steps:
    pair = yield from joined(face)
    keywords = {"self": 1, "name": 2, "timeout": 3}
    assert (yield pair.root.call("any", 1, "two", **keywords)) == ([1, "two"], keywords)
    yield from pair.close()


@on_each_face
def test_calls_at_the_same_time_get_their_own_answers(face: Face) -> Steps:
    pair = yield from joined(face)
    found = yield face.together(*((pair.root, "echo", number) for number in range(50)))
    assert found == list(range(50))
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_notifying_wants_no_answer(face: Face) -> Steps:
    root = Root()
    pair = yield from joined(face, root)
    pair.root.notify("keep", 1)
    pair.root.notify("no_such_method")
    yield face.until(lambda: root.kept)
    assert root.kept == [1]
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_what_fails_unheard_is_logged_where_it_failed(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    pair = yield from joined(face)
    pair.root.notify("kep", "secret")
    pair.root.notify("fail", "known")
    yield face.until(lambda: len(caplog.records) == 2)
    for text in ("No such method: remote_kep", "'fail' of a Root"):
        assert text in caplog.text
    assert "secret" not in caplog.text
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="it logs as Twisted does, with a traceback; its own tests read that")
def test_what_fails_unheard_leaves_a_line_there(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    pair = yield from joined(face)
    pair.root.notify("kep", "secret")
    pair.root.notify("fail", "known")
    yield face.until(lambda: len(caplog.records) == 2)
    for text in (
        "a call that wants no answer failed, 'kep' of a Root: "
        "pellucid.errors.NoSuchMethod: No such method: remote_kep",
        "a call that wants no answer failed, 'fail' of a Root: "
        "tests.faces.pair.Known (texts of errors are logged with tracebacks=True)",
    ):
        assert f"{pair.server.peer}: {text}" in caplog.messages
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_so_many_lines_and_no_more_are_left_by_one_connection(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    pair = yield from joined(face)
    for _ in range(50):
        pair.root.notify("x" * 10_000)
    yield pair.root.call("echo")
    yield from pair.close()
    assert 0 < len(caplog.messages) <= 21
    assert all(len(text) < face.longest_text for text in caplog.messages)


@on_each_face
def test_the_name_of_a_method_is_text(face: Face) -> Steps:
    pair = yield from joined(face)
    wrong: Any
    for wrong in (3, None):
        with pytest.raises(TypeError, match=r"the name of a method is (a str|text), not"):
            yield pair.root.call(wrong, 1)
        with pytest.raises(TypeError, match=r"the name of a method is (a str|text), not"):
            pair.root.notify(wrong, 1)
    assert (yield pair.root.call("echo", 1)) == 1
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="there a name may be bytes")
def test_the_name_of_a_method_is_not_bytes(face: Face) -> Steps:
    pair = yield from joined(face)
    with pytest.raises(TypeError, match="the name of a method is a str, not bytes"):
        yield pair.root.call(b"echo", 1)
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_references_go_both_ways_and_come_home(face: Face) -> Steps:
    root = Root()
    pair = yield from joined(face, root)
    mine = Thing()
    assert (yield pair.root.call("echo", mine)) is mine
    theirs = yield pair.root.call("thing")
    assert isinstance(theirs, type(pair.root))
    assert (yield pair.root.call("thing")) is theirs
    assert (yield pair.root.call("is_thing", theirs)) is True
    assert (yield theirs.call("tell", "x")) == 1
    assert root.thing.heard == ["x"]
    del theirs, mine
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_what_is_dropped_is_released(face: Face) -> Steps:
    pair = yield from joined(face)
    things = yield pair.root.call("things", 30)
    assert len(face.broker(pair.server).exports) == 30
    del things
    yield pair.empty()
    yield pair.root.call("keep", Thing())
    assert len(face.broker(pair.client).exports) == 1
    yield pair.root.call("forget")
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_a_reference_goes_over_its_own_connection_only(face: Face) -> Steps:
    pair = yield from joined(face)
    other = yield face.connect(pair.listening.url)
    thing = yield pair.root.call("thing")
    with face.raises(pellucid.InsecureJelly, match="only over the connection"):
        yield other.root.call("echo", thing)
    del thing
    yield face.close(other)
    yield from pair.close()


@on_each_face
def test_the_other_side_calls_back(face: Face) -> Steps:
    pair = yield from joined(face)
    mine = Thing()
    assert (yield pair.root.call("back", mine, "tell", "news")) == 1
    assert mine.heard == ["news"]
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_calls_go_back_and_forth(face: Face) -> Steps:
    pair = yield from joined(face)
    assert (yield pair.root.call("on", Thing(), 20)) == 20
    many = yield face.together(*((pair.root, "on", Thing(), 5) for _ in range(10)))
    assert many == [5] * 10
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_errors_arrive_by_their_class(face: Face, caplog: pytest.LogCaptureFixture) -> Steps:
    pair = yield from joined(face)
    with face.raises(Known, match="it was known"):
        yield pair.root.call("fail", "known")
    assert caplog.text == ""
    with face.raises(pellucid.RemoteError, match="other") as caught:
        yield pair.root.call("fail", "other")
    assert caught.value.remote_type == "builtins.KeyError"
    assert caught.value.is_a("builtins.LookupError")
    (text,) = caplog.messages
    assert text.startswith("Peer will receive")
    assert "KeyError" in caplog.text
    with face.raises(pellucid.NoSuchMethod):
        yield pair.root.call("no_such_method")
    del caught
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_an_error_passes_through_a_method_that_called_back(face: Face) -> Steps:
    class Failing(Referenceable):
        def remote_fail(self) -> None:
            raise Known("from the client")

    pair = yield from joined(face)
    with face.raises(Known, match="from the client"):
        yield pair.root.call("back", Failing(), "fail")
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_what_can_not_be_sent_is_refused(face: Face, caplog: pytest.LogCaptureFixture) -> Steps:
    class Odd(Root):
        def remote_odd(self) -> object:
            return object()

    pair = yield from joined(face, Odd())
    with face.raises(pellucid.InsecureJelly):
        yield pair.root.call("echo", [Thing(), object()])
    with face.raises(pellucid.InsecureJelly):
        pair.root.notify("echo", object())
    with face.raises(pellucid.InsecureJelly):
        yield pair.root.call("odd")
    assert "the result of 'odd' can't be sent" in caplog.text
    assert (yield pair.root.call("echo", 1)) == 1
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_a_call_that_takes_too_long_is_abandoned(face: Face) -> Steps:
    go = face.event()

    class Slow(Root):
        remote_wait = go_and_give(go)

    pair = yield from joined(face, Slow())
    with face.raises(TimeoutError):
        yield face.within(0.001, pair.root, "wait")
    assert (yield face.within(10, pair.root, "echo", 1)) == 1
    go.set()
    yield pair.empty()
    yield from pair.close()


def go_and_give(go: Any) -> Any:
    """A method that waits for an event and gives something new."""

    @steps
    def remote_wait(self: Any) -> Steps:
        yield go.wait()
        return [Thing(), Thing()]

    return remote_wait


@on_each_face
def test_limits_hold(face: Face) -> Steps:
    limits = Limits(string_bytes=1_000, references_held=5)
    pair = yield from joined(face, client={"limits": limits})
    assert pair.client.limits is limits
    with face.raises(pellucid.LimitExceeded, match=r"limits\.string_bytes"):
        yield pair.root.call("echo", "x" * 1_001)
    with face.raises(pellucid.LimitExceeded, match=r"limits\.references_held"):
        yield pair.root.call("things", 6)
    assert len((yield pair.root.call("things", 4))) == 4
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="there a method knows its caller by the perspective that it is given")
def test_a_method_knows_its_call(face: Face) -> Steps:
    seen: list[Any] = []

    class Asking(Root):
        def remote_who(self) -> None:
            seen.append(pellucid.current_call())

    pair = yield from joined(face, Asking())
    yield pair.root.call("who")
    (call,) = seen
    assert call.connection is pair.server
    assert (call.name, call.perspective) == ("who", None)
    with face.raises(pellucid.LocalProtocolError):
        pellucid.current_call()
    yield from pair.close()
