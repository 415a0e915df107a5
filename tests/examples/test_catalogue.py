"""The catalogue: a server, guests and users, each a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Ended, Program, run, running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "things"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"12345")
    (folder / "b.txt").write_bytes(b"")
    return folder


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[tuple[Program, str]]:
    """The server with one user, and its URL."""
    users = tmp_path / "users"
    made = run("-m", "pellucid", "passwd", str(users), "ann", given="apple\n")
    assert (made.err, made.status) == ("", 0)
    listen = ["--listen", "pb://127.0.0.1:0", "--users", str(users)]
    with running("-m", "examples.catalogue.server", str(folder), *listen) as server:
        yield server, server.line()


def client(url: str, *options: str, password: str = "") -> Ended:
    return run("-m", "examples.catalogue.client", url, *options, given=password + "\n")


def test_a_guest_sees_no_paths(served: tuple[Program, str]) -> None:
    server, url = served
    guest = client(url)
    assert (guest.err, guest.status) == ("", 0)
    assert guest.out.split() == ["a.txt", "5", "b.txt", "0"]
    ended = server.stop()
    assert (ended.out, ended.err) == ("a guest: list\n", "")


def test_a_user_sees_paths_and_writes_notes(served: tuple[Program, str], folder: Path) -> None:
    server, url = served
    ann = client(url, "--user", "ann", "--note", "a.txt", "five bytes", password="apple")
    assert (ann.err, ann.status) == ("", 0)
    assert ann.out.splitlines() == [
        f"a.txt             5  five bytes  {folder / 'a.txt'}",
        f"b.txt             0  {folder / 'b.txt'}",
    ]
    assert client(url).out.splitlines()[0] == "a.txt             5  five bytes"
    ended = server.stop()
    assert ended.out.splitlines() == ["ann: note a.txt", "ann: list", "a guest: list"]
    assert ended.err == ""


def test_a_guest_may_not_write(served: tuple[Program, str]) -> None:
    server, url = served
    guest = client(url, "--note", "a.txt", "hello")
    assert guest.out == "refused: guests may look, and not write\n"
    assert (guest.err, guest.status) == ("", 1)
    assert server.stop().out == ""


@pytest.mark.parametrize(
    ("note", "refused"),
    [
        (("c.txt", "hello"), "there is no c.txt"),
        (("a.txt", "x" * 201), "a note is a text of up to 200 characters"),
    ],
)
def test_what_can_not_be_done(
    served: tuple[Program, str], note: tuple[str, str], refused: str
) -> None:
    _, url = served
    ann = client(url, "--user", "ann", "--note", *note, password="apple")
    assert (ann.out, ann.err, ann.status) == (f"refused: {refused}\n", "", 1)


def test_a_wrong_password(served: tuple[Program, str]) -> None:
    _, url = served
    for name in ("ann", "nobody"):
        ended = client(url, "--user", name, password="pear")
        assert (ended.out, ended.err, ended.status) == (
            "",
            "error: the server did not let us in\n",
            1,
        )


def test_without_users_all_are_guests(folder: Path) -> None:
    listen = ["--listen", "pb://127.0.0.1:0"]
    with running("-m", "examples.catalogue.server", str(folder), *listen) as server:
        url = server.line()
        assert client(url).status == 0
        ended = client(url, "--user", "ann", password="apple")
        assert (ended.err, ended.status) == ("error: the server did not let us in\n", 1)
        assert server.stop().out == "a guest: list\n"
