"""`python -m attack.honest FAMILY PORT PORT`: a client that does nothing wrong.

It holds the clock: it calls `echo` again and again, one call at a time, every two milliseconds. It
reads orders, one a line, and answers each with a line of JSON:

    run MILLISECONDS   how long its calls took
    new MILLISECONDS   how long a new connection and a call on it take, in seconds
"""

import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from attack import wire
from attack.registry import FOOLSCAP, PB, PYRO, RPYC

PACE = 0.002
PATIENCE = 5.0
_TEXT = "are you there?"


class Unanswered(Exception):
    """A call was not answered, or wrongly."""


class PbSession:
    """A connection of PB, with plain sockets, so that nothing of it depends on who is measured."""

    def __init__(self, ports: list[int]) -> None:
        self._sock = socket.create_connection(("127.0.0.1", ports[0]), PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = 0
        self._offer()
        self._sock.sendall(wire.item(b"none") + wire.item(wire.VERSION))
        self._read(len(wire.item(wire.VERSION)))

    def _offer(self) -> None:
        data = b""
        while True:
            data += self._read(1)
            try:
                wire.parse(data)
            except wire.Short:
                continue
            return

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._sock.recv(size - len(data))
            if not more:
                raise Unanswered("the server closed the connection")
            data += more
        return data

    def echo(self) -> None:
        """Make one call."""
        self._request += 1
        value = wire.text(_TEXT)
        self._sock.sendall(wire.call(b"echo", value, request=self._request))
        wanted = wire.item([b"answer", self._request, value])
        if self._read(len(wanted)) != wanted:
            raise Unanswered("a wrong answer")

    def __del__(self) -> None:
        if hasattr(self, "_sock"):
            self._sock.close()


class RpycSession:
    """A connection of RPyC's own client."""

    def __init__(self, ports: list[int]) -> None:
        import rpyc  # noqa: PLC0415 - only where it is measured
        from rpyc.core.stream import SocketStream  # noqa: PLC0415

        stream = SocketStream.connect("127.0.0.1", ports[0], nodelay=True, timeout=PATIENCE)
        settings = {"sync_request_timeout": PATIENCE}
        self._echo: Any = rpyc.connect_stream(stream, config=settings).root.echo

    def echo(self) -> None:
        """Make one call."""
        if self._echo(_TEXT) != _TEXT:
            raise Unanswered("a wrong answer")


class PyroSession:
    """A proxy of Pyro5."""

    def __init__(self, ports: list[int]) -> None:
        import Pyro5.api  # noqa: PLC0415 - only where it is measured

        Pyro5.api.config.SERIALIZER = "msgpack"
        Pyro5.api.config.SOCK_NODELAY = True
        Pyro5.api.config.COMMTIMEOUT = PATIENCE
        self._proxy: Any = Pyro5.api.Proxy(f"PYRO:echo@127.0.0.1:{ports[0]}")
        self.echo()

    def echo(self) -> None:
        """Make one call."""
        if self._proxy.echo(_TEXT) != _TEXT:
            raise Unanswered("a wrong answer")


class FoolscapSession:
    """A Tub of its own, on a reactor in a thread."""

    def __init__(self, ports: list[int]) -> None:
        import threading  # noqa: PLC0415 - only where it is measured

        from foolscap.api import Tub  # noqa: PLC0415
        from twisted.internet import reactor as plain  # noqa: PLC0415
        from twisted.internet import threads  # noqa: PLC0415

        from bench.peers.tubs import furl_from  # noqa: PLC0415

        reactor: Any = plain
        self._reactor = reactor
        self._threads: Any = threads
        if not reactor.running:
            threading.Thread(target=reactor.run, args=(False,), daemon=True).start()
            while not self._reactor.running:
                time.sleep(0.01)
        furl = furl_from(ports[1], PATIENCE)

        def open_() -> Any:
            tub = Tub()
            tub.startService()
            return tub.getReference(furl).addTimeout(PATIENCE, self._reactor)

        self._root: Any = self._run(open_)

    def _run(self, function: Callable[[], Any]) -> Any:
        return self._threads.blockingCallFromThread(self._reactor, function)

    def echo(self) -> None:
        """Make one call."""

        def call() -> Any:
            return self._root.callRemote("echo", _TEXT).addTimeout(PATIENCE, self._reactor)

        if self._run(call) != _TEXT:
            raise Unanswered("a wrong answer")


SESSIONS: dict[str, Callable[[list[int]], Any]] = {
    PB: PbSession,
    FOOLSCAP: FoolscapSession,
    RPYC: RpycSession,
    PYRO: PyroSession,
}


def run(session: Any, seconds: float) -> dict[str, Any]:
    """Call for so long, and give what each call took, in microseconds; and what went wrong."""
    taken: list[int] = []
    wrong = ""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        try:
            session.echo()
        except Exception as error:
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        took = time.perf_counter() - started
        taken.append(round(took * 1e6))
        if wrong:
            break
        time.sleep(max(0.0, PACE - took))
    return {"taken": taken, "wrong": wrong}


def main() -> None:
    """Be the client."""
    family, *ports = sys.argv[1:]
    where = [int(port) for port in ports]
    make = SESSIONS[family]
    session = make(where)
    print("ready", flush=True)
    for line in sys.stdin:
        order, milliseconds = line.split()
        if order == "new":
            started = time.perf_counter()
            wrong = ""
            try:
                make(where).echo()
            except Exception as error:
                wrong = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
            answer: Any = {"took": time.perf_counter() - started, "wrong": wrong}
        else:
            answer = run(session, int(milliseconds) / 1000)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
