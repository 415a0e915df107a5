"""A full disk, and no descriptors left: where Pellucid meets them."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

import pellucid
from pellucid.passwords import make_account, write_account
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
@pytest.mark.parametrize("name", ["version", "help", "serve", "call", "call much"])
def test_the_output_is_full(name: str) -> None:
    async def main() -> tuple[int | None, str]:
        async with pellucid.serve(Large(), "pb://127.0.0.1:0") as server:
            words = {
                "version": ["version"],
                "help": ["serve", "--help"],
                "serve": ["serve", "tests.harness:Echo", "--listen", "pb://127.0.0.1:0"],
                "call": ["call", server.url, "give", "1"],
                "call much": ["call", server.url, "give", "10000"],
            }
            return await said(*words[name])

    status, err = asyncio.run(main())
    assert status == 1
    assert "No space left on device" in err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1


# Changes the file while files may have no more than so many bytes.
LIMITED = """
import resource, sys
from pellucid.cli import main
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for room, user in ((0, "bob"), (100, "alice")):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        main(["passwd", sys.argv[1], user])
    except SystemExit as end:
        print(end.code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_file_of_passwords_that_has_no_room_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "users"
    write_account(file, "alice", make_account("alice", "correct horse", iterations=4096))
    before = file.read_bytes()
    done = ended_run("-B", "-c", LIMITED, str(file), given="battery staple\n" * 2)
    assert done.out == "1\n" * 2
    for line in done.err.splitlines():
        assert line.startswith("Error: ")
        assert "File too large" in line
    assert len(done.err.splitlines()) == 2
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["users"]


# What is logged goes nowhere, and nobody waits for it.


@full_disk
def test_a_log_that_is_full_disturbs_nobody() -> None:
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
                # 120 is Python's own: it could not write what was left for stderr.
                assert await process.wait() in (0, 120)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    asyncio.run(main())


# Descriptors.

limited = pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")


def crowd(url: str) -> list[socket.socket]:
    """More connections than the server has descriptors for."""
    where = "127.0.0.1", int(url.rpartition(":")[2])
    return [socket.create_connection(where) for _ in range(20)]


async def connected(url: str) -> pellucid.Connection:
    """Connect, as soon as there is a descriptor for it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await pellucid.connect(url)
            except pellucid.ConnectionLost:
                # uvloop closes what it has no descriptor for.
                await asyncio.sleep(0.01)


@limited
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_server_without_descriptors_serves_whom_it_has(kind: str) -> None:
    async def main(url: str) -> None:
        async with pellucid.connect(url) as early:
            many = crowd(url)
            try:
                for number in range(5):
                    assert await early.root.call("echo", number) == number
            finally:
                for sock in many:
                    sock.close()
            # There are descriptors again, for many who come one by one.
            for _ in range(20):
                connection = await connected(url)
                assert await connection.root.call("echo", 3) == 3
                connection.close()
                await connection.wait_closed()
            assert await early.root.call("echo", 4) == 4

    with server("--open", "--files", "10", "--loop", kind) as (served, url):
        asyncio.run(main(url))
        served.type("connections")
        assert served.line() == "connections 0"


@limited
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_server_without_descriptors_does_not_fill_its_log(kind: str) -> None:
    async def main(url: str) -> None:
        async with pellucid.connect(url) as early:
            many = crowd(url)
            for number in range(3):
                assert await early.root.call("echo", number) == number
            for sock in many:
                sock.close()

    with server("--open", "--files", "10", "--loop", kind) as (served, url):
        asyncio.run(main(url))
        said = served.stop(signal.SIGKILL).err
    assert said.count("out of system resource") < 20
