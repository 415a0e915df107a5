"""Gives away an object of its own."""

from tests.interop.programs.spread import listen, pb, run


class Helper(pb.Referenceable):
    def remote_three(self, number: int) -> None:
        print("Two.three was given", number)


class Office(pb.Root):
    def remote_getTwo(self) -> Helper:
        helper = Helper()
        print("returning a Two called", helper)
        return helper


listen(pb.PBServerFactory(Office()))
run()
