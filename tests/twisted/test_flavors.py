"""The flavours: how each travels, which hooks are asked, and what arrives."""

import gc
import operator
import weakref
from types import FunctionType
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.spread import flavors as theirs
from zope.interface.verify import verifyObject

from pellucid.errors import InsecureJelly as CoreInsecureJelly
from pellucid.jelly import dumps
from pellucid.registry import Registry
from pellucid.twisted import flavors, jelly
from pellucid.twisted.broker import Broker
from pellucid.twisted.errors import Error, InsecureJelly, NoSuchMethod
from pellucid.twisted.flavors import (
    Cacheable,
    Copyable,
    Jellyable,
    Referenceable,
    RemoteCache,
    RemoteCacheObserver,
    RemoteCopy,
    Root,
    Serializable,
    Unjellyable,
    Viewable,
    ViewPoint,
)
from tests import harness
from tests.twisted.conftest import Join
from tests.twisted.joined import Joined, failure_of, result

# The names that Twisted's module has only because it imports them.
_HELPERS = {"Interface", "cmp", "comparable", "implementer", "log", "reflect", "sys"}


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers classes for as long as the test runs."""

    def for_tag(tag: Any, kind: Any = None) -> None:
        name = f"{tag.__module__}.{tag.__name__}" if isinstance(tag, type) else tag
        monkeypatch.setitem(jelly.unjellyableRegistry, name.encode(), kind or tag)
        monkeypatch.setitem(jelly.globalSecurity.allowedTypes, name.encode(), 1)

    return for_tag


class Keeper(Root):
    """Keeps what it is given, and gives what it keeps."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept

    def remote_keep(self, value: Any) -> None:
        self.kept = value

    def remote_give(self) -> Any:
        return self.kept

    def remote_echo(self, value: Any) -> Any:
        return value


def taken(joined: Joined, keeper: Keeper, value: Any) -> Any:
    """What a value is on the other side."""
    joined.ask("keep", value)
    kept, keeper.kept = keeper.kept, None
    return kept


# The names.


@pytest.mark.parametrize(
    "name", [name for name in dir(theirs) if not name.startswith("_") and name not in _HELPERS]
)
def test_every_public_name_is_there(name: str) -> None:
    assert name in flavors.__all__
    ours, their = getattr(flavors, name), getattr(theirs, name)
    if isinstance(their, bytes):
        assert ours == their
    elif hasattr(their, "__name__"):
        assert ours.__name__ == their.__name__


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(theirs).items()
        if isinstance(value, type | FunctionType) and not name.startswith("_")
        if name not in _HELPERS
    ],
)
def test_classes_and_functions_bear_the_module_of_twisteds(name: str) -> None:
    assert getattr(flavors, name).__module__ == getattr(theirs, name).__module__


def test_the_interface_of_roots_is_not_that_of_twisteds() -> None:
    assert not operator.eq(flavors.IPBRoot, theirs.IPBRoot)
    assert not theirs.IPBRoot.providedBy(Root())


def test_old_names_are_the_same_functions() -> None:
    assert (
        flavors.setCopierForClass is flavors.setUnjellyableForClass is jelly.setUnjellyableForClass
    )
    assert flavors.setCopierForClassTree is flavors.setUnjellyableForClassTree
    assert flavors.setFactoryForClass is flavors.setUnjellyableFactoryForClass
    assert flavors.copyTags is jelly.unjellyableRegistry


def test_everything_that_can_be_sent_is_serializable_and_jellyable() -> None:
    for kind in (Referenceable, Viewable, Copyable, Cacheable, RemoteCache, ViewPoint, Root):
        assert issubclass(kind, Serializable)
        assert issubclass(kind, Jellyable)
    assert issubclass(RemoteCopy, Unjellyable)
    assert issubclass(RemoteCache, RemoteCopy)


# Referenceable.


class Counter(Referenceable):
    label = "not callable"

    def __init__(self) -> None:
        self.count = 0

    remote_label = "not callable"

    def remote_add(self, by: int = 1, *, times: int = 1) -> int:
        self.count += by * times
        return self.count

    def other(self) -> None:
        raise AssertionError("nobody may call this")


def test_a_referenceable_stays_where_it_is(join: Join) -> None:
    counter = Counter()
    joined = join(Keeper(counter))
    reference = joined.ask("give")
    waiting = reference.callRemote("add", 5, times=2)
    joined.run()
    assert result(waiting) == counter.count == 10


@pytest.mark.parametrize("name", ["other", "label", "nothing", "_private", "__init__", ""])
def test_only_its_remote_methods_are_reachable(name: str, join: Join, logged: Any) -> None:
    joined = join(Keeper(Counter()))
    waiting = joined.ask("give").callRemote(name)
    joined.run()
    found = failure_of(waiting)
    assert found.check(NoSuchMethod)
    assert found.check(AttributeError)
    assert f"remote_{name}" in found.value
    logged.take(NoSuchMethod)


