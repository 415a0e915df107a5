"""Answers, fails, and goes away."""

from tests.interop.programs.spread import listen, pb, reactor, run


class MyException(pb.Error):
    """What a panic is answered with."""


class Touchy(pb.Root):
    def remote_fooMethod(self, word: str) -> str:
        if word == "panic!":
            raise MyException
        return "response"

    def remote_shutdown(self) -> None:
        reactor.stop()


listen(pb.PBServerFactory(Touchy()))
run()
