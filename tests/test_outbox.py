"""What is written: in full or not at all, and one message after the other."""

from typing import Any

import pytest

from pellucid.banana import NONE, PB, Dialect, Framer, decode, encode
from pellucid.caches import CacheObserver
from pellucid.errors import DeadReferenceError, InsecureJelly, LimitExceeded, RemoteError
from pellucid.flavors import Referenceable
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from pellucid.outbox import Outbox, Pens
from pellucid.references import RemoteReference
from pellucid.tables import Tables

REQUEST = encode(9, "none")
FAILURE = b"twisted.spread.pb.CopyableFailure"


class Sender:
    """An outbox, and what it writes of."""

    def __init__(
        self, pens: Pens | None = None, shared: Limits | None = None, **limits: int
    ) -> None:
        self.ledger = Ledger(shared or Limits(**limits))
        self.tables = Tables(
            self,
            self.ledger,
            self.reference,
            self.observer,
            lambda owner, event: None,
        )
        self.outbox = Outbox(self.ledger, self.tables, NONE, pens=pens)

    def reference(self, owner: Any, luid: int | bytes) -> RemoteReference:
        return RemoteReference(owner, luid)

    def observer(self, owner: Any, luid: int, perspective: Any) -> CacheObserver:
        return CacheObserver(owner, luid, perspective)

    def wake(self) -> None:
        pass

    def call(self, *args: Any, handle: Any = None, **kwargs: Any) -> None:
        handle = RemoteReference(self, b"root") if handle is None else handle
        self.outbox.call(5, handle, "x", True, args, kwargs)

    def take(self) -> list[Any]:
        """All messages, as they can be read."""
        messages = []
        for data in self.outbox._out:
            messages.append(decode(data, "none"))
        self.outbox.take()
        return messages

    def used(self) -> tuple[int, int]:
        return len(self.tables.exports), self.ledger.used("out_bytes")


class Hook:
    """Does something while it is written."""

    def __init__(self, hook: Any, value: Any = 1) -> None:
        self.hook = hook
        self.value = value

    def write_jelly(self, encoder: Any) -> None:
        self.hook(encoder)
        encoder.write_sexp(self.value)


def fail(error: BaseException) -> Any:
    def hook(encoder: Any) -> None:
        raise error

    return hook


def test_a_call() -> None:
    sender = Sender()
    sender.call(1, a=2)
    kwargs = [b"dictionary", [[b"unicode", b"a"], 2]]
    sexp = [b"message", 5, b"root", b"x", 1, [b"tuple", 1], kwargs]
    assert sender.used() == (0, len(encode(sexp, "none")))
    assert sender.take() == [sexp]
    sender.call(handle=CacheObserver(sender, 7, None))
    assert sender.take()[0][:3] == [b"cachemessage", 5, 7]
    assert sender.used() == (0, 0)


@pytest.mark.parametrize("dialect", [PB, NONE])
def test_what_is_sent_again_and_again(dialect: Dialect) -> None:
    sender = Sender()
    sender.outbox.use(dialect)
    mine = Referenceable()
    for _ in range(2):
        sender.call("a", mine)
        sender.outbox.answer(REQUEST, mine, None)
    assert sender.tables.exports.snapshot() == {1: (mine, 4)}
    first, second = sender.outbox._out[:2], sender.outbox._out[2:]
    assert first == second
    assert sender.used() == (1, 2 * sum(map(len, first)))
    assert not sender.tables.ids.counted


def test_a_message_is_written_on_behalf_of_somebody() -> None:
    seen: list[Any] = []
    sender, hook = Sender(), Hook(lambda encoder: seen.append(encoder.perspective))
    handle = RemoteReference(sender, 7)
    handle.perspective = "alice"
    sender.call(hook, handle=handle)
    sender.outbox.answer(REQUEST, hook, "bob")

    class Wrong(Hook, Exception):
        pass

    sender.outbox.error(REQUEST, Wrong(hook.hook), None, "carol")
    sender.call(hook)
    assert seen == ["alice", "bob", "carol", None]


