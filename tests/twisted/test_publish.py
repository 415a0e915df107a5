"""Caches with a file: when it is read, when it is written, and what can be in it."""

import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionLost

from pellucid.twisted import banana, jelly
from pellucid.twisted.errors import Error, InsecureJelly, PBConnectionLost
from pellucid.twisted.flavors import (
    Cacheable,
    Copyable,
    Referenceable,
    RemoteCopy,
    Root,
    setUnjellyableForClass,
)
from pellucid.twisted.publish import Publishable, RemotePublished, whenReady
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import failure_of, result


class Author(Copyable, RemoteCopy):
    """A part of a paper."""

    def __init__(self, name: str = "") -> None:
        self.name = name


class Paper(Publishable):
    """Is published, and counts how often its state is asked for."""

    def __init__(self, publishedID: Any, state: Any = None) -> None:
        super().__init__(publishedID)
        self.state = state
        self.asked = 0

    def getStateToPublish(self) -> Any:
        self.asked += 1
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


class RemotePaper(RemotePublished):
    """Its copy."""

    activations = 0
    title: str
    author: Author

    def activated(self) -> None:
        self.activations += 1


class Elsewhere(RemotePaper):
    """Its file can't be written."""

    def getFileName(self, ext: str = "pub") -> str:
        return f"no/such/directory.{ext}"


