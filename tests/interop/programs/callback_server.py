"""Calls an object of the client's."""

from typing import Any

from tests.interop.programs.spread import listen, pb, run


class Office(pb.Root):
    def remote_takeTwo(self, printer: Any) -> None:
        print("received a Two called", printer)
        print("telling it to print(12)")
        printer.callRemote("print", 12)


listen(pb.PBServerFactory(Office()))
run()
