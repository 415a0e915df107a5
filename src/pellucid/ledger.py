"""What one connection costs at this moment, and what it may cost."""

from typing import Final

from .errors import LimitExceeded
from .limits import Limits

__all__ = ["Ledger"]

# Whoever sets a limit above it wants none. Sums of such numbers are still C integers.
_NONE: Final = 1 << 60

_TEXTS = {
    "references_held": "too many references held",
    # The words that Twisted programs know (wire document, section 15).
    "references_exported": "Maximum PB reference count exceeded.",
    "caches_held": "too many caches held",
    "caches_exported": "Maximum PB cache count exceeded.",
    "calls_pending": "too many calls are waiting for their answer",
    "calls_running": "too many calls are running",
    "calls_waiting": "too many calls are waiting to start",
    "waiting_bytes": "the calls that wait or run are too large together",
    "out_bytes": "too many bytes are waiting to be sent",
}


class Ledger:
    """Accounts, each named as the limit that bounds it. Charging comes before allocating.

    An account that every call needs is an attribute, and what it may come to is `most_` and its
    name. All of them can be named to the methods. No result is added to `enough_out_bytes`.
    """

    __slots__ = (
        "caches_exported",
        "caches_held",
        "calls_pending",
        "calls_running",
        "calls_waiting",
        "enough_out_bytes",
        "limits",
        "most_calls_pending",
        "most_calls_running",
        "most_calls_waiting",
        "most_out_bytes",
        "most_waiting_bytes",
        "out_bytes",
        "references_exported",
        "references_held",
        "waiting_bytes",
    )

    def __init__(self, limits: Limits) -> None:
        self.references_held = self.references_exported = 0
        self.caches_held = self.caches_exported = 0
        self.calls_pending = self.calls_running = self.calls_waiting = 0
        self.waiting_bytes = self.out_bytes = 0
        self.use(limits)

    def use(self, limits: Limits) -> None:
        """Hold the accounts to these limits from now on. What is charged stays charged."""
        self.limits = limits
        self.most_calls_pending = min(limits.calls_pending, _NONE)
        self.most_calls_running = min(limits.calls_running, _NONE)
        self.most_calls_waiting = min(limits.calls_waiting, _NONE)
        self.most_waiting_bytes = min(limits.waiting_bytes, _NONE)
        self.most_out_bytes = min(limits.out_bytes, _NONE)
        self.enough_out_bytes = 2 * self.most_out_bytes

    def charge(self, account: str, amount: int = 1, *, remote: bool = False) -> None:
        """Add `amount` to an account. Raises LimitExceeded, and adds nothing, if it is over."""
        used = getattr(self, account) + amount
        bound = getattr(self.limits, account)
        if used > bound:
            raise LimitExceeded(
                f"{_TEXTS[account]} ({used}, and limits.{account} is {bound})",
                limit=account,
                value=used,
                remote=remote,
            )
        setattr(self, account, used)

    def add(self, account: str, amount: int = 1) -> None:
        """Add `amount` to an account that may be over for a while."""
        setattr(self, account, getattr(self, account) + amount)

    def release(self, account: str, amount: int = 1) -> None:
        """Take `amount` from an account."""
        setattr(self, account, getattr(self, account) - amount)

    def used(self, account: str) -> int:
        """Tell what is charged to an account."""
        used: int = getattr(self, account)
        return used

    def charged(self) -> dict[str, int]:
        """Give the accounts to which anything is charged, and what."""
        return {account: self.used(account) for account in _TEXTS if self.used(account)}

    def has_room(self, account: str) -> bool:
        """Tell whether an account is below its limit."""
        return bool(getattr(self, account) < getattr(self.limits, account))

    def may_start(self) -> bool:
        """Tell whether another call of the other side may start."""
        return self.calls_running < self.most_calls_running and self.out_bytes < self.most_out_bytes

    def may_wait(self) -> bool:
        """Tell whether there is room for another call of the other side that waits."""
        return (
            self.calls_waiting < self.most_calls_waiting
            and self.waiting_bytes < self.most_waiting_bytes
        )

    def check_twice(self, account: str) -> None:
        """Raise LimitExceeded if an account has reached twice its limit."""
        used, bound = getattr(self, account), getattr(self.limits, account)
        if used >= 2 * bound:
            raise LimitExceeded(
                f"{_TEXTS[account]}, even for an update ({used}, and limits.{account} is {bound})",
                limit=account,
                value=used,
                remote=True,
            )
