"""What the tests of all faces share: a server with one client, and objects to call."""

from typing import Any

import pellucid
from tests.faces import flavours
from tests.faces.face import FREE, Face, Steps, steps


class Known(pellucid.Error):
    """An error that both sides know."""


class Thing(flavours.Referenceable):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def remote_tell(self, value: Any) -> int:
        self.heard.append(value)
        return len(self.heard)

    @steps
    def remote_on(self, other: Any, depth: int) -> Steps:
        if not depth:
            return 0
        return 1 + (yield other.call("on", self, depth - 1))


class Root(Thing, flavours.Root):
    def __init__(self) -> None:
        super().__init__()
        self.thing = Thing()
        self.kept: list[Any] = []

    def remote_echo(self, value: Any = None) -> Any:
        return value

    def remote_any(self, /, *args: Any, **kwargs: Any) -> Any:
        return list(args), kwargs

    def remote_thing(self) -> Thing:
        return self.thing

    def remote_things(self, count: int) -> list[Thing]:
        return [Thing() for _ in range(count)]

    def remote_is_thing(self, value: Any) -> bool:
        return value is self.thing

    def remote_keep(self, value: Any) -> None:
        self.kept.append(value)

    def remote_forget(self) -> None:
        self.kept.clear()

    @steps
    def remote_back(self, reference: Any, name: str, *args: Any) -> Steps:
        return (yield reference.call(name, *args))

    def remote_fail(self, kind: str) -> None:
        errors = {"known": Known("it was known"), "other": KeyError("other")}
        raise errors[kind]


def joined(face: Face, root: Any = None, url: str = FREE, **options: Any) -> Steps:
    """Use as `client, server = yield from joined(face)`: both ends, and `close` at the end."""
    registry = options.get("registry")
    client_options = options.pop("client", {})
    if registry is not None:
        client_options.setdefault("registry", registry)
    listening = yield face.serve(root or Root(), url, **options)
    client = yield face.connect(listening.url, **client_options)
    yield face.until(lambda: listening.connections and listening.connections[0].dialect)
    server = listening.connections[0]
    face.opened([client, server])
    return Pair(face, listening, client, server)


class Pair:
    """Both ends of one connection, and the server that made one of them."""

    def __init__(self, face: Face, listening: Any, client: Any, server: Any) -> None:
        self._face = face
        self.listening = listening
        self.client = client
        self.server = server

    @property
    def root(self) -> Any:
        return self.client.root

    def empty(self) -> Any:
        """Yield this: neither side holds anything of the other."""
        return self._face.empty(self.client, self.server)

    def close(self) -> Steps:
        """`yield from` this."""
        yield self._face.close(self.client)
        yield self._face.close(self.listening)
