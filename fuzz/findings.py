"""What was found: each kind once, as small as it gets, with the command that plays it again."""

import re
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import script
from fuzz.corpus import name_of

_PATIENCE = 10.0


def kind_of(error: BaseException) -> str:
    """Give what two findings have in common that are the same defect, most likely."""
    frames = traceback.extract_tb(error.__traceback__)
    where = frames[-1].name if frames else ""
    text = re.sub(r"0x[0-9a-f]+|\d+|b?'[^']*'|\"[^\"]*\"", "", str(error))
    return f"{type(error).__name__} in {where}: {text[:60]}"


def _smaller(data: bytes) -> Iterator[bytes]:
    """Give inputs with something less in them: whole steps first, then bytes."""
    found = script.read(data)
    for at in range(len(found.steps)):
        steps = [*found.steps[:at], *found.steps[at + 1 :]]
        yield script.write(script.Script(found.flags, found.seed, found.kind, steps))
    size = len(data) // 2
    while size:
        for start in range(script.HEAD, len(data), size):
            yield data[:start] + data[start + size :]
        size //= 2


def shrink(data: bytes, holds: Callable[[bytes], bool], seconds: float = _PATIENCE) -> bytes:
    """Give a smaller input for which `holds` is true as well, the best within some seconds."""
    end = time.monotonic() + seconds
    found = True
    while found:
        found = False
        for less in _smaller(data):
            if time.monotonic() > end:
                return data
            if len(less) < len(data) and holds(less):
                data = less
                found = True
                break
    return data


@dataclass
class Findings:
    """The folder of what was found for a target in a build."""

    folder: Path
    target: str
    build: str
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, data: bytes, error: Exception, again: Callable[[bytes], object]) -> None:
        """Keep an input that broke something, if nothing else broke it like this."""
        kind = kind_of(error)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] > 1:
            return

        def holds(less: bytes) -> bool:
            try:
                again(less)
            except Exception as other:
                return kind_of(other) == kind
            return False

        small = shrink(data, holds)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.target}-{name_of(small)}"
        path.write_bytes(small)
        text = "".join(traceback.format_exception(error))
        about = f"{kind}\n\n{command(self.target, self.build, path)}\n\n{text}"
        path.with_suffix(".txt").write_text(about, encoding="utf-8", errors="backslashreplace")


def command(target: str, build: str, path: Path) -> str:
    """Give the command that plays an input again."""
    return f"python -m fuzz --target {target} --build {build} --replay {path}"
