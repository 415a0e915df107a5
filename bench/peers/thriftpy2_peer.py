"""thriftpy2: its Cython binary protocol over its Cython buffered transport, and a threaded server.

A connection takes one call at a time. The schema `echo.thrift` is loaded at run time. The structure
travels as a typed struct that is made once.
"""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TCyBufferedTransport, TServerSocket

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

SCHEMA: Any = thriftpy2.load(
    str(Path(__file__).with_name("echo.thrift")), module_name="echo_thrift"
)


class Buffered:
    """Makes the transports: buffered, with room for a whole message of most workloads."""

    def get_transport(self, transport: Any) -> Any:
        return TCyBufferedTransport(transport, 64 * 1024)


class Echo:
    """What the server serves."""

    def text(self, value: str) -> str:
        return value

    def structure(self, value: object) -> object:
        return value

    def integers(self, value: list[int]) -> list[int]:
        return value

    def blob(self, value: bytes) -> bytes:
        return value


def typed() -> Any:
    """Give the structure as the schema's struct."""
    fields: dict[str, Any] = dict(STRUCTURE)
    fields["position"] = SCHEMA.Position(**fields["position"])
    fields["address"] = SCHEMA.Address(**fields["address"])
    fields["history"] = [SCHEMA.Event(**event) for event in fields["history"]]
    return SCHEMA.Structure(**fields)


class Session:
    """One connection, which makes one call at a time."""

    def __init__(self, remote: Any) -> None:
        self._remote = remote
        self._typed = typed()

    def one(self) -> None:
        if self._remote.text(TEXT) != TEXT:
            wrong()

    def sequential(self, count: int) -> None:
        echo = self._remote.text
        for _ in range(count):
            if echo(TEXT) != TEXT:
                wrong()

    def in_flight(self, count: int) -> None:
        self.sequential(count * IN_FLIGHT)

    def structure(self, count: int) -> None:
        echo = self._remote.structure
        value = self._typed
        for _ in range(count):
            if echo(value) != value:
                wrong()

    def integers(self, count: int) -> None:
        echo = self._remote.integers
        for _ in range(count):
            if echo(INTEGERS) != INTEGERS:
                wrong()

    def bytes_(self, count: int) -> None:
        echo = self._remote.blob
        for _ in range(count):
            if echo(workloads.BLOB) != workloads.BLOB:
                wrong()


class Listener(TServerSocket):
    """A listening socket that knows its port and sets TCP_NODELAY on what it accepts."""

    def listen(self) -> None:
        super().listen()
        print(self.sock.getsockname()[1], flush=True)

    def accept(self) -> Any:
        transport = super().accept()
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return transport


def serve() -> None:
    server = TThreadedServer(
        TProcessor(SCHEMA.Echo, Echo()),
        Listener("127.0.0.1", 0, client_timeout=None),
        iprot_factory=TCyBinaryProtocolFactory(),
        itrans_factory=Buffered(),
    )
    server.serve()


def client(port: int, driver: "Driver") -> None:
    remote = make_client(
        SCHEMA.Echo,
        "127.0.0.1",
        port,
        proto_factory=TCyBinaryProtocolFactory(),
        trans_factory=Buffered(),
        timeout=None,
    )
    driver.run(Session(remote))
    remote.close()
