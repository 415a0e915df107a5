"""What is measured beside each other. Each is a module here, with two functions:

serve()               listen on a free port of 127.0.0.1, print it on one line, serve until killed
client(port, driver)  connect, and hand a session to the driver (see bench.driver)
"""

from collections.abc import Mapping
from typing import NamedTuple

OURS, PEER, FLOOR = "ours", "peer", "floor"
BASE = "Twisted PB"


class Kind(NamedTuple):
    """One thing that is measured, and how its processes are started."""

    name: str
    module: str
    group: str
    # What its version is read from.
    distributions: tuple[str, ...] = ()
    # Which build of Pellucid it runs with, if it does.
    build: str | None = None
    # What stands before `-m bench.peers`.
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    # Methods that stand in for others, and if there are any, nothing else is measured.
    instead: Mapping[str, str] = {}
    # What has to be said about a workload.
    notes: Mapping[str, str] = {}

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Give what to say to Python to start one of its processes."""
        return (*self.prefix, "-m", "bench.peers", self.module, *arguments)

    def method(self, method: str) -> str | None:
        """Give the method of a session to use for a workload's method; None if there is none."""
        return self.instead.get(method) if self.instead else method


_ONE_BY_ONE = "a connection takes one call at a time: 1000 calls one after another"
_SCHEMA = "a typed message, made once and compared whole; a schema names its fields"
_PB_CHUNKS = "in 16 chunks of 512 KiB: a string of PB has 640 KiB at most"
_ENCODED = "already encoded; echoed, and not looked at by the server"

_ALL = (
    Kind("asyncio", "pellucid_asyncio", OURS, build="compiled", notes={"bytes": _PB_CHUNKS}),
    Kind(
        *("uvloop", "pellucid_asyncio", OURS, ("uvloop",), "compiled"),
        environment={"BENCH_LOOP": "uvloop"},
        notes={"bytes": _PB_CHUNKS},
    ),
    Kind(
        *("asyncio, uncompiled", "pellucid_asyncio", OURS, (), "uncompiled"),
        notes={"bytes": _PB_CHUNKS},
    ),
    Kind(
        *("Twisted face", "twisted_pb", OURS, ("twisted",), "compiled"),
        prefix=("-m", "pellucid.twisted"),
        notes={"bytes": _PB_CHUNKS},
    ),
    Kind(BASE, "twisted_pb", PEER, ("twisted",), notes={"bytes": _PB_CHUNKS}),
    Kind(
        *("Foolscap", "foolscap_pb", PEER, ("foolscap",)),
        notes={"sequential": "with TLS, which Foolscap always uses"},
    ),
    Kind(
        *("Pyro5", "pyro5", PEER, ("Pyro5", "msgpack")),
        notes={
            "sequential": "its serializer is msgpack",
            "in_flight": _ONE_BY_ONE,
            "reference": "a connection for each reference",
            "callback": "a connection for each call",
        },
    ),
    Kind(
        *("Pyro5, batch", "pyro5", PEER, ("Pyro5",)),
        instead={"in_flight": "in_flight_batch"},
        notes={"in_flight": "1000 calls in one message"},
    ),
    Kind(
        *("RPyC", "rpyc_peer", PEER, ("rpyc",)),
        notes={"structure": "as nested tuples", "integers": "as a tuple"},
    ),
    Kind("pycapnp", "capnp_peer", PEER, ("pycapnp",), notes={"structure": _SCHEMA}),
    Kind("grpc.aio", "grpc_peer", PEER, ("grpcio",), notes={"structure": _SCHEMA}),
    Kind(
        *("thriftpy2", "thriftpy2_peer", PEER, ("thriftpy2",)),
        notes={"in_flight": _ONE_BY_ONE, "structure": _SCHEMA},
    ),
    Kind("msgspec RPC", "floor_msgspec", FLOOR, ("msgspec",)),
    Kind("BufferedProtocol", "floor_protocol", FLOOR, notes={"sequential": _ENCODED}),
    Kind(
        *("BufferedProtocol, uvloop", "floor_protocol", FLOOR, ("uvloop",)),
        environment={"BENCH_LOOP": "uvloop"},
        notes={"sequential": _ENCODED},
    ),
    Kind(
        *("blocking sockets", "floor_blocking", FLOOR),
        notes={"sequential": _ENCODED, "in_flight": _ONE_BY_ONE},
    ),
)
KINDS = {kind.name: kind for kind in _ALL}
