"""The accounts of one connection: what may be charged, and when there is room."""

from typing import Any

import pytest

from pellucid.errors import LimitExceeded
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from tests.harness import ACCOUNTS


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account(account: str) -> None:
    bound: dict[str, Any] = {account: 3}
    ledger = Ledger(Limits(**bound))
    ledger.charge(account)
    ledger.charge(account, 2)
    assert not ledger.has_room(account)
    with pytest.raises(LimitExceeded, match=rf"\(5, and limits\.{account} is 3\)") as caught:
        ledger.charge(account, 2)
    assert (caught.value.limit, caught.value.value) == (account, 5)
    assert not caught.value.remote
    with pytest.raises(LimitExceeded) as caught:
        ledger.charge(account, remote=True)
    assert caught.value.remote
    assert ledger.used(account) == 3
    ledger.add(account, 10)
    assert ledger.used(account) == 13
    assert ledger.charged() == {account: 13}
    ledger.release(account, 11)
    assert ledger.has_room(account)
    ledger.release(account)
    ledger.release(account)
    assert ledger.charged() == {}


def test_an_account_may_be_used_twice_over_for_updates() -> None:
    ledger = Ledger(Limits(calls_running=3))
    ledger.add("calls_running", 5)
    ledger.check_twice("calls_running")
    ledger.add("calls_running")
    with pytest.raises(LimitExceeded, match=r"\(6, and limits\.calls_running is 3\)") as caught:
        ledger.check_twice("calls_running")
    assert (caught.value.limit, caught.value.value) == ("calls_running", 6)
    assert caught.value.remote


@pytest.mark.parametrize("account", ["calls_running", "out_bytes"])
def test_a_call_may_start_while_both_accounts_have_room(account: str) -> None:
    ledger = Ledger(Limits(calls_running=2, out_bytes=2))
    ledger.add(account)
    assert ledger.may_start()
    ledger.add(account)
    assert not ledger.may_start()
    assert ledger.may_wait()


@pytest.mark.parametrize("account", ["calls_waiting", "waiting_bytes"])
def test_a_call_may_wait_while_both_accounts_have_room(account: str) -> None:
    ledger = Ledger(Limits(calls_waiting=2, waiting_bytes=2))
    ledger.add(account)
    assert ledger.may_wait()
    ledger.add(account)
    assert not ledger.may_wait()
    assert ledger.may_start()


def test_a_limit_may_be_any_number() -> None:
    ledger = Ledger(Limits(calls_running=1 << 100, out_bytes=1 << 100))
    ledger.charge("out_bytes", 1 << 40)
    assert ledger.may_start()


def test_other_limits() -> None:
    ledger = Ledger(Limits())
    ledger.charge("calls_pending", 3)
    limits = Limits(calls_pending=2, out_bytes=10)
    ledger.use(limits)
    assert ledger.limits is limits
    assert (ledger.most_calls_pending, ledger.calls_pending) == (2, 3)
    assert (ledger.most_out_bytes, ledger.enough_out_bytes) == (10, 20)
    with pytest.raises(LimitExceeded):
        ledger.charge("calls_pending")
