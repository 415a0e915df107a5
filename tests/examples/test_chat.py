"""The chat: a server and its members, each a process of its own."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from examples.chat.server import MEMBERS
from tests.processes import Program, run, running

FREE = "pb://127.0.0.1:0"


class Chat:
    """A server, and clients that are started as they are needed."""

    def __init__(self, stack: ExitStack, *options: str) -> None:
        self._stack = stack
        arguments = ["-m", "examples.chat.server", "--listen", FREE, *options]
        self.server = stack.enter_context(running(*arguments))
        self.url = self.server.line()

    def client(self, name: str, password: str, *options: str) -> Program:
        arguments = ["-m", "examples.chat.client", name, self.url, *options]
        client = self._stack.enter_context(running(*arguments, typing=True))
        client.type(password)
        return client

    def joined(self, name: str, *options: str) -> Program:
        """A client that has said that it is in the room."""
        client = self.client(name, MEMBERS[name], *options)
        assert client.line().startswith("* ")
        assert self.server.line() == f"{name} has come"
        return client


@pytest.fixture
def chat() -> Iterator[Chat]:
    with ExitStack() as stack:
        yield Chat(stack)


@contextmanager
def all_three(chat: Chat) -> Iterator[tuple[Program, Program, Program]]:
    ann, bob = chat.joined("ann"), chat.joined("bob")
    assert ann.line() == "* bob is here"
    cat = chat.joined("cat")
    assert [one.line() for one in (ann, bob)] == ["* cat is here"] * 2
    yield ann, bob, cat


def test_what_one_says_all_hear(chat: Chat) -> None:
    with all_three(chat) as everybody:
        for who, one in zip(MEMBERS, everybody, strict=True):
            one.type(f"I am {who}")
            assert [each.line() for each in everybody] == [f"{who}: I am {who}"] * 3


def test_who_comes_later_is_sent_what_was_said(chat: Chat) -> None:
    ann = chat.joined("ann")
    for n in range(25):
        ann.type(f"line {n}")
        assert ann.line() == f"ann: line {n}"
    bob = chat.joined("bob")
    # The last twenty.
    assert [bob.line() for _ in range(20)] == [f"ann: line {n}" for n in range(5, 25)]


def test_a_whisper_is_heard_by_one(chat: Chat) -> None:
    with all_three(chat) as (ann, bob, cat):
        ann.type("/whisper cat not a word to bob")
        assert cat.line() == "ann whispers: not a word to bob"
        ann.type("done")
        assert [each.line() for each in (ann, bob, cat)] == ["ann: done"] * 3


def test_a_member_that_is_killed_has_left(chat: Chat) -> None:
    with all_three(chat) as (ann, bob, cat):
        assert bob.stop(signal.SIGKILL).status == -signal.SIGKILL
        assert [each.line() for each in (ann, cat)] == ["* bob has left"] * 2
        assert chat.server.line() == "bob has left"
        ann.type("/whisper bob are you there?")
        assert ann.line() == "* bob is not here"
        ann.type("/who")
        assert ann.line() == "* here: ann, cat"
        cat.type("just us")
        assert [each.line() for each in (ann, cat)] == ["cat: just us"] * 2


def test_who_quits_has_left(chat: Chat) -> None:
    ann, bob = chat.joined("ann"), chat.joined("bob")
    assert ann.line() == "* bob is here"
    bob.type("/quit")
    ended = bob.end()
    assert (ended.out, ended.err, ended.status) == ("", "", 0)
    assert ann.line() == "* bob has left"
    assert chat.server.line() == "bob has left"


def test_rooms_are_apart(chat: Chat) -> None:
    ann, bob = chat.joined("ann"), chat.joined("bob", "--room", "cellar")
    bob.type("it is dark here")
    assert bob.line() == "bob: it is dark here"
    ann.type("hello?")
    assert ann.line() == "ann: hello?"


def test_too_long_a_line_is_refused(chat: Chat) -> None:
    ann = chat.joined("ann")
    ann.type("x" * 501)
    assert ann.line() == "* that is not a text of 1 to 500 characters"
    ann.type("x")
    assert ann.line() == "ann: x"


def test_a_wrong_password(chat: Chat) -> None:
    ended = chat.client("ann", "pear").end()
    assert (ended.out, ended.err, ended.status) == ("", "error: the server did not let us in\n", 1)
    ended = chat.server.stop()
    assert (ended.out, ended.err, ended.status) == ("", "", 0)


def test_the_server_says_nothing_unasked(chat: Chat) -> None:
    ann = chat.joined("ann")
    ann.type("/quit")
    assert ann.end().status == 0
    ended = chat.server.stop()
    assert (ended.out, ended.err, ended.status) == ("ann has left\n", "", 0)


def test_members_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "users"
    made = run("-m", "pellucid", "passwd", str(file), "dora", given="dragonfruit\n")
    assert (made.err, made.status) == ("", 0)
    with ExitStack() as stack:
        chat = Chat(stack, "--users", str(file))
        dora = chat.client("dora", "dragonfruit")
        assert dora.line() == "* lobby: dora"
        ended = chat.client("ann", "apple").end()
        assert (ended.err, ended.status) == ("error: the server did not let us in\n", 1)


def test_the_show() -> None:
    shown = run("-m", "examples.chat")
    assert shown.err == ""
    assert shown.status == 0
    said: dict[str, list[str]] = {}
    for line in shown.out.splitlines():
        who, _, text = line.strip().partition("  ")
        said.setdefault(who, []).append(text)
    assert said["ann"] == [
        "* lobby: ann",
        "* bob is here",
        "> hello, bob",
        "ann: hello, bob",
        "* cat is here",
        "* bob has left",
        "> /quit",
    ]
    assert said["bob"] == [
        "* lobby: ann, bob",
        "ann: hello, bob",
        "* cat is here",
        "> /whisper cat pst",
    ]
    assert said["cat"] == [
        "* lobby: ann, bob, cat",
        "ann: hello, bob",
        "bob whispers: pst",
        "* bob has left",
        "> /who",
        "* here: ann, cat",
        "* ann has left",
        "> /quit",
    ]
    assert said["server"][1:] == [
        *(f"{who} has come" for who in ("ann", "bob", "cat")),
        *(f"{who} has left" for who in ("bob", "ann", "cat")),
    ]
    assert said["chat"][-1] == "that was all"
