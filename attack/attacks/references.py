"""References, caches, and the counting of both."""

from attack import wire
from attack.registry import attack
from attack.target import Target
from attack.wire import Raw, call, item, text


@attack()
def reference_flood_in(t: Target) -> None:
    """References to objects of the attacker, 1,000 to the call, to a method that keeps them all."""
    line = t.pb()
    number = 0
    while True:
        batch = [[b"remote", number + n] for n in range(1, 1_001)]
        number += 1_000
        line.send(call(b"keep", [b"list", *batch]))


@attack()
def reference_flood_out(t: Target) -> None:
    """Objects of the server, as many as it makes, of which none is ever released."""
    line = t.pb()
    message = call(b"make") * 500
    while True:
        line.send(message)


@attack()
def references_of_huge_ids(t: Target) -> None:
    """References and targets of calls with ids of 448 bits, of text, of lists."""
    line = t.pb()
    number = 2**447
    while True:
        number += 1
        for luid in (number, -number, b"%d" % number * 1_000, [b"list", number], 1.5):
            line.send(call(b"echo", [b"remote", luid], [b"local", luid]))
            line.send(call(b"echo", target=luid) + call(b"echo", [b"lcache", luid]))


@attack()
def decref_below_zero(t: Target) -> None:
    """More releases than there were references, of one id; then it is used."""
    line = t.pb()
    line.send(call(b"make", request=1))
    made = line.answer(1)
    luid = made[1] if made else 1
    message = item([b"decref", luid]) * 2_000 + call(b"echo", 1, target=luid)
    while True:
        line.send(message)


@attack()
def releases_of_nothing(t: Target) -> None:
    """Releases of all kinds, of ids that there never were."""
    line = t.pb()
    number = 10**6
    while True:
        number += 1
        kinds = (b"decref", b"decache", b"uncache")
        line.send(b"".join(item([kind, number + n]) for kind in kinds for n in range(300)))
        line.send(item([b"decref", b"root"]) * 10)
        number += 300


@attack()
def remembered_releases(t: Target) -> None:
    """References got and released as fast as they go, so that many are remembered."""
    line = t.pb()
    while True:
        line.send(call(b"make", request=1) * 100)
        made = [line.answer(1) for _ in range(100)]
        line.send(b"".join(item([b"decref", each[1]]) for each in made if each))


@attack()
def cache_flood_in(t: Target) -> None:
    """Caches of the attacker, 1,000 to the call, each with a state of 100 entries."""
    line = t.pb()
    state = Raw(item([b"dictionary", *([text(f"k{n}"), n] for n in range(100))]))
    number = 0
    while True:
        batch = [[b"app.Stock", number + n, state] for n in range(1, 1_001)]
        number += 1_000
        line.send(call(b"sink", [b"list", *batch]))


@attack()
def cache_flood_out(t: Target) -> None:
    """Caches of the server, as many as it makes, of which none is ever released."""
    line = t.pb()
    message = call(b"quote") * 500
    while True:
        line.send(message)


@attack()
def cachemessage_to_nothing(t: Target) -> None:
    """Updates of caches that there are not."""
    line = t.pb()
    message = b"".join(
        call(b"put", b"x" * 100, target=luid, command=b"cachemessage", wants_answer=luid % 2)
        for luid in range(1, 1_000)
    )
    while True:
        line.send(message)


@attack()
def answers_to_nothing(t: Target) -> None:
    """Answers and errors to calls that were never made."""
    line = t.pb()
    failure = [b"twisted.spread.pb.CopyableFailure", [b"dictionary", [text("value"), text("x")]]]
    answers = [item([b"answer", n, [b"list", n]]) for n in range(1_000, 1_500)]
    errors = [item([b"error", n, failure]) for n in range(1_000, 1_500)]
    message = b"".join(answers + errors)
    while True:
        line.send(message)


@attack()
def long_errors(t: Target) -> None:
    """The server calls back, and gets errors with texts and tracebacks of 600 KB."""
    line = t.pb()
    long = [b"unicode", b"E" * 600_000]
    parents = [b"list", *[text("builtins.ValueError")] * 1_000]
    state = [[text("value"), long], [text("traceback"), long], [text("parents"), parents]]
    error = Raw(
        item(
            [
                b"twisted.spread.pb.CopyableFailure",
                [b"dictionary", [text("type"), b"T" * 600_000], *state],
            ]
        )
    )
    number = 0
    while True:
        line.send(call(b"call_back", [b"remote", number + 1], request=number))
        # Whatever the number of its call is, it is one of these.
        line.send(item([b"error", number + 1, error]))
        number += 1


@attack()
def call_backs_never_answered(t: Target) -> None:
    """The server calls back as often as it is asked to, and is never answered."""
    line = t.pb()
    message = call(b"call_back", [b"remote", 1]) * 500
    while True:
        line.send(message)


@attack()
def bad_answers(t: Target) -> None:
    """The server calls back, and gets answers that can't be read, twice each."""
    line = t.pb()
    answers = [[b"os.system", 1], [b"remote", [b"list"]], [b"cached", 9], wire.NONE, [], [b"x"]]
    number = 0
    while True:
        number += 1
        line.send(call(b"call_back", [b"remote", 1]))
        line.send(item([b"answer", number, answers[number % len(answers)]]) * 2)
