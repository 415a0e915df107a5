"""Connections: many, half open, slow. Most of it works against every server."""

from collections import deque

from attack import wire
from attack.registry import FOOLSCAP, PB, PYRO, RPYC, attack
from attack.target import Cut, Line, Target
from attack.wire import head, item

_ALL = (PB, FOOLSCAP, RPYC, PYRO)


def _open(t: Target, count: int) -> list[Line]:
    """Begin so many connections, as fast as it goes."""
    lines = []
    for _ in range(count):
        try:
            lines.append(t.knock())
        except Cut:
            t.cut += 1
    return lines


@attack(*_ALL)
def half_open_sockets(t: Target) -> None:
    """500 connections that say nothing."""
    t.hold(_open(t, 500))


@attack(*_ALL)
def connections_from_one_address(t: Target) -> None:
    """1,500 connections from one address, which stay."""
    t.hold(_open(t, 1_500))


@attack()
def sessions_from_one_address(t: Target) -> None:
    """1,500 connections from one address, each with its handshake and a call."""
    lines = []
    for _ in range(1_500):
        try:
            line = t.pb()
            line.send(wire.call(b"make"))
            lines.append(line)
        except Cut:
            t.cut += 1
    t.hold(lines)


@attack(*_ALL)
def connection_flood(t: Target) -> None:
    """Connections that are opened and closed at once."""
    under_way: deque[Line] = deque()
    while True:
        try:
            under_way.append(t.knock())
        except Cut:
            t.cut += 1
        if len(under_way) > 200:
            under_way.popleft().close()


@attack(files=64)
def out_of_files(t: Target) -> None:
    """200 connections to a server that may have 64 open files."""
    t.hold(_open(t, 200))


@attack()
def handshake_never_finished(t: Target) -> None:
    """300 connections that stop in the middle of their handshake, at one place or another."""
    name = item(b"none")
    places = [b"", name[:1], name[:3], name, name + head(wire.LIST, 2), name + item(b"version")[:3]]
    lines = []
    for number, line in enumerate(_open(t, 300)):
        lines.append(line)
        try:
            line.send(places[number % len(places)])
        except Cut:
            t.cut += 1
    t.hold(lines)


@attack()
def slow_handshake(t: Target) -> None:
    """A handshake whose only string comes one byte a second, with digits of zero before it."""
    lines = _open(t, 50)
    while True:
        for line in lines:
            line.send(b"\x00")
        t.rest(0.5)


@attack()
def endless_handshake(t: Target) -> None:
    """The name of a dialect that has 640 KB, and another one behind it."""
    line = t.connect()
    while True:
        line.send(head(wire.STRING, 655_360) + b"n" * 655_360)


for _family in (FOOLSCAP, RPYC, PYRO):
    attack(_family)(out_of_files)
