"""Helpers above the protocol: what is called as if it were remote, and paging over a connection."""

import gc
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from pellucid.twisted import util
from pellucid.twisted.errors import (
    BananaError,
    DeadReferenceError,
    Error,
    InsecureJelly,
    NoSuchMethod,
    PBConnectionLost,
)
from pellucid.twisted.flavors import Referenceable, Root
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import failure_of, result

BIG = bytes(range(256)) * 400


# What is here and called as if it were elsewhere.


class Local(util.LocalAsRemote):
    reportAllTracebacks: Any = 0

    def sync_add(self, a: int, b: int = 1) -> int:
        return a + b

    def async_add(self, a: int, b: int = 1) -> int:
        raise AssertionError("the other one comes first")

    def async_times(self, a: int, b: int = 2) -> int:
        return a * b

    def async_later(self) -> Deferred[str]:
        return succeed("later")

    async def async_coroutine(self) -> str:
        return "done"

    def async_fail(self) -> None:
        raise LookupError("not here")


class Loud(Local):
    reportAllTracebacks = 1


def test_a_synchronous_method_gives_its_result() -> None:
    assert Local().callRemote("add", 2) == 3
    assert Local().callRemote("add", 2, b=5) == 7
    assert Local().remoteMethod("add")(2, b=5) == 7


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "value"),
    [
        ("times", (3,), {}, 6),
        ("times", (3,), {"b": 5}, 15),
        ("later", (), {}, "later"),
        ("coroutine", (), {}, "done"),
    ],
)
def test_an_asynchronous_method_gives_a_deferred(
    name: str, args: Any, kwargs: Any, value: Any
) -> None:
    waiting = Local().callRemote(name, *args, **kwargs)
    assert isinstance(waiting, Deferred)
    assert result(waiting) == value
    assert result(Local().remoteMethod(name)(*args, **kwargs)) == value


def test_a_failure_comes_in_the_deferred() -> None:
    assert str(failure_of(Local().callRemote("fail")).value) == "not here"
    failure_of(Local().callRemote("fail", "too much")).trap(TypeError)
    failure_of(Local().callRemote("nothing")).trap(AttributeError)
    # The default is to print it as well.
    assert util.LocalAsRemote.reportAllTracebacks


def test_a_failure_is_printed_if_that_is_wanted(logged: Logged) -> None:
    failure_of(Local().callRemote("fail"))
    assert logged.text == ""
    failure_of(Loud().callRemote("fail")).trap(LookupError)
    assert "LookupError: not here" in logged.text


def test_a_synchronous_method_raises() -> None:
    with pytest.raises(TypeError):
        Local().callRemote("add", "text", [])


class IForwarded(Interface):  # type: ignore[misc]
    def forward(value: Any) -> Any:
        """Give it back."""


@implementer(IForwarded)
class Forwarded:
    def forward(self, value: Any) -> Any:
        if value is None:
            raise LookupError("nothing to forward")
        return value

    def hidden(self) -> None:
        raise AssertionError("it is not in the interface")


def test_methods_of_an_interface_are_forwarded() -> None:
    forwarder = util.LocalAsyncForwarder(Forwarded(), IForwarded)
    assert result(forwarder.callRemote("forward", 5)) == 5
    assert result(forwarder.callRemote("forward", value=succeed(6))) == 6
    failure_of(forwarder.callRemote("forward", None)).trap(LookupError)
    assert result(forwarder.callRemote("hidden")) is None


def test_what_is_not_in_the_interface_fails_if_that_is_wanted() -> None:
    forwarder = util.LocalAsyncForwarder(Forwarded(), IForwarded, failWhenNotImplemented=1)
    failure = failure_of(forwarder.callRemote("hidden"))
    failure.trap(NotImplementedError)
    assert str(failure.value) == "IForwarded has no method hidden"
    assert result(forwarder.callRemote("forward", 5)) == 5


