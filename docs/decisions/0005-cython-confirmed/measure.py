"""Time the codec and two joined brokers of the package on the path, and print seconds as JSON."""

import json
import time
from collections.abc import Callable
from typing import Any

from pellucid import banana, jelly
from pellucid.broker import Broker
from pellucid.events import CallCompleted, CallReceived
from pellucid.flavors import Root
from pellucid.limits import Limits

IN_FLIGHT = 100


def codec_values() -> dict[str, Any]:
    row = {"name": "Ada", "age": 36, "tags": ["a", "b"], "score": 1.5, "ok": True, "none": None}
    return {
        "call arguments": ("hello network", 12, b"bytes", ["a", "list"]),
        "200 rows": [dict(row, number=n) for n in range(200)],
        "10,000 integers": [n * 7919 - 30_000_000 for n in range(10_000)],
        "64 KiB of bytes": b"x" * 65_536,
    }


def seconds_per_run(run: Callable[[], object]) -> float:
    count = 1
    while True:
        started = time.perf_counter()
        for _ in range(count):
            run()
        taken = time.perf_counter() - started
        if taken > 0.03:
            return taken / count
        count *= 2


class Echo(Root):
    def remote_echo(self, value: Any) -> Any:
        return value


class Echoes:
    """Two brokers joined in memory."""

    def __init__(self) -> None:
        self.client = Broker("client")
        self.server = Broker("server", root=Echo())
        self.done = 0
        self.deliver()

    def deliver(self) -> None:
        quiet = False
        while not quiet:
            quiet = True
            for here, there in ((self.client, self.server), (self.server, self.client)):
                if data := here.data_to_send():
                    quiet = False
                    there.receive_data(data)
                    for event in there.events():
                        self.handle(there, event)

    def handle(self, broker: Broker, event: object) -> None:
        if isinstance(event, CallReceived):
            method = event.target.find_method(event.name)
            broker.answer(event, method(*event.args, **event.kwargs))
        elif isinstance(event, CallCompleted):
            self.done += 1

    def call(self, count: int) -> None:
        before = self.done
        for _ in range(count):
            self.client.call(self, self.client.root, "echo", ("hello network",))
        self.deliver()
        assert self.done == before + count


def framed(data: bytes) -> bytes:
    framer = banana.Framer(banana.PB, Limits())
    framer.feed(data)
    message = framer.next_message()
    assert message is not None
    return message


def main() -> None:
    found = {}
    for name, value in codec_values().items():
        data = jelly.dumps(value)
        assert jelly.loads(framed(data)) == value
        found[f"{name}: encode"] = seconds_per_run(lambda value=value: jelly.dumps(value))
        found[f"{name}: frame and decode"] = seconds_per_run(
            lambda data=data: jelly.loads(framed(data))
        )
    echoes = Echoes()
    found["echo, one call at a time"] = seconds_per_run(lambda: echoes.call(1))
    found["echo, 100 in flight, each"] = (
        seconds_per_run(lambda: echoes.call(IN_FLIGHT)) / IN_FLIGHT
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
