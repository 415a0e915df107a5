"""Every number that bounds what a connection may cost, and the ledger that holds it to them."""

from dataclasses import dataclass, fields

from .errors import LimitExceeded

__all__ = ["Ledger", "Limits"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one connection may cost. Sizes are bytes, times are seconds, the others are counts."""

    # The wire's own bound on one byte string, text counted as UTF-8: 640 KiB. A Twisted peer closes
    # the connection over a longer one. It may be lowered, not raised.
    string_bytes: int = 655_360
    # The wire's own bound on the elements of one list, its tag included.
    list_items: int = 655_360
    # One whole message. Twisted has no bound; 25 strings of the largest size fit.
    message_bytes: int = 16 * 1024 * 1024
    # Items in one message, at all depths. The longest list that the wire allows fits.
    items: int = 1_000_000
    # Nesting of a received value. Twisted sends no more than about 320 levels. Plain recursion
    # holds at 256 with room for the application's own frames.
    depth_received: int = 256
    # Nesting of a sent value. A Twisted peer with a deep stack of its own may break above that.
    depth_sent: int = 100
    # Steps that hashing the keys and members of one message may take, sharing expanded: more than
    # the longest flat tuple needs, and enough for a dictionary with 90,000 keys that are numbers.
    hash_steps: int = 1_000_000
    # Members of one dict or set with the same hash. Each costs a comparison with all before it.
    hash_collisions: int = 64
    # References to the other side's objects that are alive here. Each costs about half a KiB.
    references_held: int = 65_536
    # Objects of this side that the other side holds.
    references_exported: int = 65_536
    # Copies of the other side's caches that are here, each until the other side forgets it.
    caches_held: int = 65_536
    # Caches of this side that the other side has copies of. Each change is told to all of them.
    caches_exported: int = 65_536
    # Ids that were released and may still be on their way home.
    remembered_ids: int = 4_096
    # Calls of ours that the other side has not answered.
    calls_pending: int = 65_536
    # Calls from the other side that run at the same time. Updates of caches do not wait: with
    # them it may be twice as many, and above that the connection ends.
    calls_running: int = 1_000
    # Calls from the other side that are decoded and wait for one that runs to end; above it
    # reading stops.
    calls_waiting: int = 10_000
    # The size of the messages of calls that wait or run, together.
    waiting_bytes: int = 32 * 1024 * 1024
    # Bytes that wait to be sent. Above it our calls fail and no further call of the peer starts.
    out_bytes: int = 32 * 1024 * 1024
    # Calls that start in one iteration of the loop, so that other connections get their turn.
    calls_per_turn: int = 100
    # Logins that a connection has begun and not finished. One is enough for an honest client.
    logins_pending: int = 16
    # From the connection to the agreed dialect. A client answers at once, so this is network time.
    handshake_time: float = 10.0
    # How long a peer may take nothing of what is ready for it.
    stall_time: float = 60.0
    # How long closing may take to send what is ready, and to stop methods that still run.
    close_time: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value <= 0:
                raise ValueError(f"limits.{field.name} must be above 0, not {value!r}")
        for name in ("string_bytes", "list_items"):
            if getattr(self, name) > 655_360:
                raise ValueError(f"limits.{name} can't be above the wire's own 655360")
        if max(self.depth_received, self.depth_sent) > 256:
            raise ValueError("limits.depth_received and limits.depth_sent can't be above 256")


_ACCOUNTS = (
    "references_held",
    "references_exported",
    "caches_held",
    "caches_exported",
    "calls_pending",
    "calls_running",
    "calls_waiting",
    "waiting_bytes",
    "out_bytes",
)

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
    """What one connection costs at this moment, in named accounts.

    The accounts are named as the limits that bound them. Charging comes before allocating.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bounds = {name: int(getattr(limits, name)) for name in _ACCOUNTS}
        self._used = dict.fromkeys(_ACCOUNTS, 0)

    def charge(self, account: str, amount: int = 1, *, remote: bool = False) -> None:
        """Add `amount` to an account. Raises LimitExceeded, and adds nothing, if it is over."""
        used = self._used[account] + amount
        if used > self._bounds[account]:
            bound = self._bounds[account]
            raise LimitExceeded(
                f"{_TEXTS[account]} ({used}, and limits.{account} is {bound})",
                limit=account,
                value=used,
                remote=remote,
            )
        self._used[account] = used

    def add(self, account: str, amount: int = 1) -> None:
        """Add `amount` to an account that may be over for a while."""
        self._used[account] += amount

    def release(self, account: str, amount: int = 1) -> None:
        """Take `amount` from an account."""
        self._used[account] -= amount

    def used(self, account: str) -> int:
        """Tell what is charged to an account."""
        return self._used[account]

    def has_room(self, account: str) -> bool:
        """Tell whether an account is below its limit."""
        return self._used[account] < self._bounds[account]

    def have_room(self, first: str, second: str) -> bool:
        """Tell whether both of two accounts are below their limits."""
        used, bounds = self._used, self._bounds
        return used[first] < bounds[first] and used[second] < bounds[second]

    def check_twice(self, account: str) -> None:
        """Raise LimitExceeded if an account has reached twice its limit."""
        used, bound = self._used[account], self._bounds[account]
        if used >= 2 * bound:
            raise LimitExceeded(
                f"{_TEXTS[account]}, even for an update ({used}, and limits.{account} is {bound})",
                limit=account,
                value=used,
                remote=True,
            )
