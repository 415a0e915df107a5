"""Calls, and answers that nobody takes."""

from attack.registry import attack
from attack.target import Target
from attack.wire import call, item


@attack()
def call_flood(t: Target) -> None:
    """Small calls as fast as they go, all answers read."""
    line = t.pb()
    message = call(b"echo", b"x") * 1_000
    while True:
        line.send(message)


@attack()
def call_flood_from_many(t: Target) -> None:
    """The same from 50 connections at once."""
    lines = [t.pb() for _ in range(50)]
    message = call(b"echo", b"x") * 100
    while True:
        for line in lines:
            line.send(message)


@attack()
def calls_without_answer(t: Target) -> None:
    """Small calls that want no answer, as fast as they go."""
    line = t.pb()
    message = call(b"echo", b"x", wants_answer=0) * 1_000
    while True:
        line.send(message)


@attack()
def methods_that_never_end(t: Target) -> None:
    """Calls of a method that waits for an hour, each with 10 KB, as many as are taken."""
    line = t.pb()
    message = call(b"wait", b"x" * 10_000) * 50
    while True:
        line.send(message)


@attack()
def never_reads(t: Target) -> None:
    """Calls with large answers, of which none is read."""
    line = t.pb(narrow=True)
    message = call(b"blob", 600_000) * 50
    while True:
        line.send(message, reading=False)


@attack()
def many_never_read(t: Target) -> None:
    """20 connections, with large answers of which none is read."""
    lines = [t.pb(narrow=True) for _ in range(20)]
    for line in lines:
        line.send(call(b"blob", 600_000) * 400, reading=False)
    t.hold(lines)


@attack()
def slow_reader(t: Target) -> None:
    """Calls with large answers, read one KB at a time, 100 times a second."""
    line = t.pb(narrow=True)
    line.send(call(b"blob", 600_000) * 500, reading=False)
    while True:
        line.read(1)
        t.rest(0.01)


@attack()
def echo_never_reads(t: Target) -> None:
    """Calls with 100 KB to be sent back, and nothing is read: calls and answers pile up."""
    line = t.pb(narrow=True)
    message = call(b"echo", b"x" * 100_000)
    while True:
        line.send(message, reading=False)


@attack()
def duplicate_requests(t: Target) -> None:
    """Calls that all have one number, of methods that wait and of methods that answer."""
    line = t.pb()
    message = (call(b"wait", request=7) + call(b"echo", 1, request=7)) * 300
    odd = [b"x" * 10_000, [b"list", 1], 2**440, -1, 1.5]
    while True:
        line.send(message)
        for request in odd:
            line.send(call(b"echo", 1, request=request))


@attack()
def unknown_methods(t: Target) -> None:
    """Calls of methods that there are not, with names of 1 KB: a log would be filled."""
    line = t.pb()
    message = call(b"n" * 1_000, 1) * 100
    while True:
        line.send(message)


@attack()
def failing_methods(t: Target) -> None:
    """Calls of a method that raises an exception with 100 KB of text: a log would be filled."""
    line = t.pb()
    message = call(b"fail", b"x" * 100_000) * 5
    while True:
        line.send(message)


@attack()
def bad_arguments(t: Target) -> None:
    """Calls with too many arguments, wrong ones, unreadable ones, each 100 KB: for the log."""
    line = t.pb()
    long = b"x" * 100_000
    message = call(b"make", long, long) + call(b"blob", long) + call(b"echo", [b"nothing", long])
    message += item([b"message", 1, b"root", b"echo", 1, [b"list", long], [b"list", long]])
    while True:
        line.send(message)


@attack()
def log_flood(t: Target) -> None:
    """Everything that a server may think worth a line: unknown commands, bad ends, bad names."""
    while True:
        line = t.pb()
        line.send(item([b"nonsense" * 100]) * 50)
        line.send(item([b"decref", 77]) * 50 + item([b"answer", 77, 1]) * 50)
        line.send(call(b"\xff\xfe" * 100) * 50 + item(b"no message"))
        line.close()
