"""Listening sockets: one port on every address, and Unix sockets that clean up."""

import asyncio
import errno
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pellucid.asyncio import listen as module
from pellucid.asyncio.listen import Listening, listen
from pellucid.asyncio.url import Address
from tests.asyncio.pairs import Run


def _can_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _can_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, because a Unix socket's may not be long."""
    with TemporaryDirectory(prefix="pb") as name:
        yield Path(name) / "socket"


async def answers(address: object) -> bool:
    """Tell whether something accepts connections there."""
    try:
        if isinstance(address, Path):
            _, writer = await asyncio.open_unix_connection(str(address))
        else:
            host, port = str(address).removeprefix("pb://").rsplit(":", 1)
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class _Names:
    """Stands for the resolver, in `getaddrinfo` of the loop."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def __call__(self, host: str, port: int, **kwargs: Any) -> list[Any]:
        assert kwargs["type"] == socket.SOCK_STREAM
        found = [
            (socket.AF_INET6, (host, port, 0, 0)) if ":" in host else (socket.AF_INET, (host, port))
            for host in self.hosts
        ]
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]


class _Loop:
    """A loop with another resolver."""

    def __init__(self, loop: asyncio.AbstractEventLoop, names: _Names) -> None:
        self._loop = loop
        self.getaddrinfo = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def resolve(*hosts: str) -> None:
        loop: Any = _Loop(asyncio.get_running_loop(), _Names(*hosts))
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)

    return resolve


def test_port_0_takes_a_free_one(run: Run) -> None:
    async def main() -> None:
        first = await listen(asyncio.Protocol, Address("127.0.0.1", 0))
        second = await listen(asyncio.Protocol, Address("127.0.0.1", 0))
        assert first.urls != second.urls
        for listening in (first, second):
            (url,) = listening.urls
            assert not url.endswith(":0")
            assert await answers(url)
            listening.close()
            assert not await answers(url)

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_ip_address_takes_no_thread(run: Run, host: str) -> None:
    async def main() -> None:
        before = threading.active_count()
        (await listen(asyncio.Protocol, Address(host, 0))).close()
        assert threading.active_count() == before

    run(main())


def test_addresses_are_told_before_anything_listens(
    run: Run, resolve: Callable[..., None], place: Path
) -> None:
    async def main() -> None:
        seen: list[tuple[str, ...]] = []

        def refuse(hosts: tuple[str, ...]) -> None:
            seen.append(hosts)
            raise RuntimeError("no")

        resolve("127.0.0.1", "127.0.0.2")
        for address in (Address("somewhere", 0), Address(path=str(place))):
            with pytest.raises(RuntimeError, match="no"):
                await listen(asyncio.Protocol, address, refuse)
            (await listen(asyncio.Protocol, address, seen.append)).close()
        assert seen == [("127.0.0.1", "127.0.0.2")] * 2 + [()] * 2

    run(main())


@needs_ipv6
def test_one_port_for_all_addresses_of_a_name(run: Run, resolve: Callable[..., None]) -> None:
    async def main() -> None:
        resolve("127.0.0.1", "::1", "127.0.0.1")
        listening = await listen(asyncio.Protocol, Address("somewhere", 0))
        name, four, six = listening.urls
        port = name.rsplit(":", 1)[1]
        assert (four, six) == (f"pb://127.0.0.1:{port}", f"pb://[::1]:{port}")
        assert name == f"pb://somewhere:{port}"
        assert await answers(four)
        assert await answers(six)
        listening.close()

    run(main())


@needs_ipv6
def test_ipv6_in_brackets(run: Run) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address("::1", 0))
        (url,) = listening.urls
        assert url.startswith("pb://[::1]:")
        assert await answers(url)
        listening.close()

    run(main())


def _fail(
    monkeypatch: pytest.MonkeyPatch, *, bind: Callable[[Any], int], times: int = 1000
) -> list[Any]:
    """Let binding fail with the number that `bind(where)` gives, so many times."""
    real = socket.socket.bind
    failed: list[Any] = []

    class Socket(socket.socket):
        def bind(self, where: Any) -> None:
            number = bind(where)
            if number and len(failed) < times:
                failed.append(where)
                raise OSError(number, os.strerror(number))
            real(self, where)

    monkeypatch.setattr(socket, "socket", Socket)
    return failed


def test_a_family_that_the_machine_lacks_is_skipped(
    run: Run, resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        resolve("::1", "127.0.0.1")
        _fail(monkeypatch, bind=lambda where: errno.EADDRNOTAVAIL if ":" in where[0] else 0)
        listening = await listen(asyncio.Protocol, Address("somewhere", 0))
        port = listening.urls[0].rsplit(":", 1)[1]
        assert listening.urls == (f"pb://somewhere:{port}", f"pb://127.0.0.1:{port}")
        listening.close()

    run(main())


def test_a_machine_that_lacks_all_families_says_so(
    run: Run, resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        resolve("::1")
        _fail(monkeypatch, bind=lambda where: errno.EADDRNOTAVAIL)
        with pytest.raises(OSError, match="::1 port 0: Cannot assign") as caught:
            await listen(asyncio.Protocol, Address("somewhere", 0))
        assert caught.value.errno == errno.EADDRNOTAVAIL

    run(main())


def test_a_port_that_is_taken_is_refused(run: Run) -> None:
    async def main() -> None:
        first = await listen(asyncio.Protocol, Address("127.0.0.1", 0))
        port = int(first.urls[0].rsplit(":", 1)[1])
        with pytest.raises(OSError, match=f"127.0.0.1 port {port}: Address already in use"):
            await listen(asyncio.Protocol, Address("127.0.0.1", port))
        first.close()

    run(main())


def test_port_0_is_tried_again_if_the_next_address_has_that_port_taken(
    run: Run, resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        resolve("127.0.0.1", "127.0.0.2")
        second = lambda where: errno.EADDRINUSE if where[0] == "127.0.0.2" else 0  # noqa: E731
        failed = _fail(monkeypatch, bind=second, times=3)
        listening = await listen(asyncio.Protocol, Address("somewhere", 0))
        assert len(failed) == 3
        assert len(listening.urls) == 3
        assert len({url.rsplit(":", 1)[1] for url in listening.urls}) == 1
        listening.close()

    run(main())


def test_port_0_is_not_tried_for_ever(
    run: Run, resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        resolve("127.0.0.1", "127.0.0.2")
        second = lambda where: errno.EADDRINUSE if where[0] == "127.0.0.2" else 0  # noqa: E731
        failed = _fail(monkeypatch, bind=second)
        with pytest.raises(OSError, match="Address already in use"):
            await listen(asyncio.Protocol, Address("somewhere", 0))
        assert 2 <= len(failed) <= 100

    run(main())


def test_what_else_binding_says_is_not_hidden(
    run: Run, resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        resolve("127.0.0.1")
        _fail(monkeypatch, bind=lambda where: errno.EACCES)
        with pytest.raises(PermissionError, match=r"127.0.0.1 port 0"):
            await listen(asyncio.Protocol, Address("somewhere", 0))

    run(main())


def test_addresses_are_bound_where_options_differ(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On Windows SO_REUSEADDR would let another program take the port.
    async def main() -> None:
        set_options: list[int] = []

        class Socket(socket.socket):
            def setsockopt(self, *args: Any) -> None:
                set_options.append(args[1])
                super().setsockopt(*args)

        monkeypatch.setattr(socket, "socket", Socket)
        monkeypatch.setattr(os, "name", "nt")
        sockets = module._bind_all([(socket.AF_INET, ("127.0.0.1", 0))], 0)
        monkeypatch.undo()
        assert socket.SO_REUSEADDR not in set_options
        for sock in sockets:
            sock.close()

    run(main())


@pytest.mark.parametrize("step", range(4))
def test_cancelled_listening_leaves_no_socket(run: Run, place: Path, step: int) -> None:
    async def main() -> None:
        for address in (Address("127.0.0.1", 0), Address(path=str(place))):
            task = asyncio.create_task(listen(asyncio.Protocol, address))
            for _ in range(step):
                await asyncio.sleep(0)
            task.cancel()
            try:
                listening = await task
            except asyncio.CancelledError:
                assert not place.exists()
            else:
                listening.close()

    run(main())


def test_listening_that_fails_half_way_closes_all(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop: Any = _Loop(asyncio.get_running_loop(), _Names())

        async def create(*args: object, **options: object) -> None:
            raise OSError("no")

        loop.create_unix_server = create
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
        with pytest.raises(OSError, match="no"):
            await listen(asyncio.Protocol, Address(path=str(place)))
        assert not place.exists()

    run(main())


def test_a_unix_socket_is_its_owners_alone_and_removed_at_close(run: Run, place: Path) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address(path=str(place)))
        assert listening.urls == (f"pb+unix://{place}",)
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert await answers(place)
        listening.close()
        await asyncio.sleep(0)
        assert not place.exists()

    run(main())


def test_the_mode_of_a_unix_socket_is_what_was_asked_for(run: Run, place: Path) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address(path=str(place), mode=0o660))
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        listening.close()

    run(main())


def test_a_unix_socket_where_a_server_answers_is_refused(run: Run, place: Path) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address(path=str(place)))
        with pytest.raises(OSError, match="a server answers there") as caught:
            await listen(asyncio.Protocol, Address(path=str(place)))
        assert caught.value.errno == errno.EADDRINUSE
        assert await answers(place)
        listening.close()

    run(main())


def test_a_unix_socket_whose_server_is_busy_is_refused(run: Run, place: Path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
            busy.bind(str(place))
            busy.listen(0)
            first.connect(str(place))
            with pytest.raises(OSError, match="a server answers there"):
                await listen(asyncio.Protocol, Address(path=str(place)))

    run(main())


def test_a_dead_unix_socket_is_replaced(run: Run, place: Path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(place))
        assert place.exists()
        listening = await listen(asyncio.Protocol, Address(path=str(place)))
        assert await answers(place)
        listening.close()

    run(main())


def test_a_file_that_is_no_socket_is_left_alone(run: Run, place: Path) -> None:
    async def main() -> None:
        place.write_text("mine")
        with pytest.raises(FileExistsError, match="no socket"):
            await listen(asyncio.Protocol, Address(path=str(place)))
        assert place.read_text() == "mine"

    run(main())


def test_a_unix_socket_of_somebody_else_is_not_removed(run: Run, place: Path) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address(path=str(place)))
        # Somebody moved ours away and put their own there.
        place.rename(place.with_name("old"))
        place.write_text("theirs")
        listening.close()
        await asyncio.sleep(0)
        assert place.read_text() == "theirs"

    run(main())


def test_a_unix_socket_that_is_gone_already(run: Run, place: Path) -> None:
    async def main() -> None:
        listening = await listen(asyncio.Protocol, Address(path=str(place)))
        place.unlink()
        listening.close()

    run(main())


def test_a_unix_socket_that_goes_at_the_same_moment(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_inode", lambda path: (1, 1))
    Listening((), (), str(place), (1, 1)).close()


@pytest.mark.parametrize(("name", "text"), [("x" * 200, "too long"), ("no/such", "No such")])
def test_a_path_that_can_not_be_had(run: Run, place: Path, name: str, text: str) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=f"{name}: .*{text}"):
            await listen(asyncio.Protocol, Address(path=str(place.parent / name)))

    run(main())


# Out of file descriptors.


def _listener(told: list[OSError]) -> module._Listener:
    return module._Listener(module._bind(socket.AF_INET, ("127.0.0.1", 0)), told.append)


def _crowd(monkeypatch: pytest.MonkeyPatch, *answers: object) -> None:
    """Have the system answer this when somebody is accepted; None is somebody."""
    left = list(answers)

    def accept(self: socket.socket) -> tuple[socket.socket, Any]:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return socket.socket(), ("127.0.0.1", 5)

    monkeypatch.setattr(socket.socket, "accept", accept)


FULL = OSError(errno.EMFILE, "Too many open files")


def test_who_comes_without_a_descriptor_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[OSError] = []
    with _listener(told) as listener:
        _crowd(monkeypatch, FULL, None, FULL, None, FULL, BlockingIOError())
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert told == [FULL, FULL]
        # Somebody else may take what was kept, and give it back.
        _crowd(monkeypatch, FULL, FULL, None)
        listener.accept()[0].close()
        assert told == [FULL, FULL]
        _crowd(monkeypatch, OSError(errno.EBADF, "no"))
        with pytest.raises(OSError, match="no"):
            listener.accept()
        assert listener._spare is not None
    assert listener._spare is None


def test_a_listener_without_anything_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[OSError] = []
    with _listener(told) as listener:

        def lost() -> None:
            assert listener._spare is not None
            os.close(listener._spare)
            listener._spare = None

        def fail(*args: object) -> int:
            raise FULL

        lost()
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", fail)
            # One error makes asyncio wait, and no second one is needed.
            for error in (OSError, BlockingIOError, OSError):
                _crowd(patch, FULL)
                with pytest.raises(error) as caught:
                    listener.accept()
                assert type(caught.value) is error
        _crowd(monkeypatch, FULL, FULL, None, None)
        listener.accept()[0].close()
        assert told == [FULL]
    silent = module._Listener(module._bind(socket.AF_INET, ("127.0.0.1", 0)))
    with silent:
        _crowd(monkeypatch, FULL, None, None)
        silent.accept()[0].close()
