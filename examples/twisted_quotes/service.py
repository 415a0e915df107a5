"""The service `qotd`: its options, and how it is made of them."""

from pathlib import Path
from typing import Any, ClassVar

from twisted.application import internet, service
from twisted.python import usage

from examples.quotes.quoters import FortuneQuoter, Quoter, StaticQuoter
from examples.twisted_quotes.quotes import QOTDFactory, QuoteReader
from pellucid.twisted import pb


class Options(usage.Options):
    """What may stand behind `twist qotd`."""

    optParameters: ClassVar[list[list[Any]]] = [
        ["port", "p", 8007, "Port for plain QOTD", usage.portCoerce],
        ["static", "s", "An apple a day keeps the doctor away.", "The quote to give"],
        ["file", "f", None, "A file in the format of fortune, to choose quotes from"],
        ["pb", "b", None, f"Port for PB, usually {pb.portno}", usage.portCoerce],
        ["interface", "i", "127.0.0.1", "Where to listen"],
    ]

    quoter: Quoter

    def postOptions(self) -> None:
        """Read the quotes now, so that a bad file is an error of the command line."""
        try:
            if self["file"] is not None:
                self.quoter = FortuneQuoter(Path(self["file"]))
            else:
                self.quoter = StaticQuoter(self["static"])
        except (OSError, ValueError) as error:
            raise usage.UsageError(str(error)) from error


def makeService(options: Options) -> service.MultiService:
    """Serve plain TCP, and PB too if a port is given for it. Both ports are logged."""
    both = service.MultiService()
    factories: list[tuple[int, Any]] = [
        (options["port"], QOTDFactory(options.quoter)),
    ]
    if options["pb"] is not None:
        factories.append((options["pb"], pb.PBServerFactory(QuoteReader(options.quoter))))
    for port, factory in factories:
        both.addService(internet.TCPServer(port, factory, interface=options["interface"]))
    return both