def test_a_call_that_can_not_be_written_leaves_no_trace() -> None:
    sender = Sender()
    with pytest.raises(InsecureJelly):
        sender.call(Referenceable(), object())
    with pytest.raises(KeyboardInterrupt):
        sender.call(Referenceable(), Hook(fail(KeyboardInterrupt())))
    assert sender.used() == (0, 0)
    assert not sender.outbox.is_writing()
    sender.call(Referenceable())
    assert sender.take()[0][5] == [b"tuple", [b"remote", 1]]
    assert len(sender.tables.exports) == 1
    assert sender.tables.ids.counted == []


def test_an_answer_that_can_not_be_written_leaves_no_trace() -> None:
    sender = Sender()
    with pytest.raises(InsecureJelly):
        sender.outbox.answer(REQUEST, [Referenceable(), object()], None)
    assert sender.used() == (0, 0)
    sender.outbox.answer(REQUEST, Referenceable(), None)
    assert sender.take() == [[b"answer", 9, [b"remote", 1]]]
    sender.outbox.answer(REQUEST, 5, None)
    assert sender.take() == [[b"answer", 9, 5]]


def test_an_error_goes_as_a_failure() -> None:
    sender = Sender()
    sender.outbox.error(REQUEST, ValueError("no"), "line 1", None)
    ((word, request, (tag, state)),) = sender.take()
    assert (word, request, tag) == (b"error", 9, FAILURE)
    assert [[b"unicode", b"traceback"], [b"unicode", b"line 1"]] in state


class Wrong(Exception):
    """Says itself how it travels."""

    def __init__(self, text: str, *values: Any) -> None:
        super().__init__(text)
        self.values = values

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_copy(self, "x.Wrong", lambda perspective: list(self.values))


def test_an_error_goes_as_itself() -> None:
    sender = Sender()
    sender.outbox.error(REQUEST, Wrong("no", 5), None, None)
    assert sender.take() == [[b"error", 9, [b"x.Wrong", [b"list", 5]]]]
    sender.outbox.error(REQUEST, Wrong("no", Referenceable()), None, None)
    assert sender.take() == [[b"error", 9, [b"x.Wrong", [b"list", [b"remote", 1]]]]]
    assert sender.tables.ids.counted == []
    assert len(sender.tables.exports) == 1


def test_an_error_that_can_not_go_as_itself_is_a_failure() -> None:
    sender = Sender()
    sender.outbox.error(REQUEST, Wrong("no", Referenceable(), object()), None, None)
    ((_, _, (tag, state)),) = sender.take()
    assert tag == FAILURE
    assert [[b"unicode", b"value"], [b"unicode", b"no"]] in state
    assert sender.used() == (0, 0)


def test_an_error_that_is_interrupted_is_one_all_the_same() -> None:
    sender = Sender()
    with pytest.raises(KeyboardInterrupt):
        sender.outbox.error(REQUEST, Wrong("no", Hook(fail(KeyboardInterrupt()))), None, None)
    ((_, _, (tag, state)),) = sender.take()
    assert tag == FAILURE
    assert b"an error that can't be sent" in encode(state, "none")


def test_what_can_not_be_sent_of_an_error_is_left_out() -> None:
    sender = Sender(message_bytes=1000)
    sender.outbox.error(REQUEST, ValueError("x" * 2000), None, None)
    assert b"limits.message_bytes" in sender.outbox.take()
    error = RemoteError("x")
    error.remote_type = "app.Gone"
    error.remote_parents = (5,)  # type: ignore[assignment]
    sender.outbox.error(REQUEST, error, None, None)
    assert b"an error that can't be sent" in sender.outbox.take()
    with pytest.raises(LimitExceeded):
        sender.outbox.error(b"x" * 2000, ValueError("x"), None, None)


