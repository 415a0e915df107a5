"""The processes of tools/soak.py: a server, and clients that come, do all there is to do, and die.

Each reads commands from its input, a line each, and answers each with a line of JSON: `status`,
and `rest`, which ends what is under way and tells of what is left. It ends with its input.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import random
import re
import socket
import struct
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pellucid
from pellucid import Connection, ConnectionClosed, LoginFailed, banana
from pellucid.asyncio.server import Server, serve
from pellucid.asyncio.throttle import Throttle
from pellucid.broker import Broker

# So long may what is under way take to end.
PATIENCE = 30.0
PASSWORD = "correct horse"
USERS = tuple(f"user{n}" for n in range(8))
# A call, of which a part is sent.
_CALL = [b"message", 1_000_000, b"root", b"echo", 0, [b"tuple"], [b"dictionary"]]
_MESSAGE = banana.encode(_CALL, "pellucid")
# What a transport held when it went stays charged.
KEPT = {"out_bytes"}


class Watch:
    """What should not happen: warnings, errors that nobody sees, things that are left."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        # Whatever was alive before the first connection is none of its.
        self._born: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: self.report(context))
        sys.unraisablehook = lambda raised: self.fault(f"unraisable: {raised.exc_value!r}")
        handler = _Handler(self)
        logging.getLogger().addHandler(handler)
        self._born = asyncio.all_tasks()

    def fault(self, text: str) -> None:
        # Names of peers differ, and there may be thousands.
        self.faults[re.sub(r":\d+", ":*", text)[:500]] += 1

    def report(self, context: dict[str, Any]) -> None:
        self.fault(f"the loop: {context.get('message')}: {context.get('exception')!r}")

    def check_connection(self, connection: Connection) -> None:
        """See that a connection that is over has left nothing."""
        broker = connection._broker
        charged = {k: v for k, v in broker.ledger.charged().items() if k not in KEPT}
        tables = (broker.exports, broker.imports, broker.cache_exports, broker.cache_imports)
        sizes = [len(table) for table in tables]
        if charged or any(sizes) or broker.pending:
            self.fault(f"left behind: {charged}, tables {sizes}")

    async def left(self, tries: int = 70) -> dict[str, Any]:
        """Tell what is still there, when all should be over."""
        alive = self._alive()
        for _ in range(tries):
            if not alive:
                break
            # A timer of a method that was cancelled holds what that was called for, to its time.
            await asyncio.sleep(0.05)
            alive = self._alive()
        tasks = asyncio.all_tasks() - self._born - {asyncio.current_task()}
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        return {
            "seen": dict(self.seen),
            "faults": dict(self.faults),
            "alive": dict(alive),
            "tasks": [repr(task)[:300] for task in tasks],
            "blocks": sys.getallocatedblocks(),
            "resident": resident(),
        }

    def _alive(self) -> Counter[str]:
        gc.collect()
        return Counter(
            type(each).__name__
            for each in gc.get_objects()
            if isinstance(each, (Connection, Broker, pellucid.RemoteReference, pellucid.Avatar))
        )


class _Handler(logging.Handler):
    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.WARNING)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        self._watch.fault(f"{record.name}: {record.levelname}: {text}")


def resident() -> int:
    """Tell how many bytes of memory this process has, 0 where that can't be known."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# What they have for each other.


class Shelf(pellucid.Cacheable, tag="soak.Shelf"):
    """A cache that all users see. What is old falls off."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.books: deque[int] = deque(maxlen=20)

    def state_to_cache(self) -> Any:
        return {"books": [*self.books]}

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        self._watch.seen["observers"] += 1
        return super().state_to_cache_and_observe_for(perspective, observer)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        self._watch.seen["observers released"] += 1
        super().stopped_observing(perspective, observer)

    def put(self, book: int) -> None:
        self.books.append(book)
        self.update("put", book)


class ShelfCopy(pellucid.RemoteCache):
    books: list[int]

    def observe_put(self, book: int) -> None:
        self.books = [*self.books, book][-20:]


def registry() -> pellucid.Registry:
    made = pellucid.Registry()
    made.cache("soak.Shelf", ShelfCopy)
    return made


class Thing(pellucid.Referenceable):
    """What travels by reference."""

    def remote_echo(self, value: Any) -> Any:
        return value


# The server.


