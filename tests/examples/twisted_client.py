"""A client of Twisted's own PB: calls methods with what is given, and prints the results.

Usage: twisted_client.py PORT STEP...

A step is `name` or `name=argument`. `/name` is called on the result before it, anything else on the
root. An argument is a text, `@` for an object of the client's, `$` for the result before it.
"""

import sys
from collections.abc import Generator
from typing import Any

from twisted.internet import defer
from twisted.internet import reactor as _reactor
from twisted.spread import pb

reactor: Any = _reactor


class Mine(pb.Referenceable):
    def remote_print(self, arg: object) -> None:
        print("mine was given", arg)


def name_of(error: Exception) -> str:
    # Twisted has this name as bytes.
    name: bytes = getattr(error, "remoteType", type(error).__name__.encode())
    return name.decode()


@defer.inlineCallbacks
def steps(port: int, words: list[str]) -> Generator[Any, Any, None]:
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", port, factory)
    root = yield factory.getRootObject()
    result: Any = None
    for word in words:
        name, equals, value = word.partition("=")
        target = result if name.startswith("/") else root
        argument = {"@": Mine(), "$": result}.get(value, value)
        try:
            before = result
            result = yield target.callRemote(name.lstrip("/"), *([argument] if equals else []))
        except Exception as error:
            print(word, "raised", f"{name_of(error)}: {error}")
            result = before
        else:
            kind = type(result).__name__
            print(word, "gave", kind if kind == "RemoteReference" else repr(result))


done: Any = steps(int(sys.argv[1]), sys.argv[2:])
done.addErrback(print)
done.addBoth(lambda _: reactor.stop())
reactor.run()