def test_the_same_object_is_the_same_reference_and_comes_home_as_itself(join: Join) -> None:
    counter = Counter()
    keeper = Keeper()
    joined = join(keeper)
    one, other = taken(joined, keeper, [counter, (counter,)])
    assert one is other[0]
    assert joined.ask("echo", counter) is counter
    del one, other
    joined.prove_empty()


class Proxy(Counter):
    def __init__(self, of: object) -> None:
        super().__init__()
        self.of = of

    def processUniqueID(self) -> object:
        return id(self.of)


def test_what_stands_for_the_same_object_is_the_same_reference(join: Join) -> None:
    counter = Counter()
    keeper = Keeper()
    joined = join(keeper)
    one, other, third = taken(joined, keeper, [Proxy(counter), Proxy(counter), Proxy(keeper)])
    assert one is other
    assert one is not third


class Raw(Referenceable):
    """Takes its calls as they came."""

    def __init__(self, kind: Any = None) -> None:
        self.calls: list[Any] = []

    def remote_add(self, *args: int, **kw: int) -> int:
        return sum(args) + sum(kw.values())

    def remote_later(self) -> Any:
        return succeed("later")

    async def remote_wait(self) -> str:
        return "waited"

    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        self.calls.append((broker, message, args, kw))
        return super().remoteMessageReceived(broker, message, args, kw)


def test_a_class_of_its_own_gets_calls_as_jelly(join: Join) -> None:
    raw = Raw()
    joined = join(Keeper(raw))
    waiting = joined.ask("give").callRemote("add", 1, 2, by=3)
    joined.run()
    assert result(waiting) == 6
    [(broker, message, args, kw)] = raw.calls
    assert broker is joined.server
    assert message == "add"
    assert args == [b"tuple", 1, 2]
    assert kw == [b"dictionary", [[b"unicode", b"by"], 3]]


@pytest.mark.parametrize(("name", "expected"), [("later", "later"), ("wait", "waited")])
def test_it_may_answer_later(name: str, expected: str, join: Join) -> None:
    joined = join(Keeper(Raw()))
    waiting = joined.ask("give").callRemote(name)
    joined.run()
    assert result(waiting) == expected


def test_whether_calls_are_taken_as_jelly_is_known_by_class() -> None:
    class Heir(Raw):
        pass

    assert not Referenceable.takes_jelly
    assert not Counter.takes_jelly
    assert Raw.takes_jelly
    assert Heir.takes_jelly
    assert not RemoteCache.takes_jelly
    assert not ViewPoint.takes_jelly


class ByHand:
    """As much of a Broker as a message asks for: jelly is the value itself here."""

    def __init__(self) -> None:
        self.served: list[Any] = []

    def unserialize(self, value: Any, perspective: Any = None) -> Any:
        self.served.append(perspective)
        return value

    def serialize(self, *given: Any) -> Any:
        return given


@pytest.mark.parametrize("message", ["add", b"add"])
@pytest.mark.parametrize("key", ["times", b"times"])
def test_a_message_is_delivered_by_hand(message: Any, key: Any) -> None:
    counter, broker = Counter(), ByHand()
    counter.perspective = "whose"
    given = counter.remoteMessageReceived(broker, message, (2,), {key: 3})
    assert given == (6, "whose")
    assert broker.served == [None, None]


def test_a_message_by_hand_for_no_method() -> None:
    with pytest.raises(NoSuchMethod, match="remote_other"):
        Counter().remoteMessageReceived(ByHand(), "other", (), {})


def test_the_root_gives_itself() -> None:
    root = Root()
    assert root.rootObject(object()) is root
    assert verifyObject(flavors.IPBRoot, root)
    assert not flavors.IPBRoot.providedBy(Referenceable())


class Spoken(Copyable):
    """Tells for whom it is copied."""

    def getStateToCopyFor(self, perspective: Any) -> dict[str, Any]:
        return {"whose": repr(perspective)}

    def getTypeToCopyFor(self, perspective: Any) -> str:
        return f"spoken to {perspective}"


def test_results_are_written_for_the_perspective_of_the_object(join: Join, register: Any) -> None:
    register("spoken to me", RemoteCopy)

    class Mine(Referenceable):
        perspective = "me"

        def remote_give(self) -> Any:
            return Spoken()

    joined = join(Keeper(Mine()))
    waiting = joined.ask("give").callRemote("give")
    joined.run()
    assert result(waiting).whose == "'me'"


# Viewable and ViewPoint.


class Seen(Viewable):
    def view_who(self, perspective: Any, *args: Any, **kw: Any) -> Any:
        return [perspective, list(args), kw]

    def view_again(self, perspective: Any) -> Any:
        return self

    def view_told(self, perspective: Any) -> Any:
        return Spoken()

    def remote_other(self) -> None:
        raise AssertionError("nobody may call this")

    view_label = "not callable"


