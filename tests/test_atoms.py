import datetime
import decimal
from decimal import Decimal

import pytest

from pellucid.atoms import Unpersistable, make_date, make_decimal, tag_of
from pellucid.errors import InsecureJelly


def test_decimals() -> None:
    assert repr(make_decimal(110, -2)) == "Decimal('1.10')"
    assert make_decimal(-5, 3) == -5000
    # Never rounded, whatever the context.
    with decimal.localcontext(prec=3):
        assert str(make_decimal(2**447, 0)) == str(2**447)
    assert make_decimal(1, 999_999_999_999_999_999).is_finite()


@pytest.mark.parametrize("trapped", [True, False])
@pytest.mark.parametrize("exponent", [10**18, 10**40, 2**447, -(10**40)])
def test_an_exponent_that_is_out_of_range(exponent: int, trapped: bool) -> None:
    with decimal.localcontext() as context:
        context.traps[decimal.InvalidOperation] = trapped
        with pytest.raises(InsecureJelly, match="out of range"):
            make_decimal(1, exponent)


@pytest.mark.parametrize("parts", [(1.0, 1), (1, b"1"), ([], 0)])
def test_decimals_are_two_integers(parts: tuple[object, object]) -> None:
    with pytest.raises(InsecureJelly, match="two integers"):
        make_decimal(*parts)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        (b"datetime", b"2020 2 29 23 59 59 1", datetime.datetime(2020, 2, 29, 23, 59, 59, 1)),
        (b"datetime", b"2020 2 29", datetime.datetime(2020, 2, 29)),
        (b"date", b"\t02020\n +2  29 ", datetime.date(2020, 2, 29)),
        (b"time", b"", datetime.time()),
        (b"time", b"1 2 3 4", datetime.time(1, 2, 3, 4)),
        (b"timedelta", b"-1 86399 999999", datetime.timedelta(microseconds=-1)),
        (b"timedelta", b"-999999999 0 0", datetime.timedelta.min),
        (b"date", b"2020 2 1" + b" " * 92, datetime.date(2020, 2, 1)),
    ],
)
def test_dates(tag: bytes, text: bytes, value: object) -> None:
    assert make_date(tag, text) == value


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (b"datetime", b"2020 2"),
        (b"datetime", b"2020 2 30"),
        (b"datetime", b"2020 2 1 1 1 1 1 1"),
        (b"datetime", b"2020 2 1 1 1 1 1 1 1 1"),
        (b"date", b"2020 2 1 1"),
        (b"date", b"2020 x 1"),
        (b"date", b"1" * 5000 + b" 1 1"),
        (b"date", b"2020 2 1" + b" " * 100),
        (b"date", b"99999999999999999999 1 1"),
        (b"time", b"1 2 3 4 5"),
        (b"time", b"25"),
        (b"timedelta", b"1 2"),
        (b"timedelta", b"1 2 3 4"),
        (b"timedelta", b"9999999999 0 0"),
        (b"timedelta", b"\xb2 0 0"),
    ],
)
def test_dates_that_are_none(tag: bytes, text: bytes) -> None:
    with pytest.raises(InsecureJelly, match=f"a {tag.decode()} that is none"):
        make_date(tag, text)


def test_the_tags_of_types() -> None:
    assert tag_of(Decimal) == b"decimal"
    assert tag_of(datetime.datetime) == b"datetime"
    assert tag_of(datetime.timedelta) == b"timedelta"
    for other in (int, datetime.tzinfo, type("Day", (datetime.date,), {})):
        assert tag_of(other) is None


def test_a_type_that_can_not_be_hashed_has_no_tag() -> None:
    class Meta(type):
        __hash__ = None  # type: ignore[assignment]

    assert tag_of(Meta("Odd", (), {})) is None


def test_unpersistable() -> None:
    one = Unpersistable("why")
    assert one == Unpersistable("why")
    assert one != Unpersistable("why not")
    assert one != "why"
    assert len({one, Unpersistable("why")}) == 1
    assert repr(one) == "Unpersistable('why')"


def test_decimals_with_a_zero() -> None:
    assert make_decimal(0, -2) == Decimal("0.00")
