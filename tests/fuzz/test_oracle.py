"""The oracle finds what is planted: each way in which the sentence can fail to hold."""

import gc
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from fuzz import life, script, targets
from fuzz.arrival import ROOM, Arrival
from fuzz.oracle import (
    SMALL,
    USUAL,
    Broken,
    Budget,
    Outcome,
    compare,
    documented,
    judge,
    quiet,
    timed,
    uncollected,
    ways,
)
from fuzz.script import Script
from fuzz.targets import CLIENT, TARGETS, TIGHT, Target
from pellucid.banana import PB, Framer, encode
from pellucid.errors import Error, InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.events import CallReceived

CALL = [b"message", 1, b"root", b"echo", 1, [b"tuple", 5], [b"dictionary"]]
SEND, ANSWER = 0, 1


def call(name: bytes, *args: object) -> bytes:
    return encode([*CALL[:3], name, 1, [b"tuple", *args], [b"dictionary"]])


def played(*steps: bytes | int, target: str = "broker", flags: int = 0) -> Outcome:
    return judge(TARGETS[target], script.write(Script(flags, 1, 0, list(steps))))


def target(play: Callable[[Script, Arrival], Outcome]) -> Target:
    return Target("planted", "a defect", play)


def test_what_is_good_is_accepted() -> None:
    outcome = played(call(b"echo", 5), SEND)
    assert outcome.accepted
    assert not outcome.refused
    assert outcome.lines[1] == "call 'echo' of App with tuple[tuple[5], dict{}]"
    assert encode([b"answer", 1, 5]) in outcome.sent


def test_what_is_bad_is_refused() -> None:
    outcome = played(call(b"echo", [b"strange", 5]))
    assert outcome.refused
    assert not outcome.accepted
    outcome = played(b"\xff")
    assert "closed: RemoteProtocolError: there is no type byte 0xff" in outcome.lines


def test_a_client_hears_of_both_its_calls() -> None:
    answer = encode([b"answer", 1, 7])
    lines = played(answer, flags=CLIENT).lines
    assert "our call 0: 7" in lines
    assert any(line.startswith("our call 1: ConnectionLost") for line in lines)


def test_a_later_answer() -> None:
    outcome = played(call(b"later"), ANSWER, SEND)
    assert encode([b"answer", 1, [b"tuple"]]) in outcome.sent


@pytest.mark.parametrize("error", [ValueError("x"), Error("x"), RemoteProtocolError("")])
def test_an_error_that_is_not_documented(error: Exception) -> None:
    with pytest.raises(Broken):
        documented(error)


def test_an_error_that_blames_nobody() -> None:
    with pytest.raises(Broken, match="to blame"):
        documented(InsecureJelly("x"))
    with pytest.raises(Broken, match="to blame"):
        documented(LimitExceeded("x", limit="items", value=1))
    assert documented(InsecureJelly("x", remote=True)) == "InsecureJelly: x"


def test_whatever_is_raised_is_not_swallowed() -> None:
    def play(found: Script, arrival: Arrival) -> Outcome:
        raise IndexError

    with pytest.raises(IndexError):
        judge(target(play), b"")


def test_what_depends_on_how_it_arrives() -> None:
    def play(found: Script, arrival: Arrival) -> Outcome:
        return Outcome([str(arrival.seed is None)])

    with pytest.raises(Broken, match="changes 'True' to 'False'"):
        judge(target(play), b"")


def test_what_is_sent_depends_on_how_it_arrives() -> None:
    whole, pieces = Outcome(["a"], sent=b"a"), Outcome(["a"], sent=b"b")
    with pytest.raises(Broken, match="what is sent"):
        compare(whole, pieces, Arrival(1))
    whole.vague = True
    compare(whole, pieces, Arrival(1))
    assert whole.digest != pieces.digest
    with pytest.raises(Broken, match="changes 'b' to"):
        compare(Outcome(["a", "b"]), Outcome(["a"]), Arrival(1))


def test_what_takes_too_long() -> None:
    def play() -> Outcome:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        return Outcome()

    with pytest.raises(Broken, match="are allowed"):
        timed(play, b"", TARGETS["framer"], Budget(base=0.005, step=0))
    assert timed(play, b"", TARGETS["framer"], Budget(base=5)) == Outcome()


def test_what_was_slow_once_is_tried_again() -> None:
    took = iter([0.03, 0.0])

    def play() -> Outcome:
        end = time.process_time() + next(took)
        while time.process_time() < end:
            pass
        return Outcome()

    assert timed(play, b"", TARGETS["framer"], Budget(base=0.02, step=0)) == Outcome()


def test_a_warning() -> None:
    with pytest.raises(DeprecationWarning), quiet():
        warnings.warn("planted", DeprecationWarning, stacklevel=1)


def test_a_finalizer_that_raises() -> None:
    class Planted:
        def __del__(self) -> None:
            raise ValueError("planted")

    with pytest.raises(Broken, match="planted"), quiet():
        Planted()


# In a connection.


def test_an_account_that_is_over() -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    lived.check_accounts()
    lived.broker.ledger.references_held = SMALL.references_held + 1
    with pytest.raises(Broken, match="references_held"):
        lived.check_accounts()
    lived.broker.ledger.references_held = 0
    lived.broker.ledger.out_bytes = -1
    with pytest.raises(Broken, match="out_bytes"):
        lived.check_accounts()


