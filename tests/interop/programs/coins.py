"""Coins, of which there is one of each kind on every side. Both sides import it."""

from functools import cache
from typing import Any

from tests.interop.programs.spread import pb


class Coin(pb.Copyable):
    """Sends its value and its currency, as a tuple."""

    def __init__(self, value: int, currency: str) -> None:
        self.value = value
        self.currency = currency

    def getTypeToCopy(self) -> bytes:
        return b"mint.Coin"

    def getStateToCopy(self) -> Any:
        return (self.value, self.currency)


coin = cache(Coin)


class Purse(pb.Copyable):
    def __init__(self, *coins: Coin) -> None:
        self.coins = list(coins)


class RemotePurse(pb.RemoteCopy):
    """Counts its coins when all of them are there."""

    coins: list[Coin]
    owner: Any

    def postUnjelly(self) -> None:
        print("a purse with", sum(one.value for one in self.coins), "in it")


def purse(state: dict[str, Any]) -> RemotePurse:
    """Make one by hand."""
    made = RemotePurse()
    vars(made).update(state)
    return made


pb.setUnjellyableFactoryForClass("mint.Coin", lambda state: coin(*state))
pb.setFactoryForClass(Purse, purse)
