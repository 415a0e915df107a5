"""Methods that are called from the other side, and what becomes of their results."""

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from pellucid import errors as core
from pellucid.login import LoggedIn
from pellucid.twisted import flavors, jelly
from pellucid.twisted.errors import (
    BananaError,
    Error,
    InsecureJelly,
    NoSuchMethod,
    PBConnectionLost,
    RemoteError,
)
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Joined, failure_of, make, result


class Known(Error):
    pass


class Breaking(flavors.Copyable):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def getStateToCopy(self) -> Any:
        raise self.error


class Root(flavors.Root):
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.later: list[Deferred[Any]] = []

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_hear(self, value: Any) -> None:
        self.heard.append(value)

    def remote_later(self) -> Deferred[Any]:
        self.later.append(Deferred())
        return self.later[-1]

    def remote_soon(self, value: Any) -> Deferred[Any]:
        return succeed(value)

    async def remote_await(self, value: Any) -> Any:
        self.later.append(Deferred())
        return value, await self.later[-1]

    async def remote_async(self, value: Any) -> Any:
        return value

    def remote_raise(self, kind: str) -> Any:
        raise self.made(kind)

    def remote_fail(self, kind: str) -> Any:
        return fail(self.made(kind))

    async def remote_fail_async(self, kind: str) -> Any:
        raise self.made(kind)

    def made(self, kind: str) -> BaseException:
        return {
            "known": Known("it is known"),
            "core": core.Error("the core's"),
            "key": KeyError("it is not"),
            "exit": SystemExit(3),
        }[kind]

    def remote_make(self, kind: str) -> Any:
        return self.thing(kind)

    def remote_make_soon(self, kind: str) -> Any:
        return succeed(self.thing(kind))

    def thing(self, kind: str) -> Any:
        return {
            "insecure": object(),
            "large": bytes(700_000),
            "breaking": Breaking(ZeroDivisionError("no state")),
            "known": Breaking(Known("on purpose")),
            "interrupted": Breaking(KeyboardInterrupt()),
        }[kind]


def ends(joined: Joined, name: str, *args: Any, **keywords: Any) -> Any:
    call = joined.root.callRemote(name, *args, **keywords)
    joined.run()
    return failure_of(call)


# When it is answered.


def test_a_plain_method_is_answered_at_once(join: Join) -> None:
    joined = join(Root())
    joined.root.callRemote("echo", 1)
    before = joined.server_wire.writes
    joined.server.dataReceived(joined.client_wire.take())
    assert joined.server_wire.writes == before + 1
    joined.run()


@pytest.mark.parametrize("name", ["echo", "soon", "async"])
def test_calls_that_come_together_are_answered_together(join: Join, name: str) -> None:
    joined = join(Root())
    calls = [joined.root.callRemote(name, n) for n in range(50)]
    before = joined.server_wire.writes
    joined.server.dataReceived(joined.client_wire.take())
    assert joined.server_wire.writes == before + 1
    joined.run()
    assert [result(call) for call in calls] == list(range(50))


def test_a_deferred_is_waited_for(join: Join, piece: int) -> None:
    root = Root()
    joined = join(root, size=piece)
    first, second = joined.root.callRemote("later"), joined.root.callRemote("later")
    joined.run()
    root.later[1].callback("b")
    joined.run()
    assert result(second) == "b"
    assert not first.called
    root.later[0].callback("a")
    # It is written as soon as it is there.
    assert joined.server_wire.out
    joined.run()
    assert result(first) == "a"


def test_a_coroutine_is_run(join: Join) -> None:
    root = Root()
    joined = join(root)
    call = joined.root.callRemote("await", 1)
    joined.run()
    assert not call.called
    root.later[0].callback(2)
    joined.run()
    assert result(call) == (1, 2)


def test_a_result_behind_the_end_is_thrown_away(join: Join) -> None:
    root = Root()
    joined = join(root)
    call = joined.root.callRemote("later")
    joined.run()
    joined.lose()
    root.later[0].callback(Breaking(KeyError()))
    assert failure_of(call).type is PBConnectionLost


