"""How large an item may be: what programs set for all connections that they make from then on.

Both sides have to set the same. What is above the wire's own bounds no other program takes.
"""

from dataclasses import asdict

from ..limits import Limits

__all__ = ["DIGITS", "SIZE", "resized"]

SIZE = Limits().string_bytes
DIGITS = Limits().integer_bits // 7

# A message has so many of the largest strings in it at least.
_STRINGS = 25


class _Wide(Limits):
    """Limits that the wire itself would not have."""

    __slots__ = ()

    _largest = 1 << 48
    _widest = 1 << 32


def resized(limits: Limits, size: int, digits: int) -> Limits:
    """Give limits with lists and byte strings of up to `size`, and prefixes of up to `digits`.

    If those are the wire's own it is `limits`. Raises ValueError and TypeError as Limits does.
    """
    if (size, digits) == (SIZE, DIGITS):
        return limits
    values = asdict(limits)
    values.update(
        string_bytes=size,
        list_items=size,
        integer_bits=max(7 * digits, 32),
        message_bytes=max(limits.message_bytes, _STRINGS * size),
        items=max(limits.items, size),
    )
    return _Wide(**values)
