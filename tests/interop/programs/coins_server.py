"""Takes coins and gives them back."""

from typing import Any

from tests.interop.programs.coins import Coin, RemotePurse, coin
from tests.interop.programs.spread import listen, pb, run


class Bank(pb.Root):
    def remote_pay(self, paid: Any) -> Coin:
        print("paid:", paid.value, paid.currency, paid is coin(5, "crowns"))
        return coin(2, "crowns")

    def remote_deposit(self, purse: RemotePurse) -> list[Coin]:
        print("deposited:", [(one.value, one.currency) for one in purse.coins])
        return purse.coins


listen(pb.PBServerFactory(Bank()))
run()
