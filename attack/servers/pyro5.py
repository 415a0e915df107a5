"""Pyro5: its thread server, with its default configuration and msgpack."""

import logging
import sys
import time

import Pyro5.api

from attack.servers import BLOB


class Thing:
    """An object of the server's."""

    @Pyro5.api.expose
    def echo(self, value: object) -> object:
        return value


class Service:
    """What everybody may call."""

    def __init__(self, daemon: Pyro5.api.Daemon) -> None:
        self._daemon = daemon

    @Pyro5.api.expose
    def echo(self, value: object) -> object:
        return value

    @Pyro5.api.expose
    def sink(self, *values: object) -> int:
        return len(values)

    @Pyro5.api.expose
    def blob(self, size: int) -> bytes:
        return BLOB[:size]

    @Pyro5.api.expose
    def make(self) -> Thing:
        made = Thing()
        self._daemon.register(made)
        return made

    @Pyro5.api.expose
    def fail(self, text: object) -> None:
        raise ValueError(text)

    @Pyro5.api.expose
    def wait(self, value: object = None) -> None:
        time.sleep(3_600)


def serve() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    Pyro5.api.config.SERIALIZER = "msgpack"
    Pyro5.api.config.SERVERTYPE = "thread"
    Pyro5.api.config.SOCK_NODELAY = True
    with Pyro5.api.Daemon("127.0.0.1") as daemon:
        uri = daemon.register(Service(daemon), "echo")
        print(uri.port, uri.port, flush=True)
        daemon.requestLoop()
