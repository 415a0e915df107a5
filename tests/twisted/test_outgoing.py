"""What leaves: when, how much of it at a time, and what happens if the other side takes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted
from twisted.internet.main import CONNECTION_LOST

from pellucid.errors import LimitExceeded
from pellucid.limits import Limits
from pellucid.twisted import flavors
from pellucid.twisted.errors import PBConnectionLost
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Joined, failure_of, make, result
from tests.twisted.sockets import End, Linked

KIB = 1024
CHUNK = 128 * KIB


class Root(flavors.Root):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_tell(self, n: int, data: bytes = b"") -> int:
        self.heard.append(n)
        return len(data)

    def remote_echo(self, value: Any) -> Any:
        return value


def tell(joined: Any, n: int, size: int = 0) -> Any:
    return joined.root.callRemote("tell", n, b"x" * size)


def used(broker: Any) -> int:
    found: int = broker._core.ledger.used("out_bytes")
    return found


def test_a_little_is_written_at_once(join: Join) -> None:
    joined = join(Root(), real=True)
    before = joined.client_wire.writes
    for n in range(5):
        tell(joined, n, 10 * KIB)
    assert joined.client_wire.writes == before + 5
    assert joined.client_wire.registered == 0
    assert used(joined.client) == 0


def test_after_some_writing_it_waits_until_that_has_left(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    wire = joined.client_wire
    calls = [tell(joined, n, 40 * KIB) for n in range(10)]
    # The second one goes over the mark, and what comes then is held back.
    assert wire.registered == 1
    assert 80 * KIB < sum(map(len, wire.out)) < 81 * KIB
    assert used(joined.client) > 320 * KIB
    joined.run()
    assert root.heard == list(range(10))
    assert [result(call) for call in calls] == [40 * KIB] * 10
    assert wire.producer is None
    assert used(joined.client) == 0


def test_a_large_message_is_written_in_parts(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    wire = joined.client_wire
    call = joined.root.callRemote("echo", [bytes([n]) * 100_000 for n in range(20)])
    sizes = []
    while data := wire.take():
        sizes.append(len(data))
        joined.deliver(joined.server, data)
    assert sizes[:-1] == [CHUNK] * (len(sizes) - 1)
    assert len(sizes) == 16
    joined.run()
    assert result(call) == [bytes([n]) * 100_000 for n in range(20)]
    assert wire.producer is None
    assert used(joined.client) == used(joined.server) == 0


def test_what_is_made_while_something_waits_comes_behind_it(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    tell(joined, 0, 600 * KIB)
    for n in range(1, 4):
        tell(joined, n, n * 50 * KIB)
        joined.deliver(joined.server, joined.client_wire.take())
    joined.run()
    assert root.heard == [0, 1, 2, 3]


def test_bytes_put_together_by_hand_come_behind_it_too(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    tell(joined, 0, 600 * KIB)
    tell(joined, 1)
    message = [b"root", b"tell", 0, [b"tuple", 2], [b"dictionary"]]
    joined.client.sendCall(b"message", joined.client.newRequestID(), *message)
    tell(joined, 3)
    joined.run()
    assert root.heard == [0, 1, 2, 3]
    joined.client.sendCall(b"message", joined.client.newRequestID(), *message)
    joined.run()
    assert root.heard == [0, 1, 2, 3, 2]


def test_what_is_put_together_behind_the_end_goes_nowhere(join: Join) -> None:
    joined = join(Root())
    joined.lose()
    before = joined.client_wire.written
    joined.client.sendCall(b"decref", 1)
    assert joined.client_wire.written == before


def test_there_is_a_limit_for_what_waits(join: Join) -> None:
    joined = join(Root(), real=True, limits=Limits(out_bytes=500_000))
    calls = [tell(joined, n, 200 * KIB) for n in range(10)]
    failure = failure_of(calls[-1])
    assert failure.type is LimitExceeded
    assert failure.value.limit == "out_bytes"
    joined.run()
    assert result(calls[0]) == 200 * KIB
    calls = [call for call in calls[1:-1] if not isinstance(call.result, int)]
    assert calls
    for call in calls:
        assert failure_of(call).value.limit == "out_bytes"
    assert result(tell_and_run(joined)) == 5


def tell_and_run(joined: Joined) -> Any:
    call = tell(joined, 0, 5)
    joined.run()
    return call


def test_calls_do_not_start_while_too_much_waits(join: Join) -> None:
    root = Root()
    server = make(False, limits=Limits(out_bytes=500_000))
    joined = join(root, real=True, brokers=(make(True), server))
    joined.client_wire.reads = False
    echoes = [joined.root.callRemote("echo", bytes(100_000)) for _ in range(3)]
    for n in range(200):
        tell(joined, n)
    arrive(joined)
    more = [joined.root.callRemote("echo", bytes(100_000)) for _ in range(6)]
    last = tell(joined, 1000)
    arrive(joined)
    assert 1000 not in root.heard
    joined.client_wire.reads = True
    joined.run()
    assert root.heard[-1] == 1000
    assert all(result(call) == bytes(100_000) for call in echoes + more)
    assert result(last) == 0


def arrive(joined: Joined) -> None:
    """Let the server have what the client wrote, and take nothing of what it writes."""
    assert joined.reactor is not None
    for _ in range(20):
        joined.deliver(joined.server, joined.client_wire.take())
        joined.reactor.turn()


class Producer:
    def __init__(self) -> None:
        self.asked = 0

    def resumeProducing(self) -> None:
        self.asked += 1

    def stopProducing(self) -> None:
        pass


def test_a_producer_of_the_application_is_left_in_peace(join: Join) -> None:
    root, own = Root(), Producer()
    joined = join(root, real=True)
    wire = joined.client_wire
    wire.registerProducer(own, False)
    for n in range(10):
        tell(joined, n, 100 * KIB)
    assert used(joined.client) == 0
    assert wire.producer is own
    joined.run()
    assert root.heard == list(range(10))
    with pytest.raises(RuntimeError):
        joined.client.registerPageProducer(Pager(joined, 1))
    assert joined.client.pageProducers == []
    wire.unregisterProducer()
    tell(joined, 10, 600 * KIB)
    assert wire.producer is joined.client
    joined.run()
    assert root.heard[10:] == [10]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [10, 300 * KIB])
def test_closing_in_order_waits_for_what_waits(join: Join, tls: bool, size: int) -> None:
    root = Root()
    joined = join(root, real=True, tls=tls)
    for n in range(5):
        joined.root.callRemote("tell", n, bytes(size), pbanswer=False)
    joined.client.transport.loseConnection()
    joined.run()
    assert root.heard == [0, 1, 2, 3, 4]
    assert joined.client.disconnected
    assert joined.lost


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [10, 300 * KIB])
def test_what_is_called_before_closing_leaves_before(join: Join, tls: bool, size: int) -> None:
    root = Root()
    joined = join(root, real=True, tls=tls)

    def end(_: object) -> None:
        # In the midst of a turn, whose end is behind that of the connection.
        for n in range(1, 4):
            joined.root.callRemote("tell", n, bytes(size), pbanswer=False)
        joined.client.transport.loseConnection()

    joined.root.callRemote("tell", 0).addCallback(end)
    joined.run()
    assert root.heard == [0, 1, 2, 3]
    assert joined.lost
    for wire in (joined.client_wire, joined.server_wire):
        assert "loseConnection" not in vars(wire)


def test_the_same_in_memory(join: Join) -> None:
    root = Root()
    joined = join(root)

    def end(_: object) -> None:
        before = joined.client_wire.writes
        joined.root.callRemote("tell", 1)
        joined.root.callRemote("tell", 2, pbanswer=False)
        written.append(joined.client_wire.writes - before)

    written: list[int] = []
    joined.root.callRemote("tell", 0).addCallback(end)
    joined.run()
    assert (written, root.heard) == ([2], [0, 1, 2])


# What collects what is written tells later what it thinks of it.


def nearly_asking(joined: Joined) -> None:
    """Write so much that the next write asks the transport, and let it all leave."""
    for n in range(6):
        joined.root.callRemote("tell", n, bytes(10 * KIB), pbanswer=False)
    assert joined.reactor is not None
    joined.reactor.turn()
    joined.deliver(joined.server, joined.client_wire.take())
    assert joined.client_wire.registered == 0


def test_what_the_transport_does_not_mind_leaves_at_once(join: Join) -> None:
    joined = join(Root(), real=True)
    wire = joined.client_wire
    nearly_asking(joined)
    calls = [tell(joined, n, 10 * KIB) for n in range(3)]
    assert (wire.registered, wire.producer) == (1, None)
    assert sum(map(len, wire.out)) > 30 * KIB
    joined.run()
    assert [result(call) for call in calls] == [10 * KIB] * 3


def test_it_asks_a_little_longer_under_tls(join: Join) -> None:
    joined = join(Root(), real=True, tls=True)
    assert joined.reactor is not None
    wire = joined.client_wire
    nearly_asking(joined)
    calls = [tell(joined, n, 10 * KIB) for n in range(3)]
    seen = [wire.producer]
    for _ in range(2):
        joined.reactor.turn()
        seen.append(wire.producer)
    assert seen == [joined.client, joined.client, None]
    joined.run()
    assert [result(call) for call in calls] == [10 * KIB] * 3
    assert used(joined.client) == 0


def test_pages_that_begin_while_it_still_asks(join: Join) -> None:
    root = Root()
    joined = join(root, real=True, tls=True)
    nearly_asking(joined)
    tell(joined, 50, 10 * KIB)
    seen = [joined.client_wire.streaming]
    joined.client.registerPageProducer(Pager(joined, 2, first=100))
    assert [*seen, joined.client_wire.streaming] == [True, False]
    joined.run()
    assert root.heard == [0, 1, 2, 3, 4, 5, 50, 100, 101]
    assert joined.client_wire.producer is None


def test_it_is_told_a_moment_later_under_tls(join: Join) -> None:
    root = Root()
    joined = join(root, real=True, tls=True)
    assert joined.reactor is not None
    wire = joined.client_wire
    calls = [tell(joined, n, 30 * KIB) for n in range(3)]
    joined.reactor.turn()
    # The first of all that comes now is too much.
    while not wire.paused:
        calls.append(tell(joined, len(calls), 30 * KIB))
        joined.reactor.turn()
    assert len(calls) < 10
    calls += [tell(joined, len(calls) + n, 30 * KIB) for n in range(10)]
    assert used(joined.client) > 290 * KIB
    joined.reactor.turn()
    joined.reactor.turn()
    assert wire.producer is joined.client
    joined.run()
    assert root.heard == list(range(len(calls)))
    assert {result(call) for call in calls} == {30 * KIB}
    assert wire.producer is None


def test_nobody_else_can_stop_it(join: Join) -> None:
    joined = join(Root(), real=True)
    joined.client.pauseProducing()
    assert result(tell_and_run(joined)) == 5


def test_a_peer_that_takes_nothing_is_cut_off(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True, limits=Limits(stall_time=60))
    assert joined.reactor is not None
    joined.server_wire.reads = False
    call = tell(joined, 0, 600 * KIB)
    joined.reactor.turn(59)
    assert joined.client_wire.is_done is False
    joined.reactor.turn(1)
    assert joined.client_wire.aborted
    (failure,) = logged.take(LimitExceeded)
    assert failure.value.limit == "stall_time"
    assert failure.value.remote
    failure = failure_of(call)
    assert failure.type is PBConnectionLost
    assert failure.value.args[0].value.limit == "stall_time"
    joined.run()


def test_a_peer_that_takes_a_little_is_not(join: Join) -> None:
    joined = join(Root(), real=True)
    assert joined.reactor is not None
    call = tell(joined, 0, 600 * KIB)
    for _ in range(4):
        joined.reactor.turn(59)
        joined.deliver(joined.server, joined.client_wire.take())
    assert not joined.client_wire.aborted
    joined.run()
    assert result(call) == 600 * KIB
    # The timer rings once more, and nothing waits.
    joined.reactor.turn(120)
    joined.run()
    assert joined.reactor.is_idle
    assert not joined.lost


def test_an_abort_forgets_what_waits(join: Join) -> None:
    joined = join(Root(), real=True)
    call = tell(joined, 0, 600 * KIB)
    assert used(joined.client) > 0
    joined.lose(ConnectionAborted())
    assert used(joined.client) == 0
    assert failure_of(call).type is PBConnectionLost


def test_in_memory_nothing_waits(join: Join) -> None:
    joined = join(Root())
    tell(joined, 0, 600 * KIB)
    tell(joined, 1, 600 * KIB)
    assert used(joined.client) == 0
    assert sum(map(len, joined.client_wire.out)) > 1200 * KIB
    assert joined.client_wire.registered == 0


class Things(flavors.Root):
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def remote_keep(self, things: Any) -> None:
        self.kept = things


@pytest.mark.parametrize("real", [False, True])
def test_many_releases_all_leave(join: Join, real: bool) -> None:
    root = Things()
    limits = Limits(references_exported=20_000)
    joined = join(root, real=real, limits=limits)
    joined.ask("keep", [flavors.Referenceable() for _ in range(20_000 - 1)])
    assert len(joined.client.localObjects) == 19_999
    root.kept = []
    joined.prove_empty()


# Real sockets.

Link = Callable[..., Linked]


@pytest.fixture
def link() -> Iterator[Link]:
    """Joins two brokers by sockets. At the end they are closed, and nothing is left to send."""
    made: list[Linked] = []

    def make_one(*args: Any, **options: Any) -> Linked:
        made.append(Linked(*args, **options))
        return made[-1]

    yield make_one
    for each in made:
        each.close()
        assert (used(each.client), used(each.server)) == (0, 0)


def test_a_call_and_its_answer_leave_at_once(link: Link) -> None:
    linked = link(Root())
    call = linked.root.callRemote("echo", "hello network")
    assert len(linked.here.sends) == 1
    assert linked.reactor.step()
    # The server has read it, and the answer is on its way.
    assert len(linked.there.sends) == 1
    assert not linked.reactor.writers
    assert linked.reactor.step()
    assert result(call) == "hello network"


def test_many_calls_between_two_turns_are_two_sends(link: Link) -> None:
    root = Root()
    linked = link(root)
    for _ in range(2):
        calls = [linked.root.callRemote("tell", n) for n in range(50)]
        assert len(linked.here.sends) == 1
        linked.run()
        assert [result(call) for call in calls] == [0] * 50
        assert len(linked.here.sends) == 2
        linked.here.sends.clear()
    assert root.heard == list(range(50)) * 2


def test_many_calls_in_a_turn_are_one_send(link: Link) -> None:
    root = Root()
    linked = link(root)

    def go_on(_: object) -> None:
        linked.here.sends.clear()
        calls.extend(linked.root.callRemote("tell", n) for n in range(50))
        assert linked.here.sends == []

    calls: list[Any] = []
    linked.root.callRemote("tell", 100).addCallback(go_on)
    linked.run()
    assert [result(call) for call in calls] == [0] * 50
    assert root.heard == [100, *range(50)]
    assert len(linked.here.sends) == 1


@pytest.mark.parametrize("size", [0, 30 * KIB, 300 * KIB])
def test_what_does_not_leave_at_once_leaves_later_and_in_order(link: Link, size: int) -> None:
    root = Root()
    linked = link(root)
    linked.here.room = 20_000 if size else 7
    calls = [linked.root.callRemote("tell", n, bytes(size)) for n in range(10)]
    linked.run()
    assert [result(call) for call in calls] == [size] * 10
    assert root.heard == list(range(10))
    assert used(linked.client) == 0
    assert linked.here.producer is None


def test_a_connection_is_never_found_lost_in_a_call(link: Link) -> None:
    linked = link(Root())
    linked.here.answer = CONNECTION_LOST
    ended: list[str] = []
    linked.client.notifyOnDisconnect(lambda: ended.append("ended"))
    calls = [linked.root.callRemote("tell", n, bytes(n * 100 * KIB)) for n in range(3)]
    assert (ended, linked.client.disconnected) == ([], 0)
    assert [call.called for call in calls] == [0] * 3
    linked.run()
    assert ended == ["ended"]
    assert {failure_of(call).type for call in calls} == {PBConnectionLost}


def test_a_connection_is_never_found_lost_in_a_turn(link: Link) -> None:
    linked = link(Root())
    call = linked.root.callRemote("tell", 1)
    linked.there.answer = CONNECTION_LOST
    disconnected: list[Any] = []
    data_received = linked.server.dataReceived

    def receive(data: bytes) -> None:
        data_received(data)
        disconnected.append(linked.server.disconnected)

    linked.server.dataReceived = receive
    linked.run()
    assert disconnected[0] == 0
    assert linked.server.disconnected
    assert failure_of(call).type is PBConnectionLost


def test_a_connection_that_the_other_side_has_reset(link: Link) -> None:
    linked = link(Root())
    linked.there.abortConnection()
    linked.reactor.turn()
    calls = [linked.root.callRemote("tell", n) for n in range(3)]
    assert not linked.client.disconnected
    linked.run()
    assert {failure_of(call).type for call in calls} == {PBConnectionLost}


def test_what_is_called_while_it_closes_still_leaves(link: Link) -> None:
    root = Root()
    linked = link(root)
    linked.root.callRemote("tell", 0, pbanswer=False)
    linked.here.loseConnection()
    linked.root.callRemote("tell", 1, pbanswer=False)
    linked.root.callRemote("tell", 2, bytes(300 * KIB), pbanswer=False)
    assert len(linked.here.sends) == 1
    linked.run()
    assert root.heard == [0, 1, 2]
    assert linked.client.disconnected


def test_what_is_left_of_much_is_counted(link: Link) -> None:
    root = Root()
    linked = link(root)
    linked.here.room = 50_000
    call = linked.root.callRemote("echo", [bytes([n]) * 100_000 for n in range(40)])
    linked.here.room = 0
    counts = []
    for _ in range(3):
        counts.append(sum(linked.here.sends) + linked.here.waiting + used(linked.client))
        linked.reactor.step()
    assert used(linked.client) > 1_000_000
    linked.here.room = None
    linked.run()
    assert result(call) == [bytes([n]) * 100_000 for n in range(40)]
    assert set(counts) == {sum(linked.here.sends)}
    assert linked.here.producer is None


def test_others_get_their_turn_while_much_leaves(link: Link) -> None:
    linked = link(Root())
    taken = Taking()
    linked.here.writeSomeData = taken
    linked.root.callRemote("echo", [bytes(500_000) for _ in range(8)], pbanswer=False)
    assert sum(taken.sizes) == 1024 * KIB
    assert linked.here.waiting == CHUNK
    linked.reactor.step()
    assert sum(taken.sizes) == 2048 * KIB + CHUNK
    linked.run()
    assert 4_000_000 < sum(taken.sizes) < 4_001_000


class Taking:
    """A system that takes whatever it gets."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, data: Any) -> int:
        self.sizes.append(min(len(data), End.SEND_LIMIT))
        return self.sizes[-1]