class User(pellucid.Avatar):
    def __init__(self, hall: "Hall", mind: Any) -> None:
        self._hall = hall
        self._mind = mind
        self._held: deque[Any] = deque(maxlen=5)

    def perspective_echo(self, value: Any) -> Any:
        return value

    def perspective_shelf(self) -> Shelf:
        return self._hall.shelf

    def perspective_put(self, book: int) -> None:
        self._hall.shelf.put(book)

    def perspective_swap(self, things: Any) -> list[Thing]:
        """Keep some of the client's, and give some of ours."""
        self._held.extend(things)
        return [Thing() for _ in things]

    def perspective_held(self) -> list[Any]:
        return [*self._held]

    async def perspective_ask(self, value: Any) -> Any:
        """Ask the mind, and what was left here."""
        for thing in [*self._held]:
            await thing.call("echo", value)
        return await self._mind.call("echo", value)

    def perspective_relay(self, thing: Any, value: Any) -> Any:
        return thing.call("echo", value)

    async def perspective_wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def logout(self) -> None:
        self._hall.watch.seen["logouts"] += 1


class Hall(pellucid.Portal):
    """Lets all users in, and their realm as well."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.shelf = Shelf(watch)
        users = dict.fromkeys(USERS, PASSWORD)
        checkers = [pellucid.InMemory(users, iterations=4096), pellucid.Anonymous()]
        # Who dies in the middle of a login has failed, and all come from one host.
        super().__init__(self, checkers, throttle=Throttle(sleep=lambda _: asyncio.sleep(0)))

    def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        self.watch.seen["logins"] += 1
        return User(self, mind)


class _Server(Server):
    """Looks at each connection that is over."""

    watch: Watch

    def _forget(self, connection: Connection) -> None:
        self.watch.seen["connections"] += 1
        self.watch.check_connection(connection)
        super()._forget(connection)


class _serve(serve):
    server_type = _Server


async def run_server(watch: Watch) -> None:
    hall = Hall(watch)
    _Server.watch = watch
    async with _serve(hall, "pb://127.0.0.1:0") as server:
        say({"url": server.url})

        async def rest() -> dict[str, Any]:
            async with asyncio.timeout(PATIENCE):
                while server.connections:
                    await asyncio.sleep(0.01)
            pairs = (("logins", "logouts"), ("observers", "observers released"))
            for begun, ended in pairs:
                if watch.seen[begun] != watch.seen[ended]:
                    watch.fault(f"{watch.seen[begun]} {begun}, {watch.seen[ended]} {ended}")
            if hall.shelf.observers:
                watch.fault(f"{len(hall.shelf.observers)} observers are left")
            return await watch.left()

        await obey({"rest": rest}, watch)


# The clients.


class Player:
    """One who connects, does things, and dies, again and again."""

    def __init__(self, url: str, watch: Watch, chance: random.Random) -> None:
        self._url = url
        self._watch = watch
        self._chance = chance
        self._ending = False
        self._calls: set[asyncio.Future[Any]] = set()

    def stop(self) -> None:
        self._ending = True

    async def play(self) -> None:
        while not self._ending:
            if self._chance.random() < 0.1:
                await self._die_at_the_door()
                continue
            try:
                connection = await pellucid.connect(self._url, registry=registry())
            except (ConnectionClosed, OSError) as error:
                self._watch.fault(f"could not connect: {error!r}")
                await asyncio.sleep(0.1)
                continue
            self._watch.seen["connections"] += 1
            try:
                await self._visit(connection)
            except Exception as error:
                self._watch.fault(f"a client: {error!r}")
            await self._over(connection)
            del connection

    async def _die_at_the_door(self) -> None:
        """Connect, say a part of what opens a connection, and go."""
        host, _, port = self._url.removeprefix("pb://").rpartition(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, int(port)))
            greeting = b"\x08\x82pellucid\x02\x80\x13\x87\x06\x81\x05\x80"
            await loop.sock_sendall(sock, greeting[: self._chance.randrange(len(greeting))])
            self._watch.seen["died at the door"] += 1
            if self._chance.random() < 0.5:
                _reset_when_closed(sock)

    async def _visit(self, connection: Connection) -> None:
        if self._chance.random() < 0.1:
            await self._die_at_login(connection)
            return
        me = await self._login(connection)
        if me is None:
            connection.close()
            return
        held: list[Any] = []
        steps = self._chance.randrange(1, 60)
        while steps and not self._ending:
            steps -= 1
            await self._step(me, held)
            await asyncio.sleep(self._chance.expovariate(200.0))
        await self._die(connection, me)

    def _start_login(self, connection: Connection) -> Awaitable[Any]:
        if self._chance.random() < 0.3:
            return connection.login_anonymous(mind=Thing())
        return connection.login(self._chance.choice(USERS), PASSWORD, mind=Thing())

    async def _login(self, connection: Connection) -> Any:
        try:
            return await self._start_login(connection)
        except LoginFailed:
            # Others failed, and so many wait for their turn.
            self._watch.seen["refused"] += 1
            return None

    async def _die_at_login(self, connection: Connection) -> None:
        login = asyncio.ensure_future(self._start_login(connection))
        for _ in range(self._chance.randrange(8)):
            await asyncio.sleep(0)
        self._watch.seen["died at the login"] += 1
        self._cut(connection)
        await asyncio.wait([login])
        if not isinstance(login.exception(), (ConnectionClosed, LoginFailed, type(None))):
            self._watch.fault(f"a login that was cut: {login.exception()!r}")

    async def _step(self, me: Any, held: list[Any]) -> None:
        chance = self._chance
        self._watch.seen["steps"] += 1
        match chance.randrange(9):
            case 0:
                size = chance.choice([1, 10, 1_000, 100_000])
                value: Any = [chance.random(), "x" * size, {"n": chance.randrange(size)}]
                self._same(await me.call("echo", value), value)
            case 1:
                held.append(await me.call("shelf"))
            case 2:
                me.notify("put", chance.randrange(1_000))
            case 3:
                mine = [Thing() for _ in range(chance.randrange(4))]
                held.extend(await me.call("swap", mine))
                del mine
            case 4:
                held.extend(await me.call("held"))
            case 5:
                self._same(await me.call("ask", ["what"]), ["what"])
            case 6:
                self._same(await me.call("relay", Thing(), 5), 5)
            case 7:
                # They are not waited for, and some are given up.
                for _ in range(chance.randrange(5)):
                    call = me.call("wait", chance.random() / 10)
                    self._calls.add(call)
                    if chance.random() < 0.3:
                        call.cancel()
            case _:
                del held[: chance.randrange(len(held) + 1)]

    def _same(self, one: Any, other: Any) -> None:
        if one != other:
            self._watch.fault(f"{str(one)[:100]} in place of {str(other)[:100]}")

    async def _die(self, connection: Connection, me: Any) -> None:
        ways = ("orderly", "cut", "in the middle of a call", "in the middle of a message")
        way = self._chance.choice(ways)
        self._watch.seen[f"died: {way}"] += 1
        if "middle" in way:
            self._calls.update(me.call("ask", [n]) for n in range(self._chance.randrange(1, 20)))
            self._calls.add(me.call("relay", Thing(), 1))
            self._calls.add(me.call("wait", 3.0))
        if way == "orderly":
            connection.close()
            return
        if way.endswith("message") or self._chance.random() < 0.5:
            # So that what was said before has left.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        transport = connection._transport
        if way.endswith("message") and transport is not None:
            transport.write(_MESSAGE[: self._chance.randrange(1, len(_MESSAGE))])
        self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        """End it at once, with a reset or without."""
        transport = connection._transport
        if transport is not None and self._chance.random() < 0.5:
            _reset_when_closed(transport.get_extra_info("socket"))
        connection.abort()

    async def _over(self, connection: Connection) -> None:
        """Wait for the end of a connection, and look at what became of its calls."""
        connection.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.wait_closed()
        except TimeoutError:
            self._watch.fault("a connection does not end")
        self._watch.check_connection(connection)
        for call in self._calls:
            if not call.done():
                self._watch.fault("a call that waits for ever")
            elif not call.cancelled():
                error = call.exception()
                self._watch.seen["calls lost"] += error is not None
                if not isinstance(error, (pellucid.ConnectionLost, type(None))):
                    self._watch.fault(f"a call that was cut: {error!r}")
        self._calls.clear()


def _reset_when_closed(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def run_clients(watch: Watch, url: str, count: int, seed: str) -> None:
    chances = [random.Random(f"{seed} {number}") for number in range(count)]
    players: list[Player] = []
    playing: list[asyncio.Task[None]] = []

    def start() -> None:
        players[:] = [Player(url, watch, chance) for chance in chances]
        playing[:] = [asyncio.create_task(player.play()) for player in players]

    async def rest() -> dict[str, Any]:
        for player in players:
            player.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*playing)
        players.clear()
        playing.clear()
        return await watch.left()

    async def go() -> dict[str, Any]:
        start()
        return {}

    start()
    say({"playing": count})
    await obey({"rest": rest, "go": go}, watch)


# Being told what to do.


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


async def obey(
    commands: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]], watch: Watch
) -> None:
    """Do what the input says, to its end."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        name = line.decode().strip()
        if name == "status":
            say({"seen": dict(watch.seen), "faults": dict(watch.faults), "resident": resident()})
        else:
            say(await commands[name]())


async def run(options: argparse.Namespace) -> None:
    watch = Watch()
    watch.start()
    if options.url:
        await run_clients(watch, options.url, options.clients, options.seed)
    else:
        await run_server(watch)


def main() -> int:
    parser = argparse.ArgumentParser(description="One process of tools/soak.py.")
    parser.add_argument("--url", default="", help="be clients of this server, else the server")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seed", default="")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
