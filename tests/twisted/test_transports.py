"""What a transport is and can do."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport

from pellucid.twisted import transports
from tests.twisted.joined import Reactor, Wire
from tests.twisted.sockets import End, Selecting, pair


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


@pytest.fixture
def ends() -> Iterator[tuple[Any, socket.socket]]:
    """A transport that is a socket, and what is connected to it."""
    one, other = pair()
    end = End(one, Protocol(), Selecting())
    with one, other:
        yield end, other


def test_which_are_plain_sockets(ends: tuple[Any, socket.socket]) -> None:
    end, _ = ends
    seen = [transports.is_plain_socket(each) for each in (end, Wire(Reactor()), Plain())]
    assert seen == [True, False, False]


@pytest.mark.parametrize("name", ["write", "doWrite"])
def test_one_that_writes_in_a_way_of_its_own_is_not(
    ends: tuple[Any, socket.socket], name: str
) -> None:
    end, _ = ends
    end.__class__ = type("Other", (End,), {name: lambda *_: None})
    assert not transports.is_plain_socket(end)


def test_one_that_a_program_looks_into_is_not(ends: tuple[Any, socket.socket]) -> None:
    end, _ = ends
    end.write = lambda data: None
    assert not transports.is_plain_socket(end)


def test_one_of_another_release_is_not(
    ends: tuple[Any, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "_LOOKED_AT", ("dataBuffer", "nothing_of_the_kind"))
    assert not transports.is_plain_socket(ends[0])


def test_sending_now(ends: tuple[Any, socket.socket]) -> None:
    end, other = ends
    assert transports.send_now(end, b"hello network") == 13
    assert other.recv(100) == b"hello network"
    end.room = 5
    assert transports.send_now(end, memoryview(b"hello network")) == 5
    assert other.recv(100) == b"hello"
    assert not end.reactor.writers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_tempDataLen", 1),
        ("dataBuffer", b"before"),
        ("connected", 0),
        ("disconnecting", 1),
        ("_writeDisconnecting", True),
        ("_aborting", True),
        ("TLS", True),
        ("producer", object()),
    ],
)
def test_not_sending_now(ends: tuple[Any, socket.socket], name: str, value: object) -> None:
    end, _ = ends
    setattr(end, name, value)
    assert transports.send_now(end, b"hello network") == 0
    assert end.sends == []


def test_sending_now_beside_one_who_is_told_to_pause(ends: tuple[Any, socket.socket]) -> None:
    end, _ = ends
    end.producer, end.streamingProducer = object(), True
    assert transports.send_now(end, b"hello network") == 13


@pytest.mark.parametrize("answer", [CONNECTION_LOST, -1, 0])
def test_what_can_not_be_sent_now_is_left_to_the_reactor(
    ends: tuple[Any, socket.socket], answer: object
) -> None:
    end, _ = ends
    end.answer = answer
    assert transports.send_now(end, b"hello network") == 0
    assert end.connected


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
