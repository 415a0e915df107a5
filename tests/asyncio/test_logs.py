"""What a connection writes to the log."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import pellucid
from pellucid.asyncio import logs
from pellucid.asyncio.logs import Lines, shown
from pellucid.asyncio.timers import Seldom
from tests.asyncio.pairs import Run, failure, pair

SECRET = "open sesame"


def lines(most: int = 3, shared: Seldom | None = None, texts: bool = False) -> Lines:
    return Lines(lambda: 0.0, most, shared, texts)


def said(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    return (record.getMessage() for record in caplog.records)


def test_so_many_lines(caplog: pytest.LogCaptureFixture) -> None:
    log = lines(2)
    for n in range(5):
        log.warning("line %d", n)
    last = "further lines of this kind are left out for up to 60 s"
    assert [*said(caplog)] == ["line 0", "line 1", last]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_an_error_that_is_left_out_is_not_written_down_either(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[BaseException] = []

    def counted(error: BaseException, texts: bool) -> str:
        asked.append(error)
        return "why"

    monkeypatch.setattr(logs, "shown", counted)
    log, error = lines(2), ValueError()
    for n in range(3):
        log.failed("line %d", n, error=error)
        log.fault("somebody", f"fault {n}", error)
    last = "further lines of this kind are left out for up to 60 s"
    assert [*said(caplog)] == ["line 0\nwhy", "somebody: fault 0\nwhy", last]
    assert asked == [error, error]


def test_no_more_than_all_may_have(caplog: pytest.LogCaptureFixture) -> None:
    shared = Seldom(lambda: 0.0, most=3)
    first, second = lines(2, shared), lines(2, shared)
    for log in (first, second):
        for _ in range(5):
            log.warning("line")
    assert [text for text in said(caplog) if text == "line"] == ["line"] * 3


def chain() -> BaseException:
    with pytest.raises(TypeError) as raised:
        try:
            try:
                int(SECRET)
            except ValueError as error:
                raise KeyError(SECRET) from error
        except KeyError:
            raise TypeError(SECRET)  # noqa: B904 - what is tested
    return raised.value


def test_what_led_to_an_error_is_shown_and_what_was_in_it_is_not() -> None:
    text = shown(chain(), False)
    assert SECRET not in text.replace('raise KeyError("', "")
    assert [line for line in text.splitlines() if line[:1].isupper()] == [
        "Traceback (most recent call last):",
        "ValueError (texts of errors are logged with tracebacks=True)",
        "The direct cause of this is above.",
        "Traceback (most recent call last):",
        "KeyError (texts of errors are logged with tracebacks=True)",
        "While that was handled there was another:",
        "Traceback (most recent call last):",
        "TypeError (texts of errors are logged with tracebacks=True)",
    ]


def test_texts_are_shown_if_that_is_wanted() -> None:
    text = shown(chain(), True)
    assert f"invalid literal for int() with base 10: '{SECRET}'" in text
    assert text.endswith(f"TypeError: {SECRET}")
    assert len(shown(ValueError("x" * 100_000), True)) < 3_000


def test_a_long_chain_is_cut() -> None:
    error: BaseException = ValueError("first")
    for n in range(50):
        following = ValueError(n)
        following.__cause__ = error
        error = following
    assert shown(error, True).count("ValueError: ") == 5


def test_our_own_texts_are_shown_without_the_keys_in_them() -> None:
    error = pellucid.InsecureJelly("type tag 'x' is not registered", where=f"arguments[{SECRET!r}]")
    assert shown(error, False) == "pellucid.errors.InsecureJelly: type tag 'x' is not registered"
    error.remote_type = "x.Y"
    assert "type tag" not in shown(error, False), "it is the other side's"


class Careless(pellucid.Root):
    """Has mistakes of every kind."""

    def remote_number(self, text: str) -> int:
        return int(text)

    async def remote_later(self, text: str) -> int:
        return int(text)

    def remote_expected(self, text: str) -> None:
        raise pellucid.Error(text)

    def remote_unsendable(self, text: str) -> object:
        return {text: object()}

    def remote_one(self) -> None:
        pass


@pytest.mark.parametrize("texts", [False, True])
def test_no_argument_is_logged_unless_that_is_wanted(
    run: Run, caplog: pytest.LogCaptureFixture, texts: bool
) -> None:
    async def main() -> None:
        async with pair(Careless(), tracebacks=texts) as (client, _):
            root = client.root
            for name in ("number", "later", "expected", "unsendable", "one", "nothing"):
                assert isinstance(await failure(root.call(name, SECRET)), Exception)
                root.notify(name, SECRET)
                # Not a value that may come in.
                await failure(root.call(name, {SECRET: Odd()}))
                root.notify(name, {SECRET: Odd()})

    class Odd(pellucid.Copyable, tag="logs.Odd"):
        pass

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "in remote_number" in caplog.text
    assert (SECRET in caplog.text) == texts


def test_the_text_of_an_error_still_reaches_the_caller(run: Run) -> None:
    async def main() -> None:
        async with pair(Careless()) as (client, _):
            error: Any = await failure(client.root.call("number", SECRET))
            assert SECRET in str(error)
            assert error.remote_traceback is None

    run(main())
