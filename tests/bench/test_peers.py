"""Every kind that can run here does every workload that it has, and finds a wrong result."""

import asyncio
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet import defer

from bench import workloads
from bench.builds import here
from bench.driver import METHODS, Driver, quantiles
from bench.peers import BASE, KINDS, OURS, Kind, pellucid_asyncio, twisted_pb
from bench.results import Results
from bench.run import Failed, Peer, Placement, started

# What a kind needs besides what the suite has.
NEEDS = {
    "uvloop": "uvloop",
    "Foolscap": "foolscap",
    "Pyro5": "Pyro5",
    "Pyro5, batch": "Pyro5",
    "RPyC": "rpyc",
    "pycapnp": "capnp",
    "grpc.aio": "grpc",
    "thriftpy2": "thriftpy2",
    "msgspec RPC": "msgspec",
    "BufferedProtocol, uvloop": "uvloop",
}
# The suite has one build.
TRIED = [kind for kind in KINDS.values() if kind.build != "uncompiled"]
CALLS = {"sequential", "in_flight", "structure", "integers", "bytes_", "one"}
OBJECTS = {"reference", "callback", "connect", "again", "at_once", "list_of", "string_of"}


@pytest.mark.parametrize("kind", TRIED, ids=lambda kind: kind.name)
def test_the_kind_does_its_workloads(kind: Kind) -> None:
    if kind.name in NEEDS and importlib.util.find_spec(NEEDS[kind.name]) is None:
        pytest.skip(f"{NEEDS[kind.name]} is not installed")
    peer = Peer(kind, here(), Placement(), 60.0)
    try:
        assert peer.methods <= set(METHODS)
        for method in METHODS:
            if method in peer.methods and method != "one":
                assert peer.seconds(method, 2) > 0
        if "one" in peer.methods:
            low, high = peer.latency(3)
            assert 0 < low <= high
        for workload in workloads.WORKLOADS.values():
            assert peer.can(workload) in {*peer.methods, None}
        if kind.group == OURS or kind.name == BASE:
            assert peer.methods == CALLS | OBJECTS
    finally:
        peer.close()


def test_a_kind_that_is_not_there_is_noted() -> None:
    results = Results()
    gone = Kind("gone", "no_such_module", "peer")
    with started([gone, KINDS["blocking sockets"]], here(), Placement(), results) as peers:
        assert [peer.kind.name for peer in peers] == ["blocking sockets"]
    assert "no_such_module" in results.failures["gone"][""]


def test_a_method_that_is_not_there_fails() -> None:
    peer = Peer(KINDS["blocking sockets"], here(), Placement(), 60.0)
    try:
        with pytest.raises(Failed, match="AttributeError"):
            peer.seconds("reference", 1)
        # It goes on.
        assert peer.seconds("sequential", 1) > 0
    finally:
        peer.close()


# A wrong result is found.


class _Liar:
    """A reference of either face, all of whose results are wrong."""

    def call(self, name: str, *args: object) -> "asyncio.Future[object]":
        future = asyncio.get_running_loop().create_future()
        future.set_result(self if name == "make" else "something else")
        return future

    def callRemote(self, name: str, *args: object) -> "defer.Deferred[object]":
        return defer.succeed(self if name == "make" else "something else")


class _Connection:
    root = _Liar()


METHODS_THAT_CHECK = sorted(CALLS | {"reference", "callback", "list_of", "string_of"})


def begin(session: Any, method: str) -> Any:
    return session.one() if method == "one" else getattr(session, method)(1)


@pytest.mark.parametrize("method", METHODS_THAT_CHECK)
def test_pellucid_finds_a_wrong_result(method: str) -> None:
    connection: Any = _Connection()
    session = pellucid_asyncio.Session("pb://nowhere", connection)
    with pytest.raises(AssertionError, match="wrong"):
        asyncio.run(begin(session, method))


@pytest.mark.parametrize("method", METHODS_THAT_CHECK)
def test_twisted_finds_a_wrong_result(method: str) -> None:
    found: list[Any] = []
    session = twisted_pb.Session(0, _Liar())
    defer.ensureDeferred(begin(session, method)).addErrback(found.append)
    assert found[0].check(AssertionError)


# The driver.


class _Plain:
    def sequential(self, count: int) -> None:
        if count > 1:
            workloads.wrong("the echo")

    def one(self) -> None:
        pass


class _Async:
    async def sequential(self, count: int) -> None:
        _Plain().sequential(count)

    async def one(self) -> None:
        pass


def _run_plain() -> None:
    Driver().run(_Plain())


def _run_async() -> None:
    asyncio.run(Driver().run_async(_Async()))


@pytest.mark.parametrize("run", [_run_plain, _run_async])
def test_the_driver_obeys(
    run: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = "sequential 1\nsequential 2\nlatency 3\nreference 1\nsequential 1\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(orders))
    run()
    first, one, two, latency, three, last = capsys.readouterr().out.splitlines()
    assert first == "sequential one"
    assert float(one) > 0
    assert two == "error: AssertionError: the echo is wrong"
    assert latency.startswith("[")
    assert three.startswith("error: AttributeError: ")
    assert float(last) > 0


def test_quantiles() -> None:
    assert quantiles([float(n) for n in range(100, 0, -1)]) == [51.0, 100.0]


def test_workloads_have_no_other_constants() -> None:
    assert b"".join(workloads.CHUNKS) == workloads.BLOB
    assert len(workloads.BLOB) == 8 << 20
    assert len(workloads.STRUCTURE) == 20
    with pytest.raises(AttributeError, match="NOTHING"):
        workloads.NOTHING  # noqa: B018
