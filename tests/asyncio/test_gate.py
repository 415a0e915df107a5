"""Who gets into a server: each number at its bound, and what all connections hold together."""

import logging
import resource
from typing import Any

import pytest

from pellucid import LimitExceeded, ServerLimits
from pellucid.asyncio.gate import SHARE, Entry, Gate


def made(**limits: Any) -> Gate:
    return Gate(ServerLimits(**limits), lambda: 0.0)


def enter(gate: Gate, host: str = "10.0.0.1", descriptor: int = 3) -> Entry | None:
    return gate.enter(host, descriptor, lambda: f"pb://{host}:5")


def let_in(gate: Gate, host: str = "10.0.0.1") -> Entry:
    entry = enter(gate, host)
    assert entry is not None
    return entry


class Holder:
    """A connection that notes how it is ended."""

    def __init__(self) -> None:
        self.errors: list[LimitExceeded] = []

    def _give_up(self, error: LimitExceeded) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("name", ["connections", "handshakes", "connections_per_address"])
def test_a_number_at_its_bound(name: str, caplog: pytest.LogCaptureFixture) -> None:
    gate = made(**{name: 2})
    first = let_in(gate)
    let_in(gate)
    assert enter(gate) is None
    text = f"pb://10.0.0.1:5: refused: server_limits.{name} is 2"
    assert [record.getMessage() for record in caplog.records] == [text]
    first.leave()
    first.leave()
    let_in(gate)
    assert enter(gate) is None
    assert gate.connections == gate.handshakes == gate.addresses["10.0.0.1"] == 2


def test_who_has_opened_is_no_handshake_any_more() -> None:
    gate = made(handshakes=1)
    first = let_in(gate)
    first.opened()
    first.opened()
    second = let_in(gate)
    assert enter(gate) is None
    for entry in (first, second):
        entry.leave()
    assert (gate.connections, gate.handshakes, gate.addresses) == (0, 0, {})


def test_one_address_is_not_another() -> None:
    gate = made(connections_per_address=1)
    one_each = ["10.0.0.1", "10.0.0.2", "2001:db8:0:1::5", "2001:db8:0:2::5", "fe80::1%lo", "::1"]
    for host in one_each:
        let_in(gate, host)
    for host in (*one_each, "2001:db8:0:1:ffff::7", "::ffff:10.0.0.1", "fe80::2%eth0"):
        assert enter(gate, host) is None
    let_in(gate, "::ffff:10.0.0.3")
    assert enter(gate, "10.0.0.3") is None


def test_who_has_no_address_is_exempt() -> None:
    gate = made(connections_per_address=1)
    entries = [let_in(gate, "") for _ in range(5)]
    assert gate.addresses == {}
    for entry in entries:
        entry.leave()
    assert gate.connections == 0


@pytest.mark.parametrize(("most", "first"), [(1000, 936), (40, 30)])
def test_some_descriptors_are_left(
    most: int, first: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (most, most))
    gate = made()
    assert enter(gate, descriptor=first - 1) is not None
    assert enter(gate, descriptor=first) is None
    assert f"file descriptor {first} of {most} (RLIMIT_NOFILE)" in caplog.text


def test_descriptors_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)
    assert enter(made(), descriptor=100_000) is not None


def test_many_that_are_refused_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    gate = made(connections=1)
    let_in(gate)
    for _ in range(100):
        assert enter(gate) is None
    gate.short("pb://x", OSError(24, "Too many open files"))
    assert len(caplog.records) == 11
    assert caplog.records[-1].getMessage().startswith("further lines of this kind are left out")


def test_who_is_turned_away_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made().short("pb://x", OSError(24, "Too many open files"))
    assert caplog.record_tuples == [
        ("pellucid", logging.WARNING, "pb://x: somebody was turned away: Too many open files")
    ]


def test_the_newest_with_more_than_its_share_is_ended() -> None:
    gate = made(total_bytes=10 * SHARE)
    old, middle, new, newest = (let_in(gate) for _ in range(4))
    holders = [Holder() for _ in range(4)]
    old.hold(holders[0], 6 * SHARE)
    middle.hold(holders[1], 4 * SHARE)
    new.hold(holders[2], 3 * SHARE)
    newest.hold(holders[3], SHARE)
    assert gate.total_bytes == 10 * SHARE
    assert not any(holder.errors for holder in holders)
    # It is not the one that asks for more.
    old.hold(holders[0], 7 * SHARE + 1)
    (error,) = holders[2].errors
    assert str(error) == (
        f"too many bytes are held for all connections ({11 * SHARE + 1}, and "
        f"server_limits.total_bytes is {10 * SHARE}); of those with more than their share this is "
        "the newest"
    )
    assert (error.limit, error.value, error.remote) == ("total_bytes", 11 * SHARE + 1, True)
    assert [len(holder.errors) for holder in holders] == [0, 0, 1, 0]
    # Whatever it does until it has gone.
    new.hold(holders[2], 90 * SHARE)
    assert (new.charged, gate.total_bytes) == (0, 9 * SHARE + 1)
    # As many as it takes.
    old.hold(holders[0], 12 * SHARE)
    assert [len(holder.errors) for holder in holders] == [1, 1, 1, 0]
    assert gate.total_bytes == 0


def test_small_changes_are_not_counted() -> None:
    gate = made()
    entry, holder = let_in(gate), Holder()
    for held, charged in (
        (SHARE, 0),
        (2 * SHARE - 1, 0),
        (2 * SHARE, SHARE),
        (2 * SHARE + 9, SHARE),
    ):
        entry.hold(holder, held)
        assert entry.charged == gate.total_bytes == charged
    entry.hold(holder, SHARE)
    assert entry.charged == gate.total_bytes == 0
    entry.hold(holder, 5 * SHARE)
    entry.leave()
    entry.hold(holder, 5 * SHARE)
    assert gate.total_bytes == entry.number == 0
    assert gate._charged == {}
