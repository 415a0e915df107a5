"""What recorded clients said, through a proxy that cuts it and the answers, and splits everything.

The whole matrix is in test_cut_connections.py, in memory. Here are real sockets, in the short form
at some offsets of each session.
"""

import asyncio
import socket
from typing import Any

import pellucid
from tests.asyncio.pairs import FREE, Run
from tests.faults.cuts import noted
from tests.faults.proxy import Plan, Proxy, Way, between
from tests.faults.talk import PATIENCE, check_over
from tests.faults.test_cut_connections import AsyncApp
from tests.recordings import APP, Session, sessions
from tests.test_sessions import application_registry

STRIDE = 211


class Apps:
    """Gives each connection an application of its own."""

    def __init__(self) -> None:
        self.met: asyncio.Queue[tuple[pellucid.Connection, AsyncApp]] = asyncio.Queue()

    def root_for(self, connection: pellucid.Connection) -> Any:
        app = AsyncApp()
        self.met.put_nowait((connection, app))
        return app


async def say(proxy: Proxy, plan: Plan, data: bytes) -> None:
    """Say all that a client said, and hear what comes."""
    loop = asyncio.get_running_loop()
    host, _, port = proxy.url.removeprefix("pb://").rpartition(":")
    proxy.plan = plan
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (host, int(port)))
        try:
            await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 4096):
                pass
        except OSError:
            pass  # It was cut.


async def one(proxy: Proxy, apps: Apps, plan: Plan, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await say(proxy, plan, data)
        connection, app = await apps.met.get()
        await connection.wait_closed()
        app.held = None
        await check_over(connection)
        app.counted.check()
        assert all(future.done() for future, _ in app.later)
        await proxy.settled()


@sessions(APP)
def test_a_recorded_client_is_cut_by_a_proxy(session: Session, run: Run, long_form: bool) -> None:
    data = b"".join(session.stream("c>s"))
    count = {"up": len(data), "down": len(b"".join(session.stream("s>c")))}
    plans = [
        (direction, reset, at, size)
        for direction in count
        for reset in (False, True)
        for size in (0, 1)
        for at in range(reset + 2 * size, count[direction], 1 if long_form else STRIDE)
    ]

    async def main(some: list[tuple[str, bool, int, int]]) -> None:
        apps = Apps()
        async with (
            pellucid.serve(apps, FREE, registry=application_registry()) as server,
            between(server.url) as proxy,
        ):
            for direction, reset, at, size in some:
                up = Way(at if direction == "up" else None, size)
                down = Way(at if direction == "down" else None, size)
                with noted(session.name, direction, reset, at, size):
                    await one(proxy, apps, Plan(up, down, reset), data)
            assert server.connections == ()

    for start in range(0, len(plans), 50):
        run(main(plans[start : start + 50]))


def test_all_of_a_session_in_single_bytes_and_slowly(run: Run) -> None:
    data = b"\x02\x82pb\x02\x80\x13\x87\x06\x81"

    async def main() -> None:
        apps = Apps()
        async with pellucid.serve(apps, FREE) as server, between(server.url) as proxy:
            way = Way(size=1, delay=0.001)
            await one(proxy, apps, Plan(way, way), data)
            assert proxy.passed[0] == len(data)
            assert proxy.passed[1] > len(data)

    run(main())


def test_a_proxy_cuts_where_it_is_told_to(run: Run) -> None:
    async def main() -> None:
        apps = Apps()
        async with pellucid.serve(apps, FREE) as server, between(server.url) as proxy:
            await one(proxy, apps, Plan(Way(3), Way()), b"\x02\x82pb")
            assert proxy.passed[0] == 3
            down = proxy.passed[1]
            await one(proxy, apps, Plan(Way(), Way(5)), b"\x02\x82pb")
            assert proxy.passed[1] == down + 5

    run(main())