def test_only_what_provides_the_interface_is_forwarded() -> None:
    with pytest.raises(TypeError, match="object does not provide IForwarded"):
        util.LocalAsyncForwarder(object(), IForwarded)


# Paging.


class Pages(Root):
    """Makes pagers, and hears of their ends."""

    def __init__(self, make: Callable[..., util.Pager], **extra: Any) -> None:
        self.make = make
        self.extra = extra
        self.ends: list[Any] = []
        self.pagers: list[util.Pager] = []

    def remote_pages(self, collector: Any, *args: Any) -> None:
        self.pagers.append(self.make(collector, *args, callback=self.ended, **self.extra))

    def remote_quiet(self, collector: Any, *args: Any) -> None:
        self.pagers.append(self.make(collector, *args))

    def remote_fail(self, collector: Any) -> None:
        raise Error("no pages today")

    def remote_nothing(self, collector: Any) -> None:
        pass

    def remote_fail_late(self, collector: Any) -> Deferred[Any]:
        self.late: Deferred[Any] = Deferred()
        util.StringPager(collector, b"abc")
        return self.late

    def ended(self, *args: Any, **kwargs: Any) -> None:
        self.ends.append((args, kwargs))


class Fifths(util.Pager):
    """Pages that are numbers."""

    def __init__(self, collector: Any, *args: Any, **kwargs: Any) -> None:
        self.left = 3
        super().__init__(collector, *args, **kwargs)

    def nextPage(self) -> int:
        self.left -= 1
        if not self.left:
            self.stopPaging()
        return self.left * 5


def string(text: Any, size: int | None = None) -> Callable[..., util.StringPager]:
    def make(collector: Any, *args: Any, **kwargs: Any) -> util.StringPager:
        if size is None:
            return util.StringPager(collector, text, *args, **kwargs)
        return util.StringPager(collector, text, size, *args, **kwargs)

    return make


def file(data: bytes) -> Callable[..., util.FilePager]:
    def make(collector: Any, *args: Any, **kwargs: Any) -> util.FilePager:
        return util.FilePager(collector, io.BytesIO(data), *args, **kwargs)

    return make


@pytest.mark.parametrize(
    ("make", "pages"),
    [
        (string(b"abcdefgh", 3), [b"abc", b"def", b"gh"]),
        (string(b"abcdef", 3), [b"abc", b"def"]),
        (string("t\u00e9xt", 3), ["t\u00e9x", "t"]),
        (string(b"", 3), [b""]),
        (string(BIG), [BIG[at : at + 8192] for at in range(0, len(BIG), 8192)]),
        (file(BIG), [BIG[at : at + 16384] for at in range(0, len(BIG), 16384)]),
        (file(b"short"), [b"short"]),
        (file(b""), []),
        (Fifths, [10, 5, 0]),
    ],
    ids=["even", "odd", "text", "empty", "big", "file", "short file", "empty file", "own"],
)
@pytest.mark.parametrize("real", [False, True], ids=["in memory", "clock"])
def test_all_pages_arrive_in_order(
    join: Join, piece: int, real: bool, make: Any, pages: list[Any]
) -> None:
    root = Pages(make)
    joined = join(root, size=piece, real=real)
    waiting = util.getAllPages(joined.root, "pages")
    joined.run()
    assert result(waiting) == pages
    assert root.ends == [((), {})]
    # Nothing of it is left: neither pages nor the collector nor a producer.
    assert getattr(root.pagers.pop(), "chunks", []) == []
    assert joined.server_wire.producer is None
    joined.prove_empty()


def test_the_end_is_told_with_its_arguments(join: Join) -> None:
    root = Pages(string(b"abc"), name="x")
    joined = join(root)
    waiting = util.getAllPages(joined.root, "pages")
    joined.run()
    assert result(waiting) == [b"abc"]
    assert root.ends == [((), {"name": "x"})]


