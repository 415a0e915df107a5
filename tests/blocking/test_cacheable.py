"""Caches in programs with threads: what copies are told, and in which order."""

import threading
from typing import Any

import pytest

import pellucid
from pellucid import LocalProtocolError, blocking
from pellucid.blocking.locks import holding
from tests.blocking.threads import (
    PATIENCE,
    Doing,
    Pair,
    all_threads,
    joined,
    until,
    wait,
)


class Board(blocking.Cacheable, tag="tests.Board"):
    """A list of lines that many threads add to."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.stopped: list[tuple[threading.Thread, object]] = []

    def state_to_cache(self) -> dict[str, Any]:
        assert holding()
        return {"lines": self.lines}

    def add(self, line: Any) -> None:
        with self.lock:
            self.lines.append(line)
            self.update("add", line)

    def stopped_observing(self, perspective: object, observer: object) -> None:
        super().stopped_observing(perspective, observer)
        self.stopped.append((threading.current_thread(), observer))


class BoardCopy(pellucid.RemoteCache):
    lines: list[Any]

    def observe_add(self, line: Any) -> None:
        self.lines.append(line)

    def observe_act(self, number: int) -> Any:
        return self.__dict__["act"](number)


class Owner(pellucid.Root):
    def __init__(self) -> None:
        self.board = Board()
        self.held: list[Any] = []

    def remote_board(self) -> Board:
        return self.board

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_add(self, line: Any) -> int:
        self.board.add(line)
        return len(self.board.lines)

    def remote_tell(self, *args: Any) -> str:
        self.board.update("act", *args)
        return "told"

    def remote_ask(self, *args: Any) -> Any:
        return [observer.call("act", *args) for observer in self.board.observers]


def registry() -> pellucid.Registry:
    made = pellucid.Registry()
    made.cache("tests.Board", BoardCopy)
    return made


def prove_gone(pair: Pair, owner: Owner) -> None:
    pair.prove_empty()
    until(lambda: owner.board.stopped)
    assert owner.board.observers == ()


def test_a_copy_hears_of_every_change_in_order() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        for number in range(50):
            owner.board.add(number)
        assert pair.client.root.call("echo", 1) == 1
        assert copy.lines == list(range(50))
        assert pair.client.root.call("board") is copy
        del copy
        prove_gone(pair, owner)


def test_an_answer_comes_behind_the_update_before_it() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        for number in range(1, 30):
            assert pair.client.root.call("add", number) == number
            assert len(copy.lines) == number
        del copy
        prove_gone(pair, owner)


def test_every_copy_has_each_change_once() -> None:
    """Threads change the cache while copies are taken of it all the time."""
    owner = Owner()
    threads, changes = 4, 100

    def change(number: int) -> None:
        for turn in range(changes):
            owner.board.add((number, turn))

    with joined(owner, registry=registry()) as pair:
        changing = [Doing(change, number) for number in range(threads)]
        copies: list[list[Any]] = []
        changed = False
        while not changed:
            changed = not any(each.thread.is_alive() for each in changing)
            with blocking.connect(pair.client.peer, registry=registry()) as other:
                copy = other.root.call("board")
                other.root.call("echo", None)
                copies.append(copy.lines)
        for each in changing:
            each.result()
        last = pair.client.root.call("board")
        assert last.lines == owner.board.lines
        assert len(owner.board.lines) == threads * changes
        for lines in copies:
            # What a copy has is how the board began: nothing is missing, nothing is there twice.
            assert lines == owner.board.lines[: len(lines)]
        assert copies[-1] == last.lines
        del last
        pair.prove_empty()


def test_what_an_update_was_given_may_change_at_once() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        line = ["a"]
        with owner.board.lock:
            owner.board.update("add", line)
            line.append("b")
            owner.board.update("add", line)
        pair.client.root.call("echo", 1)
        assert copy.lines == [["a"], ["a", "b"]]


def test_what_can_not_be_sent_is_raised_when_all_were_told() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        with blocking.connect(pair.client.peer, registry=registry()) as other:
            second = other.root.call("board")
            with pytest.raises(pellucid.InsecureJelly):
                owner.board.add(object())
            owner.board.lines.pop()
            with pytest.raises(pellucid.InsecureJelly):
                owner.board.update("add", object())
            owner.board.add(1)
            assert pair.client.root.call("echo", 1) == other.root.call("echo", 1)
            assert copy.lines == second.lines == [1]


def test_a_copy_whose_connection_has_ended_is_passed_over() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        observers: tuple[Any, ...] = ()
        with blocking.connect(pair.client.peer, registry=registry()) as other:
            copy = other.root.call("board")
            observers = owner.board.observers
        until(lambda: owner.board.stopped)
        owner.board.__dict__["_observers"] = dict.fromkeys(observers)
        owner.board.add(1)
        assert observers[0].closed
        with pytest.raises(pellucid.DeadReferenceError):
            observers[0].notify("add", 1)
        with pytest.raises(pellucid.DeadReferenceError):
            observers[0].call("add", 1)
        owner.board.__dict__["_observers"] = {}
        assert copy.lines == []


def test_the_owner_hears_on_a_worker_when_a_copy_is_gone() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        pair.client.root.call("board")
        until(lambda: owner.board.stopped)
        thread, observer = owner.board.stopped[0]
        assert thread.name == "pellucid worker"
        assert isinstance(observer, blocking.CacheObserver)
        pair.prove_empty()


def test_the_owner_hears_at_the_end_of_the_connection_before_closing_is_over() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        kept = pair.client.root.call("board")
        pair.server.close()
        assert len(owner.board.stopped) == 1
        assert kept.lines == []


def test_nobody_waits_for_an_answer_under_the_lock() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        kept = pair.client.root.call("board")
        with owner.board.lock, pytest.raises(LocalProtocolError, match="under the lock"):
            owner.board.observers[0].call("add", 1)
        (observer,) = owner.board.observers
        observer.call("add", 2)
        assert kept.lines == [2]
        steps = kept.__dict__["act"] = Steps()
        with pytest.raises(TimeoutError):
            observer.within(0).call("act", 3)
        steps.go.set()
        assert observer.within(PATIENCE).call("act", 4) == 4
        kept.__dict__.clear()


# Updates on the holder's side.


class Steps:
    """What updates do, step by step."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []
        self.go = threading.Event()
        self.in_it = threading.Event()

    def __call__(self, number: int) -> int:
        self.started.append(number)
        self.in_it.set()
        wait(self.go)
        self.ended.append(number)
        return number


