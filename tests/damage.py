"""Recorded damage, what becomes of it, and how it is played to a server and to a client.

`OURS` says what becomes of each row, and where that is more than Twisted does, at which place the
wire document asks for it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from pellucid.banana import DIALECTS, Framer, decode, encode
from pellucid.errors import InsecureJelly, LimitExceeded, PBError, RemoteError
from pellucid.jelly import loads
from pellucid.limits import Limits

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


def kind_of(said: Any) -> str:
    if isinstance(said, bytes):
        return said.decode()
    return "error" if isinstance(said, Refused) else "answer"


# How it is played.


class Asked(Protocol):
    """A call of a client's, and how often something came of it."""

    @property
    def done(self) -> int: ...

    def outcome(self) -> Any:
        """A value, an error, or None while there is nothing."""


class Played(Protocol):
    """A side of a connection, and what came of it.

    `ready` is the dialect as soon as one is agreed, `faults` is what was noted about the peer, and
    `closed` has the reason of the end as soon as it is over.
    """

    @property
    def ready(self) -> list[str]: ...

    @property
    def faults(self) -> list[str]: ...

    @property
    def closed(self) -> list[BaseException | None]: ...

    def feed(self, data: bytes, size: int = 0) -> None:
        """Let bytes arrive, in pieces of `size`."""

    def take(self) -> bytes:
        """All that is to be sent."""

    def ask(self, value: Any) -> Asked:
        """Call `echo` of the root."""

    def lose(self) -> None:
        """The other side is gone."""

    def reason(self) -> str:
        """Why the connection ended, which is that the peer broke a rule."""

    def is_lost(self, error: Any) -> bool:
        """Whether a call failed because the connection had ended."""

    def is_a(self, error: Any, kind: type[PBError]) -> bool:
        """Whether an error is of the class that stands for `kind`."""

    def text_of(self, error: Any) -> str:
        """What an error says."""

    def counts(self) -> dict[str, int]:
        """What is still held or owed."""


Make = Callable[[], Played]


def messages(data: bytes, dialect: str) -> list[Any]:
    """The messages in a stream."""
    framer = Framer(DIALECTS[dialect], Limits())
    framer.feed(data)
    found = [decode(message, dialect) for message in iter(framer.next_message, None)]
    assert framer.buffered == 0
    return found


FAILURE_KEYS = (
    b"count type value captureVars tb unsafeTracebacks parents frames stack traceback".split()
)


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


# A server.

TEXT = [b"unicode", b"probe"]
CALL = [b"message", PROBE, b"root", b"echo", 1, [b"tuple", TEXT], [b"dictionary"]]
ANSWERED = [b"answer", PROBE, TEXT]


def server_of(make: Make, row: Row) -> Played:
    """A server in the state that a row asks for."""
    server = make()
    server.take()
    if row.state == "ready":
        server.feed(encode(row.dialect.encode(), "none") + encode([b"version", 6], row.dialect))
        server.take()
    return server


def play(server: Played, row: Row, data: bytes, size: int = 0) -> list[Any]:
    """Let bytes arrive, and give the replies."""
    server.feed(data, size)
    return messages(server.take(), server.ready[0] if server.ready else row.dialect)


def probe(server: Played, row: Row) -> list[Any]:
    """A call like any other."""
    name = b"" if server.ready else encode(b"pb", "none")
    return play(server, row, name + encode(CALL, server.ready[0] if server.ready else "pb"))


def check_server(make: Make, row: Row, ours: Ours, size: int) -> None:
    """Play a row to a server, and then a call."""
    server = server_of(make, row)
    replies = play(server, row, row.data, size)
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
        assert ours.ends in server.reason()
    probed = probe(server, row)
    if ours.ends or ours.swallows:
        assert ANSWERED not in probed
    else:
        assert probed[-1] == ANSWERED
    assert bool(server.closed) is bool(ours.ends or ours.then_ends)
    if ours.then_ends:
        assert ours.then_ends in server.reason()
    server.lose()
    assert len(server.closed) == 1
    assert server.counts() == {}


