"""Connections as threads use them."""

import asyncio
import gc
import logging
import os
import socket
import threading
from typing import Any
from weakref import ref

import pytest

import pellucid
from pellucid import ConnectionLost, DeadReferenceError, Limits, LocalProtocolError, blocking
from pellucid.blocking.locks import state_lock
from pellucid.blocking.thread import background
from tests.blocking.threads import (
    FREE,
    PATIENCE,
    Doing,
    Echo,
    Thing,
    Waiting,
    all_threads,
    forked,
    interrupt,
    joined,
    many_threads,
    until,
    wait,
)


class Known(pellucid.Error):
    """An error that both sides know."""


def test_a_call_waits_for_its_result() -> None:
    with joined() as pair:
        assert pair.client.root.call("echo", [1, "two"]) == [1, "two"]
        with pytest.raises(LocalProtocolError, match="only the side that connected"):
            pair.server.root.notify("echo")
        pair.prove_empty()


def test_a_connection_tells_about_itself() -> None:
    limits = Limits(calls_running=7)
    with joined(client_limits=limits) as pair:
        client, server = pair
        assert client.peer.startswith("pb://127.0.0.1:")
        assert client.host == server.host == "127.0.0.1"
        assert client.limits is limits
        assert client.dialect == server.dialect == "pellucid"
        assert not client.unix
        assert not client.encrypted
        assert client.certificate is None
        assert not client.closed
        assert repr(client) == f"<Connection open {client.peer}>"
    assert pair.client.closed
    assert repr(client) == f"<Connection closed {client.peer}>"


def test_after_closing_a_reference_is_dead() -> None:
    with joined() as pair:
        root = pair.client.root
        thing = root.call("thing")
    assert thing.closed
    with pytest.raises(DeadReferenceError):
        thing.call("ping")
    with pytest.raises(DeadReferenceError):
        thing.notify("ping")
    with pytest.raises(DeadReferenceError):
        pair.client.login("alice", "secret")
    pair.client.close()


def test_closing_again_and_from_many_threads_does_no_harm() -> None:
    with joined() as pair:
        together = threading.Barrier(4, timeout=PATIENCE)

        def close() -> None:
            together.wait()
            pair.client.close()

        for each in [Doing(close) for _ in range(4)]:
            each.result()
        pair.client.close()


def test_the_other_side_hears_of_the_end() -> None:
    heard: list[Any] = []
    there = threading.Event()
    with joined() as pair:

        def hear(reason: BaseException | None) -> None:
            heard.append(reason)
            there.set()

        pair.server.on_close(hear)
        pair.client.close()
        wait(there)
    assert isinstance(heard[0], EOFError)


def test_whoever_closes_hears_of_no_reason() -> None:
    heard: list[Any] = []
    with joined() as pair:
        pair.client.on_close(lambda reason: heard.append(("one", reason)))
        pair.client.on_close(lambda reason: heard.append(("two", reason)))
    assert heard == [("one", None), ("two", None)]
    pair.client.on_close(lambda reason: heard.append(("late", reason)))
    assert heard[2:] == [("late", None)]


def test_a_callback_at_the_end_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(reason: object) -> None:
        raise LookupError("mine")

    heard: list[Any] = []
    with joined() as pair:
        pair.client.on_close(fail)
        pair.client.on_close(heard.append)
    assert heard == [None]
    assert "fail failed" in caplog.text
    assert "\nLookupError (texts" in caplog.text


def test_a_callback_at_the_end_may_close_and_does_not_wait_for_itself() -> None:
    heard: list[str] = []
    with joined() as pair:

        def close(reason: object) -> None:
            pair.client.close()
            heard.append("closed")

        pair.client.on_close(close)
    assert heard == ["closed"]


# Threads.


def test_many_threads_use_one_connection() -> None:
    threads = 16
    together = threading.Barrier(threads, timeout=PATIENCE)

    def work(root: blocking.RemoteReference, number: int) -> list[int]:
        together.wait()
        return [root.call("echo", number * 1000 + turn) for turn in range(30)]

    with joined() as pair:
        doing = [Doing(work, pair.client.root, number) for number in range(threads)]
        for number, each in enumerate(doing):
            assert each.result() == [number * 1000 + turn for turn in range(30)]
        pair.prove_empty()


