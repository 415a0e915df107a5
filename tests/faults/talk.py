"""A conversation of two Pellucid programs that has all there is: a login, calls that cross,
references both ways, a cache, and a call that waits for ever."""

import asyncio
from typing import Any

import pellucid
from tests.asyncio.pairs import left, tables
from tests.asyncio.realms import unhurried

PATIENCE = 20.0
USERS = pellucid.InMemory({"alice": "secret"}, iterations=4096)


class Shelf(pellucid.Cacheable, tag="talk.Shelf"):
    """What is on it. Each user has one of his own."""

    def __init__(self) -> None:
        self.books = ["one"]

    def put(self, book: str) -> None:
        self.books.append(book)
        self.update("put", book)


class ShelfCopy(pellucid.RemoteCache):
    books: list[str]

    def observe_put(self, book: str) -> None:
        self.books.append(book)


class Thing(pellucid.Referenceable):
    def remote_ping(self, value: Any) -> Any:
        return value


class Watched(Shelf, tag="talk.Shelf"):
    """One that notes who comes and goes."""

    def __init__(self, notes: "Notes") -> None:
        super().__init__()
        self._notes = notes

    def state_to_cache(self) -> Any:
        return {"books": self.books}

    def state_to_cache_and_observe_for(self, perspective: Any, observer: Any) -> Any:
        self._notes.observing += 1
        return super().state_to_cache_and_observe_for(perspective, observer)

    def stopped_observing(self, perspective: Any, observer: Any) -> None:
        self._notes.stopped += 1
        super().stopped_observing(perspective, observer)


class User(pellucid.Avatar):
    def __init__(self, notes: "Notes", mind: Any) -> None:
        self._notes = notes
        self._mind = mind
        self._shelf = Watched(notes)
        self._thing = Thing()
        self._held: Any = None

    def perspective_shelf(self) -> Shelf:
        return self._shelf

    def perspective_put(self, book: str) -> None:
        self._shelf.put(book)

    async def perspective_take(self, thing: Any) -> Any:
        """Keep it, call it and the mind, and give another."""
        self._held = thing
        assert await thing.call("ping", 1) == 1
        assert await self._mind.call("ping", [2]) == [2]
        return self._thing

    def perspective_give_back(self) -> Any:
        held, self._held = self._held, None
        return held

    async def perspective_wait(self) -> None:
        self._notes.waiting += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._notes.waiting -= 1

    def logout(self) -> None:
        self._notes.logouts += 1


class Notes:
    """What the server has seen."""

    def __init__(self) -> None:
        self.logins = self.logouts = 0
        self.observing = self.stopped = 0
        self.waiting = 0

    def request_avatar(self, avatar_id: str | None, mind: Any) -> User:
        self.logins += 1
        return User(self, mind)

    def check(self) -> None:
        """Each avatar and each observer was released once, and no method runs."""
        assert self.logouts == self.logins
        assert self.stopped == self.observing
        assert self.waiting == 0


class Portal(pellucid.Portal):
    """One that tells of each connection."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes, [USERS], throttle=unhurried())
        self.met: asyncio.Queue[pellucid.Connection] = asyncio.Queue()

    def root_for(self, connection: pellucid.Connection) -> Any:
        self.met.put_nowait(connection)
        return super().root_for(connection)


def registry() -> pellucid.Registry:
    made = pellucid.Registry()
    made.cache("talk.Shelf", ShelfCopy)
    return made


class Talker:
    """The client's side, and every call that it has made."""

    def __init__(self, connection: pellucid.Connection) -> None:
        self._connection = connection
        self.calls: list[asyncio.Future[Any]] = []

    def call(self, reference: pellucid.RemoteReference, name: str, *args: Any) -> Any:
        call = reference.call(name, *args)
        self.calls.append(call)
        return call

    async def talk(self) -> None:
        """Say all of it. The last but one call waits for ever."""
        me = await self._connection.login("alice", "secret", mind=Thing())
        shelf = await self.call(me, "shelf")
        assert shelf.books == ["one"]
        await self.call(me, "put", "two")
        assert shelf.books == ["one", "two"]
        mine = Thing()
        taking = self.call(me, "take", mine)
        again = self.call(me, "shelf")
        thing = await taking
        assert await again is shelf
        assert await self.call(thing, "ping", {"a": thing}) == {"a": thing}
        assert await self.call(me, "give_back") is mine
        self.call(me, "wait")
        # Behind it, so that it has begun.
        await self.call(me, "put", "three")
        assert shelf.books == ["one", "two", "three"]

    async def check_lost(self) -> None:
        """Each call has its result by now, or was lost with the connection."""
        if self.calls:
            await asyncio.wait(self.calls, timeout=PATIENCE)
        errors = [call.exception() for call in self.calls]
        assert {type(error) for error in errors if error} <= {pellucid.ConnectionLost}


async def check_over(*connections: pellucid.Connection) -> None:
    """Wait until they are closed, and see that they hold and owe nothing."""
    async with asyncio.timeout(PATIENCE):
        for connection in connections:
            await connection.wait_closed()
            assert left(connection) == {}
            assert tables(connection) == (0, 0)
            assert connection._broker.pending == {}
