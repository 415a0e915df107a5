"""Small classes and functions, each for one question."""

from __future__ import annotations

finalised: list[str] = []


class Watched:
    """Referenced weakly, and finalised."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __del__(self) -> None:
        finalised.append(self.name)


class Node:
    """Slots, a default, and a method that a subclass overrides."""

    __slots__ = ("count", "label")

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.label = "node"

    def size(self) -> int:
        return 1

    def double(self) -> int:
        return 2 * self.size()


class Failure(Exception):
    """An exception for users to subclass."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


def take_int(x: int) -> object:
    return x


def take_float(x: float) -> object:
    return x


def take_bytes(x: bytes) -> object:
    return x


def take_maybe(x: bytes | None) -> object:
    return x


def inner(x: object) -> object:
    raise ValueError(x)


def outer(x: object) -> object:
    return inner(x)
