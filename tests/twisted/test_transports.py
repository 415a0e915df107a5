"""What a transport is and can do."""

from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from pellucid.twisted import transports
from tests.twisted.joined import Reactor, Wire


class Plain:
    """Can do nothing."""

    closed = False

    def loseConnection(self) -> None:
        self.closed = True

    def getPeer(self) -> Any:
        return "somebody"


def test_the_reactor_of_a_real_one() -> None:
    reactor = Reactor()
    assert transports.reactor_of(Wire(reactor)) is reactor
    assert transports.reactor_of(Wire()) is None
    assert transports.reactor_of(Plain()) is None
    # With a reactor alone it is not a real one.
    in_memory: Any = StringTransport()
    in_memory.reactor = reactor
    assert transports.reactor_of(in_memory) is None


def test_which_are_encrypted() -> None:
    assert [transports.is_encrypted(Wire(Reactor(), tls=tls)) for tls in (True, False)] == [
        True,
        False,
    ]
    assert transports.is_encrypted(Plain()) is False


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_sending_without_delay(error: type[Exception]) -> None:
    class Unix(Wire):
        def setTcpNoDelay(self, enabled: bool) -> None:
            raise error

    wire = Wire(Reactor())
    transports.send_without_delay(wire)
    assert wire.no_delay
    transports.send_without_delay(Unix())


def test_reading() -> None:
    wire = Wire()
    seen = []
    for reading in (False, True, False):
        transports.set_reading(wire, reading)
        seen.append(wire.reads)
    wire.loseConnection()
    transports.set_reading(wire, True)
    assert [*seen, wire.reads] == [False, True, False, False]
    transports.set_reading(Plain(), False)


def test_cutting() -> None:
    wire, plain = Wire(), Plain()
    for transport in (wire, plain):
        transports.cut(transport)
    assert (wire.aborted, plain.closed) == (True, True)


def test_naming_the_peer() -> None:
    assert transports.name_of_peer(Wire()) == "192.0.2.1:8787"
    assert transports.name_of_peer(Plain()) == "somebody"