class Shower(Keeper):
    """Shows an object to a perspective."""

    def __init__(self, seen: Any, perspective: Any) -> None:
        super().__init__()
        self.seen = seen
        self.whose = perspective

    def remote_show(self) -> Any:
        return ViewPoint(self.whose, self.seen)


def test_a_view_gives_the_perspective_first(join: Join) -> None:
    joined = join(Shower(Seen(), "me"))
    waiting = joined.ask("show").callRemote("who", 1, name="x")
    joined.run()
    assert result(waiting) == ["me", [1], {"name": "x"}]


def test_a_viewable_is_seen_by_whoever_it_is_sent_to(join: Join) -> None:
    joined = join(Shower(Seen(), "me"))
    view = joined.ask("show")
    waiting = view.callRemote("again")
    joined.run()
    again = result(waiting)
    assert again == view
    waiting = joined.ask("echo", [again, view])[0].callRemote("who")
    joined.run()
    assert result(waiting)[0] == "me"


def test_a_viewable_that_nobody_has_a_perspective_of(join: Join) -> None:
    joined = join(Keeper(Seen()))
    waiting = joined.ask("give").callRemote("who")
    joined.run()
    assert result(waiting) == [None, [], {}]


def test_the_same_view_is_the_same_reference(join: Join) -> None:
    shower = Shower(Seen(), "me")
    joined = join(shower)
    one = joined.ask("show")
    assert joined.ask("show") is one
    shower.whose = "other"
    assert joined.ask("show") != one


def test_results_of_a_view_are_written_for_its_perspective(join: Join, register: Any) -> None:
    register("spoken to me", RemoteCopy)
    joined = join(Shower(Seen(), "me"))
    waiting = joined.ask("show").callRemote("told")
    joined.run()
    assert result(waiting).whose == "'me'"


@pytest.mark.parametrize("name", ["other", "label", "nothing"])
def test_only_view_methods_are_reachable(name: str, join: Join, logged: Any) -> None:
    joined = join(Shower(Seen(), "me"))
    waiting = joined.ask("show").callRemote(name)
    joined.run()
    assert failure_of(waiting).check(NoSuchMethod)
    logged.take(NoSuchMethod)


def test_a_view_comes_home_as_a_view_even_if_its_release_was_faster(join: Join) -> None:
    class Whose:
        pass

    whose, seen = Whose(), Seen()
    shower = Shower(seen, whose)
    joined = join(shower)
    view = joined.ask("show")
    luid = view.luid
    del view
    joined.counts()
    home = joined.server._core.exports.resolve_home(luid)
    assert isinstance(home, ViewPoint)
    assert (home.perspective, home.object) == (whose, seen)
    del home, whose, shower.whose
    gc.collect()
    with pytest.raises(Exception, match="does not know"):
        joined.server._core.exports.resolve_home(luid)


def test_views_that_can_not_be_made_anew_are_remembered_as_they_are() -> None:
    class Special(ViewPoint):
        pass

    special = Special(None, Seen())
    assert special.weakly()() is special
    plain = ViewPoint(None, seen := Seen())
    again = plain.weakly()()
    assert again is not plain
    assert again is not None
    assert (again.perspective, again.object) == (None, seen)
    with pytest.raises(TypeError):
        ViewPoint(5, seen).weakly()


def test_a_message_for_a_view_is_delivered_by_hand() -> None:
    broker, seen = ByHand(), Seen()
    whole, whose, method, args, kw = ViewPoint("me", seen).remoteMessageReceived(
        broker, b"who", (1,), {b"name": "x"}
    )
    assert whole == ["me", [1], {"name": "x"}]
    assert (whose, args, kw) == ("me", (1,), {"name": "x"})
    assert method(2) == ["me", [2], {}]
    assert broker.served == ["me", "me"]


class RawView(ViewPoint):
    def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
        return super().remoteMessageReceived(broker, "who", args, kw)


def test_a_view_may_take_its_calls_as_jelly(join: Join) -> None:
    joined = join(Keeper(RawView("me", Seen())))
    waiting = joined.ask("give").callRemote("anything", 7)
    joined.run()
    assert result(waiting) == ["me", [7], {}]


# Copyable and RemoteCopy.


class Point(Copyable, RemoteCopy):
    def __init__(self, x: Any, y: Any) -> None:
        self.x = x
        self.y = y


def test_a_copyable_arrives_as_a_copy_of_its_attributes(join: Join, register: Any) -> None:
    register(Point)
    keeper = Keeper()
    joined = join(keeper)
    point = Point(1, [2])
    found = taken(joined, keeper, point)
    assert isinstance(found, Point)
    assert found is not point
    assert vars(found) == {"x": 1, "y": [2]}


def test_sharing_and_cycles_arrive(join: Join, register: Any) -> None:
    register(Point)
    keeper = Keeper()
    joined = join(keeper)
    point = Point(1, [])
    point.y.append(point)
    one, other = taken(joined, keeper, [point, point])
    assert one is other
    assert one.y == [one]


