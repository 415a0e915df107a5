"""Every test has its time, and leaves no thread and no socket behind."""

from collections.abc import Iterator

import pytest

from pellucid.blocking.thread import Background, background
from tests.blocking.left import in_time, nothing_left
from tests.blocking.threads import PATIENCE
from tests.blocking.users import User

__all__ = ["in_time", "nothing_left"]


@pytest.fixture
def user() -> Iterator[User]:
    made = User(background())
    yield made
    made.thread.try_post(made.close)
    made.thread.thread.join(PATIENCE)
    made.thread.join()


@pytest.fixture
def thread(user: User) -> Background:
    return user.thread
