"""Copies, caches and views, on every face."""

from dataclasses import dataclass, field
from typing import Any

import pytest

import pellucid
from tests.faces.face import Face, Steps, on_each_face, steps, without
from tests.faces.flavours import Cacheable, Copyable, Referenceable, RemoteCache, Viewable
from tests.faces.pair import Pair, Root, Thing, joined


@dataclass
class Item(Copyable, tag="faces.Item"):
    """A copy: what is sent and what arrives are of one class."""

    name: str
    parts: list[Any] = field(default_factory=list)


class Echoing(Referenceable):
    def remote_echo(self, value: Any) -> Any:
        return value


class BoardCopy(RemoteCache):
    lines: list[Any]

    def observe_add(self, line: Any) -> int:
        self.lines.append(line)
        return len(self.lines)

    def observe_fail(self) -> None:
        raise LookupError("in an update")

    @steps
    def observe_ask(self, reference: Any) -> Steps:
        self.lines.append((yield reference.call("echo", "asked")))


def registry(face: Face) -> Any:
    return face.registry(copies={"faces.Item": Item}, caches={"faces.Board": BoardCopy})


class Board(Cacheable, tag="faces.Board"):
    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.stopped = 0

    def state_to_cache(self) -> dict[str, Any]:
        return {"lines": list(self.lines)}

    def stopped_observing(self, perspective: object, observer: object) -> None:
        super().stopped_observing(perspective, observer)
        self.stopped += 1

    def add(self, line: Any) -> None:
        self.lines.append(line)
        self.update("add", line)


