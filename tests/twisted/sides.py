"""One side of this face whose transport is at hand, and what came of it."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.twisted.conftest import Logged
from tests.twisted.joined import Wire, counts, make


class One:
    """One side of this face, whose transport is at hand."""

    def __init__(
        self, logged: Logged, is_client: bool, broker: Any = None, **attributes: Any
    ) -> None:
        self.logged = logged
        self.seen = len(logged.events)
        self.broker = make(is_client, **attributes) if broker is None else broker
        self.wire = Wire()
        self.publish()
        self.broker.makeConnection(self.wire)

    def publish(self) -> None:
        """Give names to what the other side may call."""

    @property
    def ready(self) -> list[str]:
        dialect = self.broker.currentDialect
        return [] if dialect is None else [dialect.decode()]

    @property
    def faults(self) -> list[str]:
        """What was logged about the peer, but for the end."""
        peer = self.wire.getPeer()
        start = f"PB: {peer.host}:{peer.port}: "
        new = Logged()
        new.events = self.logged.events[self.seen :]
        return [line for line in new.text.splitlines() if line.startswith(start)]

    @property
    def closed(self) -> list[BaseException | None]:
        if not (self.broker.disconnected or self.wire.disconnecting):
            return []
        reason = self.broker._lost_reason
        return [None if reason is None else reason.value]

    def feed(self, data: bytes, size: int = 0) -> None:
        for start in range(0, len(data), size or len(data) or 1):
            if self.wire.connected:
                self.broker.dataReceived(data[start : start + size] if size else data)

    def take(self) -> bytes:
        return self.wire.take()

    def lose(self) -> None:
        self.wire.connected = False
        self.broker.connectionLost(Failure(ConnectionDone()))

    def counts(self) -> dict[str, int]:
        return counts(self.broker)


class Asked:
    """A call, and what came of it."""

    def __init__(self, waiting: Deferred[Any]) -> None:
        self.outcomes: list[Any] = []
        waiting.addBoth(self.outcomes.append)

    @property
    def done(self) -> int:
        return len(self.outcomes)

    def outcome(self) -> Any:
        if not self.outcomes:
            return None
        (found,) = self.outcomes
        return found