def test_what_came_with_a_call_is_not_kept(join: Join) -> None:
    root = Root()
    joined = join(root)
    thing = flavors.Referenceable()
    calls = [joined.root.callRemote("later")]
    joined.run()
    root.remote_taking = lambda value: root.remote_later()  # type: ignore[attr-defined]
    calls.append(joined.root.callRemote("taking", thing))
    joined.run()
    gc.collect()
    joined.run()
    # The method that waits has no use for it.
    assert joined.client.localObjects == {}
    for later in root.later:
        later.callback(None)
    joined.run()
    assert [result(call) for call in calls] == [None, None]


# On whose behalf.


class Seen(flavors.Copyable, flavors.RemoteCopy):
    def getStateToCopyFor(self, perspective: Any) -> Any:
        return {"by": getattr(perspective, "name", None)}


jelly.setUnjellyableForClass(Seen, Seen)


class Person:
    def __init__(self, name: str) -> None:
        self.name = name


class Sight(flavors.Viewable):
    def view_see(self, perspective: Any, reference: Any) -> Any:
        return perspective.name, reference.perspective.name, Seen()


class Views(flavors.Root):
    def remote_view(self) -> Any:
        return flavors.ViewPoint(Person("viewer"), Sight())

    def remote_see(self, reference: Any) -> Any:
        return reference.perspective, Seen()


def test_a_view_is_on_behalf_of_its_perspective(join: Join) -> None:
    joined = join(Views())
    view = joined.ask("view")
    call = view.callRemote("see", flavors.Referenceable())
    joined.run()
    first, second, seen = result(call)
    assert (first, second, seen.by) == ("viewer", "viewer", "viewer")


def test_a_result_is_for_whom_the_object_says(join: Join) -> None:
    root = Views()
    joined = join(root)
    perspective, seen = joined.ask("see", flavors.Referenceable())
    assert (perspective, seen.by) == (None, None)
    root.perspective = Person("owner")
    perspective, seen = joined.ask("see", flavors.Referenceable())
    assert (perspective, seen.by) == (None, "owner")


# Errors.


@pytest.mark.parametrize("name", ["raise", "fail", "fail_async"])
def test_an_expected_error_is_not_logged(join: Join, name: str, logged: Logged) -> None:
    joined = join(Root())
    failure = ends(joined, name, "known")
    assert failure.check(Known) is Known
    assert failure.getErrorMessage() == "it is known"
    assert ends(joined, name, "core").check(Error) is Error
    assert "traceback" not in logged.text


@pytest.mark.parametrize("name", ["raise", "fail", "fail_async"])
def test_any_other_is_logged_once(join: Join, name: str, logged: Logged) -> None:
    joined = join(Root())
    failure = ends(joined, name, "key")
    assert failure.check(KeyError) is KeyError
    assert failure.traceback == "Traceback unavailable\n"
    assert "Peer will receive following PB traceback:" in logged.text
    assert "in made" not in logged.text
    assert len(logged.take(KeyError)) == 1


@pytest.mark.parametrize("name", ["raise", "fail"])
def test_what_ends_a_program_is_an_error_like_any_other(
    join: Join, name: str, logged: Logged
) -> None:
    joined = join(Root())
    assert ends(joined, name, "exit").type == "builtins.SystemExit"
    assert len(logged.take(SystemExit)) == 1


@pytest.mark.parametrize("name", ["raise", "fail"])
def test_errors_that_nobody_waits_for(join: Join, name: str, logged: Logged) -> None:
    joined = join(Root())
    before = joined.server_wire.written
    joined.root.callRemote(name, "key", pbanswer=False)
    joined.root.callRemote(name, "known", pbanswer=False)
    joined.run()
    assert joined.server_wire.written == before
    assert len(logged.take(KeyError)) == 1
    assert f"wants no answer failed, '{name}' of a Root: it is known" in logged.text


