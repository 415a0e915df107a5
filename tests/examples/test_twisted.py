"""The examples again, with a program of Twisted's own PB on the other side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Ended, Program, run, running

pytest.importorskip("twisted.spread.pb")

HERE = Path(__file__).parent


@pytest.fixture
def twisted_server() -> Iterator[tuple[Program, str]]:
    with running(str(HERE / "twisted_server.py"), strict=False) as server:
        yield server, server.line()


@pytest.mark.parametrize(
    ("arguments", "client_says", "server_says"),
    [
        (["echo"], "server echoed: hello network", []),
        (["second"], "telling it to do three(12)", ["three 12"]),
        (["home"], "one is <...>", ["home True"]),
        (["callback"], "Two.print() called with 12", []),
        (["quotes"], "A quote from Twisted.", []),
    ],
)
def test_our_client(
    twisted_server: tuple[Program, str],
    arguments: list[str],
    client_says: str,
    server_says: list[str],
) -> None:
    server, url = twisted_server
    client = run("-m", f"examples.{arguments[0]}.client", url, *arguments[1:])
    assert (client.err, client.status) == ("", 0)
    assert client.lines[-1] == client_says
    assert server.stop().lines == server_says


@pytest.mark.parametrize(
    ("method", "kind", "text", "name"),
    [
        ("broken", "Error", "fall down go boom", "MyError"),
        ("broken2", "RemoteError", "hadda owie", "MyError2"),
    ],
)
def test_our_client_and_its_exceptions(
    twisted_server: tuple[Program, str], method: str, kind: str, text: str, name: str
) -> None:
    _, url = twisted_server
    assert run("-m", "examples.errors.client", url, method).lines == [
        "got remote Exception",
        f" .__class__ = pellucid.errors.{kind}",
        f" .getErrorMessage() = {text}",
        f" .type = __main__.{name}",
        "Main loop terminated.",
    ]


def test_our_four_calls(twisted_server: tuple[Program, str]) -> None:
    server, url = twisted_server
    client = run("-m", "examples.trap.client", url)
    assert (client.err, client.status) == ("", 0)
    assert client.lines[1::2] == [
        " method successful, response: response",
        " InsecureJelly: you tried to send something unsafe to them",
        " remote raised a MyException",
        "callFour: call on stale reference",
    ]
    assert client.lines[-1] == " stale reference: the client disconnected or crashed"
    assert server.end().status == 0


@pytest.mark.parametrize(
    ("example", "steps", "client_says"),
    [
        (
            "echo",
            ["echo=hello", "no"],
            [
                "echo=hello gave 'hello'",
                "no raised twisted.spread.flavors.NoSuchMethod: No such method: remote_no",
            ],
        ),
        (
            "second",
            ["getTwo", "/three=12"],
            ["getTwo gave RemoteReference", "/three=12 gave None"],
        ),
        (
            "home",
            ["getTwo", "checkTwo=$"],
            ["getTwo gave RemoteReference", "checkTwo=$ gave None"],
        ),
        ("callback", ["takeTwo=@"], ["mine was given 12", "takeTwo=@ gave None"]),
        (
            "errors",
            ["broken", "broken2"],
            [
                "broken raised __main__.MyError: fall down go boom",
                "broken2 raised __main__.MyError2: hadda owie",
            ],
        ),
        (
            "trap",
            ["fooMethod=x", "fooMethod=panic!", "shutdown"],
            [
                "fooMethod=x gave 'response'",
                "fooMethod=panic! raised __main__.MyException: ",
                "shutdown gave None",
            ],
        ),
    ],
)
def test_our_server(example: str, steps: list[str], client_says: list[str]) -> None:
    listen = ["-m", f"examples.{example}.server", "--listen", "pb://127.0.0.1:0"]
    with running(*listen) as server:
        port = server.line().rpartition(":")[2]
        client = run(str(HERE / "twisted_client.py"), port, *steps, strict=False)
        ended: Ended = server.end() if "shutdown" in steps else server.stop()
    assert client.out.splitlines() == client_says
    assert client.status == 0
    assert ended.status == 0
    if example == "home":
        assert ended.lines[-1] == "One.checkTwo(): our twos are the same"
