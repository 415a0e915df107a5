"""Every recorded piece of damage, played to a server and to a client.

Each row whole, byte by byte, and with something behind it. Nothing is ever raised, no call is ever
lost, and damage inside one call costs that call only.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pellucid.banana import decode, encode
from pellucid.broker import Broker
from pellucid.errors import ConnectionLost, InsecureJelly, LimitExceeded, PBError, RemoteError
from pellucid.errors import RemoteProtocolError as Violation
from pellucid.flavors import Root
from tests.harness import Side, Waiter

VECTORS = Path(__file__).parent / "vectors"
PROBE = 999

# Twisted drops the connection; what is wrong is said, noted, or costs one call, and life goes on.
NOTED = {
    "command_unknown",
    "answer_unknown_id",
    "error_unknown_id",
    "decref_unknown",
    "decref_root",
    "decache_unknown",
    "uncache_unknown",
    "reply_answer_twice",
    "reply_answer_unknown_id",
}
ONE_CALL = {
    "reply_answer_unregistered_class",
    "reply_error_unregistered_class",
    "reply_error_none",
    "reply_error_failure_without_parents",
    "reply_answer_nested_400",
}
# Twisted gives the method a None, a placeholder, or what it made of the bytes of a byte string.
REFUSED_HERE = {
    "args_bytes",
    "jelly_local_unknown",
    "jelly_dereference_nothing_in_list",
    "jelly_tuple_of_itself",
    "reply_answer_dereference_nothing",
}
# Twisted refuses it for no reason of the protocol.
ACCEPTED_HERE = {"kwargs_mixed_keys", "jelly_failure_without_parents"}
# Twisted takes the second of two names, and closes all the same.
ENDS_EARLIER = {"unknown_dialect_then_pb"}


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
    def lives(self) -> bool:
        """Whether the connection has to survive."""
        if self.name in NOTED | ONE_CALL:
            return True
        return str(self.outcome["connection"]) == "open"


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
    found = []
    while data:
        for end in range(1, len(data) + 1):
            try:
                found.append(decode(data[:end], dialect))
            except PBError:
                continue
            data = data[end:]
            break
        else:
            raise AssertionError(f"half a message: {data!r}")
    return found


class Server(Side):
    """Our server, in the state that a row asks for, and what it has sent since."""

    def __init__(self, row: Row) -> None:
        super().__init__(Broker("server", root=App()))
        self.dialect = row.dialect
        self.take()
        if row.state == "ready":
            self.feed(encode(row.dialect.encode(), "none") + encode([b"version", 6], row.dialect))
            self.take()
        self.sent = b""

    def play(self, data: bytes, size: int = 0) -> list[Any]:
        self.feed(data, size)
        if self.ready:
            self.dialect = self.ready[0]
        sent = self.take()
        self.sent += sent
        return messages(sent, self.dialect)

    def probe(self) -> list[Any]:
        """A call like any other."""
        name = b"" if self.ready else encode(b"pb", "none")
        return self.play(name + encode(CALL, self.ready[0] if self.ready else "pb"))

    def reason(self) -> BaseException:
        (reason,) = self.closed
        assert reason is not None
        return reason


TEXT = [b"unicode", b"probe"]
CALL = [b"message", PROBE, b"root", b"echo", 1, [b"tuple", TEXT], [b"dictionary"]]
ANSWERED = [b"answer", PROBE, TEXT]


def test_every_row_is_played() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) == len(SERVER) + len(CLIENT)
    assert set(names) >= NOTED | ONE_CALL | REFUSED_HERE | ACCEPTED_HERE | ENDS_EARLIER


@pieces
@rows(SERVER)
def test_a_server(row: Row, size: int) -> None:
    server = Server(row)
    replies = server.play(row.data, size)
    if not row.lives:
        assert server.broker.closed
        reason = server.reason()
        assert isinstance(reason, (Violation, LimitExceeded))
        assert str(reason)
        if isinstance(reason, LimitExceeded):
            assert reason.remote
        assert server.probe() == []
    else:
        assert server.closed == []
        assert bool(server.faults) is (row.name in NOTED)
        check_replies(row, replies)
        probed = server.probe()
        expected = row.outcome["probe"]
        if expected == "answered" or row.name in NOTED:
            assert probed[-1] == ANSWERED
            assert server.closed == []
        else:
            # The bytes of the probe went into an item that was not complete.
            assert ANSWERED not in probed
            if expected == "closed the connection":
                assert isinstance(server.reason(), (Violation, LimitExceeded))
    server.broker.receive_eof()
    server.run()
    assert len(server.closed) == 1
    assert server.counts() == {}


def check_replies(row: Row, replies: list[Any]) -> None:
    """What is answered is answered; what Twisted refuses is refused."""
    theirs = row.outcome["replies"]
    if row.name == "command_unknown":
        assert replies == [[b"didNotUnderstand", b"frobnicate"]]
    elif row.name in NOTED:
        assert replies == []
    else:
        assert [reply[:2] for reply in replies] == [
            [expected(row, reply[0]), *reply[1:2]] for reply in theirs
        ]
    for reply in replies:
        if reply[0] == b"error":
            tag, state = reply[2]
            assert tag == b"twisted.spread.pb.CopyableFailure"
            keys = [pair[0][1] for pair in state[1:]]
            assert keys[:3] == [b"count", b"type", b"value"]
        elif row.name not in ACCEPTED_HERE and reply[0] == b"answer":
            (found,) = row.outcome["replies"]
            assert encode(reply) == bytes.fromhex(row.outcome["replies_hex"]), found


def expected(row: Row, word: str) -> bytes:
    if row.name in REFUSED_HERE:
        assert word == "answer"
        return b"error"
    if row.name in ACCEPTED_HERE:
        assert word == "error"
        return b"answer"
    return word.encode()


@rows(SERVER)
def test_a_server_with_something_behind_it(row: Row) -> None:
    """A call in the same segment has the same effect as one in the next."""
    apart, together = Server(row), Server(row)
    replies = apart.play(row.data)
    if not apart.closed:
        replies += apart.probe()
    assert together.play(row.data + probe_bytes(row)) == replies
    assert list(map(repr, together.closed)) == list(map(repr, apart.closed))


def probe_bytes(row: Row) -> bytes:
    """The call of `Server.probe`, as it looks after the bytes of a row."""
    agreed = row.state == "ready" or row.name == "no_version_message"
    dialect = row.dialect if row.state == "ready" else "pb"
    return (b"" if agreed else encode(b"pb", "none")) + encode(CALL, dialect)


@rows(SERVER)
def test_a_server_with_something_before_it(row: Row) -> None:
    """What was good is answered, whatever comes behind it in the same segment."""
    if row.state == "fresh":
        return
    assert Server(row).play(encode(CALL, row.dialect) + row.data)[0] == ANSWERED


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
    """A value, an error, or that there is nothing yet; never two of them."""
    assert waiter.done in (0, 1)
    if not waiter.done:
        return "pending"
    return waiter.error if waiter.error is not None else waiter.value


FIRST_CALL: dict[str, Any] = {
    "reply_answer_unregistered_class": InsecureJelly,
    "reply_error_unregistered_class": InsecureJelly,
    "reply_error_none": RemoteError,
    "reply_error_integer": RemoteError,
    "reply_error_failure_without_parents": RemoteError,
    "reply_answer_without_result": ConnectionLost,
    "reply_answer_twice": 5,
    "reply_answer_unknown_id": "pending",
    "reply_answer_dereference_nothing": InsecureJelly,
    "reply_answer_nested_400": LimitExceeded,
    "reply_version_5": ConnectionLost,
}


@pieces
@rows(READY_CLIENT)
def test_a_client(row: Row, size: int) -> None:
    client = Client()
    first, second = client.waiting
    client.feed(row.data, size)
    wanted = FIRST_CALL[row.name]
    found = outcome(first)
    assert isinstance(found, wanted) if isinstance(wanted, type) else found == wanted
    assert bool(client.closed) is not row.lives
    assert bool(client.faults) is (row.name in NOTED)
    client.feed(SECOND)
    if row.lives:
        assert outcome(second) == "probe"
    else:
        lost = outcome(second)
        assert isinstance(lost, ConnectionLost)
        assert isinstance(lost.__cause__, Violation)
        assert lost.__cause__ is client.closed[0]
    client.lose()
    # No call is ever lost.
    assert [waiter.done for waiter in client.waiting] == [1, 1]
    client.take()
    assert client.counts() == {}


@rows(READY_CLIENT)
def test_a_client_with_something_behind_it(row: Row) -> None:
    client = Client()
    client.feed(row.data + SECOND)
    if row.lives:
        assert outcome(client.waiting[1]) == "probe"
    else:
        assert isinstance(outcome(client.waiting[1]), ConnectionLost)
    client.lose()
    assert [waiter.done for waiter in client.waiting] == [1, 1]


@pieces
@rows(FRESH_CLIENT)
def test_an_offer(row: Row, size: int) -> None:
    client = Side(Broker("client"))
    client.feed(row.data, size)
    if row.lives:
        assert client.closed == []
        assert client.ready == ["none"]
        waiters = [client.call(client.root, "echo", n) for n in range(2)]
        assert client.take() == bytes.fromhex(row.outcome["sent_hex"])
        client.feed(encode([b"answer", 2, [b"unicode", b"probe"]], "none"))
        assert outcome(waiters[1]) == "probe"
        client.broker.receive_eof()
        client.run()
        assert isinstance(outcome(waiters[0]), ConnectionLost)
    else:
        (reason,) = client.closed
        assert isinstance(reason, Violation)
        assert str(reason)
        assert client.take() == b""
        assert client.ready == []
    assert client.counts() == {}


@rows(FRESH_CLIENT)
def test_an_offer_with_something_behind_it(row: Row) -> None:
    client = Side(Broker("client"))
    client.feed(row.data + encode([b"version", 6], "none"))
    assert bool(client.closed) is not row.lives
    assert client.ready == (["none"] if row.lives else [])
