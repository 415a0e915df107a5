"""Makes four calls that end in four ways, each of which has an errback of its own."""

from typing import Any

from twisted.python import log
from twisted.python.failure import Failure

from tests.interop.programs.spread import connect, jelly, pb, reactor, run


class MyException(pb.Error):
    """What the server may raise."""


class MyOtherException(pb.Error):
    """What it may raise as well."""


class Unsafe:
    """Of no kind that may travel."""


class Caller:
    """Makes the next call when the one before has ended."""

    def __init__(self) -> None:
        self.calls = iter((self.call_one, self.call_two, self.call_three, self.shut_down))

    def got_root(self, root: Any) -> None:
        self.remote = root
        root.notifyOnDisconnect(self.call_four)
        self.next()

    def next(self, _: object = None) -> None:
        next(self.calls)()

    def call_one(self) -> None:
        self.call("callOne: call with safe object", "safe string")

    def call_two(self) -> None:
        self.call("callTwo: call with dangerous object", Unsafe())

    def call_three(self) -> None:
        self.call("callThree: call that raises remote exception", "panic!")

    def shut_down(self) -> None:
        print("telling them to shut down")
        # They may be gone before they answer.
        gone = self.remote.callRemote("shutdown")
        gone.addErrback(lambda reason: reason.trap(pb.PBConnectionLost))

    def call_four(self, _: object) -> None:
        self.call("callFour: call on stale reference", "dummy")
        reactor.stop()

    def call(self, explanation: str, argument: object) -> None:
        print(explanation)
        try:
            answer = self.remote.callRemote("fooMethod", argument)
        except pb.DeadReferenceError:
            print(" stale reference: the client disconnected or crashed")
        else:
            answer.addCallback(self.worked)
            answer.addErrback(self.insecure)
            answer.addErrback(self.raised)
            answer.addErrback(self.anything_else)
            answer.addCallback(self.next)

    def worked(self, response: str) -> None:
        print(" method successful, response:", response)

    def insecure(self, reason: Failure) -> None:
        reason.trap(jelly.InsecureJelly)
        print(" InsecureJelly: you tried to send something unsafe to them")

    def raised(self, reason: Failure) -> None:
        which = reason.trap(MyException, MyOtherException)
        print(" remote raised a", "MyException" if which == MyException else "MyOtherException")

    def anything_else(self, reason: Failure) -> None:
        print(" something else happened")
        log.err(reason)


factory = pb.PBClientFactory()
connect(factory)
factory.getRootObject().addCallback(Caller().got_root)
run()