@pytest.mark.parametrize("name", ["observers", "update", "state", "broker", "luid", "released"])
@pytest.mark.parametrize("kind", ["copy", "cache"])
def test_an_application_may_call_its_attributes_what_it_likes(
    name: str, kind: str, join: Join, register: Any
) -> None:
    class Named(Cacheable if kind == "cache" else Copyable):  # type: ignore[misc]
        pass

    class NamedThere(RemoteCache if kind == "cache" else RemoteCopy):  # type: ignore[misc]
        pass

    register(Named, NamedThere)
    keeper = Keeper()
    joined = join(keeper)
    named = Named()
    setattr(named, name, [1])
    named.other = 2
    found = taken(joined, keeper, named)
    assert found.other == 2
    if kind == "copy" or name not in ("broker", "luid"):
        assert getattr(found, name) == [1]
    else:
        assert found.broker is joined.server


class Asked(Copyable):
    """Says itself what is sent of it, in one hook or the other."""

    def __init__(self, **hooks: Any) -> None:
        self.asked: list[Any] = []
        for name, hook in hooks.items():
            setattr(self, name, hook)

    def getStateToCopyFor(self, perspective: Any) -> Any:
        self.asked.append(("state", perspective))
        return super().getStateToCopyFor(perspective)

    def getStateToCopy(self) -> Any:
        return {"only": "this"}

    def getTypeToCopyFor(self, perspective: Any) -> Any:
        self.asked.append(("type", perspective))
        return super().getTypeToCopyFor(perspective)

    def getTypeToCopy(self) -> Any:
        return "asked"


def test_hooks_are_asked_for_type_and_state_with_the_perspective(join: Join, register: Any) -> None:
    register("asked", RemoteCopy)
    asked = Asked()

    class Gives(Viewable):
        def view_give(self, perspective: Any) -> Any:
            return asked

    joined = join(Shower(Gives(), "me"))
    waiting = joined.ask("show").callRemote("give")
    joined.run()
    assert vars(result(waiting)) == {"only": "this"}
    assert asked.asked == [("type", "me"), ("state", "me")]


@pytest.mark.parametrize("tag", ["a tag", b"a tag"])
def test_a_tag_is_text_or_bytes(tag: Any, join: Join, register: Any) -> None:
    class Tagged(Copyable):
        def getTypeToCopy(self) -> Any:
            return tag

    register("a tag", RemoteCopy)
    keeper = Keeper()
    assert isinstance(taken(join(keeper), keeper, Tagged()), RemoteCopy)


@pytest.mark.parametrize("tag", [None, 5, b"\xff", "", "list", "x" * 1000])
def test_what_can_not_be_a_tag_is_refused(tag: Any, join: Join) -> None:
    class Tagged(Copyable):
        def getTypeToCopy(self) -> Any:
            return tag

    joined = join(Keeper())
    waiting = joined.root.callRemote("keep", Tagged())
    joined.run()
    assert failure_of(waiting).check(InsecureJelly)
    joined.prove_empty()


def test_what_a_hook_raises_fails_the_call(join: Join) -> None:
    class Fails(Copyable):
        def getStateToCopy(self) -> Any:
            raise KeyError("mine")

    joined = join(Keeper())
    waiting = joined.root.callRemote("keep", [Counter(), Fails()])
    joined.run()
    assert failure_of(waiting).check(KeyError)
    joined.prove_empty()


@pytest.mark.parametrize("state", [None, {}])
def test_a_copy_may_have_no_state(state: Any, join: Join, register: Any) -> None:
    class Bare(Copyable):
        def getStateToCopy(self) -> Any:
            return state

    register(Bare, RemoteCopy)
    keeper = Keeper()
    assert vars(taken(join(keeper), keeper, Bare())) == {}


class State(Copyable):
    """Has whatever state a test wants."""

    def __init__(self, state: Any) -> None:
        self.given = state

    def getStateToCopy(self) -> Any:
        return self.given

    def getTypeToCopy(self) -> str:
        return "any state"


def test_byte_keys_become_text(join: Join, register: Any) -> None:
    register("any state", RemoteCopy)
    keeper = Keeper()
    assert vars(taken(join(keeper), keeper, State({b"a": 1, "b": 2}))) == {"a": 1, "b": 2}


class Guarded(Referenceable, RemoteCopy):
    def remote_x(self) -> None:
        pass

    @property
    def computed(self) -> int:
        return 1


@pytest.mark.parametrize(
    "key",
    [
        *("setCopyableState", "remote_x", "computed", "unjellyFor", "__class__", "write_jelly"),
        *("perspective", "takes_jelly", "method_prefix", "find_method", b"\xff"),
    ],
)
def test_a_peer_can_not_hide_what_a_class_has(key: Any, join: Join, register: Any) -> None:
    register("any state", Guarded)
    joined = join(Keeper())
    waiting = joined.root.callRemote("keep", State({key: 1}))
    joined.run()
    assert failure_of(waiting).check(InsecureJelly)
    joined.prove_empty()


