"""What the tests of this face share."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

import pellucid
from pellucid import blocking

PATIENCE = 20.0
FREE = "pb://127.0.0.1:0"

_T = TypeVar("_T")


def all_threads() -> set[threading.Thread]:
    # Timers are of the tests themselves.
    return {each for each in threading.enumerate() if not isinstance(each, threading.Timer)}


def open_sockets() -> set[str]:
    """The sockets of this process, by their inodes."""
    found: set[str] = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(each)
        except FileNotFoundError:
            continue  # What lists them.
        if target.startswith(("socket:", "anon_inode:[eventpoll]")):
            found.add(f"{target} {each.name}" if "eventpoll" in target else target)
    return found


def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells of: another thread has to do its last step."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


def wait(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


def interrupt() -> None:
    """Press Ctrl-C, as soon as the main thread waits for something of this face."""
    main = threading.main_thread().ident
    assert main is not None
    until(lambda: sys._current_frames()[main].f_code.co_name == "_sleep")
    os.kill(os.getpid(), signal.SIGINT)


class Doing(Generic[_T]):
    """A function that runs in a thread of its own."""

    def __init__(self, function: Callable[..., _T], *args: Any, daemon: bool = True) -> None:
        self._function = function
        self._args = args
        self._result: list[_T] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=daemon)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._function(*self._args))
        except BaseException as error:
            self._error = error

    def result(self) -> _T:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._result.pop()


def forked(function: Callable[[], object]) -> int:
    """Run a function in a forked process, and give its exit status: 0 if all is well."""
    number = os.fork()
    if number == 0:
        try:
            function()
            status = 0
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
            status = 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


many_threads = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Pair(NamedTuple):
    """Both ends of one connection."""

    client: blocking.Connection
    server: blocking.Connection

    def prove_empty(self) -> None:
        """Both tables are empty again, and nothing is charged."""
        for connection in self:
            until(partial(_is_empty, connection))


def _is_empty(connection: blocking.Connection) -> bool:
    broker = connection._inner._broker
    return not len(broker.exports) and not len(broker.imports) and left(connection) == {}


def left(connection: blocking.Connection) -> dict[str, int]:
    """What is still charged to a connection."""
    used = connection._inner._broker.ledger.charged()
    # What was written and did not leave before the end is no matter any more.
    return {name: count for name, count in used.items() if name != "out_bytes"}


@contextmanager
def joined(
    root: object = None,
    url: str = FREE,
    *,
    limits: pellucid.Limits | None = None,
    client_limits: pellucid.Limits | None = None,
    registry: pellucid.Registry | None = None,
    tracebacks: bool = False,
) -> Iterator[Pair]:
    """Two connections, which in the end owe and hold nothing."""
    with (
        blocking.serve(
            root or Echo(), url, limits=limits, registry=registry, tracebacks=tracebacks
        ) as server,
        blocking.connect(server.url, limits=client_limits, registry=registry) as client,
    ):
        pair = Pair(client, server.connections[0])
        yield pair
    for connection in pair:
        assert left(connection) == {}


class Thing(pellucid.Referenceable):
    """An object that travels by reference."""

    def remote_ping(self) -> str:
        return "pong"


class Echo(pellucid.Root):
    """A root that gives back, calls back, and fails."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_thing(self) -> Thing:
        return Thing()

    def remote_keep(self, value: Any) -> None:
        self.kept.append(value)

    def remote_forget(self) -> None:
        self.kept.clear()

    def remote_back(self, reference: blocking.RemoteReference, name: str, *args: Any) -> Any:
        return reference.call(name, *args)

    def remote_fail(self, text: str) -> None:
        raise ValueError(text)


class Waiting(pellucid.Root):
    """Has a method that waits until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go = threading.Event()
        self.ended = threading.Event()

    def remote_wait(self, value: Any = None) -> Any:
        self.started.set()
        assert self.go.wait(PATIENCE)
        self.ended.set()
        return value

    def remote_echo(self, value: Any) -> Any:
        return value