def test_tracebacks_go_out_if_the_factory_says_so(join: Join, logged: Logged) -> None:
    joined = join(Root())
    joined.server.factory.unsafeTracebacks = True
    for name in ("raise", "fail_async"):
        failure = ends(joined, name, "key")
        assert "in made" in failure.traceback or "test_calls" in failure.traceback
    joined.server.factory.unsafeTracebacks = False
    failure = ends(joined, "raise", "key")
    assert failure.traceback == "Traceback unavailable\n"
    assert len(logged.take(KeyError)) == 3


def test_methods_that_are_not_there_are_not_logged_for_ever(join: Join, logged: Logged) -> None:
    joined = join(Root())
    for _ in range(30):
        assert ends(joined, "nothing").check(NoSuchMethod)
    assert len(logged.take(NoSuchMethod)) == 10
    # That is one bound for all connections of a factory.
    second = make(False)
    second.factory = joined.server.factory
    other = join(Root(), brokers=(make(True), second))
    assert ends(other, "nothing").check(NoSuchMethod)
    assert logged.take(NoSuchMethod) == []
    third = join(Root())
    assert ends(third, "nothing").check(NoSuchMethod)
    assert len(logged.take(NoSuchMethod)) == 1


def test_what_the_other_side_says_is_not_logged_in_full(join: Join, logged: Logged) -> None:
    joined = join(Root())
    assert ends(joined, "x" * 10_000).check(NoSuchMethod)
    root = joined.server.localObjectForID("root")

    def failing(text: str) -> None:
        raise KeyError(text)

    root.remote_failing = failing
    assert ends(joined, "failing", "y" * 10_000).getErrorMessage() == repr("y" * 10_000)
    assert max(map(len, logged.text.splitlines())) < 2_000
    assert len(logged.take(NoSuchMethod)) == 1
    assert len(logged.take(KeyError)) == 1


def test_what_is_logged_already_is_not_logged_again(join: Join) -> None:
    class Quiet(flavors.Root):
        def remote_fail(self) -> Any:
            failure: Any = Failure(KeyError("it was logged"))
            failure.is_logged = True
            return fail(failure)

    assert ends(join(Quiet()), "fail").check(KeyError)


def test_arguments_that_do_not_fit(join: Join, logged: Logged) -> None:
    joined = join(Root())
    assert ends(joined, "echo", "secret", "too much").check(TypeError)
    assert "secret" not in logged.text
    assert len(logged.take(TypeError)) == 1


def test_the_log_keeps_no_argument(join: Join, logged: Logged) -> None:
    root = Root()
    joined = join(root)

    def failing(value: Any) -> None:
        raise KeyError("x")

    root.remote_failing = failing  # type: ignore[attr-defined]
    assert ends(joined, "failing", flavors.Referenceable()).check(KeyError)
    joined.prove_empty()
    assert len(logged.take(KeyError)) == 1


class Relay(flavors.Root):
    """Asks another one."""

    other: Any

    def remote_raise(self, kind: str) -> Any:
        return self.other.callRemote("raise", kind)

    async def remote_await(self, kind: str) -> Any:
        return await self.other.callRemote("raise", kind)


@pytest.mark.parametrize("name", ["raise", "await"])
def test_a_failure_that_is_handed_on_keeps_its_names(join: Join, name: str, logged: Logged) -> None:
    relay = Relay()
    far, near = join(Root()), join(relay)
    relay.other = far.root
    for kind, cls in (("known", Known), ("key", KeyError)):
        call = near.root.callRemote(name, kind)
        for _ in range(3):
            near.run()
            far.run()
        failure = failure_of(call)
        assert failure.check(cls) is cls
        assert failure.check(Error if kind == "known" else LookupError)
        assert failure.getErrorMessage().strip("'").startswith("it is")
    # Once where it was raised, and once where it was handed on.
    assert len(logged.take(KeyError)) == 2


# Results that can't be sent.


