"""The examples run as what they are: a server and a client, each a process of its own."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples import demo
from examples.quotes.quoters import FortuneQuoter
from tests.processes import Ended, Program, run, running

FREE = "pb://127.0.0.1:0"
PROVERB = "An apple a day keeps the doctor away."


@contextmanager
def server_of(example: str) -> Iterator[tuple[Program, str]]:
    """The server of an example, and its URL: the first thing that it says."""
    with running("-m", f"examples.{example}.server", "--listen", FREE) as server:
        yield server, server.line()


def client_of(example: str, *arguments: str) -> Ended:
    return run("-m", f"examples.{example}.client", *arguments)


@contextmanager
def nobody() -> Iterator[str]:
    """A URL at which nobody answers, for as long as nobody takes the port."""
    with socket.socket() as sock:
        # It is bound and does not listen, so nobody else can get it either.
        sock.bind(("127.0.0.1", 0))
        yield f"pb://127.0.0.1:{sock.getsockname()[1]}"


SEEDS = {
    "echo": (
        ["echoing: hello network"],
        ["server echoed: hello network"],
    ),
    "second": (
        ["returning a Two called <...>", "Two.three was given 12"],
        [
            "got first object: <...>",
            "asking it to getTwo",
            "got second object: <...>",
            "telling it to do three(12)",
        ],
    ),
    "home": (
        [
            "One.getTwo(), returning my two called <...>",
            "One.checkTwo(): comparing my two <...>",
            "One.checkTwo(): against your two <...>",
            "One.checkTwo(): our twos are the same",
        ],
        [
            "got one object: <...>",
            "asking it to getTwo",
            "got two object: <...>",
            "giving it back to one",
            "one is <...>",
        ],
    ),
    "callback": (
        ["received a Two called <...>", "telling it to print(12)"],
        ["got One: <...>", "giving it our two", "Two.print() called with 12"],
    ),
    "errors": (
        ["raising a MyError exception with data 'fall down go boom'"],
        [
            "got remote Exception",
            " .__class__ = pellucid.errors.Error",
            " .getErrorMessage() = fall down go boom",
            " .type = __main__.MyError",
            "Main loop terminated.",
        ],
    ),
}


@pytest.mark.parametrize("example", SEEDS)
def test_what_is_printed(example: str) -> None:
    with server_of(example) as (server, url):
        client = client_of(example, url)
        ended = server.stop()
    server_lines, client_lines = SEEDS[example]
    assert client.err == ""
    assert client.lines == client_lines
    assert client.status == 0
    assert ended.err == ""
    assert ended.lines == server_lines
    assert ended.status == 0


def test_the_object_that_comes_home_is_the_one_that_left() -> None:
    with server_of("home") as (server, url):
        assert client_of("home", url).status == 0
        lines = server.stop().out.splitlines()
    reprs = {line[line.index("<") :] for line in lines[:3]}
    assert len(reprs) == 1
    assert "Two object" in reprs.pop()


def test_a_server_serves_many_clients() -> None:
    with server_of("echo") as (server, url):
        clients = [client_of("echo", url) for _ in range(3)]
        ended = server.stop()
    assert [client.lines for client in clients] == [SEEDS["echo"][1]] * 3
    assert ended.lines == SEEDS["echo"][0] * 3


def test_an_unexpected_exception_is_logged_where_it_happened() -> None:
    with server_of("errors") as (server, url):
        client = client_of("errors", url, "broken2")
        ended = server.stop()
    assert client.err == ""
    assert client.lines == [
        "got remote Exception",
        " .__class__ = pellucid.errors.RemoteError",
        " .getErrorMessage() = hadda owie",
        " .type = __main__.MyError2",
        "Main loop terminated.",
    ]
    assert ended.lines == ["raising a MyError2 exception with data 'hadda owie'"]
    assert "Peer will receive PB traceback" in ended.err
    assert "Traceback (most recent call last)" in ended.err
    assert ended.err.rstrip().endswith("MyError2 (texts of errors are logged with tracebacks=True)")
    assert "hadda owie" not in ended.err.replace("raise MyError2", "")
    assert ended.status == 0


def test_the_four_calls() -> None:
    with server_of("trap") as (server, url):
        client = client_of("trap", url)
        ended = server.end()
    assert client.err == ""
    assert client.lines == [
        "callOne: call with safe object",
        " method successful, response: response",
        "callTwo: call with dangerous object",
        " InsecureJelly: you tried to send something unsafe to them",
        "callThree: call that raises remote exception",
        " remote raised a MyException",
        "telling them to shut down",
        "callFour: call on stale reference",
        " stale reference: the client disconnected or crashed",
    ]
    assert client.status == 0
    # The client's word was enough to end it.
    assert ended == Ended("", "", 0)


def test_without_a_server_the_echo_client_says_so() -> None:
    with nobody() as url:
        client = client_of("echo", url)
    assert client.out.startswith("error: ")
    assert (client.out.count("\n"), client.err, client.status) == (1, "", 1)


def test_without_a_server_there_is_no_first_object() -> None:
    with nobody() as url:
        client = client_of("second", url)
    assert client.out.startswith("error getting first object ")
    assert (client.out.count("\n"), client.err, client.status) == (1, "", 1)


@pytest.mark.parametrize("example", ["home", "callback", "errors", "trap"])
def test_without_a_server_the_others_say_it_on_stderr(example: str) -> None:
    with nobody() as url:
        client = client_of(example, url)
    assert client.out == ""
    assert client.err.startswith("error: ")
    assert client.err.count("\n") == 1
    assert client.status == 1


@pytest.mark.parametrize("program", ["echo.client", "quotes.client", "second.client"])
def test_a_url_that_is_none(program: str) -> None:
    client = run("-m", f"examples.{program}", "localhost:3")
    text = "'localhost:3': a URL begins with pb://, pbs:// or pb+unix://"
    assert text in client.out + client.err
    assert "Traceback" not in client.err
    assert client.status == 1


def test_a_url_that_can_not_be_listened_on() -> None:
    server = run("-m", "examples.echo.server", "--listen", "localhost:3")
    assert (server.out, server.status) == ("", 1)
    assert server.err == "error: 'localhost:3': a URL begins with pb://, pbs:// or pb+unix://\n"


def test_a_port_that_is_taken() -> None:
    with server_of("echo") as (_, url):
        second = run("-m", "examples.echo.server", "--listen", url)
    assert (second.out, second.status) == ("", 1)
    assert second.err.startswith("error: ")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_is_quiet() -> None:
    with server_of("echo") as (server, _):
        assert server.stop(2) == Ended("", "", 130)


# Quotes.


@contextmanager
def quotes(*options: str) -> Iterator[tuple[Program, str, str]]:
    """The quote server with both protocols; its plain URL and its PB URL."""
    with running("-m", "examples.quotes.server", "--port", "0", "--pb", "0", *options) as server:
        yield server, server.line(), server.line()


def plain_quote(url: str) -> bytes:
    """All that a client of the plain protocol is sent."""
    assert url.startswith("tcp://")
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        return b"".join(iter(lambda: sock.recv(4096), b""))


def test_a_quote_over_both_protocols() -> None:
    with quotes() as (server, plain, pb):
        assert plain_quote(plain) == PROVERB.encode() + b"\r\n"
        assert client_of("quotes", pb) == Ended(PROVERB + "\n", "", 0)
        assert plain_quote(plain) == PROVERB.encode() + b"\r\n"
        assert server.stop() == Ended("", "", 0)


def test_a_quote_of_ones_own() -> None:
    with quotes("--static", "Grüße, and no more.", "--verbose") as (server, plain, pb):
        assert plain_quote(plain).decode() == "Grüße, and no more.\r\n"
        assert client_of("quotes", pb).out == "Grüße, and no more.\n"
        assert server.stop().lines == ["nextQuote() gives 'Grüße, and no more.'"]


def test_quotes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "fortunes"
    file.write_text("One line.\n%\nTwo\nlines: 5 % of them.\n%\n")
    with quotes("--file", str(file)) as (_, plain, pb):
        assert client_of("quotes", pb).out in ("One line.\n", "Two\nlines: 5 % of them.\n")
        assert plain_quote(plain) in (b"One line.\r\n", b"Two\nlines: 5 % of them.\r\n")


def test_every_quote_of_a_file_has_its_turn(tmp_path: Path) -> None:
    file = tmp_path / "fortunes"
    file.write_text("%\na\n% \n\n%\nb\n%\nc")
    quoter = FortuneQuoter(file)
    assert {quoter.quote() for _ in range(500)} == {"a", "b", "c"}


def test_without_pb_there_is_none() -> None:
    with running("-m", "examples.quotes.server", "--port", "0") as server:
        assert plain_quote(server.line()) == PROVERB.encode() + b"\r\n"
        assert server.stop() == Ended("", "", 0)


@pytest.mark.parametrize("text", [None, "", "%\n%\n"])
def test_a_file_without_quotes(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "fortunes"
    if text is not None:
        file.write_text(text)
    ended = run("-m", "examples.quotes.server", "--file", str(file))
    assert (ended.out, ended.status) == ("", 2)
    assert str(file) in ended.err.splitlines()[-1]


def failed(ended: Ended) -> bool:
    return ended.out == "Failed to obtain quote.\n" and ended.status == 1


def test_no_quote_without_a_server() -> None:
    with nobody() as url:
        assert failed(client_of("quotes", url))


def test_no_quote_from_a_server_that_has_none() -> None:
    with server_of("echo") as (server, url):
        client = client_of("quotes", url)
        ended = server.stop()
    assert failed(client)
    assert client.err == "NoSuchMethod: No such method: remote_nextQuote\n"
    assert ended == Ended("", "", 0)


def test_no_quote_from_what_speaks_no_pb() -> None:
    with quotes() as (_, plain, _pb):
        client = client_of("quotes", plain.replace("tcp://", "pb://"))
    assert failed(client)
    assert client.err.startswith("ConnectionLost: ")


def test_no_quote_from_no_url() -> None:
    assert failed(client_of("quotes", "http://localhost"))


# The demo.


def test_the_demo() -> None:
    shown = run("-m", "examples.demo")
    assert shown.err == ""
    assert shown.status == 0
    lines = shown.lines
    assert lines[0] == "  demo  starting a quote server on a free port of this machine"
    assert lines[1].startswith("server  listening on tcp://")
    assert lines[2].startswith("server  listening on pb://")
    assert lines[-1] == "  demo  the server is stopped; that was all"
    client = [line.removeprefix("client  ") for line in lines if line.startswith("client")]
    kinds = [line.split()[0] for line in client]
    one, three = ["call", "answer"], ["call"] * 3 + ["answer"] * 3
    assert kinds == ["connected", *one, "three", *three, "a", "call", "error"]
    assert client[-1] == "error   allQuotes()  ->  NoSuchMethod: No such method: remote_allQuotes"
    # What the server says it gave is what the client says it got.
    given = [line.partition(" gives ")[2] for line in lines if " gives " in line]
    got = [line.partition("  ->  ")[2] for line in client if line.startswith("answer")]
    assert len(given) == 4
    assert given == got


def test_the_demo_fails_with_its_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "QUOTES", tmp_path / "none")
    assert asyncio.run(demo.main()) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "  demo  failed: the server did not start"


def test_the_demo_fails_with_its_client() -> None:
    with server_of("echo") as (_, url):
        assert run("-m", "examples.demo", "--caller", url).status == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_colour_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wanted: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    if wanted:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    demo.Screen().say("server", "hello")
    expected = "\033[36mserver\033[0m  hello\n" if wanted else "server  hello\n"
    assert capsys.readouterr().out == expected
