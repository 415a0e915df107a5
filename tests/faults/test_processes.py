"""Processes that are killed or stopped, and what the other side makes of it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

import pellucid
from pellucid import ConnectionLost, Limits
from tests.processes import Program, running

PROGRAMS = Path(__file__).parent / "programs"
# So long a limit is in these tests: what is quick on a quiet machine may be slow on a busy one.
SHORT = 0.5


@contextmanager
def server(*options: str) -> Iterator[tuple[Program, str]]:
    with running(str(PROGRAMS / "server.py"), *options, typing=True) as program:
        yield program, program.line()


@contextmanager
def client(url: str, *options: str) -> Iterator[Program]:
    with running(str(PROGRAMS / "client.py"), url, *options, typing=True) as program:
        yield program


def lines(program: Program, count: int) -> list[str]:
    return [program.line() for _ in range(count)]


def asked(program: Program, command: str) -> str:
    program.type(command)
    return program.line()


def stop(program: Program) -> None:
    """Stop a process, and wait until it stands."""
    process = program._process
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def go_on(program: Program) -> None:
    program._process.send_signal(signal.SIGCONT)


# Killed.


# What the system makes of a process that ends depends on what that had not read.
ENDS = {"end EOFError", "end ConnectionResetError"}


def test_a_client_that_is_killed_is_logged_out_at_once() -> None:
    with server() as (served, url):
        with client(url, "--told") as one, client(url, "--told") as other:
            for number, program in enumerate((one, other)):
                program.type("log in")
                assert program.line() == "ready"
                assert lines(served, 2) == [f"in guest{number}", f"waits guest{number}"]
            assert asked(served, "connections") == "connections 2"
            assert one.stop(signal.SIGKILL).status == -signal.SIGKILL
            gone = {*lines(served, 3)}
            assert gone - ENDS == {"cancelled guest0", "out guest0"}
            # The other one is served as before, and there is nothing more to be said of this one.
            assert asked(served, "connections") == "connections 1"
            assert asked(served, "hello") == "asked"
            assert served.line() == "heard I heard hello"
        gone = {*lines(served, 3)}
        assert gone - ENDS == {"cancelled guest1", "out guest1"}
        assert asked(served, "connections") == "connections 0"
        ended = served.stop(signal.SIGKILL)
        assert (ended.out, ended.err) == ("", "")


def test_a_server_that_is_killed_is_missed_at_once() -> None:
    with server() as (served, url), client(url) as one, client(url) as other:
        assert (one.line(), other.line()) == ("ready", "ready")
        served.stop(signal.SIGKILL)
        for program in (one, other):
            ended = program.end()
            assert ended.out.splitlines()[1:] == ["dead"]
            assert ended.out.startswith(("lost EOFError\n", "lost ConnectionResetError\n"))
            assert (ended.status, ended.err) == (0, "")


# Stopped. Each limit on time has a test here, or in tests/asyncio, where nobody has to be stopped.
ELSEWHERE = {"login_time", "message_time", "idle_time", "keepalive_time"}


def test_each_time_is_here() -> None:
    times = {field.name for field in fields(Limits) if isinstance(field.default, float)}
    here = {name.removeprefix("test_") for name in globals() if name.endswith("_time")}
    assert times == here | ELSEWHERE


def test_who_is_stopped_and_goes_on_has_missed_nothing() -> None:
    with server() as (served, url), client(url) as program:
        assert program.line() == "ready"
        assert lines(served, 2) == ["in guest0", "waits guest0"]
        stop(program)
        assert asked(served, "hello") == "asked"
        # Nothing is known of one who does not answer: PB has no heartbeat.
        assert asked(served, "connections") == "connections 1"
        go_on(program)
        assert served.line() == "heard I heard hello"


def test_stall_time() -> None:
    check_stalled_client()
    check_stalled_server()


def check_stalled_client() -> None:
    with server("--stall-time", str(SHORT)) as (served, url), client(url) as program:
        assert program.line() == "ready"
        assert lines(served, 2) == ["in guest0", "waits guest0"]
        stop(program)
        assert asked(served, "flood") == "flooded"
        assert sorted(lines(served, 3)) == ["cancelled guest0", "end LimitExceeded", "out guest0"]
        assert asked(served, "connections") == "connections 0"
        ended = served.stop(signal.SIGKILL)
        assert ended.out == ""
        assert "the peer took nothing for 0.5 s (limits.stall_time)" in ended.err
        assert len(ended.err.splitlines()) == 1
        go_on(program)
        ended = program.end()
        assert ended.out.splitlines()[1:] == ["dead"]
        assert (ended.status, ended.err) == (0, "")


def check_stalled_server() -> None:
    options = ("--stall-time", str(SHORT), "--flood")
    with server() as (served, url), client(url, *options) as program:
        assert program.line() == "ready"
        assert lines(served, 2) == ["in guest0", "waits guest0"]
        stop(served)
        program.type("go")
        assert lines(program, 3) == ["flooded", "lost LimitExceeded", "dead"]
        ended = program.end()
        assert ended.status == 0
        assert "limits.stall_time" in ended.err
        go_on(served)
        assert {*lines(served, 3)} - ENDS == {"cancelled guest0", "out guest0"}
        assert asked(served, "connections") == "connections 0"


def test_handshake_time() -> None:
    async def main(url: str) -> None:
        # The system accepts in its place, but says nothing.
        with pytest.raises(ConnectionLost, match=f"no dialect was agreed within {SHORT} s"):
            await pellucid.connect(url, limits=Limits(handshake_time=SHORT))

    with server() as (served, url):
        stop(served)
        asyncio.run(main(url))
        go_on(served)
        assert served.line().startswith("end ")
        assert asked(served, "connections") == "connections 0"


def test_close_time() -> None:
    async def main(served: Program, url: str) -> None:
        connection = await pellucid.connect(url, limits=Limits(close_time=SHORT))
        me = await connection.login_anonymous()
        assert await me.call("echo", 1) == 1
        stop(served)
        call = me.call("echo", 2)
        connection.close()
        await connection.wait_closed()
        assert isinstance(call.exception(), ConnectionLost)

    with server() as (served, url):
        asyncio.run(main(served, url))
        go_on(served)
        assert served.line() == "in guest0"
        assert {served.line().split()[0] for _ in range(2)} == {"end", "out"}
        assert asked(served, "connections") == "connections 0"
