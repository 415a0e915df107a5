"""The sentence that holds for every input, and the ways in which it is looked at.

Accepted, or refused with a documented error, within the budget: of time, of each account and of
what is kept. And it is the same however the bytes arrive.
"""

import gc
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from fuzz import script
from fuzz.arrival import Arrival
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.limits import Limits

if TYPE_CHECKING:
    from fuzz.targets import Target


class Broken(Exception):
    """The sentence does not hold."""


DOCUMENTED = (RemoteProtocolError, InsecureJelly, LimitExceeded)

# Two sets of limits: all within reach of a few bytes, and what is usual.
SMALL = Limits(
    string_bytes=200,
    list_items=40,
    integer_bits=70,
    message_bytes=600,
    items=60,
    depth_received=12,
    depth_sent=12,
    hash_steps=200,
    hash_collisions=3,
    references_held=4,
    references_exported=4,
    caches_held=3,
    cache_bytes=60,
    caches_exported=3,
    remembered_ids=2,
    calls_pending=4,
    calls_running=2,
    calls_waiting=3,
    waiting_bytes=900,
    out_bytes=900,
)
USUAL = Limits(hash_steps=20_000)


@dataclass(frozen=True)
class Budget:
    """Seconds of the processor, with a lot to spare: what grows faster than its input is found.

    A time that is over is measured again, for a machine may be busy with something else.
    """

    base: float = 0.3
    byte: float = 0.00005
    step: float = 0.000005
    tries: int = 3

    def seconds(self, size: int, messages: int, limits: Limits) -> float:
        """Give what an input may cost."""
        return self.base + self.byte * size + self.step * limits.hash_steps * messages


BUDGET = Budget()


@dataclass
class Outcome:
    """What became of an input: one line for each thing that happened."""

    lines: list[str] = field(default_factory=list)
    messages: int = 0
    accepted: bool = False
    refused: bool = False
    # Something in it has no order of its own, so what was sent can't be compared.
    vague: bool = False
    sent: bytes = b""

    def add(self, line: str) -> None:
        """Note something."""
        self.lines.append(line)

    def refusal(self, error: BaseException, what: str) -> None:
        """Note a refusal, which has to be a documented one."""
        self.refused = True
        self.add(f"{what}: {documented(error)}")

    @property
    def digest(self) -> str:
        """A short form, the same on every build."""
        text = "\n".join(self.lines).encode("utf-8", "backslashreplace")
        return sha256(text + (b"" if self.vague else b"\0" + self.sent)).hexdigest()[:16]


def documented(error: BaseException) -> str:
    """Give an error as text. Raises Broken if none says that it may come of what arrived."""
    if type(error) not in DOCUMENTED:
        raise Broken(f"{type(error).__name__} is not documented: {error}") from error
    if isinstance(error, (InsecureJelly, LimitExceeded)) and not error.remote:
        raise Broken(f"the error does not say that the peer is to blame: {error}") from error
    if not str(error):
        raise Broken(f"a {type(error).__name__} without a text") from error
    return f"{type(error).__name__}: {error}"


def check(holds: object, text: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(text)


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning pass, and nothing that finalizers raise."""
    raised: list[tuple[BaseException | None, object]] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda args: raised.append((args.exc_value, repr(args.object)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        sys.unraisablehook = before
    if raised:
        error, where = raised[0]
        raise Broken(f"a finalizer raised {error!r} in {where}") from error


def ways(seed: int) -> list[Arrival]:
    """Give how an input arrives: whole, and cut in one of many ways."""
    return [Arrival(), Arrival(seed, in_place=bool(seed & 1))]


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no cycles: when that is would be chance, and so when what they hold is released."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def judge(target: "Target", data: bytes, budget: Budget = BUDGET) -> Outcome:
    """Play an input in every way. Raises Broken, or whatever should not have been raised."""
    seed = script.read(data).seed
    first: Outcome | None = None
    with quiet(), uncollected():
        for way in ways(seed):
            outcome = timed(lambda way=way: target.run(data, way), data, target, budget)  # type: ignore[misc]
            if first is None:
                first = outcome
            else:
                compare(first, outcome, way)
    assert first is not None
    return first


def timed(
    run: Callable[[], Outcome], data: bytes, target: "Target", budget: Budget = BUDGET
) -> Outcome:
    """Run, and hold it to its time."""
    took = []
    for _ in range(budget.tries):
        start = time.process_time()
        outcome = run()
        took.append(time.process_time() - start)
        allowed = budget.seconds(len(data), outcome.messages, target.limits(data))
        if took[-1] <= allowed:
            return outcome
    raise Broken(f"{len(data)} bytes took {min(took):.2f} s, and {allowed:.2f} s are allowed")


def compare(whole: Outcome, pieces: Outcome, way: Arrival) -> None:
    """Hold the outcome in pieces to be that of the whole."""
    if whole.lines != pieces.lines:
        for one, other in zip(
            [*whole.lines, "(the end)"], [*pieces.lines, "(the end)"], strict=False
        ):
            if one != other:
                raise Broken(f"arriving by {way} changes {one!r} to {other!r}")
    if not whole.vague:
        check(whole.sent == pieces.sent, f"arriving by {way} changes what is sent")
