"""What is made once: attributes when somebody asks for them, and what connections share."""

from collections.abc import Callable
from threading import local
from typing import Any

from ..outbox import Pens

__all__ = ["Once", "made_list", "made_table", "pens_here"]

_here = local()


class Once:
    """Makes the value of an attribute, which stays, at the first look at it.

    As `functools.cached_property` does; but that makes a dict of the attributes of an instance,
    which takes more memory than all of them.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        made = self._make(instance)
        setattr(instance, self._name, made)
        return made


def made_list(_: object) -> list[Any]:
    """Make a list, for an attribute that most never have a use for."""
    return []


def made_table(_: object) -> dict[Any, Any]:
    """Make a dict, for an attribute that most never have a use for."""
    return {}


def pens_here() -> Pens:
    """Give what the connections of this thread write with."""
    pens: Pens | None = getattr(_here, "pens", None)
    if pens is None:
        pens = _here.pens = Pens()
    return pens
