"""The part of a measured client that takes orders and holds the clock.

A session is an object with methods named after what it can do, each with a count: `sequential(n)`
does n operations and checks every result. They are plain methods, or all of them are `async`.

The driver first prints the names of the methods that the session has. Then it reads orders, one a
line, until the end of its input, and answers each with one line:

    METHOD COUNT    the seconds that the method took
    latency COUNT   [p50, p99], the seconds of one call, of COUNT calls of `one()`

or with `error: ` and what went wrong.
"""

import gc
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

METHODS = (
    *("sequential", "in_flight", "structure", "integers", "bytes_", "reference", "callback", "one"),
    # Pyro5 can put many calls into one message.
    "in_flight_batch",
    # Connections: open so many more with one call each, and make so many calls on each of them, in
    # turn or on all of them at the same time.
    *("connect", "again", "at_once"),
    # One echo of a value of this size.
    *("list_of", "string_of"),
)


class Driver:
    """Drives one session by what comes from standard input."""

    def run(self, session: Any) -> None:
        """Drive a session with plain methods, until the end of the input."""
        for method, count in self._orders(session):
            try:
                if method == "latency":
                    taken = []
                    for _ in range(count):
                        started = perf_counter()
                        session.one()
                        taken.append(perf_counter() - started)
                    say(quantiles(taken))
                else:
                    work = getattr(session, method)
                    started = perf_counter()
                    work(count)
                    say(perf_counter() - started)
            except Exception as error:
                say(failure(error))

    async def run_async(self, session: Any) -> None:
        """Drive a session with `async` methods, until the end of the input.

        Between two orders the loop stands still.
        """
        for method, count in self._orders(session):
            try:
                if method == "latency":
                    taken = []
                    for _ in range(count):
                        started = perf_counter()
                        await session.one()
                        taken.append(perf_counter() - started)
                    say(quantiles(taken))
                else:
                    work = getattr(session, method)
                    started = perf_counter()
                    await work(count)
                    say(perf_counter() - started)
            except Exception as error:
                say(failure(error))

    def _orders(self, session: Any) -> Iterator[tuple[str, int]]:
        say(" ".join(name for name in METHODS if hasattr(session, name)))
        while line := sys.stdin.readline():
            method, count = line.split()
            gc.collect()
            yield method, int(count)


def say(what: object) -> None:
    """Answer."""
    print(what, flush=True)


def quantiles(taken: list[float]) -> list[float]:
    """Give the median and the 99th of a hundred."""
    ordered = sorted(taken)
    return [ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]]


def failure(error: Exception) -> str:
    """Say on one line what went wrong."""
    return f"error: {type(error).__name__}: {' '.join(str(error).split())}"[:500]
