"""Limits of servers and times, through real connections: at the bound, and with others served."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pellucid
from pellucid import ConnectionLost, Limits, Server, ServerLimits
from pellucid.asyncio.gate import SHARE
from pellucid.banana import encode
from pellucid.limits import LOGIN_LIMITS
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import CHOICE, FREE, OFFER, Echo, Run, Waiting, failure, until
from tests.asyncio.realms import Realm, User, portal
from tests.processes import environment
from tools.modules import ROOT

ENDED = "the connection was ended: "


def port_of(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])


@contextmanager
def raw(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(server))) as sock:
        sock.setblocking(False)
        yield sock


async def hung_up(sock: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    loop, came = asyncio.get_running_loop(), b""
    try:
        while data := await loop.sock_recv(sock, 65536):
            came += data
    except ConnectionResetError:
        pass
    return came


def empty(server: Server) -> bool:
    gate = server._gate
    counts = (gate.connections, gate.handshakes, gate.total_bytes, gate.addresses, gate._charged)
    return not any(counts) and not server.connections


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("name", ["connections", "connections_per_address", "handshakes"])
@pytest.mark.parametrize("scheme", ["pb", "pbs"])
def test_the_newest_are_refused(
    run: Run,
    caplog: pytest.LogCaptureFixture,
    certificates: Certificates,
    name: str,
    scheme: str,
) -> None:
    secret = scheme == "pbs"
    server_ssl = certificates.server_tls() if secret else None
    client_ssl = certificates.client_tls() if secret else None
    most: dict[str, Any] = {name: 3}

    async def main() -> None:
        limits = ServerLimits(**most)
        url = SECURE if secret else FREE
        async with pellucid.serve(Echo(), url, ssl=server_ssl, server_limits=limits) as server:
            good = await pellucid.connect(server.url, ssl=client_ssl)
            quiet = 3 if name == "handshakes" else 2
            made = len(server.connections)
            with raw(server) as one, raw(server) as two, raw(server) as three:
                socks = [one, two, three][:quiet]
                await until(lambda: server._gate.handshakes >= quiet)
                with raw(server) as late:
                    assert await hung_up(late) == b""
                assert len(server.connections) == made + (0 if secret else quiet)
                # One of those that were too many, in the others' place.
                if quiet == 2:
                    assert await hung_up(three) == b""
                assert await good.root.call("echo", 1) == 1
                for sock in socks:
                    sock.close()
                await until(lambda: server._gate.connections == 1)
            async with pellucid.connect(server.url, ssl=client_ssl) as again:
                assert await again.root.call("echo", 2) == 2
            good.close()
            await until(lambda: empty(server))

    run(main())
    refused = [line for line in lines(caplog) if "refused" in line]
    assert refused
    for line in refused:
        assert line.startswith(f"{scheme}://127.0.0.1:")
        assert line.endswith(f"refused: server_limits.{name} is 3")


def test_who_is_refused_hears_of_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = ServerLimits(connections=1)
        async with (
            pellucid.serve(Echo(), FREE, server_limits=limits) as server,
            pellucid.connect(server.url) as connection,
        ):
            with pytest.raises(ConnectionLost):
                await pellucid.connect(server.url)
            assert await connection.root.call("echo", 1) == 1

    run(main())


def test_unix_sockets_are_no_address(run: Run, tmp_path: Any) -> None:
    async def main() -> None:
        limits = ServerLimits(connections_per_address=1)
        async with (
            pellucid.serve(Echo(), f"pb+unix://{tmp_path}/s", server_limits=limits) as server,
            pellucid.connect(server.url) as one,
            pellucid.connect(server.url) as two,
        ):
            assert await one.root.call("echo", 1) == await two.root.call("echo", 1) == 1

    run(main())


def test_a_connection_that_can_not_be_made_is_not_counted(run: Run, reports: Any) -> None:
    class Broken:
        def root_for(self, connection: object) -> pellucid.Root:
            raise KeyError("broken")

    async def main() -> None:
        async with pellucid.serve(Broken(), FREE) as server:
            with raw(server) as sock:
                assert await hung_up(sock) == b""
            assert empty(server)
            assert isinstance(reports.pop()["exception"], KeyError)

    run(main())


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"server_limits": Limits()}, TypeError, "takes a pellucid.ServerLimits, not Limits"),
        ({"login_limits": Limits()}, TypeError, "login_limits= is for a Portal"),
        ({"login_limits": 5}, TypeError, "login_limits= takes a pellucid.Limits, not int"),
    ],
)
def test_what_serve_refuses(given: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        pellucid.serve(Echo(), FREE, **given)


# What is held for all.


def test_total_bytes(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = ServerLimits(total_bytes=12 * SHARE)
        async with (
            pellucid.serve(Echo(), FREE, server_limits=limits) as server,
            pellucid.connect(server.url) as good,
        ):
            loop = asyncio.get_running_loop()
            with raw(server) as older, raw(server) as newer:
                # A string of 640,000 bytes that does not end.
                head = CHOICE + encode([b"x" * 640_000], "none")
                for sock in (older, newer):
                    await loop.sock_sendall(sock, head[: 8 * SHARE])
                    await asyncio.sleep(0.05)
                assert (await hung_up(newer)).startswith(OFFER)
                assert len(server.connections) == 2
                assert 5 * SHARE < server._gate.total_bytes <= 8 * SHARE
                assert await good.root.call("echo", "x" * 1000) == "x" * 1000
            await until(lambda: server._gate.connections == 1)
            assert server._gate.total_bytes == 0
            assert await good.root.call("echo", b"x" * 300_000) == b"x" * 300_000
            await until(lambda: server._gate.total_bytes == 0)
            good.close()
            await until(lambda: empty(server))

    run(main())
    (line,) = [line for line in lines(caplog) if ENDED in line]
    assert line.startswith("pb://127.0.0.1:")
    assert "server_limits.total_bytes is 786432" in line


def test_what_is_to_be_sent_is_counted(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Large(pellucid.Root):
        def remote_get(self) -> bytes:
            return b"x" * 640_000

    async def main() -> None:
        limits = ServerLimits(total_bytes=4_000_000)
        call = encode([b"message", 1, b"root", b"get", 1, [b"tuple"], [b"dictionary"]], "none")
        async with (
            pellucid.serve(Large(), FREE, server_limits=limits) as server,
            pellucid.connect(server.url) as good,
        ):
            loop = asyncio.get_running_loop()
            with raw(server) as sock:
                # It never reads.
                await loop.sock_sendall(sock, b"\x04\x82none" + call * 40)
                await until(lambda: len(server.connections) == 1)
                assert len(await good.root.call("get")) == 640_000
            good.close()
            await until(lambda: empty(server))

    run(main())
    assert [line for line in lines(caplog) if "server_limits.total_bytes is 4000000" in line]


# Times.


def test_login_time(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = Limits(login_time=0.2)
        async with pellucid.serve(portal(), FREE, login_limits=limits) as server:
            good = await pellucid.connect(server.url)
            user = await good.login("alice", "correct horse")
            idle = await pellucid.connect(server.url)
            assert server._gate.handshakes == 1
            await idle.wait_closed()
            assert await user.call("whoami") == "alice"
            good.close()
            await until(lambda: empty(server))

    run(main())
    (line,) = lines(caplog)
    assert line.endswith(f"{ENDED}nobody logged in within 0.2 s (limits.login_time)")


def test_handshakes_are_those_who_have_not_logged_in(run: Run) -> None:
    async def main() -> None:
        limits = ServerLimits(handshakes=2)
        async with pellucid.serve(portal(), FREE, server_limits=limits) as server:
            one = await pellucid.connect(server.url)
            two = await pellucid.connect(server.url)
            with pytest.raises(ConnectionLost):
                await pellucid.connect(server.url)
            await one.login("alice", "correct horse")
            three = await pellucid.connect(server.url)
            for connection in (one, two, three):
                connection.close()
            await until(lambda: empty(server))

    run(main())


def test_message_time(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = Limits(message_time=0.3)
        async with (
            pellucid.serve(Echo(), FREE, limits=limits) as server,
            pellucid.connect(server.url) as good,
        ):
            loop = asyncio.get_running_loop()
            began = loop.time()
            with raw(server) as sock:
                await loop.sock_sendall(sock, CHOICE + encode([b"x" * 1000], "none")[:10])
                hangs_up = asyncio.ensure_future(hung_up(sock))
                while not hangs_up.done():
                    # One byte after the other, and never the last one.
                    try:
                        await loop.sock_sendall(sock, b"\x01")
                        await asyncio.sleep(0.02)
                    except OSError:
                        break
                    assert await good.root.call("echo", 1) == 1
                await hangs_up
                assert 0.29 < loop.time() - began < 2
            good.close()
            await until(lambda: empty(server))

    run(main())
    (line,) = lines(caplog)
    assert line.endswith("a message was not complete after 0.3 s (limits.message_time)")


def test_messages_that_follow_each_other_in_pieces_are_in_time(run: Run) -> None:
    async def main() -> None:
        limits = Limits(message_time=0.1)
        async with pellucid.serve(Echo(), FREE, limits=limits) as server:
            loop = asyncio.get_running_loop()
            call = encode(
                [b"message", 1, b"root", b"echo", 0, [b"tuple", 1], [b"dictionary"]], "none"
            )
            with raw(server) as sock:
                await loop.sock_sendall(sock, b"\x04\x82none" + call[:5])
                for _ in range(12):
                    await asyncio.sleep(0.03)
                    await loop.sock_sendall(sock, call[5:] + call[:5])
                await loop.sock_sendall(sock, call[5:])
                await asyncio.sleep(0.15)
                (connection,) = server.connections
                assert not connection.closed
                assert connection._made_timers is None or "message" not in connection._timers
            await until(lambda: empty(server))

    run(main())


def test_what_waits_because_of_us_is_not_late(run: Run) -> None:
    async def main() -> None:
        limits = Limits(message_time=0.05, calls_running=1, calls_waiting=1)
        root = Waiting()
        async with (
            pellucid.serve(root, FREE, limits=limits) as server,
            pellucid.connect(server.url) as client,
        ):
            calls = [client.root.call("wait", n) for n in range(5)]
            await root.started.wait()
            await asyncio.sleep(0.2)
            root.go.set()
            assert await asyncio.gather(*calls) == list(range(5))
            (connection,) = server.connections
            await until(lambda: "message" not in connection._timers)

    run(main())


def test_idle_time(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        root = Waiting()
        limits = Limits(idle_time=0.2)
        async with pellucid.serve(root, FREE, limits=limits) as server:
            loop = asyncio.get_running_loop()
            busy = await pellucid.connect(server.url)
            running = await pellucid.connect(server.url)
            call = running.root.call("wait")
            began = loop.time()
            idle = await pellucid.connect(server.url)
            over = asyncio.ensure_future(idle.wait_closed())
            while not over.done():
                assert await busy.root.call("echo", 1) == 1
                await asyncio.sleep(0.02)
            assert 0.19 < loop.time() - began < 2
            assert not running.closed
            busy.close()
            root.go.set()
            await call
            await running.wait_closed()
            await until(lambda: empty(server))

    run(main())
    assert len(lines(caplog)) == 2
    for line in lines(caplog):
        assert line.endswith("nothing arrived for 0.2 s (limits.idle_time)")


def test_times_without_end(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        endless = float("inf")
        names = ("handshake", "login", "message", "idle", "keepalive", "stall", "close")
        limits = Limits(**{f"{name}_time": endless for name in names})  # type: ignore[arg-type]
        context = certificates.server_tls()
        client_context = certificates.client_tls()
        async with (
            pellucid.serve(Echo(), SECURE, ssl=context, limits=limits) as server,
            pellucid.connect(server.url, ssl=client_context, limits=limits) as client,
        ):
            assert await client.root.call("echo", b"x" * 600_000) == b"x" * 600_000

    run(main())


# Before and after a login.


class Sized(User):
    limits = Limits(message_bytes=400_000, log_lines=3, keepalive_time=4)

    def perspective_size(self, data: bytes) -> int:
        return len(data)


class Sizes(Realm):
    async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        return Sized("x", mind, self) if avatar_id == "alice" else Other("y", mind, self)


class Other(Sized):
    limits = None  # type: ignore[assignment]


def test_less_is_allowed_before_a_login(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = Limits(message_bytes=500_000)
        async with pellucid.serve(portal(Sizes()), FREE, limits=limits) as server:
            alice = await pellucid.connect(server.url)
            (one,) = server.connections
            assert one.limits is LOGIN_LIMITS
            _ = one.log
            user = await alice.login("alice", "correct horse")
            assert one.limits is Sized.limits
            assert one.log._most == 3
            assert await user.call("size", b"x" * 300_000) == 300_000
            sock = one._transport.get_extra_info("socket")  # type: ignore[union-attr]
            if sys.platform == "linux":
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 2
            bob = await pellucid.connect(server.url)
            other = await bob.login("bob", "battery staple")
            assert server.connections[1].limits is limits
            assert await other.call("size", b"x" * 450_000) == 450_000
            error = await failure(user.call("size", b"x" * 450_000))
            assert isinstance(error, ConnectionLost)
            # Of several logins the last one counts.
            await bob.login("alice", "correct horse")
            assert server.connections[-1].limits is Sized.limits
            early = await pellucid.connect(server.url)
            error = await failure(early.root.call("loginScram", b"x" * 80_000))
            assert isinstance(error, ConnectionLost)
            bob.close()
            await until(lambda: empty(server))

    run(main())
    assert len([line for line in lines(caplog) if "message_bytes" in line or "bytes" in line]) == 2


def test_login_limits_can_be_given(run: Run) -> None:
    async def main() -> None:
        limits = Limits(calls_running=7)
        async with (
            pellucid.serve(portal(), FREE, login_limits=limits) as server,
            pellucid.connect(server.url) as client,
        ):
            (connection,) = server.connections
            assert connection.limits is limits
            await client.login("alice", "correct horse")
            assert connection.limits == Limits()

    run(main())


def test_limits_of_an_avatar_that_are_none(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(User):
        limits = 5

    class Wrongs(Realm):
        async def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
            return Wrong("x", mind, self)

    async def main() -> None:
        realm = Wrongs()
        async with (
            pellucid.serve(portal(realm), FREE) as server,
            pellucid.connect(server.url) as client,
        ):
            with pytest.raises(pellucid.RemoteError, match=r"no pellucid\.Limits"):
                await client.login("alice", "correct horse")
            await until(lambda: realm.left == ["x"])
            assert server.connections[0].limits is LOGIN_LIMITS

    run(main())
    assert "the limits of a Wrong are no pellucid.Limits" in caplog.text


def test_a_root_has_its_limits_from_the_beginning(run: Run) -> None:
    async def main() -> None:
        limits = Limits(calls_running=7)
        async with (
            pellucid.serve(Echo(), FREE, limits=limits) as server,
            pellucid.connect(server.url),
        ):
            assert server.connections[0].limits is limits
            server.connections[0].logged_in(Limits())
            assert server.connections[0].limits is limits

    run(main())


# Out of descriptors.

_SHORT = """
import asyncio, logging, os, resource, socket, sys
import pellucid, uvloop

