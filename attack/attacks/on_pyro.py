"""The same attacks in the protocol of Pyro5, where they have something like it.

A message has a header of 40 bytes, which tells its length. The payload is msgpack here.
"""

import struct
from typing import Any

from attack.registry import PYRO, attack
from attack.target import Cut, Line, Target

_CONNECT, _INVOKE, _MSGPACK = 1, 4, 4


def _message(kind: int, payload: bytes, size: int | None = None) -> bytes:
    """Write a message whose header tells this size, or the one that it has."""
    told = len(payload) if size is None else size
    fields = (b"PYRO", 502, kind, _MSGPACK, 0, 0, told, 0, bytes(16), 0, 0x4DC5)
    return struct.pack("!4sHBBHHII16sHH", *fields) + payload


def _session(t: Target, *, narrow: bool = False) -> Line:
    import msgpack  # noqa: PLC0415 - only where it is attacked

    line = t.connect(narrow=narrow)
    hello = msgpack.packb({"handshake": "hello", "object": "echo"})
    line.send(_message(_CONNECT, hello), reading=False)
    line.read(40)
    return line


def _call(name: str, *args: Any) -> bytes:
    import msgpack  # noqa: PLC0415

    return _message(_INVOKE, msgpack.packb(("echo", name, args, {})))


def _flood(t: Target, data: bytes, *, reading: bool = True) -> None:
    line = _session(t, narrow=not reading)
    while True:
        line.send(data, reading=reading)


@attack(PYRO)
def call_flood(t: Target) -> None:
    _flood(t, _call("echo", "x") * 500)


@attack(PYRO)
def call_flood_from_many(t: Target) -> None:
    lines = [_session(t) for _ in range(50)]
    while True:
        for line in lines:
            line.send(_call("echo", "x") * 100)


@attack(PYRO)
def never_reads(t: Target) -> None:
    _flood(t, _call("blob", 600_000) * 50, reading=False)


@attack(PYRO)
def echo_never_reads(t: Target) -> None:
    _flood(t, _call("echo", b"x" * 100_000), reading=False)


@attack(PYRO)
def reference_flood_out(t: Target) -> None:
    _flood(t, _call("make") * 500)


@attack(PYRO)
def failing_methods(t: Target) -> None:
    _flood(t, _call("fail", "x" * 100_000))


@attack(PYRO)
def unknown_methods(t: Target) -> None:
    _flood(t, _call("n" * 1_000) * 100)


@attack(PYRO)
def big_messages(t: Target) -> None:
    _flood(t, _call("echo", b"x" * 16_000_000))


@attack(PYRO)
def token_storm(t: Target) -> None:
    _flood(t, _call("echo", [7] * 500_000))


@attack(PYRO)
def wide_nesting(t: Target) -> None:
    _flood(t, _call("sink", [[]] * 480_000))


@attack(PYRO)
def deep_nesting(t: Target) -> None:
    _flood(t, _message(_INVOKE, b"\x91" * 10_000_000))


@attack(PYRO)
def endless_string(t: Target) -> None:
    line = t.connect()
    line.send(_message(_CONNECT, b"", 2**30))
    while True:
        line.send(b"x" * 600_000)


@attack(PYRO)
def methods_that_never_end(t: Target) -> None:
    lines = [_session(t) for _ in range(200)]
    for line in lines:
        line.send(_call("wait", b"x" * 10_000))
    t.hold(lines)


@attack(PYRO)
def many_halves(t: Target) -> None:
    lines = []
    for _ in range(40):
        line = t.connect()
        lines.append(line)
        line.send(_message(_CONNECT, b"x" * 15_600_000, 16_000_000))
    t.hold(lines)


def _drip(t: Target, told: int, size: int, pause: float) -> None:
    lines = [t.connect() for _ in range(50)]
    for line in lines:
        line.send(_message(_CONNECT, b"", told))
    while True:
        for line in lines:
            line.send(b"x" * size)
        t.rest(pause)


@attack(PYRO)
def byte_at_a_time(t: Target) -> None:
    _drip(t, 600_000, 1, 0.0)


@attack(PYRO)
def slow_writer(t: Target) -> None:
    _drip(t, 16_000_000, 100, 0.01)


@attack(PYRO)
def resets(t: Target) -> None:
    while True:
        try:
            line = _session(t)
            line.send(_call("blob", 100_000) * 20, reading=False)
            line.reset()
        except Cut:
            t.cut += 1
