"""Recorded conversations that end in the middle, and what every end has to come to.

A conversation is played until so many bytes of one direction have come through, then the
connection is lost. It goes on as far as it can meanwhile: of bytes that come in, what was read is
acted on, and calls that would have followed are made and wait; of bytes that go out, the other side
answers what it has got whole.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pellucid.errors import ConnectionLost, InsecureJelly
from tests.recordings import Session
from tests.test_sessions import Pond

OURS = {"client": "c>s", "server": "s>c"}


def ends() -> dict[str, BaseException]:
    """How a connection can end, and the reason that the waiting calls have."""
    return {"eof": EOFError("it ended"), "reset": ConnectionResetError("it broke")}


def ways_to_end(role: str, direction: str, long_form: bool) -> list[str]:
    """How a cut is tried. What left, and how the end came, have little to do with each other."""
    return [*ends()] if long_form or direction != OURS[role] else ["reset"]


class CountedPond(Pond, tag="vectors.Pond"):
    """The recorded cache, which knows whom it has seen coming and going."""

    def __init__(self, duck: str) -> None:
        super().__init__(duck)
        self.came: list[Any] = []
        self.left: list[Any] = []

    def state_to_cache(self) -> Any:
        return {"ducks": self.ducks}

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        self.came.append(observer)
        return super().state_to_cache_and_observe_for(perspective, observer)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        self.left.append(observer)
        super().stopped_observing(perspective, observer)

    def check(self) -> None:
        """Each observer was released, and once."""
        assert sorted(map(id, self.left)) == sorted(map(id, self.came))
        assert self.observers == ()


class Asked:
    """A call of a recorded client, and what came of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.outcomes: list[str] = []


def check_lost(error: BaseException | None, reason: BaseException) -> None:
    """A call that waited was told why it waits no more."""
    assert type(error) is ConnectionLost
    assert error.__cause__ is reason or type(error.__cause__) is type(reason)


def pieces(
    session: Session, role: str, direction: str, at: int
) -> Iterator[tuple[str, bytes, bool]]:
    """Give the messages until so many bytes of a direction have come through.

    Each with its direction and whether it is the last one. Where our own bytes are cut it is for
    the caller to see when they are, for they need not be those of the recording.
    """
    got = 0
    theirs = OURS["server" if role == "client" else "client"]
    for way, data in session.messages:
        if way != direction or way != theirs:
            yield way, data, False
            continue
        piece = data[: at - got]
        got += len(piece)
        yield way, piece, len(piece) < len(data)
        if len(piece) < len(data):
            return


@contextmanager
def noted(*where: object) -> Iterator[None]:
    """Say in a failure which cut it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"cut: {' '.join(map(str, where))}")
        raise


def repeated(repeat: Callable[[bytes], None], data: bytes) -> None:
    """Make a recorded call, unless it is one that we refuse to make."""
    try:
        repeat(data)
    except InsecureJelly:
        pass
