"""Caches that are kept in a file of the client, so that nothing is sent again that did not change.

The owner sends a time stamp. Whoever has a file with the same one reads the state from there; the
others ask for the state, and write the file.
"""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.python import log
from twisted.python.failure import Failure

from ..errors import PBError
from . import banana, flavors, jelly
from .errors import translated

__all__ = ["Publishable", "RemotePublished", "whenReady"]

# What is about this process and this connection, and not in the file.
_PASSING: Final = frozenset(
    ("broker", "luid", "remote", "isActivated", "_wasCleanWhenLoaded", "_listeners", "_failure")
)


class Publishable(flavors.Cacheable):
    """An object whose copies last longer than a connection. `publishedID` tells it from others."""

    __module__ = "twisted.spread.publish"

    def __init__(self, publishedID: Any) -> None:
        self.republish()
        self.publishedID = publishedID

    def republish(self) -> None:
        """Say that the state has changed since it was last sent."""
        self.timestamp = time.time()

    def view_getStateToPublish(self, perspective: Any) -> Any:
        """Answer the holder of a copy that has no file, or an old one."""
        return self.getStateToPublishFor(perspective)

    def getStateToPublishFor(self, perspective: Any) -> Any:
        """Give the state that a perspective is to see."""
        return self.getStateToPublish()

    def getStateToPublish(self) -> Any:
        """Override this, or `getStateToPublishFor`: give the state."""
        raise NotImplementedError(f"{type(self).__name__} has no getStateToPublish")

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> dict[str, Any]:
        """Give what a copy needs to find its file, and to ask for the state.

        A perspective has a `perspectiveName`, and a service with a `serviceName`.
        """
        whose = service = "None"
        if perspective:
            whose = perspective.perspectiveName
            service = perspective.getService().serviceName
        return {
            "remote": flavors.ViewPoint(perspective, self),
            "publishedID": self.publishedID,
            "perspective": whose,
            "service": service,
            "timestamp": self.timestamp,
        }


class RemotePublished(flavors.RemoteCache):
    """The copy of a Publishable. It is activated when it has its state, from a file or by a call.

    `isActivated` tells whether it is, and `_wasCleanWhenLoaded` whether a file was good.
    """

    __module__ = "twisted.spread.publish"

    remote: Any
    service: Any
    perspective: Any
    publishedID: Any
    timestamp: Any

    isActivated: Any = 0
    _wasCleanWhenLoaded: Any = 0
    # Who waits: what to call then, and what to call if it fails.
    _listeners: Any = ()
    _failure: Failure | None = None

    def getFileName(self, ext: str = "pub") -> str:
        """Give the name of the file. What the other side sent never leads to another directory."""
        parts = (self.service, self.perspective, self.publishedID)
        return "-".join(quote(str(part), safe=" ") for part in parts) + f".{ext}"

    def setCopyableState(self, state: Any) -> None:
        """Take what the other side sent, and get the state itself."""
        super().setCopyableState(state)
        self._listeners = []
        saved = self._saved()
        if saved is None:
            call = self.remote.callRemote("getStateToPublish")
            call.addCallback(self._take).addCallbacks(self._received, self._failed)
        else:
            self.__dict__.update(saved)
            self._wasCleanWhenLoaded = 1
            self._activate()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _PASSING}

    def _saved(self) -> dict[str, Any] | None:
        """Give the state from the file. None if there is no file, or it is old or no good."""
        try:
            with open(self.getFileName(), "rb") as file:
                state = jelly.unjelly(banana.decode(file.read()), _security())
            found: dict[str, Any] = dict(state)
            return found if found["timestamp"] == self.timestamp else None
        except OSError:
            return None
        except Exception as error:
            log.msg(f"{self.getFileName()} is no good, it is made anew: {type(error).__name__}")
            return None

    def _save(self) -> None:
        try:
            sexp = jelly.jelly(self.__getstate__())
            if not _is_whole(sexp):
                return
            data = banana.encode(sexp)
            with open(self.getFileName(), "wb") as file:
                file.write(data)
        except Exception as error:
            # Without it the state is sent once more the next time, and that is all.
            log.msg(f"{self.getFileName()} can't be written: {type(error).__name__}")

    def _take(self, state: Any) -> None:
        try:
            super().setCopyableState(state)
        except PBError as error:
            raise translated(error) from None

    def _received(self, taken: None) -> None:
        self._activate()
        self._save()

    def _activate(self) -> None:
        self.isActivated = 1
        listeners, self._listeners = self._listeners, []
        for listener, _ in listeners:
            listener(self)
        self.activated()

    def _failed(self, failure: Failure) -> None:
        """Tell those who wait for the state that it does not come, or the log if there are none."""
        failure.cleanFailure()
        self._failure = failure
        listeners, self._listeners = self._listeners, []
        waiting = [errback for _, errback in listeners if errback is not None]
        for errback in waiting:
            errback(failure)
        if not waiting:
            log.err(failure, f"{self.getFileName()} has no state")

    def activated(self) -> None:
        """Override this to hear that the state is there."""

    def callWhenActivated(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` when the state is there, now if it is."""
        self._listen(callback, None)

    def _listen(self, callback: Any, errback: Any) -> None:
        if self.isActivated:
            callback(self)
        elif self._failure is not None and errback is not None:
            errback(self._failure)
        else:
            self._listeners.append((callback, errback))


def _security() -> jelly.SecurityOptions:
    """Give what a file may make: what any peer may make as well."""
    options = jelly.SecurityOptions()
    options.allowBasicTypes()
    registered = list(flavors.unjellyableRegistry.values())
    options.allowInstancesOf(*(known for known in registered if isinstance(known, type)))
    return options


def _is_whole(sexp: Any) -> bool:
    """Tell whether a value has no part that can't be kept, such as a reference."""
    work = [sexp]
    while work:
        item = work.pop()
        if isinstance(item, list):
            if item[:1] == [b"unpersistable"]:
                return False
            work += item
    return True


def whenReady(d: Deferred[Any]) -> Deferred[Any]:
    """Give a Deferred of the RemotePublished that `d` gives, for when it has its state.

    It fails if `d` fails, or if the state does not come.
    """

    def forward(outcome: Any) -> None:
        ready.callback(outcome)

    ready: Deferred[Any] = Deferred(lambda ready: d.cancel())
    d.addCallback(_activation).addBoth(forward)
    return ready


def _activation(published: Any) -> Deferred[Any]:
    waiting: Deferred[Any] = Deferred()
    if isinstance(published, RemotePublished):
        published._listen(waiting.callback, waiting.errback)
    else:
        published.callWhenActivated(waiting.callback)
    return waiting


whenReady.__module__ = "twisted.spread.publish"
