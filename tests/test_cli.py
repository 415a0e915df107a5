"""The command line: in this process for what it says, as a process for what it is."""

import asyncio
import importlib.util
import io
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner, Result

import pellucid
from pellucid import cli
from pellucid.passwords import check_password
from tests.asyncio.certificates import SECURE, Certificates, lock, make
from tests.processes import PATIENCE, TERMINAL, Program, environment, run, running
from tools.modules import COMPILED, is_compiled

WORKS = ["-m", "pellucid"]


class Known(pellucid.Error):
    pass


class Everything(pellucid.Root):
    """A method for each thing that the command line has to show."""

    def remote_echo(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def remote_give(self, what: Any) -> Any:
        return what

    def remote_me(self) -> "Everything":
        return self

    def remote_known(self) -> None:
        raise Known("as expected")

    def remote_mute(self) -> None:
        raise Known

    def remote_hostile(self) -> None:
        raise Known("\x1b[2J\x07\nand more " + "x" * 100_000)

    def remote_bomb(self) -> Any:
        value: Any = [0]
        for _ in range(60):
            value = [value, value]
        return value

    def remote_wide_bomb(self) -> Any:
        value: Any = {"key": 0}
        for _ in range(10):
            value = [value] * 100
        return value

    def remote_cycle(self) -> Any:
        value: list[Any] = [1]
        value.append({"again": value})
        return value

    async def remote_hang(self) -> None:
        asyncio.get_running_loop().call_soon(self.close)
        await asyncio.Event().wait()

    close: Callable[[], object]


@contextmanager
def serving(url: str = "pb://127.0.0.1:0", **options: Any) -> Iterator[str]:
    """A server on a thread of its own."""
    urls: queue.Queue[tuple[str, Callable[[], object]]] = queue.Queue()

    async def serve() -> None:
        root = Everything()
        async with pellucid.serve(root, url, **options) as server:
            loop = asyncio.get_running_loop()
            root.close = server.close
            urls.put((server.url, lambda: loop.call_soon_threadsafe(server.close)))
            await server.serve_forever()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, serve())
        url, stop = urls.get(timeout=PATIENCE)
        try:
            yield url
        finally:
            # A test may have closed it, and its loop with it.
            with suppress(RuntimeError):
                stop()
            done.result(PATIENCE)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


def invoke(*arguments: str) -> Result:
    return CliRunner(env=dict.fromkeys(TERMINAL)).invoke(cli.main, arguments)


