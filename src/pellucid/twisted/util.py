"""Helpers above the protocol: local objects that are called like remote ones, and paging.

Paging sends something long in parts. A method is given a reference to a collector, and makes a
pager; its pages leave one by one, each when what was written before has left.
"""

from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from .errors import PBConnectionLost
from .flavors import Referenceable

__all__ = [
    "CallbackPageCollector",
    "FilePager",
    "LocalAsRemote",
    "LocalAsyncForwarder",
    "LocalMethod",
    "Pager",
    "StringPager",
    "getAllPages",
]


class LocalMethod:
    """A method of a local object, to be called like a method of a remote one."""

    __module__ = "twisted.spread.util"

    def __init__(self, local: Any, name: str) -> None:
        self.local = local
        self.name = name

    def __call__(self, *args: Any, **kw: Any) -> Any:
        """Call it, and give what `callRemote` of the object gives."""
        return self.local.callRemote(self.name, *args, **kw)


class LocalAsRemote:
    """A base class for what is here and is called as if it were elsewhere.

    `callRemote("x")` runs `sync_x`, whose result is given as it is, or else `async_x`, whose result
    or failure comes in a Deferred. With `reportAllTracebacks` failures are printed as well.
    """

    __module__ = "twisted.spread.util"

    reportAllTracebacks: Any = 1

    def callRemote(self, name: str, *args: Any, **kw: Any) -> Any:
        """Run the method that is meant for `name`."""
        method = getattr(self, f"sync_{name}", None)
        if method is not None:
            return method(*args, **kw)
        # One that does not exist fails as one that raises does.
        result = maybeDeferred(lambda: getattr(self, f"async_{name}")(*args, **kw))
        return result.addErrback(_printed) if self.reportAllTracebacks else result

    def remoteMethod(self, name: str) -> LocalMethod:
        """Give one method, to be called later."""
        return LocalMethod(self, name)


def _printed(failure: Failure) -> Failure:
    failure.printTraceback()
    return failure


class LocalAsyncForwarder:
    """Lets the methods of one interface of a local object be called like remote ones.

    What is not in the interface does nothing and gives None; with `failWhenNotImplemented` it
    fails with NotImplementedError. Raises TypeError if the object does not provide the interface.
    """

    __module__ = "twisted.spread.util"

    def __init__(
        self, forwarded: Any, interfaceClass: Any, failWhenNotImplemented: Any = 0
    ) -> None:
        if not interfaceClass.providedBy(forwarded):
            kind = type(forwarded).__name__
            raise TypeError(f"{kind} does not provide {interfaceClass.__name__}")
        self.forwarded = forwarded
        self.interfaceClass = interfaceClass
        self.failWhenNotImplemented = failWhenNotImplemented

    def callRemote(self, method: str, *args: Any, **kw: Any) -> Deferred[Any]:
        """Call a method of the interface. Its result or failure comes in a Deferred."""
        if self.interfaceClass.queryDescriptionFor(method):
            return maybeDeferred(lambda: getattr(self.forwarded, method)(*args, **kw))
        if self.failWhenNotImplemented:
            name = self.interfaceClass.__name__
            return fail(NotImplementedError(f"{name} has no method {method}"))
        return succeed(None)


def _tell(collector: Any, *call: Any) -> None:
    """Make a call without an answer. Raises what is the matter if it can't be made."""
    refused = collector.callRemote(*call, pbanswer=False)
    if isinstance(refused, Deferred):
        failures: list[Failure] = []
        refused.addErrback(failures.append)
        if failures:
            failures[0].raiseException()


class Pager:
    """Sends pages to a collector of the other side, until `stopPaging` is called.

    `collector` is a reference to it. Behind the last page `callback` is called with the other
    arguments. A subclass says in `nextPage` what the pages are. What can't be sent is raised in the
    Broker, which ends the paging.
    """

    __module__ = "twisted.spread.util"

    _stillPaging: Any = 1
    _has_ended = False

    def __init__(self, collector: Any, callback: Any = None, *args: Any, **kw: Any) -> None:
        self.collector = collector
        self.callback = callback if callable(callback) else None
        self.callbackArgs = args
        self.callbackKeyword = kw
        collector.broker.registerPageProducer(self)

    def stillPaging(self) -> Any:
        """Tell the Broker whether there is more. If not, the other side is told, once."""
        if not self._stillPaging and not self._has_ended:
            self._has_ended = True
            _tell(self.collector, "endedPaging")
            if self.callback is not None:
                self.callback(*self.callbackArgs, **self.callbackKeyword)
        return self._stillPaging

    def sendNextPage(self) -> None:
        """Send one page, when the Broker says that there is room."""
        _tell(self.collector, "gotPage", self.nextPage())

    def nextPage(self) -> Any:
        """Override this: give the next page, and call `stopPaging` if it is the last one."""
        raise NotImplementedError(f"{type(self).__name__} has no nextPage")

    def stopPaging(self) -> None:
        """Say that no page comes behind the one that is made just now."""
        self._stillPaging = 0


