"""Runs the commands of a page as a reader would: files saved, servers in terminals of their own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.docs.pages import Block, Command, commands_of
from tests.processes import PATIENCE, environment

__all__ = ["Console"]

# Ports that a page shows. They were free on the writer's machine; here there are others.
_PORT = re.compile(r"(?<=:)[3-6]\d{4}\b")


class Console:
    """A folder, what was started in it, and which ports have taken the place of the page's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._ports: dict[str, str] = {}
        scripts = str(Path(sys.executable).parent)
        self._environment = environment()
        self._environment["PATH"] = scripts + os.pathsep + self._environment.get("PATH", "")
        # A program that prints into a pipe is to be seen as one that prints on a terminal.
        self._environment["PYTHONUNBUFFERED"] = "1"

    def do(self, block: Block) -> None:
        """Do what a block is for."""
        match block:
            case Block(language="python", word=name, body=body) if name:
                (self._folder / name).write_text(body, encoding="utf-8")
            case Block(language="console", word="run", body=body):
                for command in commands_of(body):
                    self._run(command)
            case Block(language="console", word="serve", body=body):
                (command,) = commands_of(body)
                self._serve(command)
            case Block(language="text", word="server", body=body):
                self._hear(body.splitlines())

    def _run(self, command: Command) -> None:
        done = subprocess.run(
            self._here(command.text),
            shell=True,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # What has nothing below it may say what it likes, as openssl does.
        if command.output:
            self._compare(command.output, done.stdout.splitlines())
        fails = any(line.startswith(("Error: ", "error: ")) for line in command.output)
        assert (done.returncode != 0) == fails, f"{command.text}\n{done.stdout}"

    def _serve(self, command: Command) -> None:
        self.stop()
        self._ports.clear()
        self._server = subprocess.Popen(
            # Without a shell between, which would be what is stopped.
            f"exec {self._here(command.text)}",
            shell=True,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._hear(command.output)

    def _hear(self, expected: list[str]) -> None:
        """Wait for as many lines of the server."""
        assert self._server is not None
        assert self._server.stdout is not None
        with _watched(self._server) as out:
            self._compare(expected, [out.readline().rstrip("\n") for _ in expected])

    def stop(self) -> None:
        """Stop the server, if one runs."""
        if self._server is not None:
            assert self._server.stdout is not None
            self._server.kill()
            self._server.stdout.close()
            self._server.wait()
            self._server = None

    def _here(self, text: str) -> str:
        """Give a text of the page with the ports that are used here."""
        return _PORT.sub(lambda port: self._ports.get(port[0], port[0]), text)

    def _compare(self, expected: list[str], said: list[str]) -> None:
        """Hold what was said against the page. A port that is new on the page is learned."""
        for shown, real in zip(expected, said, strict=False):
            found, ports = _PORT.findall(shown), _PORT.findall(real)
            if len(found) == len(ports):
                for new, port in zip(found, ports, strict=True):
                    self._ports.setdefault(new, port)
        assert said == [self._here(line) for line in expected]


@contextmanager
def _watched(process: "subprocess.Popen[str]") -> Iterator[IO[str]]:
    """Give the output of a process that is killed if it says nothing for too long."""
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        yield process.stdout
    finally:
        watchdog.cancel()