class Lie(Cacheable):
    """Sends any state as that of a paper."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def getTypeToCopy(self) -> bytes:
        return b"tests.Lie"

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        return self.state


setUnjellyableForClass(Author, Author)
setUnjellyableForClass(Paper, RemotePaper)
setUnjellyableForClass("tests.Lie", RemotePaper)
setUnjellyableForClass("tests.Elsewhere", Elsewhere)


class Desk(Root):
    """Gives what is published, and waits if it is told to."""

    def __init__(self, paper: Any) -> None:
        self.paper = paper

    def remote_get(self) -> Any:
        return self.paper

    def remote_fail(self) -> None:
        raise Error("no paper today")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


STATE = {"title": "On paper", "pages": [1, 2], "words": (b"x", 2.5, None)}


def shown(paper: Any) -> dict[str, Any]:
    return {name: getattr(paper, name) for name in STATE}


def test_the_state_is_asked_for_and_kept(join: Join, piece: int, folder: Path) -> None:
    paper = Paper("PAPER", STATE)
    first = join(Desk(paper), size=piece).ask("get")
    assert type(first) is RemotePaper
    assert (first.isActivated, first.activations, first._wasCleanWhenLoaded) == (1, 1, 0)
    assert shown(first) == STATE
    assert (first.publishedID, first.service, first.perspective) == ("PAPER", "None", "None")
    assert [path.name for path in folder.iterdir()] == ["None-None-PAPER.pub"]
    assert paper.asked == 1


def test_what_was_kept_is_not_asked_for_again(join: Join) -> None:
    paper = Paper("PAPER", STATE)
    first = join(Desk(paper)).ask("get")
    again = join(Desk(paper)).ask("get")
    assert again is not first
    assert (again.isActivated, again._wasCleanWhenLoaded) == (1, 1)
    assert shown(again) == STATE
    assert paper.asked == 1


def test_what_was_published_again_is_asked_for_again(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper("PAPER", STATE)
    join(Desk(paper)).ask("get")
    paper.state = {"title": "Revised"}
    later = time.time() + 1
    monkeypatch.setattr(time, "time", lambda: later)
    paper.republish()
    again = join(Desk(paper)).ask("get")
    assert (again.title, again._wasCleanWhenLoaded, paper.asked) == ("Revised", 0, 2)
    third = join(Desk(paper)).ask("get")
    assert (third.title, third._wasCleanWhenLoaded, paper.asked) == ("Revised", 1, 2)


def test_a_copy_in_the_state_is_kept(join: Join) -> None:
    paper = Paper("PAPER", {"author": Author("Ada"), "title": "x"})
    for clean in (0, 1):
        copy = join(Desk(paper)).ask("get")
        assert type(copy.author) is Author
        assert (copy.author.name, copy._wasCleanWhenLoaded) == ("Ada", clean)


def test_each_paper_has_its_file(join: Join, folder: Path) -> None:
    for published in ("A", "B", 7):
        join(Desk(Paper(published, {"title": str(published)}))).ask("get")
    names = {path.name for path in folder.iterdir()}
    assert names == {"None-None-A.pub", "None-None-B.pub", "None-None-7.pub"}


# Files that are no good.


def junk() -> dict[str, bytes]:
    class Unknown:
        pass

    insecure = jelly.jelly({"timestamp": 0.0, "part": Unknown()})
    return {
        "nothing": b"",
        "no banana": b"\xff\xff",
        "no jelly": banana.encode([b"strange", 1]),
        "no state": banana.encode(jelly.jelly(5)),
        "no time": banana.encode(jelly.jelly({"title": "x"})),
        "as Twisted writes it": banana.encode([b"tests.RemotePaper", [b"dictionary"]]),
        "code": banana.encode([b"function", b"os.system"]),
        "insecure": banana.encode(insecure),
    }


@pytest.mark.parametrize("kind", list(junk()))
def test_a_file_that_is_no_good_is_made_anew(
    join: Join, logged: Logged, folder: Path, kind: str
) -> None:
    (folder / "None-None-PAPER.pub").write_bytes(junk()[kind])
    paper = Paper("PAPER", STATE)
    for clean in (0, 1):
        copy = join(Desk(paper)).ask("get")
        assert (shown(copy), copy._wasCleanWhenLoaded) == (STATE, clean)
    assert "None-None-PAPER.pub is no good" in logged.text
    assert paper.asked == 1


def test_who_can_not_write_a_file_has_the_state(join: Join, logged: Logged) -> None:
    class There(Paper):
        def getTypeToCopy(self) -> bytes:
            return b"tests.Elsewhere"

    paper = There("PAPER", STATE)
    for asked in (1, 2):
        copy = join(Desk(paper)).ask("get")
        assert (type(copy), copy.isActivated, paper.asked) == (Elsewhere, 1, asked)
    assert "no/such/directory.pub can't be written: FileNotFoundError" in logged.text


def test_what_can_not_be_kept_is_asked_for_again(join: Join, logged: Logged, folder: Path) -> None:
    paper = Paper("PAPER", {"title": "x", "thing": Referenceable()})
    for asked in (1, 2):
        copy = join(Desk(paper)).ask("get")
        assert (copy.title, copy._wasCleanWhenLoaded, paper.asked) == ("x", 0, asked)


# What a peer can do.


def published(**changes: Any) -> dict[str, Any]:
    state = {
        "remote": Source(),
        "publishedID": "x",
        "perspective": "y",
        "service": "z",
        "timestamp": 1.0,
    }
    return {**state, **changes}


class Source(Referenceable):
    def __init__(self, **state: Any) -> None:
        self.state = state

    def remote_getStateToPublish(self) -> Any:
        return self.state


@pytest.mark.parametrize("name", ["publishedID", "perspective", "service"])
@pytest.mark.parametrize(
    "value", ["../../outside", "/tmp/outside", "..\\outside", "c:outside", "a\0b", b"../x", ["/"]]
)
def test_no_name_leads_out_of_the_directory(
    join: Join, folder: Path, name: str, value: Any
) -> None:
    inside = folder / "deep" / "inside"
    inside.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inside)
        copy = join(Desk(Lie(published(**{name: value})))).ask("get")
        assert copy.isActivated
        assert not {"/", "\\", "\0", ":"} & set(copy.getFileName())
        assert len(list(inside.iterdir())) == 1
    assert [*folder.iterdir()] == [folder / "deep"]
    assert [*(folder / "deep").iterdir()] == [inside]


def test_the_name_of_a_file_can_have_another_ending(join: Join) -> None:
    copy = join(Desk(Lie(published()))).ask("get")
    assert copy.getFileName() == "z-y-x.pub"
    assert copy.getFileName("txt") == copy.getFileName(ext="txt") == "z-y-x.txt"


OURS = ["isActivated", "activated", "getFileName", "_wasCleanWhenLoaded", "_listeners", "_failure"]


@pytest.mark.parametrize("key", OURS)
def test_a_peer_sets_nothing_that_is_not_its_own(join: Join, logged: Logged, key: str) -> None:
    with pytest.raises(InsecureJelly, match=key):
        join(Desk(Lie(published(**{key: 1})))).ask("get")
    copy = join(Desk(Lie(published(remote=Source(**{key: 1}))))).ask("get")
    assert not copy.isActivated
    (failure,) = logged.take(InsecureJelly)
    assert key in failure.getErrorMessage()
    failure_of(whenReady(succeed(copy))).trap(InsecureJelly)


# Waiting for the state.


def test_who_waits_is_called_when_the_state_is_there(join: Join) -> None:
    late: Deferred[Any] = Deferred()
    paper = Paper("PAPER", late)
    joined = join(Desk(paper))
    copy = joined.ask("get")
    called: list[Any] = []
    copy.callWhenActivated(lambda it: called.append((1, it, it.activations)))
    copy.callWhenActivated(lambda it: called.append((2, it, it.activations)))
    joined.run()
    assert (called, copy.isActivated) == ([], 0)
    late.callback({"title": "late"})
    joined.run()
    assert called == [(1, copy, 0), (2, copy, 0)]
    assert (copy.title, copy.activations) == ("late", 1)
    copy.callWhenActivated(lambda it: called.append((3, it, it.activations)))
    assert called[2:] == [(3, copy, 1)]


def test_when_ready(join: Join) -> None:
    late: Deferred[Any] = Deferred()
    joined = join(Desk(Paper("PAPER", late)))
    waiting = whenReady(joined.root.callRemote("get"))
    joined.run()
    assert not waiting.called
    late.callback({"title": "late"})
    joined.run()
    assert result(waiting).title == "late"
    # Now there is a file.
    assert result(whenReady(succeed(joined.ask("get")))).isActivated


def test_when_ready_takes_whatever_can_be_waited_for() -> None:
    class Other:
        def callWhenActivated(self, callback: Any) -> None:
            callback(self)

    other = Other()
    assert result(whenReady(succeed(other))) is other
    failure_of(whenReady(succeed(5))).trap(AttributeError)


def test_when_ready_fails_with_the_call(join: Join) -> None:
    joined = join(Desk(None))
    waiting = whenReady(joined.root.callRemote("fail"))
    joined.run()
    failure_of(waiting).trap(Error)
    failure_of(whenReady(fail(LookupError()))).trap(LookupError)


def test_when_ready_fails_with_the_state(join: Join) -> None:
    late: Deferred[Any] = Deferred()
    joined = join(Desk(Paper("PAPER", late)))
    copy = joined.ask("get")
    waiting = [whenReady(succeed(copy)), whenReady(succeed(copy))]
    late.errback(Error("no state today"))
    joined.run()
    for one in waiting:
        failure = failure_of(one)
        failure.trap(Error)
        assert failure.getErrorMessage() == "no state today"


def test_a_state_that_nobody_waits_for_and_that_fails_is_logged(join: Join, logged: Logged) -> None:
    copy = join(Desk(Paper("PAPER", Error("no state today")))).ask("get")
    (failure,) = logged.take(Error)
    assert failure.getErrorMessage() == "no state today"
    # Whoever asks later is told as well.
    failure_of(whenReady(succeed(copy))).trap(Error)
    called: list[Any] = []
    copy.callWhenActivated(called.append)
    assert (called, copy.isActivated) == ([], 0)


def test_when_ready_fails_when_the_connection_ends(join: Join) -> None:
    late: Deferred[Any] = Deferred()
    joined = join(Desk(Paper("PAPER", late)))
    waiting = whenReady(joined.root.callRemote("get"))
    joined.run()
    joined.lose(ConnectionLost())
    failure_of(waiting).trap(PBConnectionLost)
    late.callback({})


def test_who_gives_up_waiting_hears_of_nothing(join: Join) -> None:
    late: Deferred[Any] = Deferred()
    joined = join(Desk(Paper("PAPER", late)))
    call = joined.root.callRemote("get")
    waiting = whenReady(call)
    joined.run()
    waiting.cancel()
    failure_of(waiting).trap(CancelledError)
    late.callback({"title": "late"})
    joined.run()


# Perspectives.


class Service:
    serviceName = "press"


class Reader:
    perspectiveName = "ada"

    def getService(self) -> Service:
        return Service()


def test_the_state_is_that_of_a_perspective() -> None:
    class Personal(Publishable):
        def getStateToPublishFor(self, perspective: Any) -> Any:
            return {"for": perspective.perspectiveName}

    reader = Reader()
    paper = Personal(5)
    state = paper.getStateToCacheAndObserveFor(reader, None)
    view = state.pop("remote")
    assert state == {
        "publishedID": 5,
        "perspective": "ada",
        "service": "press",
        "timestamp": paper.timestamp,
    }
    assert (view.perspective, view.object) == (reader, paper)
    assert view.find_method("getStateToPublish")() == {"for": "ada"}


def test_a_publishable_without_a_state_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Publishable has no getStateToPublish"):
        Publishable("x").view_getStateToPublish(None)


def test_the_names_are_twisted_s() -> None:
    for named in (Publishable, RemotePublished, whenReady):
        assert named.__module__ == "twisted.spread.publish"
