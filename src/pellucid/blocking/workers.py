"""Threads for the application's methods, which may wait for as long as they like."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["Executor", "Workers", "is_worker", "leave_work", "serving"]

_T = TypeVar("_T")

# A thread that nobody needed for so many seconds ends.
_IDLE_SECONDS = 10.0

_Done = Callable[[Any, BaseException | None], None]


class _Here(threading.local):
    """What the current thread is at."""

    work: object = None
    is_worker = False


_here = _Here()


def serving() -> object:
    """Give what the current thread works for, as it was told to `Workers.start`.

    None in every thread that is no worker, and in one that is done with the application's code.
    """
    return _here.work


def leave_work() -> None:
    """In a forked process: what the current thread worked for is the parent's."""
    _here.work = None


def is_worker() -> bool:
    """Tell whether the current thread is a worker."""
    return _here.is_worker


class _Work:
    """One function to run, for whom, and who wants to know what came of it."""

    __slots__ = ("done", "function", "owner")

    def __init__(self, function: Callable[[], Any], done: _Done, owner: object) -> None:
        self.function = function
        self.done = done
        self.owner = owner

    def __call__(self, worker: "_Worker") -> None:
        value, error = None, None
        _here.work = self.owner
        try:
            value = self.function()
        except BaseException as raised:
            error = raised
        finally:
            # Before anybody hears of it: who waits for the end of all this may join this thread.
            _here.work = None
            worker.busy = False
        try:
            self.done(value, error)
        finally:
            # The traceback of the error holds this frame.
            error = None


class _Worker:
    """One thread. It is handed its work directly, so that no queue is between."""

    __slots__ = ("_wake", "_workers", "busy", "thread", "work")

    def __init__(self, workers: "Workers", work: _Work) -> None:
        self._workers = workers
        self._wake = threading.Lock()
        self._wake.acquire()
        self.work: _Work | None = work
        self.busy = True
        self.thread = threading.Thread(target=self._run, name="pellucid worker", daemon=True)

    def hand(self, work: _Work | None) -> None:
        """Give the next work to a worker that was idle; None to end it."""
        self.work = work
        self.busy = work is not None
        self._wake.release()

    def _run(self) -> None:
        _here.is_worker = True
        while (work := self.work) is not None:
            self.work = None
            work(self)
            # An idle worker holds nothing of the application's.
            del work
            if not self._find_work():
                break
        self._workers.forget(self)

    def _find_work(self) -> bool:
        workers = self._workers
        if workers.backlog:
            try:
                self.work = workers.backlog.popleft()
                self.busy = True
                return True
            except IndexError:
                pass  # Another one was faster.
        workers.idle.append(self)
        if workers.stopped:
            return not self._leave_idle() and self._is_handed()
        if self._wake.acquire(timeout=_IDLE_SECONDS):
            return True
        return not self._leave_idle() and self._is_handed()

    def _leave_idle(self) -> bool:
        try:
            self._workers.idle.remove(self)
        except ValueError:
            return False  # It is being handed something at this moment.
        return True

    def _is_handed(self) -> bool:
        self._wake.acquire()
        return True


class Workers:
    """A pool that has a thread for whatever is started: an idle one, or else a new one.

    No lock is held anywhere: the finalizers of applications run at any point, and may wait.
    """

    def __init__(self) -> None:
        self.idle: deque[_Worker] = deque()
        # What found no thread, because the machine has no more.
        self.backlog: deque[_Work] = deque()
        self.stopped = False
        self._all: set[_Worker] = set()

    def start(self, function: Callable[[], Any], done: _Done, owner: object = None) -> None:
        """Run `function()` on a worker, and then there `done(value, error)`, which must not raise.

        What is started first is handed to its thread first. `serving()` is `owner` while `function`
        runs. Raises RuntimeError if there is no thread and none can be made. One thread at a time
        may call this.
        """
        work = _Work(function, done, owner)
        try:
            worker = self.idle.pop()
        except IndexError:
            self._make(work)
        else:
            worker.hand(work)

    def prepare(self) -> None:
        """Have an idle thread for what is started next, if there can be one.

        While Python 3.12 exits it makes none, and a program may still be called then.
        """
        with suppress(RuntimeError):
            self.start(_nothing, lambda value, error: None)

    def _make(self, work: _Work) -> None:
        worker = _Worker(self, work)
        self._all.add(worker)
        try:
            worker.thread.start()
        except RuntimeError:
            self._all.discard(worker)
            if not self._all:
                raise
            self.backlog.append(work)
            self._hand_backlog()

    def _hand_backlog(self) -> None:
        # A worker may have become idle just before there was a backlog.
        try:
            worker = self.idle.pop()
        except IndexError:
            return
        try:
            work = self.backlog.popleft()
        except IndexError:
            self.idle.append(worker)
        else:
            worker.hand(work)

    def forget(self, worker: _Worker) -> None:
        """A worker ends."""
        self._all.discard(worker)

    def stop(self) -> None:
        """End all threads, each when it has nothing to do."""
        self.stopped = True
        while True:
            try:
                worker = self.idle.pop()
            except IndexError:
                return
            worker.hand(None)

    def join(self) -> None:
        """After `stop`: wait until all threads but this one and those that still work have ended.

        A worker that only has to tell of its end is waited for.
        """
        for worker in list(self._all):
            if not worker.busy and worker.thread is not threading.current_thread():
                worker.thread.join()


def _nothing() -> None:
    pass


class Executor(ThreadPoolExecutor):
    """What a loop runs its own blocking functions on: name look-ups and slow hashes.

    The interpreter would wait at its exit for the threads of an ordinary one.
    """

    def __init__(self, workers: Workers) -> None:
        super().__init__(1)
        self._workers_of_loop = workers

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> "Future[_T]":
        """Run a function on a worker."""
        future: Future[_T] = Future()
        future.set_running_or_notify_cancel()

        def done(value: Any, error: BaseException | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        self._workers_of_loop.start(lambda: fn(*args, **kwargs), done)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """There is nothing to do: the workers are stopped with their loop."""
