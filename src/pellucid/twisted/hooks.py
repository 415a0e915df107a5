"""A mark on the hooks that are this face's own: who has no other takes the fast path."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["default", "is_default"]

_H = TypeVar("_H", bound=Callable[..., Any])


def default(hook: _H) -> _H:
    """Mark a hook as the one that a class has if the application gave it none."""
    hook.is_default = True  # type: ignore[attr-defined]
    return hook


def is_default(hook: object) -> bool:
    """Tell whether a hook, taken from a class, is marked."""
    return getattr(hook, "is_default", False) is True