class Echo(pellucid.Root):
    def remote_echo(self, value):
        return value

async def main():
    loop = asyncio.get_running_loop()
    told = []
    loop.set_exception_handler(lambda loop, context: told.append(context))
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    server = await pellucid.serve(Echo(), "pb://127.0.0.1:0")
    there = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    good = await pellucid.connect(server.url)
    waiting = [socket.socket() for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
    first = []
    if sys.argv[2] == "few":
        while not first or first[-1] < 70:
            first.append(os.dup(0))
    else:
        while True:
            try:
                first.append(os.dup(0))
            except OSError:
                break
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(there)
        assert await loop.sock_recv(sock, 10) == b"", "not refused"
        assert await good.root.call("echo", 1) == 1
    for number in first:
        os.close(number)
    again = await pellucid.connect(server.url)
    assert await again.root.call("echo", 2) == 2
    for each in (good, again):
        each.close()
        await each.wait_closed()
    server.close()
    await server.wait_closed()
    assert server._gate.connections == 0
    print(len(told))

logging.basicConfig(format="%(message)s")
factory = uvloop.new_event_loop if sys.argv[1] == "uvloop" else asyncio.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("left", ["few", "none"])
def test_out_of_descriptors(kind: str, left: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SHORT, kind, left],
        env=environment([ROOT / "src"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n"
    said = done.stderr.splitlines()
    if left == "few":
        assert len(said) == 5
        assert all("refused: file descriptor" in line for line in said), said
        assert all(line.startswith("pb://127.0.0.1:") for line in said)
    elif kind == "asyncio":
        assert said == ["pb://127.0.0.1:0: somebody was turned away: Too many open files"] * 5
    else:
        # libuv does the same, and tells nobody.
        assert said == []
