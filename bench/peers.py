"""The processes that are measured: an echo server and a client that times it, of each kind.

`python -m bench.peers pellucid-server` prints its port. `python -m bench.peers pellucid-client PORT
WORKLOAD SECONDS` prints how many calls it made in a second.
"""

import asyncio
import sys
import time
from typing import Any

IN_FLIGHT = 1000


async def pellucid_server() -> None:
    import pellucid  # noqa: PLC0415

    class Echo(pellucid.Root):
        def remote_echo(self, value: object) -> object:
            return value

    async with pellucid.serve(Echo(), "pb://127.0.0.1:0") as server:
        print(server.url.rsplit(":", 1)[1], flush=True)
        await server.serve_forever()


async def pellucid_client(port: str, workload: str, seconds: float) -> None:
    import pellucid  # noqa: PLC0415

    async with pellucid.connect(f"pb://127.0.0.1:{port}") as connection:
        root = connection.root
        calls = 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            if workload == "sequential":
                assert await root.call("echo", "hello network") == "hello network"
                calls += 1
            else:
                for future in [root.call("echo", "hello network") for _ in range(IN_FLIGHT)]:
                    assert await future == "hello network"
                calls += IN_FLIGHT
        print(calls / (time.perf_counter() - started))


def twisted_server() -> None:
    from twisted.internet import reactor  # noqa: PLC0415
    from twisted.spread import pb  # noqa: PLC0415

    class Echo(pb.Root):
        def remote_echo(self, value: object) -> object:
            return value

    loop: Any = reactor
    port = loop.listenTCP(0, pb.PBServerFactory(Echo()), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    loop.run()


def twisted_client(port: str, workload: str, seconds: float) -> None:
    from twisted.internet import defer, reactor, task  # noqa: PLC0415
    from twisted.spread import pb  # noqa: PLC0415

    loop: Any = reactor

    async def measure(_: object) -> None:
        factory = pb.PBClientFactory()
        loop.connectTCP("127.0.0.1", int(port), factory)
        root = await factory.getRootObject()
        calls = 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            if workload == "sequential":
                assert await root.callRemote("echo", "hello network") == "hello network"
                calls += 1
            else:
                waiting = [root.callRemote("echo", "hello network") for _ in range(IN_FLIGHT)]
                for deferred in waiting:
                    assert await deferred == "hello network"
                calls += IN_FLIGHT
        print(calls / (time.perf_counter() - started), flush=True)

    task.react(lambda reactor: defer.ensureDeferred(measure(reactor)))


def main() -> None:
    """Be the process that the command line names."""
    kind, *rest = sys.argv[1:]
    if kind == "pellucid-server":
        asyncio.run(pellucid_server())
    elif kind == "pellucid-client":
        asyncio.run(pellucid_client(rest[0], rest[1], float(rest[2])))
    elif kind == "twisted-server":
        twisted_server()
    else:
        twisted_client(rest[0], rest[1], float(rest[2]))


if __name__ == "__main__":
    main()