def test_a_copier_may_take_the_state_itself(join: Join, register: Any) -> None:
    class Takes(RemoteCopy):
        def setCopyableState(self, state: Any) -> None:
            self.__dict__ = {"all": state}

    class Adds(RemoteCopy):
        def setCopyableState(self, state: Any) -> None:
            super().setCopyableState({**state, "more": 2})

    keeper = Keeper()
    joined = join(keeper)
    register("any state", Takes)
    assert vars(taken(joined, keeper, State({"a": 1}))) == {"all": {"a": 1}}
    register("any state", Adds)
    assert vars(taken(joined, keeper, State({"a": 1}))) == {"a": 1, "more": 2}


def test_a_copy_is_made_without_init_and_told_when_all_is_there(join: Join, register: Any) -> None:
    class Late(RemoteCopy):
        def __init__(self) -> None:
            raise AssertionError("it is not called")

        def postUnjelly(self) -> None:
            self.whole = len(self.items)  # type: ignore[attr-defined]

    register("any state", Late)
    keeper = Keeper()
    assert taken(join(keeper), keeper, State({"items": [1, 2]})).whole == 2


# Hooks for jelly itself.


class Rewritten(Copyable):
    """Adds something of its own to what is sent."""

    def jellyFor(self, jellier: Any) -> Any:
        sexp = super().jellyFor(jellier)
        return [*sexp, b"and more"]

    def getTypeToCopy(self) -> str:
        return "rewritten"

    def getStateToCopy(self) -> Any:
        return {"a": 1}


class Reread(RemoteCopy):
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        self.rest = jellyList[2:]
        return super().unjellyFor(unjellier, jellyList[:2])


def test_jelly_hooks_may_call_those_of_the_flavours(join: Join, register: Any) -> None:
    register("rewritten", Reread)
    keeper = Keeper()
    joined = join(keeper)
    one, other = taken(joined, keeper, [value := Rewritten(), value])
    assert one is other
    assert isinstance(one, Reread)
    assert vars(one) == {"rest": [b"and more"], "a": 1}


class HookedReferenceable(Counter):
    def jellyFor(self, jellier: Any) -> Any:
        return super().jellyFor(jellier)


class HookedViewable(Seen):
    def jellyFor(self, jellier: Any) -> Any:
        return super().jellyFor(jellier)


def test_a_reference_is_counted_by_its_hook_as_well(join: Join) -> None:
    keeper = Keeper()
    joined = join(keeper)
    counter = HookedReferenceable()
    one, other = taken(joined, keeper, [counter, counter])
    assert one is other
    assert joined.ask("echo", counter) is counter
    waiting = one.callRemote("add")
    joined.run()
    assert result(waiting) == 1
    del one, other
    joined.prove_empty()


def test_a_viewable_with_a_hook_is_seen_by_the_same_perspective(join: Join) -> None:
    class Gives(Viewable):
        def view_give(self, perspective: Any) -> Any:
            return HookedViewable()

    joined = join(Shower(Gives(), "me"))
    waiting = joined.ask("show").callRemote("give")
    joined.run()
    waiting = result(waiting).callRemote("who")
    joined.run()
    assert result(waiting)[0] == "me"


def test_an_object_may_travel_as_another(join: Join) -> None:
    class Stands(Copyable):
        def __init__(self, counter: Counter) -> None:
            self.counter = counter

        def jellyFor(self, jellier: Any) -> Any:
            return self.counter.jellyFor(jellier)

    counter = Counter()
    assert join(Keeper()).ask("echo", Stands(counter)) is counter


# Without a connection.


def test_without_a_connection_a_copy_is_what_pickle_would_keep() -> None:
    class Kept(Copyable):
        def __getstate__(self) -> Any:
            return {"kept": 1}

        def getStateToCopy(self) -> Any:
            raise AssertionError("there is nobody to copy it for")

    Kept.__qualname__ = "Kept"
    tag, state = jelly.jelly(Kept())
    assert tag == f"{__name__}.Kept".encode()
    assert state == [b"dictionary", [[b"unicode", b"kept"], 1]]


@pytest.mark.parametrize("kind", [Point, Cacheable, RemoteCache])
def test_without_a_connection_copies_and_caches_come_back(kind: Any) -> None:
    made = kind.__new__(kind)
    made.x = [1]
    again = jelly.unjelly(jelly.jelly(made))
    assert type(again) is kind
    assert again.x == [1]


def test_hooks_of_ones_own_are_asked_without_a_connection_as_well(register: Any) -> None:
    asked: list[str] = []

    class Copied(RemoteCopy):
        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            asked.append("copy")
            return super().unjellyFor(unjellier, jellyList)

    class Cached(RemoteCache):
        def jellyFor(self, jellier: Any) -> Any:
            asked.append("jelly")
            return super().jellyFor(jellier)

        def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
            asked.append("cache")
            return super().unjellyFor(unjellier, jellyList)

    register("any state", Copied)
    assert jelly.unjelly([b"any state", [b"dictionary", [[b"unicode", b"x"], 1]]]).x == 1
    register("any state", Cached)
    cached = jelly.unjelly([b"any state", [b"dictionary", [[b"unicode", b"x"], 1]]])
    assert (cached.x, cached.broker) == (1, None)
    assert jelly.jelly(cached)[1] == [b"dictionary", [[b"unicode", b"x"], 1]]
    assert asked == ["copy", "cache", "jelly"]


