"""Every recorded value and every piece of damage, once more through this face.

What is the same in all faces is in tests/values.py and tests/damage.py, with the places in the wire
document where we do more than Twisted. The conversations are in test_sessions.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pellucid import errors as core
from pellucid.banana import decode, encode
from pellucid.twisted import banana, errors, jelly, pb
from tests.damage import (
    FRESH_CLIENT,
    INSECURE,
    OURS,
    READY_CLIENT,
    SERVER,
    Ours,
    Refused,
    Row,
    answers,
    check_client,
    check_client_with_more,
    check_offer,
    check_offer_with_more,
    check_server,
    check_server_behind_a_call,
    check_server_with_more,
    fails,
    kind_of,
    messages,
    pieces,
    refuses,
    rows,
    said,
)
from tests.twisted.conftest import Join, Logged
from tests.twisted.sides import Asked, One
from tests.values import (
    INSTANCES,
    ROWS,
    build,
    every_dialect,
    every_row,
    is_received,
    plain,
    travelling,
    travels,
    wire,
)

# What is the peer's fault: it ends the connection, or it is noted.
FAULTS = (errors.ProtocolError, errors.BananaError, core.LimitExceeded)
# What is logged of calls that fail: damage in them, and what nobody expected.
CALLS = (core.InsecureJelly, core.NoSuchMethod, core.Error)


# Values.


class Source(pb.Root):
    """Hands out one value, and takes others."""

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.taken: list[Any] = []

    def remote_get(self) -> Any:
        return self.value

    def remote_take(self, value: Any) -> None:
        self.taken.append(value)


def opened(logged: Logged, dialect: str, is_client: bool, root: Any = None) -> One:
    """A side that has agreed on a dialect, with all that it said about that taken."""
    one = One(logged, is_client)
    if root is not None:
        one.broker.setNameForLocal("root", root)
    agreed = [dialect.encode()] if is_client else dialect.encode()
    one.feed(encode(agreed, "none") + encode([b"version", 6], dialect))
    one.take()
    return one


def called(name: bytes, argument: Any, dialect: str) -> tuple[bytes, bytes]:
    """What stands before and behind the bytes of the only argument of a call."""
    message = [b"message", 1, b"root", name, 1, [b"tuple", argument], [b"dictionary"]]
    before, _, behind = encode(message, dialect).partition(encode(argument, dialect))
    return before, behind


# Where it stands.
MARK = 2**40


@every_dialect
@every_row
def test_what_is_answered(row: dict[str, Any], dialect: str, logged: Logged) -> None:
    server = opened(logged, dialect, False, Source(build(row["build"])))
    message = [b"message", 1, b"root", b"get", 1, [b"tuple"], [b"dictionary"]]
    server.feed(encode(message, dialect))
    sent = server.take()
    if not travels(row):
        (reply,) = messages(sent, dialect)
        assert reply[:2] == [b"error", 1]
        refused = said(reply)
        assert isinstance(refused, Refused)
        assert refused.kind.rpartition(".")[2] in ("InsecureJelly", "BananaError")
        assert refused.text.startswith("result")
        assert len(logged.take(errors.InsecureJelly, errors.BananaError)) == 1
    else:
        check_bytes(row, dialect, sent, encode([b"answer", 1, MARK], dialect), b"")
    server.lose()
    assert server.counts() == {}


@every_dialect
@every_row
def test_what_is_called_with(row: dict[str, Any], dialect: str, logged: Logged) -> None:
    client = opened(logged, dialect, True)
    asked = Asked(client.broker.remoteForName("root").callRemote("take", build(row["build"])))
    sent = client.take()
    if not travels(row):
        asked.outcome().trap(errors.InsecureJelly, errors.BananaError)
        assert asked.outcome().getErrorMessage().startswith("arguments[0]")
        assert sent == b""
    else:
        check_bytes(row, dialect, sent, *called(b"take", MARK, dialect))
    client.lose()
    assert client.counts() == {}


def check_bytes(
    row: dict[str, Any], dialect: str, sent: bytes, before: bytes, behind: bytes
) -> None:
    """What was sent is what Twisted sends, between these."""
    before = before.removesuffix(encode(MARK, dialect))
    expected = wire(row, dialect)
    assert expected is not None
    if row.get("order_free"):
        assert len(sent) == len(before + expected + behind)
        assert sent.startswith(before)
        assert sent.endswith(behind)
        expected = sent.removeprefix(before).removesuffix(behind)
        assert is_received(row, jelly.unjelly(decode(expected, dialect)))
    assert sent == before + expected + behind


@every_dialect
@every_row
@pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytes"])
def test_what_is_received(row: dict[str, Any], dialect: str, size: int, logged: Logged) -> None:
    data = wire(row, dialect)
    if data is None or (size and len(data) > 50_000):
        return
    root = Source()
    server = opened(logged, dialect, False, root)
    before, behind = called(b"take", MARK, dialect)
    server.feed(before + data + behind, size)
    (reply,) = messages(server.take(), dialect)
    if row["decoded"]["outcome"] == "refused":
        assert said(reply) == Refused(INSECURE, "arguments[0]: type tag 'class' is not registered")
        logged.take(errors.InsecureJelly)
    else:
        assert reply == [b"answer", 1, [b"None"]]
        (value,) = root.taken
        python = row["decoded"].get("python", "")
        if "deemed insecure" in python:
            assert repr(value) == python
            assert all(eval(identity, {"x": value}) for identity in row.get("identity", ()))
        else:
            assert is_received(row, value)
    server.lose()
    assert server.counts() == {}


class Box(pb.Copyable):
    """A copy with one value in it."""

    __module__ = "vectors"

    def __init__(self, content: Any) -> None:
        self.content = content


class BoxCopy(pb.RemoteCopy):
    """What becomes of it."""

    content: Any


class Tank(pb.Cacheable):
    """A cache with one value in it."""

    __module__ = "vectors"

    def __init__(self, content: Any) -> None:
        self.content = content

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        return {"content": self.content}


class TankCopy(pb.RemoteCache):
    """What becomes of it."""

    content: Any


pb.setUnjellyableForClass(Box, BoxCopy)
pb.setUnjellyableForClass(Tank, TankCopy)


@every_dialect
@travelling
def test_a_copy_holds_it(row: dict[str, Any], dialect: str, join: Join) -> None:
    joined = join(Source(Box(build(row["build"]))), knownDialects=[dialect.encode()])
    box = joined.ask("get")
    assert type(box) is BoxCopy
    assert is_received(row, box.content)
    if not row.get("order_free"):
        state = [b"vectors.Box", [b"dictionary", [[b"unicode", b"content"], MARK]]]
        before = encode([b"answer", 1, state], dialect).removesuffix(encode(MARK, dialect))
        assert joined.server_wire.written.endswith(before + (wire(row, dialect) or b""))
    joined.prove_empty()


@every_dialect
@travelling
def test_a_cache_holds_it(row: dict[str, Any], dialect: str, join: Join) -> None:
    joined = join(Source(Tank(build(row["build"]))), knownDialects=[dialect.encode()])
    tank = joined.ask("get")
    assert type(tank) is TankCopy
    assert is_received(row, tank.content)
    del tank
    joined.prove_empty()


# By itself, where everything is allowed.

# What Twisted writes there in a way that nothing can read, and what it is here.
SPELLED = {
    "function_refused": [b"function", b"ast.parse"],
    "builtin_function": [b"function", b"builtins.len"],
    "module_refused": [b"module", b"datetime"],
}
# What has a content that is in no attribute. Twisted leaves that out, here it is refused.
EMPTIED = {
    *("complex", "bytearray", "range", "ellipsis", "method_refused"),
    *("int_subclass", "str_subclass", "dict_subclass", "tuple_subclass"),
}


@every_row
def test_jelly_by_itself(row: dict[str, Any]) -> None:
    value = build(row["build"])
    name = row["name"]
    if name in EMPTIED or ("refused" in row and name not in SPELLED):
        with pytest.raises((errors.InsecureJelly, errors.BananaError)):
            jelly.jelly(value)
        return
    sexp = jelly.jelly(value)
    data = banana.encode(sexp)
    assert banana.decode(data) == sexp or "nan" in name
    if name in SPELLED:
        assert sexp == SPELLED[name]
        assert jelly.unjelly(sexp) is value
    elif "jelly_without_broker" in row:
        assert sexp == plain(row["jelly_without_broker"])
    elif row["decoded"]["outcome"] == "refused":
        assert data == wire(row, "none")
        assert sexp[0] == b"class"
    else:
        check_bytes(row, "none", data, b"", b"")
        assert is_received(row, jelly.unjelly(sexp))
        assert is_received(row, jelly.unjelly(banana.decode(data)))


def test_every_value_is_here() -> None:
    names = {row["name"] for row in ROWS}
    assert len(names) == 185
    assert names >= SPELLED.keys() | EMPTIED
    assert {row["name"] for row in INSTANCES} - EMPTIED == {
        *("builtin_function", "exception_instance", "instance_plain", "instance_twice"),
    }


# Damage.


def not_allowed(where: str, module: str, name: str) -> str:
    return f"{where}: Module {module} not allowed (in type {module}.{name})."


# Where programs see something else than in other faces: what they see with Twisted.
OWN: dict[str, Ours] = {
    "jelly_dotted_class": refuses(not_allowed("arguments[0]", "subprocess", "Popen")),
    "jelly_dotted_not_ascii": refuses(not_allowed("arguments[0]", "\u00e9", "X")),
    "jelly_failure_without_parents": answers("CopiedFailure", wire="13"),
    "reply_answer_unregistered_class": fails(
        core.InsecureJelly, not_allowed("result", "foo", "Bar"), wire="19.12"
    ),
    "reply_error_unregistered_class": fails(
        core.InsecureJelly, not_allowed("error", "foo", "Bar"), wire="19.12"
    ),
}


def ours(row: Row) -> Ours:
    return OWN.get(row.name, row.ours)


def test_only_what_is_said_is_another_thing() -> None:
    """Whether a connection ends, and whether a call fails, is the same in all faces."""
    for name, own in OWN.items():
        shared = OURS[name]
        assert own != shared
        assert replace(own, says=(), first=None) == replace(shared, says=(), first=None)
        assert [*map(kind_of, own.says)] == [*map(kind_of, shared.says)]


class App(pb.Root):
    """The root that the rows were recorded with."""

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_kind(self, value: Any) -> str:
        return type(value).__name__

    def remote_any(self, *args: Any, **kwargs: Any) -> Any:
        return list(args), kwargs

    def remote_thing(self) -> pb.Root:
        return pb.Root()


class Damaged(One):
    """A side whose peer breaks the rules."""

    def publish(self) -> None:
        if not self.broker.isClient:
            self.broker.setNameForLocal("root", App())

    def ask(self, value: Any) -> Asked:
        return Asked(self.broker.remoteForName("root").callRemote("echo", value))

    def reason(self) -> str:
        (reason,) = self.closed
        assert isinstance(reason, FAULTS)
        return str(reason)

    def is_lost(self, error: Any) -> bool:
        (reason,) = self.closed
        return bool(error.check(errors.PBConnectionLost)) and error.value.args[0].value is reason

    def is_a(self, error: Any, kind: type[core.PBError]) -> bool:
        if kind is core.RemoteError and not isinstance(error.value, BaseException):
            # What was raised over there is no exception here.
            return True
        return bool(error.check(kind))

    def text_of(self, error: Any) -> str:
        return str(error.getErrorMessage())


@pytest.fixture
def damaged(logged: Logged) -> Iterator[Callable[[bool], Damaged]]:
    """Makes a side. What is logged is of such calls and of such peers, and nothing else."""
    yield partial(Damaged, logged)
    logged.take(*FAULTS, *CALLS)


Make = Callable[[bool], Damaged]


@pieces
@rows(SERVER)
def test_a_server(damaged: Make, row: Row, size: int) -> None:
    check_server(lambda: damaged(False), row, ours(row), size)


@rows(SERVER)
def test_a_server_with_something_behind_it(damaged: Make, row: Row) -> None:
    check_server_with_more(lambda: damaged(False), row)


@rows([row for row in SERVER if row.state == "ready"])
def test_a_server_with_something_before_it(damaged: Make, row: Row) -> None:
    check_server_behind_a_call(lambda: damaged(False), row)


@pieces
@rows(READY_CLIENT)
def test_a_client(damaged: Make, row: Row, size: int) -> None:
    check_client(lambda: damaged(True), row, ours(row), size)


@rows(READY_CLIENT)
def test_a_client_with_something_behind_it(damaged: Make, row: Row) -> None:
    check_client_with_more(lambda: damaged(True), row)


@pieces
@rows(FRESH_CLIENT)
def test_an_offer(damaged: Make, row: Row, size: int) -> None:
    check_offer(lambda: damaged(True), row, size)


@rows(FRESH_CLIENT)
def test_an_offer_with_something_behind_it(damaged: Make, row: Row) -> None:
    check_offer_with_more(lambda: damaged(True), row)
