"""Run Twisted's tests for spread under trial, and write what became of each as JSON.

Usage: python [-m pellucid.twisted] -m tools.twisted_trial RESULTS DIRECTORY

The tests meet whatever `twisted.spread` is in this process. DIRECTORY is trial's to work in.
"""

import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.python import reflect
from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

TESTS = "twisted.spread.test"


def names_in(test: Any) -> Iterator[str]:
    if isinstance(test, unittest.TestSuite):
        for part in test:
            yield from names_in(part)
    else:
        yield test.id()


def main(results: Path, directory: Path) -> None:
    suite: Any = TestLoader().loadByName(TESTS, recurse=True)
    # A suite drops its tests while it runs.
    names = set(names_in(suite))
    reporter: Any = TreeReporter
    outcome: Any = TrialRunner(reporter, workingDirectory=str(directory)).run(suite)
    if outcome.testsRun < len(names):
        sys.exit(f"only {outcome.testsRun} of {len(names)} tests were run")
    # An error may belong to something that is no test, such as a module that can't be imported.
    failed = {test.id() for test, _ in [*outcome.failures, *outcome.errors]}
    others = {test.id() for test, *_ in [*outcome.skips, *outcome.expectedFailures]}
    found = {
        "face": reflect.namedAny("twisted.spread.pb").__name__,
        "passed": sorted(names - failed - others),
        "failed": sorted(failed),
        "skipped": sorted(others - failed),
    }
    results.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