@pytest.mark.parametrize("kind", [Counter, Seen, HookedReferenceable])
def test_without_a_connection_no_reference_can_be_made(kind: Any) -> None:
    with pytest.raises((InsecureJelly, AttributeError)):
        jelly.jelly(kind())
    with pytest.raises(Exception, match=r"connection|Twisted"):
        dumps(kind())


@pytest.mark.parametrize("kind", [Copyable, Cacheable])
def test_outside_of_the_face_a_hook_of_ones_own_is_not_asked(kind: Any) -> None:
    class Own(kind):  # type: ignore[misc]
        def jellyFor(self, jellier: Any) -> Any:
            raise AssertionError("there is no jellier")

    with pytest.raises(Exception, match="Twisted"):
        dumps(Own())


def test_an_object_of_this_face_is_copied_by_the_other_faces_as_well() -> None:
    assert b"tests.twisted.test_flavors.Point" in dumps(Point(1, 2))


# Cacheable and RemoteCache.


class Board(Cacheable):
    def __init__(self, **state: Any) -> None:
        self.state = state
        self.watching: list[Any] = []
        self.stopped: list[Any] = []

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.watching.append(observer)
        return dict(self.state)

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.stopped.append((perspective, observer))
        self.watching.remove(observer)

    def tell(self, name: str, value: Any) -> list[Any]:
        self.state[name] = value
        return [observer.callRemote("set", name, value) for observer in self.watching]


class BoardThere(RemoteCache):
    """What a Board is on the other side."""

    begun = 0
    a: Any

    def __init__(self) -> None:
        self.begun += 1

    def observe_set(self, name: str, value: Any) -> str:
        setattr(self, name, value)
        return f"{name} is set"

    def other(self) -> None:
        raise AssertionError("nobody may call this")


@pytest.fixture
def boards(register: Any) -> None:
    register(Board, BoardThere)


