"""Run tests with trial, and write down test by test how each ended and what PB it spoke.

Usage: python [-m pellucid.twisted] tools/pb_trial.py REPORT NAME ...

REPORT gets a line of JSON whenever a test has ended, one that tells whose PB the tests have loaded,
and one at the end. A PB connection counts when it goes over a transport of the operating system and
has brought bytes of the other side.

Runs in the environment of an application, and needs nothing but Twisted.
"""

import importlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import ISystemHandle
from twisted.trial import reporter, runner

PB = "twisted.spread.pb"

# The ways to end, the worst last. A test may have several of them.
OUTCOMES = ("passed", "skipped", "todo", "failed")

# What newer releases of its dependencies tell an application that takes warnings for errors.
WARNINGS = ("twisted.internet.ssl.ProtocolNegotiationSupport was deprecated",)


class Watch:
    """Counts the connections of a broker class, and the bytes that came over them."""

    def __init__(self) -> None:
        self.connections = 0
        self.received = 0
        # Of each broker on a real transport, whether it was counted. Held weakly: what tests let go
        # must go.
        self._counted: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def begin(self) -> None:
        """Count from nought."""
        self.connections = self.received = 0

    def follow(self, broker: type[Any]) -> None:
        """Look at every connection that brokers of this class make from now on."""
        connection_made: Callable[[Any], Any] = broker.connectionMade
        data_received: Callable[[Any, bytes], Any] = broker.dataReceived

        def made(this: Any) -> Any:
            if ISystemHandle.providedBy(this.transport):
                self._counted[this] = False
            return connection_made(this)

        def received(this: Any, data: bytes) -> Any:
            if this in self._counted:
                self.received += len(data)
                self.connections += not self._counted[this]
                self._counted[this] = True
            return data_received(this, data)

        broker.connectionMade = made
        broker.dataReceived = received


class Report:
    """What is written down."""

    def __init__(self, path: Path) -> None:
        self.watch = Watch()
        self._path = path
        self._whose = ""
        self._running = False
        self._outcome = OUTCOMES[0]
        self._reason = ""
        path.write_text("")

    def begin(self) -> None:
        """A test begins. PB is followed from the first test on that finds it loaded."""
        if not self._whose and (module := sys.modules.get(PB)) is not None:
            self._whose = module.__name__
            self.watch.follow(module.Broker)
            self._write(pb=self._whose)
        self.watch.begin()
        self._running = True
        self._outcome, self._reason = OUTCOMES[0], ""

    def note(self, outcome: str, reason: object = "") -> None:
        """The test ended like this; the worst is kept."""
        if OUTCOMES.index(outcome) > OUTCOMES.index(self._outcome):
            self._outcome, self._reason = outcome, str(reason).strip()

    def fail(self, test: Any, fail: Any) -> None:
        """A test failed, or something that never begins, such as a module that is not loaded."""
        running = self._running
        if not running:
            self.begin()
        self.note("failed", brief(fail))
        if not running:
            self.end(test.id())

    def end(self, test: str) -> None:
        """The test is over."""
        self._running = False
        self._write(
            test=test,
            outcome=self._outcome,
            reason=self._reason,
            connections=self.watch.connections,
            received=self.watch.received,
        )

    def close(self) -> None:
        """There are no more tests."""
        self._write(ended=True)

    def _write(self, **line: object) -> None:
        with self._path.open("a") as out:
            out.write(json.dumps(line) + "\n")


def brief(fail: Any) -> str:
    """A failure in one line."""
    value = fail.value if hasattr(fail, "value") else fail[1]
    text = str(value).strip().partition("\n")[0]
    return f"{type(value).__name__}: {text}"[:200]


class Reporting(reporter.VerboseTextReporter):
    """Trial's own reporter, which tells a report, too."""

    report: Report

    def startTest(self, tm: Any) -> None:
        self.report.begin()
        reporter.VerboseTextReporter.startTest(self, tm)

    def stopTest(self, test: Any) -> None:
        reporter.VerboseTextReporter.stopTest(self, test)
        self.report.end(test.id())

    def addError(self, *args: Any) -> None:
        reporter.VerboseTextReporter.addError(self, *args)
        self.report.fail(*args)

    def addFailure(self, *args: Any) -> None:
        reporter.VerboseTextReporter.addFailure(self, *args)
        self.report.fail(*args)

    def addUnexpectedSuccess(self, *args: Any) -> None:
        reporter.VerboseTextReporter.addUnexpectedSuccess(self, *args)
        self.report.note("failed", "unexpected success")

    def addSkip(self, *args: Any) -> None:
        reporter.VerboseTextReporter.addSkip(self, *args)
        self.report.note("skipped", args[1])

    def addExpectedFailure(self, *args: Any) -> None:
        reporter.VerboseTextReporter.addExpectedFailure(self, *args)
        self.report.note("todo")


def load_packages(name: str) -> None:
    """Import the packages that a test is in, and no module."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        spec = importlib.util.find_spec(".".join(parts[:length]))
        if spec is None or spec.submodule_search_locations is None:
            break
        importlib.import_module(spec.name)


def main(arguments: list[str], stream: TextIO = sys.stdout) -> int:
    path, *names = arguments
    for name in names:
        load_packages(name)
    # After the tests' packages, which make errors of all warnings.
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message, DeprecationWarning)
    suite = runner.TestLoader().loadByNames(names, recurse=True)
    Reporting.report = Report(Path(path))
    factory: Any = Reporting
    result: Any = runner.TrialRunner(factory, stream=stream).run(suite)
    Reporting.report.close()
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
