"""Pyro5 with the msgpack serializer, a thread server and one proxy.

`in_flight_batch` is Pyro's own batch: all calls in one message. A live object crosses as a proxy,
and every proxy has a connection of its own, so `reference` and `callback` each make a connection
per call. For `callback` the client has a daemon in a thread, from its first call on.
"""

import threading
from typing import TYPE_CHECKING

import Pyro5.api

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

Pyro5.api.config.SERIALIZER = "msgpack"
Pyro5.api.config.SERVERTYPE = "thread"
Pyro5.api.config.SOCK_NODELAY = True


class Answerer:
    """A live object, on either side."""

    @Pyro5.api.expose
    def answer(self, value: str) -> str:
        return value

    @Pyro5.api.expose
    def release(self) -> None:
        self._pyroDaemon.unregister(self)  # type: ignore[attr-defined]


class Echo:
    """What the server serves."""

    def __init__(self, daemon: Pyro5.api.Daemon) -> None:
        self._daemon = daemon

    @Pyro5.api.expose
    def echo(self, value: object) -> object:
        return value

    @Pyro5.api.expose
    def make(self) -> Answerer:
        made = Answerer()
        self._daemon.register(made)
        return made

    @Pyro5.api.expose
    def ask(self, target: Pyro5.api.Proxy) -> object:
        with target:
            return target.answer(TEXT)


class Session:
    """One proxy, which makes one call at a time."""

    def __init__(self, root: Pyro5.api.Proxy) -> None:
        self._root = root
        self._mine: Answerer | None = None

    def one(self) -> None:
        if self._root.echo(TEXT) != TEXT:
            wrong()

    def sequential(self, count: int) -> None:
        echo = self._root.echo
        for _ in range(count):
            if echo(TEXT) != TEXT:
                wrong()

    def in_flight(self, count: int) -> None:
        self.sequential(count * IN_FLIGHT)

    def in_flight_batch(self, count: int) -> None:
        for _ in range(count):
            batch = Pyro5.api.BatchProxy(self._root)
            for _ in range(IN_FLIGHT):
                batch.echo(TEXT)
            answers = 0
            for answer in batch():
                if answer != TEXT:
                    wrong()
                answers += 1
            if answers != IN_FLIGHT:
                wrong()

    def structure(self, count: int) -> None:
        echo = self._root.echo
        for _ in range(count):
            if echo(STRUCTURE) != STRUCTURE:
                wrong()

    def integers(self, count: int) -> None:
        echo = self._root.echo
        for _ in range(count):
            if echo(INTEGERS) != INTEGERS:
                wrong()

    def bytes_(self, count: int) -> None:
        echo = self._root.echo
        for _ in range(count):
            if echo(workloads.BLOB) != workloads.BLOB:
                wrong()

    def reference(self, count: int) -> None:
        make = self._root.make
        for _ in range(count):
            with make() as made:
                if made.answer(TEXT) != TEXT:
                    wrong()
                made.release()

    def callback(self, count: int) -> None:
        if self._mine is None:
            self._mine = Answerer()
            daemon = Pyro5.api.Daemon("127.0.0.1")
            daemon.register(self._mine)
            threading.Thread(target=daemon.requestLoop, daemon=True).start()
        ask = self._root.ask
        for _ in range(count):
            if ask(self._mine) != TEXT:
                wrong()


def serve() -> None:
    with Pyro5.api.Daemon("127.0.0.1") as daemon:
        uri = daemon.register(Echo(daemon), "echo")
        print(uri.port, flush=True)
        daemon.requestLoop()


def client(port: int, driver: "Driver") -> None:
    with Pyro5.api.Proxy(f"PYRO:echo@127.0.0.1:{port}") as root:
        driver.run(Session(root))
