"""Plays: a server and its clients as processes, and what each of them says."""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from textwrap import dedent

from tests.interop.meeting import complaints
from tests.processes import Ended, Program, running

FACE = "pellucid.twisted"
TWISTED = "twisted.spread"
PROGRAMS = "tests.interop.programs."
# How many plays are on at the same time. Most of a play is that its processes import Twisted.
STAGES = 3


@dataclass(frozen=True)
class Cast:
    """The package that the server runs on, and those of the clients, in turn."""

    server: str
    clients: tuple[str, ...]

    def __str__(self) -> str:
        names = {FACE: "face", TWISTED: "twisted"}
        return f"{names[self.server]} serves {' and '.join(names[one] for one in self.clients)}"


ALONE = Cast(FACE, (FACE,))
SERVES = Cast(FACE, (TWISTED,))
CALLS = Cast(TWISTED, (FACE,))
SERVES_BOTH = Cast(FACE, (TWISTED, FACE))


@dataclass(frozen=True)
class Heard:
    """What a program said: its lines, and the exceptions that it reported on its standard error."""

    lines: list[str]
    reports: frozenset[str] = frozenset()
    quiet: bool = True
    status: int = 0

    @classmethod
    def of(cls, ended: Ended) -> "Heard":
        # Nothing but an object's class is the same every time.
        lines = re.sub(r"<((?:\w+\.)+\w+) [^<>]*>", r"<\1>", ended.out).splitlines()
        return cls(lines, frozenset(complaints(ended.err)), not ended.err, ended.status)


@dataclass(frozen=True)
class Role:
    """A program, with what is on its command line, and what it says: a line for each line."""

    command: str
    says: str
    # The exceptions that it reports on its standard error.
    reports: frozenset[str] = frozenset()
    # What else stands there, among other things.
    mentions: tuple[str, ...] = ()
    # What is different when it runs on Twisted's own package.
    twisted_says: str | None = None
    twisted_reports: frozenset[str] | None = None

    def start(self, package: str, *words: str) -> AbstractContextManager[Program]:
        """Start it. Warnings about Twisted's own ways are Twisted's."""
        program, *more = self.command.split()
        arguments = ["-m", PROGRAMS + program, package, *words, *more]
        return running(*arguments, strict=package == FACE)

    def expected(self, package: str) -> Heard:
        """What it says on this package."""
        says, reports = self.says, self.reports
        if package == TWISTED:
            says = says if self.twisted_says is None else self.twisted_says
            reports = reports if self.twisted_reports is None else self.twisted_reports
        return Heard(dedent(says).strip("\n").splitlines(), reports, not reports)


@dataclass(frozen=True)
class Play:
    """A server and its clients."""

    name: str
    server: Role
    clients: tuple[Role, ...]
    casts: tuple[Cast, ...] = (ALONE, SERVES, CALLS)
    # Whether the server ends by itself.
    ends: bool = False

    def roles(self, cast: Cast) -> list[tuple[Role, str]]:
        """Every role with its package, that of the server first."""
        return [(self.server, cast.server), *zip(self.clients, cycle(cast.clients), strict=False)]

    def perform(self, cast: Cast) -> list[Ended]:
        """Run the programs to their ends, which come in the order of `roles`."""
        (server, package), *clients = self.roles(cast)
        with ExitStack() as stack:
            serving = stack.enter_context(server.start(package))
            port = serving.line()
            calling = [stack.enter_context(role.start(own, port)) for role, own in clients]
            ended = [one.end() for one in calling]
            # If a client failed, nobody tells the server to end.
            done = self.ends and not any(one.status for one in ended)
            return [serving.end() if done else serving.stop(), *ended]


Runs = dict[tuple[Play, Cast], "Future[list[Ended]]"]


@contextmanager
def stages(wanted: Iterable[tuple[Play, Cast]]) -> Iterator[Runs]:
    """Begin with all that is wanted, in this order, some at a time."""
    with ThreadPoolExecutor(STAGES) as pool:
        try:
            yield {(play, cast): pool.submit(play.perform, cast) for play, cast in wanted}
        finally:
            pool.shutdown(cancel_futures=True)
