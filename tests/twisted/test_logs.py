"""Lines that another program has a part in."""

import gc
import weakref
from typing import Any

from twisted.python import log
from twisted.python.failure import Failure

from pellucid.seldom import Seldom
from pellucid.twisted.failures import CopiedFailure
from pellucid.twisted.logs import log_seldom, shown
from tests.twisted.conftest import Logged


class Value:
    pass


def failing(value: Value, text: str) -> None:
    raise KeyError(text)


def caught(value: Value, text: str = "x") -> Failure:
    try:
        failing(value, text)
    except KeyError:
        return Failure()
    raise AssertionError


def test_what_is_shown_holds_no_arguments() -> None:
    value = Value()
    alive = weakref.ref(value)
    failure = caught(value)
    del value
    assert alive() is not None
    failure = shown(failure)
    gc.collect()
    assert alive() is None
    assert failure.check(KeyError) is KeyError
    assert "in failing" in failure.getTraceback()


def test_a_long_text_is_cut() -> None:
    failure = shown(caught(Value(), "y" * 10_000))
    assert len(failure.getErrorMessage()) < 1_100
    assert failure.check(LookupError) is LookupError
    assert "in failing" in failure.getTraceback()
    assert len(failure.getTraceback()) < 2_000


def test_lines_are_left_out(logged: Logged) -> None:
    now = [0.0]
    seldom = Seldom(lambda: now[0], 3, 60)
    for n in range(10):
        log_seldom(seldom, log.msg, f"line {n}")
    assert logged.text.splitlines() == [
        "line 0",
        "line 1",
        "line 2",
        "PB: further lines of this kind are left out for up to 60 s",
    ]
    now[0] = 60
    log_seldom(seldom, log.msg, "line 10")
    assert logged.text.endswith("line 10")


def test_a_failure_of_the_other_side_is_cut_and_on_one_line() -> None:
    failure: Any = CopiedFailure.__new__(CopiedFailure)
    failure.setCopyableState(
        {
            "type": "a\nb" + "t" * 10_000,
            "value": "c\r\nd\x1b" + "v" * 10_000,
            "traceback": "first\n\x1b" + "t\n" * 10_000 + "last",
            "parents": ["p" * 10_000, "builtins.KeyError"] * 100,
            "more": "x" * 10_000,
        }
    )
    seen: Any = shown(failure)
    text = seen.getTraceback()
    assert len(text) < 12_000
    assert "a\\nbttt" in text
    assert "c\\r\\nd\\x1bvvv" in text
    assert text.endswith("last")
    assert "\x1b" not in text
    assert seen.check(KeyError) is KeyError
    assert sum(map(len, seen.parents)) < 5_000
    assert not hasattr(seen, "more")
    # The one that was received is as it was.
    assert len(failure.value) > 10_000
