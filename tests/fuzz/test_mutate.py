"""Inputs and what changes them: most of what comes out is messages, and nothing is ever raised."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import corpus, grammar, mutate, script
from fuzz.script import Script
from fuzz.targets import TARGETS, dialect_of
from pellucid.banana import decode, encode
from pellucid.errors import PBError

every_target = pytest.mark.parametrize("target", TARGETS)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_input(data: bytes) -> None:
    found = script.read(data)
    again = script.write(found)
    assert script.read(again) == found
    assert script.write(script.read(again)) == again


def test_bytes_and_actions() -> None:
    data = b"\1\2\3ab\xfe\5\xfe\xfec\xfe"
    found = script.read(data)
    assert found == Script(1, 2, 3, [b"ab", 5, b"\xfec"])
    assert found.stream == b"ab\xfec"
    assert script.write(found) == data[:-1]


@given(st.binary(max_size=200), st.integers(), st.sampled_from(sorted(TARGETS)))
def test_any_input_can_be_changed(data: bytes, seed: int, target: str) -> None:
    assert type(mutate.mutated(data, Random(seed), target)) is bytes


def test_the_same_seed_gives_the_same() -> None:
    data = corpus.seeds("broker")[40]
    one, other = (mutate.mutated(data, Random(5), "broker") for _ in range(2))
    assert one == other != data


def changed(target: str, count: int) -> Iterator[bytes]:
    random = Random(target)
    seeds = corpus.seeds(target)
    for _ in range(count):
        yield mutate.mutated(random.choice(seeds), random, target)
        yield mutate.fresh(random, target)


@every_target
def test_most_of_it_is_messages(target: str) -> None:
    whole = broken = 0
    for data in changed(target, 150):
        found = script.read(data)
        for step in found.steps:
            if isinstance(step, bytes):
                messages, rest = mutate.messages(step, dialect_of(found.flags))
                whole += len(messages)
                broken += bool(rest)
    assert whole > 2 * broken


def test_messages_of_every_kind_are_made() -> None:
    random = Random(1)
    made = [grammar.message(random) for _ in range(2000)]
    assert {one[0] for one in made} >= {
        *(b"message", b"cachemessage", b"answer", b"error", b"decref", b"decache", b"uncache"),
        *(b"version", b"strange"),
    }
    written = 0
    for one in made:
        try:
            assert repr(decode(encode(one))) == repr(one)
            written += 1
        except PBError:
            continue
    assert written > 1000


@pytest.mark.parametrize("target", ["framer", "decoder", "broker", "session"])
def test_the_vectors_make_seeds(target: str) -> None:
    seeds = corpus.seeds(target)
    assert len(seeds) == len({*seeds}) > 100
    assert max(map(len, seeds)) <= corpus.LONGEST
