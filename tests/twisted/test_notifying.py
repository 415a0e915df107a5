"""Who hears of the beginning and the end."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from pellucid.twisted import flavors
from pellucid.twisted.broker import Broker
from tests.twisted.conftest import Join, Logged
from tests.twisted.joined import Factory, make


def test_the_beginning_is_told_in_order_and_the_factory_last(join: Join) -> None:
    told: list[Any] = []
    client = make(True)
    client.notifyOnConnect(lambda: told.append(1))
    client.notifyOnConnect(lambda: told.append(2))
    client.factory.clientConnectionMade = told.append
    joined = join(flavors.Root(), brokers=(client, make(False)))
    assert told == [1, 2, client]
    client.notifyOnConnect(lambda: told.append(3))
    assert told[3:] == [3]
    assert joined.server.factory.made == [joined.server]
    assert client.connects == []


def test_the_end_is_told_in_order(join: Join) -> None:
    told: list[int] = []
    joined = join(flavors.Root())
    broker = joined.client

    def first() -> None:
        told.append(1)

    def second() -> None:
        told.append(2)

    broker.notifyOnDisconnect(first)
    broker.notifyOnDisconnect(second)
    broker.notifyOnDisconnect(first)
    assert first in broker.disconnects
    broker.dontNotifyOnDisconnect(first)
    broker.dontNotifyOnDisconnect(test_the_end_is_told_in_order)
    joined.lose()
    assert told == [2, 1]
    broker.notifyOnDisconnect(first)
    assert told == [2, 1, 1]
    broker.dontNotifyOnDisconnect(first)


def test_of_a_connection_that_never_opened_those_hear_who_asked_for_failures(join: Join) -> None:
    told: list[str] = []
    joined = join(flavors.Root(), greet=False)
    for side in (joined.client, joined.server):
        side.notifyOnFail(lambda: told.append("failed"))
        side.notifyOnDisconnect(lambda: told.append("lost"))
        side.notifyOnConnect(lambda: told.append("made"))
    joined.lose()
    assert told == ["failed", "lost", "failed", "lost"]


def test_of_one_that_opened_they_do_not(join: Join) -> None:
    told: list[str] = []
    joined = join(flavors.Root())
    joined.client.notifyOnFail(lambda: told.append("failed"))
    joined.lose()
    assert told == []


@pytest.mark.parametrize("kind", [KeyError, SystemExit])
def test_one_that_fails_keeps_no_other_from_hearing(
    join: Join, logged: Logged, kind: type[BaseException]
) -> None:
    told: list[str] = []

    def fails(*args: object) -> None:
        raise kind("x")

    client = make(True)
    client.factory.clientConnectionMade = fails
    for register in (client.notifyOnConnect, client.notifyOnDisconnect):
        register(fails)
        register(lambda: told.append("heard"))
    joined = join(flavors.Root(), brokers=(client, make(False)))
    assert told == ["heard"]
    assert len(logged.take(kind)) == 2
    joined.lose()
    assert told == ["heard"] * 2
    assert len(logged.take(kind)) == 1


def test_one_that_fails_at_once_is_logged_too(join: Join, logged: Logged) -> None:
    joined = join(flavors.Root())

    def fails() -> None:
        raise KeyError

    joined.client.notifyOnConnect(fails)
    joined.lose()
    joined.client.notifyOnDisconnect(fails)
    assert len(logged.take(KeyError)) == 2


def test_what_cannot_be_called_is_refused() -> None:
    broker = Broker()
    register: Callable[..., None]
    for register in (broker.notifyOnConnect, broker.notifyOnFail, broker.notifyOnDisconnect):
        with pytest.raises(TypeError, match="int can't be called"):
            register(5)  # type: ignore[arg-type]


def test_a_factory_need_not_care(join: Join) -> None:
    joined = join(flavors.Root(), brokers=(make(True, factory=None), make(False, factory=object())))
    assert joined.client.currentDialect == b"pb"


def test_a_broker_that_never_had_a_transport() -> None:
    told: list[str] = []
    broker = Broker()
    broker.factory = Factory()
    broker.notifyOnDisconnect(lambda: told.append("lost"))
    broker.connectionLost(Failure(ConnectionDone()))
    broker.connectionLost(Failure(ConnectionDone()))
    assert told == ["lost"]
