"""Raises what is expected, and what is not."""

from tests.interop.programs.spread import listen, pb, run


class MyError(pb.Error):
    """A condition that the client can expect."""


class MyError2(Exception):
    """A fault in this program."""


class Clumsy(pb.Root):
    def remote_broken(self) -> None:
        text = "fall down go boom"
        print(f"raising a MyError exception with data '{text}'")
        raise MyError(text)

    def remote_broken2(self) -> None:
        text = "hadda owie"
        print(f"raising a MyError2 exception with data '{text}'")
        raise MyError2(text)


listen(pb.PBServerFactory(Clumsy()))
run()
