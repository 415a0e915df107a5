"""Keepalive: what the system is asked for, and that a dead machine is found in time."""

import socket
import subprocess
import sys
import time
from typing import Any

import pytest

import pellucid
from pellucid import Limits
from pellucid.asyncio import alive
from pellucid.asyncio.alive import keep_alive
from tests.asyncio.pairs import FREE, Echo, Run
from tests.processes import environment
from tools.modules import ROOT

linux = pytest.mark.skipif(sys.platform != "linux", reason="the options of Linux")


class Sock:
    def __init__(self, fails: bool = False) -> None:
        self.options: dict[int, int] = {}
        self.fails = fails

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.fails:
            raise OSError("gone")
        self.options[option] = value


@linux
@pytest.mark.parametrize("seconds", [0.1, 1, 2, 3, 5, 10, 60, 3600, 1e9])
def test_all_probes_are_through_in_time(seconds: float) -> None:
    sock = Sock()
    keep_alive(sock, seconds)
    options = sock.options
    idle, interval = options[socket.TCP_KEEPIDLE], options[socket.TCP_KEEPINTVL]
    count = options[socket.TCP_KEEPCNT]
    assert options[socket.SO_KEEPALIVE] == 1
    assert idle >= 1
    assert interval >= 1
    assert 1 <= count <= 3
    assert idle + interval * count <= max(2, seconds)
    assert max(idle, interval) <= 32_767
    assert options[socket.TCP_USER_TIMEOUT] == int(min(max(2, seconds), 1e6) * 1000) - 500


def test_where_there_is_nothing_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = Sock()
    keep_alive(sock, float("inf"))
    keep_alive(Sock(fails=True), 5)
    assert sock.options == {}
    monkeypatch.setattr(alive, "_options", alive._options.__wrapped__)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
        monkeypatch.delattr(socket, name, raising=False)
    keep_alive(sock, 5)
    assert sock.options == {socket.SO_KEEPALIVE: 1}


@linux
def test_a_socket_that_is_not_of_tcp_is_left_alone() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        keep_alive(one, 5)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@linux
def test_both_sides_have_it(run: Run) -> None:
    def seen(connection: Any) -> list[int]:
        sock = connection._transport.get_extra_info("socket")
        alive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT)
        return [alive, *(sock.getsockopt(socket.IPPROTO_TCP, name) for name in names)]

    async def main() -> None:
        limits = Limits(keepalive_time=10)
        async with (
            pellucid.serve(Echo(), FREE, limits=limits) as server,
            pellucid.connect(server.url) as client,
        ):
            assert seen(server.connections[0]) == [1, 5, 9_500]
            assert seen(client) == [1, 30, 59_500]
            limits = Limits(keepalive_time=float("inf"))
            async with pellucid.connect(server.url, limits=limits) as other:
                assert seen(other)[0] == 0

    run(main())


_DEAD = """
import asyncio, fcntl, socket, struct, sys, time
import pellucid, uvloop

def set_up(up):
    with socket.socket() as sock:
        flags = struct.pack("16sh", b"lo", 0x41 if up else 0x40)
        fcntl.ioctl(sock, 0x8914, flags)

class Root(pellucid.Root):
    async def remote_wait(self):
        await asyncio.sleep(100)

async def main():
    limits = pellucid.Limits(keepalive_time=2)
    server = await pellucid.serve(Root(), "pb://127.0.0.1:0", limits=limits)
    resting = await pellucid.connect(server.url, limits=limits)
    calling = await pellucid.connect(server.url, limits=limits)
    loop = asyncio.get_running_loop()
    call = calling.root.call("wait")
    await asyncio.sleep(0.3)
    ended = {}
    def note(name):
        return lambda error: ended.setdefault(name, (loop.time() - began, repr(error)))
    began = loop.time()
    set_up(False)
    for name, one in zip("abcd", (resting, calling, *server.connections)):
        one.on_close(note(name))
    unsent = calling.root.call("wait")
    errors = await asyncio.gather(call, unsent, return_exceptions=True)
    assert [type(error).__name__ for error in errors] == ["ConnectionLost"] * 2, errors
    while len(ended) < 4:
        await asyncio.sleep(0.01)
    print(max(seconds for seconds, _ in ended.values()), set(e for _, e in ended.values()))

set_up(True)
factory = uvloop.new_event_loop if sys.argv[1] == "uvloop" else asyncio.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
"""


def _may_unshare() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "true"], check=False).returncode == 0
    except OSError:
        return False


@linux
@pytest.mark.skipif(not _may_unshare(), reason="no network of one's own is allowed here")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_machine_that_has_gone_is_found_in_time(kind: str) -> None:
    began = time.monotonic()
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", _DEAD, kind],
        env=environment([ROOT / "src"]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds = float(done.stdout.split()[0])
    assert 0.5 < seconds < 3.5, done.stdout
    assert "TimeoutError" in done.stdout or "ETIMEDOUT" in done.stdout, done.stdout
    assert time.monotonic() - began < 30
