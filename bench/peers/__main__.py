"""`python -m bench.peers NAME server` and `python -m bench.peers NAME client PORT`."""

import contextlib
import importlib
import sys
from typing import Any

from bench.driver import Driver


def allow_files() -> None:
    """Allow this process as many open files as it may have: a connection is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on every system

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Be the process that the command line names."""
    name, role, *rest = sys.argv[1:]
    module: Any = importlib.import_module(f"bench.peers.{name}")
    allow_files()
    if role == "server":
        module.serve()
    else:
        module.client(int(rest[0]), Driver())


if __name__ == "__main__":
    main()
