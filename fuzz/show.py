"""Values as text: what is the same in both builds and in every way to arrive has the same text."""

from typing import Any

from fuzz.oracle import Broken
from pellucid.errors import PBError
from pellucid.flavors import Cacheable, Copyable, Referenceable, RemoteCache, Viewable
from pellucid.holes import Hole
from pellucid.jelly import Unpersistable
from pellucid.references import RemoteReference

# What has an order, or a hash that every process and every build agrees about.
_ATOMS = (str, bytes, int)
_LONGEST = 60


class Shown:
    """One value as text. `vague` if something in it has no order of its own."""

    def __init__(self, value: Any) -> None:
        self._known: dict[int, int] = {}
        # So that no id is used again.
        self._alive: list[Any] = []
        self.vague = False
        self.text = self._show(value)

    def _show(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, (str, bytes, int)) or value is None:
            text = repr(value)
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}({len(text)})"
        if isinstance(value, Hole):
            raise Broken("a placeholder is in a value")
        if isinstance(value, RemoteReference):
            return f"<remote {value.luid!r}>"
        if isinstance(value, (list, tuple, dict, set, frozenset, Copyable, RemoteCache, PBError)):
            if id(value) in self._known and value != ():
                return f"@{self._known[id(value)]}"
            self._known[id(value)] = len(self._known)
            self._alive.append(value)
            return f"{kind.__name__}{self._inner(value)}"
        if isinstance(value, (Referenceable, Viewable, Cacheable, Unpersistable)):
            return f"<{kind.__name__}>"
        if kind.__module__ not in ("builtins", "datetime", "decimal"):
            raise Broken(f"no value is a {kind.__module__}.{kind.__name__}")
        return f"{kind.__name__} {value!r}"

    def _inner(self, value: Any) -> str:
        if isinstance(value, (set, frozenset)):
            if len(value) > 1 and not all(isinstance(one, _ATOMS) for one in value):
                self.vague = True
                return f"{{{len(value)} members}}"
            return "{" + ", ".join(sorted(map(self._show, value))) + "}"
        if isinstance(value, PBError):
            found = {"text": str(value), **vars(value)}
            # Held for its own sake, and no part of what came.
            found.pop("__cause__", None)
            return self._pairs(found)
        if isinstance(value, (Copyable, RemoteCache)):
            return self._pairs(vars(value))
        if isinstance(value, dict):
            return self._pairs(value)
        return "[" + ", ".join(map(self._show, value)) + "]"

    def _pairs(self, found: dict[Any, Any]) -> str:
        parts = (f"{self._show(key)}: {self._show(one)}" for key, one in found.items())
        return "{" + ", ".join(parts) + "}"
