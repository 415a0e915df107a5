"""How much Pellucid may grow under each attack, as its limits say. The one table of it.

A bound is the sum of what its limits allow for the attack, and `BASE` for what any server takes
that has begun to work: its buffers, and what the allocator keeps.
"""

from collections.abc import Callable

from pellucid import Limits

MB = 2**20
BASE = 8 * MB
# What a decoded item may cost: an empty set is the largest thing that so few bytes can make.
_ITEM = 256

Bound = Callable[[Limits], float]


def _message(limits: Limits) -> float:
    """One message that is not complete: its bytes, and the buffer that they grow in."""
    return 2 * limits.message_bytes


def _value(limits: Limits) -> float:
    """One message with as many items as it may have, decoded."""
    return _message(limits) + limits.items * _ITEM / 2


def _waiting(limits: Limits) -> float:
    """Calls that wait or run, and one more message."""
    return 2 * limits.waiting_bytes + _message(limits)


def _answers(limits: Limits) -> float:
    """Answers that are not taken, the calls behind them, and one more message."""
    return limits.out_bytes + _waiting(limits)


def _references(limits: Limits) -> float:
    """References that are held or exported, in both directions."""
    return 512 * limits.references_held + _message(limits)


def _caches(limits: Limits) -> float:
    return 1024 * limits.caches_held + limits.cache_bytes + _value(limits)


def _nothing(limits: Limits) -> float:
    return 0.0


BOUNDS: dict[str, Bound] = {}


def bound(name: str, limits: Limits) -> int | None:
    """Give the bound of an attack, in bytes."""
    found = BOUNDS.get(name)
    return None if found is None else BASE + int(found(limits))
