"""The same attacks in the protocol of RPyC, where they have something like it.

A frame is its length, whether it is compressed, its data, and a line feed.
"""

import struct
from typing import Any

from attack.registry import FOOLSCAP, PYRO, RPYC, attack
from attack.target import Cut, Line, Target

_REQUEST, _REPLY = 1, 2
_VALUE, _TUPLE, _LOCAL = 1, 2, 3
_GET_ROOT, _GET_ATTRIBUTE, _CALL = 3, 4, 7


def _frame(data: bytes) -> bytes:
    return struct.pack("!LB", len(data), 0) + data + b"\n"


def _request(number: int, handler: int, args: Any) -> bytes:
    from rpyc.core import brine  # noqa: PLC0415 - only where it is attacked

    return _frame(bytes([_REQUEST]) + bytes(brine.dump((number, (handler, (_TUPLE, args))))))


class _Rpyc:
    """A connection to an RPyC server, which knows the server's root."""

    def __init__(self, t: Target, *, narrow: bool = False) -> None:
        self.line = t.connect(narrow=narrow)
        self.line.send(_request(1, _GET_ROOT, ()), reading=False)
        self.root = self._answer()

    def _answer(self) -> Any:
        from rpyc.core import brine  # noqa: PLC0415

        data = self.line.read(5)
        size = struct.unpack("!LB", data[:5])[0]
        while len(data) < size + 6:
            data += self.line.read(1)
        if data[5] != _REPLY:
            raise Cut
        return brine.load(data[6 : 5 + size])[1][1]

    def method(self, name: str) -> Any:
        args = ((_LOCAL, self.root), (_VALUE, name))
        self.line.send(_request(2, _GET_ATTRIBUTE, args), reading=False)
        return self._answer()

    def call(self, method: Any, *args: Any) -> bytes:
        boxed = tuple((_VALUE, arg) for arg in args)
        return _request(3, _CALL, ((_LOCAL, method), (_TUPLE, boxed), (_TUPLE, ())))


def _flood(line: Line, data: bytes, *, reading: bool = True) -> None:
    while True:
        line.send(data, reading=reading)


def _rpyc_flood(t: Target, name: str, *args: Any, count: int = 1, reading: bool = True) -> None:
    peer = _Rpyc(t, narrow=not reading)
    data = peer.call(peer.method(name), *args) * count
    _flood(peer.line, data, reading=reading)


@attack(RPYC)
def call_flood(t: Target) -> None:
    _rpyc_flood(t, "echo", b"x", count=500)


@attack(RPYC)
def never_reads(t: Target) -> None:
    _rpyc_flood(t, "blob", 600_000, count=50, reading=False)


@attack(RPYC)
def echo_never_reads(t: Target) -> None:
    _rpyc_flood(t, "echo", b"x" * 100_000, reading=False)


@attack(RPYC)
def reference_flood_out(t: Target) -> None:
    _rpyc_flood(t, "make", count=500)


@attack(RPYC)
def failing_methods(t: Target) -> None:
    _rpyc_flood(t, "fail", b"x" * 100_000)


@attack(RPYC)
def big_messages(t: Target) -> None:
    _rpyc_flood(t, "echo", b"x" * 16_000_000)


@attack(RPYC)
def token_storm(t: Target) -> None:
    _rpyc_flood(t, "echo", (7,) * 500_000)


@attack(RPYC)
def methods_that_never_end(t: Target) -> None:
    _rpyc_flood(t, "wait", b"x" * 10_000, count=50)


@attack(RPYC)
def endless_string(t: Target) -> None:
    _flood(t.connect(), struct.pack("!LB", 2**32 - 1, 0) + b"x" * 600_000)


@attack(RPYC)
def deep_nesting(t: Target) -> None:
    _flood(t.connect(), _frame(b"\x01" + b"\x10" * 10_000_000))


@attack(RPYC)
def wide_nesting(t: Target) -> None:
    # A frozenset of an empty tuple, one million times.
    wide = b"\x15" + struct.pack("!L", 1_000_000) + b"\x1a\x02" * 1_000_000
    _flood(t.connect(), _frame(b"\x01" + wide))


@attack(RPYC)
def huge_integers(t: Target) -> None:
    digits = b"9" * 1_000_000
    _flood(t.connect(), _frame(b"\x01\x17" + struct.pack("!L", len(digits)) + digits))


@attack(RPYC, PYRO, FOOLSCAP)
def garbage(t: Target) -> None:
    from attack.attacks.messages import garbage as plain  # noqa: PLC0415

    plain(t)


def _halves(t: Target, start: bytes) -> None:
    lines = []
    for _ in range(40):
        line = t.connect()
        lines.append(line)
        line.send(start + b"x" * 15_600_000)
    t.hold(lines)


@attack(RPYC)
def many_halves(t: Target) -> None:
    _halves(t, struct.pack("!LB", 16_000_000, 0))


def _drip(t: Target, start: bytes, size: int, pause: float) -> None:
    lines = [t.connect() for _ in range(50)]
    for line in lines:
        line.send(start)
    while True:
        for line in lines:
            line.send(b"x" * size)
        t.rest(pause)


@attack(RPYC)
def byte_at_a_time(t: Target) -> None:
    _drip(t, struct.pack("!LB", 600_000, 0), 1, 0.0)


@attack(RPYC)
def slow_writer(t: Target) -> None:
    _drip(t, struct.pack("!LB", 16_000_000, 0), 100, 0.01)


@attack(RPYC)
def resets(t: Target) -> None:
    while True:
        try:
            peer = _Rpyc(t)
            peer.line.send(peer.call(peer.method("blob"), 100_000) * 20, reading=False)
            peer.line.reset()
        except Cut:
            t.cut += 1
