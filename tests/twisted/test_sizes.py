"""Sizes that programs set."""

from collections.abc import Iterator

import pytest

from pellucid.limits import Limits
from pellucid.twisted import banana, flavors
from pellucid.twisted.errors import BananaError
from pellucid.twisted.sizes import DIGITS, SIZE, resized
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import failure_of


class Root(flavors.Root):
    def remote_echo(self, value: object) -> object:
        return value


@pytest.fixture
def _usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(banana, "SIZE_LIMIT", banana.SIZE_LIMIT)
    yield
    banana.setPrefixLimit(DIGITS)


def test_the_usual_sizes_change_nothing() -> None:
    limits = Limits(out_bytes=5)
    assert resized(limits, SIZE, DIGITS) is limits
    assert (SIZE, DIGITS) == (655_360, 64)


def test_other_sizes_leave_the_rest() -> None:
    limits = resized(Limits(out_bytes=5), 1_000_000, 128)
    assert (limits.string_bytes, limits.list_items, limits.integer_bits) == (10**6, 10**6, 896)
    assert (limits.out_bytes, limits.message_bytes) == (5, 25_000_000)
    assert resized(Limits(), 10, 1).integer_bits == 32
    assert resized(Limits(), 10, 1).message_bytes == Limits().message_bytes
    for size, digits in ((0, 64), (-1, 64)):
        with pytest.raises(ValueError, match="must be above 0"):
            resized(Limits(), size, digits)


@pytest.mark.usefixtures("_usual")
def test_larger_items_where_both_sides_agree(join: Join, piece: int) -> None:
    banana.SIZE_LIMIT = 700 * 1024
    banana.setPrefixLimit(128)
    joined = join(Root(), size=piece * 4096)
    text, number = bytes(700 * 1024), 1 << 895
    assert joined.ask("echo", [text, number, -number]) == [text, number, -number]
    assert joined.client.prefixLimit == 128
    written = joined.client.serialize([text, number])
    assert joined.server.unserialize(written) == [text, number]
    for refused in (text + b"x", 1 << 896):
        assert failure_of(joined.root.callRemote("echo", refused)).type is BananaError


@pytest.mark.usefixtures("_usual")
def test_smaller_items(join: Join, logged: Logged) -> None:
    usual = join(Root())
    banana.SIZE_LIMIT = 1000
    joined = join(Root())
    assert joined.ask("echo", bytes(1000)) == bytes(1000)
    assert failure_of(joined.root.callRemote("echo", bytes(1001))).type is BananaError
    assert usual.ask("echo", bytes(1001)) == bytes(1001)
    # What the other side does not keep to costs it the connection.
    joined.client_wire.out.append(b"\x69\x07\x82" + bytes(1001))
    joined.run()
    assert len(logged.take(BananaError)) == 1
    assert joined.lost


@pytest.mark.usefixtures("_usual")
def test_limits_that_a_program_has_chosen_stay(join: Join) -> None:
    banana.SIZE_LIMIT = 700 * 1024
    joined = join(Root(), limits=Limits(string_bytes=10))
    assert failure_of(joined.root.callRemote("echo", bytes(11))).type is BananaError
