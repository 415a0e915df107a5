"""Each test runs on every face."""

import asyncio
import select
from collections.abc import Callable

import pytest
import uvloop
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.selectreactor import SelectReactor

from tests.asyncio.certificates import Certificates, make
from tests.blocking.left import in_time, nothing_left
from tests.faces.face import Face
from tests.faces.own_faces import AsyncioFace, BlockingFace
from tests.faces.twisted_face import TwistedFace

__all__ = ["in_time", "nothing_left"]

FACES: dict[str, Callable[[], Face]] = {
    "asyncio": lambda: AsyncioFace(asyncio.new_event_loop),
    "uvloop": lambda: AsyncioFace(uvloop.new_event_loop),
    "blocking": BlockingFace,
    "twisted-asyncio": lambda: TwistedFace(
        lambda: AsyncioSelectorReactor(asyncio.SelectorEventLoop())
    ),
    "twisted-select": lambda: TwistedFace(SelectReactor),
}
if hasattr(select, "epoll"):
    from twisted.internet.epollreactor import EPollReactor

    FACES["twisted-epoll"] = lambda: TwistedFace(EPollReactor)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "face" in metafunc.fixturenames:
        without = getattr(metafunc.function, "without", {})
        names = [name for name in FACES if name.partition("-")[0] not in without]
        metafunc.parametrize("face", names, indirect=True)


@pytest.fixture
def face(request: pytest.FixtureRequest, nothing_left: None) -> Face:
    return FACES[request.param]()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))
