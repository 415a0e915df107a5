"""A full disk, and no descriptors left: where Pellucid meets them."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

import pellucid
from tests.asyncio.pairs import Run
from tests.faults.test_processes import PROGRAMS, server
from tests.processes import PATIENCE, command, environment
from tests.processes import run as ended_run
from tools.modules import ROOT

FULL = Path("/dev/full")

full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


# The command line writes to its output, and to files of passwords.


async def said(*arguments: str) -> tuple[int | None, str]:
    """How a program ends whose output goes to a full disk, and what it says of it."""
    with FULL.open("w") as full:
        process = await asyncio.create_subprocess_exec(
            *command("-m", "pellucid", *arguments, strict=True),
            cwd=ROOT,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                _, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    return process.returncode, err.decode()


class Large(pellucid.Root):
    def remote_give(self, size: int) -> str:
        return "x" * size


@full_disk
@pytest.mark.xfail(reason="the error goes through click, and its traceback is shown")
@pytest.mark.parametrize("name", ["version", "help", "serve", "call", "call much"])
def test_the_output_is_full(run: Run, name: str) -> None:
    async def main() -> tuple[int | None, str]:
        async with pellucid.serve(Large(), "pb://127.0.0.1:0") as server:
            words = {
                "version": ["version"],
                "help": ["--help"],
                "serve": ["serve", "tests.harness:Echo", "--listen", "pb://127.0.0.1:0"],
                "call": ["call", server.url, "give", "1"],
                "call much": ["call", server.url, "give", "100000"],
            }
            return await said(*words[name])

    status, err = run(main())
    assert status == 1
    assert "No space left on device" in err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pellucid.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_file_of_passwords_that_has_no_room_stays_as_it_was(tmp_path: Path, room: int) -> None:
    file = tmp_path / "users"
    words = ("-B", "-m", "pellucid", "passwd", str(file))
    assert ended_run(*words, "alice", given="correct horse\n").status == 0
    before = file.read_bytes()
    for user in ("bob", "alice"):
        ended = ended_run(
            *("-B", "-c", LIMITED, str(room), "passwd", str(file), user), given="battery staple\n"
        )
        assert (ended.status, ended.out) == (1, "")
        assert ended.err.startswith("Error: ")
        assert "File too large" in ended.err
        assert len(ended.err.splitlines()) == 1
        assert file.read_bytes() == before
        assert os.listdir(tmp_path) == ["users"]


# What is logged goes nowhere, and nobody waits for it.


@full_disk
def test_a_log_that_is_full_disturbs_nobody(run: Run) -> None:
    async def main() -> None:
        with FULL.open("w") as full:
            process = await asyncio.create_subprocess_exec(
                *command(str(PROGRAMS / "server.py"), "--open", strict=True),
                cwd=ROOT,
                env=environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=full,
            )
        assert process.stdout is not None
        assert process.stdin is not None
        url = (await process.stdout.readline()).decode().strip()
        try:
            async with pellucid.connect(url) as connection:
                for number in range(20):
                    with pytest.raises(pellucid.RemoteError, match="this is logged"):
                        await connection.root.call("fail")
                    assert await connection.root.call("echo", number) == number
            process.stdin.close()
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    run(main())


# Descriptors. Whoever comes when there are none waits in the queue of the system.


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_server_without_descriptors_serves_whom_it_has(run: Run, kind: str) -> None:
    async def main(url: str) -> None:
        async with pellucid.connect(url) as early:
            port = int(url.rpartition(":")[2])
            crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
            for sock in crowd:
                sock.setblocking(False)
            assert await early.root.call("echo", 1) == 1
            # Whom it has room for hears its offer.
            loop = asyncio.get_running_loop()
            heard = await loop.sock_recv(crowd[0], 100)
            assert heard.startswith(b"\x03\x80")
            late = asyncio.ensure_future(pellucid.connect(url)._open())
            for number in range(50):
                assert await early.root.call("echo", number) == number
            assert not late.done()
            for sock in crowd:
                sock.close()
            connection = await late
            assert await connection.root.call("echo", 2) == 2
            connection.close()
            await connection.wait_closed()
            # And so are those who come now.
            for _ in range(30):
                async with pellucid.connect(url) as another:
                    assert await another.root.call("echo", 3) == 3

    with server("--open", "--files", "10", "--loop", kind) as (served, url):
        run(main(url))
        served.type("connections")
        assert served.line() == "connections 0"
