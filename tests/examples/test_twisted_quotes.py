"""The quote service, run by Twisted's own commands, and asked over plain TCP and over PB."""

import re
import select
import shutil
import signal
import socket
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.quotes.quoters import FortuneQuoter
from tests.processes import PATIENCE, Ended, Program, run, running
from tools.modules import ROOT

pytest.importorskip("twisted")

PROVERB = "An apple a day keeps the doctor away."
FORTUNES = ROOT / "examples" / "quotes" / "proverbs.txt"
CLIENT = Path(__file__).parent / "twisted_client.py"
OURS, ORIGINAL = "from pellucid.twisted import pb\n", "from twisted.spread import pb\n"

SCRIPTS = Path(sysconfig.get_path("scripts"))
LOGGED = ["--log-format", "text"]
TWIST = ["-m", "twisted", *LOGGED]
TWISTD = ["--nodaemon", "--pidfile="]
FACE = ["-m", "pellucid.twisted"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The examples, where Twisted may write what it keeps of its plugins."""
    ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    return tmp_path


@pytest.fixture
def original(place: Path) -> Path:
    """The examples as they were before somebody changed their one import."""
    changed = 0
    for path in (place / "examples" / "twisted_quotes").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        changed += OURS in text
        path.write_text(text.replace(OURS, ORIGINAL), encoding="utf-8")
    assert changed == 3
    return place


def places(place: Path) -> list[Path]:
    return [place, place / "examples" / "twisted_quotes"]


@contextmanager
def service(place: Path, command: list[str], *options: str) -> Iterator[tuple[Program, int, int]]:
    """The service, its port for plain quotes and its port for PB, each chosen by itself."""
    arguments = [*command, "qotd", "--port", "0", "--pb", "0", *options]
    with running(*arguments, cwd=place, places=places(place)) as program:
        yield program, port_of(program, "QOTDFactory"), port_of(program, "PBServerFactory")


def port_of(program: Program, factory: str) -> int:
    """Read what the service logs until it says where it listens."""
    while not (found := re.search(rf"{factory} starting on (\d+)$", program.line())):
        pass
    return int(found[1])


def plain_quote(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def client(place: Path, port: int, *before: str) -> Ended:
    arguments = [*before, "-m", "examples.twisted_quotes.client", str(port)]
    return run(*arguments, cwd=place, places=[place])


@pytest.mark.parametrize(
    "command",
    [TWIST, [str(SCRIPTS / "twist"), *LOGGED], [str(SCRIPTS / "twistd"), *TWISTD]],
    ids=["module", "twist", "twistd"],
)
def test_both_ports(place: Path, command: list[str]) -> None:
    with service(place, command) as (program, plain, perspective):
        assert plain_quote(plain) == PROVERB + "\r\n"
        assert client(place, perspective) == Ended(PROVERB + "\n", "", 0)
        # Twisted's own client gets the same.
        theirs = run(str(CLIENT), str(perspective), "nextQuote", strict=False)
        assert theirs.out == f"nextQuote gave {PROVERB!r}\n"
        ended = program.stop(signal.SIGINT)
    assert ended.err == ""
    assert "Main loop terminated." in ended.out
    assert "Traceback" not in ended.out


@pytest.mark.parametrize(
    "command",
    [
        [*FACE, *TWIST],
        [*FACE, "twist", *LOGGED],
        [*FACE, "twistd", *TWISTD],
        [*FACE, str(SCRIPTS / "twist"), *LOGGED],
    ],
    ids=["module", "twist", "twistd", "path"],
)
def test_the_program_can_stay_as_it_was(original: Path, command: list[str]) -> None:
    with service(original, command) as (program, plain, perspective):
        assert plain_quote(plain) == PROVERB + "\r\n"
        assert client(original, perspective, *FACE) == Ended(PROVERB + "\n", "", 0)
        assert client(original, perspective) == Ended(PROVERB + "\n", "", 0)
        ended = program.stop()
    assert ended.err == ""
    assert "Traceback" not in ended.out


@pytest.mark.parametrize(
    "reactor",
    [
        "select",
        "asyncio",
        pytest.param(
            "epoll",
            marks=pytest.mark.skipif(
                not hasattr(select, "epoll"), reason="this system has no epoll"
            ),
        ),
    ],
)
def test_on_each_reactor(place: Path, reactor: str) -> None:
    with service(place, [*TWIST, "--reactor", reactor]) as (_, plain, perspective):
        assert plain_quote(plain) == PROVERB + "\r\n"
        assert client(place, perspective) == Ended(PROVERB + "\n", "", 0)


def test_the_quotes_of_a_file(place: Path) -> None:
    known = set(FortuneQuoter(FORTUNES)._quotes)
    with service(place, TWIST, "--file", str(FORTUNES)) as (_, plain, perspective):
        assert plain_quote(plain).removesuffix("\r\n") in known
        assert client(place, perspective).out.removesuffix("\n") in known


def test_a_quote_of_the_command_line(place: Path) -> None:
    with service(place, TWIST, "-s", "Grüß dich!") as (_, plain, perspective):
        assert plain_quote(plain) == "Grüß dich!\r\n"
        assert client(place, perspective).out == "Grüß dich!\n"


def test_without_pb_there_is_one_port(place: Path) -> None:
    arguments = [*TWIST, "qotd", "-p", "0"]
    with running(*arguments, cwd=place, places=places(place)) as program:
        assert plain_quote(port_of(program, "QOTDFactory")) == PROVERB + "\r\n"
        assert "PBServerFactory" not in program.stop().out


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--port", "x"], "invalid literal for int"),
        (["--pb", "65536"], "65536"),
        (["--file", "nowhere.txt"], "nowhere.txt"),
        (["--file", "empty.txt"], "there is no quote in empty.txt"),
        (["more"], "Wrong number of arguments."),
    ],
)
def test_bad_options(place: Path, options: list[str], error: str) -> None:
    (place / "empty.txt").write_text("%\n%\n", encoding="utf-8")
    ended = run(*TWIST, "qotd", *options, cwd=place, places=places(place))
    assert ended.status != 0
    assert re.search(rf"^Error: .*{re.escape(error)}", ended.out + ended.err, re.MULTILINE)
    assert "Traceback" not in ended.err


def test_the_seeds_options(place: Path) -> None:
    said = run(*TWIST, "qotd", "--help", cwd=place, places=places(place)).out
    options = re.findall(r"^ +(?:(-\w), +)?(--\w+)", said, re.MULTILINE)
    ours = {("-p", "--port"), ("-s", "--static"), ("-f", "--file"), ("-b", "--pb")}
    assert ours <= set(options)
    assert "[default: 8007]" in said
    assert PROVERB in " ".join(said.split())


def test_without_a_service_the_client_says_so(place: Path) -> None:
    with socket.socket() as nobody:
        # It is bound and does not listen, so nobody else can get the port either.
        nobody.bind(("127.0.0.1", 0))
        ended = client(place, nobody.getsockname()[1])
    assert ended.out == "Failed to obtain quote.\n"
    assert ended.err.startswith("ConnectionRefusedError: ")
    assert ended.status == 1