def test_what_is_sent_in_the_midst_of_a_message_leaves_behind_it() -> None:
    sender = Sender()
    failed: list[Any] = []

    def hook(encoder: Any) -> None:
        assert sender.outbox.is_writing()
        handle, gone = RemoteReference(sender, 8), CacheObserver(sender, 9, None)
        gone.stopped = True
        for request, one, value in ((6, handle, 1), (7, gone, 2), (8, handle, object())):
            sender.outbox.call_later(
                lambda *args: failed.append(args), request, one, "y", False, (value,), {}
            )

    sender.call(Hook(hook))
    assert len(sender.outbox) == 1
    sender.outbox.send_later()
    assert [message[1:3] for message in sender.take()] == [[5, b"root"], [6, 8]]
    assert [(request, type(error)) for request, error in failed] == [
        (7, DeadReferenceError),
        (8, InsecureJelly),
    ]
    sender.outbox.send_later()
    assert sender.take() == []


def test_what_is_sent_later_may_send_more() -> None:
    sender = Sender()
    order: list[int] = []

    def later(count: int) -> None:
        order.append(count)
        if count < 3:
            sender.outbox.put_off(lambda: later(count + 1))
            sender.outbox.send_later()

    sender.outbox.put_off(lambda: later(0))
    sender.outbox.put_off(lambda: order.append(-1))
    sender.outbox.send_later()
    assert order == [0, -1, 1, 2, 3]


def test_an_interrupt_goes_on() -> None:
    sender = Sender()
    failed: list[Any] = []
    handle = RemoteReference(sender, 8)
    values = (Hook(fail(KeyboardInterrupt())),)
    sender.outbox.call_later(lambda *args: failed.append(args), 6, handle, "y", False, values, {})
    sender.outbox.put_off(lambda: failed.append(None))
    with pytest.raises(KeyboardInterrupt):
        sender.outbox.send_later()
    assert [type(error) for _, error in failed] == [KeyboardInterrupt]
    sender.outbox.send_later()
    assert failed[1:] == [None]


def test_what_is_owed_is_written() -> None:
    sender = Sender(out_bytes=100)
    for debt in (7, b"name", (8,)):
        sender.tables.releases.owe(debt, 1)
    sender.outbox.write(b"x" * 100)
    sender.outbox.release()
    assert len(sender.outbox) == 1
    sender.outbox.take()
    sender.outbox.release()
    released = sorted(sender.take(), key=repr)
    assert released == [[b"decache", 8], [b"decref", 7], [b"decref", b"name"]]


def test_what_has_not_left_is_counted() -> None:
    sender = Sender()
    sender.outbox.write(b"abc")
    sender.outbox.write(b"de")
    assert len(sender.outbox) == 2
    assert sender.outbox.take() == b"abcde"
    assert sender.outbox.take() == b""
    sender.outbox.left(5)
    assert sender.used() == (0, 5)
    sender.outbox.left(2)
    assert sender.used() == (0, 2)
    sender.outbox.left(0)
    assert sender.used() == (0, 0)


def test_a_dialect_is_agreed() -> None:
    sender = Sender()
    sender.outbox.use(PB)
    sender.outbox.answer(REQUEST, None, None)
    assert sender.outbox.take() == encode([b"answer", 9, [b"None"]], "pb")


def test_nothing_is_written_when_the_connection_is_over() -> None:
    sender = Sender()
    sender.outbox.put_off(lambda: None)
    sender.outbox.write(b"said before")
    sender.outbox.close()
    assert sender.outbox.take() == b"said before"
    assert not sender.outbox.later
    with pytest.raises(DeadReferenceError, match="while a message was written"):
        sender.call(Referenceable())
    sender.outbox.answer(REQUEST, Referenceable(), None)
    sender.outbox.error(REQUEST, ValueError(), None, None)
    sender.tables.clear()
    with pytest.raises(DeadReferenceError, match="while a message was written"):
        sender.call(Referenceable())
    assert sender.outbox.take() == b""
    assert sender.used() == (0, 0)