def shown(*arguments: str) -> str:
    """What a command prints that works."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str, status: int = 1) -> str:
    """What a command says that does not work."""
    result = invoke(*arguments)
    assert result.exit_code == status, result.output
    # An exit, and no exception that nobody thought of.
    assert isinstance(result.exception, SystemExit)
    return result.output


# version


def test_version() -> None:
    compiled = all(map(is_compiled, COMPILED))
    build = "compiled" if compiled else "pure Python"
    assert shown("version") == f"pellucid {pellucid.__version__}, {build}\n"


def test_version_looks_at_all_that_can_be_compiled() -> None:
    assert {*cli._COMPILABLE} == {*COMPILED}


def module(name: str, file: str | None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = file
    return made


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a": "a.py", "b": "b.py"}, "pure Python"),
        ({"a": "a.so", "b": "b.cpython-311-x86_64-linux-gnu.so"}, "compiled"),
        ({"a": "a.py", "b": "b.so", "c": None}, "partly compiled (b, c)"),
    ],
)
def test_version_tells_the_builds_apart(files: dict[str, str | None], text: str) -> None:
    assert cli._build(module(f"pellucid.{name}", file) for name, file in files.items()) == text


# call: arguments


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "((), {})"),
        (["1", "-1", "2.5", "None", "True"], "((1, -1, 2.5, None, True), {})"),
        (["word", "two words", "'1'", ""], "(('word', 'two words', '1', ''), {})"),
        (["[1, 'a']", "{'k': (1,)}", "b'x'", "{1}"], "(([1, 'a'], {'k': (1,)}, b'x', {1}), {})"),
        (["1", "key=2", "other=word", "3"], "((1, 3), {'key': 2, 'other': 'word'})"),
        (["a=", "b=c=d"], "((), {'a': '', 'b': 'c=d'})"),
        (["'a=b'", "1=2", "=", "a.b=c"], "(('a=b', '1=2', '=', 'a.b=c'), {})"),
        (["self=1", "name=2", "url=3"], "((), {'self': 1, 'name': 2, 'url': 3})"),
        (["--help", "-x"], "(('--help', '-x'), {})"),
        (["[1", "grüße"], "(('[1', 'grüße'), {})"),
    ],
)
def test_arguments(url: str, words: list[str], text: str) -> None:
    if "self=1" in words:
        # The method of this test takes `self` by position as well.
        text = "multiple values for argument 'self'"
        assert text in refused("call", url, "echo", *words)
    else:
        assert shown("call", url, "echo", *words) == text + "\n"


def test_a_keyword_given_twice(url: str) -> None:
    assert "a is given twice" in refused("call", url, "echo", "a=1", "a=2", status=2)


# call: results


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "'text'"),
        ([], "[]"),
        ((), "()"),
        ((1,), "(1,)"),
        ({}, "{}"),
        (set(), "set()"),
        (frozenset(), "frozenset()"),
        ({3, 1, 2}, "{1, 2, 3}"),
        (frozenset({1, 2}), "frozenset({1, 2})"),
        ({(1, 2): [3]}, "{(1, 2): [3]}"),
        (Decimal("1.10"), "Decimal('1.10')"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("[bold]:smile:", "'[bold]:smile:'"),
    ],
)
def test_results(value: Any, text: str) -> None:
    assert repr(cli._Viewer().view(value)) == text


def test_a_result_is_printed_as_it_is(url: str) -> None:
    assert shown("call", url, "give", "'[bold]:smile:'") == "'[bold]:smile:'\n"
    assert shown("call", url, "give", "None") == "None\n"
    assert shown("call", url, "give", "'" + "x" * 500 + "'") == f"'{'x' * 500}'\n"


def test_a_long_result_has_many_lines(url: str) -> None:
    text = shown("call", url, "give", repr({"numbers": list(range(100)), "one": 1}))
    assert text.startswith("{\n    'numbers': [\n        0,\n        1,\n")
    assert text.endswith("        99\n    ],\n    'one': 1\n}\n")


def test_a_reference_is_shown_as_its_repr(url: str) -> None:
    assert re.fullmatch(
        r"<RemoteReference \d+ at pb://127\.0\.0\.1:\d+>\n", shown("call", url, "me")
    )


@pytest.mark.parametrize("name", ["bomb", "wide_bomb", "cycle"])
def test_a_result_that_stands_for_a_huge_one(url: str, name: str) -> None:
    text = shown("call", url, name)
    assert "..." in text
    assert len(text) < 5 * cli._ROOM


@pytest.mark.parametrize(
    "value",
    [
        "x" * 500_000,
        b"\xff" * 500_000,
        "\U000e0001" * 100_000,
        ["x" * 15_000] * 40,
        {str(number): number for number in range(100_000)},
        set(range(100_000)),
        [[[["x" * 10_000]]]] * 10,
    ],
)
def test_a_large_result_is_cut(value: Any) -> None:
    text = repr(cli._Viewer().view(value))
    assert "..." in text
    assert len(text) < 2 * cli._ROOM


def test_an_object_of_any_kind_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 100_000

    assert repr(cli._Viewer().view(Long())) == "x" * (cli._ROOM - 2) + "..."


@pytest.mark.parametrize("char", ["x", "1", "a1.", "/", "<"])
def test_a_large_result_is_coloured_in_no_time(char: str) -> None:
    text = f"'{char * cli._ROOM}\n1"
    begun = time.process_time()
    coloured = cli._coloured(text)
    assert time.process_time() - begun < 1
    assert coloured.plain == text
    assert [span.style for span in coloured.spans] == ["repr.number"]


def test_a_terminal_that_cannot_show_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TERMINAL:
        monkeypatch.delenv(name, raising=False)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    cli._print("'grüße'")
    out.seek(0)
    assert out.read() == "'gr\\xfc\\xdfe'\n"


# call: errors


def test_a_known_error(url: str) -> None:
    expected = f"Error: Known: as expected\n(raised by the other side as {__name__}.Known)\n"
    assert refused("call", url, "known") == expected
    assert refused("call", url, "mute").startswith("Error: Known\n")


def test_a_method_that_is_not_there(url: str) -> None:
    text = refused("call", url, "nothing")
    assert text.startswith("Error: NoSuchMethod: No such method: remote_nothing\n")


def test_an_error_does_nothing_to_the_terminal(url: str) -> None:
    text = refused("call", url, "hostile")
    assert text.startswith("Error: Known: \\x1b[2J\\x07\nand more xxx")
    assert text.endswith("xxx...\n")
    assert len(text) < 2 * cli._ROOM


def test_a_traceback_is_shown_where_there_is_one(url: str) -> None:
    assert "raceback" not in refused("call", url, "known")
    with serving(tracebacks=True) as talkative:
        text = refused("call", talkative, "known")
    assert "Traceback (most recent call last)" in text
    assert 'raise Known("as expected")' in text


def test_a_connection_that_goes() -> None:
    with serving() as url:
        assert refused("call", url, "hang").startswith("Error: ConnectionLost: ")


def test_a_value_that_may_not_travel(url: str) -> None:
    assert "InsecureJelly: arguments[0]" in refused("call", url, "give", "1j")


def test_nobody_is_there(tmp_path: Path) -> None:
    there = f"pb+unix://{tmp_path}/none"
    text = refused("call", there, "x")
    assert text.startswith(f"Error: FileNotFoundError: {there}: [Errno ")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("command", ["call", "serve"])
def test_a_host_that_is_unknown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    there = "pb://nohost.invalid"
    text = refused(
        *(["call", there, "x"] if command == "call" else ["serve", "shop:Shop", "--listen", there])
    )
    assert text == f"Error: gaierror: {there}: [Errno -2] Name or service not known\n"


@pytest.mark.parametrize("command", ["call", "serve"])
def test_a_url_that_is_none(command: str, shop: Path) -> None:
    arguments = ["http://x", "name"] if command == "call" else ["shop:Shop", "--listen", "http://x"]
    assert "http://x" in refused(command, *arguments)


# serve

SHOP = """
import pellucid


