"""How connections begin and end, on every face."""

from pathlib import Path
from typing import Any

import pytest

import pellucid
from pellucid import ConnectionLost, DeadReferenceError, Limits
from tests.asyncio.certificates import SECURE, Certificates
from tests.faces.face import FREE, Face, Steps, on_each_face, steps, without
from tests.faces.pair import Root, Thing, joined


@on_each_face
@without(twisted="there it is the transport that tells")
def test_a_connection_tells_about_itself(face: Face) -> Steps:
    pair = yield from joined(face)
    for connection in (pair.client, pair.server):
        assert connection.peer.startswith("pb://127.0.0.1:")
        assert connection.host == "127.0.0.1"
        assert connection.dialect == "pellucid"
        assert (connection.unix, connection.encrypted) == (False, False)
        assert connection.certificate is None
        assert repr(connection) == f"<Connection open {connection.peer}>"
        assert not connection.closed
    assert pair.listening.connections == (pair.server,)
    assert pair.listening.url == pair.client.peer
    with face.raises(pellucid.LocalProtocolError):
        pair.server.root.notify("echo")
    yield from pair.close()
    assert repr(pair.client) == f"<Connection closed {pair.client.peer}>"


@on_each_face
def test_after_the_end_references_are_dead(face: Face) -> Steps:
    pair = yield from joined(face)
    thing = yield pair.root.call("thing")
    yield face.close(pair.client)
    assert pair.client.closed
    assert thing.closed
    with face.raises(DeadReferenceError):
        yield thing.call("tell", 1)
    with face.raises(DeadReferenceError):
        thing.notify("tell", 1)
    yield face.close(pair.client)
    yield from pair.close()


@on_each_face
@without(twisted="there a login is asked of the factory, and waits for its next connection")
def test_after_the_end_there_is_no_login(face: Face) -> Steps:
    pair = yield from joined(face)
    yield face.close(pair.client)
    with face.raises(DeadReferenceError):
        yield pair.client.login("alice", "secret")
    yield from pair.close()


@on_each_face
def test_both_sides_hear_of_the_end(face: Face) -> Steps:
    pair = yield from joined(face)
    heard: list[str] = []
    ended = face.event()
    pair.server.on_close(lambda reason: ended.set())
    pair.client.on_close(lambda reason: heard.append("client"))
    yield face.close(pair.client)
    yield ended.wait()
    yield face.until(lambda: heard)
    pair.client.on_close(lambda reason: heard.append("late"))
    yield face.until(lambda: len(heard) == 2)
    assert heard == ["client", "late"]
    yield from pair.close()


@on_each_face
@without(twisted="there a transport tells the reason, to a protocol")
def test_both_sides_hear_why_it_is_the_end(face: Face) -> Steps:
    pair = yield from joined(face)
    heard: dict[str, Any] = {}
    ended = face.event()

    def hear(reason: BaseException | None) -> None:
        heard["server"] = reason
        ended.set()

    pair.server.on_close(hear)
    pair.client.on_close(lambda reason: heard.setdefault("client", reason))
    yield face.close(pair.client)
    yield ended.wait()
    yield face.until(lambda: len(heard) == 2)
    assert heard["client"] is None
    assert isinstance(heard["server"], EOFError)
    pair.client.on_close(lambda reason: heard.setdefault("late", reason))
    yield face.until(lambda: len(heard) == 3)
    yield from pair.close()


class Waiting(Root):
    """Has a method that waits to be let go, and one that closes a connection."""

    def __init__(self, face: Face) -> None:
        super().__init__()
        self.connection: Any = None
        self.started = face.event()
        self.go = face.event()

    @steps
    def remote_wait(self) -> Steps:
        self.started.set()
        yield self.go.wait()

    def remote_close(self) -> str:
        self.connection.close()
        return "closed"

    def remote_go(self) -> None:
        self.go.set()


@on_each_face
def test_a_call_that_waits_at_the_end_fails(face: Face) -> Steps:
    class Ending(Thing):
        def remote_close(self) -> None:
            pair.client.close()
            waiting.go.set()

    waiting = Waiting(face)
    pair = yield from joined(face, waiting)
    # This side closes in the middle of the call.
    with face.raises(ConnectionLost):
        yield pair.root.call("back", Ending(), "close")
    yield from pair.close()


@on_each_face
def test_a_method_may_close_its_connection_and_is_still_answered(face: Face) -> Steps:
    waiting = Waiting(face)
    pair = yield from joined(face, waiting)
    waiting.connection = pair.server
    assert (yield pair.root.call("close")) == "closed"
    yield face.until(lambda: pair.client.closed)
    yield from pair.close()


@on_each_face
@without(twisted="there a port is closed by itself, and connections stay")
def test_closing_the_server_closes_its_connections(face: Face) -> Steps:
    pair = yield from joined(face)
    other = yield face.connect(pair.listening.url)
    yield face.close(pair.listening)
    yield face.until(lambda: pair.client.closed and other.closed)
    assert pair.listening.connections == ()
    yield face.close(other)
    yield from pair.close()


