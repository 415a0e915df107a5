"""The command `pellucid`: publish an object, call a method of one, say what is installed."""

import ast
import asyncio
import contextlib
import errno
import functools
import importlib
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from ._version import __version__
from .asyncio import Connection, Server, client_tls, connect, serve, server_tls
from .errors import PBError
from .passwords import make_account, write_account

try:
    import click
    from rich.console import Console
    from rich.highlighter import ReprHighlighter
    from rich.pretty import pretty_repr
    from rich.text import Text
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"pellucid: the command line needs {str(missing.name).partition('.')[0]}, "
        "which is not installed.\n"
        "Install it with: pip install 'pellucid[cli]'"
    ) from None

__all__ = ["main"]

_Command = TypeVar("_Command", bound=Callable[..., object])

# What is shown of a result or an error: it is the peer's, and may be of any size. Sharing lets a
# small message stand for a very large value, so that all of what is shown is counted.
_ROOM = 20_000
_DEPTH = 20
# So many characters of a line are looked through for what may be coloured.
_LINE = 1_000

_COMPILABLE = (
    *("banana", "hashing", "holes", "encoder", "decoder", "jelly", "events", "ledger", "releases"),
    *("references", "tables", "messages", "waiting", "outbox", "broker"),
    *("asyncio.outgoing", "asyncio.current", "asyncio.calls", "asyncio.wakeups", "asyncio.turns"),
)


class _Unwritten(click.ClickException):
    """The output can't be written, as on a full disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the output can't be written: {error.strerror or error}")

    def show(self, file: Any = None) -> None:
        """Say so, and drop what Python would try to write once more at its end."""
        with contextlib.suppress(OSError):
            super().show(file)
        with contextlib.suppress(OSError):
            sys.stdout.close()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # Nobody reads any more: there is nothing to say.
        raise _Unwritten(error) from error


def _say(text: str) -> None:
    with _writing():
        click.echo(text)


class _Program(click.Group):
    """A group whose help can't be written is no reason for a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            unwritten = _Unwritten(error)
            unwritten.show()
            sys.exit(unwritten.exit_code)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Perspective Broker: publish objects, and call the objects of others."""


@main.command()
def version() -> None:
    """Say which version this is, and whether it is compiled."""
    _say(f"pellucid {__version__}, {_build(map(_module, _COMPILABLE))}")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"pellucid.{name}")


def _build(modules: Iterable[ModuleType]) -> str:
    """Tell which of the modules are compiled."""
    pure: list[str] = []
    compiled: list[str] = []
    for module in modules:
        is_source = (module.__file__ or "").endswith(".py")
        (pure if is_source else compiled).append(module.__name__.rpartition(".")[2])
    if not compiled:
        return "pure Python"
    if not pure:
        return "compiled"
    return f"partly compiled ({', '.join(compiled)})"


# TLS


def _file_option(name: str, help: str) -> Callable[[_Command], _Command]:
    """Make an option that takes a PEM file."""
    return click.option(name, type=click.Path(dir_okay=False), metavar="FILE", help=help)


def _check_tls(url: str, *files: str | None) -> None:
    """Refuse the options of TLS for a URL that has none."""
    if any(files) and not url.lower().startswith("pbs:"):
        raise click.UsageError("files with certificates are for pbs:// only")


def _key_password() -> str:
    """Ask for the password of a key that has one."""
    asked: str = click.prompt("Password of the key", hide_input=True, err=True)
    return asked


# serve


@main.command("serve")
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--listen",
    metavar="URL",
    default="pb://localhost",
    show_default=True,
    help="Where to listen: pb://, pbs:// for TLS, or pb+unix://. Port 0 takes a free one.",
)
@_file_option("--certificate", "For pbs://: the certificate, with its chain.")
@_file_option("--key", "Its key, if that is not in the same file.")
@_file_option("--client-authorities", "Let only those in whose certificate one of these signed.")
@click.option(
    "--drain",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=20,
    show_default=True,
    help="How long calls that run have to finish when it is interrupted or terminated.",
)
def serve_command(
    target: str,
    listen: str,
    certificate: str | None,
    key: str | None,
    client_authorities: str | None,
    drain: float,
) -> None:
    """Publish a Root or a Portal, given as a class or as an object.

    A class is called without arguments. An object may be an attribute: MODULE:NAME.ATTRIBUTE.
    Prints the URL, or URLs, at which it can be called, and runs until it is interrupted. Then it
    lets the calls that run finish, and if it is interrupted again, stops at once.
    """
    root = _load(target)
    _check_tls(listen, certificate, key, client_authorities)
    context = None
    if listen.lower().startswith("pbs:"):
        if certificate is None:
            raise click.UsageError("pbs:// needs --certificate")
        with _plain_errors():
            context = server_tls(
                certificate, key, client_authorities=client_authorities, password=_key_password
            )
    try:
        opening = serve(root, listen, ssl=context)
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    with _plain_errors(listen):
        asyncio.run(_serve(opening, drain))


def _load(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise click.BadParameter(f"{target!r} is not of the form module:Name")
    # As `python -m` does, so that a module of the current directory is found.
    sys.path.insert(0, os.getcwd())
    try:
        module: Any = importlib.import_module(module_name)
        found = functools.reduce(getattr, path.split("."), module)
        root = found() if isinstance(found, type) else found
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"{target}: {error}") from error
    # Whatever the module of a user may raise.
    except Exception as error:
        text = f"{target}: {type(error).__name__}: {error}{_place_of(error)}"
        raise click.ClickException(text) from error
    if inspect.isroutine(root):
        raise click.ClickException(f"{target}: a function; a class or an object can be served")
    return root


def _place_of(error: Exception) -> str:
    """Tell where a module raised something, "" if it did not, or if the error says it itself."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, SyntaxError) or frame.filename == __file__:
        return ""
    return f" ({os.path.basename(frame.filename)}, line {frame.lineno})"


