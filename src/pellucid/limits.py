"""Every number that bounds what a connection may cost."""

from dataclasses import dataclass, fields
from typing import ClassVar

__all__ = ["Limits"]


# The methods are written here, as those that it would write for so many fields are long, and to
# compile them takes longer than to load any module of ours.
@dataclass(frozen=True, kw_only=True, slots=True, init=False, repr=False, eq=False)
class Limits:
    """What one connection may cost. Sizes are bytes, times are seconds, the others are counts.

    Give the ones that are to be other than they are: `Limits(calls_running=50)`. Raises TypeError
    for what is no number, and ValueError for one that can't be a limit.

    Values and messages:

      string_bytes: The wire's own bound on one byte string, text counted as UTF-8: 640 KiB. A
        Twisted peer closes the connection over a longer one. It may be lowered, not raised.
      list_items: The wire's own bound on the elements of one list, its tag included. It may be
        lowered, not raised.
      integer_bits: The wire's own bound on an integer: 64 digits of 7 bits. It may be lowered to
        32, not raised.
      message_bytes: One whole message. Twisted has no bound; 25 strings of the largest size fit.
      items: Items in one message, at all depths. The longest list that the wire allows fits.
      containers: Lists, tuples, dictionaries, sets, copies and references to such in one received
        message. Making one may take a microsecond, so these take about 50 ms, in which no other
        connection has its turn; a table of 10,000 rows fits five times. Above it the connection
        ends.
      depth_received: Nesting of a received value, 256 at most. Twisted sends no more than about
        320 levels. Plain recursion holds at 256 with room for the application's own frames.
      depth_sent: Nesting of a sent value, 256 at most. A Twisted peer with a deep stack of its
        own may break above 100.
      hash_steps: Steps that hashing the keys and members of one message may take, sharing
        expanded: more than the longest flat tuple needs. Numbers cost some only where finding a
        place for each takes long: 90,000 are enough in the worst of even steps. Where several
        copies share one state, each entry in it is eight for each of them.
      hash_collisions: Members of one dict or set with the same hash. Each costs a comparison with
        all before it.

    References and caches:

      references_held: References to the other side's objects that are alive here. Each costs about
        a quarter of a KiB.
      references_exported: Objects of this side that the other side holds.
      caches_held: Copies of the other side's caches that are here, each until the other side
        forgets it.
      cache_bytes: What is kept of copies that nobody here uses, until the other side forgets them:
        the size that they came in. Above it those that went first are forgotten at once.
      caches_exported: Caches of this side that the other side has copies of. Each change is told
        to all of them.
      remembered_ids: Ids that were released and may still be on their way home.

    Calls:

      calls_pending: Calls of ours that the other side has not answered.
      calls_running: Calls from the other side that run at the same time. Updates of caches do not
        wait: with them it may be twice as many, and above that the connection ends.
      calls_waiting: Calls from the other side that are decoded and wait for one that runs to end;
        above it reading stops.
      waiting_bytes: What the calls that wait or run cost together: the size of their messages and
        about what is made of them, which is 32 bytes for each item and 160 for each of the
        containers; a message of no more than 4 KiB that is read in one go counts 16 times. Above it
        reading stops. One message of the largest size fits, with what it becomes.
      out_bytes: Bytes that wait to be sent. Above it our calls fail and no further call of the
        peer starts. Above twice as much those that run get an error in place of their results.
      calls_per_turn: Calls that start in one iteration of the loop, so that other connections get
        their turn.
      logins_pending: Logins that a connection has begun and not finished. One is enough for an
        honest client.
      log_lines: Lines that the log gets in a minute because of this connection. What is wrong
        once is wrong in each call, and the first lines tell what.

    Times:

      handshake_time: From the connection to the agreed dialect. A client answers at once, so this
        is network time. A TLS handshake may take as long again.
      stall_time: How long a peer may take nothing of what is ready for it.
      close_time: How long closing may take to send what is ready, and to stop methods that still
        run.
    """

    # A face may know that both sides take more.
    _largest: ClassVar[int] = 655_360
    _widest: ClassVar[int] = 448

    string_bytes: int = 655_360
    list_items: int = 655_360
    integer_bits: int = 448
    message_bytes: int = 16 * 1024 * 1024
    items: int = 1_000_000
    containers: int = 50_000
    depth_received: int = 256
    depth_sent: int = 100
    hash_steps: int = 1_000_000
    hash_collisions: int = 64
    references_held: int = 65_536
    references_exported: int = 65_536
    caches_held: int = 65_536
    cache_bytes: int = 64 * 1024 * 1024
    caches_exported: int = 65_536
    remembered_ids: int = 4_096
    calls_pending: int = 65_536
    calls_running: int = 1_000
    calls_waiting: int = 10_000
    waiting_bytes: int = 64 * 1024 * 1024
    out_bytes: int = 32 * 1024 * 1024
    calls_per_turn: int = 100
    logins_pending: int = 16
    log_lines: int = 20
    handshake_time: float = 10.0
    stall_time: float = 60.0
    close_time: float = 5.0

    def __init__(
        self,
        *,
        string_bytes: int = string_bytes,
        list_items: int = list_items,
        integer_bits: int = integer_bits,
        message_bytes: int = message_bytes,
        items: int = items,
        containers: int = containers,
        depth_received: int = depth_received,
        depth_sent: int = depth_sent,
        hash_steps: int = hash_steps,
        hash_collisions: int = hash_collisions,
        references_held: int = references_held,
        references_exported: int = references_exported,
        caches_held: int = caches_held,
        cache_bytes: int = cache_bytes,
        caches_exported: int = caches_exported,
        remembered_ids: int = remembered_ids,
        calls_pending: int = calls_pending,
        calls_running: int = calls_running,
        calls_waiting: int = calls_waiting,
        waiting_bytes: int = waiting_bytes,
        out_bytes: int = out_bytes,
        calls_per_turn: int = calls_per_turn,
        logins_pending: int = logins_pending,
        log_lines: int = log_lines,
        handshake_time: float = handshake_time,
        stall_time: float = stall_time,
        close_time: float = close_time,
    ) -> None:
        given = locals()
        for field in fields(self):
            object.__setattr__(self, field.name, given[field.name])
        self.__post_init__()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            _check_type(field.name, value, field.type is float)
            # Written so that NaN is refused as well.
            if not value > 0:
                raise ValueError(f"limits.{field.name} must be above 0, not {value!r}")
        for name in ("string_bytes", "list_items"):
            if getattr(self, name) > self._largest:
                raise ValueError(f"limits.{name} can't be above the wire's own 655360")
        if not 32 <= self.integer_bits <= self._widest:
            raise ValueError("limits.integer_bits is from 32 to the wire's own 448")
        if max(self.depth_received, self.depth_sent) > 256:
            raise ValueError("limits.depth_received and limits.depth_sent can't be above 256")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Limits) and type(other) is type(self):
            return self._all() == other._all()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._all().values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._all().items())
        return f"{type(self).__qualname__}({shown})"

    def _all(self) -> dict[str, float]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _check_type(name: str, value: object, is_time: bool) -> None:
    # A bool is an int to Python.
    if type(value) is int or (is_time and isinstance(value, float)):
        return
    wanted = "a number" if is_time else "an int"
    raise TypeError(f"limits.{name} must be {wanted}, not {type(value).__name__}")