def test_a_value_by_itself_counts_as_sent() -> None:
    sender, limits = Sender(), Limits()
    thing = Referenceable()
    data = sender.outbox.value([thing, b"list"], None, None, limits)
    assert decode(data) == [b"list", [b"remote", 1], b"list"]
    assert sender.used() == (1, 0)
    assert sender.tables.exports.snapshot() == {1: (thing, 1)}
    with pytest.raises(InsecureJelly, match=r"value\[1\]: a builtins.object can't be sent"):
        sender.outbox.value([Referenceable(), object()], None, None, limits)
    assert sender.used() == (1, 0)
    assert sender.tables.ids.counted == []


def test_a_value_by_itself_has_a_host_of_its_own() -> None:
    class Host:
        def adapt(self, value: Any) -> Any:
            return Hook(lambda encoder: None, type(value).__name__.encode())

    sender, limits = Sender(), Limits()
    assert decode(sender.outbox.value(1j, None, Host(), limits)) == b"complex"
    other = Outbox(sender.ledger, sender.tables, NONE, Host())
    assert decode(other.value(1j, None, None, limits)) == b"complex"
    other.answer(REQUEST, 1j, None)
    assert decode(other.take(), "none") == [b"answer", 9, b"complex"]


def test_a_value_in_the_midst_of_a_message_counts_by_itself() -> None:
    sender = Sender()
    inner, outer = Referenceable(), Referenceable()

    def write(encoder: Any) -> None:
        sender.outbox.value(inner, None, None, sender.ledger.limits)
        with pytest.raises(InsecureJelly):
            sender.outbox.value([inner, object()], None, None, sender.ledger.limits)

    with pytest.raises(InsecureJelly):
        sender.call(outer, Hook(write), object())
    assert [obj for obj, _ in sender.tables.exports.snapshot().values()] == [inner]


def test_what_is_counted_outside_of_a_message_stays() -> None:
    sender, thing = Sender(), Referenceable()
    assert sender.outbox.counted(sender.tables.export, thing) == 1
    assert sender.tables.ids.counted == []

    def write(encoder: Any) -> None:
        assert sender.outbox.counted(sender.tables.export, thing) == 1

    with pytest.raises(InsecureJelly):
        sender.call(Hook(write), object())
    with pytest.raises(InsecureJelly):
        sender.outbox.value([Hook(write), object()], None, None, Limits())
    assert sender.tables.exports.snapshot() == {1: (thing, 1)}
    sender.call(Hook(write))
    assert sender.tables.exports.snapshot() == {1: (thing, 2)}


def pair() -> tuple[Sender, Sender]:
    """Two that share their pens."""
    pens, limits = Pens(), Limits()
    return Sender(pens, limits), Sender(pens, limits)


def test_connections_take_turns_with_a_pen() -> None:
    one, other = pair()
    assert one.outbox._pen is other.outbox._pen
    for count in (1, 2):
        for sender in (one, other):
            sender.call(Referenceable())
            assert sender.take()[0][5] == [b"tuple", [b"remote", count]]
            assert not sender.outbox.is_writing()
    assert len(one.tables.exports) == len(other.tables.exports) == 2
    one.outbox.use(PB)
    other.outbox.use(PB)
    assert one.outbox._pen is other.outbox._pen


def test_a_message_of_another_connection_in_the_midst_of_one() -> None:
    one, other = pair()

    def hook(encoder: Any) -> None:
        assert one.outbox.is_writing()
        assert not other.outbox.is_writing()
        other.call(Referenceable())
        assert other.take()[0][5] == [b"tuple", [b"remote", 1]]

    for _ in range(2):
        one.call(Referenceable(), Hook(hook))
        other.tables.ids.next = 1
    assert [each[5] for each in one.take()] == [
        [b"tuple", [b"remote", 1], 1],
        [b"tuple", [b"remote", 2], 1],
    ]
    other.tables.ids.next = 3
    other.call(Referenceable())
    assert other.take()[0][5] == [b"tuple", [b"remote", 3]]