async def _serve(opening: serve, seconds: float) -> None:
    async with opening as server:
        for each in server.urls:
            _say(each)
        stop = _Stop(server, seconds)
        loop = asyncio.get_running_loop()
        # Where the loop has no signal handlers, Ctrl-C is an exception as always.
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
        await server.wait_closed()


class _Stop:
    """Stops a server: called once, when its calls have finished, and called again, at once."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._asked = False

    def __call__(self) -> None:
        server = self._server
        if self._asked:
            click.echo("stopping at once", err=True)
            server.close()
            return
        self._asked = True
        calls = server.running
        if calls and self._seconds:
            many = f"{calls} call{'s' if calls > 1 else ''}"
            text = f"finishing {many}, up to {self._seconds:g} s; again to stop at once"
            click.echo(text, err=True)
        server.start_draining(self._seconds)


# call


@main.command(context_settings={"allow_interspersed_args": False})
@click.argument("url")
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT | KEY=VALUE]...")
@_file_option("--authorities", "For pbs://: whom to trust, in place of those of the system.")
@_file_option("--certificate", "What to show to a server that asks for it.")
@_file_option("--key", "The key of this certificate, if that is not in the same file.")
def call(
    url: str,
    name: str,
    arguments: tuple[str, ...],
    authorities: str | None,
    certificate: str | None,
    key: str | None,
) -> None:
    """Call the method NAME of the root at URL, and print its result.

    Options stand before URL: what stands behind NAME is for the method. There is no login.

    Arguments are Python literals; what is not a literal is a string. KEY=VALUE is a keyword
    argument: write '"a=b"', quotes and all, for a string that looks like one.
    """
    args, kwargs = _arguments(arguments)
    _check_tls(url, authorities, certificate, key)
    context = None
    with _plain_errors():
        if url.lower().startswith("pbs:"):
            context = client_tls(
                authorities, certificate=certificate, key=key, password=_key_password
            )
    with _plain_errors(url):
        text = asyncio.run(_call(connect(url, ssl=context), name, args, kwargs))
    _print(text)


def _arguments(words: Iterable[str]) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            args.append(_literal(word))
        elif key in kwargs:
            raise click.BadParameter(f"{key} is given twice")
        else:
            kwargs[key] = _literal(value)
    return args, kwargs


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


async def _call(
    opening: connect[Connection], name: str, args: list[Any], kwargs: dict[str, Any]
) -> str:
    async with opening as connection:
        value = await connection.root.call(name, *args, **kwargs)
        # A reference can tell what it is only while it is alive.
        return pretty_repr(_Viewer().view(value), max_width=Console().width)


def _print(text: str) -> None:
    """Print the text of a value, in colour on a terminal."""
    console = Console()
    text = text.encode(console.encoding, "backslashreplace").decode(console.encoding)
    with _writing():
        console.print(_coloured(text), soft_wrap=True)


def _coloured(text: str) -> Text:
    """Give a text with colours, but for its long lines: those may take the square of their time."""
    highlight = ReprHighlighter()
    lines = text.split("\n")
    return Text("\n").join(Text(line) if len(line) > _LINE else highlight(line) for line in lines)


# passwd


@main.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("user")
@click.option("--pb-md5", is_flag=True, help="Keep the MD5 too, for programs of Twisted.")
@click.option("--argon2", is_flag=True, help="Hash with Argon2 in place of scrypt.")
@click.option("--delete", is_flag=True, help="Take the user out.")
def passwd(file: str, user: str, pb_md5: bool, argon2: bool, delete: bool) -> None:
    """Set the password of USER in FILE, for pellucid.PasswordFile.

    The password is asked for. Where the input is no terminal it is the first line of the input.
    """
    if delete and (pb_md5 or argon2):
        raise click.UsageError("--delete takes no other option")
    with _plain_errors():
        if delete:
            if not write_account(file, user, None):
                raise click.ClickException(f"{file} has no such user")
            return
        account = make_account(user, _password(), md5=pb_md5, with_argon2=argon2)
        write_account(file, user, account)
    if pb_md5:
        click.echo(
            "The file has the MD5 of this password now. Whoever reads it can log in with it.",
            err=True,
        )


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again")
        return asked
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


# What the peer sent, made fit to be seen.


class _Text:
    """An object whose repr is `text`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_MORE = _Text("...")


