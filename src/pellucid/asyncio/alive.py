"""Keepalive: TCP notices a machine that has gone, also when nothing is to be sent."""

import contextlib
import socket
from functools import lru_cache
from typing import Any

__all__ = ["keep_alive"]

# So many signs of life are asked for before the other machine is given up.
_PROBES = 3
# Linux takes no more seconds.
_LONGEST = 32_767


def keep_alive(sock: Any, seconds: float) -> None:
    """Have the system end a connection whose other machine does not answer for `seconds`.

    These are whole ones, 2 at least. What a listening socket accepts has the same. Nothing is done
    for an endless time, without a socket or for one that is not TCP's, and where the system has no
    such options.
    """
    if seconds == float("inf") or sock is None:
        return
    # The other side may have gone already. A socket that is not TCP's refuses the first option, and
    # to ask for its family takes longer.
    with contextlib.suppress(OSError):
        for option in _options(seconds):
            sock.setsockopt(*option)


@lru_cache(maxsize=16)
def _options(seconds: float) -> tuple[tuple[int, int, int], ...]:
    """Give what is to be set: the level, the option and its value."""
    # The timers of the system may be late by an eighth.
    idle = min(max(1, int(seconds / 2)), _LONGEST)
    interval = min(max(1, int(seconds * 0.4 / _PROBES)), _LONGEST)
    probes = max(1, min(_PROBES, int(seconds - idle) // interval))
    # It takes the place of the count, so it must not be due just before a probe is. Data that has
    # no acknowledgement is given up by it as well, which takes a quarter of an hour without.
    patience = int(min(max(2.0, seconds), 1e6) * 1000) - 500
    wanted = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": probes,
        "TCP_USER_TIMEOUT": patience,
    }
    options = [
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in wanted.items()
        if hasattr(socket, name)
    ]
    options.insert(1, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    return tuple(options)
