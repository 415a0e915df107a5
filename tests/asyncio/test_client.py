"""Opening connections: what `connect` gives, and how it fails."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import pellucid
from pellucid import Connection, ConnectionLost, Limits, RemoteProtocolError
from pellucid.asyncio import link as connections
from pellucid.banana import encode
from tests.asyncio.pairs import FREE, Echo, Run, at_once, turn, until


class Oops(pellucid.Error):
    pass


class Failing(pellucid.Root):
    def remote_fail(self) -> None:
        raise Oops("no")


def test_connect_can_be_awaited(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            connection = await pellucid.connect(server.url)
            assert isinstance(connection, Connection)
            assert connection.peer == server.url
            assert await connection.root.call("echo", "hello network") == "hello network"
            connection.close()
            await connection.wait_closed()
            assert connection.closed

    run(main())


def test_connect_is_a_context_that_ends_in_close_and_wait_closed(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            async with pellucid.connect(server.url) as connection:
                assert await connection.root.call("echo", 1) == 1
            assert connection.closed
            at_once(connection.wait_closed())

    run(main())


def test_who_blocks_the_loop_behind_connect_has_told_the_server_what_it_needs(run: Run) -> None:
    """A server ends connections whose client does not choose a dialect in time."""
    chosen = threading.Event()

    def serve(listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with sock:
            sock.sendall(encode([b"pb"], "none"))
            if sock.recv(4) == encode(b"pb", "none"):
                chosen.set()
            # Until the client is through.
            while sock.recv(100):
                pass

    async def main(url: str) -> None:
        async with pellucid.connect(url):
            assert chosen.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        run(main(f"pb://127.0.0.1:{listening.getsockname()[1]}"))
        server.join(60)
        assert not server.is_alive()


def test_the_context_closes_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            inside = asyncio.Event()
            made: list[Connection] = []

            async def use() -> None:
                async with pellucid.connect(server.url) as connection:
                    made.append(connection)
                    inside.set()
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(use())
            await inside.wait()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            at_once(made[0].wait_closed())

    run(main())


def test_connect_over_a_unix_socket(run: Run) -> None:
    async def main() -> None:
        with TemporaryDirectory(prefix="pb") as place:
            url = f"pb+unix://{Path(place) / 'socket'}"
            async with pellucid.serve(Echo(), url), pellucid.connect(url) as connection:
                assert connection.peer == url
                assert await connection.root.call("echo", 1) == 1

    run(main())


def test_limits_and_registry_are_used(run: Run) -> None:
    async def main() -> None:
        class Known(pellucid.Error):
            pass

        registry = pellucid.Registry()
        registry.error(Known, name=f"{__name__}.Oops")
        limits = Limits(calls_pending=1)
        async with (
            pellucid.serve(Failing(), FREE) as server,
            pellucid.connect(server.url, limits=limits, registry=registry) as connection,
        ):
            first = connection.root.call("fail")
            with pytest.raises(pellucid.LimitExceeded) as caught:
                await connection.root.call("fail")
            assert caught.value.limit == "calls_pending"
            with pytest.raises(Known, match="no"):
                await first

    run(main())


@pytest.mark.parametrize("url", ["http://localhost", "pb://", "pb+unix://x/y"])
def test_a_url_that_can_not_be_read_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="pb"):
        pellucid.connect(url)


def test_nobody_there(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            # It is bound and does not listen, so nobody else can get it either.
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(OSError, match=r"(?i)refused|connect"):
                await pellucid.connect(f"pb://127.0.0.1:{sock.getsockname()[1]}")
        with pytest.raises(FileNotFoundError):
            await pellucid.connect("pb+unix:///no/such/socket")

    run(main())


@asynccontextmanager
async def server_that(
    act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
) -> AsyncIterator[str]:
    """A server that is none: it does `act` with whoever connects."""
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        act(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"pb://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in writers:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


async def connect_to(
    act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], **limits: float
) -> ConnectionLost:
    """The error of connecting to a server that is none. Nothing is left of the connection."""
    before = set(connections._open)
    async with server_that(act) as url:
        with pytest.raises(ConnectionLost) as caught:
            await pellucid.connect(url, limits=Limits(**limits))  # type: ignore[arg-type]
        assert url in str(caught.value)
        await until(lambda: all(one._done for one in set(connections._open) - before))
    return caught.value


def test_a_server_that_hangs_up(run: Run) -> None:
    error = run(connect_to(lambda _, writer: writer.close()))
    assert isinstance(error.__cause__, (EOFError, OSError))


def test_a_server_that_says_nothing(run: Run) -> None:
    error = run(connect_to(lambda *_: None, handshake_time=0.02))
    assert isinstance(error.__cause__, RemoteProtocolError)
    assert "no dialect was agreed within 0.02 s" in str(error)


def test_what_is_raised_is_not_logged_too(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(connect_to(lambda _, writer: writer.write(b"\x01\x80\x01\x82x")))
    run(connect_to(lambda *_: None, handshake_time=0.02))

    async def give_up() -> None:
        async with server_that(lambda *_: None) as url:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pellucid.connect(url), 0.02)

    run(give_up())
    assert caplog.records == []


def test_a_server_that_offers_no_known_dialect(run: Run) -> None:
    error = run(connect_to(lambda _, writer: writer.write(b"\x01\x80\x01\x82x")))
    assert isinstance(error.__cause__, RemoteProtocolError)
    assert "no dialect that is known here" in str(error)


def test_a_server_that_speaks_something_else(run: Run) -> None:
    error = run(connect_to(lambda _, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 9)))
    assert isinstance(error.__cause__, (RemoteProtocolError, pellucid.LimitExceeded))


@pytest.mark.parametrize("kind", ["await", "async with"])
def test_cancelled_connecting_leaves_nothing(run: Run, kind: str) -> None:
    async def main() -> None:
        met = asyncio.Event()
        gone = asyncio.Event()

        async def watch(reader: asyncio.StreamReader) -> None:
            met.set()
            try:
                await reader.read()
            except ConnectionResetError:
                pass
            gone.set()

        tasks: list[asyncio.Task[None]] = []

        async def use(url: str) -> None:
            if kind == "await":
                await pellucid.connect(url)
            else:
                async with pellucid.connect(url):
                    raise AssertionError("not reached")

        async with server_that(lambda r, _: tasks.append(asyncio.create_task(watch(r)))) as url:
            task = asyncio.create_task(use(url))
            await met.wait()
            # It waits for the list of dialects now.
            await turn()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()
            await tasks[0]

    run(main())
