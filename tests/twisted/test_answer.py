"""The Deferred of a call, and Futures of it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from pellucid.twisted import flavors
from pellucid.twisted.answer import Answer
from pellucid.twisted.errors import PBConnectionLost, RemoteError
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import failure_of


class Root(flavors.Root):
    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_fail(self) -> None:
        raise KeyError("it failed")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_future_of_a_result(join: Join, loop: asyncio.AbstractEventLoop) -> None:
    joined = join(Root())
    call = joined.root.callRemote("echo", 5)
    assert type(call) is Answer
    future = call.asFuture(loop)
    joined.run()
    assert loop.run_until_complete(future) == 5


def test_a_future_of_a_failure_of_the_other_side(
    join: Join, loop: asyncio.AbstractEventLoop, logged: Logged
) -> None:
    joined = join(Root())
    future = joined.root.callRemote("fail").asFuture(loop)
    joined.run()
    with pytest.raises(RemoteError, match="it failed") as raised:
        loop.run_until_complete(future)
    assert raised.value.remoteType == "builtins.KeyError"
    assert len(logged.take(KeyError)) == 1


def test_a_future_of_a_failure_of_this_side(join: Join, loop: asyncio.AbstractEventLoop) -> None:
    joined = join(Root())
    future = joined.root.callRemote("echo", 5).asFuture(loop)
    joined.lose()
    with pytest.raises(PBConnectionLost):
        loop.run_until_complete(future)


def test_cancelling_the_future_cancels_the_deferred(
    join: Join, loop: asyncio.AbstractEventLoop
) -> None:
    joined = join(Root())
    call = joined.root.callRemote("echo", 5)
    future = call.asFuture(loop)
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(future)
    assert call.called
    joined.run()


def test_what_comes_behind_a_cancellation_is_too_late(join: Join) -> None:
    joined = join(Root())
    call = joined.root.callRemote("echo", 5)
    call.cancel()
    assert failure_of(call).type is CancelledError
    joined.run()
    assert joined.ask("echo", 6) == 6
