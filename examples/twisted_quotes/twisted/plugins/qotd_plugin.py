"""Tells `twist` and `twistd` of the service `qotd`."""

from twisted.application.service import ServiceMaker

qotd = ServiceMaker(
    "Quote of the day",
    "examples.twisted_quotes.service",
    "A quote of the day, over plain TCP and over PB.",
    "qotd",
)
