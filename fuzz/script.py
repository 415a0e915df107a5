"""What one input of the fuzzer stands for: settings, what the peer sends, and what we do meanwhile.

The first bytes are settings. In the rest 0xFE and a number is something that our own application
does, 0xFE twice is that byte itself, and all else are bytes from the peer. Any bytes are a script.
"""

from dataclasses import dataclass

HEAD = 3
MARK = 0xFE


@dataclass
class Script:
    """Settings, and in their order pieces of the stream and the numbers of actions."""

    flags: int
    seed: int
    kind: int
    steps: list[bytes | int]

    @property
    def stream(self) -> bytes:
        """All that the peer sends."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))


def read(data: bytes) -> Script:
    """Read an input. What is missing in front is zero."""
    head = data[:HEAD].ljust(HEAD, b"\0")
    steps: list[bytes | int] = []
    piece = bytearray()
    pos = HEAD
    while pos < len(data):
        mark = data.find(MARK, pos)
        if mark < 0 or mark + 1 == len(data):
            piece += data[pos : len(data) if mark < 0 else mark]
            break
        piece += data[pos:mark]
        action = data[mark + 1]
        pos = mark + 2
        if action == MARK:
            piece.append(MARK)
            continue
        if piece:
            steps.append(bytes(piece))
            piece.clear()
        steps.append(action)
    if piece:
        steps.append(bytes(piece))
    return Script(head[0], head[1], head[2], steps)


def write(script: Script) -> bytes:
    """Give the input that is read as this script, but that pieces side by side become one."""
    out = bytearray((script.flags, script.seed, script.kind))
    for step in script.steps:
        if isinstance(step, bytes):
            out += step.replace(b"\xfe", b"\xfe\xfe")
        else:
            out += bytes((MARK, step))
    return bytes(out)
