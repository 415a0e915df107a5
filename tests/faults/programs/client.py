"""A client that logs in, waits for an answer that never comes, and says how that ends."""

import argparse
import asyncio
from typing import Any

import pellucid
from pellucid import Limits

LARGE = b"x" * 600_000


def say(*words: object) -> None:
    print(*words, flush=True)


class Mind(pellucid.Referenceable):
    def remote_hear(self, value: Any) -> Any:
        return f"I heard {value}" if isinstance(value, str) else None


async def main(options: argparse.Namespace) -> None:
    limits = Limits(stall_time=options.stall_time)
    async with pellucid.connect(options.url, limits=limits) as connection:
        if options.told:
            await asyncio.to_thread(input)
        me = await connection.login_anonymous(mind=Mind())
        waiting = me.call("wait")
        echo = await me.call("echo", "ready")
        say(echo)
        if options.flood:
            await asyncio.to_thread(input)
            for _ in range(40):
                me.notify("echo", LARGE)
            say("flooded")
        try:
            await waiting
        except pellucid.ConnectionLost as error:
            say("lost", type(error.__cause__).__name__)
        try:
            await me.call("echo", 1)
        except pellucid.DeadReferenceError:
            say("dead")
        await connection.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--stall-time", type=float, default=60.0)
    parser.add_argument("--told", action="store_true", help="log in when a line comes")
    parser.add_argument("--flood", action="store_true", help="send much when a line comes")
    asyncio.run(main(parser.parse_args()))
