# mypy: disable-error-code="no-untyped-call"
"""Two brokers at the two ends of a real connection, and a reactor whose iterations a test makes."""

import select
import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from tests.twisted.joined import Reactor, make

IDLE = 0.02


class Selecting(Reactor):
    """A clock that also looks at sockets, as a reactor does."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, each: Any) -> None:
        self.readers.add(each)

    def addWriter(self, each: Any) -> None:
        self.writers.add(each)

    def removeReader(self, each: Any) -> None:
        self.readers.discard(each)

    def removeWriter(self, each: Any) -> None:
        self.writers.discard(each)

    def step(self) -> bool:
        """One iteration. Tells whether there was anything to do."""
        moved = self.turn()
        ready, free, _ = select.select(self.readers, self.writers, [], 0 if moved else IDLE)
        for each in ready:
            if each in self.readers:
                self.done(each, each.doRead())
        for each in free:
            if each in self.writers:
                self.done(each, each.doWrite())
        return bool(moved or ready or free)

    def done(self, each: Any, why: Any) -> None:
        if why is not None:
            self.removeReader(each)
            self.removeWriter(each)
            each.connectionLost(Failure(why))


class End(Connection):
    """One end. `sends` tells how much left each time, and `room` is the most that the system takes.

    If `answer` is set, that is what sending gives, and nothing is sent.
    """

    def __init__(self, skt: socket.socket, protocol: Any, reactor: Any) -> None:
        super().__init__(skt, protocol, reactor)
        self.connected = 1
        self.sends: list[int] = []
        self.room: int | None = None
        self.answer: Any = None

    def writeSomeData(self, data: Any) -> Any:
        if self.answer is not None:
            return self.answer
        sent = super().writeSomeData(data if self.room is None else data[: self.room])
        self.sends.append(sent)  # type: ignore[arg-type]
        return sent

    @property
    def waiting(self) -> int:
        """How much was written and has not left."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 8787)


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        return one, listening.accept()[0]


class Linked:
    """A client and a server that publishes `root`."""

    def __init__(self, root: Any, **options: Any) -> None:
        self.reactor = Selecting()
        self.client, self.server = make(True, **options), make(False)
        self.server.setNameForLocal("root", root)
        one, other = pair()
        self.here: Any = End(one, self.client, self.reactor)
        self.there: Any = End(other, self.server, self.reactor)
        for broker, end in ((self.client, self.here), (self.server, self.there)):
            end.startReading()
            broker.makeConnection(end)
        self.run()
        self.here.sends.clear()
        self.there.sends.clear()

    @property
    def root(self) -> Any:
        return self.client.remoteForName("root")

    def run(self) -> None:
        """Go on until there is nothing more to say."""
        while self.reactor.step():
            pass

    def close(self) -> None:
        for end in (self.here, self.there):
            if end.connected:
                end.loseConnection()
                self.run()
        assert not self.reactor.readers
        assert not self.reactor.writers
