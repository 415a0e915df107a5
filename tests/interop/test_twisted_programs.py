"""Programs such as PB's documents show, on the Twisted face and with Twisted's own at one end."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.plays import (
    ALONE,
    CALLS,
    FACE,
    PROGRAMS,
    SERVES,
    Cast,
    Heard,
    Play,
    Role,
    Runs,
    stages,
)
from tests.interop.repertoire import PLAYS
from tests.processes import run, running


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """All plays that were asked for, played ahead of their tests."""
    functions = [one for one in request.session.items if isinstance(one, pytest.Function)]
    asked: list[Any] = [one.callspec.params for one in functions if one.function is test_play]
    with stages((params["play"], params["cast"]) for params in asked) as runs:
        yield runs


@pytest.mark.parametrize(
    ("play", "cast"),
    [pytest.param(play, cast, id=f"{play.name}, {cast}") for play in PLAYS for cast in play.casts],
)
def test_play(runs: Runs, play: Play, cast: Cast) -> None:
    for (role, package), ended in zip(play.roles(cast), runs[play, cast].result(), strict=True):
        assert Heard.of(ended) == role.expected(package), ended.err
        assert all(words in ended.err for words in role.mentions), ended.err


@pytest.mark.parametrize("cast", [ALONE, SERVES, CALLS], ids=str)
def test_quotes_on_two_ports(cast: Cast) -> None:
    quote = "An apple a day keeps the doctor away."
    with Role("quotes_server --pb 0", "").start(cast.server) as server:
        port, plain = server.line(), int(server.line())
        with Role("quotes_client", "").start(cast.clients[0], port) as program:
            client = program.end()
        with socket.create_connection(("127.0.0.1", plain)) as connection:
            assert connection.makefile().read() == f"{quote}\n"
        assert Heard.of(client) == Heard([quote]), client.err
        ended = server.stop()
        assert Heard.of(ended) == Heard([]), ended.err


def test_quotes_of_a_file(tmp_path: Path) -> None:
    quotes = tmp_path / "quotes"
    quotes.write_text("A stitch in time\nsaves nine.\n%\nA stitch in time\nsaves nine.\n")
    options = ["--pb", "0", "--file", str(quotes)]
    with running("-m", f"{PROGRAMS}quotes_server", FACE, *options) as server:
        client = run("-m", f"{PROGRAMS}quotes_client", FACE, server.line())
    assert Heard.of(client) == Heard(["A stitch in time", "saves nine."])


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("echo_client", "error: Connection was refused by other side"),
        ("second_client", "error getting first object [Failure instance: "),
        ("quotes_client", "Failed to obtain quote."),
    ],
)
def test_nobody_listens(program: str, says: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = run("-m", PROGRAMS + program, FACE, str(taken.getsockname()[1]))
    assert client.out.startswith(says)
    assert (client.err, client.status) == ("", 0)
