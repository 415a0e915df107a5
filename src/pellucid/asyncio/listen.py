"""Listening sockets: every address of a host on one port, or a Unix socket."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .url import Address

__all__ = ["Listening", "listen"]

_BACKLOG = 1024
# A free port on one address may be taken on the next one. Seen to matter on busy machines only.
_PORT_TRIES = 20
# What binding says where the machine lacks a family or an address of it.
_LACKING = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

# What accepting says where there is no descriptor left, of the process or of the machine.
_SHORT = {errno.EMFILE, errno.ENFILE}

_Host = tuple[int, tuple[Any, ...]]


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


class _Listener(socket.socket):
    """Accepts also when the process is out of file descriptors: then it hangs up at once.

    Without that they would wait, asyncio would write a hundred tracebacks for each try, and try
    once in a second. uvloop does the same as this by itself.
    """

    def __init__(
        self, bound: socket.socket, short: Callable[[OSError], object] | None = None
    ) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self.setblocking(False)
        self._short = short
        self._spare = _spare()
        self._tired = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept somebody. Raises BlockingIOError if nobody is there."""
        while True:
            try:
                return super().accept()
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                self._hang_up(error)

    def _hang_up(self, error: OSError) -> None:
        spare, self._spare = self._spare, None
        if spare is None:
            self._spare = _spare()
            self._tired = not self._tired and self._spare is None
            if self._tired:
                # asyncio waits a second after that.
                raise error
            if self._spare is None:
                raise BlockingIOError
            return
        os.close(spare)
        try:
            super().accept()[0].close()
        except BlockingIOError:
            raise
        except OSError:
            return  # Another thread was faster.
        finally:
            self._spare = _spare()
        if self._short is not None:
            self._short(error)

    def close(self) -> None:
        """Close it, and what was kept for hard times."""
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        super().close()


def _spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None


async def listen(
    accept: Callable[[], asyncio.BaseProtocol],
    address: Address,
    check: Callable[[tuple[str, ...]], object] | None = None,
    *,
    prepare: Callable[[socket.socket], object] | None = None,
    short: Callable[[OSError], object] | None = None,
) -> Listening:
    """Listen on an address. Raises OSError if it can't be had.

    Before that, `check` is told the IP addresses, of which a Unix socket has none, and `prepare`
    sets options of each socket. When the process is out of file descriptors who comes is turned
    away, which `short` is told, but not on every loop.
    """
    if address.path is not None:
        if check is not None:
            check(())
        sock, inode = _unix_socket(address.path, address.mode)
        made = Listening((str(address),), (), address.path, inode)
        return await _serve(accept, made, [sock], prepare, short)
    hosts = await _hosts(address.host, address.port)
    if check is not None:
        check(tuple(str(where[0]) for _, where in hosts))
    sockets = _tcp_sockets(hosts, address.port)
    port = sockets[0].getsockname()[1]
    names = [address.host, *(str(sock.getsockname()[0]) for sock in sockets)]
    urls = dict.fromkeys(str(Address(name, port, tls=address.tls)) for name in names)
    return await _serve(accept, Listening(tuple(urls), ()), sockets, prepare, short)


async def _hosts(host: str, port: int) -> list[_Host]:
    """Give the addresses of a host."""
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    try:
        # An IP address needs no thread, which would stay, nor the codec for names that a str does.
        found = socket.getaddrinfo(
            host.encode("ascii"), port, type=kind, flags=flags | socket.AI_NUMERICHOST
        )
    except (socket.gaierror, UnicodeEncodeError):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=kind, flags=flags)
    return list(dict.fromkeys((int(family), where) for family, _, _, _, where in found))


async def _serve(
    accept: Callable[[], asyncio.BaseProtocol],
    made: Listening,
    sockets: list[socket.socket],
    prepare: Callable[[socket.socket], object] | None,
    short: Callable[[OSError], object] | None,
) -> Listening:
    # Not started at once: whoever is cancelled in the middle has to know what to close.
    loop = asyncio.get_running_loop()
    # asyncio accepts as many as that in one iteration, and those who are there would wait for it.
    backlog = 1 if isinstance(loop, asyncio.BaseEventLoop) else _BACKLOG
    options: dict[str, Any] = {"backlog": backlog, "start_serving": False}
    create = loop.create_server if made.path is None else loop.create_unix_server
    sockets = [_Listener(sock, short) for sock in sockets]
    try:
        for sock in sockets:
            if prepare is not None:
                prepare(sock)
            server = await create(accept, sock=sock, **options)
            made = replace(made, servers=(*made.servers, server))
        for each in made.servers:
            await each.start_serving()
        for sock in sockets:
            sock.listen(_BACKLOG)
    except BaseException:
        made.close()
        for sock in sockets:
            sock.close()
        raise
    return made


def _tcp_sockets(hosts: Sequence[_Host], port: int) -> list[socket.socket]:
    tries = 0
    while True:
        tries += 1
        try:
            return _bind_all(hosts, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or tries == _PORT_TRIES:
                raise


def _bind_all(hosts: Sequence[_Host], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, where in hosts:
            try:
                sock = _bind(family, (where[0], port, *where[2:]))
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


def _bind(family: int, where: tuple[Any, ...]) -> socket.socket:
    # asyncio sets TCP_NODELAY where it sees this protocol, which accepted sockets inherit.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        # Two may have one port until one of them listens.
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{where[0]} port {where[1]}: {error.strerror}") from None
    return sock


def _unix_socket(path: str, mode: int) -> tuple[socket.socket, tuple[int, int] | None]:
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        # Nobody can connect before it listens, so the mode is right from the first moment.
        os.chmod(path, mode)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{path}: {error.strerror or error}") from None
    return sock, _inode(path)


def _remove_dead(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, f"{path}: a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # One that has no time for us answers all the same.
    raise OSError(errno.EADDRINUSE, f"{path}: a server answers there")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
