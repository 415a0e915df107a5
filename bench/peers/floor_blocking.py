"""A floor: blocking sockets and a thread for each connection. What is sent is encoded already.

A message is its length in four bytes, and the rest. The server sends back what it has whole.
"""

import socket
import threading

from bench import workloads
from bench.driver import Driver
from bench.peers import frames
from bench.workloads import IN_FLIGHT, wrong


def _read(sock: socket.socket, buffer: bytearray) -> int:
    """Read one message to the beginning of the buffer, and give its size; 0 at the end."""
    have, wanted = 0, 4
    while have < wanted:
        if len(buffer) < wanted:
            buffer.extend(bytes(wanted - len(buffer)))
        with memoryview(buffer) as view:
            got = sock.recv_into(view[have:])
        if not got:
            return 0
        have += got
        if wanted == 4 <= have:
            wanted = 4 + int.from_bytes(buffer[:4], "big")
    return have


class Session:
    """Does the workloads that have no objects in them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray(65_536)

    def one(self) -> None:
        self._echo(frames.TEXT, 1)

    def sequential(self, count: int) -> None:
        self._echo(frames.TEXT, count)

    def in_flight(self, count: int) -> None:
        self._echo(frames.TEXT, count * IN_FLIGHT)

    def structure(self, count: int) -> None:
        self._echo(frames.STRUCTURE, count)

    def integers(self, count: int) -> None:
        self._echo(frames.INTEGERS, count)

    def bytes_(self, count: int) -> None:
        self._echo(frames.frame(workloads.BLOB), count)

    def _echo(self, data: bytes, count: int) -> None:
        sock, buffer = self.sock, self.buffer
        for _ in range(count):
            sock.sendall(data)
            if _read(sock, buffer) != len(data) or not buffer.startswith(data):
                wrong()


def _answer(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(65_536)
    while size := _read(sock, buffer):
        with memoryview(buffer) as view:
            sock.sendall(view[:size])


def serve() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    while True:
        sock, _ = listening.accept()
        threading.Thread(target=_answer, args=(sock,), daemon=True).start()


def client(port: int, driver: Driver) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        driver.run(Session(sock))
