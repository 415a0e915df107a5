"""What jelly makes of the items in a decimal, a date and what could not be sent."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from .banana import Sexp
from .errors import InsecureJelly

__all__ = ["Unpersistable", "make_date", "make_decimal"]

# Each with the number of fields it takes, at least and at most.
_DATES: Final[dict[bytes, tuple[Callable[..., object], int, int]]] = {
    b"datetime": (datetime, 3, 7),
    b"date": (date, 3, 3),
    b"time": (time, 0, 4),
    b"timedelta": (timedelta, 3, 3),
}


class Unpersistable:
    """Stands for what the other side could not send; `reason` says what it was.

    It can't be sent itself. (Wire document, section 4.)
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        return self.reason == other.reason if isinstance(other, Unpersistable) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.reason)

    def __repr__(self) -> str:
        return f"Unpersistable({self.reason!r})"


def make_decimal(number: Sexp, exponent: Sexp) -> Decimal:
    """Give number * 10**exponent, not rounded. Raises InsecureJelly if it is out of range."""
    if type(number) is not int or type(exponent) is not int:
        raise InsecureJelly("a decimal has to be two integers")
    try:
        # Made of text it is not rounded.
        value = Decimal(f"{number}E{exponent}")
    except ArithmeticError:
        value = Decimal("NaN")
    # Where the context traps nothing there is no exception.
    if not value.is_finite():
        raise InsecureJelly("a decimal has an exponent that is out of range")
    return value


def make_date(tag: bytes, text: bytes) -> object:
    """Give a datetime, date, time or timedelta made of decimal numbers with spaces between."""
    make, least, most = _DATES[tag]
    try:
        numbers = [int(part) for part in text.split(None, most)]
        if not least <= len(numbers) <= most:
            raise ValueError
        return make(*numbers)
    except (ValueError, OverflowError):
        raise InsecureJelly(f"a {tag.decode()} that is none") from None