@on_each_face
def test_where_nobody_listens_any_more_nobody_connects(face: Face) -> Steps:
    pair = yield from joined(face)
    yield from pair.close()
    with face.raises(ConnectionRefusedError):
        yield face.connect(pair.listening.url)


@on_each_face
def test_no_more_calls_run_than_are_allowed(face: Face) -> Steps:
    waiting = Waiting(face)
    pair = yield from joined(face, waiting, limits=Limits(calls_running=1))
    with face.raises(TimeoutError):
        yield face.within(0.001, pair.root, "wait")
    yield waiting.started.wait()
    with face.raises(TimeoutError):
        yield face.within(0.001, pair.root, "echo", 1)
    waiting.go.set()
    assert (yield face.within(10, pair.root, "echo", 2)) == 2
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="there endpoints are opened, and no URLs")
def test_what_can_not_be_opened(face: Face) -> Steps:
    with pytest.raises(ValueError, match="begins with"):
        yield face.connect("http://localhost")
    with pytest.raises(TypeError, match="can't be served"):
        yield face.serve(object())
    with pytest.raises(ValueError, match="needs ssl"):
        yield face.serve(Root(), SECURE)


@on_each_face
def test_a_unix_socket(face: Face, tmp_path: Path) -> Steps:
    path = tmp_path / "socket"
    pair = yield from joined(face, url=f"pb+unix://{path}")
    assert path.is_socket()
    assert (yield pair.root.call("echo", 1)) == 1
    assert (yield pair.root.call("back", Thing(), "tell", 1)) == 1
    yield pair.empty()
    yield from pair.close()
    assert not path.exists()


@on_each_face
@without(twisted="there it is the transport that tells")
def test_a_connection_over_a_unix_socket_tells_about_itself(face: Face, tmp_path: Path) -> Steps:
    pair = yield from joined(face, url=f"pb+unix://{tmp_path / 'socket'}")
    assert pair.client.unix
    assert pair.server.unix
    assert pair.client.host == ""
    yield from pair.close()


@on_each_face
@without(twisted="there it is the transport that tells")
def test_a_connection_under_tls_tells_about_itself(face: Face, certificates: Certificates) -> Steps:
    pair = yield from joined(face, url=SECURE, **face.tls(certificates))
    assert pair.client.encrypted
    assert pair.server.encrypted
    assert "127.0.0.1" in pair.client.certificate.ip_addresses
    assert pair.server.certificate is None
    yield from pair.close()


@on_each_face
def test_tls(face: Face, certificates: Certificates) -> Steps:
    pair = yield from joined(face, url=SECURE, **face.tls(certificates))
    assert (yield pair.root.call("echo", "x" * 300_000)) == "x" * 300_000
    assert (yield pair.root.call("on", Thing(), 10)) == 10
    yield pair.empty()
    yield from pair.close()


@on_each_face
@without(twisted="there TLS is an affair of the transport, which says so itself")
def test_tls_that_is_not_agreed(
    face: Face, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> Steps:
    context = certificates.server_tls("elsewhere")
    listening = yield face.serve(Root(), SECURE, ssl=context)
    with face.raises(ConnectionLost, match="the certificate is refused"):
        yield face.connect(listening.url, ssl=certificates.client_tls())
    yield face.until(lambda: "TLS handshake failed" in caplog.text)
    yield face.close(listening)


@on_each_face
@without(twisted="there it is notifyOnDisconnect, which has tests of its own")
def test_what_hears_of_the_end_is_a_function(face: Face) -> Steps:
    pair = yield from joined(face)
    with pytest.raises(TypeError, match="on_close takes a function, not NoneType"):
        pair.client.on_close(None)
    yield from pair.close()


@on_each_face
@without(twisted="there are no URLs, no limits and no registries to be given")
def test_what_is_of_the_wrong_kind_is_refused_at_once(face: Face) -> Steps:
    wrong: Any
    for wrong in ({}, 5, Limits):
        for open_it in (face.connect, lambda url, **given: face.serve(Root(), url, **given)):
            with pytest.raises(TypeError, match=r"limits= takes a pellucid\.Limits, not"):
                yield open_it(FREE, limits=wrong)
            with pytest.raises(TypeError, match=r"registry= takes a pellucid\.Registry, not"):
                yield open_it(FREE, registry=wrong)
    for wrong in (3, b"pb://localhost", None, Path("socket")):
        with pytest.raises(TypeError, match="a URL is a str, not"):
            yield face.connect(wrong)
        with pytest.raises(TypeError, match="a URL is a str, not"):
            yield face.serve(Root(), wrong)
    with pytest.raises(TypeError, match=r"not the class Registry$"):
        yield face.connect(FREE, registry=pellucid.Registry)


@on_each_face
@without(twisted="there a root is adapted to IPBRoot, which tells in its own words")
def test_what_can_not_be_served_is_told_with_what_can(face: Face) -> Steps:
    with pytest.raises(TypeError, match=r"Root is a class: serve an object of it, Root\(\)"):
        yield face.serve(pellucid.Root)
    with pytest.raises(TypeError, match=r"Avatar is an Avatar, .* through a Portal"):
        yield face.serve(pellucid.Avatar())
