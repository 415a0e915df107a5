"""Pays with coins, and looks whether those that come back are its own."""

from twisted.internet import defer

from tests.interop.programs.coins import Purse, coin
from tests.interop.programs.spread import connect, finish, pb, run


async def main() -> None:
    root = await factory.getRootObject()
    five, two = coin(5, "crowns"), coin(2, "crowns")
    change = await root.callRemote("pay", five)
    print("change:", change.value, change.currency, change is two)
    coins = await root.callRemote("deposit", Purse(five, two, five))
    print("all of them:", [one is own for one, own in zip(coins, (five, two, five), strict=True)])


factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(main()), connector)
run()
