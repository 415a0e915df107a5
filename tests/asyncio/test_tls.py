"""TLS: who gets through, what either side is told when it fails, and an end that loses nothing."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import pellucid
from pellucid import Connection, ConnectionLost, Limits, banana
from pellucid.asyncio import tls
from pellucid.asyncio.url import parse
from tests.asyncio.certificates import SECURE, Certificates, lock
from tests.asyncio.pairs import (
    CHOICE,
    FREE,
    OFFER,
    OWN_CHOICE,
    Echo,
    Pair,
    Run,
    Seeing,
    Thing,
    failure,
    left,
    tables,
    until,
)


@asynccontextmanager
async def secure(
    certificates: Certificates,
    root: object = None,
    *,
    client: str | None = None,
    limits: Limits | None = None,
    client_limits: Limits | None = None,
) -> AsyncIterator[Pair]:
    """Both ends of a connection under TLS, which in the end owe and hold nothing."""
    context = certificates.server_tls(clients=client is not None)
    async with pellucid.serve(root or Echo(), SECURE, ssl=context, limits=limits) as server:
        ours = await pellucid.connect(
            server.url, ssl=certificates.client_tls(client), limits=client_limits
        )
        theirs = server.connections[0]
        yield Pair(ours, theirs)
        ours.close()
        await ours.wait_closed()
        await theirs.wait_closed()
        assert left(ours) == left(theirs) == {}


# Who gets through.


def test_a_call_under_tls(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with secure(certificates) as (client, server):
            assert await client.root.call("echo", "hello network") == "hello network"
            assert client.encrypted
            assert server.encrypted
            assert client.peer.startswith("pbs://127.0.0.1:")
            assert server.peer.startswith("pbs://127.0.0.1:")
            assert server.host == "127.0.0.1"
            assert not server.unix
            assert server.certificate is None
            assert client.certificate is not None
            assert client.certificate.ip_addresses == ("127.0.0.1",)
            assert client.certificate.dns_names == ("localhost",)

    run(main())


def test_without_tls_nothing_is_encrypted(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server, pellucid.connect(server.url) as client:
            assert not client.encrypted
            assert client.certificate is None

    run(main())


def test_a_client_shows_its_certificate(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with secure(certificates, client="alice") as (client, server):
            assert await client.root.call("echo", 1) == 1
            found = server.certificate
            assert found is not None
            assert found.common_name == "alice"
            assert found.email_addresses == ("alice@example.com",)
            assert found.names == ("alice", "alice@example.com")
            assert repr(found) == "<Certificate alice, alice@example.com>"
            assert len(found.der) > 100

    run(main())


def test_the_system_knows_no_such_authority(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls()) as server:
            with pytest.raises(ConnectionLost, match="the certificate is refused: unable to get"):
                await pellucid.connect(server.url)
            await until(lambda: bool(caplog.records))
            assert server.connections == ()

    run(main())
    # asyncio does not tell the other side why.
    assert "TLS handshake failed: the other side closed the connection" in caplog.text
    assert caplog.records[0].getMessage().startswith("pbs://127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("expired", "certificate has expired"),
        ("elsewhere", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("stranger", "unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_the_client_refuses(
    run: Run,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str,
    text: str,
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls(name)) as server:
            with pytest.raises(ConnectionLost, match="no PB connection to pbs://") as caught:
                await pellucid.connect(server.url, ssl=certificates.client_tls())
            assert f"the certificate is refused: {text}" in str(caught.value)
            assert server.url in str(caught.value)
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            await until(lambda: bool(caplog.records))
            assert server.connections == ()

    run(main())
    assert "TLS handshake failed: the other side closed the connection" in caplog.text


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        (None, "the client shows no certificate"),
        ("stranger", "the certificate is refused: unable to get local issuer"),
    ],
)
def test_a_client_without_a_certificate_that_the_server_knows(
    run: Run,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    name: str | None,
    logged: str,
) -> None:
    async def main() -> None:
        context = certificates.server_tls(clients=True)
        async with pellucid.serve(Echo(), SECURE, ssl=context) as server:
            text = "closed the connection during opening; it may want a certificate of the client"
            with pytest.raises(ConnectionLost, match=text) as caught:
                await pellucid.connect(server.url, ssl=certificates.client_tls(name))
            assert isinstance(caught.value.__cause__, (EOFError, OSError))
            await until(lambda: bool(caplog.records))
            assert server.connections == ()
            # The others are served.
            async with pellucid.connect(
                server.url, ssl=certificates.client_tls("alice")
            ) as connection:
                assert await connection.root.call("echo", 1) == 1

    run(main())
    assert f"TLS handshake failed: {logged}" in caplog.text


# One side speaks TLS, the other does not.


def test_a_client_with_tls_and_a_server_without(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            url = server.url.replace("pb:", "pbs:")
            text = f"no PB connection to {url}: the server does not speak TLS; is it a pb:// addr"
            with pytest.raises(ConnectionLost, match=text):
                await pellucid.connect(url, ssl=certificates.client_tls())
            await until(lambda: server.connections == ())

    run(main())


def test_a_client_without_tls_and_a_server_with(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for mine, its in ((0.02, 5.0), (5.0, 0.02)):
            async with pellucid.serve(
                Echo(),
                SECURE,
                ssl=certificates.server_tls(),
                limits=Limits(handshake_time=its),
            ) as server:
                url = server.url.replace("pbs:", "pb:")
                with pytest.raises(ConnectionLost, match="if the server speaks TLS, use pbs://"):
                    await pellucid.connect(url, limits=Limits(handshake_time=mine))
                await until(lambda s=server: not s._handshakes)  # type: ignore[misc]

    run(main())
    assert "TLS handshake failed: it took too long" in caplog.text


def test_who_speaks_no_tls_is_logged(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls()) as server:
            for data in (b"\x02\x82pb" * 10, b"GET / HTTP/1.1\r\n\r\n"):
                await _throw(server.url, data)

    run(main())
    assert caplog.text.count("TLS handshake failed: the other side does not speak TLS") == 2


def test_a_flood_of_failures_does_not_fill_the_log(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls()) as server:
            for _ in range(15):
                await _throw(server.url, b"x" * 50)

    run(main())
    assert len(caplog.records) == 11
    assert "left out" in caplog.records[-1].getMessage()


async def _plain(url: str) -> socket.socket:
    """A socket that is connected to a server."""
    sock = socket.socket()
    sock.setblocking(False)
    port = int(url.rsplit(":", 1)[1])
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


async def _throw(url: str, data: bytes) -> None:
    """Send what is no TLS, until the other side hangs up."""
    with await _plain(url) as sock:
        sock.sendall(data)
        await until(lambda: _ended(sock))


def _ended(sock: socket.socket) -> bool:
    """Tell whether the other side has hung up."""
    try:
        return not sock.recv(65536)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_half_open_handshakes_end_with_their_server(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls())
        socks = [await _plain(server.url) for _ in range(30)]
        for sock in socks[::2]:
            # The beginning of a greeting.
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        async with pellucid.connect(server.url, ssl=certificates.client_tls()) as connection:
            assert await connection.root.call("echo", 1) == 1
            await until(lambda: len(server._handshakes) == 30)
            assert len(server.connections) == 1
            server.close()
            await server.wait_closed()
            assert not server._handshakes
        for sock in socks:
            await until(lambda s=sock: _ended(s))  # type: ignore[misc]
            sock.close()

    run(main())
    assert caplog.records == []


def test_a_client_that_comes_while_the_server_closes(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls())
        server.close()
        secret = server._accept_secret()
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: secret, ours)
            await until(lambda: _ended(theirs))
        await server.wait_closed()

    run(main())


def test_a_client_that_gives_up_leaves_nothing(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            url = f"pbs://127.0.0.1:{listener.getsockname()[1]}"
            opening = pellucid.connect(url, ssl=certificates.client_tls())
            task = asyncio.create_task(opening._open())
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with sock:
                assert await asyncio.get_running_loop().sock_recv(sock, 1) == b"\x16"
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await until(lambda: _ended(sock))

    run(main())


def test_a_server_that_hangs_up_in_the_handshake(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            url = f"pbs://127.0.0.1:{listener.getsockname()[1]}"
            closed = "closed the connection during the TLS handshake; it may not speak TLS"
            for act, text in (("close", closed), ("wait", "took too long")):
                opening = pellucid.connect(
                    url,
                    ssl=certificates.client_tls(),
                    limits=Limits(handshake_time=5 if act == "close" else 0.05),
                )
                task = asyncio.create_task(opening._open())
                sock, _ = await asyncio.get_running_loop().sock_accept(listener)
                with sock:
                    await asyncio.get_running_loop().sock_recv(sock, 65536)
                    if act == "close":
                        sock.close()
                    with pytest.raises(ConnectionLost, match=text):
                        await task

    run(main())


# The end.


def test_big_transfers_both_ways(run: Run, eager: bool, certificates: Certificates) -> None:
    class Root(Echo):
        async def remote_pull(self, other: pellucid.RemoteReference, data: bytes) -> int:
            answers = await asyncio.gather(*(other.call("echo", data) for _ in range(8)))
            return sum(map(len, answers))

    async def main() -> None:
        data = b"x" * 600_000
        async with secure(certificates, Root()) as (client, _):
            calls = [client.root.call("pull", Echo(), data) for _ in range(4)]
            calls += [client.root.call("echo", data) for _ in range(8)]
            answers = await asyncio.gather(*calls)
            assert answers == [8 * len(data)] * 4 + [data] * 8

    run(main())


@pytest.mark.parametrize("size", [1, 100_000])
def test_notify_then_close_runs_all_the_notifies(
    run: Run, certificates: Certificates, size: int
) -> None:
    async def main() -> None:
        for limits in (Limits(), Limits(calls_per_turn=1), Limits(calls_waiting=2)):
            root = Seeing()
            async with secure(certificates, root, limits=limits) as (client, server):
                # What comes back, answers and releases, comes back to somebody who is leaving.
                calls = [client.root.call("see", n, b"x" * size, Thing()) for n in range(50)]
                for n in range(50, 100):
                    client.root.notify("see_later", n, b"x" * size, Thing())
                client.close()
                await asyncio.wait(calls)
                await server.wait_closed()
                assert root.seen == list(range(100))
                for call in calls:
                    call.exception()
                assert tables(server) == (0, 0)

    run(main())


def test_the_answer_of_the_call_that_closes_still_goes_out(
    run: Run, certificates: Certificates
) -> None:
    class Root(pellucid.Root):
        connection: Connection

        def remote_bye(self, size: int) -> bytes:
            self.connection.close()
            return b"x" * size

    async def main() -> None:
        for size in (1, 640_000):
            root = Root()
            async with secure(certificates, root) as (client, server):
                root.connection = server
                call = client.root.call("bye", size)
                for _ in range(20):
                    client.root.notify("nothing", b"x" * 300_000)
                assert len(await call) == size
                await client.wait_closed()

    run(main())


@pytest.mark.parametrize(
    ("tail", "ended"),
    [
        (b"", False),
        (b"\x17\x03\x03\x00\x13" + bytes(19), True),
        (bytes(40) + b"\x17\x03\x03\x00\x13" + bytes(19), True),
        (b"\x17\x03\x03\x00\x13" + bytes(18), False),
        (b"\x17\x03\x03\x00\x14" + bytes(20), False),
        (b"\x17\x03\x03\x00\x13" + bytes(19) + b"\x17\x03\x03\x00\x20" + bytes(32), False),
        (b"\x15\x03\x03\x00\x1a" + bytes(26), True),
        (b"\x15\x03\x03\x00\x02\x01\x00", True),
    ],
)
def test_the_end_of_tls_is_known_from_outside(tail: bytes, ended: bool) -> None:
    assert tls._is_end(tail) is ended


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_both_sides_close_at_the_same_time(
    run: Run, certificates: Certificates, size: int, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        context = certificates.server_tls()
        context.maximum_version = version
        # It takes far less than `close_time`.
        limits = Limits(close_time=60)
        server = await pellucid.serve(Echo(), SECURE, ssl=context, limits=limits)
        client = await pellucid.connect(server.url, ssl=certificates.client_tls(), limits=limits)
        for _ in range(size // 500_000):
            client.root.notify("nothing", b"x" * 500_000)
        client.close()
        server.close()
        async with asyncio.timeout(5):
            await client.wait_closed()
            await server.wait_closed()
        assert client._error is None

    run(main())


def test_close_while_reading_rests(run: Run, certificates: Certificates) -> None:
    """What has arrived and is not read yet does not spoil the end."""

    class Root(Seeing):
        def __init__(self) -> None:
            super().__init__()
            self.go = asyncio.Event()

        async def remote_wait(self) -> None:
            await self.go.wait()

        def remote_see(self, n: int, *more: object) -> None:
            super().remote_see(n)

    async def main() -> None:
        root, mine = Root(), Seeing()
        limits = Limits(calls_running=1, calls_waiting=2)
        async with secure(certificates, root, limits=limits) as (client, server):
            held = client.root.call("wait")
            for n in range(50):
                client.root.notify("see", n, b"x" * 30_000)
            await until(lambda: not server._turns.reading)
            del mine
            server.close()
            assert isinstance(await failure(held), ConnectionLost)
            await server.wait_closed()
            await client.wait_closed()
            assert client._error is None or isinstance(client._error, EOFError)

    run(main())


class _Hand:
    """TLS by hand on a plain socket, which does what asyncio would not."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "127.0.0.1"
        self.tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)

    async def do(self, act: Any, *args: Any) -> Any:
        """Do one thing, with all the bytes that it takes but the last ones that it sends."""
        while True:
            try:
                return act(*args)
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self._loop.sock_recv(self.sock, 65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    async def shake_hands(self) -> None:
        """Do the whole handshake."""
        await self.do(self.tls.do_handshake)
        await self.flush()

    async def flush(self) -> None:
        """Send what is to be sent, all in one piece."""
        await self._loop.sock_sendall(self.sock, self._out.read())

    async def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.tls.write(data)
        await self.flush()

    def end(self) -> None:
        """Say that this side ends, and do not wait for the other one."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()


async def by_hand(server: pellucid.Server, certificates: Certificates) -> tuple[_Hand, Connection]:
    """A client by hand, and the server's end of its connection."""
    client = _Hand(await _plain(server.url), certificates.client_tls(), server=False)
    await client.shake_hands()
    offer = b""
    while len(offer) < len(OFFER):
        offer += await client.do(client.tls.read, 1000)
    assert offer == OFFER
    await client.send(CHOICE)
    await until(lambda: bool(server.connections) and server.connections[-1]._broker.ready)
    return client, server.connections[-1]


def _call(name: str, *args: object) -> bytes:
    message = [b"message", 1, b"root", name.encode(), 1, [b"tuple", *args], [b"dictionary"]]
    return banana.encode(message, "pb")


def test_a_peer_that_does_not_answer_the_end_of_tls(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        limits = Limits(close_time=0.05)
        context = certificates.server_tls()
        async with pellucid.serve(Echo(), SECURE, ssl=context, limits=limits) as server:
            client, connection = await by_hand(server, certificates)
            with client.sock:
                connection.close()
                # It does not even read.
                await connection.wait_closed()
                assert connection._error is None
            client, connection = await by_hand(server, certificates)
            with client.sock:
                connection.close()
                while await client.do(client.tls.read, 1000):
                    pass
                # It has seen the end, and says no such thing.
                await connection.wait_closed()

    run(main())


def test_a_peer_that_ends_without_the_end_of_tls(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), SECURE, ssl=certificates.server_tls()) as server:
            client, connection = await by_hand(server, certificates)
            client.sock.close()
            await connection.wait_closed()
            assert isinstance(connection._error, (EOFError, OSError))

    run(main())


def test_calls_that_come_together_with_the_end_are_run(
    run: Run, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        root = Seeing()
        async with pellucid.serve(root, SECURE, ssl=certificates.server_tls()) as server:
            client, connection = await by_hand(server, certificates)
            for n in range(20):
                client.tls.write(_call("see", n))
            client.end()
            await client.flush()
            await connection.wait_closed()
            assert root.seen == list(range(20))
            client.sock.close()

    run(main())
    assert caplog.records == []


def test_what_the_transport_below_holds_counts_as_unsent(
    run: Run, certificates: Certificates
) -> None:
    async def main() -> None:
        limits = Limits(stall_time=0.05)
        context = certificates.server_tls()
        async with pellucid.serve(Echo(), SECURE, ssl=context, limits=limits) as server:
            client, connection = await by_hand(server, certificates)
            with client.sock:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                for _ in range(20):
                    await client.send(_call("echo", b"x" * 600_000))
                # It takes no answer.
                await connection.wait_closed()
                assert isinstance(connection._error, pellucid.LimitExceeded)
                assert connection._error.limit == "stall_time"

    run(main())


def test_what_a_server_says_together_with_its_handshake(
    run: Run, certificates: Certificates
) -> None:
    async def main() -> None:
        context = certificates.server_tls()
        # Here the server has the last word of the handshake.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            url = f"pbs://127.0.0.1:{listener.getsockname()[1]}"
            opening = pellucid.connect(url, ssl=certificates.client_tls())
            task = asyncio.create_task(opening._open())
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with sock:
                server = _Hand(sock, context, server=True)
                await server.do(server.tls.do_handshake)
                server.tls.write(OFFER)
                await server.flush()
                connection = await task
                assert await server.do(server.tls.read, 1000) == OWN_CHOICE
            await connection.wait_closed()

    run(main())


def test_what_a_client_says_together_with_its_handshake(
    run: Run, certificates: Certificates
) -> None:
    async def main() -> None:
        root = Seeing()
        async with pellucid.serve(root, SECURE, ssl=certificates.server_tls()) as server:
            client = _Hand(await _plain(server.url), certificates.client_tls(), server=False)
            await client.do(client.tls.do_handshake)
            client.tls.write(CHOICE + _call("see", 1))
            client.tls.write(_call("see", 2))
            client.end()
            await client.flush()
            await until(lambda: root.seen == [1, 2])
            await until(lambda: not server.connections)
            client.sock.close()

    run(main())


def test_what_a_client_says_before_the_handshake_begins(
    run: Run, certificates: Certificates
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            client = _Hand(theirs, certificates.client_tls(), server=False)
            plain, secret = await loop.create_connection(tls.Secret, sock=ours)
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.do_handshake()
            await client.flush()
            await until(lambda: bool(secret.early))
            connection, _ = await asyncio.gather(
                tls.handshake(
                    plain, lambda: Connection("server"), certificates.server_tls(), Limits()
                ),
                client.shake_hands(),
            )
            assert await client.do(client.tls.read, 1000) == OFFER
            connection.close()
            theirs.close()
            await connection.wait_closed()

    run(main())


def test_who_is_gone_before_the_handshake_begins(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for early in (True, False):
            ours, theirs = socket.socketpair()
            plain, _ = await loop.create_connection(tls.Secret, sock=ours)
            task = asyncio.ensure_future(
                tls.handshake(plain, Echo, certificates.server_tls(), Limits())  # type: ignore[type-var]
            )
            if not early:
                await asyncio.sleep(0)
            plain.abort()
            with pytest.raises(ConnectionResetError):
                await task
            theirs.close()

    run(main())


# Contexts.


def test_which_contexts_fit_which_urls(certificates: Certificates) -> None:
    server, client = certificates.server_tls(), certificates.client_tls()
    with pytest.raises(ValueError, match=r"pbs:// needs ssl="):
        pellucid.serve(Echo(), SECURE)
    for url in (FREE, "pb+unix:///x"):
        with pytest.raises(ValueError, match="ssl= is for pbs:// only"):
            pellucid.serve(Echo(), url, ssl=server)
        with pytest.raises(ValueError, match="ssl= is for pbs:// only"):
            pellucid.connect(url, ssl=client)
    with pytest.raises(ValueError, match="for the other side: a server's is needed"):
        pellucid.serve(Echo(), SECURE, ssl=client)
    with pytest.raises(ValueError, match="for the other side: a client's is needed"):
        pellucid.connect(SECURE, ssl=server)
    with pytest.raises(TypeError, match=r"takes an ssl.SSLContext, not bool"):
        pellucid.connect(SECURE, ssl=True)  # type: ignore[call-overload]
    tls.check(parse("pbs://x"), None, "client")


def test_files_that_can_not_be_used(certificates: Certificates, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    for use in (
        pellucid.server_tls,
        pellucid.client_tls,
        lambda none: pellucid.server_tls(certificates.server, none),
    ):
        with pytest.raises(FileNotFoundError, match=str(tmp_path / "none")):
            use(tmp_path / "none")
    unfit = "no certificate, no key that fits, or a wrong password in"
    authority, server = certificates.authority, certificates.server
    uses: list[tuple[Callable[[], object], str]] = [
        (lambda: pellucid.server_tls(empty), f"{empty}"),
        (lambda: pellucid.server_tls(server, empty), f"{server} and {empty}"),
        (
            lambda: pellucid.server_tls(server, certificates.alice),
            f"{server} and {certificates.alice}",
        ),
        (lambda: pellucid.client_tls(authority, certificate=authority), f"{authority}"),
    ]
    for make, files in uses:
        with pytest.raises(ValueError, match=unfit) as caught:
            make()
        assert str(caught.value) == f"{unfit} {files}"
        assert isinstance(caught.value.__cause__, ssl.SSLError)
    with pytest.raises(ValueError, match="no certificates in") as caught:
        pellucid.client_tls(empty)
    assert str(caught.value) == f"no certificates in {empty}"
    with pytest.raises(ValueError, match="a key without its certificate"):
        pellucid.client_tls(certificates.authority, key=certificates.alice)


def test_a_file_that_the_library_finds_too_weak(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weak(*_: object) -> None:
        raise _said("EE_KEY_TOO_SMALL")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", weak)
    with pytest.raises(ValueError, match="can't be used: ee key too small") as caught:
        pellucid.server_tls(certificates.server)
    assert str(caught.value).startswith(f"{certificates.server} ")


def test_a_key_with_a_password(certificates: Certificates) -> None:
    locked = lock(certificates, "server", "secret")
    pellucid.server_tls(certificates.server, locked, password="secret")
    pellucid.server_tls(certificates.server, locked, password=lambda: "secret")
    with pytest.raises(ValueError, match="the key is encrypted: its password is needed"):
        pellucid.server_tls(certificates.server, locked)
    with pytest.raises(
        ValueError, match=f"or a wrong password in {certificates.server} and {locked}"
    ):
        pellucid.server_tls(certificates.server, locked, password="wrong")


# What is said.


class _Shown:
    """A transport, and the TLS object that it has, whose peer shows a certificate."""

    def __init__(self, fields: dict[str, Any] | None) -> None:
        self.fields = fields

    def get_extra_info(self, name: str) -> "_Shown":
        assert name == "ssl_object"
        return self

    def getpeercert(self, binary_form: bool = False) -> Any:
        return b"der" if binary_form else self.fields


def test_the_names_in_a_certificate() -> None:
    shown: Any = _Shown(
        {
            "subject": (
                (("commonName", "all"),),
                (("organizationName", "x"), ("commonName", "one")),
            ),
            "subjectAltName": (
                ("DNS", "a.example"),
                ("URI", "spiffe://a/b"),
                ("IP Address", "::1"),
                ("DNS", "one"),
                ("email", "c@d.example"),
                ("DirName", "other"),
            ),
        }
    )
    found = tls.certificate_of(shown)
    assert found == tls.Certificate(
        common_name="one",
        dns_names=("a.example", "one"),
        email_addresses=("c@d.example",),
        uris=("spiffe://a/b",),
        ip_addresses=("::1",),
        der=b"der",
    )
    assert found.names == ("one", "a.example", "c@d.example", "spiffe://a/b", "::1")
    nameless: Any = _Shown({"subject": ()})
    found = tls.certificate_of(nameless)
    assert found is not None
    assert found.names == ()
    nothing: tuple[dict[str, Any] | None, ...] = ({}, None)
    for fields in nothing:
        # Shown, and not verified.
        unverified: Any = _Shown(fields)
        assert tls.certificate_of(unverified) is None


def _said(reason: str | None, text: str = "text") -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (_said("WRONG_VERSION_NUMBER"), "the other side does not speak TLS"),
        (_said("HTTP_REQUEST"), "the other side does not speak TLS"),
        (_said("TLSV1_ALERT_UNKNOWN_CA"), "the other side refused: unknown ca"),
        (_said("SSLV3_ALERT_BAD_CERTIFICATE"), "the other side refused: bad certificate"),
        (_said("NO_SHARED_CIPHER"), "there is no cipher that both sides have"),
        (_said("SOMETHING_ELSE"), "something else"),
        (_said(None, "[SSL] PEM lib (_ssl.c:1)"), "[SSL] PEM lib (_ssl.c:1)"),
        (ConnectionAbortedError("SSL handshake is taking longer"), "it took too long"),
        (ConnectionResetError(), "the other side closed the connection"),
        (BrokenPipeError(), "the other side closed the connection"),
        (OSError("no route"), "no route"),
        (EOFError(), "EOFError"),
    ],
)
def test_what_is_said_of_an_error(error: BaseException, text: str) -> None:
    assert tls.explain(error) == text


def test_the_error_of_a_client() -> None:
    address = parse("pbs://x:5")
    lost = tls.lost(address, _said("RECORD_LAYER_FAILURE"))
    assert str(lost) == (
        "no PB connection to pbs://x:5: the server does not speak TLS; is it a pb:// address?"
    )
    assert str(tls.lost(address, OSError("no"))) == "no PB connection to pbs://x:5: no"
    assert str(tls.lost(address, ConnectionResetError())) == (
        "no PB connection to pbs://x:5: the other side closed the connection during the TLS "
        "handshake; it may not speak TLS"
    )