def test_between_two_messages_a_pen_keeps_nothing_of_a_connection() -> None:
    one, other = pair()
    pen = one.outbox._pen
    one.call()
    with pytest.raises(InsecureJelly):
        one.call(object())
    with pytest.raises(DeadReferenceError):
        other.call(Hook(lambda encoder: other.outbox.close()))
    kept: list[Any] = [pen.owner, pen.encoder.exporter, pen.encoder.perspective]
    assert kept == [None, None, None]


def test_few_pens_are_kept() -> None:
    pens, many = Pens(), [Limits() for _ in range(20)]
    found = [pens.find(NONE, limits) for limits in many]
    assert len({*map(id, found)}) == 20
    assert pens.find(NONE, many[-1]) is found[-1]
    assert pens.find(NONE, many[0]) is not found[0]


def test_long_strings_are_kept_as_they_are() -> None:
    sender = Sender()
    long = b"x" * 100_000
    outbox = sender.outbox
    sender.call(1)
    sender.call(long, 2)
    assert outbox.long
    outbox.answer(REQUEST, [long], None)
    outbox.error(REQUEST, ValueError("y" * 100_000), None, None)
    sender.call(3)
    charged = sender.ledger.out_bytes
    pieces = outbox.take_pieces()
    assert sum(map(len, pieces)) == charged
    assert [piece is long for piece in pieces].count(True) == 2
    assert sender.used() == (0, 0)
    assert outbox.take() == b""
    framer = Framer(NONE, Limits())
    framer.feed(b"".join(pieces))
    found = [decode(framer.next_message() or b"", "none") for _ in range(5)]
    assert [message[0] for message in found] == [
        *(b"message", b"message", b"answer", b"error", b"message")
    ]
    assert found[1][5] == [b"tuple", long, 2]
    assert found[2][2] == [b"list", long]
    assert framer.buffered == 0
    # Whoever does not want pieces has the same bytes.
    sender.call(long)
    sender.call(4)
    assert outbox.take().count(long) == 1


def test_nothing_long_is_kept_when_the_connection_is_over() -> None:
    sender = Sender()
    long = b"x" * 100_000
    sender.call(long)
    left = Hook(lambda encoder: sender.outbox.close())
    sender.outbox.answer(REQUEST, [long, left], None)
    # What was written before still goes out.
    assert b"".join(sender.outbox.take_pieces()).count(long) == 1
    assert sender.outbox.take() == b""
    assert sender.outbox._pen.encoder.behind == []


def test_after_the_end_nothing_is_charged() -> None:
    sender = Sender()
    sender.outbox.write(b"x" * 10)
    sender.outbox.take()
    sender.outbox.left(7)
    sender.outbox.write(b"y")
    sender.outbox.close()
    assert sender.ledger.charged() == {}
    sender.outbox.write(b"z")
    assert sender.outbox.take() == b"y"
    sender.outbox.left(1)
    assert sender.ledger.charged() == {}


def test_other_limits() -> None:
    sender = Sender(pens=Pens())
    sender.outbox.answer(REQUEST, b"x" * 200, None)
    sender.ledger.use(Limits(string_bytes=100))
    sender.outbox.follow()
    with pytest.raises(LimitExceeded):
        sender.outbox.answer(REQUEST, b"x" * 200, None)


def test_other_limits_while_a_message_is_written() -> None:
    sender = Sender()

    class Strict(Referenceable):
        def write_jelly(self, encoder: Any) -> None:
            sender.ledger.use(Limits(string_bytes=100))
            sender.outbox.follow()
            encoder.write_sexp(b"x" * 200)

    sender.outbox.answer(REQUEST, Strict(), None)
    assert sender.outbox.is_writing() is False
    sender.outbox.send_later()
    with pytest.raises(LimitExceeded):
        sender.outbox.answer(REQUEST, b"x" * 200, None)
