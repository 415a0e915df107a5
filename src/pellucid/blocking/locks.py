"""The one lock under which caches are changed and their states are taken."""

import os
import threading
from types import TracebackType
from typing import Any, Protocol

from ..errors import DeadReferenceError

__all__ = ["StateLock", "after_release", "holding", "snapshot", "state_lock"]

# Deeper values can't be sent anyway.
_DEPTH = 256


class Errand(Protocol):
    """Something that the background thread was asked for."""

    def wait(self) -> object:
        """Wait until it is done. Raises what went wrong with it."""


class _Held(threading.local):
    """What the current thread has to do with the lock."""

    def __init__(self) -> None:
        self.depth = 0
        self.errands: list[Errand] = []


_held = _Held()


def holding() -> bool:
    """Tell whether the current thread holds the lock, and so must not wait for anything."""
    return _held.depth > 0


def after_release(errand: Errand) -> None:
    """Let the current thread wait for `errand` as soon as it does not hold the lock any more."""
    _held.errands.append(errand)


class StateLock:
    """A lock that the background thread takes as well, so nobody may wait while holding it.

    One thread may take it several times. There is one for all caches: with one for each, a thread
    and the background thread could take two of them in different order and wait for each other.
    What was told to the other sides while the lock was held has left when it is released.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, as `threading.RLock.acquire` does."""
        taken = self._lock.acquire(blocking, timeout)
        if taken:
            _held.depth += 1
        return taken

    def release(self) -> None:
        """Release the lock. Raises what went wrong with an update that was made meanwhile."""
        self._lock.release()
        _held.depth -= 1
        error = None if _held.depth else _settle()
        if error is not None:
            raise error

    def __enter__(self) -> "StateLock":
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.release()
        except Exception as late:
            if error is None:
                raise
            error.add_note(f"besides, an update failed: {late}")

    def renew(self) -> None:
        """In a process that was just forked: if another thread held the lock, it is not here."""
        self._lock = threading.RLock()
        for _ in range(_held.depth):
            self._lock.acquire()
        _held.errands = []


def _settle() -> Exception | None:
    errands, _held.errands = _held.errands, []
    first: Exception | None = None
    for errand in errands:
        try:
            errand.wait()
        except DeadReferenceError:
            pass  # Nobody is there to hear it.
        except Exception as error:
            first = first or error
    return first


state_lock = StateLock()

# Where there is no fork there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=state_lock.renew)


def snapshot(value: Any) -> Any:
    """Copy the lists, dictionaries, sets, tuples and bytearrays in a value, at all depths.

    So that it can be sent a little later, when whoever gave it may have changed it.
    """
    return _copy(value, {}, 0)


def _copy(value: Any, copies: dict[int, Any], depth: int) -> Any:
    kind = type(value)
    if kind not in _COPIED or depth > _DEPTH:
        return value
    if id(value) in copies:
        return copies[id(value)]
    made: Any
    if kind is list:
        copies[id(value)] = made = []
        made.extend(_copy(item, copies, depth + 1) for item in value)
    elif kind is dict:
        copies[id(value)] = made = {}
        for key, item in value.items():
            made[_copy(key, copies, depth + 1)] = _copy(item, copies, depth + 1)
    elif kind is tuple:
        made = tuple(_copy(item, copies, depth + 1) for item in value)
        # In a cycle it was met a second time before it was made.
        made = copies.setdefault(id(value), made)
    else:
        copies[id(value)] = made = kind(value)
    return made


_COPIED = {list, dict, tuple, set, bytearray}
