"""The tool that runs a large application's tests counts, compares and tells truly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import pb_application
from tools.pb_application import (
    FACE,
    REQUIREMENTS,
    SPREAD,
    Application,
    Result,
    Run,
    details,
    main,
    read,
    summary,
    worse,
)
from tools.test_all import Failed, clean_environment

pytest.importorskip("twisted.trial")

# A package of tests as an application has them, as text: they are to run on either PB.
SUITE = """
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.spread import pb
from twisted.trial import unittest

class Server(pb.PBServerFactory):
    def clientConnectionMade(self, protocol):
        protocol.notifyOnDisconnect(lambda: self.gone.callback(0))

class Root(pb.Root):
    def remote_double(self, number):
        return number * 2

class Speaking(unittest.TestCase):
    async def test_connection(self):
        server = Server(Root())
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = pb.PBClientFactory()
        reactor.connectTCP("127.0.0.1", port.getHost().port, client)
        root = await client.getRootObject()
        self.assertEqual(await root.callRemote("double", 21), 42)
        server_gone, client_gone = Deferred(), Deferred()
        server.gone, client.clientConnectionLost = server_gone, lambda *_: client_gone.callback(0)
        client.disconnect()
        await server_gone
        await client_gone

    def test_in_memory(self):
        broker = pb.Broker()
        broker.makeConnection(StringTransport())
        broker.dataReceived(b"\\x02\\x82pb")

    def test_silence(self):
        pass

    def test_failing(self):
        self.fail("as it\\nshould")

    def test_skipped(self):
        raise unittest.SkipTest("not here")

    def test_todo(self):
        self.fail("some day")
    test_todo.todo = "some day"

    def test_unexpected(self):
        pass
    test_unexpected.todo = "unknown"
