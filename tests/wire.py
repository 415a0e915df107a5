"""Messages about a cache, as they are written, and a server that reads them."""

from typing import Any

from pellucid.banana import encode
from pellucid.broker import Broker
from tests.harness import Echo, Observer, Side, stocks

TAG = b"harness.Stock"
DICT = [b"dictionary"]


def none(*sexps: Any) -> bytes:
    return b"".join(encode(sexp, "none") for sexp in sexps)


def text(value: str) -> Any:
    return [b"unicode", value.encode()]


def state(**items: int) -> Any:
    """The state of a stock, as it is sent."""
    inner = [*DICT, *([text(name), count] for name, count in items.items())]
    return [*DICT, [text("items"), inner]]


def call(name: bytes, *args: Any, request: int = 7) -> Any:
    return [b"message", request, b"root", name, 1, [b"tuple", *args], DICT]


def put(request: int, luid: int, name: str, count: int, wants_answer: int = 0) -> Any:
    """An update."""
    args = [b"tuple", text(name), count]
    return [b"cachemessage", request, luid, b"put", wants_answer, args, DICT]


def server(root: Any = None, **options: Any) -> Side:
    """A server in dialect `none`, all of whose bytes are looked at."""
    root = Echo() if root is None else root
    options.setdefault("registry", stocks())
    side = Side(Broker("server", root=root, observer_type=Observer, **options))
    side.feed(none(b"none", [b"version", 6]))
    side.take()
    return side