class _Viewer:
    """Makes bounded copies of values: trees of lists, tuples and dicts, with texts as leaves."""

    def __init__(self) -> None:
        self._room = _ROOM

    def view(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        # Each item stands on a line of its own, indented, if there are many.
        self._room -= 2 + 4 * depth
        if kind not in (list, tuple, dict, set, frozenset):
            return _Text(self._leaf(value))
        if value and depth == _DEPTH:
            return _MORE
        if kind is dict:
            return self._pairs(value, depth + 1)
        members = self._members(value, depth + 1)
        if kind is list:
            return members
        if kind is tuple:
            return tuple(members)
        inside = ", ".join(sorted(map(repr, members)))
        text = f"{{{inside}}}" if inside else "set()"
        return _Text(text if kind is set else f"frozenset({text if inside else ''})")

    def _members(self, members: Iterable[Any], depth: int) -> list[Any]:
        shown: list[Any] = []
        for member in members:
            if self._room <= 0:
                shown.append(_MORE)
                break
            shown.append(self.view(member, depth))
        return shown

    def _pairs(self, pairs: dict[Any, Any], depth: int) -> dict[Any, Any]:
        shown: dict[Any, Any] = {}
        for key, member in pairs.items():
            if self._room <= 0:
                shown[_MORE] = _MORE
                break
            # Every leaf is an object of its own, so that no two keys become one.
            shown[self.view(key, depth)] = self.view(member, depth)
        return shown

    def _leaf(self, value: Any) -> str:
        room = max(self._room, 0)
        if isinstance(value, (str, bytes)) and len(value) > room:
            text = f"{value[:room]!r}..."
        else:
            text = repr(value)
        text = _visible(text, max(room, 1_000))
        self._room -= len(text)
        return text


def _visible(text: str, room: int) -> str:
    """Give a text that does nothing to a terminal, and is no longer than `room` and a bit."""
    cut = text if len(text) <= room else text[:room] + "..."
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in cut
    )


@contextlib.contextmanager
def _plain_errors(url: str | None = None) -> Iterator[None]:
    """Turn what can go wrong into a line on stderr and status 1.

    An OSError does not say what it was about: that is `url`, if there is one.
    """
    try:
        yield
    except (PBError, OSError, ValueError) as error:
        raise click.ClickException(_visible(_describe(error, url), _ROOM)) from error


def _describe(error: Exception, url: str | None) -> str:
    name = type(error).__name__
    if isinstance(error, OSError) and url is not None:
        name = f"{name}: {url}"
    lines = [f"{name}: {error}" if str(error) else name]
    if isinstance(error, PBError) and error.remote_type is not None:
        lines.append(f"(raised by the other side as {error.remote_type})")
        if error.remote_traceback is not None:
            lines.append(error.remote_traceback.rstrip())
    return "\n".join(lines)
