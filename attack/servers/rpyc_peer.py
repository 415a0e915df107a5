"""RPyC: its threaded server, with its default configuration."""

import logging
import sys
import time

import rpyc
from rpyc.utils.server import ThreadedServer

from attack.servers import BLOB


class Thing:
    """An object of the server's."""

    def exposed_echo(self, value: object) -> object:
        return value


class Service(rpyc.Service):
    """What everybody may call."""

    def exposed_echo(self, value: object) -> object:
        return value

    def exposed_blob(self, size: int) -> bytes:
        return BLOB[:size]

    def exposed_make(self) -> Thing:
        return Thing()

    def exposed_fail(self, text: object) -> None:
        raise ValueError(text)

    def exposed_wait(self, value: object = None) -> None:
        time.sleep(3_600)


def serve() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    server = ThreadedServer(Service(), hostname="127.0.0.1", port=0)
    print(server.port, server.port, flush=True)
    server.start()