@pytest.mark.parametrize("make", [string(b"abc"), file(b"abc"), Fifths])
def test_what_can_not_be_called_is_not_told(join: Join, make: Any) -> None:
    root = Pages(make)
    joined = join(root)
    waiting = util.getAllPages(joined.root, "quiet")
    joined.run()
    assert result(waiting) != []
    assert root.pagers[0].callback is None
    assert util.StringPager(Reference(), b"abc", 2, 7).callback is None


def test_positional_arguments_are_handed_to_the_callback(join: Join) -> None:
    told: list[Any] = []

    def hear(*args: Any, **kwargs: Any) -> None:
        told.append((args, kwargs))

    def make(collector: Any) -> util.Pager:
        return util.StringPager(collector, b"abc", 2, hear, 1, x=2)

    joined = join(Pages(make))
    waiting = util.getAllPages(joined.root, "quiet")
    joined.run()
    assert result(waiting) == [b"ab", b"c"]
    assert told == [((1,), {"x": 2})]


def test_pages_wait_until_those_before_have_left(join: Join) -> None:
    root = Pages(string(BIG, 10_000))
    joined = join(root)
    waiting = util.getAllPages(joined.root, "pages")
    largest = 0
    for _ in range(1000):
        joined.step()
        largest = max(largest, sum(map(len, joined.server_wire.out)))
    assert result(waiting) == [BIG[at : at + 10_000] for at in range(0, len(BIG), 10_000)]
    assert largest < 15_000


def test_several_pagers_share_the_connection(join: Join) -> None:
    root = Pages(string(b"abcdef", 1))
    joined = join(root)
    waiting = [util.getAllPages(joined.root, "pages") for _ in range(3)]
    joined.run()
    assert [result(one) for one in waiting] == [[b"a", b"b", b"c", b"d", b"e", b"f"]] * 3
    assert len(root.ends) == 3


class Keeper(Root):
    """Keeps the collector, to page to it when the call is over."""

    def __init__(self) -> None:
        self.collector: Any = None

    def remote_keep(self, collector: Any) -> None:
        self.collector = collector


@pytest.mark.parametrize(
    ("make", "whole"), [(string(b"abc", 2), b"abc"), (file(b"abc"), b"abc"), (file(b""), b"")]
)
def test_a_pager_may_begin_when_nothing_else_is_written(
    join: Join, make: Any, whole: bytes
) -> None:
    root = Keeper()
    joined = join(root, real=True)
    waiting = util.getAllPages(joined.root, "keep")
    joined.run()
    make(root.collector)
    joined.run()
    assert b"".join(result(waiting)) == whole
    root.collector = None
    joined.prove_empty()


class Broker:
    """Keeps its pagers."""

    def __init__(self) -> None:
        self.pagers: list[Any] = []

    def registerPageProducer(self, pager: Any) -> None:
        self.pagers.append(pager)