"""


def suite_report(place: Path, *command: str) -> list[dict[str, object]]:
    package = place / "suite"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "test_pb.py").write_text(SUITE)
    (package / "test_broken.py").write_text("import there_is_no_such_module\n")
    report = place / "report"
    run = subprocess.run(
        [sys.executable, *command, pb_application.TRIAL, report, "suite"],
        cwd=place,
        env=clean_environment(PYTHONPATH=str(place)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return [json.loads(line) for line in report.read_text().splitlines()]


@pytest.mark.parametrize(
    ("command", "implementation"), [((), SPREAD), (("-m", FACE), FACE)], ids=["twisted", "face"]
)
def test_a_suite_on_either_implementation(
    command: tuple[str, ...], implementation: str, tmp_path: Path
) -> None:
    said = suite_report(tmp_path, *command)
    run = read(map(json.dumps, said))
    assert run.implementation == f"{implementation}.pb"
    speaking = "suite.test_pb.Speaking."
    assert {name.removeprefix(speaking): test.outcome for name, test in run.tests.items()} == {
        "suite.test_broken": "failed",
        "test_connection": "passed",
        "test_failing": "failed",
        "test_in_memory": "passed",
        "test_silence": "passed",
        "test_skipped": "skipped",
        "test_todo": "todo",
        "test_unexpected": "failed",
    }
    assert run.tests[f"{speaking}test_failing"].reason.endswith(": as it")
    assert run.tests[f"{speaking}test_skipped"].reason == "not here"
    assert "there_is_no_such_module" in run.tests["suite.test_broken"].reason
    # Both ends of the one connection, and nothing that stays in memory.
    assert {name: test.connections for name, test in run.speaking.items()} == {
        f"{speaking}test_connection": 2
    }
    assert run.tests[f"{speaking}test_connection"].received > 40


def lines(*tests: dict[str, object], pb: str = "x.pb", ended: bool = True) -> list[str]:
    last: list[dict[str, object]] = [{"ended": True}] if ended else []
    return [json.dumps(line) for line in [{"pb": pb}, *tests, *last]]


def test_the_worst_line_of_a_test_counts() -> None:
    run = read(
        lines(
            {"test": "a", "outcome": "failed", "reason": "why"},
            {"test": "a", "outcome": "passed"},
            {"test": "b", "outcome": "passed", "connections": 1, "received": 7},
        )
    )
    assert run.implementation == "x.pb"
    assert run.tests == {"a": Result("failed", "why"), "b": Result("passed", "", 1, 7)}
    assert run.failed() == ["a"]
    assert list(run.speaking) == ["b"]


def test_a_run_that_broke_off_is_no_run() -> None:
    with pytest.raises(Failed, match="ended after 1"):
        read(lines({"test": "a", "outcome": "passed"}, ended=False))


def both(before: Result | None, after: Result | None) -> tuple[Run, Run]:
    return (
        Run(SPREAD, {"a": before} if before else {}),
        Run(FACE, {"a": after} if after else {}),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Result("passed"), Result("passed")),
        (Result("passed", "", 2, 100), Result("passed", "", 1, 90)),
        (Result("failed", "old"), Result("failed", "new")),
        (Result("failed", "old", 2), Result("passed")),
        (Result("skipped", "why"), Result("skipped", "why")),
        (None, Result("failed")),
    ],
)
def test_what_is_not_worse(before: Result | None, after: Result | None) -> None:
    assert worse(*both(before, after)) == []


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (Result("passed"), Result("failed", "why"), "passed, now failed: why"),
        (Result("passed"), Result("skipped", "why"), "passed, now skipped: why"),
        (Result("skipped"), Result("failed"), "skipped, now failed"),
        (Result("passed"), None, "passed, now missing"),
        (Result("passed", "", 2, 9), Result("passed"), "no longer opens a PB connection"),
    ],
)
def test_what_is_worse(before: Result, after: Result | None, what: str) -> None:
    assert worse(*both(before, after)) == [("a", what)]


def test_the_tables() -> None:
    quiet = "buildbot.test.integration.test_x.T.test_quiet"
    spoken = "buildbot.test.integration.interop.test_x.T.test_spoken"
    runs = {
        SPREAD: Run(SPREAD, {quiet: Result("passed"), spoken: Result("passed", "", 2, 1000)}, 1.6),
        FACE: Run(FACE, {quiet: Result("failed"), spoken: Result("passed", "", 4, 999, 2)}, 2.4),
    }
    assert details(runs).splitlines() == [
        "                      twisted.spread  pellucid.twisted",
        "test_x.T.test_spoken  passed          passed (try 2)",
        "test_x.T.test_quiet   passed          failed",
    ]
    assert summary(runs).splitlines() == [
        "                      twisted.spread  pellucid.twisted",
        "tests                 2               2",
        "  passed              2               1",
        "  failed              0               1",
        "  tried again         0               1",
        "open a PB connection  1               1",
        "  passed              1               1",
        "  failed              0               0",
        "  connections         2               4",
        "  bytes received      1000            999",
        "seconds               2               2",
    ]


def test_every_release_pins_what_the_tool_asks_for() -> None:
    releases = [Application(path) for path in sorted(REQUIREMENTS.glob("*.txt"))]
    assert len(releases) > 1
    for release in releases:
        assert release.name == f"buildbot-{release.pins['buildbot']}"
        assert release.pins["buildbot"] == release.pins["buildbot-worker"]
        assert "Twisted" in release.pins


@pytest.mark.parametrize(
    ("after", "mixed", "status"),
    [("passed", "passed", 0), ("failed", "passed", 1), ("passed", "failed", 1)],
)
def test_what_is_worse_decides(
    after: str,
    mixed: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(outcome: str) -> Run:
        return Run("", {"a": Result(outcome, "", 2, 100)})

    monkeypatch.setattr(sys, "argv", ["pb_application.py", "--only", "4.3.0"])
    monkeypatch.setattr(Application, "prepare", lambda self: None)
    monkeypatch.setattr(
        Application, "compare", lambda self: {SPREAD: run("passed"), FACE: run(after)}
    )
    monkeypatch.setattr(
        Application, "mix", lambda self, tests: {"one": run("passed"), "other": run(mixed)}
    )
    assert main() == status
    said = capsys.readouterr().out
    assert said.endswith(f"{status} tests are worse on pellucid.twisted\n")
    assert ("WORSE: a: passed, now failed" in said) == bool(status)


def test_an_unknown_release(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pb_application.py", "--only", "0.0"])
    assert main() == 1
    assert "there is no such release" in capsys.readouterr().out