class Shop(pellucid.Root):
    price = 3

    def remote_price(self, thing, count=1):
        return f"{count} {thing}: {self.price * count}"


class Corner:
    shop = Shop()
    shop.price = 5


class Chain(Shop):
    def __init__(self, name):
        self.name = name


def make():
    return Shop()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a module `shop` in it, as the current one."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("import nowhere.at_all")
    (tmp_path / "typo.py").write_text("class Shop:\n    x = = 1\n")
    (tmp_path / "zero.py").write_text("def price():\n    return 1 / 0\n\n\nprice()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("shop", "broken", "typo", "zero"):
        sys.modules.pop(name, None)


class Lines(io.StringIO):
    """Takes what is printed, and gives it to another thread line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self.lines.put(line)
        return len(text)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
@pytest.mark.parametrize(
    ("target", "number", "price"),
    [("shop:Shop", signal.SIGTERM, 3), ("shop:Corner.shop", signal.SIGINT, 5)],
)
def test_serving_until_a_signal(
    shop: Path, monkeypatch: pytest.MonkeyPatch, target: str, number: int, price: int
) -> None:
    out = Lines()
    monkeypatch.setattr(sys, "stdout", out)
    answers: list[str] = []

    async def ask() -> None:
        url = await asyncio.to_thread(out.lines.get, timeout=PATIENCE)
        async with pellucid.connect(url) as connection:
            answers.append(await connection.root.call("price", "apple", count=2))

    def caller() -> None:
        try:
            asyncio.run(ask())
        finally:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=caller)
    thread.start()
    cli.main(["serve", target, "--listen", "pb://127.0.0.1:0"], standalone_mode=False)
    thread.join(PATIENCE)
    assert answers == [f"2 apple: {2 * price}"]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nowhere:Shop", "nowhere:Shop: No module named 'nowhere'"),
        ("broken:Shop", "broken:Shop: No module named 'nowhere'"),
        ("shop:Nothing", "has no attribute 'Nothing'"),
        ("shop:Corner", "Corner can't be served"),
        ("shop:Shop.price", "int can't be served"),
        ("shop:make", "shop:make: a function; a class or an object can be served"),
        ("shop:Chain", "shop:Chain: TypeError: Chain.__init__() missing 1 required positional"),
        ("typo:Shop", "typo:Shop: SyntaxError: invalid syntax (typo.py, line 2)"),
        ("zero:Shop", "zero:Shop: ZeroDivisionError: division by zero (zero.py, line 2)"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_what_cannot_be_served(target: str, text: str) -> None:
    said = refused("serve", target)
    assert text in said
    assert said.startswith("Error: ")
    assert said.count("\n") == 1


def test_help_says_what_is_made_of_a_class() -> None:
    text = " ".join(shown("serve", "--help").split())
    assert "A class is called without arguments" in text


def test_help_says_where_options_stand() -> None:
    text = " ".join(shown("call", "--help").split())
    assert text.startswith("Usage: main call [OPTIONS] URL NAME [ARGUMENT")
    assert "Options stand before URL" in text


@pytest.mark.parametrize("target", ["shop", "shop:", ":Shop"])
def test_a_target_that_is_none(target: str) -> None:
    assert "is not of the form module:Name" in refused("serve", target, status=2)


@pytest.mark.usefixtures("shop")
def test_an_address_that_is_taken(url: str) -> None:
    text = refused("serve", "shop:Shop", "--listen", url)
    assert text.startswith(f"Error: OSError: {url}: [Errno ")


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


def test_a_call_under_tls(certificates: Certificates) -> None:
    trust = ("--authorities", str(certificates.authority))
    with serving(SECURE, ssl=certificates.server_tls()) as url:
        assert url.startswith("pbs://")
        assert shown("call", *trust, url, "echo", "1") == "((1,), {})\n"
        text = refused("call", url, "echo", "1")
        assert text.startswith("Error: ConnectionLost: ")
        assert "the certificate is refused: unable to get local issuer certificate" in text
        text = refused("call", *trust, url.replace("pbs:", "PB:"), "echo", status=2)
        assert "files with certificates are for pbs:// only" in text


def test_a_call_with_a_certificate(certificates: Certificates) -> None:
    key = str(lock(certificates, "alice", "secret"))
    trust = ("--authorities", str(certificates.authority))
    alice = ("--certificate", str(certificates.alice))
    with serving(SECURE, ssl=certificates.server_tls(clients=True)) as url:
        assert shown("call", *trust, *alice, url, "echo") == "((), {})\n"
        assert "a certificate of the client" in refused("call", *trust, url, "echo")
        asked = CliRunner(env=dict.fromkeys(TERMINAL)).invoke(
            cli.main, ["call", *trust, *alice, "--key", key, url, "echo"], input="secret\n"
        )
        assert asked.exit_code == 0
        assert asked.stdout == "((), {})\n"
        assert "Password of the key" in asked.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
@pytest.mark.usefixtures("shop")
def test_serving_under_tls(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Lines()
    monkeypatch.setattr(sys, "stdout", out)
    answers: list[object] = []

    async def ask() -> None:
        url = await asyncio.to_thread(out.lines.get, timeout=PATIENCE)
        for name in ("alice", None):
            try:
                async with pellucid.connect(url, ssl=certificates.client_tls(name)) as connection:
                    answers.append(await connection.root.call("price", "apple"))
            except pellucid.ConnectionLost:
                answers.append(None)

    def caller() -> None:
        try:
            asyncio.run(ask())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=caller)
    thread.start()
    files = ["--certificate", str(certificates.server), "--key", str(certificates.server)]
    files += ["--client-authorities", str(certificates.authority)]
    cli.main(["serve", "shop:Shop", "--listen", SECURE, *files], standalone_mode=False)
    thread.join(PATIENCE)
    assert answers == ["1 apple: 3", None]


@pytest.mark.usefixtures("shop")
def test_files_that_do_not_fit(certificates: Certificates, tmp_path: Path) -> None:
    server = str(certificates.server)
    serving = ("serve", "shop:Shop", "--listen")
    assert "pbs:// needs --certificate" in refused(*serving, SECURE, status=2)
    text = refused(*serving, "pb://127.0.0.1:0", "--certificate", server, status=2)
    assert "files with certificates are for pbs:// only" in text
    text = refused(*serving, SECURE, "--certificate", str(certificates.authority))
    assert "no certificate, no key that fits, or a wrong password in" in text
    missing = str(tmp_path / "none")
    assert "FileNotFoundError" in refused(*serving, SECURE, "--certificate", missing)
    text = refused("call", "--key", server, "pbs://127.0.0.1:1", "x")
    assert "a key without its certificate" in text


# passwd


def passwd(*arguments: str, typed: str | bytes = "secret\n") -> Result:
    return CliRunner(env=dict.fromkeys(TERMINAL)).invoke(
        cli.main, ["passwd", *arguments], input=typed
    )


@pytest.fixture
def users(tmp_path: Path) -> str:
    return str(tmp_path / "users")


@pytest.mark.parametrize("typed", ["secret\n", "secret", "secret\r\n", "secret\nand more\n"])
def test_a_password_is_one_line_of_the_input(users: str, typed: str) -> None:
    result = passwd(users, "alice", typed=typed)
    assert (result.exit_code, result.output) == (0, "")
    account = pellucid.PasswordFile(users).find_account("alice")
    assert account is not None
    assert check_password(account, "secret")
    assert account.md5 is None


def test_md5_is_written_where_it_is_asked_for_and_what_it_means_is_said(users: str) -> None:
    result = passwd(users, "alice", "--pb-md5")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.endswith("Whoever reads it can log in with it.\n")
    assert pellucid.PasswordFile(users).has_md5
    # A new password without it has none.
    assert passwd(users, "alice").exit_code == 0
    assert not pellucid.PasswordFile(users).has_md5


def test_argon2(users: str) -> None:
    pytest.importorskip("argon2")
    assert passwd(users, "alice", "--argon2").exit_code == 0
    account = pellucid.PasswordFile(users).find_account("alice")
    assert account is not None
    assert account.slow is not None
    assert account.slow.startswith("$argon2id$")


def test_a_user_is_taken_out(users: str) -> None:
    assert passwd(users, "alice").exit_code == 0
    assert passwd(users, "alice", "--delete").exit_code == 0
    assert pellucid.PasswordFile(users).find_account("alice") is None
    result = passwd(users, "alice", "--delete")
    assert (result.exit_code, result.stderr) == (1, f"Error: {users} has no such user\n")


def test_taking_out_goes_with_nothing_else(users: str) -> None:
    for option in ("--pb-md5", "--argon2"):
        assert passwd(users, "alice", "--delete", option).exit_code == 2


@pytest.mark.parametrize("typed", ["", "\n", "x" * 2000])
def test_a_password_that_is_none(users: str, typed: str) -> None:
    result = passwd(users, "alice", typed=typed)
    assert result.exit_code == 1
    assert result.stderr == "Error: ValueError: a password has from 1 to 1024 characters\n"
    assert not Path(users).exists()


def test_a_file_that_is_no_password_file(users: str) -> None:
    Path(users).write_text("Dear Bob\n")
    result = passwd(users, "alice")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: BadPasswordFile: {users}, line 1: ")
    assert Path(users).read_text() == "Dear Bob\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
@pytest.mark.parametrize(("again", "right"), [("secret", True), ("secert", False)])
def test_a_terminal_is_asked_twice_and_shows_nothing(users: str, again: str, right: bool) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, *WORKS, "passwd", users, "alice"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=environment(),
    )
    os.close(theirs)
    seen = b""
    with process, os.fdopen(ours, "r+b", buffering=0) as terminal:

        def answer(question: bytes, text: str) -> None:
            nonlocal seen
            while not seen.rstrip().endswith(question):
                seen += terminal.read(1)
            terminal.write(text.encode() + b"\n")
            seen += terminal.read(1)

        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        answer(b"Password:", "secret")
        answer(b"Again:", again)
        if not right:
            answer(b"Password:", "secret")
            answer(b"Again:", "secret")
        # At the end of a terminal Linux gives an error.
        with suppress(OSError):
            while data := terminal.read(100):
                seen += data
        watchdog.cancel()
    assert process.returncode == 0
    assert b"secret" not in seen
    account = pellucid.PasswordFile(users).find_account("alice")
    assert account is not None
    assert check_password(account, "secret")


def test_passwd_as_a_process(users: str) -> None:
    assert passwd(users, "alice").exit_code == 0
    ended = run(*WORKS, "passwd", users, "alice", "--delete")
    assert (ended.out, ended.err, ended.status) == ("", "", 0)


# As processes.


def test_all_together_as_processes(shop: Path) -> None:
    serve = [*WORKS, "serve", "shop:Shop", "--listen", "pb://127.0.0.1:0"]
    with running(*serve, cwd=shop) as server:
        url = server.line()
        good = run(*WORKS, "call", url, "price", "apple", "count=3")
        bad = run(*WORKS, "call", url, "prize")
        ended = server.stop()
    assert (good.out, good.err, good.status) == ("'3 apple: 9'\n", "", 0)
    assert (bad.out, bad.status) == ("", 1)
    assert bad.err.startswith("Error: NoSuchMethod: No such method: remote_prize\n")
    assert (ended.out, ended.err, ended.status) == ("", "", 0)


def test_every_url_is_printed(shop: Path) -> None:
    serve = [*WORKS, "serve", "shop:Shop", "--listen", "pb://localhost:0"]
    with running(*serve, cwd=shop) as server:
        first = server.line()
        ended = server.stop()
    urls = [first, *ended.out.splitlines()]
    assert len({url.rpartition(":")[2] for url in urls}) == 1
    assert all(url.startswith("pb://") for url in urls)


WAITING = """
import asyncio, pathlib, pellucid
class Waiting(pellucid.Root):
    async def remote_wait(self):
        try:
            print("started", flush=True)
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
            return "the answer"
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise
"""
FINISHING = "finishing 2 calls, up to {} s; again to stop at once\n"


@contextmanager
def waiting(folder: Path, *options: str) -> Iterator[tuple[Program, str, list[Program]]]:
    """A server, its URL, and two callers whom it lets wait until there is a file."""
    (folder / "waiting.py").write_text(WAITING, encoding="utf-8")
    serve = [*WORKS, "serve", "waiting:Waiting", "--listen", "pb://127.0.0.1:0", *options]
    with running(*serve, cwd=folder) as server:
        url = server.line()
        call = [*WORKS, "call", url, "wait"]
        with running(*call) as first, running(*call) as second:
            assert [server.line(), server.line()] == ["started", "started"]
            yield server, url, [first, second]


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
def test_a_signal_lets_calls_finish(tmp_path: Path) -> None:
    with waiting(tmp_path) as (server, url, callers):
        server.send(signal.SIGTERM)
        host, _, port = url.removeprefix("pb://").partition(":")
        with suppress(OSError):
            while True:
                socket.create_connection((host, int(port))).close()
        (tmp_path / "go").touch()
        ended = server.end()
        said = [caller.end() for caller in callers]
    assert (ended.out, ended.err, ended.status) == ("", FINISHING.format(20), 0)
    assert [(each.out, each.err, each.status) for each in said] == 2 * [("'the answer'\n", "", 0)]


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
def test_the_time_for_that_is_limited(tmp_path: Path) -> None:
    with waiting(tmp_path, "--drain", "0.1") as (server, _, callers):
        ended = server.stop(signal.SIGINT)
        said = [caller.end() for caller in callers]
    assert ended.err.startswith(FINISHING.format(0.1))
    assert ended.err.endswith("the time to drain is over, calls that still run are cancelled: 2\n")
    assert (ended.out, ended.status) == ("cancelled\ncancelled\n", 0)
    for each in said:
        assert each.err.startswith("Error: ConnectionLost: ")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with waiting(tmp_path) as (server, _, callers):
        server.send(signal.SIGINT)
        server.send(signal.SIGTERM)
        ended = server.end()
        said = [caller.end() for caller in callers]
    # The order of two signals that wait is the system's matter.
    assert ended.err == FINISHING.format(20) + "stopping at once\n"
    assert (ended.out, ended.status) == ("cancelled\ncancelled\n", 0)
    for each in said:
        assert each.err.startswith("Error: ConnectionLost: ")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a server there")
def test_no_time_at_all_is_stopping_at_once(tmp_path: Path) -> None:
    with waiting(tmp_path, "--drain", "0") as (server, _, callers):
        ended = server.stop()
        for caller in callers:
            caller.end()
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("the time to drain is over, calls that still run are cancelled: 2\n")
    text = refused("serve", "waiting:Waiting", "--drain", "-1", status=2)
    assert "-1.0 is not in the range" in text


def test_what_a_signal_says(capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, where coverage looks."""

    class Served:
        running = 1

        def __init__(self) -> None:
            self.asked: list[object] = []

        def start_draining(self, seconds: float) -> None:
            self.asked.append(seconds)

        def close(self) -> None:
            self.asked.append("close")

    served: Any = Served()
    stop = cli._Stop(served, 5.0)
    stop()
    stop()
    assert served.asked == [5.0, "close"]
    text = "finishing 1 call, up to 5 s; again to stop at once\nstopping at once\n"
    assert capsys.readouterr() == ("", text)


def test_the_version_as_a_process() -> None:
    assert run(*WORKS, "version").out == shown("version")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_libraries_it_says_what_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import pellucid.cli"
    text = (
        f"pellucid: the command line needs {missing}, which is not installed.\n"
        "Install it with: pip install 'pellucid[cli]'"
    )
    ended = run("-c", code)
    assert (ended.out, ended.err, ended.status) == ("", text + "\n", 1)
    # The same in this process, where coverage looks.
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    spec = importlib.util.spec_from_file_location("pellucid.cli", cli.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(SystemExit, match=re.escape(text)):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