def test_an_account_that_is_not_what_is_there() -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    lived.broker.ledger.references_exported += 1
    with pytest.raises(Broken, match="0 are there"):
        lived.check_tables()


def test_what_stays_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: life.Life, given: CallReceived, value: object) -> None:
        pass

    monkeypatch.setattr(life.Life, "answer", forgetful)
    with pytest.raises(Broken, match=r"still charged at the end: \{'calls_running': 1"):
        played(call(b"echo", 5))


def test_a_call_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life.Life, "answered", lambda *ignored: None)
    with pytest.raises(Broken, match="did not end"):
        played(flags=CLIENT)


def test_an_abandoned_call_leaves_its_number_to_no_other() -> None:
    lived = life.Life("client", USUAL, Arrival(), Outcome())
    lived.feed(encode([b"pb"], "none"))
    lived.call("ask")
    lived.call("ask")
    lived.feed(encode([b"answer", 2, 7]))
    lived.abandon()
    lived.abandon()
    lived.call("ask")
    assert list(lived.waiting) == [1, 2]
    lived.finish("pb")
    assert [line for line in lived.outcome.lines if line.startswith("our call 1:")] == [
        "our call 1: 7"
    ]


def test_what_came_with_a_call_goes_before_the_next_message_is_read() -> None:
    lived = life.Life("server", USUAL, Arrival(), Outcome())
    lived.feed(encode(b"pb", "none"))
    # What is no tuple is refused, and what was in it is released at once.
    refused = [b"message", 2, b"root", b"echo", 1, [b"remote", 9], [b"dictionary"]]
    lived.feed(call(b"kind", [b"remote", 8]) + encode(refused))
    lived.take()
    assert lived.sent.endswith(encode([b"decref", 8]) + encode([b"decref", 9]))
    lived.finish("pb")


def test_what_came_with_a_call_is_in_no_cycle() -> None:
    lived = life.Life("server", USUAL, Arrival(), Outcome())
    lived.feed(encode(b"pb", "none"))
    was_on = gc.isenabled()
    gc.disable()
    try:
        lived.feed(call(b"bad", [b"remote", 8]))
        lived.take()
    finally:
        if was_on:
            gc.enable()
    assert encode([b"decref", 8]) in lived.sent
    lived.finish("pb")


def test_what_the_application_holds_is_no_leak() -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    lived.feed(encode(b"pb", "none"))
    lived.app.kept.append(lived.broker.decode_value(encode([b"remote", 1])))
    lived.finish("pb")
    assert lived.outcome.lines[-1].startswith("closed")


def test_what_code_of_ours_raises_is_not_the_applications() -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    with pytest.raises(Broken, match="reading a value raised KeyError"):
        lived.cause(KeyError("x"))


@pytest.mark.parametrize(
    "sexp",
    [
        [b"decref"],
        [b"what"],
        5,
        [b"error", 1, [b"fuzz.Node", [b"dictionary"]]],
        [
            *(b"error", 1),
            [
                b"twisted.spread.pb.CopyableFailure",
                [b"dictionary", [[b"unicode", b"type"], b"builtins.KeyError"]],
            ],
        ],
    ],
)
def test_a_message_of_ours_that_nobody_understands(sexp: object) -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    lived.sent += encode([b"pb"], "none") + encode(sexp)
    with pytest.raises(Broken):
        lived.check_sent("pb")


def test_half_a_message_of_ours() -> None:
    lived = life.Life("server", SMALL, Arrival(), Outcome())
    lived.sent += encode([b"pb"], "none") + encode([b"decref", 1])[:-1]
    with pytest.raises(Broken, match="not complete"):
        lived.check_sent("pb")


# The framer.


class Wasteful:
    """One that looks at everything twice."""

    def __init__(self, *given: Any) -> None:
        self.framer = Framer(*given)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.framer, name)
        return 2 * found if name == "examined" else found


def test_a_framer_that_is_not_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "Framer", Wasteful)
    with pytest.raises(Broken, match="were examined"):
        played(encode([1, 2]), target="framer")


# How things arrive.


def test_an_input_arrives_whole_and_in_pieces() -> None:
    first, second = ways(3)
    assert first == Arrival()
    assert second == Arrival(3, in_place=True)
    assert ways(2)[1].in_place is False


@pytest.mark.parametrize("in_place", [False, True])
def test_all_of_it_arrives(in_place: bool) -> None:
    data = encode([b"x" * 300, [1] * 30])
    for seed in range(20):
        way = Arrival(seed, in_place)
        framer = Framer(PB, USUAL, way.buffer())
        got: list[bytes] = []

        def then(framer: Framer = framer, got: list[bytes] = got) -> bool:
            message = framer.next_message()
            if message is not None:
                got.append(message)
            return False

        way.deliver(data, framer, framer.feed, then)
        assert got == [data]
    assert ROOM < 300


def test_tight_limits_are_met() -> None:
    outcome = played(encode([b"x" * 300]), target="framer", flags=TIGHT)
    assert "limits.string_bytes" in outcome.lines[0]


def test_no_cycle_is_collected_while_two_runs_are_compared() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
