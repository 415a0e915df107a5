from typing import Any

import pytest

from pellucid.errors import Error, LoginFailed, PBError
from pellucid.registry import Registry


class Known(Error):
    pass


NAME = f"{Known.__module__}.Known"


def test_an_error_is_known_by_its_own_name() -> None:
    assert Registry().error_for(NAME) is Known
    assert Registry().error_for("twisted.cred.error.UnauthorizedLogin") is LoginFailed
    assert Registry().error_for("pellucid.errors.LimitExceeded") is None


def test_an_error_under_another_name() -> None:
    registry = Registry()
    assert registry.error(Known, "their.Error") is Known
    assert registry.error_for("their.Error") is Known
    assert Registry().error_for("their.Error") is None


def test_an_error_under_its_own_name_again() -> None:
    registry = Registry()

    class Other(Error):
        pass

    registry.error(Other, NAME)
    assert registry.error_for(NAME) is Other
    registry.error(Known)
    assert registry.error_for(NAME) is Known


def test_as_a_decorator() -> None:
    registry = Registry()

    @registry.error(name="their.Other")
    class Mine(Error):
        pass

    @registry.error
    class Plain(Error):
        pass

    assert registry.error_for("their.Other") is Mine
    assert registry.error_for(f"{__name__}.Plain") is Plain


@pytest.mark.parametrize("cls", [PBError, LoginFailed, ValueError])
def test_only_what_derives_from_error(cls: Any) -> None:
    with pytest.raises(TypeError, match="not a subclass"):
        Registry().error(cls)


def test_readers() -> None:
    registry = Registry()
    assert registry.reader_for(b"x.Y") is None
    registry.add_reader(b"x.Y", repr)
    assert registry.reader_for(b"x.Y") is repr
