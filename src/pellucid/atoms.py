"""What jelly makes of the items in a decimal, a date and what could not be sent."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .banana import Sexp
from .errors import InsecureJelly

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Unpersistable", "make_date", "make_decimal", "tag_of"]

# The number of fields each takes, at least and at most.
_DATES: Final = {b"datetime": (3, 7), b"date": (3, 3), b"time": (0, 4), b"timedelta": (3, 3)}
# Of seven numbers none has more than nine digits and a sign.
_LONGEST_DATE: Final = 100


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


@cache
def _types() -> dict[bytes, Callable[..., object]]:
    # Loaded when they are first needed, for that takes long, and most programs send none of them.
    from datetime import date, datetime, time, timedelta  # noqa: PLC0415
    from decimal import Decimal  # noqa: PLC0415

    return {
        b"decimal": Decimal,
        b"datetime": datetime,
        b"date": date,
        b"time": time,
        b"timedelta": timedelta,
    }


@cache
def _tags() -> dict[int, bytes]:
    # By id, as there are types that can't be hashed. These here stay.
    return {id(kind): tag for tag, kind in _types().items()}


def tag_of(kind: type) -> bytes | None:
    """Give the tag of the type of a decimal or a date, None for any other type."""
    return _tags().get(id(kind))


def make_decimal(number: Sexp, exponent: Sexp) -> "Decimal":
    """Give number * 10**exponent, not rounded. Raises InsecureJelly if it is out of range."""
    if type(number) is not int or type(exponent) is not int:
        raise InsecureJelly("a decimal has to be two integers")
    make: Any = _types()[b"decimal"]
    try:
        # Made of text it is not rounded.
        value: Decimal = make(f"{number}E{exponent}")
    except ArithmeticError:
        value = make("NaN")
    # Where the context traps nothing there is no exception.
    if not value.is_finite():
        raise InsecureJelly("a decimal has an exponent that is out of range")
    return value


def make_date(tag: bytes, text: bytes) -> object:
    """Give a datetime, date, time or timedelta made of decimal numbers with spaces between."""
    least, most = _DATES[tag]
    try:
        if len(text) > _LONGEST_DATE:
            raise ValueError
        numbers = [int(part) for part in text.split(None, most)]
        if not least <= len(numbers) <= most:
            raise ValueError
        return _types()[tag](*numbers)
    except (ValueError, OverflowError):
        raise InsecureJelly(f"a {tag.decode()} that is none") from None