class Owner(Root):
    """Has one board, and sends it to everybody who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Board()

    def remote_board(self) -> Any:
        return self.board

    def remote_add(self, line: Any) -> None:
        self.board.add(line)

    def remote_is_board(self, value: object) -> bool:
        return value is self.board

    @steps
    def remote_ask(self, line: Any) -> Steps:
        found = []
        for observer in self.board.observers:
            found.append((yield observer.call("add", line)))
        return found


def owning(face: Face) -> Steps:
    owner = Owner()
    pair = yield from joined(face, owner, registry=registry(face))
    return owner, pair


@on_each_face
def test_a_copy_is_a_new_object_of_its_class(face: Face) -> Steps:
    pair = yield from joined(face, registry=registry(face))
    item = Item("lamp", [1, Item("bulb")])
    found = yield pair.root.call("echo", item)
    assert found == item
    assert found is not item
    assert type(found.parts[1]) is type(item)
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_a_copy_takes_references_along_and_keeps_its_shape(face: Face) -> Steps:
    pair = yield from joined(face, registry=registry(face))
    thing, item = Thing(), Item("loop")
    item.parts = [thing, item, item.parts]
    found = yield pair.root.call("echo", [item, item])
    assert found[0] is found[1]
    assert found[0].parts[0] is thing
    assert found[0].parts[1] is found[0]
    del found
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_a_copy_that_is_not_registered_is_refused(face: Face) -> Steps:
    pair = yield from joined(face)
    with face.raises(pellucid.InsecureJelly, match=r"faces\.Item"):
        yield pair.root.call("echo", Item("lamp"))
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_an_update_that_the_copy_does_not_know_is_logged_there(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    owner.board.update("ad", "line")
    yield face.until(lambda: caplog.records)
    assert "No such method: observe_ad" in caplog.text
    owner.board.add("next")
    yield pair.root.call("echo")
    assert copy.lines == ["next"]
    del copy
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="it logs as Twisted does, with a traceback; its own tests read that")
def test_an_update_that_the_copy_does_not_know_leaves_a_line_there(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    owner.board.update("ad", "line")
    yield face.until(lambda: caplog.records)
    assert caplog.messages == [
        f"{pair.client.peer}: an update failed, 'ad' of a BoardCopy: "
        "pellucid.errors.NoSuchMethod: No such method: observe_ad"
    ]
    assert copy.lines == []
    del copy
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_a_cache_is_kept_up_to_date(face: Face) -> Steps:
    owner, pair = yield from owning(face)
    owner.board.add("before")
    copy = yield pair.root.call("board")
    assert copy.lines == ["before"]
    for number in range(20):
        owner.board.add(number)
    yield pair.root.call("echo")
    assert copy.lines == ["before", *range(20)]
    del copy
    yield pair.empty()
    assert owner.board.observers == ()
    assert owner.board.stopped == 1
    yield from pair.close()


@on_each_face
def test_an_answer_comes_after_the_update_that_was_sent_before_it(face: Face) -> Steps:
    _, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    for number in range(20):
        yield pair.root.call("add", number)
        assert copy.lines[-1] == number
    del copy
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_one_copy_for_each_connection_and_home_it_is_the_object(face: Face) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    assert (yield pair.root.call("board")) is copy
    assert (yield pair.root.call("is_board", copy)) is True
    other = yield face.connect(pair.listening.url, registry=registry(face))
    second = yield other.root.call("board")
    assert second is not copy
    with face.raises(pellucid.InsecureJelly):
        yield other.root.call("is_board", copy)
    owner.board.add(1)
    yield pair.root.call("echo")
    yield other.root.call("echo")
    assert copy.lines == second.lines == [1]
    yield face.close(other)
    yield face.until(lambda: owner.board.stopped == 1)
    owner.board.add(2)
    yield pair.root.call("echo")
    assert (copy.lines, second.lines) == ([1, 2], [1])
    assert len(owner.board.observers) == 1
    yield from pair.close()
    assert owner.board.stopped == 2


@on_each_face
def test_observers_can_be_asked(face: Face) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    (observer,) = owner.board.observers
    assert (yield observer.call("add", "x")) == 1
    assert (yield pair.root.call("ask", "y")) == [2]
    assert copy.lines == ["x", "y"]
    del copy
    yield pair.empty()
    with face.raises(face.copy_is_gone):
        yield observer.call("add", "z")
    yield from pair.close()


@on_each_face
def test_an_update_may_call_back(face: Face) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    owner.board.update("ask", Echoing())
    lines = copy.lines
    yield face.until(lambda: lines)
    assert lines == ["asked"]
    del copy
    yield pair.empty()
    yield from pair.close()


@on_each_face
def test_an_update_that_fails_is_logged_and_the_next_is_made(
    face: Face, caplog: pytest.LogCaptureFixture
) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    owner.board.update("fail")
    owner.board.add(1)
    yield pair.root.call("echo")
    assert copy.lines == [1]
    yield face.until(lambda: "in an update" in caplog.text)
    yield from pair.close()


@on_each_face
def test_an_update_that_can_not_be_sent_is_the_owner_s_error(face: Face) -> Steps:
    owner, pair = yield from owning(face)
    copy = yield pair.root.call("board")
    with face.raises(pellucid.InsecureJelly):
        owner.board.update("add", object())
    owner.board.add(1)
    yield pair.root.call("echo")
    assert copy.lines == [1]
    yield from pair.close()


# Views.


class Room(Viewable):
    def __init__(self) -> None:
        self.said: list[Any] = []

    def view_say(self, perspective: Any, text: str) -> str:
        self.said.append((perspective, text))
        return "said"


@on_each_face
def test_a_view_without_a_login_has_no_perspective(face: Face) -> Steps:
    class Hall(Root):
        room = Room()

        def remote_room(self) -> Room:
            return self.room

        def remote_same(self, view: Any) -> bool:
            return face.viewed(view) is self.room

    hall = Hall()
    pair: Pair = yield from joined(face, hall)
    view = yield pair.root.call("room")
    assert (yield view.call("say", "hello")) == "said"
    assert hall.room.said == [(None, "hello")]
    assert (yield pair.root.call("same", view)) is True
    with face.raises(pellucid.NoSuchMethod):
        yield view.call("shout")
    del view
    yield pair.empty()
    yield from pair.close()
