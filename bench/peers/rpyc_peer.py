"""RPyC: a service with exposed methods behind a threaded server; `rpyc.async_` for calls in flight.

RPyC passes immutable values by value and all else by reference. So the structure travels as nested
tuples of pairs and the integers as a tuple. `reference` and `callback` use live references
(netrefs). Compression of large messages is off on both sides: on loopback it costs more than it
saves, unless the bytes are all alike.
"""

import socket
import sys
from typing import TYPE_CHECKING, Any

import rpyc
from rpyc.core.channel import Channel
from rpyc.core.stream import SocketStream
from rpyc.utils.server import ThreadedServer

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

Channel.COMPRESSION_THRESHOLD = sys.maxsize


def frozen(value: object) -> object:
    """Give VALUE with tuples for its lists and tuples of pairs for its dicts."""
    if isinstance(value, dict):
        return tuple((key, frozen(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value


STRUCTURE_TUPLE = frozen(STRUCTURE)
INTEGERS_TUPLE = tuple(INTEGERS)


class Answerer:
    """A live object, on either side."""

    def exposed_answer(self, value: str) -> str:
        return value


class Echo(rpyc.Service):
    """What the server serves."""

    def exposed_echo(self, value: object) -> object:
        return value

    def exposed_make(self) -> Answerer:
        return Answerer()

    def exposed_ask(self, target: Any) -> object:
        return target.exposed_answer(TEXT)


class Session:
    """One connection; the remote methods are looked up once."""

    def __init__(self, connection: Any) -> None:
        self._echo = connection.root.echo
        self._make = connection.root.make
        self._ask = connection.root.ask
        self._echo_later = rpyc.async_(self._echo)
        self._mine = Answerer()

    def one(self) -> None:
        if self._echo(TEXT) != TEXT:
            wrong()

    def sequential(self, count: int) -> None:
        echo = self._echo
        for _ in range(count):
            if echo(TEXT) != TEXT:
                wrong()

    def in_flight(self, count: int) -> None:
        echo = self._echo_later
        for _ in range(count):
            for result in [echo(TEXT) for _ in range(IN_FLIGHT)]:
                if result.value != TEXT:
                    wrong()

    def structure(self, count: int) -> None:
        echo = self._echo
        for _ in range(count):
            if echo(STRUCTURE_TUPLE) != STRUCTURE_TUPLE:
                wrong()

    def integers(self, count: int) -> None:
        echo = self._echo
        for _ in range(count):
            if echo(INTEGERS_TUPLE) != INTEGERS_TUPLE:
                wrong()

    def bytes_(self, count: int) -> None:
        echo = self._echo
        for _ in range(count):
            if echo(workloads.BLOB) != workloads.BLOB:
                wrong()

    def reference(self, count: int) -> None:
        make = self._make
        for _ in range(count):
            made = make()
            if made.exposed_answer(TEXT) != TEXT:
                wrong()
            del made

    def callback(self, count: int) -> None:
        ask = self._ask
        for _ in range(count):
            if ask(self._mine) != TEXT:
                wrong()


def no_delay(sock: socket.socket) -> tuple[socket.socket, None]:
    """Let everybody in, and set TCP_NODELAY, which RPyC's server has no setting for."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock, None


def serve() -> None:
    server = ThreadedServer(Echo(), hostname="127.0.0.1", port=0, authenticator=no_delay)
    print(server.port, flush=True)
    server.start()


def client(port: int, driver: "Driver") -> None:
    stream = SocketStream.connect("127.0.0.1", port, nodelay=True)
    connection = rpyc.connect_stream(stream, config={"sync_request_timeout": None})
    driver.run(Session(connection))
    connection.close()
