"""Where the quotes come from."""

import random
import re
from pathlib import Path
from typing import Protocol

# A line with nothing but a percent sign stands between two quotes.
_BETWEEN = re.compile(r"^%[ \t]*$", re.MULTILINE)


class Quoter(Protocol):
    def quote(self) -> str: ...


class StaticQuoter:
    """One quote, for ever."""

    def __init__(self, text: str) -> None:
        self._text = text

    def quote(self) -> str:
        return self._text


class FortuneQuoter:
    """Any of the quotes of a file in the format of the program `fortune`.

    Raises OSError if the file cannot be read, and ValueError if there is no quote in it.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8", errors="replace")
        self._quotes = [quote for part in _BETWEEN.split(text) if (quote := part.strip())]
        if not self._quotes:
            raise ValueError(f"there is no quote in {path}")

    def quote(self) -> str:
        return random.choice(self._quotes)
