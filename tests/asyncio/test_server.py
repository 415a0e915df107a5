"""Serving: `serve`, what a server knows of its connections, and its end."""

import asyncio
import gc
import logging
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import ref

import pytest

import pellucid
from pellucid import Connection, ConnectionLost, Limits, LocalProtocolError, Server
from pellucid.asyncio import server as module
from pellucid.asyncio import url
from pellucid.banana import encode
from tests.asyncio.certificates import SECURE, Certificates
from tests.asyncio.pairs import (
    CHOICE,
    FREE,
    OFFER,
    Echo,
    Reports,
    Run,
    Thing,
    Waiting,
    at_once,
    failure,
    until,
)


def test_serve_can_be_awaited(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        assert isinstance(server, Server)
        assert server.url == server.urls[0]
        assert repr(server) == f"<Server at {server.url}>"
        async with pellucid.connect(server.url) as connection:
            assert await connection.root.call("echo", 1) == 1
        server.close()
        assert repr(server) == f"<Server closed {server.url}>"
        await server.wait_closed()
        with pytest.raises(OSError, match=r"(?i)refused|connect"):
            await pellucid.connect(server.url)

    run(main())


def test_serve_is_a_context_that_ends_in_close_and_wait_closed(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            connection = await pellucid.connect(server.url)
            assert await connection.root.call("echo", 1) == 1
        at_once(server.wait_closed())
        assert server.connections == ()
        await connection.wait_closed()

    run(main())


def test_a_server_that_was_awaited_is_a_context_too(run: Run) -> None:
    async def main() -> None:
        async with await pellucid.serve(Echo(), FREE) as server:
            pass
        at_once(server.wait_closed())

    run(main())


def test_the_context_closes_also_when_cancelled(run: Run) -> None:
    async def main() -> None:
        inside = asyncio.Event()
        servers: list[Server] = []
        root = Waiting()

        async def use() -> None:
            async with pellucid.serve(root, FREE) as server:
                servers.append(server)
                inside.set()
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(use())
        await inside.wait()
        connection = await pellucid.connect(servers[0].url)
        call = connection.root.call("wait")
        await root.started.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert root.ended == ["cancelled"]
        assert isinstance(await failure(call), pellucid.ConnectionLost)
        at_once(servers[0].wait_closed())
        await connection.wait_closed()

    run(main())


def test_serve_forever_ends_with_the_server(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        task = asyncio.create_task(server.serve_forever())
        async with pellucid.connect(server.url) as connection:
            assert await connection.root.call("echo", 1) == 1
        assert not task.done()
        server.close()
        await task

    run(main())


def test_serve_forever_closes_when_cancelled(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        task = asyncio.create_task(server.serve_forever())
        connection = await pellucid.connect(server.url)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        at_once(server.wait_closed())
        await connection.wait_closed()

    run(main())


def test_connections_oldest_first(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            assert not server.connections
            clients: list[Connection] = []
            for n in range(1, 4):
                clients.append(await pellucid.connect(server.url))
                assert len(server.connections) == n
            first, second, third = list(server.connections)
            assert all(one.peer.startswith("pb://127.0.0.1:") for one in server.connections)
            await _closed(clients[1])
            await second.wait_closed()
            assert list(server.connections) == [first, third]
            first.close()
            await clients[0].wait_closed()
            await first.wait_closed()
            assert list(server.connections) == [third]
            await _closed(clients[2])

    run(main())


async def _closed(connection: Connection) -> None:
    connection.close()
    await connection.wait_closed()


def test_a_server_calls_what_its_clients_lent(run: Run) -> None:
    class Root(pellucid.Root):
        async def remote_use(self, thing: pellucid.RemoteReference) -> object:
            return await thing.call("ping")

    async def main() -> None:
        async with (
            pellucid.serve(Root(), FREE) as server,
            pellucid.connect(server.url) as connection,
        ):
            assert await connection.root.call("use", Thing()) == "pong"
            with pytest.raises(LocalProtocolError, match="only the side that connected"):
                _ = server.connections[0].root

    run(main())


def test_only_a_root_can_be_served() -> None:
    with pytest.raises(TypeError, match=r"object can't be served: derive it from pellucid.Root"):
        pellucid.serve(object(), FREE)


def test_a_url_that_can_not_be_read_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="begins with pb://, pbs"):
        pellucid.serve(Echo(), "http://localhost")


def test_a_port_that_is_taken(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            with pytest.raises(OSError, match="Address already in use"):
                await pellucid.serve(Echo(), server.url)

    run(main())


def test_a_name_has_a_url_for_each_address(run: Run) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), "pb://localhost:0") as server:
            assert server.url.startswith("pb://localhost:")
            assert len({url.rsplit(":", 1)[1] for url in server.urls}) == 1
            for url in server.urls:
                async with pellucid.connect(url) as connection:
                    assert await connection.root.call("echo", 1) == 1

    run(main())


def test_small_writes_are_not_held_back(run: Run) -> None:
    async def main() -> None:
        async with (
            pellucid.serve(Echo(), FREE) as server,
            pellucid.connect(server.url) as client,
        ):
            for connection in (client, *server.connections):
                assert connection._transport is not None
                sock = connection._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(main())


def test_a_unix_socket(run: Run) -> None:
    async def main() -> None:
        with TemporaryDirectory(prefix="pb") as place:
            path = Path(place) / "a b"
            async with pellucid.serve(Echo(), f"pb+unix://{place}/a%20b?mode=660") as server:
                assert server.urls == (f"pb+unix://{place}/a%20b",)
                assert stat.S_IMODE(path.stat().st_mode) == 0o660
                async with pellucid.connect(server.url) as connection:
                    assert await connection.root.call("echo", 1) == 1
                    assert server.connections[0].peer == "pb+unix://"
            assert not path.exists()

    run(main())


def test_limits_registry_and_tracebacks_are_those_of_each_connection(run: Run) -> None:
    class Root(pellucid.Root):
        def remote_fail(self) -> None:
            raise KeyError("x")

    async def main() -> None:
        limits = Limits(handshake_time=1.5)
        registry = pellucid.Registry()
        root = Root()
        async with (
            pellucid.serve(root, FREE, limits=limits, registry=registry, tracebacks=True) as server,
            pellucid.connect(server.url) as connection,
        ):
            error = await failure(connection.root.call("fail"))
            assert isinstance(error, pellucid.RemoteError)
            assert error.remote_traceback is not None
            assert "in remote_fail" in error.remote_traceback
            assert server.connections[0].limits is limits

    run(main())


def test_what_one_connection_takes_in_another_refuses(run: Run) -> None:
    @dataclass
    class Item(pellucid.Copyable, tag="server.Item"):
        name: str

    class Taking(pellucid.Root):
        def remote_name(self, item: Item) -> str:
            return item.name

        def remote_give(self) -> Item:
            return Item("apple")

    def knowing() -> pellucid.Registry:
        registry = pellucid.Registry()
        registry.copy(Item)
        return registry

    async def main() -> None:
        async with (
            pellucid.serve(Taking(), FREE, registry=knowing()) as knows,
            pellucid.serve(Taking(), FREE) as knows_not,
            pellucid.connect(knows.url, registry=knowing()) as one,
            pellucid.connect(knows_not.url, registry=knowing()) as two,
            pellucid.connect(knows.url) as three,
        ):
            assert await one.root.call("name", Item("apple")) == "apple"
            assert await one.root.call("give") == Item("apple")
            refusal = r"^arguments\[0\]: type tag 'server.Item' is not registered$"
            with pytest.raises(pellucid.InsecureJelly, match=refusal):
                await two.root.call("name", Item("apple"))
            # What this side knows does not help the other, nor what the server knows a client.
            assert await two.root.call("give") == Item("apple")
            with pytest.raises(pellucid.InsecureJelly, match=r"^result: type tag 'server.Item'"):
                await three.root.call("give")

    run(main())


def test_a_client_that_says_nothing_is_dropped(run: Run) -> None:
    async def main() -> None:
        limits = Limits(handshake_time=0.02)
        async with pellucid.serve(Echo(), FREE, limits=limits) as server:
            port = int(server.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == OFFER
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
            await until(lambda: server.connections == ())

    run(main())


def test_wait_closed_in_a_method_of_the_server_is_refused(run: Run) -> None:
    class Root(pellucid.Root):
        server: Server

        async def remote_wait(self) -> None:
            await self.server.wait_closed()

        async def remote_leave(self) -> None:
            async with self.server:
                pass

    async def main() -> None:
        root = Root()
        async with pellucid.serve(root, FREE) as server:
            root.server = server
            async with pellucid.connect(server.url) as connection:
                for method in ("wait", "leave"):
                    error = await failure(connection.root.call(method))
                    assert isinstance(error, pellucid.PBError)
                    assert error.is_a("twisted.spread.pb.ProtocolError")
                    assert "own connection" in str(error)

    run(main())


@pytest.mark.parametrize("method", ["plain", "later"])
def test_a_method_closes_its_server_and_its_answer_goes_out(run: Run, method: str) -> None:
    class Root(pellucid.Root):
        server: Server

        def remote_plain(self) -> str:
            self.server.close()
            return "bye"

        async def remote_later(self) -> str:
            self.server.close()
            await asyncio.sleep(0)
            return "bye"

    async def main() -> None:
        root = Root()
        server = root.server = await pellucid.serve(root, FREE)
        other = await pellucid.connect(server.url)
        connection = await pellucid.connect(server.url)
        assert await connection.root.call(method) == "bye"
        await server.wait_closed()
        await connection.wait_closed()
        await other.wait_closed()
        server.close()

    run(main())


def test_a_closed_server_leaves_nothing(run: Run) -> None:
    class Root(Waiting):
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[object] = []

        def remote_keep(self, thing: object) -> Thing:
            self.kept.append(thing)
            return Thing()

    async def main() -> tuple[ref[object], ...]:
        root = Root()
        server = await pellucid.serve(root, FREE)
        clients = [await pellucid.connect(server.url) for _ in range(3)]
        things = [await client.root.call("keep", Thing()) for client in clients]
        calls = [client.root.call("wait") for client in clients]
        await root.started.wait()
        connections = server.connections
        server.close()
        await server.wait_closed()
        for client in clients:
            await client.wait_closed()
        for call in calls:
            assert isinstance(await failure(call), pellucid.ConnectionLost)
        assert root.ended == ["cancelled"] * 3
        assert all(thing.closed for thing in things)
        for connection in (*connections, *clients):
            assert len(connection._broker.exports) == len(connection._broker.imports) == 0
            assert not connection._calls.running
            assert not connection._timers._handles
        sample = (root, server, connections[0], clients[0], things[0], root.kept[0])
        return tuple(map(ref, sample))

    references = run(main())
    gc.collect()
    assert [one() for one in references] == [None] * len(references)


def test_a_client_that_arrives_while_the_server_closes(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        other = await pellucid.connect(server.url)
        server.close()
        # asyncio may have accepted it already, and may give up on it then.
        entry = server._gate.enter("", 0, str)
        assert entry is not None
        late = server._accept(entry)
        ours, theirs = socket.socketpair()
        with theirs:
            await asyncio.get_running_loop().connect_accepted_socket(server._visit, ours)
            assert theirs.recv(1) == b""
        await server.wait_closed()
        assert late.closed
        await other.wait_closed()
        assert server._gate.connections == server._gate.handshakes == 0

    run(main())


def test_closing_twice_is_closing_once(run: Run) -> None:
    async def main() -> None:
        server = await pellucid.serve(Echo(), FREE)
        server.close()
        server.close()
        await server.wait_closed()

    run(main())


def test_a_server_that_never_listened_can_be_closed(run: Run) -> None:
    async def main() -> None:
        address = url.parse(FREE)
        server = Server(Echo(), address, ssl=None, limits=None, registry=None, tracebacks=False)
        server.close()
        await server.wait_closed()

    run(main())


def test_who_has_gone_at_once_is_not_taken_for_somebody_on_this_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Who(pellucid.Root):
        def __init__(self) -> None:
            self.seen: list[tuple[bool, str]] = []

        def remote_x(self) -> None:
            connection = pellucid.current_call().connection
            self.seen.append((connection.unix, connection.host))

    async def main() -> None:
        root = Who()
        call = encode([b"message", 1, b"root", b"x", 0, [b"tuple"], [b"dictionary"]])
        made: list[Connection] = []

        class Noting(Connection):
            def __init__(self, role: str, **options: Any) -> None:
                super().__init__(role, **options)
                made.append(self)

        monkeypatch.setattr(Server, "connection_type", Noting)
        async with pellucid.serve(root, FREE) as server:
            port = int(server.url.rsplit(":", 1)[1])
            for _ in range(30):
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    sock.sendall(CHOICE + call)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await until(lambda: len(made) == 30 and not server.connections)
            # And the system may still know who it was.
            assert {connection.unix for connection in made} == {False}
            assert {connection.host for connection in made} <= {"", "127.0.0.1"}
            assert set(root.seen) <= {(False, "127.0.0.1")}
            assert all(each.peer.startswith(("pb://1", "somebody")) for each in made)

    run(main())


def test_many_broken_clients_do_not_fill_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pellucid.serve(Echo(), FREE) as server:
            server._faults._most = 5
            port = int(server.url.rsplit(":", 1)[1])
            for _ in range(8):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"\xff")
                await reader.read()
                writer.close()

    run(main())
    assert len(caplog.records) == 6
    assert "left out" in caplog.text


def test_a_broken_client_does_not_disturb_the_others(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with (
            pellucid.serve(Echo(), FREE) as server,
            pellucid.connect(server.url) as connection,
        ):
            port = int(server.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\xff")
            assert await reader.read() == OFFER
            writer.close()
            await writer.wait_closed()
            assert await connection.root.call("echo", 1) == 1

    with caplog.at_level(logging.WARNING, "pellucid"):
        run(main())
    assert "the connection was ended" in caplog.text


class Gate:
    """Has a root of its own for each connection, and refuses some addresses."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.seen: list[object] = []

    def root_for(self, connection: Connection) -> pellucid.Root:
        return Inside(connection)

    def check_serving(self, hosts: tuple[str, ...], encrypted: bool) -> None:
        self.seen.append((hosts, encrypted))
        if set(hosts) & set(self.refused):
            raise LocalProtocolError("not there")


class Inside(pellucid.Root):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def remote_who(self) -> str:
        return self.connection.peer

    def remote_same(self) -> bool:
        return pellucid.current_call().connection is self.connection


def test_a_root_for_each_connection(run: Run, certificates: Certificates) -> None:
    async def main() -> None:
        gate = Gate()
        async with pellucid.serve(gate, FREE) as server:
            peers = set()
            for _ in range(2):
                async with pellucid.connect(server.url) as connection:
                    peers.add(await connection.root.call("who"))
                    assert await connection.root.call("same") is True
            assert len(peers) == 2
        context = certificates.server_tls()
        async with (
            pellucid.serve(gate, SECURE, ssl=context) as server,
            pellucid.connect(server.url, ssl=certificates.client_tls()) as connection,
        ):
            assert (await connection.root.call("who")).startswith("pbs://127.0.0.1:")
        with TemporaryDirectory(prefix="pb") as place:
            async with pellucid.serve(gate, f"pb+unix://{place}/x"):
                pass
        here = ("127.0.0.1",)
        assert gate.seen == [(here, False), (here, True), ((), False)]

    run(main())


def test_a_root_that_can_not_be_made(
    run: Run, certificates: Certificates, reports: Reports
) -> None:
    class Broken(Gate):
        def root_for(self, connection: Connection) -> pellucid.Root:
            raise KeyError("broken")

    async def main() -> None:
        context = certificates.server_tls()
        async with pellucid.serve(Broken(), SECURE, ssl=context) as server:
            with pytest.raises(ConnectionLost, match="closed the connection during opening"):
                await pellucid.connect(server.url, ssl=certificates.client_tls())
            assert server.connections == ()
            await until(lambda: len(reports) == 1)
            assert isinstance(reports.pop()["exception"], KeyError)

    run(main())


def test_a_root_that_refuses_to_be_served_there(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(LocalProtocolError, match="not there"):
            await pellucid.serve(Gate("127.0.0.1"), FREE)

    run(main())


def test_a_child_has_no_connections(run: Run) -> None:
    async def main() -> None:
        async with (
            pellucid.serve(Echo(), FREE) as server,
            pellucid.connect(server.url) as client,
        ):
            assert await client.root.call("echo", 1) == 1
            (connection,) = server.connections
            thread = connection._out.thread
            module._after_fork()
            assert connection._out.thread == 0
            connection._out.thread = thread

    run(main())
