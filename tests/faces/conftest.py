"""Each test runs on every face."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.asyncio.certificates import Certificates, make
from tests.blocking.left import in_time, nothing_left
from tests.faces.face import AsyncioFace, BlockingFace, Face

__all__ = ["in_time", "nothing_left"]

FACES: dict[str, Callable[[], Face]] = {
    "asyncio": lambda: AsyncioFace(asyncio.new_event_loop),
    "uvloop": lambda: AsyncioFace(uvloop.new_event_loop),
    "blocking": BlockingFace,
}


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, nothing_left: None) -> Face:
    return FACES[request.param]()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))
