"""Values of a few fields, for what every program loads: to make a dataclass takes long."""

from typing import Any, ClassVar, NoReturn, dataclass_transform

__all__ = ["Record"]


@dataclass_transform(frozen_default=True)
class Record:
    """Shown and compared by its fields, which can't be changed, as those of a frozen dataclass.

    A class names its fields in `__match_args__`, and its `__init__` takes them in this order. It
    may have further slots, which nothing here looks at.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]

    def __init__(self, **slots: Any) -> None:
        for name, value in slots.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record) and type(other) is type(self):
            return self._fields() == other._fields()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        fields = zip(self.__match_args__, self._fields(), strict=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in fields)
        return f"{type(self).__qualname__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._fields()

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)
