"""How a program ends that left something open: at once, in silence, and with its own status."""

import signal
import textwrap

import pytest

from tests.processes import Ended, run, running

# A slow machine is no failure.
BEGIN = """
import atexit, logging, os, sys, threading, time
import pellucid
from pellucid import blocking
logging.getLogger("asyncio").addFilter(lambda line: "Executing" not in line.getMessage())

class Root(pellucid.Root):
    def __init__(self):
        self.started = threading.Event()
        self.go = threading.Event()
    def remote_echo(self, value):
        return value
    def remote_wait(self):
        self.started.set()
        self.go.wait()
    def remote_back(self, reference, name):
        return reference.call(name)
    def remote_exit(self):
        sys.exit(7)

class Blocked(pellucid.Referenceable):
    def __init__(self):
        self.started = threading.Event()
    def remote_never(self):
        self.started.set()
        threading.Event().wait()

root = Root()
limits = pellucid.Limits(close_time=0.2)
server = blocking.serve(root, "pb://127.0.0.1:0", limits=limits)
connection = blocking.connect(server.url, limits=limits)
"""


def program(code: str, *options: str) -> Ended:
    """Run a program in development mode, in which asyncio looks twice and warnings are errors."""
    return run("-X", "dev", *options, "-c", BEGIN + textwrap.dedent(code))


def silent(ended: Ended) -> None:
    assert (ended.err, ended.status) == ("", 0)


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit(0)", "del server, connection", "server.close()", "connection.close()"]
)
def test_what_was_left_open_is_closed(end: str) -> None:
    ended = program(f"print(connection.root.call('echo', 5))\n{end}")
    silent(ended)
    assert ended.lines == ["5"]


SERVE = """
print(server.url, flush=True)
server.serve_forever()
"""

CLIENT = """
import logging, threading
from pellucid import blocking
logging.getLogger("asyncio").addFilter(lambda line: "Executing" not in line.getMessage())
connection = blocking.connect({!r})
"""


def client_of(url: str, code: str) -> Ended:
    """Run a program that is the client of another one."""
    return run("-X", "dev", "-c", CLIENT.format(url) + textwrap.dedent(code))


def test_the_other_side_hears_of_it() -> None:
    serve = """
        def see(reason):
            print(repr(reason))
            server._background.post(server._inner.close)
        root.remote_watch = lambda: pellucid.current_call().connection.on_close(see)
        """
    with running("-X", "dev", "-c", BEGIN + textwrap.dedent(serve) + SERVE) as serving:
        silent(client_of(serving.line(), "connection.root.call('watch')"))
        end = serving.end()
    assert end.lines == ["EOFError('the other side closed the connection')"]
    silent(Ended("", end.err, end.status))


def test_the_error_of_the_program_is_its_own() -> None:
    ended = program("raise LookupError('mine')")
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == "LookupError: mine"
    assert "Exception ignored" not in ended.err


def test_a_daemon_thread_that_waits_for_an_answer_ends_with_the_program() -> None:
    serve = "root.remote_has_started = root.started.wait"
    ask = """
        def ask():
            connection.root.call("wait")
            print("answered")
        threading.Thread(target=ask, daemon=True).start()
        print(connection.root.call("has_started"))
        """
    with running("-X", "dev", "-c", BEGIN + serve + SERVE) as serving:
        ended = client_of(serving.line(), ask)
        serving.stop(signal.SIGINT)
    silent(ended)
    assert ended.lines == ["True"]


def test_a_daemon_thread_that_calls_all_the_time_ends_with_the_program() -> None:
    silent(
        program("""
        begun = threading.Event()
        def ask():
            while True:
                connection.root.call("echo", 1)
                begun.set()
        for _ in range(3):
            threading.Thread(target=ask, daemon=True).start()
        begun.wait()
        """)
    )


def test_a_daemon_thread_that_opens_connections_ends_with_the_program() -> None:
    silent(
        program("""
        begun = threading.Event()
        def ask():
            while True:
                with blocking.connect(server.url) as mine:
                    mine.root.call("echo", 1)
                    begun.set()
        threading.Thread(target=ask, daemon=True).start()
        begun.wait()
        """)
    )


