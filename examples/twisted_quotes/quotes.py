"""What answers: a protocol for plain TCP, and a root for PB."""

from typing import Any

from twisted.internet import protocol

from examples.quotes.quoters import Quoter
from pellucid.twisted import pb


class QOTD(protocol.Protocol):
    """Whoever connects is sent one quote, and that was it."""

    transport: Any

    def __init__(self, quoter: Quoter) -> None:
        self.quoter = quoter

    def connectionMade(self) -> None:
        self.transport.write(self.quoter.quote().encode() + b"\r\n")
        self.transport.loseConnection()


class QOTDFactory(protocol.ServerFactory):
    def __init__(self, quoter: Quoter) -> None:
        self.quoter = quoter

    def buildProtocol(self, addr: Any) -> QOTD:
        return QOTD(self.quoter)


class QuoteReader(pb.Root):
    """What is published over PB."""

    def __init__(self, quoter: Quoter) -> None:
        self.quoter = quoter

    def remote_nextQuote(self) -> str:
        return self.quoter.quote()