def answered(connection: blocking.Connection, value: Any) -> Doing[Any]:
    """Make a call whose answer has arrived, if it is not handed over yet."""
    broker = connection._inner._broker
    before = broker._last_request
    call = Doing(connection.root.call, "echo", value)
    until(lambda: broker._last_request > before and not broker.ledger.used("calls_pending"))
    return call


def test_updates_run_one_at_a_time_and_the_answer_waits_for_them() -> None:
    owner, steps = Owner(), Steps()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        copy.__dict__["act"] = steps
        owner.board.update("act", 1)
        owner.board.update("act", 2)
        wait(steps.in_it)
        call = answered(pair.client, "behind")
        assert steps.started == [1]
        assert call.thread.is_alive()
        steps.go.set()
        assert call.result() == "behind"
        assert steps.ended == [1, 2]
        copy.__dict__.clear()


def test_an_update_may_call_back() -> None:
    owner = Owner()
    seen: list[Any] = []
    with joined(owner, registry=registry()) as pair:
        root = pair.client.root

        def act(number: int) -> None:
            seen.append(root.call("echo", number))
            if number:
                # Which makes another update, and that one yet another.
                assert root.call("tell", number - 1) == "told"

        copy = root.call("board")
        copy.__dict__["act"] = act
        assert root.call("tell", 5) == "told"
        until(lambda: len(seen) == 6)
        assert seen == [5, 4, 3, 2, 1, 0]
        copy.__dict__.clear()


def test_an_update_may_wait_for_another_update() -> None:
    owner = Owner()
    with joined(owner, registry=registry()) as pair:
        root = pair.client.root

        def act(number: int) -> Any:
            return [number, *root.call("ask", number - 1)] if number else [0]

        copy = root.call("board")
        copy.__dict__["act"] = act
        assert root.call("ask", 4) == [[4, [3, [2, [1, [0]]]]]]
        copy.__dict__.clear()


