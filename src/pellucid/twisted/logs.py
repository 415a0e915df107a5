"""Lines of the log that another program has a part in."""

from collections.abc import Callable
from typing import Any, Final

from twisted.python import log
from twisted.python.failure import Failure

from .seldom import Seldom

__all__ = ["SHOWN", "log_seldom", "shown"]

# So many characters of what the other side can choose are logged, and of the text of any error.
SHOWN: Final = 200
_LONGEST: Final = 1_000


def shown(failure: Failure) -> Failure:
    """Give what is logged of a failure, which is for nothing else from then on.

    A log keeps what it gets: so there are no frames in it, which hold the arguments of a call. Its
    text is cut, for the other side may have chosen it.
    """
    failure.cleanFailure()
    text = failure.getErrorMessage()
    if len(text) <= _LONGEST:
        return failure
    kind = type(failure)
    cut = kind.__new__(kind)
    vars(cut).update(vars(failure), value=Exception(f"{text[:_LONGEST]}..."))
    return cut


def log_seldom(seldom: Seldom, write: Callable[..., object], *args: Any) -> None:
    """Log by `write(*args)` what others can cause as often as they like, or leave it out."""
    if not seldom.allows():
        return
    write(*args)
    if seldom.is_last:
        log.msg(f"PB: further lines of this kind are left out for up to {seldom.period:g} s")
