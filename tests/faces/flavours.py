"""The kinds of objects that the tests serve and send, in the flavour of whatever face they run on.

A class of a test derives from one of these as it would from that of Pellucid. Its objects are of a
class that derives from it and from what the face of the test has under the same name, so that one
text serves the hooks of all faces.
"""

from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar

import pellucid

_KINDS = ("Referenceable", "Root", "Avatar", "Viewable", "Copyable", "Cacheable", "RemoteCache")


class Kind(type):
    """Makes the objects of a class in the flavour of the face that the test runs on."""

    face: ClassVar[Any] = None

    def __new__(
        cls, name: str, bases: tuple[type, ...], space: dict[str, Any], **options: Any
    ) -> "Kind":
        if space.get("_is_flavoured"):
            return super().__new__(cls, name, bases, space, **options)
        # What is said with the class is for the flavour.
        return super().__new__(cls, name, bases, {**space, "_options": options, "_made": {}})

    def __init__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any], **_: Any) -> None:
        super().__init__(name, bases, space)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(flavoured(cls), *args, **kwargs)


def flavoured(cls: type) -> type:
    """Give the class of which the objects of `cls` are, on the face that the test runs on."""
    if cls.__dict__.get("_is_flavoured"):
        return cls
    assert Kind.face is not None, "there are objects only while a test runs"
    kind = next(each.__name__ for each in cls.__mro__ if _IS_KIND.get(each))
    flavour = getattr(Kind.face, kind)
    made: dict[type, type] = cls.__dict__["_made"]
    if flavour not in made:
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
        options = cls.__dict__["_options"]
        made[flavour] = new_class(
            cls.__name__,
            (cls, flavour),
            options,
            lambda space: space.update(names, _is_flavoured=True),
        )
    return made[flavour]


if TYPE_CHECKING:
    Referenceable = pellucid.Referenceable
    Root = pellucid.Root
    Avatar = pellucid.Avatar
    Viewable = pellucid.Viewable
    Copyable = pellucid.Copyable
    Cacheable = pellucid.Cacheable
    RemoteCache = pellucid.RemoteCache
    _IS_KIND: dict[type, bool] = {}
else:

    class Referenceable(metaclass=Kind):
        """Travels by reference."""

    class Root(Referenceable):
        """What a server gives to everybody who connects."""

    class Avatar(metaclass=Kind):
        """What a user who logged in has of a server."""

    class Viewable(metaclass=Kind):
        """Is called with the perspective of whoever calls it."""

    class Copyable(metaclass=Kind):
        """Travels by value."""

    class Cacheable(metaclass=Kind):
        """Has copies that hear of changes."""

    class RemoteCache(metaclass=Kind):
        """Such a copy."""

    _IS_KIND = {globals()[name]: True for name in _KINDS}