@pytest.mark.usefixtures("boards")
class TestCaches:
    def test_a_cache_arrives_with_its_state(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(Keeper(board))
        copy = joined.ask("give")
        assert isinstance(copy, BoardThere)
        assert copy.a == 1
        assert copy.begun == 1
        assert copy.broker is joined.client
        [observer] = board.watching
        assert isinstance(observer, RemoteCacheObserver)
        assert observer.cached is board
        assert observer.broker is joined.server
        assert copy.luid == observer.luid

    def test_an_update_reaches_it(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(Keeper(board))
        copy = joined.ask("give")
        [told] = board.tell("a", 2)
        joined.run()
        assert result(told) == "a is set"
        assert copy.a == 2

    def test_only_observe_methods_are_reachable(self, join: Join, logged: Any) -> None:
        board = Board()
        joined = join(Keeper(board))
        copy = joined.ask("give")
        waiting = board.watching[0].callRemote("other")
        joined.run()
        assert failure_of(waiting).check(NoSuchMethod)
        assert copy.broker is not None
        logged.take(NoSuchMethod)

    def test_it_is_the_same_however_often_it_is_sent(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(Keeper([board, board]))
        one, other = joined.ask("give")
        [third, _] = joined.ask("give")
        assert one is other is third
        assert len(board.watching) == 1
        assert one == third
        assert hash(one) == hash(third)

    def test_it_goes_home_as_the_original(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(keeper := Keeper(board))
        copy = joined.ask("give")
        joined.ask("keep", [copy])
        assert keeper.kept[0] is board

    def test_when_the_last_use_goes_the_owner_hears_of_it(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(keeper := Keeper(board))
        copy = joined.ask("give")
        [observer] = board.watching
        there = weakref.ref(copy)
        del copy
        joined.prove_empty()
        assert there() is None
        assert board.stopped == [(None, observer)]
        assert board.watching == []
        keeper.kept = None

    def test_when_the_connection_ends_the_owner_hears_of_it(self, join: Join) -> None:
        board = Board(a=1)
        joined = join(Keeper(board))
        copy = joined.ask("give")
        [observer] = board.watching
        joined.lose()
        assert board.stopped == [(None, observer)]
        assert copy.a == 1

    def test_two_clients_have_a_copy_each(self, join: Join) -> None:
        board = Board(a=1)
        one, other = join(Keeper(board)), join(Keeper(board))
        copies = [one.ask("give"), other.ask("give")]
        first, second = board.watching
        assert first != second
        told = board.tell("a", 2)
        one.run()
        other.run()
        assert [result(each) for each in told] == ["a is set"] * 2
        assert [copy.a for copy in copies] == [2, 2]
        one.lose()
        assert board.watching == [second]
        board.tell("a", 3)
        other.run()
        assert [copy.a for copy in copies] == [2, 3]

    def test_a_copy_is_refused_on_any_other_connection(self, join: Join) -> None:
        one, other = join(Keeper(Board())), join(Keeper())
        copy = one.ask("give")
        waiting = other.root.callRemote("keep", copy)
        other.run()
        assert failure_of(waiting).check(InsecureJelly)

    def test_a_copy_with_a_hook_is_refused_there_as_well(self, join: Join, register: Any) -> None:
        class Hooked(BoardThere):
            def jellyFor(self, jellier: Any) -> Any:
                return super().jellyFor(jellier)

        register(Board, Hooked)
        one, other = join(Keeper(Board())), join(Keeper())
        copy = one.ask("give")
        waiting = other.root.callRemote("keep", copy)
        other.run()
        assert failure_of(waiting).check(InsecureJelly)

    def test_one_that_was_not_received_can_not_be_sent(self, join: Join) -> None:
        joined = join(Keeper())
        waiting = joined.root.callRemote("keep", BoardThere())
        joined.run()
        assert failure_of(waiting).check(InsecureJelly)

    def test_a_state_that_is_replaced_keeps_the_connection(self, join: Join, register: Any) -> None:
        class Replaces(BoardThere):
            def setCopyableState(self, state: Any) -> None:
                self.__dict__ = state

        register(Board, Replaces)
        board = Board(a=1)
        joined = join(keeper := Keeper(board))
        copy = joined.ask("give")
        assert copy.broker is joined.client
        assert copy.luid == board.watching[0].luid
        assert joined.ask("echo", copy) is copy
        joined.ask("keep", copy)
        assert keeper.kept is board
        board.tell("a", 2)
        joined.run()
        assert copy.a == 2

    def test_a_copy_may_take_updates_as_jelly(self, join: Join, register: Any) -> None:
        class Takes(BoardThere):
            def remoteMessageReceived(self, broker: Any, message: Any, args: Any, kw: Any) -> Any:
                self.taken = (message, args, kw)
                return super().remoteMessageReceived(broker, message, args, kw)

        register(Board, Takes)
        board = Board(a=1)
        joined = join(Keeper(board))
        copy = joined.ask("give")
        [told] = board.tell("a", 2)
        joined.run()
        assert result(told) == "a is set"
        assert copy.taken == ("set", [b"tuple", [b"unicode", b"a"], 2], [b"dictionary"])
        assert copy.a == 2

    def test_a_peer_can_not_hide_what_a_copy_has(self, join: Join) -> None:
        joined = join(Keeper(Board(observe_set=1)))
        waiting = joined.root.callRemote("give")
        joined.run()
        assert failure_of(waiting).check(InsecureJelly)

    def test_the_owner_may_be_a_copy_of_somebody_else(self, join: Join, register: Any) -> None:
        class Relay(Board, BoardThere):
            def __init__(self) -> None:
                Board.__init__(self)

            def setCopyableState(self, state: Any) -> None:
                self.state = dict(state)

            def observe_set(self, name: str, value: Any) -> Any:
                return self.tell(name, value)[0]

        register(Board, Relay)
        register(Relay, BoardThere)
        board = Board(a=1)
        first = join(Keeper(board))
        relay = first.ask("give")
        assert type(relay) is Relay
        second = join(Keeper(relay))
        copy = second.ask("give")
        assert (copy.a, type(copy)) == (1, BoardThere)
        [told] = board.tell("a", 2)
        first.run()
        second.run()
        first.run()
        assert result(told) == "a is set"
        assert copy.a == 2

    def test_hooks_for_jelly_may_call_those_of_a_cache(self, join: Join, register: Any) -> None:
        class Hooked(Board):
            def jellyFor(self, jellier: Any) -> Any:
                return super().jellyFor(jellier)

        class HookedThere(BoardThere):
            def jellyFor(self, jellier: Any) -> Any:
                return super().jellyFor(jellier)

            def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
                return super().unjellyFor(unjellier, jellyList)

        register(Hooked, HookedThere)
        board = Hooked(a=1)
        joined = join(keeper := Keeper([board, board]))
        one, other = joined.ask("give")
        assert one is other is joined.ask("give")[0]
        assert (one.a, one.begun, one.broker) == (1, 1, joined.client)
        [observer] = board.watching
        assert observer.cached is board
        assert one.luid == observer.luid
        board.tell("a", 2)
        joined.run()
        assert one.a == 2
        joined.ask("keep", one)
        assert keeper.kept is board
        keeper.kept = None
        del one, other
        joined.prove_empty()
        assert board.watching == []

    def test_what_stands_for_the_same_cache_is_the_same_copy(
        self, join: Join, register: Any
    ) -> None:
        class Alias(Board):
            def __init__(self, of: Any) -> None:
                super().__init__(a=1)
                self.of = of

            def processUniqueID(self) -> object:
                return id(self.of)

        register(Alias, BoardThere)
        of = Counter()
        joined = join(Keeper([Alias(of), Alias(of)]))
        one, other = joined.ask("give")
        assert one is other

    def test_copies_come_back_to_life_for_an_update(self, join: Join) -> None:
        """The owner tells of a change before it hears that the last copy is gone."""
        board = Board(a=1)
        joined = join(Keeper(board))
        joined.ask("give")
        gc.collect()
        [told] = board.tell("a", 2)
        joined.run()
        assert result(told) == "a is set"


def test_an_update_is_delivered_by_hand() -> None:
    copy, broker = BoardThere(), ByHand()
    whole, whose, method, args, kw = copy.remoteMessageReceived(
        broker, b"set", ("a",), {b"value": 1}
    )
    assert (whole, whose) == ("a is set", None)
    assert (args, kw) == (("a",), {"value": 1})
    assert method("b", 2) == "b is set"
    assert broker.served == [None, None]


def test_a_cache_that_was_not_received_knows_no_connection() -> None:
    assert (BoardThere().broker, BoardThere().luid) == (None, None)


def test_a_cacheable_has_the_state_of_a_copyable_if_not_otherwise(
    join: Join, register: Any
) -> None:
    class Plain(Cacheable):
        def getStateToCopyFor(self, perspective: Any) -> Any:
            return {"for": perspective}

    register(Plain, RemoteCache)
    plain = Plain()
    joined = join(Keeper(plain))
    assert getattr(joined.ask("give"), "for") is None
    assert plain.stoppedObserving(None, None) is None


def test_an_observer_of_another_face_is_given_on_as_it_is() -> None:
    seen: list[Any] = []

    class Plain(Cacheable):
        def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
            seen.append(observer)
            return {}

    pair = harness.join(Keeper([Plain(), counter := Counter()]))
    with pytest.raises(CoreInsecureJelly, match="not registered"):
        pair.ask("give")
    [observer] = seen
    assert type(observer) is harness.Observer
    assert pair.ask("echo", 1) == 1
    assert counter.count == 0


def test_objects_of_this_face_are_served_on_any_other() -> None:
    counter = Counter()
    pair = harness.join(Keeper({"counter": counter, "view": ViewPoint("me", Seen())}))
    given = pair.ask("give")
    for name, args, expected in (
        ("counter", ("add", 5), 5),
        ("view", ("who", 1), ["me", [1], {}]),
    ):
        waiter = pair.client.call(given[name], *args)
        pair.run()
        assert waiter.result() == expected
    assert pair.ask("echo", given["counter"]) is given["counter"]
    del given
    pair.prove_empty()


def test_what_is_received_can_be_received_on_any_other() -> None:
    registry = Registry()
    registry.cache("harness.Stock", BoardThere)
    pair = harness.join(Keeper(harness.Stock(a=1)), registry=registry)
    copy = pair.ask("give")
    assert type(copy) is BoardThere
    assert copy.broker is None
    del copy
    pair.prove_empty()


# Several at once.


def test_flavours_and_errors_can_be_put_together() -> None:
    class Both(Cacheable, RemoteCache):
        pass

    class Other(RemoteCache, Cacheable):
        pass

    class Thing(Copyable, RemoteCopy):
        pass

    class Fails(Jellyable, Error, RemoteCopy):
        pass

    class Refers(Referenceable, Error):
        pass

    assert [kind().processUniqueID() for kind in (Both, Other, Thing)]
    assert Fails("x").args == ("x",)
    assert Refers("x").takes_jelly is False


# The readers of ids, called by hand.


class Tables:
    def cachedLocallyAs(self, luid: Any) -> Any:
        return "copy", luid

    def remotelyCachedForLUID(self, luid: Any) -> Any:
        return "cache", luid

    def localObjectForID(self, luid: Any) -> Any:
        return "own", luid


class Reads:
    invoker = Tables()


def test_readers_of_ids_look_into_the_tables() -> None:
    assert flavors.unjellyCached(Reads(), [b"cached", 3]) == ("copy", 3)
    assert flavors.unjellyLCache(Reads(), [b"lcache", 4]) == ("cache", 4)
    assert flavors.unjellyLocal(Reads(), [b"local", 5]) == ("own", 5)


def test_they_are_registered() -> None:
    assert flavors.copyTags[b"cached"] is flavors.unjellyCached
    assert flavors.copyTags[b"lcache"] is flavors.unjellyLCache
    assert flavors.copyTags[b"local"] is flavors.unjellyLocal


def test_a_broker_that_is_not_connected_serves_as_an_invoker() -> None:
    counter = Counter()
    broker = Broker()
    assert jelly.jelly(counter, invoker=broker) == [b"remote", 1]
    assert broker.localObjectForID(1) is counter


def test_results_come_as_deferreds(join: Join) -> None:
    assert isinstance(join(Keeper()).root.callRemote("give"), Deferred)
