"""What both sides of the catalogue share: an entry, and an error."""

from dataclasses import dataclass
from typing import Any

import pellucid

registry = pellucid.Registry()


@registry.copy("catalogue.Entry")
@dataclass(frozen=True)
class Entry(pellucid.Copyable, tag="catalogue.Entry"):
    """One file. It travels as a copy."""

    name: str
    size: int
    note: str = ""
    # Where it is on the server. Only who may edit is told; others receive the default.
    path: str = ""

    def state_to_copy_for(self, perspective: Any) -> dict[str, Any]:
        state = dict(self.state_to_copy())
        if not getattr(perspective, "may_edit", False):
            del state["path"]
        return state


class Refused(pellucid.Error):
    """What was asked for can't be had; the text says why."""