def check_server_with_more(make: Make, row: Row) -> None:
    """A call in the same segment has the same effect as one in the next.

    What is released is released behind all answers.
    """
    apart, together = server_of(make, row), server_of(make, row)
    replies = play(apart, row, row.data)
    if not apart.closed:
        replies += probe(apart, row)
    both = play(together, row, row.data + probe_bytes(row))
    assert sorted(both, key=repr) == sorted(replies, key=repr)
    assert list(map(repr, together.closed)) == list(map(repr, apart.closed))
    for server in (apart, together):
        server.lose()


def check_server_behind_a_call(make: Make, row: Row) -> None:
    """What was good is answered, whatever comes behind it in the same segment."""
    server = server_of(make, row)
    assert play(server, row, encode(CALL, row.dialect) + row.data)[0] == ANSWERED
    server.lose()


def probe_bytes(row: Row) -> bytes:
    """The call of `probe`, as it looks after the bytes of a row."""
    agreed = row.state == "ready" or row.name == "no_version_message"
    dialect = row.dialect if row.state == "ready" else "pb"
    return (b"" if agreed else encode(b"pb", "none")) + encode(CALL, dialect)


# A client.

SECOND = encode([b"answer", 2, [b"unicode", b"probe"]])


def client_of(make: Make) -> tuple[Played, list[Asked]]:
    """A client with two calls that wait."""
    client = make()
    client.feed(encode([b"pb", b"none"], "none") + encode([b"version", 6]))
    assert client.ready == ["pb"]
    waiting = [client.ask(n) for n in range(2)]
    client.take()
    return client, waiting


def check_client(make: Make, row: Row, ours: Ours, size: int) -> None:
    """Play a row to a client."""
    client, (first, second) = client_of(make)
    client.feed(row.data, size)
    assert len(client.faults) == bool(ours.notes)
    assert ours.notes in "".join(client.faults)
    found = first.outcome()
    if ours.ends:
        assert ours.ends in client.reason()
        assert client.is_lost(found)
        assert client.is_lost(second.outcome())
    elif ours.fails is not None:
        assert client.is_a(found, ours.fails)
        assert client.text_of(found) == ours.first
    else:
        assert found == ours.first
    client.feed(SECOND)
    assert bool(client.closed) is bool(ours.ends)
    if not ours.ends:
        assert second.outcome() == "probe"
    client.lose()
    assert len(client.closed) == 1
    # No call is ever lost.
    assert (first.done, second.done) == (1, 1)
    assert client.take() == b""
    assert client.counts() == {}


def check_client_with_more(make: Make, row: Row) -> None:
    """Play a row to a client, and the answer to its second call in one piece with it."""
    client, (first, second) = client_of(make)
    client.feed(row.data + SECOND)
    if row.ours.ends:
        assert client.is_lost(second.outcome())
    else:
        assert second.outcome() == "probe"
    client.lose()
    assert (first.done, second.done) == (1, 1)


def check_offer(make: Make, row: Row, size: int) -> None:
    """Play an offer of dialects to a client."""
    client = make()
    client.feed(row.data, size)
    if row.ours.ends:
        assert row.ours.ends in client.reason()
        assert client.take() == b""
        assert client.ready == []
    else:
        assert client.closed == []
        assert client.ready == ["none"]
        first, second = (client.ask(n) for n in range(2))
        assert client.take() == bytes.fromhex(row.outcome["sent_hex"])
        client.feed(encode([b"answer", 2, [b"unicode", b"probe"]], "none"))
        assert second.outcome() == "probe"
        client.lose()
        assert client.is_lost(first.outcome())
    assert client.counts() == {}


def check_offer_with_more(make: Make, row: Row) -> None:
    """Play an offer of dialects to a client, and what a server says next in one piece with it."""
    client = make()
    client.feed(row.data + encode([b"version", 6], "none"))
    assert bool(client.closed) is bool(row.ours.ends)
    assert client.ready == ([] if row.ours.ends else ["none"])
    client.lose()