def test_a_producer_of_the_application_and_a_real_socket(link: Link) -> None:
    root, own = Root(), Producer()
    linked = link(root)
    linked.here.registerProducer(own, False)
    calls = [linked.root.callRemote("tell", n, bytes(100 * KIB)) for n in range(10)]
    assert linked.here.sends == []
    asked = own.asked
    linked.run()
    assert own.asked > asked
    assert root.heard == list(range(10))
    assert [result(call) for call in calls] == [100 * KIB] * 10
    linked.here.unregisterProducer()


def test_pages_through_a_real_socket(link: Link) -> None:
    root = Root()
    linked = link(root)
    pagers = [Pager(linked, 20, 10 * KIB), Pager(linked, 3, 300 * KIB, first=100)]
    for pager in pagers:
        linked.client.registerPageProducer(pager)
    linked.root.callRemote("tell", 200)
    linked.run()
    assert sorted(root.heard) == [*range(20), 100, 101, 102, 200]
    assert [n for n in root.heard if n < 100] == list(range(20))
    assert linked.here.producer is None


# Pages.


class Pager:
    """Tells the server of `count` pages of `size`."""

    def __init__(self, joined: Any, count: int, size: int = 10, first: int = 0) -> None:
        self.joined = joined
        self.left = count
        self.size = size
        self.next = first

    def sendNextPage(self) -> None:
        self.left -= 1
        tell(self.joined, self.next, self.size)
        self.next += 1

    def stillPaging(self) -> bool:
        return self.left > 0


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("size", [10, 100 * KIB])
def test_pages_leave_one_by_one(join: Join, real: bool, size: int) -> None:
    root = Root()
    joined = join(root, real=real)
    joined.client.registerPageProducer(Pager(joined, 5, size))
    for n in range(1, 6):
        assert len(joined.client.pageProducers) == (1 if n < 5 else 0)
        joined.deliver(joined.server, joined.client_wire.take())
        assert root.heard == list(range(n))
    joined.run()
    assert root.heard == [0, 1, 2, 3, 4]
    assert joined.client_wire.producer is None


