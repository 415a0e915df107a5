"""Login, perspectives and views between Pellucid and Twisted, in both roles."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import pellucid
from pellucid import LoginFailed, RemoteError, RemoteReference
from tests.asyncio.pairs import FREE, Run, until
from tests.interop.goods import Item, Shelf, SoldOut, Stock, registry
from tests.interop.meeting import Twisted, charged, cut, ended, port_of, twisted_program

COMPLAINTS = {
    "twisted.cred.error.UnauthorizedLogin",
    "twisted.cred.error.UnhandledCredentials",
    "builtins.AttributeError",
}

UNAUTHORIZED = "twisted.cred.error.UnauthorizedLogin"
USERS = {"alice": "secret", "bob": "builder", "Zoë": "grün"}


class Mind(pellucid.Referenceable):
    """A client's own object, for the avatar to call."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def remote_take(self, *values: Any) -> int:
        self.taken.extend(values)
        return len(self.taken)


# Twisted has the portal.


@asynccontextmanager
async def guest(twisted: Twisted, portal: str = "open") -> AsyncIterator[pellucid.Connection]:
    """A connection to a portal, with nothing left of it in the end."""
    async with pellucid.connect(twisted.url(portal), registry=registry) as connection:
        yield connection
        await ended(connection)


async def events(twisted: Twisted, count: int, portal: str = "open") -> list[str]:
    """What the realm saw, once there is as much of it."""
    async with twisted.control() as control:
        seen: list[str] = await control.call("events", portal, count)
        return seen


