"""Every number that bounds what a connection may cost, and what all of a server may."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

__all__ = ["LOGIN_LIMITS", "Limits", "ServerLimits"]


def _check_type(name: str, value: object, is_time: bool) -> None:
    # A bool is an int to Python.
    if type(value) is int or (is_time and isinstance(value, float)):
        return
    wanted = "a number" if is_time else "an int"
    raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def _shown(value: float) -> str:
    return "float('inf')" if value == float("inf") else repr(value)


class _Numbers:
    """What both kinds of limits do. `_prefix` is how texts of errors call them."""

    __slots__ = ()
    _prefix: ClassVar[str]

    def _set(self, given: dict[str, Any]) -> None:
        for name in self._names():
            object.__setattr__(self, name, given[name])

    def _check(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            name, value = f"{self._prefix}.{field.name}", getattr(self, field.name)
            _check_type(name, value, field.type is float)
            # Written so that NaN is refused as well.
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Numbers) and type(other) is type(self):
            return self._all() == other._all()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._all().values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self._all().items())
        return f"{type(self).__qualname__}({shown})"

    def _names(self) -> list[str]:
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def _all(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self._names()}


# The methods are written here, as those that it would write for so many fields are long, and to
# compile them takes longer than to load any module of ours.
@dataclass(frozen=True, kw_only=True, slots=True, init=False, repr=False, eq=False)
class Limits(_Numbers):
    """What one connection may cost. Sizes are bytes, times are seconds, the others are counts.

    A time may be `float("inf")`: then there is no limit.

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
        message. Making one may take a microsecond, so these take about 100 ms, in which no other
        connection has its turn; a table of 10,000 rows fits ten times. Above it the connection
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
      login_time: Where a Portal is served: from the agreed dialect to the first login. Long enough
        for somebody who types a password, and for attempts that are delayed.
      message_time: From the first to the last byte of one message. The largest one takes it at
        56 KB/s. A message that begins behind another one may get up to twice as much.
      idle_time: How long nothing may arrive while no call of either side is open. None, because
        connections that rest are normal in PB and cost little.
      keepalive_time: Within so much TCP notices a machine that has gone or can't be reached, also
        when nothing is to be sent. Whole seconds, 2 at least. Linux has all that it needs;
        where a peer takes nothing for so long it ends the connection too, whatever `stall_time`
        is. Applies to TCP only.
      stall_time: How long a peer may take nothing of what is ready for it.
      close_time: How long closing may take to send what is ready, and to stop methods that still
        run.
    """

    # A face may know that both sides take more.
    _prefix = "limits"
    _largest: ClassVar[int] = 655_360
    _widest: ClassVar[int] = 448

    string_bytes: int = 655_360
    list_items: int = 655_360
    integer_bits: int = 448
    message_bytes: int = 16 * 1024 * 1024
    items: int = 1_000_000
    containers: int = 100_000
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
    login_time: float = 60.0
    message_time: float = 300.0
    idle_time: float = float("inf")
    keepalive_time: float = 60.0
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
        login_time: float = login_time,
        message_time: float = message_time,
        idle_time: float = idle_time,
        keepalive_time: float = keepalive_time,
        stall_time: float = stall_time,
        close_time: float = close_time,
    ) -> None:
        self._set(locals())
        self.__post_init__()

    def __post_init__(self) -> None:
        self._check()
        for name in ("string_bytes", "list_items"):
            if getattr(self, name) > self._largest:
                raise ValueError(f"limits.{name} can't be above the wire's own 655360")
        if not 32 <= self.integer_bits <= self._widest:
            raise ValueError("limits.integer_bits is from 32 to the wire's own 448")
        if max(self.depth_received, self.depth_sent) > 256:
            raise ValueError("limits.depth_received and limits.depth_sent can't be above 256")


# Before a login only names, passwords and references to minds are honest. A program of Twisted that
# logs in sends messages of less than 1 KiB.
LOGIN_LIMITS: Final = Limits(
    string_bytes=16 * 1024,
    list_items=1_000,
    message_bytes=64 * 1024,
    items=1_000,
    hash_steps=10_000,
    references_held=64,
    references_exported=64,
    caches_held=16,
    cache_bytes=64 * 1024,
    caches_exported=16,
    remembered_ids=256,
    calls_pending=64,
    calls_running=16,
    calls_waiting=64,
    waiting_bytes=512 * 1024,
    out_bytes=512 * 1024,
)
"""What a connection may cost before it has logged in, unless `serve` is told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True, init=False, repr=False, eq=False)
class ServerLimits(_Numbers):
    """What all connections of a server may cost together, for `serve(..., server_limits=...)`.

    Who comes when one of them is reached is refused, and nothing is allocated for it. Those that
    are there stay. Give the ones that are to be other than they are. Raises as `Limits`.

      connections: Connections in all. They cost about 4 KiB each while they rest. However many are
        allowed, 64 file descriptors of the process are left to the application.
      connections_per_address: Connections from one IP address, of IPv6 from one /64, which is what
        one customer gets. Many clients may share one address behind NAT. Unix sockets are exempt.
      handshakes: Connections whose dialect is not agreed or, where a Portal is served, that have
        not logged in.
      total_bytes: What is held for all connections: incomplete messages, calls that wait or run,
        and what is to be sent. Each has 64 KiB of its own that are not counted. Above it the newest
        of those that hold more than that is ended. Fits 16 messages of the largest size.
      log_lines: Lines that the log gets in a minute because of all connections together.
    """

    _prefix = "server_limits"

    connections: int = 10_000
    connections_per_address: int = 2_048
    handshakes: int = 1_000
    total_bytes: int = 256 * 1024 * 1024
    log_lines: int = 300

    def __init__(
        self,
        *,
        connections: int = connections,
        connections_per_address: int = connections_per_address,
        handshakes: int = handshakes,
        total_bytes: int = total_bytes,
        log_lines: int = log_lines,
    ) -> None:
        self._set(locals())
        self._check()
