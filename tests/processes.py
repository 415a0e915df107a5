"""Python programs as processes: started, read by line, stopped. Nothing here waits for ever."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.modules import ROOT

PATIENCE = 60.0
# What changes the look of what is printed.
TERMINAL = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def environment(places: Sequence[Path] = ()) -> dict[str, str]:
    """The environment without what would change how Python runs, and with `places` on its path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in TERMINAL
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, places))} if places else kept


def command(*arguments: str, strict: bool) -> list[str]:
    return [sys.executable, *(["-W", "error"] if strict else []), *arguments]


@dataclass(frozen=True)
class Ended:
    """What a program said, and how it ended."""

    out: str
    err: str
    status: int

    @property
    def lines(self) -> list[str]:
        """The lines of its output, with every repr as `<...>`."""
        return re.sub(r"<[^<>\n]*>", "<...>", self.out).splitlines()


def run(
    *arguments: str,
    cwd: Path = ROOT,
    strict: bool = True,
    given: str = "",
    places: Sequence[Path] = (),
) -> Ended:
    """Run a program to its end. With `strict`, its warnings are errors. It can read `given`."""
    done = subprocess.run(
        command(*arguments, strict=strict),
        cwd=cwd,
        env=environment(places),
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(done.stdout, done.stderr, done.returncode)


class Program:
    """A program that runs. `stop` ends it; leaving `running` makes sure of that."""

    def __init__(self, process: "subprocess.Popen[str]", err: IO[str]) -> None:
        self._process = process
        self._err = err

    def line(self) -> str:
        """Wait for the next line of its output, and give it without its end."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith("\n"), f"the program ended: {self._said()}"
        return line[:-1]

    def type(self, line: str) -> None:
        """Give it a line to read, if it was started with `typing`."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Tell it to stop, and give what it said since the last `line`."""
        self.send(number)
        return self.end()

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait until it ends by itself."""
        assert self._process.stdout is not None
        out = self._process.stdout.read()
        return Ended(out, self._said(), self._process.wait())

    def _said(self) -> str:
        self._process.wait()
        self._err.seek(0)
        return self._err.read()


@contextmanager
def running(
    *arguments: str,
    cwd: Path = ROOT,
    strict: bool = True,
    typing: bool = False,
    places: Sequence[Path] = (),
) -> Iterator[Program]:
    """Start a program, and kill it in the end if it still runs."""
    with (
        tempfile.TemporaryFile("w+") as err,
        subprocess.Popen(
            command(*arguments, strict=strict),
            cwd=cwd,
            env=environment(places),
            stdin=subprocess.PIPE if typing else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        ) as process,
    ):
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Program(process, err)
        finally:
            watchdog.cancel()
            process.kill()
