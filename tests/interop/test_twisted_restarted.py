"""Real Twisted servers that are killed and started again, and clients that connect again."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator

import pytest

import pellucid
from pellucid import (
    Backoff,
    Connection,
    ConnectionLost,
    DeadReferenceError,
    RemoteReference,
    blocking,
)
from tests.asyncio.pairs import Run, failure, tables
from tests.blocking import threads
from tests.processes import running

SERVER = ("-m", "tests.interop.peers.twisted_server")
QUICK = Backoff(first=0.001, most=0.05)


@pytest.fixture
def port() -> Iterator[str]:
    """A port that is this test's for its time: it is bound here, and heard on by its servers."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield str(bound.getsockname()[1])


def test_a_client_connects_again(run: Run, port: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pellucid")

    async def main() -> None:
        found: list[RemoteReference] = []

        async def fetch(connection: Connection) -> None:
            found.append(await connection.root.call("getTwo"))

        url = f"pb://127.0.0.1:{port}"
        opening = pellucid.connect(url, reconnect=QUICK, on_connect=fetch)
        # Before there is a server.
        entering = asyncio.create_task(opening.__aenter__())
        for tries in range(1, 4):
            with running(*SERVER, port) as program:
                client = await entering
                await asyncio.to_thread(program.line)
                connection = await client.ready()
                assert len(found) == tries
                assert await connection.root.call("echo", [tries]) == [tries]
                assert await found[-1].call("three", tries) == tries
                assert found[-1].connection is connection
                # This one will not be answered.
                program.send(signal.SIGSTOP)
                call = connection.root.call("echo", tries)
                await asyncio.to_thread(program.stop, signal.SIGKILL)
            assert isinstance(await failure(call), ConnectionLost)
            assert isinstance(await failure(found[-1].call("three", 1)), DeadReferenceError)
            await connection.wait_closed()
            assert tables(connection) == (0, 0)
        client.close()
        await client.wait_closed()

    run(main())
    assert caplog.messages.count(f"pb://127.0.0.1:{port}: connected") == 3


def test_for_threads(port: str) -> None:
    with running(*SERVER, port) as program:
        program.line()
        client = blocking.connect(f"pb://127.0.0.1:{port}", reconnect=QUICK)
        first = client.ready()
        assert first.root.call("echo", 1) == 1
        program.stop(signal.SIGKILL)
    with running(*SERVER, port) as program:
        program.line()
        threads.until(lambda: client.connection not in {None, first})
        assert client.ready().root.call("echo", 2) == 2
        client.close()
        program.stop()