def test_methods_run_at_the_same_time() -> None:
    class Meeting(pellucid.Root):
        def __init__(self) -> None:
            self.all_there = threading.Barrier(12, timeout=PATIENCE)

        def remote_meet(self) -> None:
            self.all_there.wait()

    with joined(Meeting()) as pair:
        for each in [Doing(pair.client.root.call, "meet") for _ in range(12)]:
            each.result()


def test_no_more_methods_run_than_are_allowed() -> None:
    waiting = Waiting()
    with joined(waiting, limits=Limits(calls_running=1)) as pair:
        first = Doing(pair.client.root.call, "wait", 1)
        wait(waiting.started)
        second = Doing(pair.client.root.call, "echo", 2)
        ledger = pair.server._inner._broker.ledger
        until(lambda: ledger.used("calls_waiting"))
        waiting.go.set()
        assert (first.result(), second.result()) == (1, 2)
        pair.prove_empty()


def test_a_loop_of_the_calling_thread_does_not_matter() -> None:
    async def main() -> Any:
        with joined() as pair:
            return pair.client.root.call("echo", 5)

    assert asyncio.run(main()) == 5


def test_the_methods_of_one_side_call_the_other_side_back() -> None:
    with joined() as pair:
        assert pair.client.root.call("back", Thing(), "ping") == "pong"
        pair.prove_empty()


class Bouncer(pellucid.Root):
    """Calls back, and is called back, so many times."""

    def __init__(self) -> None:
        self.partner: blocking.RemoteReference | None = None

    def remote_bounce(self, other: Any, depth: int) -> int:
        if depth == 0:
            return 0
        return int(other.call("bounce", self, depth - 1)) + 1


def test_calls_go_back_and_forth_many_levels_deep() -> None:
    with joined(Bouncer()) as pair:
        assert pair.client.root.call("bounce", Bouncer(), 40) == 40
        pair.prove_empty()


def test_both_sides_call_each_other_from_many_threads() -> None:
    def work(root: blocking.RemoteReference) -> list[int]:
        return [root.call("bounce", Bouncer(), 7) for _ in range(5)]

    with joined(Bouncer()) as pair:
        for each in [Doing(work, pair.client.root) for _ in range(8)]:
            assert each.result() == [7] * 5
        pair.prove_empty()


def test_connections_of_one_process_call_each_other_in_a_ring() -> None:
    class Next(pellucid.Root):
        after: blocking.RemoteReference

        def remote_on(self, count: int) -> int:
            return int(self.after.call("on", count - 1)) + 1 if count else 0

    roots = [Next() for _ in range(3)]
    with joined(roots[0]) as one, joined(roots[1]) as two, joined(roots[2]) as three:
        for root, pair in zip(roots, (two, three, one), strict=True):
            root.after = pair.client.root
        starts = [Doing(pair.client.root.call, "on", 12) for pair in (one, two, three)]
        assert [start.result() for start in starts] == [12] * 3
        for root in roots:
            del root.after


def test_a_method_may_open_and_close_a_connection_of_its_own() -> None:
    class Asking(Echo):
        def remote_ask(self, url: str) -> Any:
            with blocking.connect(url) as connection:
                return connection.root.call("echo", "from there")

    with blocking.serve(Asking(), FREE) as server, blocking.connect(server.url) as connection:
        assert connection.root.call("ask", server.url) == "from there"


# What is abandoned.


def test_within_some_time_or_not_at_all() -> None:
    waiting = Waiting()
    with joined(waiting) as pair:
        root = pair.client.root
        assert root.within(PATIENCE).call("echo", 1) == 1
        with pytest.raises(TimeoutError, match=r"within 0\.001 s"):
            root.within(0.001).call("wait", Thing())
        assert root.call("echo", 2) == 2
        waiting.go.set()
        wait(waiting.ended)
        pair.prove_empty()


def test_ctrl_c_abandons_a_call() -> None:
    class Interrupting(Waiting):
        def remote_wait(self, value: Any = None) -> Any:
            interrupt()
            return super().remote_wait(value)

    waiting = Interrupting()
    with joined(waiting) as pair:
        with pytest.raises(KeyboardInterrupt):
            pair.client.root.call("wait")
        assert pair.client.root.call("echo", 1) == 1
        waiting.go.set()
        wait(waiting.ended)
        pair.prove_empty()


def test_a_result_that_nobody_waits_for_is_released() -> None:
    class Late(Waiting):
        def remote_wait(self, value: Any = None) -> Any:
            super().remote_wait()
            return [Thing() for _ in range(5)]

    waiting = Late()
    with joined(waiting) as pair:
        with pytest.raises(TimeoutError):
            pair.client.root.within(0).call("wait")
        waiting.go.set()
        wait(waiting.ended)
        pair.prove_empty()


