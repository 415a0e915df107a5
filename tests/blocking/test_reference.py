"""Handles on what the other side has."""

import copy
import gc
from fractions import Fraction
from typing import Any

import pytest

import pellucid
from pellucid import blocking
from tests.blocking.threads import Doing, Echo, Thing, joined, until


def test_a_reference_tells_where_it_leads() -> None:
    with joined() as pair:
        thing = pair.client.root.call("thing")
        assert isinstance(thing, blocking.RemoteReference)
        assert thing.connection is pair.client
        assert repr(thing) == f"<RemoteReference 1 at {pair.client.peer}>"
        assert repr(pair.client.root) == f"<RemoteReference root at {pair.client.peer}>"
        assert not thing.closed
        del thing
        pair.prove_empty()


def test_the_same_object_is_the_same_reference_while_one_is_alive() -> None:
    class Keeping(Echo):
        thing = Thing()

        def remote_thing(self) -> Thing:
            return self.thing

    with joined(Keeping()) as pair:
        root = pair.client.root
        things = [Doing(root.call, "thing") for _ in range(10)]
        first, *others = [each.result() for each in things]
        assert all(each is first for each in others)
        assert pair.client.root is root
        del first, others, things
        pair.prove_empty()


def test_a_reference_comes_home_as_the_object() -> None:
    with joined() as pair:
        thing = Thing()
        assert pair.client.root.call("echo", thing) is thing
        theirs = pair.client.root.call("thing")
        assert pair.client.root.call("echo", [theirs, theirs])[1] is theirs
        del theirs
        pair.prove_empty()


def test_a_reference_goes_nowhere_else() -> None:
    with joined() as one, joined() as two:
        thing = one.client.root.call("thing")
        with pytest.raises(pellucid.InsecureJelly, match="only over the connection"):
            two.client.root.call("echo", thing)
        with pytest.raises(TypeError, match="can't be pickled or copied"):
            copy.copy(thing)
        del thing
        one.prove_empty()
        two.prove_empty()


def test_no_keyword_is_taken_from_the_call() -> None:
    class Keywords(pellucid.Root):
        def remote_keywords(self, /, **keywords: Any) -> dict[str, Any]:
            return keywords

    given = {"self": 1, "name": 2, "timeout": 3, "seconds": 4, "handle": 5}
    with joined(Keywords()) as pair:
        assert pair.client.root.call("keywords", **given) == given
        assert pair.client.root.within(10).call("keywords", **given) == given
        pair.client.root.notify("keywords", **given)


def test_notifying_wants_no_answer() -> None:
    echo = Echo()
    with joined(echo) as pair:
        pair.client.root.notify("keep", 1)
        pair.client.root.notify("nothing")
        until(lambda: echo.kept == [1])
        pair.prove_empty()


def test_a_reference_that_is_dropped_is_released_in_whatever_thread() -> None:
    with joined() as pair:
        things = [pair.client.root.call("thing") for _ in range(20)]
        server = pair.server._inner._broker
        assert len(server.exports) == 20
        Doing(things.clear).result()
        gc.collect()
        until(lambda: not len(server.exports))
        pair.prove_empty()


def test_seconds_are_a_number() -> None:
    with joined() as pair:
        wrong: Any
        for wrong in ("1", None, b"1"):
            with pytest.raises(TypeError, match="within takes a number of seconds, not"):
                pair.client.root.within(wrong)
        assert pair.client.root.within(Fraction(5)).call("echo", 1) == 1  # type: ignore[arg-type]
