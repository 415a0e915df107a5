"""`python -m attack.servers NAME [FILES]`: be the server of this name."""

import contextlib
import importlib
import sys
from typing import Any


def _limit(files: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on every system

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(files, most) if files else most
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def main() -> None:
    """Be the process that the command line names."""
    name, *rest = sys.argv[1:]
    module: Any = importlib.import_module(f"attack.servers.{name}")
    _limit(int(rest[0]) if rest else 0)
    module.serve()


if __name__ == "__main__":
    main()
