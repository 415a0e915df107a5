"""Objects that the other side has copies of, changed by several threads."""

from typing import Any

from .. import flavors
from .locks import state_lock

__all__ = ["Cacheable"]


class Cacheable(flavors.Cacheable):
    """A cache that several threads change: `with self.lock: change; self.update(...)`.

    The lock is held while the state is taken and written, so that every copy begins with a state
    and hears of each change after it, and of none before. It is one for all caches. Under it
    nothing may wait for an answer: such a call is a LocalProtocolError. What an update was given is
    kept as it was at that moment; it leaves, and what is wrong with it is raised, when the lock is
    released. (Wire document, section 11.)
    """

    lock = state_lock

    def write_jelly(self, encoder: Any) -> None:
        """Write this object into a message, with the lock held."""
        with self.lock:
            super().write_jelly(encoder)

    def update(self, name: str, /, *args: Any, **kwargs: Any) -> None:
        """Tell every copy of a change. See `pellucid.Cacheable.update`."""
        with self.lock:
            super().update(name, *args, **kwargs)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        """A copy is gone: forget its observer."""
        with self.lock:
            super().stopped_observing(perspective, observer)