class Reference:
    """Notes what is called."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.calls: list[Any] = []

    def callRemote(self, name: str, *args: Any, **kwargs: Any) -> None:
        assert kwargs == {"pbanswer": False}
        self.calls.append((name, *args))


def test_the_end_is_told_once() -> None:
    ends: list[int] = []
    reference = Reference()
    pager = util.StringPager(reference, b"ab", 1, lambda: ends.append(1))
    assert reference.broker.pagers == [pager]
    for _ in range(2):
        assert pager.stillPaging()
        pager.sendNextPage()
    for _ in range(3):
        assert not pager.stillPaging()
    assert reference.calls == [("gotPage", b"a"), ("gotPage", b"b"), ("endedPaging",)]
    assert ends == [1]


def test_a_pager_without_pages_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Pager has no nextPage"):
        util.Pager(Reference()).sendNextPage()


@pytest.mark.parametrize("size", [0, -1])
def test_a_page_is_not_empty(size: int) -> None:
    with pytest.raises(ValueError, match=f"a page holds 1 at least, not {size}"):
        util.StringPager(Reference(), b"abc", size)


def test_a_file_is_read_as_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "pages"
    path.write_bytes(BIG)
    reference = Reference()
    with path.open("rb") as opened:
        pager = util.FilePager(reference, opened)
        assert verifyObject(IConsumer, pager)
        read = 0
        while pager.stillPaging():
            assert len(pager.chunks) == 1
            assert sum(len(call[1]) for call in reference.calls) == read
            assert opened.tell() == min(read + 16384, len(BIG))
            read = opened.tell()
            pager.sendNextPage()
    assert reference.calls.pop() == ("endedPaging",)
    assert b"".join(page for _, page in reference.calls) == BIG
    assert (pager.chunks, pager.producer) == ([], None)


def test_a_file_pager_waits_for_who_reads_late() -> None:
    class Late(util.FilePager):
        def startProducing(self, fd: Any) -> None:
            self.fd = fd

    reference = Reference()
    pager = Late(reference, io.BytesIO(b"abc"))
    pager.sendNextPage()
    assert pager.stillPaging()
    pager.write(b"one")
    pager.sendNextPage()
    util.FilePager.startProducing(pager, pager.fd)
    pager.sendNextPage()
    assert not pager.stillPaging()
    assert reference.calls == [("gotPage", b"one"), ("gotPage", b"abc"), ("endedPaging",)]


def test_who_reads_at_a_pace_of_its_own_is_not_asked() -> None:
    class Reader:
        asked = 0

        def resumeProducing(self) -> None:
            self.asked += 1

    pager = util.FilePager(Reference(), io.BytesIO(b""))
    for streaming, asked in ((True, 0), (False, 1)):
        reader = Reader()
        pager.registerProducer(reader, streaming)
        assert (reader.asked, pager.producer) == (asked, reader)
    pager.unregisterProducer()
    assert pager.producer is None


def test_a_collector_may_answer() -> None:
    class Answering(Reference):
        def callRemote(self, name: str, *args: Any, **kwargs: Any) -> Any:
            super().callRemote(name, *args, **kwargs)
            return succeed(None)

    reference = Answering()
    pager = util.StringPager(reference, b"abc")
    pager.sendNextPage()
    assert not pager.stillPaging()
    assert reference.calls == [("gotPage", b"abc"), ("endedPaging",)]


# What becomes of who waits for pages.


def test_who_asks_for_pages_hears_that_the_call_failed(join: Join, logged: Logged) -> None:
    root = Pages(string(b"abc"))
    joined = join(root)
    waiting = util.getAllPages(joined.root, "fail")
    joined.run()
    failure = failure_of(waiting)
    failure.trap(Error)
    assert failure.getErrorMessage() == "no pages today"
    assert joined.root.disconnectCallbacks == ()
    joined.prove_empty()
    waiting = util.getAllPages(joined.root, "none")
    joined.run()
    failure_of(waiting).trap(NoSuchMethod)
    logged.take(NoSuchMethod)


def test_who_asks_for_pages_hears_that_they_can_not_be_asked_for(join: Join) -> None:
    joined = join(Pages(string(b"abc")))
    waiting = util.getAllPages(joined.root, "pages", object())
    joined.run()
    failure_of(waiting).trap(InsecureJelly)
    reference = joined.root
    joined.lose()
    with pytest.raises(DeadReferenceError):
        util.getAllPages(reference, "pages")


@pytest.mark.parametrize("name", ["nothing", "pages"])
def test_who_asks_for_pages_hears_that_the_connection_ended(join: Join, name: str) -> None:
    joined = join(Pages(string(BIG, 100)))
    waiting = util.getAllPages(joined.root, name)
    for _ in range(5):
        joined.step()
    assert not waiting.called
    joined.lose(ConnectionLost())
    failure_of(waiting).trap(PBConnectionLost)


def test_the_connection_ends_before_the_call_is_answered(join: Join) -> None:
    joined = join(Pages(string(BIG, 100)))
    waiting = util.getAllPages(joined.root, "pages")
    joined.lose(ConnectionLost())
    failure = failure_of(waiting)
    failure.trap(PBConnectionLost)
    assert failure.value.args[0].check(ConnectionLost)


def test_a_call_that_fails_behind_the_last_page_is_logged(join: Join, logged: Logged) -> None:
    root = Pages(string(b"abc"))
    joined = join(root)
    waiting = util.getAllPages(joined.root, "fail_late")
    joined.run()
    assert result(waiting) == [b"abc"]
    root.late.errback(Failure(Error("too late")))
    joined.run()
    (failure,) = logged.take()
    assert "too late" in failure.getErrorMessage()


def test_who_gives_up_hears_of_nothing(join: Join) -> None:
    root = Pages(string(b"abc"))
    joined = join(root)
    for name in ("pages", "fail", "fail_late"):
        waiting = util.getAllPages(joined.root, name)
        waiting.cancel()
        failure_of(waiting).trap(CancelledError)
        joined.run()
    root.late.errback(Failure(Error("too late")))
    joined.run()
    gc.collect()
    assert joined.root.disconnectCallbacks == ()


def test_a_page_that_can_not_be_sent_ends_the_paging(join: Join, logged: Logged) -> None:
    """The other side never takes what is left of it for the whole."""
    for page, kind in ((object(), InsecureJelly), (b"x" * 700_000, BananaError)):

        class Odd(util.Pager):
            pages: ClassVar[list[Any]] = [b"last", page, b"first"]

            def nextPage(self) -> Any:
                one = self.pages.pop()
                if not self.pages:
                    self.stopPaging()
                return one

        root = Pages(Odd)
        joined = join(root)
        waiting = util.getAllPages(joined.root, "pages")
        joined.run()
        assert len(logged.take(kind)) == 1
        assert joined.lost
        failure_of(waiting).trap(PBConnectionLost)
        assert (root.ends, Odd.pages) == ([], [b"last"])


def test_pages_of_what_is_here() -> None:
    """A source need not be remote, and what it answers need not be a Deferred."""

    class Here(util.LocalAsRemote):
        reportAllTracebacks = 0

        def sync_now(self, collector: Any, page: Any) -> None:
            collector.remote_gotPage(page)
            collector.remote_endedPaging()

        def async_fail(self, collector: Any) -> None:
            raise LookupError("no pages")

    assert result(util.getAllPages(Here(), "now", 7)) == [7]
    failure_of(util.getAllPages(Here(), "fail")).trap(LookupError)


def test_a_collector_hands_over_what_it_was_given() -> None:
    handed: list[Any] = []
    collector = util.CallbackPageCollector(handed.append)
    assert isinstance(collector, Referenceable)
    collector.remote_gotPage(1)
    collector.remote_gotPage(2)
    assert handed == []
    collector.remote_endedPaging()
    assert handed == [[1, 2]]


def test_what_comes_behind_the_last_page_is_ignored() -> None:
    handed: list[Any] = []
    collector = util.CallbackPageCollector(handed.append)
    collector.remote_gotPage(1)
    collector.remote_endedPaging()
    collector.remote_gotPage(2)
    collector.remote_endedPaging()
    assert handed == [[1]]


def test_pages_that_come_while_they_are_handed_over_are_ignored() -> None:
    handed: list[Any] = []

    def take(pages: list[Any]) -> None:
        handed.append(pages)
        collector.remote_gotPage(2)
        collector.remote_endedPaging()

    collector = util.CallbackPageCollector(take)
    collector.remote_gotPage(1)
    collector.remote_endedPaging()
    assert handed == [[1]]


def test_the_names_are_twisted_s() -> None:
    for name in util.__all__:
        assert getattr(util, name).__module__ == "twisted.spread.util"