def test_references_may_die_in_any_thread() -> None:
    with joined() as pair:
        held = [pair.client.root.call("thing") for _ in range(50)]
        assert len(pair.server._inner._broker.exports) == 50

        def drop() -> None:
            while True:
                try:
                    held.pop()
                except IndexError:
                    return

        for each in [Doing(drop) for _ in range(4)]:
            each.result()
        gc.collect()
        pair.prove_empty()


def test_a_connection_that_ended_is_collected() -> None:
    with joined() as pair:
        pass
    watch = ref(pair.client)
    del pair
    gc.collect()
    assert watch() is None


def test_nothing_waits_for_the_collector() -> None:
    """Whatever goes wrong leaves no cycle that holds a reference."""

    class Failing(Echo):
        def remote_take(self, *things: Any) -> None:
            raise Known("mine")

        def remote_wait(self, thing: Any) -> None:
            wait(go)

    go = threading.Event()
    with joined(Failing()) as pair:
        root = pair.client.root
        gc.collect()
        gc.disable()
        try:
            thing = root.call("thing")
            root.call("echo", [thing, Thing()])
            for name, value in (("take", thing), ("nothing", thing), ("echo", [thing, object()])):
                with pytest.raises(pellucid.PBError):
                    root.call(name, value, Thing())
            with pytest.raises(TimeoutError):
                root.within(0).call("wait", thing)
            go.set()
            with pytest.raises(pellucid.PBError):
                pair.client.login("alice", "secret", Thing())
            del thing, value
            pair.prove_empty()
        finally:
            gc.enable()


# Errors.


