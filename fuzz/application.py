"""The application on our side of a fuzzed connection: classes, objects, and what they answer."""

from dataclasses import dataclass
from typing import Any

from pellucid.errors import Error
from pellucid.events import CallReceived
from pellucid.flavors import (
    Avatar,
    Cacheable,
    Copyable,
    Referenceable,
    RemoteCache,
    RemoteCopy,
    Root,
    Viewable,
)
from pellucid.registry import Registry


class Misfit(Exception):
    """What code of the application raises for a state that it does not like."""


class Wrong(Error):
    """What a method of the application raises."""


class Node(Copyable, tag="fuzz.Node"):
    """A copy with any attributes, hashed by its identity."""


class Taking(Copyable, RemoteCopy, tag="fuzz.Taking"):
    """One that takes its state itself, and not any."""

    def set_copied_state(self, state: dict[str, Any]) -> None:
        if "bad" in state:
            raise Misfit("bad")
        super().set_copied_state(state)


@dataclass(frozen=True)
class Both(Copyable, tag="fuzz.Both"):
    """One that is hashed by what is in it."""

    left: Any
    right: Any = None


class Made(Copyable, tag="fuzz.Made"):
    """One that a function makes, of anything but a number."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def state_to_copy(self) -> Any:
        return self.content


def make(state: Any) -> Made:
    if isinstance(state, int):
        raise Wrong("a number")
    return Made(state)


class Stock(Cacheable, tag="fuzz.Stock"):
    """A cache whose copies hear of changes."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def put(self, name: str, count: int) -> None:
        self.items[name] = count
        self.update("put", name, count)


class RemoteStock(RemoteCache):
    """Its copy, which takes whatever it is told."""

    def observe_put(self, *args: Any, **kwargs: Any) -> int:
        vars(self)["told"] = args
        return len(args) + len(kwargs)

    def observe_fail(self, *args: Any, **kwargs: Any) -> None:
        raise Wrong("an update")


class Strict(RemoteCache):
    """One that does not like every state."""

    def set_cached_state(self, state: Any) -> None:
        if not state:
            raise Misfit("nothing")
        super().set_cached_state(state)


class Thing(Referenceable):
    """An object that can be called, and hears that nobody holds it any more."""

    wants_release = True

    def remote_echo(self, *args: Any, **kwargs: Any) -> Any:
        return [*args, kwargs] if kwargs else list(args)


class View(Viewable):
    """One that is called with the perspective of who calls."""

    def view_echo(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        return [perspective, *args, kwargs]


class User(Avatar):
    """On whose behalf calls are made."""

    def __init__(self, things: "App") -> None:
        self.app = things

    def perspective_echo(self, *args: Any, **kwargs: Any) -> Any:
        return [*args, kwargs]

    def perspective_view(self, *args: Any, **kwargs: Any) -> Any:
        return self.app.view

    def perspective_stock(self, *args: Any, **kwargs: Any) -> Any:
        return self.app.stock


class Later:
    """The answer comes when an action says so."""


class App(Root):
    """What the peer may call under the name `root`."""

    def __init__(self) -> None:
        self.thing = Thing()
        self.stock = Stock()
        self.view = View()
        self.user = User(self)
        self.kept: list[Any] = []
        self.later: list[CallReceived] = []

    def remote_echo(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return [*args, kwargs]
        return args[0] if len(args) == 1 else args

    remote_any = remote_echo

    def remote_kind(self, *args: Any, **kwargs: Any) -> Any:
        return [type(one).__name__ for one in args]

    def remote_thing(self, *args: Any, **kwargs: Any) -> Any:
        return self.thing

    def remote_things(self, *args: Any, **kwargs: Any) -> Any:
        return [Thing() for _ in range(3)]

    def remote_stock(self, *args: Any, **kwargs: Any) -> Any:
        return self.stock

    def remote_view(self, *args: Any, **kwargs: Any) -> Any:
        return self.view

    def remote_user(self, *args: Any, **kwargs: Any) -> Any:
        return self.user

    def remote_keep(self, *args: Any, **kwargs: Any) -> Any:
        self.kept += [*args, *kwargs.values()]
        return len(self.kept)

    def remote_kept(self, *args: Any, **kwargs: Any) -> Any:
        return self.kept

    def remote_later(self, *args: Any, **kwargs: Any) -> Any:
        return Later()

    def remote_fail(self, *args: Any, **kwargs: Any) -> Any:
        raise Wrong("fail")

    def remote_break(self, *args: Any, **kwargs: Any) -> Any:
        raise Misfit("break")

    def remote_bad(self, *args: Any, **kwargs: Any) -> Any:
        return [Thing(), object()]

    def remote_long(self, *args: Any, **kwargs: Any) -> Any:
        return "long" * 100


# What the application raises; a reason with any other class is ours.
OWN_ERRORS = (Misfit, Wrong)
# The names on the wire of what may be answered.
SAID = {
    "fuzz.application.Misfit",
    "fuzz.application.Wrong",
    "twisted.spread.pb.Error",
    "twisted.spread.jelly.InsecureJelly",
    "twisted.spread.flavors.NoSuchMethod",
    "pellucid.LimitExceeded",
}


def registry() -> Registry:
    """Give what may arrive."""
    found = Registry()
    for cls in (Node, Taking, Both):
        found.copy(cls)
    found.copy("fuzz.Made", make)
    found.copy("vectors.Point", Node)
    found.cache("fuzz.Stock", RemoteStock)
    found.cache("fuzz.Strict", Strict)
    found.cache("vectors.Pond", RemoteStock)
    found.error(Wrong)
    return found
