"""What the connections of one loop have in common."""

import asyncio
import gc
from weakref import ref

from pellucid.asyncio.shared import shared_by


def test_each_loop_has_its_own() -> None:
    loops = [asyncio.new_event_loop() for _ in range(2)]
    one, other = map(shared_by, loops)
    assert shared_by(loops[0]) is one is not other
    assert len(one.buffer) == 256 * 1024
    for loop in loops:
        loop.close()


def test_it_does_not_keep_its_loop_alive() -> None:
    class Late:
        pass

    loop = asyncio.new_event_loop()
    late = Late()
    shared_by(loop).opening(60, lambda one: None).add(late, loop)
    loop.close()
    gone = ref(loop)
    del loop
    gc.collect()
    assert gone() is None


def test_few_times_are_remembered() -> None:
    loop = asyncio.new_event_loop()
    shared = shared_by(loop)
    first = shared.opening(1, print)
    assert shared.opening(1, print) is first
    made = [shared.opening(n, print) for n in range(2, 100)]
    assert shared.opening(99, print) is made[-1]
    assert shared.opening(1, print) is not first
    loop.close()
