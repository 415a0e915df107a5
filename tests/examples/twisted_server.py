"""A server of Twisted's own PB with the methods that the clients of the examples call."""

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.spread import pb

reactor: Any = _reactor


class MyException(pb.Error):
    pass


class MyError(pb.Error):
    pass


class MyError2(Exception):
    pass


class Two(pb.Referenceable):
    def remote_three(self, arg: Any) -> Any:
        print("three", arg, flush=True)


class One(pb.Root):
    two = Two()

    def remote_echo(self, text: Any) -> Any:
        return text

    def remote_nextQuote(self) -> Any:
        return "A quote from Twisted."

    def remote_getTwo(self) -> Any:
        return self.two

    def remote_checkTwo(self, two: Any) -> Any:
        print("home", two is self.two, flush=True)

    def remote_takeTwo(self, two: Any) -> Any:
        return two.callRemote("print", 12)

    def remote_broken(self) -> Any:
        raise MyError("fall down go boom")

    def remote_broken2(self) -> Any:
        raise MyError2("hadda owie")

    def remote_fooMethod(self, arg: Any) -> Any:
        if arg == "panic!":
            raise MyException
        return "response"

    def remote_shutdown(self) -> Any:
        reactor.stop()


port = reactor.listenTCP(0, pb.PBServerFactory(One()), interface="127.0.0.1")
print(f"pb://127.0.0.1:{port.getHost().port}", flush=True)
reactor.run()
