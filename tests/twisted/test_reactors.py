"""The face on Twisted's reactors, over its endpoints, and under its trial: as processes."""

import select
from pathlib import Path

import pytest
import trustme

from tests.processes import Ended, run, running

HERE = Path(__file__).parent
PEERS = HERE / "reactor_peers.py"
CASES = HERE / "trial_case.py"
OURS, ORIGINAL = "from pellucid.twisted import pb\n", "from twisted.spread import pb\n"

REACTORS = {
    "select": "SelectReactor",
    "epoll": "EPollReactor",
    "asyncio": "AsyncioSelectorReactor",
}
SAID = [
    "['hello', {'network': (1, 2.5, None, True)}]",
    "True",
    "1 ['here']",
    "True",
    "True",
    "__main__.Refused: not today",
    "True",
    "Calling Stale Broker",
]


@pytest.fixture(
    params=[
        "select",
        pytest.param(
            "epoll",
            marks=pytest.mark.skipif(
                not hasattr(select, "epoll"), reason="this system has no epoll"
            ),
        ),
        "asyncio",
    ]
)
def reactor(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    (place / "trusted").mkdir()
    authority.cert_pem.write_to_path(place / "trusted" / "authority.pem")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(place / "server.pem")
    return place


@pytest.fixture(params=["tcp", "unix", "tls"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where a server listens, and where a client finds it, `PORT` standing for its port."""
    if request.param == "tcp":
        return "tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:PORT"
    if request.param == "unix":
        return f"unix:{tmp_path / 'socket'}", f"unix:{tmp_path / 'socket'}"
    place: Path = request.getfixturevalue("certificates")
    pem = place / "server.pem"
    return (
        f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
        f"tls:localhost:PORT:trustRoots={place / 'trusted'}",
    )


def test_both_ends_on_a_reactor(reactor: str, ends: tuple[str, str]) -> None:
    listen, connect = ends
    # Twisted's TLS calls what OpenSSL's wrapper has deprecated.
    strict = not listen.startswith("ssl:")
    with running(str(PEERS), reactor, "server", listen, strict=strict) as server:
        name, port = server.line().split(" ")
        connect = connect.replace("PORT", port)
        client = run(str(PEERS), reactor, "client", connect, strict=strict)
        assert client.err == ""
        assert client.out.splitlines() == [REACTORS[reactor], *SAID]
        assert client.status == 0
        assert server.end() == Ended("gone\n", "", 0)
    assert name == REACTORS[reactor]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A directory with the tests for trial: as they are, and as they were before."""
    text = CASES.read_text(encoding="utf-8")
    assert text.count(OURS) == 1
    (tmp_path / "changed.py").write_text(text, encoding="utf-8")
    (tmp_path / "unchanged.py").write_text(text.replace(OURS, ORIGINAL), encoding="utf-8")
    return tmp_path


TRIAL = ["-m", "twisted.trial"]


def test_trial_finds_nothing_left(cases: Path, reactor: str) -> None:
    ended = run(*TRIAL, f"--reactor={reactor}", "changed.Clean", cwd=cases)
    assert ended.status == 0, ended.out
    assert "PASSED (successes=5)" in ended.out


@pytest.mark.parametrize("trial", [TRIAL, ["trial"]], ids=["module", "command"])
def test_trial_with_the_original_import(cases: Path, reactor: str, trial: list[str]) -> None:
    arguments = [*trial, f"--reactor={reactor}", "unchanged.Clean"]
    ended = run("-m", "pellucid.twisted", *arguments, cwd=cases)
    assert ended.status == 0, ended.out
    assert "PASSED (successes=5)" in ended.out


def test_trial_would_find_what_is_left(cases: Path) -> None:
    ended = run(*TRIAL, "changed.Dirty", cwd=cases)
    assert ended.status == 1
    assert "DirtyReactorAggregateError" in ended.out
