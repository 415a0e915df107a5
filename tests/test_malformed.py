"""Every recorded piece of damage, played to a server and to a client.

Each row whole, byte by byte, and with something before and behind it. Nothing is ever raised, no
call is ever lost, and damage inside one call costs that call only. `OURS` says what becomes of each
row, and where that is more than Twisted does, at which place the wire document asks for it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pellucid.banana import DIALECTS, Framer, decode, encode
from pellucid.broker import Broker
from pellucid.errors import ConnectionLost, InsecureJelly, LimitExceeded, PBError, RemoteError
from pellucid.errors import RemoteProtocolError as Violation
from pellucid.flavors import Root
from pellucid.jelly import loads
from pellucid.limits import Limits
from tests.harness import Side, Waiter

VECTORS = Path(__file__).parent / "vectors"
PROBE = 999


# What we do.


@dataclass(frozen=True)
class Ours:
    """What becomes of one row here.

    `says` are the replies: the value of an answer, or the class and the text of an error. `wire` is
    the place in the wire document that makes it differ from what Twisted does, "" where it is the
    same: the connection lives or ends, the call is answered or refused, the probe is heard.
    """

    # A part of the reason for which the connection ends, and of what is noted about the peer.
    ends: str = ""
    notes: str = ""
    says: tuple[Any, ...] = ()
    # The item is not complete, so that it takes the probe; and this ends the connection, if any.
    swallows: bool = False
    then_ends: str = ""
    # Of a row for a client: what its first call gives, None while it waits. An error: its text.
    first: Any = None
    fails: type[PBError] | None = None
    wire: str = ""


@dataclass(frozen=True)
class Refused:
    """An error as it is answered."""

    kind: str
    text: str


INSECURE = "twisted.spread.jelly.InsecureJelly"


def ends(why: str, *says: Any, wire: str = "") -> Ours:
    return Ours(ends=why, says=says, wire=wire)


def answers(value: Any, *, wire: str = "") -> Ours:
    return Ours(says=(value,), wire=wire)


def refuses(text: str, kind: str = INSECURE, *more: Any, wire: str = "") -> Ours:
    return Ours(says=(Refused(kind, text), *more), wire=wire)


def notes(why: str, *says: Any, wire: str) -> Ours:
    return Ours(notes=why, says=says, wire=wire)


def swallows(then_ends: str = "") -> Ours:
    return Ours(swallows=True, then_ends=then_ends)


def fails(kind: type[PBError], text: str, *, wire: str = "") -> Ours:
    return Ours(fails=kind, first=text, wire=wire)


UNREGISTERED = "arguments[0]: type tag {!r} is not registered"
NO_DIALECT = "the client chose a dialect that was not offered"
UNDEFINED = "a reference number is not defined"
TOO_DEEP = "nested deeper than limits.depth_received, which is 256"
UNHASHABLE = "that can't be hashed is a key or member"

OURS: dict[str, Ours] = {
    # Items (section 1).
    "prefix_65_bytes": ends("a prefix has more than 64 digits"),
    "prefix_65_zero_bytes": ends("a prefix has more than 64 digits"),
    "prefix_65_no_type_byte": ends("a prefix has more than 64 digits"),
    "prefix_64_no_type_byte": swallows("a prefix has more than 64 digits"),
    "list_longer_than_limit": ends("over limits.list_items (655361, and it is 655360)"),
    "string_longer_than_limit": ends("over limits.string_bytes (655361, and it is 655360)"),
    "list_length_2p35": ends("over limits.list_items"),
    "string_length_2p448m1": ends("over limits.string_bytes"),
    "list_at_limit_unfinished": swallows(),
    "string_truncated": swallows(),
    "float_truncated": swallows("a message must be a list"),
    "type_byte_88": ends("there is no type byte 0x88"),
    "type_byte_ff": ends("there is no type byte 0xff"),
    "vocab_0": ends("dialect pb has no word of number 0"),
    "vocab_32": ends("dialect pb has no word of number 32"),
    "vocab_huge": ends("dialect pb has no word of number"),
    "vocab_under_none": ends("dialect none has no word of number 19"),
    "vocab_unknown_under_none": ends("dialect none has no word of number 32"),
    "nesting_open_5000": swallows("over limits.depth_received (257, and it is 256)"),
    "nesting_bare_100000": ends("over limits.depth_received (257, and it is 256)"),
    "nesting_argument_100000": refuses(
        f"arguments{'[0]' * 256}: {TOO_DEEP}", "pellucid.LimitExceeded"
    ),
    "nesting_argument_200": answers("list"),
    "lenient_int_padded_prefix": answers("int"),
    "lenient_int_empty_prefix": answers("int"),
    "lenient_int_type_over_32_bits": answers("int"),
    "lenient_float_with_prefix": answers("float"),
    "good_call_then_bad_byte_one_segment": ends("there is no type byte 0x88", "int", wire="19.8"),
    # Opening (section 3).
    "dialect_unknown": ends(NO_DIALECT),
    "dialect_list": ends(NO_DIALECT),
    "dialect_integer": ends(NO_DIALECT),
    "dialect_wrong_case": ends(NO_DIALECT),
    "dialect_as_vocab": ends("dialect none has no word of number 19"),
    "message_before_dialect": ends(NO_DIALECT),
    "unknown_dialect_then_pb": ends(NO_DIALECT, wire="3"),
    "http_request": swallows("over limits.string_bytes"),
    "no_version_message": Ours(says=(b"version",)),
    "dialect_sent_twice": ends("a message must be a list"),
    "offer_unknown_only": ends("the server offers no dialect that is known here"),
    "offer_empty": ends("the server offers no dialect that is known here"),
    "offer_integer": ends("the server did not begin with a list of dialects"),
    "offer_bare_string": ends("the server did not begin with a list of dialects"),
    "offer_none_first": Ours(),
    # Messages (section 7).
    "command_unknown": notes("the peer sent an unknown command", b"didNotUnderstand", wire="19.11"),
    "command_empty_list": ends("a message must not be empty"),
    "command_integer": ends("the command of a message is not a byte string"),
    "command_not_utf8": ends("the command of a message is not UTF-8"),
    "bare_integer": ends("a message must be a list"),
    "bare_string": ends("a message must be a list"),
    "version_7": ends("the other side does not speak version 6 of PB"),
    "version_without_number": ends("a 'version' message has 1 fields, and 0 came"),
    "message_without_fields": ends("a 'message' message has 6 fields, and 0 came"),
    "message_one_field_too_many": ends("a 'message' message has 6 fields, and 7 came"),
    "object_id_unknown": refuses("Invalid Object ID", "twisted.spread.pb.Error"),
    "object_id_list": refuses("Invalid Object ID", "twisted.spread.pb.Error"),
    "method_name_integer": ends("the name of a method is not a byte string"),
    "method_name_jellied_str": ends("the name of a method is not a byte string"),
    "method_name_not_utf8": ends("the name of a method is not UTF-8"),
    "method_name_empty": refuses("No such method: remote_", "twisted.spread.flavors.NoSuchMethod"),
    "args_integer": refuses("arguments: not a tuple"),
    "args_bytes": refuses("arguments: not a tuple", wire="19.21"),
    "args_list": answers(([1, 2], {})),
    "kwargs_none": refuses("keywords: not a dictionary"),
    "kwargs_integer_key": refuses("keywords: a name is not text"),
    "kwargs_bytes_key": answers(([], {"a": 1})),
    "kwargs_mixed_keys": answers(([], {"a": 1, "b": 2}), wire="19.24"),
    "answer_unknown_id": notes("the peer answered a call that is not waiting", wire="19.16"),
    "error_unknown_id": notes("the peer answered a call that is not waiting", wire="19.16"),
    "decref_unknown": notes("released a reference that it does not hold", wire="19.16"),
    "decref_root": notes("released a reference that it does not hold", wire="19.16"),
    "decache_unknown": notes("released a cache that it does not hold", wire="19.16"),
    "uncache_unknown": Ours(wire="19.16"),
    "cachemessage_unknown": refuses("Invalid Cache ID", "twisted.spread.pb.Error"),
    # Values (sections 4 to 6).
    "jelly_empty_list": refuses("arguments[0]: an empty list has no type tag"),
    "jelly_integer_head": refuses("arguments[0]: a type tag has to be a byte string"),
    "jelly_type_unknown": refuses(UNREGISTERED.format("foo")),
    "jelly_type_allowed_but_unknown": refuses(UNREGISTERED.format("str")),
    "jelly_class": refuses(UNREGISTERED.format("class")),
    "jelly_module": refuses(UNREGISTERED.format("module")),
    "jelly_function": refuses(UNREGISTERED.format("function")),
    "jelly_instance": refuses(UNREGISTERED.format("instance")),
    "jelly_dotted_class": refuses(UNREGISTERED.format("subprocess.Popen")),
    "jelly_dotted_not_ascii": refuses(r"arguments[0]: type tag '\xc3\xa9.X' is not registered"),
    "jelly_dereference_nothing_in_tuple": refuses(f"arguments[0]: {UNDEFINED}"),
    "jelly_dereference_nothing_in_list": refuses(f"arguments[0][0]: {UNDEFINED}", wire="19.23"),
    "jelly_reference_id_twice": refuses("arguments[0][1]: a reference number is used twice"),
    "jelly_reference_without_body": refuses("arguments[0]: a reference needs a number and a value"),
    "jelly_tuple_of_itself": refuses(
        "arguments: a tuple contains itself, with nothing that can change between", wire="19.23"
    ),
    "jelly_dict_key_cycle": refuses(f"arguments[0]{{key 0}}: a builtins.tuple {UNHASHABLE}"),
    "jelly_unicode_not_utf8": refuses("arguments[0]: a text is not UTF-8"),
    "jelly_unicode_integer": refuses("arguments[0]: the content of a text has to be a byte string"),
    "jelly_boolean_maybe": refuses("arguments[0]: a boolean that is neither true nor false"),
    "jelly_decimal_one_field": refuses("arguments[0]: a decimal with nothing in it"),
    "jelly_datetime_two_fields": refuses("arguments[0]: a datetime that is none"),
    "jelly_timedelta_two_fields": refuses("arguments[0]: a timedelta that is none"),
    "jelly_dict_pair_of_one": refuses(
        "arguments[0]{key 0}: what is in a dictionary has to be a list of two"
    ),
    "jelly_dict_list_key": refuses(f"arguments[0]{{key 0}}: a builtins.list {UNHASHABLE}"),
    "jelly_set_of_list": refuses(f"arguments[0]{{member}}: a builtins.list {UNHASHABLE}"),
    "jelly_local_unknown": refuses(
        "arguments[0]: a reference to an object that this side does not know", wire="19.17"
    ),
    "jelly_lcache_unknown": refuses("arguments[0]: a cache that this side does not know"),
    # The owner has counted it.
    "jelly_cached_unknown": refuses(
        "arguments[0]: a cache that this side does not know", INSECURE, b"decache", wire="11"
    ),
    "jelly_remote_without_id": refuses("arguments[0]: a remote with nothing in it"),
    "jelly_unpersistable": answers("Unpersistable"),
    "jelly_failure_without_parents": answers("RemoteError", wire="13"),
    # Replies (section 13).
    "reply_answer_unregistered_class": fails(
        InsecureJelly, "result: type tag 'foo.Bar' is not registered", wire="19.12"
    ),
    "reply_error_unregistered_class": fails(
        InsecureJelly, "error: type tag 'foo.Bar' is not registered", wire="19.12"
    ),
    "reply_error_none": fails(RemoteError, "the call failed with a value: NoneType", wire="19.12"),
    "reply_error_integer": fails(RemoteError, "the call failed with a value: int"),
    "reply_error_failure_without_parents": fails(RemoteError, "v", wire="19.12"),
    "reply_answer_without_result": ends("message has 2 fields, and 1 came"),
    "reply_answer_twice": Ours(
        notes="the peer answered a call that is not waiting", first=5, wire="19.16"
    ),
    "reply_answer_unknown_id": notes("the peer answered a call that is not waiting", wire="19.16"),
    "reply_answer_dereference_nothing": fails(InsecureJelly, f"result: {UNDEFINED}", wire="19.23"),
    "reply_answer_nested_400": fails(
        LimitExceeded, f"result{'[0]' * 256}: {TOO_DEEP}", wire="19.12"
    ),
    "reply_version_5": ends("the other side does not speak version 6 of PB"),
}


# The rows.


@dataclass(frozen=True)
class Row:
    """One row of the file."""

    name: str
    role: str
    state: str
    dialect: str
    data: bytes
    outcome: dict[str, Any]

    @property
    def ours(self) -> Ours:
        return OURS[self.name]


def load() -> list[Row]:
    rows = []
    for row in json.loads((VECTORS / "malformed.json").read_text()):
        parts = row.get("hex_parts") or [[row["hex"], 1]]
        data = b"".join(bytes.fromhex(text) * count for text, count in parts)
        dialect = row["dialect"] or "none"
        rows.append(
            Row(row["name"], row["role"], row["state"], dialect, data, row["twisted_outcome"])
        )
    return rows


ROWS = load()
SERVER = [row for row in ROWS if row.role == "server"]
CLIENT = [row for row in ROWS if row.role == "client"]
READY_CLIENT = [row for row in CLIENT if row.state == "ready"]
FRESH_CLIENT = [row for row in CLIENT if row.state == "fresh"]

pieces = pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "bytes", "sevens"])


def rows(chosen: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", chosen, ids=[row.name for row in chosen])


def test_every_row_is_played() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == 114
    assert names == [*dict.fromkeys(names)]
    assert OURS.keys() == set(names)
    # Each of these lists is played by tests below.
    assert len(SERVER) + len(READY_CLIENT) + len(FRESH_CLIENT) == len(names)


@rows(ROWS)
def test_what_differs_from_twisted_has_its_reason(row: Row) -> None:
    ours, theirs = row.ours, row.outcome
    same = bool(ours.ends) is (theirs["connection"] != "open")
    if row.role == "server":
        same = same and [*map(kind_of, ours.says)] == [reply[0] for reply in theirs["replies"]]
        if ours.swallows:
            ended = "closed the connection" if ours.then_ends else "no answer"
            assert theirs["probe"] == ended
    elif row.state == "ready":
        # The calls of a connection that ends fail: so they do there too.
        theirs_failed = theirs["call_1"].startswith("failed") and not ours.ends
        same = same and bool(ours.fails) is theirs_failed
    assert bool(ours.wire) is not same


def kind_of(said: Any) -> str:
    if isinstance(said, bytes):
        return said.decode()
    return "error" if isinstance(said, Refused) else "answer"


# Our server.


class App(Root):
    """The root that the rows were recorded with."""

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_kind(self, value: Any) -> str:
        return type(value).__name__

    def remote_any(self, *args: Any, **kwargs: Any) -> Any:
        return list(args), kwargs

    def remote_thing(self) -> Root:
        return Root()


def messages(data: bytes, dialect: str) -> list[Any]:
    """The messages in a stream."""
    framer = Framer(DIALECTS[dialect], Limits())
    framer.feed(data)
    found = [decode(message, dialect) for message in iter(framer.next_message, None)]
    assert framer.buffered == 0
    return found


def said(reply: Any) -> Any:
    """A reply as `OURS` shows it."""
    if reply[0] == b"answer":
        return loads(encode(reply[2]))
    if reply[0] != b"error":
        return reply[0]
    tag, state = reply[2]
    assert tag == b"twisted.spread.pb.CopyableFailure"
    assert [key for (_, key), _ in state[1:]] == FAILURE_KEYS
    fields = {key: value for (_, key), value in state[1:]}
    return Refused(fields[b"type"].decode(), fields[b"value"][1].decode())


FAILURE_KEYS = (
    b"count type value captureVars tb unsafeTracebacks parents frames stack traceback".split()
)


class Server(Side):
    """Our server, in the state that a row asks for, and what it has sent since."""

    def __init__(self, row: Row) -> None:
        super().__init__(Broker("server", root=App()))
        self.dialect = row.dialect
        self.take()
        if row.state == "ready":
            self.feed(encode(row.dialect.encode(), "none") + encode([b"version", 6], row.dialect))
            self.take()

    def play(self, data: bytes, size: int = 0) -> list[Any]:
        self.feed(data, size)
        if self.ready:
            self.dialect = self.ready[0]
        return messages(self.take(), self.dialect)

    def probe(self) -> list[Any]:
        """A call like any other."""
        name = b"" if self.ready else encode(b"pb", "none")
        return self.play(name + encode(CALL, self.ready[0] if self.ready else "pb"))

    def reason(self) -> BaseException:
        (reason,) = self.closed
        assert isinstance(reason, Violation) or (
            isinstance(reason, LimitExceeded) and reason.remote
        )
        return reason


TEXT = [b"unicode", b"probe"]
CALL = [b"message", PROBE, b"root", b"echo", 1, [b"tuple", TEXT], [b"dictionary"]]
ANSWERED = [b"answer", PROBE, TEXT]


@pieces
@rows(SERVER)
def test_a_server(row: Row, size: int) -> None:
    ours = row.ours
    server = Server(row)
    replies = server.play(row.data, size)
    assert tuple(map(said, replies)) == ours.says
    assert all(reply[1] == 7 for reply in replies if reply[0] in (b"answer", b"error"))
    if "answer" in map(kind_of, ours.says) and not ours.wire:
        # Byte for byte.
        sent = b"".join(encode(reply, row.dialect) for reply in replies)
        assert sent == bytes.fromhex(row.outcome["replies_hex"])
    assert len(server.faults) == bool(ours.notes)
    assert ours.notes in "".join(server.faults)
    assert bool(server.closed) is bool(ours.ends)
    if ours.ends:
        assert ours.ends in str(server.reason())
    probed = server.probe()
    if ours.ends or ours.swallows:
        assert ANSWERED not in probed
    else:
        assert probed[-1] == ANSWERED
    assert bool(server.closed) is bool(ours.ends or ours.then_ends)
    if ours.then_ends:
        assert ours.then_ends in str(server.reason())
    server.broker.receive_eof()
    server.run()
    assert len(server.closed) == 1
    assert server.counts() == {}


@rows(SERVER)
def test_a_server_with_something_behind_it(row: Row) -> None:
    """A call in the same segment has the same effect as one in the next.

    What is released is released behind all answers.
    """
    apart, together = Server(row), Server(row)
    replies = apart.play(row.data)
    if not apart.closed:
        replies += apart.probe()
    both = together.play(row.data + probe_bytes(row))
    assert sorted(both, key=repr) == sorted(replies, key=repr)
    assert list(map(repr, together.closed)) == list(map(repr, apart.closed))


def probe_bytes(row: Row) -> bytes:
    """The call of `Server.probe`, as it looks after the bytes of a row."""
    agreed = row.state == "ready" or row.name == "no_version_message"
    dialect = row.dialect if row.state == "ready" else "pb"
    return (b"" if agreed else encode(b"pb", "none")) + encode(CALL, dialect)


@rows([row for row in SERVER if row.state == "ready"])
def test_a_server_with_something_before_it(row: Row) -> None:
    """What was good is answered, whatever comes behind it in the same segment."""
    assert Server(row).play(encode(CALL, row.dialect) + row.data)[0] == ANSWERED


# Our client.


class Client(Side):
    """Our client with two calls that wait."""

    def __init__(self) -> None:
        super().__init__(Broker("client"))
        self.feed(encode([b"pb", b"none"], "none") + encode([b"version", 6]))
        assert self.ready == ["pb"]
        self.waiting = [self.call(self.root, "echo", n) for n in range(2)]
        self.take()

    def lose(self) -> None:
        """The other side is gone."""
        self.broker.receive_eof()
        self.run()
        assert len(self.closed) == 1


SECOND = encode([b"answer", 2, [b"unicode", b"probe"]])


def outcome(waiter: Waiter) -> Any:
    """A value, an error, or None while there is nothing; never two of them."""
    assert waiter.done in (0, 1)
    return waiter.error or waiter.value


@pieces
@rows(READY_CLIENT)
def test_a_client(row: Row, size: int) -> None:
    ours = row.ours
    client = Client()
    first, second = client.waiting
    client.feed(row.data, size)
    assert len(client.faults) == bool(ours.notes)
    assert ours.notes in "".join(client.faults)
    found = outcome(first)
    if ours.ends:
        (reason,) = client.closed
        assert isinstance(reason, Violation)
        assert ours.ends in str(reason)
        for waiter in client.waiting:
            assert type(outcome(waiter)) is ConnectionLost
            assert outcome(waiter).__cause__ is reason
    elif ours.fails is not None:
        assert type(found) is ours.fails
        assert str(found) == ours.first
    else:
        assert found == ours.first
    client.feed(SECOND)
    assert bool(client.closed) is bool(ours.ends)
    if not ours.ends:
        assert outcome(second) == "probe"
    client.lose()
    # No call is ever lost.
    assert [waiter.done for waiter in client.waiting] == [1, 1]
    assert client.take() == b""
    assert client.counts() == {}


@rows(READY_CLIENT)
def test_a_client_with_something_behind_it(row: Row) -> None:
    client = Client()
    client.feed(row.data + SECOND)
    if row.ours.ends:
        assert isinstance(outcome(client.waiting[1]), ConnectionLost)
    else:
        assert outcome(client.waiting[1]) == "probe"
    client.lose()
    assert [waiter.done for waiter in client.waiting] == [1, 1]


@pieces
@rows(FRESH_CLIENT)
def test_an_offer(row: Row, size: int) -> None:
    client = Side(Broker("client"))
    client.feed(row.data, size)
    if row.ours.ends:
        (reason,) = client.closed
        assert isinstance(reason, Violation)
        assert row.ours.ends in str(reason)
        assert client.take() == b""
        assert client.ready == []
    else:
        assert client.closed == []
        assert client.ready == ["none"]
        waiters = [client.call(client.root, "echo", n) for n in range(2)]
        assert client.take() == bytes.fromhex(row.outcome["sent_hex"])
        client.feed(encode([b"answer", 2, [b"unicode", b"probe"]], "none"))
        assert outcome(waiters[1]) == "probe"
        client.broker.receive_eof()
        client.run()
        assert isinstance(outcome(waiters[0]), ConnectionLost)
    assert client.counts() == {}


@rows(FRESH_CLIENT)
def test_an_offer_with_something_behind_it(row: Row) -> None:
    client = Side(Broker("client"))
    client.feed(row.data + encode([b"version", 6], "none"))
    assert bool(client.closed) is bool(row.ours.ends)
    assert client.ready == ([] if row.ours.ends else ["none"])
