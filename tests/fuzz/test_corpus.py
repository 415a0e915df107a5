"""Every input that is kept, and those that the vectors make, hold to the one sentence.

Then some more of them for a moment, which is fuzzing without anything that guides it.
"""

import gc
import time
from random import Random

import pytest

from fuzz import corpus, life, mutate
from fuzz.oracle import judge
from fuzz.targets import TARGETS

every_target = pytest.mark.parametrize("target", TARGETS)
# Of inputs made at random, for each target.
SECONDS = 1.5


@every_target
def test_what_is_kept(target: str) -> None:
    for data in corpus.kept(target).values():
        judge(TARGETS[target], data)


@every_target
def test_what_the_vectors_make(target: str) -> None:
    outcomes = [judge(TARGETS[target], data) for data in corpus.seeds(target)]
    assert any(outcome.accepted for outcome in outcomes)
    assert any(outcome.refused for outcome in outcomes)


@every_target
def test_others_like_them(target: str) -> None:
    random = Random(target)
    seeds = corpus.seeds(target)
    accepted = refused = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if random.random() < 0.5:
            data = mutate.fresh(random, target)
        else:
            data = mutate.mutated(random.choice(seeds), random, target)
        try:
            outcome = judge(TARGETS[target], data)
        except Exception as error:
            error.add_note(f"the input: {data.hex()}")
            raise
        accepted += outcome.accepted
        refused += outcome.refused
    assert accepted
    assert refused


def test_no_connection_outlives_its_input() -> None:
    for target, found in TARGETS.items():
        for data in corpus.seeds(target)[:50]:
            judge(found, data)
    gc.collect()
    assert not life.ALIVE


@every_target
def test_what_is_kept_bears_the_name_of_its_content(target: str) -> None:
    for name, data in corpus.kept(target).items():
        assert name == corpus.name_of(data)
        assert len(data) <= corpus.LONGEST
