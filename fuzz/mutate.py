"""Mutations that know the wire: they change messages, values in them, and what we do meanwhile.

Bytes changed at random are hardly ever a message, and what is none is refused by the framer.
"""

import struct
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz import grammar, script
from fuzz.script import Script
from fuzz.targets import dialect_of
from pellucid.banana import DIALECTS, Framer, decode, encode
from pellucid.errors import PBError
from pellucid.limits import Limits

Sexp = Any
_ACTIONS = 17


def messages(data: bytes, dialect: str) -> tuple[list[Sexp], bytes]:
    """Give the messages that a stream begins with, and the rest of it."""
    framer = Framer(DIALECTS[dialect], Limits())
    framer.feed(data)
    found = []
    pos = 0
    try:
        while (message := framer.next_message()) is not None:
            found.append(decode(message, dialect))
            pos += len(message)
    except PBError:
        pass
    return found, data[pos:]


def _places(sexp: Sexp) -> list[tuple[list[Sexp], int]]:
    """Give every place in a message: a list and the index in it."""
    found = []
    todo = [sexp]
    while todo:
        one = todo.pop()
        for index, part in enumerate(one):
            found.append((one, index))
            if isinstance(part, list):
                todo.append(part)
    return found


def _copy(sexp: Sexp) -> Sexp:
    return [_copy(part) for part in sexp] if isinstance(sexp, list) else sexp


def change(random: Random, sexp: Sexp, fresh: Callable[[Random], Sexp]) -> Sexp:
    """Give a message in which one thing is other than before."""
    sexp = _copy(sexp)
    places = _places(sexp) if isinstance(sexp, list) else []
    if not places or random.random() < 0.05:
        return fresh(random)
    around, index = random.choice(places)
    part = around[index]
    match random.randrange(9):
        case 0 | 1:
            around[index] = grammar.value(random, 2)
        case 2:
            around.insert(index, _copy(part))
        case 3:
            del around[index]
        case 4:
            other, place = random.choice(places)
            around[index] = _copy(other[place]) if place < len(other) else part
        case 5:
            around[index] = [b"reference", random.randrange(1, 4), part]
        case 6:
            around[index] = [random.choice((b"list", b"tuple", b"set", b"frozenset")), part]
        case 7:
            around[index] = grammar.luid(random)
        case _:
            around[index] = _other(random, part)
    return sexp


def _other(random: Random, part: Sexp) -> Sexp:
    """Give something near to an atom."""
    if isinstance(part, int):
        return part + random.choice((-1, 1, 128, -128, 2**31))
    if isinstance(part, bytes):
        pos = random.randrange(len(part) + 1)
        return part[:pos] + random.choice((b"", b"\xff", b"x")) + part[pos + random.randrange(2) :]
    if isinstance(part, float):
        return struct.unpack(">d", random.randbytes(8))[0]
    return random.choice(part) if part else b""


def _write(sexps: list[Sexp], rest: bytes, dialect: str) -> bytes:
    return b"".join(encode(one, dialect) for one in sexps) + rest


def _change_piece(random: Random, piece: bytes, dialect: str, fresh: Any) -> bytes:
    """Change one of the messages of a piece, or which there are."""
    found, rest = messages(piece, dialect)
    if not found:
        return _write([fresh(random)], b"" if random.random() < 0.7 else rest, dialect)
    at = random.randrange(len(found))
    match random.randrange(6):
        case 0:
            found.insert(at, fresh(random))
        case 1:
            found.insert(at, found[random.randrange(len(found))])
        case 2 if len(found) > 1:
            del found[at]
        case _:
            found[at] = change(random, found[at], fresh)
    return _write(found, rest, dialect)


def _raw(random: Random, piece: bytes) -> bytes:
    """Change a few bytes."""
    data = bytearray(piece)
    for _ in range(random.randrange(1, 3)):
        pos = random.randrange(len(data) + 1)
        data[pos : pos + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(data)


def mutated(data: bytes, random: Random, target: str) -> bytes:
    """Give an input near to another one, which is made of messages most of the time."""
    found = script.read(data)
    fresh = grammar.value if target == "decoder" else grammar.message
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        try:
            _step(random, found, fresh, target)
        except (PBError, TypeError, IndexError, ValueError):
            # What can't be written is not tried.
            continue
    return script.write(found)


def _step(random: Random, found: Script, fresh: Any, target: str) -> None:
    """Change one thing."""
    dialect = dialect_of(found.flags)
    if target == "session" and random.random() < 0.5:
        dialect = "none"
    steps = found.steps
    at = random.randrange(len(steps) + 1)
    if at == len(steps) or random.random() < 0.15:
        new = (
            random.randrange(_ACTIONS) if random.random() < 0.5 else encode(fresh(random), dialect)
        )
        steps.insert(at, new)
        return
    step = steps[at]
    match random.randrange(12):
        case 0:
            found.flags = random.randrange(16)
        case 1:
            found.seed = random.randrange(256)
        case 2:
            del steps[at]
        case 3:
            steps.insert(random.randrange(len(steps)), step)
        case 4 if isinstance(step, bytes):
            steps[at] = _raw(random, step)
        case _ if isinstance(step, bytes):
            steps[at] = _change_piece(random, step, dialect, fresh)
        case _:
            steps[at] = random.randrange(_ACTIONS)


def fresh(random: Random, target: str) -> bytes:
    """Give an input that comes of nothing."""
    found = Script(random.randrange(16), random.randrange(256), 0, [])
    for _ in range(random.randrange(1, 8)):
        try:
            _step(random, found, grammar.value if target == "decoder" else grammar.message, target)
        except (PBError, TypeError, IndexError, ValueError):
            continue
    return script.write(found)
