"""Every recorded piece of damage, played to a server and to a client.

Each row whole, byte by byte, and with something before and behind it. Nothing is ever raised, no
call is ever lost, and damage inside one call costs that call only. `OURS` says what becomes of each
row, and where that is more than Twisted does, at which place the wire document asks for it.
"""

from typing import Any

from pellucid.broker import Broker
from pellucid.errors import ConnectionLost, LimitExceeded, PBError
from pellucid.errors import RemoteProtocolError as Violation
from pellucid.flavors import Root
from tests.damage import (
    FRESH_CLIENT,
    OURS,
    READY_CLIENT,
    ROWS,
    SERVER,
    Row,
    check_client,
    check_client_with_more,
    check_offer,
    check_offer_with_more,
    check_server,
    check_server_behind_a_call,
    check_server_with_more,
    kind_of,
    pieces,
    rows,
)
from tests.harness import Side, Waiter


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


# Our sides.


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


class Asked(Waiter):
    """A call whose outcome is looked at."""

    def outcome(self) -> Any:
        # Never two of them.
        assert self.done in (0, 1)
        return self.error or self.value


class One(Side):
    """Our side of a connection."""

    def ask(self, value: Any) -> Asked:
        asked = Asked()
        self.broker.call(asked, self.root, "echo", (value,))
        return asked

    def lose(self) -> None:
        """The other side is gone."""
        self.broker.receive_eof()
        self.run()

    def reason(self) -> str:
        (reason,) = self.closed
        assert isinstance(reason, Violation) or (
            isinstance(reason, LimitExceeded) and reason.remote
        )
        return str(reason)

    def is_lost(self, error: Any) -> bool:
        (reason,) = self.closed
        return type(error) is ConnectionLost and error.__cause__ is reason

    def is_a(self, error: Any, kind: type[PBError]) -> bool:
        return type(error) is kind

    def text_of(self, error: Any) -> str:
        return str(error)


def server() -> One:
    return One(Broker("server", root=App()))


def client() -> One:
    return One(Broker("client"))


@pieces
@rows(SERVER)
def test_a_server(row: Row, size: int) -> None:
    check_server(server, row, row.ours, size)


@rows(SERVER)
def test_a_server_with_something_behind_it(row: Row) -> None:
    check_server_with_more(server, row)


@rows([row for row in SERVER if row.state == "ready"])
def test_a_server_with_something_before_it(row: Row) -> None:
    check_server_behind_a_call(server, row)


@pieces
@rows(READY_CLIENT)
def test_a_client(row: Row, size: int) -> None:
    check_client(client, row, row.ours, size)


@rows(READY_CLIENT)
def test_a_client_with_something_behind_it(row: Row) -> None:
    check_client_with_more(client, row)


@pieces
@rows(FRESH_CLIENT)
def test_an_offer(row: Row, size: int) -> None:
    check_offer(client, row, size)


@rows(FRESH_CLIENT)
def test_an_offer_with_something_behind_it(row: Row) -> None:
    check_offer_with_more(client, row)
