"""What every example needs to be a program: its arguments, and a quiet end."""

import argparse
import asyncio
import contextlib
import getpass
import io
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import pellucid

URL = "pb://localhost:8787"


def listen_url() -> str:
    """Give the URL to listen on, from the command line of a server."""
    parser = argparse.ArgumentParser(description=_description())
    parser.add_argument("--listen", metavar="URL", default=URL, help="port 0 takes a free one")
    url: str = parser.parse_args().listen
    return url


def server_url() -> str:
    """Give the URL of the server, from the command line of a client."""
    parser = argparse.ArgumentParser(description=_description())
    parser.add_argument("url", nargs="?", default=URL, help=f"where the server is ({URL})")
    url: str = parser.parse_args().url
    return url


def _description() -> str | None:
    return sys.modules["__main__"].__doc__


def password(name: str) -> str:
    """Ask for a password, or read a line where nobody can be asked."""
    if sys.stdin.isatty():
        return getpass.getpass(f"password of {name}: ")
    return sys.stdin.readline().rstrip("\n")


def run(main: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run an async program to its end, which may be Ctrl-C or SIGTERM."""
    run_plain(lambda: asyncio.run(_until_told(main)))


def run_plain(main: Callable[[], int | None]) -> NoReturn:
    """Run a program to its end, which may be Ctrl-C."""
    # What a program prints is seen at once, also when it goes into a pipe or a file.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        status = main()
    # A URL that is none is a ValueError.
    except (OSError, ValueError, pellucid.PBError) as error:
        # Some say all with their name, such as LoginFailed.
        sys.exit(f"error: {str(error) or type(error).__name__}")
    except asyncio.CancelledError:
        status = 0
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


async def _until_told(main: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.current_task()
    assert task is not None
    # Windows has no such handlers.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main
