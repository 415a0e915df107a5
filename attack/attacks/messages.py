"""What comes before any value: items that never end, or are none."""

from attack import wire
from attack.registry import attack
from attack.target import Cut, Target
from attack.wire import LIST, STRING, VOCAB, head, item, opened_call

_CHUNK = item(b"x" * 600_000)


@attack()
def endless_list(t: Target) -> None:
    """One list that never ends: 655,360 strings of 600,000 bytes each."""
    line = t.pb()
    line.send(opened_call(b"echo") + head(LIST, wire.LIST_ITEMS) + item(b"tuple"))
    while True:
        line.send(_CHUNK)


@attack()
def endless_string(t: Target) -> None:
    """One string that never ends: it is said to have 2 GiB."""
    line = t.pb()
    line.send(opened_call(b"echo") + head(LIST, 2) + item(b"tuple") + head(STRING, 2**31))
    while True:
        line.send(_CHUNK)


@attack()
def endless_number(t: Target) -> None:
    """One number whose digits never end."""
    line = t.pb()
    while True:
        line.send(b"\x01" * 65_536)


@attack()
def deep_nesting(t: Target) -> None:
    """Lists in lists in lists, without an end."""
    line = t.pb()
    while True:
        line.send(head(LIST, 1) * 65_536)


@attack()
def deep_values(t: Target) -> None:
    """Complete calls, each with a value nested 250 times, 2,000 times over."""
    line = t.pb()
    deep = (head(LIST, 2) + item(b"list")) * 250 + item(1)
    message = opened_call(b"echo") + wire.tuple_of(2_000, deep) + item(wire.EMPTY)
    while True:
        line.send(message)


@attack()
def wide_nesting(t: Target) -> None:
    """Calls with as many empty sets as one message may have: they cost more than they weigh."""
    line = t.pb()
    message = opened_call(b"sink") + wire.tuple_of(480_000, item([b"set"])) + item(wire.EMPTY)
    while True:
        line.send(message)


@attack()
def token_storm(t: Target) -> None:
    """Integers of one digit, half a million to the call, to be sent back."""
    line = t.pb()
    numbers = head(LIST, 500_001) + item(b"list") + item(7) * 500_000
    message = opened_call(b"echo") + wire.tuple_of(1, numbers) + item(wire.EMPTY)
    while True:
        line.send(message)


@attack()
def big_messages(t: Target) -> None:
    """Calls just below the bound of one message, one behind the other, to be sent back."""
    line = t.pb()
    message = opened_call(b"echo") + wire.tuple_of(26, _CHUNK) + item(wire.EMPTY)
    while True:
        line.send(message)


@attack()
def many_halves(t: Target) -> None:
    """40 connections, each with most of a message of 16 MiB, and never the rest."""
    lines = []
    for _ in range(40):
        line = t.pb()
        lines.append(line)
        try:
            line.send(opened_call(b"echo") + head(LIST, 28) + item(b"tuple") + _CHUNK * 26)
        except Cut:
            t.cut += 1
    t.hold(lines)


@attack()
def byte_at_a_time(t: Target) -> None:
    """50 connections, each with a message that comes byte by byte and never ends."""
    lines = [t.pb() for _ in range(50)]
    for line in lines:
        line.send(opened_call(b"echo") + head(LIST, 2) + item(b"tuple") + head(STRING, 600_000))
    while True:
        for line in lines:
            line.send(b"x")


@attack()
def slow_writer(t: Target) -> None:
    """A message of 15 MB, of which 100 bytes come every 10 ms."""
    line = t.pb()
    line.send(opened_call(b"echo") + head(LIST, 27) + item(b"tuple") + _CHUNK * 20)
    while True:
        line.send(head(STRING, 98) + b"x" * 98)
        t.rest(0.01)


@attack()
def vocabulary_misuse(t: Target) -> None:
    """Words of the vocabulary everywhere: as values, unknown, with 64 digits, where none are."""
    words = b"".join(head(VOCAB, number) for number in range(1, 32))
    line = t.pb(dialect=b"pb")
    for _ in range(20):
        line.send((opened_call(b"echo") + wire.tuple_of(1_000, words) + item(wire.EMPTY)) * 4)
        line.send(words * 100 + b"\x01" + b"\x00" * 62 + VOCAB)
    try:
        line.send(head(VOCAB, 2**60))
        line.drain()
    except Cut:
        t.cut += 1
    plain = t.pb()
    plain.send(words)
    plain.drain()


@attack()
def misshapen_messages(t: Target) -> None:
    """Messages with fields too few, too many, and of other kinds; each ends its connection."""
    fields = [b"", b"message", 7, -1, 2**400, 1.5, [], [b"list"], [[[]]], b"\xff\xfe"]
    commands = [b"message", b"cachemessage", b"answer", b"error", b"decref", b"decache", b"uncache"]
    commands += [b"version", b"didNotUnderstand", b"nothing", b"\xff"]
    while True:
        for command in commands:
            for count in range(8):
                for start in range(len(fields)):
                    row = [fields[(start + n) % len(fields)] for n in range(count)]
                    _try(t, item([command, *row]) * 3)


def _try(t: Target, data: bytes) -> None:
    try:
        line = t.pb()
        line.send(data)
        line.close()
    except Cut:
        t.cut += 1


@attack()
def message_after_close(t: Target) -> None:
    """Behind a message that ends the connection come calls as fast as they go."""
    line = t.pb()
    line.send(head(STRING, 2**40))
    calls = wire.call(b"echo", b"x" * 100) * 500
    while True:
        line.send(calls, reading=False)


@attack()
def half_close(t: Target) -> None:
    """Thousands of calls, then the end of the stream, and the answers are not read."""
    lines = []
    for _ in range(100):
        line = t.pb(narrow=True)
        line.send(wire.call(b"blob", 100_000) * 200, reading=False)
        try:
            line.end()
        except Cut:
            t.cut += 1
        lines.append(line)
    t.hold(lines)


@attack()
def resets(t: Target) -> None:
    """Connections that send calls and are reset before an answer can leave."""
    calls = wire.call(b"blob", 100_000) * 20
    while True:
        try:
            line = t.pb()
            line.send(calls, reading=False)
            line.reset()
        except Cut:
            t.cut += 1


@attack()
def garbage(t: Target) -> None:
    """Other protocols and no protocol: HTTP, a greeting of TLS, zeros, random bytes."""
    kinds = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        bytes(10_000),
        bytes(range(256)) * 40,
        b"\xff" * 10_000,
    ]
    while True:
        for data in kinds:
            try:
                line = t.connect()
                line.send(data)
                line.close()
            except Cut:
                t.cut += 1