def test_an_error_of_a_known_class_is_that_error(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(pellucid.Root):
        def remote_fail(self) -> None:
            raise Known("expected")

    with joined(Failing()) as pair:
        with pytest.raises(Known, match="expected"):
            pair.client.root.call("fail")
        pair.prove_empty()
    assert caplog.text == ""


def test_any_other_error_is_logged_and_arrives_as_a_remote_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with joined() as pair:
        with pytest.raises(pellucid.RemoteError, match="mine") as caught:
            pair.client.root.call("fail", "mine")
        assert caught.value.remote_type == "builtins.ValueError"
        pair.prove_empty()
    assert "Peer will receive PB traceback (from 'fail')" in caplog.text
    assert "remote_fail" in caplog.text


def test_tracebacks_travel_if_the_server_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with joined(tracebacks=True) as pair, pytest.raises(pellucid.RemoteError) as caught:
        pair.client.root.call("fail", "mine")
    assert "remote_fail" in str(caught.value.remote_traceback)


def test_an_async_method_is_refused_in_plain_words(caplog: pytest.LogCaptureFixture) -> None:
    class Later(pellucid.Root):
        async def remote_later(self) -> int:
            return 1

    with joined(Later()) as pair:
        with pytest.raises(pellucid.RemoteError, match="remote_later is an async method"):
            pair.client.root.call("later")
        pair.prove_empty()


def test_a_method_that_is_not_there() -> None:
    with joined() as pair:
        with pytest.raises(pellucid.NoSuchMethod):
            pair.client.root.call("nothing")
        pair.prove_empty()


def test_what_can_not_be_sent_is_refused_at_once() -> None:
    with joined() as pair:
        with pytest.raises(pellucid.InsecureJelly):
            pair.client.root.call("echo", object())
        with pytest.raises(pellucid.InsecureJelly):
            pair.client.root.notify("echo", object())
        with pytest.raises(pellucid.InsecureJelly):
            pair.client.root.call("echo", Thing)
        pair.prove_empty()


def test_a_result_that_can_not_be_sent_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(pellucid.Root):
        def remote_odd(self) -> object:
            return object()

    with joined(Odd()) as pair:
        with pytest.raises(pellucid.InsecureJelly):
            pair.client.root.call("odd")
        pair.prove_empty()
    assert "the result of 'odd' can't be sent" in caplog.text


# Where nobody may wait.


class Hooked(pellucid.Copyable, tag="tests.Hooked"):
    """Does something while its state is taken, which happens on the background thread."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def state_to_copy(self) -> dict[str, Any]:
        return {"found": self.act()}


@pytest.mark.parametrize("act", ["call", "within", "login", "on_close"])
def test_a_hook_on_the_background_thread_may_not_wait(act: str) -> None:
    with joined() as pair:
        client = pair.client
        acts = {
            "call": lambda: client.root.call("echo", 1),
            "within": lambda: client.root.within(1).call("echo", 1),
            "login": client.login_anonymous,
            "on_close": lambda: client.on_close(print),
        }
        with pytest.raises(pellucid.InsecureJelly, match="LocalProtocolError") as caught:
            client.root.call("echo", Hooked(acts[act]))
        assert "would wait for itself" in str(caught.value.__cause__)
        assert client.root.call("echo", 1) == 1
        pair.prove_empty()


def test_a_hook_may_notify_and_close() -> None:
    echo = Echo()
    with joined(echo) as pair:
        client = pair.client
        client.root.call("keep", None)
        with pytest.raises(pellucid.PBError):
            client.root.call("keep", Hooked(lambda: client.root.notify("keep", "from a hook")))
        assert client.root.call("echo", 1) == 1
        until(lambda: "from a hook" in echo.kept)
        with pytest.raises(pellucid.PBError):
            client.root.call("keep", Hooked(client.close))
        assert client.closed


def test_nobody_may_wait_under_the_lock_of_the_caches() -> None:
    with joined() as pair:
        client = pair.client
        with state_lock:
            for act in (lambda: client.root.call("echo", 1), client.close, client.login_anonymous):
                with pytest.raises(LocalProtocolError, match="under the lock"):
                    act()
            with pytest.raises(LocalProtocolError, match="under the lock"):
                blocking.connect("pb://127.0.0.1:1")
        assert client.root.call("echo", 1) == 1


def test_what_is_notified_under_the_lock_is_what_it_was_then() -> None:
    echo = Echo()
    with joined(echo) as pair:
        rows = [1]
        with state_lock:
            pair.client.root.notify("keep", rows)
            rows.append(2)
            pair.client.root.notify("keep", rows)
        pair.client.root.call("echo", None)
        until(lambda: len(echo.kept) == 2)
        assert sorted(echo.kept) == [[1], [1, 2]]
        with pytest.raises(pellucid.InsecureJelly), state_lock:
            pair.client.root.notify("keep", object())


# The end.


def test_a_method_may_close_its_own_connection_and_is_still_answered() -> None:
    class Closing(pellucid.Root):
        def remote_close(self) -> str:
            pellucid.current_call().connection.close()
            return "closed"

    with joined(Closing()) as pair:
        assert pair.client.root.call("close") == "closed"
        there = threading.Event()
        pair.client.on_close(lambda reason: there.set())
        wait(there)


def test_a_method_knows_which_call_it_runs_for() -> None:
    class Asking(pellucid.Root):
        def remote_who(self) -> str:
            call: Any = pellucid.current_call()
            assert call.connection is pair.server
            assert call.perspective is None
            return str(call.name)

    with joined(Asking()) as pair:
        assert pair.client.root.call("who") == "who"
        with pytest.raises(LocalProtocolError):
            pellucid.current_call()


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_call_that_waits_at_the_end_fails(side: str) -> None:
    waiting = Waiting()
    with joined(waiting) as pair:
        call = Doing(pair.client.root.call, "wait")
        wait(waiting.started)
        closing = Doing(getattr(pair, side).close)
        with pytest.raises(ConnectionLost):
            call.result()
        waiting.go.set()
        closing.result()


def test_a_method_that_waits_for_the_other_side_hears_of_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[BaseException] = []

    class Calling(Echo):
        def remote_back(self, reference: Any, name: str, *args: Any) -> Any:
            try:
                return super().remote_back(reference, name, *args)
            except ConnectionLost as error:
                heard.append(error)
                raise

    waiting = Waiting()
    with joined(Calling()) as pair:
        call = Doing(pair.client.root.call, "back", waiting, "wait")
        wait(waiting.started)
        closing = Doing(pair.client.close)
        with pytest.raises(ConnectionLost):
            call.result()
        until(lambda: heard)
        waiting.go.set()
        closing.result()
    assert len(heard) == 1
    assert "PB traceback" not in caplog.text


def test_closing_waits_for_the_methods_that_run() -> None:
    waiting = Waiting()
    with joined(waiting) as pair:
        call = Doing(pair.client.root.call, "wait")
        wait(waiting.started)
        closing = Doing(pair.server.close)
        with pytest.raises(ConnectionLost):
            call.result()
        assert closing.thread.is_alive()
        waiting.go.set()
        closing.result()
        assert waiting.ended.is_set()


def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Waiting()
    before = all_threads()
    limits = Limits(close_time=0.05)
    server = blocking.serve(waiting, FREE, limits=limits)
    with blocking.connect(server.url) as client:
        call = Doing(client.root.call, "wait")
        wait(waiting.started)
        server.close()
        with pytest.raises(ConnectionLost):
            call.result()
    assert not waiting.ended.is_set()
    assert "still running after the end of the connection: wait" in caplog.text
    waiting.go.set()
    # Its thread ends when it does.
    until(lambda: all_threads() == before)


def test_closing_races_with_calls() -> None:
    for _ in range(20):
        together = threading.Barrier(5, timeout=PATIENCE)

        def work(root: blocking.RemoteReference, together: threading.Barrier) -> str:
            together.wait()
            try:
                while True:
                    root.call("echo", 1)
            except (ConnectionLost, DeadReferenceError) as error:
                return type(error).__name__

        with joined() as pair:
            doing = [Doing(work, pair.client.root, together) for _ in range(4)]
            together.wait()
            pair.client.close()
            for each in doing:
                each.result()


def test_the_last_one_that_closes_ends_the_threads() -> None:
    before = all_threads()
    server = blocking.serve(Echo(), FREE)
    one, two = blocking.connect(server.url), blocking.connect(server.url)
    assert one.root.call("echo", 1) == two.root.call("echo", 1)
    server.close()
    one.close()
    two.close()
    assert all_threads() == before


def test_connections_come_and_go_in_many_threads() -> None:
    def work(url: str) -> int:
        for _ in range(5):
            with blocking.connect(url) as connection:
                assert connection.root.call("echo", 1) == 1
        return 1

    with blocking.serve(Echo(), FREE) as server:
        for each in [Doing(work, server.url) for _ in range(6)]:
            assert each.result() == 1


def test_opening_races_with_the_end_of_the_last_one() -> None:
    def work() -> int:
        for _ in range(15):
            with pytest.raises(ConnectionRefusedError):
                blocking.connect("pb://127.0.0.1:1")
        return 1

    for each in [Doing(work) for _ in range(4)]:
        assert each.result() == 1


def test_a_server_that_answers_nothing_can_be_interrupted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            sock, _ = listening.accept()
            # asyncio may lose a socket that is connected just when that is cancelled.
            until(lambda: len(background()._users) == 2)
            interrupt()
            assert sock.recv(1) == b""
            sock.close()

        accepting = Doing(accept)
        with pytest.raises(KeyboardInterrupt):
            blocking.connect(f"pb://127.0.0.1:{listening.getsockname()[1]}")
        try:
            accepting.result()
        except ConnectionResetError:
            pass
    until(lambda: not any(each.name == "pellucid" for each in all_threads()))


@many_threads
def test_in_a_forked_process_old_connections_raise_and_new_ones_work() -> None:
    with joined() as pair:
        url, root = pair.client.peer, pair.client.root
        thing = root.call("thing")

        def child() -> None:
            assert pair.client.closed
            with pytest.raises(RuntimeError, match="the process that forked"):
                root.call("echo", 1)
            with pytest.raises(RuntimeError, match="the process that forked"):
                root.notify("echo", 1)
            # Its end is not this process's.
            pair.client.close()
            with blocking.connect(url) as connection:
                assert connection.root.call("echo", 2) == 2

        assert forked(child) == 0
        assert thing.call("ping") == "pong"
        del thing
        pair.prove_empty()


@many_threads
def test_a_forked_process_keeps_no_connection_open() -> None:
    there = threading.Event()
    with joined() as pair:
        out, into = os.pipe()
        number = os.fork()
        if number == 0:
            os.read(out, 1)
            os._exit(0)
        pair.server.on_close(lambda reason: there.set())
        pair.client._inner.background.post(pair.client._inner._transport.abort)  # type: ignore[union-attr]
        wait(there)
        os.write(into, b"x")
        os.waitpid(number, 0)
        os.close(out)
        os.close(into)


@many_threads
def test_a_method_may_fork() -> None:
    class Forking(pellucid.Root):
        def remote_fork(self) -> int:
            return forked(lambda: None)

    with joined(Forking()) as pair:
        assert pair.client.root.call("fork") == 0


def test_log_lines_have_no_arguments(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pellucid")
    with joined() as pair:
        pair.client.root.call("echo", "secret")
    assert "secret" not in caplog.text
