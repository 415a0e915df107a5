"""What is fuzzed: each target plays an input once, and says what became of it."""

from collections.abc import Callable
from dataclasses import dataclass

from fuzz import script
from fuzz.application import registry
from fuzz.arrival import Arrival
from fuzz.life import Life
from fuzz.oracle import DOCUMENTED, SMALL, USUAL, Outcome, check, documented
from fuzz.script import Script
from fuzz.show import Shown
from pellucid.banana import DIALECTS, Framer, decode, encode, skip_item
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.jelly import Decoder, NullImporter, dumps, loads
from pellucid.limits import Limits

_REGISTRY = registry()

# Bits of a script's flags.
CLIENT, PLAIN, TIGHT, OTHER = 1, 2, 4, 8


def limits_of(flags: int) -> Limits:
    """Give the limits that an input asks for."""
    return SMALL if flags & TIGHT else USUAL


def dialect_of(flags: int) -> str:
    """Give the dialect that an input asks for."""
    if flags & PLAIN:
        return "none"
    return "pellucid" if flags & OTHER else "pb"


@dataclass(frozen=True)
class Target:
    """A part of the package, and how an input is played to it."""

    name: str
    about: str
    play: Callable[[Script, Arrival], Outcome]

    def run(self, data: bytes, arrival: Arrival) -> Outcome:
        """Play an input, which arrives in one of the ways."""
        return self.play(script.read(data), arrival)

    def limits(self, data: bytes) -> Limits:
        """Give the limits that it is played with."""
        return limits_of(script.read(data).flags)


# The framer by itself.


def frame(found: Script, arrival: Arrival) -> Outcome:
    """Cut a stream into messages."""
    outcome = Outcome()
    limits = limits_of(found.flags)
    dialect = DIALECTS[dialect_of(found.flags)]
    framer = Framer(dialect, limits, arrival.buffer())
    fed = 0

    def feed(data: bytes) -> None:
        nonlocal fed
        fed += len(data)
        framer.feed(data)

    def then() -> bool:
        try:
            while framer.broken is None and (message := framer.next_message()) is not None:
                outcome.accepted = True
                outcome.messages += 1
                check(len(message) <= limits.message_bytes, "a message above limits.message_bytes")
                check(skip_item(message, 0) == len(message), "a message that is not one item")
                outcome.add(f"message {message.hex()}")
                again(message, dialect.name, limits, outcome)
        except DOCUMENTED as error:
            check(framer.broken is error, "it is not broken for the reason that it gave")
            outcome.refusal(error, "refused")
        check(framer.buffered <= fed_in(), "it holds more than it was given")
        return framer.broken is not None

    def fed_in() -> int:
        return len(found.stream)

    arrival.deliver(found.stream, framer, feed, then)
    size = len(found.stream)
    check(framer.examined <= size, f"{framer.examined} bytes of {size} were examined")
    check(framer.copied <= 4 * size, f"{framer.copied} bytes of {size} were copied")
    if framer.broken is None:
        outcome.add(f"{framer.buffered} bytes wait")
    else:
        check(framer.buffered == 0, "a broken framer holds something")
    return outcome


def again(message: bytes, dialect: str, limits: Limits, outcome: Outcome) -> None:
    """Read a message as an s-expression, write it and read it again."""
    try:
        sexp = decode(message, dialect, limits=limits)
    except LimitExceeded as error:
        outcome.add(documented(error))
        return
    check(repr(decode(encode(sexp, dialect), dialect)) == repr(sexp), "another one is read again")


# One value.


def value(found: Script, arrival: Arrival) -> Outcome:
    """Read one value, outside of a connection and on one; then write it and read it again."""
    outcome = Outcome()
    data = found.stream
    limits = limits_of(found.flags)
    dialect = dialect_of(found.flags)
    outcome.messages = 3
    alone(data, dialect, limits, outcome)
    life = Life("server", limits, arrival, outcome)
    life.feed(encode(b"pb", "none") + encode([b"version", 6]))
    # Something of each kind is there.
    life.app.kept.append(life.broker.decode_value(encode([b"remote", 1])))
    life.broker.encode_value([life.app.thing, life.app.stock])
    try:
        got = life.broker.decode_value(data, life.app.user if found.flags & CLIENT else None)
    except DOCUMENTED as error:
        outcome.refusal(error, "on a connection")
        life.cause(error.__cause__)
    else:
        outcome.accepted = True
        outcome.add(f"on a connection: {life.shown(got)}")
        life.app.kept.append(got)
        del got
    life.run()
    for step in found.steps:
        if isinstance(step, int):
            life.act(step)
    life.finish("pb")
    return outcome


def alone(data: bytes, dialect: str, limits: Limits, outcome: Outcome) -> None:
    """Read one value outside of a connection."""
    known = _REGISTRY
    try:
        framer = Framer(DIALECTS[dialect], limits)
        framer.feed(data)
        message = framer.next_message()
        if message is None:
            outcome.add("incomplete")
            return
        got = Decoder(message, DIALECTS[dialect], limits, known, NullImporter()).value("value")
    except DOCUMENTED as error:
        outcome.refusal(error, "alone")
        return
    outcome.accepted = True
    shown = Shown(got)
    outcome.vague |= shown.vague
    outcome.add(f"alone: {shown.text}")
    try:
        written = dumps(got, dialect)
    except (InsecureJelly, LimitExceeded) as error:
        check(not error.remote, "what this side sends is no fault of the peer")
        outcome.add(f"not sent: {error}")
        return
    try:
        back = Shown(loads(written, dialect, known))
    except DOCUMENTED as error:
        # What was made by a reader may not be what it reads.
        outcome.add(f"not read again: {documented(error)}")
        check("fuzz." in shown.text or "Made" in shown.text, f"not read again: {error}")
        return
    check(back.vague or back.text == shown.text, f"{shown.text} becomes {back.text}")


# Connections.


def follow(life: Life, found: Script, dialect: str) -> Outcome:
    """Play the steps of a script."""
    for step in found.steps:
        if isinstance(step, bytes):
            life.feed(step)
        else:
            life.act(step)
    life.finish(life.broker.dialect or dialect)
    return life.outcome


def broker(found: Script, arrival: Arrival) -> Outcome:
    """Let a peer say what it likes after the handshake, to a client or a server at work."""
    is_client = bool(found.flags & CLIENT)
    name = dialect_of(found.flags)
    life = Life("client" if is_client else "server", limits_of(found.flags), arrival, Outcome())
    word = name.encode()
    life.feed(encode([word] if is_client else word, "none") + encode([b"version", 6], name))
    check(life.broker.ready, "the handshake failed")
    life.take()
    # Exported are 1, a thing; 2, a cache; 3, a view; 4, an avatar. Held is 1.
    app = life.app
    life.broker.encode_value([app.thing, app.stock])
    if not found.flags & TIGHT:
        life.broker.encode_value([app.user, app.view], app.user)
    app.kept.append(life.broker.decode_value(encode([b"remote", 1])))
    life.call("ask")
    life.call("ask")
    return follow(life, found, name)


def session(found: Script, arrival: Arrival) -> Outcome:
    """Let a peer say what it likes from the first byte on."""
    role = "client" if found.flags & CLIENT else "server"
    life = Life(role, limits_of(found.flags), arrival, Outcome())
    return follow(life, found, "none")


TARGETS = {
    one.name: one
    for one in (
        Target("framer", "banana's framer, with both sets of limits", frame),
        Target("decoder", "values, by themselves and on a connection", value),
        Target("broker", "a client or a server at work, after the handshake", broker),
        Target("session", "a whole conversation", session),
    )
}