class StringPager(Pager):
    """Sends a text or a byte string in pages of `chunkSize`."""

    __module__ = "twisted.spread.util"

    def __init__(
        self,
        collector: Any,
        st: Any,
        chunkSize: int = 8192,
        callback: Any = None,
        *args: Any,
        **kw: Any,
    ) -> None:
        if chunkSize < 1:
            raise ValueError(f"a page holds 1 at least, not {chunkSize}")
        self.string = st
        self.pointer = 0
        self.chunkSize = chunkSize
        super().__init__(collector, callback, *args, **kw)

    def nextPage(self) -> Any:
        """Give the next piece of the string."""
        page = self.string[self.pointer : self.pointer + self.chunkSize]
        self.pointer += self.chunkSize
        if self.pointer >= len(self.string):
            self.stopPaging()
        return page


@implementer(IConsumer)
class FilePager(Pager):
    """Sends what is in a file. Of an empty one there are no pages.

    Each part is read when the one before it is sent.
    """

    __module__ = "twisted.spread.util"

    def __init__(
        self, collector: Any, fd: Any, callback: Any = None, *args: Any, **kw: Any
    ) -> None:
        self.chunks: list[Any] = []
        self.producer: Any = None
        self.collector = collector
        # Whether there is a page at all has to be known when the first one is asked for.
        self.startProducing(fd)
        super().__init__(collector, callback, *args, **kw)

    def startProducing(self, fd: Any) -> None:
        """Begin to read."""
        self.deferred = FileSender().beginFileTransfer(fd, self)
        self.deferred.addBoth(lambda ended: self.stopPaging())

    def registerProducer(self, producer: Any, streaming: Any) -> None:
        """Take what reads the file."""
        self.producer = producer
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget what read the file: it is at its end."""
        self.producer = None

    def write(self, chunk: Any) -> None:
        """Take what was read."""
        self.chunks.append(chunk)

    def sendNextPage(self) -> None:
        """Send what was read, and have the next part read."""
        if not self.chunks:
            return
        _tell(self.collector, "gotPage", self.chunks.pop(0))
        if self.producer is not None:
            self.producer.resumeProducing()


class CallbackPageCollector(Referenceable):
    """Collects pages from the other side, and calls `callback` with the list of them.

    A reference to it is what a pager needs. Whatever comes behind the end is ignored.
    """

    __module__ = "twisted.spread.util"

    _has_ended = False

    def __init__(self, callback: Any) -> None:
        self.pages: list[Any] = []
        self.callback = callback

    def remote_gotPage(self, page: Any) -> None:
        """Take a page."""
        if not self._has_ended:
            self.pages.append(page)

    def remote_endedPaging(self) -> None:
        """Hand over the pages, once."""
        if not self._has_ended:
            self._has_ended = True
            self.callback(self.pages)


class _Waiting:
    """A Deferred that fires once: with pages, or with the failure of what would send them."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.deferred: Deferred[Any] = Deferred(self.give_up)
        self.given_up = False
        # What is local has no connection that could be lost.
        self.can_be_lost = hasattr(source, "notifyOnDisconnect")

    def begin(self, name: str, args: Any, kw: Any) -> None:
        call = self.source.callRemote(name, CallbackPageCollector(self.fire), *args, **kw)
        if self.can_be_lost:
            self.source.notifyOnDisconnect(self.lost)
        if isinstance(call, Deferred):
            call.addErrback(self.failed)

    def fire(self, outcome: Any) -> None:
        """Take the pages or a Failure. Whatever comes behind it is too late."""
        self.forget_loss()
        if not self.deferred.called:
            self.deferred.callback(outcome)

    def failed(self, failure: Failure) -> Failure | None:
        """Take it that the call failed. Behind the last page that is nobody's, and so logged."""
        if self.deferred.called and not self.given_up:
            return failure
        self.fire(failure)
        return None

    def lost(self, reference: Any) -> None:
        """Take it that no more pages can come."""
        self.can_be_lost = False
        self.fire(Failure(PBConnectionLost("the connection was lost between two pages")))

    def give_up(self, deferred: Deferred[Any]) -> None:
        """Take it that nobody waits any longer."""
        self.given_up = True
        self.forget_loss()

    def forget_loss(self) -> None:
        if self.can_be_lost:
            self.can_be_lost = False
            self.source.dontNotifyOnDisconnect(self.lost)


def getAllPages(referenceable: Any, methodName: str, *args: Any, **kw: Any) -> Deferred[Any]:
    """Call a method with a collector before its other arguments; give the list of pages.

    The Deferred fails when the call fails, or when the connection ends before the last page.
    """
    waiting = _Waiting(referenceable)
    waiting.begin(methodName, args, kw)
    return waiting.deferred


getAllPages.__module__ = "twisted.spread.util"
