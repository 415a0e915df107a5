"""What somebody can do who has not logged in. The portal is at the second port."""

from attack import wire
from attack.registry import attack
from attack.target import Cut, Line, Target
from attack.wire import call, head, item

PORTAL = 1
_NAMES = [b"alice", b"bob", b"nobody", b"x" * 10_000]


@attack()
def login_flood(t: Target) -> None:
    """Logins that are begun as fast as they go, and never finished."""
    line = t.pb(PORTAL)
    message = call(b"login", b"alice") * 200
    while True:
        line.send(message)


@attack()
def login_brute_force(t: Target) -> None:
    """Wrong answers to challenges, from ten connections at once."""
    lines = [t.pb(PORTAL) for _ in range(10)]
    number = 0
    while True:
        for line in lines:
            number += 1
            _guess(line, number)


def _guess(line: Line, number: int) -> None:
    line.send(call(b"login", _NAMES[number % len(_NAMES)], request=2 * number))
    found = line.answer(2 * number)
    if found is not None:
        challenger = found[2][1]
        # Its answer may be delayed for long, and nobody waits for it.
        line.send(call(b"respond", b"0" * 16, wire.NONE, target=challenger, request=2 * number + 1))
        line.send(item([b"decref", challenger]))


@attack()
def login_never_finished(t: Target) -> None:
    """300 connections with a login that was begun."""
    lines = []
    for _ in range(300):
        try:
            line = t.pb(PORTAL)
            line.send(call(b"login", b"alice", request=1))
            line.answer(1)
            lines.append(line)
        except Cut:
            t.cut += 1
    t.hold(lines)


@attack()
def large_before_login(t: Target) -> None:
    """Messages of 16 MB from somebody who has not logged in."""
    line = t.pb(PORTAL)
    big = item(b"x" * 600_000)
    message = wire.opened_call(b"login") + wire.tuple_of(26, big) + item(wire.EMPTY)
    while True:
        line.send(message)


@attack()
def halves_before_login(t: Target) -> None:
    """40 connections that have not logged in, each with most of a message of 16 MiB."""
    lines = []
    start = wire.opened_call(b"login") + head(wire.LIST, 28) + item(b"tuple")
    for _ in range(40):
        line = t.pb(PORTAL)
        lines.append(line)
        try:
            line.send(start + item(b"x" * 600_000) * 26)
        except Cut:
            t.cut += 1
    t.hold(lines)


@attack()
def references_before_login(t: Target) -> None:
    """References and copies in the arguments of a login, 1,000 to the call."""
    line = t.pb(PORTAL)
    number = 0
    while True:
        batch = [[b"remote", number + n] for n in range(1, 1_001)]
        number += 1_000
        line.send(call(b"login", [b"list", *batch]) + call(b"loginAnonymous", [b"list", *batch]))
