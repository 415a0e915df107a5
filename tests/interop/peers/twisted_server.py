"""A Twisted server: it prints its port, which may be given, and serves a `Peer`."""

import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.spread import pb

from tests.interop.peers.twisted_objects import Peer

reactor: Any = installed


def main() -> None:
    number = int(sys.argv[1]) if sys.argv[1:] else 0
    port = reactor.listenTCP(number, pb.PBServerFactory(Peer()), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
