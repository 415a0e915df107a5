"""What is attacked beside each other."""

from typing import NamedTuple

from attack.registry import FOOLSCAP, PB, PYRO, RPYC


class Peer(NamedTuple):
    """One server that is attacked."""

    name: str
    family: str
    module: str
    distributions: tuple[str, ...] = ()
    # Which build of Pellucid it runs with, if it does.
    build: str | None = None
    # What stands before `-m attack.servers`.
    prefix: tuple[str, ...] = ()
    # Attacked if nothing else is said.
    usual: bool = True


OURS = "Pellucid"
_ALL = (
    Peer(OURS, PB, "pellucid_asyncio", (), "compiled"),
    Peer("Pellucid, uncompiled", PB, "pellucid_asyncio", (), "uncompiled", usual=False),
    Peer(
        *("Pellucid, Twisted face", PB, "twisted_pb", ("twisted",), "compiled"),
        prefix=("-m", "pellucid.twisted"),
        usual=False,
    ),
    Peer("Twisted PB", PB, "twisted_pb", ("twisted",)),
    Peer("Foolscap", FOOLSCAP, "foolscap_pb", ("foolscap",)),
    Peer("RPyC", RPYC, "rpyc_peer", ("rpyc",)),
    Peer("Pyro5", PYRO, "pyro5", ("Pyro5", "msgpack")),
)
PEERS = {peer.name: peer for peer in _ALL}


def is_ours(name: str) -> bool:
    """Tell whether a peer is held to the bounds."""
    return PEERS[name].build is not None