@pytest.mark.parametrize("name", ["make", "make_soon"])
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("insecure", InsecureJelly), ("large", BananaError), ("breaking", ZeroDivisionError)],
)
def test_a_result_that_cannot_be_sent(
    join: Join, name: str, kind: str, wanted: type[Exception], logged: Logged
) -> None:
    joined = join(Root())
    failure = ends(joined, name, kind)
    assert failure.check(wanted) is wanted
    assert isinstance(failure.value.with_traceback(None), RemoteError)
    assert "the result of" in logged.text
    assert len(logged.take(wanted)) == 1
    assert joined.ask("echo", 1) == 1


def test_one_that_cannot_be_sent_is_kept_by_nothing(join: Join, logged: Logged) -> None:
    class Odd(flavors.Root):
        def remote_odd(self) -> Any:
            result = flavors.Referenceable()
            held.append(weakref.ref(result))
            return [result, object()]

    held: list[weakref.ref[Any]] = []
    joined = join(Odd())
    gc.collect()
    gc.disable()
    try:
        assert ends(joined, "odd").check(InsecureJelly)
        assert len(logged.seen(InsecureJelly)) == 1
        assert [each() for each in held] == [None]
    finally:
        gc.enable()


def test_one_that_fails_on_purpose_is_not_logged(join: Join) -> None:
    assert ends(join(Root()), "make", "known").check(Known)


def test_one_that_is_interrupted(join: Join, logged: Logged) -> None:
    joined = join(Root())
    assert ends(joined, "make", "interrupted").type == "builtins.KeyboardInterrupt"
    assert len(logged.take(KeyboardInterrupt)) == 1
    assert joined.ask("echo", 1) == 1


# Targets that take their calls themselves.


class Raw(flavors.Root):
    """Sees jelly, and gives jelly."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.answer: Any = None

    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        self.seen.append((broker, message, args, kw))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_class_with_a_method_of_its_own_sees_jelly(join: Join, piece: int) -> None:
    root = Raw()
    joined = join(root, size=piece)
    root.answer = [b"list", 1, [b"unicode", b"x"]]
    assert joined.ask("any", "a", 2, key=None) == [1, "x"]
    args = [b"tuple", [b"unicode", b"a"], 2]
    keywords = [b"dictionary", [[b"unicode", b"key"], [b"None"]]]
    assert root.seen == [(joined.server, "any", args, keywords)]
    root.answer = succeed((b"tuple", 5))
    assert joined.ask("any") == (5,)
    root.answer = Known("x")
    assert ends(joined, "any").check(Known)
    root.answer = fail(Known("x"))
    assert ends(joined, "any").check(Known)


def test_what_such_a_one_gives_has_to_be_jelly(join: Join, logged: Logged) -> None:
    root = Raw()
    joined = join(root)
    root.answer = [b"list", object()]
    assert isinstance(ends(joined, "any").value.with_traceback(None), RemoteError)
    assert len(logged.take()) == 1


class Foreign:
    """Of no class of this face."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        value = broker.unserialize(args)
        self.seen.append(value)
        return broker.serialize(value, None)


def test_any_object_may_take_calls(join: Join, logged: Logged) -> None:
    root = Foreign()
    joined = join(root)
    assert joined.ask("any", 1, "x") == (1, "x")
    assert joined.server.localObjectForID("root") is root
    luid = joined.server.registerReference(root)
    assert joined.server.registerReference(root) == luid
    assert joined.server.localObjects[luid].object is root
    reference = joined.ask("any", 1) and joined.client.remoteForName("root")
    call = reference.callRemote("any", reference)
    joined.run()
    assert root.seen[-1] == (root,)
    assert failure_of(call).check(InsecureJelly)
    assert len(logged.take(InsecureJelly)) == 1
    for _ in range(2):
        joined.client.sendDecRef(luid)
    joined.run()
    assert luid not in joined.server.localObjects


def test_an_instance_may_take_calls(join: Join) -> None:
    taking = Foreign()
    root = flavors.Root()
    root.remoteMessageReceived = taking.remoteMessageReceived  # type: ignore[method-assign]
    joined = join(root)
    assert joined.ask("any", 1) == (1,)


# Avatars.


class Avatar(flavors.Referenceable):
    pass


