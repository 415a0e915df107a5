"""How much Pellucid may grow under each attack, as its limits say. The one table of it.

A bound is the sum of what the limits allow for what the attack does, and `BASE` for what any server
takes that has begun to work: its buffers, its code, and what the allocator keeps.
"""

from collections.abc import Callable, Mapping

from pellucid import Limits, ServerLimits
from pellucid.asyncio.gate import SHARE

KB, MB = 2**10, 2**20
BASE = 8 * MB
# What any attack may have it write to its log.
LOG = MB
# The buffer of what arrives grows by doubling, and is copied into its message.
_COPIES = 2
# What an item may cost as a Python object: two items are an empty set, which takes 216 bytes.
_ITEM = 128
# What a connection costs that has done little, with its transport.
_CONNECTION = 24 * KB
_REFERENCE = 512
_CACHE = 2 * KB

Bound = Callable[[Limits], float]


def _nothing(limits: Limits) -> float:
    """It is refused before anything is kept of it."""
    return 0


def _incomplete(limits: Limits) -> float:
    """One message that is not complete."""
    return _COPIES * limits.message_bytes


def _decoded(limits: Limits) -> float:
    """One message, and the values in it."""
    return _incomplete(limits) + _ITEM * limits.items


def _answered(limits: Limits) -> float:
    """One message, the values in it, and an answer as large."""
    return _decoded(limits) + _answers(limits)


def _answers(limits: Limits) -> float:
    """Answers that nobody takes, up to where results become errors, and one more."""
    return 2 * limits.out_bytes + limits.message_bytes


def _calls(limits: Limits) -> float:
    """Calls that wait or run, and one more message."""
    return limits.waiting_bytes + _decoded(limits)


def _stuck(limits: Limits) -> float:
    """Answers that nobody takes, and the calls that wait behind them."""
    return _answers(limits) + _calls(limits)


def _imported(limits: Limits) -> float:
    """References that are held for the other side's objects."""
    return _REFERENCE * limits.references_held + _decoded(limits)


def _exported(limits: Limits) -> float:
    """Objects that the other side holds, and their answers."""
    return 2 * _REFERENCE * limits.references_exported + _answers(limits)


def _caches_in(limits: Limits) -> float:
    """Copies of the other side's caches, and their states."""
    return _CACHE * limits.caches_held + _COPIES * limits.cache_bytes + _decoded(limits)


def _caches_out(limits: Limits) -> float:
    """Caches that the other side has copies of, and their answers."""
    return _CACHE * limits.caches_exported + _answers(limits)


def _pending(limits: Limits) -> float:
    """Calls that were not answered, and those of the other side that wait for them."""
    return 2 * _REFERENCE * limits.calls_pending + _calls(limits) + _answers(limits)


def _queued(limits: Limits) -> float:
    """Small calls that wait."""
    return KB * limits.calls_waiting


def _each(count: int, bound: Bound = _nothing) -> Bound:
    """So many connections, each with as much, and together what a server holds for all."""
    most = _COPIES * ServerLimits().total_bytes
    return lambda limits: count * (_CONNECTION + SHARE) + min(most, count * bound(limits))


BOUNDS: Mapping[str, Bound] = {
    # Messages.
    "endless-list": _incomplete,
    "endless-string": _nothing,
    "endless-number": _nothing,
    "deep-nesting": _incomplete,
    "deep-values": _decoded,
    "wide-nesting": _decoded,
    "token-storm": _answered,
    "big-messages": _answered,
    "many-halves": _each(40, _incomplete),
    "byte-at-a-time": _each(50, lambda limits: _COPIES * limits.string_bytes),
    "slow-writer": _incomplete,
    "vocabulary-misuse": _answered,
    "misshapen-messages": _nothing,
    "message-after-close": _nothing,
    "half-close": _each(100, lambda limits: min(20 * MB, _answers(limits))),
    # Twenty answers each, until it is seen that they were reset.
    "resets": _each(10, lambda limits: min(3 * MB, _answers(limits))),
    # Those that ended: a transport of asyncio is a cycle, which goes with the next collection.
    "garbage": _each(ServerLimits().handshakes),
    # Values.
    "shared-tuple-keys": _decoded,
    "shared-tuples-compared": _decoded,
    "colliding-keys": _answered,
    "colliding-sets": _answered,
    "cyclic-bombs": _answered,
    "shared-lists": _answered,
    "duplicate-ids": _decoded,
    "huge-integers": _answered,
    # A character of four bytes makes each of the others take as many.
    "unicode-bombs": lambda limits: _incomplete(limits) + 4 * limits.message_bytes,
    "numbers-as-strings": _answered,
    "unjellyable-tags": _answered,
    "copy-flood": _decoded,
    "copies": _decoded,
    "long-keys": _answered,
    # References and caches.
    "reference-flood-in": _imported,
    "reference-flood-out": _exported,
    "references-of-huge-ids": _imported,
    "decref-below-zero": _queued,
    "releases-of-nothing": _nothing,
    "remembered-releases": lambda limits: _REFERENCE * limits.remembered_ids,
    "cache-flood-in": _caches_in,
    "cache-flood-out": _caches_out,
    "cachemessage-to-nothing": _answers,
    "answers-to-nothing": _nothing,
    "long-errors": _calls,
    "call-backs-never-answered": _pending,
    "bad-answers": _calls,
    # Calls.
    "call-flood": _queued,
    "call-flood-from-many": _each(50, _queued),
    "calls-without-answer": _queued,
    "methods-that-never-end": _calls,
    "never-reads": _stuck,
    "many-never-read": _each(20, _stuck),
    "slow-reader": _stuck,
    "echo-never-reads": _stuck,
    "duplicate-requests": _calls,
    "unknown-methods": _calls,
    "failing-methods": _answers,
    "bad-arguments": _answers,
    "log-flood": _queued,
    # Logins.
    "login-flood": _calls,
    "login-brute-force": _each(10),
    "login-never-finished": _each(300),
    "large-before-login": _incomplete,
    "halves-before-login": _each(40, _incomplete),
    "references-before-login": _imported,
    # Connections.
    "half-open-sockets": _each(500),
    "connections-from-one-address": _each(1_500),
    "sessions-from-one-address": _each(1_500),
    "connection-flood": _each(1_000),
    "out-of-files": _each(64),
    "handshake-never-finished": _each(300),
    "slow-handshake": _each(50),
    "endless-handshake": _nothing,
}


def bound(name: str, limits: Limits) -> int | None:
    """Give the bound of an attack, in bytes."""
    found = BOUNDS.get(name)
    return None if found is None else BASE + int(found(limits))
