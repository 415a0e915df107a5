"""Listening sockets: every address of a host on one port, or a Unix socket."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

from .url import Address

__all__ = ["Listening", "listen"]

_BACKLOG = 1024
# A free port on one address may be taken on the next one. Seen to matter on busy machines only.
_PORT_TRIES = 20
# What binding says where the machine lacks a family or an address of it.
_LACKING = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
# From Python 3.13 a loop removes Unix sockets itself; we do, on all versions alike.
CLEANS_UP = "cleanup_socket" in signature(asyncio.SelectorEventLoop.create_unix_server).parameters


@dataclass(frozen=True)
class Listening:
    """What listens, and under which URLs."""

    urls: tuple[str, ...]
    servers: tuple[asyncio.AbstractServer, ...]
    path: str | None = None
    inode: tuple[int, int] | None = None

    def close(self) -> None:
        """Stop listening, and remove the Unix socket if it is still ours."""
        for server in self.servers:
            server.close()
        if self.path is not None and _inode(self.path) == self.inode:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


async def listen(accept: Callable[[], asyncio.BaseProtocol], address: Address) -> Listening:
    """Listen on an address. Raises OSError if it can't be had."""
    loop = asyncio.get_running_loop()
    if address.path is not None:
        sock, inode = _unix_socket(address)
        options: dict[str, Any] = {"cleanup_socket": False} if _takes_cleanup(loop) else {}
        server = await loop.create_unix_server(accept, sock=sock, backlog=_BACKLOG, **options)
        return Listening((str(address),), (server,), address.path, inode)
    found = await loop.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    hosts = list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))
    sockets = _tcp_sockets(hosts, address.port)
    port = sockets[0].getsockname()[1]
    servers = [await loop.create_server(accept, sock=sock, backlog=_BACKLOG) for sock in sockets]
    names = [address.host, *(str(sock.getsockname()[0]) for sock in sockets)]
    urls = dict.fromkeys(str(replace(address, host=name, port=port)) for name in names)
    return Listening(tuple(urls), tuple(servers))


def _takes_cleanup(loop: asyncio.AbstractEventLoop) -> bool:
    # uvloop's own loops don't take the keyword, and don't clean up.
    return CLEANS_UP and isinstance(loop, asyncio.BaseEventLoop)


def _tcp_sockets(hosts: Sequence[tuple[int, str]], port: int) -> list[socket.socket]:
    for last in range(_PORT_TRIES - 1, -1, -1):
        try:
            return _bind_all(hosts, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not last:
                raise
    raise AssertionError("not reached")


def _bind_all(hosts: Sequence[tuple[int, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, host in hosts:
            try:
                sock = _bind(family, host, port)
            except OSError as error:
                if error.errno not in _LACKING:
                    raise
                lacking = error
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if lacking is not None and not sockets:
        raise lacking
    return sockets


def _bind(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{host} port {port}: {error.strerror}") from None
    return sock


def _unix_socket(address: Address) -> tuple[socket.socket, tuple[int, int] | None]:
    path = address.path or ""
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        # Nobody can connect before it listens, so the mode is right from the first moment.
        os.chmod(path, address.mode)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{path}: {error.strerror}") from None
    return sock, _inode(path)


def _remove_dead(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, f"{path}: a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, f"{path}: a server answers there")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
