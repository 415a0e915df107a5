"""What one connection writes to the log: so many lines, and nothing that was in a call.

The text of an error may have an argument in it, as that of `int("secret")` has. So what is logged
of an error is its class and the lines of code that it came through, unless the application asks for
tracebacks.
"""

import logging
import traceback
from collections.abc import Callable, Iterator

from ..errors import (
    ConnectionLost,
    DeadReferenceError,
    InsecureJelly,
    LimitExceeded,
    LocalProtocolError,
    NoSuchMethod,
    RemoteProtocolError,
    full_name,
    without_place,
)
from ..events import CallReceived
from ..flavors import RemoteCache
from .timers import Seldom

__all__ = ["Lines", "shown", "unheard", "without_frames"]

# So many characters of the text of an error are logged, and of a name that the other side chose.
_LOGGED = 2_000
_NAMED = 200
# So many errors of those that were raised while another was handled.
_CHAINED = 5

# Of these the text is Pellucid's own, but for the place in a value, which has keys in it.
_OURS = frozenset(
    (
        *(LocalProtocolError, RemoteProtocolError, InsecureJelly, LimitExceeded),
        *(ConnectionLost, DeadReferenceError, NoSuchMethod),
    )
)

log = logging.getLogger("pellucid")


class Lines(Seldom):
    """The log of one connection: `most` lines in a minute, and no more than `shared` has left.

    `shared` is that of a server with all its connections, None for a connection of its own. With
    `texts` the texts of errors are in it.
    """

    __slots__ = ("_shared", "_texts")

    def __init__(
        self, clock: Callable[[], float], most: int, shared: Seldom | None, texts: bool
    ) -> None:
        super().__init__(clock, most)
        self._shared = shared
        self._texts = texts

    def _log(self, level: int, text: str, args: tuple[object, ...]) -> None:
        if self.allows():
            self._write(level, text, args)

    def _write(self, level: int, text: str, args: tuple[object, ...]) -> None:
        if self._shared is None:
            log.log(level, text, *args)
        else:
            self._shared._log(level, text, args)
        if self.is_last:
            self._say_last(level)

    def fault(self, peer: str, text: str, cause: BaseException | None) -> None:
        """Log a mistake of the other side that costs it nothing."""
        if self.allows():
            why = "" if cause is None else f"\n{shown(cause, self._texts)}"
            self._write(logging.WARNING, "%s: %s%s", (peer, text, why))

    def failed(self, text: str, *args: object, error: BaseException) -> None:
        """Log an error that the application did not expect, behind a text."""
        # What is left out should cost nothing either.
        if self.allows():
            self._write(logging.ERROR, f"{text}\n%s", (*args, shown(error, self._texts)))


def shown(error: BaseException, texts: bool) -> str:
    """Give an error as it is logged, with those that led to it, the last one at the end.

    With `texts` there is what `str` gives of them, cut, for it may be the other side's.
    """
    return "".join(_parts(error, texts, _CHAINED))


def _parts(error: BaseException, texts: bool, left: int) -> Iterator[str]:
    earlier, how = error.__cause__, "The direct cause of this is above."
    if earlier is None and not error.__suppress_context__:
        earlier, how = error.__context__, "While that was handled there was another:"
    if earlier is not None and left > 1:
        yield from _parts(earlier, texts, left - 1)
        yield f"\n\n{how}\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield _line(error, texts)


def _line(error: BaseException, texts: bool) -> str:
    name = full_name(type(error)).removeprefix("builtins.")
    if texts:
        text = "".join(traceback.format_exception_only(error)).rstrip("\n")
    elif type(error) in _OURS and getattr(error, "remote_type", None) is None:
        text = f"{name}: {without_place(error)}"
    else:
        text = f"{name} (texts of errors are logged with tracebacks=True)"
    return text if len(text) <= _LOGGED else text[:_LOGGED] + "..."


def unheard(call: CallReceived, error: BaseException, texts: bool) -> str:
    """Tell, in one line, of an error that no answer tells of. `texts` as for `shown`."""
    is_update = isinstance(call.target, RemoteCache)
    what = "an update" if is_update else "a call that wants no answer"
    name, kind = call.name[:_NAMED], type(call.target).__name__
    why = _line(error, texts)[:_NAMED]
    return f"{what} failed, {name!r} of a {kind}: {why if why.isprintable() else repr(why)}"


def without_frames(error: BaseException) -> None:
    """Take the frames from an error, and from those behind it: they hold the connection."""
    behind: BaseException | None = error
    while behind is not None and behind.__traceback__ is not None:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__