def test_a_method_that_waits_for_an_answer_is_told_and_ends() -> None:
    ended = program("""
        class Calling(pellucid.Referenceable):
            def remote_call(self):
                try:
                    connection.root.call("wait")
                except pellucid.ConnectionLost:
                    root.go.set()
                    print("told")
                    raise
        threading.Thread(
            target=connection.root.call, args=("back", Calling(), "call"), daemon=True
        ).start()
        root.started.wait()
        """)
    silent(ended)
    assert ended.lines == ["told"]


def test_a_method_that_does_not_end_is_left_alone_after_a_while() -> None:
    ended = program("""
        blocked = Blocked()
        threading.Thread(
            target=connection.root.call, args=("back", blocked, "never"), daemon=True
        ).start()
        blocked.started.wait()
        """)
    assert ended.status == 0
    lines = ended.err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(": never")


def test_what_the_program_does_at_exit_may_still_call() -> None:
    ended = program("""
        atexit.register(lambda: print(connection.root.call("echo", "bye")))
        """)
    silent(ended)
    assert ended.lines == ["bye"]


def test_what_comes_later_finds_the_connection_closed() -> None:
    ended = run(
        "-X",
        "dev",
        "-c",
        textwrap.dedent("""
        import atexit
        def late():
            try:
                connection.root.call("echo", 1)
            except pellucid.DeadReferenceError:
                print("dead")
            try:
                blocking.connect(server.url)
            except RuntimeError as error:
                print(error)
        atexit.register(late)
        """)
        + BEGIN,
    )
    silent(ended)
    assert ended.lines == ["dead", "no connection can be opened when the interpreter exits"]


def test_a_method_that_exits_ends_the_program_that_serves() -> None:
    ended = program("""
        def ask():
            while not server._background._forever:
                time.sleep(0.001)
            try:
                connection.root.call("exit")
            except pellucid.PBError as error:
                print(error.remote_type, flush=True)
        asking = threading.Thread(target=ask)
        asking.start()
        server.serve_forever()
        """)
    assert ended.status == 7
    assert ended.lines == ["builtins.SystemExit"]


def test_ctrl_c_ends_the_program_that_serves() -> None:
    code = """
        def tell():
            while not server._background._forever:
                time.sleep(0.001)
            print("ready", flush=True)
        telling = threading.Thread(target=tell)
        telling.start()
        connection.close()
        try:
            server.serve_forever()
        finally:
            telling.join()
            print("closed", threading.active_count())
        """
    with running("-X", "dev", "-c", BEGIN + textwrap.dedent(code)) as serving:
        assert serving.line() == "ready"
        ended = serving.stop(signal.SIGINT)
    assert ended.out == "closed 1\n"
    assert ended.err.splitlines()[-1] == "KeyboardInterrupt"


def test_ctrl_c_ends_a_call_that_waits() -> None:
    code = """
        class Ready(pellucid.Referenceable):
            def remote_ready(self):
                print("ready", flush=True)
                threading.Event().wait()
        try:
            connection.root.call("back", Ready(), "ready")
        except KeyboardInterrupt:
            print(connection.root.call("echo", "still here"))
        """
    with running("-X", "dev", "-c", BEGIN + textwrap.dedent(code)) as serving:
        assert serving.line() == "ready"
        ended = serving.stop(signal.SIGINT)
    assert ended.out == "still here\n"
    assert ended.status == 0


def test_a_forked_process_ends_in_silence_as_well() -> None:
    ended = program(
        """
        number = os.fork()
        if number == 0:
            with blocking.connect(server.url) as mine:
                print("child", mine.root.call("echo", 1))
        else:
            print("status", os.waitpid(number, 0)[1], connection.root.call("echo", 2))
        """,
        "-W",
        "ignore:.*fork:DeprecationWarning",
    )
    silent(ended)
    assert sorted(ended.lines) == ["child 1", "status 0 2"]


def test_asyncio_finds_nothing_to_complain_about() -> None:
    ended = program("""
        logging.basicConfig(level=logging.WARNING)
        assert server._background.loop.get_debug()
        class Back(pellucid.Referenceable):
            def remote_ping(self):
                return "pong"
        def work():
            for _ in range(20):
                assert connection.root.call("back", Back(), "ping") == "pong"
                connection.root.notify("echo", Back())
        working = [threading.Thread(target=work) for _ in range(4)]
        for each in working: each.start()
        for each in working: each.join()
        with blocking.connect(server.url) as other:
            other.root.call("echo", 1)
        connection.close()
        server.close()
        print(threading.active_count())
        """)
    silent(ended)
    assert ended.lines == ["1"]