def test_we_log_in(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        before = len(await events(twisted, 0))
        async with guest(twisted) as connection:
            mind = Mind()
            alice = await connection.login("alice", "secret", mind)
            assert isinstance(alice, RemoteReference)
            assert await alice.call("who", 1, x=2) == ["alice", [1], {"x": 2}]
            assert await alice.call("tell_mind", 1, [2]) == 2
            assert mind.taken == [1, [2]]
            zoe = await connection.login("Zoë", "grün")
            assert (await zoe.call("who"))[0] == "Zoë"
            assert await zoe.call("has_mind") is False
            with pytest.raises(SoldOut):
                await alice.call("fail")
            with pytest.raises(RemoteError) as missing:
                await alice.call("nowhere")
            assert missing.value.is_a("builtins.AttributeError")
            assert (await events(twisted, 0))[before:] == ["alice in", "Zoë in"]
            del alice, zoe, missing
        seen = await events(twisted, before + 4)
        assert sorted(seen[before + 2 :]) == ["Zoë out", "alice out"]

    run(main())


def test_we_are_not_let_in(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        before = await events(twisted, 0)
        async with guest(twisted) as connection:
            for name, password in (("alice", "wrong"), ("nobody", "secret")):
                with pytest.raises(LoginFailed) as caught:
                    await connection.login(name, password)
                assert str(caught.value) == "the server did not let us in"
            # The connection lives on.
            assert (await (await connection.login("bob", "builder")).call("who"))[0] == "bob"
        seen = await events(twisted, len(before) + 2)
        assert seen[len(before) :] == ["bob in", "bob out"]

    run(main())


def test_we_come_without_a_name(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with guest(twisted) as connection:
            mind = Mind()
            anybody = await connection.login_anonymous(mind)
            assert (await anybody.call("who"))[0] == "anonymous"
            assert await anybody.call("tell_mind", 1) == 1
        async with guest(twisted, "members") as connection:
            with pytest.raises(LoginFailed):
                await connection.login_anonymous()
            assert (await (await connection.login("bob", "builder")).call("who"))[0] == "bob"

    run(main())


def test_our_logout_is_told_once(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        before = len(await events(twisted, 0, "members"))
        async with guest(twisted, "members") as connection:
            several = [
                await connection.login("alice", "secret"),
                await connection.login("alice", "secret"),
                await connection.login("bob", "builder"),
            ]
            assert [(await one.call("who"))[0] for one in several] == ["alice", "alice", "bob"]
            del several[0]
            gc.collect()
            seen = await events(twisted, before + 4, "members")
            assert seen[before:] == ["alice in", "alice in", "bob in", "alice out"]
            assert [(await one.call("who"))[0] for one in several] == ["alice", "bob"]
        seen = await events(twisted, before + 6, "members")
        assert sorted(seen[before + 4 :]) == ["alice out", "bob out"]
        assert len(await events(twisted, 0, "members")) == before + 6

    run(main())


def test_we_see_through_a_perspective(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with guest(twisted) as connection:
            alice = await connection.login("alice", "secret")
            bob = await connection.login("bob", "builder")
            mine, other = await alice.call("shelf"), await bob.call("shelf")
            assert mine is not other
            assert await alice.call("shelf") is mine
            assert (await mine.call("look", 1, x=2))[:3] == ["alice", [1], {"x": 2}]
            assert (await other.call("look"))[0] == "bob"
            assert (await mine.call("look"))[3][-3:] == ["alice", "bob", "alice"]
            assert await mine.call("me") is mine
            assert await alice.call("is_my_shelf", mine) is True
            assert await alice.call("is_my_shelf", other) is False
            # What is copied, cached and given back is so for the one who asked.
            assert vars(await alice.call("item")) == {"name": "for you", "seen_by": "alice"}
            assert vars(await other.call("item")) == {"name": "for bob", "seen_by": "bob"}
            stock = await bob.call("stock", "seen")
            assert stock.watcher == "bob"
            mind = Mind()
            await alice.call("call_back", mind)
            assert vars(mind.taken[0]) == {"name": "for you", "seen_by": "alice"}
            with pytest.raises(RemoteError) as missing:
                await mine.call("nowhere")
            assert missing.value.is_a("builtins.AttributeError")
            del alice, bob, mine, other, stock, missing

    run(main())


def test_we_may_refuse_the_way_of_twisted(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        before = await events(twisted, 0)
        async with guest(twisted) as connection:
            with pytest.raises(LoginFailed, match="MD5"):
                await connection.login("alice", "secret", allow_md5=False)
        assert await events(twisted, 0) == before

    run(main())


# We have the portal.


class Shopper(pellucid.Avatar):
    """What somebody who has logged in may do."""

    def __init__(self, name: str, mind: Any, realm: "Realm") -> None:
        self.name = name
        self.mind = mind
        self.realm = realm

    def perspective_who(self, *args: Any, **kwargs: Any) -> Any:
        return [self.name, list(args), kwargs]

    async def perspective_tell_mind(self, *values: Any) -> Any:
        return await self.mind.call("take", *values)

    def perspective_has_mind(self) -> bool:
        return self.mind is not None

    def perspective_item(self) -> Item:
        return Item("for you")

    def perspective_stock(self) -> Stock:
        return self.realm.stock

    def perspective_shelf(self) -> Shelf:
        return self.realm.shelf

    def perspective_me(self) -> "Shopper":
        return self

    def perspective_is_me(self, someone: object) -> bool:
        return someone is self

    def perspective_is_my_shelf(self, view: Any) -> bool:
        return view.viewed is self.realm.shelf and view.perspective is self

    async def perspective_call_back(self, theirs: RemoteReference) -> Any:
        return await theirs.call("take", Item("for you"))

    def perspective_fail(self) -> None:
        raise SoldOut(None, 0)

    async def logout(self) -> None:
        await asyncio.sleep(0)
        self.realm.events.append(f"{self.name} out")


class Realm:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.shelf = Shelf()
        self.stock = Stock()

    async def request_avatar(self, avatar_id: str | None, mind: Any) -> Shopper:
        name = avatar_id or "anonymous"
        self.events.append(f"{name} in")
        return Shopper(name, mind, self)


@asynccontextmanager
async def visited(
    twisted: Twisted, *, anonymous: bool = True
) -> AsyncIterator[tuple[RemoteReference, Realm, pellucid.Server]]:
    """A portal of ours and a Twisted visitor of it."""
    realm = Realm()
    checkers: list[Any] = [pellucid.InMemory(USERS)]
    if anonymous:
        checkers.append(pellucid.Anonymous())
    portal = pellucid.Portal(realm, checkers)
    async with (
        twisted.control() as control,
        pellucid.serve(portal, FREE, registry=registry) as server,
    ):
        visitor = await control.call("visit", port_of(server.url))
        yield visitor, realm, server
        connections = list(server.connections)
        if not visitor.closed:
            await visitor.call("lose")
        for connection in connections:
            await connection.wait_closed()
            assert charged(connection) == {}


def test_twisted_logs_in(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted) as (visitor, realm, _):
            call = visitor.call
            came = ["twisted.spread.pb.RemoteReference", None]
            assert await call("login", "alice", b"alice", b"secret", True) == came
            assert await call("call", "alice", "who", 1, x=2) == [["alice", [1], {"x": 2}], None]
            assert await call("call", "alice", "tell_mind", 1, [2]) == [1, None]
            assert await call("taken") == [[1, [2]]]
            name, password = "Zoë".encode(), "grün".encode()
            assert await call("login", "zoe", name, password, False) == came
            assert await call("call", "zoe", "has_mind") == [False, None]
            assert (await call("call", "alice", "fail"))[2][0] == "SoldOut"
            assert "builtins.AttributeError" in (await call("call", "alice", "nowhere"))[1]
            assert realm.events == ["alice in", "Zoë in"]
            await call("lose")
            await until(lambda: len(realm.events) == 4)
        assert sorted(realm.events[2:]) == ["Zoë out", "alice out"]

    run(main())


def test_twisted_is_not_let_in(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted, anonymous=False) as (visitor, realm, _):
            for name, password in ((b"alice", b"wrong"), (b"nobody", b"secret")):
                none, names, text = await visitor.call("login", "x", name, password, True)
                assert (none, names[0], text) == (None, UNAUTHORIZED, "")
                assert "twisted.cred.error.LoginFailed" in names
            none, names, _ = await visitor.call("anonymous", "x", True)
            assert "twisted.cred.error.LoginFailed" in names
            assert realm.events == []
            await visitor.call("login", "bob", b"bob", b"builder", False)
            assert (await visitor.call("call", "bob", "who"))[0][0] == "bob"

    run(main())


def test_twisted_is_not_let_in_where_no_md5_is_kept(run: Run, twisted: Twisted) -> None:
    class Slow(pellucid.Checker):
        """Has what a good password file has, and so nothing that PB's own login can use."""

        def check_password(self, username: str, password: str | bytes) -> str | None:
            return username if USERS.get(username) == password else None

    async def main() -> None:
        portal = pellucid.Portal(Realm(), [Slow()])
        async with (
            twisted.control() as control,
            pellucid.serve(portal, FREE, registry=registry) as server,
        ):
            visitor = await control.call("visit", port_of(server.url))
            for name in (b"alice", b"nobody"):
                none, names, text = await visitor.call("login", "x", name, b"secret", False)
                assert (none, names[0], text) == (None, UNAUTHORIZED, "")

    run(main())


def test_a_challenge_is_used_once(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted) as (visitor, _, _server):
            await visitor.call("keep", "pair", "root", "login", b"alice")
            assert await visitor.call("respond", "pair", b"secret") == [
                "twisted.spread.pb.RemoteReference",
                None,
            ]
            assert (await visitor.call("respond", "pair", b"secret"))[1][0] == UNAUTHORIZED

    run(main())


def test_twisted_comes_without_a_name(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted) as (visitor, _, _server):
            assert (await visitor.call("anonymous", "any", True))[1] is None
            assert (await visitor.call("call", "any", "who"))[0][0] == "anonymous"
            assert await visitor.call("call", "any", "tell_mind", "x") == [1, None]

    run(main())


def test_the_logout_of_twisted_is_told_once(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted) as (visitor, realm, _):
            for to in ("one", "other"):
                await visitor.call("login", to, b"alice", b"secret", True)
            await visitor.call("login", "bob", b"bob", b"builder", False)
            # The avatar itself, and it again, are held besides.
            await visitor.call("keep", "me", "one", "me")
            await visitor.call("drop", "one", "me")
            await until(lambda: realm.events[3:] == ["alice out"])
            assert (await visitor.call("call", "other", "who"))[0][0] == "alice"
            assert await visitor.call("give", "other", "is_me", "other") == [True, None]
            assert await visitor.call("give", "other", "is_me", "bob") == [False, None]
            await visitor.call("abort")
            await until(lambda: len(realm.events) == 6)
        assert sorted(realm.events[4:]) == ["alice out", "bob out"]

    run(main())


def test_a_killed_client_is_logged_out_once(run: Run) -> None:
    async def main() -> None:
        realm = Realm()
        portal = pellucid.Portal(realm, [pellucid.InMemory(USERS)])
        with twisted_program() as twisted:
            async with (
                twisted.control() as control,
                pellucid.serve(portal, FREE, registry=registry) as server,
            ):
                visitor = await control.call("visit", port_of(server.url))
                for to in ("one", "other"):
                    await visitor.call("login", to, b"alice", b"secret", True)
                await cut(twisted.program)
                await until(lambda: len(realm.events) == 4)
                await until(lambda: not server.connections)
            assert realm.events == ["alice in"] * 2 + ["alice out"] * 2

    run(main())


def test_twisted_sees_through_a_perspective(run: Run, twisted: Twisted) -> None:
    async def main() -> None:
        async with visited(twisted) as (visitor, realm, _):
            call = visitor.call
            await call("login", "alice", b"alice", b"secret", True)
            await call("login", "bob", b"bob", b"builder", True)
            for name in ("alice", "bob"):
                await call("keep", f"{name}'s shelf", name, "shelf")
            seen = await call("call", "alice's shelf", "look", 1, x=2)
            assert seen == [["alice", [1], {"x": 2}, ["alice"]], None]
            seen = await call("call", "bob's shelf", "look")
            assert seen == [["bob", [], {}, ["alice", "bob"]], None]
            assert await call("give", "alice", "is_my_shelf", "alice's shelf") == [True, None]
            assert await call("give", "alice", "is_my_shelf", "bob's shelf") == [False, None]
            for_you = ("Item", {"name": "for you", "seen_by": "alice"})
            assert await call("call", "alice", "item") == [for_you, None]
            for_bob = ("Item", {"name": "for bob", "seen_by": "bob"})
            assert await call("call", "bob's shelf", "item") == [for_bob, None]
            await call("keep", "stock", "bob", "stock")
            (observer,) = realm.stock.observers
            assert observer.perspective.name == "bob"
            assert await realm.stock.set_surely("pears", 2) == ["pears set"]
            assert await call("give_mind", "alice", "call_back") == [1, None]
            assert await call("taken") == [[for_you]]
            assert "builtins.AttributeError" in (await call("call", "bob's shelf", "nowhere"))[1]
            await call("lose")
            await until(lambda: realm.stock.stopped == ["bob"])

    run(main())
