"""Guessing is made slow: attempts of one host come one after the other, and wait after failures."""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import Any

__all__ = ["Attempt", "SlowChecks", "Throttle", "TooMany"]

# So many failures of a host cost it nothing.
_FREE = 3
_LONGEST = 30.0
# So many attempts of a host that has failed too often may wait.
_WAITING = 10
# The users of a host share so many counters of failures.
_USERS = 64
# So many hosts are remembered, and so long.
_HOSTS = 10_000
_MEMORY = 3_600.0


class TooMany(Exception):
    """Too many attempts of this host are waiting already."""


class Attempt:
    """One attempt that may go on now. Whatever is not called a success is a failure."""

    def __init__(self) -> None:
        self.succeeded = False


class _Host:
    """What is remembered of one host."""

    __slots__ = ("busy", "delayed", "failures", "last", "users", "waiting")

    def __init__(self) -> None:
        self.failures = 0
        # As above, but only for some of the users; with who it was, None if it was several.
        self.users: dict[int, tuple[int, int | None]] = {}
        self.last = 0.0
        self.busy = False
        # The attempt that is under way waits because of failures, or the next one will.
        self.delayed = False
        # Those that wait for their turn. One that gets False is refused.
        self.waiting: deque[asyncio.Future[bool]] = deque()


class Throttle:
    """Lets the attempts of each host through, one at a time.

    After three failures an attempt waits 1 second before it begins, the next one 2, then 4, up to
    30, until one succeeds. For the users whose names failed that goes on until they succeed
    themselves: who has an account can't guess at the others quickly. While attempts are delayed,
    more than ten that wait are refused. Hosts do not feel each other. `sleep` and `clock` are for
    tests.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        hosts: int = _HOSTS,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._most = hosts
        self._key = secrets.token_bytes(16)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    @asynccontextmanager
    async def attempt(self, name: str, user: str | None = None) -> AsyncIterator[Attempt]:
        """Wait for the turn of an attempt from this IP address, at this user.

        Raises TooMany at once. Left by an error, also by being cancelled, the attempt has failed.
        One that was cancelled while it waited was none.
        """
        host = self._find(name)
        await self._turn(host)
        # Nobody else can choose names that fall together.
        who = hash((self._key, user))
        try:
            failures = max(host.failures, host.users.get(who % _USERS, (0, None))[0])
            if failures >= _FREE:
                self._delay(host)
                await self._sleep(min(2.0 ** (failures - _FREE), _LONGEST))
            attempt = Attempt()
            try:
                yield attempt
            finally:
                self._note(host, who, attempt.succeeded)
        finally:
            self._next(host)

    def _note(self, host: _Host, who: int, succeeded: bool) -> None:
        """Count what came of an attempt."""
        place = who % _USERS
        count, whose = host.users.get(place, (0, who))
        host.last = self._clock()
        host.delayed = False
        if succeeded:
            host.failures = 0
            if whose == who:
                # What others did, who fall on the same place, stays.
                host.users.pop(place, None)
            return
        # A bound for the power above; it is the longest delay long before.
        host.failures = min(host.failures + 1, 100)
        host.users[place] = min(count + 1, 100), who if whose == who else None
        if host.failures >= _FREE:
            self._delay(host)

    def _delay(self, host: _Host) -> None:
        """Attempts take their time now: no more than a few may wait."""
        host.delayed = True
        while len(host.waiting) > _WAITING:
            turn = host.waiting.pop()
            if not turn.done():
                turn.set_result(False)

    def _find(self, name: str) -> _Host:
        key = _network(name)
        host = self._hosts.get(key)
        if host is None:
            self._forget_some()
            host = self._hosts[key] = _Host()
        elif not host.busy and self._clock() - host.last > _MEMORY:
            host.failures = 0
            host.users.clear()
            host.delayed = False
        self._hosts.move_to_end(key)
        return host

    def _forget_some(self) -> None:
        # Those that are busy are as many as there are calls, which have limits of their own.
        for key in list(islice(self._hosts, max(len(self._hosts) + 1 - self._most, 0))):
            if not self._hosts[key].busy:
                del self._hosts[key]

    async def _turn(self, host: _Host) -> None:
        if not host.busy:
            host.busy = True
            return
        if host.delayed and len(host.waiting) >= _WAITING:
            raise TooMany
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        host.waiting.append(turn)
        try:
            may_go = await turn
        except asyncio.CancelledError:
            if turn in host.waiting:
                host.waiting.remove(turn)
            elif not turn.cancelled() and turn.result():
                # It had its turn in the same moment.
                self._next(host)
            raise
        if not may_go:
            raise TooMany

    def _next(self, host: _Host) -> None:
        """Give the turn on, or back."""
        host.busy = False
        while host.waiting and not host.busy:
            turn = host.waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                host.busy = True


def _network(name: str) -> str:
    """Give what is counted as one host: of IPv6 the network, which is what one owner has."""
    try:
        address: IPv4Address | IPv6Address = ip_address(name.partition("%")[0])
    except ValueError:
        return name
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


class SlowChecks:
    """Runs slow functions in threads, no more than two at a time."""

    def __init__(self, most: int = 2) -> None:
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function in a thread and give its result.

        If this is cancelled the thread goes on, and its place is taken until it has ended.
        """
        await self._take()
        try:
            running = asyncio.get_running_loop().run_in_executor(None, function, *args)
        except BaseException:
            self._give()
            raise
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    async def _take(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It had its turn in the same moment.
                self._give()
            raise

    def _ended(self, running: "asyncio.Future[Any]") -> None:
        if not running.cancelled():
            # Nobody may be there any more to look at it.
            running.exception()
        self._give()

    def _give(self) -> None:
        """Give a place to the first that waits, or back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
