"""The same attacks against Foolscap, where they have something like it.

Its connections begin with TLS and a negotiation. Foolscap itself does these here; then bytes are
written that it would not write.
"""

import threading
from typing import Any

from attack.registry import FOOLSCAP, attack
from attack.target import Cut, Target

_OPEN, _LIST, _STRING = b"\x88", b"list", b"\x82"


class _Session:
    """A connection to a Tub, on a reactor in a thread of its own."""

    def __init__(self, t: Target) -> None:
        from foolscap.api import Tub  # noqa: PLC0415 - only where it is attacked
        from twisted.internet import reactor as plain  # noqa: PLC0415
        from twisted.internet import threads  # noqa: PLC0415

        from bench.peers.tubs import furl_from  # noqa: PLC0415

        self._t = t
        reactor: Any = plain
        self._reactor = reactor
        self._threads: Any = threads
        if not reactor.running:
            threading.Thread(target=reactor.run, args=(False,), daemon=True).start()
        # The furl is given out as plain text.
        furl = furl_from(t.ports[1])

        def open_() -> Any:
            tub = Tub()
            tub.startService()
            return tub.getReference(furl)

        self.root = self.run(open_)

    def run(self, function: Any, *args: Any) -> Any:
        """Do something in the reactor's thread."""
        self._t.left()
        try:
            return self._threads.blockingCallFromThread(self._reactor, function, *args)
        except Exception as error:
            raise Cut from error

    @property
    def transport(self) -> Any:
        """What carries the connection."""
        return self.root.tracker.broker.transport

    def write(self, data: bytes) -> None:
        """Write, as fast as it leaves."""
        self.run(self.transport.write, data)
        self._t.sent += len(data)
        while self.run(self._waiting) > 2**20:
            self._t.rest(0.001)

    def _waiting(self) -> int:
        transport = self.transport
        if transport is None or transport.disconnecting or transport.disconnected:
            raise Cut
        below = getattr(transport, "transport", transport)
        return len(below.dataBuffer) + sum(map(len, below._tempDataBuffer))

    def call(self, name: str, *args: Any) -> None:
        """Call and want no answer here."""
        self.root.callRemote(name, *args).addErrback(lambda _: None)

    def flood(self, count: int, name: str, *args: Any) -> None:
        """Call again and again."""

        def batch() -> None:
            for _ in range(count):
                self.call(name, *args)

        while True:
            self.run(batch)
            self._t.rest(0.001)
            while self.run(self._waiting) > 2**20:
                self._t.rest(0.001)


def _number(value: int) -> bytes:
    from attack.wire import digits  # noqa: PLC0415

    return digits(value)


def _open(number: int, kind: bytes) -> bytes:
    return _number(number) + _OPEN + _number(len(kind)) + _STRING + kind


@attack(FOOLSCAP)
def call_flood(t: Target) -> None:
    _Session(t).flood(200, "echo", b"x")


@attack(FOOLSCAP)
def never_reads(t: Target) -> None:
    session = _Session(t)
    session.run(session.transport.pauseProducing)
    session.flood(5, "blob", 600_000)


@attack(FOOLSCAP)
def echo_never_reads(t: Target) -> None:
    session = _Session(t)
    session.run(session.transport.pauseProducing)
    session.flood(1, "echo", b"x" * 100_000)


@attack(FOOLSCAP)
def reference_flood_out(t: Target) -> None:
    session = _Session(t)
    kept: list[Any] = []

    def batch() -> None:
        for _ in range(200):
            session.root.callRemote("make").addCallbacks(kept.append, lambda _: None)

    while True:
        session.run(batch)
        t.rest(0.02)


@attack(FOOLSCAP)
def failing_methods(t: Target) -> None:
    _Session(t).flood(5, "fail", "x" * 100_000)


@attack(FOOLSCAP)
def unknown_methods(t: Target) -> None:
    _Session(t).flood(50, "n" * 900)


@attack(FOOLSCAP)
def big_messages(t: Target) -> None:
    _Session(t).flood(1, "echo", b"x" * 16_000_000)


@attack(FOOLSCAP)
def token_storm(t: Target) -> None:
    _Session(t).flood(1, "echo", [7] * 20_000)


@attack(FOOLSCAP)
def methods_that_never_end(t: Target) -> None:
    _Session(t).flood(20, "wait", b"x" * 10_000)


@attack(FOOLSCAP)
def endless_string(t: Target) -> None:
    session = _Session(t)
    session.write(_open(0, b"call") + _number(2**31) + _STRING)
    while True:
        session.write(b"x" * 600_000)


@attack(FOOLSCAP)
def endless_list(t: Target) -> None:
    session = _Session(t)
    # An answer whose value is a list; nobody asked.
    session.write(_open(0, b"call") + b"\x05\x81" + b"\x01\x81" + b"\x04\x82echo")
    session.write(_open(1, b"arguments") + b"\x01\x81" + _open(2, _LIST))
    chunk = _number(600_000) + _STRING + b"x" * 600_000
    while True:
        session.write(chunk)


@attack(FOOLSCAP)
def deep_nesting(t: Target) -> None:
    session = _Session(t)
    session.write(_open(0, b"call") + b"\x05\x81" + b"\x01\x81" + b"\x04\x82echo")
    session.write(_open(1, b"arguments") + b"\x01\x81")
    number = 2
    while True:
        session.write(b"".join(_open(number + n, _LIST) for n in range(1_000)))
        number += 1_000
