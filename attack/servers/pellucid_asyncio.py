"""Pellucid's asyncio face, with its default limits, or with those of ATTACK_LIMITS (JSON)."""

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass

import pellucid
from attack.servers import PASSWORD, USER
from attack.servers.methods import Echo, Methods

registry = pellucid.Registry()


@registry.copy("app.Item")
@dataclass
class Item(pellucid.Copyable, tag="app.Item"):
    """A copy."""

    n: int = 0


class Stock(pellucid.Cacheable, tag="app.Stock"):
    """A cache of the server's."""

    def __init__(self) -> None:
        self.price = 1


@registry.cache("app.Stock")
class StockCopy(pellucid.RemoteCache):
    """A cache of a client's."""

    def observe_put(self, value: object) -> None:
        pass


class Thing(Echo, pellucid.Referenceable):
    """An object of the server's."""


class Service(Methods, pellucid.Root):
    """What everybody may call."""

    def remote_make(self) -> Thing:
        return Thing()

    def remote_item(self) -> Item:
        return Item(7)

    def remote_quote(self) -> Stock:
        return Stock()

    async def remote_wait(self, value: object = None) -> None:
        await asyncio.sleep(3_600)

    async def remote_call_back(self, target: pellucid.RemoteReference) -> object:
        return await target.call("ping")


class User(pellucid.Avatar):
    """Who has logged in."""

    def perspective_echo(self, value: object) -> object:
        return value


class Realm:
    """Gives the avatars."""

    def request_avatar(self, avatar_id: object, mind: object) -> User:
        return User()


async def _serve() -> None:
    limits = pellucid.Limits(**json.loads(os.environ.get("ATTACK_LIMITS", "{}")))
    checkers = [pellucid.InMemory({USER.decode(): PASSWORD.decode()})]
    portal = pellucid.Portal(Realm(), checkers)
    where = "pb://127.0.0.1:0"
    async with (
        pellucid.serve(Service(), where, limits=limits, registry=registry) as server,
        pellucid.serve(portal, where, limits=limits, registry=registry) as login,
    ):
        print(*(each.url.rsplit(":", 1)[1] for each in (server, login)), flush=True)
        await server.serve_forever()


def serve() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(_serve())
