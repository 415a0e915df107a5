"""The background thread with its loop, and waiting for it."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from threading import get_ident
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import LocalProtocolError
from .jobs import depart, hand_over
from .locks import holding
from .loop import Loop
from .waiter import Ended, Waiter
from .workers import Executor, Workers, is_worker, leave_work

__all__ = ["Background", "User", "background", "running"]

_T = TypeVar("_T")

# What is left to do for the loop when all connections are closed is a matter of a moment.
_LAST_SECONDS = 1.0


class User(Protocol):
    """What keeps the background thread alive."""

    @property
    def patience(self) -> float:
        """How many seconds it may take to close."""

    def close(self) -> None:
        """Begin to close, and tell `Background.remove_user` in the end."""

    def abort(self) -> object:
        """Close at once."""

    def sockets(self) -> list[int]:
        """Give the sockets that nothing is read from at the moment."""


class _Errand(Generic[_T]):
    """A coroutine that a thread waits for."""

    patience = 0.0

    def __init__(
        self,
        background: "Background",
        function: Callable[[], Coroutine[Any, Any, _T]],
        undo: Callable[[_T], object] | None,
    ) -> None:
        self._background = background
        self._function = function
        self._undo = undo
        self._task: asyncio.Task[_T] | None = None
        self._result: list[_T] = []

    def start(self, waiter: Waiter) -> None:
        depart(waiter)
        self._background.add_user(self)
        self._task = self._background.loop.create_task(self._function())
        self._task.add_done_callback(partial(self._done, waiter))

    def _done(self, waiter: Waiter, task: "asyncio.Task[_T]") -> None:
        # Not kept: its error has the frames of the thread that waits, which have this.
        self._task = None
        error = Ended() if task.cancelled() else task.exception()
        if error is None:
            self._result.append(task.result())
        # Whoever hears of an error finds the thread already told to end.
        self._background.remove_user(self)
        hand_over(waiter, None if error else task.result(), error)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    abort = close

    def cancel(self) -> None:
        """The thread waits no more."""
        self.close()
        if self._result and self._undo is not None:
            self._undo(self._result[0])

    def sockets(self) -> list[int]:
        return []


class Background:
    """A thread with a loop, which ends with its last user, and the workers that belong to it."""

    def __init__(self) -> None:
        self.loop = Loop(self)
        self.workers = Workers()
        self.loop.set_default_executor(Executor(self.workers))
        self.waiters: set[Waiter] = set()
        self.ended = False
        self.forked = False
        # What keeps the thread alive.
        self._users: dict[User, None] = {}
        self._patience = _LAST_SECONDS
        self._forever: set[Waiter] = set()
        self.thread = threading.Thread(target=self._run, name="pellucid", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise

    @property
    def is_current(self) -> bool:
        """Tell whether this is the background thread."""
        return self.thread.ident == get_ident()

    # What other threads ask for.

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Have `callback(*args)` called on the background thread. Raises Ended.

        Raises RuntimeError in a process that was forked from the one with the thread.
        """
        if self.forked:
            raise RuntimeError("this connection belongs to the process that forked this one")
        try:
            self.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            self.rest_at_exit()
            raise Ended from None

    def check_may_wait(self) -> None:
        """Raise LocalProtocolError where waiting for the background thread would never end."""
        if self.is_current:
            raise LocalProtocolError(
                "a blocking call on the background thread, which would wait for itself: hooks like "
                "state_to_copy run there"
            )
        if holding():
            raise LocalProtocolError(
                "a blocking call under the lock of the caches, which the background thread needs"
            )

    def request(self, callback: Callable[..., object], *args: Any) -> Waiter:
        """Have `callback(waiter, *args)` called on the background thread, and give the waiter.

        Raises Ended, now or when the waiter waits.
        """
        waiter = Waiter(self)
        try:
            self.post(callback, waiter, *args)
        except BaseException:
            waiter.forget()
            raise
        return waiter

    def run(
        self,
        function: Callable[[], Coroutine[Any, Any, _T]],
        undo: Callable[[_T], object] | None = None,
    ) -> _T:
        """Run a coroutine in a task, and wait for its result. Raises Ended.

        The background thread does not end before the task. A thread that is interrupted meanwhile
        cancels it, or has `undo(result)` called if that comes too late.
        """
        self.check_may_wait()
        errand = _Errand(self, function, undo)
        waiter = self.request(errand.start)
        try:
            result: _T = waiter.wait()
        except BaseException:
            self.try_post(errand.cancel)
            raise
        return result

    def try_post(self, callback: Callable[..., object], *args: Any) -> None:
        """As `post`, but if there is no background thread any more nothing is missed."""
        if not self.forked:
            try:
                self.post(callback, *args)
            except Ended:
                pass

    # On the background thread.

    def add_user(self, user: User) -> None:
        """Keep the thread alive for `user`."""
        self._users[user] = None
        self._patience = max(self._patience, user.patience + _LAST_SECONDS)

    def remove_user(self, user: User) -> None:
        """`user` needs the thread no more. With the last one the thread ends."""
        del self._users[user]
        if not self._users:
            self._stop()

    def _stop(self) -> None:
        if not self.ended:
            self.ended = True
            self.loop.stop()

    def _run(self) -> None:
        loop = self.loop
        while True:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # A method of the application raised it: who serves shall stop.
                for waiter in list(self._forever):
                    waiter.set_exception(error)
                continue
            break
        try:
            loop.run_until_complete(self._clear_up())
        finally:
            loop.close()
            # Whoever was faster than this has posted in vain.
            for waiter in list(self.waiters):
                waiter.set_exception(Ended())
            self.workers.stop()
            _alive.discard(self)

    async def _clear_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_SECONDS)
        # There are some only if the interpreter exits, and a client that came too late.
        for user in list(self._users):
            user.abort()
        await self.loop.shutdown_asyncgens()
        # Closing a transport takes one more iteration of the loop.
        await asyncio.sleep(0)

    # The end.

    def wait_forever(self, closed: Callable[[Waiter], None]) -> None:
        """Wait until `closed(waiter)`, on the background thread, has the waiter settled.

        A method of the application that raises SystemExit or KeyboardInterrupt ends it as well.
        """
        self.check_may_wait()
        waiter = Waiter(self)
        self._forever.add(waiter)
        try:
            self.post(closed, waiter)
            waiter.wait()
        finally:
            self._forever.discard(waiter)
            waiter.forget()

    def join(self) -> None:
        """Wait until the thread and its workers have ended, if its last user is gone."""
        if self.ended and not self.forked and not self.is_current:
            self.thread.join()
            self.workers.join()

    def finish(self) -> None:
        """The interpreter exits: close what is open."""
        self.try_post(self._close_all)
        self.thread.join(self._patience)
        self.try_post(self._stop)
        self.thread.join(_LAST_SECONDS)
        self.workers.join()

    def _close_all(self) -> None:
        for user in list(self._users):
            user.close()
        if not self._users:
            self._stop()

    def rest_at_exit(self) -> None:
        """Stop a daemon thread whose connection was closed because the interpreter exits.

        It ends with the process. What it would do now, as printing a traceback, only disturbs.
        """
        if _state.exiting:
            _rest()

    def leave(self) -> None:
        """In a forked process: the thread is not here."""
        self.ended = self.forked = True
        self.workers.stopped = True
        self.workers.idle.clear()
        self.loop.leave([number for user in self._users for number in user.sockets()])


