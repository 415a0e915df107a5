"""Quotes, the server: a quote for everybody who connects, and one for every call over PB."""

import argparse
import asyncio
from pathlib import Path

import pellucid
from examples.program import run
from examples.quotes.quoters import FortuneQuoter, Quoter, StaticQuoter


class QuoteReader(pellucid.Root):
    """What is published over PB."""

    def __init__(self, quoter: Quoter, verbose: bool = False) -> None:
        self._quoter = quoter
        self._verbose = verbose

    def remote_nextQuote(self) -> str:
        quote = self._quoter.quote()
        if self._verbose:
            print(f"nextQuote() gives {quote!r}")
        return quote


class PlainQuotes:
    """The protocol QOTD: whoever connects is sent one quote, and that was it."""

    def __init__(self, quoter: Quoter) -> None:
        self._quoter = quoter

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self._quoter.quote().encode() + b"\r\n")
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # They did not want it.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("-p", "--port", type=int, default=8007, help="port for plain QOTD (%(default)s)")
    add(
        "-s",
        "--static",
        metavar="TEXT",
        default="An apple a day keeps the doctor away.",
        help="the quote to give (%(default)s)",
    )
    add("-f", "--file", type=Path, help="a file in the format of fortune, to choose quotes from")
    add("-b", "--pb", type=int, metavar="PORT", help="port for PB (none); 8787 is its usual one")
    add("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    add("-v", "--verbose", action="store_true", help="say what is called")
    options = parser.parse_args()
    try:
        options.quoter = (
            FortuneQuoter(options.file) if options.file else StaticQuoter(options.static)
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return options


def url_of(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def main(options: argparse.Namespace) -> None:
    plain = await asyncio.start_server(PlainQuotes(options.quoter), options.host, options.port)
    async with plain:
        for socket in plain.sockets:
            print(url_of("tcp", *socket.getsockname()[:2]))
        if options.pb is None:
            await plain.serve_forever()
        root = QuoteReader(options.quoter, options.verbose)
        async with pellucid.serve(root, url_of("pb", options.host, options.pb)) as server:
            print(*server.urls, sep="\n")
            await server.serve_forever()


if __name__ == "__main__":
    run(main(arguments()))
