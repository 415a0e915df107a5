"""Memory for long messages, and how it stays with the process between two of them.

A message of some MiB takes several blocks of its size, for a moment. The allocator of glibc gives
such blocks back to the system as soon as they are free, and the next message waits while the system
clears the same pages again: that took three quarters of its time. glibc keeps free memory from the
day on which a program freed a large block that was mapped by itself. So one is made and dropped
here. No page of it is ever touched.

The price: what is free at the top of the heap stays with the process, up to 64 MiB, and so do all
gaps below a block that is in use. After many long messages at once that may be most of what they
took. A program that frees one large block of its own gets there as well. Whoever does not want that
sets one of glibc's own variables, for instance `MALLOC_TRIM_THRESHOLD_=131072`: with
any of them set glibc does not adapt itself. Other allocators don't mind the block.
"""

import sys
from functools import cache
from typing import Final

__all__ = ["LONG", "keep_room"]

# Of messages that are not longer the allocator keeps the memory by itself.
LONG: Final = 1024 * 1024

# From 32 MiB on, its own header included, glibc draws no conclusion from a block.
_BLOCK: Final = 32 * 1024 * 1024 - 64 * 1024


@cache
def keep_room() -> None:
    """Have free memory stay with the process. Only the first call does anything."""
    # An interpreter of another kind would fill the block with zeros itself.
    if sys.platform == "linux" and sys.implementation.name == "cpython":
        try:
            bytes(_BLOCK)
        except MemoryError:
            pass  # There is too little to keep any.
