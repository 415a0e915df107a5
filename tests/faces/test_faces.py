"""Which tests run on which face, and whether a face notices what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import fail

import pellucid
import tests.faces.test_calls
import tests.faces.test_ends
import tests.faces.test_flavours
import tests.faces.test_logins
from tests.faces.conftest import FACES
from tests.faces.face import Face, Steps, on_each_face
from tests.faces.flavours import Cacheable, Copyable, Viewable
from tests.faces.pair import Known, Root, Thing, joined
from tests.faces.twisted_face import TwistedFace

FAILED = pytest.fail.Exception
MODULES = (
    tests.faces.test_calls,
    tests.faces.test_ends,
    tests.faces.test_flavours,
    tests.faces.test_logins,
)
# So many tests there are, and so many of them a face can't run, each with the reason.
ALL = 67
LEFT_OUT = {"asyncio": 0, "uvloop": 0, "blocking": 0, "twisted": 22}


def all_tests() -> list[Callable[..., None]]:
    return [
        test for module in MODULES for name, test in vars(module).items() if name[:5] == "test_"
    ]


def test_every_test_runs_on_every_face_that_has_its_subject() -> None:
    assert {name.partition("-")[0] for name in FACES} == LEFT_OUT.keys()
    reasons = [getattr(test, "without", {}) for test in all_tests()]
    assert len(reasons) == ALL
    assert {each for given in reasons for each in given} <= LEFT_OUT.keys()
    assert all(text for given in reasons for text in given.values())
    for face, most in LEFT_OUT.items():
        assert sum(face in given for given in reasons) == most


@on_each_face
def test_what_is_served_and_sent_has_the_flavour_of_the_face(face: Face) -> Steps:
    class Page(Copyable, tag="faces.Page"):
        pass

    class Book(Cacheable, tag="faces.Book"):
        pass

    class Wall(Viewable):
        pass

    for cls, flavour in (
        *((Thing, face.Referenceable), (Root, face.Root), (Page, face.Copyable)),
        *((Book, face.Cacheable), (Wall, face.Viewable)),
    ):
        made = cls()
        assert isinstance(made, cls)
        assert isinstance(made, flavour)
        assert type(made).__qualname__ == cls.__qualname__
        assert type(made) is type(cls())
    pair = yield from joined(face)
    assert isinstance(pair.root, face.RemoteReference)
    yield from pair.close()


@on_each_face
def test_a_reference_that_is_kept_is_noticed(face: Face) -> Steps:
    pair = yield from joined(face)
    thing = yield pair.root.call("thing")
    assert not face.is_empty(pair.client)
    assert not face.is_empty(pair.server)
    del thing
    yield pair.empty()
    yield from pair.close()


def test_a_test_that_fails_is_noticed(face: Face) -> None:
    def failing() -> Steps:
        pair = yield from joined(face)
        try:
            yield pair.root.call("echo")
            raise LookupError("in a test")
        finally:
            yield from pair.close()

    with pytest.raises(LookupError, match="in a test"):
        face.run(failing())


def twisted_faces() -> list[str]:
    return [name for name, make in FACES.items() if isinstance(make(), TwistedFace)]


@pytest.mark.parametrize("name", twisted_faces())
def test_what_a_reactor_has_still_open_is_noticed(name: str, nothing_left: None) -> None:
    face = FACES[name]()

    def leaving() -> Steps:
        yield face.serve(Root())

    with pytest.raises(AssertionError, match="Port"):
        face.run(leaving())


@pytest.mark.parametrize("name", twisted_faces())
def test_a_failure_that_nobody_hears_of_is_noticed(name: str, nothing_left: None) -> None:
    def leaving() -> Steps:
        fail(LookupError("unheard"))
        yield None

    with pytest.raises(AssertionError, match="unheard"):
        FACES[name]().run(leaving())


@pytest.mark.parametrize(
    ("call", "expected", "noticed"),
    [
        (("fail", "other"), (TypeError,), pellucid.RemoteError),
        (("fail", "other"), (pellucid.NoSuchMethod,), pellucid.RemoteError),
        (("fail", "other"), (pellucid.RemoteError, "another"), (AssertionError, FAILED)),
        (("fail", "known"), (pellucid.LimitExceeded,), (Known, pellucid.RemoteError)),
        (("echo",), (pellucid.RemoteError,), FAILED),
    ],
)
def test_what_is_not_raised_as_expected_is_noticed(
    face: Face, call: Any, expected: Any, noticed: Any
) -> None:
    def expecting() -> Steps:
        pair = yield from joined(face)
        try:
            with face.raises(*expected):
                yield pair.root.call(*call)
        finally:
            yield from pair.close()

    with pytest.raises(noticed):
        face.run(expecting())
