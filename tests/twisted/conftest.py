"""Every test of the Twisted face looks at what was logged, and leaves no connection behind."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.python import log

from tests.twisted import joined


class Logged:
    """What was logged. A test takes out the errors that it expects; any other one fails it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(filter(None, map(log.textFromEventDict, self.events)))

    def take(self, *kinds: type[BaseException]) -> list[Any]:
        """Take out the logged failures of these kinds, all if none is named."""
        gc.collect()
        return self.seen(*kinds)

    def seen(self, *kinds: type[BaseException]) -> list[Any]:
        """Take out those that were logged so far, without a look at all that is garbage."""
        found: list[Any] = []
        for event in list(self.events):
            failure = event.get("failure")
            if failure is not None and (not kinds or failure.check(*kinds)):
                self.events.remove(event)
                found.append(failure)
        return found


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """What is logged. At the end of the test no error may be left in it."""
    found = Logged()
    log.addObserver(found)
    try:
        yield found
        # What the test left is young; to look at all objects after each test would take long.
        gc.collect(1)
        errors = [failure.getTraceback() for failure in found.seen()]
        assert errors == []
    finally:
        log.removeObserver(found)


Join = Callable[..., joined.Joined]


@pytest.fixture(params=[0, 1], ids=["whole", "bytes"])
def piece(request: pytest.FixtureRequest) -> int:
    """The size of the pieces in which bytes arrive, 0 for whole."""
    size: int = request.param
    return size


@pytest.fixture
def join(logged: Logged) -> Iterator[Join]:
    """Joins two brokers as `joined.join` does. At the end the connections close and owe nothing."""
    made: list[joined.Joined] = []

    def make(*args: Any, **options: Any) -> joined.Joined:
        made.append(joined.join(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.run()
        each.lose()
        for broker in (each.client, each.server):
            assert joined.counts(broker) == {}
        if each.reactor is not None:
            each.reactor.turn()
            assert each.reactor.is_idle
    made.clear()
