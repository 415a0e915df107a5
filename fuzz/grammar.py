"""Messages of Perspective Broker at random: jelly and what surrounds it, right and nearly right."""

from random import Random
from typing import Any

Sexp = Any

_TEXTS = (b"", b"a", b"put", b"left", b"right", b"items", b"bad", b"x" * 130, b"\xc3\xa9", b"\xff")
_NAMES = (
    *(b"echo", b"any", b"kind", b"thing", b"things", b"stock", b"view", b"user", b"keep", b"kept"),
    *(b"later", b"later", b"fail", b"break", b"bad", b"long", b"put", b"none", b"\xff"),
)
_NUMBERS = (0, 1, 2, 3, 4, 5, 127, 128, 999, -1, -2, 2**31 - 1, 2**31, -(2**31), 2**61 - 1, 2**69)
_LUIDS: tuple[Sexp, ...] = (1, 1, 2, 3, 4, 5, 6, b"root", b"root", 0, -1, 1.0, b"x" * 40, [], 2**64)
_COPIES = (b"fuzz.Node", b"fuzz.Taking", b"fuzz.Both", b"fuzz.Made", b"fuzz.Unknown")
_CACHES = (b"fuzz.Stock", b"fuzz.Stock", b"fuzz.Strict")
_DATES = (
    (b"datetime", b"2001 2 3 4 5 6 7"),
    (b"date", b"2001 2 3"),
    (b"time", b"4 5 6 7"),
    (b"timedelta", b"1 2 3"),
    (b"date", b"0 0 0"),
    (b"time", b"99999999999999999999 1"),
)
FAILURE = b"twisted.spread.pb.CopyableFailure"
_KINDS = (
    b"fuzz.application.Wrong",
    b"builtins.ValueError",
    b"twisted.spread.jelly.InsecureJelly",
    b"twisted.spread.pb.PBConnectionLost",
)


def text(random: Random) -> Sexp:
    """Give a text."""
    return [b"unicode", random.choice(_TEXTS)]


def luid(random: Random) -> Sexp:
    """Give an id, of something that is there most of the time."""
    return random.choice(_LUIDS)


def atom(random: Random) -> Sexp:
    """Give a value that holds no other."""
    match random.randrange(9):
        case 0:
            return random.choice(_NUMBERS)
        case 1:
            return random.choice((0.0, 1.5, float("nan"), float("inf"), -0.0))
        case 2:
            return random.choice(_TEXTS)
        case 3:
            return [b"boolean", random.choice((b"true", b"false", b"maybe"))]
        case 4:
            return [b"None"]
        case 5:
            tag, content = random.choice(_DATES)
            return [tag, content]
        case 6:
            return [b"decimal", random.choice(_NUMBERS), random.choice((0, -2, 5, 10**6, b"x"))]
        case 7:
            return [b"unpersistable", random.choice(_TEXTS)]
        case _:
            return text(random)


def by_id(random: Random, depth: int) -> Sexp:
    """Give what travels by an id."""
    tag = random.choice((b"remote", b"remote", b"local", b"cached", b"lcache", b"cache"))
    if tag == b"cache":
        return [random.choice(_CACHES), luid(random), state(random, depth)]
    return [tag, luid(random)]


def state(random: Random, depth: int) -> Sexp:
    """Give the state of a copy."""
    if random.random() < 0.1:
        return value(random, depth)
    pairs = [[text(random), value(random, depth)] for _ in range(random.randrange(4))]
    return [b"dictionary", *pairs]


def failure(random: Random) -> Sexp:
    """Give an error as it travels."""
    kind = random.choice(_KINDS)
    pairs: list[Sexp] = [
        [[b"unicode", b"type"], kind],
        [[b"unicode", b"value"], text(random)],
        [[b"unicode", b"parents"], [b"list", [b"unicode", kind], text(random)]],
        [[b"unicode", b"traceback"], text(random)],
    ]
    if random.random() < 0.3:
        pairs[random.randrange(4)][1] = value(random, 2)
    return [FAILURE, [b"dictionary", *pairs]]


def value(random: Random, depth: int = 4) -> Sexp:
    """Give a value."""
    if depth <= 0 or random.random() < 0.3:
        return atom(random)
    inner = depth - 1
    match random.randrange(10):
        case 0 | 1:
            tag = random.choice((b"list", b"tuple", b"set", b"frozenset", b"list", b"tuple"))
            return [tag, *(value(random, inner) for _ in range(random.randrange(5)))]
        case 2 | 3:
            pairs = [
                [value(random, inner), value(random, inner)] for _ in range(random.randrange(4))
            ]
            return [b"dictionary", *pairs]
        case 4:
            return [b"reference", random.randrange(1, 4), value(random, inner)]
        case 5:
            return [b"dereference", random.randrange(1, 4)]
        case 6:
            return [random.choice(_COPIES), state(random, inner)]
        case 7 | 8:
            return by_id(random, inner)
        case _:
            return failure(random)


def arguments(random: Random) -> tuple[Sexp, Sexp]:
    """Give what a call is made with."""
    args = [b"tuple", *(value(random) for _ in range(random.randrange(4)))]
    kwargs: Sexp = [b"dictionary"]
    if random.random() < 0.15:
        kwargs = state(random, 2)
    return args, kwargs


def message(random: Random) -> Sexp:
    """Give a message."""
    request: Sexp = random.choice((1, 2, 3, 4, 7, 8, 999, 2**40, b"r", []))
    match random.randrange(12):
        case 0 | 1 | 2 | 3:
            args, kwargs = arguments(random)
            subject = b"root" if random.random() < 0.7 else luid(random)
            wanted = int(random.random() < 0.8)
            return [b"message", request, subject, random.choice(_NAMES), wanted, args, kwargs]
        case 4:
            args, kwargs = arguments(random)
            name = random.choice((b"put", b"put", b"fail", b"none"))
            wanted = random.randrange(2)
            return [b"cachemessage", request, luid(random), name, wanted, args, kwargs]
        case 5 | 6:
            return [b"answer", random.choice((1, 2, 3, request)), value(random)]
        case 7:
            error = failure(random) if random.random() < 0.7 else value(random)
            return [b"error", random.choice((1, 2, request)), error]
        case 8:
            return [b"decref", luid(random)]
        case 9:
            return [b"decache", luid(random)]
        case 10:
            return [b"uncache", luid(random)]
        case _:
            return random.choice(
                ([b"version", 6], [b"version", 5], [b"strange", 1], [b"didNotUnderstand", b"x"])
            )
