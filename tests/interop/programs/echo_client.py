"""Says hello, or why it can't."""

from typing import Any

from twisted.internet import defer
from twisted.python.util import println

from tests.interop.programs.spread import connect, pb, reactor, run

factory = pb.PBClientFactory()
connect(factory)
said: defer.Deferred[Any] = factory.getRootObject()
said.addCallback(lambda root: root.callRemote("echo", "hello network"))
said.addCallback(lambda text: "server echoed: " + text)
said.addErrback(lambda reason: "error: " + str(reason.value))
said.addCallback(println)
said.addCallback(lambda _: reactor.stop())
run()
