"""What both Twisted peers have: objects that are called, and one that tells of its tables."""

import os
from typing import Any

from twisted.internet import defer, task
from twisted.internet import reactor as installed
from twisted.spread import pb

reactor: Any = installed


class Expected(pb.Error):
    """Raised on purpose; no Pellucid program knows its name."""


class Copy(pb.Copyable):
    """A copy that nobody accepts."""

    def __init__(self, inside: object) -> None:
        self.inside = inside


class Two(pb.Referenceable):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def remote_three(self, arg: object) -> object:
        self.seen.append(arg)
        return arg


class Peer(pb.Root):
    """Does with its own broker whatever the other side asks for."""

    broker: Any = None

    def __init__(self) -> None:
        self.two = Two()
        self.kept: list[Any] = []

    def rootObject(self, broker: Any) -> "Peer":
        self.broker = broker
        return self

    def remote_echo(self, value: object) -> object:
        return value

    def remote_echo_later(self, value: object) -> "defer.Deferred[object]":
        return task.deferLater(reactor, 0, lambda: value)

    def remote_add(self, *values: int, **more: int) -> int:
        return sum(values) + sum(more.values())

    def remote_getTwo(self) -> Two:
        return self.two

    def remote_checkTwo(self, two: object) -> bool:
        return two is self.two

    def remote_takeTwo(self, two: Any) -> Any:
        return two.callRemote("print", 12)

    def remote_nextQuote(self) -> str:
        return "An apple a day keeps the doctor away."

    def remote_fooMethod(self, arg: object) -> str:
        if arg == "panic!":
            raise Expected("panic")
        return "response"

    def remote_shutdown(self) -> None:
        self.broker.transport.loseConnection()

    def remote_unexpected(self) -> None:
        raise KeyError("nothing")

    def remote_make(self, count: int) -> list[pb.Referenceable]:
        return [pb.Referenceable() for _ in range(count)]

    def remote_keep(self, values: list[object]) -> int:
        self.kept.extend(values)
        return len(self.kept)

    def remote_drop(self) -> None:
        self.kept.clear()

    def remote_tables(self) -> list[int]:
        """How many objects are held of this side, and how many this side holds."""
        return [len(self.broker.localObjects), len(self.kept)]

    def remote_copy(self) -> Copy:
        return Copy([Two(), 1])

    def remote_die(self) -> "defer.Deferred[None]":
        reactor.callLater(0, os._exit, 7)
        return defer.Deferred()