def test_several_page_at_once(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    joined.client.registerPageProducer(Pager(joined, 3))
    joined.client.registerPageProducer(Pager(joined, 5, first=100))
    assert joined.client_wire.registered == 1
    joined.run()
    assert sorted(root.heard) == [0, 1, 2, 100, 101, 102, 103, 104]
    assert joined.client.pageProducers == []
    assert joined.client_wire.producer is None


def test_a_page_waits_for_what_is_held_back(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    tell(joined, 0, 600 * KIB)
    joined.client.registerPageProducer(Pager(joined, 2, first=100))
    tell(joined, 1, 600 * KIB)
    joined.run()
    assert root.heard == [0, 1, 100, 101]
    assert joined.client_wire.producer is None


def test_what_comes_between_pages(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    joined.client.registerPageProducer(Pager(joined, 3, 200 * KIB, first=100))
    tell(joined, 0, 10)
    joined.run()
    assert root.heard == [100, 0, 101, 102]


class Late(Pager):
    """Has its first page only a moment after it was asked."""

    asked = 0

    def sendNextPage(self) -> None:
        self.asked += 1
        if self.asked > 1:
            super().sendNextPage()


def test_a_pager_that_has_nothing_at_first_is_asked_again(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    joined.client.registerPageProducer(Late(joined, 2))
    joined.run()
    assert root.heard == [0, 1]


def test_one_that_is_asked_again_before_that(join: Join) -> None:
    root = Root()
    joined = join(root, real=True)
    joined.client.registerPageProducer(Late(joined, 1))
    joined.client_wire.drained()
    assert joined.client.pageProducers == []
    joined.client_wire.drained()
    assert joined.client_wire.producer is None
    joined.run()
    assert root.heard == [0]


class Failing(Pager):
    def sendNextPage(self) -> None:
        raise KeyError("no page")


def test_a_pager_that_fails_ends_the_connection(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True)
    joined.client.registerPageProducer(Failing(joined, 1))
    assert [failure.type for failure in logged.take()] == [KeyError]
    joined.run()
    assert joined.lost


def test_a_pager_behind_the_end(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True)
    joined.client.registerPageProducer(Pager(joined, 3))
    joined.lose()
    assert [failure.type for failure in logged.take()] == [PBConnectionLost]
    assert joined.client.pageProducers == []
    joined.client.registerPageProducer(Pager(joined, 3))
    joined.client.resumeProducing()
    joined.client.pauseProducing()
    joined.client.stopProducing()


class Losing(Failing):
    def sendNextPage(self) -> None:
        self.joined.lose()
        super().sendNextPage()


def test_a_pager_that_fails_behind_the_end(join: Join, logged: Logged) -> None:
    joined = join(Root(), real=True)
    joined.client.registerPageProducer(Losing(joined, 1))
    assert [failure.type for failure in logged.take()] == [KeyError]


class Asking(Root):
    def remote_ask(self, reference: Any) -> Any:
        return reference.callRemote("ask")


class Asked(flavors.Referenceable):
    def remote_ask(self) -> str:
        return "asked"


def test_a_transport_that_delivers_at_once(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = join(Asking())
    joined.run()
    monkeypatch.setattr(joined.client_wire, "write", joined.server.dataReceived)
    monkeypatch.setattr(joined.server_wire, "write", joined.client.dataReceived)
    assert result(joined.root.callRemote("ask", Asked())) == "asked"