def test_an_update_that_calls_back_may_be_needed_for_what_it_waits_for() -> None:
    """The other side answers only after it has called this side, and had an answer, itself."""

    class Asking(Owner):
        def remote_through(self, thing: Any) -> Any:
            return thing.call("ask_back")

    class Asked(pellucid.Referenceable):
        def remote_ask_back(self) -> Any:
            return root.call("echo", "through")

    owner = Asking()
    seen: list[Any] = []
    with joined(owner, registry=registry()) as pair:
        root = pair.client.root

        def act(number: int) -> None:
            seen.append(root.call("through", Asked()))

        copy = root.call("board")
        copy.__dict__["act"] = act
        owner.board.update("act", 1)
        until(lambda: seen)
        assert seen == ["through"]
        copy.__dict__.clear()


def test_an_update_that_waits_too_long_goes_on() -> None:
    owner = Owner()
    seen: list[Any] = []
    never = threading.Event()

    class Stuck(Owner):
        def remote_stuck(self) -> None:
            wait(never)

    owner = Stuck()
    with joined(owner, registry=registry()) as pair:
        root = pair.client.root

        def act(number: int) -> None:
            try:
                root.within(0.001).call("stuck")
            except TimeoutError:
                seen.append(number)

        copy = root.call("board")
        copy.__dict__["act"] = act
        owner.board.update("act", 1)
        owner.board.update("act", 2)
        until(lambda: len(seen) == 2)
        assert root.call("echo", 1) == 1
        never.set()
        copy.__dict__.clear()


def test_closing_drops_the_updates_that_have_not_begun() -> None:
    owner, steps = Owner(), Steps()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        copy.__dict__["act"] = steps
        for number in range(5):
            owner.board.update("act", number)
        wait(steps.in_it)
        call = answered(pair.client, 1)
        closing = Doing(pair.client.close)
        until(lambda: pair.client._inner._broker.closed)
        steps.go.set()
        closing.result()
        # It was answered before.
        assert call.result() == 1
        assert steps.ended == [0]
        copy.__dict__.clear()


def test_updates_that_came_before_the_other_side_closed_are_made() -> None:
    owner, steps = Owner(), Steps()
    with joined(owner, registry=registry()) as pair:
        copy = pair.client.root.call("board")
        copy.__dict__["act"] = steps
        for number in range(5):
            owner.board.update("act", number)
        wait(steps.in_it)
        pair.server.close()
        until(lambda: pair.client.closed)
        steps.go.set()
        pair.client.close()
        assert steps.ended == [0, 1, 2, 3, 4]
        copy.__dict__.clear()


def test_an_update_that_does_not_end_keeps_no_answer_for_ever() -> None:
    owner, steps = Owner(), Steps()
    before = all_threads()
    with blocking.serve(owner, "pb://127.0.0.1:0", registry=registry()) as server:
        limits = pellucid.Limits(close_time=0.05)
        client = blocking.connect(server.url, registry=registry(), limits=limits)
        copy = client.root.call("board")
        copy.__dict__["act"] = steps
        owner.board.update("act", 1)
        wait(steps.in_it)
        call = answered(client, 1)
        client.close()
        assert call.result() == 1
    steps.go.set()
    until(lambda: all_threads() == before)
    copy.__dict__.clear()


def test_caches_go_both_ways_at_once() -> None:
    """Each side changes its own cache and holds the other's, from many threads."""

    class Both(Owner):
        def remote_take(self, board: Any) -> Board:
            self.held.append(board)
            return self.board

        def remote_change(self) -> int:
            self.board.add(threading.get_ident())
            return len(self.board.lines)

    class Changing(pellucid.Referenceable):
        def remote_change(self) -> int:
            ours.add(threading.get_ident())
            return len(ours.lines)

    theirs, ours = Both(), Board()
    with joined(theirs, registry=registry()) as pair:
        root = pair.client.root
        copy = root.call("take", ours)
        together = threading.Barrier(6, timeout=PATIENCE)

        def work(number: int) -> None:
            together.wait()
            for _ in range(20):
                if number % 2:
                    ours.add(number)
                else:
                    root.call("change")

        for each in [Doing(work, number) for number in range(6)]:
            each.result()
        root.call("echo", None)
        assert copy.lines == theirs.board.lines
        until(lambda: theirs.held[0].lines == ours.lines)
        assert len(ours.lines) == 60
        theirs.held.clear()
        del copy
        pair.prove_empty()
