"""A Twisted server: it prints its port and serves a `Peer`."""

from typing import Any

from twisted.internet import reactor as installed
from twisted.spread import pb

from tests.interop.peers.twisted_objects import Peer

reactor: Any = installed


def main() -> None:
    port = reactor.listenTCP(0, pb.PBServerFactory(Peer()), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