class _State:
    """The background thread that new connections use."""

    def __init__(self) -> None:
        # Never taken by a background thread, so that whoever holds it may wait for one.
        self.starting = threading.RLock()
        self.current: Background | None = None
        self.exiting = False


_state = _State()
_alive: set[Background] = set()


def background() -> Background:
    """Give the background thread, which is started if there is none.

    Raises LocalProtocolError on such a thread, and RuntimeError if the interpreter exits.
    """
    found = _state.current
    if found is not None and not found.ended:
        return found
    with _state.starting:
        found = _state.current
        if found is None or found.ended:
            if _state.exiting:
                _rest()
                raise RuntimeError("no connection can be opened when the interpreter exits")
            found = Background()
            _alive.add(found)
            try:
                found.start()
            except BaseException:
                _alive.discard(found)
                raise
            _state.current = found
        return found


def running() -> Background:
    """On a background thread: give it."""
    found: Background = cast(Loop, asyncio.get_running_loop()).background
    return found


def _rest() -> None:
    if not is_worker() and threading.current_thread().daemon:
        rest = threading.Lock()
        rest.acquire()
        rest.acquire()


def _at_exit() -> None:
    _state.exiting = True
    for each in list(_alive):
        each.finish()


def _after_fork() -> None:
    _state.starting = threading.RLock()
    _state.current = None
    leave_work()
    for each in _alive:
        each.leave()
    # They are kept: whatever is left of their loops must not be collected, and so closed.
    _left.extend(_alive)
    _alive.clear()


_left: list[Background] = []

atexit.register(_at_exit)
# Where there is no fork there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)
