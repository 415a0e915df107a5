"""Lines of the log that another program has a part in."""

from collections.abc import Callable
from typing import Any, Final

from twisted.python import log
from twisted.python.failure import Failure

from ..seldom import Seldom
from .failures import is_received, with_texts

__all__ = ["SHOWN", "line_of", "log_seldom", "shown"]

# So many characters of what the other side can choose are logged, and of the text of any error.
SHOWN: Final = 200
_LONGEST: Final = 1_000
# Of a traceback of the other side the end is shown, where it tells most.
_TRACEBACK: Final = 4_000


def shown(failure: Failure) -> Failure:
    """Give what is logged of a failure, which is for nothing else from then on.

    A log keeps what it gets: so there are no frames in it, which hold the arguments of a call. Its
    text is cut, for the other side may have chosen it. In one that it has sent nothing is longer
    than it may be, and no text but the traceback has more than one line.
    """
    failure.cleanFailure()
    if is_received(failure):
        return with_texts(failure, _as_shown)
    text = failure.getErrorMessage()
    if len(text) <= _LONGEST:
        return failure
    kind = type(failure)
    cut = kind.__new__(kind)
    vars(cut).update(vars(failure), value=Exception(f"{text[:_LONGEST]}..."))
    return cut


def line_of(text: str, longest: int = SHOWN) -> str:
    """Give a text that is fit for one line: cut, and what can't be printed is escaped."""
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(each if each.isprintable() else _escaped(each) for each in cut)


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode()


def _as_shown(name: str, text: str) -> str:
    """Give what is shown of a text of the other side, by what it is in a failure."""
    if name == "traceback":
        cut = text if len(text) <= _TRACEBACK else f"...{text[-_TRACEBACK:]}"
        return "\n".join(line_of(line, _TRACEBACK + 3) for line in cut.split("\n"))
    return line_of(text, _LONGEST if name == "value" else SHOWN)


def log_seldom(seldom: Seldom, write: Callable[..., object], *args: Any) -> None:
    """Log by `write(*args)` what others can cause as often as they like, or leave it out."""
    if not seldom.allows():
        return
    write(*args)
    if seldom.is_last:
        log.msg(f"PB: further lines of this kind are left out for up to {seldom.period:g} s")
