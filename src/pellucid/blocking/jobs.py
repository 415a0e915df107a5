"""What workers do for a connection, and the order in which updates and answers are handed over.

All of this is used on the background thread only.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .workers import Workers

__all__ = ["Job", "Lane", "depart", "hand_over"]

_Then = Callable[["Job", Any, BaseException | None], None]


class _Thread(Protocol):
    @property
    def workers(self) -> Workers: ...

    def try_post(self, callback: Callable[..., object], *args: Any) -> None: ...


class _Waiting(Protocol):
    def done(self) -> bool: ...

    def set_result(self, value: Any) -> None: ...

    def set_exception(self, error: BaseException) -> None: ...


class Job:
    """One method or hook of the application, run on a worker for `connection`.

    `then(job, value, error)` is called when it has ended. It may be in a lane, where nothing else
    goes on before it ends or waits for an answer.
    """

    __slots__ = ("_background", "_callbacks", "_function", "_then", "connection", "lane")

    def __init__(
        self,
        background: _Thread,
        connection: object,
        function: Callable[[], Any],
        then: _Then,
        lane: "Lane | None" = None,
    ) -> None:
        self._background = background
        self.connection = connection
        self._function = function
        self._then = then
        self._callbacks: list[Callable[[Job], object]] = []
        self.lane = lane

    def start(self) -> None:
        """Give it to a worker."""
        try:
            self._background.workers.start(self._function, self._tell, self)
        except RuntimeError as error:
            # There is no thread to be had.
            self._tell(None, error)

    def _tell(self, value: Any, error: BaseException | None) -> None:
        self._background.try_post(self._ended, value, error)

    def _ended(self, value: Any, error: BaseException | None) -> None:
        try:
            self.end(value, error)
        finally:
            if self.lane is not None:
                self.lane.leave(self)

    def end(self, value: Any, error: BaseException | None) -> None:
        """Tell that it has ended, or will never begin."""
        try:
            self._then(self, value, error)
        finally:
            for callback in self._callbacks:
                callback(self)

    def add_done_callback(self, callback: Callable[["Job"], object]) -> None:
        """Call `callback(self)` when it has ended."""
        self._callbacks.append(callback)


class Lane:
    """Jobs one at a time, in order, and with them the answers that came between them.

    While a job waits for an answer itself, others go on: what it waits for may need them. It is
    the next one as soon as its answer is there.
    """

    def __init__(self) -> None:
        self._occupant: Job | None = None
        self._queue: deque[Job | _Answer] = deque()
        self._returning: deque[_Answer] = deque()

    def start(self, job: Job) -> None:
        """Start a job when those before it are through."""
        self._queue.append(job)
        self._go_on()

    def answer(self, waiter: _Waiting, value: Any, error: BaseException | None) -> None:
        """Hand over an answer when the jobs before it are through."""
        if self._occupant is None and not self._queue:
            hand_over(waiter, value, error)
        else:
            self._queue.append(_Answer(waiter, value, error))

    def leave(self, job: Job) -> None:
        """`job` has ended, or waits for an answer."""
        if self._occupant is job:
            self._occupant = None
            self._go_on()

    def come_back(self, waiter: "_Away", value: Any, error: BaseException | None) -> None:
        """Hand over an answer to a job of this lane as soon as no other goes on."""
        self._returning.append(_Answer(waiter, value, error))
        self._go_on()

    def _go_on(self) -> None:
        while self._occupant is None:
            if self._returning:
                back = self._returning.popleft()
                if not back.waiter.done():
                    self._occupant = back.waiter.work
                    _settle(back.waiter, back.value, back.error)
            elif self._queue:
                entry = self._queue.popleft()
                if isinstance(entry, Job):
                    self._occupant = entry
                    entry.start()
                else:
                    hand_over(entry.waiter, entry.value, entry.error)
            else:
                return

    def drop(self) -> list[Job]:
        """Take out the jobs that have not begun."""
        jobs = [entry for entry in self._queue if isinstance(entry, Job)]
        self._queue = deque(entry for entry in self._queue if not isinstance(entry, Job))
        return jobs

    def give_up(self) -> None:
        """A job does not end: go on without it."""
        self._occupant = None
        self._go_on()


class _Away(_Waiting, Protocol):
    """A thread that waits, and has left a lane for that."""

    lane: Lane | None

    @property
    def work(self) -> Any: ...


class _Answer:
    __slots__ = ("error", "value", "waiter")

    def __init__(self, waiter: Any, value: Any, error: BaseException | None) -> None:
        self.waiter = waiter
        self.value = value
        self.error = error


def depart(waiter: _Away) -> None:
    """The job of a thread that begins to wait leaves its lane, if it is in one."""
    work = waiter.work
    if isinstance(work, Job) and work.lane is not None:
        waiter.lane = work.lane
        work.lane.leave(work)


def hand_over(waiter: _Waiting, value: Any, error: BaseException | None) -> None:
    """Let a thread or a future go on, with a value or with an error.

    A job that has left its lane has to come back first.
    """
    if waiter.done():
        return
    lane: Lane | None = getattr(waiter, "lane", None)
    if lane is None:
        _settle(waiter, value, error)
    else:
        lane.come_back(waiter, value, error)  # type: ignore[arg-type]


def _settle(waiter: _Waiting, value: Any, error: BaseException | None) -> None:
    if error is None:
        waiter.set_result(value)
    else:
        waiter.set_exception(error)