class Portal(flavors.Root):
    def __init__(self) -> None:
        self.ended: list[int] = []

    def remote_login(self) -> Any:
        return succeed(LoggedIn(Avatar(), lambda: self.ended.append(1)))


@pytest.mark.parametrize("lost", [False, True])
def test_a_login_ends_once(join: Join, lost: bool) -> None:
    portal = Portal()
    joined = join(portal)
    avatar = joined.ask("login")
    assert portal.ended == []
    if lost:
        joined.lose()
    del avatar
    gc.collect()
    joined.run()
    assert portal.ended == [1]


class Opening(flavors.Copyable):
    """Lets a login end while it is written."""

    def __init__(self, login: Any, avatar: Any) -> None:
        self.login = login
        self.avatar = avatar

    def getStateToCopy(self) -> Any:
        self.login.callback(self.avatar)
        return {}


class Opened(flavors.RemoteCopy):
    pass


jelly.setUnjellyableForClass(Opening, Opened)


def test_a_login_that_succeeds_while_something_is_written(join: Join) -> None:
    root, ended = Root(), list[int]()
    joined = join(root)
    call = joined.root.callRemote("later")
    joined.run()
    avatar = LoggedIn(Avatar(), lambda: ended.append(1))
    joined.client.setNameForLocal("mine", Root())
    joined.server.remoteForName("mine").callRemote("hear", Opening(root.later[0], avatar))
    joined.run()
    kept = result(call)
    assert ended == []
    del kept
    gc.collect()
    joined.run()
    assert ended == [1]


def test_a_login_that_nobody_hears_of_has_ended(join: Join) -> None:
    portal = Portal()
    joined = join(portal)
    joined.root.callRemote("login", pbanswer=False)
    joined.run()
    assert portal.ended == [1]


def test_nothing_is_left_of_a_call(join: Join) -> None:
    class Value:
        pass

    kept: list[Any] = []

    class Holding(flavors.Root):
        def remote_make(self) -> Any:
            value = Value()
            kept.append(weakref.ref(value))
            self.value = value

    root = Holding()
    joined = join(root)
    joined.ask("make")
    del root.value
    assert kept[0]() is None


class Hidden(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Closed(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Named(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__", "__name__"):
            raise RuntimeError("no name")
        return type.__getattribute__(cls, name)


class Nameless(Exception, metaclass=Named):
    pass


class Hostile(flavors.Root):
    def remote_raise(self, number: int) -> Any:
        raise (Hidden, Closed, Nameless)[number]()

    async def remote_later(self, number: int) -> Any:
        raise (Hidden, Closed, Nameless)[number]()


@pytest.mark.parametrize("name", ["raise", "later"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_error_that_cannot_be_looked_at(
    join: Join, name: str, number: int, logged: Logged
) -> None:
    joined = join(Hostile())
    assert ends(joined, name, number) is not None
    joined.prove_empty()
    logged.events.clear()


def test_what_cannot_be_read_is_not_logged_for_ever(join: Join, logged: Logged) -> None:
    joined = join(Foreign())
    for _ in range(30):
        assert ends(joined, "any", joined.root).check(InsecureJelly)
    assert len(logged.take(InsecureJelly)) == 10


def test_what_is_handed_on_is_not_logged_for_ever(join: Join, logged: Logged) -> None:
    relay = Relay()
    far, near = join(Root()), join(relay)
    relay.other = far.root
    for _ in range(30):
        call = near.root.callRemote("raise", "key")
        for _ in range(3):
            near.run()
            far.run()
        assert failure_of(call).check(KeyError)
    assert len(logged.take(KeyError)) == 30 + 10


class Serializing(flavors.Root):
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        self.later: Deferred[Any] = Deferred()
        return broker.serialize(self.later)


def test_a_result_as_jelly_behind_the_end_is_not_logged(join: Join) -> None:
    root = Serializing()
    joined = join(root)
    call = joined.root.callRemote("any")
    joined.run()
    joined.lose()
    assert failure_of(call).check(PBConnectionLost)
    root.later.callback(flavors.Referenceable())
