"""A service that gives quotes on two ports: plain ones, and over PB.

Its options stand on its command line. It prints both ports, that of PB first.
"""

import random
from pathlib import Path
from typing import Any

from twisted.application import internet, service
from twisted.internet import protocol
from twisted.python import usage

from tests.interop.programs.spread import HOST, WORDS, pb, reactor, run


class StaticQuoter:
    def __init__(self, quote: str) -> None:
        self.quote = quote

    def getQuote(self) -> str:
        return self.quote


class FortuneQuoter:
    """Chooses from files, in which `%` stands between the quotes."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def getQuote(self) -> str:
        return random.choice(Path(random.choice(self.files)).read_text().split("\n%\n")).strip()


class PlainQuote(protocol.Protocol):
    factory: Any
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self.factory.quoter.getQuote().encode() + b"\r\n")
        self.transport.loseConnection()


class PlainFactory(protocol.ServerFactory):
    protocol: Any = PlainQuote

    def __init__(self, quoter: Any) -> None:
        self.quoter = quoter


class QuoteReader(pb.Root):
    def __init__(self, quoter: Any) -> None:
        self.quoter = quoter

    def remote_nextQuote(self) -> str:
        quote: str = self.quoter.getQuote()
        return quote


class Options(usage.Options):
    optParameters = [  # noqa: RUF012 - Twisted declares it so
        ["port", "p", 0, "port for plain quotes"],
        ["static", "s", "An apple a day keeps the doctor away.", "the quote"],
        ["file", "f", None, "file with quotes"],
        ["pb", "b", None, "port for PB"],
    ]


def make_service(options: Any) -> service.MultiService:
    services = service.MultiService()
    quoter: Any = StaticQuoter(options["static"])
    if options["file"]:
        quoter = FortuneQuoter([options["file"]])
    if options["pb"]:
        factory = pb.PBServerFactory(QuoteReader(quoter))
        services.addService(internet.TCPServer(int(options["pb"]), factory, interface=HOST))
    plain = PlainFactory(quoter)
    services.addService(internet.TCPServer(int(options["port"]), plain, interface=HOST))
    return services


def main() -> None:
    options: Any = Options()  # type: ignore[no-untyped-call]
    options.parseOptions(WORDS)
    services = make_service(options)
    services.privilegedStartService()
    services.startService()
    reactor.addSystemEventTrigger("before", "shutdown", services.stopService)
    for one in services:
        print(one._port.getHost().port)
    run()


if __name__ == "__main__":
    main()
