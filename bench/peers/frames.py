"""What the floors send: what the workloads have, encoded already, behind its length."""

import struct

from bench import workloads


def frame(data: bytes) -> bytes:
    """Put the length in front."""
    return len(data).to_bytes(4, "big") + data


# As long as Pellucid's message is.
TEXT = frame(workloads.TEXT.encode().ljust(60))
STRUCTURE = frame(repr(workloads.STRUCTURE).encode())
INTEGERS = frame(struct.pack(f"!{len(workloads.INTEGERS)}i", *workloads.INTEGERS))
